//! What a deployment configures.

use std::path::Path;

use thiserror::Error;

use crate::providers::described::{self, Description, DescriptionError};
use crate::providers::{Provider, Registry, registry};

/// Name of the table of orders and references.
pub const ORDERS_TABLE: &str = "PAYBELL_ORDERS_TABLE";
/// Name of the table of notifications.
pub const INBOX_TABLE: &str = "PAYBELL_INBOX_TABLE";
/// Name of the table of WebSocket connections and tickets.
pub const CONNECTIONS_TABLE: &str = "PAYBELL_CONNECTIONS_TABLE";
/// Name of the table of credentials and API keys.
pub const ACCOUNTS_TABLE: &str = "PAYBELL_ACCOUNTS_TABLE";
/// Address of the queue of verified callbacks.
pub const CALLBACKS_QUEUE_URL: &str = "PAYBELL_CALLBACKS_QUEUE_URL";
/// Address of its dead-letter queue.
pub const CALLBACKS_DEAD_LETTERS_URL: &str = "PAYBELL_CALLBACKS_DEAD_LETTERS_URL";
/// Address of the queue of hints.
pub const HINTS_QUEUE_URL: &str = "PAYBELL_HINTS_URL";
/// Address of its dead-letter queue.
pub const HINTS_DEAD_LETTERS_URL: &str = "PAYBELL_HINTS_DEAD_LETTERS_URL";
/// Address of the queue of order changes that `notify` could not tell.
pub const NOTIFY_DEAD_LETTERS_URL: &str = "PAYBELL_NOTIFY_DEAD_LETTERS_URL";
/// Address of the WebSocket API's management endpoint, stage included: `https://{api}.execute-api.{region}.amazonaws.com/{stage}`.
pub const WEBSOCKET_ENDPOINT: &str = "PAYBELL_WEBSOCKET_ENDPOINT";

/// Path of a configuration file that describes providers beside the built-in ones; optional. A relative path begins
/// where Lambda unpacks the function's package.
pub const PROVIDERS_FILE: &str = "PAYBELL_PROVIDERS_FILE";
/// Where Lambda unpacks the function's package; set by Lambda.
const TASK_ROOT: &str = "LAMBDA_TASK_ROOT";

/// Name of the deployment's stage, which metrics and traces say; optional.
pub const STAGE: &str = "PAYBELL_STAGE";
/// Where the OpenTelemetry collector is, such as `http://localhost:4318`; without it there are no traces.
pub const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// What a deployment configures. Every function gets all of it; their roles, not this, limit what they reach.
#[derive(Clone)]
pub struct Config {
    /// The tables.
    pub tables: TableNames,
    /// Address of the queue of verified callbacks.
    pub callbacks_queue_url: String,
    /// Address of its dead-letter queue.
    pub callbacks_dead_letters_url: String,
    /// Address of the queue of hints.
    pub hints_queue_url: String,
    /// Address of its dead-letter queue.
    pub hints_dead_letters_url: String,
    /// Address of the queue of order changes that `notify` could not tell.
    pub notify_dead_letters_url: String,
    /// Address of the WebSocket API's management endpoint.
    pub websocket_endpoint: String,
    /// Where DynamoDB is, when not where the SDK's own configuration (`AWS_ENDPOINT_URL`, region) says.
    pub dynamodb_endpoint: Option<String>,
    /// Where SQS is, when not where the SDK's own configuration says.
    pub sqs_endpoint: Option<String>,
}

/// Names of the four tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableNames {
    /// Orders and references.
    pub orders: String,
    /// Notifications.
    pub inbox: String,
    /// WebSocket connections and tickets.
    pub connections: String,
    /// Credentials and API keys.
    pub accounts: String,
}

impl TableNames {
    /// `{prefix}orders`, `{prefix}inbox`, `{prefix}connections`, `{prefix}accounts`.
    pub fn with_prefix(prefix: &str) -> Self {
        let name = |table: &str| format!("{prefix}{table}");
        Self {
            orders: name("orders"),
            inbox: name("inbox"),
            connections: name("connections"),
            accounts: name("accounts"),
        }
    }
}

/// Why the configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// An environment variable is absent or empty.
    #[error("environment variable `{0}` is not set")]
    Missing(&'static str),
    /// The providers' file cannot be read.
    #[error("cannot read `{path}`, which `{PROVIDERS_FILE}` names: {problem}")]
    File {
        /// The path.
        path: String,
        /// Why.
        problem: String,
    },
    /// The providers' file describes something else than providers.
    #[error(transparent)]
    Description(#[from] DescriptionError),
}

impl Config {
    /// Reads the environment variables that this module names.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] with the name of the first variable that is absent or empty.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// Reads the same variables from wherever `variable` finds them.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let required = |name: &'static str| {
            variable(name).filter(|value| !value.is_empty()).ok_or(ConfigError::Missing(name))
        };
        Ok(Self {
            tables: TableNames {
                orders: required(ORDERS_TABLE)?,
                inbox: required(INBOX_TABLE)?,
                connections: required(CONNECTIONS_TABLE)?,
                accounts: required(ACCOUNTS_TABLE)?,
            },
            callbacks_queue_url: required(CALLBACKS_QUEUE_URL)?,
            callbacks_dead_letters_url: required(CALLBACKS_DEAD_LETTERS_URL)?,
            hints_queue_url: required(HINTS_QUEUE_URL)?,
            hints_dead_letters_url: required(HINTS_DEAD_LETTERS_URL)?,
            notify_dead_letters_url: required(NOTIFY_DEAD_LETTERS_URL)?,
            websocket_endpoint: required(WEBSOCKET_ENDPOINT)?,
            dynamodb_endpoint: None,
            sqs_endpoint: None,
        })
    }
}

