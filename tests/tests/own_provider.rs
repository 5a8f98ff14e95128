//! The walk-through for a merchant's own provider does what it says, command by command.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use paybell_conformance::repository;
use paybell_tests::server::{Options, Server};

const LINES_MAX: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_walk_through_runs() {
    let text = fs::read_to_string(repository().join("docs/own-provider.md")).unwrap();
    assert!(text.lines().count() <= LINES_MAX, "a walk-through of more than {LINES_MAX} lines");
    assert!(!text.contains("```rust"), "a merchant writes no Rust");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("quay.toml");
    fs::write(&config, block(&text, "toml")).unwrap();

    let mut server = None;
    let mut outputs = Vec::new();
    for line in block(&text, "sh").lines() {
        let (command, file) = line.split_once(" > ").map_or((line, None), |(it, file)| (it, Some(file)));
        let arguments: Vec<&str> = command.strip_prefix("cargo run -- ").unwrap().split(' ').collect();
        if arguments == ["up", "--config", "quay.toml"] {
            let started =
                Server::start_with(Options { config: Some(config.clone()), ..Options::default() }).await;
            // What is kept in the folder in which the commands are run.
            symlink(started.data(), folder.path().join("paybell-data")).unwrap();
            server = Some(started);
            continue;
        }
        let port = server.as_ref().expect("the walk-through starts Paybell first").port();
        let output = run(folder.path(), port, &arguments);
        if let Some(file) = file {
            fs::write(folder.path().join(file), &output).unwrap();
        }
        outputs.push(output);
    }
    let [simulated, printed, judged] = &outputs[..] else { panic!("{} commands", outputs.len()) };
    assert!(simulated.contains("paid"), "{simulated}");
    assert!(printed.to_ascii_lowercase().contains("x-quay-signature: "), "{printed}");
    assert!(judged.contains("genuine") && judged.contains("payment.captured"), "{judged}");
}

/// The text of the only block in this language.
fn block<'a>(text: &'a str, language: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("```{language}\n")).unwrap();
    let (block, rest) = rest.split_once("```\n").unwrap();
    assert!(!rest.contains(&format!("```{language}\n")), "one block of {language}");
    block
}

fn run(folder: &Path, port: u16, arguments: &[&str]) -> String {
    let output = Command::new(paybell_tests::binary::paybell())
        .args(arguments)
        .args(["--port", &port.to_string()])
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
