//! Traces: every invocation is a span, which continues the trace of what caused it.
//!
//! # Source
//! OpenTelemetry Semantic Conventions: "FaaS spans", "HTTP spans", "Messaging spans", "AWS SQS".

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{
    FutureExt as _, Link, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::collector::Collector;
use super::xray;

/// Whom spans are said to be from.
pub(super) struct Origin<'a> {
    /// The deployed function's name.
    pub(super) function: &'a str,
    /// The deployment's stage.
    pub(super) stage: &'a str,
}

/// What a function traces with.
#[derive(Debug)]
pub(super) struct Traces {
    tracer: SdkTracer,
    collector: Collector,
    is_warm: AtomicBool,
    // Spans are recorded as long as it lives.
    _provider: SdkTracerProvider,
}

/// What has caused an invocation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Trigger<'a> {
    /// An HTTP request.
    Http {
        /// The method.
        method: &'a str,
        /// The address with its parameters by name, such as `/callbacks/{account}/{provider}`, where it is known.
        route: Option<&'a str>,
        /// The header `traceparent`, which counts where the runtime has no trace.
        traceparent: Option<&'a str>,
    },
    /// What happened to a WebSocket.
    WebSocket {
        /// The route key, such as `$connect`.
        route: &'a str,
    },
    /// Messages of a queue.
    Queue {
        /// The queue's ARN.
        arn: &'a str,
        /// The system attribute `AWSTraceHeader` of every message.
        trace_headers: Vec<Option<&'a str>>,
    },
    /// Changes of a table.
    Stream {
        /// How many.
        records: usize,
    },
}

impl<'a> Trigger<'a> {
    /// Messages of a queue, by the ARN and the system attributes of each.
    pub fn queue(messages: impl Iterator<Item = (Option<&'a str>, &'a HashMap<String, String>)>) -> Self {
        let (arns, trace_headers): (Vec<_>, Vec<_>) = messages
            .map(|(arn, attributes)| (arn, attributes.get("AWSTraceHeader").map(String::as_str)))
            .unzip();
        Self::Queue { arn: arns.into_iter().flatten().next().unwrap_or_default(), trace_headers }
    }
}

/// One invocation's span; without traces it is nothing.
#[derive(Debug, Default)]
pub struct Invocation<'a>(Option<(&'a Traces, Context)>);

impl Traces {
    pub(super) fn new(endpoint: &str, origin: &Origin<'_>) -> Result<Self, ExporterBuildError> {
        let resource = Resource::builder()
            .with_service_name(origin.function.to_owned())
            .with_attributes([
                KeyValue::new("cloud.provider", "aws"),
                KeyValue::new("cloud.platform", "aws_lambda"),
                KeyValue::new("deployment.environment.name", origin.stage.to_owned()),
                KeyValue::new("faas.name", origin.function.to_owned()),
            ])
            .build();
        let collector = Collector::new(endpoint, &resource)?;
        let provider = SdkTracerProvider::builder()
            .with_span_processor(collector.finished())
            .with_resource(resource)
            .build();
        Ok(Self {
            tracer: provider.tracer("paybell"),
            collector,
            is_warm: AtomicBool::new(false),
            _provider: provider,
        })
    }

    pub(super) fn begin(
        &self,
        function: &'static str,
        request_id: &str,
        xray_header: Option<&str>,
        trigger: &Trigger<'_>,
    ) -> Invocation<'_> {
        let is_cold = !self.is_warm.swap(true, Ordering::Relaxed);
        let mut attributes = trigger.attributes();
        attributes.push(KeyValue::new("faas.invocation_id", request_id.to_owned()));
        attributes.push(KeyValue::new("faas.coldstart", is_cold));
        let (parent, links) = trigger.parent_and_links(xray_header.and_then(xray::parse));
        let parent =
            parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let span = self
            .tracer
            .span_builder(function)
            .with_kind(trigger.kind())
            .with_attributes(attributes)
            .with_links(links.into_iter().map(|context| Link::new(context, Vec::new(), 0)).collect())
            .start_with_context(&self.tracer, &parent);
        Invocation(Some((self, parent.with_span(span))))
    }
}

impl Invocation<'_> {
    /// Works as a part of the invocation: what is sent meanwhile says so.
    pub async fn around<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.0 {
            None => work.await,
            Some((_, context)) => work.with_context(context.clone()).await,
        }
    }

    /// Ends the invocation that an HTTP status answers, and sends its span before Lambda puts us to sleep.
    pub async fn answered(self, status: i64) {
        if let Some((_, context)) = &self.0 {
            context.span().set_attribute(KeyValue::new("http.response.status_code", status));
            if status >= 500 {
                context.span().set_status(Status::error(""));
            }
        }
        self.end().await;
    }

    /// Ends the invocation of a batch of which so many come again, and sends its span.
    pub async fn processed(self, failed: usize) {
        if let Some((_, context)) = &self.0 {
            let failed = i64::try_from(failed).unwrap_or(i64::MAX);
            context.span().set_attribute(KeyValue::new("paybell.batch.failed_count", failed));
        }
        self.end().await;
    }

    async fn end(self) {
        if let Some((traces, context)) = self.0 {
            context.span().end();
            traces.collector.send().await;
        }
    }
}

