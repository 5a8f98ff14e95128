//! Google Play real-time developer notifications, pushed by Cloud Pub/Sub. Mapping: `fixtures/google_play_rtdn/MAPPING.md`.

mod answers;
mod events;
#[cfg(feature = "sandbox")]
mod sandbox;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{Covers, CredentialField, FetchRequest, Inquiry, KeyRequest, Normalise, Provider, Rail, Verify};
use crate::callback::certificate::Certificate;
use crate::callback::json::Json;
use crate::callback::jws::{CompactJws, JwsAlgorithm};
use crate::callback::signature::{RsaKey, require_identity};
use crate::callback::{Answer, Answers, KeySet, RawCallback, Rejection, UnixSeconds, Verified};

const NAME: &str = "google_play_rtdn";

/// Google Play real-time developer notifications.
pub static PROVIDER: Provider = Provider {
    name: NAME,
    title: "Google Play real-time developer notifications",
    rail: Rail::AppStore,
    scheme: "OIDC token of the push subscription (RS256); the body is not signed",
    events: events::KINDS,
    documents: &[
        "https://developer.android.com/google/play/billing/rtdn-reference",
        "https://cloud.google.com/pubsub/docs/push",
        "https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions",
    ],
    answers: Answers { success: Answer { status: 204, content_type: "", body: "" }, ..Answers::EMPTY },
    retry_schedule: "anything but 102, 200, 201, 202 and 204 is repeated, with growing delays where the subscription says so, until its retention ends (7 days unless told)",
    covers: Covers::Nothing,
    credential_fields: CREDENTIAL_FIELDS,
    key_fetch: Some(key_fetch),
    verify: Verify::Coded(verify),
    readable: |keys| {
        keys.integer_if_any("tolerance_seconds")?;
        Certificate::require_readable_by_id(keys, CERTIFICATES)
    },
    normalise: Normalise::Coded(events::normalise),
    inquiry: Some(Inquiry::Coded {
        // Its notifications are all hints, which are always asked about.
        asks: |_| false,
        requests: answers::requests,
        require_answer: answers::require_answer,
        normalise: answers::normalise,
    }),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const CERTIFICATES: &str = "google_certs_pem";
const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: "audience",
        required: true,
        about: "the audience of the push subscription's token; the callback's address unless configured otherwise there",
    },
    CredentialField {
        name: "service_account_email",
        required: true,
        about: "the service account of the push subscription: anybody can get a token of Google's for your audience, only you one with this name",
    },
    CredentialField { name: "package_name", required: true, about: "the app's package name" },
    CredentialField {
        name: "subscription",
        required: false,
        about: "the push subscription, projects/…/subscriptions/…; another one's messages are refused",
    },
    CredentialField {
        name: CERTIFICATES,
        required: false,
        about: "Google's certificates in PEM by key id; fetched when absent",
    },
    CredentialField {
        name: "access_token",
        required: false,
        about: "an OAuth access token of the Google Play Developer API, with which notifications are looked up; it lives an hour, so whoever holds the service account's key must renew it",
    },
    CredentialField {
        name: "tolerance_seconds",
        required: false,
        about: "how far our clock may be off; 0 unless told, since an early token is sent again",
    },
];

const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];
const CERTIFICATES_HOST: &str = "www.googleapis.com";
const CERTIFICATES_URL: &str = "https://www.googleapis.com/oauth2/v1/certs";
/// Google announces a key before it signs with it, and publishes how long a list may be kept.
const CERTIFICATES_AGE_MAX_SECONDS: i64 = 3600;

/// # Source
/// Cloud Pub/Sub, "Authentication for push subscriptions": the token's signature, issuer, audience and times, and the
/// service account's name.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    keys.text_if_any("access_token")?;
    let token = token(raw)?;
    let proof = token.require_rs256(&signer(&token, keys)?)?;
    require_claims(&Json::parse(token.payload())?, keys, now)?;
    let message = Json::parse(raw.body())?;
    let subscription = message.text("/subscription");
    require_identity(keys, "subscription", "subscription", subscription)?;
    let notification = notification(&message).ok_or_else(|| Rejection::malformed("body"))?;
    if notification.text("/packageName") != Some(keys.text("package_name")?) {
        return Err(Rejection::IdentityMismatch { field: "packageName".to_owned() });
    }
    Ok(Verified::from_checked(raw, proof, now))
}

