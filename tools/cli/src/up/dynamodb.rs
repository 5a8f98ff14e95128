//! The embedded DynamoDB: `dynoxide` on one file, served to the AWS SDK, with its streams kept fast and short.
//!
//! Every write is on disk before it is answered, so it survives power loss. SQLite's own way to that, one sync for each
//! commit, bounds all writes together to a few hundred a second; so the engine commits without a sync
//! (`synchronous = NORMAL`, which keeps the file consistent), and the answers wait for a sync of the write-ahead log
//! that they share. The log is read from its beginning after a crash, so what is synced brings all before it along.
//! A read that may have seen what is not synced yet waits as well: its reader may delete a message because of it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use dynoxide::actions::get_records::{GetRecordsRequest, Record};
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::{Database, DynoxideError, streams};
use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::group_sync::GroupSync;

/// The engine finds a stream's last record before every write by this expression, without an index of its own: the
/// cost of a write would grow with the records kept.
const STREAM_INDEX: &str = "CREATE INDEX IF NOT EXISTS stream_records_by_sequence
    ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

/// One row that changes with every probe.
const PROBES: &str = "CREATE TABLE IF NOT EXISTS paybell_probes (id INTEGER PRIMARY KEY, count INTEGER)";
const PROBE: &str =
    "INSERT INTO paybell_probes VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET count = count + 1";
/// How long a probe waits for the engine's own write.
const PROBE_BUSY_MAX: Duration = Duration::from_secs(3);

/// Consumed records except the last, whose number keeps the sequence rising even if the clock is set back.
const TRIM: &str = "DELETE FROM _stream_records
    WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) < ?2 AND CAST(sequence_number AS INTEGER) <
        (SELECT max(CAST(sequence_number AS INTEGER)) FROM _stream_records WHERE table_name = ?1)";

/// One database file. Clones share it.
#[derive(Clone)]
pub struct DynamoDb {
    database: Database,
    writes: watch::Sender<u64>,
    writes_running: Arc<AtomicUsize>,
    writes_synced: Arc<AtomicU64>,
    log: GroupSync,
}

impl DynamoDb {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// What the engine or SQLite says.
    pub fn open(path: &Path) -> Result<Self, DynoxideError> {
        let database = Database::new(&path.to_string_lossy())?;
        // The engine's name for `synchronous = NORMAL` and the defaults of three settings that do not matter here.
        database.disable_bulk_loading()?;
        let connection = Connection::open(path)?;
        connection.execute_batch(STREAM_INDEX)?;
        connection.execute_batch(PROBES)?;
        drop(connection);
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let log =
            File::options().read(true).write(true).open(log).and_then(GroupSync::start).map_err(failed)?;
        Ok(Self {
            database,
            writes: watch::Sender::new(0),
            writes_running: Arc::default(),
            writes_synced: Arc::default(),
            log,
        })
    }

    /// Performs one operation of the JSON protocol and returns when its effect, or what it has read, is on disk.
    ///
    /// # Errors
    /// As DynamoDB names it.
    pub async fn serve(&self, operation: String, body: String) -> Result<String, DynoxideError> {
        let this = self.clone();
        // The engine blocks, so it must not hold up the tasks of this thread.
        let performed = tokio::task::spawn_blocking(move || this.perform(&operation, &body)).await;
        let output = performed.map_err(failed)??;
        if self.has_unsynced_writes() {
            self.synced().await?;
        }
        Ok(output)
    }

    fn has_unsynced_writes(&self) -> bool {
        self.writes_running.load(Ordering::SeqCst) > 0
            || self.writes_synced.load(Ordering::SeqCst) < *self.writes.borrow()
    }

    /// Returns when everything written before is on disk.
    ///
    /// # Errors
    /// When the disk failed.
    pub async fn synced(&self) -> Result<(), DynoxideError> {
        let written = *self.writes.borrow();
        self.log.synced().await.map_err(failed)?;
        self.writes_synced.fetch_max(written, Ordering::SeqCst);
        Ok(())
    }

    /// Writes something that nobody reads: whether the disk takes it.
    ///
    /// # Errors
    /// What SQLite says, or when the disk failed.
    pub async fn probe(&self) -> Result<(), DynoxideError> {
        let this = self.clone();
        let written = tokio::task::spawn_blocking(move || {
            let path = this.database.db_path()?.unwrap_or_default();
            let connection = Connection::open(path)?;
            connection.busy_timeout(PROBE_BUSY_MAX)?;
            // No sync while the engine's writes wait for this one: the shared one comes after it.
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            Ok::<_, DynoxideError>(connection.execute(PROBE, [])?)
        });
        written.await.map_err(failed)??;
        self.synced().await
    }

    /// Performs one operation of the JSON protocol; a write is not on disk yet when it returns.
    ///
    /// # Errors
    /// As DynamoDB names it.
    pub fn perform(&self, operation: &str, body: &str) -> Result<String, DynoxideError> {
        let db = &self.database;
        match operation {
            "GetItem" => run(body, |input| db.get_item(input)),
            "Query" => run(body, |input| db.query(input)),
            "Scan" => run(body, |input| db.scan(input)),
            "BatchGetItem" => run(body, |input| db.batch_get_item(input)),
            "TransactGetItems" => run(body, |input| db.transact_get_items(input)),
            "DescribeTable" => run(body, |input| db.describe_table(input)),
            "ListTables" => run(body, |input| db.list_tables(input)),
            "DescribeTimeToLive" => run(body, |input| db.describe_time_to_live(input)),
            "CreateTable" => run(body, |input| db.create_table(input)),
            "UpdateTable" => run(body, |input| db.update_table(input)),
            "DeleteTable" => run(body, |input| db.delete_table(input)),
            "UpdateTimeToLive" => run(body, |input| db.update_time_to_live(input)),
            "PutItem" => self.write(|| run(body, |input| db.put_item(input))),
            "UpdateItem" => self.write(|| run(body, |input| db.update_item(input))),
            "DeleteItem" => self.write(|| run(body, |input| db.delete_item(input))),
            "BatchWriteItem" => self.write(|| run(body, |input| db.batch_write_item(input))),
            "TransactWriteItems" => self.write(|| run(body, |input| db.transact_write_items(input))),
            _ => Err(DynoxideError::ValidationException(format!("{operation} is not served here"))),
        }
    }

