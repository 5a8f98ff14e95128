//! Callbacks whose key is fetched, and those for which nothing is fetched.

use async_trait::async_trait;
use paybell_shared::callback::RawCallback;
use paybell_shared::ports::memory::ManualClock;
use paybell_shared::ports::{FetchResponse, FetchedKeys, Fetcher, SystemClock, Transport};
use paybell_shared::providers::{FetchRequest, KeyRequest};

use super::*;
use crate::keys::complete;

fn fetched_from(transport: Arc<dyn Transport>) -> Arc<FetchedKeys> {
    let clock = Arc::new(SystemClock);
    Arc::new(FetchedKeys::new(Fetcher::new(transport, clock.clone()), clock))
}

/// A key service that gives the same answer to everything and remembers what it was asked.
struct KeyService {
    answer: Result<(u16, String), PortError>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Transport for KeyService {
    async fn send(&self, _account: &str, request: &FetchRequest) -> Result<FetchResponse, PortError> {
        self.asked.lock().unwrap().push(request.url.clone());
        let (status, body) = self.answer.clone()?;
        Ok(FetchResponse { status, max_age_seconds: None, body: body.into_bytes() })
    }
}

impl World {
    /// The account does not hold PayPal's certificate; the key service gives this answer.
    async fn without_certificate(answer: Result<(u16, &str), PortError>) -> (Self, Arc<KeyService>) {
        let mut world = Self::new("paypal").await;
        world.put_key_sets(vec![world.key_set_without_certificate()]).await;
        let certificate = world.keys.key_set["cert_pem"].as_str().unwrap();
        let answer = answer.map(|(status, body)| (status, body.replace("CERTIFICATE", certificate)));
        let service = Arc::new(KeyService { answer, asked: Mutex::default() });
        world.ports.keys = fetched_from(service.clone());
        (world, service)
    }

    fn key_set_without_certificate(&self) -> KeySet {
        let mut fields = self.keys.key_set.clone();
        fields.remove("cert_pem");
        KeySet::new("one", fields)
    }

    async fn put_key_sets(&self, key_sets: Vec<KeySet>) {
        self.accounts.put_credentials("acme", self.provider, &Credentials { key_sets }).await.unwrap();
    }

