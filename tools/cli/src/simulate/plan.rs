//! What a scenario does, step by step: pure, so that tests and the bench run the same steps their own way.

use std::fmt;

use clap::ValueEnum;
use paybell_shared::callback::{Credentials, KeySet, Rejection, UnixSeconds, Verified};
use paybell_shared::domain::{EventKind, Money, MoneyError, PaymentEvent, Reference, SubjectKind};
use paybell_shared::providers::{MappingError, Provider, Reply};
use paybell_shared::sandbox::payload::{exchanges, sign_payload, simulated_facts};
use paybell_shared::sandbox::request::{forge, raw_callback};
use paybell_shared::sandbox::{Exchange, PayloadError, ProviderApi, SandboxKeys, SignedRequest};
use thiserror::Error;

/// How old the message of [`Scenario::Stale`] is; every protocol that signs a time refuses it.
pub const STALE_AGE_SECONDS: i64 = 86_400;

/// How many copies [`Scenario::Duplicate`] sends at the same time.
pub const DUPLICATES_AT_ONCE: usize = 8;

/// What happens to the order, or goes wrong on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// The order is paid (or what else the provider is there for: a transfer done, a mandate signed)
    Paid,
    /// It is paid, then refunded
    Refunded,
    /// It is paid, then half of it is refunded
    PartialRefund,
    /// The payment fails
    Failed,
    /// The same callback arrives many times, at once too
    Duplicate,
    /// The refund arrives before the payment
    Reordered,
    /// The signature has one wrong byte
    Forged,
    /// A genuine message of yesterday arrives again
    Stale,
    /// Another amount is paid than the order asks for
    WrongAmount,
    /// The callback arrives before the order is registered
    BeforeOrder,
}

impl Scenario {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Refunded => "refunded",
            Self::PartialRefund => "partial-refund",
            Self::Failed => "failed",
            Self::Duplicate => "duplicate",
            Self::Reordered => "reordered",
            Self::Forged => "forged",
            Self::Stale => "stale",
            Self::WrongAmount => "wrong-amount",
            Self::BeforeOrder => "before-order",
        }
    }
}

impl Scenario {
    /// Whether the provider tells what the scenario needs.
    pub fn fits(self, provider: &Provider) -> bool {
        let has = |payload: &str| provider.payload_template(payload).is_some();
        let says = |payload: &str, facts: &[&str]| {
            let mut templates = [payload.to_owned(), format!("{payload}.answer")]
                .into_iter()
                .filter_map(|name| provider.payload_template(&name));
            templates.any(|template| facts.iter().any(|fact| template.contains(fact)))
        };
        let told = provider.main_payload();
        let (is_payment, is_hint) =
            (told.is_some_and(|(name, _)| name == "paid"), told.is_some_and(|(name, _)| name == "hint"));
        match self {
            Self::Paid | Self::Duplicate | Self::Stale => told.is_some(),
            Self::BeforeOrder => told.is_some() && !is_hint,
            Self::Forged => told.is_some() && provider.signs(),
            Self::WrongAmount => is_payment && says("paid", &["{{amount_m"]),
            Self::Failed => has("failed"),
            Self::Refunded | Self::Reordered => is_payment && has("refunded"),
            Self::PartialRefund => is_payment && (has("partial-refund") || says("refunded", &["{{refund_m"])),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The order that a scenario is about, or the transfer, mandate, sub-merchant or token.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What kind of thing it is.
    pub kind: SubjectKind,
    /// The account in the callback's address.
    pub account: String,
    /// The merchant's order number; the provider's ids are derived from it, so that the same order
    /// always meets the same transaction.
    pub order_id: String,
    /// What the order asks for.
    pub amount: Money,
    /// The time at which the provider sends.
    pub now: UnixSeconds,
    /// What the order is registered with where the provider's callbacks do not name it; see [`super::order_references`].
    pub references: Vec<Reference>,
}

/// One step of a scenario.
#[derive(Clone, Debug)]
pub enum Step {
    /// Register the order with the merchant API.
    Register,
    /// Send callbacks.
    Send(Delivery),
    /// Something that the reader should know.
    Note(String),
    /// Wait until the order is like this; it must stay so.
    Await(Outcome),
}

/// One callback, sent once or several times at the same time.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What it is, for people.
    pub about: &'static str,
    /// The request.
    pub request: SignedRequest,
    /// How many copies are sent at the same time, at least 1.
    pub copies: usize,
    /// How it must be answered.
    pub answer: Reply,
    /// What the provider's API must know before, because it will be asked.
    pub exchanges: Vec<Exchange>,
}

/// What the provider tells at one moment: a callback, and what its API answers about it.
#[derive(Clone)]
struct Told {
    request: SignedRequest,
    exchanges: Vec<Exchange>,
}

/// How the order must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it was before the first step.
    Unchanged,
    /// With this status and these amounts.
    Is {
        /// Its status as the API names it.
        status: &'static str,
        /// What was taken, in minor units.
        captured_minor: i128,
        /// What was given back, in minor units.
        refunded_minor: i128,
    },
}

