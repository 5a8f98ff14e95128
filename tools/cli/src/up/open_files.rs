//! How many files this process may have open: every WebSocket is one.

/// As many as a system that says nothing of it may be believed to open for one process; macOS says that its limit is
/// none, and refuses to have it set to none.
///
/// # Source
/// macOS, setrlimit(2), "COMPATIBILITY": `OPEN_MAX`, which is 10,240.
#[cfg(unix)]
const UNLIMITED_MEANS: u64 = 10_240;

/// Raises the limit as far as the system lets a process raise its own, and says what it is then; `None` where it is not
/// known.
///
/// Systems set it low, at 1,024 or 256, for programs that count descriptors with `select`, which this one does not.
#[cfg(unix)]
pub fn raise_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let wanted = raised(limit.current, limit.maximum);
    if wanted == limit.current {
        return wanted;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: wanted, ..limit }) {
        Ok(()) => wanted,
        Err(error) => {
            let allowed = limit.current.unwrap_or(u64::MAX);
            tracing::warn!(%error, allowed, "the limit of open files, and so of WebSockets, stays as it is");
            limit.current
        }
    }
}

/// Other systems have no such limit that a process could raise.
#[cfg(not(unix))]
pub fn raise_limit() -> Option<u64> {
    None
}

/// What to ask for; `None` means no limit.
#[cfg(unix)]
fn raised(current: Option<u64>, maximum: Option<u64>) -> Option<u64> {
    let current = current?;
    Some(current.max(maximum.unwrap_or(UNLIMITED_MEANS)))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_and_never_set_to_none() {
        for (current, maximum, wanted) in [
            (Some(1_024), Some(524_288), Some(524_288)),
            (Some(256), None, Some(UNLIMITED_MEANS)),
            (Some(20_000), None, Some(20_000)),
            (Some(1_024), Some(1_024), Some(1_024)),
            (None, None, None),
        ] {
            assert_eq!(raised(current, maximum), wanted, "{current:?} of {maximum:?}");
        }
    }
}
