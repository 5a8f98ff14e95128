//! Who has to wait before anything is looked at: a source that was refused too often, or that sends too much which
//! anybody could send.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use paybell_shared::callback::{Origin, UnixSeconds, Verified};
use paybell_shared::providers::Provider;
use paybell_shared::refusals::{Aim, Limited, Refusals, Source};

use super::Ports;
use super::request::Address;

/// Where a callback comes from, and what it is aimed at.
pub(crate) struct Visit<'a> {
    refusals: &'a Refusals,
    source: Option<Source>,
    callback: Option<Aim>,
    /// Whether asking for its account costs nothing.
    is_remembered: bool,
    now_ms: i64,
}

impl<'a> Visit<'a> {
    pub fn new(
        event: &ApiGatewayV2httpRequest,
        address: Option<&Address>,
        provider: Option<&Provider>,
        ports: &'a Ports,
        now: UnixSeconds,
    ) -> Self {
        let source = event.request_context.http.source_ip.as_deref().and_then(Source::parse);
        let callback = address.zip(provider).map(|(address, provider)| Aim::Callback {
            account: address.account.clone(),
            provider: provider.name.to_owned(),
        });
        let is_remembered = address
            .zip(provider)
            .is_some_and(|(address, provider)| ports.accounts.remembers(&address.account, provider.name));
        Self {
            refusals: &ports.refusals,
            source,
            callback,
            is_remembered,
            now_ms: now.0.saturating_mul(1_000),
        }
    }

    /// Whether it is looked at. Who has proved itself always is, because a stranger can have forgeries sent from a
    /// provider's own addresses; who guesses at accounts is stopped where a guess would cost a read.
    pub fn admit(&self) -> Result<(), Limited> {
        let Some(source) = self.source else { return Ok(()) };
        let has_proved = |aim| self.refusals.has_proved(source, aim, self.now_ms);
        if self.callback.as_ref().is_some_and(has_proved) {
            return Ok(());
        }
        let guess = (!self.is_remembered).then_some(Aim::Guess);
        let aims: Vec<Aim> = self.callback.iter().cloned().chain(guess).collect();
        self.refusals.admit(source, &aims, self.now_ms)
    }

    /// Whether it may go on although it proves nothing. Only now is that known, and nothing was read or sent for it.
    pub fn admit_unsigned(&self, verified: &Verified) -> Result<(), Limited> {
        self.source.map_or(Ok(()), |source| self.refusals.admit(source, &[hint(verified)], self.now_ms))
    }

    /// Counts what proves nothing, and remembers who has proved itself.
    pub fn taken(&self, verified: &Verified, is_unsigned: bool) {
        let Some(source) = self.source else { return };
        if is_unsigned {
            self.refusals.count(source, hint(verified), self.now_ms);
        } else if let Some(aim) = self.callback.clone() {
            self.refusals.proved(source, aim, self.now_ms);
        }
    }

    /// Counts its refusal with this status; what is our own fault is nobody's.
    pub fn refused(&self, status: u16) {
        let Some(source) = self.source.filter(|_| status < 500) else { return };
        // Only a callback whose account was found has come to 401.
        let aim = self.callback.clone().filter(|_| self.is_remembered || status == 401);
        self.refusals.count(source, aim.unwrap_or(Aim::Guess), self.now_ms);
    }
}

/// Whether anybody may have sent a callback that was believed as a hint.
pub(crate) fn is_unsigned(provider: &Provider, verified: &Verified) -> bool {
    let has_no_signature = || provider.inquiry.is_some_and(|inquiry| inquiry.is_unsigned(verified));
    verified.origin() == Origin::Hint && (!provider.signs() || has_no_signature())
}

fn hint(verified: &Verified) -> Aim {
    Aim::Hint { account: verified.account().to_owned(), provider: verified.provider().to_owned() }
}
