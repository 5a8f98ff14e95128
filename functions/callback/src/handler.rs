//! The `callback` function: proves a provider's callback genuine and queues it before it is acknowledged.

mod keys;
mod limits;
mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::HeaderValue;
use aws_lambda_events::http::header::{CONTENT_TYPE, RETRY_AFTER};
use paybell_shared::aws::Adapters;
use paybell_shared::callback::{Answers, Rejection, UnixSeconds, Verified};
use paybell_shared::https::{HttpsLimits, HttpsTransport};
use paybell_shared::ports::{
    AccountStore, CallbackQueue, FetchedKeys, Fetcher, ForwardClock, PortError, SystemClock,
};
use paybell_shared::providers::{Provider, Registry, Reply};
use paybell_shared::refusals::{Limited, Refusals};
use thiserror::Error;

use limits::Visit;

/// Accounts, keys and queue together: the most impatient providers wait 5 s for their answer, and one that is told to
/// come again is better than one that is told nothing. What was queued too late for the answer is queued again, and
/// applied once.
const ANSWER_MAX: Duration = Duration::from_secs(4);

/// What the function needs from the outside world.
#[derive(Clone)]
pub struct Ports {
    /// Accounts' credentials.
    pub accounts: Arc<dyn AccountStore>,
    /// Where verified callbacks go.
    pub callbacks: Arc<dyn CallbackQueue>,
    /// Providers' keys that callbacks name and accounts do not hold.
    pub keys: Arc<FetchedKeys>,
    /// The providers.
    pub providers: Arc<Registry>,
    /// Who was refused how often, and who has proved itself.
    pub refusals: Arc<Refusals>,
}

impl Ports {
    /// The ports on AWS, and the way out to providers' keys.
    pub fn new(adapters: &Adapters, providers: Arc<Registry>) -> Self {
        let fetcher = Fetcher::new(Arc::new(HttpsTransport::new(HttpsLimits::KEY)), Arc::new(SystemClock));
        Self {
            accounts: adapters.accounts.clone(),
            callbacks: adapters.callbacks.clone(),
            keys: Arc::new(FetchedKeys::new(fetcher, Arc::new(ForwardClock::new(Arc::new(SystemClock))))),
            providers,
            refusals: Arc::default(),
        }
    }
}

/// Why a callback is not acknowledged.
#[derive(Debug, Error)]
enum CallbackError {
    /// The address is not one of ours, or names a provider or account that we do not have.
    #[error("unknown {0}")]
    Unknown(&'static str),
    /// The callback is not believed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Its source has to wait; a provider comes again.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// We could not do our part.
    #[error(transparent)]
    Failed(#[from] PortError),
}

/// Answers one provider callback; the provider's success answer is given only after the queue has stored it.
pub async fn handle(
    event: ApiGatewayV2httpRequest,
    ports: &Ports,
    now: UnixSeconds,
) -> ApiGatewayV2httpResponse {
    let address = request::address(&event);
    let provider = address.as_ref().and_then(|address| addressed(address, &ports.providers));
    let answers = provider.map_or(&Answers::EMPTY, |provider| &provider.answers);
    let visit = Visit::new(&event, address.as_ref(), provider, ports, now);
    let accepted = async {
        visit.admit()?;
        accept(&event, provider, &visit, ports, now).await
    };
    let out_of_time = |_| Err(PortError::Transient("no time left for an answer".to_owned()).into());
    match tokio::time::timeout(ANSWER_MAX, accepted).await.unwrap_or_else(out_of_time) {
        Ok(Accepted::Callback(verified, reply)) => {
            tracing::info!(
                outcome = "accepted",
                account = verified.account(),
                provider = verified.provider(),
                key_set = verified.key_set_id(),
                "callback"
            );
            response(reply)
        }
        Ok(Accepted::Handshake(reply)) => {
            tracing::info!(
                outcome = "handshake",
                provider = provider.map_or("unknown", |found| found.name),
                "callback"
            );
            response(reply)
        }
        Err(error) => {
            let status = status_of(&error);
            log(&error, provider, status);
            let mut response = response(answers.failure(status).into());
            match error {
                CallbackError::Limited(Limited { retry_after_seconds, .. }) => {
                    response.headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_seconds));
                }
                _ => visit.refused(status),
            }
            response
        }
    }
}

/// The provider of an address; one with a further path names it only if the provider is called so.
fn addressed(address: &request::Address, providers: &Registry) -> Option<&'static Provider> {
    let provider = providers.find(&address.provider)?;
    let is_expected = |path: &str| provider.further_path.is_some_and(|is_expected| is_expected(path));
    (address.further_path.is_empty() || is_expected(&address.further_path)).then_some(provider)
}

