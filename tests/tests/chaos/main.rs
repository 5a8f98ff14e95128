//! Bad days of the real process: clients that misbehave, a disk that takes nothing, a
//! clock that jumps.

mod clients;
mod clock;
mod disk;
mod reconnection;
mod sockets;
