//! Ids that a merchant registers: the hints that are made of them, and what a description must not say.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::callback::{Fetched, Origin};
use crate::providers::{FetchRequest, Provider};

/// A provider that is asked by the ids of payments, and by those of invoices in another way.
const ASKED: &str = r#"
title = "Asked"
retry_schedule = "never"
covers = "nothing"
[[credentials]]
name = "server"
about = "Server"
[[credentials]]
name = "key"
about = "Key"
[events]
type = "hint"
types = { hint = { kind = "ignored" } }
[inquiry]
base_url = "server"
host_suffix = ".asked.example"
unsigned = ["query:id", "json:/invoices"]
asked = ["query:id", "item:/id"]
answered = ["json:/id"]
absent = { at = "json:/code", one_of = ["404"] }
[[inquiry.reference]]
starts_with = "pay_"
query = { id = "{reference}", kind = "payment" }
[[inquiry.reference]]
json = { invoices = [{ id = "{reference}", open = true, days = 7 }] }
[[inquiry.requests]]
when = [{ at = "query:id" }]
path = "/payments/{query:id}"
headers = { authorization = "Bearer {credential:key}" }
[[inquiry.requests]]
items = "/invoices"
path = "/invoices/{item:/id}?open={item:/open}&days={item:/days}"
headers = { authorization = "Bearer {credential:key}" }
[[inquiry.events]]
type = "paid"
types = { paid = { kind = "payment.pending", facts = "payment" } }
facts = { payment = { references = ["json:/id"] } }
"#;

fn provider() -> &'static Provider {
    read(ASKED).unwrap().into_provider()
}

fn asked_by(provider: &Provider, id: &str) -> Option<Vec<FetchRequest>> {
    let keys = keys(json!({"server": "https://shop.asked.example/api", "key": "secret"}));
    let hint = provider.hint_of("acme", id, NOW)?;
    assert_eq!((hint.origin(), hint.account(), hint.provider()), (Origin::Hint, "acme", "minimal"));
    Some(provider.inquiries(&hint, &keys).unwrap())
}

#[test]
fn m11_an_id_becomes_the_question_that_a_callback_would_lead_to() {
    let provider = provider();
    let long = "9".repeat(129);
    for (id, url) in [
        ("pay_1", Some("payments/pay_1")),
        ("INV-1", Some("invoices/INV-1?open=true&days=7")),
        ("a&b=c#d?e%2F", Some("invoices/a%26b%3Dc%23d%3Fe%252F?open=true&days=7")),
        ("pay_é{reference}", Some("payments/pay_%C3%A9%7Breference%7D")),
        (r#"x","y":"z"#, Some("invoices/x%22%2C%22y%22%3A%22z?open=true&days=7")),
        ("pay_1/../2", None),
        ("pay_1\\2", None),
        ("pay_1\n", None),
        ("..", None),
        ("", None),
        (&long, None),
    ] {
        let asked = asked_by(provider, id);
        let urls: Option<Vec<String>> =
            asked.map(|asked| asked.into_iter().map(|request| request.url).collect());
        let expected = url.map(|url| vec![format!("https://shop.asked.example/api/{url}")]);
        assert_eq!(urls, expected, "{id}");
    }
}

proptest! {
    /// Whatever a merchant registers, at most one question comes of it, to the pinned host, at the described path, with
    /// the id as one of its segments and nothing else; and an answer about this id is believed, one about another is not.
    #[test]
    fn m11_no_id_reaches_another_address(id in prop_oneof![".{0,20}", "[a-z_/\\\\.%?#&=\"{}\\[\\]\u{0}-\u{20}]{0,12}"]) {
        let provider = provider();
        let Some(asked) = asked_by(provider, &id) else { return Ok(()) };
        prop_assert_eq!(asked.len(), 1);
        prop_assert_eq!(&asked[0].pinned_host, "shop.asked.example");
        let path = asked[0].url.strip_prefix("https://shop.asked.example/api/").unwrap();
        let piece = path.strip_prefix("payments/").unwrap_or_else(|| {
            path.strip_prefix("invoices/").unwrap().strip_suffix("?open=true&days=7").unwrap()
        });
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte);
        prop_assert!(piece.bytes().all(is_plain) && !matches!(piece, "" | "." | ".."), "{}", piece);
        let decoded = percent_encoding::percent_decode_str(piece).decode_utf8().unwrap();
        prop_assert_eq!(decoded.as_ref(), id.as_str());

        let hint = provider.hint_of("acme", &id, NOW).unwrap();
        let keys = keys(json!({"server": "https://shop.asked.example/api", "key": "secret"}));
        let answer = |about: &str| Fetched::new(200, json!({"id": about}).to_string().into_bytes(), NOW);
        prop_assert!(provider.answered(&hint, &answer(&id), &keys).is_ok());
        let other = answer(&(id.clone() + "x"));
        prop_assert!(provider.answered(&hint, &other, &keys).is_err());
    }
}

