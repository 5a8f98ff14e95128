//! Adapay. Mapping: `fixtures/adapay/MAPPING.md`.

mod events;
#[cfg(feature = "sandbox")]
mod sandbox;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Covers, CredentialField, Normalise, Provider, Rail, Verify};
use crate::callback::form::Form;
use crate::callback::json::Json;
use crate::callback::signature::{RsaHash, RsaKey, require_identity};
use crate::callback::{Answers, KeySet, RawCallback, Rejection, UnixSeconds, Verified};

/// Adapay.
pub static PROVIDER: Provider = Provider {
    name: "adapay",
    title: "Adapay 汇付天下",
    rail: Rail::Aggregator,
    home_currency: "CNY",
    scheme: "RSA-SHA1 over the parameter data",
    events: events::KINDS,
    documents: &[
        "https://docs.adapay.tech/api/webhook.html",
        "https://docs.adapay.tech/api/trade.html",
        "https://pypi.org/project/adapay-core/",
    ],
    answers: Answers::EMPTY,
    retry_schedule: "3 times when there is no 2xx within 5 s",
    covers: Covers::Fields,
    credential_fields: CREDENTIAL_FIELDS,
    verify: Verify::Coded(verify),
    readable: |keys| RsaKey::configured(keys, PUBLIC_KEY).map(drop),
    // The public key is Adapay's, and signs for all merchants.
    addressee: |keys| keys.text(APP_ID).map(drop),
    normalise: Normalise::Coded(events::normalise),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const PUBLIC_KEY: &str = "public_key_spki_b64";
const APP_ID: &str = "expected_app_id";

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: PUBLIC_KEY,
        required: true,
        about: "Adapay's RSA public key, base64 or PEM, from the SDK or the console",
    },
    CredentialField {
        name: APP_ID,
        required: false,
        about: "the app's id; a callback for another one is rejected. Needed for live callbacks: the public key is the same for all merchants",
    },
];

/// # Source
/// Adapay, "异步消息": `sign` is SHA1withRSA over `data`. Everything around it is unsigned: `type` may choose how the
/// data is read, so it must agree with it.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let form = Form::parse(raw.body())?;
    let signature = form.text("sign").ok_or(Rejection::MissingSignature)?;
    let signature = STANDARD.decode(signature).map_err(|_| Rejection::malformed("signature"))?;
    let missing = |name: &str| Rejection::MissingField { name: name.to_owned() };
    let signed = form.text("data").ok_or_else(|| missing("data"))?;
    let type_name = form.text("type").ok_or_else(|| missing("type"))?;
    let key = RsaKey::configured(keys, PUBLIC_KEY)?;
    let proof = key.require_signature(RsaHash::Sha1, signed.as_bytes(), &signature)?;
    let data = Json::parse(signed.as_bytes())?;
    if !events::agrees(type_name, &data) {
        return Err(Rejection::malformed("type"));
    }
    // The app beside the data is unsigned and proves nothing.
    require_identity(keys, APP_ID, "app_id", data.text("/app_id"))?;
    let content = format!("{{\"type\":{},\"data\":{signed}}}", serde_json::Value::from(type_name));
    Ok(Verified::from_checked(raw, proof, now).with_resource(content.into_bytes()))
}
