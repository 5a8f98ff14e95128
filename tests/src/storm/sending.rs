//! A wave under way.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use fastrand::Rng;
use reqwest::Method;
use tokio::task::JoinSet;

use super::{Delivery, Job, SENDERS, Wave};
use crate::api::{Answer, Api};
use crate::wait::PATIENCE;

/// Longest pause before the same callback is sent again.
const RETRY_PAUSE_MILLISECONDS_MAX: u64 = 100;
/// How often it is asked how far a wave is.
const LOOKS_EVERY: Duration = Duration::from_millis(1);

/// A wave under way.
pub struct Sending {
    /// Callbacks and registrations.
    jobs: usize,
    counters: Arc<Counters>,
    senders: JoinSet<()>,
}

#[derive(Default)]
struct Counters {
    acknowledged: AtomicUsize,
    registered: AtomicUsize,
    attempts: AtomicUsize,
    last_refusal: Mutex<String>,
}

struct Sender {
    api: Api,
    account: String,
    queue: Arc<Mutex<VecDeque<Job>>>,
    counters: Arc<Counters>,
    rng: Rng,
}

impl Wave {
    /// How many callbacks it has, duplicates included.
    pub fn callbacks(&self) -> usize {
        self.callbacks
    }

    /// Begins to send everything.
    pub fn send(self, api: &Api, account: &str, seed: u64) -> Sending {
        let jobs = self.jobs.len();
        let queue = Arc::new(Mutex::new(VecDeque::from(self.jobs)));
        let counters = Arc::new(Counters::default());
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let sender = Sender {
                api: api.clone(),
                account: account.to_owned(),
                queue: Arc::clone(&queue),
                counters: Arc::clone(&counters),
                rng: Rng::with_seed(seed.wrapping_add(sender as u64)),
            };
            senders.spawn(sender.run());
        }
        Sending { jobs, counters, senders }
    }
}

impl Sending {
    /// How many callbacks have been acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.counters.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until so many are acknowledged. Panics when none is for as long as [`PATIENCE`].
    pub async fn wait_for_acknowledged(&self, count: usize) {
        self.wait_while(|| self.acknowledged() < count).await;
    }

    /// Waits until everything is acknowledged; how often a callback was sent again because it was not. Panics when
    /// nothing is acknowledged for as long as [`PATIENCE`].
    pub async fn finish(mut self) -> usize {
        self.wait_while(|| self.done() < self.jobs).await;
        while let Some(sender) = self.senders.join_next().await {
            sender.expect("a sender does not panic");
        }
        self.counters.attempts.load(Ordering::SeqCst) - self.acknowledged()
    }

    fn done(&self) -> usize {
        self.acknowledged() + self.counters.registered.load(Ordering::SeqCst)
    }

    /// Waits as long as the storm gets on, however slow the machine is.
    async fn wait_while(&self, is_too_early: impl Fn() -> bool) {
        let (mut done, mut since) = (self.done(), Instant::now());
        while is_too_early() {
            tokio::time::sleep(LOOKS_EVERY).await;
            if self.done() > done {
                (done, since) = (self.done(), Instant::now());
            }
            let is_stuck = since.elapsed() >= PATIENCE;
            assert!(
                !is_stuck,
                "nothing more than {done} of {} in {PATIENCE:?}; the last refusal: {}",
                self.jobs,
                lock(&self.counters.last_refusal)
            );
        }
    }
}

impl Sender {
    async fn run(mut self) {
        loop {
            let job = lock(&self.queue).pop_front();
            let Some(job) = job else { return };
            while let Err(refusal) = self.perform(&job).await {
                *lock(&self.counters.last_refusal) = refusal;
                let pause = Duration::from_millis(self.rng.u64(1..=RETRY_PAUSE_MILLISECONDS_MAX));
                tokio::time::sleep(pause).await;
            }
            let counter = match job {
                Job::Register(_) => &self.counters.registered,
                Job::Deliver(_) => &self.counters.acknowledged,
            };
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Sends it once; the answer when it is not the one that is hoped for.
    async fn perform(&self, job: &Job) -> Result<(), String> {
        let (what, answer, is_good) = match job {
            Job::Register(order) => {
                let answer = self.api.try_call(Method::POST, "/orders", Some(order)).await;
                let is_good = answer.as_ref().is_ok_and(|answer| matches!(answer.status, 200 | 201));
                ("a registration", answer, is_good)
            }
            Job::Deliver(Delivery { provider, request, success, .. }) => {
                self.counters.attempts.fetch_add(1, Ordering::SeqCst);
                let answer = self.api.deliver(&self.account, provider.name, request).await;
                let is_success =
                    |answer: &Answer| answer.status == success.status && answer.body == success.body;
                let is_good = answer.as_ref().is_ok_and(is_success);
                (provider.name, answer, is_good)
            }
        };
        if is_good { Ok(()) } else { Err(format!("{what}: {answer:?}")) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}
