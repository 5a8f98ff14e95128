//! Authorize.Net webhooks. Source: <https://developer.authorize.net/api/reference/features/webhooks.html>.
//! Mapping: `fixtures/authorize_net/MAPPING.md`.
//!
//! The signature is described. The events need code because a void may undo a reservation or a capture and does not say
//! which, so that it means two things at once.

use crate::callback::Verified;
use crate::callback::json::Json;
use crate::domain::{EventKind, PaymentEvent, Reference};

use super::described::described_signature;
use super::{MappingError, Normalise, Provider, read};

const NAME: &str = "authorize_net";

const DESCRIPTION: &str = r#"
title = "Authorize.Net"
rail = "card"
documents = [
    "https://developer.authorize.net/api/reference/features/webhooks.html",
    "https://developer.authorize.net/api/reference/responseCodes.html",
]
retry_schedule = "10 times: 3 times 3 minutes apart, 3 times 8 hours apart, 4 times 48 hours apart; then the webhook is inactive"
covers = "body"

[[credentials]]
name = "signature_key"
required = true
about = "Signature Key as shown under Account, API Credentials & Keys: its 128 characters are the key, not the bytes that they could stand for. A list while it is changed"

[[checks]]
algorithm = "hmac-sha512"
key = { field = "signature_key", encoding = "utf8" }
signature = { at = "header:X-ANET-Signature", encoding = "hex-any-case", prefix = "sha512=" }
signed = "{body}"
"#;

/// Every kind that it tells.
const KINDS: &[EventKind] = &[
    EventKind::PaymentPending,
    EventKind::PaymentAuthorized,
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::PaymentCancelled,
    EventKind::RefundPending,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::MandateSigned,
    EventKind::MandateRevoked,
    EventKind::TokenUpdated,
    EventKind::TokenRevoked,
];

/// The messages name no currency; accounts are in dollars unless their processor agreed otherwise.
const CURRENCY: &str = "USD";

/// The provider.
pub(super) fn provider() -> &'static Provider {
    described_signature(NAME, DESCRIPTION, KINDS, Normalise::Coded(normalise))
}

fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let json = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let Some(name) = json.text("/eventType").and_then(|name| name.strip_prefix("net.authorize.")) else {
        return Ok(Vec::new());
    };
    let notice = Notice { json: &json, verified };
    match name.split_once('.') {
        Some(("payment", what)) => notice.payment(what),
        Some(("customer", what)) => notice.customer(what).map(|event| event.into_iter().collect()),
        _ => Ok(Vec::new()),
    }
}

struct Notice<'a> {
    json: &'a Json,
    verified: &'a Verified,
}

