//! Credentials in Secrets Manager: the real SDK's clients against an embedded DynamoDB, and a stand-in that speaks the
//! four operations of Secrets Manager that are used.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use paybell_shared::aws::{AccountDirectory, ApiKeyDigest, Created, DynamoAccounts, SecretPlace};
use paybell_shared::callback::{Credentials, UnixSeconds};
use paybell_shared::ports::{AccountStore, PortError, Saved, secret_sha256_hex};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::dynamodb::EmbeddedDynamoDb;

const NOW: UnixSeconds = UnixSeconds(1_767_225_600);

/// What the stand-in holds, and what it was asked.
#[derive(Default)]
struct Held {
    /// Texts by name and version.
    secrets: BTreeMap<String, BTreeMap<String, String>>,
    tags: Value,
    calls: Vec<String>,
    /// Whether all secrets wait to be deleted.
    deleted: bool,
    /// What reading is refused with.
    refusal: Option<(u16, &'static str)>,
}

#[derive(Clone, Default)]
struct StandIn(Arc<Mutex<Held>>);

impl StandIn {
    async fn start() -> (Self, String) {
        let stand_in = Self::default();
        let router = Router::new().fallback(perform).with_state(stand_in.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (stand_in, format!("http://{address}"))
    }

    fn calls(&self, operation: &str) -> usize {
        self.0.lock().unwrap().calls.iter().filter(|call| *call == operation).count()
    }

    fn refuse(&self, refusal: Option<(u16, &'static str)>) {
        self.0.lock().unwrap().refusal = refusal;
    }
}

async fn perform(State(StandIn(held)): State<StandIn>, headers: HeaderMap, body: String) -> Response {
    let operation =
        headers["x-amz-target"].to_str().unwrap().strip_prefix("secretsmanager.").unwrap().to_owned();
    let input: Value = serde_json::from_str(&body).unwrap();
    let text = |name: &str| input[name].as_str().unwrap_or_default().to_owned();
    let mut held = held.lock().unwrap();
    held.calls.push(operation.clone());
    let error = |status: u16, code: &str| {
        let body = json!({"__type": code, "Message": "what the message says may be secret"}).to_string();
        let json = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
        (StatusCode::from_u16(status).unwrap(), json, body).into_response()
    };
    let name = if operation == "CreateSecret" { text("Name") } else { text("SecretId") };
    let exists = held.secrets.contains_key(&name);
    match operation.as_str() {
        "RestoreSecret" if exists => {
            held.deleted = false;
            return ([(header::CONTENT_TYPE, "application/x-amz-json-1.1")], "{}").into_response();
        }
        _ if exists && held.deleted => return error(400, "InvalidRequestException"),
        "CreateSecret" if exists => return error(400, "ResourceExistsException"),
        "CreateSecret" => held.tags = input["Tags"].clone(),
        "PutSecretValue" | "GetSecretValue" if !exists => return error(400, "ResourceNotFoundException"),
        _ => {}
    }
    let versions = held.secrets.entry(name).or_default();
    let answer = if operation == "GetSecretValue" {
        let stored = versions.get(&text("VersionId")).cloned();
        if let Some((status, code)) = held.refusal {
            return error(status, code);
        }
        match stored {
            Some(stored) => json!({"SecretString": stored}),
            None => return error(400, "ResourceNotFoundException"),
        }
    } else {
        versions.insert(text("ClientRequestToken"), text("SecretString"));
        json!({"VersionId": text("ClientRequestToken")})
    };
    ([(header::CONTENT_TYPE, "application/x-amz-json-1.1")], answer.to_string()).into_response()
}

fn fields(secret: &str) -> Map<String, Value> {
    Map::from_iter([("secret".to_owned(), json!(secret))])
}

struct Cloud {
    database: EmbeddedDynamoDb,
    secrets: StandIn,
    endpoint: String,
}

impl Cloud {
    async fn start() -> Self {
        let database = EmbeddedDynamoDb::start().await;
        let (secrets, endpoint) = StandIn::start().await;
        Self { database, secrets, endpoint }
    }

    fn directory(&self) -> AccountDirectory {
        let place = SecretPlace { stage: "test".to_owned(), kms_key_id: None };
        let clients = self.database.clients_with_secrets_at(&self.endpoint);
        AccountDirectory::new(clients, "accounts", Some(place))
    }

    /// As a function's instance has it when it starts.
    fn accounts(&self) -> DynamoAccounts {
        let (dynamodb, secrets) = self.database.clients_with_secrets_at(&self.endpoint);
        DynamoAccounts::new(dynamodb, secrets, "accounts")
    }

    async fn put(&self, secret: &str) -> Credentials {
        let directory = self.directory();
        let mut stored = directory.credentials("shop", "stripe").await.unwrap();
        stored.credentials.add(None, fields(secret), NOW).unwrap();
        assert_eq!(directory.replace("shop", "stripe", &stored).await, Ok(Saved::Yes));
        stored.credentials
    }
}

#[tokio::test]
async fn the_table_points_to_a_version_that_is_fetched_once() {
    let cloud = Cloud::start().await;
    let first = cloud.put("first").await;
    let accounts = cloud.accounts();
    for _ in 0..3 {
        assert_eq!(accounts.credentials("shop", "stripe").await, Ok(Some(first.clone())));
    }
    assert_eq!(accounts.credentials("shop", "paypal").await, Ok(None));
    assert_eq!(accounts.credentials("stranger", "stripe").await, Ok(None));
    assert_eq!(cloud.secrets.calls("GetSecretValue"), 1, "once for this version, never for strangers");

    let second = cloud.put("second").await;
    assert_eq!(second.active().count(), 2);
    let before = cloud.secrets.calls("GetSecretValue");
    let (one, other) =
        tokio::join!(accounts.credentials("shop", "stripe"), accounts.credentials("shop", "stripe"));
    assert_eq!((one, other), (Ok(Some(second.clone())), Ok(Some(second))));
    assert_eq!(cloud.secrets.calls("GetSecretValue"), before + 1, "both wait for one request");

    let (names, tags) = {
        let held = cloud.secrets.0.lock().unwrap();
        (held.secrets.keys().cloned().collect::<Vec<_>>(), held.tags.clone())
    };
    assert_eq!(names, ["paybell/test/credentials/shop/stripe"]);
    assert!(tags.as_array().unwrap().contains(&json!({"Key": "stage", "Value": "test"})), "{tags}");
    let item = cloud.database.item("accounts", "credentials#shop#stripe").await;
    let mut attributes: Vec<&str> = item.keys().map(String::as_str).collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["pk", "secret", "secret_version", "version"], "no credentials in the table");
}

/// # Source
/// AWS Secrets Manager API reference, "PutSecretValue" and "RestoreSecret": a deleted secret takes no value until it is
/// restored.
#[tokio::test]
async fn a_secret_that_waits_to_be_deleted_is_kept() {
    let cloud = Cloud::start().await;
    cloud.put("first").await;
    cloud.secrets.0.lock().unwrap().deleted = true;
    // A new stage of the same name, whose table knows nothing of it.
    let renewed = Cloud { database: Cloud::start().await.database, ..cloud };
    let second = renewed.put("second").await;
    assert_eq!(renewed.secrets.calls("RestoreSecret"), 1);
    assert_eq!(renewed.accounts().credentials("shop", "stripe").await, Ok(Some(second)));
}

#[tokio::test]
async fn of_two_who_change_the_same_credentials_one_wins() {
    let cloud = Cloud::start().await;
    for (account, directory) in
        [("cloud", cloud.directory()), ("machine", cloud.database.directory("accounts"))]
    {
        let mut one = directory.credentials(account, "stripe").await.unwrap();
        let mut other = one.clone();
        one.credentials.add(None, fields("one"), NOW).unwrap();
        other.credentials.add(None, fields("other"), NOW).unwrap();
        assert_eq!(directory.replace(account, "stripe", &one).await, Ok(Saved::Yes));
        assert_eq!(directory.replace(account, "stripe", &other).await, Ok(Saved::LostRace));
        let stored = directory.credentials(account, "stripe").await.unwrap();
        assert_eq!(stored.credentials, one.credentials);
        assert_eq!(cloud.accounts().credentials(account, "stripe").await, Ok(Some(one.credentials)));
        assert_eq!(directory.replace(account, "stripe", &stored).await, Ok(Saved::Yes));
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_an_error_and_its_message_stays_out() {
    let cloud = Cloud::start().await;
    let stored = cloud.put("first").await;
    let accounts = cloud.accounts();
    for (refusal, words) in [
        ((400, "AccessDeniedException"), "GetSecretValue: AccessDeniedException"),
        ((400, "DecryptionFailure"), "GetSecretValue: DecryptionFailure"),
        ((400, "ResourceNotFoundException"), "put the credentials again"),
        ((400, "ThrottlingException"), "GetSecretValue: ThrottlingException"),
        ((500, "InternalServiceError"), "GetSecretValue: InternalServiceError"),
    ] {
        cloud.secrets.refuse(Some(refusal));
        let error = accounts.credentials("shop", "stripe").await.unwrap_err();
        // Somebody can repair each of them, and then it is read.
        assert!(matches!(error, PortError::Transient(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains(words) && !text.contains("may be secret"), "{text}");
    }
    cloud.secrets.refuse(None);
    assert_eq!(accounts.credentials("shop", "stripe").await, Ok(Some(stored)), "no failure is remembered");
}

#[tokio::test]
async fn an_account_is_made_once_and_listed_without_its_secrets() {
    let cloud = Cloud::start().await;
    let directory = cloud.directory();
    assert_eq!(directory.create("shop", &ApiKeyDigest::of("aa"), NOW).await, Ok(Created::Yes));
    assert_eq!(directory.create("shop", &ApiKeyDigest::of("bb"), NOW).await, Ok(Created::Exists));
    assert_eq!(directory.exists("shop").await, Ok(true));
    assert_eq!(directory.exists("other").await, Ok(false));
    cloud.put("first").await;
    let before = cloud.secrets.0.lock().unwrap().calls.len();
    let listed = directory.list().await.unwrap();
    let shop = &listed["shop"];
    assert_eq!((listed.len(), shop.created_at, shop.api_keys), (1, Some(NOW), 1));
    assert_eq!(shop.providers, ["stripe"]);
    assert_eq!(
        cloud.accounts().account_of_api_key(&secret_sha256_hex("aa")).await,
        Ok(Some("shop".to_owned()))
    );
    assert_eq!(cloud.accounts().account_of_api_key(&secret_sha256_hex("bb")).await, Ok(None));
    assert_eq!(cloud.secrets.0.lock().unwrap().calls.len(), before, "Secrets Manager was asked");
}
