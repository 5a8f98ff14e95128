//! Quicknode Streams and Webhooks. Source:
//! <https://www.quicknode.com/guides/quicknode-products/streams/validating-incoming-streams-webhook-messages>,
//! <https://www.quicknode.com/sample-app-library/streams-webhook-validate-signature>. Mapping:
//! `fixtures/quicknode/MAPPING.md`.

#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::GzDecoder;

use super::chain::node::{Emitted, emitted, quantity};
use super::chain::watcher::{self, EachTold, Watcher};
use super::chain::{Finality, KINDS, Network, Quantity, Told, is_known};
use super::{Covers, CredentialField, MappingError, Normalise, Provider, Rail, Verify};
use crate::callback::json::Json;
use crate::callback::signature::{HmacHash, require_hmac};
use crate::callback::{Answers, KeySet, RawCallback, Rejection, UnixSeconds, Verified};

const NAME: &str = "quicknode";

/// Quicknode Streams and Webhooks.
pub static PROVIDER: Provider = Provider {
    name: NAME,
    title: "Quicknode",
    rail: Rail::Crypto,
    home_currency: "USDT",
    scheme: "HMAC-SHA256 over nonce, time and uncompressed body, header:X-QN-Signature",
    events: KINDS,
    documents: &[
        "https://www.quicknode.com/guides/quicknode-products/streams/validating-incoming-streams-webhook-messages",
        "https://www.quicknode.com/sample-app-library/streams-webhook-validate-signature",
        "https://www.quicknode.com/docs/webhooks",
    ],
    answers: Answers::EMPTY,
    retry_schedule: "as the stream's settings say (number and interval); a stream that gives up is paused",
    covers: Covers::Body,
    credential_fields: &[
        CredentialField {
            name: "secret",
            required: true,
            about: "Security token of the stream or webhook. A list while there are several",
        },
        CredentialField {
            name: "nodes",
            required: false,
            about: "`https://` addresses of nodes by network (`ethereum`, `tron`, …): they are asked whether a transfer is \
                    final",
        },
    ],
    verify: Verify::Coded(verify),
    readable: |keys| keys.texts("secret").map(drop),
    normalise: Normalise::CodedEach(watcher::normalise::<Quicknode>),
    inquiry: Some(watcher::inquiry::<Quicknode>()),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const NONCE_HEADER: &str = "x-qn-nonce";
const TIMESTAMP_HEADER: &str = "x-qn-timestamp";
const SIGNATURE_HEADER: &str = "x-qn-signature";

/// Most bytes of a body that is unpacked.
const UNPACKED_BYTES_MAX: u64 = 1024 * 1024;

/// # Source
/// The guide above: the nonce, the time and the uncompressed body stand one behind the other. The body begins with a
/// brace or bracket, which says where the time's digits end. Quicknode does not say how old a message may be.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let secrets = keys.texts("secret")?;
    let written = raw.header_if_any(SIGNATURE_HEADER)?.filter(|value| !value.is_empty());
    let written = written.ok_or(Rejection::MissingSignature)?;
    let lower = written.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let candidate = hex::decode(written).ok().filter(|_| lower);
    let candidates = [candidate.ok_or_else(|| Rejection::malformed("signature"))?];
    let (nonce, time) = (raw.header(NONCE_HEADER)?, raw.header(TIMESTAMP_HEADER)?);
    if !time.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Rejection::malformed("timestamp"));
    }
    let body = unpacked(raw).ok_or_else(|| Rejection::malformed("body"))?;
    if !body.first().is_some_and(|first| matches!(first, b'{' | b'[')) {
        return Err(Rejection::malformed("body"));
    }
    let parts = [nonce.as_bytes(), time.as_bytes(), &body];
    for secret in secrets {
        if let Ok(proof) = require_hmac(HmacHash::Sha256, secret.as_bytes(), &parts, &candidates) {
            return Ok(Verified::from_checked(raw, proof, now));
        }
    }
    Err(Rejection::SignatureMismatch)
}

/// The body as it was before it was packed for the way; `None` when it cannot be unpacked or is too large.
fn unpacked(raw: &RawCallback) -> Option<Cow<'_, [u8]>> {
    match raw.header_if_any("content-encoding").ok()? {
        None | Some("" | "identity") => Some(Cow::Borrowed(raw.body())),
        Some("gzip") => {
            let mut body = Vec::new();
            GzDecoder::new(raw.body()).take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut body).ok()?;
            (body.len() as u64 <= UNPACKED_BYTES_MAX).then_some(Cow::Owned(body))
        }
        Some(_) => None,
    }
}

struct Quicknode;

impl Watcher for Quicknode {
    const NAME: &'static str = NAME;

    fn body(raw: &RawCallback) -> Option<Cow<'_, [u8]>> {
        unpacked(raw)
    }

    /// What a message holds is up to the merchant's filter; `MAPPING.md` has one that gives the network and the logs.
    fn told(callback: &Json) -> EachTold<'_> {
        let Some(network) = callback.text("/network").and_then(Network::from_name) else {
            return Ok(Vec::new());
        };
        let logs = callback.members("/logs").iter();
        Ok(logs.filter_map(|log| transfer(network, log).transpose()).collect())
    }
}

fn transfer(network: Network, log: &Json) -> Result<Option<Told<'_>>, MappingError> {
    let Some(contract) = log.text("/address").filter(|contract| is_known(network, contract)) else {
        return Ok(None);
    };
    let Some(Emitted { to, units, .. }) = emitted(network, log) else { return Ok(None) };
    let required = |pointer: &str| log.text(pointer).ok_or_else(|| MappingError::field(pointer));
    let log_index = quantity(required("/logIndex")?).ok_or_else(|| MappingError::field("/logIndex"))?;
    let removed = log.at("/removed") == Some(&Json::Bool(true));
    Ok(Some(Told {
        network,
        hash: required("/transactionHash")?,
        log_index: Some(log_index),
        contract,
        to: to.into(),
        quantity: Quantity::HexUnits(units),
        decimals: None,
        finality: if removed { Finality::Removed } else { Finality::Unconfirmed },
        occurred_at: None,
    }))
}
