//! Ping++ webhooks. Mapping: `fixtures/pingpp/MAPPING.md`.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Covers, CredentialField, EachEvent, MappingError, Normalise, Provider, Rail, Verify};
use crate::callback::json::Json;
use crate::callback::signature::{RsaHash, RsaKey, require_identity};
use crate::callback::{Answers, KeySet, RawCallback, Rejection, UnixSeconds, Verified};
use crate::domain::{EventKind, PaymentEvent, Reference};
use crate::providers::read::minor;

/// Ping++.
pub static PROVIDER: Provider = Provider {
    name: "pingpp",
    title: "Ping++",
    home_currency: "CNY",
    rail: Rail::Aggregator,
    scheme: "RSA-SHA256 over the body",
    events: KINDS,
    documents: &[
        "https://www.pingxx.com/docs/webhooks/webhooks",
        "https://github.com/PingPlusPlus/pingpp-java",
    ],
    answers: Answers::EMPTY,
    retry_schedule: "not published; any 2xx ends it",
    covers: Covers::Body,
    credential_fields: &[
        CredentialField {
            name: PUBLIC_KEY,
            required: true,
            about: "the Ping++ public key of the dashboard's developer page; test and live mode have one each",
        },
        CredentialField {
            name: APP_ID,
            required: false,
            about: "the application's id, app_…, which live callbacks need; a charge of another one is rejected",
        },
    ],
    verify: Verify::Coded(verify),
    readable: |keys| RsaKey::configured(keys, PUBLIC_KEY).map(drop),
    addressee: |keys| keys.text(APP_ID).map(|_| ()),
    normalise: Normalise::CodedEach(normalise),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded {
        generate: || crate::sandbox::rsa_body::generate(PUBLIC_KEY, &[(APP_ID, "app_0000000000000001")]),
        sign: |keys, payload| crate::sandbox::rsa_body::sign(keys, payload, "X-Pingplusplus-Signature"),
    },
    ..Provider::BASE
};

const PUBLIC_KEY: &str = "public_key_pem";
const APP_ID: &str = "expected_app_id";

/// # Source
/// pingpp-java, WebhooksVerifyExample: `X-Pingplusplus-Signature` is RSA PKCS#1 v1.5 with SHA-256 over the body, in base64.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let signature = raw.header("x-pingplusplus-signature")?;
    let signature = STANDARD.decode(signature).map_err(|_| Rejection::malformed("signature"))?;
    let key = RsaKey::configured(keys, PUBLIC_KEY)?;
    let proof = key.require_signature(RsaHash::Sha256, raw.body(), &signature)?;
    let event = Json::parse(raw.body())?;
    // Refunds name no application; they go where their charge went, which Ping++ numbers.
    if let Some(app) = event.text("/data/object/app") {
        require_identity(keys, APP_ID, "app", Some(app))?;
    }
    Ok(Verified::from_checked(raw, proof, now))
}

/// Every kind that it tells.
const KINDS: &[EventKind] = &[
    EventKind::PaymentCaptured,
    EventKind::RefundPending,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::TransferSucceeded,
    EventKind::TransferFailed,
];

fn normalise(verified: &Verified) -> EachEvent {
    let body = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let notice = Notice { body: &body, received_at: verified.received_at() };
    match body.text("/type") {
        Some("charge.succeeded") => notice.charge(),
        Some("refund.succeeded" | "refund.failed") => notice.refund(),
        Some("transfer.succeeded" | "transfer.failed") => notice.transfer(),
        Some("red_envelope.received") => notice.red_envelope(),
        Some("batch_transfer.succeeded" | "batch_transfer.failed") => notice.batch(),
        _ => Ok(Vec::new()),
    }
}

struct Notice<'a> {
    body: &'a Json,
    received_at: UnixSeconds,
}

