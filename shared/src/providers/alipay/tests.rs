//! The certificate mode, whom a callback is for, old signatures and encrypted messages.

use aws_lc_rs::cipher::{AES_128, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use serde_json::json;

use super::*;
use crate::callback::Credentials;
use crate::sandbox::form_body::FormBody;
use crate::sandbox::request::raw_callback;
use crate::sandbox::rsa_keys::{self, sign_sha1, sign_sha256};

/// 2026-01-01T00:00:00Z.
const NOW: UnixSeconds = UnixSeconds(1_767_225_600);
/// 2050-01-01T00:00:00Z, when the sandbox's certificates are over.
const LATER: UnixSeconds = UnixSeconds(2_524_608_000);

type Fields = &'static [(&'static str, &'static str)];
type Sign = fn(&Map<String, Value>, &str, &[u8]) -> String;

/// A callback with these fields, signed by the key in PKCS#8 and base64.
fn signed(fields: &[(&str, &str)], pkcs8_base64: &str, sign: Sign) -> RawCallback {
    let private = Map::from_iter([("key".to_owned(), Value::from(pkcs8_base64))]);
    let mut body = FormBody::default();
    for (name, value) in fields {
        body.push(name, value);
    }
    let signature = sign(&private, "key", &body.sorted_pairs(&["sign", "sign_type"]));
    body.push("sign", &signature);
    raw_callback("demo", "alipay", &body.into_request())
}

fn credentials(fields: Value) -> Credentials {
    let Value::Object(fields) = fields else { panic!("a key set is an object") };
    Credentials { key_sets: vec![KeySet::new("own", fields)] }
}

const PAID: &[(&str, &str)] =
    &[("app_id", "app"), ("seller_id", "seller"), ("trade_status", "TRADE_SUCCESS"), ("out_trade_no", "o1")];

#[test]
fn in_certificate_mode_the_leaf_is_the_key_and_chains_to_the_root() {
    let (root, other_root) = (rsa_keys::root("root"), rsa_keys::root("root"));
    let (leaf, key) = root.leaf("leaf");
    let (other_leaf, other_key) = other_root.leaf("leaf");
    let between = root.intermediate("between");
    let (lower_leaf, lower_key) = between.leaf("leaf");
    let lower_chain = [lower_leaf.pem(), between.certificate.pem()].concat();
    let untrusted = Rejection::Certificate(CertificateProblem::Untrusted);
    let expired = Rejection::Certificate(CertificateProblem::Expired);
    let set = |leaf: &str, root: Option<&str>, chain: Option<bool>| {
        let mut set = json!({ CERTIFICATE: leaf, "expected_app_id": "app", "expected_seller_id": "seller" });
        if let Some(root) = root {
            set[ROOT] = root.into();
        }
        if let Some(chain) = chain {
            set["verify_chain"] = chain.into();
        }
        set
    };
    let root_pem = root.certificate.pem();
    let pinned = Some(root_pem.as_str());
    for (about, set, key, now, expected) in [
        ("the chain", set(&leaf.pem(), pinned, None), &key, NOW, None),
        ("with an authority between", set(&lower_chain, pinned, None), &lower_key, NOW, None),
        ("which is missing", set(&lower_leaf.pem(), pinned, None), &lower_key, NOW, Some(untrusted.clone())),
        ("of another root", set(&other_leaf.pem(), pinned, None), &other_key, NOW, Some(untrusted)),
        ("a pinned leaf", set(&leaf.pem(), None, None), &key, NOW, None),
        ("the chain is off", set(&other_leaf.pem(), pinned, Some(false)), &other_key, NOW, None),
        (
            "no root for it",
            set(&leaf.pem(), None, Some(true)),
            &key,
            NOW,
            Some(Rejection::unconfigured(ROOT)),
        ),
        ("another key", set(&leaf.pem(), pinned, None), &other_key, NOW, Some(Rejection::SignatureMismatch)),
        ("it is over", set(&leaf.pem(), pinned, None), &key, LATER, Some(expired.clone())),
        ("a pinned leaf is over", set(&leaf.pem(), None, None), &key, LATER, Some(expired)),
    ] {
        let raw = signed(PAID, key, sign_sha256);
        let is_over = now == LATER;
        let part = set.get(ROOT).map(|_| PROVIDER.part("alipay_cert_chain").unwrap().check);
        let keys = KeySet::new("own", set.as_object().unwrap().clone());
        let proved = PROVIDER.verify(&raw, &credentials(set), now).err();
        assert_eq!(proved, expected, "{about}");
        if let Some(check) = part {
            let chains = check(&raw, &keys, now, &Map::new()).is_ok();
            let is_certificate = matches!(expected, Some(Rejection::Certificate(_))) || is_over;
            assert_eq!(chains, !is_certificate, "{about}");
        }
    }
}

/// One key signs for many merchants, so each id that is there must be the account's, whatever else is there.
#[test]
fn a_callback_for_somebody_else_is_refused() {
    let key = rsa_keys::generate();
    let set = |seller: Option<&str>| {
        let mut set = json!({ PUBLIC_KEY: key.spki_base64, "expected_app_id": "app" });
        if let Some(seller) = seller {
            set["expected_seller_id"] = seller.into();
        }
        set
    };
    let both = Some("seller");
    let table: &[(Fields, Option<&str>, bool)] = &[
        (PAID, both, true),
        (&[("app_id", "other"), ("seller_id", "seller"), ("trade_status", "x")], both, false),
        (&[("app_id", "app"), ("seller_id", "other"), ("trade_status", "x")], both, false),
        (&[("app_id", "app"), ("trade_status", "x")], both, false),
        (&[("app_id", "app"), ("seller_id", "other")], both, false),
        (&[("app_id", "app"), ("notify_type", "sign")], both, true),
        (&[("auth_app_id", "app"), ("partner_id", "seller")], both, true),
        (&[("auth_app_id", "other"), ("partner_id", "seller")], both, false),
        (&[("partner_id", "seller")], both, true),
        (&[("partner_id", "other")], both, false),
        (&[("partner_id", "seller")], None, false),
        (&[("notify_type", "sign")], both, false),
    ];
    for (fields, seller, is_ours) in table {
        let raw = signed(fields, &key.pkcs8_base64, sign_sha256);
        let proved = PROVIDER.verify(&raw, &credentials(set(*seller)), NOW);
        assert_eq!(proved.is_ok(), *is_ours, "{fields:?} {seller:?}: {proved:?}");
    }
    let anybodys = credentials(json!({ PUBLIC_KEY: key.spki_base64 }));
    let raw = signed(&[("app_id", "app")], &key.pkcs8_base64, sign_sha256);
    assert_eq!(PROVIDER.accept(&raw, &anybodys, NOW).err(), Some(Rejection::unconfigured("expected_app_id")));
}

#[test]
fn sha1_signatures_count_only_where_they_are_configured_and_allowed() {
    let key = rsa_keys::generate();
    let verdict = |set: Value, sign: Sign| {
        let mut whole =
            json!({ PUBLIC_KEY: key.spki_base64, "expected_app_id": "app", "expected_seller_id": "seller" });
        whole.as_object_mut().unwrap().extend(set.as_object().unwrap().clone());
        PROVIDER.verify(&signed(PAID, &key.pkcs8_base64, sign), &credentials(whole), NOW).err()
    };
    let allowed = json!({ "sign_type": "RSA", "allow_legacy_rsa1": true });
    assert_eq!(verdict(allowed.clone(), sign_sha1), None);
    assert_eq!(verdict(allowed, sign_sha256), Some(Rejection::SignatureMismatch));
    assert_eq!(verdict(json!({ "sign_type": "RSA" }), sign_sha1), Some(Rejection::AlgorithmNotAllowed));
    assert_eq!(verdict(json!({ "allow_legacy_rsa1": true }), sign_sha1), Some(Rejection::SignatureMismatch));
    assert_eq!(
        verdict(json!({ "sign_type": "MD5" }), sign_sha256),
        Some(Rejection::unconfigured("sign_type"))
    );
}

#[test]
fn encrypted_messages_are_opened_after_they_are_proved() {
    const AES: [u8; 16] = [7; 16];
    let key = rsa_keys::generate();
    let unbound = UnboundCipherKey::new(&AES_128, &AES).unwrap();
    let mut sealed = b"{\"out_trade_no\":\"o1\"}".to_vec();
    let zero = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    PaddedBlockEncryptingKey::cbc_pkcs7(unbound).unwrap().less_safe_encrypt(&mut sealed, zero).unwrap();
    let sealed = STANDARD.encode(sealed);
    let verdict = |encrypt_type: &str, content: &str, aes: Value| {
        let fields = [("app_id", "app"), ("encrypt_type", encrypt_type), ("biz_content", content)];
        let set = json!({ PUBLIC_KEY: key.spki_base64, "expected_app_id": "app", AES_KEY: aes });
        let raw = signed(&fields, &key.pkcs8_base64, sign_sha256);
        let verified = PROVIDER.verify(&raw, &credentials(set), NOW)?;
        Ok(String::from_utf8_lossy(verified.content()).into_owned())
    };
    let own = Value::from(STANDARD.encode(AES));
    let opened = "{\"out_trade_no\":\"o1\"}".to_owned();
    assert_eq!(verdict("AES", &sealed, own.clone()), Ok(opened));
    assert_eq!(verdict("SM4", &sealed, own.clone()), Err(Rejection::AlgorithmNotAllowed));
    assert_eq!(verdict("AES", "AAAA", own), Err(Rejection::DecryptFailed));
    for other in [STANDARD.encode([7; 15]), "no base64".to_owned()] {
        assert_eq!(verdict("AES", &sealed, other.into()), Err(Rejection::unconfigured(AES_KEY)));
    }
}

/// # Source
/// AntCertificationUtil.getCertSN and getRootCertSN.
#[test]
fn certificates_have_the_numbers_of_alipays_protocol() {
    let check = PROVIDER.part("alipay_cert_sn").unwrap().check;
    let number = |certificate: &rcgen::Certificate| {
        let decimal = Certificate::from_der(certificate.der()).unwrap().serial_decimal().to_owned();
        hex::encode(Md5::digest(format!("CN=root,O=Paybell sandbox{decimal}")))
    };
    let (one, other) = (rsa_keys::root("root").certificate, rsa_keys::root("root").certificate);
    let none = KeySet::new("own", Map::new());
    let verdict = |pem: String, options: Value| {
        let raw =
            RawCallback::new("demo", "alipay", "POST", "/", Vec::<(String, String)>::new(), pem.into_bytes());
        check(&raw, &none, NOW, options.as_object().unwrap())
    };
    assert_eq!(verdict(one.pem(), json!({ "sn": number(&one) })), Ok(()));
    assert_eq!(verdict(one.pem(), json!({ "sn": number(&other) })), Err(Rejection::SignatureMismatch));
    let bundle = [one.pem(), other.pem()].concat();
    let numbers = format!("{}_{}", number(&one), number(&other));
    assert_eq!(verdict(bundle.clone(), json!({ "root_bundle": true, "sn": numbers })), Ok(()));
    assert_eq!(
        verdict(bundle, json!({ "root_bundle": true, "sn": number(&one) })),
        Err(Rejection::SignatureMismatch)
    );
}
