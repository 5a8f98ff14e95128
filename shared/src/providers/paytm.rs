//! Paytm callbacks and webhooks. Mapping: `fixtures/paytm/MAPPING.md`.

mod events;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(test)]
mod tests;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Covers, CredentialField, Normalise, Provider, Rail, Verify};
use crate::callback::form::Form;
use crate::callback::json::Json;
use crate::callback::signature::require_identity;
use crate::callback::signature::sealed::require_sealed_sha256;
use crate::callback::{Answers, KeySet, Proof, RawCallback, Rejection, UnixSeconds, Verified};

/// Paytm.
pub static PROVIDER: Provider = Provider {
    name: "paytm",
    title: "Paytm",
    rail: Rail::Wallet,
    home_currency: "INR",
    scheme: "SHA-256 over the values, sealed with AES-128-CBC",
    events: events::KINDS,
    documents: &[
        "https://developer.paytm.com/docs/payment-status/",
        "https://developer.paytm.com/docs/success-refund-webhook/",
        "https://developer.paytm.com/docs/accept-refund-webhook/",
        "https://developer.paytm.com/docs/subscription-status-webhook/",
    ],
    answers: Answers::EMPTY,
    retry_schedule: "not published",
    // The names of the parameters are not signed; `require_one_meaning` sees to it that they are the signed ones.
    covers: Covers::Fields,
    credential_fields: &[
        CredentialField {
            name: "merchant_key",
            required: true,
            about: "the merchant key of the dashboard's API keys, 16 characters",
        },
        CredentialField {
            name: "mid",
            required: false,
            about: "the merchant's id, when it must stand inside",
        },
        CredentialField {
            name: "checksum",
            required: false,
            about: "only to check a JSON text whose checksum was kept apart from it",
        },
    ],
    verify: Verify::Coded(verify),
    readable: |keys| merchant_key(keys).map(drop),
    normalise: Normalise::Coded(events::normalise),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const SIGNATURE: &str = "CHECKSUMHASH";
const IV: [u8; 16] = *b"@@@@&&&&####$$$$";

/// # Source
/// paytmchecksum, `verifySignature`: of a form the values in the order of their names, of JSON the text of `body`.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    if raw.body().trim_ascii_start().starts_with(b"{") {
        verify_json(raw, keys, now)
    } else {
        verify_form(raw, keys, now)
    }
}

fn verify_form(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let form = Form::parse(raw.body())?;
    let checksum = form.text(SIGNATURE).ok_or(Rejection::MissingSignature)?;
    let proof = require_checksum(&signed_text(&form), checksum, keys)?;
    require_one_meaning(&form)?;
    require_identity(keys, "mid", "MID", form.text("MID"))?;
    Ok(Verified::from_checked(raw, proof, now))
}

/// The values in the order of their names, joined by `|`; the text `null` counts as empty.
fn signed_text(form: &Form) -> Vec<u8> {
    let mut parameters: Vec<_> = form.iter().filter(|(name, _)| *name != SIGNATURE).collect();
    parameters.sort_unstable_by_key(|(name, _)| *name);
    let values: Vec<&[u8]> = parameters
        .into_iter()
        .map(|(_, value)| if value.eq_ignore_ascii_case(b"null") { &[][..] } else { value })
        .collect();
    values.join(&b'|')
}

/// What a form tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FormFamily {
    Payment,
    Subscription,
    /// The acquirer's number of a refund, or the announcement of a debit: nothing that we act on.
    Other,
}

impl FormFamily {
    /// `None` for none of Paytm's: names are not signed, so a form under strange ones is not believed to be anything.
    fn of(form: &Form) -> Option<Self> {
        let has = |names: &[&str]| names.iter().all(|name| form.bytes(name).is_some());
        if has(&["ARN", "REFUNDID"]) || has(&["NOTIFICATIONSTATUS", "REFERENCEID"]) {
            Some(Self::Other)
        } else if has(&["MID", "ORDERID", "RESPCODE", "STATUS", "TXNAMOUNT"]) {
            Some(Self::Payment)
        } else {
            (has(&["STATUS", "SUBS_ID"]) && !has(&["TXNAMOUNT"])).then_some(Self::Subscription)
        }
    }
}

/// Accepts a form when its names, which are not signed, can only be those that Paytm gave the values.
///
/// Somebody who pays could otherwise send the genuine values again under other names, or split one that he chose: his
/// own `100000.00` as `TXNAMOUNT`. The order of the names is signed, though. So nothing may hold a separator, and from
/// the status to the transaction's id only Paytm's names may stand, with values of their shapes.
fn require_one_meaning(form: &Form) -> Result<(), Rejection> {
    let malformed = || Rejection::malformed("body");
    if FormFamily::of(form).ok_or_else(malformed)? != FormFamily::Payment {
        return Ok(());
    }
    let known = |name: &str| {
        !("STATUS"..="TXNID").contains(&name) || PAYMENT_NAMES.contains(&name) || name == SIGNATURE
    };
    let plain = |(name, value): (&str, &[u8])| known(name) && !value.contains(&b'|');
    let is_date =
        |text: &str| text.starts_with(|first: char| first.is_ascii_digit()) && text.contains(['-', '/']);
    let date_is_one = form.text("TXNDATE").is_none_or(is_date);
    let succeeded = form.text("STATUS") == Some("TXN_SUCCESS");
    let complete = form.text("TXNDATE").is_some() && form.text("TXNID").is_some();
    if form.iter().all(plain) && date_is_one && (complete || !succeeded) { Ok(()) } else { Err(malformed()) }
}

/// Paytm's names from `STATUS` to `TXNID`.
const PAYMENT_NAMES: &[&str] = &["STATUS", "SUBS_ID", "TXNAMOUNT", "TXNDATE", "TXNDATETIME", "TXNID"];

#[derive(Deserialize)]
struct Envelope<'a> {
    head: Head,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Deserialize)]
struct Head {
    signature: String,
}

fn verify_json(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    // The strict reader refuses repeated members, which the other one would choose among.
    Json::parse(raw.body())?;
    if let Some(checksum) = keys.text_if_any("checksum")? {
        let proof = require_checksum(raw.body(), checksum, keys)?;
        return Ok(Verified::from_checked(raw, proof, now));
    }
    let envelope: Envelope<'_> =
        serde_json::from_slice(raw.body()).map_err(|_| Rejection::MissingSignature)?;
    let content = envelope.body.get().as_bytes();
    let proof = require_checksum(content, &envelope.head.signature, keys)?;
    let told = Json::parse(content)?;
    if told.text("/mid").is_some() {
        require_identity(keys, "mid", "mid", told.text("/mid"))?;
    }
    Ok(Verified::from_checked(raw, proof, now).with_resource(content.to_vec()))
}

fn merchant_key(keys: &KeySet) -> Result<&[u8], Rejection> {
    let key = keys.text("merchant_key")?.as_bytes();
    if key.len() == 16 { Ok(key) } else { Err(Rejection::unconfigured("merchant_key")) }
}

fn require_checksum(text: &[u8], checksum: &str, keys: &KeySet) -> Result<Proof, Rejection> {
    let key = merchant_key(keys)?;
    let sealed = STANDARD.decode(checksum).map_err(|_| Rejection::malformed("signature"))?;
    require_sealed_sha256(key, IV, text, &sealed)
}
