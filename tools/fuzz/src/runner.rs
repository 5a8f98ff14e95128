//! Runs targets with mutations of their seeds, on stable Rust.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::dictionary;
use crate::mutator::Mutator;
use crate::target::{TARGETS, Target};

/// An input that takes longer than this is a finding: readers take milliseconds for the largest, unoptimised ones too.
const HANG_SECONDS: u64 = 60;

/// Changed inputs that every target is run on, whatever time is left for it.
pub const MUTATIONS_MIN: u64 = 100;

/// What a run shall do.
pub struct Plan {
    /// How long all targets are run together.
    pub time: Duration,
    /// What the inputs follow from.
    pub seed: u64,
    /// Where inputs that fail are written.
    pub failures: PathBuf,
    /// How much the last execution allocated at most, in bytes, and the measure begun anew.
    pub take_peak_bytes: fn() -> usize,
    /// Most bytes that one execution may allocate.
    pub peak_bytes_max: usize,
}

/// What came of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many seeds it has, which are run as they are before any of them is changed.
    pub seeds: u64,
    /// How many inputs it was run on.
    pub executions: u64,
    /// The most that one execution allocated, in bytes.
    pub peak_bytes: usize,
    /// The input that failed, as it was written.
    pub failure: Option<PathBuf>,
}

/// Runs a target for its share of the time: its seeds as they are, then mutations of them, at least [`MUTATIONS_MIN`].
///
/// # Errors
/// As writing the input that failed.
pub fn run(target: &Target, plan: &Plan) -> io::Result<Outcome> {
    let seeds = (target.seeds)();
    let weights: u32 = TARGETS.iter().map(|target| target.weight).sum();
    let mut mutator = Mutator::new(plan.seed, seeds.clone(), dictionary::words(target.dictionary));
    let mut outcome = Outcome { seeds: seeds.len() as u64, ..Outcome::default() };
    let running = Running::watch(target.name, &plan.failures);
    let _ = (plan.take_peak_bytes)();
    // The seeds' own making is no part of the target's time.
    let deadline = Instant::now() + plan.time * target.weight / weights;
    let mut unchanged = seeds.into_iter();
    // However slow the machine is, something is changed.
    while Instant::now() < deadline || outcome.executions < outcome.seeds + MUTATIONS_MIN {
        let input = unchanged.next().unwrap_or_else(|| mutator.next_input());
        running.begin(&input);
        let is_sound = catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_ok();
        let peak_bytes = (plan.take_peak_bytes)();
        outcome.executions += 1;
        outcome.peak_bytes = outcome.peak_bytes.max(peak_bytes);
        if !is_sound || peak_bytes > plan.peak_bytes_max {
            outcome.failure = Some(write_failure(&plan.failures, target.name, &input)?);
            break;
        }
    }
    Ok(outcome)
}

/// The command that runs a target on a kept input.
pub fn replay_command(target: &str, file: &Path) -> String {
    format!("cargo run --package paybell-fuzz -- replay {target} {}", file.display())
}

fn write_failure(folder: &Path, target: &str, input: &[u8]) -> io::Result<PathBuf> {
    let digest = paybell_shared::callback::signature::sha256(input);
    let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    fs::create_dir_all(folder)?;
    let file = folder.join(format!("{target}-{name}"));
    fs::write(&file, input)?;
    Ok(file)
}

/// The input that is being run, so that one on which a target does not come back is not lost.
struct Running(Arc<Mutex<Option<Execution>>>);

/// When an execution began, and with which input.
type Execution = (Instant, Vec<u8>);

impl Running {
    fn watch(target: &'static str, failures: &Path) -> Self {
        let running = Arc::new(Mutex::new(Some((Instant::now(), Vec::new()))));
        let (watched, failures) = (Arc::clone(&running), failures.to_owned());
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let state = watched.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let Some((began, input)) = state else { return };
                if began.elapsed() > Duration::from_secs(HANG_SECONDS) {
                    let file = write_failure(&failures, target, &input).unwrap_or_default();
                    eprintln!("`{target}` does not come back: {}", replay_command(target, &file));
                    std::process::exit(1);
                }
            }
        });
        Self(running)
    }

    fn begin(&self, input: &[u8]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), input.to_vec()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
