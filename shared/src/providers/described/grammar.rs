//! The grammar of a description: what its TOML table may say.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::Rail;
use super::inquiry::InquiryRule;
use super::place::{Place, Template};

/// The whole table of one provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grammar {
    /// Its name for people.
    pub title: String,
    #[serde(default = "generic")]
    pub rail: Rail,
    /// The currency that its merchants charge in unless told otherwise.
    #[serde(default = "us_dollar")]
    pub home_currency: String,
    /// Addresses of the documents that the rules come from.
    #[serde(default)]
    pub documents: Vec<String>,
    /// When it repeats a callback that was not acknowledged, in words.
    pub retry_schedule: String,
    pub covers: CoversRule,
    #[serde(default)]
    pub answers: AnswersRule,
    pub credentials: Vec<CredentialRule>,
    /// The signature checks; the first one whose key field is in the key set applies, whatever the request says.
    /// None where `inquiry.unsigned` takes callbacks as hints.
    #[serde(default)]
    pub checks: Vec<Check>,
    #[serde(default)]
    pub timestamp: Option<TimestampRule>,
    /// Places that must be there and not be empty.
    #[serde(default)]
    pub required: Vec<Place>,
    #[serde(default)]
    pub identity: Vec<IdentityRule>,
    /// Checks of texts that are not callbacks, such as a browser redirect.
    #[serde(default)]
    pub parts: Vec<PartRule>,
    #[serde(default)]
    pub events: Option<EventsRule>,
    /// How the provider is asked about callbacks that do not prove the money.
    #[serde(default)]
    pub inquiry: Option<InquiryRule>,
    /// Templates of the simulator's payloads by scenario; built-in providers keep theirs as fixtures.
    #[serde(default)]
    pub payloads: BTreeMap<String, String>,
}

fn us_dollar() -> String {
    "USD".to_owned()
}

fn generic() -> Rail {
    Rail::Generic
}

/// What the signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CoversRule {
    Body,
    Fields,
    Nothing,
}

/// How the provider wants to be answered; by default a bare status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AnswersRule {
    pub success_status: Option<u16>,
    pub success_content_type: String,
    pub success_body: String,
    pub failure_content_type: String,
    pub failure_body: String,
}

/// A field of the account's key set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialRule {
    pub name: String,
    #[serde(default)]
    pub required: bool,
    /// What it is and where the provider shows it.
    pub about: String,
}

/// One way in which the provider may sign.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    pub algorithm: Algorithm,
    pub key: KeyRule,
    pub signature: SignatureRule,
    /// What is signed; empty for `token`, where the secret itself is sent.
    #[serde(default)]
    pub signed: Option<Template>,
}

/// A signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Algorithm {
    #[serde(rename = "hmac-sha1")]
    HmacSha1,
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
    #[serde(rename = "rsa-pkcs1v15-sha1")]
    RsaSha1,
    #[serde(rename = "rsa-pkcs1v15-sha256")]
    RsaSha256,
    #[serde(rename = "ecdsa-p256-sha256-der")]
    EcdsaP256Der,
    #[serde(rename = "ecdsa-p256-sha256-raw")]
    EcdsaP256Raw,
    #[serde(rename = "ed25519")]
    Ed25519,
    /// The secret itself is sent: it proves the sender, and covers nothing.
    #[serde(rename = "token")]
    Token,
}

/// Which key checks the signature.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRule {
    /// The key set's field: a text, a list of texts, or with `id_at` a table of texts by key id.
    pub field: String,
    pub encoding: KeyEncoding,
    /// Prefixes that a key may carry, such as `whsec_`; the first that fits is removed.
    #[serde(default)]
    pub strip_prefixes: Vec<String>,
    /// Where the request names the key's id.
    #[serde(default)]
    pub id_at: Option<Place>,
}

/// How a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyEncoding {
    Utf8,
    Hex,
    Base64,
    /// A public key as PEM, or the bare base64 of its SubjectPublicKeyInfo.
    Pem,
}

