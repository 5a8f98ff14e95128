//! The survivors that `docs/mutants.md` lists, each with the reason why it may live.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::list::Mutant;
use super::run::Fate;

/// Where they are listed.
pub const FILE: &str = "docs/mutants.md";

/// Prints the survivors that are not listed, and what is listed in vain: what did not survive, and what is no mutant any
/// more of a file of which `mutants` were run. Returns how many are not listed.
///
/// # Errors
/// As reading the list.
pub fn unknown(root: &Path, mutants: &[Mutant], fates: &[(&Mutant, Fate)]) -> io::Result<usize> {
    let mut listed = read(&fs::read_to_string(root.join(FILE))?);
    let mut unknown_count = 0;
    let survives = |fate: &Fate| matches!(fate, Fate::Survived | Fate::Unreached);
    for (mutant, _) in fates.iter().filter(|(_, fate)| survives(fate)) {
        match listed.get_mut(&(mutant.file.clone(), mutant.about.clone())) {
            Some(count) if *count > 0 => *count -= 1,
            _ => {
                println!("not listed: {}", mutant.name());
                unknown_count += 1;
            }
        }
    }
    let run: BTreeSet<usize> = fates.iter().map(|(mutant, _)| mutant.number).collect();
    let files: BTreeSet<&str> = fates.iter().map(|(mutant, _)| &*mutant.file).collect();
    let not_run = mutants.iter().filter(|mutant| !run.contains(&mutant.number));
    let not_run: BTreeSet<(&str, &str)> = not_run.map(|mutant| (&*mutant.file, &*mutant.about)).collect();
    for ((file, about), count) in listed.iter().filter(|(_, count)| **count > 0) {
        if files.contains(&**file) && !not_run.contains(&(&**file, &**about)) {
            println!("listed in vain, {count} times: {file}: {about}");
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
        if let [_, file, about, _why, _] = &*cells {
            *listed.entry((file.clone(), about.clone())).or_default() += 1;
        }
    }
    listed
}
