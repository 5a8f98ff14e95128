//! Our XML against quick-xml, which reads more than we do: what we read, it reads the same.

use paybell_shared::callback::xml::Xml;
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

use super::{damaged, pieces};

const WORDS: &[&str] = &[
    "<xml>",
    "</xml>",
    "<a>",
    "</a>",
    "<b>",
    "</b>",
    "<c/>",
    "<a x=\"1\">",
    "<![CDATA[",
    "]]>",
    "<![CDATA[x & <y>]]>",
    "&amp;",
    "&lt;",
    "&#49;",
    "&#x31;",
    "&e;",
    "&#0;",
    "<!-- -->",
    "<?p i?>",
    "<!DOCTYPE xml>",
    "text",
    " ",
    "\r\n",
    "\r",
    "\t",
    ">",
    "]]>",
    "\u{e9}",
    "<?xml version=\"1.0\"?>",
    "<a xmlns=\"u\">",
    "<n:a>",
    "</n:a>",
];

#[derive(Debug, PartialEq)]
struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

/// What quick-xml reads; `None` for what it refuses, and for what we refuse on purpose.
fn read(text: &str) -> Option<Element> {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Element { name: String::new(), text: String::new(), children: Vec::new() }];
    let close = |open: &mut Vec<Element>| {
        let closed = open.pop()?;
        open.last_mut()?.children.push(closed);
        Some(())
    };
    loop {
        let event = reader.read_event().ok()?;
        match &event {
            Event::Start(start) | Event::Empty(start) => {
                let name = start.name();
                let name: &str = name.as_ref();
                let name = name.to_owned();
                open.push(Element { name, text: String::new(), children: Vec::new() });
                if matches!(event, Event::Empty(_)) {
                    close(&mut open)?;
                }
            }
            Event::End(_) => close(&mut open)?,
            Event::Text(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
            Event::CData(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let resolved = match reference.resolve_char_ref().ok()? {
                    Some(character) => character.to_string(),
                    None => resolve_predefined_entity(&reference.xml10_content())?.to_owned(),
                };
                open.last_mut()?.text.push_str(&resolved);
            }
            Event::Eof => break,
            Event::Decl(_) => {}
            // It would pass over them; we must not have read such a document.
            Event::PI(_) | Event::Comment(_) | Event::DocType(_) => return None,
        }
    }
    match open.as_mut_slice() {
        [outside] if outside.children.len() == 1 => outside.children.pop(),
        _ => None,
    }
}

/// Ours in their form: the blanks beside child elements are not kept.
fn same(ours: &Xml, theirs: &Element) -> bool {
    let own = ours.text(&format!("/{}", ours.name())).unwrap_or_default();
    let text = if theirs.children.is_empty() { theirs.text.as_str() } else { theirs.text.trim() };
    ours.name() == theirs.name
        && own == text
        && ours.children().len() == theirs.children.len()
        && ours.children().iter().zip(&theirs.children).all(|(ours, theirs)| same(ours, theirs))
}

fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[ -~\u{e9}\u{4f60}]{0,8}".prop_map(|text| paybell_shared::callback::xml::escape(&text)),
        "[a-z <&]{0,8}".prop_map(|text| format!("<![CDATA[{text}]]>")),
        Just("&#49;&#x4f60;".to_owned()),
    ];
    let element = leaf.prop_recursive(3, 24, 5, |inner| {
        prop::collection::vec(("[a-c]", inner), 1..5).prop_map(|children| {
            children.iter().map(|(name, inner)| format!("<{name}>{inner}</{name}>")).collect()
        })
    });
    element.prop_map(|inner| format!("<xml>{inner}</xml>"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Or else the one below would hold of a reader that refuses everything.
    #[test]
    fn plain_xml_is_read(document in document()) {
        prop_assert!(Xml::parse(document.as_bytes()).is_ok(), "{document:?}");
    }

    #[test]
    fn f11_xml_is_read_as_another_reader_reads_it(
        body in prop_oneof![pieces(WORDS), damaged(document())],
    ) {
        if let Ok(ours) = Xml::parse(&body) {
            let text = std::str::from_utf8(&body).unwrap();
            let theirs = read(text.strip_prefix('\u{feff}').unwrap_or(text));
            let agrees = theirs.as_ref().is_some_and(|theirs| same(&ours, theirs));
            prop_assert!(agrees, "{text:?}: we read {:?}, they {theirs:?}", ours.name());
        }
    }
}
