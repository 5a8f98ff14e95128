//! `paybell account`: makes accounts, lists them and changes their API keys.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use paybell_shared::aws::{ApiKeyDigest, Created};
use serde_json::json;

use super::directory;
use super::listing::accounts_table;
use super::{AccountsError, api_keys, now, random_api_key, require_account_name, written};
use crate::Place;
use crate::deployment::Stage;

/// How the API keys of accounts begin, so that they are recognised where they should not be; the demo account's begin
/// with `pb_test_`.
pub(super) const API_KEY_PREFIX: &str = "pb_live_";

/// Options of `paybell account`.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an account and print its API key, which is shown this once: only its hash is stored
    Create {
        /// Its name in the addresses of callbacks: letters, digits, `-`, `_`, `.`
        name: String,
        #[command(flatten)]
        stage: Stage,
        /// Print a JSON object instead of the bare key
        #[arg(long)]
        json: bool,
    },
    /// List the accounts, without any secret; it reads the whole accounts table
    List {
        #[command(flatten)]
        stage: Stage,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Add, list and revoke an account's API keys
    #[command(subcommand)]
    Key(api_keys::Command),
}

/// Runs the command.
pub fn run(place: &Place, options: &Options) -> ExitCode {
    super::run(async {
        match &options.command {
            Command::Create { name, stage, json } => create(place, stage, name, *json).await,
            Command::List { stage, json } => list(place, stage, *json).await,
            Command::Key(command) => api_keys::run(place, command).await,
        }
    })
}

async fn create(place: &Place, stage: &Stage, name: &str, as_json: bool) -> Result<(), AccountsError> {
    require_account_name(name)?;
    let opened = directory::open(place, stage, None, true).await?;
    let api_key = random_api_key(API_KEY_PREFIX);
    match opened.directory.create(name, &ApiKeyDigest::of(&api_key), now()).await? {
        Created::Exists => Err(AccountsError::AccountExists(name.to_owned())),
        Created::Yes => {
            eprintln!("Account `{name}` is made. This is its API key, shown only now:");
            let mut stdout = std::io::stdout().lock();
            if as_json {
                writeln!(stdout, "{}", json!({"account": name, "api_key": api_key}))?;
            } else {
                writeln!(stdout, "{api_key}")?;
            }
            Ok(())
        }
    }
}

async fn list(place: &Place, stage: &Stage, as_json: bool) -> Result<(), AccountsError> {
    let opened = directory::open(place, stage, None, false).await?;
    let accounts = opened.directory.list().await?;
    let text = if as_json {
        let accounts: Vec<_> = accounts
            .iter()
            .map(|(name, account)| {
                json!({
                    "account": name,
                    "created_at": account.created_at.and_then(written),
                    "api_keys": account.api_keys,
                    "providers": account.providers,
                })
            })
            .collect();
        serde_json::to_string_pretty(&accounts)?
    } else {
        accounts_table(&accounts)
    };
    // A reader such as `head` may leave early.
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
    Ok(())
}
