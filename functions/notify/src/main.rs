//! The `notify` function as a Lambda binary.

use std::convert::Infallible;

use aws_lambda_events::dynamodb::Event;
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use notify_function::{Ports, handle};
use paybell_shared::aws::Adapters;
use paybell_shared::ports::SystemClock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let ports = &Ports::new(&Adapters::from_env().await?);
    run(service_fn(move |event: LambdaEvent<Event>| async move {
        Ok::<_, Infallible>(handle(event.payload, ports, &SystemClock).await)
    }))
    .await
}
