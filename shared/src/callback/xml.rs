//! XML, read strictly: no document type, no entities of its own, no namespaces, no comments, no deep nesting.

use std::collections::BTreeMap;
use std::fmt;

use roxmltree::{Document, Node, NodeType, ParsingOptions};

use super::rejection::Rejection;

/// Deepest nesting of elements that is read.
pub const DEPTH_MAX: usize = 16;
/// Most elements and texts of one document.
pub const NODES_MAX: u32 = 4096;
/// Most bytes of one tag, from its bracket to the other: every attribute in it is compared with all others.
pub const TAG_BYTES_MAX: usize = 1024;

/// One element: its name, and either its text or its children. It prints without texts.
#[derive(Clone, PartialEq, Eq)]
pub struct Xml {
    name: String,
    text: String,
    children: Vec<Xml>,
}

impl Xml {
    /// Reads a whole document; attributes are ignored, CDATA is text, the text beside child elements must be blank.
    ///
    /// # Errors
    /// [`Rejection::Malformed`] when it is not well-formed XML in UTF-8, nests deeper than [`DEPTH_MAX`], has more than
    /// [`NODES_MAX`] nodes or a tag beyond [`TAG_BYTES_MAX`], or has what readers disagree about: a document type,
    /// namespaces, comments, processing instructions, text between elements.
    ///
    /// # Source
    /// OWASP, "XML External Entity Prevention": refuse document types altogether.
    pub fn parse(document: &[u8]) -> Result<Self, Rejection> {
        parse(document).ok_or_else(|| Rejection::malformed("body"))
    }

    /// The element's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The elements inside of it, in their order.
    pub fn children(&self) -> &[Self] {
        &self.children
    }

    /// The texts of the children by name, of a document such as `<xml><a>1</a><b>2</b></xml>`.
    ///
    /// # Errors
    /// [`Rejection::Malformed`] when it has children that are not texts, or none; [`Rejection::Duplicate`] for a
    /// repeated name.
    pub fn flat(&self) -> Result<BTreeMap<&str, &str>, Rejection> {
        let mut texts = BTreeMap::new();
        for child in &self.children {
            if !child.children.is_empty() {
                return Err(Rejection::malformed("body"));
            }
            if texts.insert(child.name.as_str(), child.text.as_str()).is_some() {
                return Err(Rejection::Duplicate { name: child.name.clone() });
            }
        }
        if texts.is_empty() { Err(Rejection::malformed("body")) } else { Ok(texts) }
    }

    /// The elements at a path such as `/xml/item`, which begins with the document's own element.
    pub fn elements<'a>(&'a self, path: &str) -> Vec<&'a Self> {
        let Some(mut names) = path.strip_prefix('/').map(|path| path.split('/')) else { return Vec::new() };
        if names.next() != Some(self.name.as_str()) {
            return Vec::new();
        }
        names.fold(vec![self], |found, name| {
            found
                .into_iter()
                .flat_map(|element| element.children.iter().filter(move |child| child.name == name))
                .collect()
        })
    }

    /// The text of the element at a path such as `/xml/sign`: when there is exactly one, without children, not empty.
    pub fn text(&self, path: &str) -> Option<&str> {
        match self.elements(path)[..] {
            [element] if element.children.is_empty() && !element.text.is_empty() => Some(&element.text),
            _ => None,
        }
    }
}

impl fmt::Debug for Xml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Xml")
            .field("name", &self.name)
            .field("children", &self.children)
            .finish_non_exhaustive()
    }
}

/// `text` as it stands inside of an element.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn parse(document: &[u8]) -> Option<Xml> {
    let text = std::str::from_utf8(document).ok()?;
    if !has_plain_tags(document) {
        return None;
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).ok()?;
    // Comments beside the document's own element would be as ambiguous as inside of it.
    if document.root().children().any(|node| !node.is_element()) {
        return None;
    }
    read(document.root_element(), 1)
}

