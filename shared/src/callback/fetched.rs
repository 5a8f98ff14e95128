//! What a provider said when it was asked.

use std::fmt;

use super::UnixSeconds;

/// What a provider said when it was asked, over TLS at its own pinned host.
///
/// Only the guarded fetcher makes one; it prints without the body.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetched {
    status: u16,
    body: Vec<u8>,
    fetched_at: UnixSeconds,
}

impl Fetched {
    pub(crate) fn new(status: u16, body: Vec<u8>, fetched_at: UnixSeconds) -> Self {
        Self { status, body, fetched_at }
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The body, byte for byte.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// When it was fetched.
    pub fn fetched_at(&self) -> UnixSeconds {
        self.fetched_at
    }
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .field("fetched_at", &self.fetched_at)
            .finish_non_exhaustive()
    }
}
