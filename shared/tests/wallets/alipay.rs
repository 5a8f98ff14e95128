//! What only Alipay has: two forms of the signed text, charsets, certificates, the page return.

use paybell_shared::callback::{Credentials, KeySet, RawCallback, Rejection, UnixSeconds};
use paybell_shared::sandbox::rsa_keys::{root, sign_sha256};
use serde_json::{Map, Value};

use super::{Bench, NOW, line};

/// A request with these parameters, percent-encoded already, and the signature of `signed`.
fn raw(bench: &Bench, method: &str, parameters: &str, signed: &[u8]) -> RawCallback {
    let signature = sign_sha256(&bench.keys.private, "pkcs8_base64", signed);
    let escaped = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let all = format!("{parameters}&sign={escaped}");
    let (path, body) =
        if method == "GET" { (format!("/return?{all}"), String::new()) } else { ("/".into(), all) };
    RawCallback::new("account", "alipay", method, path, [], body.into_bytes())
}

const IDS: &str = "app_id=9021000000000001";

#[test]
fn the_signed_text_may_keep_the_type_or_empty_values_but_nothing_else() {
    let bench = Bench::of("alipay");
    let parameters = format!("{IDS}&b=2&empty=&sign_type=RSA2");
    for (signed, accepted) in [
        (format!("{IDS}&b=2"), true),
        (format!("{IDS}&b=2&sign_type=RSA2"), true),
        (format!("{IDS}&b=2&empty="), true),
        (format!("{IDS}&b=2&empty=&sign_type=RSA2"), true),
        (IDS.to_owned(), false),
        (format!("b=2&{IDS}"), false),
        (String::new(), false),
    ] {
        let raw = raw(bench, "POST", &parameters, signed.as_bytes());
        assert_eq!(bench.provider.verify(&raw, &bench.credentials(), NOW).is_ok(), accepted, "{signed}");
    }
}

#[test]
fn a_signed_type_may_have_been_taken_out_on_the_way() {
    let bench = Bench::of("alipay");
    for (signed, accepted) in [
        (format!("{IDS}&b=2"), true),
        (format!("{IDS}&b=2&sign_type=RSA2"), true),
        (format!("{IDS}&b=2&sign_type=RSA"), false),
        (format!("{IDS}&b=3&sign_type=RSA2"), false),
    ] {
        let raw = raw(bench, "POST", &format!("{IDS}&b=2"), signed.as_bytes());
        assert_eq!(bench.provider.verify(&raw, &bench.credentials(), NOW).is_ok(), accepted, "{signed}");
    }
}

#[test]
fn f14_texts_are_read_in_the_declared_charset() {
    let bench = Bench::of("alipay");
    // 外部 in GBK, as the sub-merchant's number inside of JSON.
    let head = format!("{IDS}&biz_content=%7B%22order_id%22%3A%22%CD%E2%B2%BF%22%7D");
    let rest = "msg_method=ant.merchant.expand.indirect.zft.passed&notify_id=N1";
    let mut signed = format!("{IDS}&biz_content={{\"order_id\":\"").into_bytes();
    signed.extend([0xCD, 0xE2, 0xB2, 0xBF]);
    signed.extend(b"\"}&charset=");
    for (charset, expected) in [("GBK", Some("merchant.approved 外部")), ("UTF-8", None), ("KOI8-R", None)]
    {
        let signed = [signed.as_slice(), charset.as_bytes(), b"&", rest.as_bytes()].concat();
        let raw = raw(bench, "POST", &format!("{head}&charset={charset}&{rest}"), &signed);
        let verified = bench.provider.verify(&raw, &bench.credentials(), NOW).unwrap();
        let read = bench.provider.normalise(&verified).ok().map(|events| line(&events[0]));
        assert_eq!(read.as_deref(), expected, "{charset}");
    }
}