/// Most bytes of a reference by number behind its `&#`, the end included: `x10FFFF;` with some zeros more.
const REFERENCE_BYTES_MAX: usize = 16;

/// Whether there are elements, texts and CDATA only, and no tag is too long: asked before the parser is, because the time
/// that it takes grows with the square of a tag.
fn has_plain_tags(document: &[u8]) -> bool {
    let declaration = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
    let mut rest = match declaration.starts_with(b"<?xml") {
        true => behind(declaration, b"?>").unwrap_or_default(),
        false => declaration,
    };
    while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
        if !names_characters(&rest[..at]) {
            return false;
        }
        rest = &rest[at..];
        rest = if rest.starts_with(b"<![CDATA[") {
            behind(rest, b"]]>").unwrap_or_default()
        } else if rest.starts_with(b"<!") || rest.starts_with(b"<?") {
            return false;
        } else {
            match tag_bytes(&rest[..rest.len().min(TAG_BYTES_MAX)]) {
                Some(length) => &rest[length..],
                None => return false,
            }
        };
    }
    true
}

/// Whether the references by number in a text name characters. The parser reads one that does not, such as a half of a
/// surrogate pair, as a replacement character; others refuse it.
fn names_characters(text: &[u8]) -> bool {
    let is_character = |reference: &[u8]| {
        let end = reference.iter().position(|byte| *byte == b';').unwrap_or_default();
        let number = std::str::from_utf8(&reference[..end]).unwrap_or_default();
        let number = match number.strip_prefix('x') {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        number.ok().and_then(char::from_u32).is_some()
    };
    let mut references = text.windows(2).enumerate().filter(|(_, window)| *window == b"&#");
    references.all(|(at, _)| is_character(&text[at + 2..text.len().min(at + 2 + REFERENCE_BYTES_MAX)]))
}

/// What stands behind the first `end`.
fn behind<'a>(bytes: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    bytes.windows(end.len()).position(|window| window == end).map(|at| &bytes[at + end.len()..])
}

