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

#[test]
fn answers_tell_what_notifications_only_claim() {
    use EventKind as K;
    let keys = sandbox::generate();
    let mut fields = keys.key_set.clone();
    fields.insert("access_token".to_owned(), json!("token"));
    let keys_with_token = KeySet::new("k", fields);
    let about = |member: &str, about: Value| {
        let mut notification = json!({"packageName": "com.example.sandbox"});
        notification[member] = about;
        verify(&request(&keys, &notification, None), &key_set(&keys), NOW).unwrap().into_hint()
    };
    let token = json!({"notificationType": 4, "purchaseToken": "t.-_1"});
    let subscription = about("subscriptionNotification", token.clone());
    let product = about("oneTimeProductNotification", token);
    let voided = about("voidedPurchaseNotification", json!({"orderId": "GPA.1-2", "purchaseToken": "t"}));
    let order = json!({
        "orderId": "GPA.1-2", "purchaseToken": "t", "state": "PARTIALLY_REFUNDED",
        "total": {"currencyCode": "EUR", "units": "4", "nanos": 990_000_000},
        "orderHistory": {
            "processedEvent": {"eventTime": "2026-01-01T00:00:00Z"},
            "partialRefundEvents": [
                {"createTime": "2026-01-02T00:00:00Z", "state": "PROCESSED_SUCCESSFULLY",
                    "refundDetails": {"total": {"currencyCode": "EUR", "units": "1"}}},
                {"createTime": "2026-01-03T00:00:00Z", "state": "PENDING",
                    "refundDetails": {"total": {"currencyCode": "EUR", "nanos": 10_000_000}}},
            ],
        },
    });
    let place =
        "https://androidpublisher.googleapis.com/androidpublisher/v3/applications/com.example.sandbox";
    for (hint, asked, answer, expected) in [
        (
            &subscription,
            "purchases/subscriptionsv2/tokens/t.-_1",
            json!({"subscriptionState": "SUBSCRIPTION_STATE_ACTIVE"}),
            vec![(K::MandateSigned, None)],
        ),
        (
            &subscription,
            "purchases/subscriptionsv2/tokens/t.-_1",
            json!({"subscriptionState": "SUBSCRIPTION_STATE_EXPIRED"}),
            vec![(K::MandateRevoked, None)],
        ),
        (
            &subscription,
            "purchases/subscriptionsv2/tokens/t.-_1",
            json!({"subscriptionState": "SUBSCRIPTION_STATE_CANCELED"}),
            vec![],
        ),
        (
            &product,
            "purchases/productsv2/tokens/t.-_1",
            json!({"purchaseStateContext": {"purchaseState": "PURCHASED"}, "orderId": "GPA.1"}),
            vec![(K::PaymentPending, None)],
        ),
        (
            &product,
            "purchases/productsv2/tokens/t.-_1",
            json!({"purchaseStateContext": {"purchaseState": "CANCELLED"}}),
            vec![(K::PaymentCancelled, None)],
        ),
        (
            &voided,
            "orders/GPA.1-2",
            order,
            vec![
                (K::PaymentCaptured, Some(499)),
                (K::RefundSucceeded, Some(100)),
                (K::RefundPending, Some(1)),
            ],
        ),
    ] {
        let requests = PROVIDER.inquiries(hint, &keys_with_token).unwrap();
        assert_eq!(requests[0].url, format!("{place}/{asked}"));
        let answered = hint.answered(&Fetched::new(200, answer.to_string().into_bytes(), NOW));
        assert_eq!(answers::require_answer(&answered, &keys_with_token), Ok(()));
        let events = PROVIDER.normalise(&answered).unwrap();
        let told: Vec<(K, Option<i128>)> =
            events.iter().map(|event| (event.kind, event.amount.as_ref().map(Money::amount_minor))).collect();
        assert_eq!(told, expected, "{answer}");
    }
    let other = voided.answered(&Fetched::new(200, br#"{"orderId":"GPA.3"}"#.to_vec(), NOW));
    assert!(answers::require_answer(&other, &keys_with_token).is_err());
    assert!(PROVIDER.inquiries(&subscription, &key_set(&keys)).is_err());
    let strange =
        about("subscriptionNotification", json!({"notificationType": 4, "purchaseToken": "../../a"}));
    assert!(PROVIDER.inquiries(&strange, &keys_with_token).is_err());
    assert!(PROVIDER.inquiries(&about("testNotification", json!({})), &keys_with_token).unwrap().is_empty());
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
