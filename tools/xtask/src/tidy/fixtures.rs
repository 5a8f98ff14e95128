//! Every provider has its fixture folder, every fixture folder its provider, and the registry lists both.

use std::collections::BTreeMap;

use super::Finding;
use super::tree::Tree;

const PROVIDERS: &str = "shared/src/providers";
const FIXTURES: &str = "shared/fixtures";
/// Files and folders beside the providers that are none.
const SHARED_BY_PROVIDERS: &[&str] = &["described", "mod", "read", "registry", "tests"];
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

/// Providers by name: whatever lies directly in their folder and is not part of what they share.
fn providers(tree: &Tree) -> BTreeMap<&str, &str> {
    let mut providers = BTreeMap::new();
    for (path, _) in tree.texts_of(&["rs", "toml"]) {
        let Some(below) = path.strip_prefix(PROVIDERS).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        let name = below.split(['/', '.']).next().unwrap_or(below);
        if !SHARED_BY_PROVIDERS.contains(&name) && !name.ends_with("_tests") {
            providers.entry(name).or_insert(path);
        }
    }
    providers
}
