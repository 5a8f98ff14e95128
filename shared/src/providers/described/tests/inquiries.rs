//! What a description may ask, and whom.

use super::super::inquiry::{ASKED_BYTES_MAX, REQUESTS_MAX};
use super::*;
use crate::callback::Rejection;
use crate::providers::MappingError;
use serde_json::json;

const INQUIRY: &str = r#"
[inquiry]
host = "api.minimal.example"
asked = ["json:/id", "item:/id"]
answered = ["json:/id"]

[[inquiry.requests]]
path = "/payments/{json:/id}"
headers = { authorization = "Bearer {credential:secret}" }

[[inquiry.events]]
type = "{json:/status}"

[inquiry.events.types]
paid = { kind = "payment.captured", facts = "payment" }

[inquiry.events.facts.payment]
subject_id = ["json:/order"]
transaction_id = ["json:/id"]
amount = { at = ["json:/amount"], unit = "minor", currency = ["json:/currency"] }
"#;

/// The minimal description that asks, with each of the first texts replaced by the second.
fn asking(changes: &[(&str, &str)]) -> String {
    let mut inquiry = INQUIRY.to_owned();
    for (from, to) in changes {
        assert!(inquiry.contains(from), "`{from}` is not in the inquiry");
        inquiry = inquiry.replacen(from, to, 1);
    }
    format!("{MINIMAL}{inquiry}")
}

#[test]
fn what_is_asked_and_read_is_refused_by_name() {
    read(&asking(&[])).unwrap();
    for (from, to, message) in [
        ("\"/payments/", "\"payments/", "inquiry.requests[0].path: must begin with `/`"),
        ("{json:/id}\"\nheaders", "1\"\nheaders", "inquiry.requests[0].path: names nothing of the callback"),
        ("{credential:secret}", "{credential:other}", "inquiry.requests[0]: `other` is not listed"),
        ("{credential:secret}", "{body}", "inquiry.requests[0]: `body` cannot be asked about"),
        ("{credential:secret}", "{key}", "inquiry.requests[0]: `key` cannot be asked about"),
        ("{credential:secret}", "{item:/id}", "inquiry.requests[0]: `item:/id` needs `items`"),
        ("answered = [\"json:/id\"]", "answered = [\"header:X-Id\"]", "`header:x-id` is not in the answer"),
        ("\"{json:/status}\"", "\"{header:X-Status}\"", "inquiry.events[0]"),
        ("\"json:/amount\"", "\"query:amount\"", "inquiry.events[0]"),
        ("host = \"api.minimal.example\"", "", "inquiry.host: either `host` or `base_url`"),
        ("host = \"api.minimal.example\"", "host = \"api/minimal\"", "inquiry.host: is not a host's name"),
    ] {
        let said = read(&asking(&[(from, to)])).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(said.contains(message), "{from} -> {to}: {said}");
    }
}

fn questions(text: &str, body: &Value, fields: Value) -> Result<Vec<String>, MappingError> {
    use crate::callback::signature::{HmacHash, hmac_tag};
    let description = read(text).unwrap();
    let body = body.to_string();
    let tag = hex::encode(hmac_tag(HmacHash::Sha256, b"s", &[body.as_bytes()]));
    let headers = [("X-Signature".to_owned(), tag)];
    let raw = RawCallback::new("account", "minimal", "POST", "/", headers, body.into_bytes());
    let verified = description.verify(&raw, &keys(json!({"secret": "s"})), NOW).unwrap();
    let requests = description.inquiries(&verified, &keys(fields))?;
    Ok(requests.into_iter().map(|request| request.url).collect())
}

/// An id that somebody made up reaches no other path.
#[test]
fn f8_an_id_is_put_into_the_address_only_when_it_is_plain() {
    let asked = |id: &str| questions(&asking(&[]), &json!({ "id": id }), json!({"secret": "s"}));
    let refused = Err(MappingError::field("id"));
    for (id, expected) in [
        ("tr_1", Ok("tr_1".to_owned())),
        ("a b&c=d?e#f%", Ok("a%20b%26c%3Dd%3Fe%23f%25".to_owned())),
        ("...", Ok("...".to_owned())),
        (&"9".repeat(ASKED_BYTES_MAX), Ok("9".repeat(ASKED_BYTES_MAX))),
        (&"9".repeat(ASKED_BYTES_MAX + 1), refused.clone()),
        (".", refused.clone()),
        ("..", refused.clone()),
        ("a/b", refused.clone()),
        ("a\\b", refused.clone()),
        ("a\nb", refused.clone()),
        ("a\u{7f}", refused),
    ] {
        let expected = expected.map(|path| vec![format!("https://api.minimal.example/payments/{path}")]);
        assert_eq!(asked(id), expected, "{id:?}");
    }
}

