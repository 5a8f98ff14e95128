//! A user's device: it comes, goes, and resumes, and keeps its place as `paybell listen` does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;
use paybell_cli::listen::{Frame, Progress};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};

use crate::merchant;
use crate::ports::now;
use crate::sim::lock;
use crate::world::World;

/// The longest that a gateway keeps a connection open.
const CONNECTION_MS_MAX: u64 = 2 * 3_600 * 1_000;
/// The timeout of `connections`.
const INVOCATION_MS: u64 = 30_000;

/// Whose device it is, and what it has been told.
pub struct Device {
    pub account: &'static str,
    pub user: &'static str,
    pub name: String,
    /// Whether it comes and goes; else it only comes back when it is cut off.
    pub is_restless: bool,
    /// Order and kind of each notification by its id.
    pub told: Mutex<BTreeMap<String, (String, String)>>,
}

/// Lives until the run is over.
pub async fn run(world: Arc<World>, device: Arc<Device>) {
    let sim = &world.sim;
    let mut progress = Progress::default();
    for number in 1_u64.. {
        if device.is_restless && !sim.is_calm() {
            sleep(sim.between_ms(0..40_000)).await;
        }
        let id = format!("{}-{number}", device.name);
        let Some(ticket) = merchant::ticket(&world, device.account, device.user).await else {
            sleep(sim.between_ms(200..2_000)).await;
            continue;
        };
        let frames = world.gateway.open(&id);
        if !event(&world, &id, "$connect", json!({"ticket": ticket}), String::new()).await {
            world.gateway.hang_up(&id);
            sleep(sim.between_ms(200..2_000)).await;
            continue;
        }
        progress.reconnected();
        if number > 1 {
            sim.count("devices resumed");
        }
        let stays_ms = match device.is_restless && !sim.is_calm() {
            true => sim.between_ms(100..60_000),
            false => Duration::from_millis(CONNECTION_MS_MAX),
        };
        let _ = timeout(stays_ms, listen(&world, &device, &id, frames, &mut progress)).await;
        sim.note(format_args!("{id} ends"));
        world.gateway.hang_up(&id);
        // The gateway tells of it when it can.
        if sim.happens(700) {
            let (told, id) = (world.clone(), id.clone());
            world.spawn(async move {
                event(&told, &id, "$disconnect", Value::Null, String::new()).await;
            });
        }
    }
}

/// Takes in frames until the connection ends.
async fn listen(
    world: &Arc<World>,
    device: &Device,
    id: &str,
    mut frames: UnboundedReceiver<String>,
    progress: &mut Progress,
) {
    ask_to_resume(world, id, progress);
    while let Some(text) = frames.recv().await {
        // What is under way when a connection breaks does not arrive.
        sleep(world.sim.between_ms(1..60)).await;
        let frame = Frame::parse(&text).expect("the server sends frames");
        let is_partial = matches!(frame, Frame::More { .. });
        if let Some(notified) = progress.take(frame) {
            world.sim.note(format_args!("{id} is told {} of {}", notified.kind, notified.order_id));
            lock(&device.told).insert(notified.id, (notified.order_id, notified.kind));
        }
        if is_partial {
            ask_to_resume(world, id, progress);
        }
    }
}

fn ask_to_resume(world: &Arc<World>, id: &str, progress: &Progress) {
    let body = json!({"action": "resume", "cursor": progress.cursor()}).to_string();
    let (asked, id) = (world.clone(), id.to_owned());
    // The device does not wait for the function, but for what it sends.
    world.spawn(async move {
        event(&asked, &id, "$default", Value::Null, body).await;
    });
}

/// Has `connections` answer an event of the gateway; whether it succeeds.
async fn event(world: &World, id: &str, route: &str, query: Value, body: String) -> bool {
    let event = json!({
        "requestContext": {
            "routeKey": route, "connectionId": id, "connectedAt": 0, "requestTimeEpoch": 0, "messageId": null,
        },
        "queryStringParameters": query,
        "body": body,
    });
    let event: ApiGatewayWebsocketProxyRequest = serde_json::from_value(event).expect("it is such an event");
    let work = connections_function::handle(event, &world.connections, now(&world.sim));
    let answer = world.sim.invoke(format!("connections {route} {id}"), INVOCATION_MS, work).await;
    answer.is_some_and(|answer| answer.status_code == 200)
}
