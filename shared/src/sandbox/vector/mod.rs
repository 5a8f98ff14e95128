//! Test vectors: one captured or made request each, with the keys to check it and the verdict that must come out.

mod fields;
mod weigh;

use crate::callback::{Credentials, KeySet, RawCallback, Rejection, UnixSeconds};
use crate::domain::PaymentEvent;
use crate::providers::{MappingError, Part, Provider, Registry, Verify};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

pub use weigh::{Outcome, check_vector, read_vectors, weigh};

/// The account in whose name vectors are checked.
const ACCOUNT: &str = "vectors";

/// The option with the width of the time window, in seconds.
const TOLERANCE: &str = "tolerance_seconds";

/// One vector.
#[derive(Clone, Deserialize)]
pub struct Vector {
    /// Unique in its file.
    #[serde(default)]
    pub name: String,
    /// The provider's name.
    pub provider: String,
    /// Which of the provider's variants; the name of a [`Part`] selects that part.
    #[serde(default)]
    pub scheme: Option<String>,
    /// HTTP method.
    #[serde(default = "post")]
    pub method: String,
    /// Path with the query.
    #[serde(default = "root")]
    pub path: String,
    /// A text or a list of texts by header name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub headers: Map<String, Value>,
    /// The body.
    #[serde(deserialize_with = "null_as_default")]
    pub raw_body_base64: String,
    /// What an account's key set would hold.
    #[serde(default, deserialize_with = "null_as_default")]
    pub key_material: Map<String, Value>,
    /// `now`, and further settings of the key set.
    #[serde(default, deserialize_with = "null_as_default")]
    pub options: Map<String, Value>,
    /// What must come out.
    pub expect: Expect,
}

/// What must come out.
#[derive(Clone, Debug, Deserialize)]
pub struct Expect {
    /// The verdict.
    pub valid: bool,
    /// Whether the other verdict is safe too.
    #[serde(default, deserialize_with = "null_as_default")]
    pub lenient_ok: bool,
    /// What a genuine one says.
    #[serde(default, deserialize_with = "null_as_default")]
    pub fields: Map<String, Value>,
    /// Whatever else the vector knows, such as a reason or a signing string.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

impl Expect {
    /// Why it must be rejected; advisory.
    pub fn reason(&self) -> Option<&str> {
        ["reason", "error"].into_iter().find_map(|name| self.others.get(name)?.as_str())
    }
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Genuine, with its events.
    Genuine(Vec<PaymentEvent>),
    /// A part of a callback, which is right; it means no events.
    GenuinePart,
    /// Genuine, but its events cannot be read.
    Unreadable(MappingError),
    /// Not genuine.
    Rejected(Rejection),
    /// There is no such provider.
    UnknownProvider,
    /// The vector itself cannot be used.
    Unusable(&'static str),
}

impl Verdict {
    /// Whether it is genuine; `None` when nothing could be checked.
    pub fn is_genuine(&self) -> Option<bool> {
        match self {
            Self::Genuine(_) | Self::GenuinePart | Self::Unreadable(_) => Some(true),
            Self::Rejected(_) => Some(false),
            Self::UnknownProvider | Self::Unusable(_) => None,
        }
    }

    /// A stable machine-readable reason; `None` when it is genuine.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Genuine(_) | Self::GenuinePart | Self::Unreadable(_) => None,
            Self::Rejected(rejection) => Some(rejection.reason()),
            Self::UnknownProvider => Some("unknown_provider"),
            Self::Unusable(_) => Some("malformed_vector"),
        }
    }

    /// The events that it means.
    pub fn events(&self) -> &[PaymentEvent] {
        match self {
            Self::Genuine(events) => events,
            _ => &[],
        }
    }

    /// Whether it is what the vector expects.
    pub fn agrees_with(&self, expect: &Expect) -> bool {
        self.is_genuine().is_some_and(|genuine| genuine == expect.valid || expect.lenient_ok)
    }
}

impl Vector {
    /// Checks the vector; `real_now` serves those that name no time.
    pub fn check(&self, registry: &Registry, real_now: UnixSeconds) -> Verdict {
        let Some(provider) = registry.find(&self.provider) else { return Verdict::UnknownProvider };
        let Ok(body) = STANDARD.decode(&self.raw_body_base64) else {
            return Verdict::Unusable("raw_body_base64 is not base64");
        };
        let Some(headers) = self.header_list() else {
            return Verdict::Unusable("a header is neither a text nor a list of texts");
        };
        let raw =
            RawCallback::new(ACCOUNT, provider.name, self.method.clone(), self.path.clone(), headers, body);
        let now = self.now(real_now);
        match self.part_of(provider) {
            Some(part) => match (part.check)(&raw, &self.key_set(), now, &self.known()) {
                Ok(()) => Verdict::GenuinePart,
                Err(rejection) => Verdict::Rejected(rejection),
            },
            None => judge(provider, &raw, &Credentials { key_sets: vec![self.key_set_for(provider)] }, now),
        }
    }

