//! `docs/attacks.md`: which tests show that an attack or accident is survived.
//!
//! A test says it by its name, `f8_…` or `s1_s8_…`, so the table cannot name a test that is not there.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use proc_macro2::{TokenStream, TokenTree};

use crate::tidy::Finding;
use crate::tidy::tree::Tree;

/// The page with the table.
const PAGE: &str = "docs/attacks.md";
/// What the letters of rows stand for, as they begin the names of tests.
const LETTERS: [char; 3] = ['f', 'm', 's'];

/// A test by its file and name.
type Test = (String, String);
/// The tests of each row, such as `F8`.
type TestsOfRow = BTreeMap<String, Vec<Test>>;

/// Writes the tests into the table again.
pub fn run(root: &Path) -> ExitCode {
    match write(root) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(root: &Path) -> std::io::Result<()> {
    let tree = Tree::read(root)?;
    let missing = || std::io::Error::new(std::io::ErrorKind::NotFound, format!("{PAGE} is missing"));
    let page = tree.text(PAGE).ok_or_else(missing)?;
    std::fs::write(root.join(PAGE), filled_in(page, &tests_of(&tree)))
}

/// Checks that every row has a test, that every test that is named after a row has one, and that the page is current.
pub fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let mut tests = tests_of(tree);
    let Some(page) = tree.text(PAGE) else {
        if !tests.is_empty() {
            findings.push(Finding::new(PAGE, 1, "is missing, and tests are named after its rows"));
        }
        return;
    };
    if filled_in(page, &tests) != page {
        findings.push(Finding::new(PAGE, 1, "is not current: run `cargo xtask attacks`"));
    }
    for (index, line) in page.lines().enumerate() {
        let Some(row) = row_of(line) else { continue };
        if tests.remove(row).is_none() {
            let message = format!("row {row}: no test's name begins with `{}_`", row.to_lowercase());
            findings.push(Finding::new(PAGE, index + 1, message));
        }
    }
    for (row, tests) in tests {
        for (path, name) in tests {
            findings.push(Finding::new(&path, 1, format!("`{name}`: {PAGE} has no row {row}")));
        }
    }
}

/// The page with the last cell of each row made from the tests.
fn filled_in(page: &str, tests: &TestsOfRow) -> String {
    let lines = page.lines().map(|line| match row_of(line) {
        None => line.to_owned(),
        Some(row) => {
            let cells = line.trim_end().trim_end_matches('|');
            let before = cells.rsplit_once(" |").map_or(cells, |(before, _)| before);
            format!("{before} | {} |", tests.get(row).map(|tests| cell(tests)).unwrap_or_default())
        }
    });
    lines.map(|line| line + "\n").collect()
}

/// The tests of a row, by file.
fn cell(tests: &[Test]) -> String {
    let mut by_file = BTreeMap::<&str, Vec<String>>::new();
    for (path, name) in tests {
        by_file.entry(path).or_default().push(format!("`{name}`"));
    }
    let files = by_file.iter().map(|(path, names)| {
        let name = path.replace("/src/", "/").replace("tests/tests/", "tests/");
        format!("[{name}](../{path}): {}", names.join(", "))
    });
    files.collect::<Vec<_>>().join("<br>")
}

/// The row that a line of the table is about.
fn row_of(line: &str) -> Option<&str> {
    let row = line.strip_prefix("| ")?.split_once(" |")?.0;
    (is_row(&row.to_lowercase()) && row.starts_with(char::is_uppercase)).then_some(row)
}

/// Whether a part of a test's name names a row.
fn is_row(part: &str) -> bool {
    part.strip_prefix(LETTERS).is_some_and(|number| {
        !number.is_empty() && number.len() <= 2 && number.bytes().all(|b| b.is_ascii_digit())
    })
}

fn tests_of(tree: &Tree) -> TestsOfRow {
    let mut tests = TestsOfRow::new();
    for (path, text) in tree.texts_of(&["rs"]) {
        let mut names = Vec::new();
        if let Ok(tokens) = text.parse() {
            collect_tests(tokens, &mut names);
        }
        for name in names {
            for row in name.split('_').take_while(|part| is_row(part)) {
                tests.entry(row.to_uppercase()).or_default().push((path.to_owned(), name.clone()));
            }
        }
    }
    tests
}

