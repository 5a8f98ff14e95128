//! Coinbase Business checkouts and payment links, whose webhooks Hook0 sends.
//! Mapping: `fixtures/coinbase_cdp_hook0/MAPPING.md`.

mod events;
#[cfg(feature = "sandbox")]
mod sandbox;

use super::{Covers, CredentialField, Normalise, Provider, Rail, Verify};
use crate::callback::signature::{HmacHash, require_fresh, require_hmac};
use crate::callback::{KeySet, RawCallback, Rejection, UnixSeconds, Verified};

const NAME: &str = "coinbase_cdp_hook0";

/// Coinbase Business (CDP) by Hook0.
pub static PROVIDER: Provider = Provider {
    name: NAME,
    title: "Coinbase Business (CDP checkouts and payment links)",
    rail: Rail::Crypto,
    scheme: "HMAC-SHA256 over time, named headers and body (Hook0 v1; v0 without headers)",
    events: events::KINDS,
    documents: &[
        "https://docs.cdp.coinbase.com/coinbase-business/checkout-apis/webhooks",
        "https://docs.cdp.coinbase.com/coinbase-business/payment-link-apis/webhooks",
        "https://docs.cdp.coinbase.com/webhooks/verify-signatures",
        "https://github.com/hook0/hook0/blob/master/clients/conformance/signature.json",
    ],
    home_currency: "USDC",
    retry_schedule: "growing delays until a 2xx; Coinbase publishes no schedule",
    covers: Covers::Body,
    credential_fields: CREDENTIAL_FIELDS,
    verify: Verify::Coded(verify),
    readable: |keys| {
        keys.integer_if_any("tolerance_seconds")?;
        keys.texts("secret").map(drop)
    },
    normalise: Normalise::Coded(events::normalise),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: "secret",
        required: true,
        about: "the secret in the answer to creating the webhook subscription. A list while it is changed",
    },
    CredentialField {
        name: "tolerance_seconds",
        required: false,
        about: "how far the signed time may be from ours; 300 unless told",
    },
];

const SIGNATURE: &str = "x-hook0-signature";
const TOLERANCE_SECONDS: i64 = 300;
/// Limits of the official clients.
const PARTS_MAX: usize = 32;
const COVERED_HEADERS_MAX: usize = 64;

fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let signature = Signature::parse(raw.header(SIGNATURE)?)?;
    let tolerance_seconds = keys.integer_if_any("tolerance_seconds")?.unwrap_or(TOLERANCE_SECONDS);
    require_fresh(signature.sent_at()?, now, tolerance_seconds)?;
    let message = signature.message(raw)?;
    let code = hex::decode(signature.code()?).map_err(|_| Rejection::malformed("signature"))?;
    let codes = [code];
    let secrets = keys.texts("secret")?;
    let proof = secrets
        .iter()
        .find_map(|secret| require_hmac(HmacHash::Sha256, secret.as_bytes(), &[&message], &codes).ok());
    Ok(Verified::from_checked(raw, proof.ok_or(Rejection::SignatureMismatch)?, now))
}

/// `t=…,h=… …,v0=…,v1=…`
struct Signature<'a> {
    parts: Vec<(&'a str, &'a str)>,
}

impl<'a> Signature<'a> {
    fn parse(text: &'a str) -> Result<Self, Rejection> {
        let mut parts: Vec<(&str, &str)> = Vec::new();
        for (name, value) in text.split(',').filter_map(|part| part.split_once('=')) {
            let name = name.trim();
            if parts.iter().any(|(have, _)| *have == name) {
                return Err(Rejection::Duplicate { name: SIGNATURE.to_owned() });
            }
            parts.push((name, value.trim()));
        }
        if parts.len() > PARTS_MAX { Err(Rejection::malformed("signature")) } else { Ok(Self { parts }) }
    }

