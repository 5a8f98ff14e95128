//! Everything that reads unverified bytes, as functions over bytes that must neither panic, nor accept a forgery, nor
//! read a document in two ways.
//!
//! The same [`TARGETS`] are run with mutations of their seeds on stable Rust (`tests/stable.rs`), with libFuzzer
//! (`fuzz/`, a crate outside of the workspace) and, with documents built to be worst, by `paybell-fuzz worst`.

mod cases;
pub mod dictionary;
mod documents;
mod harvest;
mod mutator;
mod readers;
mod request_text;
mod requests;
pub mod runner;
mod target;
pub mod worst;

pub use target::{TARGETS, Target, find, run};
