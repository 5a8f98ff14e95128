//! The guarded fetcher: the only way out to a provider.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::callback::Fetched;
use crate::callback::address::{ADDRESS_BYTES_MAX, is_host_name};
use crate::providers::FetchRequest;

use super::{Clock, PortError};

/// What the network gives for one request.
#[derive(Clone, PartialEq, Eq)]
pub struct FetchResponse {
    /// HTTP status.
    pub status: u16,
    /// For how long it may be kept, in seconds, where it says so; 0 when it must not be.
    pub max_age_seconds: Option<i64>,
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

/// Asks providers, and only them: over `https://`, at the pinned host, and taking no redirect for an answer.
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
    /// [`PortError::Permanent`] for an address that is not pinned and for a redirect; the transport's error otherwise.
    pub async fn fetch(&self, account: &str, request: &FetchRequest) -> Result<Fetched, PortError> {
        let response = self.exchange(account, request).await?;
        Ok(Fetched::new(response.status, response.body, self.clock.now()))
    }

    /// As [`Fetcher::fetch`], with what the answer says about keeping it.
    pub(super) async fn exchange(
        &self,
        account: &str,
        request: &FetchRequest,
    ) -> Result<FetchResponse, PortError> {
        if !is_pinned(request) {
            return Err(PortError::Permanent("the address is not at the provider's pinned host".to_owned()));
        }
        let response = self.transport.send(account, request).await?;
        if (300..400).contains(&response.status) {
            return Err(PortError::Permanent("the provider redirects, which is not followed".to_owned()));
        }
        Ok(response)
    }
}

/// Whether a request goes to its pinned host, whoever reads the address, and brings no header that could change that.
fn is_pinned(request: &FetchRequest) -> bool {
    let target = request
        .url
        .strip_prefix("https://")
        .and_then(|rest| rest.strip_prefix(&request.pinned_host))
        .filter(|target| target.len() <= ADDRESS_BYTES_MAX);
    let harmless = |(name, _): &(String, String)| {
        !FRAMING_HEADERS.iter().any(|framing| name.eq_ignore_ascii_case(framing))
    };
    is_host_name(&request.pinned_host)
        && target.is_some_and(is_plain_target)
        && request.headers.iter().all(harmless)
}

/// Headers that belong to the transport.
const FRAMING_HEADERS: &[&str] =
    &["connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"];

/// Whether a path and query have one reading: no fragment, no bytes that need an escape, and in the path no way
/// upwards and no separator in disguise, which an id out of a callback could bring in.
fn is_plain_target(target: &str) -> bool {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]".contains(&byte);
    let lower = path.to_ascii_lowercase();
    let disguised = ["%2e", "%2f", "%5c", "%00"].iter().any(|escape| lower.contains(escape));
    let upwards = path.split('/').any(|segment| matches!(segment, "." | ".."));
    path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().chain(query.bytes()).all(plain)
        && !disguised
        && !upwards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pinned_host_is_asked() {
        for (host, url, pinned) in [
            ("api.example.com", "https://api.example.com/v1/a%20b?c=d%2Fe&f[]=1", true),
            ("api.example.com", "https://api.example.com/", true),
            ("api.example.com", "https://api.example.com", false),
            ("api.example.com", "http://api.example.com/v1", false),
            ("api.example.com", "https://api.example.com.evil.example/v1", false),
            ("api.example.com", "https://api.example.com@evil.example/v1", false),
            ("api.example.com", "https://user@api.example.com/v1", false),
            ("api.example.com", "https://api.example.com:8443/v1", false),
            ("api.example.com", "https://api.example.com/v1#f", false),
            ("api.example.com", "https://api.example.com\\@evil.example/v1", false),
            ("api.example.com", "https://api.example.com//evil.example/v1", false),
            ("api.example.com", "https://api.example.com/v1/../admin", false),
            ("api.example.com", "https://api.example.com/v1/%2e%2E/admin", false),
            ("api.example.com", "https://api.example.com/v1/a%2Fb", false),
            ("api.example.com", "https://api.example.com/v1 HTTP/1.1\r\nHost: evil", false),
            ("api.example.com", "https://other.example.com/v1", false),
            ("API.example.com", "https://API.example.com/v1", false),
            ("169.254.169.254", "https://169.254.169.254/latest", false),
            ("localhost", "https://localhost/v1", false),
            ("", "https:///v1", false),
        ] {
            assert_eq!(is_pinned(&FetchRequest::get(host, url)), pinned, "{url}");
        }
    }

    #[test]
    fn headers_of_the_transport_are_its_own() {
        for (name, harmless) in [("Authorization", true), ("host", false), ("Transfer-Encoding", false)] {
            let request = FetchRequest::get("a.b", "https://a.b/c").with_header(name, "x");
            assert_eq!(is_pinned(&request), harmless, "{name}");
        }
    }
}
