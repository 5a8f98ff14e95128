//! A request as the places of a description see it.

use std::borrow::Cow;
use std::cell::OnceCell;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use md5::{Digest, Md5};

use crate::callback::form::Form;
use crate::callback::json::Json;
use crate::callback::signature::sha256;
use crate::callback::xml::Xml;
use crate::callback::{KeySet, RawCallback, Rejection};

use super::place::{Place, Root, Step, URL_FIELDS};
use super::sorted::Sorting;

/// Base64 whose padding may be left out.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A request whose parts are parsed at most once, when first asked for.
pub(super) struct Request<'a> {
    raw: &'a RawCallback,
    content: &'a [u8],
    json: OnceCell<Result<Json, Rejection>>,
    xml: OnceCell<Result<Xml, Rejection>>,
    form: OnceCell<Result<Form, Rejection>>,
    query: OnceCell<Result<Form, Rejection>>,
}

impl<'a> Request<'a> {
    /// A request and the content to read: its body, or the opened resource.
    pub(super) fn new(raw: &'a RawCallback, content: &'a [u8]) -> Self {
        Self {
            raw,
            content,
            json: OnceCell::new(),
            xml: OnceCell::new(),
            form: OnceCell::new(),
            query: OnceCell::new(),
        }
    }

    pub(super) fn json(&self) -> Result<&Json, Rejection> {
        self.json.get_or_init(|| Json::parse(self.content)).as_ref().map_err(Clone::clone)
    }

    pub(super) fn xml(&self) -> Result<&Xml, Rejection> {
        self.xml.get_or_init(|| Xml::parse(self.content)).as_ref().map_err(Clone::clone)
    }

    pub(super) fn form(&self) -> Result<&Form, Rejection> {
        self.form.get_or_init(|| Form::parse(self.content)).as_ref().map_err(Clone::clone)
    }

    pub(super) fn query(&self) -> Result<&Form, Rejection> {
        self.query.get_or_init(|| Form::parse(self.raw.query().as_bytes())).as_ref().map_err(Clone::clone)
    }

    /// The parameters of a provider that may send them in either way: the form, or the query of a request without a
    /// body. With both, two readers could choose differently.
    pub(super) fn parameters(&self) -> Result<&Form, Rejection> {
        match (self.content.is_empty(), self.raw.query().is_empty()) {
            (true, _) => self.query(),
            (false, true) => self.form(),
            (false, false) => Err(Rejection::malformed("query")),
        }
    }
}

/// What places are looked up in.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) keys: Option<&'a KeySet>,
    /// The variant of the check that proved the callback.
    pub(super) variant: Option<&'a str>,
    /// The key that is being tried.
    pub(super) key: Option<&'a str>,
    pub(super) entries: Vec<(&'a str, &'a str)>,
    pub(super) item: Option<&'a Json>,
    pub(super) sorting: Option<Sorting<'a>>,
}

impl<'a> Scope<'a> {
    /// The places of a request alone.
    pub(super) fn of(request: &'a Request<'a>) -> Self {
        Self { request, keys: None, variant: None, key: None, entries: Vec::new(), item: None, sorting: None }
    }

    /// The bytes at a place. Only the body may be empty; any other empty value counts as absent.
    ///
    /// # Errors
    /// [`Rejection::Duplicate`] when it is there twice, [`Rejection::Malformed`] when the request cannot be read.
    pub(super) fn bytes(&self, place: &Place) -> Result<Option<Cow<'a, [u8]>>, Rejection> {
        let found = self.root(&place.root)?.filter(|value| place.root == Root::Body || !value.is_empty());
        let Some(mut value) = found else { return Ok(None) };
        for step in &place.steps {
            match stepped(step, &value).ok_or_else(|| Rejection::malformed(place.to_string()))? {
                Some(next) => value = Cow::Owned(next),
                None => return Ok(None),
            }
        }
        Ok(Some(value).filter(|value| *place == BODY || !value.is_empty()))
    }

    fn root(&self, root: &Root) -> Result<Option<Cow<'a, [u8]>>, Rejection> {
        let request = self.request;
        let borrowed = |value: Option<&'a [u8]>| value.map(Cow::Borrowed);
        Ok(match root {
            Root::Body => borrowed(Some(request.content)),
            Root::Method => borrowed(Some(request.raw.method.as_bytes())),
            Root::Path => borrowed(Some(request.raw.path.as_bytes())),
            Root::Url => {
                let field =
                    URL_FIELDS.into_iter().find(|field| self.keys.is_some_and(|keys| keys.has(field)));
                borrowed(self.credential(field.unwrap_or(URL_FIELDS[0]))?)
            }
            Root::Variant => borrowed(self.variant.map(str::as_bytes)),
            Root::Key => borrowed(self.key.map(str::as_bytes)),
            Root::Sorted => match &self.sorting {
                Some(sorting) => Some(Cow::Owned(sorting.text(self)?)),
                None => None,
            },
            Root::Header(name) => borrowed(request.raw.header_if_any(name)?.map(str::as_bytes)),
            Root::Query(name) => borrowed(request.query()?.bytes(name)),
            Root::Form(name) => borrowed(request.form()?.bytes(name)),
            Root::Param(name) => borrowed(request.parameters()?.bytes(name)),
            Root::Json(pointer) => borrowed(scalar(request.json()?, pointer)),
            Root::Xml(path) => borrowed(request.xml()?.text(path).map(str::as_bytes)),
            Root::Item(pointer) => borrowed(self.item.and_then(|item| scalar(item, pointer))),
            Root::Entry(name) => borrowed(self.entry(name)?.map(str::as_bytes)),
            Root::Credential(name) => borrowed(self.credential(name)?),
        })
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

    fn credential(&self, name: &str) -> Result<Option<&'a [u8]>, Rejection> {
        match self.keys {
            Some(keys) => Ok(keys.text_if_any(name)?.map(str::as_bytes)),
            None => Ok(None),
        }
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

const BODY: Place = Place { root: Root::Body, steps: Vec::new() };

/// The value after a step: `None` when the step cannot be taken, `Some(None)` when nothing is there behind it.
fn stepped(step: &Step, value: &[u8]) -> Option<Option<Vec<u8>>> {
    Some(Some(match step {
        Step::Sha256Hex => hex::encode(sha256(value)).into_bytes(),
        Step::Md5Hex => hex::encode(Md5::digest(value)).into_bytes(),
        Step::Lower => std::str::from_utf8(value).ok()?.to_lowercase().into_bytes(),
        Step::Upper => std::str::from_utf8(value).ok()?.to_uppercase().into_bytes(),
        Step::Base64Decode => BASE64.decode(value).ok()?,
        Step::Pointer(pointer) => {
            let json = Json::parse(value).ok()?;
            return Some(scalar(&json, pointer).map(<[u8]>::to_vec));
        }
    }))
}

/// The text of a value that is neither an object nor an array.
pub(super) fn scalar_text(json: &Json) -> Option<&[u8]> {
    match json {
        Json::Text(text) | Json::Number(text) => Some(text.as_bytes()),
        Json::Bool(true) => Some(b"true"),
        Json::Bool(false) => Some(b"false"),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// The text of the member at a pointer, where it is neither an object nor an array.
pub(super) fn scalar<'a>(json: &'a Json, pointer: &str) -> Option<&'a [u8]> {
    scalar_text(json.at(pointer)?)
}
