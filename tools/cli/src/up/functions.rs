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
