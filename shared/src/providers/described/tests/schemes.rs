//! Schemes beyond one header over the body: hashes with the key inside, sorted parameters, items that are signed each,
//! several ways of signing, signatures inside of the content.

use serde_json::json;

use crate::callback::Rejection;

use super::*;

/// [`MINIMAL`] with another check, which covers its fields.
fn with_check(check: &str) -> String {
    let (before, after) = MINIMAL.split_once("[[checks]]").unwrap();
    let (_, events) = after.split_once("[events]").unwrap();
    format!("{}[[checks]]\n{check}\n[events]{events}", before.replace("\"body\"", "\"fields\""))
}

const PAID: &str = r#"{"type": "paid", "order": "A-1", "id": "p-1", "amount": "1999", "currency": "EUR"}"#;

fn events_at(text: &str, carrier: &str) -> String {
    text.replace("json:/", &format!("{carrier}:"))
}

/// What a description says of its own genuine request, and of that request after a change.
struct Signed {
    description: Description,
    keys: SandboxKeys,
    request: SignedRequest,
}

impl Signed {
    fn new(text: &str, content: &str) -> Self {
        let description = read(text).unwrap();
        let keys = description.generate_keys();
        let request = description.sign(&keys, &payload(content)).unwrap();
        Self { description, keys, request }
    }

    fn verify(&self, change: impl FnOnce(&mut SignedRequest)) -> Result<usize, &'static str> {
        let mut request = self.request.clone();
        change(&mut request);
        let path = if request.query.is_empty() { "/".to_owned() } else { format!("/?{}", request.query) };
        let raw = RawCallback::new("account", "minimal", request.method, path, request.headers, request.body);
        let key_set = KeySet::new("test", self.keys.key_set.clone());
        let verified = self.description.verify(&raw, &key_set, NOW).map_err(|error| error.reason())?;
        self.description.normalise(&verified).map(|events| events.len()).map_err(|_| "unreadable")
    }

    fn with_body(&self, change: impl FnOnce(&str) -> String) -> Result<usize, &'static str> {
        self.verify(|request| {
            let body = String::from_utf8(request.body.clone()).unwrap();
            request.body = change(&body).into_bytes();
        })
    }
}

const SORTED: &str = r#"
algorithm = "md5"
key = { field = "secret", encoding = "utf8" }
signature = { at = "param:sign", encoding = "hex" }
signed = "{sorted}{key}"
sorted = { of = "parameters", except = ["sign_type"], skip_empty = true }
"#;

#[test]
fn sorted_parameters_have_one_reading_and_one_carrier() {
    let signed = Signed::new(&events_at(&with_check(SORTED), "param"), PAID);
    assert_eq!(signed.verify(|_| {}), Ok(1));
    let body = String::from_utf8(signed.request.body.clone()).unwrap();
    // The same in the query of a request without a body.
    let moved = |request: &mut SignedRequest| {
        request.query = String::from_utf8(std::mem::take(&mut request.body)).unwrap();
    };
    assert_eq!(signed.verify(moved), Ok(1));
    assert_eq!(signed.verify(|request| request.query = body.clone()), Err("malformed"));
    assert_eq!(signed.verify(|request| request.query = "amount=1".to_owned()), Err("malformed"));
    assert_eq!(signed.with_body(|body| format!("{body}&sign_type=MD5&note=")), Ok(1));
    assert_eq!(signed.with_body(|body| format!("{body}&note=1")), Err("signature_mismatch"));
    assert_eq!(signed.with_body(|body| body.replace("1999", "1998")), Err("signature_mismatch"));
    assert_eq!(signed.with_body(|body| format!("{body}&amount=1")), Err("duplicate"));
    assert_eq!(signed.with_body(|body| format!("{body}&amount[]=1")), Err("malformed"));
    assert_eq!(signed.with_body(|_| String::new()), Err("missing_field"));
    // The amount hides in the parameter before it, with or without another one in its place.
    let hidden = |body: &str| body.replace("&currency=EUR", "").replace("1999", "1999%26currency%3DEUR");
    assert_eq!(signed.with_body(hidden), Err("duplicate"));
    assert_eq!(signed.with_body(|body| hidden(body) + "&currency=USD"), Err("duplicate"));
}

#[test]
fn a_key_may_be_sorted_in() {
    let check = SORTED
        .replace("{sorted}{key}", "{sorted}")
        .replace("skip_empty = true", "skip_empty = true, include = { key = \"key\" }");
    let signed = Signed::new(&events_at(&with_check(&check), "param"), PAID);
    assert_eq!(signed.verify(|_| {}), Ok(1));
    assert_eq!(signed.with_body(|body| format!("{body}&key=1")), Err("duplicate"));
    let without = check.replace(", include = { key = \"key\" }", "");
    let error = read(&events_at(&with_check(&without), "param")).unwrap_err().to_string();
    assert!(error.contains("does not name `{key}`"), "{error}");
}

