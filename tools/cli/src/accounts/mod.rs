//! `paybell account` and `paybell credentials`: accounts, their API keys and their credentials for payment providers,
//! in a data folder on this machine or in a stage on AWS, through the adapters that the functions use.

pub mod account;
pub mod credentials;

mod api_keys;
mod directory;
mod fields;
mod listing;

use std::future::Future;
use std::io;
use std::process::ExitCode;

use jiff::Timestamp;
use paybell_shared::callback::{ACCOUNT_BYTES_MAX, RotationError, UnixSeconds, is_account_name};
use paybell_shared::ports::{Clock, PortError, Random as _, SystemClock, SystemRandom};
use paybell_shared::providers::KeyProblem;
use thiserror::Error;

use crate::deployment::DeploymentError;
use crate::up::StartError;

/// Randomness of an API key.
const API_KEY_BYTES: usize = 32;

/// Why a command did not do what it was asked; each says what to do next.
#[derive(Debug, Error)]
pub(crate) enum AccountsError {
    #[error(
        "`{0}` cannot be an account's name: it stands in the addresses of callbacks. Take letters, digits, `-`, `_` \
             and `.`, beginning with a letter or digit, at most {ACCOUNT_BYTES_MAX}"
    )]
    BadAccount(String),
    #[error(
        "there is an account `{0}` already; its API key was shown when it was made, and `paybell account key add {0}` \
             makes another one. `paybell credentials put {0} …` connects providers to it"
    )]
    AccountExists(String),
    #[error("there is no account `{0}`: make it with `paybell account create {0}`")]
    NoAccount(String),
    #[error("there is no provider `{0}`: `paybell providers` lists them, and --config FILE adds your own")]
    NoProvider(String),
    #[error("account `{account}` has no credentials for `{provider}`")]
    NoCredentials { account: String, provider: String },
    #[error(
        "these are no credentials for `{provider}`:{}\n`paybell providers {provider}` lists what it wants. Nothing was \
             changed.",
        lines(problems)
    )]
    Problems { provider: &'static str, problems: Vec<KeyProblem> },
    #[error("{0}")]
    Rotation(#[from] RotationError),
    #[error(
        "somebody else has changed these credentials at the same time, and nothing was changed here: look at them \
             with `paybell credentials list`, and try again"
    )]
    LostRace,
    #[error("account `{account}` has no active API key `{id}`; active are: {active}")]
    NoSuchKey { account: String, id: String, active: String },
    #[error(
        "somebody else has changed this API key at the same time, and nothing was changed here: look at them with \
             `paybell account key list {account}`, and try again"
    )]
    LostKeyRace { account: String },
    #[error("{0}")]
    Fields(#[from] fields::FieldError),
    #[error("{0}")]
    Deployment(#[from] DeploymentError),
    #[error("{0}")]
    Start(#[from] Box<StartError>),
    #[error("the accounts could not be reached or changed: {0}")]
    Port(#[from] PortError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

impl From<StartError> for AccountsError {
    fn from(error: StartError) -> Self {
        Self::Start(Box::new(error))
    }
}

fn lines(problems: &[KeyProblem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// An API key that nobody can guess.
pub(crate) fn random_api_key(prefix: &str) -> String {
    let mut bytes = [0; API_KEY_BYTES];
    SystemRandom::default().fill(&mut bytes);
    format!("{prefix}{}", hex::encode(bytes))
}

/// Runs a command to its end; exit status 0 when it did what it was asked.
fn run(command: impl Future<Output = Result<(), AccountsError>>) -> ExitCode {
    let outcome = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn require_account_name(name: &str) -> Result<(), AccountsError> {
    if is_account_name(name) { Ok(()) } else { Err(AccountsError::BadAccount(name.to_owned())) }
}

fn now() -> UnixSeconds {
    SystemClock.now()
}

/// A moment as people and programs read it.
fn written(moment: UnixSeconds) -> Option<String> {
    Timestamp::from_second(moment.0).ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_of_an_api_key_is_random() {
        let keys: Vec<String> = (0..100).map(|_| random_api_key("")).collect();
        for at in 0..2 * API_KEY_BYTES {
            let first = keys[0].as_bytes()[at];
            assert!(keys.iter().any(|key| key.as_bytes()[at] != first), "digit {at} is always {first}");
        }
    }
}