/// The built-in providers and those of the file that [`PROVIDERS_FILE`] names. Apart from [`Config`], because half of the
/// functions need none of them.
///
/// # Errors
/// [`ConfigError::File`] and [`ConfigError::Description`].
pub fn registry_from_env() -> Result<Registry, ConfigError> {
    registry_from_variables(|name| std::env::var(name).ok())
}

fn registry_from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Registry, ConfigError> {
    let Some(path) = variable(PROVIDERS_FILE).filter(|path| !path.is_empty()) else {
        return Ok(Registry::default());
    };
    let root = variable(TASK_ROOT).unwrap_or_default();
    let text = std::fs::read_to_string(Path::new(&root).join(&path));
    let text = text.map_err(|error| ConfigError::File { path, problem: error.to_string() })?;
    Ok(Registry::new(described_providers(&text)?))
}

/// The providers that a configuration file describes in its tables `[providers.NAME]`. Read once: they live as
/// long as the program.
///
/// # Errors
/// [`DescriptionError`] naming the provider and the field that is wrong: a name that is built in already, an
/// unknown table, or a description that would accept what is not proved.
pub fn described_providers(file_text: &str) -> Result<Vec<&'static Provider>, DescriptionError> {
    let wrong = |provider: &str, field: &str, problem: &str| DescriptionError {
        provider: provider.to_owned(),
        field: field.to_owned(),
        problem: problem.to_owned(),
    };
    let file = described::parse_table(file_text).map_err(|problem| wrong("", ".", &problem))?;
    let mut providers = Vec::new();
    for (name, value) in file {
        let toml::Value::Table(tables) = value else {
            return Err(wrong("", &name, "is not a table; providers are described in `[providers.NAME]`"));
        };
        if name != PROVIDERS_TABLE {
            return Err(wrong("", &name, "is not known; providers are described in `[providers.NAME]`"));
        }
        for (name, value) in tables {
            let toml::Value::Table(table) = value else {
                return Err(wrong(&name, ".", "is not a table"));
            };
            if registry::built_in().any(|provider| provider.name == name) {
                return Err(wrong(&name, "name", "is built in, choose another one"));
            }
            providers.push(Description::from_table(&name, table)?);
        }
    }
    Ok(providers.into_iter().map(Description::into_provider).collect())
}

const PROVIDERS_TABLE: &str = "providers";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_providers_and_names_what_is_wrong() {
        let sample = include_str!("../fixtures/own_provider/paybell.toml");
        let described = described_providers(sample).unwrap();
        assert_eq!(described.iter().map(|provider| provider.name).collect::<Vec<_>>(), ["harbour_pay"]);
        assert_eq!(described[0].answers.success.body, "ok");
        assert_eq!(described_providers("").map(|providers| providers.len()), Ok(0));
        let rows = [
            (sample.replace("harbour_pay", "stripe"), "provider `stripe`: name: is built in"),
            (
                sample.replace("hmac-sha512", "md4"),
                "harbour_pay`: checks[0].algorithm: unknown variant `md4`",
            ),
            (
                sample.replace("[providers.", "[provider."),
                "provider: is not known; providers are described in",
            ),
            ("providers = 1".to_owned(), "providers: is not a table"),
            ("[providers]\na = 1".to_owned(), "provider `a`: .: is not a table"),
            ("[providers.'a/b']".to_owned(), "provider `a/b`: "),
            ("[".to_owned(), "TOML parse error"),
        ];
        for (text, message) in rows {
            let error = described_providers(&text).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(message), "said {error}\nnot  {message}");
        }
    }

    #[test]
    fn names_the_variable_that_is_missing() {
        let all = |name: &str| Some(format!("value of {name}"));
        let config = Config::from_variables(all).unwrap();
        assert_eq!(config.tables.inbox, "value of PAYBELL_INBOX_TABLE");
        for name in [
            ORDERS_TABLE,
            INBOX_TABLE,
            CONNECTIONS_TABLE,
            ACCOUNTS_TABLE,
            CALLBACKS_QUEUE_URL,
            CALLBACKS_DEAD_LETTERS_URL,
            HINTS_QUEUE_URL,
            HINTS_DEAD_LETTERS_URL,
            NOTIFY_DEAD_LETTERS_URL,
            WEBSOCKET_ENDPOINT,
        ] {
            for bad in [None, Some(String::new())] {
                let without = |asked: &str| if asked == name { bad.clone() } else { all(asked) };
                assert_eq!(Config::from_variables(without).err(), Some(ConfigError::Missing(name)));
            }
        }
    }

    #[test]
    fn reads_the_providers_file_that_a_variable_names() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/own_provider");
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/own_provider/paybell.toml");
        let with = |path: &'static str| {
            registry_from_variables(move |name| match name {
                PROVIDERS_FILE => Some(path.to_owned()),
                TASK_ROOT => Some(root.to_owned()),
                _ => Some("x".to_owned()),
            })
        };
        for path in [sample, "paybell.toml"] {
            assert!(with(path).unwrap().find("harbour_pay").is_some(), "{path}");
        }
        let error = with("no/such/file.toml").err().unwrap().to_string();
        assert!(error.starts_with("cannot read `no/such/file.toml`, which `PAYBELL_PROVIDERS_FILE` names"));
    }
}
