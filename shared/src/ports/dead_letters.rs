//! Dead letters: what no further try can help is kept where it is seen, with the reason, until an operator has it done
//! again.

use std::fmt;

use async_trait::async_trait;

use super::PortError;

/// Most bytes of the reason that is kept with a dead letter.
pub const REASON_BYTES_MAX: usize = 512;
/// The message attribute that carries the reason.
pub const REASON_ATTRIBUTE: &str = "Reason";
/// Most letters that one receive gives.
pub const LETTERS_PER_RECEIVE_MAX: usize = 10;

/// Where what no further try can help is put.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Keeps the text of a message as it is, and beside it why it is here; returns once it is stored durably. The reason
    /// is an error's text: it holds no secret and nothing of a person. What is longer than [`REASON_BYTES_MAX`] is cut.
    async fn set_aside(&self, message: &str, reason: &str) -> Result<(), PortError>;
}

/// A dead letter as it was received. It prints without the message, which may be a whole callback, and without its handle.
#[derive(Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id, the same at every receive.
    pub id: String,
    /// What names this receive of it.
    pub receipt_handle: String,
    /// The message as it was.
    pub body: String,
    /// Why it was set aside; absent of what the queue itself has moved after too many receives.
    pub reason: Option<String>,
    /// When it was sent, milliseconds since 1970; of what the queue has moved, when it was sent at first.
    pub sent_at_ms: i64,
    /// How often it was received from here, this time included.
    pub receive_count: u32,
}

impl fmt::Debug for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("id", &self.id)
            .field("reason", &self.reason)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A dead-letter queue as an operator reads it.
#[async_trait]
pub trait DeadLetterQueue: Send + Sync {
    /// Up to [`LETTERS_PER_RECEIVE_MAX`] letters, which nobody else receives for so long.
    async fn receive(&self, hidden_seconds: u32) -> Result<Vec<DeadLetter>, PortError>;
    /// Lets others receive these letters from now on.
    async fn give_back(&self, letters: &[&DeadLetter]) -> Result<(), PortError>;
    /// Deletes a letter.
    async fn delete(&self, letter: &DeadLetter) -> Result<(), PortError>;
    /// About how many letters somebody else has received a short while ago and not given back.
    async fn hidden(&self) -> Result<u64, PortError>;
}

/// Where the letters of a dead-letter queue came from.
#[async_trait]
pub trait ReturnQueue: Send + Sync {
    /// Takes a message again as it was; returns once it is stored durably.
    async fn send_again(&self, message: &str) -> Result<(), PortError>;
}

/// A reason as queues take it: one line of printable text of at most [`REASON_BYTES_MAX`] bytes.
pub fn kept_reason(reason: &str) -> String {
    let mut kept = String::new();
    for word in reason.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty()) {
        if !kept.is_empty() {
            kept.push(' ');
        }
        kept.push_str(word);
    }
    let end = kept.floor_char_boundary(REASON_BYTES_MAX);
    kept.truncate(end);
    // SQS refuses an attribute without a value.
    if kept.is_empty() { "unknown".to_owned() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_a_dead_letter_prints_without_its_message() {
        let letter = DeadLetter {
            id: "letter-1".to_owned(),
            receipt_handle: "handle".to_owned(),
            body: "payer@example.com".to_owned(),
            reason: Some("field `a` is absent".to_owned()),
            sent_at_ms: 1,
            receive_count: 1,
        };
        let expected =
            r#"DeadLetter { id: "letter-1", reason: Some("field `a` is absent"), body_bytes: 17, .. }"#;
        assert_eq!(format!("{letter:?}"), expected);
    }

    #[test]
    fn a_reason_is_one_bounded_line() {
        for (reason, kept) in [
            ("field `json:/a` is absent", "field `json:/a` is absent"),
            ("a\n\tb\u{0}c", "a b c"),
            ("", "unknown"),
            ("\n", "unknown"),
        ] {
            assert_eq!(kept_reason(reason), kept);
        }
        let long = "单".repeat(REASON_BYTES_MAX);
        let kept = kept_reason(&long);
        assert!(
            kept.len() <= REASON_BYTES_MAX && long.starts_with(&kept) && kept.len() > REASON_BYTES_MAX - 4
        );
    }
}
