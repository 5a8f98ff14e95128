//! The survivors that `docs/mutants.md` lists, each with the reason why it may live.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::list::Mutant;

/// Where they are listed.
pub const FILE: &str = "docs/mutants.md";

/// Prints the survivors that are not listed, and what is listed in vain of the same files; returns how many are not listed.
///
/// # Errors
/// As reading the list.
pub fn unknown<'a>(root: &Path, survivors: impl Iterator<Item = &'a Mutant>) -> io::Result<usize> {
    let mut listed = read(&fs::read_to_string(root.join(FILE))?);
    let mut unknown_count = 0;
    for mutant in survivors {
        match listed.get_mut(&(mutant.file.clone(), mutant.about.clone())) {
            Some(count) if *count > 0 => *count -= 1,
            _ => {
                println!("not listed: {}", mutant.name());
                unknown_count += 1;
            }
        }
    }
    Ok(unknown_count)
}

/// How often each mutant of each file is listed: rows `| FILE | MUTANT | WHY |`, the first two as code.
pub fn read(text: &str) -> BTreeMap<(String, String), usize> {
    let mut listed = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `shared/")) {
        let line = line.replace("\\|", "\u{0}");
        let cells: Vec<String> =
            line.split('|').map(|cell| cell.trim().trim_matches('`').replace('\u{0}', "|")).collect();
        if let [_, file, about, _why, ..] = &*cells {
            *listed.entry((file.clone(), about.clone())).or_default() += 1;
        }
    }
    listed
}
