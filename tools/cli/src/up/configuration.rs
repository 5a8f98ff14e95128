//! The file given with `--config`: a merchant's own providers by description.

use std::path::Path;

use paybell_shared::providers::described::Description;
use paybell_shared::providers::{Provider, Registry};
use serde::Deserialize;

use super::StartError;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    providers: toml::Table,
}

/// The providers that the file describes; none without a file.
///
/// # Errors
/// [`StartError::Configuration`] naming the file and what is wrong with it.
pub fn read(file: Option<&Path>) -> Result<Vec<&'static Provider>, StartError> {
    let Some(path) = file else { return Ok(Vec::new()) };
    let failed = |problem: String| StartError::Configuration { file: path.display().to_string(), problem };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    parse(&text).map_err(failed)
}

fn parse(text: &str) -> Result<Vec<&'static Provider>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let built_in = Registry::default();
    file.providers
        .into_iter()
        .map(|(name, description)| {
            if !is_usable_name(&name) {
                return Err(format!("providers.{name}: a name is 1 to 64 of a-z, 0-9 and _"));
            }
            if built_in.find(&name).is_some() {
                return Err(format!("providers.{name}: this name is built in, choose another one"));
            }
            match description {
                toml::Value::Table(table) => describe(&name, table),
                _ => Err(format!("providers.{name}: must be a table")),
            }
        })
        .collect()
}

/// Names stand in addresses and in keys of the data.
fn is_usable_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn describe(name: &str, table: toml::Table) -> Result<&'static Provider, String> {
    Ok(Description::from_table(name, table).map_err(|error| error.to_string())?.into_provider())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("provider = 1", "`provider`"),
            ("[providers]\nx = 1", "providers.x"),
            ("[providers.'a/b']", "providers.a/b"),
            ("[providers", "providers"),
            ("[providers.shop]\ntitel = 'x'", "titel"),
            ("[providers.stripe]\ntitle = 'x'", "built in"),
        ] {
            let error = parse(text).err().unwrap();
            assert!(error.contains(named), "{text}: {error}");
        }
        assert_eq!(parse("").map(|providers| providers.len()), Ok(0));
    }
}
