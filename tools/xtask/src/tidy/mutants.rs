//! The listed survivors of mutation testing are of sources that are there.

use super::Finding;
use super::tree::Tree;
use crate::mutants::known;

/// Checks the list of survivors.
pub fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let Some(text) = tree.text(known::FILE) else { return };
    for (file, about) in known::read(text).into_keys() {
        if !tree.exists(&file) {
            findings.push(Finding::new(known::FILE, 1, format!("`{about}`: there is no {file}")));
        }
    }
}
