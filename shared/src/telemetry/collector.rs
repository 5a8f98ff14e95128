//! The way to the OpenTelemetry collector: OTLP over plain HTTP, as a collector beside the function speaks it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use opentelemetry::Context;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter as _, SpanProcessor};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// How long an invocation waits for the collector.
const EXPORT_MAX: Duration = Duration::from_millis(200);
/// How long nothing is sent after the collector has failed, so that not every invocation waits for it.
const PAUSE: Duration = Duration::from_secs(10);
/// Most finished spans that wait to be sent.
const SPANS_MAX: usize = 512;
/// An answer is a few bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const HTTP_PORT: u16 = 80;

/// Spans that are finished and not sent yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Finished(Arc<Mutex<Vec<SpanData>>>);

impl Finished {
    fn take(&self) -> Vec<SpanData> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SpanProcessor for Finished {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() < SPANS_MAX {
            spans.push(span);
        }
    }

    // Sending needs the function's own runtime, so [`Collector::send`] does it.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Sends finished spans to a collector.
#[derive(Debug)]
pub(super) struct Collector {
    exporter: SpanExporter,
    finished: Finished,
    paused_until: Mutex<Option<Instant>>,
}

impl Collector {
    /// To the collector at this base address, such as `http://localhost:4318`.
    pub(super) fn new(endpoint: &str, resource: &Resource) -> Result<Self, ExporterBuildError> {
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(EXPORT_MAX)
            .with_http_client(PlainHttp)
            // Trying again would hold up the invocation, by blocking its only thread.
            .with_retry_policy(RetryPolicy::disabled())
            .build()?;
        exporter.set_resource(resource);
        Ok(Self { exporter, finished: Finished::default(), paused_until: Mutex::default() })
    }

    /// Where finished spans wait.
    pub(super) fn finished(&self) -> Finished {
        self.finished.clone()
    }

    /// Sends what has finished, or gives it up: a collector that fails or is slow costs traces and nothing else.
    pub(super) async fn send(&self) {
        let spans = self.finished.take();
        let paused_until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.is_empty() || paused_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let problem = match timeout(EXPORT_MAX, self.exporter.export(spans)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(reason = problem, "traces are lost: the collector cannot be reached");
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
    }
}

/// A client of one request per connection, without TLS: the collector runs beside the function.
struct PlainHttp;

impl fmt::Debug for PlainHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainHttp")
    }
}

#[async_trait]
impl HttpClient for PlainHttp {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let uri = request.uri().clone();
        let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or("not an http:// address")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(HTTP_PORT))).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let (mut parts, body) = request.into_parts();
        if let Some(authority) = uri.authority() {
            parts.headers.insert(HOST, HeaderValue::from_str(authority.as_str())?);
        }
        parts.uri = uri.path().parse()?;
        let answering = async {
            let answer = sender.send_request(Request::from_parts(parts, Full::new(body))).await?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(parts, body))
        };
        // The connection is driven here and not by a task, so that it ends with the invocation's patience.
        tokio::pin!(answering, connection);
        tokio::select! {
            answer = &mut answering => answer,
            ended = &mut connection => match ended {
                Ok(()) => answering.await,
                Err(error) => Err(error.into()),
            },
        }
    }
}
