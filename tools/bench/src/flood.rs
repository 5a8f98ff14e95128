//! Genuine callbacks alone and among forged ones: what the flood does to their answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use paybell_tests::World;
use paybell_tests::flood::{REFUSALS, forgeries, from_source, stranger};
use paybell_tests::raw_http::Connection;

/// Connections that the forgeries come over: so many that a slow answer to one does not hold up the rate of all.
const CONNECTIONS: usize = 64;

/// A flood under way, in a thread of its own: the generator of the genuine callbacks must not wait for it.
pub struct Flood {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<BTreeMap<u16, usize>>,
}

impl Flood {
    /// Begins to send `per_second` forgeries from as many source addresses as `sources` says.
    pub fn begin(world: &World, per_second: u32, sources: usize) -> Self {
        let texts: Vec<Vec<u8>> = forgeries(world)
            .iter()
            .cycle()
            .take(forgeries(world).len() * sources)
            .enumerate()
            .map(|(number, text)| from_source(text, &stranger(number % sources)))
            .collect();
        let (port, is_over) = (world.server().port(), Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap_or_else(|error| panic!("no runtime for the flood: {error}"));
            runtime.block_on(send(port, &texts, Duration::from_secs(1) / per_second, &told))
        });
        Self { is_over, thread }
    }

    /// Ends it: how often each status was answered.
    pub fn end(self) -> BTreeMap<u16, usize> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| panic!("the flood has failed"))
    }
}

async fn send(
    port: u16,
    texts: &[Vec<u8>],
    interval: Duration,
    is_over: &AtomicBool,
) -> BTreeMap<u16, usize> {
    let (next, begun) = (AtomicUsize::new(0), Instant::now());
    let workers = (0..CONNECTIONS).map(|_| async {
        let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
        let connection = Connection::open(port).await;
        let mut connection = connection.unwrap_or_else(|error| panic!("cannot connect: {error}"));
        while !is_over.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let due = begun + interval * u32::try_from(index).expect("a bench has fewer forgeries");
            tokio::time::sleep_until(due.into()).await;
            let reply = connection.exchange(&texts[index % texts.len()]).await;
            let reply = reply.unwrap_or_else(|error| panic!("a forgery was not answered: {error}"));
            assert!(REFUSALS.contains(&reply.status), "a forgery was answered {}", reply.status);
            *statuses.entry(reply.status).or_default() += 1;
        }
        statuses
    });
    let mut all: BTreeMap<u16, usize> = BTreeMap::new();
    for (status, count) in join_all(workers).await.into_iter().flatten() {
        *all.entry(status).or_default() += count;
    }
    all
}
