//! Notifications with their nested objects, and what is refused.

use serde_json::{Map, Value, json};

use super::*;
use crate::callback::Credentials;
use crate::domain::PaymentEvent;
use crate::sandbox::{Payload, SandboxKeys};

const NOW: UnixSeconds = UnixSeconds(1_767_225_600);

fn keys() -> &'static SandboxKeys {
    static KEYS: std::sync::LazyLock<SandboxKeys> = std::sync::LazyLock::new(sandbox::generate);
    &KEYS
}

fn notification(type_name: &str, subtype: &str, transaction: Value) -> Value {
    let mut data = json!({
        "appAppleId": 1_234_567_890, "bundleId": "com.example.paybell", "environment": "Production",
    });
    if !transaction.is_null() {
        let mut whole = json!({
            "transactionId": "200", "originalTransactionId": "100", "bundleId": "com.example.paybell",
            "environment": "Production", "price": 19_990, "currency": "USD", "appAccountToken": "token",
            "type": "Auto-Renewable Subscription", "inAppOwnershipType": "PURCHASED",
        });
        for (name, value) in transaction.as_object().into_iter().flatten() {
            whole[name] = value.clone();
        }
        data["transaction"] = whole;
    }
    data["renewal"] = json!({
        "originalTransactionId": "100", "environment": "Production", "renewalPrice": 9_990, "currency": "USD",
        "signedDate": NOW.0 * 1000,
    });
    json!({
        "notificationType": type_name, "subtype": subtype, "notificationUUID": "uuid",
        "signedDate": NOW.0 * 1000, "data": data,
    })
}

fn request(notification: &Value) -> RawCallback {
    let payload = Payload {
        content: notification.to_string(),
        event_id: "e".to_owned(),
        sent_at: NOW,
        path: "/".to_owned(),
    };
    let request = sandbox::sign(keys(), &payload);
    RawCallback::new("a", PROVIDER.name, request.method, "/", request.headers, request.body)
}

fn verified_with(
    notification: &Value,
    fields: &[(&str, Value)],
    now: UnixSeconds,
) -> Result<Verified, Rejection> {
    let mut key_set: Map<String, Value> = keys().key_set.clone();
    key_set.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let credentials = Credentials { key_sets: vec![KeySet::new("k", key_set)] };
    PROVIDER.verify(&request(notification), &credentials, now)
}

fn events(notification: &Value) -> Vec<PaymentEvent> {
    PROVIDER.normalise(&verified_with(notification, &[], NOW).unwrap()).unwrap()
}

/// Kind, subject and amount of each event.
fn words(notification: &Value) -> String {
    let words = events(notification).into_iter().map(|event| {
        let amount = event.amount.map_or("-".to_owned(), |amount| amount.to_string());
        format!("{} {} {amount}", event.kind, event.subject_id.unwrap_or_else(|| "-".to_owned()))
    });
    words.collect::<Vec<_>>().join("; ")
}

#[test]
fn every_type_means_what_the_mapping_says() {
    let paid = "payment.captured 200 19.99 USD; mandate.signed 100 -";
    let shared = json!({ "inAppOwnershipType": "FAMILY_SHARED" });
    let prorated =
        |percentage: u32| json!({ "revocationType": "REFUND_PRORATED", "revocationPercentage": percentage });
    for (type_name, subtype, transaction, expected) in [
        ("ONE_TIME_CHARGE", "", json!({}), "payment.captured token 19.99 USD"),
        ("ONE_TIME_CHARGE", "", json!({ "appAccountToken": null }), "payment.captured 200 19.99 USD"),
        (
            "ONE_TIME_CHARGE",
            "",
            json!({ "price": 300_000, "currency": "JPY" }),
            "payment.captured token 300 JPY",
        ),
        ("ONE_TIME_CHARGE", "", json!({ "price": 0 }), "payment.captured token 0.00 USD"),
        ("ONE_TIME_CHARGE", "", shared.clone(), ""),
        ("SUBSCRIBED", "INITIAL_BUY", json!({}), "payment.captured token 19.99 USD; mandate.signed 100 -"),
        ("SUBSCRIBED", "RESUBSCRIBE", shared.clone(), "mandate.signed 100 -"),
        ("DID_RENEW", "", json!({}), paid),
        ("DID_RENEW", "BILLING_RECOVERY", json!({}), paid),
        ("DID_CHANGE_RENEWAL_PREF", "UPGRADE", json!({}), paid),
        ("DID_CHANGE_RENEWAL_PREF", "DOWNGRADE", json!({}), ""),
        ("OFFER_REDEEMED", "UPGRADE", json!({}), paid),
        ("OFFER_REDEEMED", "", json!({}), ""),
        ("DID_CHANGE_RENEWAL_STATUS", "AUTO_RENEW_DISABLED", json!({}), ""),
        ("DID_FAIL_TO_RENEW", "GRACE_PERIOD", json!({}), "payment.failed - 9.99 USD"),
        ("GRACE_PERIOD_EXPIRED", "", json!({}), "mandate.revoked 100 -"),
        ("EXPIRED", "VOLUNTARY", json!({}), "mandate.revoked 100 -"),
        ("REVOKE", "", shared, "mandate.revoked 100 -"),
        ("REVOKE", "", json!({ "type": "Non-Consumable" }), ""),
        ("CONSUMPTION_REQUEST", "", json!({}), "refund.pending - 19.99 USD"),
        ("REFUND", "", json!({}), "refund.succeeded - 19.99 USD"),
        ("REFUND", "", prorated(50_000), "refund.succeeded - -"),
        ("REFUND", "", prorated(100_000), "refund.succeeded - 19.99 USD"),
        ("REFUND_DECLINED", "", json!({}), "refund.failed - 19.99 USD"),
        ("REFUND_REVERSED", "", json!({}), "refund.failed - 19.99 USD"),
        ("PRICE_INCREASE", "PENDING", json!({}), ""),
        ("RENEWAL_EXTENDED", "", json!({}), ""),
        ("TEST", "", Value::Null, ""),
        ("A_NEW_TYPE", "", Value::Null, ""),
    ] {
        let notification = notification(type_name, subtype, transaction);
        assert_eq!(words(&notification), expected, "{type_name} {subtype} {notification}");
    }
}

