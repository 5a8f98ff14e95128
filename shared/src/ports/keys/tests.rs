//! Keys are fetched once, kept for a while, and never fetched by a flood.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::ports::Transport;
use crate::ports::memory::ManualClock;

const HOST: &str = "keys.provider.example";

/// A provider that answers with a status and the number of the request as the key.
struct Provider {
    status: AtomicUsize,
    max_age_seconds: Option<i64>,
    requests: AtomicUsize,
}

#[async_trait]
impl Transport for Provider {
    async fn send(&self, _account: &str, _request: &FetchRequest) -> Result<FetchResponse, PortError> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        // Others get their turn while this one is on its way.
        tokio::task::yield_now().await;
        match u16::try_from(self.status.load(Ordering::SeqCst)).expect("a status is small") {
            0 => Err(PortError::Transient("down".to_owned())),
            status => Ok(FetchResponse {
                status,
                max_age_seconds: self.max_age_seconds,
                body: format!("key {number}").into_bytes(),
            }),
        }
    }
}

struct World {
    provider: Arc<Provider>,
    clock: Arc<ManualClock>,
    keys: Arc<FetchedKeys>,
}

impl World {
    fn new(max_age_seconds: Option<i64>) -> Self {
        let provider =
            Provider { status: AtomicUsize::new(200), max_age_seconds, requests: AtomicUsize::new(0) };
        let (provider, clock) = (Arc::new(provider), Arc::new(ManualClock::at_ms(0)));
        let keys = Arc::new(FetchedKeys::new(Fetcher::new(provider.clone(), clock.clone()), clock.clone()));
        Self { provider, clock, keys }
    }

    fn set_status(&self, status: usize) {
        self.provider.status.store(status, Ordering::SeqCst);
    }

    fn pass_seconds(&self, seconds: i64) {
        self.clock.advance_ms(seconds * 1000);
    }

    fn requests(&self) -> usize {
        self.provider.requests.load(Ordering::SeqCst)
    }
}

fn text(body: &[u8]) -> Option<Value> {
    String::from_utf8(body.to_vec()).ok().map(Value::String)
}

fn named(path: &str) -> KeyRequest {
    let request = FetchRequest::get(HOST, format!("https://{HOST}{path}"));
    KeyRequest { request, field: "keys", id: Some(path.to_owned()), max_age_seconds: 3600, read: text }
}

fn fixed() -> KeyRequest {
    KeyRequest { id: None, ..named("/jwks") }
}

fn key(number: usize) -> Result<Value, KeyError> {
    Ok(Value::String(format!("key {number}")))
}

fn is_transient(result: &Result<Value, KeyError>) -> bool {
    matches!(result, Err(KeyError::Failed(PortError::Transient(_))))
}

#[tokio::test]
async fn a_key_is_kept_as_long_as_both_sides_say_and_not_shorter_than_a_minute() {
    for (told, kept_seconds) in [(None, 3600), (Some(600), 600), (Some(999_999), 3600), (Some(0), 60)] {
        let world = World::new(told);
        assert_eq!(world.keys.get("acme", &fixed()).await, key(1), "{told:?}");
        world.pass_seconds(kept_seconds - 1);
        assert_eq!(world.keys.get("acme", &fixed()).await, key(1), "{told:?}");
        world.pass_seconds(1);
        assert_eq!(world.keys.get("acme", &fixed()).await, key(2), "{told:?}");
    }
}

#[tokio::test]
async fn many_callbacks_at_once_make_one_request() {
    for status in [200, 404, 0] {
        let world = World::new(None);
        world.set_status(status);
        let callbacks: Vec<_> = (0..50)
            .map(|_| {
                let keys = world.keys.clone();
                tokio::spawn(async move { keys.get("acme", &named("/one")).await })
            })
            .collect();
        for callback in callbacks {
            assert_eq!(callback.await.unwrap().is_ok(), status == 200);
        }
        assert_eq!(world.requests(), 1, "{status}");
    }
}

