//! Putting credentials into Secrets Manager.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::types::Tag;

use super::error::port_error;
use super::secrets::SecretPointer;
use crate::ports::PortError;

/// Most bytes of a secret.
///
/// # Source
/// AWS Secrets Manager, "Quotas".
const SECRET_BYTES_MAX: usize = 65_536;

/// Where a deployment's credentials are kept in Secrets Manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretPlace {
    /// The stage: part of the secrets' names, and their tag `stage`.
    pub stage: String,
    /// The KMS key that new secrets are encrypted with; the account's own for Secrets Manager when absent.
    pub kms_key_id: Option<String>,
}

impl SecretPlace {
    /// The name of the secret that holds an account's credentials for a provider.
    pub fn name(&self, account: &str, provider: &str) -> String {
        format!("paybell/{}/credentials/{account}/{provider}", self.stage)
    }
}

/// Writes secrets.
pub(super) struct SecretWriter {
    client: Client,
    place: SecretPlace,
}

impl SecretWriter {
    pub fn new(client: Client, place: SecretPlace) -> Self {
        Self { client, place }
    }

    /// Stores a text as a new version of the account's secret for the provider, which is made if need be.
    pub async fn write(&self, account: &str, provider: &str, text: &str) -> Result<SecretPointer, PortError> {
        if text.len() > SECRET_BYTES_MAX {
            return Err(PortError::Permanent(format!(
                "the key sets together are larger than the {SECRET_BYTES_MAX} bytes of a secret: leave out what is \
                 fetched anyway, or retire what is no longer used"
            )));
        }
        let name = self.place.name(account, provider);
        let written = match self.put(&name, text).await? {
            Some(version) => Some(version),
            None => match self.create(&name, text).await? {
                Some(version) => Some(version),
                // Somebody else has made it in between.
                None => self.put(&name, text).await?,
            },
        };
        let version = written.ok_or_else(|| {
            PortError::Transient(format!("PutSecretValue: the secret `{name}` comes and goes; try again"))
        })?;
        Ok(SecretPointer { name, version })
    }

    /// The id of the new version; `None` when there is no such secret.
    ///
    /// A secret that is waiting to be deleted, as after a stage of the same name, is kept: it takes nothing meanwhile.
    async fn put(&self, name: &str, text: &str) -> Result<Option<String>, PortError> {
        let request = || self.client.put_secret_value().secret_id(name).secret_string(text).send();
        let mut put = request().await;
        if let Err(error) = &put
            && error.as_service_error().is_some_and(|error| error.is_invalid_request_exception())
        {
            let restored = self.client.restore_secret().secret_id(name).send().await;
            restored.map_err(|error| port_error("RestoreSecret", &error))?;
            put = request().await;
        }
        match put {
            Ok(output) => Ok(output.version_id),
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) =>
            {
                Ok(None)
            }
            Err(error) => Err(port_error("PutSecretValue", &error)),
        }
    }

    /// The id of the first version; `None` when there is such a secret.
    async fn create(&self, name: &str, text: &str) -> Result<Option<String>, PortError> {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let request = self
            .client
            .create_secret()
            .name(name)
            .description("Credentials of a payment provider, put by `paybell credentials put`")
            .tags(tag("application", "paybell"))
            .tags(tag("stage", &self.place.stage))
            .set_kms_key_id(self.place.kms_key_id.clone())
            .secret_string(text);
        match request.send().await {
            Ok(output) => Ok(output.version_id),
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_resource_exists_exception()) =>
            {
                Ok(None)
            }
            Err(error) => Err(port_error("CreateSecret", &error)),
        }
    }
}
