//! What describes the deployment: linted, and held to the design and to the code.

pub mod permissions;
mod rules;
mod sources;
mod suppressions;
mod template;

use std::fs;
use std::path::Path;
use std::thread;

use thiserror::Error;

use crate::python;
use crate::suite::cargo::{Cargo, Report};
use crate::suite::{Done, StepError};
use sources::{Code, CodeError};
use template::{Template, TemplateError};

/// The deployment template.
const TEMPLATE: &str = "infra/template.yaml";

/// A virtual environment and what is run from it. They are apart because their requirements contradict each other.
struct Tools {
    environment: &'static str,
    requirements: &'static str,
    commands: &'static [&'static [&'static str]],
}

const TOOLS: &[Tools] = &[
    Tools {
        environment: "template-venv",
        requirements: "tests/infra/requirements-template.txt",
        commands: &[
            &["sam", "validate", "--lint", "--template-file", TEMPLATE, "--region", "us-east-1"],
            &["cfn-lint", TEMPLATE],
            &[
                "shellcheck",
                "--external-sources",
                "--check-sourced",
                "infra/deploy",
                "infra/destroy",
                ".ci/run",
            ],
        ],
    },
    Tools {
        environment: "checkov-venv",
        requirements: "tests/infra/requirements-checkov.txt",
        commands: &[&["checkov", "--config-file", "infra/.checkov.yaml", "--file", TEMPLATE]],
    },
    Tools {
        environment: "workflows-venv",
        requirements: "tests/infra/requirements-workflows.txt",
        commands: &[
            &[
                "check-jsonschema",
                "--builtin-schema",
                "vendor.github-workflows",
                WORKFLOWS[0],
                WORKFLOWS[1],
                WORKFLOWS[2],
            ],
            // Below medium it asks for the spelling of the month.
            &["zizmor", "--offline", "--quiet", "--min-severity", "medium", ".github/workflows"],
        ],
    },
];

/// What GitHub runs.
const WORKFLOWS: [&str; 3] =
    [".github/workflows/test.yml", ".github/workflows/deploy.yml", ".github/workflows/deploy-stage.yml"];

/// Why the template could not be held to anything.
#[derive(Debug, Error)]
pub enum InfraError {
    /// The template cannot be read.
    #[error("{TEMPLATE}: {0}")]
    Template(#[from] TemplateError),
    /// The code cannot be read.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// A file cannot be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
}

/// Runs the linters, and holds the template to the design and to the code.
///
/// # Errors
/// [`StepError`] when a linter cannot be installed or complains, and for findings after printing them.
pub fn run(root: &Path) -> Result<Done, StepError> {
    let findings = findings(root)?;
    for finding in &findings {
        println!("{finding}");
    }
    println!("{} findings about the design", findings.len());
    lint(root)?;
    if findings.is_empty() { Ok(Done::All) } else { Err(StepError::Findings(findings.len())) }
}

fn findings(root: &Path) -> Result<Vec<String>, InfraError> {
    let template = Template::parse(&fs::read_to_string(root.join(TEMPLATE))?)?;
    let mut findings = rules::findings(&template, &Code::read(root)?);
    findings.extend(suppressions::findings(root)?);
    findings.extend(permissions::finding(root, &template)?);
    Ok(findings)
}

/// The environments side by side, since each waits for the network and for its own imports.
fn lint(root: &Path) -> Result<(), StepError> {
    let results: Vec<Result<(), StepError>> = thread::scope(|scope| {
        let running: Vec<_> = TOOLS.iter().map(|tools| scope.spawn(|| tools.run(root))).collect();
        running.into_iter().map(|running| running.join().expect("a linter's thread does not panic")).collect()
    });
    results.into_iter().collect()
}

impl Tools {
    fn run(&self, root: &Path) -> Result<(), StepError> {
        let home = python::environment(root, self.environment, self.requirements)?;
        let reports = self.commands.iter().map(|command| {
            let program = home.join("bin").join(command[0]);
            let report =
                Cargo::program(root, program, &command[1..]).env("SAM_CLI_TELEMETRY", "0").report()?;
            println!("{report}");
            Ok::<Report, StepError>(report)
        });
        // All of them, so that one finding does not hide the others.
        let reports = reports.collect::<Result<Vec<_>, _>>()?;
        reports.into_iter().try_for_each(Report::into_result)
    }
}
