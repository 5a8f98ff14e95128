//! The loopback endpoint that the functions' AWS SDK clients talk to: DynamoDB, SQS and `@connections` at one address.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use serde_json::{Value, json};
use uuid::Uuid;

use super::dynamodb::DynamoDb;
use super::gateway::hub::{Hub, PushError};
use super::queue::{Store, protocol};

/// DynamoDB takes requests up to 16 MiB.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The content type of both JSON protocols.
const AMZ_JSON: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/x-amz-json-1.0");

/// What the endpoint serves.
pub struct Services {
    /// Tables.
    pub dynamodb: DynamoDb,
    /// Queues.
    pub queue: Arc<Store>,
    /// Open WebSockets.
    pub hub: Arc<Hub>,
    /// Where it listens.
    pub address: SocketAddr,
    /// The access key id that requests must be signed with.
    pub access_key_id: String,
}

/// An access key id that only this process knows, so that no other program's AWS client works here by accident.
pub fn random_access_key_id() -> String {
    format!("LOCAL{}", Uuid::new_v4().simple())
}

/// The configuration that makes every AWS SDK client talk to this endpoint, and nothing else: no file and no
/// environment variable of the user is read.
pub fn sdk_config(address: SocketAddr, access_key_id: &str) -> aws_config::SdkConfig {
    let credentials = Credentials::new(access_key_id, "unused-on-loopback", None, None, "paybell up");
    aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("local"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(format!("http://{address}"))
        .build()
}

/// The endpoint's routes.
pub fn router(services: Services) -> Router {
    let services = Arc::new(services);
    Router::new()
        .route("/", post(perform))
        .route("/@connections/{id}", any(connections))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&services), require_signed))
        .with_state(services)
}

async fn require_signed(State(services): State<Arc<Services>>, request: Request, next: Next) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if authorization.and_then(access_key_id_of) == Some(services.access_key_id.as_str()) {
        return next.run(request).await;
    }
    error(StatusCode::FORBIDDEN, "UnrecognizedClientException", "This endpoint serves its own process only.")
}

/// The access key id of `AWS4-HMAC-SHA256 Credential=ID/DATE/…, …`.
fn access_key_id_of(authorization: &str) -> Option<&str> {
    authorization.split_once("Credential=")?.1.split('/').next()
}

async fn perform(State(services): State<Arc<Services>>, headers: HeaderMap, body: String) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    match target.split_once('.') {
        Some(("AmazonSQS", operation)) => perform_sqs(&services, operation, &body).await,
        Some(("DynamoDB_20120810", operation)) => {
            match services.dynamodb.serve(operation.to_owned(), body).await {
                Ok(output) => ([AMZ_JSON], output).into_response(),
                Err(failed) => {
                    let status =
                        StatusCode::from_u16(failed.status_code()).unwrap_or(StatusCode::BAD_REQUEST);
                    (status, [AMZ_JSON], failed.to_json()).into_response()
                }
            }
        }
        _ => error(StatusCode::BAD_REQUEST, "UnknownOperationException", "No such operation."),
    }
}

async fn perform_sqs(services: &Services, operation: &str, body: &str) -> Response {
    let Ok(input) = serde_json::from_str::<Value>(body) else {
        return error(StatusCode::BAD_REQUEST, "SerializationException", "The request is not JSON.");
    };
    let endpoint = format!("http://{}", services.address);
    match protocol::perform(&services.queue, &endpoint, operation, &input).await {
        Ok(output) => ([AMZ_JSON], output.to_string()).into_response(),
        Err(failed) => {
            let status = StatusCode::from_u16(failed.status).unwrap_or(StatusCode::BAD_REQUEST);
            let mut answer = error(status, &format!("com.amazonaws.sqs#{}", failed.code), &failed.message);
            if let Ok(query_error) = HeaderValue::from_str(&failed.query_error()) {
                answer.headers_mut().insert("x-amzn-query-error", query_error);
            }
            answer
        }
    }
}

async fn connections(
    State(services): State<Arc<Services>>,
    method: Method,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let outcome = match method {
        Method::POST => services.hub.push(&id, body).await.map(|()| StatusCode::OK.into_response()),
        Method::DELETE => services.hub.cut(&id).map(|()| StatusCode::NO_CONTENT.into_response()),
        Method::GET => services.hub.describe(&id).map(|about| axum::Json(about).into_response()),
        _ => Ok(StatusCode::METHOD_NOT_ALLOWED.into_response()),
    };
    outcome.unwrap_or_else(|failed| match failed {
        PushError::Gone => error(StatusCode::GONE, "GoneException", "The connection is gone."),
        PushError::TooLarge => {
            error(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLargeException", "More than 128 KiB.")
        }
    })
}

/// An error that both JSON protocols and the REST protocol of `@connections` read: the name is in body and header.
fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({"__type": code, "message": message}).to_string();
    (status, [AMZ_JSON, (header::HeaderName::from_static("x-amzn-errortype"), code)], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_starts_access_key_id_is_let_in() {
        for (header, id) in [
            (
                "AWS4-HMAC-SHA256 Credential=LOCALx/20260101/local/sqs/aws4_request, SignedHeaders=host",
                Some("LOCALx"),
            ),
            ("AWS4-HMAC-SHA256 Credential=/2026", Some("")),
            ("Bearer LOCALx", None),
        ] {
            assert_eq!(access_key_id_of(header), id, "{header}");
        }
        assert_ne!(random_access_key_id(), random_access_key_id());
    }
}
