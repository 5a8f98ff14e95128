//! What one seed decides: the time that every call takes, what fails, and who is killed when; and what happened.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hasher as _};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use paybell_shared::ports::{Clock, PortError, Random};
use tokio::time::{Instant, sleep, timeout};

use crate::mutation::Mutation;

/// The time at which every run begins.
pub const BEGUN_AT_MS: i64 = 1_800_000_000_000;
/// For so long new things happen and faults are injected.
pub const STORM_MS: u64 = 240_000;
/// One call of an adapter is given up after this, its retries included.
const CALL_MS_MAX: u64 = 3_500;
/// How far clocks of different machines are apart.
const SKEW_MS_MAX: i64 = 500;

/// What a call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Accounts,
    Queue,
    Orders,
    Inbox,
    Connections,
    Gateway,
}

const PORTS: [Port; 6] =
    [Port::Accounts, Port::Queue, Port::Orders, Port::Inbox, Port::Connections, Port::Gateway];

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    Outage,
    Throttled,
    AnswerLost,
    Hung,
    HungAfter,
    Broken,
}

/// How a run's faults are spread.
struct Weather {
    fault_permille: [u64; 6],
    kill_permille: u64,
    answer_lost_permille: u64,
    outages: Vec<(Port, Range<u64>)>,
}

impl Weather {
    fn draw(rng: &mut Rng) -> Self {
        let storminess: u64 = *rng.choice(&[0, 1, 1, 2, 3]).expect("there are choices");
        let permille =
            |rng: &mut Rng| storminess * *rng.choice(&[0, 10, 30, 100]).expect("there are choices");
        let outages = (0..rng.u64(0..2)).map(|_| {
            let from_ms = rng.u64(0..STORM_MS);
            (rng.choice(PORTS).expect("there are ports"), from_ms..from_ms + rng.u64(1_000..60_000))
        });
        Self {
            outages: outages.collect(),
            fault_permille: PORTS.map(|_| permille(rng)),
            kill_permille: permille(rng),
            answer_lost_permille: permille(rng),
        }
    }
}

#[derive(Default)]
struct Trace {
    hash: DefaultHasher,
    lines: Option<Vec<String>>,
}

/// One run's seed at work.
pub struct Sim {
    pub mutation: Option<Mutation>,
    begun: Instant,
    rng: Mutex<Rng>,
    weather: Weather,
    is_calm: AtomicBool,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    trace: Mutex<Trace>,
}

impl Sim {
    pub fn new(seed: u64, mutation: Option<Mutation>, is_told: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let weather = Weather::draw(&mut rng);
        Self {
            mutation,
            begun: Instant::now(),
            rng: Mutex::new(rng),
            weather,
            is_calm: AtomicBool::new(false),
            counts: Mutex::default(),
            trace: Mutex::new(Trace { lines: is_told.then(Vec::new), ..Trace::default() }),
        }
    }

    pub fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// A number below `end`.
    pub fn below(&self, end: u64) -> u64 {
        lock(&self.rng).u64(0..end)
    }

    pub fn happens(&self, permille: u64) -> bool {
        permille > 0 && self.below(1_000) < permille
    }

    /// Whether something goes wrong that `permille` says, as long as things go wrong at all.
    pub fn goes_wrong(&self, permille: u64) -> bool {
        !self.is_calm() && self.happens(permille)
    }

    pub fn shuffle<T>(&self, items: &mut [T]) {
        lock(&self.rng).shuffle(items);
    }

    pub fn between_ms(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(range.start + self.below(range.end - range.start))
    }

    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// From now on nothing fails.
    pub fn calm(&self) {
        self.is_calm.store(true, Ordering::Relaxed);
        self.note(format_args!("calm"));
    }

