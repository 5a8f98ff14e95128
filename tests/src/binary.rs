//! Finds the programs under test.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// Names the binary to test; without it the harness has cargo build the one of this checkout.
pub const BINARY_VARIABLE: &str = "PAYBELL_BIN";

/// The `paybell` binary: `PAYBELL_BIN`, else built from this checkout in the profile of the harness itself.
pub fn paybell() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| named_by_variable().unwrap_or_else(|| build("paybell", "paybell"))).clone()
}

/// A function's Lambda binary: beside the one that `PAYBELL_BIN` names, else built from this checkout.
pub fn function(name: &str) -> PathBuf {
    named_by_variable()
        .map(|paybell| paybell.with_file_name(name))
        .filter(|path| path.is_file())
        .unwrap_or_else(|| build(&format!("{name}-function"), name))
}

fn named_by_variable() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(BINARY_VARIABLE)?);
    assert!(path.is_file(), "{BINARY_VARIABLE} names `{}`, which is not a file", path.display());
    Some(path)
}

/// A test of another crate has no `CARGO_BIN_EXE_paybell`; cargo itself says best where the binary is.
fn build(package: &str, binary: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", package, "--bin", binary, "--message-format=json"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("cannot run cargo ({error}): set {BINARY_VARIABLE}"));
    assert!(output.status.success(), "cargo could not build {binary}: see above, or set {BINARY_VARIABLE}");
    executable(&output.stdout, binary)
        .unwrap_or_else(|| panic!("cargo built no executable `{binary}`: set {BINARY_VARIABLE}"))
}

fn executable(messages: &[u8], binary: &str) -> Option<PathBuf> {
    String::from_utf8_lossy(messages)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == binary)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}
