//! The payment providers: each is a value in one file, beside one fixture folder.

pub mod adapay;
pub mod alchemy;
pub mod alipay;
pub mod alipay_global;
mod apple;
pub mod apple_app_store_v2;
pub mod apple_pay_merchant_token;
pub mod apple_pay_token;
pub mod ask;
pub mod authorize_net;
pub mod aws_sns;
pub mod braintree;
pub mod chain;
pub mod circle;
pub mod coinbase_cdp_hook0;
pub mod coinify;
pub mod coinspaid;
pub mod described;
pub mod facts;
pub mod google_pay;
pub mod google_play_rtdn;
pub mod google_wallet;
pub mod huifu;
pub mod key_set_check;
pub mod moralis;
pub mod nowpayments;
pub mod paddle_classic;
pub mod paypal;
pub mod paytm;
pub mod pingpp;
pub mod polar;
pub mod quicknode;
pub mod read;
pub mod registry;
pub mod rfc9421;
pub mod shopify;
pub mod shouqianba;
pub mod stripe;
pub mod tatum;
pub mod token;
pub mod truelayer;
pub mod unionpay;
pub mod wechatpay_v2;
pub mod wechatpay_v3;
pub mod yeepay;

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod addressee_tests;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::callback::{
    Answers, Credentials, Fetched, KeySet, Origin, RawCallback, Rejection, UnixSeconds, Verified,
};
use crate::domain::{EventKind, PaymentEvent};

pub use ask::{FetchMethod, FetchRequest, Handshake, Inquire, Inquiry, KeyFetch, KeyRequest, Reply};
pub use facts::{Asked, Covers, CredentialField, Rail};
pub use key_set_check::{KeyFault, KeyProblem};
pub use registry::Registry;
pub use token::{AccessToken, TokenRequest};

/// Most bytes of an id inside an event, so that an order with many events is stored and every notification is pushed.
pub const ID_BYTES_MAX: usize = 512;

/// A payment provider: facts on top, then how to prove its callbacks and how to read them.
pub struct Provider {
    /// Its name in addresses, commands and files.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What kind of rail the money moves on.
    pub rail: Rail,
    /// The currency that its merchants charge in unless told otherwise: what the simulator asks for.
    pub home_currency: &'static str,
    /// How it signs, in a few words; a described provider's is derived.
    pub scheme: &'static str,
    /// Every kind of event that it may tell; a described provider's are derived.
    pub events: &'static [EventKind],
    /// Addresses of the documents that the rules come from.
    pub documents: &'static [&'static str],
    /// How it wants to be answered.
    pub answers: Answers,
    /// The body that stops its retries where that depends on the callback; else `answers` has it.
    pub success_body: Option<fn(&Verified) -> Option<String>>,
    /// Answers its checks of the address.
    pub handshake: Option<Handshake>,
    /// Which further path may stand behind its name in a callback's address; none when absent.
    pub further_path: Option<fn(&str) -> bool>,
    /// When it repeats a callback that was not acknowledged, in words.
    pub retry_schedule: &'static str,
    /// What its signature covers: an event whose money facts are unsigned must be fetched before it moves money.
    pub covers: Covers,
    /// What an account's key set holds for it.
    pub credential_fields: &'static [CredentialField],
    /// Which key must be fetched before a callback can be proved.
    pub key_fetch: Option<KeyFetch>,
    /// Proves a callback with one key set; `now` is the time of receipt.
    pub verify: Verify,
    /// Accepts a key set that says whose callbacks are meant: by a key that nobody else's are signed with, or by an id
    /// that must stand inside. Descriptions have a rule of their own.
    pub addressee: fn(&KeySet) -> Result<(), Rejection>,
    /// Accepts a key set whose keys can be read and whose settings are known: what `verify` would find out at the first
    /// callback. Descriptions have a rule of their own.
    pub readable: fn(&KeySet) -> Result<(), Rejection>,
    /// Reads the events out of a proved callback; one that we do not act on gives an empty list.
    pub normalise: Normalise,
    /// How it is asked about callbacks that do not prove the money.
    pub inquiry: Option<Inquiry>,
    /// Checks of less than a whole callback; usually none.
    pub parts: &'static [Part],
    /// How the sandbox makes keys and signs for it.
    #[cfg(feature = "sandbox")]
    pub sandbox: crate::sandbox::Sandbox,
}

