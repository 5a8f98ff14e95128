//! What linters are told to overlook is explained beside it.

use std::fs;
use std::io;
use std::path::Path;

/// A file, what in it suppresses a finding, and how a comment begins there.
const PLACES: &[(&str, &[&str])] = &[
    ("infra/.checkov.yaml", &["- CKV"]),
    (super::TEMPLATE, &["cfn-lint:", "- id: CKV"]),
    ("infra/deploy", &["# shellcheck disable="]),
    ("infra/destroy", &["# shellcheck disable="]),
    ("infra/tools.sh", &["# shellcheck disable="]),
    (".ci/run", &["# shellcheck disable="]),
];

/// Suppressions without an explanation.
pub fn findings(root: &Path) -> io::Result<Vec<String>> {
    let mut findings = Vec::new();
    for (path, marks) in PLACES {
        let text = fs::read_to_string(root.join(path))?;
        findings.extend(unexplained(&text, marks).into_iter().map(|line| {
            format!("{path}:{line}: overlooks a finding without saying why in a comment above it")
        }));
    }
    Ok(findings)
}

/// The lines that suppress something and have neither a comment above nor a `comment:` below them.
fn unexplained(text: &str, marks: &[&str]) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_comment = |line: &str| line.starts_with("# ") && !line.contains("shellcheck") && line.len() > 20;
    let explains = |index: usize| {
        let above = index.checked_sub(1).is_some_and(|above| is_comment(lines[above]));
        above || lines.get(index + 1).is_some_and(|below| below.starts_with("comment: "))
    };
    let is_suppression = |line: &str| marks.iter().any(|mark| line.starts_with(mark));
    (0..lines.len())
        .filter(|index| is_suppression(lines[*index]) && !explains(*index))
        .map(|index| index + 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::unexplained;

    #[test]
    fn a_suppression_needs_its_reason() {
        let marks = &["- CKV", "# shellcheck disable=", "- id: CKV"];
        for (text, expected) in [
            ("skip-check:\n  # The variables hold no secrets.\n  - CKV_1\n", &[][..]),
            ("skip-check:\n  - CKV_1\n", &[2]),
            ("  # The variables hold no secrets.\n  - CKV_1\n  - CKV_2\n", &[3]),
            ("  # x\n  - CKV_1\n", &[2]),
            ("# shellcheck source=infra/tools.sh\n# shellcheck disable=SC1\n", &[2]),
            ("# Sourced files use this one.\n# shellcheck disable=SC1\n", &[]),
            ("  - id: CKV_1\n    comment: >-\n      Because.\n", &[]),
            ("  - id: CKV_1\n    comments: >-\n", &[1]),
        ] {
            assert_eq!(unexplained(text, marks), expected, "{text}");
        }
    }
}
