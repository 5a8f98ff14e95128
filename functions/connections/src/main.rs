//! The `connections` function as a Lambda binary.

use std::convert::Infallible;

use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;
use connections_function::{Ports, handle};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use paybell_shared::aws::Adapters;
use paybell_shared::ports::{Clock as _, SystemClock};
use paybell_shared::telemetry::{self, Trigger};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let telemetry = &telemetry::init("connections");
    let ports = &Ports::new(&Adapters::from_env()?);
    run(service_fn(move |event: LambdaEvent<ApiGatewayWebsocketProxyRequest>| async move {
        let (payload, context) = event.into_parts();
        let invocation =
            telemetry.begin(&context.request_id, context.xray_trace_id.as_deref(), || trigger(&payload));
        let answer = invocation.around(handle(payload, ports, SystemClock.now())).await;
        invocation.answered(answer.status_code).await;
        Ok::<_, Infallible>(answer)
    }))
    .await
}

fn trigger(event: &ApiGatewayWebsocketProxyRequest) -> Trigger<'_> {
    Trigger::WebSocket { route: event.request_context.route_key.as_deref().unwrap_or_default() }
}
