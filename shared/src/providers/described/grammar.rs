//! The grammar of a description: what its TOML table may say.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::super::Rail;
use super::event_rules::{EventsRule, one_or_many};
use super::inquiry::InquiryRule;
use super::place::Place;
use super::sorted::SortedRule;
use super::template::Template;
use crate::callback::signature::Hash;

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
    /// How the provider checks that the address is ours.
    #[serde(default)]
    pub handshake: Option<HandshakeRule>,
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
    /// How the events are read: one table, or several of which each says for which callbacks it is.
    #[serde(default, deserialize_with = "one_or_many")]
    pub events: Vec<EventsRule>,
    /// How the provider is asked about callbacks that do not prove the money.
    #[serde(default)]
    pub inquiry: Option<InquiryRule>,
    /// Templates of the simulator's payloads by scenario; built-in providers keep theirs as fixtures.
    #[serde(default)]
    pub payloads: BTreeMap<String, String>,
    /// The parameters that are read, once the description is known to be sound.
    #[serde(skip)]
    pub names_read: BTreeSet<String>,
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
    pub success_body: Template,
    pub failure_content_type: String,
    pub failure_body: String,
}

/// A check of the address, which is answered and not queued.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HandshakeRule {
    /// The method of such a request.
    #[serde(default = "get")]
    pub method: String,
    /// The request is one when this place is there.
    pub when: Place,
    #[serde(default = "plain_text")]
    pub content_type: String,
    pub body: Template,
}

fn get() -> String {
    "GET".to_owned()
}

fn plain_text() -> String {
    "text/plain".to_owned()
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
    /// What the sandbox holds for it, where any text that is made up would not do.
    #[serde(default)]
    #[cfg_attr(not(feature = "sandbox"), allow(dead_code, reason = "a description says it all the same"))]
    pub sandbox: Option<Value>,
}

/// One way in which the provider may sign.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    pub algorithm: Algorithm,
    /// The place that a request must have for this check. A request that has one is checked in no other way, and a
    /// request without any only by the checks that name none.
    #[serde(default)]
    pub when: Option<Place>,
    /// The name under which the events know that this check's key proved a callback: the place `variant`.
    #[serde(default)]
    pub variant: Option<String>,
    pub key: KeyRule,
    pub signature: SignatureRule,
    /// What is signed; empty for `token`, where the secret itself is sent.
    #[serde(default)]
    pub signed: Option<Template>,
    /// What `{sorted}` stands for.
    #[serde(default)]
    pub sorted: Option<SortedRule>,
    /// The one field of what is signed that may contain its separators.
    #[serde(default)]
    pub free_field: Option<Place>,
    /// Pointer to an array whose members are each signed for themselves, with `item:` places. Every one must be genuine.
    #[serde(default)]
    pub each_item: Option<String>,
    /// The signed time, where it is another than in the other checks.
    #[serde(default)]
    pub timestamp: Option<TimestampRule>,
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
    /// A hash of a text that contains the key.
    #[serde(rename = "md5")]
    Md5,
    /// A hash of a text that contains the key.
    #[serde(rename = "sha256")]
    Sha256,
    /// A hash of a text that contains the key.
    #[serde(rename = "sha512")]
    Sha512,
    /// A hash of a text that contains the key; Keccak as Ethereum has it, not SHA-3.
    #[serde(rename = "keccak256")]
    Keccak256,
    #[serde(rename = "rsa-pkcs1v15-md5")]
    RsaMd5,
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

impl Algorithm {
    /// The hash whose text contains the key.
    pub(super) fn hash(self) -> Option<Hash> {
        match self {
            Self::Md5 => Some(Hash::Md5),
            Self::Sha256 => Some(Hash::Sha256),
            Self::Sha512 => Some(Hash::Sha512),
            Self::Keccak256 => Some(Hash::Keccak256),
            _ => None,
        }
    }

    /// Whether it checks with a key that the provider may have given to others too.
    pub(super) fn has_public_key(self) -> bool {
        matches!(
            self,
            Self::RsaMd5
                | Self::RsaSha1
                | Self::RsaSha256
                | Self::EcdsaP256Der
                | Self::EcdsaP256Raw
                | Self::Ed25519
        )
    }
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
    /// Into the past and into the future; a key set's `tolerance_seconds` overrides it. Where the provider's documents
    /// name none, the time only has to be readable unless the key set has one.
    #[serde(default)]
    pub tolerance_seconds: Option<i64>,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TimeUnit {
    Seconds,
    Milliseconds,
    /// Seconds or milliseconds, told apart by their size.
    Auto,
    Rfc3339,
    /// `2024-05-20 10:00:12` or `20240520100012` at UTC+8.
    China,
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
