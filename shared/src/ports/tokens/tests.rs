//! Tokens are fetched once, renewed in time, and never by a flood.

use std::collections::VecDeque;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::callback::KeySet;
use crate::ports::memory::ManualClock;
use crate::ports::{FetchResponse, Transport};
use crate::providers::FetchRequest;
use crate::providers::described::Description;

const NOW_SECONDS: i64 = 1_800_000_000;

const DESCRIPTION: &str = r#"
title = "Asked"
rail = "bank"
retry_schedule = "never"
covers = "nothing"
[[credentials]]
name = "client"
about = "Client"
[[credentials]]
name = "client_secret"
about = "Its secret"
[events]
type = "hint"
types = { hint = { kind = "ignored" } }
[inquiry]
host = "api.asked.example"
unsigned = ["form:id"]
asked = ["form:id"]
answered = ["json:/id"]
[inquiry.token]
url = "https://auth.asked.example/token"
form = { client_id = "{credential:client}", client_secret = "{credential:client_secret}", grant_type = "client_credentials" }
token = "json:/access_token"
expires_in = "json:/expires_in"
expires_at = "json:/expires_at"
headers = { authorization = "Bearer {token}" }
[[inquiry.requests]]
path = "/payments/{form:id}"
[[inquiry.events]]
type = "paid"
types = { paid = { kind = "payment.pending", facts = "payment" } }
facts = { payment = { subject_id = ["json:/id"] } }
"#;

/// A token endpoint that answers one after the other, and the last one for ever.
#[derive(Default)]
struct Endpoint {
    answers: Mutex<VecDeque<(u16, Value)>>,
    requests: Mutex<Vec<FetchRequest>>,
}

#[async_trait]
impl Transport for Endpoint {
    async fn send(&self, _account: &str, request: &FetchRequest) -> Result<FetchResponse, PortError> {
        self.requests.lock().unwrap().push(request.clone());
        // Others get their turn while this one is on its way.
        tokio::task::yield_now().await;
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        let (status, body) = answer.ok_or(PortError::Transient("down".to_owned()))?;
        Ok(FetchResponse { status, max_age_seconds: None, body: body.to_string().into_bytes() })
    }
}

struct World {
    endpoint: Arc<Endpoint>,
    clock: Arc<ManualClock>,
    tokens: AccessTokens,
    provider: &'static Provider,
}

impl World {
    fn new(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        let endpoint = Endpoint { answers: Mutex::new(answers.into_iter().collect()), ..Endpoint::default() };
        let (endpoint, clock) = (Arc::new(endpoint), Arc::new(ManualClock::at_ms(NOW_SECONDS * 1000)));
        let tokens = AccessTokens::new(Fetcher::new(endpoint.clone(), clock.clone()), clock.clone());
        let provider = Description::from_text("asked", DESCRIPTION).unwrap().into_provider();
        Self { endpoint, clock, tokens, provider }
    }

    fn wanted(&self, secret: &str) -> TokenRequest {
        let fields = json!({ "client": "shop&co", "client_secret": secret });
        let keys = KeySet::new("one", fields.as_object().unwrap().clone());
        self.provider.token_request(&keys).unwrap().unwrap()
    }

    async fn get(&self, refused: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        self.tokens.get("acme", self.provider, &self.wanted("s3cr=t"), refused).await
    }

    fn requests(&self) -> usize {
        self.endpoint.requests.lock().unwrap().len()
    }
}

fn token(text: &str) -> (u16, Value) {
    (200, json!({ "access_token": text, "expires_in": 3600 }))
}

#[tokio::test]
async fn the_secret_goes_to_the_pinned_host_in_a_form() {
    let world = World::new([token("t1")]);
    world.get(None).await.unwrap();
    let request = world.endpoint.requests.lock().unwrap()[0].clone();
    assert_eq!(
        (request.url.as_str(), request.pinned_host.as_str()),
        ("https://auth.asked.example/token", "auth.asked.example")
    );
    let form = "client_id=shop%26co&client_secret=s3cr%3Dt&grant_type=client_credentials";
    assert_eq!(String::from_utf8(request.body.clone()).unwrap(), form);
    let wanted = world.wanted("s3cr=t");
    assert!(!format!("{request:?} {wanted:?}").contains("s3cr"));
}

