//! Access tokens of the OAuth 2.0 client credentials grant, with which some providers want to be asked.
//!
//! Everything here is pure: it says what to fetch and reads it, and the ports do the rest.

use std::fmt;

use zeroize::Zeroizing;

use crate::callback::UnixSeconds;

use super::FetchRequest;

/// How a question gets the token that it needs.
///
/// # Source
/// RFC 6749, section 4.4.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenRequest {
    /// The request to the provider's token endpoint, with the client's secret.
    pub request: FetchRequest,
    /// The headers of a question, with [`TOKEN`] for the token.
    pub headers: Vec<(String, String)>,
}

/// Stands for the token in a header.
pub const TOKEN: &str = "{token}";

impl TokenRequest {
    /// A question as it goes out, with the token.
    pub fn authorized(&self, question: &FetchRequest, token: &AccessToken) -> FetchRequest {
        self.headers.iter().fold(question.clone(), |question, (name, value)| {
            question.with_header(name, value.replace(TOKEN, &token.text))
        })
    }
}

/// A token; it prints without its text, and wipes it from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    text: Zeroizing<String>,
    /// From when on it is not accepted any more, where the provider says so.
    pub expires_at: Option<UnixSeconds>,
}

/// Most bytes of a token: it must fit into a header.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

impl AccessToken {
    /// A token that can stand in a header; `None` for any other text.
    pub fn new(text: &str, expires_at: Option<UnixSeconds>) -> Option<Self> {
        let fits = (1..=TOKEN_BYTES_MAX).contains(&text.len());
        let plain = fits && text.bytes().all(|byte| byte.is_ascii_graphic());
        plain.then(|| Self { text: Zeroizing::new(text.to_owned()), expires_at })
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use zeroize::ZeroizeOnDrop;

    use super::*;

    #[test]
    fn a_token_is_wiped_from_memory() {
        fn is_wiped_when_dropped<T: ZeroizeOnDrop>(_: &T) {}
        // All fields are named, so that a new one is looked at.
        let AccessToken { text, expires_at: _ } = AccessToken::new("token", None).unwrap();
        is_wiped_when_dropped(&text);
    }

    #[test]
    fn a_token_cannot_end_its_header_and_is_not_printed() {
        for text in ["", "a b", "a\r\nhost: evil", "\u{e9}", &"a".repeat(TOKEN_BYTES_MAX + 1)] {
            assert_eq!(AccessToken::new(text, None), None, "{text}");
        }
        let token = AccessToken::new("eyJ.secret-_~+/=", None).unwrap();
        assert!(!format!("{token:?}").contains("secret"));
        let wanted = TokenRequest {
            request: FetchRequest::get("a.example", "https://a.example/token"),
            headers: vec![("authorization".to_owned(), "O-Bearer {token}".to_owned())],
        };
        let question = FetchRequest::get("a.example", "https://a.example/payments/1");
        let expected = [("authorization".to_owned(), "O-Bearer eyJ.secret-_~+/=".to_owned())];
        assert_eq!(wanted.authorized(&question, &token).headers, expected);
    }
}