/// Proves a callback with one key set.
pub enum Verify {
    /// Code of its own.
    Coded(fn(&RawCallback, &KeySet, UnixSeconds) -> Result<Verified, Rejection>),
    /// The declarative scheme.
    Described(&'static described::Description),
}

/// Reads the events out of a proved callback.
pub enum Normalise {
    /// Code of its own, for callbacks of one event, or of several that say the same in parts.
    Coded(fn(&Verified) -> Result<Vec<PaymentEvent>, MappingError>),
    /// Code of its own, for callbacks of events that have nothing to do with each other.
    CodedEach(fn(&Verified) -> EachEvent),
    /// The declarative scheme.
    Described(&'static described::Description),
}

/// A check of less than a whole callback: a certificate's serial number, an encrypted block, a signing string.
///
/// It serves the verification tool and the tests. It never yields a [`Verified`], so nothing that only passed
/// a part can move money.
pub struct Part {
    /// The name by which it is selected.
    pub scheme: &'static str,
    /// What it checks, for people.
    pub about: &'static str,
    /// The check; the map holds what the caller knows beside the keys, such as the expected result.
    pub check: CheckPart,
}

/// Checks a part: the request that carries it, the keys, the time of receipt, further options.
pub type CheckPart = fn(&RawCallback, &KeySet, UnixSeconds, &Map<String, Value>) -> Result<(), Rejection>;

/// Why a proved callback cannot be read; it goes to the dead-letter queue and waits for a better mapping.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MappingError {
    /// A field that the event needs is absent or unreadable.
    #[error("field `{field}` is absent or unreadable")]
    Field {
        /// Where it should be.
        field: String,
    },
    /// The list at this place is longer than any that a provider documents.
    #[error("`{0}` has more members than are read at once")]
    TooMany(String),
    /// The content cannot be parsed at all.
    #[error("the content cannot be parsed")]
    Content,
    /// The provider was asked too early: nothing is settled yet, and it must be asked again later.
    #[error("nothing is settled yet")]
    Unsettled,
}

/// What is read of a content that may hold several events: one that cannot be read does not hide the others.
pub type EachEvent = Result<Vec<Result<PaymentEvent, MappingError>>, MappingError>;

/// What could be read of a proved callback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadEvents {
    /// The events; none of a kind that we do not act on.
    pub events: Vec<PaymentEvent>,
    /// Why each of its other events cannot be read.
    pub unreadable: Vec<MappingError>,
}

impl MappingError {
    /// Shorthand for [`MappingError::Field`].
    pub fn field(field: impl Into<String>) -> Self {
        Self::Field { field: field.into() }
    }
}

impl Provider {
    /// Neutral values for what a provider does not state. It accepts nothing.
    pub const BASE: Self = Self {
        name: "",
        title: "",
        rail: Rail::Generic,
        home_currency: "USD",
        scheme: "",
        events: &[],
        documents: &[],
        answers: Answers::EMPTY,
        success_body: None,
        handshake: None,
        further_path: None,
        retry_schedule: "",
        covers: Covers::Nothing,
        credential_fields: &[],
        key_fetch: None,
        verify: Verify::Coded(|_, _, _| Err(Rejection::MissingSignature)),
        addressee: |_| Ok(()),
        readable: |_| Ok(()),
        normalise: Normalise::Coded(|_| Err(MappingError::Content)),
        inquiry: None,
        parts: &[],
        #[cfg(feature = "sandbox")]
        sandbox: crate::sandbox::Sandbox::NONE,
    };

    /// The answer to a callback that is durable.
    pub fn success(&self, verified: &Verified) -> Reply {
        let own = match (self.success_body, &self.verify) {
            (Some(body_of), _) => body_of(verified),
            (None, Verify::Described(description)) => description.success_body(verified),
            (None, Verify::Coded(_)) => None,
        };
        let reply = Reply::from(self.answers.success);
        Reply { body: own.unwrap_or(reply.body), ..reply }
    }

