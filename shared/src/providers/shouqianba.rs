//! Shouqianba payment callbacks. Mapping: `fixtures/shouqianba/MAPPING.md`.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::read::minor;
use super::{Covers, CredentialField, MappingError, Normalise, Provider, Rail, Verify};
use crate::callback::json::Json;
use crate::callback::signature::{RsaHash, RsaKey};
use crate::callback::{Answer, Answers, KeySet, RawCallback, Rejection, UnixSeconds, Verified};
use crate::domain::{EventKind, Money, PaymentEvent};

/// Shouqianba.
pub static PROVIDER: Provider = Provider {
    name: "shouqianba",
    title: "Shouqianba 收钱吧",
    home_currency: CURRENCY,
    rail: Rail::Aggregator,
    scheme: "RSA-SHA256 over the body",
    events: KINDS,
    documents: &[
        "https://github.com/WoSai/shouqianba-doc/blob/master/zh-cn/api/interface/precreate.md",
        "https://github.com/WoSai/shouqianba-doc/blob/master/zh-cn/api/annex.md",
    ],
    answers: Answers {
        success: Answer { status: 200, content_type: "text/plain", body: "success" },
        failure_content_type: "text/plain",
        failure_body: "fail",
    },
    retry_schedule: "after 1 s, 5 s, 30 s and 600 s",
    covers: Covers::Body,
    credential_fields: &[
        CredentialField {
            name: PUBLIC_KEY,
            required: true,
            about: "Shouqianba's public key for callbacks, in base64; it is the same for all merchants",
        },
        CredentialField {
            name: TERMINALS,
            required: false,
            about: "the number of the terminal, terminal_sn, or a list of them, which live callbacks need: the key is everybody's",
        },
    ],
    verify: Verify::Coded(verify),
    readable: |keys| RsaKey::configured(keys, PUBLIC_KEY).map(drop),
    addressee: |keys| keys.texts(TERMINALS).map(|_| ()),
    normalise: Normalise::Coded(normalise),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded {
        generate: || crate::sandbox::rsa_body::generate(PUBLIC_KEY, &[(TERMINALS, "100000000000000001")]),
        sign: |keys, payload| crate::sandbox::rsa_body::sign(keys, payload, "Authorization"),
    },
    ..Provider::BASE
};

const PUBLIC_KEY: &str = "public_key_spki_b64";
const TERMINALS: &str = "expected_terminal_sn";

/// The signature is what stands last in `Authorization`: some callbacks name the terminal before it.
///
/// # Source
/// Shouqianba, "预下单" callback: RSA PKCS#1 v1.5 with SHA-256 over the body, in base64. The MD5 of requests in the other
/// direction is no signature of a callback.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let header = raw.header("authorization")?;
    let signature = header.rsplit(' ').next().unwrap_or_default();
    let signature = STANDARD.decode(signature).map_err(|_| Rejection::malformed("signature"))?;
    let key = RsaKey::configured(keys, PUBLIC_KEY)?;
    let proof = key.require_signature(RsaHash::Sha256, raw.body(), &signature)?;
    let order = Json::parse(raw.body())?;
    if keys.has(TERMINALS) {
        let terminal = order.text("/terminal_sn").unwrap_or_default();
        if !keys.texts(TERMINALS)?.contains(&terminal) {
            return Err(Rejection::IdentityMismatch { field: "terminal_sn".to_owned() });
        }
    }
    Ok(Verified::from_checked(raw, proof, now))
}

/// Every kind that it tells.
const KINDS: &[EventKind] = &[
    EventKind::PaymentPending,
    EventKind::PaymentCaptured,
    EventKind::PaymentCancelled,
    EventKind::RefundSucceeded,
];

/// Amounts are in fen.
const CURRENCY: &str = "CNY";

fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let order = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let required = |name: &str| {
        order.text(&format!("/{name}")).map(str::to_owned).ok_or_else(|| MappingError::field(name))
    };
    let status = required("order_status")?;
    let kind = match status.as_str() {
        "CREATED" => EventKind::PaymentPending,
        "PAID" => EventKind::PaymentCaptured,
        "PAY_CANCELED" | "CANCELED" => EventKind::PaymentCancelled,
        "REFUNDED" | "PARTIAL_REFUNDED" => EventKind::RefundSucceeded,
        // Shouqianba itself does not know yet what came of it.
        "PAY_ERROR" | "REFUND_ERROR" | "CANCEL_ERROR" | "CANCEL_INPROGRESS" | "INVALID_STATUS_CODE" => {
            return Ok(Vec::new());
        }
        _ => return Err(MappingError::field("order_status")),
    };
    let sn = required("sn")?;
    let total = minor(order.text("/total_amount"), CURRENCY, "total_amount")?;
    let net = order.text("/net_amount").unwrap_or_default();
    let is_refund = kind == EventKind::RefundSucceeded;
    let key = PaymentEvent::identified_by(&[&sn, &status, if is_refund { net } else { "" }]);
    let mut event = PaymentEvent::new(kind, PROVIDER.name, key, verified.received_at());
    event.subject_id = Some(required("client_sn")?);
    if is_refund {
        // There is no number of a refund; what is left over tells them apart.
        event.refund_id = Some(format!("{sn}:{net}"));
        event.amount = Some(refunded(&status, &total, net)?);
        event.amount_is_cumulative = true;
    } else {
        event.amount = Some(total);
    }
    event.transaction_id = Some(sn);
    event.occurred_at =
        ["/channel_finish_time", "/finish_time"].into_iter().find_map(|at| milliseconds(order.text(at)?));
    event.provider_status = status;
    Ok(vec![event])
}

