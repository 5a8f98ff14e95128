//! The `orders` function as a Lambda binary.

use std::convert::Infallible;
use std::sync::Arc;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use orders_function::{Ports, handle};
use paybell_shared::aws::Adapters;
use paybell_shared::config::registry_from_env;
use paybell_shared::ports::{SystemClock, SystemRandom};
use paybell_shared::telemetry::{self, Trigger};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let telemetry = &telemetry::init("orders");
    let ports = &Ports::new(&Adapters::from_env()?, Arc::new(registry_from_env()?));
    run(service_fn(move |event: LambdaEvent<ApiGatewayV2httpRequest>| async move {
        let (payload, context) = event.into_parts();
        let invocation =
            telemetry.begin(&context.request_id, context.xray_trace_id.as_deref(), || trigger(&payload));
        let answer = invocation.around(handle(payload, ports, &SystemClock, &SystemRandom::default())).await;
        invocation.answered(answer.status_code).await;
        Ok::<_, Infallible>(answer)
    }))
    .await
}

fn trigger(event: &ApiGatewayV2httpRequest) -> Trigger<'_> {
    Trigger::Http {
        method: event.request_context.http.method.as_str(),
        route: event.route_key.as_deref().and_then(|key| Some(key.split_once(' ')?.1)),
        traceparent: event.headers.get("traceparent").and_then(|value| value.to_str().ok()),
    }
}
