//! The providers: each callback again and again until it is acknowledged, now and then once more after that, and forgeries.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use aws_lambda_events::http::{HeaderName, HeaderValue, Method};
use paybell_shared::sandbox::{Payload, SignedRequest};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::plan::{ACCOUNTS, Callback};
use crate::ports::now;
use crate::sim::lock;
use crate::world::{World, keys};

/// The timeout of `callback`.
const INVOCATION_MS: u64 = 10_000;
/// The most impatient providers hang up after this.
const PROVIDER_WAITS: Duration = Duration::from_secs(5);
/// Of a thousand callbacks so many are sent to the other account before.
const FORGED_PERMILLE: u64 = 50;

/// Sends one callback.
pub async fn deliver(world: Arc<World>, number: usize) {
    let callback = &world.plan.callbacks[number];
    let account = world.plan.orders[callback.order].account;
    sleep(Duration::from_millis(callback.at_ms)).await;
    if world.sim.happens(FORGED_PERMILLE) {
        forge(&world, callback).await;
    }
    for copy in 0..=callback.copies {
        if copy > 0 {
            world.sim.count("callbacks sent again after their success");
            sleep(world.sim.between_ms(0..30_000)).await;
        }
        while !is_acknowledged(&world, number, account).await {
            world.sim.count("callbacks sent again without an answer");
            sleep(world.sim.between_ms(200..20_000)).await;
        }
    }
    world.sim.note(format_args!("{} is acknowledged", callback.event_id));
}

async fn is_acknowledged(world: &Arc<World>, number: usize, account: &'static str) -> bool {
    let invocation = world.clone();
    let (tell, told) = oneshot::channel();
    // The function goes on when the provider does not wait any longer.
    world.spawn(async move {
        let callback = &invocation.plan.callbacks[number];
        // Nobody may be there to hear it.
        let _ = tell.send(send(&invocation, callback, account).await);
    });
    let answer = timeout(PROVIDER_WAITS, told).await.ok().and_then(Result::ok).flatten();
    if let Some(400..=499) = answer {
        lock(&world.complaints).push(format!("a genuine callback was refused: {answer:?}"));
    }
    answer.is_some_and(|status| (200..300).contains(&status)) && !world.sim.loses_answer()
}

/// A genuine callback of one account is sent to the other one's address.
async fn forge(world: &World, callback: &Callback) {
    let account = world.plan.orders[callback.order].account;
    let other = if account == ACCOUNTS[0] { ACCOUNTS[1] } else { ACCOUNTS[0] };
    world.sim.count("callbacks sent to another account");
    let status = send(world, callback, other).await;
    if status.is_some_and(|status| status < 400) {
        lock(&world.complaints).push(format!("a callback of {account} was accepted by {other}"));
    }
}

/// Has `callback` answer the account's callback at an address; the status.
async fn send(world: &World, callback: &Callback, address: &str) -> Option<i64> {
    let planned = &world.plan.orders[callback.order];
    let path = format!("/callbacks/{address}/{}", planned.provider.name);
    let payload = Payload {
        content: callback.content.clone(),
        event_id: callback.event_id.clone(),
        sent_at: now(&world.sim),
        path: path.clone(),
    };
    let keys = &keys()[&(planned.account, planned.provider.name)];
    let request = planned.provider.sandbox.sign(keys, &payload).expect("the sandbox signs it");
    let work =
        callback_function::handle(as_gateway_sends_it(path, request), &world.callback, payload.sent_at);
    let what = format!("callback {} to {address}", callback.event_id);
    world.sim.invoke(what, INVOCATION_MS, work).await.map(|answer| answer.status_code)
}

fn as_gateway_sends_it(path: String, request: SignedRequest) -> ApiGatewayV2httpRequest {
    let mut event = ApiGatewayV2httpRequest::default();
    event.raw_path = Some(path);
    event.raw_query_string = Some(request.query);
    event.request_context.http.method = Method::POST;
    for (name, value) in request.headers {
        let name: HeaderName = name.parse().expect("the sandbox makes headers");
        event.headers.insert(name, HeaderValue::from_str(&value).expect("the sandbox makes headers"));
    }
    event.body = Some(String::from_utf8(request.body).expect("these providers send JSON"));
    event
}
