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
const OUTAGES_STAGE: &str = "outages";
const REGION: &str = "us-east-1";
/// The emulator runs the functions on this machine.
const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };

/// What runs unchanged on one machine and on a stage.
const SUITE: &[&str] = &["scenarios", "references", "refusals", "listening", "hints"];
/// What shows the stage as it is deployed, with its own `reconcile`, which the suite turns off.
const STAGE_ALONE: &str = "stage";
/// What makes AWS fail for the functions of a stage, at the port that this variable names.
const STAGE_OUTAGES: &str = "stage_outages";
const PROXY_PORT_VARIABLE: &str = "PAYBELL_FAULT_PROXY_PORT";

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
    in_emulator(root, STAGE, None, |stage| {
        stage.deploy()?;
        let suite = stage.test(SUITE).run_tests();
        let alone = stage.test(&[STAGE_ALONE]).run_tests();
        let destroyed = stage.program("infra/destroy", &[stage.name, "--delete-data"]).run();
        let count = [count_of(suite)?, count_of(alone)?].into_iter().sum();
        destroyed?;
        Ok(Done::Tested(count))
    })
}

/// Deploys to an emulator whose functions look for AWS at a port of their own, where the tests inject faults.
///
/// # Errors
/// As [`run`].
pub fn run_outages(root: &Path) -> Result<Done, StepError> {
    let proxy_port = free_port()?;
    in_emulator(root, OUTAGES_STAGE, Some(proxy_port), |stage| {
        stage.deploy()?;
        stage.test(&[STAGE_OUTAGES]).env(PROXY_PORT_VARIABLE, proxy_port.to_string()).run_tests()
    })
}

fn in_emulator(
    root: &Path,
    name: &'static str,
    functions_port: Option<u16>,
    test: impl FnOnce(&Stage) -> Result<Done, StepError>,
) -> Result<Done, StepError> {
    let tools = tools_folder()?;
    let venv = python::environment(root, "emulator-venv", "tests/emulator/requirements.txt")?;
    let folder = tools.join("emulator").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(folder.join("tmp"))?;
    let emulator = Emulator::start(&venv, &folder, functions_port)?;
    let outputs = folder.join("outputs.json");
    let tested = test(&Stage { root, name, emulator: &emulator, outputs });
    if tested.is_err() {
        println!("the emulator's log, {}, ends with:\n{}", emulator.log.display(), emulator.log_tail());
    }
    tested
}

/// A stage on an emulator.
struct Stage<'a> {
    root: &'a Path,
    name: &'static str,
    emulator: &'a Emulator,
    outputs: PathBuf,
}

impl Stage<'_> {
    fn deploy(&self) -> Result<Done, StepError> {
        let outputs = self.outputs.to_string_lossy();
        let arguments = [self.name, "--arch", ARCHITECTURE, "--outputs", &outputs, "--", "LogLevel=DEBUG"];
        self.program("infra/deploy", &arguments).run()
    }

    /// The tests of these names; those that want a stage are ignored elsewhere.
    fn test(&self, names: &[&str]) -> Cargo {
        let mut arguments = vec!["test", "--locked", "--package", "paybell-tests", "--no-fail-fast"];
        names.iter().for_each(|name| arguments.extend(["--test", name]));
        arguments.extend(["--", "--include-ignored"]);
        self.with_names(Cargo::new(self.root, &arguments))
    }

    fn program(&self, path: &str, arguments: &[&str]) -> Cargo {
        self.with_names(Cargo::program(self.root, self.root.join(path), arguments))
    }

    /// With everything that names the stage to the AWS tools, the scripts and the tests, and nothing of another one.
    fn with_names(&self, cargo: Cargo) -> Cargo {
        cargo
            .without("AWS_")
            .env("AWS_ENDPOINT_URL", self.emulator.address())
            .env("AWS_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("PAYBELL_STAGE_UNDER_TEST", self.name)
            .env("PAYBELL_STAGE_OUTPUTS", &self.outputs)
    }
}

fn count_of(tested: Result<Done, StepError>) -> Result<TestCount, StepError> {
    match tested? {
        Done::Tested(count) => Ok(count),
        Done::All | Done::Except(_) => Ok(TestCount::default()),
    }
}

/// A running emulator. Dropping it stops it.
struct Emulator {
    keeper: Child,
    port: u16,
    log: PathBuf,
}

impl Emulator {
    /// Its functions look for AWS at `functions_port` if there is one, else at the emulator itself.
    fn start(venv: &Path, folder: &Path, functions_port: Option<u16>) -> Result<Self, StepError> {
        let port = free_port()?;
        let log = folder.join("emulator.log");
        let output = File::create(&log)?;
        // Functions may do what their roles say, and nothing else. But the emulator asks for an action of its own for
        // `ChangeMessageVisibilityBatch`, by which functions give back what failed; in AWS, `ChangeMessageVisibility`
        // is enough for that, and there is no other action.
        let enforces_roles = functions_port.is_none();
        // Functions inherit its environment, so a variable that the template forgets must not come in here.
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(venv.join("bin/ministack"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("TMPDIR", folder.join("tmp"))
            .env("GATEWAY_PORT", port.to_string())
            .env("AWS_ENDPOINT_URL", address(functions_port.unwrap_or(port)))
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("AUTH", enforces_roles.to_string())
            .current_dir(folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let mut emulator = Self { keeper, port, log };
        emulator.wait_until_ready()?;
        println!("the emulator runs at {}", emulator.address());
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
