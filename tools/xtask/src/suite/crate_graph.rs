//! Crates stay out of where they do not belong: checked on the resolved graph, so that no feature slips them in.

use std::path::Path;

use super::cargo::Cargo;
use super::{Done, StepError};

/// A package of ours and names that its dependencies may not have; one that ends with `-` is a beginning.
struct Wall {
    package: &'static str,
    forbidden: &'static [&'static str],
    why: &'static str,
}

const WALLS: &[Wall] = &[
    Wall {
        package: "paybell-shared",
        forbidden: &["aws-config", "aws-sdk-", "aws-smithy-", "lambda_runtime"],
        why: "without its `aws` feature the common crate is free of AWS",
    },
    Wall {
        package: "paybell-conformance",
        forbidden: &["aws-config", "aws-sdk-", "aws-smithy-", "lambda_runtime"],
        why: "the conformance of providers is checked again after every change in one, so it must build in seconds",
    },
    functions("callback-function"),
    functions("apply-function"),
    functions("reconcile-function"),
    functions("notify-function"),
    functions("connections-function"),
    functions("orders-function"),
];

const fn functions(package: &'static str) -> Wall {
    Wall {
        package,
        forbidden: &[
            "axum",
            "clap",
            "dynoxide-rs",
            "include_dir",
            "native-tls",
            "openssl",
            "openssl-sys",
            "rcgen",
            "ring",
            "rusqlite",
        ],
        why: "a function holds no local host, no sandbox key and no second TLS stack",
    }
}

/// Checks all walls.
///
/// # Errors
/// [`StepError::Findings`] after printing them.
pub fn run(root: &Path) -> Result<Done, StepError> {
    let mut finding_count = 0;
    for wall in WALLS {
        let arguments =
            ["tree", "--locked", "--edges", "normal", "--prefix", "none", "--package", wall.package];
        let listing = Cargo::new(root, &arguments).output()?;
        for name in trespassers(&listing, wall.forbidden) {
            println!("{} depends on {name}: {}", wall.package, wall.why);
            finding_count += 1;
        }
    }
    println!("{} walls checked", WALLS.len());
    if finding_count == 0 { Ok(Done::All) } else { Err(StepError::Findings(finding_count)) }
}

/// The forbidden names in what `cargo tree --prefix none` lists, each once.
fn trespassers<'a>(listing: &'a str, forbidden: &[&str]) -> std::collections::BTreeSet<&'a str> {
    let names = listing.lines().filter_map(|line| line.split_whitespace().next());
    let is_forbidden =
        |name: &&str| forbidden.iter().any(|no| name == no || no.ends_with('-') && name.starts_with(no));
    names.filter(is_forbidden).collect()
}

#[cfg(test)]
mod tests {
    use super::trespassers;

    #[test]
    fn a_forbidden_dependency_is_found_once() {
        let listing = "paybell-shared v0.1.0\naws-lc-rs v1.2.3\naws-sdk-sqs v1.0.0\naws-sdk-sqs v1.0.0 (*)\ntokio-util v1\n";
        let found: Vec<_> = trespassers(listing, &["aws-sdk-", "tokio"]).into_iter().collect();
        assert_eq!(found, ["aws-sdk-sqs"]);
    }
}
