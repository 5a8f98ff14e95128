//! The declarative scheme: a provider as a description of facts, with no code.
//!
//! A description is a TOML table; `fixtures/own_provider/paybell.toml` is a commented example. The same table
//! is a built-in provider's file here and `[providers.NAME]` in a deployment's configuration.

mod answer;
mod event_rules;
mod grammar;
mod inquiry;
mod keys;
mod listing;
mod nesting;
mod normalise;
mod place;
mod request;
mod same_as;
mod sorted;
mod template;
mod validate;
mod verify;
mod vocabulary;

#[cfg(feature = "sandbox")]
mod sign;
#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;

use thiserror::Error;

use crate::callback::{Answer, Answers, Fetched, KeySet, RawCallback, Rejection, UnixSeconds, Verified};
use crate::domain::{EventKind, PaymentEvent};

use super::{
    AccessToken, Covers, CredentialField, FetchRequest, Inquiry, KeyFetch, MappingError, Normalise, Part,
    Provider, Reply, TokenRequest, Verify,
};
pub(super) use normalise::money_on_the_wire;
pub(super) use vocabulary::normalise_vocabulary;

use grammar::{CoversRule, Grammar, PartCheck};

/// A provider's description, checked: it cannot say "no signature", "no key" or "unknown kind".
#[derive(Debug)]
pub struct Description {
    name: String,
    grammar: Grammar,
}

/// Why a description is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{field}: {problem}", of(provider))]
pub struct DescriptionError {
    /// The provider's name; empty when the fault is outside of every provider's table.
    pub provider: String,
    /// The path of the field, such as `checks[0].key.field`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

fn of(provider: &str) -> String {
    if provider.is_empty() { String::new() } else { format!("provider `{provider}`: ") }
}

impl Description {
    /// Reads and checks a table that describes the provider `name`, events included.
    ///
    /// # Errors
    /// [`DescriptionError`] naming the first field that is wrong.
    pub fn from_table(name: &str, table: toml::Table) -> Result<Self, DescriptionError> {
        let description = Self::signature_from_table(name, table)?;
        validate::events(&description.grammar).map_err(|problem| problem.of(name))?;
        Ok(description)
    }

    /// Reads and checks a table whose events are read in code.
    ///
    /// # Errors
    /// [`DescriptionError`] naming the first field that is wrong.
    pub fn signature_from_table(name: &str, table: toml::Table) -> Result<Self, DescriptionError> {
        let mut grammar: Grammar =
            serde_path_to_error::deserialize(same_as::expand(name, table)?).map_err(|error| {
                DescriptionError {
                    provider: name.to_owned(),
                    field: error.path().to_string(),
                    problem: error.inner().message().trim().to_owned(),
                }
            })?;
        validate::signature(name, &grammar).map_err(|problem| problem.of(name))?;
        inquiry::validate(&grammar).map_err(|problem| problem.of(name))?;
        grammar.names_read = validate::names_read(&grammar);
        Ok(Self { name: name.to_owned(), grammar })
    }

    /// Reads and checks the text of a description's file.
    ///
    /// # Errors
    /// [`DescriptionError`]; for text that is not TOML its field is the empty path `.`.
    pub fn from_text(name: &str, text: &str) -> Result<Self, DescriptionError> {
        Self::from_table(name, table(name, text)?)
    }

    /// The provider that this description is. Its facts live as long as the program: descriptions are read once.
    pub fn into_provider(self) -> &'static Provider {
        let description: &'static Self = Box::leak(Box::new(self));
        leaked(description.provider_in_full())
    }

    fn provider_in_full(&'static self) -> Provider {
        self.provider(listing::kinds(&self.grammar), Normalise::Described(self), None)
    }

    /// Proves a callback as the description says.
    ///
    /// # Errors
    /// [`Rejection`] of the check that failed.
    pub fn verify(&self, raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
        verify::verify(&self.grammar, raw, keys, now)
    }

    /// Whether a signed callback says something of which the provider must be asked.
    pub fn asks(&self, verified: &Verified) -> bool {
        self.grammar.inquiry.is_some() && inquiry::asks(&self.grammar, verified)
    }

    /// Whether its callbacks carry a signature or a token.
    pub fn signs(&self) -> bool {
        !self.grammar.checks.is_empty()
    }

    /// Whether a callback has no signature and was taken as a hint for all that: anybody may have sent it.
    pub fn is_unsigned(&self, raw: &RawCallback) -> bool {
        inquiry::is_unsigned(&self.grammar, raw)
    }

