//! A callback whose origin is proved.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Fetched, Proof, RawCallback, UnixSeconds};

/// How a [`Verified`] came to be believed, and so what it may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Its signature covers what it says.
    #[default]
    Signed,
    /// Its money facts are not proved: it only says that the provider should be asked, and changes no order.
    Hint,
    /// The provider said it when it was asked.
    Answer,
}

/// A callback whose origin is proved, and its encrypted resource opened where the protocol has one.
///
/// Only this crate can make one, and only with a [`Proof`], which only its checks give out:
///
/// ```compile_fail
/// # use paybell_shared::callback::{Proof, RawCallback, UnixSeconds, Verified};
/// fn f2_nobody_else_declares_a_callback_verified(raw: &RawCallback, proof: Proof) -> Verified {
///     Verified::from_checked(raw, proof, UnixSeconds(0))
/// }
/// ```
/// ```compile_fail
/// # use paybell_shared::callback::Proof;
/// fn f2_nobody_else_makes_a_proof() -> Proof {
///     Proof(())
/// }
/// ```
/// ```
/// # use paybell_shared::callback::{Proof, Verified};
/// // The same names, so that the two above fail for what they do.
/// fn f2_a_proof_and_a_verified_callback_can_be_named(_: Proof, verified: Verified) -> Verified {
///     verified
/// }
/// ```
///
/// It prints without headers, body and resource.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    raw: RawCallback,
    received_at: UnixSeconds,
    key_set_id: String,
    variant: Option<String>,
    origin: Origin,
    resource: Option<Vec<u8>>,
}

impl Verified {
    pub(crate) fn from_checked(raw: &RawCallback, _proof: Proof, received_at: UnixSeconds) -> Self {
        Self {
            raw: raw.clone(),
            received_at,
            key_set_id: String::new(),
            variant: None,
            origin: Origin::Signed,
            resource: None,
        }
    }

    /// A callback of a provider that signs nothing, or what makes us ask without any callback: it needs no proof, because it
    /// changes nothing.
    pub(crate) fn hint(raw: &RawCallback, received_at: UnixSeconds) -> Self {
        Self {
            raw: raw.clone(),
            received_at,
            key_set_id: String::new(),
            variant: None,
            origin: Origin::Hint,
            resource: None,
        }
    }

    pub(crate) fn into_hint(self) -> Self {
        Self { origin: Origin::Hint, ..self }
    }

    /// What the provider answered when it was asked about this callback.
    pub(crate) fn answered(&self, answer: &Fetched) -> Self {
        Self {
            received_at: answer.fetched_at(),
            origin: Origin::Answer,
            resource: Some(answer.body().to_vec()),
            ..self.clone()
        }
    }

    pub(crate) fn with_resource(self, resource: Vec<u8>) -> Self {
        Self { resource: Some(resource), ..self }
    }

    pub(crate) fn with_key_set(self, key_set_id: &str) -> Self {
        Self { key_set_id: key_set_id.to_owned(), ..self }
    }

    pub(crate) fn with_variant(self, variant: Option<&str>) -> Self {
        Self { variant: variant.map(str::to_owned), ..self }
    }

    /// The account whose credentials proved it.
    pub fn account(&self) -> &str {
        &self.raw.account
    }

    /// The provider's name.
    pub fn provider(&self) -> &str {
        &self.raw.provider
    }

    /// The request as it arrived.
    pub fn raw(&self) -> &RawCallback {
        &self.raw
    }

    /// When we received it.
    pub fn received_at(&self) -> UnixSeconds {
        self.received_at
    }

    /// The id of the active key set that proved it.
    pub fn key_set_id(&self) -> &str {
        &self.key_set_id
    }

    /// Which of the provider's variants the key that proved it belongs to, where a description tells them apart.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// How it came to be believed.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The opened resource where the protocol encrypts, the answer where the provider was asked, else the body: what
    /// `normalise` reads.
    pub fn content(&self) -> &[u8] {
        self.resource.as_deref().unwrap_or_else(|| self.raw.body())
    }

    /// The text that the queue carries.
    pub fn to_message(&self) -> String {
        let message = Message {
            version: MESSAGE_VERSION,
            account: self.raw.account.clone(),
            provider: self.raw.provider.clone(),
            method: self.raw.method.clone(),
            path: self.raw.path.clone(),
            headers: self.raw.headers().to_vec(),
            body_base64: STANDARD.encode(self.raw.body()),
            resource_base64: self.resource.as_ref().map(|resource| STANDARD.encode(resource)),
            received_at: self.received_at,
            key_set_id: self.key_set_id.clone(),
            variant: self.variant.clone(),
            origin: self.origin,
        };
        serde_json::to_string(&message).expect("a struct of texts always serialises")
    }

    /// Reads what [`Verified::to_message`] wrote.
    ///
    /// This trusts the queue: only the callback function may send to it, which is a matter of its policy.
    ///
    /// # Errors
    /// [`MessageError`] when the text is not such a message; it belongs in the dead-letter queue.
    pub fn from_queue(text: &str) -> Result<Self, MessageError> {
        let message: Message =
            serde_json::from_str(text).map_err(|error| MessageError::Unreadable(place_of(&error)))?;
        if message.version != MESSAGE_VERSION {
            return Err(MessageError::Version(message.version));
        }
        let decode =
            |text: &str| STANDARD.decode(text).map_err(|error| MessageError::Unreadable(error.to_string()));
        Ok(Self {
            raw: RawCallback::new(
                message.account,
                message.provider,
                message.method,
                message.path,
                message.headers,
                decode(&message.body_base64)?,
            ),
            received_at: message.received_at,
            key_set_id: message.key_set_id,
            variant: message.variant,
            origin: message.origin,
            resource: message.resource_base64.as_deref().map(decode).transpose()?,
        })
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("raw", &self.raw)
            .field("received_at", &self.received_at)
            .field("key_set_id", &self.key_set_id)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Why a queue message cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// Not the expected JSON.
    #[error("the queue message cannot be read: {0}")]
    Unreadable(String),
    /// Written by another version of this program.
    #[error("the queue message has version {0}, this program reads {MESSAGE_VERSION}")]
    Version(u32),
}

/// Where it is unreadable; the error's own text may quote what stands there.
pub(crate) fn place_of(error: &serde_json::Error) -> String {
    format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column())
}

const MESSAGE_VERSION: u32 = 2;

#[derive(Serialize, Deserialize)]
struct Message {
    version: u32,
    account: String,
    provider: String,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body_base64: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource_base64: Option<String>,
    received_at: UnixSeconds,
    key_set_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    origin: Origin,
}
