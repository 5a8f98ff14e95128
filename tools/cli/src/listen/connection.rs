//! A WebSocket that resumes where it left off and comes back when it breaks.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, interval_at, sleep, sleep_until};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::frame::{Frame, Notified};
use super::progress::Progress;
use crate::client::{self, ClientError};

/// A gateway closes a connection that is silent for 10 minutes; a ping well before that keeps it.
const PING_SECONDS: u64 = 240;
/// Silence after a `resume` that means that its answer does not come: the function that answers has 29 s.
const ANSWER_SECONDS_MAX: u64 = 40;
/// First pause before connecting again; it doubles.
const RECONNECT_MILLISECONDS_MIN: u64 = 200;
/// Longest pause before connecting again.
const RECONNECT_MILLISECONDS_MAX: u64 = 30_000;

/// Why listening stopped.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The merchant API refused or cannot be reached.
    #[error(transparent)]
    Api(#[from] ClientError),
    /// The gateway refused the ticket.
    #[error("the ticket was refused ({status}): it is single-use and lasts one minute")]
    TicketRefused {
        /// HTTP status.
        status: u16,
    },
    /// The connection is closed or broken.
    #[error("the connection is closed: {0}")]
    Closed(String),
}

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A notification that was not heard before.
    Notification(Box<Notified>),
    /// All that was missed has been heard.
    Resumed,
}

/// A listener of one user.
pub struct Client {
    api: client::Client,
    user: String,
    progress: Progress,
    socket: Option<Socket>,
    failures: u32,
}

struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    ping: Interval,
    /// When a `resume` that is still being answered counts as lost, unless something is heard before.
    answer_due: Option<Instant>,
}

impl Client {
    /// A listener that is not connected yet.
    pub fn new(api: client::Client, user: impl Into<String>, progress: Progress) -> Self {
        Self { api, user: user.into(), progress, socket: None, failures: 0 }
    }

    /// How far it has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Opens the WebSocket with a new ticket and asks for what was missed.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn connect(&mut self) -> Result<(), ListenError> {
        let ticket = self.api.ticket(&self.user).await?;
        self.connect_with(&ticket).await
    }

    /// Opens the WebSocket with this ticket and asks for what was missed.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn connect_with(&mut self, ticket: &str) -> Result<(), ListenError> {
        self.socket = None;
        let address = format!("ws://127.0.0.1:{}/ws?ticket={}", self.api.port(), url_encoded(ticket));
        let (mut stream, _) = connect_async(address).await.map_err(|error| match error {
            tungstenite::Error::Http(response) => {
                ListenError::TicketRefused { status: response.status().as_u16() }
            }
            tungstenite::Error::Io(_) => ClientError::NotRunning { port: self.api.port() }.into(),
            other => ListenError::Closed(other.to_string()),
        })?;
        stream.send(self.resume()).await.map_err(closed)?;
        self.progress.reconnected();
        let period = Duration::from_secs(PING_SECONDS);
        let ping = interval_at(Instant::now() + period, period);
        self.socket = Some(Socket { stream, ping, answer_due: Some(answer_due()) });
        Ok(())
    }

    /// The next thing heard on the open connection. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`ListenError::Closed`] when there is no connection any more.
    pub async fn next(&mut self) -> Result<Heard, ListenError> {
        loop {
            let socket = self.socket.as_mut().ok_or_else(|| ListenError::Closed("not connected".into()))?;
            let message = tokio::select! {
                message = socket.stream.next() => message,
                _ = socket.ping.tick() => {
                    socket.stream.send(Message::Ping(Default::default())).await.map_err(closed)?;
                    continue;
                }
                () = until(socket.answer_due) => return Err(self.lost("the server does not answer")),
            };
            let text = match message {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(_))) | None => return Err(self.lost("closed by the server")),
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(self.lost(&error.to_string())),
            };
            let Some(frame) = Frame::parse(text.as_str()) else { continue };
            let (resumed, more) =
                (matches!(frame, Frame::Resumed { .. }), matches!(frame, Frame::More { .. }));
            socket.answer_due = socket.answer_due.filter(|_| !resumed).map(|_| answer_due());
            if let Some(notified) = self.progress.take(frame) {
                return Ok(Heard::Notification(Box::new(notified)));
            }
            if resumed {
                self.failures = 0;
                return Ok(Heard::Resumed);
            }
            if more {
                let resume = self.resume();
                if let Some(socket) = &mut self.socket {
                    socket.stream.send(resume).await.map_err(closed)?;
                }
            }
        }
    }

    /// The next thing heard, connecting again as often as it takes; `tell` hears of each failure and the pause after it.
    ///
    /// # Errors
    /// [`ClientError::Unauthorized`]: trying again would not help.
    pub async fn next_reconnecting(
        &mut self,
        tell: &mut (dyn FnMut(&ListenError, Duration) + Send),
    ) -> Result<Heard, ListenError> {
        loop {
            let heard = match &self.socket {
                Some(_) => self.next().await,
                None => match self.connect().await {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
            };
            match heard {
                Ok(heard) => return Ok(heard),
                Err(ListenError::Api(ClientError::Unauthorized)) => return heard,
                Err(error) => {
                    self.socket = None;
                    let pause = reconnect_delay(self.failures, fastrand::u64(..));
                    self.failures = self.failures.saturating_add(1);
                    tell(&error, pause);
                    sleep(pause).await;
                }
            }
        }
    }

    fn resume(&self) -> Message {
        let resume = serde_json::json!({ "action": "resume", "cursor": self.progress.cursor() });
        Message::text(resume.to_string())
    }

    fn lost(&mut self, why: &str) -> ListenError {
        self.socket = None;
        ListenError::Closed(why.to_owned())
    }
}

fn answer_due() -> Instant {
    Instant::now() + Duration::from_secs(ANSWER_SECONDS_MAX)
}

/// Waits for a moment; for ever without one.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The pause after `failures` failures: doubling up to a limit, with `random` choosing within its upper half
/// so that many clients do not come back at the same moment.
pub fn reconnect_delay(failures: u32, random: u64) -> Duration {
    let doubled = RECONNECT_MILLISECONDS_MIN.saturating_mul(1_u64 << failures.min(20));
    let longest = doubled.min(RECONNECT_MILLISECONDS_MAX);
    Duration::from_millis(longest / 2 + random % (longest / 2 + 1))
}

fn closed(error: tungstenite::Error) -> ListenError {
    ListenError::Closed(error.to_string())
}

fn url_encoded(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        assert_eq!(reconnect_delay(0, 0), Duration::from_millis(100));
        assert_eq!(reconnect_delay(0, 100), Duration::from_millis(200));
        assert_eq!(reconnect_delay(3, 0), Duration::from_millis(800));
        assert_eq!(reconnect_delay(u32::MAX, 0), Duration::from_millis(15_000));
        assert!(reconnect_delay(u32::MAX, u64::MAX) <= Duration::from_millis(30_000));
    }

    #[tokio::test(start_paused = true)]
    async fn s9_a_resume_that_nobody_answers_is_a_lost_connection() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            while socket.next().await.is_some() {}
        });
        let mut client = Client::new(client::Client::new(port, "key"), "user", Progress::default());
        client.connect_with("ticket").await.unwrap();
        let error = client.next().await.unwrap_err();
        assert_eq!(error.to_string(), "the connection is closed: the server does not answer");
        assert!(client.socket.is_none());
    }

    #[test]
    fn tickets_travel_encoded() {
        assert_eq!(url_encoded("aB9-_.~+/="), "aB9-_.~%2B%2F%3D");
    }
}
