//! What a provider is asked: for the key that proves a callback, or for the truth that a callback only hints at.
//!
//! Everything here is pure: it says what to fetch, and the guarded fetcher of the ports does it.

use std::fmt;

use serde_json::Value;

use crate::callback::{Answer, Fetched, KeySet, RawCallback, Rejection, UnixSeconds, Verified};
use crate::domain::PaymentEvent;

use super::chain::node::NODES_FIELD;
use super::described::Description;
use super::token::{AccessToken, TokenRequest};
use super::{MappingError, Provider};

/// One request to a provider. It prints without headers and body, which may hold a secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FetchRequest {
    /// HTTP method.
    pub method: FetchMethod,
    /// The whole address, `https://` and the pinned host included.
    pub url: String,
    /// The only host that may be asked; it comes from the provider's facts or the account's key set, never from a
    /// callback alone.
    pub pinned_host: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Body; empty for `GET`.
    pub body: Vec<u8>,
}

/// HTTP method of a [`FetchRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchMethod {
    /// `GET`.
    Get,
    /// `POST`, where a provider wants a question in a body.
    Post,
}

impl FetchRequest {
    /// A `GET` without further headers.
    pub fn get(pinned_host: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: FetchMethod::Get,
            url: url.into(),
            pinned_host: pinned_host.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The same with one more header.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl fmt::Debug for FetchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchRequest")
            .field("method", &self.method)
            .field("pinned_host", &self.pinned_host)
            .finish_non_exhaustive()
    }
}

/// Says which key a callback needs that the key set does not hold; `None` when it holds everything.
///
/// A callback may name an address, but the host and the path of what is fetched are the provider's: a function that
/// cannot pin them rejects the callback, and nothing is fetched.
pub type KeyFetch = fn(&RawCallback, &KeySet) -> Result<Option<KeyRequest>, Rejection>;

/// A key to fetch.
#[derive(Clone)]
pub struct KeyRequest {
    /// Where it is.
    pub request: FetchRequest,
    /// The field of the key set that it becomes.
    pub field: &'static str,
    /// Its id among the keys of that field where the callback names one of several, else the field is the key.
    pub id: Option<String>,
    /// How long it may be kept at most, in seconds.
    pub max_age_seconds: i64,
    /// Reads the field's value out of the body; `None` when it is no such key.
    pub read: fn(&[u8]) -> Option<Value>,
}

/// How a provider is asked about a callback that proves its sender but not the money, or proves nothing.
#[derive(Clone, Copy)]
pub enum Inquiry {
    /// Code of its own.
    Coded {
        /// Whether a signed callback needs asking; hints always do.
        asks: fn(&Verified) -> bool,
        /// What to ask, with the account's key set.
        requests: Inquire,
        /// Accepts an answer about what was asked, and about this account.
        require_answer: fn(&Verified, &KeySet) -> Result<(), MappingError>,
        /// Reads the events out of one answer, which is the content of a callback with the origin
        /// [`Answer`](crate::callback::Origin::Answer).
        normalise: fn(&Verified) -> Result<Vec<PaymentEvent>, MappingError>,
    },
    /// The declarative scheme.
    Described(&'static Description),
}

impl Inquiry {
    /// Whether a signed callback needs asking.
    pub fn asks(&self, verified: &Verified) -> bool {
        match self {
            Self::Coded { asks, .. } => asks(verified),
            Self::Described(description) => description.asks(verified),
        }
    }

    /// Whether anybody may have sent a callback, because nothing in it proves the sender.
    pub fn is_unsigned(&self, verified: &Verified) -> bool {
        match self {
            Self::Coded { .. } => false,
            Self::Described(description) => description.is_unsigned(verified.raw()),
        }
    }

    /// Accepts a key set that can ask.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`].
    pub fn require_configured(&self, keys: &KeySet) -> Result<(), Rejection> {
        match self {
            Self::Coded { .. } => Ok(()),
            Self::Described(description) => description.require_asking(keys),
        }
    }

