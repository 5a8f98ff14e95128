//! How many files this process may have open: every WebSocket is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as the system lets a process raise its own.
///
/// Systems set it low, at 1,024 or 256, for programs that count descriptors with `select`, which this one does not.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        let allowed = limit.current.unwrap_or(u64::MAX);
        tracing::warn!(%error, allowed, "the limit of open files, and so of WebSockets, stays as it is");
    }
}