impl Notice<'_> {
    fn object(&self, name: &str) -> Option<&str> {
        self.body.text(&format!("/data/object/{name}"))
    }

    fn required(&self, name: &str) -> Result<String, MappingError> {
        self.object(name).map(str::to_owned).ok_or_else(|| MappingError::field(name))
    }

    fn event(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let key = self.body.text("/id").ok_or_else(|| MappingError::field("/id"))?;
        let mut event = PaymentEvent::new(kind, PROVIDER.name, key, self.received_at);
        event.provider_status =
            self.object("status").or(self.body.text("/type")).unwrap_or_default().to_owned();
        event.occurred_at = self.time("/created");
        Ok(event)
    }

    fn time(&self, pointer: &str) -> Option<UnixSeconds> {
        self.body.text(pointer)?.parse().ok().map(UnixSeconds)
    }

    fn charge(&self) -> EachEvent {
        if !matches!(self.body.at("/data/object/paid"), Some(Json::Bool(true))) {
            return Err(MappingError::field("paid"));
        }
        let mut event = self.event(EventKind::PaymentCaptured)?;
        event.subject_id = Some(self.required("order_no")?);
        let charge = self.required("id")?;
        event.references = vec![Reference::new(PROVIDER.name, &charge)];
        event.transaction_id = Some(charge);
        event.amount = Some(minor(self.object("amount"), &self.required("currency")?, "amount")?);
        event.occurred_at = self.time("/data/object/time_paid").or(event.occurred_at);
        Ok(vec![Ok(event)])
    }

    /// A refund names its order too, but anybody's refund could name any order number: the charge leads to it.
    fn refund(&self) -> EachEvent {
        let kind = match self.object("status") {
            Some("succeeded") => EventKind::RefundSucceeded,
            Some("pending") => EventKind::RefundPending,
            Some("failed") => EventKind::RefundFailed,
            _ => return Err(MappingError::field("status")),
        };
        let mut event = self.event(kind)?;
        let charge = self.required("charge")?;
        event.references = vec![Reference::new(PROVIDER.name, &charge)];
        event.transaction_id = Some(charge);
        event.refund_id = Some(self.required("id")?);
        event.amount = Some(minor(self.object("amount"), CURRENCY, "amount")?);
        event.occurred_at = self.time("/data/object/time_succeed").or(event.occurred_at);
        Ok(vec![Ok(event)])
    }

    fn transfer(&self) -> EachEvent {
        let kind = match self.object("status") {
            Some("paid") => EventKind::TransferSucceeded,
            Some("failed") => EventKind::TransferFailed,
            _ => return Err(MappingError::field("status")),
        };
        self.money_out(kind)
    }

    fn red_envelope(&self) -> EachEvent {
        self.money_out(EventKind::TransferSucceeded)
    }

    fn money_out(&self, kind: EventKind) -> EachEvent {
        let mut event = self.event(kind)?;
        event.subject_id = Some(self.required("order_no")?);
        event.transaction_id = Some(self.required("id")?);
        event.amount = Some(minor(self.object("amount"), &self.required("currency")?, "amount")?);
        Ok(vec![Ok(event)])
    }

    /// A batch may succeed in part, so each recipient is an event.
    fn batch(&self) -> EachEvent {
        let batch = self.required("id")?;
        let currency = self.required("currency")?;
        let recipients = self.body.members("/data/object/recipients").iter();
        let events = recipients.map(|recipient| {
            let transfer = recipient.text("/transfer").ok_or_else(|| MappingError::field("/transfer"))?;
            let (kind, status) = match recipient.text("/status") {
                Some(status @ "paid") => (EventKind::TransferSucceeded, status),
                Some(status @ "failed") => (EventKind::TransferFailed, status),
                Some(_) => return Ok(None),
                None => return Err(MappingError::field("/status")),
            };
            let mut event = self.event(kind)?;
            event.key = format!("{}:{transfer}", event.key);
            status.clone_into(&mut event.provider_status);
            event.subject_id = Some(transfer.to_owned());
            event.transaction_id = Some(batch.clone());
            event.amount = Some(minor(recipient.text("/amount"), &currency, "/amount")?);
            Ok(Some(event))
        });
        Ok(events.filter_map(Result::transpose).collect())
    }
}

