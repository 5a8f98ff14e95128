//! Runs cargo and its kin.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Done, StepError, TestCount};

/// A cargo command, to be run in the checkout.
pub struct Cargo {
    command: Command,
}

impl Cargo {
    /// The same cargo that runs this program, with these arguments.
    pub fn new(root: &Path, arguments: &[&str]) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Self::program(root, cargo, arguments)
    }

    /// Another program with these arguments.
    pub fn program(root: &Path, program: impl AsRef<OsStr>, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(root).stdin(Stdio::null());
        // `cargo run` describes this program's own package in variables; build scripts would take them for theirs.
        let described = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(described) {
                command.env_remove(name);
            }
        }
        Self { command }
    }

    /// Sets a variable for it.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes away the variables whose names begin like this.
    pub fn without(mut self, beginning: &str) -> Self {
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with(beginning)) {
                self.command.env_remove(name);
            }
        }
        self
    }

    /// Runs it; it prints for itself.
    ///
    /// # Errors
    /// [`StepError::Start`], or [`StepError::Failed`] when it ends with a failure.
    pub fn run(mut self) -> Result<Done, StepError> {
        println!("$ {}", self.shown());
        let status = self.command.status().map_err(|source| self.start_error(source))?;
        if status.success() { Ok(Done::All) } else { Err(StepError::Failed { command: self.shown() }) }
    }

    /// Runs tests, which print for themselves, and counts them.
    ///
    /// # Errors
    /// [`StepError::Start`], or [`StepError::Tests`] when a test fails or none is run.
    pub fn run_tests(mut self) -> Result<Done, StepError> {
        println!("$ {}", self.shown());
        let mut child =
            self.command.stdout(Stdio::piped()).spawn().map_err(|source| self.start_error(source))?;
        let mut count = TestCount::default();
        for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
            let line = line.map_err(|source| self.start_error(source))?;
            count.add(&line);
            println!("{line}");
        }
        let status = child.wait().map_err(|source| self.start_error(source))?;
        if status.success() && count.passed > 0 {
            Ok(Done::Tested(count))
        } else {
            Err(StepError::Tests { command: self.shown(), count })
        }
    }

    /// Runs it and returns what it prints to its standard output.
    ///
    /// # Errors
    /// [`StepError::Start`], or [`StepError::Failed`] when it ends with a failure.
    pub fn output(mut self) -> Result<String, StepError> {
        let output =
            self.command.stderr(Stdio::inherit()).output().map_err(|source| self.start_error(source))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(StepError::Failed { command: self.shown() })
        }
    }

    /// Runs it and returns what it prints to its standard output, however it ends; the rest is dropped.
    ///
    /// # Errors
    /// [`StepError::Start`].
    pub fn output_whatever(mut self) -> Result<String, StepError> {
        let output = self.command.output().map_err(|source| self.start_error(source))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it and keeps what it prints, for commands that run side by side.
    ///
    /// # Errors
    /// [`StepError::Start`]; that it ended with a failure is in the report.
    pub fn report(mut self) -> Result<Report, StepError> {
        let output = self.command.output().map_err(|source| self.start_error(source))?;
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed).trim().to_owned();
        Ok(Report { command: self.shown(), printed, is_success: output.status.success() })
    }

    fn shown(&self) -> String {
        let program = Path::new(self.command.get_program()).file_name().unwrap_or_default().to_string_lossy();
        let arguments = self.command.get_args().map(OsStr::to_string_lossy);
        std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
    }

    fn start_error(&self, source: io::Error) -> StepError {
        StepError::Start { command: self.shown(), source }
    }
}

/// What a command printed and how it ended.
pub struct Report {
    command: String,
    printed: String,
    is_success: bool,
}

impl Report {
    /// # Errors
    /// [`StepError::Failed`] when the command ended with a failure.
    pub fn into_result(self) -> Result<(), StepError> {
        if self.is_success { Ok(()) } else { Err(StepError::Failed { command: self.command }) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$ {}", self.command)?;
        if self.printed.is_empty() { Ok(()) } else { write!(f, "\n{}", self.printed) }
    }
}

/// A program of this workspace: cargo puts it beside this one.
///
/// # Errors
/// As finding out where this program is.
pub fn sibling_binary(name: &str) -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

/// A folder of the target folder for tools of our own.
///
/// # Errors
/// As finding out where this program is.
pub fn tools_folder() -> io::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let target = this.ancestors().nth(2).ok_or(io::ErrorKind::NotFound)?;
    Ok(target.join("tools"))
}
