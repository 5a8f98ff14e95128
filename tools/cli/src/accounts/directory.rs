//! The directory of accounts of a deployment.

use paybell_shared::aws::{AccountDirectory, SecretPlace, account_clients, accounts_table};

use super::AccountsError;
use crate::Place;
use crate::deployment::{self, Deployment, Stage};
use crate::up::embedded::table_names;

/// An open directory.
pub(super) struct Opened {
    pub directory: AccountDirectory,
    _deployment: Deployment,
}

/// Opens the directory that is meant; a `kms_key_id` encrypts the secrets of a stage that are new. A data folder that
/// does not exist yet is made only with `make`.
///
/// # Errors
/// [`AccountsError`].
pub(super) async fn open(
    place: &Place,
    stage: &Stage,
    kms_key_id: Option<String>,
    make: bool,
) -> Result<Opened, AccountsError> {
    let deployment = deployment::open(place, stage, make).await?;
    let clients = account_clients(&deployment.sdk_config);
    let directory = match &deployment.stage {
        Some(stage) => {
            let secrets = SecretPlace { stage: stage.clone(), kms_key_id };
            AccountDirectory::new(clients, accounts_table(stage), Some(secrets))
        }
        None => AccountDirectory::new(clients, table_names().accounts, None),
    };
    Ok(Opened { directory, _deployment: deployment })
}
