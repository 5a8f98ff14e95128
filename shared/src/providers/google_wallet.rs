//! Google Wallet: callbacks when a person saves or deletes a pass. Mapping: `fixtures/google_wallet/MAPPING.md`.

#[cfg(feature = "sandbox")]
mod sandbox;

use super::google_pay::missing_root_keys;
use super::{Covers, CredentialField, MappingError, Normalise, Provider, Rail, Verify};
use crate::callback::google_envelope::{
    Expected, Protocol, ROOT_KEYS, open, require_readable, require_unexpired,
};
use crate::callback::json::Json;
use crate::callback::{KeySet, RawCallback, Rejection, UnixSeconds, Verified};
use crate::domain::{EventKind, PaymentEvent};

const NAME: &str = "google_wallet";

/// Google Wallet.
pub static PROVIDER: Provider = Provider {
    name: NAME,
    title: "Google Wallet passes",
    rail: Rail::WalletToken,
    scheme: "Google's envelope (ECv2SigningOnly): ECDSA P-256 by an intermediate key",
    events: &[EventKind::TokenUpdated, EventKind::TokenRevoked],
    documents: &[
        "https://developers.google.com/wallet/generic/use-cases/use-callbacks-for-saves-and-deletions",
        "https://github.com/tink-crypto/tink-java-apps/tree/main/paymentmethodtoken",
    ],
    retry_schedule: "best effort: repeated an unstated number of times, the same nonce may come twice",
    covers: Covers::Fields,
    credential_fields: CREDENTIAL_FIELDS,
    key_fetch: Some(|_, keys| Ok(missing_root_keys("pay.google.com", ROOT_KEYS_URL, keys))),
    verify: Verify::Coded(verify),
    readable: |keys| require_readable(keys, Protocol::EcV2SigningOnly),
    normalise: Normalise::Coded(normalise),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: "recipient_id",
        required: true,
        about: "the issuer id of the Google Pay & Wallet Console",
    },
    CredentialField {
        name: ROOT_KEYS,
        required: false,
        about: "Google's root signing keys for passes, as JSON; fetched when absent",
    },
    CredentialField {
        name: "sender_id",
        required: false,
        about: "GooglePayPasses unless told: that is what Google signs with, whatever some of its pages say",
    },
];

const ROOT_KEYS_URL: &str = "https://pay.google.com/gp/m/issuer/keys";

fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let sender_id = keys.text_if_any("sender_id")?.unwrap_or("GooglePayPasses");
    let protocol = Protocol::EcV2SigningOnly;
    let expected = Expected { sender_id, recipient_id: keys.text("recipient_id")?, protocol };
    let (proof, message) = open(raw.body(), expected, keys, now)?;
    let told = Json::parse(message.as_bytes())?;
    require_unexpired(told.text("/expTimeMillis"), now)?;
    Ok(Verified::from_checked(raw, proof, now).with_resource(message.into_bytes()))
}

fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let told = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let required = |name: &str| {
        let text = told.text(&format!("/{name}"));
        text.map(str::to_owned).ok_or_else(|| MappingError::field(name))
    };
    let what = required("eventType")?;
    let kind = match what.as_str() {
        "save" => EventKind::TokenUpdated,
        "del" => EventKind::TokenRevoked,
        _ => return Ok(Vec::new()),
    };
    let mut event = PaymentEvent::new(kind, NAME, required("nonce")?, verified.received_at());
    event.subject_id = Some(required("objectId")?);
    event.provider_status = what;
    Ok(vec![event])
}
