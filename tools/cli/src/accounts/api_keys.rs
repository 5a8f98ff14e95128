//! `paybell account key`: adds, lists and revokes an account's API keys, of which several are active during a change.

use std::io::Write as _;

use clap::Subcommand;
use paybell_shared::aws::{AccountDirectory, ApiKeyDigest, KeyAdded, KeyRevoked, StoredApiKey};
use serde_json::json;

use super::account::API_KEY_PREFIX;
use super::directory;
use super::listing::{ApiKeyView, api_keys_table};
use super::{AccountsError, now, random_api_key, require_account_name};
use crate::Place;
use crate::deployment::Stage;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Add an API key beside those that are active and print it; it is shown this once: only its hash is stored
    Add {
        /// The account
        account: String,
        #[command(flatten)]
        stage: Stage,
        /// Print a JSON object instead of the bare key
        #[arg(long)]
        json: bool,
    },
    /// List API keys: ids, whether they are active and since when, their last characters; it reads the whole accounts table
    List {
        /// The account
        account: String,
        #[command(flatten)]
        stage: Stage,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Revoke an API key: from the next call on it is nobody's
    Revoke {
        /// The account
        account: String,
        /// The key's id, as listed
        id: String,
        #[command(flatten)]
        stage: Stage,
    },
}

pub(super) async fn run(place: &Place, command: &Command) -> Result<(), AccountsError> {
    match command {
        Command::Add { account, stage, json } => add(place, stage, account, *json).await,
        Command::List { account, stage, json } => list(place, stage, account, *json).await,
        Command::Revoke { account, id, stage } => revoke(place, stage, account, id).await,
    }
}

async fn add(place: &Place, stage: &Stage, account: &str, as_json: bool) -> Result<(), AccountsError> {
    require_account_name(account)?;
    let opened = directory::open(place, stage, None, false).await?;
    let api_key = random_api_key(API_KEY_PREFIX);
    let digest = ApiKeyDigest::of(&api_key);
    match opened.directory.add_api_key(account, &digest, now()).await? {
        KeyAdded::NoAccount => Err(AccountsError::NoAccount(account.to_owned())),
        KeyAdded::Taken => Err(AccountsError::LostKeyRace { account: account.to_owned() }),
        KeyAdded::Yes => {
            let id = digest.id();
            eprintln!("API key `{id}` of `{account}` is active beside the others. It is shown only now:");
            let mut stdout = std::io::stdout().lock();
            if as_json {
                writeln!(stdout, "{}", json!({"account": account, "id": id, "api_key": api_key}))?;
            } else {
                writeln!(stdout, "{api_key}")?;
            }
            Ok(())
        }
    }
}

async fn list(place: &Place, stage: &Stage, account: &str, as_json: bool) -> Result<(), AccountsError> {
    require_account_name(account)?;
    let opened = directory::open(place, stage, None, false).await?;
    let keys = opened.directory.api_keys(account).await?;
    if keys.is_empty() {
        require_account(&opened.directory, account).await?;
    }
    let views: Vec<ApiKeyView> = keys.iter().map(ApiKeyView::new).collect();
    let text = if as_json { serde_json::to_string_pretty(&views)? } else { api_keys_table(account, &views) };
    // A reader such as `head` may leave early.
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
    Ok(())
}

async fn revoke(place: &Place, stage: &Stage, account: &str, id: &str) -> Result<(), AccountsError> {
    require_account_name(account)?;
    let opened = directory::open(place, stage, None, false).await?;
    match opened.directory.revoke_api_key(account, id, now()).await? {
        KeyRevoked::LostRace => Err(AccountsError::LostKeyRace { account: account.to_owned() }),
        KeyRevoked::NoSuchId(active) => {
            require_account(&opened.directory, account).await?;
            let (account, id) = (account.to_owned(), id.to_owned());
            Err(AccountsError::NoSuchKey { account, id, active: ids(&active) })
        }
        KeyRevoked::Yes(active) => {
            let mut stdout = std::io::stdout().lock();
            writeln!(stdout, "API key `{id}` is revoked: every call with it is refused from now on.")?;
            if active.is_empty() {
                writeln!(
                    stdout,
                    "No API key of `{account}` is active: `paybell account key add {account}` makes one."
                )?;
            } else {
                writeln!(stdout, "Active for `{account}`: {}.", ids(&active))?;
            }
            Ok(())
        }
    }
}

async fn require_account(directory: &AccountDirectory, account: &str) -> Result<(), AccountsError> {
    match directory.exists(account).await? {
        true => Ok(()),
        false => Err(AccountsError::NoAccount(account.to_owned())),
    }
}

fn ids(keys: &[StoredApiKey]) -> String {
    let ids: Vec<&str> = keys.iter().map(|key| key.id.as_str()).collect();
    if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
}
