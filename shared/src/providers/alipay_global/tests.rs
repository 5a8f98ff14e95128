//! Notices that Antom would send, and what is refused.

use serde_json::{Value, json};

use super::*;
use crate::callback::Credentials;
use crate::domain::PaymentEvent;
use crate::sandbox::{Payload, SandboxKeys};

fn signed(keys: &SandboxKeys, body: &str) -> RawCallback {
    let payload = Payload {
        content: body.into(),
        event_id: "1".into(),
        path: "/payNotify".into(),
        sent_at: UnixSeconds(1_767_225_600),
    };
    let request = sandbox::sign(keys, &payload);
    RawCallback::new("account", PROVIDER.name, "POST", "/payNotify", request.headers, request.body)
}

fn check(raw: &RawCallback, keys: &SandboxKeys) -> Result<Verified, Rejection> {
    let key_sets = vec![KeySet::new("test", keys.key_set.clone())];
    PROVIDER.accept(raw, &Credentials { key_sets }, UnixSeconds(1_767_225_600))
}

fn events(keys: &SandboxKeys, body: &Value) -> Result<Vec<PaymentEvent>, String> {
    let verified = check(&signed(keys, &body.to_string()), keys).expect("the sandbox signs what it is given");
    PROVIDER.normalise(&verified).map_err(|error| error.to_string())
}

#[test]
fn the_header_is_read_strictly() {
    for (header, expected) in [
        ("algorithm=RSA256,keyVersion=1,signature=YQ%3D%3D", Ok(b"a".to_vec())),
        ("algorithm=RSA256, keyVersion=1, signature=YQ==", Ok(b"a".to_vec())),
        ("signature=%2B%2B%2B%2B", Ok(vec![0xfb, 0xef, 0xbe])),
        ("signature=++++", Ok(vec![0xfb, 0xef, 0xbe])),
        ("algorithm=ECC224,keyVersion=1,signature=YQ==", Err(Rejection::AlgorithmNotAllowed)),
        ("algorithm=RSA256,keyVersion=1,signature=", Err(Rejection::MissingSignature)),
        ("algorithm=RSA256,keyVersion=1", Err(Rejection::MissingSignature)),
        ("signature=YQ==,signature=YQ==", Err(Rejection::Duplicate { name: "signature".into() })),
        ("signature=YQ==,other=1", Err(Rejection::malformed("signature"))),
        ("YQ==", Err(Rejection::malformed("signature"))),
        ("signature=Y_Q=", Err(Rejection::malformed("signature"))),
    ] {
        assert_eq!(signature(header, None), expected, "{header}");
    }
}

#[test]
fn the_key_is_of_the_version_that_the_signature_names() {
    for (header, expected) in [
        ("keyVersion=1,signature=YQ==", Err(Rejection::UnknownKey)),
        ("keyVersion=2,signature=YQ==", Ok(b"a".to_vec())),
        ("signature=YQ==", Err(Rejection::UnknownKey)),
    ] {
        assert_eq!(signature(header, Some("2")), expected, "{header}");
    }
}

#[test]
fn the_path_is_the_one_that_antom_called() {
    let mut keys = sandbox::generate();
    let raw = signed(&keys, "{}");
    assert!(check(&raw, &keys).is_ok());
    keys.key_set.insert(SIGNED_PATH.into(), json!("/other"));
    assert_eq!(check(&raw, &keys), Err(Rejection::SignatureMismatch));
    keys.key_set.remove(SIGNED_PATH);
    assert!(check(&raw, &keys).is_ok());
    keys.key_set.remove(CLIENT_ID);
    assert_eq!(check(&raw, &keys), Err(Rejection::unconfigured(CLIENT_ID)));
    keys.key_set.insert(CLIENT_ID.into(), json!("another"));
    assert!(matches!(check(&raw, &keys), Err(Rejection::IdentityMismatch { .. })));
}

