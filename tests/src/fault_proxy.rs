//! A proxy between the functions and an AWS endpoint, which fails on purpose.
//!
//! It forwards everything as it came, the `Host` header too, so that signatures stay valid, and knows from each request
//! which service and operation it is for. [`Rule`]s say which of them fail, how, and how often.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Status 400 with this error code, as AWS throttles: `ProvisionedThroughputExceededException` and the like.
    Refuse(&'static str),
    /// This status, 500 or 503.
    Status(u16),
    /// No answer ever.
    Hang,
    /// The connection is closed without an answer.
    Close,
    /// It is done, and the connection closed without an answer.
    CloseAfterEffect,
    /// It is done, and there is no answer ever.
    HangAfterEffect,
}

/// Which calls fail, how, and how often. Without anything said all do, until [`FaultProxy::heal`].
#[derive(Clone, Debug)]
pub struct Rule {
    fault: Fault,
    service: Option<String>,
    operation: Option<String>,
    mentioning: Option<String>,
    left: Option<usize>,
    until: Option<Instant>,
    percent: u64,
    matched: u64,
}

impl Rule {
    /// Calls that fail so.
    pub fn new(fault: Fault) -> Self {
        let (service, operation, mentioning) = (None, None, None);
        Self { fault, service, operation, mentioning, left: None, until: None, percent: 100, matched: 0 }
    }

    /// Only calls of this service, by its name in the signature: `dynamodb`, `sqs`, `secretsmanager`, `execute-api`.
    pub fn service(self, service: &str) -> Self {
        Self { service: Some(service.to_owned()), ..self }
    }

    /// Only calls of this operation: `PutItem`, `SendMessage`.
    pub fn operation(self, operation: &str) -> Self {
        Self { operation: Some(operation.to_owned()), ..self }
    }

    /// Only calls with this text in address or body, such as the name of a table or queue.
    pub fn mentioning(self, text: &str) -> Self {
        Self { mentioning: Some(text.to_owned()), ..self }
    }

    /// Only the next `count` of these calls.
    pub fn times(self, count: usize) -> Self {
        Self { left: Some(count), ..self }
    }

    /// Only from now on for so long.
    pub fn during(self, time: Duration) -> Self {
        Self { until: Some(Instant::now() + time), ..self }
    }

    /// Only so many of a hundred of these calls, spread evenly.
    pub fn percent(self, percent: u64) -> Self {
        Self { percent, ..self }
    }

    fn fault_for(&mut self, call: &Call) -> Option<Fault> {
        let is_other = |wanted: &Option<String>, is: &str| wanted.as_ref().is_some_and(|wanted| wanted != is);
        let mentions = |text: &String| {
            call.address.contains(text.as_str())
                || call.content.windows(text.len()).any(|window| window == text.as_bytes())
        };
        let is_meant = !is_other(&self.service, &call.service)
            && !is_other(&self.operation, &call.operation)
            && self.mentioning.as_ref().is_none_or(mentions)
            && self.until.is_none_or(|until| Instant::now() < until)
            && self.left != Some(0);
        if !is_meant {
            return None;
        }
        self.matched += 1;
        // The share has grown by a whole one exactly when this call is among it.
        if self.matched * self.percent / 100 == (self.matched - 1) * self.percent / 100 {
            return None;
        }
        self.left = self.left.map(|left| left - 1);
        Some(self.fault)
    }
}

/// One call that came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The service that the request is signed for; empty when it is not signed.
    pub service: String,
    /// The operation, or method and path where the protocol has none.
    pub operation: String,
    /// Path and query.
    pub address: String,
    /// The body of the request.
    pub content: Bytes,
    /// How it was made to fail.
    pub fault: Option<Fault>,
}

/// The running proxy; it stops when this is dropped.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    /// Host and port.
    upstream: String,
    rules: Mutex<Vec<Rule>>,
    calls: Mutex<Vec<Call>>,
}

impl FaultProxy {
    /// Starts it on a free port, in front of `http://HOST:PORT`.
    pub async fn start(upstream_url: &str) -> Self {
        Self::start_on(0, upstream_url).await
    }

    /// Starts it on this port.
    pub async fn start_on(port: u16, upstream_url: &str) -> Self {
        let upstream = upstream_url.strip_prefix("http://").expect("the upstream is at http://");
        let upstream = upstream.trim_end_matches('/').to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.unwrap_or_else(|error| panic!("cannot listen on port {port}: {error}"));
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared { upstream, rules: Mutex::default(), calls: Mutex::default() });
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { address, shared, serving }
    }

    /// Where it is.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes calls fail from now on. Of several rules the first that says so counts.
    pub fn inject(&self, rule: Rule) {
        lock(&self.shared.rules).push(rule);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        lock(&self.shared.rules).clear();
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).clone()
    }

    /// How many calls of this operation failed so far because of a rule.
    pub fn failed(&self, operation: &str) -> usize {
        let is_failed = |call: &&Call| call.operation == operation && call.fault.is_some();
        lock(&self.shared.calls).iter().filter(is_failed).count()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, &shared));
            // A fault that closes the connection ends here, as does a client that goes away.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// The answer of the upstream or of a fault; an error closes the connection.
