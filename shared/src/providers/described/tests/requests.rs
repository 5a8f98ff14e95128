//! How requests are checked.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::callback::Rejection;
use crate::callback::signature::{HmacHash, hmac_tag};

use super::*;

const BODY: &str = r#"{"type": "paid", "order": "A-1", "id": "p-1", "amount": 1999, "currency": "EUR"}"#;

/// A request with these headers, `{tag}` standing for the right signature under `secret` and `{other}` under `old`.
fn verdict(description: &Description, key_set: Value, headers: &[(&str, &str)]) -> Result<(), Rejection> {
    let tag = |key: &str| hex::encode(hmac_tag(HmacHash::Sha256, key.as_bytes(), &[BODY.as_bytes()]));
    let headers = headers.iter().map(|(name, value)| {
        ((*name).to_owned(), value.replace("{tag}", &tag("secret")).replace("{other}", &tag("old")))
    });
    let raw = RawCallback::new("account", "minimal", "POST", "/", headers, BODY.as_bytes().to_vec());
    description.verify(&raw, &keys(key_set), NOW).map(|_| ())
}

#[test]
fn the_header_must_be_there_once_and_match() {
    let description = read(MINIMAL).unwrap();
    let upper = hex::encode_upper(hmac_tag(HmacHash::Sha256, b"secret", &[BODY.as_bytes()]));
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[("X-Signature", "{tag}")], "ok"),
        (&[("x-signature", "{tag}")], "ok"),
        (&[], "missing_header"),
        (&[("X-Signature", "")], "missing_header"),
        (&[("X-Signature", "{tag}"), ("x-signature", "{tag}")], "duplicate"),
        (&[("X-Signature", "{other}")], "signature_mismatch"),
        (&[("X-Signature", "{tag}00")], "signature_mismatch"),
        (&[("X-Signature", "{tag},{tag}")], "signature_mismatch"),
        (&[("X-Signature", "sha256={tag}")], "signature_mismatch"),
        (&[("X-Signature", "00")], "signature_mismatch"),
        (&[("X-Signature", "zz")], "signature_mismatch"),
        (&[("X-Signature", &upper)], "signature_mismatch"),
    ];
    for (headers, expected) in rows {
        let got = verdict(&description, json!({"secret": "secret"}), headers);
        assert_eq!(got.map_or_else(|rejection| rejection.reason(), |()| "ok"), *expected, "{headers:?}");
    }
}

#[test]
fn a_signature_in_either_case_is_accepted_where_the_description_says_so() {
    let description = read(&changed(&[("encoding = \"hex\"", "encoding = \"hex-any-case\"")])).unwrap();
    let upper = hex::encode_upper(hmac_tag(HmacHash::Sha256, b"secret", &[BODY.as_bytes()]));
    for header in ["{tag}", &upper] {
        assert_eq!(verdict(&description, json!({"secret": "secret"}), &[("X-Signature", header)]), Ok(()));
    }
}

#[test]
fn a_required_body_must_not_be_empty() {
    let description = read(&format!("required = [\"body\"]\n{MINIMAL}")).unwrap();
    let keys = description.generate_keys();
    let verify = |body: &str| {
        let request = description.sign(&keys, &payload(body)).unwrap();
        let key_set = KeySet::new("test", keys.key_set.clone());
        description.verify(&raw("minimal", &request), &key_set, NOW).map(|_| ())
    };
    assert_eq!(verify(BODY), Ok(()));
    assert_eq!(verify(""), Err(Rejection::MissingField { name: "body".to_owned() }));
}

#[test]
fn an_unusable_key_set_proves_nothing() {
    let description = read(MINIMAL).unwrap();
    let header = [("X-Signature", "{tag}")];
    for key_set in [
        json!({}),
        json!({"secret": ""}),
        json!({"secret": "  "}),
        json!({"secret": null}),
        json!({"secret": []}),
        json!({"secret": ["secret", ""]}),
        json!({"secret": 1}),
        json!({"Secret": "secret"}),
    ] {
        let got = verdict(&description, key_set.clone(), &header);
        assert_eq!(got, Err(Rejection::unconfigured("secret")), "{key_set}");
    }
    assert_eq!(verdict(&description, json!({"secret": ["old", "secret"]}), &header), Ok(()));
}

