//! Licences, bans, origins and advisories of dependencies, by cargo-deny.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::cargo::{Cargo, tools_folder};
use super::{Done, StepError};

const CARGO_DENY_VERSION: &str = "0.20.2";

/// How long fetching the advisory database may take; it is a shallow clone of a few megabytes.
const ADVISORY_FETCH_SECONDS_MAX: u64 = 90;

/// Checks dependencies against `deny.toml`; advisories only where their database can be reached.
///
/// # Errors
/// [`StepError`] when cargo-deny cannot be installed or finds something.
pub fn run(root: &Path) -> Result<Done, StepError> {
    let program = installed(root)?;
    Cargo::program(
        root,
        &program,
        &["--locked", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"],
    )
    .run()?;
    if !fetch_advisories(root, &program)? {
        let skipped = "advisories SKIPPED: their database on github.com cannot be fetched from here";
        println!("{skipped}");
        return Ok(Done::Except(skipped.to_owned()));
    }
    Cargo::program(root, &program, &["--locked", "check", "--hide-inclusion-graph", "advisories"]).run()
}

/// The pinned cargo-deny; the first run builds it, unoptimised because that takes a third of the time.
fn installed(root: &Path) -> Result<PathBuf, StepError> {
    let home = tools_folder()?.join(format!("cargo-deny-{CARGO_DENY_VERSION}"));
    let program = home.join("bin/cargo-deny");
    if !program.is_file() {
        let home_text = home.to_string_lossy();
        let arguments =
            ["install", "cargo-deny", "--version", CARGO_DENY_VERSION, "--locked", "--debug", "--quiet"];
        Cargo::new(root, &[&arguments[..], &["--root", &home_text]].concat())
            .env("CARGO_TARGET_DIR", home.join("build"))
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .env("CARGO_INCREMENTAL", "0")
            .run()?;
        std::fs::remove_dir_all(home.join("build"))?;
    }
    Ok(program)
}

/// Whether the database could be fetched in time.
fn fetch_advisories(root: &Path, program: &Path) -> Result<bool, StepError> {
    let mut fetch = Command::new(program)
        .args(["--locked", "fetch", "db"])
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let deadline = Instant::now() + Duration::from_secs(ADVISORY_FETCH_SECONDS_MAX);
    while Instant::now() < deadline {
        if let Some(status) = fetch.try_wait()? {
            return Ok(status.success());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    fetch.kill()?;
    fetch.wait()?;
    Ok(false)
}
