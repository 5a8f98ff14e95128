//! One log line per event, as JSON; an event with an outcome is a metric in the same line.
//!
//! # Source
//! Amazon CloudWatch User Guide, "Specification: Embedded metric format".

use std::fmt::{Debug, Display};
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer as _};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The field that makes an event a metric.
const OUTCOME: &str = "outcome";
/// What the names of fields end in that are measures.
const MEASURE_SUFFIX: &str = "_ms";
/// The field by which metrics are told apart further, where an event of this function has it.
const PROVIDER: &str = "provider";
const FUNCTION_BY_PROVIDER: &str = "callback";
/// The namespace of all our metrics.
const NAMESPACE: &str = "Paybell";

/// Whether events of this kind become metrics: they are our own crates' and carry an outcome.
pub(super) fn is_metric(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && is_ours(metadata.target()) && metadata.fields().field(OUTCOME).is_some()
}

fn is_ours(target: &str) -> bool {
    let name = target.split_once("::").map_or(target, |(name, _)| name);
    name.starts_with("paybell") || name.ends_with("_function")
}

/// Whether this is the span in which the runtime says which request is being answered.
pub(super) fn is_invocation(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("lambda_runtime") && metadata.name() == INVOCATION
}

const INVOCATION: &str = "Lambda runtime invoke";

/// Writes every event as one line of JSON.
pub(super) struct Lines<W> {
    writer: W,
    stage: String,
    metric_severity: usize,
}

/// The levels that Lambda knows, the least severe first.
const SEVERITIES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

fn severity(level: &str) -> usize {
    SEVERITIES.iter().position(|known| known.eq_ignore_ascii_case(level)).unwrap_or_default()
}

impl<W> Lines<W> {
    /// Lines to `writer` that say of every metric that it is from `stage`. Lambda drops lines below its own level
    /// after us, metrics too; so a metric's line never says a lower one.
    ///
    /// # Source
    /// AWS Lambda Developer Guide, "Log-level filtering".
    pub(super) fn new(writer: W, stage: String, lambda_level: &str) -> Self {
        Self { writer, stage, metric_severity: severity(lambda_level) }
    }

    fn line(&self, event: &Event<'_>, request: Option<&str>) -> serde_json::Result<Vec<u8>> {
        let mut line = Vec::with_capacity(512);
        let mut serializer = serde_json::Serializer::new(&mut line);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timestamp", &format_args!("{}", jiff::Timestamp::now()))?;
        let least = if is_metric(event.metadata()) { self.metric_severity } else { 0 };
        let severity = severity(event.metadata().level().as_str()).max(least);
        map.serialize_entry("level", SEVERITIES[severity])?;
        if let Some(request) = request {
            map.serialize_entry("request_id", request)?;
        }
        let mut members = Members::new(map);
        event.record(&mut members);
        let Members { mut map, failed, message, outcome, measures, has_provider } = members;
        failed.map_or(Ok(()), Err)?;
        match outcome.filter(|_| is_metric(event.metadata())) {
            Some(outcome) => {
                let by_provider = has_provider && message == FUNCTION_BY_PROVIDER;
                map.serialize_entry("function", &message)?;
                map.serialize_entry("stage", &self.stage)?;
                map.serialize_entry(&outcome, &1)?;
                map.serialize_entry("_aws", &directive(&outcome, &measures, by_provider))?;
            }
            None => {
                map.serialize_entry("message", &message)?;
                map.serialize_entry("target", event.metadata().target())?;
            }
        }
        map.end()?;
        line.push(b'\n');
        Ok(line)
    }
}

/// What tells CloudWatch which members of the line are metrics and dimensions.
fn directive(outcome: &str, measures: &[&str], by_provider: bool) -> impl Serialize {
    let count = json!({"Name": outcome, "Unit": "Count"});
    let measures = measures.iter().map(|name| json!({"Name": name, "Unit": "Milliseconds"}));
    let metrics: Vec<_> = std::iter::once(count).chain(measures).collect();
    let dimensions: &[&[&str]] = &[&["stage", "function"], &["stage", "function", PROVIDER]];
    let dimensions = &dimensions[..if by_provider { 2 } else { 1 }];
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    json!({
        "Timestamp": u64::try_from(now_ms).unwrap_or(u64::MAX),
        "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics}],
    })
}

/// The id of the request that a span is about.
struct Request(String);

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if is_invocation(attributes.metadata())
            && let Some(span) = context.span(id)
        {
            let mut request = Request(String::new());
            attributes.record(&mut request);
            span.extensions_mut().insert(request);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let spans = context.event_scope(event).into_iter().flatten();
        let request = spans
            .filter_map(|span| span.extensions().get::<Request>().map(|request| request.0.clone()))
            .next();
        if let Ok(line) = self.line(event, request.as_deref()) {
            // There is nobody to tell when standard output is gone.
            let _ = self.writer.make_writer_for(event.metadata()).write_all(&line);
        }
    }
}

impl Visit for Request {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "requestId" {
            self.0 = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "requestId" {
            value.clone_into(&mut self.0);
        }
    }
}

/// The fields of an event as members of the line, each in its own type.
struct Members<M: SerializeMap> {
    map: M,
    failed: Option<M::Error>,
    message: String,
    outcome: Option<String>,
    measures: Vec<&'static str>,
    has_provider: bool,
}

impl<M: SerializeMap> Members<M> {
    fn new(map: M) -> Self {
        Self {
            map,
            failed: None,
            message: String::new(),
            outcome: None,
            measures: Vec::new(),
            has_provider: false,
        }
    }

    fn entry(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        if let Err(error) = self.map.serialize_entry(field.name(), value) {
            self.failed.get_or_insert(error);
        }
    }

    fn number(&mut self, field: &Field, value: &impl Serialize) {
        if field.name().ends_with(MEASURE_SUFFIX) {
            self.measures.push(field.name());
        }
        self.entry(field, value);
    }

    fn text(&mut self, field: &Field, value: &impl Display) {
        match field.name() {
            "message" => self.message = value.to_string(),
            OUTCOME => {
                let outcome = value.to_string();
                self.entry(field, &outcome);
                self.outcome = Some(outcome);
            }
            name => {
                self.has_provider |= name == PROVIDER;
                self.entry(field, &format_args!("{value}"));
            }
        }
    }
}

impl<M: SerializeMap> Visit for Members<M> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no number for these, so they cannot be the target of a metric.
        if value.is_finite() { self.number(field, &value) } else { self.text(field, &value) }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.entry(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, &format_args!("{value:?}"));
    }
}
