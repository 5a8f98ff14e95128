//! Tokens with which a provider wants to be asked: what a description must not say, and what it asks for.

use super::*;
use crate::callback::{Fetched, Rejection};

/// A provider that is asked with a token.
const ASKED: &str = r#"
title = "Asked"
rail = "bank"
retry_schedule = "never"
covers = "nothing"
[[credentials]]
name = "client"
about = "Client"
[[credentials]]
name = "environment"
about = "Environment"
[events]
type = "hint"
types = { hint = { kind = "ignored" } }
[inquiry]
host = "api.asked.example"
base_path = "/live"
sandbox_host = "test.asked.example"
sandbox_base_path = "/test/v2"
unsigned = ["json:/id"]
asked = ["json:/id"]
answered = ["json:/number"]
[inquiry.token]
url = "https://auth.asked.example/token"
sandbox_url = "https://test-auth.asked.example/token"
json = { client = "{credential:client}", grant_type = "client_credentials" }
token = "json:/access_token"
expires_in = "json:/expires_in"
headers = { authorization = "Bearer {token}" }
[[inquiry.requests]]
path = "/payments/{json:/id}"
headers = { accept = "application/json" }
[[inquiry.events]]
subject_asked = "json:/id"
type = "paid"
types = { paid = { kind = "payment.pending", facts = "payment" } }
facts = { payment = { references = ["json:/number"] } }
"#;

#[test]
fn the_token_and_the_question_are_those_of_the_environment() {
    use serde_json::json;
    let provider = read(ASKED).unwrap().into_provider();
    let raw = RawCallback::new("account", "asked", "POST", "/", Vec::new(), br#"{"id":"A 1"}"#.to_vec());
    for (environment, token_url, url) in [
        ("production", "https://auth.asked.example/token", "https://api.asked.example/live/payments/A%201"),
        (
            "sandbox",
            "https://test-auth.asked.example/token",
            "https://test.asked.example/test/v2/payments/A%201",
        ),
    ] {
        let keys = keys(json!({"client": "shop \"1\"", "environment": environment}));
        let wanted = provider.token_request(&keys).unwrap().unwrap();
        assert_eq!(wanted.request.url, token_url);
        let body = r#"{"client":"shop \"1\"","grant_type":"client_credentials"}"#;
        assert_eq!(String::from_utf8_lossy(&wanted.request.body), body);
        let credentials = Credentials { key_sets: vec![keys.clone()] };
        let hint = provider.accept(&raw, &credentials, NOW).unwrap();
        assert_eq!(provider.inquiries(&hint, &keys).unwrap()[0].url, url);
    }
    let without_client = keys(json!({"environment": "sandbox"}));
    assert!(provider.token_request(&without_client).is_err());
    let credentials = Credentials { key_sets: vec![without_client] };
    let unconfigured = Rejection::Unconfigured { field: "client".to_owned() };
    assert_eq!(provider.accept(&raw, &credentials, NOW).unwrap_err(), unconfigured, "it could never ask");
}

/// Whoever makes us ask about one payment must not be answered with another, or with somebody else's.
#[test]
fn an_answer_about_something_else_is_no_answer() {
    use serde_json::json;
    let identity = r#"answered = ["json:/number"]
identity = [{ at = "json:/merchant", expected = "client" }]"#;
    let provider = read(&ASKED.replace(r#"answered = ["json:/number"]"#, identity)).unwrap().into_provider();
    let keys = keys(json!({"client": "shop", "environment": "sandbox"}));
    let raw = RawCallback::new("account", "asked", "POST", "/", Vec::new(), br#"{"id":"A1"}"#.to_vec());
    let hint = provider.accept(&raw, &Credentials { key_sets: vec![keys.clone()] }, NOW).unwrap();
    for (answer, is_believed) in [
        (r#"{"number":"A1","merchant":"shop","hint":"paid"}"#, true),
        (r#"{"number":"A2","merchant":"shop"}"#, false),
        (r#"{"number":"","merchant":"shop"}"#, false),
        (r#"{"merchant":"shop"}"#, false),
        (r#"{"number":"A1","merchant":"other"}"#, false),
        (r#"{"number":"A1"}"#, false),
        ("A1", false),
        ("", false),
    ] {
        let fetched = Fetched::new(200, answer.as_bytes().to_vec(), NOW);
        assert_eq!(provider.answered(&hint, &fetched, &keys).is_ok(), is_believed, "{answer}");
    }
}

/// What is replaced in the description, by what, and the message.
const ROWS: &[(&str, &str, &str)] = &[
    ("\"https://auth.", "\"http://auth.", "inquiry.token.url: is not an address"),
    (
        "https://auth.asked.example/token",
        "https://auth.asked.example",
        "inquiry.token.url: is not an address",
    ),
    ("https://auth.asked.example", "https://auth.asked.example@evil.example", "inquiry.token.url: is not an"),
    ("https://auth.asked.example", "https://127.0.0.1:80", "inquiry.token.url: is not an address"),
    (
        "sandbox_url = \"https://test-auth.asked.example/token\"\n",
        "",
        "inquiry.token.sandbox_url: must be there",
    ),
    ("{credential:client}", "{credential:klient}", "inquiry.token: `klient` is not listed in `credentials`"),
    ("{credential:client}", "{json:/id}", "inquiry.token: `json:/id` is no credential"),
    ("{credential:client}", "{credential:client?}", "inquiry.token: must not leave anything out"),
    ("{credential:client}", "shop", "inquiry.token.form: names no credential"),
    (
        "json = { client",
        "form = { a = \"b\" }\njson = { client",
        "inquiry.token.form: either `form` or `json`",
    ),
    (
        "\"json:/access_token\"",
        "\"header:token\"",
        "inquiry.token.token: `header:token` is not in the answer",
    ),
    ("expires_in = \"json:/expires_in\"\n", "", "inquiry.token.expires_in: is missing"),
    ("Bearer {token}", "Bearer", "inquiry.token.headers.authorization: must have the place `{token}` once"),
    ("{ authorization = \"Bearer {token}\" }", "{}", "inquiry.token.headers: is empty"),
    (
        "{ accept = \"application/json\" }",
        "{ Authorization = \"x\" }",
        "is a header of the questions already",
    ),
    ("\"/live\"", "\"live\"", "inquiry.base_path: is not the path"),
    ("\"/live\"", "\"/live/\"", "inquiry.base_path: is not the path"),
    ("\"/test/v2\"", "\"/test/..\"", "inquiry.sandbox_base_path: is not the path"),
    (
        "subject_asked = \"json:/id\"",
        "subject_asked = \"json:/other\"",
        "subject_asked: is in no request's `path`",
    ),
    ("type = \"hint\"", "type = \"hint\"\nsubject_asked = \"json:/id\"", "events.subject_asked: is only for"),
];

#[test]
fn a_description_that_would_give_the_secret_away_is_refused() {
    for (from, to, message) in ROWS {
        assert!(ASKED.contains(from), "`{from}` is not in the description");
        let error = read(&ASKED.replacen(from, to, 1)).expect_err(message).to_string();
        assert!(error.contains(message), "{from} -> {to}: {error}");
    }
}
