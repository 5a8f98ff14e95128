//! PLACEHOLDER

use std::process::ExitCode;

use clap::Args;

use crate::Place;

/// Options.
#[derive(Args)]
pub struct Options {}

/// Runs the command.
pub fn run(_place: &Place, _options: &Options) -> ExitCode {
    ExitCode::SUCCESS
}
