//! Notices of every family, and what is refused.

use serde_json::{Map, Value, json};

use super::*;
use crate::callback::{Credentials, Fetched, Origin};
use crate::domain::PaymentEvent;

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn keys(more: Value) -> KeySet {
    let mut fields = Map::from_iter([("api_key".to_owned(), json!(KEY))]);
    fields.extend(more.as_object().cloned().unwrap_or_default());
    KeySet::new("test", fields)
}

fn request(body: &str) -> RawCallback {
    RawCallback::new("account", PROVIDER.name, "POST", "/", [], body.as_bytes().to_vec())
}

fn signed(sign_type: SignType, texts: &[(&'static str, &'static str)]) -> String {
    let mut elements: Elements<'_> = texts.iter().copied().collect();
    let sign = sign_type.sign(&elements, KEY);
    elements.insert("sign", &sign);
    refund::document("xml", &elements)
}

fn check(body: &str, more: Value) -> Result<Verified, Rejection> {
    PROVIDER.verify(&request(body), &Credentials { key_sets: vec![keys(more)] }, UnixSeconds(5))
}

fn events(body: &str) -> Result<Vec<PaymentEvent>, String> {
    PROVIDER
        .normalise(&check(body, json!({})).expect("the notice is accepted"))
        .map_err(|error| error.to_string())
}

const PAID: &[(&str, &str)] = &[
    ("return_code", "SUCCESS"),
    ("result_code", "SUCCESS"),
    ("appid", "wx1"),
    ("mch_id", "19"),
    ("attach", ""),
    ("out_trade_no", "A1"),
    ("transaction_id", "T1"),
    ("total_fee", "12"),
    ("time_end", "20240520100012"),
];

#[test]
fn the_configuration_chooses_the_algorithm() {
    let hmac = json!({"sign_type": "HMAC-SHA256"});
    assert!(check(&signed(SignType::Md5, PAID), json!({})).is_ok());
    assert!(check(&signed(SignType::HmacSha256, PAID), hmac.clone()).is_ok());
    assert_eq!(check(&signed(SignType::Md5, PAID), hmac.clone()), Err(Rejection::SignatureMismatch));
    assert_eq!(check(&signed(SignType::HmacSha256, PAID), json!({})), Err(Rejection::SignatureMismatch));
    let told = [PAID, &[("sign_type", "MD5")]].concat();
    assert!(check(&signed(SignType::Md5, &told), json!({})).is_ok());
    assert_eq!(check(&signed(SignType::Md5, &told), hmac), Err(Rejection::AlgorithmNotAllowed));
    for unusable in [json!({"sign_type": "NONE"}), json!({"sign_type": ""}), json!({"api_key": " "})] {
        let rejection = check(&signed(SignType::Md5, PAID), unusable.clone());
        assert!(matches!(rejection, Err(Rejection::Unconfigured { .. })), "{unusable}");
    }
}

#[test]
fn a_message_for_somebody_else_is_refused() {
    for (expected, accepted) in [
        (json!({"expected_mch_id": "19", "expected_appid": "wx1"}), true),
        (json!({"expected_mch_id": "20"}), false),
        (json!({"expected_appid": "wx2"}), false),
        (json!({"expected_sub_mch_id": "21"}), false),
    ] {
        assert_eq!(check(&signed(SignType::Md5, PAID), expected.clone()).is_ok(), accepted, "{expected}");
    }
}

#[test]
fn a_parameter_inside_of_a_value_is_refused() {
    let hidden = [PAID, &[("body", "x&total_fee=1")]].concat();
    assert!(matches!(check(&signed(SignType::Md5, &hidden), json!({})), Err(Rejection::Duplicate { .. })));
}

#[test]
fn the_state_of_the_trade_counts_where_it_is_told() {
    for (result, state, kind) in [
        ("SUCCESS", "", "payment.captured"),
        ("SUCCESS", "SUCCESS", "payment.captured"),
        ("SUCCESS", "REFUND", "payment.captured"),
        ("SUCCESS", "ACCEPT", "payment.pending"),
        ("SUCCESS", "PAY_FAIL", "payment.failed"),
        ("FAIL", "PAYERROR", "payment.failed"),
        ("FAIL", "", "payment.failed"),
        ("SUCCESS", "CLOSED", "payment.expired"),
        ("SUCCESS", "REVOKED", "payment.cancelled"),
    ] {
        let mut message = [PAID, &[("trade_state", state)]].concat();
        message[1].1 = result;
        let events = events(&signed(SignType::Md5, &message)).unwrap();
        let [event] = &events[..] else { panic!("{result} {state}: {events:?}") };
        assert_eq!(event.kind.name(), kind, "{result} {state}");
        assert_eq!(event.subject_id.as_deref(), Some("A1"));
        assert_eq!(event.occurred_at, Some(UnixSeconds(1_716_170_412)));
    }
    for (result, state) in [("FAIL", "SUCCESS"), ("OTHER", ""), ("SUCCESS", "OTHER")] {
        let mut message = [PAID, &[("trade_state", state)]].concat();
        message[1].1 = result;
        assert!(events(&signed(SignType::Md5, &message)).is_err(), "{result} {state}");
    }
    for without in ["transaction_id", "out_trade_no", "total_fee"] {
        let message: Vec<_> = PAID.iter().copied().filter(|(name, _)| *name != without).collect();
        assert!(events(&signed(SignType::Md5, &message)).is_err(), "{without}");
    }
    assert_eq!(
        events(&signed(SignType::Md5, &[("return_code", "FAIL"), ("result_code", "SUCCESS")])),
        Ok(vec![])
    );
}

