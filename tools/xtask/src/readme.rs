//! Writes the table of providers into the README again.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

const BEGIN: &str = "<!-- providers: made by `cargo xtask readme` -->\n";
const END: &str = "<!-- end of providers -->";

/// Runs `paybell providers --markdown` and puts its table between the marks.
pub fn run(root: &Path) -> ExitCode {
    match write(root) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(root: &Path) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["run", "--quiet", "--package", "paybell", "--", "providers", "--markdown"];
    let output = Command::new(cargo).args(arguments).current_dir(root).output();
    let output = output.map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let file = root.join("README.md");
    let text = fs::read_to_string(&file).map_err(|error| format!("README.md: {error}"))?;
    let (before, rest) = text.split_once(BEGIN).ok_or("README.md lacks the mark before the table")?;
    let (_, after) = rest.split_once(END).ok_or("README.md lacks the mark behind the table")?;
    let table = String::from_utf8_lossy(&output.stdout);
    let text = format!("{before}{BEGIN}\n{}\n\n{END}{after}", table.trim_end());
    fs::write(&file, text).map_err(|error| format!("README.md: {error}"))
}
