//! Form bodies, read strictly and once.

use percent_encoding::percent_decode;

use super::rejection::Rejection;

/// Most parameters that a form may have.
pub const PARAMETERS_MAX: usize = 256;

/// The parameters of an `application/x-www-form-urlencoded` body or query, decoded once to bytes.
///
/// Names are unique; the order of arrival is kept; values are bytes because a form may be in another charset than UTF-8.
#[derive(Clone, PartialEq, Eq)]
pub struct Form {
    parameters: Vec<(String, Vec<u8>)>,
}

impl Form {
    /// Decodes `encoded`: `+` is a space, `%xx` a byte.
    ///
    /// # Errors
    /// [`Rejection::Duplicate`] for a repeated name (two readers could choose differently);
    /// [`Rejection::Malformed`] for a name that is not UTF-8 or more than [`PARAMETERS_MAX`] parameters.
    ///
    /// # Source
    /// WHATWG URL, "application/x-www-form-urlencoded parsing".
    pub fn parse(encoded: &[u8]) -> Result<Self, Rejection> {
        let mut parameters: Vec<(String, Vec<u8>)> = Vec::new();
        for pair in encoded.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            let name = String::from_utf8(decode(name)).map_err(|_| Rejection::malformed("body"))?;
            if parameters.iter().any(|(have, _)| *have == name) {
                return Err(Rejection::Duplicate { name });
            }
            if parameters.len() == PARAMETERS_MAX {
                return Err(Rejection::malformed("body"));
            }
            parameters.push((name, decode(value)));
        }
        Ok(Self { parameters })
    }

    /// All parameters in the order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The bytes of a parameter.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(have, _)| *have == name).map(|(_, value)| value)
    }

    /// A parameter as text, when it is there, is UTF-8 and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.bytes(name).and_then(|value| std::str::from_utf8(value).ok()).filter(|value| !value.is_empty())
    }

    /// This form, with a parameter more when it has none of that name.
    pub fn with_default(&self, name: &str, value: &str) -> Self {
        let mut form = self.clone();
        if form.bytes(name).is_none() {
            form.parameters.push((name.to_owned(), value.as_bytes().to_vec()));
        }
        form
    }

    /// `name=value` joined by `&`, sorted by name in byte order, without the `excluded` names and,
    /// when `skip_empty`, without empty values: the string that the Chinese wallets sign.
    pub fn sorted_pairs(&self, excluded: &[&str], skip_empty: bool) -> Vec<u8> {
        let mut pairs: Vec<(&str, &[u8])> = self
            .iter()
            .filter(|(name, value)| !(excluded.contains(name) || skip_empty && value.is_empty()))
            .collect();
        pairs.sort_unstable_by_key(|(name, _)| name.as_bytes());
        let mut joined = Vec::new();
        for (index, (name, value)) in pairs.into_iter().enumerate() {
            if index > 0 {
                joined.push(b'&');
            }
            joined.extend_from_slice(name.as_bytes());
            joined.push(b'=');
            joined.extend_from_slice(value);
        }
        joined
    }
}

fn decode(encoded: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_once_and_refuses_repetition() {
        let form = Form::parse(b"a=1+2&b=%252B&c=&d").unwrap();
        assert_eq!(form.bytes("a"), Some(&b"1 2"[..]));
        assert_eq!(form.bytes("b"), Some(&b"%2B"[..]));
        assert_eq!(form.sorted_pairs(&["a"], true), b"b=%2B");
        assert_eq!(form.sorted_pairs(&[], false), b"a=1 2&b=%2B&c=&d=");
        assert!(matches!(Form::parse(b"a=1&%61=2"), Err(Rejection::Duplicate { .. })));
    }
}