    async fn status(&self, event: ApiGatewayV2httpRequest) -> i64 {
        self.deliver(event).await.status_code
    }
}

fn asked(service: &KeyService) -> usize {
    service.asked.lock().unwrap().len()
}

#[tokio::test]
async fn a_certificate_that_is_not_held_is_fetched_once_from_the_providers_address() {
    let (world, service) = World::without_certificate(Ok((200, "CERTIFICATE"))).await;
    for _ in 0..3 {
        assert_eq!(world.status(world.event()).await, 200);
    }
    let named = world.request.headers.iter().find(|(name, _)| name == "PAYPAL-CERT-URL").unwrap();
    assert_eq!(*service.asked.lock().unwrap(), [named.1.as_str()]);
    assert_eq!(world.queue.messages().len(), 3);
}

#[tokio::test]
async fn f8_a_fetched_certificate_does_not_make_a_forgery_genuine() {
    let (world, _) = World::without_certificate(Ok((200, "CERTIFICATE"))).await;
    let mut event = world.event();
    event.body = Some(STANDARD.encode("{}"));
    assert_eq!(world.status(event).await, 401);
    let stranger = World::new("paypal").await;
    let strangers_certificate = stranger.keys.key_set["cert_pem"].as_str().unwrap();
    let (world, _) = World::without_certificate(Ok((200, strangers_certificate))).await;
    assert_eq!(world.status(world.event()).await, 401);
    assert_eq!(world.queue.messages(), [""; 0]);
}

#[tokio::test]
async fn f16_while_the_key_service_is_down_the_provider_is_told_to_come_again() {
    for answer in [
        Err(PortError::Transient("timed out".into())),
        Err(PortError::Permanent("the host's certificate is not trusted".into())),
        Ok((500, "")),
        Ok((429, "")),
        Ok((302, "")),
    ] {
        let (world, service) = World::without_certificate(answer.clone()).await;
        for _ in 0..3 {
            assert_eq!(world.status(world.event()).await, 503, "{answer:?}");
        }
        assert_eq!(asked(&service), 1, "{answer:?}");
        assert_eq!(world.queue.messages(), [""; 0]);
    }
}

#[tokio::test]
async fn a_certificate_that_the_provider_does_not_have_proves_nothing() {
    for answer in [Ok((404, "")), Ok((200, "<html>"))] {
        let (world, _) = World::without_certificate(answer).await;
        assert_eq!(world.status(world.event()).await, 401);
        assert_eq!(world.queue.messages(), [""; 0]);
    }
}

#[tokio::test]
async fn f8_addresses_that_are_not_the_providers_are_refused_and_not_asked() {
    let (world, service) = World::without_certificate(Ok((200, "CERTIFICATE"))).await;
    for address in [
        "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
        "https://api.paypal.com@evil.example/v1/notifications/certs/CERT-1",
        "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
        "https://169.254.169.254/v1/notifications/certs/CERT-1",
        "https://evil.example/?https://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com/v1/notifications/certs/../../../evil",
        "https://api.paypal.com/v1/oauth2/token",
        "http://api.paypal.com/v1/notifications/certs/CERT-1",
        "file:///etc/passwd",
    ] {
        let mut event = world.event();
        set(&mut event, "paypal-cert-url", address);
        assert_eq!(world.status(event).await, 401, "{address}");
    }
    assert_eq!(asked(&service), 0);
    assert_eq!(world.queue.messages(), [""; 0]);
}

#[tokio::test]
async fn a_set_that_holds_its_key_serves_while_the_key_of_another_cannot_be_had() {
    let down = Err(PortError::Transient("down".into()));
    let (world, _) = World::without_certificate(down).await;
    let holds_it = KeySet::new("two", world.keys.key_set.clone());
    world.put_key_sets(vec![world.key_set_without_certificate(), holds_it]).await;
    assert_eq!(world.status(world.event()).await, 200);
    let mut forged = world.event();
    forged.body = Some(STANDARD.encode("{}"));
    assert_eq!(world.status(forged).await, 503);
}

#[tokio::test]
async fn f19_retired_sets_and_unknown_accounts_cost_no_request() {
    let (world, service) = World::without_certificate(Ok((200, "CERTIFICATE"))).await;
    assert_eq!(world.status(world.event_to("/callbacks/nobody/paypal")).await, 404);
    let mut retired = world.key_set_without_certificate();
    retired.status = KeyStatus::Retired;
    world.put_key_sets(vec![retired]).await;
    assert_eq!(world.status(world.event()).await, 503);
    assert_eq!(asked(&service), 0);
}

/// A provider that signs with the key that the callback's body names, out of a file at one address.
const FILE_OF_KEYS: Provider = Provider {
    key_fetch: Some(|raw, keys| {
        let named = String::from_utf8_lossy(raw.body()).into_owned();
        let held = keys.text_if_any("file")?.is_some_and(|file| file.contains(&named));
        let request = FetchRequest::get("keys.provider.example", "https://keys.provider.example/jwks");
        let read = |body: &[u8]| Some(String::from_utf8_lossy(body).into());
        Ok((!held).then_some(KeyRequest { request, field: "file", id: None, max_age_seconds: 3600, read }))
    }),
    ..Provider::BASE
};

/// A key service whose file has one more key with each request: `k1`, then `k1 k2`, and so on.
#[derive(Default)]
struct Rotating(Mutex<String>);

#[async_trait]
impl Transport for Rotating {
    async fn send(&self, _account: &str, _request: &FetchRequest) -> Result<FetchResponse, PortError> {
        let mut file = self.0.lock().unwrap();
        let number = file.split_whitespace().count() + 1;
        file.push_str(&format!("k{number} "));
        Ok(FetchResponse { status: 200, max_age_seconds: None, body: file.clone().into_bytes() })
    }
}

#[tokio::test]
async fn a_file_of_keys_that_lacks_the_named_one_is_fetched_again_but_not_by_every_callback() {
    let service = Arc::new(Rotating::default());
    let clock = Arc::new(ManualClock::at_ms(0));
    let fetched = FetchedKeys::new(Fetcher::new(service.clone(), clock.clone()), clock.clone());
    let held = async |named: &str| {
        let raw = RawCallback::new("acme", "p", "POST", "/", [], named.as_bytes().to_vec());
        let set = KeySet::new("one", serde_json::Map::new());
        let (credentials, missing) =
            complete(&FILE_OF_KEYS, &raw, Credentials { key_sets: vec![set] }, &fetched).await;
        assert!(missing.is_none(), "{missing:?}");
        credentials.key_sets[0].text("file").unwrap().trim().to_owned()
    };
    assert_eq!(held("k1").await, "k1");
    assert_eq!(held("k2").await, "k1");
    clock.advance_ms(60_000);
    assert_eq!(held("k1").await, "k1");
    assert_eq!(held("k2").await, "k1 k2");
    assert_eq!(held("forged").await, "k1 k2");
    clock.advance_ms(60_000);
    assert_eq!(held("forged").await, "k1 k2 k3");
}
