//! Forms, JSON, XML, JWS and amounts at their worst.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use paybell_shared::callback::BODY_BYTES_MAX;
use paybell_shared::callback::form::{Form, PARAMETERS_MAX};
use paybell_shared::callback::json::{DEPTH_MAX, Json};
use paybell_shared::callback::jws::{CompactJws, JwsAlgorithm};
use paybell_shared::callback::xml::{self, Xml};
use paybell_shared::domain::{Currency, Money};

use super::{Worst, numbered, repeated};

/// A text of a size, by name.
pub(super) type Builder = (&'static str, fn(usize) -> String);

/// Bodies that any reader may be sent.
pub(super) const BODIES: &[Builder] = &[
    ("form of many parameters", many_parameters),
    ("form of long names", long_names),
    ("form of escapes", |size| format!("a={}", repeated("%26", size - 2))),
    ("form of separators", |size| repeated("&", size)),
    ("form of one long value", |size| format!("a={}", repeated("%26a%3D", size - 2))),
    ("JSON, nested as deep as it may be", nested_json),
    ("JSON, nested deeper", |size| repeated("[", size)),
    ("JSON of many members", |size| {
        format!("{{{}}}", numbered(size - 2, ",", |number| format!("\"{number:x}\":1")))
    }),
    ("JSON of names alike", |size| {
        let alike = "a".repeat(500);
        format!("{{{}}}", numbered(size - 2, ",", |number| format!("\"{alike}{number}\":1")))
    }),
    ("JSON of small values", |size| format!("[{}1]", repeated("1,", size - 3))),
    ("JSON of empty texts", |size| format!("[{}\"\"]", repeated("\"\",", size - 4))),
    ("JSON of escapes", |size| format!("\"{}\"", repeated("\\u0041", size - 2))),
    ("JSON of one number", |size| repeated("9", size)),
    ("JSON of exponents", |size| format!("[{}1]", repeated("1e999999,", size - 3))),
    ("XML of attributes", many_attributes),
    ("XML of attributes behind a bracket", |size| {
        format!("<x a=\">\" {}/>", numbered(size - 16, " ", |number| format!("b{number:x}=\"\"")))
    }),
    ("XML of namespaces", |size| {
        format!("<x {}/>", numbered(size - 5, " ", |number| format!("xmlns:b{number:x}=\"u{number:x}\"")))
    }),
    ("XML of elements", |size| format!("<x>{}</x>", repeated("<a/>", size - 7))),
    ("XML of small sections", |size| format!("<x>{}</x>", repeated("<![CDATA[]]>a", size - 7))),
    ("XML of references", |size| format!("<x>{}</x>", repeated("&amp;", size - 7))),
    ("XML, nested deeper", |size| repeated("<a>", size)),
    ("XML of one text", |size| format!("<x>{}</x>", repeated("a]]", size - 7))),
    ("XML of entities", |size| {
        let entities = numbered(size / 2, "", |number| format!("<!ENTITY e{number} '{}'>", "&e;".repeat(9)));
        format!("<!DOCTYPE x [{entities}]><x>{}</x>", repeated("&e1;", size / 3))
    }),
];

fn many_parameters(size: usize) -> String {
    let length = size / PARAMETERS_MAX;
    numbered(size, "&", |number| format!("{number}={}", "1".repeat(length.saturating_sub(6))))
}

fn long_names(size: usize) -> String {
    let length = size / PARAMETERS_MAX;
    numbered(size, "&", |number| format!("{}{number:03}=", "a".repeat(length.saturating_sub(5))))
}

fn nested_json(size: usize) -> String {
    let depth = DEPTH_MAX - 1;
    format!("{}[{}1]{}", "[".repeat(depth), repeated("1,", size - 2 * depth - 3), "]".repeat(depth))
}

fn many_attributes(size: usize) -> String {
    format!("<x {}/>", numbered(size - 5, " ", |number| format!("b{number:x}=\"\"")))
}

/// Braces, packed as tightly as they can be.
pub(super) fn bomb(size: usize) -> Vec<u8> {
    // A kilobyte of them takes one byte.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let braces = vec![b'{'; 1024];
    for _ in 0..size {
        packed.write_all(&braces).expect("a Vec takes everything");
    }
    packed.finish().expect("a Vec takes everything")
}

pub(super) fn all() -> Vec<Worst> {
    let mut all: Vec<Worst> = BODIES
        .iter()
        .map(|(name, build)| {
            let read: fn(&[u8]) = match name.split([' ', ',']).next() {
                Some("form") => |body| drop(Form::parse(body)),
                Some("JSON") => |body| drop(Json::parse(body).map(|json| json.to_string())),
                _ => |body| drop(Xml::parse(body).map(|xml| xml.flat().is_ok())),
            };
            of_bytes(*name, BODY_BYTES_MAX, move |size| build(size).into_bytes(), read)
        })
        .collect();
    all.extend([
        of_bytes("XML of deep siblings", BODY_BYTES_MAX, deep_siblings, |body| drop(Xml::parse(body))),
        of_bytes(
            "JWS of a long header",
            BODY_BYTES_MAX,
            |size| {
                let names = numbered(size * 3 / 4 - 20, ",", |number| format!("\"{number}\":[]"));
                let header = URL_SAFE_NO_PAD.encode(format!("{{\"alg\":\"ES256\",{names}}}"));
                format!("{header}.e30.AA").into_bytes()
            },
            |body| {
                let text = std::str::from_utf8(body).unwrap_or_default();
                let _ = CompactJws::parse(text, JwsAlgorithm::Es256, "token");
            },
        ),
        of_bytes(
            "JWS of dots",
            BODY_BYTES_MAX,
            |size| vec![b'.'; size],
            |body| {
                let text = std::str::from_utf8(body).unwrap_or_default();
                let _ = CompactJws::parse(text, JwsAlgorithm::Es256, "token");
            },
        ),
        of_bytes("amount of many digits", BODY_BYTES_MAX, |size| vec![b'9'; size], amount),
        of_bytes(
            "amount of many zeros",
            BODY_BYTES_MAX,
            |size| [b"1.", &vec![b'0'; size][..]].concat(),
            amount,
        ),
    ]);
    all
}

fn amount(body: &[u8]) {
    let text = std::str::from_utf8(body).unwrap_or_default();
    for currency in [Currency::new("EUR"), Currency::with_exponent("ETH", 18)].into_iter().flatten() {
        let _ = (Money::parse_minor(text, currency.clone()), Money::parse_major(text, currency));
    }
}

fn deep_siblings(size: usize) -> Vec<u8> {
    let depth = xml::DEPTH_MAX - 1;
    let inner = repeated("<a></a>", size - depth * 7);
    format!("{}{inner}{}", "<a>".repeat(depth), "</a>".repeat(depth)).into_bytes()
}

/// A family of byte strings that one reader is given.
pub(super) fn of_bytes(
    name: impl Into<String>,
    size: usize,
    build: impl Fn(usize) -> Vec<u8> + 'static,
    read: fn(&[u8]),
) -> Worst {
    Worst {
        name: name.into(),
        size,
        prepare: Box::new(move |size| {
            let input = build(size);
            Box::new(move || read(&input))
        }),
    }
}