impl Trigger<'_> {
    fn kind(&self) -> SpanKind {
        match self {
            Self::Http { .. } | Self::WebSocket { .. } => SpanKind::Server,
            Self::Queue { .. } | Self::Stream { .. } => SpanKind::Consumer,
        }
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        match self {
            Self::Http { method, route, .. } => {
                let mut attributes = vec![
                    KeyValue::new("faas.trigger", "http"),
                    KeyValue::new("http.request.method", (*method).to_owned()),
                ];
                attributes.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
                attributes
            }
            Self::WebSocket { route } => {
                vec![KeyValue::new("faas.trigger", "http"), KeyValue::new("http.route", (*route).to_owned())]
            }
            Self::Queue { arn, trace_headers } => vec![
                KeyValue::new("faas.trigger", "pubsub"),
                KeyValue::new("messaging.system", "aws_sqs"),
                KeyValue::new("messaging.operation.type", "process"),
                KeyValue::new("messaging.operation.name", "process"),
                KeyValue::new(
                    "messaging.destination.name",
                    arn.rsplit(':').next().unwrap_or_default().to_owned(),
                ),
                KeyValue::new("messaging.batch.message_count", count(trace_headers.len())),
            ],
            Self::Stream { records } => vec![
                KeyValue::new("faas.trigger", "datasource"),
                KeyValue::new("paybell.batch.record_count", count(*records)),
            ],
        }
    }

    /// The runtime's trace is the parent. Messages that share one context are its cause, so that one is the parent and
    /// the runtime's is linked; those of several contexts are linked.
    fn parent_and_links(&self, runtime: Option<SpanContext>) -> (Option<SpanContext>, Vec<SpanContext>) {
        match self {
            Self::Queue { trace_headers, .. } => {
                let mut causes = Vec::new();
                for cause in trace_headers.iter().filter_map(|header| xray::parse((*header)?)) {
                    if !causes.contains(&cause) {
                        causes.push(cause);
                    }
                }
                match &causes[..] {
                    [cause] => (Some(cause.clone()), runtime.into_iter().collect()),
                    _ => (runtime, causes),
                }
            }
            Self::Http { traceparent, .. } => (runtime.or_else(|| w3c(traceparent.as_deref()?)), Vec::new()),
            Self::WebSocket { .. } | Self::Stream { .. } => (runtime, Vec::new()),
        }
    }
}

struct TraceParent<'a>(&'a str);

impl Extractor for TraceParent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

/// # Source
/// W3C Recommendation, "Trace Context", `traceparent`.
fn w3c(traceparent: &str) -> Option<SpanContext> {
    let context =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &TraceParent(traceparent));
    let parent = context.span().span_context().clone();
    parent.is_valid().then_some(parent)
}

/// The header by which what is sent now continues the trace of the invocation under way.
pub fn trace_header() -> Option<String> {
    xray::header(Context::current().span().span_context())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const RUNTIME: &str = "Root=1-00000001-000000000000000000000001;Parent=0000000000000001;Sampled=1";
    const FIRST: &str = "Root=1-00000002-000000000000000000000002;Parent=0000000000000002;Sampled=1";
    const SECOND: &str = "Root=1-00000003-000000000000000000000003;Parent=0000000000000003;Sampled=1";
    const STRANGER: &str = "00-00000000000000000000000000000004-0000000000000004-01";

    fn http(traceparent: Option<&str>) -> Trigger<'_> {
        Trigger::Http { method: "POST", route: None, traceparent }
    }

    fn queue<'a>(headers: &[Option<&'a str>]) -> Trigger<'a> {
        Trigger::Queue { arn: "arn:aws:sqs:r:a:q", trace_headers: headers.to_vec() }
    }

    #[test]
    fn a_span_continues_what_has_caused_it() {
        for (trigger, runtime, parent, links) in [
            (http(None), None, None, vec![]),
            (http(Some(STRANGER)), None, Some(4), vec![]),
            (http(Some(STRANGER)), Some(RUNTIME), Some(1), vec![]),
            (http(Some("00-nonsense")), None, None, vec![]),
            (queue(&[None]), Some(RUNTIME), Some(1), vec![]),
            (queue(&[Some("nonsense")]), None, None, vec![]),
            (queue(&[Some(FIRST)]), None, Some(2), vec![]),
            (queue(&[Some(FIRST), None, Some(FIRST)]), Some(RUNTIME), Some(2), vec![1]),
            (queue(&[Some(FIRST), Some(SECOND)]), Some(RUNTIME), Some(1), vec![2, 3]),
            (queue(&[Some(FIRST), Some(SECOND)]), None, None, vec![2, 3]),
            (Trigger::Stream { records: 1 }, Some(RUNTIME), Some(1), vec![]),
        ] {
            let (found, linked) = trigger.parent_and_links(runtime.and_then(xray::parse));
            let id = |context: &SpanContext| u64::from_be_bytes(context.span_id().to_bytes());
            assert_eq!(found.as_ref().map(id), parent, "{trigger:?}");
            assert_eq!(linked.iter().map(id).collect::<Vec<_>>(), links, "{trigger:?}");
        }
    }

    #[tokio::test]
    async fn a_collector_that_has_failed_is_left_alone_for_a_while() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            // Every connection is dropped at once.
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        let traces = Traces::new(&endpoint, &Origin { function: "f", stage: "s" }).unwrap();
        for _ in 0..3 {
            let invocation = traces.begin("callback", "r", None, &http(None));
            assert_eq!(
                invocation.around(async { trace_header() }).await.map(|header| header.len()),
                Some(74)
            );
            invocation.answered(200).await;
        }
        assert_eq!(connections.load(Ordering::Relaxed), 1);
    }
}