#[test]
fn encrypted_messages_are_opened_with_the_applications_key() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use paybell_shared::callback::cipher::seal_aes_cbc;
    let bench = Bench::of("alipay");
    let key = [7; 16];
    let sealed = STANDARD.encode(seal_aes_cbc(&key, [0; 16], br#"{"order_id":"O1","smid":"S1"}"#).unwrap());
    let check = |encrypt_type: &str, aes_key: Option<&str>| {
        let text = |content: &str| {
            format!(
                "{IDS}&biz_content={content}&encrypt_type={encrypt_type}\
                 &msg_method=ant.merchant.expand.indirect.zft.passed&notify_id=N1"
            )
        };
        let escaped = sealed.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let raw = raw(bench, "POST", &text(&escaped), text(&sealed).as_bytes());
        let mut fields = bench.keys.key_set.clone();
        if let Some(aes_key) = aes_key {
            fields.insert("aes_key".to_owned(), aes_key.into());
        }
        let credentials = Credentials { key_sets: vec![KeySet::new("k", fields)] };
        let verified = bench.provider.verify(&raw, &credentials, NOW)?;
        Ok(line(&bench.provider.normalise(&verified).unwrap()[0]))
    };
    let unconfigured = Err(Rejection::unconfigured("aes_key"));
    for (encrypt_type, aes_key, expected) in [
        ("AES", Some(STANDARD.encode(key)), Ok("merchant.approved O1 transaction=S1".to_owned())),
        ("AES", Some(STANDARD.encode([8; 16])), Err(Rejection::DecryptFailed)),
        ("AES", Some(STANDARD.encode([7; 15])), unconfigured.clone()),
        ("AES", None, unconfigured),
        ("SM4", Some(STANDARD.encode(key)), Err(Rejection::AlgorithmNotAllowed)),
    ] {
        assert_eq!(check(encrypt_type, aes_key.as_deref()), expected, "{encrypt_type} {aes_key:?}");
    }
}

#[test]
fn the_page_return_is_genuine_and_says_nothing() {
    let bench = Bench::of("alipay");
    let text = "app_id=9021000000000001&notify_id=N1&notify_type=trade_status_sync&out_trade_no=O1\
        &seller_id=2088000000000001&total_amount=0.01&trade_no=T1&trade_status=TRADE_SUCCESS";
    let verify =
        |method| bench.provider.verify(&raw(bench, method, text, text.as_bytes()), &bench.credentials(), NOW);
    assert_eq!(bench.provider.normalise(&verify("GET").unwrap()), Ok(vec![]));
    assert_eq!(bench.provider.normalise(&verify("POST").unwrap()).unwrap().len(), 1);
}

#[test]
fn the_configuration_chooses_the_algorithm() {
    let bench = Bench::of("alipay");
    let raw = raw(bench, "POST", &format!("{IDS}&sign_type=RSA2"), IDS.as_bytes());
    for (sign_type, allowed, expected) in [
        ("RSA2", true, Ok(())),
        ("RSA", false, Err(Rejection::AlgorithmNotAllowed)),
        ("RSA", true, Err(Rejection::AlgorithmNotAllowed)),
        ("MD5", true, Err(Rejection::unconfigured("sign_type"))),
        ("", true, Err(Rejection::unconfigured("sign_type"))),
    ] {
        let mut fields = bench.keys.key_set.clone();
        fields.insert("sign_type".to_owned(), sign_type.into());
        fields.insert("allow_legacy_rsa1".to_owned(), allowed.into());
        let credentials = Credentials { key_sets: vec![KeySet::new("k", fields)] };
        assert_eq!(bench.provider.verify(&raw, &credentials, NOW).map(|_| ()), expected, "{sign_type}");
    }
}

#[test]
fn a_certificate_is_pinned_or_chains_to_the_configured_roots() {
    let authority = root("Class 1");
    let middle = authority.intermediate("Class 2");
    let (leaf, private) = middle.leaf("支付宝");
    let bench = Bench::of("alipay");
    let signer = Map::from_iter([("pkcs8_base64".to_owned(), Value::String(private))]);
    let signature = sign_sha256(&signer, "pkcs8_base64", IDS.as_bytes());
    let body = format!("{IDS}&sign={}", signature.replace('+', "%2B"));
    let raw = RawCallback::new("account", "alipay", "POST", "/", [], body.into_bytes());
    let chain = format!("{}{}", leaf.pem(), middle.certificate.pem());
    let unreadable = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
    let bundle = format!("{unreadable}{}", authority.certificate.pem());
    let foreign = root("Class 1").certificate.pem();
    for (about, leaf_pem, root_pem, now, accepted) in [
        ("pinned", leaf.pem(), None, NOW, true),
        ("pinned, expired", leaf.pem(), None, UnixSeconds(4_000_000_000), false),
        ("chain", chain.clone(), Some(bundle.clone()), NOW, true),
        ("chain without its middle", leaf.pem(), Some(bundle), NOW, false),
        ("another root of the same name", chain.clone(), Some(foreign), NOW, false),
        ("no readable root", chain, Some(unreadable.to_owned()), NOW, false),
    ] {
        let mut fields = Map::from_iter([("alipay_cert_pem".to_owned(), Value::String(leaf_pem))]);
        fields.extend(root_pem.map(|pem| ("alipay_root_cert_pem".to_owned(), Value::String(pem))));
        let credentials = Credentials { key_sets: vec![KeySet::new("k", fields)] };
        assert_eq!(bench.provider.verify(&raw, &credentials, now).is_ok(), accepted, "{about}");
    }
}

#[test]
fn the_serial_number_of_a_bundle_joins_its_rsa_members() {
    let part = Bench::of("alipay").provider.part("alipay_cert_sn").unwrap();
    let keys = KeySet::new("none", Map::new());
    let check = |body: &str, expected: &str| {
        let raw = RawCallback::new("a", "alipay", "POST", "/", [], body.as_bytes().to_vec());
        let options = [("root_bundle", Value::Bool(true)), ("sn", expected.into())];
        let options = options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        (part.check)(&raw, &keys, NOW, &options)
    };
    let authority = root("Class 1").certificate;
    let read = paybell_shared::callback::certificate::Certificate::from_der(authority.der()).unwrap();
    assert_eq!(read.issuer_text(), "CN=Class 1,O=Paybell sandbox");
    let one = md5_hex(&format!("CN=Class 1,O=Paybell sandbox{}", read.serial_decimal()));
    assert_eq!(check(&authority.pem(), &one), Ok(()));
    assert_eq!(check(&authority.pem().repeat(2), &format!("{one}_{one}")), Ok(()));
    assert_eq!(check(&authority.pem(), "0"), Err(Rejection::SignatureMismatch));
    assert!(check("", "").is_err());
}

fn md5_hex(text: &str) -> String {
    use md5::Digest;
    hex::encode(md5::Md5::digest(text))
}