#[test]
fn every_check_whose_key_is_configured_may_prove_a_request() {
    let second = "[[credentials]]\nname = \"other\"\nabout = \"o\"\n\n[[checks]]\nalgorithm = \"hmac-sha256\"\nkey = { field = \"other\", encoding = \"utf8\" }\nsignature = { at = \"header:X-Other\", encoding = \"hex\" }\nsigned = \"{body}\"\n\n[events]";
    let description = read(&changed(&[("[events]", second)])).unwrap();
    let both = json!({"secret": "secret", "other": "old"});
    let rows = [
        (both.clone(), "X-Signature", "{tag}", "ok"),
        (both.clone(), "X-Other", "{other}", "ok"),
        (both.clone(), "X-Signature", "{other}", "signature_mismatch"),
        (both.clone(), "X-Other", "{tag}", "signature_mismatch"),
        (both, "X-Third", "{tag}", "missing_header"),
        (json!({"secret": "secret"}), "X-Other", "{other}", "missing_header"),
        (json!({"secret": "", "other": "old"}), "X-Signature", "{tag}", "unconfigured"),
        (json!({"secret": "secret", "other": ""}), "X-Other", "{tag}", "unconfigured"),
    ];
    for (key_set, name, value, expected) in rows {
        let got = verdict(&description, key_set.clone(), &[(name, value)]);
        assert_eq!(got.map_or_else(|rejection| rejection.reason(), |()| "ok"), expected, "{key_set} {name}");
    }
}

#[test]
fn one_public_key_among_the_keys_is_enough_to_need_an_addressee() {
    let second = "[[credentials]]\nname = \"public\"\nabout = \"p\"\n\n[[credentials]]\nname = \"merchant\"\nabout = \"m\"\n\n[[identity]]\nat = \"json:/order\"\nexpected = \"merchant\"\n\n[[checks]]\nalgorithm = \"ed25519\"\nkey = { field = \"public\", encoding = \"base64\" }\nsignature = { at = \"header:X-Other\", encoding = \"base64\" }\nsigned = \"{body}\"\n\n[events]";
    let description = read(&changed(&[("[events]", second)])).unwrap();
    let merchant = Err(Rejection::unconfigured("merchant"));
    for (key_set, expected) in [
        (json!({"secret": "s"}), Ok(())),
        (json!({"public": "p"}), merchant.clone()),
        (json!({"secret": "s", "public": "p"}), merchant),
        (json!({"secret": "s", "public": "p", "merchant": "m"}), Ok(())),
        (json!({}), Err(Rejection::unconfigured("secret"))),
    ] {
        assert_eq!(description.require_addressee(&keys(key_set.clone())), expected, "{key_set}");
    }
}

#[test]
fn a_list_of_signatures_needs_one_that_matches() {
    let list = "encoding = \"hex\", separator = \",\", prefix = \"sha256=\"";
    let named = "encoding = \"hex\", separator = \";\", assign = \"=\", take = \"h1\"";
    let rows = [
        (list, "sha256={tag}", "ok"),
        (list, "sha256={other}, sha256={tag}", "ok"),
        (list, "{tag}", "signature_mismatch"),
        (list, "sha256={other},{tag}", "signature_mismatch"),
        (named, "h1={tag}", "ok"),
        (named, "ts=1;h1=zz;h1={tag};h2=x;junk", "ok"),
        (named, "h2={tag}", "missing_signature"),
        (named, "h1={other};h2={tag}", "signature_mismatch"),
        (named, "h1=", "signature_mismatch"),
        (named, "{tag}", "missing_signature"),
    ];
    for (grammar, header, expected) in rows {
        let description = read(&changed(&[("encoding = \"hex\"", grammar)])).unwrap();
        let got = verdict(&description, json!({"secret": "secret"}), &[("X-Signature", header)]);
        assert_eq!(got.map_or_else(|rejection| rejection.reason(), |()| "ok"), expected, "{header}");
    }
    let description = read(&changed(&[("encoding = \"hex\"", named)])).unwrap();
    let flood = ["h1={tag}"; 17].join(";");
    let got = verdict(&description, json!({"secret": "secret"}), &[("X-Signature", &flood)]);
    assert_eq!(got, Err(Rejection::malformed("signature")));
}

