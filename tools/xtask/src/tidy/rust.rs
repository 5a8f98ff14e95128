//! Rules for Rust sources: budgets, module docs, forbidden macros, the AWS wall and the purity wall.

use std::collections::BTreeSet;

use super::Finding;
use super::source::{Named, Source};
use super::tree::Tree;

/// Most lines of a source, tests included.
const FILE_LINES_MAX: usize = 450;
/// Most lines of a function, from its signature to its closing brace.
const FUNCTION_LINES_MAX: usize = 80;

/// Macros that mean unfinished work.
const FORBIDDEN_MACROS: &[&str] = &["dbg!", "todo!", "unimplemented!"];

/// Crates of the AWS SDK, by the beginning of their names. The event types and the cryptography are not among them.
const AWS_CRATES: &[&str] = &["aws_config", "aws_credential_types", "aws_sdk_", "aws_smithy_", "aws_types"];
/// Where AWS crates may be named.
const AWS_PLACES: &[&str] = &["shared/src/aws/", "tests/", "tools/cli/src/up/"];

/// Folders whose code has time, randomness, secrets and the network as arguments.
const PURE_PLACES: &[&str] = &["shared/src/callback/", "shared/src/domain/", "shared/src/providers/"];
/// What pure code may not name: paths and what is below them.
const IMPURE_PATHS: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
];
/// What pure code may not name as any part of a path.
const IMPURE_PARTS: &[&str] =
    &["Instant", "OsRng", "SystemRandom", "SystemTime", "getrandom", "rand", "thread_rng"];
/// Clocks: a type and its function that reads the time.
const CLOCKS: &[&str] = &["Timestamp::now", "Zoned::now"];

/// Checks all Rust sources.
pub fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let sources: Vec<_> =
        tree.texts_of(&["rs"]).map(|(path, text)| (path, text, Source::parse(text))).collect();
    let offstage_files =
        offstage_files(sources.iter().filter_map(|(path, _, source)| Some((*path, source.as_ref().ok()?))));
    for (path, text, source) in &sources {
        match source {
            Err(error) => findings.push(Finding::new(path, error.span().start().line, error.to_string())),
            Ok(source) => {
                check_budgets(path, text, source, findings);
                let is_offstage_file = is_offstage_file(path, &offstage_files);
                check_names(path, source, is_offstage_file, findings);
            }
        }
    }
}

fn check_budgets(path: &str, text: &str, source: &Source, findings: &mut Vec<Finding>) {
    if !source.has_module_doc {
        findings.push(Finding::new(path, 1, "begins without a module doc (`//! …`)"));
    }
    let line_count = text.lines().count();
    if line_count > FILE_LINES_MAX {
        let message = format!("{line_count} lines, at most {FILE_LINES_MAX}: split the file");
        findings.push(Finding::new(path, FILE_LINES_MAX, message));
    }
    for function in source.functions.iter().filter(|function| function.line_count > FUNCTION_LINES_MAX) {
        let message = format!(
            "`{}` has {} lines, at most {FUNCTION_LINES_MAX}: split the function",
            function.name, function.line_count
        );
        findings.push(Finding::new(path, function.line, message));
    }
}

fn check_names(path: &str, source: &Source, is_offstage_file: bool, findings: &mut Vec<Finding>) {
    let is_pure = PURE_PLACES.iter().any(|place| path.starts_with(place));
    for named in &source.named {
        if FORBIDDEN_MACROS.contains(&named.path.rsplit("::").next().unwrap_or_default()) {
            findings.push(Finding::new(path, named.line, format!("`{}` is unfinished work", named.path)));
        }
        if is_offstage_file || source.is_offstage(named.line) {
            continue;
        }
        if is_aws(named) && !may_name_aws(path) {
            let message = format!("`{}`: the AWS SDK is named only in {}", named.path, AWS_PLACES.join(", "));
            findings.push(Finding::new(path, named.line, message));
        }
        if is_pure && is_impure(named) {
            let message = format!("`{}`: this folder is pure, make it an argument", named.path);
            findings.push(Finding::new(path, named.line, message));
        }
    }
}

fn is_aws(named: &Named) -> bool {
    named.path.split("::").any(|part| AWS_CRATES.iter().any(|name| part.starts_with(name)))
}

fn may_name_aws(path: &str) -> bool {
    let is_function_binary = path.starts_with("functions/") && path.ends_with("/src/main.rs");
    is_function_binary || AWS_PLACES.iter().any(|place| path.starts_with(place))
}

fn is_impure(named: &Named) -> bool {
    let path = named.path.trim_end_matches('!');
    let is_at_or_below =
        |place: &str| path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    IMPURE_PATHS.iter().copied().any(is_at_or_below)
        || path.split("::").any(|part| IMPURE_PARTS.contains(&part))
        || CLOCKS.iter().any(|clock| path.ends_with(clock))
}

/// The files, and folders ending with `/`, that a `mod name;` only for tests or the sandbox brings in.
fn offstage_files<'a>(sources: impl Iterator<Item = (&'a str, &'a Source)>) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for (path, source) in sources {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let home = match file {
            "mod.rs" | "lib.rs" | "main.rs" | "handler.rs" => folder.to_owned(),
            _ => path.trim_end_matches(".rs").to_owned(),
        };
        for module in &source.offstage_modules {
            files.insert(format!("{home}/{module}.rs"));
            files.insert(format!("{home}/{module}/"));
        }
    }
    files
}

fn is_offstage_file(path: &str, offstage_files: &BTreeSet<String>) -> bool {
    let folders = path.match_indices('/').map(|(at, _)| &path[..=at]);
    offstage_files.contains(path)
        || folders.into_iter().any(|folder| offstage_files.contains(folder) || folder.ends_with("/tests/"))
        || path.starts_with("tests/")
}
