//! A request that is being made.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::callback::RawCallback;
use crate::callback::json::Json;
use crate::providers::described::grammar::Check;
use crate::providers::described::place::{Place, Root};
use crate::providers::described::sorted::SortedOf;
use crate::providers::described::template::Template;
use crate::sandbox::{Payload, SignedRequest};

use super::is_form;

/// A request that is being made.
pub(super) struct Draft {
    path: String,
    headers: Vec<(String, String)>,
    query: Vec<(String, String)>,
    content: Content,
}

enum Content {
    /// Exactly what the payload says.
    Text(String),
    Json(Json),
    Form(Vec<(String, String)>),
    /// The elements inside of the named one.
    Xml(String, Vec<(String, String)>),
    /// Everything is in the query.
    Empty,
}

impl Draft {
    /// The payload as a request without a signature.
    pub(super) fn new(check: Option<&Check>, payload: &Payload) -> Self {
        let mut draft = Self {
            path: payload.path.clone(),
            headers: Vec::new(),
            query: Vec::new(),
            content: Content::Text(payload.content.clone()),
        };
        let parsed = Json::parse(payload.content.as_bytes()).ok();
        let Some(Json::Object(mut members)) = parsed else {
            if check.is_some_and(carries_form) || check.is_some_and(carries_query) {
                draft.content = Content::Form(Vec::new());
            }
            return draft;
        };
        let count = members.len();
        members.retain(|name, value| {
            let list = match name.split_once(':') {
                Some(("query", _)) => &mut draft.query,
                Some(("header", _)) => &mut draft.headers,
                _ => return true,
            };
            let name = name.split_once(':').map_or("", |(_, name)| name);
            list.push((name.to_owned(), plain(value)));
            false
        });
        let fields = || members.iter().map(|(name, value)| (name.clone(), plain(value)));
        if check.is_some_and(carries_form) {
            draft.content = Content::Form(fields().collect());
        } else if let Some(name) = check.and_then(top_element) {
            draft.content = Content::Xml(name, fields().collect());
        } else if check.is_some_and(carries_query) {
            draft.query.extend(fields());
            draft.content = Content::Empty;
        } else if members.len() < count || check.is_some_and(signs_inside) {
            draft.content = Content::Json(Json::Object(members));
        }
        draft
    }

    /// Adds a header or a parameter of the query when it has none of that name.
    pub(super) fn add(&mut self, place: &Place, value: &str) {
        let (list, name) = match &place.root {
            Root::Header(name) => (&mut self.headers, name),
            Root::Query(name) => (&mut self.query, name),
            _ => return,
        };
        if list.iter().all(|(have, _)| !have.eq_ignore_ascii_case(name)) {
            list.push((name.clone(), value.to_owned()));
        }
    }

    /// How many members the array at a pointer has.
    pub(super) fn item_count(&self, pointer: &str) -> usize {
        match &self.content {
            Content::Json(json) => json.members(pointer).len(),
            _ => 0,
        }
    }

    /// Puts the signature where the description says it is.
    pub(super) fn put(&mut self, at: &Place, item: Option<(&str, usize)>, text: String) {
        match (&at.root, &mut self.content) {
            (Root::Header(name), _) => self.headers.push((name.clone(), text)),
            (Root::Query(name), _) | (Root::Param(name), Content::Empty) => {
                self.query.push((name.clone(), text))
            }
            (Root::Form(name) | Root::Param(name), Content::Form(fields)) => {
                fields.push((name.clone(), text))
            }
            (Root::Xml(path), Content::Xml(_, fields)) => {
                fields.push((path.rsplit('/').next().unwrap_or_default().to_owned(), text));
            }
            (Root::Json(pointer), Content::Json(json)) => set(json, pointer, text),
            (Root::Item(pointer), Content::Json(json)) => {
                if let Some((array, index)) = item {
                    set(json, &format!("{array}/{index}{pointer}"), text);
                }
            }
            _ => {}
        }
    }