    /// The answer to the provider's check of the address, with one of the account's active key sets; nothing when the
    /// request is no such check.
    ///
    /// # Errors
    /// The rejection of the last set that was tried.
    pub fn handshake(
        &self,
        raw: &RawCallback,
        credentials: &Credentials,
    ) -> Result<Option<Reply>, Rejection> {
        let answer = |keys: &KeySet| match (self.handshake, &self.verify) {
            (Some(answer), _) => answer(raw, keys),
            (None, Verify::Described(description)) => description.handshake(raw, keys),
            (None, Verify::Coded(_)) => Ok(None),
        };
        let mut told = Ok(None);
        for keys in credentials.active() {
            told = answer(keys);
            if told.is_ok() {
                break;
            }
        }
        told
    }

    /// Whether it is asked before its callbacks move money.
    pub fn asked(&self) -> Asked {
        match (self.covers, &self.inquiry) {
            (Covers::Nothing, Some(_)) => Asked::Always,
            (Covers::Nothing, None) => Asked::Cannot,
            (_, Some(_)) => Asked::Sometimes,
            (_, None) => Asked::Never,
        }
    }

    /// Whether its callbacks carry anything that could be forged: a signature or a token.
    pub fn signs(&self) -> bool {
        match &self.verify {
            Verify::Coded(_) => !self.credential_fields.is_empty(),
            Verify::Described(description) => description.signs(),
        }
    }

    /// Whether the provider must be asked before all of this callback is known.
    pub fn must_ask(&self, verified: &Verified) -> bool {
        match verified.origin() {
            Origin::Hint => true,
            Origin::Signed => self.inquiry.is_some_and(|inquiry| inquiry.asks(verified)),
            Origin::Answer => false,
        }
    }

    /// What to ask the provider about this callback, with one of the account's key sets.
    ///
    /// # Errors
    /// [`MappingError`] when the callback does not say what to ask about, or the key set lacks what asking needs.
    pub fn inquiries(&self, verified: &Verified, keys: &KeySet) -> Result<Vec<FetchRequest>, MappingError> {
        match self.inquiry {
            Some(inquiry) if self.must_ask(verified) => inquiry.requests(verified, keys),
            _ => Ok(Vec::new()),
        }
    }

    /// How a question gets the access token that it needs; `None` where the credentials alone are enough.
    ///
    /// # Errors
    /// [`MappingError`] when the key set lacks what the token endpoint wants.
    pub fn token_request(&self, keys: &KeySet) -> Result<Option<TokenRequest>, MappingError> {
        self.inquiry.map_or(Ok(None), |inquiry| inquiry.token_request(keys))
    }

    /// The access token that the token endpoint has answered.
    ///
    /// # Errors
    /// [`MappingError`] when there is none in it.
    pub fn access_token(&self, answer: &Fetched) -> Result<AccessToken, MappingError> {
        self.inquiry.ok_or_else(|| MappingError::field("inquiry"))?.access_token(answer)
    }

    /// What the provider said about a callback, as a callback of its own with the origin
    /// [`Answer`](crate::callback::Origin::Answer).
    ///
    /// # Errors
    /// [`MappingError`] when the answer cannot be read, or is about something else or somebody else than asked.
    pub fn answered(
        &self,
        about: &Verified,
        answer: &Fetched,
        keys: &KeySet,
    ) -> Result<Verified, MappingError> {
        let inquiry = self.inquiry.ok_or_else(|| MappingError::field("inquiry"))?;
        let answered = about.answered(answer);
        inquiry.require_answer(&answered, keys)?;
        Ok(answered)
    }

    /// Proves a callback genuine with one of the account's active key sets.
    ///
    /// # Errors
    /// [`Rejection::Unconfigured`] when no key set is active; else the most telling rejection of the sets tried.
    pub fn verify(
        &self,
        raw: &RawCallback,
        credentials: &Credentials,
        now: UnixSeconds,
    ) -> Result<Verified, Rejection> {
        first_proof(credentials, |keys| self.verify_with(raw, keys, now))
    }

