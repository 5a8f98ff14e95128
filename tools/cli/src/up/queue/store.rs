//! Queues on SQLite.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use paybell_shared::ports::Clock;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::attributes::Attributes;
use super::writer::{StoreError, Writer};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS queues (
        name TEXT PRIMARY KEY, visibility_timeout_seconds INTEGER NOT NULL,
        dead_letter_queue TEXT, receive_count_max INTEGER) STRICT;
    CREATE TABLE IF NOT EXISTS messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, message_id TEXT NOT NULL, body TEXT NOT NULL,
        sent_at_ms INTEGER NOT NULL, visible_at_ms INTEGER NOT NULL,
        receive_count INTEGER NOT NULL DEFAULT 0, first_received_at_ms INTEGER, receipt TEXT,
        attributes TEXT) STRICT;
    CREATE INDEX IF NOT EXISTS messages_by_visibility ON messages (queue, visible_at_ms, id);
    CREATE TABLE IF NOT EXISTS checkpoints (stream TEXT PRIMARY KEY, sequence_number TEXT NOT NULL) STRICT;";

/// Folders of before message attributes lack the column.
const ADD_ATTRIBUTES: &str = "ALTER TABLE messages ADD COLUMN attributes TEXT";

/// Where a message goes that was received too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// The dead-letter queue's name.
    pub dead_letter_queue: String,
    /// Receives after which the next one moves it there instead.
    pub receive_count_max: u32,
}

/// A message as a consumer gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its id, the same at every receive.
    pub message_id: String,
    /// The handle of this receive.
    pub receipt: String,
    /// Its text.
    pub body: String,
    /// When it was sent.
    pub sent_at_ms: i64,
    /// When it was first received.
    pub first_received_at_ms: i64,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// What its sender said beside the text.
    pub attributes: Attributes,
}

/// A message to send.
pub struct Outgoing {
    /// Its id from now on.
    pub message_id: String,
    /// Its text.
    pub body: String,
    /// What is said beside the text.
    pub attributes: Attributes,
    /// How long nobody receives it.
    pub delay_seconds: u32,
}

impl Outgoing {
    /// A message with a new id, visible at once.
    pub fn new(body: impl Into<String>) -> Self {
        let message_id = Uuid::new_v4().to_string();
        Self { message_id, body: body.into(), attributes: Attributes::default(), delay_seconds: 0 }
    }
}

/// How many messages of a queue are where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Those that can be received.
    pub visible: u64,
    /// Those that are in flight.
    pub hidden: u64,
    /// Those that are held back until their first receive.
    pub delayed: u64,
}

#[cfg(test)]
impl Counts {
    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.visible + self.hidden == 0
    }
}

/// What a receive asks for.
#[derive(Clone, Copy)]
pub struct Receive {
    /// At most so many messages.
    pub messages_max: u32,
    /// How long they are hidden from others; the queue's default when `None`.
    pub visibility_timeout_seconds: Option<u32>,
    /// How long to wait for a first one.
    pub wait: Duration,
}

/// All queues of one file. What a method has returned from is on disk.
pub struct Store {
    writer: Writer,
    wakes: Mutex<HashMap<String, Arc<Notify>>>,
    clock: Arc<dyn Clock>,
}

