//! Thin events (`v2.core.event`): they name an object of the API, which is asked for, and say nothing of its state.

use super::super::{FetchRequest, Inquiry, MappingError};
use super::Object;
use crate::callback::json::Json;
use crate::callback::{KeySet, Verified};
use crate::domain::PaymentEvent;

/// How a thin event's object is asked for.
pub(super) const INQUIRY: Inquiry = Inquiry::Coded { asks, requests, require_answer, normalise };

const HOST: &str = "api.stripe.com";

/// The objects that mean something here, by the type that a thin event gives them, and their place in the API.
const PLACES: &[(&str, &str)] = &[
    ("payment_intent", "payment_intents"),
    ("charge", "charges"),
    ("refund", "refunds"),
    ("dispute", "disputes"),
    ("payout", "payouts"),
    ("mandate", "mandates"),
    ("subscription", "subscriptions"),
    ("checkout.session", "checkout/sessions"),
];

fn asks(verified: &Verified) -> bool {
    Json::parse(verified.raw().body()).is_ok_and(|event| related(&event).is_some())
}

/// The place and the id of the object that a thin event is about.
fn related(event: &Json) -> Option<(&'static str, &str)> {
    if event.text("/object") != Some("v2.core.event") {
        return None;
    }
    let named = event.text("/related_object/type")?;
    let (_, place) = PLACES.iter().find(|(name, _)| *name == named)?;
    Some((place, event.text("/related_object/id")?))
}

/// The event's `url` is not followed: an address is made of the object's type and id.
fn requests(verified: &Verified, keys: &KeySet) -> Result<Vec<FetchRequest>, MappingError> {
    let event = Json::parse(verified.raw().body()).map_err(|_| MappingError::Content)?;
    let (place, id) = related(&event).ok_or_else(|| MappingError::field("related_object"))?;
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(MappingError::field("related_object/id"));
    }
    let key = keys.text("api_key").map_err(|_| MappingError::field("api_key"))?;
    let request = FetchRequest::get(HOST, format!("https://{HOST}/v1/{place}/{id}"))
        .with_header("Authorization", format!("Bearer {key}"));
    // For Connect: whose object it is.
    Ok(vec![match event.text("/context") {
        Some(context) => request.with_header("Stripe-Context", context),
        None => request,
    }])
}

fn require_answer(answer: &Verified, _keys: &KeySet) -> Result<(), MappingError> {
    let event = Json::parse(answer.raw().body()).map_err(|_| MappingError::Content)?;
    let object = Json::parse(answer.content()).map_err(|_| MappingError::Content)?;
    let (_, id) = related(&event).ok_or_else(|| MappingError::field("related_object"))?;
    let is_about =
        object.text("/id") == Some(id) && object.text("/object") == event.text("/related_object/type");
    if is_about { Ok(()) } else { Err(MappingError::field("id")) }
}

