//! An operator's way to a stage, found as the AWS command line finds it.

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::ProvideCredentials as _;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use thiserror::Error;

use super::clients::account_clients;
use super::directory::{AccountDirectory, SecretPlace};
use crate::ports::PortError;

/// Why a stage cannot be worked on; each says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StageError {
    /// Nothing says in which region it is.
    #[error("no AWS region is set: set AWS_REGION, or `region` in the profile")]
    NoRegion,
    /// Nothing says who asks.
    #[error(
        "there are no AWS credentials ({0}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; after \
         `aws sso login` run `eval \"$(aws configure export-credentials --format env)\"`"
    )]
    NoCredentials(String),
    /// It has no table of accounts.
    #[error("there is no stage `{stage}` in {region}, or not in this AWS account: `infra/deploy` makes one")]
    NotDeployed {
        /// The stage.
        stage: String,
        /// Where it was looked for.
        region: String,
    },
    /// AWS did not do what it was asked.
    #[error("the stage could not be reached: {0}")]
    Port(#[from] PortError),
}

/// The accounts of a stage. A `kms_key_id` encrypts the secrets that are new.
///
/// Region, credentials and endpoint come from environment variables, the shared `config` and `credentials` files with
/// their profiles (keys, roles to assume, `credential_process`, web identity), a container's or an instance's role.
/// Single sign-on is left to `aws configure export-credentials`.
///
/// # Errors
/// [`StageError`].
pub async fn accounts_of_stage(
    stage: &str,
    kms_key_id: Option<String>,
) -> Result<AccountDirectory, StageError> {
    let sdk_config = sdk_config().await;
    let region = sdk_config.region().ok_or(StageError::NoRegion)?.to_string();
    if let Some(provider) = sdk_config.credentials_provider() {
        let found = provider.provide_credentials().await;
        found.map_err(|error| StageError::NoCredentials(error.to_string()))?;
    }
    let (stage, table) = (stage.to_owned(), format!("paybell-{stage}-accounts"));
    let secrets = SecretPlace { stage: stage.clone(), kms_key_id };
    let directory = AccountDirectory::new(account_clients(&sdk_config), table, Some(secrets));
    match directory.is_deployed().await? {
        true => Ok(directory),
        false => Err(StageError::NotDeployed { stage, region }),
    }
}

async fn sdk_config() -> SdkConfig {
    let https = Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https();
    aws_config::defaults(BehaviorVersion::latest()).http_client(https).load().await
}
