//! Why a call is not done, and how that is told.

use paybell_shared::domain::OrderError;
use paybell_shared::ports::PortError;
use paybell_shared::ports::fold::FoldError;
use paybell_shared::refusals::Limited;
use serde::Serialize;
use thiserror::Error;

/// Why a call is not done. Texts name fields and limits, never a value.
#[derive(Debug, Error)]
pub(crate) enum ApiError {
    /// No API key, or nobody's.
    #[error("send `Authorization: Bearer <api key>` with a valid key")]
    Unauthorized,
    /// Too many wrong keys came from the same source.
    #[error("too many calls without a valid key came from your address: wait as long as `retry-after` says")]
    Limited(#[from] Limited),
    /// No such address or thing.
    #[error("there is no such address or thing")]
    NotFound,
    /// The body is not what it should be.
    #[error("the body must be one JSON object in UTF-8 without repeated names")]
    NotJson,
    /// The body is too large.
    #[error("the body must not be larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// A field is absent, unknown or unreadable.
    #[error("`{field}` {problem}")]
    Field {
        /// The field's name.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The order is there and says something else.
    #[error("the order is registered already with a different `{field}`")]
    Conflict {
        /// The fact that differs.
        field: &'static str,
    },
    /// The order does not take it for another reason.
    #[error(transparent)]
    Refused(OrderError),
    /// We could not do our part.
    #[error("temporarily unavailable: try again")]
    Failed(String),
}

impl ApiError {
    /// Shorthand for [`ApiError::Field`].
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }

    /// The one place where an error becomes a status.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::NotJson | Self::Field { .. } => 400,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::Conflict { .. } | Self::Refused(_) => 409,
            Self::TooLarge { .. } => 413,
            Self::Limited(_) => 429,
            Self::Failed(_) => 503,
        }
    }

    /// A stable machine-readable name.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Limited(_) => "limited",
            Self::NotFound => "not_found",
            Self::NotJson => "not_json",
            Self::TooLarge { .. } => "too_large",
            Self::Field { .. } => "invalid_field",
            Self::Conflict { .. } => "conflict",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "unavailable",
        }
    }

    /// `{"error":{"code","field"?,"message"}}`.
    pub(crate) fn to_json(&self) -> String {
        let field = match self {
            Self::Field { field, .. } => Some(field.as_str()),
            Self::Conflict { field } => Some(*field),
            _ => None,
        };
        let body = Body { error: Told { code: self.code(), field, message: self.to_string() } };
        serde_json::to_string(&body).expect("texts always serialise")
    }
}

impl From<PortError> for ApiError {
    fn from(error: PortError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<FoldError> for ApiError {
    fn from(error: FoldError) -> Self {
        match error {
            FoldError::Order(OrderError::Conflict { field }) => Self::Conflict { field },
            FoldError::Order(error) => Self::Refused(error),
            FoldError::Port(error) => error.into(),
            FoldError::LostRaces => Self::Failed(error.to_string()),
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: Told<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    message: String,
}
