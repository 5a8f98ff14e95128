//! A request as text that a mutator can work on: `PROVIDER METHOD PATH`, a header on each line, a blank line, the body.

use paybell_shared::callback::{HEADER_BYTES_MAX, HEADER_COUNT_MAX, RawCallback};

/// The account that all requests are for.
pub const ACCOUNT: &str = "demo";

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestText {
    /// The provider that it is for.
    pub provider: String,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers in their order.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl RequestText {
    /// Reads one. What could not be part of an HTTP request is left out.
    pub fn parse(input: &[u8]) -> Option<Self> {
        let (head, body) = match input.windows(2).position(|pair| pair == b"\n\n") {
            Some(at) => (&input[..at], &input[at + 2..]),
            None => (input, &[][..]),
        };
        let head = String::from_utf8_lossy(head);
        let mut lines = head.split('\n');
        let mut words = lines.next()?.splitn(3, ' ').map(str::to_owned);
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .filter(|(_, value)| value.len() <= HEADER_BYTES_MAX)
            .take(HEADER_COUNT_MAX)
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some(Self {
            provider: words.next()?,
            method: words.next()?,
            path: words.next()?,
            headers: headers.collect(),
            body: body.to_vec(),
        })
    }

    /// Writes it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} {}\n", self.provider, self.method, self.path);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text.push('\n');
        [text.into_bytes(), self.body.clone()].concat()
    }

    /// The request as the callback function sees it.
    pub fn raw(&self) -> RawCallback {
        let headers = self.headers.iter().cloned();
        RawCallback::new(ACCOUNT, &*self.provider, &*self.method, &*self.path, headers, self.body.clone())
    }
}