    /// Accepts a key set whose nodes, where it has any, can be asked. Half-configured, it could prove a transfer and
    /// never learn that it is final; descriptions check their own credentials.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`].
    pub fn require_usable(&self, keys: &KeySet) -> Result<(), Rejection> {
        match self {
            Self::Coded { .. } => keys.keys_by_id(NODES_FIELD).map(drop),
            Self::Described(_) => Ok(()),
        }
    }

    /// What to ask, with the account's key set.
    ///
    /// # Errors
    /// [`MappingError`] when the callback does not say what to ask about, or the key set lacks what asking needs.
    pub fn requests(&self, verified: &Verified, keys: &KeySet) -> Result<Vec<FetchRequest>, MappingError> {
        match self {
            Self::Coded { requests, .. } => requests(verified, keys),
            Self::Described(description) => description.inquiries(verified, keys),
        }
    }

    /// A hint of our own that asks about an id which a merchant has registered; `None` where it cannot be asked by that.
    pub fn hint_of(&self, account: &str, id: &str, now: UnixSeconds) -> Option<Verified> {
        match self {
            Self::Coded { .. } => None,
            Self::Described(description) => description.hint_of(account, id, now),
        }
    }

    /// Whether an answer says that there is nothing of what was asked, where its status does not.
    pub fn says_absent(&self, answer: &Verified) -> bool {
        match self {
            Self::Coded { .. } => false,
            Self::Described(description) => description.says_absent(answer),
        }
    }

    /// How a question gets the access token that it needs; `None` where the credentials alone are enough.
    ///
    /// # Errors
    /// [`MappingError`] when the key set lacks what the token endpoint wants.
    pub fn token_request(&self, keys: &KeySet) -> Result<Option<TokenRequest>, MappingError> {
        match self {
            Self::Coded { .. } => Ok(None),
            Self::Described(description) => description.token_request(keys),
        }
    }

    /// The access token that the token endpoint has answered.
    ///
    /// # Errors
    /// [`MappingError`] when there is none in it.
    pub fn access_token(&self, answer: &Fetched) -> Result<AccessToken, MappingError> {
        match self {
            Self::Coded { .. } => Err(MappingError::field("inquiry.token")),
            Self::Described(description) => description.access_token(answer),
        }
    }

    /// Accepts an answer about what was asked, and about this account.
    ///
    /// # Errors
    /// [`MappingError`] when it cannot be read or is about something else.
    pub fn require_answer(&self, answer: &Verified, keys: &KeySet) -> Result<(), MappingError> {
        match self {
            Self::Coded { require_answer, .. } => require_answer(answer, keys),
            Self::Described(description) => description.require_answer(answer, keys),
        }
    }

    /// Reads the events out of one answer.
    ///
    /// # Errors
    /// [`MappingError`] when the answer is not what the provider documents.
    pub fn normalise(&self, answer: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
        match self {
            Self::Coded { normalise, .. } => normalise(answer),
            Self::Described(description) => description.normalise_answer(answer),
        }
    }
}

impl Provider {
    /// A hint of our own that asks about an id which a merchant has registered, as if a callback had named it at `now`;
    /// `None` where the provider cannot be asked by such an id. It needs no proof, as it changes no order.
    pub fn hint_of(&self, account: &str, id: &str, now: UnixSeconds) -> Option<Verified> {
        self.inquiry?.hint_of(account, id, now)
    }

    /// Whether an answer says that there is nothing of what was asked, where its status does not.
    pub fn says_absent(&self, about: &Verified, answer: &Fetched) -> bool {
        self.inquiry.is_some_and(|inquiry| inquiry.says_absent(&about.answered(answer)))
    }
}

/// What to ask about a callback, with the account's key set.
pub type Inquire = fn(&Verified, &KeySet) -> Result<Vec<FetchRequest>, MappingError>;

/// Answers a provider's check of the address, such as a challenge to be echoed; `None` when the request is none.
pub type Handshake = fn(&RawCallback, &KeySet) -> Result<Option<Reply>, Rejection>;

/// An answer whose text depends on the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Value of `Content-Type`; no such header when empty.
    pub content_type: String,
    /// The body, exactly.
    pub body: String,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self {
            status: answer.status,
            content_type: answer.content_type.to_owned(),
            body: answer.body.to_owned(),
        }
    }
}