    /// Accepts a key set that can ask the provider.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`].
    pub fn require_asking(&self, keys: &KeySet) -> Result<(), Rejection> {
        self.grammar.inquiry.as_ref().map_or(Ok(()), |rule| inquiry::require_configured(rule, keys))
    }

    /// What to ask the provider about a callback, with the account's key set.
    ///
    /// # Errors
    /// [`MappingError`] when the callback does not say what to ask about, or the key set lacks what asking needs.
    pub fn inquiries(&self, verified: &Verified, keys: &KeySet) -> Result<Vec<FetchRequest>, MappingError> {
        self.inquiry().and_then(|rule| inquiry::requests(rule, verified, keys))
    }

    /// How a question gets the access token that it needs; `None` where the credentials alone are enough.
    ///
    /// # Errors
    /// [`MappingError`] when the key set lacks what the token endpoint wants.
    pub fn token_request(&self, keys: &KeySet) -> Result<Option<TokenRequest>, MappingError> {
        self.inquiry().and_then(|rule| inquiry::token_request(rule, keys))
    }

    /// The access token that the token endpoint has answered.
    ///
    /// # Errors
    /// [`MappingError`] when there is none in it.
    pub fn access_token(&self, answer: &Fetched) -> Result<AccessToken, MappingError> {
        self.inquiry().and_then(|rule| inquiry::access_token(rule, answer))
    }

    /// A hint of our own that asks about an id which a merchant has registered; `None` where that is not described.
    pub fn hint_of(&self, account: &str, id: &str, now: UnixSeconds) -> Option<Verified> {
        let rule = self.grammar.inquiry.as_ref()?;
        inquiry::hint(rule, [account, &self.name], id, now)
    }

    /// Whether an answer says that there is nothing of what was asked.
    pub fn says_absent(&self, answer: &Verified) -> bool {
        self.grammar.inquiry.as_ref().is_some_and(|rule| inquiry::says_absent(rule, answer))
    }

    /// Accepts an answer about what the callback names, and about this account.
    ///
    /// # Errors
    /// [`MappingError::Content`] when it cannot be read, [`MappingError::Field`] when it is about something else.
    pub fn require_answer(&self, answer: &Verified, keys: &KeySet) -> Result<(), MappingError> {
        self.inquiry().and_then(|rule| inquiry::require_answer(rule, answer, keys))
    }

    /// Reads the events of an answer as the description says.
    ///
    /// # Errors
    /// As [`Description::normalise`].
    pub fn normalise_answer(&self, answer: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
        self.inquiry().and_then(|rule| inquiry::normalise(rule, &self.name, answer))
    }

    /// The body of the answer to a callback that is durable, where it depends on the callback.
    pub fn success_body(&self, verified: &Verified) -> Option<String> {
        let template = &self.grammar.answers.success_body;
        answer::success_body(template, verified).filter(|_| template.literal().is_none())
    }

    /// The answer to a check of the address; nothing when the request is none.
    ///
    /// # Errors
    /// [`Rejection`] when the request cannot be read, or asks for an answer that could be something else.
    pub fn handshake(&self, raw: &RawCallback, keys: &KeySet) -> Result<Option<Reply>, Rejection> {
        match &self.grammar.handshake {
            Some(rule) => answer::handshake(rule, raw, keys),
            None => Ok(None),
        }
    }

    fn inquiry(&self) -> Result<&inquiry::InquiryRule, MappingError> {
        self.grammar.inquiry.as_ref().ok_or_else(|| MappingError::field("inquiry"))
    }

    /// Accepts a key set that says whose callbacks are meant: with a public key, which the provider's other merchants
    /// may share, the ids that the description names must be expected.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`].
    pub fn require_addressee(&self, keys: &KeySet) -> Result<(), Rejection> {
        verify::require_addressee(&self.grammar, keys)
    }

    /// Accepts a key set whose keys can be read, and which says whose callbacks are meant; with `fetches_keys` the keys
    /// themselves may be absent.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`].
    pub fn require_readable(&self, keys: &KeySet, fetches_keys: bool) -> Result<(), Rejection> {
        verify::require_readable(&self.grammar, keys)?;
        match fetches_keys {
            true => verify::require_expectations(&self.grammar, keys),
            false => self.require_addressee(keys),
        }
    }

    /// Reads the events as the description says, each by itself.
    ///
    /// # Errors
    /// [`MappingError`] when a field that an event needs is absent: of that event, where a callback holds several.
    pub fn normalise(
        &self,
        verified: &Verified,
    ) -> Result<Vec<Result<PaymentEvent, MappingError>>, MappingError> {
        if self.grammar.events.is_empty() {
            return Err(MappingError::field("events"));
        }
        normalise::normalise(&self.grammar, &self.name, verified)
    }

