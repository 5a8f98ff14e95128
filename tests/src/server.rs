//! Runs, kills, stops and restarts `paybell up`.

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use paybell_cli::demo::DemoAccount;
use paybell_cli::up::embedded::HINTS_QUEUE;
use paybell_shared::aws::Clients;
use paybell_shared::config::{Config, TableNames};
use rusqlite::OpenFlags;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::api::{Addresses, Api};
use crate::place::Queued;
use crate::queue;
use crate::wait::PATIENCE;

/// A running `paybell up` with a data folder of its own. Dropping it kills the process and removes the folder.
pub struct Server {
    child: Child,
    folder: TempDir,
    port: u16,
    options: Options,
}

/// How to start it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// What it shall log, in the words of `RUST_LOG`; its own default when absent.
    pub log_filter: Option<String>,
    /// Whether a write beyond the limit of a file's size is an error to it, as from a full disk, and no signal.
    pub deaf_to_limits: bool,
}

/// What a running process tells the commands beside it.
#[derive(Deserialize)]
struct Endpoint {
    address: String,
    access_key_id: String,
}

impl Server {
    /// Starts on a free port with a fresh data folder and waits until it is ready.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// As [`Server::start`], with options.
    pub async fn start_with(options: Options) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("paybell-test-")
            .tempdir()
            .unwrap_or_else(|error| panic!("cannot create a temporary folder: {error}"));
        let port = free_port();
        let child = spawn(folder.path(), port, &options);
        let mut server = Self { child, folder, port, options };
        server.wait_until_ready().await;
        server
    }

    /// Kills it as a power cut would end the process: no handler runs.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap_or_else(|error| panic!("cannot kill paybell: {error}"));
    }

    /// The id of the running process.
    pub fn pid(&self) -> Pid {
        let id = self.child.id().expect("the process runs");
        i32::try_from(id).ok().and_then(Pid::from_raw).expect("the system gave this process id")
    }

    /// How much memory it has, where the system says so.
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_nonzero())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop(&mut self) -> ExitStatus {
        kill_process(self.pid(), Signal::TERM)
            .unwrap_or_else(|error| panic!("cannot signal paybell: {error}"));
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => status.unwrap_or_else(|error| panic!("cannot wait for paybell: {error}")),
            Err(_) => panic!("paybell did not stop within {PATIENCE:?}\n{}", self.log_tail()),
        }
    }

    /// Starts it again with the same data folder and port, and waits until it is ready.
    pub async fn restart(&mut self) {
        self.child = spawn(self.folder.path(), self.port, &self.options);
        self.wait_until_ready().await;
    }

    /// `http://127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        data_folder(self.folder.path())
    }

    /// The demo account that the first start created.
    pub fn demo(&self) -> DemoAccount {
        DemoAccount::read(&self.data())
            .unwrap_or_else(|error| panic!("no demo account in the data folder: {error}"))
    }

    /// A client with the demo account's API key.
    pub fn api(&self) -> Api {
        let addresses = Addresses {
            callbacks: self.address(),
            orders: self.address(),
            websocket: format!("ws://127.0.0.1:{}/ws", self.port),
        };
        Api::new(addresses, self.demo().api_key)
    }

    /// Everything that it logged (on its standard error), over all its starts.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(log_file(self.folder.path())).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How many messages the queue's file holds, those in flight included.
    pub fn queued(&self) -> Queued {
        let file = self.data().join("queue.sqlite");
        let count = |dead_letter: bool| -> rusqlite::Result<u64> {
            let connection = rusqlite::Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            connection.busy_timeout(PATIENCE)?;
            // A reminder that is held back is nobody's work yet.
            connection.query_row(
                "SELECT count(*) FROM messages WHERE ?1 = EXISTS (
                     SELECT 1 FROM queues WHERE queues.dead_letter_queue = messages.queue)
                 AND (?1 OR receive_count > 0 OR visible_at_ms <= sent_at_ms)",
                [dead_letter],
                |row| row.get(0),
            )
        };
        let count = |dead_letter| {
            count(dead_letter).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()))
        };
        Queued { callbacks: count(false), dead_letters: count(true) }
    }

    /// Puts any text into the queue of hints of the running process.
    pub async fn send_hint(&self, text: &str) {
        let endpoint = std::fs::read_to_string(self.data().join("endpoint.json"));
        let endpoint = endpoint.unwrap_or_else(|error| panic!("nothing says where the queues are: {error}"));
        let endpoint: Endpoint = serde_json::from_str(&endpoint).expect("it is an endpoint");
        let credentials = Credentials::new(endpoint.access_key_id, "unused", None, None, "tests");
        let address = format!("http://{}", endpoint.address);
        let sdk_config = aws_config::SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("local"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(&address)
            .build();
        let config = Config {
            tables: TableNames::with_prefix(""),
            callbacks_queue_url: String::new(),
            callbacks_dead_letters_url: String::new(),
            hints_queue_url: format!("{address}/000000000000/{HINTS_QUEUE}"),
            hints_dead_letters_url: String::new(),
            notify_dead_letters_url: String::new(),
            websocket_endpoint: address,
            dynamodb_endpoint: None,
            sqs_endpoint: None,
        };
        queue::send(&Clients::new(&sdk_config, &config).sqs, &config.hints_queue_url, text).await;
    }

    async fn wait_until_ready(&mut self) {
        let client = reqwest::Client::new();
        let health = format!("{}/health", self.address());
        let begun = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("paybell ended before it was ready, {status}\n{}", self.log_tail());
            }
            if client.get(&health).send().await.is_ok_and(|response| response.status() == 200) {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "paybell was not ready within {PATIENCE:?}\n{}",
                self.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        format!("its last lines:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"))
    }
}

fn spawn(folder: &Path, port: u16, options: &Options) -> Child {
    let append = |path: PathBuf| {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()))
    };
    let mut command = if options.deaf_to_limits {
        let mut command = Command::new("sh");
        command.args(["-c", r#"trap "" XFSZ; exec "$@""#, "sh"]).arg(crate::binary::paybell());
        command
    } else {
        Command::new(crate::binary::paybell())
    };
    command.arg("up").arg("--data").arg(data_folder(folder)).arg("--port").arg(port.to_string());
    if let Some(config) = &options.config {
        command.arg("--config").arg(config);
    }
    match &options.log_filter {
        Some(filter) => command.env("RUST_LOG", filter),
        None => command.env_remove("RUST_LOG"),
    };
    command.stdin(Stdio::null()).kill_on_drop(true);
    command.stdout(append(folder.join("paybell.out"))).stderr(append(log_file(folder)));
    command.spawn().unwrap_or_else(|error| panic!("cannot start paybell: {error}"))
}

fn data_folder(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("paybell.log")
}

/// A port below the range from which the system takes clients' ports: nobody takes it while the server is down.
pub fn free_port() -> u16 {
    (0..100)
        .map(|_| fastrand::u16(20_000..30_000))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("one of a hundred random ports is free")
}