impl Store {
    /// Opens or creates the file and starts its writer.
    ///
    /// # Errors
    /// [`StoreError::Open`].
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // FULL syncs the log at every commit: an acknowledged message survives power loss, not only a crash.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(SCHEMA)?;
        if connection.prepare("SELECT attributes FROM messages").is_err() {
            connection.execute_batch(ADD_ATTRIBUTES)?;
        }
        // Nobody holds a message when the process starts, so what was in flight is due now; and so is what was sent
        // before the machine's clock was set back.
        let due = "UPDATE messages SET visible_at_ms = 0 WHERE receipt IS NOT NULL OR visible_at_ms > ?1";
        connection.execute(due, [clock.now_ms()])?;
        Ok(Self { writer: Writer::start(connection)?, wakes: Mutex::default(), clock })
    }

    /// Creates a queue or changes its settings.
    pub async fn create_queue(
        &self,
        name: &str,
        visibility_timeout_seconds: u32,
        redrive: Option<Redrive>,
    ) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.writer
            .commit(move |sql| {
                let (target, receive_count_max) =
                    redrive.map(|redrive| (redrive.dead_letter_queue, redrive.receive_count_max)).unzip();
                sql.execute(
                    "INSERT OR REPLACE INTO queues VALUES (?1, ?2, ?3, ?4)",
                    params![name, visibility_timeout_seconds, target, receive_count_max],
                )
            })
            .await?;
        Ok(())
    }

    /// Whether there is such a queue.
    pub async fn has_queue(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.writer.commit(move |sql| Ok(find_queue(sql, &name)?.is_some())).await
    }

    /// Stores messages, all or none.
    pub async fn send(&self, queue: &str, messages: Vec<Outgoing>) -> Result<(), StoreError> {
        let (name, now_ms) = (queue.to_owned(), self.clock.now_ms());
        self.writer
            .commit(move |sql| {
                let mut insert = sql.prepare_cached(
                    "INSERT INTO messages (queue, message_id, body, sent_at_ms, visible_at_ms, attributes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?;
                for Outgoing { message_id, body, attributes, delay_seconds } in &messages {
                    let visible_at_ms = now_ms + i64::from(*delay_seconds) * 1000;
                    let attributes = attributes_column(attributes);
                    insert.execute(params![name, message_id, body, now_ms, visible_at_ms, attributes])?;
                }
                Ok(())
            })
            .await?;
        self.wake(queue).notify_one();
        Ok(())
    }

    /// Receives up to `messages_max` messages, waiting for a first one as long as `wait`.
    pub async fn receive(&self, queue: &str, receive: Receive) -> Result<Vec<Received>, StoreError> {
        let (wake, deadline) = (self.wake(queue), Instant::now() + receive.wait);
        loop {
            let (name, now_ms) = (queue.to_owned(), self.clock.now_ms());
            let (received, next_visible_at_ms, dead_letter_queue) =
                self.writer.commit(move |sql| receive_now(sql, &name, &receive, now_ms)).await?;
            if let Some(dead_letter_queue) = dead_letter_queue {
                self.wake(&dead_letter_queue).notify_one();
            }
            if received.len() == receive.messages_max as usize {
                wake.notify_one(); // There may be more, for another consumer.
            }
            if !received.is_empty() || Instant::now() >= deadline {
                return Ok(received);
            }
            let due_in_ms = next_visible_at_ms.map_or(i64::MAX, |at_ms| at_ms - self.clock.now_ms());
            let due = Duration::from_millis(due_in_ms.clamp(1, 60_000).unsigned_abs());
            let _ = tokio::time::timeout_at(deadline.min(Instant::now() + due), wake.notified()).await;
        }
    }

    /// Deletes messages; a handle of an older receive deletes nothing, as its message belongs to somebody else by now.
    pub async fn delete(&self, queue: &str, receipts: Vec<String>) -> Result<(), StoreError> {
        let queue = queue.to_owned();
        self.writer
            .commit(move |sql| {
                let mut delete =
                    sql.prepare_cached("DELETE FROM messages WHERE id = ?1 AND queue = ?2 AND receipt = ?3")?;
                for receipt in &receipts {
                    delete.execute(params![id_of(receipt), queue, receipt])?;
                }
                Ok(())
            })
            .await
    }

    /// Makes messages visible that many seconds from now; says of each whether it was in flight under this handle.
    pub async fn change_visibility(
        &self,
        queue: &str,
        changes: Vec<(String, u32)>,
    ) -> Result<Vec<bool>, StoreError> {
        let (name, now_ms) = (queue.to_owned(), self.clock.now_ms());
        let changed = self
            .writer
            .commit(move |sql| {
                let mut change = sql.prepare_cached(
                    "UPDATE messages SET visible_at_ms = ?4
                     WHERE id = ?1 AND queue = ?2 AND receipt = ?3 AND visible_at_ms > ?5",
                )?;
                let at_ms = |seconds: u32| now_ms + i64::from(seconds) * 1000;
                let mut row = |(receipt, seconds): &(String, u32)| -> rusqlite::Result<bool> {
                    let found =
                        change.execute(params![id_of(receipt), name, receipt, at_ms(*seconds), now_ms])?;
                    Ok(found > 0)
                };
                changes.iter().map(&mut row).collect::<rusqlite::Result<Vec<bool>>>()
            })
            .await?;
        // Consumers that sleep until the next message is due must look again.
        self.wake(queue).notify_one();
        Ok(changed)
    }

    /// How many messages a queue can hand out, and how many are in flight or held back.
    pub async fn counts(&self, queue: &str) -> Result<Counts, StoreError> {
        let (queue, now_ms) = (queue.to_owned(), self.clock.now_ms());
        let query = "SELECT coalesce(sum(visible_at_ms <= ?2), 0),
            coalesce(sum(visible_at_ms > ?2 AND receive_count > 0), 0),
            coalesce(sum(visible_at_ms > ?2 AND receive_count = 0), 0)
            FROM messages WHERE queue = ?1";
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Counts { visible: row.get(0)?, hidden: row.get(1)?, delayed: row.get(2)? })
        };
        self.writer.commit(move |sql| sql.query_row(query, params![queue, now_ms], read)).await
    }

    /// Where a stream's consumer has got to.
    pub async fn checkpoint(&self, stream: &str) -> Result<Option<String>, StoreError> {
        let stream = stream.to_owned();
        self.writer
            .commit(move |sql| {
                let query = "SELECT sequence_number FROM checkpoints WHERE stream = ?1";
                sql.query_row(query, [stream], |row| row.get(0)).optional()
            })
            .await
    }

    /// Remembers where a stream's consumer has got to.
    pub async fn put_checkpoint(&self, stream: &str, sequence_number: &str) -> Result<(), StoreError> {
        let row = [stream.to_owned(), sequence_number.to_owned()];
        self.writer
            .commit(move |sql| sql.execute("INSERT OR REPLACE INTO checkpoints VALUES (?1, ?2)", row))
            .await?;
        Ok(())
    }

    /// Writes something that nobody reads: whether the disk takes it.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let now_ms = self.clock.now_ms().to_string();
        self.put_checkpoint("", &now_ms).await
    }

    fn wake(&self, queue: &str) -> Arc<Notify> {
        let mut wakes = self.wakes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(wakes.entry(queue.to_owned()).or_default())
    }
}

