//! HTTPS to the outside, for the guarded fetcher: verified TLS to public addresses, one request per connection.

mod public;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, HOST, HeaderMap, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::ports::{FetchResponse, PortError, Transport};
use crate::providers::{FetchMethod, FetchRequest};

pub use public::is_public;

/// Most addresses of one host that are tried.
const ADDRESSES_MAX: usize = 4;
/// Most headers of an answer.
const HEADERS_MAX: usize = 64;
/// Most bytes of an answer's headers.
const HEADERS_BYTES_MAX: usize = 32 * 1024;
const HTTPS_PORT: u16 = 443;
const IDENTITY: &str = "identity";
const AGENT: &str = concat!("paybell/", env!("CARGO_PKG_VERSION"));

/// Sends requests over HTTPS.
///
/// A name is resolved once for each request and every address it has must be public; the connection goes to one of
/// these very addresses, so that a name which changes its mind in between gains nothing. No proxy is asked, no redirect
/// followed, and trust is in the public authorities that are built in, the same on every machine.
pub struct HttpsTransport {
    tls: TlsConnector,
    resolver: Arc<dyn Resolver>,
    may_connect: fn(IpAddr) -> bool,
    limits: HttpsLimits,
}

/// How long and how much one request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpsLimits {
    /// Name, connection and TLS.
    pub connect: Duration,
    /// Everything, the answer's last byte included.
    pub total: Duration,
    /// Bytes of the answer's body.
    pub body_bytes_max: usize,
}

impl HttpsLimits {
    /// For a key that a callback waits for: the most impatient providers wait 5 s for their answer.
    pub const KEY: Self = Self {
        connect: Duration::from_millis(1500),
        total: Duration::from_secs(3),
        body_bytes_max: 256 * 1024,
    };
    /// For a question about a callback that is answered already.
    pub const QUESTION: Self =
        Self { connect: Duration::from_secs(3), total: Duration::from_secs(10), body_bytes_max: 1024 * 1024 };
}

/// Finds the addresses of a host.
#[async_trait]
trait Resolver: Send + Sync {
    async fn resolve(&self, host: &str) -> io::Result<Vec<SocketAddr>>;
}

/// The machine's own resolver.
struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, HTTPS_PORT)).await?.collect())
    }
}

impl HttpsTransport {
    /// HTTPS to the public Internet within these limits.
    pub fn new(limits: HttpsLimits) -> Self {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Self::with(roots, Arc::new(SystemResolver), is_public, limits)
    }

    fn with(
        roots: RootCertStore,
        resolver: Arc<dyn Resolver>,
        may_connect: fn(IpAddr) -> bool,
        limits: HttpsLimits,
    ) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs has the protocol versions that rustls wants")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: TlsConnector::from(Arc::new(config)), resolver, may_connect, limits }
    }

    async fn exchange(&self, request: &FetchRequest) -> Result<FetchResponse, PortError> {
        let stream = timeout(self.limits.connect, self.connect(&request.pinned_host)).await;
        let stream = stream.map_err(|_| transient("no connection in time"))??;
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEADERS_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| transient("the connection broke"))?;
        let _driver = Driver(tokio::spawn(async move {
            // What goes wrong on the connection is told to the sender as well.
            let _ = connection.await;
        }));
        let answer = sender.send_request(http_request(request)?).await;
        read(answer.map_err(unanswered)?, self.limits.body_bytes_max).await
    }

    async fn connect(&self, host: &str) -> Result<TlsStream<TcpStream>, PortError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| permanent("the host is no name"))?;
        let resolved = self.resolver.resolve(host).await;
        let mut addresses = resolved.map_err(|_| transient("the host's name is not resolved"))?;
        if addresses.iter().any(|address| !(self.may_connect)(address.ip())) {
            return Err(permanent("the host's address is not public"));
        }
        // A machine without IPv6 finds out at once, one with half of it after a while.
        addresses.sort_by_key(SocketAddr::is_ipv6);
        addresses.truncate(ADDRESSES_MAX);
        let share = self.limits.connect / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        for address in addresses {
            if let Ok(Ok(stream)) = timeout(share, TcpStream::connect(address)).await {
                return self.tls.connect(name, stream).await.map_err(untrusted);
            }
        }
        Err(transient("no connection"))
    }
}

#[async_trait]
impl Transport for HttpsTransport {
    async fn send(&self, _account: &str, request: &FetchRequest) -> Result<FetchResponse, PortError> {
        let answer = timeout(self.limits.total, self.exchange(request)).await;
        answer.map_err(|_| transient("no answer in time"))?
    }
}

/// Drives a connection for as long as it is held.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn http_request(request: &FetchRequest) -> Result<Request<Full<Bytes>>, PortError> {
    let method = match request.method {
        FetchMethod::Get => Method::GET,
        FetchMethod::Post => Method::POST,
    };
    let target =
        request.url.strip_prefix("https://").and_then(|rest| rest.strip_prefix(&request.pinned_host));
    let mut builder = Request::builder()
        .method(method)
        .uri(target.unwrap_or_default())
        .header(HOST, &request.pinned_host)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT_ENCODING, IDENTITY);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    builder
        .body(Full::new(Bytes::from(request.body.clone())))
        .map_err(|_| permanent("the request cannot be written"))
}

async fn read(answer: Response<Incoming>, body_bytes_max: usize) -> Result<FetchResponse, PortError> {
    let status = answer.status().as_u16();
    let encoding = answer.headers().get(CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != IDENTITY) {
        return Err(permanent("the answer is compressed, which was not asked for"));
    }
    let max_age_seconds = max_age_seconds(answer.headers());
    let body = Limited::new(answer.into_body(), body_bytes_max).collect().await;
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => permanent("the answer is too large"),
        false => transient("the answer broke off"),
    })?;
    Ok(FetchResponse { status, max_age_seconds, body: body.to_bytes().to_vec() })
}

/// For how long the answer says that it may be kept; `Some(0)` when it must not be.
///
/// # Source
/// RFC 9111, section 5.2.2.
fn max_age_seconds(headers: &HeaderMap) -> Option<i64> {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut max_age_seconds = None;
    for directive in lines.flat_map(|line| line.split(',')) {
        let directive = directive.trim().to_ascii_lowercase();
        if matches!(directive.as_str(), "no-store" | "no-cache") {
            return Some(0);
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            max_age_seconds = seconds.trim_matches('"').parse().ok().filter(|seconds| *seconds >= 0);
        }
    }
    max_age_seconds
}

fn untrusted(error: io::Error) -> PortError {
    // Certificates and protocol versions that rustls refuses are invalid data; the rest is the network.
    match error.kind() {
        ErrorKind::InvalidData => permanent("the host's certificate is not trusted"),
        _ => transient("the TLS connection broke"),
    }
}

fn unanswered(error: hyper::Error) -> PortError {
    match error.is_parse() {
        true => permanent("the answer is not HTTP, or its headers are too large"),
        false => transient("the connection broke"),
    }
}

fn transient(what: &str) -> PortError {
    PortError::Transient(format!("fetch: {what}"))
}

fn permanent(what: &str) -> PortError {
    PortError::Permanent(format!("fetch: {what}"))
}
