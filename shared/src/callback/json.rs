//! JSON, read strictly: no repeated name, no deep nesting, numbers kept as their text.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::rejection::Rejection;

/// Deepest nesting of arrays and objects that is read.
pub const DEPTH_MAX: usize = 32;

/// A JSON value whose numbers are still text, so that `10.00` stays `10.00`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number exactly as written.
    Number(String),
    /// A text, unescaped.
    Text(String),
    /// An array.
    Array(Vec<Json>),
    /// An object; names are unique.
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Reads a whole document.
    ///
    /// # Errors
    /// [`Rejection::Malformed`] when it is not JSON in UTF-8, nests deeper than [`DEPTH_MAX`], or repeats a name.
    pub fn parse(document: &[u8]) -> Result<Self, Rejection> {
        let raw: &RawValue = serde_json::from_slice(document).map_err(|_| Rejection::malformed("body"))?;
        read(raw, 0).ok_or_else(|| Rejection::malformed("body"))
    }

    /// The value at a pointer such as `/data/object/id`; array members by index.
    ///
    /// # Source
    /// RFC 6901.
    pub fn at(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |value, token| {
            let token = token.replace("~1", "/").replace("~0", "~");
            match value {
                Self::Object(members) => members.get(&token),
                Self::Array(members) => members.get(token.parse::<usize>().ok()?),
                _ => None,
            }
        })
    }

    /// The text at a pointer: a non-empty string, or a number as written.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        match self.at(pointer)? {
            Self::Text(text) | Self::Number(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The members of the array at a pointer; empty when there is none.
    pub fn members(&self, pointer: &str) -> &[Self] {
        match self.at(pointer) {
            Some(Self::Array(members)) => members,
            _ => &[],
        }
    }
}

/// Compact, with the members of objects sorted by name and numbers as they were written.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &str| Value::from(text).to_string();
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => f.write_str(number),
            Self::Text(value) => f.write_str(&text(value)),
            Self::Array(members) => {
                let members: Vec<String> = members.iter().map(Self::to_string).collect();
                write!(f, "[{}]", members.join(","))
            }
            Self::Object(members) => {
                let member = |(name, value): (&String, &Self)| format!("{}:{value}", text(name));
                let members: Vec<String> = members.iter().map(member).collect();
                write!(f, "{{{}}}", members.join(","))
            }
        }
    }
}

fn read(raw: &RawValue, depth: usize) -> Option<Json> {
    let text = raw.get();
    match text.as_bytes().first()? {
        b'{' | b'[' if depth == DEPTH_MAX => None,
        b'{' => {
            let Members(members) = serde_json::from_str(text).ok()?;
            members
                .into_iter()
                .map(|(name, value)| Some((name, read(&value, depth + 1)?)))
                .collect::<Option<_>>()
                .map(Json::Object)
        }
        b'[' => {
            let Elements(elements) = serde_json::from_str(text).ok()?;
            elements.iter().map(|value| read(value, depth + 1)).collect::<Option<_>>().map(Json::Array)
        }
        b'"' => serde_json::from_str(text).ok().map(Json::Text),
        b't' => Some(Json::Bool(true)),
        b'f' => Some(Json::Bool(false)),
        b'n' => Some(Json::Null),
        _ => Some(Json::Number(text.to_owned())),
    }
}

struct Members(BTreeMap<String, Box<RawValue>>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UniqueMembers;
        impl<'de> Visitor<'de> for UniqueMembers {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object without repeated names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = access.next_entry::<String, Box<RawValue>>()? {
                    if members.insert(name, value).is_some() {
                        return Err(serde::de::Error::custom("repeated name"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(UniqueMembers)
    }
}

struct Elements(Vec<Box<RawValue>>);

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllElements;
        impl<'de> Visitor<'de> for AllElements {
            type Value = Elements;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Elements, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = access.next_element()? {
                    elements.push(element);
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_seq(AllElements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_text_and_repeated_names_are_refused() {
        let json = Json::parse(br#"{"a":{"b":[10.00,{"c":29383937493038367292}]},"d":"\u00e9"}"#).unwrap();
        assert_eq!(json.text("/a/b/0"), Some("10.00"));
        assert_eq!(json.text("/a/b/1/c"), Some("29383937493038367292"));
        assert_eq!(json.text("/d"), Some("é"));
        assert_eq!(json.text("/missing"), None);
        for bad in [&br#"{"a":1,"a":2}"#[..], br#"{"a":{"b":1,"\u0062":2}}"#, b"", b"{}x", b"\xff"] {
            assert!(Json::parse(bad).is_err(), "{bad:?}");
        }
        let deep = "[".repeat(DEPTH_MAX + 1) + &"]".repeat(DEPTH_MAX + 1);
        assert!(Json::parse(deep.as_bytes()).is_err());
    }
}
