//! Nineteen of twenty callbacks are forged, and the genuine ones are acknowledged and applied as if there were no others.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test, its helpers too")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use paybell_cli::simulate::{Facts, Scenario};
use paybell_shared::providers::Provider;
use paybell_tests::World;
use paybell_tests::flood::{REFUSALS, forgeries, from_source, genuine, oversize, stranger};
use paybell_tests::raw_http::Connection;
use paybell_tests::wait::until;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const GENUINE: usize = 60;
const GENUINE_EVERY: Duration = Duration::from_millis(25);
/// 95 of 100 are forged.
const FORGED_FOR_EACH_GENUINE: usize = 19;
const FORGERS: usize = 12;
/// So many that most of what they send is looked at first.
const STRANGERS: usize = 23;
/// One of them sends so much that it is limited, however slow the machine is.
const LOUD_EVERY: usize = 3;
const SLOW_BODIES: usize = 16;
/// No multiple of the other numbers, so that everybody sends everything.
const OVERSIZE_EVERY: usize = 41;
const PROVIDERS: &[&str] = &["stripe", "wechatpay_v3", "alipay"];

/// What strangers send until they are told to stop.
struct Flood {
    port: u16,
    texts: Vec<Vec<u8>>,
    oversize: Vec<u8>,
    sent: AtomicUsize,
    is_over: AtomicBool,
}

impl Flood {
    /// One forger: statuses by how often they were answered.
    async fn forge(self: Arc<Self>) -> BTreeMap<u16, usize> {
        let mut statuses = BTreeMap::new();
        let mut connection = Connection::open(self.port).await.unwrap();
        loop {
            let number = self.sent.fetch_add(1, Ordering::Relaxed);
            if self.is_over.load(Ordering::Relaxed) && number >= GENUINE * FORGED_FOR_EACH_GENUINE {
                return statuses;
            }
            let text = match number % OVERSIZE_EVERY {
                0 => &self.oversize,
                _ => &self.texts[number % self.texts.len()],
            };
            let source = if number.is_multiple_of(LOUD_EVERY) { 0 } else { number % STRANGERS };
            let text = from_source(text, &stranger(source));
            let reply = connection.exchange(&text).await.unwrap();
            *statuses.entry(reply.status).or_default() += 1;
        }
    }

    /// A body that never ends, byte by byte.
    async fn drip(self: Arc<Self>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let head = "POST /callbacks/demo/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        while !self.is_over.load(Ordering::Relaxed) {
            if stream.write_all(b"x").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f19_genuine_callbacks_pass_through_a_flood_of_forged_ones() {
    let world = World::start_on_this_machine().await;
    let orders: Vec<(&'static Provider, Facts)> = (0..GENUINE)
        .map(|number| {
            let provider = world.provider(PROVIDERS[number % PROVIDERS.len()]);
            (provider, world.facts(provider, &format!("genuine{number}")))
        })
        .collect();
    for (_, facts) in &orders {
        world.register(facts, "anna").await;
    }
    let flood = Arc::new(Flood {
        port: world.server().port(),
        texts: forgeries(&world),
        oversize: oversize(&world),
        sent: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    });
    let mut slow: JoinSet<()> = (0..SLOW_BODIES).map(|_| Arc::clone(&flood).drip()).collect();
    let forgers: JoinSet<_> = (0..FORGERS).map(|_| Arc::clone(&flood).forge()).collect();

    let mut connection = Connection::open(world.server().port()).await.unwrap();
    for (provider, facts) in &orders {
        let request = world.requests(provider, Scenario::Paid, facts).remove(0);
        let reply = connection.exchange(&genuine(&world, provider, &request)).await.unwrap();
        let body = String::from_utf8(reply.body).unwrap();
        let success = &provider.answers.success;
        assert_eq!((reply.status, body.as_str()), (success.status, success.body), "{}", facts.order_id);
        tokio::time::sleep(GENUINE_EVERY).await;
    }
    flood.is_over.store(true, Ordering::Relaxed);
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for (status, count) in forgers.join_all().await.into_iter().flatten() {
        *statuses.entry(status).or_default() += count;
    }
    slow.shutdown().await;
    let forged: usize = statuses.values().sum();
    println!("{GENUINE} genuine callbacks among {forged} forged ones, which were answered {statuses:?}");
    assert!(forged >= GENUINE * FORGED_FOR_EACH_GENUINE, "{forged} were forged");
    assert!(statuses.keys().all(|status| REFUSALS.contains(status)), "{statuses:?}");
    assert!(REFUSALS[1..].iter().all(|status| statuses.contains_key(status)), "{statuses:?}");

    for (_, facts) in &orders {
        let paid = format!("{} to be paid", facts.order_id);
        until(
            &paid,
            async || world.api.order(&facts.order_id).await.json(),
            |order| order["status"] == "paid",
        )
        .await;
    }
    assert_eq!(world.api.order("forged1").await.status, 404, "an order came out of a forgery");
    let log = world.server().log();
    let limited = log.lines().filter(|line| line.contains(r#" outcome="limited""#)).count();
    assert!(limited > 0, "nobody was told that some were limited");
    assert!(limited < statuses[&429], "{limited} lines tell of {} limited requests", statuses[&429]);
}
