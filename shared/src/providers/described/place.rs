//! Places in a request: the atoms of a description.

use std::fmt;

use serde::Deserialize;

use crate::callback::Rejection;

/// Where a value is, and what is done to it before it is used: a root such as `json:/POINTER`, then steps.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Place {
    pub root: Root,
    pub steps: Vec<Step>,
}

/// Where a value is. Written `body`, `method`, `path`, `header:NAME`, `query:NAME`, `form:NAME`, `param:NAME` (of the
/// form, or of the query when there is no body), `json:/POINTER`, `xml:/PATH` (from the top element on), `item:/POINTER` (within the current member of an
/// array), `entry:NAME` (of the signature header's `name=value` entries), `credential:NAME` (of the account's key set),
/// `url` (the address that the account has registered), in events `variant` (of the check that proved the callback), and
/// in what is signed `key` (the key that is being tried) and
/// `sorted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    Body,
    Method,
    Path,
    Url,
    Variant,
    Key,
    Sorted,
    Header(String),
    Query(String),
    Form(String),
    Param(String),
    Json(String),
    Xml(String),
    Item(String),
    Entry(String),
    Credential(String),
}

/// What is done to a value: `|sha256-hex`, `|md5-hex`, `|lower`, `|upper`, `|base64-decode`, or `#/POINTER`, which
/// reads the value as JSON and takes the member there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Sha256Hex,
    Md5Hex,
    Lower,
    Upper,
    Base64Decode,
    Pointer(String),
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let problem = || format!("`{text}` is not a place, such as `body`, `header:NAME` or `json:/POINTER`");
        let end = text.find(['|', '#']).unwrap_or(text.len());
        let root = Root::read(&text[..end]).ok_or_else(problem)?;
        let mut steps = Vec::new();
        let mut rest = &text[end..];
        while !rest.is_empty() {
            let end = rest[1..].find(['|', '#']).map_or(rest.len(), |at| at + 1);
            steps.push(Step::read(&rest[..end]).ok_or_else(problem)?);
            rest = &rest[end..];
        }
        Ok(Self { root, steps })
    }
}

impl Root {
    fn read(text: &str) -> Option<Self> {
        let pointer = |text: &str| text.starts_with('/').then(|| text.to_owned());
        match text.split_once(':') {
            None => match text {
                "body" => Some(Self::Body),
                "method" => Some(Self::Method),
                "path" => Some(Self::Path),
                "url" => Some(Self::Url),
                "variant" => Some(Self::Variant),
                "key" => Some(Self::Key),
                "sorted" => Some(Self::Sorted),
                _ => None,
            },
            Some((_, "")) => None,
            Some(("header", name)) => Some(Self::Header(name.to_ascii_lowercase())),
            Some(("query", name)) => Some(Self::Query(name.to_owned())),
            Some(("form", name)) => Some(Self::Form(name.to_owned())),
            Some(("param", name)) => Some(Self::Param(name.to_owned())),
            Some(("json", text)) => pointer(text).map(Self::Json),
            Some(("xml", text)) => pointer(text).map(Self::Xml),
            Some(("item", text)) => pointer(text).map(Self::Item),
            Some(("entry", name)) => Some(Self::Entry(name.to_owned())),
            Some(("credential", name)) => Some(Self::Credential(name.to_owned())),
            Some(_) => None,
        }
    }
}

impl Step {
    fn read(text: &str) -> Option<Self> {
        match text {
            "|sha256-hex" => Some(Self::Sha256Hex),
            "|md5-hex" => Some(Self::Md5Hex),
            "|lower" => Some(Self::Lower),
            "|upper" => Some(Self::Upper),
            "|base64-decode" => Some(Self::Base64Decode),
            _ => {
                text.strip_prefix('#').filter(|it| it.starts_with('/')).map(|it| Self::Pointer(it.to_owned()))
            }
        }
    }

    /// Whether it is a digest, which stands for the whole value.
    pub(super) fn is_digest(&self) -> bool {
        matches!(self, Self::Sha256Hex | Self::Md5Hex)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.root {
            Root::Body => f.write_str("body"),
            Root::Method => f.write_str("method"),
            Root::Path => f.write_str("path"),
            Root::Url => f.write_str("url"),
            Root::Variant => f.write_str("variant"),
            Root::Key => f.write_str("key"),
            Root::Sorted => f.write_str("sorted"),
            Root::Header(name) => write!(f, "header:{name}"),
            Root::Query(name) => write!(f, "query:{name}"),
            Root::Form(name) => write!(f, "form:{name}"),
            Root::Param(name) => write!(f, "param:{name}"),
            Root::Json(pointer) => write!(f, "json:{pointer}"),
            Root::Xml(path) => write!(f, "xml:{path}"),
            Root::Item(pointer) => write!(f, "item:{pointer}"),
            Root::Entry(name) => write!(f, "entry:{name}"),
            Root::Credential(name) => write!(f, "credential:{name}"),
        }?;
        self.steps.iter().try_for_each(|step| match step {
            Step::Sha256Hex => f.write_str("|sha256-hex"),
            Step::Md5Hex => f.write_str("|md5-hex"),
            Step::Lower => f.write_str("|lower"),
            Step::Upper => f.write_str("|upper"),
            Step::Base64Decode => f.write_str("|base64-decode"),
            Step::Pointer(pointer) => write!(f, "#{pointer}"),
        })
    }
}

impl Place {
    /// Whether it is one of the content's fields, whose values others may choose.
    pub(super) fn is_field(&self) -> bool {
        let chosen = matches!(
            self.root,
            Root::Query(_) | Root::Form(_) | Root::Param(_) | Root::Json(_) | Root::Xml(_) | Root::Item(_)
        );
        chosen && !self.steps.last().is_some_and(Step::is_digest)
    }

    /// Whether it is the same in every request to one account.
    pub(super) fn is_constant(&self) -> bool {
        matches!(self.root, Root::Key | Root::Credential(_) | Root::Url)
    }

    /// The rejection of a request in which this place is absent or empty.
    pub(super) fn missing(&self) -> Rejection {
        match &self.root {
            Root::Header(name) => Rejection::MissingHeader { name: name.clone() },
            Root::Entry(name) => Rejection::malformed(format!("signature header: no `{name}`")),
            Root::Credential(name) => Rejection::unconfigured(name.as_str()),
            Root::Url => Rejection::unconfigured(URL_FIELDS[0]),
            _ => Rejection::MissingField { name: self.to_string() },
        }
    }
}

/// The key set's fields that may hold the registered address.
pub(super) const URL_FIELDS: [&str; 2] = ["notification_url", "url"];
