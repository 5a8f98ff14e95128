//! Access tokens fetched from providers, kept until shortly before they expire.

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use super::{Clock, Fetcher, PortError};
use crate::providers::{AccessToken, MappingError, Provider, TokenRequest};

/// How long before its end a token is renewed: a question takes its time, and clocks differ.
const EARLY_MS: i64 = 60_000;
/// Longest time that a token is kept, whatever the provider says.
const KEPT_MS_MAX: i64 = 24 * 60 * 60 * 1000;
/// How long one is kept of which the provider does not say how long it lives.
const UNKNOWN_LIFE_MS: i64 = 60_000;
/// How long after a failure the token endpoint is left in peace.
const FAILURE_KEPT_MS: i64 = 5_000;
/// How long a client that was refused is not tried again; with another secret it is another client.
const REFUSAL_KEPT_MS: i64 = 60_000;
/// Most clients.
const CLIENTS_MAX: usize = 1024;

/// Why there is no access token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The token endpoint does not know the client, or not by this secret.
    #[error("the client credentials are refused with status {0}")]
    Refused(u16),
    /// The answer of the token endpoint has no token.
    #[error("no access token: {0}")]
    Unreadable(MappingError),
    /// The token endpoint did not answer.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Fetches access tokens and keeps them, one request at a time for each client.
pub struct AccessTokens {
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    slots: Mutex<HashMap<Client, Arc<Slot>>>,
}

/// An account, and its request with the client's secret: another secret gets another token.
type Client = (String, TokenRequest);
type Slot = tokio::sync::Mutex<Kept>;

#[derive(Default)]
enum Kept {
    #[default]
    Nothing,
    Token {
        token: AccessToken,
        until_ms: i64,
    },
    Failure {
        error: TokenError,
        until_ms: i64,
    },
}

impl AccessTokens {
    /// Tokens that come through this fetcher.
    pub fn new(fetcher: Fetcher, clock: Arc<dyn Clock>) -> Self {
        Self { fetcher, clock, slots: Mutex::default() }
    }

    /// The token, fetched unless it is at hand. A `refused` one, which the provider has not accepted, is thrown away.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn get(
        &self,
        account: &str,
        provider: &Provider,
        wanted: &TokenRequest,
        refused: Option<&AccessToken>,
    ) -> Result<AccessToken, TokenError> {
        let slot = self.slot(account, wanted);
        // Who comes while another one fetches waits here, and takes what that one got.
        let mut kept = slot.lock().await;
        match &*kept {
            Kept::Token { token, until_ms } if self.clock.now_ms() < *until_ms && Some(token) != refused => {
                return Ok(token.clone());
            }
            Kept::Failure { error, until_ms } if self.clock.now_ms() < *until_ms => {
                return Err(error.clone());
            }
            _ => *kept = Kept::Nothing,
        }
        let fetched = self.fetch(account, provider, wanted).await;
        let now_ms = self.clock.now_ms();
        *kept = match &fetched {
            Ok(token) => Kept::Token { token: token.clone(), until_ms: kept_until_ms(token, now_ms) },
            Err(error @ TokenError::Refused(_)) => {
                Kept::Failure { error: error.clone(), until_ms: now_ms + REFUSAL_KEPT_MS }
            }
            Err(error) => Kept::Failure { error: error.clone(), until_ms: now_ms + FAILURE_KEPT_MS },
        };
        fetched
    }

    async fn fetch(
        &self,
        account: &str,
        provider: &Provider,
        wanted: &TokenRequest,
    ) -> Result<AccessToken, TokenError> {
        let answer = self.fetcher.fetch(account, &wanted.request).await?;
        match answer.status() {
            200..300 => provider.access_token(&answer).map_err(TokenError::Unreadable),
            status @ (408 | 425 | 429 | 500..) => {
                let what = format!("the token endpoint is unavailable: {status}");
                Err(PortError::Transient(what).into())
            }
            status => Err(TokenError::Refused(status)),
        }
    }

    fn slot(&self, account: &str, wanted: &TokenRequest) -> Arc<Slot> {
        let client = (account.to_owned(), wanted.clone());
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= CLIENTS_MAX && !slots.contains_key(&client) {
            let now_ms = self.clock.now_ms();
            // What somebody waits for stays, so that it is not fetched twice.
            slots.retain(|_, slot| slot.try_lock().map_or(true, |kept| kept.is_of_use(now_ms)));
            if slots.len() >= CLIENTS_MAX {
                slots.clear();
            }
        }
        slots.entry(client).or_default().clone()
    }
}

impl Kept {
    fn is_of_use(&self, now_ms: i64) -> bool {
        match self {
            Self::Nothing => false,
            Self::Token { until_ms, .. } | Self::Failure { until_ms, .. } => now_ms < *until_ms,
        }
    }
}

/// Until shortly before the token's end; half of a short life.
fn kept_until_ms(token: &AccessToken, now_ms: i64) -> i64 {
    let Some(expires_at) = token.expires_at else { return now_ms + UNKNOWN_LIFE_MS };
    let life_ms = expires_at.0.saturating_mul(1000).saturating_sub(now_ms);
    now_ms + (life_ms.saturating_sub(EARLY_MS)).max(life_ms / 2).clamp(0, KEPT_MS_MAX)
}
