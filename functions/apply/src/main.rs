//! The `apply` function as a Lambda binary.

use std::convert::Infallible;

use apply_function::{Ports, handle};
use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use paybell_shared::aws::Adapters;
use paybell_shared::ports::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let ports = &Ports::new(&Adapters::from_env().await?);
    run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        let deadline_ms = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
        Ok::<_, Infallible>(handle(event.payload, ports, &SystemClock, deadline_ms).await)
    }))
    .await
}
