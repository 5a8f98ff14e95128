//! What is woven into a source, and what is read from the list of survivors.

use super::known;
use super::list::{Genre, Mutant};
use super::weave::weave;

/// A mutant of the first occurrence of `at` in the source.
fn mutant(text: &str, number: usize, genre: Genre, at: &str, replacement: &str) -> Mutant {
    let before = &text[..text.find(at).unwrap()];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    Mutant {
        number,
        genre,
        file: "a.rs".to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        replacement: replacement.to_owned(),
        about: String::new(),
        is_opaque: false,
    }
}

#[track_caller]
fn check(body: &str, mutants: &[(Genre, &str, &str)], expected: &str) {
    let text = format!("fn ä() -> T {{\n    {body}\n}}\n");
    let mutants: Vec<Mutant> = mutants
        .iter()
        .enumerate()
        .map(|(index, (genre, at, replacement))| mutant(&text, index + 1, *genre, at, replacement))
        .collect();
    let woven = weave(&text, &mutants.iter().collect::<Vec<_>>()).unwrap();
    let expected = expected.replace("on(", "crate::mutant::on(").replace("switch::", "crate::mutant::");
    assert_eq!(woven.text, format!("fn ä() -> T {{\n    {expected}\n}}\n"));
    weave(&woven.text, &[]).expect("it is still Rust");
}

#[test]
fn every_kind_of_mutant_is_behind_its_switch() {
    use Genre::*;
    check(
        "f(x)",
        &[(FnValue, "f(x)", "None"), (FnValue, "f(x)", "Some(1)")],
        "if on(1) { return None; } if on(2) { return Some(1); } f(x)",
    );
    check("a == b", &[(BinaryOperator, "==", "!=")], "switch::flip(1, a == b)");
    check(
        "a && b",
        &[(BinaryOperator, "&&", "||")],
        "(match (a ) { mutant_left_1 => if mutant_left_1 != on(1) { b} else { mutant_left_1 } })",
    );
    check(
        "a < b",
        &[(BinaryOperator, "<", "=="), (BinaryOperator, "<", ">")],
        r#"switch::compare("<", &[(1, "=="), (2, ">"), ], &(a ), &( b))"#,
    );
    check(
        "a + b",
        &[(BinaryOperator, "+", "-")],
        "(match ((a ), ( b)) { (mutant_left, mutant_right) => if on(1) { mutant_left - mutant_right } \
         else { mutant_left + mutant_right } })",
    );
    check(
        "a += b;",
        &[(BinaryOperator, "+=", "-=")],
        "match (b) { mutant_right => if on(1) { a -= mutant_right } else { a += mutant_right } };",
    );
    check("!!a", &[(UnaryOperator, "!", "")], "switch::not(1, !a)");
    check("match a { 1 => 2, _ => 3 }", &[(MatchArm, "1", "")], "match a { 1 if !on(1) => 2, _ => 3 }");
    check(
        "match a { b if gg => 2, _ => 3 }",
        &[(MatchArm, "b", ""), (MatchArmGuard, "gg", "true"), (MatchArmGuard, "gg", "false")],
        "match a { b if !on(1) && ((on(2) || !on(3) && (gg))) => 2, _ => 3 }",
    );
    check("T { a: 1, ..b }", &[(StructField, "a:", "")], "T { a: if on(1) { b.a } else { 1 }, ..b }");
}

#[test]
fn nested_mutants_keep_their_order() {
    use Genre::*;
    check(
        "!(a == b) && c",
        &[(BinaryOperator, "&&", "||"), (UnaryOperator, "!", ""), (BinaryOperator, "==", "!=")],
        "(match (switch::not(2, (switch::flip(3, a == b))) ) { mutant_left_1 => \
         if mutant_left_1 != on(1) { c} else { mutant_left_1 } })",
    );
}

#[test]
fn a_condition_with_let_has_no_other_operator() {
    let text = "fn f() { if let A = b && c {} }";
    let only = mutant(text, 1, Genre::BinaryOperator, "&&", "||");
    let woven = weave(text, &[&only]).unwrap();
    assert_eq!((woven.text.as_str(), woven.unviable), (text, vec![1]));
}

#[test]
fn what_is_listed_is_read_with_its_bars() {
    let text = "| File | Mutant | Why |\n| `shared/a.rs` | `replace \\|\\| with && in f` | equivalent |\n\
        | File | Killed | Survived | Unreached |\n| `shared/a.rs` | 5 | 2 | 0 |\n";
    let listed = known::read(text);
    assert_eq!(listed.len(), 1, "a row of figures is no survivor");
    assert_eq!(listed[&("shared/a.rs".to_owned(), "replace || with && in f".to_owned())], 1);
}