    /// The request as it is so far.
    pub(super) fn to_raw(&self, account: &str, provider: &str) -> RawCallback {
        let query = encoded(&self.query);
        let path = if query.is_empty() { self.path.clone() } else { format!("{}?{query}", self.path) };
        RawCallback::new(account, provider, self.method(), path, self.headers.clone(), self.body())
    }

    /// The request as it is sent.
    pub(super) fn into_request(self) -> SignedRequest {
        let content_type = match &self.content {
            Content::Text(_) | Content::Json(_) => Some("application/json"),
            Content::Form(_) => Some("application/x-www-form-urlencoded; charset=utf-8"),
            Content::Xml(..) => Some("text/xml; charset=utf-8"),
            Content::Empty => None,
        };
        let (method, query, body) = (self.method(), encoded(&self.query), self.body());
        let mut headers = self.headers;
        headers.extend(content_type.map(|text| ("content-type".to_owned(), text.to_owned())));
        SignedRequest { method, query, headers, body }
    }

    fn method(&self) -> &'static str {
        if matches!(self.content, Content::Empty) { "GET" } else { "POST" }
    }

    fn body(&self) -> Vec<u8> {
        match &self.content {
            Content::Text(text) => text.clone().into_bytes(),
            Content::Json(json) => json.to_string().into_bytes(),
            Content::Form(fields) => encoded(fields).into_bytes(),
            Content::Xml(name, fields) => xml(name, fields).into_bytes(),
            Content::Empty => Vec::new(),
        }
    }
}

fn carries_form(check: &Check) -> bool {
    let sorted = check.sorted.as_ref();
    sorted.is_some_and(|rule| matches!(rule.of, SortedOf::Form | SortedOf::Parameters))
        || is_form(&check.signature.at)
        || check.signed.iter().flat_map(Template::places).any(is_form)
}

/// The name of the XML document's own element, where the signature is in XML.
fn top_element(check: &Check) -> Option<String> {
    match &check.signature.at.root {
        Root::Xml(path) => path.split('/').nth(1).map(str::to_owned),
        _ => None,
    }
}

fn xml(name: &str, fields: &[(String, String)]) -> String {
    // What XML cannot hold is left out; a section of character data ends at `]]>`.
    let text =
        |text: &str| text.replace(|it: char| it.is_control() && it != '\n', "").replace("]]>", "]]&gt;");
    let element = |(name, value): &(String, String)| format!("<{name}><![CDATA[{}]]></{name}>", text(value));
    let elements: String = fields.iter().map(element).collect();
    format!("<{name}>{elements}</{name}>")
}

fn carries_query(check: &Check) -> bool {
    check.sorted.as_ref().is_some_and(|rule| rule.of == SortedOf::Query)
}

fn signs_inside(check: &Check) -> bool {
    matches!(check.signature.at.root, Root::Json(_) | Root::Item(_))
}

/// A member as the text of a field.
fn plain(value: &Json) -> String {
    match value {
        Json::Text(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

fn encoded(pairs: &[(String, String)]) -> String {
    let pair = |(name, value): &(String, String)| {
        let escape = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        format!("{}={}", name_in_form(name), escape(value))
    };
    pairs.iter().map(pair).collect::<Vec<String>>().join("&")
}

/// Providers write `data.id` and `sign_type` as they are.
fn name_in_form(name: &str) -> String {
    const ESCAPED: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');
    utf8_percent_encode(name, ESCAPED).to_string()
}

/// Sets the member at a pointer; objects on the way are made, anything else on the way leaves it unset.
fn set(json: &mut Json, pointer: &str, text: String) {
    let mut at = json;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        at = match at {
            Json::Object(members) => {
                members.entry(token).or_insert_with(|| Json::Object(std::collections::BTreeMap::new()))
            }
            Json::Array(members) => {
                match token.parse::<usize>().ok().and_then(|index| members.get_mut(index)) {
                    Some(member) => member,
                    None => return,
                }
            }
            _ => return,
        };
    }
    *at = Json::Text(text);
}
