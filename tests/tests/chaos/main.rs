//! Bad days of the real process: clients that misbehave.

mod clients;
mod sockets;
