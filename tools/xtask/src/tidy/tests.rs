//! Each rule finds a bad sample and lets a good one pass.

use super::findings;
use super::tree::Tree;

/// Expects that tidy finds, in these files, exactly the findings that hold these texts, in their order.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let found: Vec<String> = findings(&Tree::of(files)).iter().map(ToString::to_string).collect();
    let agrees = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| found.contains(expected));
    assert!(agrees, "expected {expected:#?}\nfound {found:#?}");
}

#[test]
fn budgets_hold_to_the_line() {
    let file = |lines: usize| format!("//! Doc.\n{}", "// line\n".repeat(lines - 1));
    check(&[("a.rs", &file(450))], &[]);
    check(&[("a.rs", &file(451))], &["a.rs:450: 451 lines"]);

    let function =
        |lines: usize| format!("//! Doc.\n\nfn long() {{\n{}}}\n", "    call();\n".repeat(lines - 2));
    check(&[("a.rs", &function(80))], &[]);
    check(&[("a.rs", &function(81))], &["a.rs:3: `long` has 81 lines"]);

    let method = format!("//! Doc.\nimpl A {{\n/// Doc.\n{}}}\n", &function(81)["//! Doc.\n\n".len()..]);
    check(&[("a.rs", &method)], &["a.rs:4: `long` has 81 lines"]);
}

#[test]
fn a_source_begins_with_its_doc() {
    check(&[("a.rs", "fn main() {}\n")], &["a.rs:1: begins without a module doc"]);
    check(
        &[("a.rs", "/// Of the function, not of the file.\nfn main() {}\n")],
        &["begins without a module doc"],
    );
    check(&[("a.rs", "//! Doc.\nfn main( {}\n")], &["a.rs:2: "]);
}

#[test]
fn unfinished_work_is_found() {
    let macros =
        "//! Doc: todo!() here is a text.\nfn a() { todo!() }\nfn b() { assert!(std::dbg!(1) != 2) }\n";
    check(&[("a.rs", macros)], &["a.rs:2: `todo!`", "a.rs:3: `std::dbg!`"]);
    let mark = concat!("FIX", "ME");
    check(
        &[("a.md", &format!("{mark}: later\n{mark}S_LIST and a{mark} are words of their own\n"))],
        &["a.md:1: "],
    );
}

#[test]
fn the_aws_sdk_stays_behind_its_wall() {
    let named = "//! Doc of aws_sdk_sqs.\nuse aws_sdk_sqs::Client;\n";
    check(&[("functions/apply/src/handler.rs", named)], &["handler.rs:2: `aws_sdk_sqs::Client`"]);
    check(
        &[("shared/src/config.rs", "//! Doc.\nfn a(_: &aws_config::SdkConfig) {}\n")],
        &["`aws_config::SdkConfig`"],
    );
    check(
        &[("shared/src/ports.rs", "//! Doc.\nuse {aws_smithy_types::A, serde::B};\n")],
        &["aws_smithy_types::A"],
    );
    for place in
        ["shared/src/aws/queue.rs", "functions/apply/src/main.rs", "tools/cli/src/up/mod.rs", "tests/a.rs"]
    {
        check(&[(place, named)], &[]);
    }
    check(&[("a.rs", "//! Doc.\nuse aws_lambda_events::sqs::SqsEvent;\nuse aws_lc_rs::hmac;\n")], &[]);
    check(&[("a.rs", "//! Doc.\n#[cfg(test)]\nmod tests {\n    use aws_sdk_sqs::Client;\n}\n")], &[]);
}

