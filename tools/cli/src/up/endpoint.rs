//! Where the embedded services of a running `paybell up` are, told to the commands that share its data folder.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use aws_config::SdkConfig;
use serde::{Deserialize, Serialize};

use super::internal;
use crate::private_file;

/// The loopback endpoint of the process that holds a data folder's lock, and the access key id that it wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    pub address: SocketAddr,
    pub access_key_id: String,
}

/// The file's name in the data folder. It is readable by its owner alone, and goes with the lock: whoever gets the lock
/// removes what another process has left.
const FILE_NAME: &str = "endpoint.json";

impl Endpoint {
    /// What the file says; nothing when there is none, or none that can be read.
    pub fn read(data: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(data.join(FILE_NAME)).ok()?).ok()
    }

    /// Writes the file.
    ///
    /// # Errors
    /// As writing a file.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        private_file::replace(data, FILE_NAME, &serde_json::to_vec(self)?)
    }

    /// What makes the AWS SDK's clients talk to it.
    pub fn sdk_config(&self) -> SdkConfig {
        internal::sdk_config(self.address, &self.access_key_id)
    }

    /// Removes the file if it is there.
    ///
    /// # Errors
    /// As removing a file.
    pub fn remove(data: &Path) -> io::Result<()> {
        match std::fs::remove_file(data.join(FILE_NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
