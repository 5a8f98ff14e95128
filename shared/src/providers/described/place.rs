//! Places in a request and templates of them: the atoms of a description.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use serde::Deserialize;

use crate::callback::form::Form;
use crate::callback::json::Json;
use crate::callback::{KeySet, RawCallback, Rejection};

/// Where a value is. Written `body`, `method`, `path`, `header:NAME`, `query:NAME`, `form:NAME`, `json:/POINTER`,
/// `item:/POINTER` (within the current member of `events.items`), `entry:NAME` (of the signature header's
/// `name=value` entries), `credential:NAME` (of the account's key set).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Place {
    Body,
    Method,
    Path,
    Header(String),
    Query(String),
    Form(String),
    Json(String),
    Item(String),
    Entry(String),
    Credential(String),
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let place = match text.split_once(':') {
            None => match text.as_str() {
                "body" => Some(Self::Body),
                "method" => Some(Self::Method),
                "path" => Some(Self::Path),
                _ => None,
            },
            Some((_, "")) => None,
            Some(("header", name)) => Some(Self::Header(name.to_ascii_lowercase())),
            Some(("query", name)) => Some(Self::Query(name.to_owned())),
            Some(("form", name)) => Some(Self::Form(name.to_owned())),
            Some(("json", pointer)) => pointer.starts_with('/').then(|| Self::Json(pointer.to_owned())),
            Some(("item", pointer)) => pointer.starts_with('/').then(|| Self::Item(pointer.to_owned())),
            Some(("entry", name)) => Some(Self::Entry(name.to_owned())),
            Some(("credential", name)) => Some(Self::Credential(name.to_owned())),
            Some(_) => None,
        };
        place.ok_or_else(|| {
            format!("`{text}` is not a place, such as `body`, `header:NAME` or `json:/POINTER`")
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("body"),
            Self::Method => f.write_str("method"),
            Self::Path => f.write_str("path"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Form(name) => write!(f, "form:{name}"),
            Self::Json(pointer) => write!(f, "json:{pointer}"),
            Self::Item(pointer) => write!(f, "item:{pointer}"),
            Self::Entry(name) => write!(f, "entry:{name}"),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

impl Place {
    /// Whether it is one of the content's fields, whose values others may choose.
    fn is_field(&self) -> bool {
        matches!(self, Self::Query(_) | Self::Form(_) | Self::Json(_))
    }

    /// The rejection of a request in which this place is absent or empty.
    pub(super) fn missing(&self) -> Rejection {
        match self {
            Self::Header(name) => Rejection::MissingHeader { name: name.clone() },
            Self::Entry(name) => Rejection::malformed(format!("signature header: no `{name}`")),
            Self::Credential(name) => Rejection::unconfigured(name.as_str()),
            _ => Rejection::MissingField { name: self.to_string() },
        }
    }
}

/// Text with places in braces, such as `{entry:t}.{body}`; a literal brace is written twice.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Template(pub(super) Vec<Segment>);

/// One piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(String),
    At(Place),
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let unbalanced = || format!("the braces of `{text}` do not match");
        let mut segments = Vec::new();
        let mut literal = String::new();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '{' | '}' if characters.peek() == Some(&character) => {
                    characters.next();
                    literal.push(character);
                }
                '{' => {
                    let mut name = String::new();
                    loop {
                        match characters.next().ok_or_else(unbalanced)? {
                            '}' => break,
                            character => name.push(character),
                        }
                    }
                    if !literal.is_empty() {
                        segments.push(Segment::Literal(std::mem::take(&mut literal)));
                    }
                    segments.push(Segment::At(Place::try_from(name)?));
                }
                '}' => return Err(unbalanced()),
                _ => literal.push(character),
            }
        }
        if !literal.is_empty() {
            segments.push(Segment::Literal(literal));
        }
        Ok(Self(segments))
    }
}

impl Template {
    /// The places it names.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().filter_map(|segment| match segment {
            Segment::At(place) => Some(place),
            Segment::Literal(_) => None,
        })
    }

    /// The bytes it stands for in a request.
    ///
    /// # Errors
    /// The rejection of the first place that is absent: nothing is signed over a gap.
    pub(super) fn bytes(&self, scope: &Scope<'_>) -> Result<Vec<u8>, Rejection> {
        let mut bytes = Vec::new();
        for segment in &self.0 {
            match segment {
                Segment::Literal(text) => bytes.extend_from_slice(text.as_bytes()),
                Segment::At(place) => {
                    let value = scope.bytes(place)?.ok_or_else(|| place.missing())?;
                    bytes.extend_from_slice(&value);
                }
            }
        }
        Ok(bytes)
    }

    /// Accepts values that only one reading of the text gives: none contains what stands behind its place. Whoever
    /// chooses one field's value could otherwise move text of his own into the next field.
    ///
    /// # Errors
    /// [`Rejection::Malformed`] naming the place.
    pub(super) fn require_one_reading(&self, scope: &Scope<'_>) -> Result<(), Rejection> {
        for pair in self.0.windows(2) {
            let [Segment::At(place), Segment::Literal(behind)] = pair else { continue };
            let Some(value) = scope.bytes(place)?.filter(|_| place.is_field()) else { continue };
            if value.windows(behind.len()).any(|window| window == behind.as_bytes()) {
                return Err(Rejection::malformed(place.to_string()));
            }
        }
        Ok(())
    }

    /// A field with another place right behind it, so that nothing says where its value ends.
    pub(super) fn unbounded_field(&self) -> Option<&Place> {
        self.0.windows(2).find_map(|pair| match pair {
            [Segment::At(place), Segment::At(_)] if place.is_field() => Some(place),
            _ => None,
        })
    }

    /// Its text in a request; nothing when one of its places is absent.
    ///
    /// # Errors
    /// [`Rejection`] when the request cannot be read.
    pub(super) fn text(&self, scope: &Scope<'_>) -> Result<Option<String>, Rejection> {
        let mut text = String::new();
        for segment in &self.0 {
            match segment {
                Segment::Literal(literal) => text.push_str(literal),
                Segment::At(place) => match scope.text(place)? {
                    Some(value) => text.push_str(&value),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(text))
    }
}

/// A request whose parts are parsed at most once, when first asked for.
pub(super) struct Request<'a> {
    raw: &'a RawCallback,
    content: &'a [u8],
    json: OnceCell<Result<Json, Rejection>>,
    form: OnceCell<Result<Form, Rejection>>,
    query: OnceCell<Result<Form, Rejection>>,
}

