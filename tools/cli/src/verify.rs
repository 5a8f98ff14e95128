//! PLACEHOLDER

use std::process::ExitCode;

use clap::Args;

/// Options.
#[derive(Args)]
pub struct Options {}

/// Runs the command.
pub fn run(_options: &Options) -> ExitCode {
    ExitCode::SUCCESS
}