    fn part(&self, name: &str) -> Option<&'a str> {
        self.parts.iter().find(|(have, _)| *have == name).map(|(_, value)| *value)
    }

    fn time(&self) -> Result<&'a str, Rejection> {
        self.part("t").ok_or_else(|| Rejection::malformed("timestamp"))
    }

    fn sent_at(&self) -> Result<UnixSeconds, Rejection> {
        let text = self.time()?;
        let is_canonical = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = is_canonical.then(|| text.parse().ok()).flatten();
        seconds.map(UnixSeconds).ok_or_else(|| Rejection::malformed("timestamp"))
    }

    /// The stronger code wherever it is offered: a right weaker one never makes up for it.
    fn code(&self) -> Result<&'a str, Rejection> {
        let code = self.part("v1").or_else(|| self.part("v0"));
        code.filter(|code| !code.is_empty()).ok_or(Rejection::MissingSignature)
    }

    /// # Source
    /// Hook0's conformance suite: `t.body`, for `v1` `t.names.values.body`, the names in lower case and separated by
    /// spaces, the values by dots, in the order of `h`; a header that did not come is a refusal.
    fn message(&self, raw: &RawCallback) -> Result<Vec<u8>, Rejection> {
        let mut message = format!("{}.", self.time()?);
        if self.part("v1").is_some() {
            let names = self.covered_headers()?;
            let mut values = Vec::new();
            for name in &names {
                let missing = || Rejection::MissingHeader { name: name.clone() };
                values.push(raw.header_if_any(name)?.ok_or_else(missing)?);
            }
            message.push_str(&format!("{}.{}.", names.join(" "), values.join(".")));
        }
        Ok([message.as_bytes(), raw.body()].concat())
    }

    fn covered_headers(&self) -> Result<Vec<String>, Rejection> {
        let names: Vec<String> = match self.part("h").unwrap_or_default() {
            "" => Vec::new(),
            names => names.split(' ').map(str::to_ascii_lowercase).collect(),
        };
        let is_name = |name: &String| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        };
        if names.len() > COVERED_HEADERS_MAX || !names.iter().all(is_name) {
            return Err(Rejection::malformed("signature"));
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::signature::hmac_tag;
    use serde_json::{Map, json};

    const NOW: i64 = 1_800_000_000;

    fn judge(signature: &str, body: &[u8]) -> Result<(), Rejection> {
        let headers = [("X-Hook0-Signature", signature), ("x-a", "1"), ("x-b", "2")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let raw = RawCallback::new("a", NAME, "POST", "/", headers, body.to_vec());
        let keys = KeySet::new("k", Map::from_iter([("secret".to_owned(), json!(["old", "secret"]))]));
        verify(&raw, &keys, UnixSeconds(NOW)).map(|_| ())
    }

    fn code(message: &str) -> String {
        hex::encode(hmac_tag(HmacHash::Sha256, b"secret", &[message.as_bytes()]))
    }

    #[test]
    fn a_signature_has_so_many_parts_and_covers_so_many_headers() {
        let parts = |count: usize| (0..count).map(|part| format!("p{part}=1")).collect::<Vec<_>>().join(",");
        assert!(Signature::parse(&parts(PARTS_MAX)).is_ok());
        assert_eq!(Signature::parse(&parts(PARTS_MAX + 1)).err(), Some(Rejection::malformed("signature")));
        let covered = |count: usize| {
            let text = format!("h={}", vec!["x-a"; count].join(" "));
            Signature::parse(&text).unwrap().covered_headers().map(|names| names.len())
        };
        assert_eq!(covered(COVERED_HEADERS_MAX), Ok(COVERED_HEADERS_MAX));
        assert_eq!(covered(COVERED_HEADERS_MAX + 1), Err(Rejection::malformed("signature")));
    }

    #[test]
    fn the_stronger_code_decides_and_nothing_is_read_twice() {
        let v1 = code("1800000000.x-a x-b.1.2.{}");
        let v0 = code("1800000000.{}");
        let mismatch = Some(Rejection::SignatureMismatch);
        let malformed = Some(Rejection::malformed("signature"));
        for (signature, expected) in [
            (format!("t={NOW},h=x-a x-b,v1={v1}"), None),
            (format!("t={NOW},h=X-A X-B,v1={v1}"), None),
            (format!("t={NOW},v0={v0}"), None),
            (format!("t={NOW},h=x-a x-b,v0={v0}"), None),
            (format!("t={NOW},v1={}", code("1800000000...{}")), None),
            (format!("t={NOW},h=x-a x-b,v0={v0},v1={v0}"), mismatch.clone()),
            (format!("t={NOW},h=x-b x-a,v1={v1}"), mismatch.clone()),
            (format!("t={NOW},h=x-a,v1={v1}"), mismatch),
            (format!("t={NOW},h=x-a x-c,v1={v1}"), Some(Rejection::MissingHeader { name: "x-c".to_owned() })),
            (format!("t={NOW},h=x-a  x-b,v1={v1}"), malformed.clone()),
            (format!("t={NOW},v0={v0},v1="), Some(Rejection::MissingSignature)),
            (format!("t={NOW},v0={}", &v0[..63]), malformed.clone()),
            (format!("t={NOW},v0={v0},v0={v0}"), Some(Rejection::Duplicate { name: SIGNATURE.to_owned() })),
            (format!("t=0{NOW},v0={v0}"), Some(Rejection::malformed("timestamp"))),
            (format!("t={},v0={v0}", NOW + 301), Some(Rejection::Stale { age_seconds: -301 })),
            (format!("v0={v0}"), Some(Rejection::malformed("timestamp"))),
            (format!("t={NOW}"), Some(Rejection::MissingSignature)),
        ] {
            assert_eq!(judge(&signature, b"{}").err(), expected, "{signature}");
        }
    }
}
