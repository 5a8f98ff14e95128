//! The README says what the program says.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test")]

use paybell_cli::providers::readme_table;
use paybell_conformance::repository;
use paybell_shared::providers::{Registry, registry};

#[test]
fn the_table_of_providers_is_the_programs() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let table = readme_table();
    assert!(readme.contains(table.trim_end()), "run `cargo xtask readme` and look at the difference");
    assert_eq!(table.lines().count(), Registry::default().iter().count() + 2);
}

/// What a listing promises to merchants is there for every provider.
#[test]
fn every_provider_states_its_facts() {
    for provider in registry::built_in() {
        let name = provider.name;
        assert!(!provider.title.is_empty(), "{name}: title");
        assert!(!provider.scheme.is_empty(), "{name}: scheme");
        assert!(!provider.events.is_empty(), "{name}: events");
        assert!(!provider.retry_schedule.is_empty(), "{name}: retry_schedule");
        assert!(!provider.documents.is_empty(), "{name}: documents");
        assert!(provider.documents.iter().all(|url| url.starts_with("https://")), "{name}: documents");
        assert!((200..300).contains(&provider.answers.success.status), "{name}: success status");
        let names: Vec<&str> = provider.credential_fields.iter().map(|field| field.name).collect();
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len(), "{name}: a credential is listed twice");
    }
    let names: Vec<&str> = registry::built_in().map(|provider| provider.name).collect();
    assert!(names.is_sorted(), "the registry is in alphabetical order: {names:?}");
}