#[test]
fn m11_an_answer_says_itself_that_there_is_nothing() {
    let provider = provider();
    let hint = provider.hint_of("acme", "pay_1", NOW).unwrap();
    for (body, is_absent) in [
        (r#"{"code":"404"}"#, true),
        (r#"{"code":404}"#, true),
        (r#"{"code":"200","id":"pay_1"}"#, false),
        (r#"{"id":"pay_1"}"#, false),
        ("<html>", false),
        ("", false),
    ] {
        let answer = Fetched::new(200, body.as_bytes().to_vec(), NOW);
        assert_eq!(provider.says_absent(&hint, &answer), is_absent, "{body}");
    }
}

#[test]
fn m11_a_hint_that_leads_to_no_question_is_refused() {
    let query = r#"query = { id = "{reference}", kind = "payment" }"#;
    let invoices = r#"json = { invoices = [{ id = "{reference}", open = true, days = 7 }] }"#;
    for (from, to, error) in [
        (query, "", "inquiry.reference[0]: leads to 0 questions and not to one"),
        (query, r#"query = { number = "{reference}" }"#, "inquiry.reference[0]: leads to 0 questions"),
        (query, r#"query = { id = "1" }"#, "inquiry.reference[0]: leads to a question that does not name"),
        (
            query,
            r#"query = { id = "{refrence}" }"#,
            "inquiry.reference[0]: leads to a question that does not name",
        ),
        (query, r#"form = { id = "{reference}" }"#, "inquiry.reference[0]: leads to 0 questions"),
        (query, "form = { a = \"1\" }\njson = { b = \"2\" }", "inquiry.reference[0].form: there is a body"),
        (query, r#"body = "{reference}""#, "inquiry.reference"),
        (r#"starts_with = "pay_""#, "", "inquiry.reference[0].starts_with: is empty: no rule behind"),
        (
            r#"starts_with = "pay_""#,
            r#"starts_with = "pay/""#,
            "inquiry.reference[0].starts_with: cannot be the beginning",
        ),
        (
            invoices,
            r#"json = { invoices = [{ number = "{reference}" }] }"#,
            "inquiry.reference[1]: leads to no question: field `item:/id`",
        ),
        (
            invoices,
            r#"json = { invoices = [{ id = "{reference}" }, { id = "2" }] }"#,
            "inquiry.reference[1]: leads to no question",
        ),
        (
            invoices,
            r#"json = { invoices = [{ id = "{reference}", open = true, days = 7 }, { id = "2", open = true, days = 7 }] }"#,
            "inquiry.reference[1]: leads to 2 questions and not to one",
        ),
        (
            r#"asked = ["query:id", "item:/id"]"#,
            r#"asked = ["item:/id"]"#,
            "inquiry.reference[0]: has `{reference}` at no place of `inquiry.asked`",
        ),
        (r#"at = "json:/code""#, r#"at = "query:code""#, "inquiry.absent: `query:code` is not in the answer"),
    ] {
        assert!(ASKED.contains(from), "{from}");
        let refused = read(&ASKED.replacen(from, to, 1)).unwrap_err();
        let told = refused.to_string();
        let told = told.strip_prefix("provider `minimal`: ").unwrap_or(&told);
        assert!(told.starts_with(error), "{to}\n  {told}\n  {error}");
    }
    let one = ASKED.replacen("[[inquiry.reference]]\nstarts_with", "[inquiry.reference]\nstarts_with", 1);
    let (before, rest) = one.split_once("[[inquiry.reference]]").unwrap();
    let (_, after) = rest.split_once("[[inquiry.requests]]").unwrap();
    read(&format!("{before}[[inquiry.requests]]{after}")).unwrap();
}
