//! The guarded fetcher: the only way out to a provider.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::callback::{Fetched, UnixSeconds};
use crate::providers::FetchRequest;

use super::{Clock, PortError};

/// What the network gives for one request.
#[derive(Clone, PartialEq, Eq)]
pub struct FetchResponse {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl fmt::Debug for FetchResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Sends one request over the network, without following redirects.
#[async_trait]
pub trait Transport: Send + Sync {
    /// The answer, whatever its status.
    async fn send(&self, account: &str, request: &FetchRequest) -> Result<FetchResponse, PortError>;
}

/// Asks providers, and only them: the address must be `https://` and the pinned host.
#[derive(Clone)]
pub struct Fetcher {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
}

impl Fetcher {
    /// A fetcher over this transport.
    pub fn new(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        Self { transport, clock }
    }

    /// Asks on behalf of an account.
    ///
    /// # Errors
    /// [`PortError::Permanent`] for an address that is not pinned; the transport's error otherwise.
    pub async fn fetch(&self, account: &str, request: &FetchRequest) -> Result<Fetched, PortError> {
        require_pinned(request)?;
        let response = self.transport.send(account, request).await?;
        Ok(Fetched::new(response.status, response.body, UnixSeconds(self.clock.now_ms().div_euclid(1000))))
    }
}

fn require_pinned(request: &FetchRequest) -> Result<(), PortError> {
    let rest = request.url.strip_prefix("https://").and_then(|rest| rest.strip_prefix(&request.pinned_host));
    match rest {
        Some(rest) if rest.starts_with('/') && !request.pinned_host.is_empty() => Ok(()),
        _ => Err(PortError::Permanent("the address is not at the provider's pinned host".to_owned())),
    }
}
