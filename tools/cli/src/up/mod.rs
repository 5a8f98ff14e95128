//! `paybell up`: all of Paybell as one process with one data folder, from the handlers of the Lambda binaries.

mod accounts;
pub(crate) mod configuration;
mod dynamodb;
pub mod embedded;
pub(crate) mod endpoint;
pub(crate) mod folder;
mod functions;
mod gateway;
mod group_sync;
mod help;
mod host;
mod internal;
mod kept_time;
mod open_files;
mod queue;
mod sandbox;
mod triggers;

use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use paybell_shared::ports::{Clock, PortError, SystemClock};
use thiserror::Error;
use tracing_subscriber::EnvFilter;

use crate::Place;

/// How long tasks that ignore the stop may still run.
const RUNTIME_STOP_MAX: Duration = Duration::from_secs(2);

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT_LOG: &str = "info";
/// These print requests, frames and signatures when asked for more, which would be secrets and bodies in the log.
const QUIET: &[&str] = &[
    "aws_config=warn",
    "aws_runtime=warn",
    "aws_sdk_apigatewaymanagement=warn",
    "aws_sdk_dynamodb=warn",
    "aws_sdk_secretsmanager=warn",
    "aws_sdk_sqs=warn",
    "aws_sigv4=warn",
    "aws_smithy_http_client=warn",
    "aws_smithy_runtime=warn",
    "aws_smithy_runtime_api=warn",
    "dynoxide=warn",
    "hyper=warn",
    "hyper_util=warn",
    "tungstenite=warn",
];

/// Options of `paybell up`.
#[derive(Args)]
pub struct Options {
    /// TOML file with providers of your own, each under [providers.NAME]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Addresses of reverse proxies on other machines, whose `X-Forwarded-For` says where a request comes from; those on
    /// this machine are believed anyway
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    trusted_proxies: Vec<IpAddr>,
}

/// Why Paybell does not run.
#[derive(Debug, Error)]
pub enum StartError {
    /// The data folder cannot be made or used.
    #[error("cannot use the data folder {folder}: {error}")]
    Folder {
        /// The folder.
        folder: String,
        /// Why.
        error: io::Error,
    },
    /// Another process holds the data folder.
    #[error("another Paybell runs on the data folder {0}: stop it, or choose another folder with --data")]
    FolderInUse(String),
    /// Another process listens there.
    #[error("port {0} is in use: choose another one with --port")]
    PortInUse(u16),
    /// The system does not let us listen there.
    #[error("cannot listen on port {port}: {error}")]
    Port {
        /// The port.
        port: u16,
        /// Why.
        error: io::Error,
    },
    /// The configuration file cannot be used.
    #[error("{file}: {problem}")]
    Configuration {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// SQLite refuses the file of the tables.
    #[error("cannot open the tables: {0}")]
    Tables(#[from] dynoxide::DynoxideError),
    /// SQLite refuses the file of the queues.
    #[error("{0}")]
    Queue(#[from] queue::StoreError),
    /// The embedded services did not do what the start needs.
    #[error("the embedded services do not answer: {0}")]
    Services(#[from] PortError),
    /// Anything else of the system.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Runs in this process until SIGTERM, on a machine whose clock is `wall`, with the built-in providers.
///
/// # Errors
/// [`StartError`].
pub async fn run_with_clock(place: &Place, wall: Arc<dyn Clock>) -> Result<(), StartError> {
    host::run(place, &Options { config: None, trusted_proxies: Vec::new() }, wall).await
}

/// Runs until told to stop.
pub fn run(place: &Place, options: &Options) -> ExitCode {
    log_to_stderr();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let outcome = runtime.block_on(host::run(place, options, Arc::new(SystemClock)));
    runtime.shutdown_timeout(RUNTIME_STOP_MAX);
    outcome.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
}

fn fail(error: &StartError) -> ExitCode {
    eprintln!("paybell: {error}");
    ExitCode::FAILURE
}

fn log_to_stderr() {
    let wanted = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    let quiet = QUIET.iter().filter_map(|directive| directive.parse().ok());
    let filter = quiet.fold(wanted, EnvFilter::add_directive);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // A line that the log does not take is lost. Saying so on standard error, which is the log, would panic.
        .log_internal_errors(false)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // A second subscriber in one process is a test's: the first one stays.
    let _ = subscriber.try_init();
}
