//! Every provider has its fixture folder, every fixture folder its provider, and the registry lists both.

use std::collections::BTreeMap;

use super::Finding;
use super::tree::Tree;

const PROVIDERS: &str = "shared/src/providers";
const FIXTURES: &str = "shared/fixtures";
/// What a coded provider's file has: its value, or the description of its signature.
const PROVIDER_VALUES: &[&str] =
    &["pub static PROVIDER: Provider", "described_signature(NAME", "described_signature_and_inquiry(NAME"];
/// The sample of a configured provider, which no registry line names.
const OWN_PROVIDER: &str = "own_provider";
const REGISTRY: &str = "shared/src/providers/registry.rs";

/// Checks providers against fixture folders and the registry.
pub fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let providers = providers(tree);
    let registry = tree.text(REGISTRY).unwrap_or_default();
    for (name, path) in &providers {
        if !registry.contains(*name) {
            findings.push(Finding::new(path, 1, format!("`{name}` is not listed in {REGISTRY}")));
        }
        let folder = format!("{FIXTURES}/{name}");
        if !tree.exists(&format!("{folder}/MAPPING.md")) {
            findings.push(Finding::new(path, 1, format!("{folder}/MAPPING.md is missing")));
        }
        if !tree.exists(&format!("{folder}/payloads")) {
            findings.push(Finding::new(path, 1, format!("{folder}/payloads is missing or empty")));
        }
    }
    for below in tree.under(FIXTURES) {
        let Some((folder, _)) = below.split_once('/') else { continue };
        if folder != OWN_PROVIDER && !providers.contains_key(folder) {
            let path = format!("{FIXTURES}/{below}");
            findings.push(Finding::new(&path, 1, format!("there is no provider `{folder}`")));
        }
    }
}

/// Providers by name: the descriptions, and the files that declare a provider's value.
fn providers(tree: &Tree) -> BTreeMap<&str, &str> {
    let mut providers = BTreeMap::new();
    for (path, text) in tree.texts_of(&["rs", "toml"]) {
        let below = path.strip_prefix(PROVIDERS).and_then(|rest| rest.strip_prefix('/'));
        let Some((name, extension)) = below.and_then(|below| below.split_once('.')) else { continue };
        let declares = extension == "toml" || PROVIDER_VALUES.iter().any(|value| text.contains(value));
        if !name.contains('/') && declares {
            providers.entry(name).or_insert(path);
        }
    }
    providers
}
