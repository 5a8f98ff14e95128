//! The clock and the randomness of the machine.

use std::time::{SystemTime, UNIX_EPOCH};

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

/// The machine's randomness, by aws-lc.
#[derive(Clone, Debug, Default)]
pub struct SystemRandom(Generator);

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes).expect("aws-lc aborts rather than fail to give randomness");
    }
}
