//! Places, templates and what they stand for.

use crate::callback::Rejection;
use crate::providers::described::place::Place;
use crate::providers::described::request::{Request, Scope};
use crate::providers::described::template::Template;

use super::*;

fn raw_of(path: &str, body: &str) -> RawCallback {
    let headers = [("X-Id".to_owned(), "h1".to_owned())];
    RawCallback::new("account", "minimal", "POST", path, headers, body.as_bytes().to_vec())
}

fn template(text: &str) -> Template {
    Template::try_from(text.to_owned()).unwrap()
}

#[test]
fn places_print_as_they_are_written() {
    for text in [
        "body",
        "body|sha256-hex",
        "header:x-id|lower|upper",
        "json:/message/data|base64-decode#/x",
        "form:data#/order/id",
        "param:sign_type",
        "item:/a~1b",
        "credential:secret|md5-hex",
        "url",
    ] {
        assert_eq!(Place::try_from(text.to_owned()).unwrap().to_string(), text);
    }
    for text in ["", "bodies", "json:order", "form:", "body|sha1", "body#order", "body|", "form:a#"] {
        assert!(Place::try_from(text.to_owned()).is_err(), "{text}");
    }
}

#[test]
fn steps_change_what_stands_at_a_place() {
    let raw = raw_of(
        "/p?b=",
        r#"{"text": "Abc", "number": 10.00, "inner": "{\"id\": 7, \"none\": null}", "b64": "eyJpZCI6N30", "bad": "!"}"#,
    );
    let request = Request::new(&raw, raw.body());
    let at = |text: &str| {
        let place = Place::try_from(text.to_owned()).unwrap();
        Scope::of(&request).text(&place).map(|found| found.map(|text| text.into_owned()))
    };
    let is = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(at("json:/text|lower"), is("abc"));
    assert_eq!(at("json:/text|upper"), is("ABC"));
    assert_eq!(at("json:/number"), is("10.00"));
    assert_eq!(at("json:/text|md5-hex"), is("35593b7ce5020eae3ca68fd5b6f3e031"));
    assert_eq!(
        at("json:/text|sha256-hex"),
        is("06d90109c8cce34ec0c776950465421e176f08b831a938b3c6e76cb7bee8790b")
    );
    assert_eq!(at("json:/inner#/id"), is("7"));
    assert_eq!(at("json:/inner#/none"), Ok(None));
    assert_eq!(at("json:/b64|base64-decode#/id"), is("7"));
    assert_eq!(at("json:/absent|base64-decode#/id"), Ok(None));
    assert_eq!(at("query:b|md5-hex"), Ok(None), "an empty value counts as absent");
    assert_eq!(at("json:/bad|base64-decode"), Err(Rejection::malformed("json:/bad|base64-decode")));
    assert_eq!(at("json:/text#/id"), Err(Rejection::malformed("json:/text#/id")));
}

#[test]
fn optional_places_are_empty_and_groups_are_left_out() {
    let text = "[id:{query:id};][rid:{header:X-Id};]{{{json:/a?}}}[[{method}]]";
    for (path, body, expected) in [
        ("/p?id=1", r#"{"a": 2}"#, "id:1;rid:h1;{2}[POST]"),
        ("/p", r#"{"a": 2}"#, "rid:h1;{2}[POST]"),
        ("/p?id=", r#"{"a": null}"#, "rid:h1;{}[POST]"),
    ] {
        let raw = raw_of(path, body);
        let request = Request::new(&raw, raw.body());
        let scope = Scope::of(&request);
        assert_eq!(template(text).signed_bytes(&scope, None).unwrap(), expected.as_bytes(), "{path} {body}");
        assert_eq!(template(text).text(&scope).unwrap().as_deref(), Some(expected));
    }
    for text in
        ["{body", "body}", "[{body}", "{body}]", "[[{body}]", "[a]", "[[]", "[{json:/a?}]", "[[{body}]]]"]
    {
        assert!(Template::try_from(text.to_owned()).is_err(), "{text}");
    }
}

#[test]
fn a_text_with_a_second_reading_is_refused() {
    // What is signed, the body, and whether it has one reading alone.
    let rows = [
        ("{json:/a}:{json:/b}", r#"{"a": "x", "b": "y:z"}"#, None, true),
        ("{json:/a}:{json:/b}", r#"{"a": "x:y", "b": "z"}"#, None, false),
        ("{json:/a}:{json:/b}", r#"{"a": "x:y", "b": "z"}"#, Some("json:/a"), true),
        ("{json:/a}:{json:/b}", r#"{"a": "x:y", "b": "z:w"}"#, Some("json:/a"), false),
        ("{json:/a}::{json:/b}", r#"{"a": "x:", "b": "z"}"#, None, false),
        ("{json:/a?}:{json:/b}", r#"{"b": "x:y"}"#, None, true),
        ("{json:/a|sha256-hex}a{json:/b}", r#"{"a": "x", "b": "y"}"#, None, true),
    ];
    for (text, body, free, accepted) in rows {
        let raw = raw_of("/", body);
        let request = Request::new(&raw, raw.body());
        let free = free.map(|text| Place::try_from(text.to_owned()).unwrap());
        let got = template(text).signed_bytes(&Scope::of(&request), free.as_ref());
        assert_eq!(got.is_ok(), accepted, "{text} {body}");
    }
    for (text, ambiguous) in [
        ("{json:/a}{json:/b}", true),
        ("{json:/a}{header:x}", true),
        ("{json:/a}{key}", false),
        ("{json:/a}{credential:c}", false),
        ("{json:/a?}{body}", true),
        ("[a:{json:/a};][b:{json:/b};]c", false),
        ("[a{json:/a};][ab{json:/b};]c", true),
        ("[a:{json:/a};][b:{json:/b};]", false),
        ("[{json:/a};]c", true),
        ("{json:/a}[;{json:/b}]", true),
        ("[a:{json:/a}]{json:/b}", true),
    ] {
        assert_eq!(template(text).ambiguity().is_some(), ambiguous, "{text}");
    }
}