#[test]
fn each_notice_means_its_event() {
    let keys = sandbox::generate();
    let amount = json!({"value": "8000", "currency": "JPY"});
    let payment = |notify_type: &str, status: &str, method: &str| {
        json!({"notifyType": notify_type, "result": {"resultStatus": status}, "paymentRequestId": "A1",
            "paymentId": "P1", "paymentAmount": amount, "paymentMethodType": method})
    };
    let capture = |status: &str| {
        json!({"notifyType": "CAPTURE_RESULT", "result": {"resultStatus": status}, "paymentId": "P1",
            "captureId": "C1", "captureAmount": amount})
    };
    let refund = |status: &str| {
        json!({"notifyType": "REFUND_RESULT", "result": {"resultStatus": "S"}, "refundStatus": status,
            "refundId": "F1", "refundRequestId": "G1", "refundAmount": amount})
    };
    let dispute = |kind: &str, judged: &str| {
        json!({"notifyType": "DISPUTE", "disputeNotificationType": kind, "disputeJudgedResult": judged,
            "disputeId": "D1", "paymentId": "P1", "disputeAmount": amount})
    };
    let subscription = |kind: &str, status: &str| json!({"subscriptionNotificationType": kind, "subscriptionStatus": status, "subscriptionId": "S1"});
    let transfer = |status: &str| {
        json!({"notifyType": "TRANSFER", "transferResult": {"resultStatus": status}, "transferId": "T1",
            "transferRequestId": "U1"})
    };
    for (body, kind) in [
        (payment("PAYMENT_RESULT", "S", "KAKAOPAY"), "payment.captured"),
        (payment("PAYMENT_RESULT", "S", "CARD"), "payment.authorized"),
        (payment("PAYMENT_RESULT", "F", "CARD"), "payment.failed"),
        (payment("PAYMENT_RESULT", "U", "CARD"), "payment.pending"),
        (payment("PAYMENT_PENDING", "S", "KAKAOPAY"), "payment.pending"),
        (payment("UPDATE_AMOUNT_RESULT", "S", "CARD"), ""),
        (payment("PAYMENT_RESULT", "X", "CARD"), "error"),
        (capture("S"), "payment.captured"),
        (capture("F"), "payment.failed"),
        (capture("U"), ""),
        (refund("SUCCESS"), "refund.succeeded"),
        (refund("FAIL"), "refund.failed"),
        (refund("PROCESSING"), "refund.pending"),
        (refund("OTHER"), "error"),
        (dispute("DISPUTE_CREATED", ""), "dispute.opened"),
        (dispute("DEFENSE_SUPPLIED", ""), "dispute.opened"),
        (dispute("DISPUTE_CANCELLED", ""), "dispute.won"),
        (dispute("DISPUTE_ACCEPTED", ""), "dispute.lost"),
        (dispute("RDR_RESOLVED", ""), "dispute.lost"),
        (dispute("DISPUTE_JUDGED", "ACCEPT_BY_CUSTOMER"), "dispute.won"),
        (dispute("DISPUTE_JUDGED", "ACCEPT_BY_MERCHANT"), "dispute.lost"),
        (dispute("DISPUTE_JUDGED", "VALIDATE_FAIL"), ""),
        (dispute("DISPUTE_JUDGED", ""), "error"),
        (subscription("CREATE", "ACTIVE"), "mandate.signed"),
        (subscription("CREATE", "TERMINATED"), "error"),
        (subscription("TERMINATE", "TERMINATED"), "mandate.revoked"),
        (subscription("UPDATE", "ACTIVE"), ""),
        (json!({"authorizationNotifyType": "AUTHCODE_CREATED", "authState": "B1"}), "mandate.signed"),
        (json!({"authorizationNotifyType": "TOKEN_CANCELED", "accessToken": "secret"}), "mandate.revoked"),
        (transfer("S"), "transfer.succeeded"),
        (transfer("F"), "transfer.failed"),
        (transfer("U"), ""),
        (json!({"notifyType": "ANYTHING"}), ""),
        (json!({"notifyType": "PAYMENT_RESULT"}), "error"),
    ] {
        let kinds: Vec<&str> = match events(&keys, &body) {
            Ok(events) => {
                assert!(!format!("{events:?}").contains("secret"), "{body}");
                assert!(
                    events
                        .iter()
                        .filter_map(|event| event.amount.as_ref())
                        .all(|it| it.amount_minor() == 8000)
                );
                events.into_iter().map(|event| event.kind.name()).collect()
            }
            Err(_) => vec!["error"],
        };
        let expected: Vec<&str> = Some(kind).filter(|kind| !kind.is_empty()).into_iter().collect();
        assert_eq!(kinds, expected, "{body}");
    }
}