/// What is answered with success.
enum Accepted {
    /// A callback, which is durable.
    Callback(Box<Verified>, Reply),
    /// The provider's check of the address, of which nothing is kept.
    Handshake(Reply),
}

/// The cheap refusals come first: size, headers, provider, account, and only then keys and the cryptography.
async fn accept(
    event: &ApiGatewayV2httpRequest,
    provider: Option<&'static Provider>,
    visit: &Visit<'_>,
    ports: &Ports,
    now: UnixSeconds,
) -> Result<Accepted, CallbackError> {
    request::check_size(event)?;
    let provider = provider.ok_or(CallbackError::Unknown("provider"))?;
    let raw = request::decode(event)?;
    let credentials = ports.accounts.credentials(&raw.account, provider.name).await?;
    let credentials = credentials.ok_or(CallbackError::Unknown("account"))?;
    if let Some(reply) = provider.handshake(&raw, &credentials)? {
        return Ok(Accepted::Handshake(reply));
    }
    let (credentials, missing) = keys::complete(provider, &raw, credentials, &ports.keys).await;
    let verified = match (provider.accept(&raw, &credentials, now), missing) {
        // Without the key a refusal says nothing about the callback.
        (Err(_), Some(missing)) => return Err(missing),
        (accepted, _) => accepted?,
    };
    let is_unsigned = limits::is_unsigned(provider, &verified);
    if is_unsigned {
        visit.admit_unsigned(&verified)?;
    }
    // What is acknowledged must never be lost, so it is durable first.
    ports.callbacks.send(&verified).await?;
    visit.taken(&verified, is_unsigned);
    let reply = provider.success(&verified);
    Ok(Accepted::Callback(Box::new(verified), reply))
}

/// The one place where an error becomes a status.
///
/// What cannot be read is 400 and what proves nothing is 401, an unreadable signature too; where the fault is ours
/// the provider must try again, so it is 503.
fn status_of(error: &CallbackError) -> u16 {
    match error {
        CallbackError::Unknown(_) => 404,
        CallbackError::Limited(_) => 429,
        CallbackError::Failed(_) => 503,
        CallbackError::Rejected(rejection) => match rejection {
            Rejection::TooLarge { .. } => 413,
            Rejection::Malformed { what } if !["body", "header", "path"].contains(&what.as_str()) => 401,
            Rejection::Malformed { .. } | Rejection::Duplicate { .. } => 400,
            Rejection::Unconfigured { .. } => 503,
            Rejection::MissingHeader { .. }
            | Rejection::MissingField { .. }
            | Rejection::MissingSignature
            | Rejection::SignatureMismatch
            | Rejection::UnknownKey
            | Rejection::AlgorithmNotAllowed
            | Rejection::Stale { .. }
            | Rejection::Certificate(_)
            | Rejection::IdentityMismatch { .. }
            | Rejection::DecryptFailed => 401,
        },
    }
}

fn log(error: &CallbackError, provider: Option<&'static Provider>, status: u16) {
    let provider = provider.map_or("unknown", |provider| provider.name);
    match error {
        CallbackError::Unknown(what) => {
            let reason = format!("unknown_{what}");
            tracing::warn!(outcome = "refused", reason, provider, status, "callback");
        }
        CallbackError::Rejected(rejection @ Rejection::Unconfigured { field }) => {
            let reason = rejection.reason();
            tracing::error!(outcome = "unconfigured", reason, field, provider, status, "callback");
        }
        CallbackError::Rejected(rejection) => {
            // Operators watch forgeries apart from what is merely unreadable.
            let outcome = if status == 401 { "rejected" } else { "refused" };
            // Of a clock that is wrong, ours or the provider's, this says by how much.
            let age_seconds = match rejection {
                Rejection::Stale { age_seconds } => Some(age_seconds),
                _ => None,
            };
            let reason = rejection.reason();
            tracing::warn!(outcome, reason, age_seconds, provider, status, "callback");
        }
        CallbackError::Limited(Limited { to_tell, .. }) => {
            if let Some(requests) = to_tell {
                tracing::warn!(outcome = "limited", requests, provider, status, "callback");
            }
        }
        CallbackError::Failed(error) => {
            tracing::error!(outcome = "failed", reason = %error, provider, status, "callback");
        }
    }
}

fn response(reply: Reply) -> ApiGatewayV2httpResponse {
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = i64::from(reply.status);
    if !reply.content_type.is_empty()
        && let Ok(content_type) = HeaderValue::from_str(&reply.content_type)
    {
        response.headers.insert(CONTENT_TYPE, content_type);
    }
    response.body = Some(Body::Text(reply.body));
    response
}