/// The length of the tag that the bytes begin with; a bracket in quotes does not end it.
fn tag_bytes(bytes: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn read(node: Node<'_, '_>, depth: usize) -> Option<Xml> {
    if depth > DEPTH_MAX || node.tag_name().namespace().is_some() {
        return None;
    }
    let mut element =
        Xml { name: node.tag_name().name().to_owned(), text: String::new(), children: Vec::new() };
    for child in node.children() {
        match child.node_type() {
            NodeType::Element => element.children.push(read(child, depth + 1)?),
            NodeType::Text => element.text.push_str(child.text()?),
            NodeType::Root | NodeType::Comment | NodeType::PI => return None,
        }
    }
    if !element.children.is_empty() {
        if !element.text.trim().is_empty() {
            return None;
        }
        element.text.clear();
    }
    Some(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_by_path_and_flat() {
        let document = b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<xml a=\"1\">\n <a><![CDATA[x & <y>]]></a><b> 1 </b><c/>\n</xml>\n";
        let xml = Xml::parse(document).unwrap();
        assert_eq!(xml.name(), "xml");
        assert_eq!(xml.flat().unwrap(), BTreeMap::from([("a", "x & <y>"), ("b", " 1 "), ("c", "")]));
        assert_eq!(xml.text("/xml/a"), Some("x & <y>"));
        let nested =
            Xml::parse("<r><i><n>é&amp;&#49;</n></i><i><n>2</n></i><o><n>3</n></o></r>".as_bytes()).unwrap();
        assert_eq!(nested.elements("/r/i").len(), 2);
        assert_eq!(nested.elements("/r/i")[0].text("/i/n"), Some("é&1"));
        for (path, text) in [
            ("/r/o/n", Some("3")),
            ("/r/i/n", None),
            ("/r/o", None),
            ("/x/o/n", None),
            ("r/o/n", None),
            ("/r/o/n/", None),
            ("", None),
        ] {
            assert_eq!(nested.text(path), text, "{path}");
        }
        let odd = "<&>]]>\"é";
        let escaped = format!("<x><a>{}</a></x>", escape(odd));
        assert_eq!(Xml::parse(escaped.as_bytes()).unwrap().text("/x/a"), Some(odd));
        assert_eq!(nested.flat(), Err(Rejection::malformed("body")));
        let repeated = Xml::parse(b"<xml><a>1</a><b>2</b><a>1</a></xml>").unwrap();
        assert_eq!(repeated.flat(), Err(Rejection::Duplicate { name: "a".to_owned() }));
    }

    #[test]
    fn f11_what_readers_disagree_about_is_refused() {
        let deep = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
        assert!(Xml::parse(deep(DEPTH_MAX).as_bytes()).is_ok());
        let many = |count: u32| format!("<xml>{}</xml>", "<a/>".repeat(count as usize));
        assert!(Xml::parse(many(NODES_MAX - 3).as_bytes()).is_ok());
        let tagged = |bytes: usize| format!("<xml><a b=\"{}\"/></xml>", ">".repeat(bytes - 9));
        assert!(Xml::parse(tagged(TAG_BYTES_MAX).as_bytes()).is_ok());
        let named = Xml::parse(b"<xml><a>&#49;&#x4f60;&#x0010FFFF;<![CDATA[&#xd800;]]></a></xml>").unwrap();
        assert_eq!(named.text("/xml/a"), Some("1\u{4f60}\u{10ffff}&#xd800;"));
        let attributes: String = (0..40_000).map(|number| format!(" b{number}=''")).collect();
        for bad in [
            deep(DEPTH_MAX + 1),
            deep(50_000),
            many(NODES_MAX),
            tagged(TAG_BYTES_MAX + 1),
            format!("<xml a=\">\"{attributes}/>"),
            format!("<xml><a><![CDATA[<]]></a><b{attributes}/></xml>"),
            "<!DOCTYPE x [<!ENTITY e \"1\">]><xml><a>&e;</a></xml>".to_owned(),
            "<!DOCTYPE x SYSTEM \"http://127.0.0.1/\"><xml><a>1</a></xml>".to_owned(),
            "<!DOCTYPE x><xml><a>1</a></xml>".to_owned(),
            "<xml><a>&e;</a></xml>".to_owned(),
            "<xml><a>1<!-- -->0</a></xml>".to_owned(),
            "<!-- --><xml><a>1</a></xml>".to_owned(),
            "<xml><a>1</a><?p i?></xml>".to_owned(),
            "<xml><a>&#xdf60;</a></xml>".to_owned(),
            "<xml><a>&#55296;</a></xml>".to_owned(),
            "<xml><a>&#x110000;</a></xml>".to_owned(),
            "<xml><a>&#</a></xml>".to_owned(),
            "<xml>1<a>1</a></xml>".to_owned(),
            "<xml xmlns=\"u\"><a>1</a></xml>".to_owned(),
            "<xml xmlns:n=\"u\"><n:a>1</n:a></xml>".to_owned(),
            "<xml><a>1</a></xml><xml><a>1</a></xml>".to_owned(),
            "<xml><a>1</a></xml>x".to_owned(),
            "<xml><a>1</b></xml>".to_owned(),
            "<xml><a>1</a>".to_owned(),
            "{}".to_owned(),
            String::new(),
        ] {
            assert_eq!(Xml::parse(bad.as_bytes()), Err(Rejection::malformed("body")), "{:.80}", bad);
        }
        assert!(Xml::parse(b"<xml><a>\xff</a></xml>").is_err());
        assert_eq!(Xml::parse(b"<xml/>").unwrap().flat(), Err(Rejection::malformed("body")));
    }

    #[test]
    fn nothing_of_the_content_is_printed() {
        let xml = Xml::parse(b"<xml><a>secret</a></xml>").unwrap();
        assert!(!format!("{xml:?}").contains("secret"));
    }
}