#[test]
fn the_elements_of_a_document_may_be_sorted() {
    let check = SORTED.replace("param:sign", "xml:/xml/sign").replace("\"parameters\"", "\"xml\"");
    let check = check.replace("{sorted}{key}", "{sorted}&key={key}");
    let signed = Signed::new(&with_check(&check).replace("json:/", "xml:/xml/"), PAID);
    assert_eq!(signed.verify(|_| {}), Ok(1));
    for (from, to, expected) in [
        ("1999", "1998", "signature_mismatch"),
        ("<id>", "<note></note><id>", "ok"),
        ("<id>", "<note>1</note><id>", "signature_mismatch"),
        ("<id>", "<amount>1</amount><id>", "duplicate"),
        ("<id>", "<note><a>1</a></note><id>", "malformed"),
        ("<id>", "<!-- --><id>", "malformed"),
        ("<xml>", "<!DOCTYPE xml><xml>", "malformed"),
        ("<sign>", "<sigh>", "malformed"),
        ("</xml>", "</xml><xml/>", "malformed"),
    ] {
        let got = signed.with_body(|body| body.replacen(from, to, 1)).map(|_| "ok");
        assert_eq!(got.unwrap_or_else(|reason| reason), expected, "{to}");
    }
}

#[test]
fn hashes_and_rsa_with_md5_sign_and_verify() {
    let rows = [
        ("md5", "utf8", "{json:/id}|{json:/type}|{json:/order}|{json:/amount}|{json:/currency}|{key}"),
        ("sha256", "utf8", "{body}{key}"),
        ("sha512", "utf8", "{body|sha256-hex}.{key}"),
        ("keccak256", "utf8", "{key}{body}"),
        ("rsa-pkcs1v15-md5", "pem", "{body|md5-hex}"),
    ];
    for (algorithm, encoding, template) in rows {
        let check = format!(
            "algorithm = \"{algorithm}\"\nkey = {{ field = \"secret\", encoding = \"{encoding}\" }}\n\
             signature = {{ at = \"header:X-Signature\", encoding = \"hex-any-case\", prefix = \"0x\" }}\nsigned = \"{template}\""
        );
        let signed = Signed::new(&with_check(&check), PAID);
        assert_eq!(signed.verify(|_| {}), Ok(1), "{algorithm}");
        assert_eq!(signed.with_body(|body| body.replace("1999", "1998")), Err("signature_mismatch"));
        let mut other = Signed::new(&with_check(&check), PAID);
        other.keys = other.description.generate_keys();
        assert_eq!(other.verify(|_| {}), Err("signature_mismatch"), "{algorithm}");
        let unprefixed = |request: &mut SignedRequest| request.headers[0].1.replace_range(..2, "");
        assert_eq!(signed.verify(unprefixed), Err("signature_mismatch"), "{algorithm}");
        for blank in [json!(""), json!([]), json!(null)] {
            other.keys.key_set.insert("secret".to_owned(), blank);
            assert_eq!(other.verify(|_| {}), Err("unconfigured"), "{algorithm}");
        }
    }
}

const ITEMS: &str = r#"
algorithm = "hmac-sha256"
key = { field = "secret", encoding = "hex" }
signature = { at = "item:/sign", encoding = "base64" }
each_item = "/list"
signed = "{item:/type}:{item:/order?}:{item:/id}:{item:/amount}:{item:/currency}"
free_field = "item:/order"
"#;

