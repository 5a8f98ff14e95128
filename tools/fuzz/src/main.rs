//! Runs one target on one input, writes seeds and dictionaries for libFuzzer, and measures worst cases.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use paybell_fuzz::worst::{self, Measured};
use paybell_fuzz::{TARGETS, Target};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Fuzz targets outside of a fuzzer.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the targets.
    List,
    /// Runs a target on a kept input, with its panic if it has one.
    Replay {
        /// The target.
        target: String,
        /// The file with the input.
        file: PathBuf,
    },
    /// Writes every target's seeds and dictionary: `FOLDER/TARGET/` and `FOLDER/TARGET.dict`.
    Seeds {
        /// The folder.
        folder: PathBuf,
    },
    /// Measures inputs of the largest size that are built to be worst, and prints the slowest first.
    Worst {
        /// Only those whose names contain this.
        #[arg(long, default_value = "")]
        only: String,
        /// How many are printed.
        #[arg(long, default_value_t = 40)]
        top: usize,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::List => {
            TARGETS.iter().for_each(|target| println!("{:<16} {}", target.name, target.about));
            Ok(())
        }
        Command::Replay { target, file } => replay(&target, &file),
        Command::Seeds { folder } => TARGETS.iter().try_for_each(|target| write_seeds(target, &folder)),
        Command::Worst { only, top } => {
            print_worst(&only, top);
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("paybell-fuzz: {error}");
            ExitCode::FAILURE
        }
    }
}

fn replay(target: &str, file: &Path) -> std::io::Result<()> {
    let input = std::fs::read(file)?;
    paybell_fuzz::run(target, &input);
    println!("`{target}` takes the {} bytes of {}", input.len(), file.display());
    Ok(())
}

fn write_seeds(target: &Target, folder: &Path) -> std::io::Result<()> {
    let seeds = (target.seeds)();
    let corpus = folder.join(target.name);
    std::fs::create_dir_all(&corpus)?;
    for (index, seed) in seeds.iter().enumerate() {
        std::fs::write(corpus.join(format!("seed-{index:04}")), seed)?;
    }
    std::fs::write(folder.join(format!("{}.dict", target.name)), target.dictionary)?;
    println!("{:<16} {} seeds", target.name, seeds.len());
    Ok(())
}

fn print_worst(only: &str, top: usize) {
    let all = worst::all().into_iter().filter(|worst| worst.name.contains(only));
    let measured: Vec<Option<Measured>> = all.map(|worst| worst::measure(&worst, peak_since_last)).collect();
    let count = measured.len();
    let mut measured: Vec<Measured> = measured.into_iter().flatten().collect();
    measured.sort_by_key(|measured| std::cmp::Reverse(measured.times[2]));
    println!("{:>10} {:>10} {:>10} {:>6} {:>10}", "n/4", "n/2", "n", "n:n/2", "peak");
    for one in measured.iter().take(top) {
        let [quarter, half, all] = one.times.map(|time| format!("{:.2} ms", time.as_secs_f64() * 1000.0));
        let (ratio, peak_kib) = (one.ratio(), one.peak_bytes / 1024);
        println!("{quarter:>10} {half:>10} {all:>10} {ratio:>6.1} {peak_kib:>6} KiB  {}", one.name);
    }
    println!("{count} families, of which {} take more than 2 ms", measured.len());
}

fn peak_since_last() -> usize {
    let peak_bytes = ALLOCATOR.peak_usage();
    ALLOCATOR.reset_peak_usage();
    peak_bytes.saturating_sub(ALLOCATOR.current_usage())
}
