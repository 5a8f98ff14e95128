//! Who has to wait before anything is looked at: a source that was refused too often.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use paybell_shared::callback::UnixSeconds;
use paybell_shared::providers::Provider;
use paybell_shared::refusals::{Admission, Aim, Refusals, Source};

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

    /// Whether it is looked at. Who guesses at accounts is stopped where a guess would cost a read.
    pub fn admission(&self) -> Admission {
        let Some(source) = self.source else { return Admission::Admitted };
        let guess = (!self.is_remembered).then_some(Aim::Guess);
        let aims: Vec<Aim> = self.callback.iter().cloned().chain(guess).collect();
        self.refusals.admit(source, &aims, self.now_ms)
    }

    /// Counts its refusal with this status; what is our own fault is nobody's.
    pub fn refused(&self, status: u16) {
        let Some(source) = self.source.filter(|_| status < 500) else { return };
        // Only a callback whose account was found has come to 401.
        let aim = self.callback.clone().filter(|_| self.is_remembered || status == 401);
        self.refusals.count(source, aim.unwrap_or(Aim::Guess), self.now_ms);
    }
}