/// An object's own state stands for the event that would have told it.
fn normalise(answer: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let event = Json::parse(answer.raw().body()).map_err(|_| MappingError::Content)?;
    let json = Json::parse(answer.content()).map_err(|_| MappingError::Content)?;
    let named = json.text("/object").ok_or_else(|| MappingError::field("object"))?;
    let status = json.text("/status").unwrap_or_default();
    let is = |name: &str| json.at(name) == Some(&Json::Bool(true));
    let type_name = match (named, status) {
        ("payment_intent", "succeeded") => "payment_intent.succeeded",
        ("payment_intent", "requires_capture") => "payment_intent.amount_capturable_updated",
        ("payment_intent", "processing") => "payment_intent.processing",
        ("payment_intent", "requires_action") => "payment_intent.requires_action",
        ("payment_intent", "canceled") => "payment_intent.canceled",
        // An attempt that failed leaves its error behind; a new intent has none.
        ("payment_intent", "requires_payment_method") if json.at("/last_payment_error/code").is_some() => {
            "payment_intent.payment_failed"
        }
        ("payment_intent", _) => "payment_intent.created",
        ("charge", "succeeded") if is("/captured") => "charge.captured",
        ("charge", "succeeded") => "charge.succeeded",
        ("charge", "pending") => "charge.pending",
        ("charge", "failed") => "charge.failed",
        ("refund", _) => "refund.updated",
        ("dispute", "won" | "lost" | "warning_closed" | "charge_refunded") => "charge.dispute.closed",
        ("dispute", _) => "charge.dispute.updated",
        ("payout", "paid") => "payout.paid",
        ("payout", "failed" | "canceled") => "payout.failed",
        ("mandate", _) => "mandate.updated",
        ("subscription", "canceled") => "customer.subscription.deleted",
        ("subscription", _) => "customer.subscription.updated",
        ("checkout.session", "expired") => "checkout.session.expired",
        ("checkout.session", "complete") => "checkout.session.completed",
        _ => return Ok(Vec::new()),
    };
    Object { json: &json, event: &event, received_at: answer.received_at() }
        .read(type_name)?
        .into_iter()
        .collect()
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests {
    use serde_json::{Value, json};

    use super::super::provider;
    use super::*;
    use crate::callback::{Credentials, Fetched, RawCallback, UnixSeconds};
    use crate::domain::EventKind;
    use crate::sandbox::Payload;

    const NOW: UnixSeconds = UnixSeconds(1_767_225_600);

    fn thin(named: &str, id: &str) -> Value {
        json!({
            "id": "evt_1", "object": "v2.core.event", "type": format!("v1.{named}.updated"), "livemode": false,
            "created": "2026-01-01T00:00:00.000Z",
            "related_object": {"id": id, "type": named, "url": "https://evil.example/"},
        })
    }

    fn verified(event: &Value) -> (Verified, KeySet) {
        let provider = provider();
        let mut keys = provider.sandbox.generate();
        keys.key_set.insert("api_key".to_owned(), json!("rk_test_1"));
        let payload = Payload {
            content: event.to_string(),
            event_id: "e".to_owned(),
            sent_at: NOW,
            path: "/".to_owned(),
        };
        let request = provider.sandbox.sign(&keys, &payload).unwrap();
        let raw = RawCallback::new("demo", "stripe", "POST", "/", request.headers, request.body);
        let keys = KeySet::new("k", keys.key_set);
        let credentials = Credentials { key_sets: vec![keys.clone()] };
        (provider.verify(&raw, &credentials, NOW).unwrap(), keys)
    }

    #[test]
    fn a_thin_event_asks_stripe_for_its_object_and_nothing_else() {
        let provider = provider();
        let (told, keys) = verified(&thin("checkout.session", "cs_test_1"));
        assert!(provider.must_ask(&told));
        assert!(provider.normalise(&told).unwrap().is_empty());
        let asked = provider.inquiries(&told, &keys).unwrap();
        assert_eq!(asked[0].url, "https://api.stripe.com/v1/checkout/sessions/cs_test_1");
        assert_eq!(asked[0].pinned_host, "api.stripe.com");
        let mut with_context = thin("charge", "ch_1");
        with_context["context"] = json!("acct_1");
        let (told, keys) = verified(&with_context);
        let headers = &provider.inquiries(&told, &keys).unwrap()[0].headers;
        assert!(headers.contains(&("Stripe-Context".to_owned(), "acct_1".to_owned())));
        let (told, keys) = verified(&thin("charge", "../accounts"));
        assert!(provider.inquiries(&told, &keys).is_err());
        for quiet in [
            thin("billing.meter", "mtr_1"),
            json!({"id": "evt_1", "object": "event", "type": "charge.failed"}),
        ] {
            assert!(!provider.must_ask(&verified(&quiet).0), "{quiet}");
        }
    }

    #[test]
    fn the_objects_own_state_says_what_happened() {
        use EventKind as K;
        let intent = |status: &str| {
            json!({"id": "x_1", "object": "payment_intent", "status": status, "amount": 5, "amount_received": 4,
                "amount_capturable": 3, "currency": "usd", "last_payment_error": null})
        };
        let mut declined = intent("requires_payment_method");
        declined["last_payment_error"] = json!({"code": "card_declined"});
        let with = |named: &str, status: &str, more: Value| {
            let mut object = json!({"id": "x_1", "object": named, "status": status, "amount": 5, "currency": "usd",
                "charge": "ch_1"});
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            object
        };
        for (object, expected) in [
            (intent("succeeded"), Some((K::PaymentCaptured, Some(4)))),
            (intent("requires_capture"), Some((K::PaymentAuthorized, Some(3)))),
            (intent("processing"), Some((K::PaymentPending, Some(5)))),
            (intent("requires_payment_method"), Some((K::PaymentPending, Some(5)))),
            (declined, Some((K::PaymentFailed, Some(5)))),
            (intent("canceled"), Some((K::PaymentCancelled, Some(5)))),
            (
                with("charge", "succeeded", json!({"captured": true, "amount_captured": 5})),
                Some((K::PaymentCaptured, Some(5))),
            ),
            (with("charge", "succeeded", json!({"captured": false})), Some((K::PaymentAuthorized, Some(5)))),
            (with("charge", "failed", json!({})), Some((K::PaymentFailed, Some(5)))),
            (with("refund", "succeeded", json!({})), Some((K::RefundSucceeded, Some(5)))),
            (with("dispute", "needs_response", json!({})), Some((K::DisputeOpened, Some(5)))),
            (with("dispute", "lost", json!({})), Some((K::DisputeLost, Some(5)))),
            (with("payout", "paid", json!({})), Some((K::TransferSucceeded, Some(5)))),
            (with("payout", "in_transit", json!({})), None),
            (with("mandate", "inactive", json!({})), Some((K::MandateRevoked, None))),
            (with("subscription", "canceled", json!({})), Some((K::MandateRevoked, None))),
            (
                with(
                    "checkout.session",
                    "complete",
                    json!({"payment_status": "paid", "amount_total": 5, "mode": "payment"}),
                ),
                Some((K::PaymentCaptured, Some(5))),
            ),
            (with("checkout.session", "open", json!({})), None),
        ] {
            let (told, keys) = verified(&thin(object["object"].as_str().unwrap(), "x_1"));
            let answer = told.answered(&Fetched::new(200, object.to_string().into_bytes(), NOW));
            assert_eq!(require_answer(&answer, &keys), Ok(()), "{object}");
            let events = provider().normalise(&answer).unwrap();
            let got = events.first().map(|event| {
                assert_eq!(event.key, "evt_1");
                (event.kind, event.amount.as_ref().map(crate::domain::Money::amount_minor))
            });
            assert_eq!(got, expected, "{object}");
            let other = told.answered(&Fetched::new(200, br#"{"id":"x_2","object":"charge"}"#.to_vec(), NOW));
            assert!(require_answer(&other, &keys).is_err());
        }
    }
}
