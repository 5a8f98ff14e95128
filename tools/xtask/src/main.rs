//! The project's own chores: `cargo xtask test`, `tidy`, `fixtures`, `mutants`, `readme`, `permissions` and `attacks`.

mod attacks;
mod fixtures;
mod infra;
mod mutants;
mod python;
mod readme;
mod suite;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every check that a change must pass, step by step
    #[command(after_help = suite::steps_help())]
    Test(suite::Options),
    /// Check budgets, walls, fixtures and links of the sources
    Tidy,
    /// Make the vectors in the providers' fixture folders again, after a payload or a protocol has changed
    Fixtures,
    /// Find mistakes in the sources that no test would notice
    Mutants(mutants::Options),
    /// Write the table of providers into the README again
    Readme,
    /// Write what each function may do into docs/permissions.md again
    Permissions,
    /// Write the tests into the table of docs/attacks.md again
    Attacks,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let root = project_root();
    match cli.command {
        Command::Test(options) => suite::run(&root, &options),
        Command::Tidy => tidy::run(&root),
        Command::Fixtures => fixtures::run(&root),
        Command::Mutants(options) => mutants::run(&root, &options),
        Command::Readme => readme::run(&root),
        Command::Permissions => infra::permissions::run(&root),
        Command::Attacks => attacks::run(&root),
    }
}

/// The checkout that cargo runs this program for; without cargo, the one that it was built from.
fn project_root() -> PathBuf {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest).ancestors().nth(2).map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
