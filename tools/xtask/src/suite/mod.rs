//! `cargo xtask test`: every check that a change must pass, step by step, each with its time.

pub mod cargo;
mod crate_graph;
mod deny;
mod emulator;
mod steps;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::PossibleValuesParser;
use thiserror::Error;

use crate::infra::InfraError;
use steps::{STEPS, Step};

/// What to run.
#[derive(Args)]
pub struct Options {
    /// Run this step alone; may be given several times
    #[arg(long, value_name = "STEP", value_parser = PossibleValuesParser::new(STEPS.iter().map(|step| step.name)))]
    only: Vec<String>,
}

/// The steps in words, for `--help`.
pub fn steps_help() -> String {
    let lines = STEPS.iter().map(|step| format!("  {:<12}  {}\n", step.name, step.about));
    format!("Steps:\n{}", lines.collect::<String>())
}

/// Runs the steps, all of them even if one fails, and prints a summary.
pub fn run(root: &Path, options: &Options) -> ExitCode {
    let is_wanted =
        |step: &&Step| options.only.is_empty() || options.only.iter().any(|name| name == step.name);
    let started = Instant::now();
    let outcomes: Vec<_> = STEPS.iter().filter(is_wanted).map(|step| perform(root, step)).collect();
    println!("\nsummary");
    for outcome in &outcomes {
        println!("  {outcome}");
    }
    let failed_count = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();
    let total_seconds = started.elapsed().as_secs();
    println!("{} steps, {failed_count} failed, {total_seconds} s", outcomes.len());
    let tests: TestCount = outcomes.iter().filter_map(Outcome::test_count).sum();
    if tests != TestCount::default() {
        println!("\n{tests}");
    }
    if failed_count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn perform(root: &Path, step: &'static Step) -> Outcome {
    println!("\n== {}: {}", step.name, step.about);
    let started = Instant::now();
    let result = (step.run)(root);
    let outcome = Outcome { step: step.name, result, took: started.elapsed() };
    println!("== {outcome}");
    outcome
}

struct Outcome {
    step: &'static str,
    result: Result<Done, StepError>,
    took: Duration,
}

impl Outcome {
    fn test_count(&self) -> Option<TestCount> {
        match &self.result {
            Ok(Done::Tested(count)) | Err(StepError::Tests { count, .. }) => Some(*count),
            _ => None,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { step, result, took } = self;
        let took_seconds = took.as_secs_f64();
        match result {
            Ok(Done::All) => write!(f, "ok      {step:<12} {took_seconds:>6.1} s"),
            Ok(Done::Tested(count)) => write!(f, "ok      {step:<12} {took_seconds:>6.1} s  {count}"),
            Ok(Done::Except(skipped)) => write!(f, "ok      {step:<12} {took_seconds:>6.1} s  {skipped}"),
            Err(error) => {
                write!(f, "FAILED  {step:<12} {took_seconds:>6.1} s  {error}; ")?;
                write!(f, "alone: cargo xtask test --only {step}")
            }
        }
    }
}

/// How far a step came.
pub enum Done {
    /// All of it.
    All,
    /// All of it, and it consists of tests.
    Tested(TestCount),
    /// Something had to be left out: what and why.
    Except(String),
}

/// How many tests were run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TestCount {
    passed: usize,
    failed: usize,
}

impl TestCount {
    /// Takes in a line such as `test result: ok. 3 passed; 0 failed; …`; any other line counts for nothing.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            match count.split_once(' ').map(|(number, word)| (number.parse::<usize>(), word)) {
                Some((Ok(number), "passed")) => self.passed += number,
                Some((Ok(number), "failed")) => self.failed += number,
                _ => {}
            }
        }
    }
}

impl std::iter::Sum for TestCount {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, count| Self {
            passed: sum.passed + count.passed,
            failed: sum.failed + count.failed,
        })
    }
}

impl std::fmt::Display for TestCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Why a step failed.
#[derive(Debug, Error)]
pub enum StepError {
    /// A program could not be run.
    #[error("`{command}` could not be run: {source}")]
    Start {
        /// The program and its arguments.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// A program ended with a failure; it has printed why.
    #[error("`{command}` failed")]
    Failed {
        /// The program and its arguments.
        command: String,
    },
    /// Tests failed, or there were none; they have printed why.
    #[error("`{command}` failed: {count}")]
    Tests {
        /// The program and its arguments.
        command: String,
        /// What came of them.
        count: TestCount,
    },
    /// The sources could not be read.
    #[error("the sources could not be read: {0}")]
    Read(#[from] io::Error),
    /// The deployment template could not be held to anything.
    #[error(transparent)]
    Infra(#[from] InfraError),
    /// The check found something and has printed it.
    #[error("{0} findings, printed above")]
    Findings(usize),
}

#[cfg(test)]
mod tests {
    use super::TestCount;

    #[test]
    fn counts_what_cargo_reports() {
        let mut count = TestCount::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.10s",
            "test tests::result ... ok",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s",
        ] {
            count.add(line);
        }
        assert_eq!(count.to_string(), "7 passed, 2 failed");
    }
}
