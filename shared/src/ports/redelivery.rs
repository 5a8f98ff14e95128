//! How long what could not be done stays with its queue before it comes again.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;

use super::{PortError, Random};

/// Receives after which a queue moves a message to its dead-letter queue, `maxReceiveCount` of its redrive policy.
///
/// With [`redelivery_delay_seconds`] that is 13 to 26 hours, so that a fault may last a night. Where nothing is given
/// back, because functions are killed or the queue refuses, each receive costs the visibility timeout: 110 × 180 s are
/// 5.5 hours.
pub const RECEIVES_MAX: u32 = 110;
/// The queues' visibility timeout: six times the functions' timeout of 30 s, as Lambda wants it.
pub const VISIBILITY_TIMEOUT_SECONDS: u32 = 180;
/// The longest that a message is put off. It stays far below the 12 hours that SQS allows from one receive on.
pub const DELAY_SECONDS_MAX: u32 = 900;
/// The longest that a message is put off after its first receive.
const FIRST_DELAY_SECONDS_MAX: u32 = 4;

/// How long a message stays hidden that was received `receive_count` times (from 1 on) and could not be done: 2 to 4 s
/// after the first time, doubling, 450 to 900 s at last.
///
/// The whole upper half is left to chance, so that what an outage has gathered does not come back in one moment;
/// `random` is any number.
pub fn redelivery_delay_seconds(receive_count: u32, random: u32) -> u32 {
    let doublings = receive_count.saturating_sub(1);
    let longest =
        FIRST_DELAY_SECONDS_MAX.saturating_mul(2_u32.saturating_pow(doublings)).min(DELAY_SECONDS_MAX);
    let shortest = longest / 2;
    shortest + random % (longest - shortest + 1)
}

/// A message that was received and is not deleted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// What names this receive of the message.
    pub receipt_handle: String,
    /// How often it was received, this time included.
    pub receive_count: u32,
}

impl InFlight {
    /// A message by its receipt handle and the attributes that the queue gives it. `None` without a handle. One that
    /// does not say how often it was received counts as received once.
    pub fn new(receipt_handle: Option<&str>, attributes: &HashMap<String, String>) -> Option<Self> {
        let receive_count = attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok());
        let receipt_handle = receipt_handle.filter(|handle| !handle.is_empty())?.to_owned();
        Some(Self { receipt_handle, receive_count: receive_count.unwrap_or(1) })
    }
}

/// A message and how long it is to stay hidden from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOff {
    /// What names this receive of the message.
    pub receipt_handle: String,
    /// From now on.
    pub delay_seconds: u32,
}

/// Where messages come from, and come from again.
#[async_trait]
pub trait Redelivery: Send + Sync {
    /// Hides messages for a while from now on, after which they come again.
    ///
    /// # Errors
    /// [`PortError`] when this is not known of all of them. The others come again after the queue's visibility timeout.
    async fn put_off(&self, messages: &[PutOff]) -> Result<(), PortError>;
}

/// Gives messages back that could not be done, each for a while that grows with its receives.
///
/// # Errors
/// As [`Redelivery::put_off`].
pub async fn give_back(
    queue: &dyn Redelivery,
    messages: impl IntoIterator<Item = InFlight>,
    random: &dyn Random,
) -> Result<(), PortError> {
    let put_off = |message: InFlight| {
        let mut bytes = [0; 4];
        random.fill(&mut bytes);
        let delay_seconds = redelivery_delay_seconds(message.receive_count, u32::from_le_bytes(bytes));
        PutOff { receipt_handle: message.receipt_handle, delay_seconds }
    };
    let messages: Vec<PutOff> = messages.into_iter().map(put_off).collect();
    if messages.is_empty() { Ok(()) } else { queue.put_off(&messages).await }
}

/// Does `work` unless it takes longer than `allowed`.
///
/// # Errors
/// That of the work; [`PortError::Transient`] when there was no time left for it.
pub async fn within<T>(
    allowed: Duration,
    work: impl Future<Output = Result<T, PortError>>,
) -> Result<T, PortError> {
    let out_of_time = |_| Err(PortError::Transient("no time left in this invocation".to_owned()));
    tokio::time::timeout(allowed, work).await.unwrap_or_else(out_of_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_the_delay_doubles_up_to_its_limit_and_half_of_it_is_chance() {
        for (receive_count, shortest, longest) in [
            (0, 2, 4),
            (1, 2, 4),
            (2, 4, 8),
            (3, 8, 16),
            (8, 256, 512),
            (9, 450, 900),
            (10, 450, 900),
            (110, 450, 900),
            (u32::MAX, 450, 900),
        ] {
            let delays: Vec<u32> =
                (0..=longest).map(|random| redelivery_delay_seconds(receive_count, random)).collect();
            assert_eq!(delays.iter().min(), Some(&shortest), "{receive_count}");
            assert_eq!(delays.iter().max(), Some(&longest), "{receive_count}");
            assert!((shortest..=longest).all(|delay| delays.contains(&delay)), "{receive_count}");
        }
    }

    /// Seconds until a queue moves a message to its dead-letter queue, when each receive costs so much.
    fn kept_out_seconds(cost_seconds: impl Fn(u32) -> u32) -> u32 {
        (1..=RECEIVES_MAX).map(cost_seconds).sum()
    }

    #[test]
    fn s5_a_fault_of_four_hours_ends_before_the_dead_letter_queue_however_messages_come_back() {
        let shortest = |count| redelivery_delay_seconds(count, 0);
        let longest =
            |count| shortest(count) + redelivery_delay_seconds(count, shortest(count)) - shortest(count);
        for (way, kept_out, expected) in [
            ("given back, the shortest delays", kept_out_seconds(shortest), 46_410),
            ("given back, the longest delays", kept_out_seconds(longest), 92_820),
            ("never given back", kept_out_seconds(|_| VISIBILITY_TIMEOUT_SECONDS), 19_800),
            (
                "whichever is shorter",
                kept_out_seconds(|n| shortest(n).min(VISIBILITY_TIMEOUT_SECONDS)),
                18_794,
            ),
        ] {
            assert_eq!(kept_out, expected, "{way}");
            assert!(kept_out >= 4 * 3600, "{way}");
        }
    }

    #[test]
    fn a_message_is_read_off_what_the_queue_says() {
        let attributes =
            |count: &str| HashMap::from([("ApproximateReceiveCount".to_owned(), count.to_owned())]);
        let in_flight = |receive_count| Some(InFlight { receipt_handle: "h".to_owned(), receive_count });
        for (handle, attributes, expected) in [
            (Some("h"), attributes("7"), in_flight(7)),
            (Some("h"), attributes("many"), in_flight(1)),
            (Some("h"), HashMap::new(), in_flight(1)),
            (Some(""), attributes("7"), None),
            (None, attributes("7"), None),
        ] {
            assert_eq!(InFlight::new(handle, &attributes), expected);
        }
    }
}