#[test]
fn pure_folders_are_pure() {
    let rows = [
        ("use std::env;", "`std::env`"),
        ("use std::{collections::BTreeMap, fs::{self, File}};", "`std::fs`"),
        ("fn a() { std::net::TcpStream::connect(1); }", "`std::net::TcpStream::connect`"),
        ("fn a() { b(vec![std::time::Instant::now()]); }", "`std::time::Instant::now`"),
        ("fn a() -> SystemTime { b }", "`SystemTime`"),
        ("use rand::Rng;", "`rand::Rng`"),
        ("use aws_lc_rs::rand::SystemRandom;", "`aws_lc_rs::rand::SystemRandom`"),
        ("fn a() { jiff::Timestamp::now(); }", "`jiff::Timestamp::now`"),
        ("use tokio::sync::Mutex;", "`tokio::sync::Mutex`"),
        ("#[cfg(not(test))]\nuse std::env;", "`std::env`"),
    ];
    for (code, expected) in rows {
        let source = format!("//! Doc.\n{code}\n");
        let found = findings(&Tree::of(&[("shared/src/domain/a.rs", &source)]));
        assert!(found.first().is_some_and(|finding| finding.message.contains(expected)), "{code}: {found:?}");
        check(&[("shared/src/aws/a.rs", &source)], &[]);
    }
    let pure = "//! Reads no std::env.\nfn environment(now: Timestamp) { \"std::env\"; std::environ::a; rands(); }\n";
    check(&[("shared/src/domain/a.rs", pure)], &[]);
}

#[test]
fn tests_and_sandbox_of_pure_folders_may_do_what_they_like() {
    let impure = "//! Doc.\nuse std::env;\n";
    let parent = "//! Doc.\n#[cfg(test)]\nmod laws;\n";
    let files = |parent_path, child_path| [(parent_path, parent), (child_path, impure)];
    check(&files("shared/src/domain/mod.rs", "shared/src/domain/laws.rs"), &[]);
    check(&files("shared/src/domain/order.rs", "shared/src/domain/order/laws.rs"), &[]);
    check(&files("shared/src/domain/mod.rs", "shared/src/domain/laws/deep/a.rs"), &[]);
    let sandbox =
        "//! Doc.\n#[cfg(feature = \"sandbox\")]\nmod keys;\n#[cfg(feature = \"aws\")]\nmod queue;\n";
    check(
        &[("shared/src/providers/mod.rs", sandbox), ("shared/src/providers/described/keys.rs", impure)],
        &["std::env"],
    );
    check(&[("shared/src/domain/mod.rs", sandbox), ("shared/src/domain/keys.rs", impure)], &[]);
    check(&[("shared/src/domain/mod.rs", sandbox), ("shared/src/domain/queue.rs", impure)], &["std::env"]);
    check(&files("shared/src/domain/mod.rs", "shared/src/domain/other.rs"), &["other.rs:2: `std::env`"]);
    let inline =
        "//! Doc.\n#[test]\nfn a() {\n    std::env::var(\"A\");\n}\nfn b() { std::env::var(\"A\"); }\n";
    check(&[("shared/src/domain/a.rs", inline)], &["a.rs:6: `std::env::var`"]);
}

#[test]
fn paths_of_one_machine_are_found() {
    let home = concat!("/ho", "me/");
    check(&[("a.json", &format!("{{\n\"path\": \"{home}me/a\"}}\n"))], &["a.json:2: "]);
    check(&[("a.md", &format!("<https://example.com{home}page> and ${{HOME}}{home}a\n"))], &[]);
    check(&[("a.md", "See /nowhere/checkout/b.\n")], &["a.md:1: `/nowhere/checkout…`"]);
}

#[test]
fn dead_links_are_found() {
    let target = ("docs/b.md", "# A Title, here\n```\n# no title\n```\n");
    let good = "[a](docs/b.md) [b](docs) [c](docs/b.md#a-title-here) [d](#own) [e](https://a.b/c) `[f](none)`\n# Own\n";
    check(&[("a.md", good), target], &[]);
    check(&[("a.md", "```\n[a](none.md)\n```\n")], &[]);
    check(&[("a.md", "\n[a](none.md)\n")], &["a.md:2: link `none.md`: no such file"]);
    check(&[("docs/a.md", "[a](../../out.md)\n")], &["leaves the project"]);
    check(&[("a.md", "[a](docs/b.md#no-title)\n"), target], &["no such heading"]);
    check(&[("docs/a.md", "[a](../docs/b.md) [b](./b.md)\n"), target], &[]);
}

