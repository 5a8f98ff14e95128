//! Python's tools, pinned and in virtual environments under the target folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::suite::StepError;
use crate::suite::cargo::{Cargo, tools_folder};

/// The virtual environment of this name with these requirements, a file of the checkout; it is made anew when they
/// change.
///
/// # Errors
/// [`StepError`] when Python is missing or something cannot be installed.
pub fn environment(root: &Path, name: &str, requirements: &str) -> Result<PathBuf, StepError> {
    let home = tools_folder()?.join(name);
    let file = root.join(requirements);
    let wanted = fs::read_to_string(&file)?;
    let stamp = home.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(home);
    }
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    Cargo::program(root, "python3", &["-m", "venv", &home.to_string_lossy()]).run()?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    Cargo::program(root, home.join("bin/python"), &[&install[..], &[&file.to_string_lossy()]].concat())
        .run()?;
    // The last thing, so that what was made by half is made anew.
    fs::write(stamp, wanted)?;
    Ok(home)
}
