//! The `reconcile` function as a Lambda binary.

use std::convert::Infallible;
use std::sync::Arc;

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use paybell_shared::aws::Adapters;
use paybell_shared::https::{HttpsLimits, HttpsTransport};
use paybell_shared::ports::SystemClock;
use reconcile_function::{Ports, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let transport = Arc::new(HttpsTransport::new(HttpsLimits::QUESTION));
    let ports = &Ports::new(&Adapters::from_env().await?, transport, Arc::new(SystemClock));
    run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        let deadline_ms = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
        Ok::<_, Infallible>(handle(event.payload, ports, &SystemClock, deadline_ms).await)
    }))
    .await
}
