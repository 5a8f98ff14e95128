//! The SDK's clients, with time limits and retries of ours.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};

use crate::config::Config;

/// The whole of one call, retries included: what does not answer by then is given up, so that there is time left for
/// the answer to a provider, of whom the most impatient waits 5 s, and for giving back what was not done.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(3500);
/// One attempt. A server that takes connections and says nothing costs two of them and a part of the third.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Retries cost tokens of a bucket that a long outage empties. The first attempt of a call costs none, so that what is
/// called after the outage is done at once.
const ATTEMPTS_MAX: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// The SDK's own configuration: region, credentials and `AWS_ENDPOINT_URL` from the environment, as Lambda sets them.
///
/// The SDK's loader would also look at instance metadata, profiles and STS, which nothing here uses: it is a tenth of a
/// function's size.
pub fn sdk_config() -> SdkConfig {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut config = SdkConfig::builder();
    config.set_behavior_version(Some(BehaviorVersion::latest()));
    config.set_region(variable("AWS_REGION").map(Region::new));
    config.set_endpoint_url(variable("AWS_ENDPOINT_URL"));
    config
        .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
        .build()
}

/// One client for each service. Those that need TLS share one connector.
#[derive(Clone, Debug)]
pub struct Clients {
    /// DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// Secrets Manager.
    pub secrets: aws_sdk_secretsmanager::Client,
    /// The WebSocket API's management endpoint.
    pub websocket: aws_sdk_apigatewaymanagement::Client,
}

impl Clients {
    /// Clients of the services where `sdk_config` and `config` say they are.
    ///
    /// Services at a plain HTTP address on this machine need no TLS: then none is set up, which keeps the start fast.
    pub fn new(sdk_config: &SdkConfig, config: &Config) -> Self {
        let dynamodb_endpoint = config.dynamodb_endpoint.as_deref().or(sdk_config.endpoint_url());
        let sqs_endpoint = config.sqs_endpoint.as_deref().or(sdk_config.endpoint_url());
        let secrets_endpoint = sdk_config.endpoint_url();
        let websocket_endpoint = Some(config.websocket_endpoint.as_str());
        let endpoints = [dynamodb_endpoint, sqs_endpoint, secrets_endpoint, websocket_endpoint];
        let sdk_config = with_limits(sdk_config, endpoints.into_iter().all(is_plain_loopback));

        let mut dynamodb = aws_sdk_dynamodb::config::Builder::from(&sdk_config);
        dynamodb.set_endpoint_url(dynamodb_endpoint.map(str::to_owned));
        let mut sqs = aws_sdk_sqs::config::Builder::from(&sdk_config);
        sqs.set_endpoint_url(sqs_endpoint.map(str::to_owned));
        let websocket = aws_sdk_apigatewaymanagement::config::Builder::from(&sdk_config)
            .endpoint_url(&config.websocket_endpoint);
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs.build()),
            secrets: aws_sdk_secretsmanager::Client::new(&sdk_config),
            websocket: aws_sdk_apigatewaymanagement::Client::from_conf(websocket.build()),
        }
    }
}

/// Clients of the two services that hold accounts, where `sdk_config` says they are.
pub fn account_clients(sdk_config: &SdkConfig) -> (aws_sdk_dynamodb::Client, aws_sdk_secretsmanager::Client) {
    let sdk_config = with_limits(sdk_config, is_plain_loopback(sdk_config.endpoint_url()));
    (aws_sdk_dynamodb::Client::new(&sdk_config), aws_sdk_secretsmanager::Client::new(&sdk_config))
}

/// A client of the queues, where `sdk_config` says they are.
pub(super) fn sqs_client(sdk_config: &SdkConfig) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(&with_limits(sdk_config, is_plain_loopback(sdk_config.endpoint_url())))
}

fn with_limits(sdk_config: &SdkConfig, plain: bool) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS_MAX)
        .with_initial_backoff(FIRST_BACKOFF)
        .with_max_backoff(BACKOFF_MAX);
    let mut limited = sdk_config.to_builder().timeout_config(timeouts).retry_config(retries);
    if sdk_config.http_client().is_none() {
        limited = limited.http_client(if plain {
            Builder::new().build_http()
        } else {
            Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https()
        });
    }
    limited.build()
}

fn is_plain_loopback(endpoint: Option<&str>) -> bool {
    let Some(rest) = endpoint.and_then(|endpoint| endpoint.strip_prefix("http://")) else { return false };
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|host| {
        rest.strip_prefix(host).is_some_and(|after| after.is_empty() || after.starts_with([':', '/']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_addresses_of_this_machine_go_without_tls() {
        for (endpoint, plain) in [
            (None, false),
            (Some("http://127.0.0.1:8000"), true),
            (Some("http://localhost:8000/prod"), true),
            (Some("http://[::1]:8000"), true),
            (Some("https://127.0.0.1:8000"), false),
            (Some("http://127.0.0.1.example.com"), false),
            (Some("http://10.0.0.1:8000"), false),
        ] {
            assert_eq!(is_plain_loopback(endpoint), plain, "{endpoint:?}");
        }
    }
}
