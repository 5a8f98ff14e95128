//! UnionPay's QR acquiring: MD5 with a shared key, only for accounts that hold one.

use md5::{Digest, Md5};
use paybell_shared::callback::{Credentials, KeySet, RawCallback};
use serde_json::{Map, Value};

use super::{Bench, NOW, line};

const KEY: &str = "a sandbox key of no merchant";

fn credentials(fields: &[(&str, &str)]) -> Credentials {
    let fields: Map<String, Value> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    Credentials { key_sets: vec![KeySet::new("k", fields)] }
}

/// Signs members given as `name=value&…` in the order of their names.
fn signed(members: &str) -> RawCallback {
    let sign = hex::encode_upper(Md5::digest(format!("{members}&key={KEY}")));
    let mut object: Map<String, Value> = members
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    object.insert("sign".to_owned(), sign.into());
    raw(&Value::Object(object).to_string())
}

fn raw(body: &str) -> RawCallback {
    RawCallback::new("account", "unionpay", "POST", "/", [], body.as_bytes().to_vec())
}

#[test]
fn results_are_read() {
    let provider = Bench::of("unionpay").provider;
    for (members, expected) in [
        (
            "out_trade_no=O1&pay_result=0&result_code=0&status=0&total_fee=100&transaction_id=T1",
            Some("payment.captured O1 transaction=T1 1.00 CNY"),
        ),
        (
            "out_trade_no=O1&pay_result=1&result_code=0&status=0&total_fee=100&transaction_id=T1",
            Some("payment.failed O1 transaction=T1 1.00 CNY"),
        ),
        (
            "need_query=Y&result_code=1&status=0&transaction_id=T1",
            Some("payment.pending transaction=T1 ~unionpay:T1"),
        ),
        (
            "need_query=N&result_code=1&status=0&transaction_id=T1",
            Some("payment.failed transaction=T1 ~unionpay:T1"),
        ),
        ("result_code=0&status=0&transaction_id=T1", None),
        ("result_code=0&status=500&transaction_id=T1", None),
    ] {
        let verified = provider.verify(&signed(members), &credentials(&[("api_key", KEY)]), NOW).unwrap();
        let events = provider.normalise(&verified).unwrap();
        assert_eq!(events.first().map(line).as_deref(), expected, "{members}");
    }
    let verified = provider
        .verify(
            &signed("out_trade_no=O1&pay_result=0&result_code=0&status=0&transaction_id=T1"),
            &credentials(&[("api_key", KEY)]),
            NOW,
        )
        .unwrap();
    assert!(provider.normalise(&verified).is_err(), "a payment without its amount");
}

#[test]
fn forgeries_are_refused() {
    let provider = Bench::of("unionpay").provider;
    let genuine = signed("result_code=0&status=0&transaction_id=T1");
    let body = String::from_utf8(genuine.body().to_vec()).unwrap();
    let holds_key = credentials(&[("api_key", KEY)]);
    assert!(provider.verify(&genuine, &holds_key, NOW).is_ok());
    let unsigned = r#"{"result_code":"0","status":"0"}"#;
    for (about, raw, credentials) in [
        ("no key", genuine.clone(), Bench::of("unionpay").credentials()),
        ("blank key", genuine.clone(), credentials(&[("api_key", " ")])),
        ("another key", genuine.clone(), credentials(&[("api_key", "another")])),
        ("changed", raw(&body.replace("T1", "T2")), holds_key.clone()),
        ("unsigned", raw(unsigned), holds_key.clone()),
        ("short signature", raw(r#"{"status":"0","sign":""}"#), holds_key.clone()),
        ("another method", raw(&body.replace('{', r#"{"sign_type":"SM3","#)), holds_key.clone()),
        ("regrouped", raw(r#"{"result_code=0&status":"0","sign":"00"}"#), holds_key.clone()),
        ("nested", raw(r#"{"a":{},"sign":"00000000000000000000000000000000"}"#), holds_key),
    ] {
        assert!(provider.verify(&raw, &credentials, NOW).is_err(), "{about}");
    }
}
