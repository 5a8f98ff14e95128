//! A provider's request as it arrived, and what it takes to prove it genuine.
//!
//! `RawCallback → Verified`: the only road leads through a provider's `verify`, which needs a
//! [`Proof`], which only the checks in [`signature`] give out.

pub mod account;
pub mod address;
pub mod answer;
pub mod certificate;
pub mod cipher;
pub mod cms;
pub mod credentials;
pub mod fetched;
pub mod form;
pub mod google_envelope;
pub mod json;
pub mod jws;
pub mod raw;
pub mod rejection;
pub mod rotation;
pub mod signature;
pub mod verified;
pub mod xml;

pub use account::{ACCOUNT_BYTES_MAX, is_account_name};
pub use answer::{Answer, Answers};
pub use credentials::{Credentials, KeySet, KeyStatus};
pub use fetched::Fetched;
pub use raw::RawCallback;
pub use rejection::{CertificateProblem, Rejection};
pub use rotation::{Added, RotationError};
pub use signature::Proof;
pub use verified::{Origin, Verified};

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct UnixSeconds(pub i64);

/// Most bytes that a callback's body may have.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Most headers that a callback may have.
pub const HEADER_COUNT_MAX: usize = 128;
/// Most bytes that one header's value may have.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
