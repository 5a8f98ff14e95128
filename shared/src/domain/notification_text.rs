//! Sentences for people.

use super::{Locale, Notification};

/// The sentence of a notification.
pub fn text(notification: &Notification, locale: Locale) -> String {
    let _ = (notification, locale);
    String::new()
}
