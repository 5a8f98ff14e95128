//! What the functions tell operators: one log line per event, metrics in the same lines, and traces.
//!
//! An event of our own crates with an `outcome` is a metric: its line is a record of the CloudWatch embedded metric
//! format. The metric has the outcome's name, counts 1 and is in the namespace `Paybell`; fields that end in `_ms` are
//! metrics of milliseconds. Dimensions are `stage` (the variable `PAYBELL_STAGE`) and `function` (the event's message),
//! and for `callback` also `provider`. All other fields are properties: a search finds them, no metric is made of them.
//!
//! # The outcomes
//!
//! | Function | Outcome | It means |
//! |---|---|---|
//! | `callback` | `accepted` | proved and queued |
//! | | `handshake` | the provider's check of the address is answered |
//! | | `rejected` | 401: signature, key, certificate, time or identity proves nothing |
//! | | `refused` | 400, 404 or 413: unreadable, too large, or no such provider or account |
//! | | `limited` | 429: a source was refused too often; each instance tells it once a second at most, with how many `requests` it were |
//! | | `unconfigured` | 503: the account's key set lacks what the check needs |
//! | | `failed` | 503: a service of ours, or a provider's key that could not be fetched |
//! | `apply` | `received` | a batch, with `lag_ms` since its oldest message was sent |
//! | | `applied`, `nothing_new` | an order was changed; knew all of it already |
//! | | `ignored` | a genuine callback of a kind that nothing is done about |
//! | | `to_be_asked`, `hint_without_inquiry` | handed to `reconcile`; its provider cannot be asked |
//! | `reconcile` | `received` | a batch, with `lag_ms` since its oldest hint was sent; reminders wait on purpose |
//! | | `answered`, `nothing_to_ask` | the provider's answer is queued; the hint holds no question |
//! | | `dropped` | an unsigned hint about something that the provider does not know |
//! | | `token_renewed` | the provider refused an access token before its time |
//! | | `not_there` | the provider does not know a registered payment, and is asked again later |
//! | | `over` | nobody is asked about a registered payment any more: its order has come to an end, or its time is up |
//! | `apply`, `reconcile` | `retried` | a message goes back to its queue |
//! | | `not_given_back` | how long until it comes again could not be said: the queue's own time counts |
//! | | `poison`, `not_set_aside` | no further try can help: set aside in the dead-letter queue; that failed |
//! | `notify` | `received` | a batch, with `lag_ms` since its oldest change was written, to the second |
//! | | `order_held`, `order_unclaimed`, `order_overpaid`, `order_late_paid` | an order has become so |
//! | | `pushed` | a message went to an open WebSocket |
//! | | `gone`, `cut_off` | a WebSocket was closed already; did not take a message and is closed |
//! | | `not_closed`, `not_deleted` | closing or forgetting a WebSocket failed |
//! | | `retried`, `not_pushed` | a change comes again: no inbox, no connections |
//! | | `unreadable`, `not_set_aside` | no further try can help: for the dead-letter queue; that failed |
//! | `connections`, `orders` | `done`, `refused`, `failed` | as the caller wanted; the caller's fault; ours |
//! | | `limited` | 429: a source came with wrong keys or tickets too often; told as by `callback` |
//! | `orders` | `reminded` | the provider will be asked about a registered payment, unless its money comes before |
//! | `connections` | `displaced` | a user has too many open WebSockets, and the oldest was cut |
//! | | `not_closed` | closing a WebSocket failed |
//!
//! Batches that come again are counted again.
//!
//! Traces are sent where `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector, over plain HTTP because it runs beside the
//! function. A span holds names, counts and statuses, and nothing out of a body or a header but trace ids. Messages
//! carry the trace in `AWSTraceHeader`, so that it goes on behind a queue.

mod collector;
mod lines;
#[cfg(any(test, feature = "sandbox"))]
pub mod specification;
#[cfg(test)]
mod tests;
mod traces;
mod xray;

use std::env;

use tracing::Subscriber;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config;
use lines::Lines;
pub use traces::{Invocation, Trigger, trace_header};
use traces::{Origin, Traces};

/// What metrics say where the deployment does not say its stage.
const NO_STAGE: &str = "unset";

/// What a function tells operators with, for as long as it runs.
#[derive(Debug)]
pub struct Telemetry {
    function: &'static str,
    traces: Option<Traces>,
}

/// Starts what a function tells operators: lines on standard output, and traces where a collector is configured. A
/// function calls it once, first of all, with the name that its events have.
///
/// `AWS_LAMBDA_LOG_LEVEL`, or `RUST_LOG` without it, says which events are written. Metrics always are.
pub fn init(function: &'static str) -> Telemetry {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let lambda_level = variable("AWS_LAMBDA_LOG_LEVEL");
    let level = lambda_level.clone().or_else(|| variable("RUST_LOG"));
    let stage = variable(config::STAGE).unwrap_or_else(|| NO_STAGE.to_owned());
    let lines = Lines::new(std::io::stdout, stage.clone(), lambda_level.as_deref().unwrap_or_default());
    subscriber(lines, level.as_deref().unwrap_or("info")).init();
    let name = variable("AWS_LAMBDA_FUNCTION_NAME");
    let origin = Origin { function: name.as_deref().unwrap_or(function), stage: &stage };
    let traces = variable(config::OTLP_ENDPOINT).and_then(|endpoint| {
        let traces = Traces::new(&endpoint, &origin);
        traces.map_err(|error| tracing::error!(reason = %error, "there are no traces: OTEL_EXPORTER_OTLP_ENDPOINT is no collector's address")).ok()
    });
    Telemetry { function, traces }
}

impl Telemetry {
    /// Begins the span of one invocation, of this request id and with the runtime's trace header.
    pub fn begin<'a, 't>(
        &'a self,
        request_id: &str,
        xray_header: Option<&str>,
        trigger: impl FnOnce() -> Trigger<'t>,
    ) -> Invocation<'a> {
        let begin = |traces: &'a Traces| traces.begin(self.function, request_id, xray_header, &trigger());
        self.traces.as_ref().map(begin).unwrap_or_default()
    }
}

fn subscriber<W>(lines: Lines<W>, level: &str) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // Lambda knows a level above all that we have.
    let level = if level.eq_ignore_ascii_case("fatal") { "error" } else { level };
    let wanted = level.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::ERROR));
    let always = filter_fn(|metadata| lines::is_metric(metadata) || lines::is_invocation(metadata))
        .with_max_level_hint(LevelFilter::INFO);
    tracing_subscriber::registry().with(lines.with_filter(wanted.or(always)))
}

/// Milliseconds since the oldest of these moments, in milliseconds since 1970 as SQS writes `SentTimestamp`.
pub fn lag_ms<'a>(sent_at_ms: impl IntoIterator<Item = &'a str>, now_ms: i64) -> Option<i64> {
    let oldest = sent_at_ms.into_iter().filter_map(|at_ms| at_ms.parse::<i64>().ok()).min()?;
    Some(now_ms.saturating_sub(oldest).max(0))
}
