//! The group commit: one thread commits the work of all callers that wait, with one sync of the disk.

use rusqlite::Connection;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

/// Most callers whose work one commit carries.
const JOBS_PER_COMMIT_MAX: usize = 256;
/// Callers that may wait for the writer before further ones wait to be let in.
const JOBS_WAITING_MAX: usize = 1024;

/// Why the store did not do what it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The work was not committed, because SQLite failed or the process is stopping; the writer logs the reason.
    #[error("the queue could not commit")]
    NotCommitted,
    /// SQLite refused to open the file.
    #[error("cannot open the queue: {0}")]
    Open(#[from] rusqlite::Error),
}

type Job = Box<dyn FnOnce(&Connection) -> rusqlite::Result<Reply> + Send>;
type Reply = Box<dyn FnOnce() + Send>;

/// The thread that owns the connection; it ends when this is dropped.
pub struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// # Errors
    /// [`StoreError::NotCommitted`] when the system gives no thread.
    pub fn start(connection: Connection) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel(JOBS_WAITING_MAX);
        std::thread::Builder::new()
            .name("queue-writer".to_owned())
            .spawn(move || write(connection, waiting))
            .map_err(|_| StoreError::NotCommitted)?;
        Ok(Self { jobs })
    }

    /// Runs `work` in the next transaction and returns its result once that is on disk.
    ///
    /// # Errors
    /// [`StoreError::NotCommitted`]: nothing of `work` was kept.
    pub async fn commit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, committed) = oneshot::channel();
        let job: Job = Box::new(move |sql| {
            let result = work(sql)?;
            Ok(Box::new(move || drop(reply.send(result))))
        });
        self.jobs.send(job).await.map_err(|_| StoreError::NotCommitted)?;
        committed.await.map_err(|_| StoreError::NotCommitted)
    }
}

fn write(mut connection: Connection, mut waiting: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(JOBS_PER_COMMIT_MAX);
    while waiting.blocking_recv_many(&mut jobs, JOBS_PER_COMMIT_MAX) > 0 {
        // On failure the replies are dropped unsent, which tells every caller that nothing was committed.
        if let Err(error) = commit_together(&mut connection, jobs.drain(..)) {
            tracing::error!(%error, "the queue could not commit");
        }
    }
}

fn commit_together(connection: &mut Connection, jobs: impl Iterator<Item = Job>) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let replies = jobs.map(|job| job(&transaction)).collect::<rusqlite::Result<Vec<Reply>>>()?;
    transaction.commit()?;
    replies.into_iter().for_each(|reply| reply());
    Ok(())
}