impl<'a> Request<'a> {
    /// A request and the content to read: its body, or the opened resource.
    pub(super) fn new(raw: &'a RawCallback, content: &'a [u8]) -> Self {
        Self { raw, content, json: OnceCell::new(), form: OnceCell::new(), query: OnceCell::new() }
    }

    pub(super) fn json(&self) -> Result<&Json, Rejection> {
        self.json.get_or_init(|| Json::parse(self.content)).as_ref().map_err(Clone::clone)
    }

    fn form(&self) -> Result<&Form, Rejection> {
        self.form.get_or_init(|| Form::parse(self.content)).as_ref().map_err(Clone::clone)
    }

    fn query(&self) -> Result<&Form, Rejection> {
        self.query.get_or_init(|| Form::parse(self.raw.query().as_bytes())).as_ref().map_err(Clone::clone)
    }
}

/// What places are looked up in.
pub(super) struct Scope<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) keys: Option<&'a KeySet>,
    pub(super) entries: Vec<(&'a str, &'a str)>,
    pub(super) item: Option<&'a Json>,
}

impl<'a> Scope<'a> {
    /// The bytes at a place. Only the body may be empty; any other empty value counts as absent.
    ///
    /// # Errors
    /// [`Rejection::Duplicate`] when it is there twice, [`Rejection::Malformed`] when the request cannot be read.
    pub(super) fn bytes(&self, place: &Place) -> Result<Option<Cow<'a, [u8]>>, Rejection> {
        let found = match place {
            Place::Body => return Ok(Some(Cow::Borrowed(self.request.content))),
            Place::Method => Some(Cow::Borrowed(self.request.raw.method.as_bytes())),
            Place::Path => Some(Cow::Borrowed(self.request.raw.path.as_bytes())),
            Place::Header(name) => {
                self.request.raw.header_if_any(name)?.map(|value| Cow::Borrowed(value.as_bytes()))
            }
            Place::Query(name) => self.request.query()?.bytes(name).map(Cow::Borrowed),
            Place::Form(name) => self.request.form()?.bytes(name).map(Cow::Borrowed),
            Place::Json(pointer) => scalar(self.request.json()?, pointer),
            Place::Item(pointer) => self.item.and_then(|item| scalar(item, pointer)),
            Place::Entry(name) => self.entry(name)?.map(|value| Cow::Borrowed(value.as_bytes())),
            Place::Credential(name) => match self.keys {
                Some(keys) => keys.text_if_any(name)?.map(|value| Cow::Borrowed(value.as_bytes())),
                None => None,
            },
        };
        Ok(found.filter(|value| !value.is_empty()))
    }

    /// The text at a place.
    ///
    /// # Errors
    /// As [`Scope::bytes`], and [`Rejection::Malformed`] when it is not UTF-8.
    pub(super) fn text(&self, place: &Place) -> Result<Option<Cow<'a, str>>, Rejection> {
        let malformed = || Rejection::malformed(place.to_string());
        match self.bytes(place)? {
            None => Ok(None),
            Some(Cow::Borrowed(bytes)) => {
                std::str::from_utf8(bytes).map(|text| Some(Cow::Borrowed(text))).map_err(|_| malformed())
            }
            Some(Cow::Owned(bytes)) => {
                String::from_utf8(bytes).map(|text| Some(Cow::Owned(text))).map_err(|_| malformed())
            }
        }
    }

    /// The text at the first of the places that is there.
    ///
    /// # Errors
    /// As [`Scope::text`].
    pub(super) fn first_text(&self, places: &[Place]) -> Result<Option<String>, Rejection> {
        for place in places {
            if let Some(text) = self.text(place)? {
                return Ok(Some(text.into_owned()));
            }
        }
        Ok(None)
    }

    fn entry(&self, name: &str) -> Result<Option<&'a str>, Rejection> {
        let mut values = self.entries.iter().filter(|(have, _)| *have == name).map(|(_, value)| *value);
        let first = values.next();
        if values.next().is_some() {
            return Err(Rejection::Duplicate { name: name.to_owned() });
        }
        Ok(first)
    }
}

fn scalar<'a>(json: &'a Json, pointer: &str) -> Option<Cow<'a, [u8]>> {
    match json.at(pointer)? {
        Json::Text(text) | Json::Number(text) => Some(Cow::Borrowed(text.as_bytes())),
        Json::Bool(true) => Some(Cow::Borrowed(b"true")),
        Json::Bool(false) => Some(Cow::Borrowed(b"false")),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}
