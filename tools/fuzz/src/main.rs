//! Runs one target on one input, writes seeds and dictionaries for libFuzzer, and measures worst cases.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use paybell_fuzz::{TARGETS, Target};

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
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::List => {
            TARGETS.iter().for_each(|target| println!("{:<16} {}", target.name, target.about));
            Ok(())
        }
        Command::Replay { target, file } => replay(&target, &file),
        Command::Seeds { folder } => TARGETS.iter().try_for_each(|target| write_seeds(target, &folder)),
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
