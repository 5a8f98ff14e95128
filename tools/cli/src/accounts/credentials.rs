//! `paybell credentials`: puts, lists and retires an account's key sets for payment providers. It never prints a value.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use paybell_shared::aws::{AccountDirectory, StoredCredentials};
use paybell_shared::callback::{Added, Credentials, KeySet};
use paybell_shared::ports::Saved;
use paybell_shared::ports::cached::KEPT_SECONDS;
use paybell_shared::providers::{Provider, Registry};

use super::directory;
use super::fields::FieldOptions;
use super::listing::{KeySetView, key_sets_table};
use super::{AccountsError, now, require_account_name};
use crate::Place;
use crate::deployment::Stage;
use crate::up::configuration;

/// Options of `paybell credentials`.
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a key set and put it beside those that are active; `paybell providers NAME` lists what it holds
    Put(PutOptions),
    /// List key sets: ids, whether they are active and since when, fingerprints, names of fields; never a value
    List {
        /// The account
        account: String,
        /// Only for this provider
        provider: Option<String>,
        #[command(flatten)]
        stage: Stage,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Retire a key set: callbacks that only it proves are refused
    Retire {
        /// The account
        account: String,
        /// The provider
        provider: String,
        /// The key set's id
        id: String,
        #[command(flatten)]
        stage: Stage,
    },
}

/// Options of `paybell credentials put`.
#[derive(Args)]
struct PutOptions {
    /// The account
    account: String,
    /// The provider
    provider: String,
    /// The key set's id; unless told it is called after the day
    #[arg(long, value_name = "KEYSET")]
    id: Option<String>,
    #[command(flatten)]
    fields: FieldOptions,
    #[command(flatten)]
    stage: Stage,
    /// With --stage: the KMS key that a new secret is encrypted with, instead of the AWS account's own
    #[arg(long, value_name = "ID", requires = "stage")]
    kms_key_id: Option<String>,
    /// File with a merchant's own providers, as for `paybell up`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command.
pub fn run(place: &Place, options: &Options) -> ExitCode {
    super::run(async {
        match &options.command {
            Command::Put(options) => put(place, options).await,
            Command::List { account, provider, stage, json } => {
                list(place, stage, account, provider.as_deref(), *json).await
            }
            Command::Retire { account, provider, id, stage } => {
                retire(place, stage, account, provider, id).await
            }
        }
    })
}

async fn put(place: &Place, options: &PutOptions) -> Result<(), AccountsError> {
    require_account_name(&options.account)?;
    let registry = Registry::new(configuration::read(options.config.as_deref())?);
    let provider = registry.find(&options.provider);
    let provider = provider.ok_or_else(|| AccountsError::NoProvider(options.provider.clone()))?;
    let fields = options.fields.read()?;
    provider
        .check_key_set(&KeySet::new("", fields.clone()))
        .map_err(|problems| AccountsError::Problems { provider: provider.name, problems })?;
    let opened = directory::open(place, &options.stage, options.kms_key_id.clone(), false).await?;
    require_account(&opened.directory, &options.account).await?;
    let mut stored = opened.directory.credentials(&options.account, provider.name).await?;
    let added = stored.credentials.add(options.id.as_deref(), fields, now())?;
    if let Added::New(_) = added {
        replace(&opened.directory, &options.account, provider.name, &stored).await?;
    }
    say_put(options, provider, &added, &stored.credentials)
}

fn say_put(
    options: &PutOptions,
    provider: &Provider,
    added: &Added,
    credentials: &Credentials,
) -> Result<(), AccountsError> {
    let (account, name) = (&options.account, provider.name);
    let active: Vec<&str> = credentials.active().map(|set| set.id.as_str()).collect();
    let outcome = match added {
        Added::New(id) => format!(
            "Key set `{id}` is put. Callbacks that it proves are accepted within {KEPT_SECONDS} s at the latest."
        ),
        Added::Already(id) => {
            format!("Key set `{id}` holds the same and is active already: nothing was changed.")
        }
    };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{outcome}")?;
    writeln!(stdout, "Active for `{name}` of `{account}`: {}.", active.join(", "))?;
    writeln!(stdout, "Callbacks of {} go to /callbacks/{account}/{name}", provider.title)?;
    Ok(())
}

async fn list(
    place: &Place,
    stage: &Stage,
    account: &str,
    provider: Option<&str>,
    as_json: bool,
) -> Result<(), AccountsError> {
    require_account_name(account)?;
    let opened = directory::open(place, stage, None, false).await?;
    let providers = match provider {
        Some(provider) => vec![provider.to_owned()],
        None => {
            let known = opened.directory.list().await?.remove(account);
            known.ok_or_else(|| AccountsError::NoAccount(account.to_owned()))?.providers
        }
    };
    let mut views = Vec::new();
    for name in providers {
        let stored = opened.directory.credentials(account, &name).await?;
        if provider.is_some() && stored.credentials.key_sets.is_empty() {
            require_account(&opened.directory, account).await?;
        }
        views.extend(stored.credentials.key_sets.iter().map(|set| KeySetView::new(&name, set)));
    }
    let text = if as_json { serde_json::to_string_pretty(&views)? } else { key_sets_table(account, &views) };
    // A reader such as `head` may leave early.
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
    Ok(())
}

async fn retire(
    place: &Place,
    stage: &Stage,
    account: &str,
    provider: &str,
    id: &str,
) -> Result<(), AccountsError> {
    require_account_name(account)?;
    let opened = directory::open(place, stage, None, false).await?;
    let mut stored = opened.directory.credentials(account, provider).await?;
    if stored.credentials.key_sets.is_empty() {
        require_account(&opened.directory, account).await?;
        let (account, provider) = (account.to_owned(), provider.to_owned());
        return Err(AccountsError::NoCredentials { account, provider });
    }
    stored.credentials.retire(id, now())?;
    replace(&opened.directory, account, provider, &stored).await?;
    let mut stdout = std::io::stdout().lock();
    writeln!(
        stdout,
        "Key set `{id}` is retired. Callbacks that only it proves are refused within {KEPT_SECONDS} s at the latest."
    )?;
    let active: Vec<&str> = stored.credentials.active().map(|set| set.id.as_str()).collect();
    if active.is_empty() {
        writeln!(
            stdout,
            "No key set is active for `{provider}` of `{account}`: all its callbacks are refused."
        )?;
    } else {
        writeln!(stdout, "Active for `{provider}` of `{account}`: {}.", active.join(", "))?;
    }
    Ok(())
}

async fn require_account(directory: &AccountDirectory, account: &str) -> Result<(), AccountsError> {
    match directory.exists(account).await? {
        true => Ok(()),
        false => Err(AccountsError::NoAccount(account.to_owned())),
    }
}

async fn replace(
    directory: &AccountDirectory,
    account: &str,
    provider: &str,
    stored: &StoredCredentials,
) -> Result<(), AccountsError> {
    match directory.replace(account, provider, stored).await? {
        Saved::Yes => Ok(()),
        Saved::LostRace => Err(AccountsError::LostRace),
    }
}
