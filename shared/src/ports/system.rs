//! The clock and the randomness of the machine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom as Generator};

use super::{Clock, Random};

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since_1970 =
            SystemTime::now().duration_since(UNIX_EPOCH).expect("no machine's clock is set before 1970");
        i64::try_from(since_1970.as_millis()).expect("milliseconds since 1970 fit 63 bits for ages")
    }
}

/// A clock that goes forward with another one, and on at its own pace when that one is set back.
///
/// For whatever must not come before something earlier, or grow younger: places in an inbox, times to wait and to keep.
/// What is compared with other machines' clocks, such as the time that a provider signed, wants [`SystemClock`].
pub struct ForwardClock {
    followed: Arc<dyn Clock>,
    /// A moment of the past, by both ways to tell the time.
    since: Mutex<(i64, Instant)>,
}

impl ForwardClock {
    /// Follows `followed` from now on.
    pub fn new(followed: Arc<dyn Clock>) -> Self {
        let since = Mutex::new((followed.now_ms(), Instant::now()));
        Self { followed, since }
    }

    /// Goes on from `at_ms` (milliseconds since 1970) if that is later than now.
    pub fn go_on_from(&self, at_ms: i64) {
        self.at_least(at_ms);
    }

    fn at_least(&self, at_ms: i64) -> i64 {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let (from_ms, from) = *since;
        let passed_ms = i64::try_from(from.elapsed().as_millis()).unwrap_or(i64::MAX);
        let now_ms = from_ms.saturating_add(passed_ms);
        if at_ms <= now_ms {
            return now_ms;
        }
        *since = (at_ms, Instant::now());
        at_ms
    }
}

impl Clock for ForwardClock {
    fn now_ms(&self) -> i64 {
        self.at_least(self.followed.now_ms())
    }
}

/// The machine's randomness, by aws-lc.
#[derive(Clone, Debug, Default)]
pub struct SystemRandom(Generator);

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes).expect("aws-lc aborts rather than fail to give randomness");
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::ManualClock;
    use super::*;

    #[test]
    fn s12_a_forward_clock_follows_forward_and_never_goes_back() {
        const HOUR_MS: i64 = 3_600_000;
        let wall = Arc::new(ManualClock::at_ms(100 * HOUR_MS));
        let clock = ForwardClock::new(wall.clone());
        let mut last_ms = clock.now_ms();
        for (jump_ms, followed_ms) in [
            (300_000, 300_000),
            (HOUR_MS, HOUR_MS),
            (-10 * HOUR_MS, 0),
            (-1, 0),
            (9 * HOUR_MS, 0),
            (2 * HOUR_MS, 0),
        ] {
            wall.advance_ms(jump_ms);
            let now_ms = clock.now_ms();
            assert!(now_ms >= last_ms + followed_ms.min(1), "{jump_ms}: {last_ms}, then {now_ms}");
            assert!(now_ms >= wall.now_ms(), "{jump_ms}: behind the clock that it follows");
            last_ms = now_ms;
        }
        clock.go_on_from(last_ms + HOUR_MS);
        assert!(clock.now_ms() >= last_ms + HOUR_MS);
        clock.go_on_from(0);
        assert!(clock.now_ms() >= last_ms + HOUR_MS);
    }
}
