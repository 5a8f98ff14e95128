//! `cargo xtask mutants`: which mistakes in the sources no test would notice.
//!
//! The mutants are those of cargo-mutants, which compiles the crate anew for each of them: half a day for these
//! sources. Here all are compiled into one program, each behind a switch that a variable of the environment turns on.
//! Every test is run once to see which mutants it reaches, and then for these alone.

mod build;
pub mod known;
mod list;
mod run;
mod weave;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use crate::suite::StepError;
use crate::suite::cargo::tools_folder;
use list::Mutant;
use run::{Fate, Reach};

/// What is mutated unless told otherwise.
const FILES: &[&str] = &["shared/src/domain/**", "shared/src/providers/**", "shared/src/callback/**"];

/// What to mutate.
#[derive(Args)]
pub struct Options {
    /// Mutate these files alone; may be given several times
    #[arg(long, value_name = "GLOB")]
    file: Vec<String>,
    /// Seconds of tests after which a mutant that none has noticed counts as surviving
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    budget: u64,
    /// How many tests run at a time
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    workers: usize,
    /// Run these mutants alone: a text that their names contain
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Run these tests alone: a text that their names contain
    #[arg(long, value_name = "TEXT", default_value = "")]
    tests: String,
}

/// Runs the command: exit status 0 when every survivor is listed in docs/mutants.md.
pub fn run(root: &Path, options: &Options) -> ExitCode {
    match test(root, options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(count) => {
            println!(
                "{count} survivors are not in {}: kill them with a test, or say there why they may live",
                known::FILE
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn test(root: &Path, options: &Options) -> Result<usize, StepError> {
    let started = Instant::now();
    let globs = match &*options.file {
        [] => FILES.iter().map(|glob| (*glob).to_owned()).collect(),
        globs => globs.to_vec(),
    };
    let mutants = list::list(root, &globs)?;
    let tree = tools_folder()?.with_file_name("mutants").join("tree");
    let built = build::build(root, &tree, &mutants)?;
    let reach = Reach::find(&tree, &built, &options.tests, options.workers)?;
    println!("{} tests ran without a mutant, {} s", reach.test_count(), started.elapsed().as_secs());
    let is_wanted = |mutant: &&Mutant| options.only.as_ref().is_none_or(|text| mutant.name().contains(text));
    let is_compiled = |mutant: &&Mutant| {
        !built.unviable.contains(&mutant.number) && !built.left_out.contains(&mutant.number)
    };
    let run: Vec<&Mutant> = mutants.iter().filter(is_wanted).filter(is_compiled).collect();
    let tell = |mutant: &Mutant, fate: Fate| {
        if matches!(fate, Fate::Survived | Fate::Unreached | Fate::TimedOut) {
            println!("{fate:?} {}", mutant.name());
        }
    };
    let fates = reach.fates(&tree, &run, Duration::from_secs(options.budget), options.workers, tell)?;
    let mut all: Vec<(&Mutant, Fate)> = run.into_iter().zip(fates).collect();
    for mutant in mutants.iter().filter(is_wanted).filter(|mutant| !is_compiled(mutant)) {
        let fate = if built.unviable.contains(&mutant.number) { Fate::Unviable } else { Fate::LeftOut };
        if fate == Fate::LeftOut {
            println!("{fate:?} {}", mutant.name());
        }
        all.push((mutant, fate));
    }
    print_counts(&all);
    println!("{} s", started.elapsed().as_secs());
    Ok(known::unknown(root, &mutants, &all)?)
}

fn print_counts(all: &[(&Mutant, Fate)]) {
    const FATES: [Fate; 6] =
        [Fate::Killed, Fate::Survived, Fate::Unreached, Fate::TimedOut, Fate::Unviable, Fate::LeftOut];
    let mut by_file: BTreeMap<&str, [usize; 6]> = BTreeMap::new();
    for (mutant, fate) in all {
        let column = FATES.iter().position(|have| have == fate).unwrap_or_default();
        by_file.entry(&mutant.file).or_default()[column] += 1;
        by_file.entry("~ all").or_default()[column] += 1;
    }
    println!("\n| File | Killed | Survived | Unreached | Timed out | Unviable | Left out |");
    println!("|---|---|---|---|---|---|---|");
    for (file, counts) in by_file {
        let counts: Vec<String> = counts.iter().map(usize::to_string).collect();
        println!("| {} | {} |", file.trim_start_matches("~ "), counts.join(" | "));
    }
}
