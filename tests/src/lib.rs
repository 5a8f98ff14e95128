//! The harness of the end-to-end tests and the bench: it runs the real `paybell` binary, or takes a deployed stage, and
//! talks to it from outside.
//!
//! Everything here panics with a telling message instead of returning an error: a test has nobody to return it to.

pub mod accounts;
pub mod api;
pub mod binary;
pub mod command;
pub mod fault_proxy;
pub mod flood;
pub mod listener;
pub mod logs;
pub mod place;
pub mod queue;
pub mod raw_http;
pub mod server;
pub mod stage;
pub mod storm;
pub mod told;
pub mod wait;
pub mod world;

pub use api::Api;
pub use listener::Listener;
pub use server::Server;
pub use world::World;
