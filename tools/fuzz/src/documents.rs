//! Documents: what is read, written again and read once more is the same.

use std::fmt::Write as _;

use paybell_shared::callback::form::{Form, PARAMETERS_MAX};
use paybell_shared::callback::json::{DEPTH_MAX, Json};
use paybell_shared::callback::xml::{self, Xml, escape};

use crate::harvest;

/// A form that is read has its names once, and says the same when it is written anew.
pub fn form(input: &[u8]) {
    let Ok(form) = Form::parse(input) else { return };
    let parameters: Vec<(&str, &[u8])> = form.iter().collect();
    assert!(parameters.len() <= PARAMETERS_MAX);
    for (index, (name, value)) in parameters.iter().enumerate() {
        assert!(parameters[..index].iter().all(|(other, _)| other != name), "a name is read twice");
        assert_eq!(form.bytes(name), Some(*value));
    }
    let again = Form::parse(&written_form(&parameters)).expect("what was read can be written");
    // A parameter without name and value is written as a lone `=`, and both readings have it.
    assert!(again.iter().eq(form.iter()), "a form changes when it is written anew");
    let sorted = form.sorted_pairs(&["sign"], true);
    assert!(sorted.len() <= input.len() + parameters.len() * 2);
}

fn written_form(parameters: &[(&str, &[u8])]) -> Vec<u8> {
    let escaped = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "%{byte:02X}").expect("a String takes everything");
            text
        })
    };
    let pairs: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", escaped(name.as_bytes()), escaped(value)))
        .collect();
    pairs.join("&").into_bytes()
}

/// Forms of fixtures, and some of every kind of escape.
pub fn form_seeds() -> Vec<Vec<u8>> {
    let mut seeds = harvest::bodies(|body| {
        !matches!(body.first(), None | Some(b'{' | b'[' | b'<')) && body.contains(&b'=')
    });
    seeds.extend([&b"a=1&b=%E4%BD%A0&c=+&d"[..], b"a=%&b=%4&c=%zz&=&&", b"%61=1&a=2"].map(<[u8]>::to_vec));
    seeds
}

/// JSON that is read is within its depth, says the same when it is written anew, and has what its pointers name.
pub fn json(input: &[u8]) {
    let Ok(json) = Json::parse(input) else { return };
    assert!(depth(&json) <= DEPTH_MAX, "deeper than it may be");
    let text = json.to_string();
    assert_eq!(Json::parse(text.as_bytes()).as_ref(), Ok(&json), "JSON changes when it is written anew");
    for pointer in ["", "/", "/0", "/a/b", "/a~1b/~0", "/cursor", "/action"] {
        let _ = (json.at(pointer), json.text(pointer), json.members(pointer));
    }
}

fn depth(json: &Json) -> usize {
    match json {
        Json::Array(members) => 1 + members.iter().map(depth).max().unwrap_or(0),
        Json::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// JSON of fixtures, and what clients and merchants send.
pub fn json_seeds() -> Vec<Vec<u8>> {
    let mut seeds = harvest::bodies(|body| matches!(body.first(), Some(b'{' | b'[')));
    seeds.extend(
        [
            &br#"{"action":"resume","cursor":"1700000000000-abc"}"#[..],
            br#"{"order_id":"A1","amount_minor":1999,"currency":"EUR","user":"u","references":["stripe:pi_1"]}"#,
            br#"[1e999999,-0,10.00,1E-7,"\ud83d\ude00\u0000",[[[]]],{"":null,"a":{"a":true}}]"#,
        ]
        .map(<[u8]>::to_vec),
    );
    seeds
}

/// XML that is read has no entity, is within its depth, and says the same when it is written anew.
pub fn xml(input: &[u8]) {
    let Ok(read) = Xml::parse(input) else { return };
    let upper = input.to_ascii_uppercase();
    let declares = |what: &[u8]| upper.windows(what.len()).any(|window| window == what);
    assert!(!declares(b"<!DOCTYPE") || declares(b"<![CDATA["), "a document type is read");
    let text = written_xml(&read, 1);
    let again = Xml::parse(text.as_bytes());
    assert!(again.as_ref() == Ok(&read), "XML changes when it is written anew");
    let flat = read.flat();
    for name in flat.iter().flatten().map(|(name, _)| name) {
        assert_eq!(read.elements(&format!("/{}/{name}", read.name())).len(), 1, "an element is read twice");
    }
}

fn written_xml(element: &Xml, depth: usize) -> String {
    assert!(depth <= xml::DEPTH_MAX, "deeper than it may be");
    let name = element.name();
    let own = escape(element.text(&format!("/{name}")).unwrap_or_default()).replace('\r', "&#13;");
    let children: String = element.children().iter().map(|child| written_xml(child, depth + 1)).collect();
    format!("<{name}>{own}{children}</{name}>")
}

/// XML of fixtures, and what a strict reader refuses.
pub fn xml_seeds() -> Vec<Vec<u8>> {
    let mut seeds = harvest::bodies(|body| body.first() == Some(&b'<'));
    seeds.extend(
        [
            &b"<?xml version=\"1.0\"?><xml a=\"1\"><a><![CDATA[x & <y>]]></a><b>&#49;&lt;</b><c/></xml>"[..],
            b"<!DOCTYPE x [<!ENTITY a \"1\"><!ENTITY b \"&a;&a;\">]><x>&b;</x>",
            b"<x xmlns:n=\"u\"><n:a>1</n:a><!-- c --><?p i?></x>",
        ]
        .map(<[u8]>::to_vec),
    );
    seeds
}
