//! Queues and what takes from them: nothing is lost, nothing is tried too seldom or for ever in vain.

use super::{Findings, Template};
use crate::infra::template::{Resource, members, text};

/// Lambda wants the visibility timeout to be six functions' timeouts.
///
/// # Source
/// AWS Lambda Developer Guide, "Using Lambda with Amazon SQS".
const TIMEOUTS_PER_VISIBILITY: i64 = 6;
/// How long a fault may last without a message ending among the dead letters.
const FAULT_SECONDS_MAX: i64 = 4 * 60 * 60;
/// Receives that hold a message back for that long and more, with the functions' own growing delays.
const RECEIVES_MIN: i64 = 110;
/// The longest that SQS keeps a message. A dead letter's time counts from when it was first sent.
const RETENTION_SECONDS: i64 = 14 * 24 * 60 * 60;

pub fn check(template: &Template, findings: &mut Findings) {
    for mapping in template.of(MAPPING) {
        let reports = members(mapping.at("/FunctionResponseTypes"));
        if !reports.iter().any(|kind| *kind == "ReportBatchItemFailures") {
            findings.push(format!("{}: does not report single failures of a batch", mapping.id));
        }
        let function = template.target(mapping.at("/FunctionName"));
        let source = template.target(mapping.at("/EventSourceArn"));
        match (function, source) {
            (Some(function), Some(queue)) if queue.kind == QUEUE => {
                check_consumed(template, mapping, function, queue, findings);
            }
            (Some(_), Some(table)) if table.kind == "AWS::DynamoDB::Table" => {
                check_stream(template, mapping, findings);
            }
            _ => findings.push(format!("{}: it is not clear what it takes from where", mapping.id)),
        }
    }
    for queue in template.of(QUEUE) {
        let retention_seconds = queue.number("/MessageRetentionPeriod");
        if retention_seconds != Some(RETENTION_SECONDS) {
            findings.push(format!("{}: does not keep messages for 14 days", queue.id));
        }
        if !is_consumed(template, queue) && !is_dead_letters(template, queue) {
            findings.push(format!(
                "{}: neither does anything take from it nor set anything aside there",
                queue.id
            ));
        }
    }
}

const MAPPING: &str = "AWS::Lambda::EventSourceMapping";
const QUEUE: &str = "AWS::SQS::Queue";

/// Whether a function takes from the queue.
pub fn is_consumed(template: &Template, queue: &Resource) -> bool {
    let mut sources =
        template.of(MAPPING).filter_map(|mapping| template.target(mapping.at("/EventSourceArn")));
    sources.any(|source| source.id == queue.id)
}

/// Whether a queue or a mapping sets aside there what cannot be done.
pub fn is_dead_letters(template: &Template, queue: &Resource) -> bool {
    let of_queues = template.of(QUEUE).map(|queue| queue.at("/RedrivePolicy/deadLetterTargetArn"));
    let of_mappings =
        template.of(MAPPING).map(|mapping| mapping.at("/DestinationConfig/OnFailure/Destination"));
    let mut targets = of_queues.chain(of_mappings).filter_map(|arn| template.target(arn));
    targets.any(|target| target.id == queue.id)
}

fn check_consumed(
    template: &Template,
    mapping: &Resource,
    function: &Resource,
    queue: &Resource,
    findings: &mut Findings,
) {
    let id = &queue.id;
    let timeout_seconds = function.number("/Timeout").unwrap_or(i64::MAX / TIMEOUTS_PER_VISIBILITY);
    let visibility_seconds = queue.number("/VisibilityTimeout").unwrap_or(30);
    if visibility_seconds < TIMEOUTS_PER_VISIBILITY * timeout_seconds {
        findings.push(format!(
            "{id}: a visibility timeout of {visibility_seconds} s is below {TIMEOUTS_PER_VISIBILITY} × {timeout_seconds} s"
        ));
    }
    let dead_letters = template.target(queue.at("/RedrivePolicy/deadLetterTargetArn"));
    if dead_letters
        .is_none_or(|dead_letters| dead_letters.kind != QUEUE || is_consumed(template, dead_letters))
    {
        findings.push(format!("{id}: has no dead-letter queue"));
    }
    let receives = queue.number("/RedrivePolicy/maxReceiveCount").unwrap_or(0);
    if receives < RECEIVES_MIN || receives * visibility_seconds < FAULT_SECONDS_MAX {
        findings.push(format!("{id}: {receives} receives do not outlast a fault of four hours"));
    }
    let concurrency = function.number("/ReservedConcurrentExecutions");
    let polled = mapping.number("/ScalingConfig/MaximumConcurrency");
    if polled.zip(concurrency).is_none_or(|(polled, reserved)| polled >= reserved) {
        findings.push(format!("{}: may poll more than {} has concurrency for", mapping.id, function.id));
    }
}

fn check_stream(template: &Template, mapping: &Resource, findings: &mut Findings) {
    let id = &mapping.id;
    let destination = template.target(mapping.at("/DestinationConfig/OnFailure/Destination"));
    if destination.is_none_or(|queue| queue.kind != QUEUE) {
        findings.push(format!("{id}: what fails for good is not set aside in a queue"));
    }
    if mapping.at("/BisectBatchOnFunctionError") != true {
        findings.push(format!("{id}: a batch that fails is not split"));
    }
    if mapping.number("/MaximumRetryAttempts").is_some_and(|attempts| attempts >= 0) {
        findings.push(format!("{id}: counts attempts, which a short fault uses up"));
    }
    let age_seconds = mapping.number("/MaximumRecordAgeInSeconds").unwrap_or(i64::MAX);
    if (0..FAULT_SECONDS_MAX).contains(&age_seconds) {
        findings.push(format!("{id}: gives up after {age_seconds} s, before a fault of four hours is over"));
    }
    if text(mapping.at("/StartingPosition")) != "TRIM_HORIZON" {
        findings.push(format!("{id}: a new mapping would leave out what is in the stream already"));
    }
}
