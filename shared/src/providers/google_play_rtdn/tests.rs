//! Whose tokens count, and what notifications claim.

use serde_json::json;

use super::*;
use crate::callback::Fetched;
use crate::domain::{EventKind, Money};
use crate::sandbox::{Payload, SandboxKeys};

const NOW: UnixSeconds = UnixSeconds(1_767_225_600);

fn request(keys: &SandboxKeys, notification: &Value, header: Option<&str>) -> RawCallback {
    let payload = Payload {
        content: notification.to_string(),
        event_id: "m1".to_owned(),
        sent_at: NOW,
        path: "/".to_owned(),
    };
    let mut signed = sandbox::sign(keys, &payload);
    if let Some(header) = header {
        signed.headers[1].1 = header.to_owned();
    }
    RawCallback::new("demo", NAME, "POST", "/", signed.headers, signed.body)
}

fn key_set(keys: &SandboxKeys) -> KeySet {
    KeySet::new("k", keys.key_set.clone())
}

#[test]
fn only_a_token_of_the_configured_service_account_for_this_audience_counts() {
    let keys = sandbox::generate();
    let test = json!({"packageName": "com.example.sandbox", "testNotification": {"version": "1.0"}});
    let genuine = json!({
        "iss": "accounts.google.com", "aud": keys.key_set["audience"], "email": keys.key_set["service_account_email"],
        "email_verified": true, "iat": NOW.0, "exp": NOW.0,
    });
    let identity = |field: &str| Some(Rejection::IdentityMismatch { field: field.to_owned() });
    let malformed = Some(Rejection::malformed("token"));
    for (claim, value, expected) in [
        ("iss", json!("accounts.google.com"), None),
        ("iss", json!("https://accounts.google.com"), None),
        ("iss", json!("https://accounts.google.com.evil.example"), identity("iss")),
        ("aud", json!("https://evil.example"), identity("aud")),
        ("aud", Value::Null, identity("aud")),
        ("email", json!("push@evil.iam.gserviceaccount.com"), identity("email")),
        ("email_verified", json!("true"), identity("email")),
        ("email_verified", json!(false), identity("email")),
        ("exp", json!(NOW.0 - 1), Some(Rejection::Stale { age_seconds: 0 })),
        ("iat", json!(NOW.0 + 1), Some(Rejection::Stale { age_seconds: -1 })),
        ("iat", Value::Null, malformed.clone()),
        ("exp", json!("soon"), malformed),
    ] {
        let mut claims = genuine.clone();
        claims[claim] = value.clone();
        let header = format!("Bearer {}", sandbox::token(&keys, &claims));
        let outcome = verify(&request(&keys, &test, Some(&header)), &key_set(&keys), NOW);
        assert_eq!(outcome.err(), expected, "{claim} {value}");
    }
    for header in ["Basic YTpi", "Bearer", ""] {
        assert!(verify(&request(&keys, &test, Some(header)), &key_set(&keys), NOW).is_err(), "{header}");
    }
}

#[test]
fn another_app_or_subscription_is_not_meant() {
    let keys = sandbox::generate();
    let notification = |package: &str| json!({"packageName": package, "testNotification": {}});
    let other = verify(&request(&keys, &notification("com.evil"), None), &key_set(&keys), NOW);
    assert_eq!(other.err(), Some(Rejection::IdentityMismatch { field: "packageName".to_owned() }));
    for (subscription, accepted) in
        [("projects/sandbox-project/subscriptions/play-billing", true), ("projects/a/subscriptions/b", false)]
    {
        let mut keys = keys.clone();
        keys.key_set.insert("subscription".to_owned(), json!(subscription));
        let outcome =
            verify(&request(&keys, &notification("com.example.sandbox"), None), &key_set(&keys), NOW);
        assert_eq!(outcome.is_ok(), accepted, "{subscription}");
    }
}

