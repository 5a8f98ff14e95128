//! The dead letters of a deployment: taken in hand for a while, chosen, and given back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use paybell_shared::aws::subject_of_order_key;
use paybell_shared::domain::Subject;
use paybell_shared::ports::redelivery::RECEIVES_MAX;
use paybell_shared::ports::{DeadLetter, DeadLetterQueue, PortError, QueuedHint};
use serde::Serialize;

use super::untold::Untold;

/// How long letters are hidden from others while they are in hand. They come back by themselves when the command is
/// killed.
pub(super) const HIDDEN_SECONDS: u32 = 300;
/// How long after they were taken in hand work on another one may begin. To tell one may take a minute, and it must be
/// deleted before somebody else receives it: a delete by an old handle deletes nothing and says nothing.
pub(super) const BEGUN_WITHIN: Duration = Duration::from_secs(HIDDEN_SECONDS as u64 - 120);
/// Most letters of one queue that are in hand at once.
const LETTERS_MAX: usize = 10_000;
/// Most bytes of them.
const LETTERS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Receives in a row that bring nothing new, after which a queue counts as read.
const EMPTY_RECEIVES: u32 = 2;

/// A queue with dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Queue {
    /// Verified callbacks that could not be applied
    Callbacks,
    /// Hints about which the provider could not be asked
    Hints,
    /// Changes of orders that could not be told
    Notify,
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}

/// A dead letter in hand.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub queue: Queue,
    pub letter: DeadLetter,
    /// Whose it is, where it says so.
    pub account: Option<String>,
    pub provider: Option<String>,
    pub subject: Option<Subject>,
    /// Why it is here.
    pub reason: String,
}

impl Letter {
    pub fn new(queue: Queue, letter: DeadLetter) -> Self {
        let mut this =
            Self { queue, account: None, provider: None, subject: None, reason: String::new(), letter };
        let told = this.letter.reason.clone();
        match queue {
            Queue::Callbacks | Queue::Hints => {
                // Callbacks are read in the same way in both queues; reminders are in the one of hints alone.
                if let Ok(hint) = QueuedHint::from_queue(&this.letter.body) {
                    this.account = Some(hint.account().to_owned());
                    this.provider = Some(hint.provider().to_owned());
                    if let QueuedHint::Reminder(reminder) = hint {
                        this.subject = Some(reminder.subject);
                    }
                }
                let moved = || format!("received {RECEIVES_MAX} times without success");
                this.reason = told.unwrap_or_else(moved);
            }
            Queue::Notify => {
                let untold = Untold::read(&this.letter.body);
                this.subject = untold.key.as_deref().and_then(subject_of_order_key);
                this.account = this.subject.as_ref().map(|subject| subject.account.clone());
                this.reason = told.or(untold.reason).unwrap_or_else(|| "unknown".to_owned());
            }
        }
        this
    }
}

/// The letters of one queue that are in hand.
pub(super) struct InHand {
    pub queue: Queue,
    source: Arc<dyn DeadLetterQueue>,
    letters: BTreeMap<String, Letter>,
    /// Whether there were more than can be in hand at once.
    pub has_more: bool,
    /// About how many others have in hand.
    pub hidden_by_others: u64,
}

impl InHand {
    /// Takes in hand what can be received. What was taken is given back when that fails.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn take(queue: Queue, source: Arc<dyn DeadLetterQueue>) -> Result<Self, PortError> {
        let hidden_by_others = source.hidden().await?;
        let mut this = Self { queue, source, letters: BTreeMap::new(), has_more: false, hidden_by_others };
        match this.receive_all().await {
            Ok(()) => Ok(this),
            Err(error) => {
                // They come back by themselves, only later.
                let _ = this.give_back().await;
                Err(error)
            }
        }
    }

    async fn receive_all(&mut self) -> Result<(), PortError> {
        let (mut bytes, mut empty) = (0, 0);
        while empty < EMPTY_RECEIVES {
            let known = self.letters.len();
            for letter in self.source.receive(HIDDEN_SECONDS).await? {
                bytes += letter.body.len();
                // One that is received again has a new handle.
                self.letters.insert(letter.id.clone(), Letter::new(self.queue, letter));
            }
            if self.letters.len() >= LETTERS_MAX || bytes >= LETTERS_BYTES_MAX {
                self.has_more = true;
                return Ok(());
            }
            empty = if self.letters.len() == known { empty + 1 } else { 0 };
        }
        Ok(())
    }

    pub fn letters(&self) -> impl Iterator<Item = &Letter> {
        self.letters.values()
    }

    /// Deletes a letter that has been done.
    ///
    /// # Errors
    /// [`PortError`]; the letter is given back with the others.
    pub async fn delete(&mut self, id: &str) -> Result<(), PortError> {
        let Some(letter) = self.letters.get(id) else { return Ok(()) };
        self.source.delete(&letter.letter).await?;
        self.letters.remove(id);
        Ok(())
    }

    /// Gives back what is still in hand.
    ///
    /// # Errors
    /// [`PortError`]; the letters come back by themselves then, after [`HIDDEN_SECONDS`].
    pub async fn give_back(self) -> Result<(), PortError> {
        let letters: Vec<&DeadLetter> = self.letters.values().map(|letter| &letter.letter).collect();
        if letters.is_empty() { Ok(()) } else { self.source.give_back(&letters).await }
    }
}

/// Which letters are meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// Ids, or how they begin; all when empty.
    pub ids: Vec<String>,
    pub account: Option<String>,
    pub provider: Option<String>,
    /// A part of the reason, in small or capital letters.
    pub reason: Option<String>,
    /// Only so many, the oldest.
    pub limit: Option<usize>,
}

/// Why the letters that are meant cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ChoiceError {
    /// No letter has this id.
    None(String),
    /// Several letters' ids begin so.
    Several(String),
}

impl Filter {
    /// The letters that are meant, the oldest first.
    ///
    /// # Errors
    /// [`ChoiceError`] for an id that names none or several.
    pub fn choose<'a>(&self, letters: &[&'a Letter]) -> Result<Vec<&'a Letter>, ChoiceError> {
        let mut named = BTreeSet::new();
        for id in &self.ids {
            let matching: Vec<&str> = letters
                .iter()
                .map(|it| it.letter.id.as_str())
                .filter(|it| it.starts_with(id.as_str()))
                .collect();
            let exact = matching.iter().find(|it| **it == id.as_str());
            match (exact, &matching[..]) {
                (Some(one), _) | (None, [one]) => drop(named.insert((*one).to_owned())),
                (None, []) => return Err(ChoiceError::None(id.clone())),
                (None, _) => return Err(ChoiceError::Several(id.clone())),
            }
        }
        let mut chosen: Vec<&Letter> = letters
            .iter()
            .copied()
            .filter(|letter| self.ids.is_empty() || named.contains(&letter.letter.id))
            .filter(|letter| self.is_meant(letter))
            .collect();
        chosen.sort_by(|one, other| {
            (one.letter.sent_at_ms, &one.letter.id).cmp(&(other.letter.sent_at_ms, &other.letter.id))
        });
        chosen.truncate(self.limit.unwrap_or(usize::MAX));
        Ok(chosen)
    }

    fn is_meant(&self, letter: &Letter) -> bool {
        let is = |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        let has_reason = |part: &String| letter.reason.to_lowercase().contains(&part.to_lowercase());
        is(&self.account, &letter.account)
            && is(&self.provider, &letter.provider)
            && self.reason.as_ref().is_none_or(has_reason)
    }
}
