//! `cargo xtask test`: every check that a change must pass, step by step, each with its time.

mod cargo;
mod crate_graph;
mod deny;
mod steps;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::PossibleValuesParser;
use thiserror::Error;

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

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { step, result, took } = self;
        let took_seconds = took.as_secs_f64();
        match result {
            Ok(Done::All) => write!(f, "ok      {step:<12} {took_seconds:>6.1} s"),
            Ok(Done::Except(skipped)) => write!(f, "ok      {step:<12} {took_seconds:>6.1} s  {skipped}"),
            Err(error) => {
                write!(f, "FAILED  {step:<12} {took_seconds:>6.1} s  {error}; ")?;
                write!(f, "alone: cargo xtask test --only {step}")
            }
        }
    }
}

/// How far a step came.
enum Done {
    /// All of it.
    All,
    /// Something had to be left out: what and why.
    Except(String),
}

/// Why a step failed.
#[derive(Debug, Error)]
enum StepError {
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
    /// The sources could not be read.
    #[error("the sources could not be read: {0}")]
    Read(#[from] io::Error),
    /// The check found something and has printed it.
    #[error("{0} findings, printed above")]
    Findings(usize),
}