/// The token in `Authorization: Bearer …`.
fn token(raw: &RawCallback) -> Result<CompactJws, Rejection> {
    let header = raw.header("authorization")?;
    let (scheme, token) = header.split_once(' ').ok_or(Rejection::MissingSignature)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Rejection::MissingSignature);
    }
    CompactJws::parse(token, JwsAlgorithm::Rs256, "token")
}

fn signer(token: &CompactJws, keys: &KeySet) -> Result<RsaKey, Rejection> {
    let certificates = keys.keys_by_id(CERTIFICATES)?;
    if certificates.is_empty() {
        return Err(Rejection::unconfigured(CERTIFICATES));
    }
    let wanted = token.key_id().ok_or(Rejection::UnknownKey)?;
    let (_, pem) = certificates.iter().find(|(id, _)| *id == wanted).ok_or(Rejection::UnknownKey)?;
    let unusable = || Rejection::unconfigured(CERTIFICATES);
    let certificates = Certificate::all_in_pem(pem.as_bytes()).map_err(|_| unusable())?;
    certificates[0].rsa_key().ok_or_else(unusable)
}

fn require_claims(claims: &Json, keys: &KeySet, now: UnixSeconds) -> Result<(), Rejection> {
    let mismatch = |field: &str| Err(Rejection::IdentityMismatch { field: field.to_owned() });
    if !claims.text("/iss").is_some_and(|issuer| ISSUERS.contains(&issuer)) {
        return mismatch("iss");
    }
    if claims.text("/aud") != Some(keys.text("audience")?) {
        return mismatch("aud");
    }
    if claims.text("/email") != Some(keys.text("service_account_email")?)
        || claims.at("/email_verified") != Some(&Json::Bool(true))
    {
        return mismatch("email");
    }
    let tolerance_seconds = keys.integer_if_any("tolerance_seconds")?.unwrap_or(0).max(0);
    let time = |name: &str| -> Result<i64, Rejection> {
        let text = claims.text(name).and_then(|text| text.parse().ok());
        text.ok_or_else(|| Rejection::malformed("token"))
    };
    let (issued_at, expires_at) = (time("/iat")?, time("/exp")?);
    let too_early = now.0 < issued_at.saturating_sub(tolerance_seconds);
    let too_late = now.0 > expires_at.saturating_add(tolerance_seconds);
    if too_early || too_late {
        return Err(Rejection::Stale { age_seconds: now.0.saturating_sub(issued_at) });
    }
    Ok(())
}

/// The notification inside of a push message.
fn notification(message: &Json) -> Option<Json> {
    let data = STANDARD.decode(message.text("/message/data")?).ok()?;
    Json::parse(&data).ok().filter(|notification| matches!(notification, Json::Object(_)))
}

/// Google's certificates, where the key set lacks the one that the token names.
fn key_fetch(raw: &RawCallback, keys: &KeySet) -> Result<Option<KeyRequest>, Rejection> {
    let token = token(raw)?;
    let wanted = token.key_id().ok_or(Rejection::UnknownKey)?;
    let held = keys.keys_by_id(CERTIFICATES)?.iter().any(|(id, _)| *id == wanted);
    Ok((!held).then(|| KeyRequest {
        request: FetchRequest::get(CERTIFICATES_HOST, CERTIFICATES_URL),
        field: CERTIFICATES,
        id: None,
        max_age_seconds: CERTIFICATES_AGE_MAX_SECONDS,
        read: read_certificates,
    }))
}

/// Google's certificates by key id; `None` when one of them is no certificate.
fn read_certificates(body: &[u8]) -> Option<Value> {
    let by_id: serde_json::Map<String, Value> = serde_json::from_slice(body).ok()?;
    let is_certificate =
        |pem: &Value| pem.as_str().is_some_and(|pem| Certificate::all_in_pem(pem.as_bytes()).is_ok());
    (!by_id.is_empty() && by_id.values().all(is_certificate)).then_some(Value::Object(by_id))
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;
