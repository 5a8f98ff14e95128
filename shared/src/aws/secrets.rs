//! Credentials in Secrets Manager, read once per version.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_secretsmanager::Client;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::error::{port_error, unreadable};
use crate::callback::Credentials;
use crate::ports::PortError;

/// Most secrets that are remembered; the table names only those that operators have put, so strangers cannot fill it.
const ENTRIES_MAX: usize = 1024;

/// Which secret holds credentials, and in which of its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SecretPointer {
    /// The secret's name.
    pub name: String,
    /// Its `VersionId`. What a version holds never changes.
    pub version: String,
}

/// Reads credentials out of Secrets Manager and remembers what it has read, one version of each secret.
#[derive(Clone)]
pub(super) struct Secrets {
    client: Client,
    entries: Arc<Mutex<HashMap<String, Entry>>>,
}

#[derive(Clone)]
struct Entry {
    version: String,
    credentials: Arc<OnceCell<Credentials>>,
}

impl Secrets {
    pub fn new(client: Client) -> Self {
        Self { client, entries: Arc::default() }
    }

    /// The credentials in that version of the secret. Callbacks that need it at once wait for one request.
    pub async fn credentials(&self, pointer: &SecretPointer) -> Result<Credentials, PortError> {
        let cell = self.cell(pointer);
        cell.get_or_try_init(|| self.fetch(pointer)).await.cloned()
    }

    fn cell(&self, pointer: &SecretPointer) -> Arc<OnceCell<Credentials>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(&pointer.name).filter(|entry| entry.version == pointer.version) {
            return Arc::clone(&entry.credentials);
        }
        if entries.len() >= ENTRIES_MAX && !entries.contains_key(&pointer.name) {
            entries.clear();
        }
        let entry = Entry { version: pointer.version.clone(), credentials: Arc::default() };
        let cell = Arc::clone(&entry.credentials);
        entries.insert(pointer.name.clone(), entry);
        cell
    }

    async fn fetch(&self, pointer: &SecretPointer) -> Result<Credentials, PortError> {
        let request = self.client.get_secret_value().secret_id(&pointer.name).version_id(&pointer.version);
        let output = request.send().await.map_err(|error| {
            match error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) {
                // As with a missing table: it is wanted once somebody has repaired it.
                true => PortError::Transient(
                    "GetSecretValue: the accounts table names a secret or a version of it that is not there; \
                     put the credentials again"
                        .to_owned(),
                ),
                false => port_error("GetSecretValue", &error),
            }
        })?;
        // The SDK's own buffers are out of reach; what it gives out is wiped.
        let text = Zeroizing::new(output.secret_string.ok_or_else(|| unreadable("secret"))?);
        serde_json::from_str(&text).map_err(|_| unreadable("secret"))
    }
}
