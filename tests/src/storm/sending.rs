//! A wave under way.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use reqwest::Method;
use tokio::task::JoinSet;

use super::{Delivery, Job, SENDERS, Wave};
use crate::api::Api;

/// Longest pause before the same callback is sent again.
const RETRY_PAUSE_MILLISECONDS_MAX: u64 = 100;

/// A wave under way.
pub struct Sending {
    counters: Arc<Counters>,
    senders: JoinSet<()>,
}

#[derive(Default)]
struct Counters {
    acknowledged: AtomicUsize,
    attempts: AtomicUsize,
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
        Sending { counters, senders }
    }
}

impl Sending {
    /// How many callbacks have been acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.counters.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until so many are acknowledged.
    pub async fn wait_for_acknowledged(&self, count: usize) {
        while self.acknowledged() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until everything is acknowledged; how often a callback was sent again because it was not.
    pub async fn finish(mut self) -> usize {
        while let Some(sender) = self.senders.join_next().await {
            sender.expect("a sender does not panic");
        }
        self.counters.attempts.load(Ordering::SeqCst) - self.acknowledged()
    }
}

impl Sender {
    async fn run(mut self) {
        loop {
            let job = self.queue.lock().expect("no holder of this lock panics").pop_front();
            let Some(job) = job else { return };
            while !self.succeeds(&job).await {
                let pause = Duration::from_millis(self.rng.u64(1..=RETRY_PAUSE_MILLISECONDS_MAX));
                tokio::time::sleep(pause).await;
            }
            if matches!(job, Job::Deliver(_)) {
                self.counters.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    async fn succeeds(&self, job: &Job) -> bool {
        match job {
            Job::Register(order) => {
                let answer = self.api.try_call(Method::POST, "/orders", Some(order)).await;
                answer.is_ok_and(|answer| matches!(answer.status, 200 | 201))
            }
            Job::Deliver(Delivery { provider, request, success, .. }) => {
                self.counters.attempts.fetch_add(1, Ordering::SeqCst);
                let answer = self.api.deliver(&self.account, provider.name, request).await;
                answer.is_ok_and(|answer| answer.status == success.status && answer.body == success.body)
            }
        }
    }
}