/// Why a scenario cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The provider tells nothing of the kind.
    #[error("`{provider}` has no scenario `{scenario}`: it tells nothing of the kind")]
    Unknown {
        /// The provider.
        provider: String,
        /// The scenario.
        scenario: Scenario,
    },
    /// The sandbox signs a callback that the provider's own check refuses.
    #[error("`{provider}` does not accept its own sandbox: {rejection}")]
    Refused {
        /// The provider.
        provider: String,
        /// Why.
        rejection: Rejection,
    },
    /// The payload cannot be made.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The amount cannot be split or changed.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// No byte was found whose change makes the signature not match.
    #[error("no signature was found in the request of `{0}`, so it cannot be forged")]
    NoSignature(String),
}

/// The steps of a scenario for one provider, with the callbacks signed by the sandbox `keys`.
///
/// # Errors
/// [`PlanError`] when the provider has no payload for the scenario.
pub fn plan(
    provider: &Provider,
    keys: &SandboxKeys,
    scenario: Scenario,
    facts: &Facts,
) -> Result<Vec<Step>, PlanError> {
    let unknown = || PlanError::Unknown { provider: provider.name.to_owned(), scenario };
    let (main, kind) = provider.main_payload().filter(|_| scenario.fits(provider)).ok_or_else(unknown)?;
    Planner { provider, keys, facts, main, kind }.plan(scenario)
}

struct Planner<'a> {
    provider: &'a Provider,
    keys: &'a SandboxKeys,
    facts: &'a Facts,
    main: &'static str,
    kind: SubjectKind,
}