#[test]
fn providers_and_fixtures_belong_together() {
    let registry = ("shared/src/providers/registry.rs", "//! Doc.\nuse super::{alipay, toml_provider};\n");
    let coded = ("shared/src/providers/alipay.rs", "//! Doc.\npub static PROVIDER: Provider = provider();\n");
    let mapping = ("shared/fixtures/alipay/MAPPING.md", "# Alipay\n");
    let payload = ("shared/fixtures/alipay/payloads/paid.json", "{}");
    let helper = ("shared/src/providers/alipay/events.rs", "//! Doc.\n");
    let grammar = ("shared/src/providers/described/grammar.rs", "//! Doc.\n");
    check(&[registry, coded, helper, grammar, mapping, payload], &[]);
    check(&[registry, ("shared/fixtures/own_provider/paybell.toml", "")], &[]);
    check(&[registry, coded, payload], &["fixtures/alipay/MAPPING.md is missing"]);
    check(&[registry, coded, mapping], &["fixtures/alipay/payloads is missing"]);
    check(&[registry, mapping], &["there is no provider `alipay`"]);
    check(
        &[registry, ("shared/src/providers/stripe.toml", "")],
        &["`stripe` is not listed", "MAPPING.md is missing", "payloads is missing"],
    );
}

#[test]
fn listed_survivors_are_of_sources_that_are_there() {
    let source = ("shared/src/a.rs", "//! Doc.\n");
    let list = ("docs/mutants.md", "| `shared/src/a.rs` | `replace f -> bool with true` | equivalent |\n");
    check(&[source, list], &[]);
    check(&[list], &["there is no shared/src/a.rs"]);
}

#[test]
fn this_checkout_can_be_read() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    std::fs::create_dir_all(folder.path().join("target/a")).expect("a folder inside");
    std::fs::write(folder.path().join("target/a/b.rs"), "no rust").expect("a file that is skipped");
    std::fs::write(folder.path().join("bad.rs"), "no rust").expect("a file that is read");
    assert_eq!(super::check(folder.path()).expect("a readable folder"), 1);
}

#[test]
fn every_crate_but_one_forbids_unsafe_code() {
    let workspace = "[workspace]\nmembers = [\"a\"]\n\n[workspace.lints.rust]\nunsafe_code = \"forbid\"\n";
    let member = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";
    check(&[("Cargo.toml", workspace), ("a/Cargo.toml", member)], &[]);
    check(
        &[("Cargo.toml", &workspace.replace("forbid", "deny"))],
        &["Cargo.toml:1: `[workspace.lints.rust]` lacks"],
    );
    let outside = "[package]\nname = \"b\"\n\n[workspace]\n";
    check(&[("tools/fuzz/fuzz/Cargo.toml", outside)], &[]);
    for bad in [outside, "[package]\nname = \"a\"\n", "[lints.rust]\nunsafe_code = \"allow\"\n"] {
        check(&[("a/Cargo.toml", bad)], &["a/Cargo.toml:1: takes no lints of the workspace"]);
    }
}

#[test]
fn f6_what_gives_out_a_proof_compares_in_constant_time() {
    const PLACE: &str = "shared/src/callback/signature/new.rs";
    let prover = |condition: &str| {
        format!(
            "//! Doc.\nimpl A {{\n    fn a() -> Result<Proof, B> {{\n        if {condition} {{ Ok(Proof(())) }} else {{ c }}\n    }}\n}}\n"
        )
    };
    for (condition, expected) in [
        ("bool::from(a.ct_eq(b))", None),
        ("key.verify(a, b).is_ok()", None),
        ("a == b", Some("new.rs:4: `==`")),
        ("!(a != b)", Some("`!=`")),
        ("a.eq(b)", Some("`eq`")),
        ("a.starts_with(b)", Some("`starts_with`")),
        ("all.iter().find(|it| c(it)).is_some()", Some("`find`")),
        ("all.contains(&b)", Some("`contains`")),
        ("a.cmp(b) == Ordering::Equal", Some("`cmp`")),
    ] {
        let found = findings(&Tree::of(&[(PLACE, &prover(condition))]));
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        let agrees = match expected {
            None => found.is_empty(),
            Some(text) => found.iter().any(|finding| finding.contains(text)),
        };
        assert!(agrees, "{condition}: {found:?}");
    }
    let elsewhere = prover("a == b").replace("Ok(Proof(()))", "Ok(())");
    check(&[(PLACE, &elsewhere)], &[]);
}
