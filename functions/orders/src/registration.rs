//! Reads what a merchant registers, exactly or not at all.

use std::collections::BTreeMap;

use paybell_shared::callback::UnixSeconds;
use paybell_shared::callback::json::Json;
use paybell_shared::domain::{Currency, Expectation, Money, Reference, Subject, SubjectKind};

use super::error::ApiError;

/// Most bytes of an order's number, a user's name or a reference.
const ID_BYTES_MAX: usize = 255;
/// Most references of one registration.
const REFERENCES_MAX: usize = 32;

const ORDER_FIELDS: &[&str] =
    &["order_id", "kind", "amount_minor", "currency", "user", "expires_at", "references"];
const TICKET_FIELDS: &[&str] = &["user"];

/// The fields of a JSON object. Numbers are still text, so an amount is exact whatever its size.
pub(crate) struct Fields(BTreeMap<String, Json>);

impl Fields {
    /// Reads a body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        match Json::parse(body) {
            Ok(Json::Object(fields)) => Ok(Self(fields)),
            _ => Err(ApiError::NotJson),
        }
    }

    /// What `POST /orders` registers. A field that is not known is refused: a misspelt one would be ignored in silence.
    pub(crate) fn registration(&self, account: &str) -> Result<(Subject, Expectation), ApiError> {
        self.allow_only(ORDER_FIELDS)?;
        let kind = match self.text("kind")? {
            None => SubjectKind::Order,
            Some(name) => SubjectKind::from_name(name).ok_or_else(unknown_kind)?,
        };
        let subject = Subject { account: account.to_owned(), kind, id: self.id("order_id")? };
        let expected = Expectation {
            amount: self.amount(kind)?,
            user: self.id("user")?,
            expires_at: self.expires_at()?,
            references: self.references()?,
        };
        Ok((subject, expected))
    }

    /// What `POST /tickets` names.
    pub(crate) fn only_user(&self) -> Result<String, ApiError> {
        self.allow_only(TICKET_FIELDS)?;
        self.id("user")
    }

    fn allow_only(&self, allowed: &[&str]) -> Result<(), ApiError> {
        match self.0.keys().find(|name| !allowed.contains(&name.as_str())) {
            Some(unknown) if unknown.len() <= ID_BYTES_MAX => Err(ApiError::field(unknown, "is not known")),
            Some(_) => Err(ApiError::NotJson),
            None => Ok(()),
        }
    }

    fn given(&self, name: &str) -> Option<&Json> {
        self.0.get(name).filter(|value| **value != Json::Null)
    }

    fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.given(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::field(name, "must be a text")),
        }
    }

    fn id(&self, name: &str) -> Result<String, ApiError> {
        let id = self.text(name)?.ok_or_else(|| ApiError::field(name, "is missing"))?;
        check_id(name, id)?;
        Ok(id.to_owned())
    }

    fn amount(&self, kind: SubjectKind) -> Result<Option<Money>, ApiError> {
        let amount = match self.given("amount_minor") {
            Some(Json::Number(digits) | Json::Text(digits)) => Some(digits),
            Some(_) => return Err(ApiError::field("amount_minor", AMOUNT_RULE)),
            None => None,
        };
        let currency = self.text("currency")?;
        match (amount, currency) {
            (None, None) if kind != SubjectKind::Order => Ok(None),
            (None, _) => Err(ApiError::field("amount_minor", "is missing")),
            (_, None) => Err(ApiError::field("currency", "is missing")),
            (Some(digits), Some(code)) => {
                let currency = Currency::new(code)
                    .map_err(|_| ApiError::field("currency", "is not a known currency or asset code"))?;
                let money =
                    Money::parse_minor(digits, currency).ok().filter(|money| money.amount_minor() > 0);
                money.map(Some).ok_or_else(|| ApiError::field("amount_minor", AMOUNT_RULE))
            }
        }
    }

    fn expires_at(&self) -> Result<Option<UnixSeconds>, ApiError> {
        let seconds = match self.given("expires_at") {
            None => return Ok(None),
            Some(Json::Number(digits)) => digits.parse().ok().filter(|seconds| *seconds > 0),
            Some(_) => None,
        };
        let rule = || ApiError::field("expires_at", "must be a whole number of seconds since 1970");
        seconds.map(|seconds| Some(UnixSeconds(seconds))).ok_or_else(rule)
    }

    fn references(&self) -> Result<Vec<Reference>, ApiError> {
        let rule = || {
            ApiError::field(
                "references",
                format!("must be a list of at most {REFERENCES_MAX} texts such as `stripe:pi_123`"),
            )
        };
        let members = match self.given("references") {
            None => return Ok(Vec::new()),
            Some(Json::Array(members)) if members.len() <= REFERENCES_MAX => members,
            Some(_) => return Err(rule()),
        };
        members
            .iter()
            .map(|member| match member {
                Json::Text(text) => {
                    check_id("references", text)?;
                    let (provider, id) = text.split_once(':').ok_or_else(rule)?;
                    if provider.is_empty() || id.is_empty() {
                        return Err(rule());
                    }
                    Ok(Reference::new(provider, id))
                }
                _ => Err(rule()),
            })
            .collect()
    }
}

/// The refusal of a kind that does not exist.
pub(crate) fn unknown_kind() -> ApiError {
    let names: Vec<&str> = SubjectKind::ALL.iter().map(|kind| kind.name()).collect();
    ApiError::field("kind", format!("must be one of {}", names.join(", ")))
}

const AMOUNT_RULE: &str =
    "must be a positive whole number of minor units, as a JSON integer or a text of digits";

fn check_id(name: &str, id: &str) -> Result<(), ApiError> {
    if id.trim().is_empty() || id.len() > ID_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(ApiError::field(
            name,
            format!("must have 1 to {ID_BYTES_MAX} bytes and no control characters"),
        ));
    }
    Ok(())
}
