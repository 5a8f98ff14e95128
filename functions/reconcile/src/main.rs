//! The `reconcile` function as a Lambda binary.

use std::convert::Infallible;
use std::sync::Arc;

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use paybell_shared::aws::Adapters;
use paybell_shared::config::registry_from_env;
use paybell_shared::https::{HttpsLimits, HttpsTransport};
use paybell_shared::ports::SystemClock;
use paybell_shared::telemetry::{self, Trigger};
use reconcile_function::{Ports, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let telemetry = &telemetry::init("reconcile");
    let transport = Arc::new(HttpsTransport::new(HttpsLimits::QUESTION));
    let ports =
        &Ports::new(&Adapters::from_env()?, Arc::new(registry_from_env()?), transport, Arc::new(SystemClock));
    run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        let (payload, context) = event.into_parts();
        let deadline_ms = i64::try_from(context.deadline).unwrap_or(i64::MAX);
        let invocation =
            telemetry.begin(&context.request_id, context.xray_trace_id.as_deref(), || trigger(&payload));
        let answer = invocation.around(handle(payload, ports, &SystemClock, deadline_ms)).await;
        invocation.processed(answer.batch_item_failures.len()).await;
        Ok::<_, Infallible>(answer)
    }))
    .await
}

fn trigger(event: &SqsEvent) -> Trigger<'_> {
    Trigger::queue(
        event.records.iter().map(|message| (message.event_source_arn.as_deref(), &message.attributes)),
    )
}