impl Planner<'_> {
    fn plan(&self, scenario: Scenario) -> Result<Vec<Step>, PlanError> {
        let amount = self.facts.amount.clone();
        let amount_minor = amount.amount_minor();
        let paid = match (self.main, self.kind) {
            ("hint", _) => Outcome::Unchanged,
            (_, SubjectKind::Order) => {
                Outcome::Is { status: "paid", captured_minor: amount_minor, refunded_minor: 0 }
            }
            _ => Outcome::Is { status: "active", captured_minor: 0, refunded_minor: 0 },
        };
        let refunded =
            Outcome::Is { status: "refunded", captured_minor: amount_minor, refunded_minor: amount_minor };
        let steps = match scenario {
            Scenario::Paid => vec![Step::Register, self.payment()?, Step::Await(paid)],
            Scenario::Refunded => vec![
                Step::Register,
                self.payment()?,
                Step::Await(paid),
                self.refund(&amount)?,
                Step::Await(refunded),
            ],
            Scenario::PartialRefund => {
                let half = Money::from_minor((amount_minor / 2).max(1), amount.currency().clone())?;
                let outcome = Outcome::Is {
                    status: if half == amount { "refunded" } else { "partially_refunded" },
                    captured_minor: amount_minor,
                    refunded_minor: half.amount_minor(),
                };
                vec![
                    Step::Register,
                    self.payment()?,
                    Step::Await(paid),
                    self.refund(&half)?,
                    Step::Await(outcome),
                ]
            }
            Scenario::Failed => {
                let told = self.tell("failed", &amount, &amount, self.facts.now)?;
                let status = self.status_after_failure(&told);
                let outcome = Outcome::Is { status, captured_minor: 0, refunded_minor: 0 };
                vec![Step::Register, self.accepted("the failure", told)?, Step::Await(outcome)]
            }
            Scenario::Duplicate => {
                let payment = self.tell(self.main, &amount, &amount, self.facts.now)?;
                let answer = self.success(&payment.request)?;
                vec![
                    Step::Register,
                    self.accepted("the callback", payment.clone())?,
                    self.accepted("the same again", payment.clone())?,
                    Step::Send(Delivery {
                        about: "the same, many at once",
                        request: payment.request,
                        copies: DUPLICATES_AT_ONCE,
                        answer,
                        exchanges: payment.exchanges,
                    }),
                    Step::Await(paid),
                ]
            }
            Scenario::Reordered => self.reordered(&amount, refunded)?,
            Scenario::Forged => self.forged()?,
            Scenario::Stale => self.stale(paid)?,
            Scenario::WrongAmount => {
                let other_minor = if amount_minor == 1 { 2 } else { 1 };
                let other = Money::from_minor(other_minor, amount.currency().clone())?;
                let told = self.tell(self.main, &other, &other, self.facts.now)?;
                let outcome = Outcome::Is { status: "held", captured_minor: other_minor, refunded_minor: 0 };
                vec![
                    Step::Register,
                    self.accepted("a payment of another amount", told)?,
                    Step::Await(outcome),
                ]
            }
            Scenario::BeforeOrder => vec![self.payment()?, Step::Register, Step::Await(paid)],
        };
        Ok(steps)
    }

    fn payment(&self) -> Result<Step, PlanError> {
        let amount = &self.facts.amount;
        self.accepted("the callback", self.tell(self.main, amount, amount, self.facts.now)?)
    }

    fn refund(&self, refund: &Money) -> Result<Step, PlanError> {
        let whole = *refund == self.facts.amount;
        self.accepted(if whole { "the refund" } else { "the partial refund" }, self.tell_refund(refund)?)
    }

    fn tell_refund(&self, refund: &Money) -> Result<Told, PlanError> {
        let template = if *refund == self.facts.amount { "refunded" } else { "partial-refund" };
        self.tell(template, &self.facts.amount, refund, self.facts.now)
    }

    fn reordered(&self, amount: &Money, refunded: Outcome) -> Result<Vec<Step>, PlanError> {
        let refund = self.tell_refund(amount)?;
        let mut payment = self.tell(self.main, amount, amount, self.facts.now)?;
        // Callbacks overtake each other; what the provider's API answers never goes back.
        payment.exchanges.retain(|earlier| refund.exchanges.iter().all(|later| later.url != earlier.url));
        Ok(vec![
            Step::Register,
            self.accepted("the refund", refund)?,
            self.accepted("the callback", payment)?,
            Step::Await(refunded),
        ])
    }

    fn forged(&self) -> Result<Vec<Step>, PlanError> {
        let amount = &self.facts.amount;
        let genuine = self.tell(self.main, amount, amount, self.facts.now)?.request;
        let forged =
            forge(&genuine, |request| matches!(self.verify(request), Err(Rejection::SignatureMismatch)))
                .ok_or_else(|| PlanError::NoSignature(self.provider.name.to_owned()))?;
        Ok(vec![
            Step::Register,
            self.rejected("the callback with one wrong byte in its signature", forged),
            Step::Await(Outcome::Unchanged),
        ])
    }

    fn stale(&self, paid: Outcome) -> Result<Vec<Step>, PlanError> {
        let amount = &self.facts.amount;
        let sent_at = UnixSeconds(self.facts.now.0 - STALE_AGE_SECONDS);
        let old = self.tell(self.main, amount, amount, sent_at)?;
        if self.verify(&old.request).is_err() {
            return Ok(vec![
                Step::Register,
                self.rejected("a callback that was signed yesterday", old.request),
                Step::Await(Outcome::Unchanged),
            ]);
        }
        Ok(vec![
            Step::Note(format!(
                "{} does not limit the age of a signature: yesterday's message is genuine, and replaying it changes nothing.",
                self.provider.title
            )),
            Step::Register,
            self.accepted("a callback that was signed yesterday", old.clone())?,
            Step::Await(paid),
            self.accepted("the same, replayed", old)?,
            Step::Await(paid),
        ])
    }

    /// Some providers tell no failure but that the payment was given up or has expired.
    fn status_after_failure(&self, told: &Told) -> &'static str {
        let verified = self.verified(&told.request).ok();
        let events = verified.and_then(|verified| self.events(&verified, &told.exchanges).ok());
        match events.as_deref() {
            Some([event]) if event.kind == EventKind::PaymentExpired => "expired",
            Some([event]) if event.kind == EventKind::PaymentCancelled => "cancelled",
            _ => "failed",
        }
    }

    fn events(&self, verified: &Verified, exchanges: &[Exchange]) -> Result<Vec<PaymentEvent>, MappingError> {
        if exchanges.is_empty() {
            return self.provider.normalise(verified);
        }
        let keys = KeySet::new("sandbox", self.keys.key_set.clone());
        ProviderApi::with(exchanges.iter().cloned()).events(self.provider, verified, &keys, self.facts.now)
    }

    fn accepted(&self, about: &'static str, told: Told) -> Result<Step, PlanError> {
        let Told { request, exchanges } = told;
        let answer = self.success(&request)?;
        Ok(Step::Send(Delivery { about, request, copies: 1, answer, exchanges }))
    }

    fn rejected(&self, about: &'static str, request: SignedRequest) -> Step {
        let answer = self.provider.answers.failure(401).into();
        Step::Send(Delivery { about, request, copies: 1, answer, exchanges: Vec::new() })
    }

    fn success(&self, request: &SignedRequest) -> Result<Reply, PlanError> {
        let refused = |rejection| PlanError::Refused { provider: self.provider.name.to_owned(), rejection };
        self.verified(request).map(|verified| self.provider.success(&verified)).map_err(refused)
    }

    fn verify(&self, request: &SignedRequest) -> Result<(), Rejection> {
        self.verified(request).map(|_| ())
    }

    fn verified(&self, request: &SignedRequest) -> Result<Verified, Rejection> {
        let raw = raw_callback(&self.facts.account, self.provider.name, request);
        let credentials = Credentials { key_sets: vec![KeySet::new("sandbox", self.keys.key_set.clone())] };
        self.provider.verify(&raw, &credentials, self.facts.now)
    }

    fn tell(
        &self,
        scenario: &str,
        amount: &Money,
        refund: &Money,
        sent_at: UnixSeconds,
    ) -> Result<Told, PlanError> {
        let simulated = simulated_facts(
            &self.facts.account,
            self.provider.name,
            &self.facts.order_id,
            scenario,
            amount,
            refund,
            sent_at,
        );
        Ok(Told {
            request: sign_payload(self.provider, self.keys, scenario, &simulated)?,
            exchanges: exchanges(self.provider, self.keys, scenario, &simulated)?,
        })
    }
}