#[test]
fn notifications_claim_what_their_number_says() {
    use EventKind as K;
    let keys = sandbox::generate();
    let claimed = |member: &str, about: Value| {
        let mut notification =
            json!({"packageName": "com.example.sandbox", "eventTimeMillis": "1767225600123"});
        notification[member] = about;
        let verified = verify(&request(&keys, &notification, None), &key_set(&keys), NOW).unwrap();
        events::normalise(&verified).map(|events| events.iter().map(|event| event.kind).collect::<Vec<_>>())
    };
    for (number, expected) in [
        (1, Some(K::MandateSigned)),
        (2, Some(K::MandateSigned)),
        (3, None),
        (4, Some(K::MandateSigned)),
        (5, None),
        (6, None),
        (7, Some(K::MandateSigned)),
        (8, None),
        (9, None),
        (10, None),
        (11, None),
        (12, Some(K::MandateRevoked)),
        (13, Some(K::MandateRevoked)),
        (17, None),
        (18, None),
        (19, None),
        (20, Some(K::MandateRevoked)),
        (22, None),
        (99, None),
    ] {
        let about = json!({"notificationType": number, "purchaseToken": "t", "subscriptionId": "s"});
        let expected: Vec<K> = expected.into_iter().collect();
        assert_eq!(claimed("subscriptionNotification", about), Ok(expected), "{number}");
    }
    let product = |number: i64| json!({"notificationType": number, "purchaseToken": "t", "sku": "s"});
    assert_eq!(claimed("oneTimeProductNotification", product(1)), Ok(vec![K::PaymentPending]));
    assert_eq!(claimed("oneTimeProductNotification", product(2)), Ok(vec![K::PaymentCancelled]));
    let voided = json!({"purchaseToken": "t", "orderId": "GPA.1", "productType": 2, "refundType": 1});
    assert_eq!(claimed("voidedPurchaseNotification", voided), Ok(vec![K::RefundSucceeded]));
    let review = json!({"purchaseToken": "t", "orderId": "GPA.1"});
    assert_eq!(claimed("pendingRefundReviewNotification", review), Ok(vec![K::RefundPending]));
    assert_eq!(claimed("testNotification", json!({"version": "1.0"})), Ok(vec![]));
    assert_eq!(claimed("somethingNew", json!({})), Ok(vec![]));
    assert!(claimed("subscriptionNotification", json!({"notificationType": 4})).is_err());
}

/// A hint about this, and the account's keys with a token to ask with.
fn hint(member: &str, about: Value) -> (Verified, KeySet) {
    let mut keys = sandbox::generate();
    keys.key_set.insert("access_token".to_owned(), json!("token"));
    let mut notification = json!({"packageName": "com.example.sandbox"});
    notification[member] = about;
    let verified = verify(&request(&keys, &notification, None), &key_set(&keys), NOW).unwrap();
    (verified.into_hint(), key_set(&keys))
}

#[test]
fn answers_tell_what_notifications_only_claim() {
    use EventKind as K;
    let place =
        "https://androidpublisher.googleapis.com/androidpublisher/v3/applications/com.example.sandbox";
    let token = || json!({"notificationType": 4, "purchaseToken": "t.-_1"});
    let subscription = |state: &str| json!({"subscriptionState": format!("SUBSCRIPTION_STATE_{state}")});
    let purchase =
        |state: &str| json!({"purchaseStateContext": {"purchaseState": state}, "orderId": "GPA.1"});
    for (member, answer, expected) in [
        ("subscriptionNotification", subscription("ACTIVE"), Some(K::MandateSigned)),
        ("subscriptionNotification", subscription("EXPIRED"), Some(K::MandateRevoked)),
        ("subscriptionNotification", subscription("CANCELED"), None),
        ("oneTimeProductNotification", purchase("PURCHASED"), Some(K::PaymentPending)),
        ("oneTimeProductNotification", purchase("CANCELLED"), Some(K::PaymentCancelled)),
    ] {
        let (hint, keys) = hint(member, token());
        let asked = PROVIDER.inquiries(&hint, &keys).unwrap();
        let api = if member == "subscriptionNotification" { "subscriptionsv2" } else { "productsv2" };
        assert_eq!(asked[0].url, format!("{place}/purchases/{api}/tokens/t.-_1"));
        let answered = hint.answered(&Fetched::new(200, answer.to_string().into_bytes(), NOW));
        assert_eq!(answers::require_answer(&answered, &keys), Ok(()));
        let told: Vec<K> = PROVIDER.normalise(&answered).unwrap().iter().map(|event| event.kind).collect();
        assert_eq!(told, expected.into_iter().collect::<Vec<K>>(), "{answer}");
    }
    for (member, about) in [
        ("subscriptionNotification", json!({"notificationType": 4, "purchaseToken": "../../a"})),
        ("voidedPurchaseNotification", json!({"orderId": "..", "purchaseToken": "t"})),
    ] {
        let (hint, keys) = hint(member, about);
        assert!(PROVIDER.inquiries(&hint, &keys).is_err(), "{member}");
    }
    let (test, keys) = hint("testNotification", json!({}));
    assert!(PROVIDER.inquiries(&test, &keys).unwrap().is_empty());
}

