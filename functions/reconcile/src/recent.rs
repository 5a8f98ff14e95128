//! What was asked a moment ago: anybody can send hints, and a provider must not be asked for each.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use paybell_shared::callback::UnixSeconds;
use paybell_shared::providers::FetchRequest;

/// The same is asked again at the earliest after this.
pub const AGAIN_AFTER_MS: i64 = 1_000;
/// How long a question is remembered.
const KEPT_MS: i64 = 60_000;
/// A question answers a hint when it was begun this much after the hint was received: times of receipt are whole
/// seconds, and clocks differ.
const LATER_MS: i64 = 2_000;
/// Most questions; what does not fit is asked again.
const QUESTIONS_MAX: usize = 4096;

/// Whether a question may be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It may, and others must wait from now on.
    Yes,
    /// It was asked after the hint came in, so the hint has its answer.
    AnsweredAlready,
    /// It was asked so shortly ago that it must wait.
    TooSoon,
}

/// The last moment of every question of the last minute.
#[derive(Debug, Default)]
pub struct RecentQuestions {
    questions: Mutex<HashMap<(String, FetchRequest), Asked>>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    begun_at_ms: i64,
    is_answered: bool,
}

impl RecentQuestions {
    /// Whether an account's question about a hint that came in at `received_at` may be asked now.
    pub fn begin(
        &self,
        account: &str,
        request: &FetchRequest,
        received_at: UnixSeconds,
        now_ms: i64,
    ) -> Begun {
        let mut questions = self.lock();
        let key = (account.to_owned(), request.clone());
        if let Some(asked) = questions.get(&key) {
            let later_ms = asked.begun_at_ms - received_at.0.saturating_mul(1000);
            if asked.is_answered && later_ms >= LATER_MS {
                return Begun::AnsweredAlready;
            }
            if (0..AGAIN_AFTER_MS).contains(&(now_ms - asked.begun_at_ms)) {
                return Begun::TooSoon;
            }
        }
        if questions.len() >= QUESTIONS_MAX {
            questions.retain(|_, asked| now_ms - asked.begun_at_ms < KEPT_MS);
        }
        if questions.len() >= QUESTIONS_MAX {
            questions.clear();
        }
        questions.insert(key, Asked { begun_at_ms: now_ms, is_answered: false });
        Begun::Yes
    }

    /// Remembers that the provider has answered the question, be it that there is no such thing.
    pub fn answered(&self, account: &str, request: &FetchRequest) {
        if let Some(asked) = self.lock().get_mut(&(account.to_owned(), request.clone())) {
            asked.is_answered = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, FetchRequest), Asked>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_asked_once_and_no_hint_is_left_without_an_answer() {
        let recent = RecentQuestions::default();
        let request = FetchRequest::get("api.example.com", "https://api.example.com/payments/1");
        let begin = |received_at, now_ms| recent.begin("acme", &request, UnixSeconds(received_at), now_ms);
        assert_eq!(begin(100, 100_100), Begun::Yes);
        assert_eq!(begin(100, 100_101), Begun::TooSoon);
        assert_eq!(begin(100, 101_099), Begun::TooSoon, "what it hints at may be younger than the question");
        assert_eq!(begin(100, 102_000), Begun::Yes);
        assert_eq!(begin(100, 102_001), Begun::TooSoon, "it is under way, or got no answer");
        recent.answered("acme", &request);
        assert_eq!(begin(100, 102_001), Begun::AnsweredAlready, "that question was asked after it came in");
        assert_eq!(begin(101, 102_500), Begun::TooSoon);
        let other = FetchRequest::get("api.example.com", "https://api.example.com/payments/2");
        assert_eq!(recent.begin("acme", &other, UnixSeconds(100), 102_001), Begun::Yes);
        assert_eq!(recent.begin("other", &request, UnixSeconds(100), 102_001), Begun::Yes);
    }

    #[test]
    fn the_memory_is_bounded() {
        let recent = RecentQuestions::default();
        for number in 0..2 * QUESTIONS_MAX {
            let url = format!("https://api.example.com/payments/{number}");
            let begun = recent.begin("acme", &FetchRequest::get("api.example.com", url), UnixSeconds(0), 5);
            assert_eq!(begun, Begun::Yes);
            assert!(recent.lock().len() <= QUESTIONS_MAX);
        }
    }
}