#[test]
fn a_key_id_chooses_among_the_active_keys() {
    let by_id = "field = \"secret\", id_at = \"header:X-Key\"";
    let description = read(&changed(&[("field = \"secret\"", by_id)])).unwrap();
    let key_set = json!({"secret": {"a": "old", "b": "secret"}});
    let rows = [
        ("b", key_set.clone(), "ok"),
        ("a", key_set.clone(), "signature_mismatch"),
        ("c", key_set.clone(), "unknown_key"),
        ("", key_set, "missing_header"),
        ("b", json!({"secret": {}}), "unconfigured"),
        ("b", json!({"secret": {"b": ""}}), "unconfigured"),
    ];
    for (id, key_set, expected) in rows {
        let got = verdict(&description, key_set, &[("X-Signature", "{tag}"), ("X-Key", id)]);
        assert_eq!(got.map_or_else(|rejection| rejection.reason(), |()| "ok"), expected, "{id}");
    }
}

#[test]
fn a_part_is_proved_by_any_active_key() {
    let part = "[[parts]]\nkind = \"redirect\"\nabout = \"a\"\ncheck = \"hmac-sha256-hex\"\n\n[events]";
    let provider = read(&changed(&[("[events]", part)])).unwrap().into_provider();
    let part = provider.part("redirect").expect("the part is described");
    let raw = RawCallback::new("account", "minimal", "POST", "/", [], Vec::new());
    let tag = hex::encode(hmac_tag(HmacHash::Sha256, b"secret", &[b"o|p"]));
    let rows = [
        (json!("secret"), "o|p", "ok"),
        (json!(["old", "secret"]), "o|p", "ok"),
        (json!(["secret", "old"]), "p|o", "signature_mismatch"),
        (json!(["old"]), "o|p", "signature_mismatch"),
        (json!([]), "o|p", "unconfigured"),
        (json!(["secret", ""]), "o|p", "unconfigured"),
        (json!("secret"), "", "missing_field"),
    ];
    for (secret, message, expected) in rows {
        let options = json!({"message": message, "signature": tag});
        let options = options.as_object().expect("an object");
        let got = (part.check)(&raw, &keys(json!({"secret": secret})), NOW, options);
        assert_eq!(
            got.map_or_else(|rejection| rejection.reason(), |()| "ok"),
            expected,
            "{secret} {message}"
        );
    }
}

#[test]
fn identity_and_required_places_are_checked() {
    let strict = "required = [\"header:X-Id\"]\n[[identity]]\nat = \"json:/order\"\nexpected = \"merchant\"\n\n[[credentials]]\nname = \"merchant\"\nabout = \"m\"\n\n[[checks]]";
    let text = changed(&[("[[checks]]", strict)]);
    let text = text.replace("required = [\"header:X-Id\"]\n", "");
    let description = read(&format!("required = [\"header:X-Id\"]\n{text}")).unwrap();
    let rows = [
        (json!({"secret": "secret"}), "1", "ok"),
        (json!({"secret": "secret"}), "", "missing_header"),
        (json!({"secret": "secret", "merchant": "A-1"}), "1", "ok"),
        (json!({"secret": "secret", "merchant": "B-1"}), "1", "identity_mismatch"),
        (json!({"secret": "secret", "merchant": ""}), "1", "unconfigured"),
    ];
    for (key_set, id, expected) in rows {
        let got = verdict(&description, key_set.clone(), &[("X-Signature", "{tag}"), ("X-Id", id)]);
        assert_eq!(got.map_or_else(|rejection| rejection.reason(), |()| "ok"), expected, "{key_set}");
    }
}

#[test]
fn every_algorithm_and_encoding_signs_and_verifies() {
    let rows = [
        ("hmac-sha1", "utf8", "hex"),
        ("hmac-sha256", "hex", "base64"),
        ("hmac-sha512", "base64", "hex-any-case"),
        ("hmac-sha256", "utf8", "base64url"),
        ("rsa-pkcs1v15-sha1", "pem", "base64"),
        ("rsa-pkcs1v15-sha256", "pem", "base64"),
        ("ecdsa-p256-sha256-der", "pem", "base64"),
        ("ecdsa-p256-sha256-raw", "pem", "base64url"),
        ("ed25519", "base64", "hex"),
        ("ed25519", "hex", "base64"),
        ("token", "utf8", "text"),
    ];
    for (algorithm, key, signature) in rows {
        let mut text = changed(&[
            ("\"hmac-sha256\"", &format!("\"{algorithm}\"")),
            ("\"utf8\"", &format!("\"{key}\"")),
            ("encoding = \"hex\"", &format!("encoding = \"{signature}\"")),
        ]);
        if algorithm == "token" {
            text =
                text.replace("signed = \"{body}\"", "").replace("covers = \"body\"", "covers = \"nothing\"");
        }
        let provider = read(&text).unwrap().into_provider();
        let (own, other) = (provider.sandbox.generate(), provider.sandbox.generate());
        let request = provider.sandbox.sign(&own, &payload(BODY)).unwrap();
        let genuine = raw("minimal", &request);
        provider
            .verify(&genuine, &credentials(&own), NOW)
            .unwrap_or_else(|error| panic!("{algorithm}: {error}"));
        let forged = provider.verify(&genuine, &credentials(&other), NOW);
        assert_eq!(forged.err(), Some(Rejection::SignatureMismatch), "{algorithm}");
    }
}

