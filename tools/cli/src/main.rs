//! The `paybell` binary.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use paybell_cli::{Place, accounts, listen, providers, redrive, simulate, up, verify};

/// Payment callbacks: verified, applied once, told to the people who wait.
#[derive(Parser)]
#[command(name = "paybell", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run all of Paybell as one process on this machine
    Up(up::Options),
    /// Sign what a provider would sign, with the demo account's sandbox keys, and send it
    Simulate(simulate::Options),
    /// Open a user's WebSocket and print notifications as they arrive
    Listen(listen::Options),
    /// Check vector files, or say whether one captured request is genuine
    Verify(verify::Options),
    /// Make accounts, list them and change their API keys, on this machine or in a stage on AWS
    Account(accounts::account::Options),
    /// Put, list and retire an account's credentials for a payment provider
    Credentials(accounts::credentials::Options),
    /// Show what could not be done and why, say what it would do now, have it done again after a repair
    Redrive(redrive::Options),
    /// List the providers: how each signs, what it tells, how it wants to be answered
    Providers(providers::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Up(options) => up::run(&cli.place, &options),
        Command::Simulate(options) => simulate::run(&cli.place, &options),
        Command::Listen(options) => listen::run(&cli.place, &options),
        Command::Verify(options) => verify::run(&options),
        Command::Account(options) => accounts::account::run(&cli.place, &options),
        Command::Credentials(options) => accounts::credentials::run(&cli.place, &options),
        Command::Redrive(options) => redrive::run(&cli.place, &options),
        Command::Providers(options) => providers::run(&options),
    }
}