/// Whom a merchant's own address names, and nobody else.
#[test]
fn f8_a_merchants_own_server_is_an_address_and_nothing_more() {
    let own = [("host = \"api.minimal.example\"", "base_url = \"server\"\nhost_suffix = \".shops.example\"")];
    let text = asking(&own).replacen(
        "[[checks]]",
        "[[credentials]]\nname = \"server\"\nabout = \"Server\"\n\n[[checks]]",
        1,
    );
    let asked =
        |server: &str| questions(&text, &json!({"id": "1"}), json!({"secret": "s", "server": server}));
    for (server, address) in [
        ("https://one.shops.example", Some("https://one.shops.example")),
        ("one.shops.example", Some("https://one.shops.example")),
        ("https://one.shops.example/", Some("https://one.shops.example")),
        ("https://one.shops.example/api/v1/", Some("https://one.shops.example/api/v1")),
        ("https://one.shops.example/a-b_c.d", Some("https://one.shops.example/a-b_c.d")),
        ("http://one.shops.example", None),
        ("https://.shops.example", None),
        ("https://one.shops.example.evil.example", None),
        ("https://evil.example/.shops.example", None),
        ("https://user@one.shops.example", None),
        ("https://one.shops.example:8443", None),
        ("https://one.shops.example/a//b", None),
        ("https://one.shops.example/../b", None),
        ("https://one.shops.example/./b", None),
        ("https://one.shops.example/a?b", None),
        ("https://one.shops.example/a#b", None),
        ("https://one.shops.example/a%2e", None),
    ] {
        let expected = match address {
            Some(address) => Ok(vec![format!("{address}/payments/1")]),
            None => Err(MappingError::field("server")),
        };
        assert_eq!(asked(server), expected, "{server}");
    }
}

#[test]
fn each_member_of_a_list_is_a_question_up_to_a_limit() {
    let items = asking(&[(
        "path = \"/payments/{json:/id}\"",
        "items = \"/events\"\npath = \"/payments/{item:/id}\"",
    )]);
    let list = |count: usize| {
        let events: Vec<Value> = (0..count).map(|id| json!({ "id": id.to_string() })).collect();
        questions(&items, &json!({ "events": events }), json!({"secret": "s"}))
            .map(|questions| questions.len())
    };
    assert_eq!(list(0), Ok(0));
    assert_eq!(list(REQUESTS_MAX), Ok(REQUESTS_MAX));
    assert_eq!(list(REQUESTS_MAX + 1), Err(MappingError::field("requests")));
    let none = questions(&items, &json!({"id": "1"}), json!({"secret": "s"}));
    assert_eq!(none, Ok(Vec::new()), "no list, no question");
    let same = json!({"events": [{"id": "1"}, {"id": "1"}]});
    assert_eq!(questions(&items, &same, json!({"secret": "s"})).map(|all| all.len()), Ok(1));
}

/// A key set that cannot ask must not acknowledge what it would have to ask about.
#[test]
fn f3_a_key_set_without_what_asking_needs_is_refused() {
    let more = "[[credentials]]\nname = \"token\"\nabout = \"Token\"\n\n[[checks]]";
    let text = asking(&[("{credential:secret}", "{credential:token}")]).replacen("[[checks]]", more, 1);
    let description = read(&text).unwrap();
    let asks = |fields: Value| description.require_asking(&keys(fields));
    assert_eq!(asks(json!({"secret": "s", "token": "t"})), Ok(()));
    for fields in
        [json!({"secret": "s"}), json!({"secret": "s", "token": ""}), json!({"secret": "s", "token": 1})]
    {
        assert_eq!(asks(fields.clone()), Err(Rejection::unconfigured("token")), "{fields}");
    }
}
