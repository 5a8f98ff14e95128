//! An operator's way to a stage, found as the AWS command line finds it.

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::ProvideCredentials as _;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use thiserror::Error;

use super::clients::{account_clients, sqs_client};
use super::directory::AccountDirectory;
use super::error::port_error;
use crate::config::{Config, TableNames};
use crate::ports::PortError;

/// The tag of the queue of what could not be told that says where the stage's WebSockets are.
const WEBSOCKET_TAG: &str = "paybell:websocket-endpoint";

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
    /// It was deployed by a version that does not say where its WebSockets are.
    #[error("the stage `{0}` does not say where its WebSockets are: deploy it again with `infra/deploy {0}`")]
    Outdated(String),
    /// AWS did not do what it was asked.
    #[error("the stage could not be reached: {0}")]
    Port(#[from] PortError),
}

/// The way to a stage that exists.
///
/// Region, credentials and endpoint come from environment variables, the shared `config` and `credentials` files with
/// their profiles (keys, roles to assume, `credential_process`, web identity), a container's or an instance's role.
/// Single sign-on is left to `aws configure export-credentials`.
///
/// # Errors
/// [`StageError`].
pub async fn sdk_config_of_stage(stage: &str) -> Result<SdkConfig, StageError> {
    let sdk_config = sdk_config().await;
    let region = sdk_config.region().ok_or(StageError::NoRegion)?.to_string();
    if let Some(provider) = sdk_config.credentials_provider() {
        let found = provider.provide_credentials().await;
        found.map_err(|error| StageError::NoCredentials(error.to_string()))?;
    }
    let accounts = AccountDirectory::new(account_clients(&sdk_config), accounts_table(stage), None);
    match accounts.is_deployed().await? {
        true => Ok(sdk_config),
        false => Err(StageError::NotDeployed { stage: stage.to_owned(), region }),
    }
}

fn tables_of_stage(stage: &str) -> TableNames {
    TableNames::with_prefix(&format!("paybell-{stage}-"))
}

/// Where a stage's tables and queues are, and its WebSockets.
///
/// Tables and queues are found by their names. The address of the WebSockets is made by AWS, and the queue of what could
/// not be told says it, in its tag `paybell:websocket-endpoint`.
///
/// # Errors
/// [`StageError`].
pub async fn config_of_stage(sdk_config: &SdkConfig, stage: &str) -> Result<Config, StageError> {
    let sqs = sqs_client(sdk_config);
    let queue_url = async |queue: &str| {
        let found = sqs.get_queue_url().queue_name(format!("paybell-{stage}-{queue}")).send().await;
        let found = found.map_err(|error| port_error("GetQueueUrl", &error))?;
        let missing = || PortError::Permanent("GetQueueUrl: no address".to_owned());
        found.queue_url.ok_or_else(missing)
    };
    let notify_dead_letters_url = queue_url("notify-dead-letters").await?;
    let tags = sqs.list_queue_tags().queue_url(&notify_dead_letters_url).send().await;
    let tags = tags.map_err(|error| port_error("ListQueueTags", &error))?;
    let websocket_endpoint = tags.tags.unwrap_or_default().remove(WEBSOCKET_TAG);
    Ok(Config {
        tables: tables_of_stage(stage),
        callbacks_queue_url: queue_url("callbacks").await?,
        callbacks_dead_letters_url: queue_url("callbacks-dead-letters").await?,
        hints_queue_url: queue_url("hints").await?,
        hints_dead_letters_url: queue_url("hints-dead-letters").await?,
        notify_dead_letters_url,
        websocket_endpoint: websocket_endpoint.ok_or_else(|| StageError::Outdated(stage.to_owned()))?,
        dynamodb_endpoint: None,
        sqs_endpoint: None,
    })
}

/// The table of accounts of a stage.
pub fn accounts_table(stage: &str) -> String {
    tables_of_stage(stage).accounts
}

async fn sdk_config() -> SdkConfig {
    let https = Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https();
    aws_config::defaults(BehaviorVersion::latest()).http_client(https).load().await
}
