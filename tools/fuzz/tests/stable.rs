//! Mutations of every target's seeds, for half a minute: `PAYBELL_FUZZ_SECONDS` makes it longer, `PAYBELL_FUZZ_SEED` another
//! run. What fails is written down, with the command that runs it again.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use paybell_fuzz::runner::{self, MUTATIONS_MIN, Outcome, Plan};
use paybell_fuzz::{TARGETS, Target};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Time of all targets together unless told otherwise, in seconds.
const SECONDS: u64 = 30;
/// Most bytes that one execution may allocate: a body and what is read of it, several times.
const PEAK_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One test after the other, because what is allocated is counted for the whole process.
#[test]
fn every_target_survives_mutations_of_its_seeds() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let plan = Plan {
        time: Duration::from_secs(variable("PAYBELL_FUZZ_SECONDS").unwrap_or(SECONDS)),
        seed: variable("PAYBELL_FUZZ_SEED").unwrap_or(1),
        failures: Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz-failures"),
        take_peak_bytes: peak_since_last,
        peak_bytes_max: PEAK_BYTES_MAX,
    };
    let outcomes: Vec<(&Target, Outcome)> =
        TARGETS.iter().map(|target| (target, runner::run(target, &plan).unwrap())).collect();
    report(&outcomes, &plan);
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|(_, outcome)| outcome.failure.is_some())
        .map(|(target, _)| target.name)
        .collect();
    assert!(failed.is_empty(), "{failed:?} failed, see above");
    let is_mutated = |outcome: &Outcome| outcome.executions >= outcome.seeds + MUTATIONS_MIN;
    assert!(outcomes.iter().all(|(_, outcome)| is_mutated(outcome)), "seeds alone say little");
}

fn peak_since_last() -> usize {
    let peak_bytes = ALLOCATOR.peak_usage();
    ALLOCATOR.reset_peak_usage();
    peak_bytes.saturating_sub(ALLOCATOR.current_usage())
}

/// Written past the harness, which would keep it to itself.
fn report(outcomes: &[(&Target, Outcome)], plan: &Plan) {
    let mut text = format!("fuzz targets, seed {}:\n", plan.seed);
    for (target, outcome) in outcomes {
        let peak_kib = outcome.peak_bytes / 1024;
        text.push_str(&format!(
            "{:>16} {:>9} executions, {:>4} of them seeds, {peak_kib:>6} KiB at most",
            target.name, outcome.executions, outcome.seeds
        ));
        if let Some(file) = &outcome.failure {
            text.push_str(&format!(", FAILED: {}", runner::replay_command(target.name, file)));
        }
        text.push('\n');
    }
    let total: u64 = outcomes.iter().map(|(_, outcome)| outcome.executions).sum();
    text.push_str(&format!("{total:>26} executions in all\n"));
    let _ = std::io::stderr().write_all(text.as_bytes());
}