#[test]
fn an_order_tells_what_was_taken_and_given_back() {
    use EventKind as K;
    let euros =
        |units: &str, nanos: i64| json!({"total": {"currencyCode": "EUR", "units": units, "nanos": nanos}});
    let partial = |state: &str, details: Value| json!({"createTime": format!("2026-01-02T00:00:00Z {state}"), "state": state, "refundDetails": details});
    let mut order = euros("4", 990_000_000);
    order["orderId"] = json!("GPA.1-2");
    order["state"] = json!("PARTIALLY_REFUNDED");
    order["orderHistory"] = json!({
        "processedEvent": {"eventTime": "2026-01-01T00:00:00Z"},
        "refundEvent": {"eventTime": "2026-01-03T00:00:00Z", "refundDetails": euros("4", 990_000_000)},
        "partialRefundEvents": [
            partial("PROCESSED_SUCCESSFULLY", euros("1", 0)),
            partial("PENDING", euros("0", 10_000_000)),
        ],
    });
    let (hint, keys) =
        hint("voidedPurchaseNotification", json!({"orderId": "GPA.1-2", "purchaseToken": "t"}));
    assert!(PROVIDER.inquiries(&hint, &keys).unwrap()[0].url.ends_with("/orders/GPA.1-2"));
    let answered = hint.answered(&Fetched::new(200, order.to_string().into_bytes(), NOW));
    assert_eq!(answers::require_answer(&answered, &keys), Ok(()));
    let events = PROVIDER.normalise(&answered).unwrap();
    let told: Vec<(K, Option<i128>)> =
        events.iter().map(|event| (event.kind, event.amount.as_ref().map(Money::amount_minor))).collect();
    let refund = |kind: K, minor: i128| (kind, Some(minor));
    assert_eq!(
        told,
        [
            refund(K::PaymentCaptured, 499),
            refund(K::RefundSucceeded, 499),
            refund(K::RefundSucceeded, 100),
            refund(K::RefundPending, 1)
        ]
    );
    let other = hint.answered(&Fetched::new(200, br#"{"orderId":"GPA.3"}"#.to_vec(), NOW));
    assert!(answers::require_answer(&other, &keys).is_err());
}

#[test]
fn certificates_are_fetched_only_when_they_are_not_at_hand() {
    let keys = sandbox::generate();
    let raw = request(&keys, &json!({}), None);
    assert!(key_fetch(&raw, &key_set(&keys)).unwrap().is_none());
    let asked = key_fetch(&raw, &KeySet::new("k", serde_json::Map::new())).unwrap().unwrap();
    assert_eq!(asked.request.url, "https://www.googleapis.com/oauth2/v1/certs");
    let published = keys.key_set[CERTIFICATES].to_string();
    assert_eq!(read_certificates(published.as_bytes()), Some(keys.key_set[CERTIFICATES].clone()));
    for bad in ["", "{}", "[]", r#"{"a":"b"}"#] {
        assert_eq!(read_certificates(bad.as_bytes()), None, "{bad}");
    }
}