    fn part_of(&self, provider: &Provider) -> Option<&'static Part> {
        let kind = self.options.get("kind").and_then(Value::as_str);
        let named = |scheme: &str| self.scheme.as_deref() == Some(scheme) || kind == Some(scheme);
        provider.parts.iter().find(|part| named(part.scheme))
    }

    /// The time of receipt: `options.now` in seconds, else `options.now_ms`, else the real one.
    fn now(&self, real_now: UnixSeconds) -> UnixSeconds {
        let option = |name: &str| self.options.get(name).and_then(Value::as_i64);
        option("now").or_else(|| option("now_ms").map(|ms| ms.div_euclid(1000))).map_or(real_now, UnixSeconds)
    }

    fn key_set(&self) -> KeySet {
        let mut fields = self.key_material.clone();
        let settings = self.options.iter().filter(|(name, _)| !matches!(name.as_str(), "now" | "now_ms"));
        fields.extend(settings.map(|(name, value)| (name.clone(), value.clone())));
        KeySet::new("vector", fields)
    }

    /// A described provider's own window holds unless a key set has another one; a vector that says `null` wants none.
    fn key_set_for(&self, provider: &Provider) -> KeySet {
        let no_window = self.options.get(TOLERANCE) == Some(&Value::Null);
        if !(no_window && matches!(provider.verify, Verify::Described(_))) {
            return self.key_set();
        }
        let mut without_window = self.clone();
        without_window.options.insert(TOLERANCE.to_owned(), Value::from(i64::MAX));
        without_window.key_set()
    }

    /// What a part's check may know beside the keys.
    fn known(&self) -> Map<String, Value> {
        let known = self.options.iter().chain(&self.expect.others).chain(&self.expect.fields);
        known.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn header_list(&self) -> Option<Vec<(String, String)>> {
        let mut list = Vec::new();
        for (name, value) in &self.headers {
            match value {
                Value::String(text) => list.push((name.clone(), text.clone())),
                Value::Array(texts) => {
                    for text in texts {
                        list.push((name.clone(), text.as_str()?.to_owned()));
                    }
                }
                _ => return None,
            }
        }
        Some(list)
    }
}

/// Proves a callback and reads its events.
pub fn judge(provider: &Provider, raw: &RawCallback, credentials: &Credentials, now: UnixSeconds) -> Verdict {
    match provider.verify(raw, credentials, now) {
        Err(rejection) => Verdict::Rejected(rejection),
        Ok(verified) => match provider.normalise(&verified) {
            Ok(events) => Verdict::Genuine(events),
            Err(error) => Verdict::Unreadable(error),
        },
    }
}

fn post() -> String {
    "POST".to_owned()
}

fn root() -> String {
    "/".to_owned()
}

fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::signature::{HmacHash, hmac_tag};
    use serde_json::json;

    #[test]
    fn a_tolerance_of_null_means_no_window() {
        const SIGNED_AT: i64 = 12_345;
        let tag = hex::encode(hmac_tag(HmacHash::Sha256, b"whsec_key", &[b"12345.", b"{}"]));
        let reason_with = |options: Value, tag: &str| {
            let vector = json!({
                "provider": "stripe",
                "headers": {"Stripe-Signature": format!("t={SIGNED_AT},v1={tag}")},
                "raw_body_base64": STANDARD.encode("{}"),
                "key_material": {"secret": "whsec_key"},
                "options": options,
                "expect": {"valid": true},
            });
            let vector: Vector = serde_json::from_value(vector).unwrap();
            vector.check(&Registry::default(), UnixSeconds(0)).reason()
        };
        let late = SIGNED_AT + 301;
        assert_eq!(reason_with(json!({"now": late, "tolerance_seconds": null}), &tag), None);
        assert_eq!(reason_with(json!({"now": late}), &tag), Some("stale"));
        assert_eq!(reason_with(json!({"now": late, "tolerance_seconds": 301}), &tag), None);
        let forged = "00".repeat(32);
        let got = reason_with(json!({"now": late, "tolerance_seconds": null}), &forged);
        assert_eq!(got, Some("signature_mismatch"));
    }
}