    pub fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    pub fn count(&self, what: &'static str) {
        *lock(&self.counts).entry(what).or_default() += 1;
    }

    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.counts).clone()
    }

    /// Writes down what happens, and when.
    pub fn note(&self, what: fmt::Arguments<'_>) {
        let line = format!("{:>9.3} {what}", Duration::from_millis(self.elapsed_ms()).as_secs_f64());
        let mut trace = lock(&self.trace);
        trace.hash.write(line.as_bytes());
        if let Some(lines) = &mut trace.lines {
            lines.push(line);
        }
    }

    /// A number that differs as soon as anything happens otherwise.
    pub fn trace_hash(&self) -> u64 {
        lock(&self.trace).hash.finish()
    }

    pub fn trace_lines(&self) -> Vec<String> {
        lock(&self.trace).lines.clone().unwrap_or_default()
    }

    /// Performs one call of a port: `effect` happens at one moment in between, or not at all.
    pub async fn call<T>(
        &self,
        port: Port,
        what: String,
        effect: impl Future<Output = Result<T, PortError>> + Send,
    ) -> Result<T, PortError> {
        let fate = self.fate(port);
        if fate != Fate::Fine {
            self.note(format_args!("{what}: {fate:?}"));
        }
        sleep(self.latency()).await;
        match fate {
            Fate::Fine => {
                let done = effect.await;
                self.note(format_args!("{what}"));
                sleep(self.latency()).await;
                done
            }
            Fate::Outage | Fate::Throttled => Err(PortError::Transient("throttled".to_owned())),
            Fate::Broken => Err(PortError::Permanent("it is broken".to_owned())),
            Fate::AnswerLost => {
                effect.await?;
                sleep(self.latency()).await;
                Err(PortError::Transient("timed out".to_owned()))
            }
            Fate::Hung => {
                sleep(Duration::from_millis(CALL_MS_MAX)).await;
                Err(PortError::Transient("timed out".to_owned()))
            }
            Fate::HungAfter => {
                effect.await?;
                std::future::pending().await
            }
        }
    }

    /// Runs one invocation of a function; `None` when it is killed or stopped.
    pub async fn invoke<T>(
        &self,
        function: String,
        timeout_ms: u64,
        work: impl Future<Output = T> + Send,
    ) -> Option<T> {
        let is_killed = self.goes_wrong(self.weather.kill_permille);
        let limit = if is_killed { self.between_ms(0..400) } else { Duration::from_millis(timeout_ms) };
        self.note(format_args!("{function} begins"));
        let done = timeout(limit, work).await.ok();
        if done.is_none() {
            self.count(if is_killed { "invocations killed" } else { "invocations stopped at their limit" });
            self.note(format_args!("{function} is killed"));
        }
        done
    }

    /// Whether the answer to whoever called a function from outside does not reach them.
    pub fn loses_answer(&self) -> bool {
        let is_lost = self.goes_wrong(self.weather.answer_lost_permille);
        if is_lost {
            self.count("answers to providers and merchants lost");
        }
        is_lost
    }

    fn fate(&self, port: Port) -> Fate {
        if self.is_calm() {
            return Fate::Fine;
        }
        let now_ms = self.elapsed_ms();
        if self.weather.outages.iter().any(|(down, when)| *down == port && when.contains(&now_ms)) {
            self.count("calls refused in outages");
            return Fate::Outage;
        }
        let at = PORTS.iter().position(|known| *known == port).unwrap_or_default();
        if !self.happens(self.weather.fault_permille[at]) {
            return Fate::Fine;
        }
        let (fate, count) = match self.below(20) {
            0..=6 => (Fate::Throttled, "calls throttled"),
            7..=13 => (Fate::AnswerLost, "calls done and timed out"),
            14..=16 => (Fate::Hung, "calls hung"),
            17..=18 => (Fate::HungAfter, "calls done and hung for ever"),
            _ => (Fate::Broken, "calls failed for good"),
        };
        self.count(count);
        fate
    }

    fn latency(&self) -> Duration {
        match self.below(100) {
            0 => self.between_ms(100..3_000),
            1..=9 => self.between_ms(20..100),
            _ => self.between_ms(1..20),
        }
    }
}

/// The clock of one machine.
pub struct SimClock<'a> {
    sim: &'a Sim,
    skew_ms: i64,
}

impl<'a> SimClock<'a> {
    pub fn of_some_machine(sim: &'a Sim) -> Self {
        let skew_ms =
            i64::try_from(sim.below(2 * SKEW_MS_MAX.unsigned_abs())).unwrap_or_default() - SKEW_MS_MAX;
        Self { sim, skew_ms }
    }
}

impl Clock for SimClock<'_> {
    fn now_ms(&self) -> i64 {
        BEGUN_AT_MS + self.skew_ms + i64::try_from(self.sim.elapsed_ms()).unwrap_or(i64::MAX / 2)
    }
}

impl Random for Sim {
    fn fill(&self, bytes: &mut [u8]) {
        lock(&self.rng).fill(bytes);
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