async fn answer(request: Request<Incoming>, shared: &Shared) -> io::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let content = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let mut call = call_of(&parts, content.clone());
    call.fault = lock(&shared.rules).iter_mut().find_map(|rule| rule.fault_for(&call));
    let fault = call.fault;
    lock(&shared.calls).push(call);
    match fault {
        None => forward(parts, content, &shared.upstream).await,
        Some(Fault::Refuse(code)) => Ok(refusal(StatusCode::BAD_REQUEST, code)),
        Some(Fault::Status(status)) => {
            let status = StatusCode::from_u16(status).map_err(io::Error::other)?;
            Ok(refusal(status, "InternalServerError"))
        }
        Some(Fault::Hang) => Ok(never().await),
        Some(Fault::Close) => Err(closed()),
        Some(Fault::CloseAfterEffect) => {
            forward(parts, content, &shared.upstream).await?;
            Err(closed())
        }
        Some(Fault::HangAfterEffect) => {
            forward(parts, content, &shared.upstream).await?;
            Ok(never().await)
        }
    }
}

async fn never() -> Response<Full<Bytes>> {
    match std::future::pending::<Infallible>().await {}
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "closed on purpose")
}

/// In the shape that all of AWS's JSON protocols know.
fn refusal(status: StatusCode, code: &str) -> Response<Full<Bytes>> {
    let body = json!({"__type": code, "message": "on purpose"}).to_string();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let code = code.parse().expect("an error code is a header value");
    response.headers_mut().insert("x-amzn-errortype", code);
    let content_type = "application/x-amz-json-1.0".parse().expect("it is a header value");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

async fn forward(
    parts: hyper::http::request::Parts,
    content: Bytes,
    upstream: &str,
) -> io::Result<Response<Full<Bytes>>> {
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let mut request = Request::from_parts(parts, Full::new(content));
    forget_hops(request.headers_mut());
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let (mut parts, body) = response.into_parts();
    let content = body.collect().await.map_err(io::Error::other)?.to_bytes();
    connection.abort();
    forget_hops(&mut parts.headers);
    Ok(Response::from_parts(parts, Full::new(content)))
}

/// How the bytes of one connection are framed is not the business of the other one.
fn forget_hops(headers: &mut HeaderMap) {
    headers.remove(CONNECTION);
    headers.remove(TRANSFER_ENCODING);
}

fn call_of(parts: &hyper::http::request::Parts, content: Bytes) -> Call {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    // `AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, …`
    let scope = header(AUTHORIZATION.as_str()).and_then(|text| text.split_once("Credential="));
    let service = scope.and_then(|(_, scope)| scope.split('/').nth(3)).unwrap_or_default();
    let address = parts.uri.path_and_query().map_or("/", |address| address.as_str());
    let target = header("x-amz-target").and_then(|target| target.rsplit('.').next());
    let body = std::str::from_utf8(&content).unwrap_or_default();
    let operation = match target.or_else(|| action(parts.uri.query()?)).or_else(|| action(body)) {
        Some(operation) => operation.to_owned(),
        None => format!("{} {}", parts.method, parts.uri.path()),
    };
    Call { service: service.to_owned(), operation, address: address.to_owned(), content, fault: None }
}

/// The operation in the older query protocol.
fn action(form: &str) -> Option<&str> {
    form.split('&').find_map(|pair| pair.strip_prefix("Action="))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(service: &str, operation: &str) -> Call {
        let content = Bytes::from_static(b"in the inbox");
        Call {
            service: service.into(),
            operation: operation.into(),
            address: "/".into(),
            content,
            fault: None,
        }
    }

    #[test]
    fn a_rule_means_what_it_says() {
        let throttled = || Rule::new(Fault::Refuse("ThrottlingException"));
        let pattern = |mut rule: Rule, call: &Call| -> String {
            (0..8).map(|_| if rule.fault_for(call).is_some() { 'x' } else { '.' }).collect()
        };
        let put = call("dynamodb", "PutItem");
        for (rule, expected) in [
            (throttled(), "xxxxxxxx"),
            (throttled().times(3), "xxx....."),
            (throttled().percent(50), ".x.x.x.x"),
            (throttled().percent(25).times(1), "...x...."),
            (throttled().during(Duration::ZERO), "........"),
            (throttled().service("dynamodb").operation("PutItem"), "xxxxxxxx"),
            (throttled().service("sqs"), "........"),
            (throttled().operation("GetItem"), "........"),
            (throttled().mentioning("inbox"), "xxxxxxxx"),
            (throttled().mentioning("orders"), "........"),
        ] {
            assert_eq!(pattern(rule.clone(), &put), expected, "{rule:?}");
        }
    }
}