/// Refunds name no currency: Ping++ settles in yuan.
const CURRENCY: &str = "CNY";

#[cfg(all(test, feature = "sandbox"))]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::callback::Credentials;
    use crate::sandbox::Payload;

    #[test]
    fn m12_each_type_means_its_events() {
        let keys = PROVIDER.sandbox.generate();
        let events = |kind: &str, object: Value| {
            let content =
                json!({"id": "evt_1", "created": 5, "type": kind, "data": {"object": object}}).to_string();
            let payload =
                Payload { content, event_id: "1".into(), path: "/".into(), sent_at: UnixSeconds(0) };
            let request = PROVIDER.sandbox.sign(&keys, &payload).unwrap();
            let raw = RawCallback::new("a", PROVIDER.name, "POST", "/", request.headers, request.body);
            let credentials = Credentials { key_sets: vec![KeySet::new("k", keys.key_set.clone())] };
            match PROVIDER.accept(&raw, &credentials, UnixSeconds(9)) {
                Err(rejection) => rejection.reason().to_owned(),
                Ok(verified) => match PROVIDER.read(&verified) {
                    Err(_) => "error".to_owned(),
                    Ok(read) => {
                        let told = read.events.iter().map(|event| {
                            let amount = event.amount.as_ref().map_or(0, |amount| amount.amount_minor());
                            format!(
                                "{} {} {amount};",
                                event.kind.name(),
                                event.subject_id.as_deref().unwrap_or("-")
                            )
                        });
                        let unreadable = (!read.unreadable.is_empty())
                            .then(|| format!("{} unreadable", read.unreadable.len()));
                        told.chain(unreadable).collect()
                    }
                },
            }
        };
        let app = "app_0000000000000001";
        let charge = |paid: bool, app: &str| json!({"id": "ch_1", "app": app, "paid": paid, "order_no": "A1", "amount": 100, "currency": "cny"});
        let refund = |status: &str| json!({"id": "re_1", "charge": "ch_1", "charge_order_no": "A1", "amount": 10, "status": status});
        let transfer = |status: &str| json!({"id": "tr_1", "app": app, "order_no": "B1", "amount": 7, "currency": "cny", "status": status});
        let row = |status: &str, transfer: &str| json!({"transfer": transfer, "amount": 3, "status": status});
        let batch = json!({"id": "18", "app": app, "currency": "cny",
            "recipients": [row("paid", "tr_1"), row("failed", "tr_2"), row("pending", "tr_3")]});
        let odd = json!({"transfer": "tr_4", "amount": "much", "status": "paid"});
        let partly =
            json!({"id": "18", "app": app, "currency": "cny", "recipients": [odd, row("paid", "tr_1")]});
        for (kind, object, expected) in [
            ("charge.succeeded", charge(true, app), "payment.captured A1 100;"),
            ("charge.succeeded", charge(false, app), "error"),
            ("charge.succeeded", charge(true, "app_2"), "identity_mismatch"),
            ("refund.succeeded", refund("succeeded"), "refund.succeeded - 10;"),
            ("refund.succeeded", refund("failed"), "refund.failed - 10;"),
            ("refund.succeeded", refund("other"), "error"),
            ("transfer.succeeded", transfer("paid"), "transfer.succeeded B1 7;"),
            ("transfer.failed", transfer("failed"), "transfer.failed B1 7;"),
            ("red_envelope.received", transfer("received"), "transfer.succeeded B1 7;"),
            ("red_envelope.sent", transfer("sent"), ""),
            ("batch_transfer.succeeded", batch, "transfer.succeeded tr_1 3;transfer.failed tr_2 3;"),
            ("batch_transfer.succeeded", partly, "transfer.succeeded tr_1 3;1 unreadable"),
            ("summary.daily.available", json!({}), ""),
        ] {
            assert_eq!(events(kind, object.clone()), expected, "{kind} {object}");
        }
    }
}
