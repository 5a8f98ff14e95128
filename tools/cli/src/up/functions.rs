//! The functions as this process runs them: the handlers of the Lambda binaries, each call isolated and timed.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::apigw::{
    ApiGatewayProxyResponse, ApiGatewayV2httpRequest, ApiGatewayV2httpResponse,
    ApiGatewayWebsocketProxyRequest,
};
use aws_lambda_events::dynamodb::Event as DynamoDbEvent;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use aws_lambda_events::streams::DynamoDbEventResponse;
use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::sync::Semaphore;

/// API Gateway waits this long for a function.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(29);
/// The timeout of `apply`, `reconcile` and `notify`.
pub const TRIGGER_TIMEOUT: Duration = Duration::from_secs(30);

/// A function: an event in, a response out.
pub type Function<I, O> = Arc<dyn Fn(I) -> BoxFuture<'static, O> + Send + Sync>;
/// A function behind the HTTP API.
pub type HttpFunction = Function<ApiGatewayV2httpRequest, ApiGatewayV2httpResponse>;
/// A function behind the WebSocket API.
pub type WebSocketFunction = Function<ApiGatewayWebsocketProxyRequest, ApiGatewayProxyResponse>;
/// A function behind a queue; the number is its deadline in Unix milliseconds.
pub type QueueFunction = Function<(SqsEvent, i64), SqsBatchResponse>;
/// A function behind a stream; the number is its deadline in Unix milliseconds.
pub type StreamFunction = Function<(DynamoDbEvent, i64), DynamoDbEventResponse>;

/// All of them.
#[derive(Clone)]
pub struct Functions {
    /// Proves callbacks and queues them.
    pub callback: HttpFunction,
    /// Orders, users, tickets.
    pub orders: HttpFunction,
    /// WebSocket routes.
    pub connections: WebSocketFunction,
    /// Applies queued callbacks to orders.
    pub apply: QueueFunction,
    /// Asks providers about hints.
    pub reconcile: QueueFunction,
    /// Tells users what changed.
    pub notify: StreamFunction,
}

/// The function with so many calls at once, as reserved concurrency in the cloud; further ones wait their turn.
///
/// Each call of a function makes calls of its own, and these give up after a while. Without a limit a thousand clients
/// that come at once make all of them too slow, and coming again keeps it so.
pub fn limited<I: Send + 'static, O: Send + 'static>(
    function: Function<I, O>,
    calls_max: usize,
) -> Function<I, O> {
    let turns = Arc::new(Semaphore::new(calls_max));
    Arc::new(move |event| {
        let (function, turns) = (Arc::clone(&function), Arc::clone(&turns));
        Box::pin(async move {
            let _turn = turns.acquire().await;
            function(event).await
        })
    })
}

/// The function behind the WebSocket API with so many calls at once for clients' messages, and as many for connections
/// that open and close: whoever reads a replay slowly keeps nobody outside.
pub fn limited_apart(function: &WebSocketFunction, calls_max: usize) -> WebSocketFunction {
    let (messages, doors) =
        (limited(Arc::clone(function), calls_max), limited(Arc::clone(function), calls_max));
    Arc::new(move |event| match event.request_context.event_type.as_deref() {
        Some("MESSAGE") => messages(event),
        _ => doors(event),
    })
}

/// Why a call gave no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvocationError {
    /// It took too long and was stopped.
    #[error("the function timed out")]
    TimedOut,
    /// It panicked; the panic's own message is on stderr.
    #[error("the function panicked")]
    Panicked,
}

/// Calls a function in a task of its own: a panic ends the call and not the host, and a caller that goes away does not
/// stop the call half-way.
///
/// # Errors
/// [`InvocationError`].
pub async fn invoke<I, O: Send + 'static>(
    function: &Function<I, O>,
    event: I,
    timeout: Duration,
) -> Result<O, InvocationError> {
    let mut call = tokio::spawn(function(event));
    match tokio::time::timeout(timeout, &mut call).await {
        Ok(response) => response.map_err(|_| InvocationError::Panicked),
        Err(_) => {
            call.abort();
            Err(InvocationError::TimedOut)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn s9_slow_replays_keep_nobody_from_connecting() {
        let function: WebSocketFunction = Arc::new(|event: ApiGatewayWebsocketProxyRequest| {
            Box::pin(async move {
                if event.request_context.event_type.as_deref() == Some("MESSAGE") {
                    std::future::pending::<()>().await;
                }
                ApiGatewayProxyResponse::default()
            })
        });
        let function = limited_apart(&function, 2);
        let event = |event_type: &str| {
            let mut event = ApiGatewayWebsocketProxyRequest::default();
            event.request_context.event_type = Some(event_type.to_owned());
            event
        };
        let replays: Vec<_> = (0..3).map(|_| tokio::spawn(function(event("MESSAGE")))).collect();
        tokio::task::yield_now().await;
        for event_type in ["CONNECT", "DISCONNECT"] {
            assert!(invoke(&function, event(event_type), HTTP_TIMEOUT).await.is_ok(), "{event_type}");
        }
        replays.iter().for_each(|replay| replay.abort());
    }
}
