//! Rules for crates: each but one takes the workspace's lints, which forbid unsafe code.

use super::Finding;
use super::tree::Tree;

/// The workspace's manifest.
const WORKSPACE: &str = "Cargo.toml";
/// What it must say of unsafe code.
const FORBIDDEN: &str = "unsafe_code = \"forbid\"";

/// The one crate outside of the workspace: libFuzzer's entry point needs what ours forbids.
const OUTSIDE: &str = "tools/fuzz/fuzz/Cargo.toml";

/// Checks all manifests.
pub fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let manifests = tree.texts_of(&["toml"]).filter(|(path, _)| path.ends_with(WORKSPACE));
    for (path, text) in manifests {
        if path == WORKSPACE {
            if !in_table(text, "[workspace.lints.rust]").any(|line| line == FORBIDDEN) {
                findings.push(Finding::new(path, 1, format!("`[workspace.lints.rust]` lacks `{FORBIDDEN}`")));
            }
        } else if path != OUTSIDE && !in_table(text, "[lints]").any(|line| line == "workspace = true") {
            let message = "takes no lints of the workspace: `[lints]` with `workspace = true`";
            findings.push(Finding::new(path, 1, message));
        }
    }
}

/// The lines of a table, from behind its name to the next one.
fn in_table<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().map(str::trim).skip_while(move |line| *line != name);
    lines.skip(1).take_while(|line| !line.starts_with('['))
}