fn find_queue(sql: &Connection, name: &str) -> rusqlite::Result<Option<(u32, Option<Redrive>)>> {
    sql.prepare_cached(
        "SELECT visibility_timeout_seconds, dead_letter_queue, receive_count_max FROM queues WHERE name = ?1",
    )?
    .query_row([name], |row| {
        let (target, max): (Option<String>, Option<u32>) = (row.get(1)?, row.get(2)?);
        let redrive = target
            .zip(max)
            .map(|(dead_letter_queue, receive_count_max)| Redrive { dead_letter_queue, receive_count_max });
        Ok((row.get(0)?, redrive))
    })
    .optional()
}

/// What can be received at this moment, when the next message is due, and the dead-letter queue if it got one.
fn receive_now(
    sql: &Connection,
    queue: &str,
    receive: &Receive,
    now_ms: i64,
) -> rusqlite::Result<(Vec<Received>, Option<i64>, Option<String>)> {
    let (default_seconds, redrive) = find_queue(sql, queue)?.unwrap_or((30, None));
    let seconds = receive.visibility_timeout_seconds.unwrap_or(default_seconds);
    let mut dead_letter_queue = None;
    let mut received = Vec::new();
    let mut next = sql.prepare_cached(
        "SELECT id, message_id, body, sent_at_ms, receive_count, first_received_at_ms, attributes
         FROM messages WHERE queue = ?1 AND visible_at_ms <= ?2 ORDER BY visible_at_ms, id LIMIT 1",
    )?;
    while received.len() < receive.messages_max as usize {
        let Some((id, mut message)) = next.query_row(params![queue, now_ms], read_message).optional()? else {
            break;
        };
        if let Some(redrive) = redrive.as_ref().filter(|it| message.receive_count >= it.receive_count_max) {
            sql.prepare_cached(
                "UPDATE messages SET queue = ?2, receive_count = 0, visible_at_ms = ?3, receipt = NULL WHERE id = ?1",
            )?
            .execute(params![id, redrive.dead_letter_queue, now_ms])?;
            tracing::error!(queue, message_id = message.message_id, "message moved to the dead-letter queue");
            dead_letter_queue = Some(redrive.dead_letter_queue.clone());
            continue;
        }
        message.receive_count += 1;
        message.receipt = format!("{id}-{}", Uuid::new_v4().simple());
        if message.first_received_at_ms == 0 {
            message.first_received_at_ms = now_ms;
        }
        // A timeout of zero would hand out the same message again within this receive.
        let visible_at_ms = now_ms + i64::from(seconds).max(0) * 1000 + i64::from(seconds == 0);
        sql.prepare_cached(
            "UPDATE messages SET receive_count = ?2, receipt = ?3, visible_at_ms = ?4, first_received_at_ms = ?5
             WHERE id = ?1",
        )?
        .execute(params![
            id,
            message.receive_count,
            message.receipt,
            visible_at_ms,
            message.first_received_at_ms
        ])?;
        received.push(message);
    }
    let due = "SELECT min(visible_at_ms) FROM messages WHERE queue = ?1";
    let next_visible_at_ms = sql.prepare_cached(due)?.query_row([queue], |row| row.get(0))?;
    Ok((received, next_visible_at_ms, dead_letter_queue))
}

fn attributes_column(attributes: &Attributes) -> Option<String> {
    if attributes.is_empty() { None } else { serde_json::to_string(attributes).ok() }
}

fn read_message(row: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, Received)> {
    let message = Received {
        message_id: row.get(1)?,
        receipt: String::new(),
        body: row.get(2)?,
        sent_at_ms: row.get(3)?,
        receive_count: row.get(4)?,
        first_received_at_ms: row.get::<_, Option<i64>>(5)?.unwrap_or_default(),
        attributes: row
            .get::<_, Option<String>>(6)?
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
    };
    Ok((row.get(0)?, message))
}

/// The row of a handle; one that is not ours names no row.
fn id_of(receipt: &str) -> i64 {
    receipt.split_once('-').and_then(|(id, _)| id.parse().ok()).unwrap_or(-1)
}
