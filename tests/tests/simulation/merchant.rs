//! The merchant's back end: registers orders and mints tickets, again and again until it is answered.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::{HeaderValue, Method};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::sim::{SimClock, lock};
use crate::world::{World, api_key};

/// The timeout of `orders`.
const INVOCATION_MS: u64 = 15_000;

/// Registers one order.
pub async fn register(world: Arc<World>, order: usize) {
    let planned = &world.plan.orders[order];
    sleep(Duration::from_millis(planned.registered_at_ms)).await;
    loop {
        let answer = call(&world, planned.account, "/orders", &planned.registration()).await;
        match answer.map(|answer| answer.status_code) {
            Some(200 | 201) if !world.sim.loses_answer() => return,
            Some(status @ 400..=499) => {
                lock(&world.complaints).push(format!("a registration was refused with {status}"));
                return;
            }
            _ => sleep(world.sim.between_ms(200..10_000)).await,
        }
    }
}

/// Mints a ticket; `None` when it is not answered.
pub async fn ticket(world: &World, account: &str, user: &str) -> Option<String> {
    let answer = call(world, account, "/tickets", &json!({"user": user})).await?;
    let Some(Body::Text(body)) = answer.body.filter(|_| answer.status_code == 201) else { return None };
    let body: Value = serde_json::from_str(&body).ok()?;
    Some(body["ticket"].as_str()?.to_owned())
}

async fn call(world: &World, account: &str, path: &str, body: &Value) -> Option<ApiGatewayV2httpResponse> {
    let mut event = ApiGatewayV2httpRequest::default();
    event.raw_path = Some(path.to_owned());
    event.request_context.http.method = Method::POST;
    let key = format!("Bearer {}", api_key(account));
    event.headers.insert("authorization", HeaderValue::from_str(&key).expect("the key is plain"));
    event.body = Some(body.to_string());
    let clock = SimClock::of_some_machine(&world.sim);
    let work = orders_function::handle(event, &world.merchant, &clock, &*world.sim);
    world.sim.invoke(format!("orders {account}{path}"), INVOCATION_MS, work).await
}
