//! Registered orders, a signed callback for each, and when each was acknowledged and pushed.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use paybell_cli::simulate::Scenario;
use paybell_shared::providers::Provider;
use paybell_tests::flood::genuine;
use paybell_tests::raw_http::Connection;
use paybell_tests::world::success;
use paybell_tests::{Api, World, listener};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

const USER: &str = "bench-user";
/// Registrations under way at once.
const REGISTERING: usize = 32;
/// A push that does not come within this is a fault of the product, not a slow one.
const PUSH_PATIENCE: Duration = Duration::from_secs(30);

/// A world with orders registered and callbacks signed.
pub struct Load {
    world: World,
    callbacks: Vec<Callback>,
}

struct Callback {
    order_id: String,
    request: Vec<u8>,
    success: (u16, String),
}

/// What happened to one callback.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    /// When it was to be sent; at full speed, when it was.
    pub due: Instant,
    /// When its acknowledgement had been read.
    pub acknowledged: Instant,
    /// When its notification had been read from the WebSocket.
    pub pushed: Instant,
}

/// When a callback was to be sent, and when its acknowledgement had been read.
struct Sent {
    due: Instant,
    acknowledged: Instant,
}

impl Load {
    /// Starts a fresh server, registers `count` orders and signs a payment for each, of all providers in turn.
    pub async fn prepare(count: usize) -> Self {
        let world = World::start_on_this_machine().await;
        let providers: Vec<&'static Provider> = world.providers().collect();
        let numbers: Vec<usize> = (0..count).collect();
        for some in numbers.chunks(REGISTERING) {
            join_all(some.iter().map(|number| register(&world, &providers, *number))).await;
        }
        let callbacks = numbers.iter().map(|number| sign(&world, &providers, *number)).collect();
        Self { world, callbacks }
    }

    /// Sends everything over `connections` connections, each of which waits for its acknowledgement.
    pub async fn send_at_full_speed(&self, connections: usize) -> Vec<Trace> {
        let pushes = Pushes::listen(&self.world.api, self.callbacks.len()).await;
        let next = AtomicUsize::new(0);
        let workers = (0..connections).map(|_| async {
            let mut connection = self.connect().await;
            let mut sent = Vec::new();
            while let Some((index, callback)) = self.take(&next) {
                let due = Instant::now();
                let acknowledged = callback.deliver(&mut connection).await;
                sent.push((index, Sent { due, acknowledged }));
            }
            sent
        });
        let sent = join_all(workers).await.into_iter().flatten().collect();
        pushes.trace(sent).await
    }

    /// Sends everything at `per_second`, whatever the answers take.
    pub async fn send_paced(&self, per_second: u32, connections: usize) -> Vec<Trace> {
        let pushes = Pushes::listen(&self.world.api, self.callbacks.len()).await;
        pushes.trace(self.paced(0..self.callbacks.len(), per_second, connections).await).await
    }

    /// Sends some of the callbacks at `per_second`: how long each answer took, from the moment at which it was due. One
    /// that is sent late because all connections wait for their answers has waited as well.
    pub async fn answer_times(
        &self,
        some: Range<usize>,
        per_second: u32,
        connections: usize,
    ) -> Vec<Duration> {
        let sent = self.paced(some, per_second, connections).await;
        sent.into_iter().map(|(_, Sent { due, acknowledged })| acknowledged.duration_since(due)).collect()
    }

