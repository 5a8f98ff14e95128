//! A deploy to an AWS emulator by the script that deploys to AWS, and the end-to-end suite there.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::cargo::{Cargo, tools_folder};
use super::{Done, StepError, TestCount};
use crate::python;

const STAGE: &str = "suite";
const REGION: &str = "us-east-1";
/// The emulator runs the functions on this machine.
const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };

/// What runs unchanged on one machine and on a stage.
const SUITE: &[&str] = &["scenarios", "references", "refusals", "listening", "hints"];
/// What shows the stage as it is deployed, with its own `reconcile`, which the suite turns off.
const STAGE_ALONE: &str = "stage";

const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(15);
const LOG_TAIL_LINES: usize = 60;

/// Runs the emulator, and stops it with everything that it started as soon as the pipe to its standard input is
/// closed: so it ends with this program, however that ends.
const KEEPER: &str = "trap : TERM; \"$@\" & cat; kill -TERM 0; wait";

/// Deploys, tests and takes it down again.
///
/// # Errors
/// [`StepError`] when Python's tools cannot be installed, the stage cannot be deployed or taken down, or a test fails.
pub fn run(root: &Path) -> Result<Done, StepError> {
    let tools = tools_folder()?;
    let venv = python::environment(root, "emulator-venv", "tests/emulator/requirements.txt")?;
    let folder = tools.join("emulator");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(folder.join("tmp"))?;
    let emulator = Emulator::start(&venv, &folder)?;
    let tested = deploy_and_test(root, &emulator, &folder);
    if tested.is_err() {
        println!("the emulator's log, {}, ends with:\n{}", emulator.log.display(), emulator.log_tail());
    }
    tested
}

fn deploy_and_test(root: &Path, emulator: &Emulator, folder: &Path) -> Result<Done, StepError> {
    let outputs = folder.join("outputs.json");
    let outputs_text = outputs.to_string_lossy();
    let stage = |cargo: Cargo| in_stage(cargo, emulator, &outputs);
    let deploy = [STAGE, "--arch", ARCHITECTURE, "--outputs", &outputs_text, "--", "LogLevel=DEBUG"];
    stage(Cargo::program(root, root.join("infra/deploy"), &deploy)).run()?;
    let suite = stage(tests(root, SUITE)).run_tests();
    let alone = stage(tests(root, &[STAGE_ALONE])).run_tests();
    let destroy = [STAGE, "--delete-data"];
    let destroyed = stage(Cargo::program(root, root.join("infra/destroy"), &destroy)).run();
    let count = [count_of(suite)?, count_of(alone)?].into_iter().sum();
    destroyed?;
    Ok(Done::Tested(count))
}

/// The tests of these names; those that want a stage are ignored elsewhere.
fn tests(root: &Path, names: &[&str]) -> Cargo {
    let mut arguments = vec!["test", "--locked", "--package", "paybell-tests", "--no-fail-fast"];
    names.iter().for_each(|name| arguments.extend(["--test", name]));
    arguments.extend(["--", "--include-ignored"]);
    Cargo::new(root, &arguments)
}

fn count_of(tested: Result<Done, StepError>) -> Result<TestCount, StepError> {
    match tested? {
        Done::Tested(count) => Ok(count),
        Done::All | Done::Except(_) => Ok(TestCount::default()),
    }
}

/// With everything that names the stage to the AWS tools, the scripts and the tests, and nothing of another one.
fn in_stage(cargo: Cargo, emulator: &Emulator, outputs: &Path) -> Cargo {
    cargo
        .without("AWS_")
        .env("AWS_ENDPOINT_URL", emulator.address())
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("PAYBELL_STAGE_UNDER_TEST", STAGE)
        .env("PAYBELL_STAGE_OUTPUTS", outputs)
}

/// A running emulator. Dropping it stops it.
struct Emulator {
    keeper: Child,
    port: u16,
    log: PathBuf,
}

impl Emulator {
    fn start(venv: &Path, folder: &Path) -> Result<Self, StepError> {
        let port = free_port()?;
        let log = folder.join("emulator.log");
        let output = File::create(&log)?;
        let address = address(port);
        // Functions inherit its environment, so a variable that the template forgets must not come in here.
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(venv.join("bin/ministack"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("TMPDIR", folder.join("tmp"))
            .env("GATEWAY_PORT", port.to_string())
            .env("AWS_ENDPOINT_URL", &address)
            .env("MINISTACK_HOST", "127.0.0.1")
            // Functions may do what their roles say, and nothing else.
            .env("AUTH", "true")
            .current_dir(folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let mut emulator = Self { keeper, port, log };
        emulator.wait_until_ready()?;
        println!("the emulator runs at {address}");
        Ok(emulator)
    }

    fn wait_until_ready(&mut self) -> Result<(), StepError> {
        let begun = Instant::now();
        while begun.elapsed() < START_MAX {
            if self.keeper.try_wait()?.is_some() {
                break;
            }
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        println!("{}", self.log_tail());
        Err(StepError::Failed { command: "ministack".to_owned() })
    }

    fn address(&self) -> String {
        address(self.port)
    }

    fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let begun = Instant::now();
        while begun.elapsed() < STOP_MAX {
            if let Ok(Some(_)) = self.keeper.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        // It does not stop by itself: it and all that it started.
        let group = format!("-{}", self.keeper.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.keeper.wait();
    }
}

fn address(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
