//! Group commit for a file that somebody else writes: what waits while one sync runs is covered by the next one together.

use std::fs::File;
use std::io;

use tokio::sync::{mpsc, oneshot};

/// Most callers that one sync answers.
const CALLERS_PER_SYNC_MAX: usize = 1024;
/// Callers that may wait for a sync before further ones wait to be let in.
const CALLERS_WAITING_MAX: usize = 4096;

/// Syncs one file for many callers at once.
#[derive(Clone)]
pub struct GroupSync {
    callers: mpsc::Sender<oneshot::Sender<()>>,
}

impl GroupSync {
    /// Starts the thread that syncs `file`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(file: File) -> io::Result<Self> {
        let (callers, waiting) = mpsc::channel(CALLERS_WAITING_MAX);
        std::thread::Builder::new().name("group-sync".to_owned()).spawn(move || sync(&file, waiting))?;
        Ok(Self { callers })
    }

    /// Returns once everything that was written to the file before this call is on disk.
    ///
    /// # Errors
    /// When the disk failed: whether the data is there is not known then.
    pub async fn synced(&self) -> io::Result<()> {
        let (reply, done) = oneshot::channel();
        let failed = || io::Error::other("the file could not be synced");
        self.callers.send(reply).await.map_err(|_| failed())?;
        done.await.map_err(|_| failed())
    }
}

fn sync(file: &File, mut waiting: mpsc::Receiver<oneshot::Sender<()>>) {
    let mut callers = Vec::new();
    while waiting.blocking_recv_many(&mut callers, CALLERS_PER_SYNC_MAX) > 0 {
        match file.sync_data() {
            Ok(()) => callers.drain(..).for_each(|caller| {
                // A caller that went away needs no answer.
                let _ = caller.send(());
            }),
            Err(error) => {
                // After a failed sync the system forgets which pages were dirty, so no later one may say that all is
                // well: dropping the receiver refuses every caller from now on, until a restart reads the file again.
                tracing::error!(%error, "the database could not be synced; every write fails until a restart");
                return;
            }
        }
    }
}

/// A file whose sync fails.
#[cfg(test)]
pub fn unsyncable() -> File {
    File::open("/dev/null").expect("every Unix has it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_callers_are_answered() {
        let sync = GroupSync::start(tempfile::tempfile().unwrap()).unwrap();
        let callers = (0..100).map(|_| sync.synced());
        assert!(futures_util::future::join_all(callers).await.into_iter().all(|answer| answer.is_ok()));
    }

    #[tokio::test]
    async fn s1_after_a_failure_nobody_is_told_that_all_is_well() {
        let sync = GroupSync::start(unsyncable()).unwrap();
        assert!(sync.synced().await.is_err());
        assert!(sync.synced().await.is_err());
    }
}
