//! Google Pay: the payment method token that a payer's device hands to the merchant's page or app.
//! Mapping: `fixtures/google_pay/MAPPING.md`.

#[cfg(feature = "sandbox")]
mod sandbox;

use serde_json::{Map, Value, json};

use super::{
    Covers, CredentialField, FetchRequest, KeyRequest, MappingError, Normalise, Provider, Rail, Verify,
};
use crate::callback::google_envelope::{Expected, Protocol, RECIPIENT_KEYS, ROOT_KEYS, decrypt, open};
use crate::callback::google_envelope::{read_root_keys, require_readable, require_unexpired};
use crate::callback::json::Json;
use crate::callback::signature::require_identity;
use crate::callback::{KeySet, RawCallback, Rejection, UnixSeconds, Verified};
use crate::domain::{EventKind, PaymentEvent};

const NAME: &str = "google_pay";

/// Google Pay.
pub static PROVIDER: Provider = Provider {
    name: NAME,
    title: "Google Pay payment method tokens",
    rail: Rail::WalletToken,
    scheme: "Google's envelope (ECv2, ECv1): ECDSA P-256 by an intermediate key, ECDH, HKDF, HMAC, AES-CTR",
    events: &[EventKind::TokenUpdated],
    documents: &[
        "https://developers.google.com/pay/api/web/guides/resources/payment-data-cryptography",
        "https://github.com/tink-crypto/tink-java-apps/tree/main/paymentmethodtoken",
    ],
    retry_schedule: "none: the merchant's own page or app sends a token once",
    covers: Covers::Fields,
    credential_fields: CREDENTIAL_FIELDS,
    key_fetch: Some(key_fetch),
    verify: Verify::Coded(verify),
    readable: |keys| {
        root_keys_url(keys)?;
        require_readable(keys, protocol(keys)?)
    },
    normalise: Normalise::Coded(normalise),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: "recipient_id",
        required: true,
        about: "whom tokens are for: `merchant:` and the merchant id of the Google Pay & Wallet Console, or `gateway:` and the gateway's name",
    },
    CredentialField {
        name: RECIPIENT_KEYS,
        required: true,
        about: "the private key whose public half is registered with Google: P-256, PKCS#8 in base64. A list while it is changed",
    },
    CredentialField {
        name: ROOT_KEYS,
        required: false,
        about: "Google's root signing keys, the JSON of keys.json; fetched when absent",
    },
    CredentialField {
        name: "environment",
        required: false,
        about: "`test` fetches the root keys of Google's test environment; production unless told",
    },
    CredentialField {
        name: "protocol_version",
        required: false,
        about: "ECv2 unless told; ECv1 for integrations that still receive it",
    },
    CredentialField { name: "sender_id", required: false, about: "Google unless told" },
    CredentialField {
        name: "expected_gateway_merchant_id",
        required: false,
        about: "for a gateway: the gatewayMerchantId whose tokens are meant",
    },
];

const DAY_SECONDS: i64 = 86_400;

fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let protocol = protocol(keys)?;
    let sender_id = keys.text_if_any("sender_id")?.unwrap_or("Google");
    let expected = Expected { sender_id, recipient_id: keys.text("recipient_id")?, protocol };
    let (proof, message) = open(raw.body(), expected, keys, now)?;
    let told = told(&decrypt(&message, protocol, keys)?, keys, now)?;
    Ok(Verified::from_checked(raw, proof, now).with_resource(told))
}

fn key_fetch(_raw: &RawCallback, keys: &KeySet) -> Result<Option<KeyRequest>, Rejection> {
    Ok(missing_root_keys("payments.developers.google.com", root_keys_url(keys)?, keys))
}

fn root_keys_url(keys: &KeySet) -> Result<&'static str, Rejection> {
    match keys.text_if_any("environment")? {
        None => Ok("https://payments.developers.google.com/paymentmethodtoken/keys.json"),
        Some("test") => Ok("https://payments.developers.google.com/paymentmethodtoken/test/keys.json"),
        Some(_) => Err(Rejection::unconfigured("environment")),
    }
}

fn protocol(keys: &KeySet) -> Result<Protocol, Rejection> {
    match keys.text_if_any("protocol_version")?.map(Protocol::from_name) {
        None => Ok(Protocol::EcV2),
        Some(Some(protocol)) if protocol != Protocol::EcV2SigningOnly => Ok(protocol),
        Some(_) => Err(Rejection::unconfigured("protocol_version")),
    }
}

/// What may be told of a decrypted token: nothing of it is a card's number, its expiry or a cryptogram.
///
/// Google's own library takes a message that is not JSON as it is; such a one tells nothing here.
fn told(message: &[u8], keys: &KeySet, now: UnixSeconds) -> Result<Vec<u8>, Rejection> {
    let message = match Json::parse(message) {
        Ok(message @ Json::Object(_)) => message,
        _ if matches!(message.first(), Some(b'{' | b'[')) => return Err(Rejection::malformed("message")),
        _ => Json::Null,
    };
    if message.at("/messageExpiration").is_some() {
        require_unexpired(message.text("/messageExpiration"), now)?;
    }
    let merchant = message.text("/gatewayMerchantId");
    require_identity(keys, "expected_gateway_merchant_id", "gatewayMerchantId", merchant)?;
    let told: Map<String, Value> = TOLD
        .iter()
        .filter_map(|(name, pointer)| Some(((*name).to_owned(), json!(message.text(pointer)?))))
        .collect();
    Ok(Value::Object(told).to_string().into_bytes())
}

const TOLD: &[(&str, &str)] = &[
    ("messageId", "/messageId"),
    ("messageExpiration", "/messageExpiration"),
    ("paymentMethod", "/paymentMethod"),
    ("authMethod", "/paymentMethodDetails/authMethod"),
    ("gatewayMerchantId", "/gatewayMerchantId"),
];

fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let token = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let Some(id) = token.text("/messageId") else { return Ok(Vec::new()) };
    let mut event = PaymentEvent::new(EventKind::TokenUpdated, NAME, id, verified.received_at());
    event.subject_id = Some(id.to_owned());
    let status = token.text("/authMethod").or_else(|| token.text("/paymentMethod"));
    event.provider_status = status.unwrap_or_default().to_owned();
    Ok(vec![event])
}

/// Google's root keys, which the key set may lack.
pub(super) fn missing_root_keys(host: &'static str, url: &'static str, keys: &KeySet) -> Option<KeyRequest> {
    (!keys.has(ROOT_KEYS)).then(|| KeyRequest {
        request: FetchRequest::get(host, url),
        field: ROOT_KEYS,
        id: None,
        max_age_seconds: DAY_SECONDS,
        read: read_root_keys,
    })
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;