impl Notice<'_> {
    /// An event says that a transaction was made; only its response code says how it ended.
    ///
    /// # Source
    /// <https://developer.authorize.net/api/reference/responseCodes.html>: 1 approved, 2 declined, 3 error,
    /// 4 held for review.
    fn payment(&self, what: &str) -> Result<Vec<PaymentEvent>, MappingError> {
        use EventKind as K;
        let [approved, declined, held] = match what {
            "authorization.created" => [K::PaymentAuthorized, K::PaymentFailed, K::PaymentPending],
            // What was held may have been a capture too; that it is reserved is certain.
            "fraud.approved" => [K::PaymentAuthorized, K::PaymentFailed, K::PaymentPending],
            "authcapture.created" | "capture.created" => {
                [K::PaymentCaptured, K::PaymentFailed, K::PaymentPending]
            }
            // Of a reservation that stays what it was when it cannot be taken.
            "priorAuthCapture.created" => [K::PaymentCaptured, K::PaymentAuthorized, K::PaymentAuthorized],
            "refund.created" => [K::RefundSucceeded, K::RefundFailed, K::RefundPending],
            "fraud.held" => [K::PaymentPending; 3],
            "fraud.declined" => [K::PaymentFailed; 3],
            "void.created" => return self.void(),
            _ => return Ok(Vec::new()),
        };
        let kind = match self.response_code()? {
            "1" => approved,
            "2" | "3" => declined,
            "4" => held,
            _ => return Err(MappingError::field("/payload/responseCode")),
        };
        self.transaction(kind).map(|event| vec![event])
    }

    /// Undoes a transaction of the same day, whether its money was reserved or taken: the reservation is released, and
    /// what was taken is given back in full.
    fn void(&self) -> Result<Vec<PaymentEvent>, MappingError> {
        if self.response_code()? != "1" {
            return Ok(Vec::new());
        }
        let cancelled = self.transaction(EventKind::PaymentCancelled)?;
        let mut returned = self.transaction(EventKind::RefundSucceeded)?;
        returned.key = format!("{}:returned", cancelled.key);
        returned.transaction_id = cancelled.transaction_id.clone();
        Ok(vec![cancelled, returned])
    }

    fn transaction(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let id = self.required("/payload/id")?;
        let mut event = self.told(kind)?;
        event.subject_id = self.json.text("/payload/invoiceNumber").map(str::to_owned);
        event.amount =
            Some(read::major(self.json.text("/payload/authAmount"), CURRENCY, "/payload/authAmount")?);
        event.references = vec![Reference::new(NAME, id)];
        event.provider_status = self.response_code()?.to_owned();
        match kind {
            EventKind::RefundPending | EventKind::RefundSucceeded | EventKind::RefundFailed => {
                event.refund_id = Some(id.to_owned());
            }
            _ => event.transaction_id = Some(id.to_owned()),
        }
        Ok(event)
    }

    fn customer(&self, what: &str) -> Result<Option<PaymentEvent>, MappingError> {
        let status = self.json.text("/payload/status");
        let kind = match (what, status) {
            ("subscription.created" | "subscription.updated", Some("active")) => EventKind::MandateSigned,
            (
                "subscription.created" | "subscription.updated",
                Some("canceled" | "terminated" | "expired"),
            )
            | ("subscription.cancelled" | "subscription.terminated" | "subscription.expired", _) => {
                EventKind::MandateRevoked
            }
            ("paymentProfile.created" | "paymentProfile.updated", _) => EventKind::TokenUpdated,
            ("paymentProfile.deleted", _) => EventKind::TokenRevoked,
            _ => return Ok(None),
        };
        let mut event = self.told(kind)?;
        event.subject_id = Some(self.required("/payload/id")?.to_owned());
        event.provider_status = status.unwrap_or(what).to_owned();
        Ok(Some(event))
    }

    fn told(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let key = self.required("/notificationId")?;
        let mut event = PaymentEvent::new(kind, NAME, key, self.verified.received_at());
        event.occurred_at = self.json.text("/eventDate").and_then(read::rfc3339);
        Ok(event)
    }

    fn response_code(&self) -> Result<&str, MappingError> {
        self.required("/payload/responseCode")
    }

    fn required(&self, pointer: &str) -> Result<&str, MappingError> {
        self.json.text(pointer).ok_or_else(|| MappingError::field(pointer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::signature::{HmacHash, hmac_tag};
    use crate::callback::{Credentials, KeySet, RawCallback, UnixSeconds};
    use serde_json::{Map, Value, json};

    /// Kinds, ids and amounts of what a notice means, in one line each.
    fn means(name: &str, payload: Value) -> Result<Vec<String>, MappingError> {
        let body = json!({"notificationId": "n-1", "eventType": format!("net.authorize.{name}"), "payload": payload});
        let body = body.to_string().into_bytes();
        let tag = hex::encode_upper(hmac_tag(HmacHash::Sha512, b"A1B2", &[&body]));
        let headers = [("X-ANET-Signature".to_owned(), format!("sha512={tag}"))];
        let raw = RawCallback::new("a", NAME, "POST", "/", headers, body);
        let keys = Map::from_iter([("signature_key".to_owned(), Value::from("A1B2"))]);
        let credentials = Credentials { key_sets: vec![KeySet::new("k", keys)] };
        let verified = provider().verify(&raw, &credentials, UnixSeconds(0)).unwrap();
        let line = |event: PaymentEvent| {
            let ids = [event.subject_id, event.transaction_id, event.refund_id];
            let ids: Vec<String> = ids.into_iter().flatten().collect();
            format!(
                "{} {} {}",
                event.kind,
                ids.join(","),
                event.amount.map(|it| it.to_string()).unwrap_or_default()
            )
        };
        Ok(provider().normalise(&verified)?.into_iter().map(line).collect())
    }

    #[test]
    fn the_response_code_decides() {
        for (name, code, expected) in [
            ("payment.authcapture.created", 1, "payment.captured INV-1,t-1 10.00 USD"),
            ("payment.authcapture.created", 2, "payment.failed INV-1,t-1 10.00 USD"),
            ("payment.authcapture.created", 3, "payment.failed INV-1,t-1 10.00 USD"),
            ("payment.authcapture.created", 4, "payment.pending INV-1,t-1 10.00 USD"),
            ("payment.authorization.created", 1, "payment.authorized INV-1,t-1 10.00 USD"),
            ("payment.priorAuthCapture.created", 1, "payment.captured INV-1,t-1 10.00 USD"),
            ("payment.priorAuthCapture.created", 3, "payment.authorized INV-1,t-1 10.00 USD"),
            ("payment.refund.created", 1, "refund.succeeded INV-1,t-1 10.00 USD"),
            ("payment.refund.created", 2, "refund.failed INV-1,t-1 10.00 USD"),
            ("payment.fraud.held", 4, "payment.pending INV-1,t-1 10.00 USD"),
            ("payment.fraud.approved", 1, "payment.authorized INV-1,t-1 10.00 USD"),
            ("payment.fraud.declined", 2, "payment.failed INV-1,t-1 10.00 USD"),
        ] {
            let payload =
                json!({"id": "t-1", "responseCode": code, "authAmount": 10.00, "invoiceNumber": "INV-1"});
            assert_eq!(means(name, payload).unwrap(), [expected], "{name} {code}");
        }
        for code in [json!(0), json!(5), Value::Null] {
            let payload = json!({"id": "t-1", "responseCode": code, "authAmount": 1});
            assert!(means("payment.authcapture.created", payload).is_err(), "{code}");
        }
    }

    #[test]
    fn a_void_releases_and_gives_back() {
        let payload = json!({"id": "t-1", "responseCode": 1, "authAmount": 10.5});
        let expected = ["payment.cancelled t-1 10.50 USD", "refund.succeeded t-1,t-1 10.50 USD"];
        assert_eq!(means("payment.void.created", payload).unwrap(), expected);
        let refused = json!({"id": "t-1", "responseCode": 3, "authAmount": 10.5});
        assert!(means("payment.void.created", refused).unwrap().is_empty());
    }

    #[test]
    fn customers_have_mandates_and_tokens() {
        for (name, status, expected) in [
            ("customer.subscription.created", "active", "mandate.signed s-1 "),
            ("customer.subscription.cancelled", "canceled", "mandate.revoked s-1 "),
            ("customer.paymentProfile.deleted", "", "token.revoked s-1 "),
        ] {
            assert_eq!(means(name, json!({"id": "s-1", "status": status})).unwrap(), [expected], "{name}");
        }
        for name in ["customer.subscription.suspended", "customer.created", "anything.else"] {
            assert!(means(name, json!({"id": "s-1"})).unwrap().is_empty(), "{name}");
        }
    }
}
