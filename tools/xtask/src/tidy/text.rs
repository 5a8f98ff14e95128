//! Rules for every text: no unfinished work, no path of the machine that it was written on.

use super::Finding;
use super::tree::Tree;

/// Kinds of files that people write.
const WRITTEN: &[&str] = &["md", "rs", "toml", "sh", "yaml", "yml"];
/// Marks of unfinished work, in two parts so that this file does not hold them.
const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("PLACE", "HOLDER")];
/// Beginnings of paths that exist on one machine only, in two parts for the same reason.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("/t", "mp/"),
];

/// Checks all texts.
pub fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, text) in tree.texts_of(WRITTEN) {
        for (index, line) in text.lines().enumerate() {
            for mark in MARKS.iter().filter(|mark| has_word(line, mark)) {
                findings.push(Finding::new(path, index + 1, format!("`{mark}` is unfinished work")));
            }
        }
    }
    for (path, text) in tree.texts() {
        for (index, line) in text.lines().enumerate() {
            let roots = MACHINE_PATHS.iter().copied().chain([tree.root.as_str()]);
            for root in roots.filter(|root| has_path(line, root)) {
                findings.push(Finding::new(path, index + 1, format!("`{root}…` exists on one machine only")));
            }
        }
    }
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Whether an absolute path begins with `root`; the middle of a longer path or an address does not count.
fn has_path(line: &str, root: &str) -> bool {
    line.match_indices(root).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || "./_-}~*".contains(character))
    })
}
