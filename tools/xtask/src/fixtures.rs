//! Makes the providers' fixture vectors again.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs the program that makes them; it is the tests' own, so that this one stays quick to build.
pub fn run(root: &Path) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["run", "--quiet", "--package", "paybell-conformance", "--bin", "fixtures"];
    match Command::new(cargo).args(arguments).current_dir(root).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: cargo cannot be run: {error}");
            ExitCode::FAILURE
        }
    }
}
