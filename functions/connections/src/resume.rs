//! Replays what a connection missed.

use paybell_shared::ports::{Connection, INBOX_OVERLAP_MS, PortError, Pushed};
use paybell_shared::push::Message;

use super::{Ports, send};

/// Entries that are read at once.
const PAGE_ENTRIES: usize = 100;
/// Entries after which a replay ends, once it is past the cursor; the client asks again from where it got to.
const REPLAYED_MAX: usize = 2_000;
/// Most bytes of a cursor.
const CURSOR_BYTES_MAX: usize = 256;
/// Digits of the moment of writing, in milliseconds, that a cursor begins with.
const CURSOR_DIGITS: usize = 13;

/// Whether a client's cursor is empty or one of ours.
pub(crate) fn is_cursor(cursor: &str) -> bool {
    cursor.is_empty() || (cursor.len() <= CURSOR_BYTES_MAX && written_at_ms(cursor).is_some())
}

/// Sends all entries after the cursor, less the overlap, and then says that this was all.
pub(crate) async fn resume(connection: &Connection, cursor: &str, ports: &Ports) -> Result<(), PortError> {
    let mut place = cursor.to_owned();
    let mut after = with_overlap(cursor);
    let mut count = 0;
    // An end within the overlap would begin at the same place for ever.
    while count < REPLAYED_MAX || after.as_str() <= cursor {
        let page = ports.inbox.after(&connection.account, &connection.user, &after, PAGE_ENTRIES).await?;
        for entry in &page {
            if send(connection, &Message::from(entry), ports).await? == Pushed::Gone {
                return Ok(());
            }
            count += 1;
            after.clone_from(&entry.cursor);
        }
        if after > place {
            place.clone_from(&after);
        }
        if page.len() < PAGE_ENTRIES {
            return send(connection, &Message::Resumed { cursor: &place, count }, ports).await.map(drop);
        }
    }
    send(connection, &Message::More { cursor: &place, count }, ports).await.map(drop)
}

fn with_overlap(cursor: &str) -> String {
    let from_ms =
        written_at_ms(cursor).map(|written_at_ms| written_at_ms.saturating_sub(INBOX_OVERLAP_MS).max(0));
    from_ms.map_or_else(String::new, |from_ms| format!("{from_ms:0width$}", width = CURSOR_DIGITS))
}

fn written_at_ms(cursor: &str) -> Option<i64> {
    let (digits, id) = cursor.split_once('-')?;
    let well_formed = digits.len() == CURSOR_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    if well_formed && !id.is_empty() { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_ours_or_empty_and_the_overlap_goes_back() {
        for (cursor, ours, from) in [
            ("", true, ""),
            ("1700000000000-abc", true, "1699999970000"),
            ("0000000000001-abc", true, "0000000000000"),
            ("1700000000000", false, ""),
            ("1700000000000-", false, ""),
            ("17000000000-abc", false, ""),
            ("170000000000x-abc", false, ""),
            ("+700000000000-abc", false, ""),
        ] {
            assert_eq!(is_cursor(cursor), ours, "{cursor}");
            assert_eq!(with_overlap(cursor), from, "{cursor}");
        }
        assert!(!is_cursor(&format!("1700000000000-{}", "a".repeat(300))));
    }
}
