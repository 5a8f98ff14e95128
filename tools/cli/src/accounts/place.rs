//! Where accounts are kept: in a stage on AWS, or in a data folder, with `paybell up` running on it or not.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use paybell_shared::aws::{AccountDirectory, account_clients, accounts_of_stage};
use paybell_shared::ports::SystemClock;

use super::AccountsError;
use crate::Place;
use crate::up::StartError;
use crate::up::embedded::{Embedded, table_names};
use crate::up::endpoint::Endpoint;
use crate::up::folder::DataFolder;

/// How long another command or a starting `paybell up` may hold the folder before it answers.
const TRIES_MAX: u32 = 100;
const TRY_EVERY: Duration = Duration::from_millis(100);

/// Which deployment is meant.
#[derive(Args, Clone, Debug)]
pub struct Stage {
    /// Work on this stage on AWS instead of the data folder; region, credentials and endpoint are found as the AWS
    /// command line finds them, in the environment and in its profiles
    #[arg(long, value_name = "NAME", value_parser = stage_name)]
    stage: Option<String>,
}

fn stage_name(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if plain && text.starts_with(|first: char| first.is_ascii_lowercase()) {
        Ok(text.to_owned())
    } else {
        Err("a stage's name is lower-case letters, digits and hyphens, and begins with a letter".to_owned())
    }
}

/// An open directory; a folder that was opened for it stays locked as long as this lives.
pub(super) struct Opened {
    pub directory: AccountDirectory,
    _served: Option<(Embedded, DataFolder)>,
}

/// Opens the directory that is meant. A data folder that does not exist yet is made only with `make`.
///
/// # Errors
/// [`AccountsError`].
pub(super) async fn open(
    place: &Place,
    stage: &Stage,
    kms_key_id: Option<String>,
    make: bool,
) -> Result<Opened, AccountsError> {
    match &stage.stage {
        Some(stage) => {
            let directory = accounts_of_stage(stage, kms_key_id).await?;
            Ok(Opened { directory, _served: None })
        }
        None => open_folder(&place.data, make).await,
    }
}

async fn open_folder(data: &Path, make: bool) -> Result<Opened, AccountsError> {
    let shown = || data.display().to_string();
    if !make && !data.join("lock").exists() {
        return Err(AccountsError::NoFolder(shown()));
    }
    for _ in 0..TRIES_MAX {
        match DataFolder::open(data) {
            Ok(folder) => return open_stopped(folder).await,
            Err(StartError::FolderInUse(_)) => {}
            Err(error) => return Err(error.into()),
        }
        // The lock says that a process has the folder, and only that process has left the file.
        if let Some(running) = Endpoint::read(data) {
            let directory = directory(&running);
            if directory.is_deployed().await == Ok(true) {
                return Ok(Opened { directory, _served: None });
            }
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
    Err(AccountsError::FolderBusy(shown()))
}

/// Nothing runs on the folder: its tables are served from here as long as the command takes.
async fn open_stopped(folder: DataFolder) -> Result<Opened, AccountsError> {
    let embedded = Embedded::start(&folder.dynamodb(), &folder.queue(), Arc::new(SystemClock)).await?;
    Ok(Opened { directory: directory(&embedded.endpoint()), _served: Some((embedded, folder)) })
}

fn directory(endpoint: &Endpoint) -> AccountDirectory {
    AccountDirectory::new(account_clients(&endpoint.sdk_config()), table_names().accounts, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_named_as_its_stack_is() {
        for (name, allowed) in
            [("prod", true), ("test-2", true), ("", false), ("Prod", false), ("2", false), ("a/b", false)]
        {
            assert_eq!(stage_name(name).is_ok(), allowed, "{name}");
        }
    }
}
