//! The steps, cheap ones first.

use std::path::Path;

use super::cargo::{Cargo, sibling_binary};
use super::{Done, StepError, crate_graph, deny, emulator};
use crate::{infra, tidy};

/// One step of the suite.
pub struct Step {
    /// Its name for `--only`.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Does it.
    pub run: fn(&Path) -> Result<Done, StepError>,
}

/// All steps in the order in which they run.
pub const STEPS: &[Step] = &[
    Step { name: "format", about: "sources are formatted", run: format },
    Step { name: "tidy", about: "budgets, walls, fixtures and links of the sources", run: tidy },
    Step { name: "crate-graph", about: "crates stay out of where they do not belong", run: crate_graph::run },
    Step { name: "deny", about: "licences, bans, origins and advisories of dependencies", run: deny::run },
    Step {
        name: "infra",
        about: "the deployment template and workflows, by linters and by the design",
        run: infra::run,
    },
    Step { name: "clippy", about: "lints of all targets, warnings denied", run: clippy },
    Step { name: "docs", about: "documentation builds, warnings denied", run: docs },
    Step { name: "build", about: "every program links", run: build },
    Step { name: "unit", about: "unit and property tests", run: unit },
    Step {
        name: "integration",
        about: "conformance, differential and end-to-end tests, the model, the simulation, a fuzz run",
        run: integration,
    },
    Step {
        name: "emulator",
        about: "a deploy to an AWS emulator, and the end-to-end suite there",
        run: emulator::run,
    },
    Step {
        name: "outages",
        about: "a deploy to an AWS emulator that fails for the functions",
        run: emulator::run_outages,
    },
    Step { name: "doc-tests", about: "examples in the documentation", run: doc_tests },
];

fn format(root: &Path) -> Result<Done, StepError> {
    Cargo::new(root, &["fmt", "--all", "--check"]).run()
}

fn tidy(root: &Path) -> Result<Done, StepError> {
    match tidy::check(root)? {
        0 => Ok(Done::All),
        count => Err(StepError::Findings(count)),
    }
}

fn clippy(root: &Path) -> Result<Done, StepError> {
    Cargo::new(root, &["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()
}

fn docs(root: &Path) -> Result<Done, StepError> {
    Cargo::new(root, &["doc", "--locked", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

fn build(root: &Path) -> Result<Done, StepError> {
    Cargo::new(root, &["build", "--locked", "--workspace", "--bins"]).run()
}

fn unit(root: &Path) -> Result<Done, StepError> {
    Cargo::new(root, &["test", "--locked", "--workspace", "--no-fail-fast", "--lib", "--bin", "xtask"])
        .run_tests()
}

/// The end-to-end tests run the program of the `build` step; it is built again here so that the step stands alone.
fn integration(root: &Path) -> Result<Done, StepError> {
    build(root)?;
    Cargo::new(root, &["test", "--locked", "--workspace", "--no-fail-fast", "--test", "*"])
        .env("PAYBELL_BIN", sibling_binary("paybell")?)
        .run_tests()
}

fn doc_tests(root: &Path) -> Result<Done, StepError> {
    Cargo::new(root, &["test", "--locked", "--workspace", "--no-fail-fast", "--doc"]).run_tests()
}