/// Where the signature is and how it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignatureRule {
    pub at: Place,
    pub encoding: SignatureEncoding,
    /// What separates several entries.
    #[serde(default)]
    pub separator: Option<String>,
    /// What separates an entry's name from its value.
    #[serde(default)]
    pub assign: Option<String>,
    /// The name of the entries that hold a signature; all others are ignored.
    #[serde(default)]
    pub take: Option<String>,
    /// What every signature starts with, such as `sha256=`.
    #[serde(default)]
    pub prefix: String,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SignatureEncoding {
    /// Lower case.
    Hex,
    /// Sent in upper case, accepted in either.
    HexAnyCase,
    /// With padding.
    Base64,
    /// Without padding.
    Base64url,
    Text,
}

/// The signed time and how far it may be from ours.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimestampRule {
    pub at: Place,
    pub unit: TimeUnit,
    /// Into the past and into the future; a key set's `tolerance_seconds` overrides it.
    pub tolerance_seconds: i64,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TimeUnit {
    Seconds,
    Milliseconds,
    Rfc3339,
}

/// A non-secret id inside the message that must be the account's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentityRule {
    pub at: Place,
    /// The key set's field with the expected value; without it nothing is compared.
    pub expected: String,
}

/// A check of a text that is not a callback, given as the options `message` and `signature`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartRule {
    pub kind: String,
    /// What it checks, for people.
    pub about: String,
    pub check: PartCheck,
}

/// How a part is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum PartCheck {
    /// HMAC-SHA-256 of the message in lower-case hex, keyed by the UTF-8 credential `secret`.
    #[serde(rename = "hmac-sha256-hex")]
    HmacSha256Hex,
}

/// How the events are read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsRule {
    /// Pointer to an array with one event each; then places are usually `item:`.
    #[serde(default)]
    pub items: Option<String>,
    /// The provider's event id, the first that is there; without one the identifying facts are digested.
    #[serde(default)]
    pub id: Vec<Template>,
    /// The provider's name of what happened.
    #[serde(rename = "type")]
    pub kind_name: Template,
    #[serde(default)]
    pub occurred_at: Option<OccurredAtRule>,
    /// Decimals of minor units where the provider's table differs from ISO 4217.
    #[serde(default)]
    pub exponents: BTreeMap<String, u8>,
    /// What each type means; a type that is not listed is ignored.
    pub types: BTreeMap<String, TypeRule>,
    /// Where the facts are, by name.
    pub facts: BTreeMap<String, FactsRule>,
}

/// When it happened.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OccurredAtRule {
    pub at: Vec<Place>,
    pub unit: TimeUnit,
}

/// What one type means: a `kind` of our vocabulary (or `ignored`, or `ask` where the provider must be asked), or one
/// chosen by the value at a place.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TypeRule {
    #[serde(default)]
    pub kind: Option<String>,
    /// The place whose value chooses the kind; a value that is not listed is ignored.
    #[serde(default)]
    pub kind_at: Option<Place>,
    #[serde(default)]
    pub kinds: BTreeMap<String, String>,
    /// The name of the facts; nothing to read when ignored.
    #[serde(default)]
    pub facts: Option<String>,
}

/// Where an event's facts are; of several places the first that is there counts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FactsRule {
    /// The order number, or the mandate's, transfer's, sub-merchant's, token's id.
    pub subject_id: Vec<Place>,
    pub transaction_id: Vec<Place>,
    pub refund_id: Vec<Place>,
    pub dispute_id: Vec<Place>,
    pub amount: Option<AmountRule>,
    /// Every one that is there becomes a reference.
    pub references: Vec<Place>,
    /// The provider's own word for the state.
    pub status: Vec<Place>,
}

/// An amount of money.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AmountRule {
    pub at: Vec<Place>,
    pub unit: AmountUnit,
    /// Where the currency's code is.
    #[serde(default)]
    pub currency: Vec<Place>,
    /// The currency's code, where the provider knows only one.
    #[serde(default)]
    pub fixed_currency: Option<String>,
}

/// The unit of an amount on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AmountUnit {
    Minor,
    Major,
}