#[test]
fn every_item_must_be_signed_and_there_must_be_one() {
    let text =
        with_check(ITEMS).replace("json:/", "item:/").replace("[events]", "[events]\nitems = \"/list\"");
    let second = PAID.replace("p-1", "p-2").replace("A-1", "A:2");
    let signed = Signed::new(&text, &format!(r#"{{"list": [{PAID}, {second}]}}"#));
    assert_eq!(signed.verify(|_| {}), Ok(2));
    for (from, to, expected) in [
        ("p-2", "p-3", "signature_mismatch"),
        ("p-1", "p-3", "signature_mismatch"),
        ("\"A:2\"", "\"A\"", "signature_mismatch"),
    ] {
        assert_eq!(signed.with_body(|body| body.replacen(from, to, 1)), Err(expected), "{to}");
    }
    let with_unsigned = |body: &str| body.replace("{\"list\":[", &format!("{{\"list\":[{PAID},"));
    assert_eq!(signed.with_body(with_unsigned), Err("missing_field"));
    for body in [r#"{"list": []}"#, r#"{"list": {}}"#, "{}", "[]"] {
        assert_eq!(signed.with_body(|_| body.to_owned()), Err("missing_signature"), "{body}");
    }
    let elsewhere = text.replace("items = \"/list\"", "items = \"/others\"");
    let error = read(&elsewhere).unwrap_err().to_string();
    assert!(error.contains("is not signed"), "{error}");
}

#[test]
fn the_place_that_chooses_a_check_chooses_the_events_too() {
    let items = ITEMS.to_owned()
        + "\n[[checks]]\nwhen = \"header:X-Signature\"\nalgorithm = \"hmac-sha256\"\nkey = { field = \"secret\", encoding = \"hex\" }\nsignature = { at = \"header:X-Signature\", encoding = \"hex\" }\nsigned = \"{body}\"\n";
    let text = with_check(&items);
    let (before, events) = text.split_once("[events]").unwrap();
    let of_items = events.replace("json:/", "item:/");
    let text = format!(
        "{before}[[events]]\nitems = \"/list\"{of_items}\n[[events]]\nwhen = \"header:X-Signature\"{events}"
    );
    let signed = Signed::new(&text, &format!(r#"{{"list": [{PAID}]}}"#));
    assert_eq!(signed.verify(|_| {}), Ok(1));
    // What only the other check would sign is not read from this one's callbacks.
    let more = |body: &str| body.replacen('{', &format!("{},", PAID.trim_end_matches('}')), 1);
    assert_eq!(signed.with_body(more), Ok(1));
    let claimed = |request: &mut SignedRequest| request.headers.push(("X-Signature".into(), "00".into()));
    assert_eq!(signed.verify(claimed), Err("signature_mismatch"));
    let secret = hex::decode(signed.keys.private["secret"].as_str().unwrap()).unwrap();
    let tag = crate::callback::signature::hmac_tag(
        crate::callback::signature::HmacHash::Sha256,
        &secret,
        &[PAID.as_bytes()],
    );
    let whole = |request: &mut SignedRequest| {
        request.body = PAID.as_bytes().to_vec();
        request.headers.push(("X-Signature".into(), hex::encode(tag)));
    };
    assert_eq!(signed.verify(whole), Ok(1));
    let unknown = text.replacen("when = \"header:X-Signature\"\ntype", "when = \"header:X-Other\"\ntype", 1);
    let error = read(&unknown).unwrap_err().to_string();
    assert!(error.contains("events[1].when: is not the `when` of a check"), "{error}");
}

#[test]
fn listings_say_how_it_signs() {
    let text =
        with_check(ITEMS).replace("json:/", "item:/").replace("[events]", "[events]\nitems = \"/list\"");
    for (text, scheme) in [
        (MINIMAL.to_owned(), "HMAC-SHA256 over {body}, header:x-signature"),
        (events_at(&with_check(SORTED), "param"), "MD5 over {sorted}{key}, param:sign"),
        (
            text,
            "HMAC-SHA256 over {type}:{order}:{id}:{amount}:{currency} of each member of /list, item:/sign",
        ),
    ] {
        assert_eq!(read(&text).unwrap().into_provider().scheme, scheme);
    }
}

#[test]
fn the_key_that_proved_a_callback_may_choose_what_it_means() {
    let other = "\n[[credentials]]\nname = \"other\"\nabout = \"o\"\n\n[[checks]]\nvariant = \"late\"\nalgorithm = \"hmac-sha256\"\nkey = { field = \"other\", encoding = \"utf8\" }\nsignature = { at = \"header:X-Signature\", encoding = \"hex\" }\nsigned = \"{body}\"\n\n[events]";
    let chosen =
        "kind_at = \"variant\", kinds = { early = \"payment.authorized\", late = \"payment.captured\" }";
    let changes = [
        ("[[checks]]", "[[checks]]\nvariant = \"early\""),
        ("[events]", other),
        ("kind = \"payment.captured\"", chosen),
        ("[events.types]", "[events.types]\nsettled = \"paid\""),
    ];
    let description = read(&changed(&changes)).unwrap();
    for (keys, kind) in description.generate_all_keys().iter().zip(["payment.authorized", "payment.captured"])
    {
        for name in ["paid", "settled"] {
            let content = PAID.replace("\"paid\"", &format!("\"{name}\""));
            let request = description.sign(keys, &payload(&content)).unwrap();
            let key_set = KeySet::new("test", keys.key_set.clone());
            let verified = description.verify(&raw("minimal", &request), &key_set, NOW).unwrap();
            let queued = crate::callback::Verified::from_queue(&verified.to_message()).unwrap();
            let events = description.normalise(&queued).unwrap();
            assert_eq!(
                events.iter().map(|event| event.as_ref().unwrap().kind.name()).collect::<Vec<_>>(),
                [kind],
                "{name}"
            );
        }
    }
    let unnamed = read(&changed(&changes[1..])).unwrap_err().to_string();
    assert!(unnamed.contains("`variant` needs a variant for each of the checks"), "{unnamed}");
    let many =
        changed(&[("[events]", "[[events]]"), ("[events.types]", "[events.types]\nsettled = \"paid\"")]);
    let description = read(&many).unwrap();
    let keys = description.generate_keys();
    let request = description.sign(&keys, &payload(&PAID.replace("\"paid\"", "\"settled\""))).unwrap();
    let verified =
        description.verify(&raw("minimal", &request), &KeySet::new("test", keys.key_set), NOW).unwrap();
    assert_eq!(description.normalise(&verified).unwrap().len(), 1);
    let error = read(&many.replace("\"paid\"", "\"payed\"")).unwrap_err().to_string();
    assert!(error.contains("events.types.\"settled\": `payed` is not a type with a rule"), "{error}");
}

#[test]
fn a_signature_may_stand_inside_of_what_is_signed_by_fields() {
    let check = r#"
algorithm = "hmac-sha256"
key = { field = "secret", encoding = "utf8" }
signature = { at = "json:/meta/sign", encoding = "hex" }
signed = "{json:/type}|{json:/order}|{json:/id}|{json:/amount}|{json:/currency}"
"#;
    let signed = Signed::new(&with_check(check), PAID);
    assert_eq!(signed.verify(|_| {}), Ok(1));
    assert_eq!(signed.with_body(|body| body.replace("1999", "1998")), Err("signature_mismatch"));
    assert_eq!(signed.with_body(|body| body.replace("sign", "sigh")), Err("missing_field"));
    let query = events_at(&with_check(&check.replace("json:/meta/", "query:")), "query");
    let names = ["type", "order", "id", "amount", "currency"];
    let content = names.iter().fold(PAID.to_owned(), |text, name| {
        text.replace(&format!("\"{name}\""), &format!("\"query:{name}\""))
    });
    let signed = Signed::new(&query, &content);
    assert_eq!((signed.request.body.as_slice(), signed.verify(|_| {})), (&b"{}"[..], Ok(1)));
    let other = |request: &mut SignedRequest| request.query = request.query.replace("1999", "1998");
    assert_eq!(signed.verify(other), Err("signature_mismatch"));
    assert_eq!(signed.verify(|request| request.query += "&amount=1"), Err("duplicate"));
}

#[test]
fn the_registered_address_is_part_of_what_is_signed() {
    let url = "[[credentials]]\nname = \"notification_url\"\nabout = \"u\"\n\n[[checks]]";
    let text = changed(&[("[[checks]]", url), ("{body}", "{url}{body}")]);
    let mut signed = Signed::new(&text, PAID);
    assert_eq!(signed.verify(|_| {}), Ok(1));
    for (value, expected) in [("https://other.example", "signature_mismatch"), (" ", "unconfigured")] {
        signed.keys.key_set.insert("notification_url".to_owned(), value.into());
        assert_eq!(signed.verify(|_| {}), Err(expected));
    }
    signed.keys.key_set.remove("notification_url");
    assert_eq!(signed.verify(|_| {}), Err("unconfigured"));
}

#[test]
fn times_in_any_unit_limit_the_age() {
    for (unit, text) in [
        ("seconds", "1767225600"),
        ("milliseconds", "1767225600999"),
        ("auto", "1767225600"),
        ("auto", "1767225600999"),
        ("rfc3339", "2026-01-01T00:00:00Z"),
        ("china", "2026-01-01 08:00:00"),
        ("china", "20260101080000"),
    ] {
        let timestamp =
            format!("[timestamp]\nat = \"json:/at\"\nunit = \"{unit}\"\ntolerance_seconds = 5\n[events]");
        let description = read(&changed(&[("[events]", &timestamp)])).unwrap();
        let keys = description.generate_keys();
        let request = description.sign(&keys, &payload(&format!(r#"{{"at": "{text}"}}"#))).unwrap();
        let key_set = KeySet::new("test", keys.key_set.clone());
        let at =
            |now: i64| description.verify(&raw("minimal", &request), &key_set, UnixSeconds(now)).map(|_| ());
        assert_eq!(at(NOW.0 + 5), Ok(()), "{unit} {text}");
        assert_eq!(at(NOW.0 + 6), Err(Rejection::Stale { age_seconds: 6 }), "{unit} {text}");
        assert_eq!(at(NOW.0 - 6), Err(Rejection::Stale { age_seconds: -6 }), "{unit} {text}");
    }
}
