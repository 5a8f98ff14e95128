//! The provider's side of the demo account: its questions go to a provider's API in memory, which knows what the
//! simulator told it. Every other account's questions go out.

use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::put;
use axum::{Json, Router};
use paybell_shared::ports::{FetchResponse, PortError, Transport, secret_sha256_hex};
use paybell_shared::providers::FetchRequest;
use paybell_shared::sandbox::{Exchange, ProviderApi};

use crate::client::SANDBOX_ANSWERS;
use crate::demo::DemoAccount;

const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The way out, which ends at the sandbox for the demo account.
pub struct Sandbox {
    account: String,
    api_key_sha256_hex: String,
    api: ProviderApi,
    way_out: Arc<dyn Transport>,
}

impl Sandbox {
    /// The sandbox of the demo account, before this way out.
    pub fn new(demo: &DemoAccount, way_out: Arc<dyn Transport>) -> Self {
        Self {
            account: demo.account.clone(),
            api_key_sha256_hex: secret_sha256_hex(&demo.api_key),
            api: ProviderApi::default(),
            way_out,
        }
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let api_key = authorization.and_then(|value| value.strip_prefix("Bearer "));
        // Digests tell nothing of the key by the time that comparing them takes.
        api_key.is_some_and(|api_key| secret_sha256_hex(api_key) == self.api_key_sha256_hex)
    }
}

#[async_trait]
impl Transport for Sandbox {
    async fn send(&self, account: &str, request: &FetchRequest) -> Result<FetchResponse, PortError> {
        if account == self.account {
            return self.api.send(account, request).await;
        }
        self.way_out.send(account, request).await
    }
}

/// Where the simulator tells what the provider's API answers, with the demo account's API key.
pub fn router(sandbox: Arc<Sandbox>) -> Router {
    Router::new()
        .route(SANDBOX_ANSWERS, put(put_answers))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(sandbox)
}

async fn put_answers(
    State(sandbox): State<Arc<Sandbox>>,
    headers: HeaderMap,
    Json(exchanges): Json<Vec<Exchange>>,
) -> StatusCode {
    if !sandbox.knows(&headers) {
        return StatusCode::UNAUTHORIZED;
    }
    exchanges.into_iter().for_each(|exchange| sandbox.api.put(exchange));
    StatusCode::NO_CONTENT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says where a request went.
    struct Outside;

    #[async_trait]
    impl Transport for Outside {
        async fn send(&self, _: &str, _: &FetchRequest) -> Result<FetchResponse, PortError> {
            Err(PortError::Transient("outside".to_owned()))
        }
    }

    fn demo() -> DemoAccount {
        DemoAccount {
            account: "demo".to_owned(),
            api_key: "pb_test_key".to_owned(),
            user: "demo-user".to_owned(),
            providers: Default::default(),
        }
    }

    #[tokio::test]
    async fn only_the_demo_account_is_answered_here() {
        let sandbox = Sandbox::new(&demo(), Arc::new(Outside));
        let request = FetchRequest::get("api.example.com", "https://api.example.com/payments/1");
        assert_eq!(sandbox.send("demo", &request).await.map(|answer| answer.status), Ok(404));
        for account in ["shop", "Demo", ""] {
            assert!(sandbox.send(account, &request).await.is_err(), "{account}");
        }
    }

    #[test]
    fn only_the_demo_accounts_key_may_tell_answers() {
        let sandbox = Sandbox::new(&demo(), Arc::new(Outside));
        for (authorization, knows) in [
            ("Bearer pb_test_key", true),
            ("Bearer pb_test_ke", false),
            ("Bearer ", false),
            ("Basic pb_test_key", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
            assert_eq!(sandbox.knows(&headers), knows, "{authorization}");
        }
        assert!(!sandbox.knows(&HeaderMap::new()));
    }
}
