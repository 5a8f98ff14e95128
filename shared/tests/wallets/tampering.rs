//! Whatever is changed of what is signed, the callback is refused; whatever arrives, nothing panics.

use paybell_shared::callback::form::Form;
use paybell_shared::callback::{Credentials, KeySet, RawCallback, Rejection};
use paybell_shared::sandbox::SignedRequest;
use proptest::prelude::*;

use super::{BENCHES, Bench, NOW};

/// Headers that are neither signed nor needed to choose the check; PayPal's certificate comes from the key set.
const UNSIGNED_HEADERS: [&str; 2] = ["content-type", "paypal-cert-url"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_changed_byte_of_the_body_is_refused(bench in 0_usize..4, at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let bench = &BENCHES[bench];
        let genuine = bench.paid();
        let mut changed = genuine.clone();
        let at = at.index(changed.body.len());
        changed.body[at] ^= flip;
        if bench.verify(&changed).is_ok() {
            // Two spellings of one byte in a form, such as %2B and %2b, are the same parameters.
            prop_assert!(bench.provider.name == "alipay" || bench.provider.name == "unionpay");
            prop_assert!(Form::parse(&changed.body).unwrap() == Form::parse(&genuine.body).unwrap());
        }
    }

    #[test]
    fn a_changed_byte_of_a_signed_header_is_refused(bench in 0_usize..4, header in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), flip in 1_u8..16) {
        let bench = &BENCHES[bench];
        let mut changed = bench.paid();
        let mut signed: Vec<&mut (String, String)> = changed
            .headers
            .iter_mut()
            .filter(|(name, _)| !UNSIGNED_HEADERS.contains(&name.to_ascii_lowercase().as_str()))
            .collect();
        if !signed.is_empty() {
            let header = header.index(signed.len());
            let value = &mut signed[header].1;
            let at = at.index(value.len());
            let mut bytes = value.clone().into_bytes();
            bytes[at] ^= flip;
            *value = String::from_utf8(bytes).unwrap();
            prop_assert!(bench.verify(&changed).is_err());
        }
    }

    #[test]
    fn a_shortened_or_lengthened_body_is_refused(bench in 0_usize..4, cut in any::<prop::sample::Index>(), more in "[ -~]{1,20}") {
        let bench = &BENCHES[bench];
        let genuine = bench.paid();
        let mut shorter = genuine.clone();
        shorter.body.truncate(cut.index(genuine.body.len()));
        prop_assert!(bench.verify(&shorter).is_err());
        let mut longer = genuine.clone();
        longer.body.extend_from_slice(more.as_bytes());
        if bench.verify(&longer).is_ok() {
            // An empty parameter is not signed and not read.
            let same = |form: Form| form.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_owned(), value.to_vec())).collect::<Vec<_>>();
            prop_assert_eq!(same(Form::parse(&longer.body).unwrap()), same(Form::parse(&genuine.body).unwrap()));
        }
    }

    #[test]
    fn nothing_that_arrives_makes_it_panic(bench in 0_usize..4, body in prop::collection::vec(any::<u8>(), 0..300), values in prop::collection::vec("\\PC{0,40}", 6), query in "\\PC{0,60}", get in any::<bool>()) {
        let bench = &BENCHES[bench];
        let names: Vec<String> = bench.paid().headers.into_iter().map(|(name, _)| name).collect();
        let method = if get { "GET" } else { "POST" };
        let headers = names.into_iter().zip(values);
        let raw = RawCallback::new("a", bench.provider.name, method, format!("/x?{query}"), headers, body);
        prop_assert!(bench.provider.verify(&raw, &bench.credentials(), NOW).is_err());
    }

    #[test]
    fn no_signed_content_makes_the_mapping_panic(bench in 0_usize..4, content in prop::collection::btree_map(field_name(), field_value(), 0..14)) {
        let bench = &BENCHES[bench];
        let members: Vec<String> = content.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let object = format!("{{{}}}", members.join(","));
        let content = match bench.provider.name {
            "wechatpay_v3" | "paypal" => {
                let kind = content.get("kind").cloned().unwrap_or_else(|| "\"TRANSACTION.SUCCESS\"".to_owned());
                format!("{{\"id\":\"1\",\"event_type\":{kind},\"resource\":{object}}}")
            }
            _ => object,
        };
        if let Ok(verified) = bench.verify(&bench.sign(content)) {
            let _ = bench.provider.normalise(&verified);
        }
    }
}

fn field_name() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "kind",
        "trade_status",
        "notify_type",
        "notify_id",
        "msg_method",
        "biz_content",
        "out_trade_no",
        "trade_no",
        "total_amount",
        "refund_fee",
        "gmt_refund",
        "status",
        "operation_type",
        "txnType",
        "respCode",
        "txnAmt",
        "currencyCode",
        "orderId",
        "txnTime",
        "queryId",
        "trade_state",
        "amount",
        "transaction_id",
        "receiver",
        "state",
        "version",
        "signMethod",
        "merId",
        "app_id",
        "seller_id",
        "charset",
        "id",
        "links",
        "sub_orders",
    ])
    .prop_map(str::to_owned)
}