/// Everything refunded so far: what was paid less what is left.
fn refunded(status: &str, total: &Money, net: &str) -> Result<Money, MappingError> {
    let net = minor(Some(net), CURRENCY, "net_amount")?;
    let refunded = total.amount_minor() - net.amount_minor();
    let contradiction = refunded <= 0 || (status == "REFUNDED") != (net.amount_minor() == 0);
    if contradiction {
        return Err(MappingError::field("net_amount"));
    }
    Money::from_minor(refunded, total.currency().clone()).map_err(|_| MappingError::field("net_amount"))
}

fn milliseconds(text: &str) -> Option<UnixSeconds> {
    text.parse::<i64>().ok().map(|milliseconds| UnixSeconds(milliseconds / 1000))
}

#[cfg(all(test, feature = "sandbox"))]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::callback::{Credentials, KeySet, RawCallback};
    use crate::sandbox::{Payload, SandboxKeys};

    fn raw(keys: &SandboxKeys, content: String) -> RawCallback {
        let payload = Payload { content, event_id: "1".into(), path: "/".into(), sent_at: UnixSeconds(0) };
        let request = PROVIDER.sandbox.sign(keys, &payload).expect("the sandbox signs what it is given");
        RawCallback::new("a", PROVIDER.name, "POST", "/", request.headers, request.body)
    }

    fn credentials(keys: &Map<String, serde_json::Value>) -> Credentials {
        Credentials { key_sets: vec![KeySet::new("k", keys.clone())] }
    }

    #[test]
    fn each_status_means_its_event() {
        let keys = PROVIDER.sandbox.generate();
        let events = |status: &str, net: &str| {
            let body = json!({"sn": "7", "client_sn": "A1", "order_status": status, "total_amount": "100",
                "net_amount": net, "terminal_sn": keys.key_set["expected_terminal_sn"], "finish_time": "1449646835244"});
            let raw = raw(&keys, body.to_string());
            let verified = PROVIDER.accept(&raw, &credentials(&keys.key_set), UnixSeconds(9)).unwrap();
            match PROVIDER.normalise(&verified) {
                Err(_) => "error".to_owned(),
                Ok(events) => events
                    .iter()
                    .map(|event| {
                        format!("{} {}", event.kind.name(), event.amount.as_ref().unwrap().amount_minor())
                    })
                    .collect(),
            }
        };
        for (status, net, expected) in [
            ("CREATED", "100", "payment.pending 100"),
            ("PAID", "100", "payment.captured 100"),
            ("PAY_CANCELED", "100", "payment.cancelled 100"),
            ("CANCELED", "0", "payment.cancelled 100"),
            ("REFUNDED", "0", "refund.succeeded 100"),
            ("PARTIAL_REFUNDED", "30", "refund.succeeded 70"),
            ("PARTIAL_REFUNDED", "0", "error"),
            ("PARTIAL_REFUNDED", "100", "error"),
            ("REFUNDED", "30", "error"),
            ("REFUNDED", "", "error"),
            ("REFUND_ERROR", "100", ""),
            ("OTHER", "100", "error"),
        ] {
            assert_eq!(events(status, net), expected, "{status} {net}");
        }
    }

    #[test]
    fn a_terminal_must_be_expected() {
        let keys = PROVIDER.sandbox.generate();
        let raw = raw(&keys, json!({"terminal_sn": "another"}).to_string());
        let mut fields = keys.key_set.clone();
        assert_eq!(
            PROVIDER.accept(&raw, &credentials(&fields), UnixSeconds(9)).unwrap_err().reason(),
            "identity_mismatch"
        );
        fields.insert(TERMINALS.to_owned(), json!(["one", "another"]));
        assert!(PROVIDER.accept(&raw, &credentials(&fields), UnixSeconds(9)).is_ok());
        fields.remove(TERMINALS);
        assert!(PROVIDER.verify(&raw, &credentials(&fields), UnixSeconds(9)).is_ok());
        assert_eq!(
            PROVIDER.accept(&raw, &credentials(&fields), UnixSeconds(9)).unwrap_err().reason(),
            "unconfigured"
        );
    }
}