    /// Changes after every write, so that the stream's consumer need not poll.
    pub fn writes(&self) -> watch::Receiver<u64> {
        self.writes.subscribe()
    }

    /// A stream's records after `sequence_number` (from the oldest when `None`), at most `records_max`.
    ///
    /// # Errors
    /// What the engine says.
    pub fn records_after(
        &self,
        table: &str,
        sequence_number: Option<&str>,
        records_max: usize,
    ) -> Result<Vec<Record>, DynoxideError> {
        let kind = if sequence_number.is_some() { "AFTER_SEQUENCE_NUMBER" } else { "TRIM_HORIZON" };
        let iterator = self.database.get_shard_iterator(GetShardIteratorRequest {
            stream_arn: streams::stream_arn(table, "local"),
            shard_id: streams::shard_id(table),
            shard_iterator_type: kind.to_owned(),
            sequence_number: sequence_number.map(str::to_owned),
        })?;
        let shard_iterator = iterator.shard_iterator.unwrap_or_default();
        let request = GetRecordsRequest { shard_iterator, limit: Some(records_max) };
        Ok(self.database.get_records(request)?.records)
    }

    /// Deletes a stream's records up to `consumed`, except its last one. DynamoDB keeps records for 24 hours for late
    /// consumers; here the one trigger is the only consumer, and the data folder must not grow with the traffic.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn trim(&self, table: &str, consumed: &str) -> Result<usize, DynoxideError> {
        /// The engine shows a sequence number as this plus the number that it stores.
        const SHOWN_OFFSET: u128 = 100_000_000_000_000_000_000;
        let stored = consumed.parse::<u128>().ok().and_then(|shown| shown.checked_sub(SHOWN_OFFSET));
        let Some((stored, path)) = stored.zip(self.database.db_path()?) else { return Ok(0) };
        let after = i64::try_from(stored).unwrap_or_default().saturating_add(1);
        Ok(Connection::open(path)?.execute(TRIM, params![table, after])?)
    }

    /// Deletes items whose time to live is over, and returns how many.
    ///
    /// # Errors
    /// What the engine says.
    pub fn sweep_expired(&self) -> Result<usize, DynoxideError> {
        let swept = self.database.sweep_ttl()?;
        self.writes.send_modify(|count| *count += 1);
        Ok(swept)
    }

    fn write(
        &self,
        perform: impl FnOnce() -> Result<String, DynoxideError>,
    ) -> Result<String, DynoxideError> {
        self.writes_running.fetch_add(1, Ordering::SeqCst);
        let result = perform();
        if result.is_ok() {
            self.writes.send_modify(|count| *count += 1);
        }
        self.writes_running.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

fn failed(error: impl std::fmt::Display) -> DynoxideError {
    DynoxideError::InternalServerError(error.to_string())
}

fn run<I: DeserializeOwned, O: Serialize>(
    body: &str,
    operation: impl FnOnce(I) -> Result<O, DynoxideError>,
) -> Result<String, DynoxideError> {
    // The engine marks its own refusals of a value so.
    let text = |error: serde_json::Error| error.to_string().replacen("VALIDATION:", "", 1);
    let invalid = |error| DynoxideError::ValidationException(text(error));
    let output = operation(serde_json::from_str(body).map_err(invalid)?)?;
    serde_json::to_string(&output).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(connection: &Connection, query: &str) -> String {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }

    const TABLE: &str = r#"{"TableName":"things","BillingMode":"PAY_PER_REQUEST",
        "AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],
        "KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}]}"#;

    #[tokio::test]
    async fn s1_a_write_is_answered_only_when_it_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        let dynamodb = DynamoDb::open(&folder.path().join("x.sqlite")).unwrap();
        let serve = async |dynamodb: &DynamoDb, operation: &str, body: &str| {
            dynamodb.serve(operation.to_owned(), body.to_owned()).await
        };
        serve(&dynamodb, "CreateTable", TABLE).await.unwrap();
        let write = r#"{"TableName":"things","Item":{"pk":{"S":"a"}}}"#;
        let read = r#"{"TableName":"things","Key":{"pk":{"S":"a"}}}"#;
        serve(&dynamodb, "PutItem", write).await.unwrap();

        let log = GroupSync::start(crate::up::group_sync::unsyncable()).unwrap();
        let broken = DynamoDb { log, ..dynamodb };
        assert!(serve(&broken, "PutItem", write).await.is_err());
        assert!(serve(&broken, "GetItem", read).await.is_err(), "it may be lost yet");
    }

    #[test]
    fn the_engines_stream_queries_use_the_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        DynamoDb::open(&path).unwrap();
        let connection = Connection::open(&path).unwrap();
        let plan = explain(
            &connection,
            "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name = 'x'",
        );
        assert!(plan.contains("stream_records_by_sequence"), "{plan}");
    }
}