#[test]
fn a_refund_notice_is_a_hint_and_the_answer_counts() {
    let info = Elements::from([
        ("refund_id", "R1"),
        ("out_trade_no", "A1"),
        ("transaction_id", "T1"),
        ("refund_fee", "7"),
        ("refund_status", "SUCCESS"),
    ]);
    let plaintext = refund::document("root", &info);
    let sealed =
        crate::callback::cipher::seal_aes_ecb(refund::cipher_key(KEY).as_bytes(), plaintext.as_bytes());
    let sealed = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, sealed.unwrap());
    let envelope = Elements::from([
        ("return_code", "SUCCESS"),
        ("appid", "wx1"),
        ("mch_id", "19"),
        ("req_info", &sealed),
    ]);
    let hint = check(&refund::document("xml", &envelope), json!({})).unwrap();
    assert_eq!(hint.origin(), Origin::Hint);
    assert_eq!(PROVIDER.normalise(&hint).unwrap()[0].kind.name(), "refund.succeeded");

    let inquiry = PROVIDER.inquiry.unwrap();
    let requests = inquiry.requests(&hint, &keys(json!({}))).unwrap();
    assert_eq!(requests[0].url, "https://api.mch.weixin.qq.com/pay/refundquery");
    let question = Xml::parse(&requests[0].body).unwrap();
    assert_eq!(question.text("/xml/refund_id"), Some("R1"));
    let question = question.flat().unwrap();
    assert_eq!(question["sign"], SignType::Md5.sign(&question, KEY));

    let answer = |status: &str, code: &str| {
        let body = format!(
            "<xml><mch_id>19</mch_id><return_code>SUCCESS</return_code><result_code>{code}</result_code><out_trade_no>A1</out_trade_no>\
             <transaction_id>T1</transaction_id><total_fee>12</total_fee><refund_count>1</refund_count>\
             <refund_id_0>R1</refund_id_0><refund_fee_0>5</refund_fee_0><refund_status_0>{status}</refund_status_0>\
             <refund_success_time_0>2024-05-20 10:00:12</refund_success_time_0></xml>"
        );
        let answer = hint.answered(&Fetched::new(200, body.clone().into_bytes(), UnixSeconds(9)));
        assert!(inquiry.require_answer(&answer, &keys(json!({}))).is_ok());
        for (from, to) in [("R1", "R2"), ("<mch_id>19", "<mch_id>20")] {
            let other = body.replace(from, to).into_bytes();
            let other = hint.answered(&Fetched::new(200, other, UnixSeconds(9)));
            assert!(inquiry.require_answer(&other, &keys(json!({}))).is_err(), "{to}");
        }
        PROVIDER.normalise(&answer)
    };
    for (status, kind) in [
        ("SUCCESS", "refund.succeeded"),
        ("PROCESSING", "refund.pending"),
        ("CHANGE", "refund.failed"),
        ("REFUNDCLOSE", "refund.failed"),
    ] {
        let events = answer(status, "SUCCESS").unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].kind.name(), kind);
        assert_eq!(events[0].amount.as_ref().unwrap().amount_minor(), 5);
        assert_eq!(events[0].refund_id.as_deref(), Some("R1"));
    }
    assert!(answer("OTHER", "SUCCESS").is_err());
    assert!(answer("SUCCESS", "FAIL").is_err());
}

#[test]
fn the_sandbox_answers_about_its_own_refunds() {
    use crate::domain::{Currency, Money};
    use crate::sandbox::SimulatedFacts;
    use crate::sandbox::provider_api::ProviderApi;
    let keys = PROVIDER.sandbox.generate();
    let key_set = KeySet::new("own", keys.key_set.clone());
    let money = |minor| Money::from_minor(minor, Currency::new("CNY").unwrap()).unwrap();
    let api = ProviderApi::default();
    for (refund_id, refund_minor) in [("R1", 500), ("R2", 300), ("R1", 500)] {
        let facts = SimulatedFacts {
            event_id: "1".into(),
            order_id: "A1".into(),
            transaction_id: "T1".into(),
            refund_id: refund_id.into(),
            amount: money(1990),
            refund: money(refund_minor),
            now: UnixSeconds(1_767_225_600),
            path: "/".into(),
        };
        for exchange in PROVIDER.exchanges("refunded", &facts, &keys).unwrap() {
            api.put(exchange);
        }
        let payload = PROVIDER.payload("refunded", &facts, &keys).unwrap();
        let request = sandbox::sign(&keys, &payload);
        let raw = RawCallback::new("account", PROVIDER.name, "POST", "/", request.headers, request.body);
        let credentials = Credentials { key_sets: vec![key_set.clone()] };
        let hint = PROVIDER.verify(&raw, &credentials, facts.now).unwrap();
        assert_eq!(hint.origin(), Origin::Hint);
        let events = api.events(&PROVIDER, &hint, &key_set, facts.now).unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].refund_id.as_deref(), Some(refund_id));
        assert_eq!(events[0].amount, Some(money(refund_minor)));
    }
}
