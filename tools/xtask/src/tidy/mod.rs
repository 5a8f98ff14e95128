//! `cargo xtask tidy`: what the compiler and its lints do not check about the sources.

mod fixtures;
mod links;
mod members;
mod mutants;
mod proofs;
mod rust;
pub mod source;
mod text;
pub mod tree;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use crate::attacks;
use tree::Tree;

/// Runs the check on a checkout and prints what it finds.
pub fn run(root: &Path) -> ExitCode {
    match check(root) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tidy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Checks a checkout, prints what it finds and says how much that was.
///
/// # Errors
/// As reading files.
pub fn check(root: &Path) -> std::io::Result<usize> {
    let tree = Tree::read(root)?;
    let findings = findings(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} files, {} findings", tree.len(), findings.len());
    Ok(findings.len())
}

/// One thing that is not as it should be.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    /// Something at a line of a file.
    pub fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    rust::check(tree, &mut findings);
    text::check(tree, &mut findings);
    links::check(tree, &mut findings);
    members::check(tree, &mut findings);
    proofs::check(tree, &mut findings);
    fixtures::check(tree, &mut findings);
    mutants::check(tree, &mut findings);
    attacks::check(tree, &mut findings);
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    findings
}
