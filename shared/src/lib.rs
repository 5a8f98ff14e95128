//! What every Paybell function shares.
//!
//! - [`callback`]: a provider's request as it arrived, and what it takes to prove it genuine.
//! - [`providers`]: one value per payment provider: its facts, `verify` and `normalise`.
//! - [`domain`]: money, events, and the order as a fold over a set of events.
//! - [`ports`]: what the functions need from the outside world.
//! - [`printable`]: text of strangers that cannot steer a terminal.
//! - [`push`]: what goes over a WebSocket.
//! - [`refusals`]: how much unproved work one source may cause.
//! - `aws` (feature `aws`): the ports on DynamoDB, SQS and API Gateway.
//! - `https` (feature `https`): the way out to providers' servers.
//! - `telemetry` (feature `telemetry`): logs, metrics and traces of the functions.
//! - `sandbox` (feature `sandbox`): keys and signing for the simulator and the tests.
//!
//! `callback`, `providers` and `domain` are pure: time, randomness, secrets and the network are arguments.

#[cfg(feature = "aws")]
pub mod aws;
pub mod callback;
pub mod config;
pub mod domain;
#[cfg(feature = "https")]
pub mod https;
pub mod ports;
mod printable;
pub mod providers;
pub mod push;
pub mod refusals;
#[cfg(feature = "sandbox")]
pub mod sandbox;
#[cfg(feature = "telemetry")]
pub mod telemetry;

pub use printable::printable;
