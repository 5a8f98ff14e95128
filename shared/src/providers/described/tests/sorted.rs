//! Sorted parameters: where they may come from, what their signature covers, and what values alone can say.

use serde_json::json;

use super::*;
use crate::callback::Rejection;

const SIGNED: &str = "signed = \"{body}\"";

/// A description whose signature and sorted parameters are at these places.
fn described(signature_at: &str, rule: &str, changes: &[(&str, &str)]) -> String {
    let signed = format!("signed = \"{{sorted}}\"\nsorted = {{ {rule} }}");
    let mut all = vec![("header:X-Signature", signature_at), (SIGNED, signed.as_str())];
    all.extend(changes);
    changed(&all)
}

#[test]
fn parameters_are_sorted_where_the_signature_is() {
    let places = [
        ("form", "form:sign"),
        ("query", "query:sign"),
        ("parameters", "param:sign"),
        ("json", "json:/sign"),
        ("xml", "xml:/xml/sign"),
    ];
    for (of, _) in places {
        for (other, signature_at) in places {
            let events = [("covers = \"body\"", "covers = \"nothing\"")];
            let said = read(&described(signature_at, &format!("of = \"{of}\""), &events));
            let said = said.map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
            let expected =
                if of == other { "accepted" } else { "checks[0].sorted.of: is not where the signature is" };
            assert!(said.contains(expected), "{of} {signature_at}: {said}");
        }
        assert!(
            read(&described(
                "header:X-Signature",
                &format!("of = \"{of}\""),
                &[("covers = \"body\"", "covers = \"nothing\"")]
            ))
            .is_ok(),
            "{of}"
        );
    }
}

#[test]
fn a_rule_that_could_be_read_in_two_ways_is_refused() {
    let header = "header:X-Signature";
    for (rule, message) in [
        ("of = \"json\", join = \"\"", "checks[0].sorted.join: must not be empty"),
        ("of = \"json\", values_only = true", "checks[0].sorted.values_only: leaves the names unsigned"),
        (
            "of = \"json\", include = { k = \"credential:other\" }",
            "checks[0].sorted.include.k: `other` is not listed",
        ),
        (
            "of = \"json\", include = { k = \"item:/a\" }",
            "checks[0].sorted.include.k: `item:/a` is not part of the request",
        ),
        ("of = \"json\", include = { k = \"credential:secret\" }", "accepted"),
        ("of = \"json\", include = { k = \"key\" }", "accepted"),
        ("of = \"json\"", "accepted"),
    ] {
        let said = read(&described(header, rule, &[]));
        let said = said.map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
        assert!(said.contains(message), "{rule}: {said}");
    }
    let unused = changed(&[(SIGNED, "signed = \"{body}\"\nsorted = { of = \"json\" }")]);
    assert!(read(&unused).unwrap_err().to_string().contains("checks[0].sorted: is not named in `signed`"));
    let public = [("\"hmac-sha256\"", "\"rsa-pkcs1v15-sha256\""), ("\"utf8\"", "\"pem\"")];
    let rule = "of = \"json\", include = { k = \"key\" }";
    let error = read(&described(header, rule, &public)).unwrap_err().to_string();
    assert!(error.contains("checks[0].sorted.include.k: is public"), "{error}");
}

/// What events say must be among the parameters that are signed: not one that is left out, nor one inside of another.
#[test]
fn f14_only_what_is_sorted_in_is_covered() {
    let fields = ("covers = \"body\"", "covers = \"fields\"");
    let order = |at: &'static str| ("json:/order", at);
    for (rule, order_at, is_covered) in [
        ("of = \"json\"", "json:/order", true),
        ("of = \"json\"", "json:/order/id", false),
        ("of = \"json\"", "json:/sign", false),
        ("of = \"json\", except = [\"order\"]", "json:/order", false),
        ("of = \"json\", except = [\"other\"]", "json:/order", true),
    ] {
        let text = described("json:/sign", rule, &[fields, order(order_at)]);
        let said = read(&text).map_or_else(|error| error.to_string(), |_| String::new());
        assert_eq!(said.is_empty(), is_covered, "{rule} {order_at}: {said}");
        assert!(is_covered || said.contains("subject_id[0]"), "{said}");
    }
}

/// Values without names only give a hint, and only while no value can end before its end.
#[test]
fn f14_values_alone_have_one_reading() {
    let rule = "of = \"json\", values_only = true, join = \"|\"";
    let text = described("header:X-Signature", rule, &[("covers = \"body\"", "covers = \"nothing\"")]);
    let description = read(&text).unwrap();
    let keys = keys(json!({"secret": "s"}));
    let verdict = |body: &str, signed: &str| {
        use crate::callback::signature::{HmacHash, hmac_tag};
        let tag = hex::encode(hmac_tag(HmacHash::Sha256, b"s", &[signed.as_bytes()]));
        let headers = [("X-Signature".to_owned(), tag)];
        let raw = RawCallback::new("account", "minimal", "POST", "/", headers, body.as_bytes().to_vec());
        description.verify(&raw, &keys, NOW).map(drop)
    };
    assert_eq!(verdict("{\"b\":\"2\",\"a\":\"1\"}", "1|2"), Ok(()));
    assert_eq!(verdict("{\"b\":\"2\",\"a\":\"1\"}", "2|1"), Err(Rejection::SignatureMismatch));
    assert_eq!(verdict("{\"b\":\"2\",\"a\":\"1\"}", ""), Err(Rejection::SignatureMismatch));
    assert_eq!(verdict("{\"a\":\"1|2\"}", "1|2"), Err(Rejection::malformed("body")));
    assert_eq!(verdict("{}", ""), Err(Rejection::malformed("body")));
}
