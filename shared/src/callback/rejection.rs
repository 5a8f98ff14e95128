//! Why a callback is not believed.

use thiserror::Error;

/// Why a callback is not believed. Texts name the place, never a secret, a signature or a value of the body.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// A header that the protocol needs is absent or empty.
    #[error("header `{name}` is missing")]
    MissingHeader {
        /// The header's name.
        name: String,
    },
    /// A field that the protocol needs is absent or empty.
    #[error("field `{name}` is missing")]
    MissingField {
        /// The field's name.
        name: String,
    },
    /// There is no signature, or none of the scheme that the account is configured for.
    #[error("no signature of the expected scheme")]
    MissingSignature,
    /// A header or parameter occurs twice, so two readers could choose differently.
    #[error("`{name}` occurs more than once")]
    Duplicate {
        /// The header's or parameter's name.
        name: String,
    },
    /// The request cannot be read as the protocol says.
    #[error("malformed {what}")]
    Malformed {
        /// What could not be read: `body`, `timestamp`, `signature` and the like.
        what: String,
    },
    /// The signature does not belong to this request and any active key.
    #[error("the signature does not match")]
    SignatureMismatch,
    /// The request names a key that is not among the active ones.
    #[error("the signing key is not among the active keys")]
    UnknownKey,
    /// The request asks for an algorithm that the account is not configured for.
    #[error("the signature algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// The signed time is too far from ours.
    #[error("signed {age_seconds} s before the time of receipt (negative: from the future)")]
    Stale {
        /// Time of receipt minus signed time, in seconds; negative when the request comes from the future.
        age_seconds: i64,
    },
    /// The signer's certificate is not to be trusted.
    #[error("certificate: {0}")]
    Certificate(CertificateProblem),
    /// A genuine message for somebody else: an app, merchant or webhook id differs from the account's.
    #[error("`{field}` is not this account's")]
    IdentityMismatch {
        /// The field that names the other party.
        field: String,
    },
    /// The encrypted part does not open with the account's key.
    #[error("the encrypted part cannot be opened")]
    DecryptFailed,
    /// The account's credentials lack what the check needs, so nothing can be proved.
    #[error("credential `{field}` is missing, empty or unusable")]
    Unconfigured {
        /// The credential field's name.
        field: String,
    },
    /// The request is larger than we read.
    #[error("{what} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What is too large: `body`, `header`.
        what: String,
        /// The limit in bytes.
        limit_bytes: usize,
    },
}

/// What is wrong with a signer's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CertificateProblem {
    /// It cannot be read.
    #[error("malformed")]
    Malformed,
    /// It was not valid at the time of receipt.
    #[error("not valid at the time of receipt")]
    Expired,
    /// It does not chain to a pinned root.
    #[error("does not chain to a pinned root")]
    Untrusted,
    /// It chains, but belongs to somebody else than the provider.
    #[error("does not belong to the provider")]
    Identity,
    /// Its address is not one of the provider's.
    #[error("its address is not one of the provider's")]
    AddressNotAllowed,
    /// The address is the provider's but the certificate behind it is not at hand.
    #[error("the certificate behind its address is not known")]
    Unavailable,
}

impl Rejection {
    /// A stable machine-readable name.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::MissingHeader { .. } => "missing_header",
            Self::MissingField { .. } => "missing_field",
            Self::MissingSignature => "missing_signature",
            Self::Duplicate { .. } => "duplicate",
            Self::Malformed { .. } => "malformed",
            Self::SignatureMismatch => "signature_mismatch",
            Self::UnknownKey => "unknown_key",
            Self::AlgorithmNotAllowed => "algorithm_not_allowed",
            Self::Stale { .. } => "stale",
            Self::Certificate(CertificateProblem::Malformed) => "certificate_malformed",
            Self::Certificate(CertificateProblem::Expired) => "certificate_expired",
            Self::Certificate(CertificateProblem::Untrusted) => "certificate_untrusted",
            Self::Certificate(CertificateProblem::Identity) => "certificate_identity_mismatch",
            Self::Certificate(CertificateProblem::AddressNotAllowed) => "certificate_address_not_allowed",
            Self::Certificate(CertificateProblem::Unavailable) => "certificate_unavailable",
            Self::IdentityMismatch { .. } => "identity_mismatch",
            Self::DecryptFailed => "decrypt_failed",
            Self::Unconfigured { .. } => "unconfigured",
            Self::TooLarge { .. } => "too_large",
        }
    }

    /// Shorthand for [`Rejection::Malformed`].
    pub fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed { what: what.into() }
    }

    /// Shorthand for [`Rejection::Unconfigured`].
    pub fn unconfigured(field: impl Into<String>) -> Self {
        Self::Unconfigured { field: field.into() }
    }
}
