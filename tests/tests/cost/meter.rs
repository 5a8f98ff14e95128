//! A proxy between the functions and AWS that counts what AWS bills.

use std::io;
use std::net::Ipv4Addr;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

/// Bytes of a message that are billed as one request.
///
/// # Source
/// Amazon SQS pricing: "Every 64 KB chunk of a payload is billed as 1 request".
const SQS_CHUNK_BYTES: usize = 64 * 1024;

/// What AWS bills, in its units.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Units {
    /// Invocations of functions.
    pub invocations: f64,
    /// Requests of the HTTP API.
    pub http: f64,
    /// Requests of SQS.
    pub sqs: f64,
    /// Read request units of DynamoDB.
    pub reads: f64,
    /// Write request units of DynamoDB, those of indexes among them.
    pub writes: f64,
    /// Messages of the WebSocket API.
    pub messages: f64,
}

impl Units {
    /// One part of `count`.
    pub fn per(self, count: usize) -> Self {
        let share = |units: f64| units / f64::from(u32::try_from(count).expect("a few payments"));
        Self {
            invocations: share(self.invocations),
            http: share(self.http),
            sqs: share(self.sqs),
            reads: share(self.reads),
            writes: share(self.writes),
            messages: share(self.messages),
        }
    }
}

impl AddAssign for Units {
    fn add_assign(&mut self, more: Self) {
        self.invocations += more.invocations;
        self.http += more.http;
        self.sqs += more.sqs;
        self.reads += more.reads;
        self.writes += more.writes;
        self.messages += more.messages;
    }
}

/// The running proxy.
pub struct Meter {
    endpoint_url: String,
    units: Arc<Mutex<Units>>,
}

impl Meter {
    /// Starts it in front of `http://HOST:PORT`.
    pub async fn start(upstream_url: &str) -> Self {
        let upstream = upstream_url.strip_prefix("http://").expect("the upstream is at http://").to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let units = Arc::new(Mutex::default());
        tokio::spawn(serve(listener, upstream, Arc::clone(&units)));
        Self { endpoint_url: format!("http://{address}"), units }
    }

    /// Where it is.
    pub fn endpoint_url(&self) -> &str {
        &self.endpoint_url
    }

    /// Counts what does not go through here.
    pub fn add(&self, more: Units) {
        *lock(&self.units) += more;
    }

    /// What was counted since the last time.
    pub fn take(&self) -> Units {
        std::mem::take(&mut *lock(&self.units))
    }
}

fn lock(units: &Mutex<Units>) -> MutexGuard<'_, Units> {
    units.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, upstream: String, units: Arc<Mutex<Units>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (upstream, units) = (upstream.clone(), Arc::clone(&units));
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &upstream, &units));
            let connection = hyper::server::conn::http1::Builder::new();
            // A client that goes away ends the connection.
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    upstream: &str,
    units: &Mutex<Units>,
) -> io::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let mut content = body.collect().await.map_err(io::Error::other)?.to_bytes();
    // There is no device behind the connection; API Gateway would have taken the message for it.
    if parts.uri.path().starts_with("/@connections/") {
        lock(units).messages += 1.0;
        return Ok(Response::new(Full::default()));
    }
    let target =
        parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let (service, operation) = target.split_once('.').expect("the SDK speaks JSON with DynamoDB and SQS");
    let (service, operation) = (service.to_owned(), operation.to_owned());
    let is_dynamodb = service.starts_with("DynamoDB");
    if is_dynamodb {
        content = asking_for_capacity(&content);
    }
    let sent_bytes = content.len();
    let response = forward(Request::from_parts(parts, Full::new(content)), upstream).await?;
    let mut units = lock(units);
    if !is_dynamodb {
        units.sqs += f64::from(u32::try_from(sent_bytes.div_ceil(SQS_CHUNK_BYTES)).unwrap_or(u32::MAX));
    } else if ["GetItem", "BatchGetItem", "Query"].contains(&operation.as_str()) {
        units.reads += consumed(response.body());
    } else {
        units.writes += consumed(response.body());
    }
    Ok(response.map(Full::new))
}

/// The request, with the question what it costs.
fn asking_for_capacity(content: &[u8]) -> Bytes {
    let mut request: Value = serde_json::from_slice(content).expect("DynamoDB's protocol is JSON");
    request["ReturnConsumedCapacity"] = "TOTAL".into();
    request.to_string().into()
}

/// What DynamoDB says that it consumed; a write whose condition does not hold costs a unit for each KB of the item.
fn consumed(content: &[u8]) -> f64 {
    let response: Value = serde_json::from_slice(content).expect("DynamoDB's protocol is JSON");
    let capacity = &response["ConsumedCapacity"];
    let each = capacity.as_array().map_or_else(|| vec![capacity], |tables| tables.iter().collect());
    each.into_iter().map(|table| table["CapacityUnits"].as_f64().unwrap_or(1.0)).sum()
}

async fn forward(request: Request<Full<Bytes>>, upstream: &str) -> io::Result<Response<Bytes>> {
    let stream = TcpStream::connect(upstream).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let mut request = request;
    forget_framing(request.headers_mut());
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let (mut parts, body) = response.into_parts();
    let content = body.collect().await.map_err(io::Error::other)?.to_bytes();
    connection.abort();
    forget_framing(&mut parts.headers);
    Ok(Response::from_parts(parts, content))
}

/// How the bytes of one connection are framed is not the business of the other one.
fn forget_framing(headers: &mut HeaderMap) {
    for name in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
        headers.remove(name);
    }
}
