//! `paybell verify`: checks vector files, or says whether one captured request is genuine.

mod capture;
mod report;
mod request;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use paybell_shared::callback::UnixSeconds;
use paybell_shared::providers::Registry;
use paybell_shared::sandbox::vector::{check_vector, read_vectors};
use serde_json::Value;

use crate::up::configuration;
use report::JsonLine;

pub use request::{CaptureError, CapturedRequest};

/// Options of `paybell verify`.
#[derive(Args)]
pub struct Options {
    /// Vector files: JSON arrays of requests with their keys and expected verdicts
    #[arg(value_name = "FILE", required_unless_present = "request", conflicts_with = "request")]
    files: Vec<PathBuf>,
    /// Judge this captured HTTP request (request line, headers, blank line, body); `-` reads standard input
    #[arg(long, value_name = "RAW", requires_all = ["provider", "credentials"])]
    request: Option<PathBuf>,
    /// Provider of the captured request
    #[arg(long)]
    provider: Option<String>,
    /// JSON file with the key set of the captured request's account; a data folder's demo.json serves too
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Time of receipt of the captured request, Unix seconds [default: now]
    #[arg(long, value_name = "UNIX", requires = "request")]
    now: Option<i64>,
    /// Print one JSON object a line and nothing else on standard output
    #[arg(long)]
    json: bool,
    /// Count events that differ from a vector's fields, or that cannot be read, as failures
    #[arg(long)]
    fields: bool,
    /// File with a merchant's own providers, as for `paybell up`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command: exit status 0 when every verdict is as expected, or the request is genuine.
pub fn run(options: &Options) -> ExitCode {
    let registry = match configuration::read(options.config.as_deref()) {
        Ok(providers) => Registry::new(providers),
        Err(error) => return failed(&error.to_string()),
    };
    if let (Some(request), Some(provider), Some(credentials)) =
        (&options.request, &options.provider, &options.credentials)
    {
        let now = options.now.map_or_else(real_now, UnixSeconds);
        return match capture::judge_file(&registry, provider, credentials, request, now, options.json) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => failed(&error),
        };
    }
    let mut counts = Counts::default();
    for file in &options.files {
        check_file(&registry, file, options, &mut counts);
    }
    let (providers, vectors) = (counts.providers.len(), counts.passed + counts.failed);
    let summary = format!(
        "{vectors} vectors of {providers} providers: {} passed, {} failed",
        counts.passed, counts.failed
    );
    if options.json {
        eprintln!("{summary}");
    } else {
        report::print_line(&summary);
    }
    if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn failed(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

fn real_now() -> UnixSeconds {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixSeconds(i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX))
}

#[derive(Default)]
struct Counts {
    providers: BTreeSet<String>,
    passed: u64,
    failed: u64,
}

fn check_file(registry: &Registry, file: &Path, options: &Options, counts: &mut Counts) {
    let vectors = match read_vectors(file) {
        Ok(vectors) => vectors,
        Err(error) => {
            eprintln!("error: {error}");
            counts.failed += 1;
            return;
        }
    };
    let file_name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    for (index, value) in vectors.iter().enumerate() {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let (name, provider) = (text("name"), text("provider"));
        counts.providers.insert(provider.to_owned());
        let place =
            if name.is_empty() { format!("{file_name} [{index}]") } else { format!("{file_name} {name}") };
        let (verdict, outcome) = check_vector(registry, &place, value, real_now(), options.fields);
        if options.json {
            report::print_line(&JsonLine::new(name, provider, &verdict).text());
        }
        for line in &outcome.lines {
            if options.json { eprintln!("{line}") } else { report::print_line(line) }
        }
        *(if outcome.passed { &mut counts.passed } else { &mut counts.failed }) += 1;
    }
}
