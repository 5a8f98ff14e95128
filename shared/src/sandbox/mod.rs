//! Keys and signing for the simulator and the tests: what a provider would hold and do.

pub mod ecdsa_keys;
pub mod form_body;
pub mod google_envelope;
pub mod payload;
pub mod provider_api;
pub mod request;
pub mod rsa_body;
pub mod rsa_keys;
pub mod vector;

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};
use jiff::{Timestamp, fmt::strtime, tz};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::callback::UnixSeconds;
use crate::callback::signature::sha256;
use crate::domain::{Money, SubjectKind};
use crate::providers::Provider;
use crate::providers::described::Description;

pub use provider_api::{Exchange, ProviderApi};

static FIXTURES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/fixtures");

/// How the sandbox makes keys and signs for a provider.
pub enum Sandbox {
    /// Code of its own.
    Coded {
        /// Makes fresh keys.
        generate: fn() -> SandboxKeys,
        /// Signs a rendered payload as the provider would.
        sign: fn(&SandboxKeys, &Payload) -> SignedRequest,
    },
    /// The inverse of the declarative scheme.
    Described(&'static Description),
}

impl Sandbox {
    /// The sandbox of no provider: it has no keys and signs nothing.
    pub const NONE: Self = Self::Coded {
        generate: || SandboxKeys { key_set: Map::new(), private: Map::new() },
        sign: |_, payload| SignedRequest {
            method: "POST",
            query: String::new(),
            headers: Vec::new(),
            body: payload.content.clone().into_bytes(),
        },
    };

    /// Makes fresh keys.
    pub fn generate(&self) -> SandboxKeys {
        match self {
            Self::Coded { generate, .. } => generate(),
            Self::Described(description) => description.generate_keys(),
        }
    }

    /// Signs a rendered payload as the provider would.
    ///
    /// # Errors
    /// [`PayloadError::NotSignable`] when a description signs something that the sandbox cannot make up.
    pub fn sign(&self, keys: &SandboxKeys, payload: &Payload) -> Result<SignedRequest, PayloadError> {
        match self {
            Self::Coded { sign, .. } => Ok(sign(keys, payload)),
            Self::Described(description) => description.sign(keys, payload),
        }
    }
}

/// Both sides of a provider's keys.
#[derive(Clone, Serialize, Deserialize)]
pub struct SandboxKeys {
    /// What the account's key set holds.
    pub key_set: Map<String, Value>,
    /// What only the provider holds.
    pub private: Map<String, Value>,
}

/// What the provider is about to tell.
pub struct Payload {
    /// The rendered template of the scenario.
    pub content: String,
    /// The provider's event id.
    pub event_id: String,
    /// The time that is signed.
    pub sent_at: UnixSeconds,
    /// The path of the address that is called, without a query.
    pub path: String,
}

/// The name under which [`SignedRequest::headers`] holds what the provider appends to the callback's path, as HTTP/2 sends
/// a path among the headers.
pub const FURTHER_PATH: &str = ":path";

/// A request as the provider would send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    /// HTTP method.
    pub method: &'static str,
    /// Query to append to the address, without `?`; usually empty.
    pub query: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl SignedRequest {
    /// What is appended to the callback's path; usually nothing.
    pub fn further_path(&self) -> &str {
        let own = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(FURTHER_PATH));
        own.map_or("", |(_, path)| path)
    }

    /// The headers that go over the wire as headers.
    pub fn sent_headers(&self) -> impl Iterator<Item = &(String, String)> {
        self.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(FURTHER_PATH))
    }
}

/// What a simulated callback is about.
#[derive(Clone, Debug)]
pub struct SimulatedFacts {
    /// The provider's event id.
    pub event_id: String,
    /// The merchant's order number.
    pub order_id: String,
    /// The provider's id of the payment.
    pub transaction_id: String,
    /// The refund's id.
    pub refund_id: String,
    /// The amount paid.
    pub amount: Money,
    /// The amount refunded.
    pub refund: Money,
    /// The time of the event.
    pub now: UnixSeconds,
    /// The path of the address that is called, without a query.
    pub path: String,
}

/// Why a payload cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// The provider has no template for the scenario.
    #[error(
        "`{provider}` has no payload for `{scenario}`: add shared/fixtures/{provider}/payloads/{scenario}.json"
    )]
    NoTemplate {
        /// The provider.
        provider: String,
        /// The scenario.
        scenario: String,
    },
    /// The provider signs something that the sandbox cannot make up.
    #[error("the sandbox cannot sign {0}")]
    NotSignable(String),
    /// What a provider's API answers is not written down as it should be.
    #[error("shared/fixtures/{provider}/payloads/{scenario}.answer.json: {problem}")]
    Exchange {
        /// The provider.
        provider: String,
        /// The scenario.
        scenario: String,
        /// What is wrong.
        problem: String,
    },
    /// A template names a fact that does not exist.
    #[error("the payload names `{{{{{0}}}}}`, which is not a fact")]
    UnknownFact(String),
}

/// What a provider may tell first, best known first, and what it is about.
const MAIN_PAYLOADS: &[(&str, SubjectKind)] = &[
    ("paid", SubjectKind::Order),
    ("transferred", SubjectKind::Transfer),
    ("signed", SubjectKind::Mandate),
    ("approved", SubjectKind::Merchant),
    ("token-updated", SubjectKind::Token),
    ("hint", SubjectKind::Order),
];

/// What it may tell after that.
const LATER_PAYLOADS: &[&str] = &["refunded", "partial-refund", "failed", "token-revoked"];

