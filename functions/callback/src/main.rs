//! The `callback` function as a Lambda binary.

use std::convert::Infallible;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use callback_function::{Ports, handle};
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use paybell_shared::aws::Adapters;
use paybell_shared::ports::{Clock as _, SystemClock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let ports = &Ports::new(&Adapters::from_env().await?);
    run(service_fn(move |event: LambdaEvent<ApiGatewayV2httpRequest>| async move {
        Ok::<_, Infallible>(handle(event.payload, ports, SystemClock.now()).await)
    }))
    .await
}
