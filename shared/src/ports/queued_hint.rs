//! What the queue of hints carries: callbacks, and reminders of what no callback may ever mention.

use serde::{Deserialize, Serialize};

use crate::callback::Verified;
use crate::callback::verified::{MessageError, place_of};
use crate::domain::Reminder;

/// What a reminder's message says it is. A callback's message has no such field.
const REMINDER: &str = "reminder";

/// A message of the queue of hints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueuedHint {
    /// A callback of which the provider must be asked.
    Callback(Verified),
    /// A registered payment of which it must be asked when nothing is heard.
    Reminder(Reminder),
}

impl QueuedHint {
    /// Reads a message: one that says what kind it is, or a callback's.
    ///
    /// # Errors
    /// [`MessageError`] when it is neither; it belongs in the dead-letter queue.
    pub fn from_queue(text: &str) -> Result<Self, MessageError> {
        let unreadable = |error: serde_json::Error| MessageError::Unreadable(place_of(&error));
        let Kind { kind } = serde_json::from_str(text).map_err(unreadable)?;
        match kind.as_deref() {
            None => Verified::from_queue(text).map(Self::Callback),
            Some(REMINDER) => serde_json::from_str(text).map(Self::Reminder).map_err(unreadable),
            Some(_) => Err(MessageError::Unreadable("its kind is not known".to_owned())),
        }
    }

    /// The text that the queue carries for a reminder.
    pub fn message_of(reminder: &Reminder) -> String {
        let message = Message { kind: REMINDER, reminder };
        serde_json::to_string(&message).expect("a struct of texts and integers always serialises")
    }

    /// Whose it is.
    pub fn account(&self) -> &str {
        match self {
            Self::Callback(verified) => verified.account(),
            Self::Reminder(reminder) => &reminder.subject.account,
        }
    }

    /// The name of the provider that is to be asked.
    pub fn provider(&self) -> &str {
        match self {
            Self::Callback(verified) => verified.provider(),
            Self::Reminder(reminder) => reminder.reference.parts().map_or("", |(provider, _)| provider),
        }
    }
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    kind: Option<String>,
}

#[derive(Serialize)]
struct Message<'a> {
    kind: &'static str,
    #[serde(flatten)]
    reminder: &'a Reminder,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::{RawCallback, UnixSeconds};
    use crate::domain::{Reference, Subject, SubjectKind};

    fn reminder() -> Reminder {
        Reminder {
            subject: Subject { account: "acme".into(), kind: SubjectKind::Order, id: "A\"1".into() },
            reference: Reference::new("mollie", "tr_1"),
            registered_at: UnixSeconds(1),
            due_at: UnixSeconds(2),
            ends_at: UnixSeconds(3),
        }
    }

    #[test]
    fn m11_a_reminder_and_a_callback_are_told_apart() {
        let message = QueuedHint::message_of(&reminder());
        let read = QueuedHint::from_queue(&message).unwrap();
        assert_eq!(
            (&read, read.account(), read.provider()),
            (&QueuedHint::Reminder(reminder()), "acme", "mollie")
        );
        assert!(Verified::from_queue(&message).is_err(), "nothing else takes it for a callback");

        // A callback may say whatever it likes: what it is stands outside of what it says.
        let body = br#"{"kind":"reminder"}"#.to_vec();
        let raw = RawCallback::new("acme", "mollie", "POST", "/?kind=reminder", Vec::new(), body);
        let hint = Verified::hint(&raw, UnixSeconds(1));
        assert_eq!(QueuedHint::from_queue(&hint.to_message()), Ok(QueuedHint::Callback(hint)));

        for text in
            ["", "[]", "{}", "not json", r#"{"kind":"reminder"}"#, r#"{"kind":"other"}"#, r#"{"kind":7}"#]
        {
            assert!(matches!(QueuedHint::from_queue(text), Err(MessageError::Unreadable(_))), "{text}");
        }
    }
}
