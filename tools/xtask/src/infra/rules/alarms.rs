//! Alarms and the dashboard: everything that can go wrong has one, and none of them watches what nobody emits.

use serde_json::Value;

use super::{Code, Findings, Template, functions, queues};
use crate::infra::template::{Resource, members, text};

pub fn check(template: &Template, code: &Code, findings: &mut Findings) {
    for alarm in template.of(ALARM) {
        if members(alarm.at("/AlarmActions")).is_empty() {
            findings.push(format!("{}: tells nobody", alarm.id));
        }
        if alarm.at("/TreatMissingData") != "notBreaching" {
            findings.push(format!("{}: sounds when there is nothing to count", alarm.id));
        }
        check_custom(&alarm.id, &text(alarm.at("/Namespace")), alarm_metric(alarm), code, findings);
    }
    for topic in template.of("AWS::SNS::Topic") {
        // CloudWatch may not use such a key, and nothing says so but the alarm's history.
        if members(topic.at("/KmsMasterKeyId")).iter().any(|key| text(key).starts_with("alias/aws/")) {
            findings.push(format!("{}: is encrypted with a key by which no alarm gets through", topic.id));
        }
    }
    for queue in template.of("AWS::SQS::Queue") {
        let has_age = watches(template, queue, "ApproximateAgeOfOldestMessage", "QueueName");
        let has_depth = watches(template, queue, "ApproximateNumberOfMessagesVisible", "QueueName");
        if !has_age && !has_depth {
            findings.push(format!("{}: no alarm watches its age or depth", queue.id));
        } else if queues::is_dead_letters(template, queue) && !(has_age && has_depth) {
            findings
                .push(format!("{}: alarms do not watch both age and depth of the dead letters", queue.id));
        }
    }
    for function in template.functions() {
        for metric in ["Errors", "Throttles"] {
            if !watches(template, function, metric, "FunctionName") {
                findings.push(format!("{}: no alarm watches its {}", function.id, metric.to_lowercase()));
            }
        }
    }
    for (function, metrics) in MUST_SOUND {
        if !template.functions().any(|deployed| functions::name(deployed) == *function) {
            continue;
        }
        for metric in *metrics {
            if !template.of(ALARM).any(|alarm| sounds_for(alarm, function, metric)) {
                findings.push(format!("{function}: no alarm watches its `{metric}`"));
            }
        }
    }
    for dashboard in template.of("AWS::CloudWatch::Dashboard") {
        check_dashboard(template, dashboard, code, findings);
    }
}

const ALARM: &str = "AWS::CloudWatch::Alarm";

/// Metrics of ours that a person must look at, by the functions that emit them: what `docs/deploy.md` says what to do
/// about, queues aside.
const MUST_SOUND: &[(&str, &[&str])] = &[
    ("callback", &["failed", "limited", "rejected", "unconfigured"]),
    ("apply", &["retried"]),
    ("notify", &["order_held", "order_unclaimed"]),
];

/// Whether an alarm watches this metric of ours of a function as a whole.
fn sounds_for(alarm: &Resource, function: &str, metric: &str) -> bool {
    let (name, dimensions) = alarm_metric(alarm);
    alarm.at("/Namespace") == "Paybell"
        && name == metric
        && matches!(&dimensions[..], [_, (dimension, value)] if dimension == "function" && value == function)
}

/// A metric's name, and the names that its dimensions have.
type Metric = (String, Vec<(String, String)>);

fn alarm_metric(alarm: &Resource) -> Metric {
    let dimensions = members(alarm.at("/Dimensions")).into_iter();
    let dimensions = dimensions.map(|one| (text(&one["Name"]), text(&one["Value"])));
    (text(alarm.at("/MetricName")), dimensions.collect())
}

/// Whether an alarm of its own watches this metric of a queue or function.
fn watches(template: &Template, watched: &Resource, metric: &str, dimension: &str) -> bool {
    template.of(ALARM).any(|alarm| {
        let dimensions = members(alarm.at("/Dimensions"));
        let mut dimensions = dimensions.iter().filter(|one| one["Name"] == dimension);
        alarm.at("/MetricName") == metric
            && dimensions
                .any(|one| template.target(&one["Value"]).is_some_and(|target| target.id == watched.id))
    })
}

/// A metric of ours has the dimensions that it is emitted with, by a function that emits it.
fn check_custom(id: &str, namespace: &str, metric: Metric, code: &Code, findings: &mut Findings) {
    if namespace != "Paybell" {
        return;
    }
    let (metric, dimensions) = metric;
    let names: Vec<_> = dimensions.iter().map(|(name, _)| name.as_str()).collect();
    if !matches!(names[..], ["stage", "function"] | ["stage", "function", "provider"]) {
        findings.push(format!("{id}: `{metric}` has other dimensions than {names:?}"));
        return;
    }
    let function = &dimensions[1].1;
    if !code.metrics.get(function).is_some_and(|metrics| metrics.contains(&metric)) {
        findings.push(format!("{id}: `{function}` emits no `{metric}`"));
    }
}

fn check_dashboard(template: &Template, dashboard: &Resource, code: &Code, findings: &mut Findings) {
    let id = &dashboard.id;
    let body: Value = match serde_json::from_str(&text(dashboard.at("/DashboardBody"))) {
        Ok(body) => body,
        Err(error) => return findings.push(format!("{id}: is no JSON: {error}")),
    };
    let widgets = members(&body["widgets"]).into_iter();
    let metrics = widgets.flat_map(|widget| members(&widget["properties"]["metrics"]));
    for metric in metrics {
        let words: Vec<String> =
            members(metric).into_iter().map(text).filter(|word| !word.is_empty()).collect();
        let [namespace, name, dimensions @ ..] = words.as_slice() else {
            findings.push(format!("{id}: `{metric}` is no metric"));
            continue;
        };
        let dimensions = dimensions.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
        let metric: Metric = (name.clone(), dimensions.collect());
        for (dimension, value) in &metric.1 {
            if !exists(template, dimension, value) {
                findings.push(format!("{id}: there is no {dimension} `{value}`"));
            }
        }
        check_custom(id, namespace, metric, code, findings);
    }
}

/// Whether what a dimension names is in the template.
fn exists(template: &Template, dimension: &str, value: &str) -> bool {
    let short = value.strip_prefix("paybell-${Stage}-").unwrap_or_default();
    match dimension {
        "FunctionName" => template.functions().any(|function| functions::name(function) == short),
        "QueueName" => template.of("AWS::SQS::Queue").any(|queue| queue.short_name("/QueueName") == short),
        _ => true,
    }
}
