//! The demo account that the first start creates, kept in the data folder for the client commands.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use paybell_shared::sandbox::SandboxKeys;
use serde::{Deserialize, Serialize};

use crate::private_file;

/// The demo account: its API key and both sides of its sandbox keys. The file is readable by its owner alone.
#[derive(Clone, Serialize, Deserialize)]
pub struct DemoAccount {
    /// The account's name in callback addresses.
    pub account: String,
    /// The merchant's API key, in clear.
    pub api_key: String,
    /// A user to listen as.
    pub user: String,
    /// Sandbox keys by provider.
    pub providers: BTreeMap<String, SandboxKeys>,
}

impl DemoAccount {
    /// The file's name in the data folder.
    pub const FILE_NAME: &'static str = "demo.json";

    /// Reads the file in the data folder.
    ///
    /// # Errors
    /// As reading a file, or `InvalidData` when it is not a demo account.
    pub fn read(data: &Path) -> io::Result<Self> {
        let text = std::fs::read_to_string(data.join(Self::FILE_NAME))?;
        serde_json::from_str(&text).map_err(io::Error::from)
    }

    /// Replaces the file in the data folder, all of it or nothing.
    ///
    /// # Errors
    /// As writing a file.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        private_file::replace(data, Self::FILE_NAME, &serde_json::to_vec_pretty(self)?)
    }
}