    /// Proves a callback genuine and meant for this account: what a live callback must pass.
    ///
    /// # Errors
    /// As [`Provider::verify`], and [`Rejection::Unconfigured`] when a key set would accept other merchants' callbacks,
    /// or cannot ask the provider what the callback leaves open.
    pub fn accept(
        &self,
        raw: &RawCallback,
        credentials: &Credentials,
        now: UnixSeconds,
    ) -> Result<Verified, Rejection> {
        first_proof(credentials, |keys| {
            match &self.verify {
                Verify::Coded(_) => (self.addressee)(keys)?,
                Verify::Described(description) => description.require_addressee(keys)?,
            }
            let verified = self.verify_with(raw, keys, now)?;
            match &self.inquiry {
                Some(inquiry) if self.must_ask(&verified) => inquiry.require_configured(keys)?,
                _ => {}
            }
            Ok(verified)
        })
    }

    /// Reads the events out of a proved callback, all of them.
    ///
    /// # Errors
    /// [`MappingError`] when the content is not what the provider documents, or an id is longer than
    /// [`ID_BYTES_MAX`].
    pub fn normalise(&self, verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
        let read = self.read(verified)?;
        read.unreadable.into_iter().next().map_or(Ok(read.events), Err)
    }

    /// Reads the events out of a proved callback. Where it holds several, one that cannot be read does not hide the
    /// others.
    ///
    /// # Errors
    /// As [`Provider::normalise`], when not a single event can be read.
    pub fn read(&self, verified: &Verified) -> Result<ReadEvents, MappingError> {
        let all = |events: Vec<PaymentEvent>| events.into_iter().map(Ok).collect();
        let each: Vec<Result<PaymentEvent, MappingError>> =
            match (verified.origin(), &self.inquiry, &self.normalise) {
                (Origin::Answer, Some(inquiry), _) => inquiry.normalise(verified).map(all),
                (Origin::Answer, None, _) => Err(MappingError::Content),
                (_, _, Normalise::Coded(normalise)) => normalise(verified).map(all),
                (_, _, Normalise::CodedEach(normalise)) => normalise(verified),
                (_, _, Normalise::Described(description)) => description.normalise(verified),
            }?;
        let mut read = ReadEvents::default();
        for event in each {
            match event.and_then(|event| require_short_ids(&event).map(|()| event)) {
                Ok(event) => read.events.push(event),
                Err(error) => read.unreadable.push(error),
            }
        }
        match read.unreadable.first() {
            Some(error) if read.events.is_empty() => Err(error.clone()),
            _ => Ok(read),
        }
    }

    /// The part of this name.
    pub fn part(&self, scheme: &str) -> Option<&'static Part> {
        self.parts.iter().find(|part| part.scheme == scheme)
    }

    fn verify_with(&self, raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
        let verified = match &self.verify {
            Verify::Coded(verify) => verify(raw, keys, now),
            Verify::Described(description) => description.verify(raw, keys, now),
        }?;
        self.inquiry.iter().try_for_each(|inquiry| inquiry.require_usable(keys))?;
        Ok(if self.covers == Covers::Nothing { verified.into_hint() } else { verified })
    }
}

fn require_short_ids(event: &PaymentEvent) -> Result<(), MappingError> {
    let ids = [&event.subject_id, &event.transaction_id, &event.refund_id, &event.dispute_id];
    let texts = ids.into_iter().flatten().chain([&event.key, &event.provider_status]);
    let references = event.references.iter().map(|reference| &reference.0);
    match texts.chain(references).find(|text| text.len() > ID_BYTES_MAX) {
        Some(_) => Err(MappingError::field("id")),
        None => Ok(()),
    }
}

fn first_proof(
    credentials: &Credentials,
    verify: impl Fn(&KeySet) -> Result<Verified, Rejection>,
) -> Result<Verified, Rejection> {
    let mut told = None;
    for keys in credentials.active() {
        match verify(keys) {
            Ok(verified) => return Ok(verified.with_key_set(&keys.id)),
            Err(rejection) => told = Some(more_telling(told, rejection)),
        }
    }
    Err(told.unwrap_or_else(|| Rejection::unconfigured("key_sets")))
}

/// With several key sets most of them fail to match; what stopped a set that did match says more.
fn more_telling(told: Option<Rejection>, next: Rejection) -> Rejection {
    match told {
        None | Some(Rejection::SignatureMismatch | Rejection::UnknownKey) => next,
        Some(told) => told,
    }
}
