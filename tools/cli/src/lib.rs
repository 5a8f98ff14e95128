//! The `paybell` command line, as a library so that the end-to-end tests and the bench use the same clients.

pub mod accounts;
pub mod client;
pub mod demo;
mod deployment;
pub mod listen;
mod private_file;
pub mod providers;
pub mod redrive;
pub mod simulate;
pub mod up;
pub mod verify;

use std::path::PathBuf;

use clap::Args;

/// Where the running Paybell is; every command takes the same.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// Data folder
    #[arg(long, default_value = Self::DEFAULT_DATA, global = true)]
    pub data: PathBuf,
    /// Port on 127.0.0.1
    #[arg(long, default_value_t = Self::DEFAULT_PORT, global = true)]
    pub port: u16,
}

impl Place {
    /// The data folder unless told otherwise.
    pub const DEFAULT_DATA: &'static str = "paybell-data";
    /// The port unless told otherwise.
    pub const DEFAULT_PORT: u16 = 8787;
}
