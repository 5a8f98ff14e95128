//! Whether what is acknowledged can be made durable, at most once a second however often it is asked.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long an answer holds. Anybody may ask, and finding out costs the disk a write for which callbacks wait.
const ANSWER_HOLDS: Duration = Duration::from_secs(1);
/// How long finding out may take.
const PROBE_MAX: Duration = Duration::from_secs(5);

/// The last answer.
#[derive(Default)]
pub struct Health {
    last: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Health {
    /// What `probe` finds out, or has found out within the last second. One probe runs at a time, and those who ask
    /// meanwhile wait for it.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn ask(&self, probe: impl Future<Output = Result<(), String>>) -> Result<(), String> {
        let mut last = self.last.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < ANSWER_HOLDS
        {
            return answer.clone();
        }
        let answer = tokio::time::timeout(PROBE_MAX, probe).await;
        let answer = answer.unwrap_or_else(|_| Err("the storage does not answer".to_owned()));
        if let Err(reason) = &answer {
            tracing::error!(reason, "unhealthy");
        }
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn f19_however_often_health_is_asked_the_disk_is_probed_once_a_second() {
        let (health, probes) = (Health::default(), AtomicUsize::new(0));
        let ask = |answer: Result<(), String>| {
            let probes = &probes;
            health.ask(async move {
                probes.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(300)).await;
                answer
            })
        };
        for (asked, answer) in [(1, Ok(())), (2, Err("full".to_owned())), (3, Ok(()))] {
            let answers = join_all((0..100).map(|_| ask(answer.clone()))).await;
            assert!(answers.iter().all(|it| *it == answer), "{answers:?}");
            tokio::time::sleep(ANSWER_HOLDS - Duration::from_millis(1)).await;
            assert_eq!(ask(Ok(())).await, answer, "it holds yet");
            assert_eq!(probes.load(Ordering::Relaxed), asked);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn storage_that_does_not_answer_is_unhealthy() {
        let health = Health::default();
        assert!(health.ask(std::future::pending()).await.is_err());
        assert!(health.ask(async { Ok(()) }).await.is_err(), "it holds");
        tokio::time::sleep(ANSWER_HOLDS).await;
        assert_eq!(health.ask(async { Ok(()) }).await, Ok(()));
    }
}
