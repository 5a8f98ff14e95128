//! What goes over a WebSocket to a user, and over HTTP as the inbox.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::{Locale, Notification, Reason, Status};
use crate::ports::InboxEntry;

/// One message of the server.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message<'a> {
    /// Something to tell the user.
    Notification(NotificationView<'a>),
    /// All that was missed has been replayed.
    Resumed {
        /// Place of the newest entry that the client has now.
        cursor: &'a str,
        /// How many notifications were replayed.
        count: usize,
    },
    /// A part of what was missed has been replayed: resume again from `cursor`.
    More {
        /// Place of the last replayed entry.
        cursor: &'a str,
        /// How many notifications were replayed.
        count: usize,
    },
    /// The client's message was not understood.
    Error {
        /// What is allowed.
        message: &'a str,
    },
}

/// A notification as clients read it; amounts are JSON integers of minor units.
#[derive(Serialize)]
pub struct NotificationView<'a> {
    cursor: &'a str,
    id: &'a str,
    kind: &'a str,
    order_id: &'a str,
    subject_kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_minor: Option<i128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    status: Status,
    text: BTreeMap<&'static str, String>,
}

impl Message<'_> {
    /// The text that is sent.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a message of texts and integers always serialises")
    }
}

impl<'a> From<&'a InboxEntry> for Message<'a> {
    fn from(entry: &'a InboxEntry) -> Self {
        let notification: &Notification = &entry.notification;
        Self::Notification(NotificationView {
            cursor: &entry.cursor,
            id: &notification.id,
            kind: &notification.kind,
            order_id: &notification.subject.id,
            subject_kind: notification.subject.kind.name(),
            amount_minor: notification.amount.as_ref().map(|amount| amount.amount_minor()),
            currency: notification.amount.as_ref().map(|amount| amount.currency().code()),
            transaction_id: notification.transaction_id.as_deref(),
            reason: notification.reason,
            status: notification.status,
            text: Locale::ALL.iter().map(|locale| (locale.tag(), notification.text(*locale))).collect(),
        })
    }
}
