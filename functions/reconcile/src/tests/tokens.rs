//! Hints of a provider that wants to be asked with an access token: PhonePe.

use super::*;

/// SHA-256 of `user:pass`.
const AUTHORIZATION: &str = "ef4c914c591698b268db3c64163eafda7209a630f236ebf0eebf045460df723a";
const TOKEN_URL: &str = "https://api.phonepe.com/apis/identity-manager/v1/oauth/token";
const SECRET: &str = "very-secret";

struct PhonePe(World);

impl PhonePe {
    async fn new() -> Self {
        let world = World::new().await;
        world.use_keys("phonepe_v2", fields()).await;
        Self(world)
    }

    fn hint(&self, order: &str) -> (&'static str, String) {
        let body = json!({
            "event": "checkout.order.completed",
            "payload": {"merchantOrderId": order, "orderId": format!("OMO-{order}"), "state": "COMPLETED", "amount": 1},
        });
        let headers = vec![("authorization".to_owned(), AUTHORIZATION.to_owned())];
        let raw = RawCallback::new("acme", "phonepe_v2", "POST", "/", headers, body.to_string().into_bytes());
        let keys = KeySet::new("one", fields().as_object().unwrap().clone());
        let provider = self.0.ports.providers.find("phonepe_v2").unwrap();
        ("m1", provider.verify(&raw, &Credentials { key_sets: vec![keys] }, NOW).unwrap().to_message())
    }

    fn tokens(&self, answers: impl IntoIterator<Item = (u16, Value)>) {
        self.0.answers(TOKEN_URL, answers);
    }

    /// Answers about an order, after these statuses.
    fn order(&self, order: &str, statuses: &[u16]) {
        let answer = json!({"orderId": format!("OMO-{order}"), "state": "COMPLETED", "amount": 1999});
        let refusals = statuses.iter().map(|status| (*status, json!({})));
        self.0.answers(&order_url(order), refusals.chain([(200, answer)]));
    }

    /// Every request: `token`, or the `Authorization` of a question.
    fn asked(&self) -> Vec<String> {
        let asked = self.0.api.asked.lock().unwrap();
        let told = asked.iter().map(|(account, request)| {
            assert_eq!(account, "acme");
            assert_eq!(request.pinned_host, "api.phonepe.com");
            let authorization = request.headers.iter().find(|(name, _)| name == "authorization");
            match request.url == TOKEN_URL {
                true => "token".to_owned(),
                false => {
                    assert!(request.body.is_empty(), "the secret is for the token endpoint alone");
                    authorization.map(|(_, value)| value.clone()).unwrap_or_default()
                }
            }
        });
        told.collect()
    }

    async fn handle(&self, messages: &[(&str, String)]) -> Vec<String> {
        self.0.handle_until(messages, i64::MAX).await
    }

    fn set_aside(&self) -> usize {
        self.0.hints.dead_letters().len()
    }
}

fn fields() -> Value {
    json!({
        "username": "user", "password": "pass",
        "client_id": "shop", "client_secret": SECRET, "client_version": "1",
    })
}

fn order_url(order: &str) -> String {
    format!("https://api.phonepe.com/apis/pg/checkout/v2/order/{order}/status")
}

/// A token that lives for ten minutes from a moment on, as PhonePe says it.
fn token(text: &str, issued_at: i64) -> (u16, Value) {
    (
        200,
        json!({"access_token": text, "expires_in": null, "expires_at": issued_at + 600, "token_type": "O-Bearer"}),
    )
}

#[tokio::test]
async fn one_token_serves_many_hints_until_it_expires() {
    let phonepe = PhonePe::new().await;
    phonepe.tokens([token("t1", NOW.0), token("t2", NOW.0 + 541)]);
    ["A1", "A2", "A3", "A4"].iter().for_each(|order| phonepe.order(order, &[]));
    assert_eq!(phonepe.handle(&[phonepe.hint("A1"), phonepe.hint("A2")]).await, [""; 0]);
    assert_eq!(phonepe.asked(), ["token", "O-Bearer t1", "O-Bearer t1"]);
    phonepe.0.clock.advance_ms(539_000);
    phonepe.handle(&[phonepe.hint("A3")]).await;
    phonepe.0.clock.advance_ms(2_000);
    phonepe.handle(&[phonepe.hint("A4")]).await;
    let expected = ["token", "O-Bearer t1", "O-Bearer t1", "O-Bearer t1", "token", "O-Bearer t2"];
    assert_eq!(phonepe.asked(), expected);
    let captured = ["A1 payment.captured 19.99 INR", "A2 payment.captured 19.99 INR"];
    assert_eq!(phonepe.0.told()[..2], captured, "the answer names no merchant's order, the question did");
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once() {
    let phonepe = PhonePe::new().await;
    phonepe.tokens([token("t1", NOW.0), token("t2", NOW.0)]);
    phonepe.order("A1", &[401]);
    assert_eq!(phonepe.handle(&[phonepe.hint("A1")]).await, [""; 0]);
    assert_eq!(phonepe.asked(), ["token", "O-Bearer t1", "token", "O-Bearer t2"]);
    assert_eq!(phonepe.0.told(), ["A1 payment.captured 19.99 INR"]);

    phonepe.order("A2", &[401, 401]);
    assert_eq!(phonepe.handle(&[phonepe.hint("A2")]).await, [""; 0]);
    assert_eq!(phonepe.asked().len(), 7, "no third question");
    assert_eq!(phonepe.set_aside(), 1);
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_puts_the_hint_back() {
    for status in [429, 500, 503] {
        let phonepe = PhonePe::new().await;
        phonepe.tokens([(status, json!({})), token("t1", NOW.0)]);
        phonepe.order("A1", &[]);
        assert_eq!(phonepe.handle(&[phonepe.hint("A1")]).await, ["m1"], "{status}");
        assert_eq!((phonepe.asked(), phonepe.set_aside()), (vec!["token".to_owned()], 0));
        phonepe.0.clock.advance_ms(6_000);
        assert_eq!(phonepe.handle(&[phonepe.hint("A1")]).await, [""; 0]);
        assert_eq!(phonepe.0.told(), ["A1 payment.captured 19.99 INR"]);
    }
}

#[tokio::test]
async fn a_client_that_is_not_known_is_seen_and_asks_nothing() {
    for (status, body) in [(400, json!({})), (401, json!({})), (200, json!({"access_token": null}))] {
        let phonepe = PhonePe::new().await;
        phonepe.tokens([(status, body)]);
        phonepe.order("A1", &[]);
        assert_eq!(phonepe.handle(&[phonepe.hint("A1")]).await, [""; 0], "{status}");
        assert_eq!((phonepe.asked(), phonepe.set_aside()), (vec!["token".to_owned()], 1));
        let error = ReconcileError::from(TokenError::Refused(status));
        let text = format!("{error} {error:?}");
        assert!(text.starts_with("unconfigured: ") && !text.contains(SECRET), "{text}");
    }
}

#[tokio::test]
async fn a_key_set_without_a_client_asks_nothing() {
    let phonepe = PhonePe::new().await;
    let hint = phonepe.hint("A1");
    phonepe.0.use_keys("phonepe_v2", json!({"username": "user", "password": "pass"})).await;
    assert_eq!(phonepe.handle(&[hint]).await, [""; 0]);
    assert_eq!((phonepe.asked(), phonepe.set_aside()), (Vec::new(), 1));
}