#[tokio::test]
async fn one_request_serves_all_until_shortly_before_the_end() {
    let world = World::new([token("t1"), token("t2")]);
    let (one, other) = tokio::join!(world.get(None), world.get(None));
    assert_eq!(one, other);
    assert_eq!(world.requests(), 1, "one flight");
    world.clock.advance_ms(3_539_000);
    assert_eq!(world.get(None).await, one);
    world.clock.advance_ms(1_000);
    assert_ne!(world.get(None).await, one);
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_by_all_who_hold_it() {
    let world = World::new([token("t1"), token("t2"), token("t3")]);
    let stale = world.get(None).await.unwrap();
    let (one, other) = tokio::join!(world.get(Some(&stale)), world.get(Some(&stale)));
    assert_ne!(one, Ok(stale));
    assert_eq!((one, world.requests()), (other, 2));
}

#[tokio::test]
async fn another_account_or_secret_is_another_client() {
    let world = World::new([token("t1")]);
    world.get(None).await.unwrap();
    for (account, secret) in [("other", "s3cr=t"), ("acme", "another"), ("acme", "s3cr=t")] {
        let wanted = world.wanted(secret);
        world.tokens.get(account, world.provider, &wanted, None).await.unwrap();
    }
    assert_eq!(world.requests(), 3);
}

#[tokio::test]
async fn lives_are_read_as_they_are_written() {
    // What the answer says, and for how many milliseconds the token is kept.
    let table = [
        (json!({"expires_in": 3600}), 3_540_000),
        (json!({"expires_in": "3600"}), 3_540_000),
        (json!({"expires_in": null, "expires_at": NOW_SECONDS + 600}), 540_000),
        (json!({"expires_in": 3600, "expires_at": NOW_SECONDS + 600}), 540_000),
        (json!({"expires_in": 30}), 15_000),
        (json!({"expires_in": 0}), 0),
        (json!({"expires_at": NOW_SECONDS - 5}), 0),
        (json!({"expires_in": i64::MAX}), KEPT_MS_MAX),
        (json!({}), UNKNOWN_LIFE_MS),
    ];
    for (mut answer, kept_ms) in table {
        answer["access_token"] = json!("t1");
        let world = World::new([(200, answer.clone())]);
        let got = world.get(None).await.unwrap_or_else(|error| panic!("{answer}: {error}"));
        assert_eq!(kept_until_ms(&got, NOW_SECONDS * 1000) - NOW_SECONDS * 1000, kept_ms, "{answer}");
    }
}

#[tokio::test]
async fn failures_are_told_apart_and_not_repeated_at_once() {
    let body = json!({"error": "invalid_client"});
    for status in [400, 401, 403, 404] {
        let world = World::new([(status, body.clone()), token("t1")]);
        assert_eq!(world.get(None).await, Err(TokenError::Refused(status)));
        world.clock.advance_ms(REFUSAL_KEPT_MS - 1);
        assert_eq!(world.get(None).await, Err(TokenError::Refused(status)), "it is not tried again");
        assert_eq!(world.requests(), 1);
        world.clock.advance_ms(1);
        world.get(None).await.unwrap();
    }
    for status in [408, 425, 429, 500, 503] {
        let world = World::new([(status, body.clone()), token("t1")]);
        for _ in 0..3 {
            let error = world.get(None).await.unwrap_err();
            assert!(matches!(error, TokenError::Port(PortError::Transient(_))), "{status}: {error}");
        }
        assert_eq!(world.requests(), 1);
        world.clock.advance_ms(FAILURE_KEPT_MS);
        world.get(None).await.unwrap();
    }
    for body in [json!({}), json!("<html>"), json!({"access_token": "a b"}), json!({"access_token": {}})] {
        let world = World::new([(200, body.clone())]);
        assert!(matches!(world.get(None).await, Err(TokenError::Unreadable(_))), "{body}");
    }
}

#[tokio::test]
async fn the_memory_is_bounded() {
    let world = World::new([token("t1")]);
    for number in 0..2 * CLIENTS_MAX {
        let wanted = world.wanted("s");
        world.tokens.get(&format!("account-{number}"), world.provider, &wanted, None).await.unwrap();
        assert!(world.tokens.slots.lock().unwrap().len() <= CLIENTS_MAX);
    }
}