#[test]
fn a_key_of_another_kind_is_not_usable() {
    let rsa = changed(&[("\"hmac-sha256\"", "\"rsa-pkcs1v15-sha256\""), ("\"utf8\"", "\"pem\"")]);
    let ecdsa = rsa.replace("rsa-pkcs1v15-sha256", "ecdsa-p256-sha256-der");
    let ed25519 = changed(&[("\"hmac-sha256\"", "\"ed25519\""), ("\"utf8\"", "\"base64\"")]);
    let descriptions = [rsa, ecdsa, ed25519].map(|text| read(&text).unwrap());
    for (index, description) in descriptions.iter().enumerate() {
        for (other_index, other) in descriptions.iter().enumerate() {
            let request = description.sign(&description.generate_keys(), &payload(BODY)).unwrap();
            let key_set = Value::Object(other.generate_keys().key_set);
            let got = description.verify(&raw("minimal", &request), &keys(key_set), NOW).err();
            if index != other_index {
                assert_eq!(got, Some(Rejection::unconfigured("secret")), "{index} {other_index}");
            }
        }
    }
}

#[test]
fn a_field_that_holds_the_separator_is_refused() {
    let text = changed(&[
        ("covers = \"body\"", "covers = \"fields\""),
        (
            "signed = \"{body}\"",
            "signed = \"{json:/type}|{json:/id}|{json:/amount}|{json:/currency}|{json:/order}\"",
        ),
    ]);
    let description = read(&text).unwrap();
    let own = description.generate_keys();
    for (id, order, accepted) in [("p-1", "A|1", true), ("p|1", "A-1", false)] {
        let body = format!(r#"{{"type":"paid","order":"{order}","id":"{id}","amount":1,"currency":"EUR"}}"#);
        let request = description.sign(&own, &payload(&body)).unwrap();
        let key_set = KeySet::new("test", own.key_set.clone());
        let verified = description.verify(&raw("minimal", &request), &key_set, NOW);
        assert_eq!(verified.is_ok(), accepted, "{id} {order}");
    }
}

/// A time that no document limits must be readable, and is held against the clock where the account says so.
#[test]
fn a_window_may_be_the_accounts_own() {
    let provider = crate::providers::Registry::default().find("cashfree").unwrap();
    let tag =
        |at: &str| STANDARD.encode(hmac_tag(HmacHash::Sha256, b"key", &[at.as_bytes(), br#"{"type":"X"}"#]));
    let verify = |at: &str, tolerance: Value| {
        let headers = [("x-webhook-timestamp", at.to_owned()), ("x-webhook-signature", tag(at))];
        let headers = headers.map(|(name, value)| (name.to_owned(), value));
        let raw = RawCallback::new("a", "cashfree", "POST", "/", headers, br#"{"type":"X"}"#.to_vec());
        let fields = [("secret".to_owned(), "key".into()), ("tolerance_seconds".to_owned(), tolerance)];
        let credentials = Credentials { key_sets: vec![KeySet::new("k", fields.into_iter().collect())] };
        provider.verify(&raw, &credentials, UnixSeconds(1_700_000_600)).map(|_| ()).map_err(|it| it.reason())
    };
    for (at, tolerance, expected) in [
        ("1700000000000", Value::Null, Ok(())),
        ("1700000000000", 600.into(), Ok(())),
        ("1700000000000", 599.into(), Err("stale")),
        ("1700000000000", 0.into(), Err("unconfigured")),
        ("17000000000x", Value::Null, Err("malformed")),
    ] {
        assert_eq!(verify(at, tolerance.clone()), expected, "{at} {tolerance}");
    }
}