    async fn paced(&self, some: Range<usize>, per_second: u32, connections: usize) -> Vec<(usize, Sent)> {
        let (first, interval) = (some.start, Duration::from_secs(1) / per_second);
        let (callbacks, next, begun) = (&self.callbacks[some], AtomicUsize::new(0), Instant::now());
        let workers = (0..connections).map(|_| async {
            let mut connection = self.connect().await;
            let mut sent = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(callback) = callbacks.get(index) else { return sent };
                let due = begun + interval * u32::try_from(index).expect("a bench has fewer callbacks");
                tokio::time::sleep_until(due.into()).await;
                let acknowledged = callback.deliver(&mut connection).await;
                sent.push((first + index, Sent { due, acknowledged }));
            }
        });
        join_all(workers).await.into_iter().flatten().collect()
    }

    /// What it runs against.
    pub fn world(&self) -> &World {
        &self.world
    }

    async fn connect(&self) -> Connection {
        let connection = Connection::open(self.world.server().port()).await;
        connection.unwrap_or_else(|error| panic!("cannot connect: {error}"))
    }

    fn take(&self, next: &AtomicUsize) -> Option<(usize, &Callback)> {
        let index = next.fetch_add(1, Ordering::Relaxed);
        Some((index, self.callbacks.get(index)?))
    }
}

impl Callback {
    /// Sends it, and says when its acknowledgement had been read.
    async fn deliver(&self, connection: &mut Connection) -> Instant {
        let reply = connection.exchange(&self.request).await;
        let acknowledged = Instant::now();
        let reply = reply.unwrap_or_else(|error| panic!("order {}: {error}", self.order_id));
        let answer = (reply.status, String::from_utf8_lossy(&reply.body).into_owned());
        assert_eq!(answer, self.success, "order {}", self.order_id);
        acknowledged
    }
}

fn order_id(number: usize) -> String {
    format!("bench{number:07}")
}

fn number_of(order_id: &str) -> Option<usize> {
    order_id.strip_prefix("bench")?.parse().ok()
}

async fn register(world: &World, providers: &[&'static Provider], number: usize) {
    let facts = world.facts(providers[number % providers.len()], &order_id(number));
    world.register(&facts, USER).await;
}

fn sign(world: &World, providers: &[&'static Provider], number: usize) -> Callback {
    let provider = providers[number % providers.len()];
    let facts = world.facts(provider, &order_id(number));
    let requests = world.requests(provider, Scenario::Paid, &facts);
    let [request] = requests.as_slice() else {
        panic!("{} pays with {} callbacks, not one", provider.name, requests.len())
    };
    let success = success(&world.demo.account, provider, world.keys(provider), request);
    Callback {
        order_id: facts.order_id,
        request: genuine(world, provider, request),
        success: (success.status, success.body),
    }
}

/// The user's WebSocket, read by a task of its own.
struct Pushes {
    arrivals: mpsc::UnboundedReceiver<(usize, Instant)>,
    reader: JoinHandle<()>,
    expected: usize,
}

impl Pushes {
    async fn listen(api: &Api, expected: usize) -> Self {
        let socket = listener::open(api, USER).await;
        let mut socket = socket.unwrap_or_else(|error| panic!("cannot open the WebSocket: {error}"));
        let (tell, arrivals) = mpsc::unbounded_channel();
        let reader = tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                let arrived = Instant::now();
                let Message::Text(text) = message else { continue };
                let told: Value = serde_json::from_str(&text).unwrap_or_default();
                if told["kind"] == "payment.captured"
                    && let Some(number) = told["order_id"].as_str().and_then(number_of)
                    && tell.send((number, arrived)).is_err()
                {
                    return;
                }
            }
        });
        Self { arrivals, reader, expected }
    }

    /// Waits for every push; the first one of each order counts.
    async fn trace(mut self, sent: Vec<(usize, Sent)>) -> Vec<Trace> {
        let mut pushed = vec![None; self.expected];
        let mut missing = self.expected;
        while missing > 0 {
            let arrival = tokio::time::timeout(PUSH_PATIENCE, self.arrivals.recv()).await;
            let Ok(Some((number, arrived))) = arrival else {
                panic!("{missing} of {} notifications were never pushed", self.expected)
            };
            if pushed[number].is_none() {
                pushed[number] = Some(arrived);
                missing -= 1;
            }
        }
        self.reader.abort();
        let trace = |(number, Sent { due, acknowledged }): (usize, Sent)| {
            let pushed = pushed[number].expect("none is missing");
            Trace { due, acknowledged, pushed }
        };
        sent.into_iter().map(trace).collect()
    }
}
