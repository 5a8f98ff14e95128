//! The file given with `--config`: a merchant's own providers by description.

use std::path::Path;

use paybell_shared::config::described_providers;
use paybell_shared::providers::Provider;

use super::StartError;

/// The providers that the file describes; none without a file.
///
/// # Errors
/// [`StartError::Configuration`] naming the file and what is wrong with it.
pub(crate) fn read(file: Option<&Path>) -> Result<Vec<&'static Provider>, StartError> {
    let Some(path) = file else { return Ok(Vec::new()) };
    let failed = |problem: String| StartError::Configuration { file: path.display().to_string(), problem };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    described_providers(&text).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_named_with_what_is_wrong_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("paybell.toml");
        std::fs::write(&path, "[providers.shop]\ntitel = 'x'").unwrap();
        let error = read(Some(&path)).err().unwrap().to_string();
        assert!(error.contains("paybell.toml") && error.contains("`shop`: titel"), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert!(read(Some(&path)).is_err());
        assert_eq!(read(None).map(|providers| providers.len()).ok(), Some(0));
    }
}
