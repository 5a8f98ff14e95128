//! Replays what a connection missed.

use std::time::Duration;

use paybell_shared::ports::{
    Connection, INBOX_OVERLAP_MS, PortError, Pushed, inbox_cursor, place_ms_of_cursor,
};
use paybell_shared::push::Message;
use tokio::time::Instant;

use super::{Ports, send};

/// Entries that are read at once.
const PAGE_ENTRIES: usize = 100;
/// Entries after which a replay ends, once it is past the cursor; the client asks again from where it got to.
const REPLAYED_MAX: usize = 2_000;
/// Time after which it ends likewise: a client that reads slowly asks again behind those who wait for their turn.
const REPLAYING_MAX: Duration = Duration::from_secs(5);
/// Most bytes of a cursor.
const CURSOR_BYTES_MAX: usize = 256;

/// Whether a client's cursor is empty or one of ours.
pub(crate) fn is_cursor(cursor: &str) -> bool {
    cursor.is_empty() || (cursor.len() <= CURSOR_BYTES_MAX && place_ms_of_cursor(cursor).is_some())
}

/// Sends all entries after the cursor, less the overlap, and then says that this was all.
pub(crate) async fn resume(connection: &Connection, cursor: &str, ports: &Ports) -> Result<(), PortError> {
    let mut place = cursor.to_owned();
    let mut after = with_overlap(cursor);
    let (mut count, end) = (0, Instant::now() + REPLAYING_MAX);
    // An end within the overlap would begin at the same place for ever.
    'replay: while count < REPLAYED_MAX || after.as_str() <= cursor {
        let page = ports.inbox.after(&connection.account, &connection.user, &after, PAGE_ENTRIES).await?;
        for entry in &page {
            if Instant::now() >= end && after.as_str() > cursor {
                place.clone_from(&after);
                break 'replay;
            }
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
    let from_ms = place_ms_of_cursor(cursor).map(|place_ms| place_ms.saturating_sub(INBOX_OVERLAP_MS).max(0));
    from_ms.map_or_else(String::new, |from_ms| inbox_cursor(from_ms, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_ours_or_empty_and_the_overlap_goes_back() {
        for (cursor, ours, from) in [
            ("", true, ""),
            ("1700000000000-abc", true, "1699999970000-"),
            ("0000000000001-abc", true, "0000000000000-"),
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
