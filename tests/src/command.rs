//! Runs commands of the `paybell` binary that come to an end.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What a command has said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whether its exit status was 0.
    pub succeeded: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Said {
    /// Its standard output.
    pub fn ok(self) -> String {
        assert!(self.succeeded, "the command failed: {self:#?}");
        self.stdout
    }

    /// Its standard output as JSON.
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))
    }

    /// Fails unless the command failed and said so in these words.
    pub fn refused(&self, words: &str) {
        assert!(!self.succeeded && self.stderr.contains(words), "not refused for `{words}`: {self:#?}");
    }
}

/// Runs `paybell` with these arguments and this standard input until it ends; `place` is the option that says where,
/// `--data FOLDER` or `--stage NAME`.
pub async fn paybell(place: &[String; 2], arguments: &[&str], stdin: &str) -> Said {
    let mut command = Command::new(crate::binary::paybell());
    command.args(arguments).args(place).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start paybell: {error}"));
    let mut input = child.stdin.take().expect("standard input is a pipe");
    // A command that refuses its arguments does not read on.
    let _ = input.write_all(stdin.as_bytes()).await;
    drop(input);
    let output = child.wait_with_output().await.unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("paybell speaks UTF-8");
    Said { succeeded: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