fn field_value() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "\"\"",
            "null",
            "[]",
            "{}",
            "-1",
            "1e400",
            "\"TRADE_SUCCESS\"",
            "\"trade_status_sync\"",
            "\"SUCCESS\"",
            "\"00\"",
            "\"01\"",
            "\"04\"",
            "\"156\"",
            "\"5.1.0\"",
            "\"GBK\"",
            "\"10.00\"",
            "{\"total\":1,\"currency\":\"CNY\"}",
            "\"PAYMENT.CAPTURE.COMPLETED\"",
            "\"CUSTOMER.DISPUTE.RESOLVED\"",
            "\"REFUND.SUCCESS\"",
            "\"alipay.trade.order.settle.notify\"",
            "[{\"out_trade_no\":\"1\"}]",
            "\"{\\\"settle_no\\\":1}\"",
            "\"99999999999999999999999999999999999999999\"",
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z0-9:.+ -]{0,20}".prop_map(|text| format!("\"{text}\"")),
    ]
}

#[test]
fn alipay_refuses_regrouped_parameters_and_another_algorithm() {
    let bench = Bench::of("alipay");
    let genuine = bench.paid();
    let body = String::from_utf8(genuine.body.clone()).unwrap();
    let with_body = |body: String| SignedRequest { body: body.into_bytes(), ..genuine.clone() };
    // `total_amount=19.90&trade_no=T1` signs the same text as one parameter with a long name.
    let regrouped = body
        .replace("&total_amount=19%2E90", "")
        .replace("&trade_no=T1", "&total_amount%3D19.90%26trade_no=T1");
    assert_ne!(regrouped, body);
    for (about, changed) in [
        ("regrouped", regrouped),
        ("algorithm", body.replace("sign_type=RSA2", "sign_type=RSA")),
        ("repeated", format!("{body}&total_amount=0.01")),
        ("repeated first", format!("total_amount=0.01&{body}")),
        ("unsigned", body.split("&sign=").next().unwrap().to_owned()),
    ] {
        assert!(bench.verify(&with_body(changed)).is_err(), "{about}");
    }
}

#[test]
fn f18_wechat_pay_refuses_probes_and_unknown_keys() {
    let bench = Bench::of("wechatpay_v3");
    for (name, value) in [
        ("Wechatpay-Signature", "WECHATPAY/SIGNTEST/abc"),
        ("Wechatpay-Serial", "PUB_KEY_ID_1"),
        ("Wechatpay-Serial", "7E"),
        ("Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3"),
        ("Wechatpay-Timestamp", "01716170412"),
        ("Wechatpay-Timestamp", "99999999999999999999"),
    ] {
        let mut request = bench.paid();
        request.headers.iter_mut().find(|(have, _)| have == name).unwrap().1 = value.to_owned();
        assert!(bench.verify(&request).is_err(), "{name}: {value}");
    }
    let mut fields = bench.keys.key_set.clone();
    fields.insert("api_v3_key".to_owned(), "sixteen bytes ok".into());
    let short = Credentials { key_sets: vec![KeySet::new("short", fields)] };
    assert!(bench.provider.verify(&bench.raw(&bench.paid()), &short, NOW).is_err());
}

/// The buyer chose the product's name such that the signed text has a second reading, in which the price is another.
#[test]
fn a_price_inside_of_another_value_is_refused() {
    let bench = Bench::of("alipay");
    let content = |subject: &str| {
        format!(
            r#"{{"app_id":"9021000000000001","notify_id":"n1","notify_type":"trade_status_sync","out_trade_no":"O1","seller_id":"2088000000000001","subject":"{subject}","total_amount":"0.01","trade_no":"T1","trade_status":"TRADE_SUCCESS"}}"#
        )
    };
    assert!(bench.verify(&bench.sign(content("a=1&b=2"))).is_ok());
    let genuine = bench.sign(content("x&total_amount=19.90&total_b="));
    let mut forged = genuine.clone();
    let body = String::from_utf8(genuine.body.clone()).unwrap();
    let hidden = "subject=x%26total%5Famount%3D19%2E90%26total%5Fb%3D&total_amount=0%2E01";
    assert!(body.contains(hidden), "{body}");
    let shown = "subject=x&total_amount=19.90&total_b=%26total_amount%3D0.01";
    forged.body = body.replace(hidden, shown).into_bytes();
    let duplicate = || Err(Rejection::Duplicate { name: "total_amount".to_owned() });
    assert_eq!(bench.verify(&forged).map(|_| ()), duplicate());
    assert_eq!(bench.verify(&genuine).map(|_| ()), duplicate());
}