impl Provider {
    /// The payload with which it tells the merchant what it is there for, and what that is about: `paid` of an order,
    /// `transferred`, `signed`, `approved`, `token-updated`, or a `hint` that nothing comes of.
    pub fn main_payload(&self) -> Option<(&'static str, SubjectKind)> {
        MAIN_PAYLOADS.iter().copied().find(|(name, _)| self.payload_template(name).is_some())
    }

    /// All payloads that it has, the main one first.
    pub fn payloads(&self) -> Vec<&'static str> {
        let names = MAIN_PAYLOADS.iter().map(|(name, _)| *name).chain(LATER_PAYLOADS.iter().copied());
        names.filter(|name| self.payload_template(name).is_some()).collect()
    }

    /// The payload of a scenario: its description's own template, else the one in its fixture folder.
    pub fn payload_template(&self, scenario: &str) -> Option<&str> {
        let own = match &self.sandbox {
            Sandbox::Coded { .. } => None,
            Sandbox::Described(description) => description.payload_template(scenario),
        };
        own.or_else(|| payload_template(self.name, scenario))
    }

    /// What the provider tells in a scenario: its template with the facts in it.
    ///
    /// # Errors
    /// [`PayloadError::NoTemplate`] and [`PayloadError::UnknownFact`].
    pub fn payload(
        &self,
        scenario: &str,
        facts: &SimulatedFacts,
        keys: &SandboxKeys,
    ) -> Result<Payload, PayloadError> {
        let no_template =
            || PayloadError::NoTemplate { provider: self.name.to_owned(), scenario: scenario.to_owned() };
        let template = self.payload_template(scenario).ok_or_else(no_template)?;
        let content = render(template, facts, keys)?;
        Ok(Payload {
            content,
            event_id: facts.event_id.clone(),
            sent_at: facts.now,
            path: facts.path.clone(),
        })
    }
}

/// The text of `payloads/{scenario}.json` in a provider's fixture folder.
pub fn payload_template(provider: &str, scenario: &str) -> Option<&'static str> {
    FIXTURES.get_file(format!("{provider}/payloads/{scenario}.json"))?.contents_utf8()
}

/// Puts the facts into a template: `{{order_id}}`, `{{amount_minor}}`, `{{key.NAME}}` (a text of the key set) and the like.
///
/// # Errors
/// [`PayloadError::UnknownFact`].
pub fn render(template: &str, facts: &SimulatedFacts, keys: &SandboxKeys) -> Result<String, PayloadError> {
    let named = named_facts(facts);
    let mut rendered = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) =
            after.split_once("}}").ok_or_else(|| PayloadError::UnknownFact(after.to_owned()))?;
        let value = match name.strip_prefix("key.") {
            Some(key) => keys.key_set.get(key).and_then(Value::as_str).map(str::to_owned),
            None => named.get(name).cloned(),
        };
        rendered.push_str(before);
        rendered.push_str(&value.ok_or_else(|| PayloadError::UnknownFact(name.to_owned()))?);
        rest = after;
    }
    rendered.push_str(rest);
    Ok(rendered)
}

/// The 20 bytes of the address on public chains at which an order waits for its money.
fn order_address(order_id: &str) -> [u8; 20] {
    let mut address = [0; 20];
    address.copy_from_slice(&sha256(order_id.as_bytes())[..20]);
    address
}

fn named_facts(facts: &SimulatedFacts) -> BTreeMap<&'static str, String> {
    let at = Timestamp::from_second(facts.now.0).unwrap_or(Timestamp::UNIX_EPOCH);
    let local_time = |offset_minutes: i32, format: &str| {
        let offset = tz::Offset::from_seconds(offset_minutes * 60).unwrap_or(tz::Offset::UTC);
        strtime::format(format, &at.to_zoned(tz::TimeZone::fixed(offset))).unwrap_or_default()
    };
    BTreeMap::from([
        ("event_id", facts.event_id.clone()),
        ("order_id", facts.order_id.clone()),
        ("transaction_id", facts.transaction_id.clone()),
        ("refund_id", facts.refund_id.clone()),
        ("amount_minor", facts.amount.amount_minor().to_string()),
        ("amount_major", facts.amount.to_major_text()),
        ("amount_milliunits", milliunits(&facts.amount)),
        ("refund_minor", facts.refund.amount_minor().to_string()),
        ("refund_major", facts.refund.to_major_text()),
        ("rest_minor", (facts.amount.amount_minor() - facts.refund.amount_minor()).max(0).to_string()),
        ("currency", facts.amount.currency().code().to_owned()),
        ("currency_lower", facts.amount.currency().code().to_ascii_lowercase()),
        ("order_address_hex", hex::encode(order_address(&facts.order_id))),
        (
            "order_tron_address",
            bs58::encode(order_address(&facts.order_id)).with_check_version(0x41).into_string(),
        ),
        ("transaction_hash", hex::encode(sha256(facts.transaction_id.as_bytes()))),
        ("amount_units_hex", format!("{:064x}", facts.amount.amount_minor())),
        ("now_seconds", facts.now.0.to_string()),
        ("now_rfc3339", at.to_string()),
        ("now_china", local_time(8 * 60, "%Y-%m-%d %H:%M:%S")),
        ("now_china_compact", local_time(8 * 60, "%Y%m%d%H%M%S")),
        ("now_india", local_time(5 * 60 + 30, "%Y-%m-%d %H:%M:%S")),
        ("now_utc", local_time(0, "%Y-%m-%d %H:%M:%S")),
    ])
}

/// The amount in thousandths of the currency's unit.
fn milliunits(amount: &Money) -> String {
    let thousandths = amount.amount_minor() * 1000;
    (thousandths / 10_i128.pow(u32::from(amount.currency().exponent()))).to_string()
}