    fn provider(
        &'static self,
        events: &'static [EventKind],
        normalise: Normalise,
        inquiry: Option<Inquiry>,
    ) -> Provider {
        let grammar = &self.grammar;
        Provider {
            name: &self.name,
            title: &grammar.title,
            rail: grammar.rail,
            home_currency: &grammar.home_currency,
            scheme: String::leak(listing::scheme(grammar)),
            events,
            documents: leak(grammar.documents.iter().map(String::as_str)),
            answers: Answers {
                success: Answer {
                    status: grammar.answers.success_status.unwrap_or(200),
                    content_type: &grammar.answers.success_content_type,
                    body: grammar.answers.success_body.literal().unwrap_or_default(),
                },
                failure_content_type: &grammar.answers.failure_content_type,
                failure_body: &grammar.answers.failure_body,
            },
            retry_schedule: &grammar.retry_schedule,
            covers: match grammar.covers {
                CoversRule::Body => Covers::Body,
                CoversRule::Fields => Covers::Fields,
                CoversRule::Nothing => Covers::Nothing,
            },
            credential_fields: leak(grammar.credentials.iter().map(|field| CredentialField {
                name: &field.name,
                required: field.required,
                about: &field.about,
            })),
            verify: Verify::Described(self),
            addressee: |_| Ok(()),
            normalise,
            inquiry: inquiry.or(grammar.inquiry.is_some().then_some(Inquiry::Described(self))),
            parts: leak(grammar.parts.iter().map(|part| Part {
                scheme: &part.kind,
                about: &part.about,
                check: match part.check {
                    PartCheck::HmacSha256Hex => verify::hmac_sha256_hex_part,
                },
            })),
            #[cfg(feature = "sandbox")]
            sandbox: crate::sandbox::Sandbox::Described(self),
            ..Provider::BASE
        }
    }
}

/// A built-in provider that is described in full.
///
/// # Panics
/// When the description is wrong; a test loads every built-in one.
pub(super) fn described(name: &str, text: &str) -> &'static Provider {
    match Description::from_text(name, text) {
        Ok(description) => description.into_provider(),
        Err(error) => panic!("{error}"),
    }
}

/// The same for a provider of which code says where the key is that a callback names, and what fetching it needs.
///
/// # Panics
/// As [`described`].
pub(super) fn described_with_key_fetch(
    name: &str,
    text: &str,
    key_fetch: KeyFetch,
    readable: fn(&KeySet) -> Result<(), Rejection>,
) -> &'static Provider {
    match Description::from_text(name, text) {
        Ok(description) => {
            let description: &'static Description = leaked(description);
            leaked(Provider { key_fetch: Some(key_fetch), readable, ..description.provider_in_full() })
        }
        Err(error) => panic!("{error}"),
    }
}

/// A built-in provider whose signature is described and whose events are read in code.
///
/// # Panics
/// When the description is wrong; a test loads every built-in one.
pub(super) fn described_signature(
    name: &str,
    text: &str,
    events: &'static [EventKind],
    normalise: Normalise,
) -> &'static Provider {
    leaked(signature(name, text).provider(events, normalise, None))
}

/// The same for a provider that has to be asked about some of its callbacks.
///
/// # Panics
/// As [`described_signature`].
pub(super) fn described_signature_and_inquiry(
    name: &str,
    text: &str,
    events: &'static [EventKind],
    normalise: Normalise,
    inquiry: Inquiry,
) -> &'static Provider {
    leaked(signature(name, text).provider(events, normalise, Some(inquiry)))
}

fn signature(name: &str, text: &str) -> &'static Description {
    let description = table(name, text).and_then(|table| Description::signature_from_table(name, table));
    match description {
        Ok(description) => leaked(description),
        Err(error) => panic!("{error}"),
    }
}

fn table(name: &str, text: &str) -> Result<toml::Table, DescriptionError> {
    let wrong = |problem| DescriptionError { provider: name.to_owned(), field: ".".to_owned(), problem };
    parse_table(text).map_err(wrong)
}

/// Reads TOML, or says what is wrong with it.
pub(crate) fn parse_table(text: &str) -> Result<toml::Table, String> {
    nesting::require_shallow(text)?;
    text.parse().map_err(|error: toml::de::Error| error.to_string())
}

/// Built-in providers are made once and live as long as the program.
fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn leak<T>(members: impl Iterator<Item = T>) -> &'static [T] {
    Box::leak(members.collect::<Vec<T>>().into_boxed_slice())
}
