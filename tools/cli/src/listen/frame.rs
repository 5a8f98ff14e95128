//! What the server says over the WebSocket.

use std::collections::BTreeMap;

use paybell_shared::domain::{Currency, Money};
use serde::Deserialize;

/// One message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Something to tell the user.
    Notification(Box<Notified>),
    /// What was missed has been replayed.
    Resumed {
        /// The place up to which nothing is missed.
        cursor: String,
        /// How many notifications were replayed.
        count: u64,
    },
    /// A part of what was missed has been replayed: the rest is to be asked for from `cursor`.
    More {
        /// The place up to which nothing is missed.
        cursor: String,
    },
    /// A message of a later version of the server.
    Other,
}

/// A notification as the server sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notified {
    /// Place in the inbox.
    pub cursor: String,
    /// Stable id: the same change always has the same.
    pub id: String,
    /// What happened, such as `payment.captured`.
    pub kind: String,
    /// The order's number, or the id of another subject.
    pub order_id: String,
    /// The order's status after it.
    pub status: String,
    /// The money that it is about, in minor units.
    pub amount_minor: Option<i128>,
    /// The currency's code.
    pub currency: Option<String>,
    /// The provider's id of the payment.
    pub transaction_id: Option<String>,
    /// Why, where there is a reason.
    pub reason: Option<String>,
    /// Texts for people by language.
    pub text: BTreeMap<String, String>,
    /// The message exactly as it came.
    pub json: String,
}

impl Frame {
    /// Reads a message; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let message: Message = serde_json::from_str(text).ok()?;
        match message.r#type.as_str() {
            "notification" => Some(Self::Notification(Box::new(Notified {
                cursor: message.cursor?,
                id: message.id?,
                kind: message.kind?,
                order_id: message.order_id?,
                status: message.status.unwrap_or_default(),
                amount_minor: message.amount_minor,
                currency: message.currency,
                transaction_id: message.transaction_id,
                reason: message.reason,
                text: message.text.unwrap_or_default(),
                json: text.to_owned(),
            }))),
            "resumed" => Some(Self::Resumed {
                cursor: message.cursor.unwrap_or_default(),
                count: message.count.unwrap_or_default(),
            }),
            "more" => Some(Self::More { cursor: message.cursor? }),
            _ => Some(Self::Other),
        }
    }
}

impl Notified {
    /// One line for people: the machine's words first, then the sentence in English.
    pub fn line(&self) -> String {
        let mut line = format!("{}  {}  {}", self.kind, self.order_id, self.status);
        if let (Some(amount_minor), Some(currency)) = (self.amount_minor, &self.currency) {
            let money = Currency::new(currency).and_then(|known| Money::from_minor(amount_minor, known));
            line.push_str(&match money {
                Ok(money) => format!("  {money}"),
                Err(_) => format!("  {amount_minor} minor units of {currency}"),
            });
        }
        if let Some(reason) = &self.reason {
            line.push_str(&format!("  ({reason})"));
        }
        if let Some(text) = self.text.get("en") {
            line.push_str(&format!("  {text}"));
        }
        line.chars().filter(|character| !character.is_control()).collect()
    }
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    r#type: String,
    cursor: Option<String>,
    id: Option<String>,
    kind: Option<String>,
    order_id: Option<String>,
    status: Option<String>,
    amount_minor: Option<i128>,
    currency: Option<String>,
    transaction_id: Option<String>,
    reason: Option<String>,
    text: Option<BTreeMap<String, String>>,
    count: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_reads_as_one_line() {
        let text = r#"{"type":"notification","id":"i","cursor":"c","kind":"payment.captured","order_id":"A\u001b1","status":"paid","amount_minor":20000000000000000001,"currency":"ETH","text":{"en":"Paid."}}"#;
        let Some(Frame::Notification(notified)) = Frame::parse(text) else { panic!("not a notification") };
        assert_eq!(notified.line(), "payment.captured  A1  paid  20.000000000000000001 ETH  Paid.");
        assert_eq!(notified.json, text);
    }

    #[test]
    fn unknown_messages_are_left_alone() {
        assert_eq!(Frame::parse(r#"{"type":"later"}"#), Some(Frame::Other));
        assert_eq!(Frame::parse("{}"), Some(Frame::Other));
        assert_eq!(Frame::parse("no"), None);
        assert_eq!(Frame::parse(r#"{"type":"notification"}"#), None);
    }
}
