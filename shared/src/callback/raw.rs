//! A provider's request exactly as it arrived.

use std::fmt;

use super::rejection::Rejection;

/// A provider's request exactly as it arrived: nothing in it has been believed yet.
///
/// It prints without its headers' values and without its body.
#[derive(Clone, PartialEq, Eq)]
pub struct RawCallback {
    /// The account in the callback's address.
    pub account: String,
    /// The provider in the callback's address.
    pub provider: String,
    /// HTTP method in upper case.
    pub method: String,
    /// Path with the query, as the provider sent it.
    pub path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl RawCallback {
    /// Takes a request; header names may have any case, the order and repetitions are kept.
    pub fn new(
        account: impl Into<String>,
        provider: impl Into<String>,
        method: impl Into<String>,
        path: impl Into<String>,
        headers: impl IntoIterator<Item = (String, String)>,
        body: Vec<u8>,
    ) -> Self {
        Self {
            account: account.into(),
            provider: provider.into(),
            method: method.into().to_ascii_uppercase(),
            path: path.into(),
            headers: headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
            body,
        }
    }

    /// The body, byte for byte.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The text after the first `?` of the path, without it; empty when there is none.
    pub fn query(&self) -> &str {
        self.path.split_once('?').map_or("", |(_, query)| query)
    }

    /// All headers: names in lower case, in the order of arrival.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The value of a header that must be there once and not be empty.
    ///
    /// # Errors
    /// [`Rejection::MissingHeader`] when it is absent or empty, [`Rejection::Duplicate`] when it is there twice.
    pub fn header(&self, name: &'static str) -> Result<&str, Rejection> {
        match self.header_if_any(name)? {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(Rejection::MissingHeader { name: name.to_owned() }),
        }
    }

    /// The value of a header that may be there at most once.
    ///
    /// # Errors
    /// [`Rejection::Duplicate`] when it is there twice: a reader behind us might choose the other one.
    pub fn header_if_any(&self, name: &str) -> Result<Option<&str>, Rejection> {
        let mut values = self
            .headers
            .iter()
            .filter(|(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(Rejection::Duplicate { name: name.to_owned() });
        }
        Ok(first)
    }
}

impl fmt::Debug for RawCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawCallback")
            .field("account", &self.account)
            .field("provider", &self.provider)
            .field("method", &self.method)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
