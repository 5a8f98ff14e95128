//! Bad days of the real process: clients that misbehave or all come back at once, a disk that takes nothing, a clock that
//! jumps.

mod clients;
mod clock;
mod disk;
mod orders;
mod reconnection;
mod reminders;
mod sockets;