/// The names of all functions with a `test` attribute, those in macros such as `proptest!` included.
fn collect_tests(tokens: TokenStream, names: &mut Vec<String>) {
    let mut is_test = false;
    let mut previous = String::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) if previous == "#" => {
                let path =
                    group.stream().into_iter().take_while(|token| !matches!(token, TokenTree::Group(_)));
                is_test |= path.last().is_some_and(|last| last.to_string() == "test");
                previous.clear();
            }
            TokenTree::Group(group) => {
                collect_tests(group.stream(), names);
                if group.delimiter() == proc_macro2::Delimiter::Brace {
                    is_test = false;
                }
                previous.clear();
            }
            token => {
                let text = token.to_string();
                if previous == "fn" && is_test {
                    names.push(text.clone());
                }
                previous = text;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"//! Tests.
#[test]
#[ignore = "long"]
fn f1_nothing_unsigned_passes() {}
#[tokio::test(flavor = "multi_thread")]
async fn s1_s8_killed() {}
proptest! {
    #[test]
    fn m9_sums_are_right(amount in 0..9) { assert(amount); }
}
fn f2_helper() {}
#[test]
fn folding() {}
"#;
    const PAGE_TEXT: &str = "# Rows\n\n| Row | What | Tests |\n|---|---|---|\n| F1 | a | b | |\n";

    fn check_tree(page: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(&Tree::of(&[(PAGE, page), ("tests/tests/a.rs", SOURCE)]), &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn tests_are_found_by_their_attribute_in_macros_too() {
        let tree = Tree::of(&[("tests/tests/a.rs", SOURCE)]);
        let tests = tests_of(&tree);
        let rows: Vec<(&str, &str)> = tests
            .iter()
            .flat_map(|(row, tests)| tests.iter().map(|(_, name)| (row.as_str(), name.as_str())))
            .collect();
        let expected = [
            ("F1", "f1_nothing_unsigned_passes"),
            ("M9", "m9_sums_are_right"),
            ("S1", "s1_s8_killed"),
            ("S8", "s1_s8_killed"),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn the_last_cell_is_made_from_the_tests() {
        let tests = tests_of(&Tree::of(&[("tests/tests/a.rs", SOURCE)]));
        let page = filled_in(PAGE_TEXT, &tests);
        assert!(
            page.ends_with(
                "| F1 | a | b | [tests/a.rs](../tests/tests/a.rs): `f1_nothing_unsigned_passes` |\n"
            )
        );
        assert_eq!(filled_in(&page, &tests), page);
    }

    #[test]
    fn the_page_must_be_there_when_tests_are_named_after_it() {
        let found = |files: &[(&str, &str)]| {
            let mut findings = Vec::new();
            check(&Tree::of(files), &mut findings);
            findings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let missing = "docs/attacks.md:1: is missing, and tests are named after its rows";
        assert_eq!(found(&[("tests/tests/a.rs", SOURCE)]), [missing]);
        assert_eq!(found(&[("a.rs", "//! No tests.\n")]), [""; 0]);
        let folder = tempfile::tempdir().expect("a folder for the test");
        assert!(write(folder.path()).is_err() && !folder.path().join(PAGE).exists());
    }

    #[test]
    fn rows_without_tests_and_tests_without_rows_are_found() {
        let all = "| F1 | a | |\n| M9 | a | |\n| S1 | a | |\n| S8 | a | |\n";
        let current = filled_in(all, &tests_of(&Tree::of(&[("tests/tests/a.rs", SOURCE)])));
        assert_eq!(check_tree(&current), Vec::<String>::new());
        assert_eq!(check_tree(all), ["docs/attacks.md:1: is not current: run `cargo xtask attacks`"]);
        let other = format!("{current}| F19 | a |  |\n").replace("| S8 ", "| S9 ");
        let found = check_tree(&filled_in(&other, &tests_of(&Tree::of(&[("tests/tests/a.rs", SOURCE)]))));
        assert_eq!(
            found,
            [
                "docs/attacks.md:4: row S9: no test's name begins with `s9_`",
                "docs/attacks.md:5: row F19: no test's name begins with `f19_`",
                "tests/tests/a.rs:1: `s1_s8_killed`: docs/attacks.md has no row S8",
            ]
        );
    }
}