#[test]
fn a_share_that_is_an_exact_amount_is_told() {
    let transaction = json!({
        "price": 20_000, "revocationType": "REFUND_PRORATED", "revocationPercentage": 25_000,
    });
    let events = events(&notification("REFUND", "", transaction));
    assert_eq!(events[0].amount.as_ref().unwrap().to_string(), "5.00 USD");
    assert_eq!(events[0].refund_id.as_deref(), Some("200"));
    assert_eq!(events[0].references[0].0, "apple_app_store_v2:200");
    assert!(events[0].amount_is_cumulative);
}

#[test]
fn contradicting_content_is_not_read() {
    for transaction in [
        json!({ "price": 19_995 }),
        json!({ "price": -1 }),
        json!({ "price": 19_990, "currency": null }),
        json!({ "transactionId": null }),
        json!({ "revocationType": "REFUND_PRORATED" }),
        json!({ "revocationType": "REFUND_PRORATED", "revocationPercentage": 100_001 }),
    ] {
        let verified = verified_with(&notification("REFUND", "", transaction.clone()), &[], NOW).unwrap();
        assert!(PROVIDER.normalise(&verified).is_err(), "{transaction}");
    }
}

#[test]
fn f15_only_the_accounts_app_and_environment_are_believed() {
    let about = |name: &str, value: Value| {
        let mut notification = notification("TEST", "", Value::Null);
        notification["data"][name] = value;
        notification
    };
    let nested = |name: &str, value: Value| notification("DID_RENEW", "", json!({ name: value }));
    let token = |id: &str| {
        json!({
            "notificationType": "EXTERNAL_PURCHASE_TOKEN", "notificationUUID": "u",
            "externalPurchaseToken": {
                "externalPurchaseId": id, "bundleId": "com.example.paybell", "appAppleId": 1_234_567_890,
            },
        })
    };
    for (notification, accepted) in [
        (about("bundleVersion", json!("2")), true),
        (about("bundleId", json!("com.example.other")), false),
        (about("bundleId", Value::Null), false),
        (about("appAppleId", json!(1)), false),
        (about("appAppleId", Value::Null), false),
        (about("environment", json!("Sandbox")), false),
        (about("environment", json!("Xcode")), false),
        (about("signedTransactionInfo", json!("e30.e30.")), false),
        (nested("bundleId", json!("com.example.other")), false),
        (nested("bundleId", Value::Null), false),
        (nested("environment", json!("Sandbox")), false),
        (token("7a3f"), true),
        (token("SANDBOX_7a3f"), false),
        (json!({ "notificationType": "TEST", "notificationUUID": "u" }), false),
    ] {
        assert_eq!(verified_with(&notification, &[], NOW).is_ok(), accepted, "{notification}");
    }
}

#[test]
fn f9_half_configured_accounts_and_other_roots_prove_nothing() {
    let test = notification("TEST", "", Value::Null);
    for (field, value) in [
        ("environment", json!("Xcode")),
        ("app_apple_id", Value::Null),
        ("app_apple_id", json!("1234567890")),
        ("root_cert_der_b64", json!([])),
        ("root_cert_der_b64", json!("YWJj")),
        ("use_signed_date", json!("yes")),
    ] {
        let outcome = verified_with(&test, &[(field, value.clone())], NOW);
        assert_eq!(outcome.err(), Some(Rejection::unconfigured(field)), "{field} {value}");
    }
    let mut without_root = keys().key_set.clone();
    without_root.remove("root_cert_der_b64");
    let credentials = Credentials { key_sets: vec![KeySet::new("k", without_root)] };
    let outcome = PROVIDER.verify(&request(&test), &credentials, NOW);
    assert_eq!(outcome.err(), Some(Rejection::Certificate(CertificateProblem::Untrusted)));
}

#[test]
fn the_signed_date_counts_only_where_it_is_asked_for() {
    let test = notification("TEST", "", Value::Null);
    let year_2060 = UnixSeconds(2_840_140_800);
    let outcome = verified_with(&test, &[], year_2060);
    assert_eq!(outcome.err(), Some(Rejection::Certificate(CertificateProblem::Expired)));
    assert!(verified_with(&test, &[("use_signed_date", json!(true))], year_2060).is_ok());
}
