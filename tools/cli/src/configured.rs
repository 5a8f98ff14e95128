//! A merchant's own providers, from the file that `--config` names.

use std::path::Path;

use paybell_shared::providers::Provider;

/// The providers of the file; none without a file.
///
/// # Errors
/// A sentence that names the file and what is wrong with it.
pub fn providers(file: Option<&Path>) -> Result<Vec<&'static Provider>, String> {
    match file {
        None => Ok(Vec::new()),
        Some(file) => Err(format!("{}", file.display())),
    }
}