#[tokio::test]
async fn an_absent_key_is_believed_to_be_absent_for_a_minute() {
    let world = World::new(None);
    for status in [400, 403, 404, 410] {
        world.set_status(status);
        for _ in 0..3 {
            assert_eq!(world.keys.get("acme", &named("/one")).await, Err(KeyError::Absent), "{status}");
        }
        world.pass_seconds(60);
    }
    assert_eq!(world.requests(), 4);
    world.set_status(200);
    assert_eq!(world.keys.get("acme", &named("/one")).await, key(5));
}

#[tokio::test]
async fn f16_a_key_service_that_fails_says_nothing_about_the_key_and_is_left_in_peace_for_a_moment() {
    let world = World::new(None);
    for status in [0, 408, 429, 500, 503] {
        world.set_status(status);
        assert!(is_transient(&world.keys.get("acme", &named("/one")).await), "{status}");
        assert!(is_transient(&world.keys.get("acme", &named("/one")).await), "{status}");
        world.pass_seconds(5);
    }
    assert_eq!(world.requests(), 5);
    for (status, wanted) in
        [(404, fixed()), (401, named("/two")), (204, named("/three")), (301, named("/four"))]
    {
        world.set_status(status);
        let failed = world.keys.get("acme", &wanted).await;
        assert!(matches!(failed, Err(KeyError::Failed(PortError::Permanent(_)))), "{status}: {failed:?}");
    }
}

#[tokio::test]
async fn what_is_no_key_is_absent_where_the_callback_chose_it_and_a_failure_where_we_did() {
    let world = World::new(None);
    let unreadable = |wanted: KeyRequest| KeyRequest { read: |_| None, ..wanted };
    assert_eq!(world.keys.get("acme", &unreadable(named("/one"))).await, Err(KeyError::Absent));
    let failed = world.keys.get("acme", &unreadable(fixed())).await;
    assert!(matches!(failed, Err(KeyError::Failed(PortError::Permanent(_)))));
}

#[tokio::test]
async fn a_key_file_is_fetched_again_at_most_once_a_minute_and_kept_when_that_fails() {
    let world = World::new(None);
    assert_eq!(world.keys.get_again("acme", &fixed()).await, key(1));
    assert_eq!(world.keys.get_again("acme", &fixed()).await, key(1));
    world.pass_seconds(60);
    assert_eq!(world.keys.get_again("acme", &fixed()).await, key(2));
    world.set_status(503);
    world.pass_seconds(60);
    assert!(is_transient(&world.keys.get_again("acme", &fixed()).await));
    assert!(is_transient(&world.keys.get_again("acme", &fixed()).await));
    assert_eq!(world.requests(), 3);
    assert_eq!(world.keys.get("acme", &fixed()).await, key(2));
}

#[tokio::test]
async fn f19_a_flood_of_unknown_keys_neither_reaches_the_provider_nor_pushes_out_a_known_one() {
    let world = World::new(None);
    assert_eq!(world.keys.get("acme", &named("/genuine")).await, key(1));
    world.set_status(404);
    for number in 0..1000 {
        let refused = world.keys.get("acme", &named(&format!("/{number}"))).await;
        assert_eq!(is_transient(&refused), number + 1 >= i32::try_from(REQUESTS_MAX).unwrap(), "{number}");
    }
    assert_eq!(world.requests(), usize::try_from(REQUESTS_MAX).unwrap());
    assert!(world.keys.slots.lock().unwrap().len() <= KEYS_MAX);
    assert_eq!(world.keys.get("acme", &named("/genuine")).await, key(1));
    world.set_status(200);
    world.pass_seconds(60);
    assert!(world.keys.get("acme", &named("/another")).await.is_ok());
}

#[tokio::test]
async fn what_an_account_asks_with_its_own_key_is_its_own() {
    let world = World::new(None);
    let with = |secret: &str| {
        let mut wanted = fixed();
        wanted.request = wanted.request.with_header("Authorization", secret);
        wanted
    };
    assert_eq!(world.keys.get("acme", &with("a")).await, key(1));
    assert_eq!(world.keys.get("other", &with("a")).await, key(2));
    assert_eq!(world.keys.get("acme", &with("b")).await, key(3));
    assert_eq!(world.keys.get("acme", &with("a")).await, key(1));
    assert_eq!(world.keys.get("acme", &fixed()).await, key(4));
    assert_eq!(world.keys.get("other", &fixed()).await, key(4));
}
