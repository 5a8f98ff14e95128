//! How far a listener has come: which notifications it has had, and the cursor from which it may resume.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::frame::{Frame, Notified};

/// How many ids are remembered; the server replays less than a minute more than was missed, hardly ever this many.
pub const REMEMBERED_IDS_MAX: usize = 8192;

/// How far a listener has come.
///
/// Live notifications may arrive while older ones are still being replayed, so the cursor stands still
/// until the server says that the replay is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    cursor: String,
    remembered_ids: VecDeque<String>,
    #[serde(skip)]
    resumed: bool,
}

impl Progress {
    /// Starts after `cursor`; from the beginning when it is empty.
    pub fn from_cursor(cursor: impl Into<String>) -> Self {
        Self { cursor: cursor.into(), ..Self::default() }
    }

    /// The cursor from which nothing is missed.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// A new connection replays first.
    pub fn reconnected(&mut self) {
        self.resumed = false;
    }

    /// Takes a frame in; returns its notification unless it was there before.
    pub fn take(&mut self, frame: Frame) -> Option<Notified> {
        match frame {
            Frame::Notification(notified) => {
                if self.resumed {
                    self.advance(notified.cursor.clone());
                }
                self.remember(&notified.id).then_some(*notified)
            }
            Frame::Resumed { cursor, .. } => {
                self.resumed = true;
                self.advance(cursor);
                None
            }
            Frame::More { cursor } => {
                self.advance(cursor);
                None
            }
            Frame::Other => None,
        }
    }

    fn advance(&mut self, cursor: String) {
        if cursor > self.cursor {
            self.cursor = cursor;
        }
    }

    fn remember(&mut self, id: &str) -> bool {
        if self.remembered_ids.iter().any(|have| have == id) {
            return false;
        }
        if self.remembered_ids.len() == REMEMBERED_IDS_MAX {
            self.remembered_ids.pop_front();
        }
        self.remembered_ids.push_back(id.to_owned());
        true
    }
}

/// A file in the data folder that keeps a user's progress.
#[derive(Clone, Debug)]
pub struct ProgressFile {
    path: PathBuf,
}

impl ProgressFile {
    /// The user's file; the name is the user's id in hexadecimal, because an id may hold any character.
    pub fn new(data: &Path, user: &str) -> Self {
        Self { path: data.join(format!("listen-{}.json", hex::encode(user))) }
    }

    /// The kept progress; from the beginning when there is none.
    ///
    /// # Errors
    /// As reading a file, or `InvalidData` naming the file when it is not a progress.
    pub fn read(&self) -> io::Result<Progress> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => serde_json::from_str(&text).map_err(|_| {
                let about = format!("{} cannot be read; delete it to start over", self.path.display());
                io::Error::new(io::ErrorKind::InvalidData, about)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Progress::default()),
            Err(error) => Err(error),
        }
    }

    /// Keeps a progress; a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// As writing a file.
    pub fn write(&self, progress: &Progress) -> io::Result<()> {
        let new = self.path.with_extension("json.new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(serde_json::to_string(progress)?.as_bytes())?;
        drop(file);
        std::fs::rename(new, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(id: &str, cursor: &str) -> Frame {
        let text = format!(
            r#"{{"type":"notification","id":"{id}","cursor":"{cursor}","kind":"payment.captured","order_id":"o","status":"paid"}}"#
        );
        Frame::parse(&text).unwrap()
    }

    fn resumed(cursor: &str) -> Frame {
        Frame::Resumed { cursor: cursor.to_owned(), count: 0 }
    }

    #[test]
    fn the_cursor_waits_for_the_end_of_the_replay() {
        let mut progress = Progress::from_cursor("3");
        assert!(progress.take(notification("live", "9")).is_some());
        assert_eq!(progress.cursor(), "3", "older ones are still to come");
        assert!(progress.take(notification("missed", "4")).is_some());
        assert!(progress.take(resumed("4")).is_none());
        assert_eq!(progress.cursor(), "4");
        assert!(progress.take(notification("later", "10-a")).is_some());
        assert_eq!(progress.cursor(), "4", "a cursor is a text and sorts as one");
        assert!(progress.take(notification("latest", "5")).is_some());
        assert_eq!(progress.cursor(), "5");
        progress.reconnected();
        assert!(progress.take(notification("again", "7")).is_some());
        assert_eq!(progress.cursor(), "5");
    }

    #[test]
    fn a_replay_in_parts_moves_the_cursor_and_is_not_over() {
        let mut progress = Progress::from_cursor("3");
        let more = Frame::parse(r#"{"type":"more","cursor":"5","count":2000}"#).unwrap();
        assert!(progress.take(more).is_none());
        assert_eq!(progress.cursor(), "5");
        assert!(progress.take(notification("live", "9")).is_some());
        assert_eq!(progress.cursor(), "5", "the rest is still to come");
        assert!(progress.take(resumed("8")).is_none());
        assert_eq!(progress.cursor(), "8");
    }

    #[test]
    fn a_notification_is_taken_once() {
        let mut progress = Progress::default();
        assert!(progress.take(notification("a", "1")).is_some());
        progress.reconnected();
        assert!(progress.take(notification("a", "1")).is_none());
        for number in 0..REMEMBERED_IDS_MAX {
            assert!(progress.take(notification(&format!("n{number}"), "1")).is_some());
        }
        assert_eq!(progress.remembered_ids.len(), REMEMBERED_IDS_MAX);
    }

    #[test]
    fn progress_survives_in_the_data_folder() {
        let data = tempfile::tempdir().unwrap();
        let file = ProgressFile::new(data.path(), "user/../1");
        assert_eq!(file.read().unwrap(), Progress::default());
        let mut progress = Progress::from_cursor("7");
        progress.take(notification("a", "8"));
        file.write(&progress).unwrap();
        let mut again = ProgressFile::new(data.path(), "user/../1").read().unwrap();
        assert_eq!(again.cursor(), "7");
        assert!(again.take(notification("a", "8")).is_none());
    }
}
