//! Which deployment an operator's command works on, and the way to it: a stage on AWS, or a data folder, with
//! `paybell up` running on it or not.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use paybell_shared::aws::{AccountDirectory, SdkConfig, StageError, account_clients, sdk_config_of_stage};
use paybell_shared::ports::SystemClock;
use thiserror::Error;

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

/// Why there is no way to a deployment; each says what to do next.
#[derive(Debug, Error)]
pub(crate) enum DeploymentError {
    #[error(
        "there is nothing in the data folder {0} yet: make an account with `paybell account create`, start \
             `paybell up`, or choose another folder with --data"
    )]
    NoFolder(String),
    #[error("another process uses the data folder {0} and does not answer: try again")]
    FolderBusy(String),
    #[error("{0}")]
    Stage(#[from] StageError),
    #[error("cannot open the data folder: {0}")]
    Start(#[from] Box<StartError>),
}

impl From<StartError> for DeploymentError {
    fn from(error: StartError) -> Self {
        Self::Start(Box::new(error))
    }
}

/// The way to a deployment; a folder that was opened for it stays locked as long as this lives.
pub(crate) struct Deployment {
    /// What makes the AWS SDK's clients talk to it.
    pub sdk_config: SdkConfig,
    /// The stage; none on this machine.
    pub stage: Option<String>,
    _served: Option<(Embedded, DataFolder)>,
}

impl Deployment {
    fn running(endpoint: &Endpoint) -> Self {
        Self { sdk_config: endpoint.sdk_config(), stage: None, _served: None }
    }
}

/// Finds the deployment that is meant. A data folder that does not exist yet is made only with `make`.
///
/// # Errors
/// [`DeploymentError`].
pub(crate) async fn open(place: &Place, stage: &Stage, make: bool) -> Result<Deployment, DeploymentError> {
    match &stage.stage {
        Some(stage) => {
            let sdk_config = sdk_config_of_stage(stage).await?;
            Ok(Deployment { sdk_config, stage: Some(stage.clone()), _served: None })
        }
        None => open_folder(&place.data, make).await,
    }
}

async fn open_folder(data: &Path, make: bool) -> Result<Deployment, DeploymentError> {
    let shown = || data.display().to_string();
    if !make && !data.join("lock").exists() {
        return Err(DeploymentError::NoFolder(shown()));
    }
    for _ in 0..TRIES_MAX {
        match DataFolder::open(data) {
            Ok(folder) => return open_stopped(folder).await,
            Err(StartError::FolderInUse(_)) => {}
            Err(error) => return Err(error.into()),
        }
        // The lock says that a process has the folder, and only that process has left the file.
        if let Some(running) = Endpoint::read(data) {
            let clients = account_clients(&running.sdk_config());
            let directory = AccountDirectory::new(clients, table_names().accounts, None);
            if directory.is_deployed().await == Ok(true) {
                return Ok(Deployment::running(&running));
            }
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
    Err(DeploymentError::FolderBusy(shown()))
}

/// Nothing runs on the folder: its tables and queues are served from here as long as the command takes.
async fn open_stopped(folder: DataFolder) -> Result<Deployment, DeploymentError> {
    let embedded = Embedded::start(&folder.dynamodb(), &folder.queue(), Arc::new(SystemClock)).await?;
    let endpoint = embedded.endpoint();
    Ok(Deployment { _served: Some((embedded, folder)), ..Deployment::running(&endpoint) })
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
