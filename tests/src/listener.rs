//! A user's device: it connects with a ticket, resumes from its cursor and keeps what it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::api::Api;
use crate::told;
use crate::wait::until;

/// An open WebSocket.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const RECONNECT_DELAY: Duration = Duration::from_millis(50);

/// A device that reconnects and resumes by itself until it is dropped.
///
/// It follows the rules for clients: it tells repetitions apart by their id, and it moves its cursor on live
/// notifications only after the resume is complete.
pub struct Listener {
    memory: Arc<Mutex<Memory>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Memory {
    cursor: String,
    is_caught_up: bool,
    connections: usize,
    told: BTreeMap<String, Value>,
    live_order: Vec<String>,
    repetitions: usize,
    contradictions: Vec<String>,
}

impl Listener {
    /// Connects as `user` with nothing known, and waits until it has caught up.
    pub async fn connect(api: &Api, user: &str) -> Self {
        Self::resume(api, user, "").await
    }

    /// Connects as `user` who has everything up to `cursor`, and waits until it has caught up.
    pub async fn resume(api: &Api, user: &str, cursor: &str) -> Self {
        let memory = Arc::new(Mutex::new(Memory { cursor: cursor.to_owned(), ..Memory::default() }));
        let task = tokio::spawn(stay_connected(api.clone(), user.to_owned(), Arc::clone(&memory)));
        let listener = Self { memory, task };
        listener.wait_until_caught_up().await;
        listener
    }

    /// Waits until the connection of the moment has resumed.
    pub async fn wait_until_caught_up(&self) {
        until("the listener to catch up", async || self.lock().is_caught_up, |caught_up| *caught_up).await;
    }

    /// Every notification by its id.
    pub fn told(&self) -> BTreeMap<String, Value> {
        self.lock().told.clone()
    }

    /// The notifications in the order in which they came first.
    pub fn told_in_order(&self) -> Vec<Value> {
        let memory = self.lock();
        memory.live_order.iter().map(|id| memory.told[id].clone()).collect()
    }

    /// How often a notification came that was known already.
    pub fn repetitions(&self) -> usize {
        self.lock().repetitions
    }

    /// How often it has connected.
    pub fn connections(&self) -> usize {
        self.lock().connections
    }

    /// Ids that came twice with different content: always a fault.
    pub fn contradictions(&self) -> Vec<String> {
        self.lock().contradictions.clone()
    }

    /// Where it would resume.
    pub fn cursor(&self) -> String {
        self.lock().cursor.clone()
    }

    /// Waits until a notification of this kind about this order has come.
    pub async fn wait_for(&self, order_id: &str, kind: &str) -> Value {
        let find = |told: &Vec<Value>| {
            told.iter().find(|told| told["order_id"] == order_id && told["kind"] == kind).cloned()
        };
        let what = format!("`{kind}` of order {order_id}");
        let told = until(&what, async || self.told_in_order(), |told| find(told).is_some()).await;
        find(&told).expect("it was there a moment ago")
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("no holder of this lock panics")
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Opens a user's WebSocket with a fresh ticket.
///
/// # Errors
/// When the server is not there or refuses.
pub async fn open(api: &Api, user: &str) -> Result<Socket, Error> {
    let body = json!({ "user": user });
    let answer = api.try_call(Method::POST, "/tickets", Some(&body)).await;
    let ticket = answer.ok().and_then(|answer| {
        serde_json::from_str::<Value>(&answer.body).ok()?["ticket"].as_str().map(str::to_owned)
    });
    open_with_ticket(api, &ticket.unwrap_or_default()).await
}

/// Opens a WebSocket with a given ticket.
///
/// # Errors
/// When the server is not there or refuses.
pub async fn open_with_ticket(api: &Api, ticket: &str) -> Result<Socket, Error> {
    let (socket, _) = connect_async(format!("{}?ticket={ticket}", api.websocket_address())).await?;
    Ok(socket)
}

/// Asks for everything after `cursor`.
///
/// # Errors
/// When the connection is gone.
pub async fn ask_to_resume(socket: &mut Socket, cursor: &str) -> Result<(), Error> {
    let request = json!({ "action": "resume", "cursor": cursor });
    socket.send(Message::text(request.to_string())).await
}

async fn stay_connected(api: Api, user: String, memory: Arc<Mutex<Memory>>) {
    let lock = || memory.lock().expect("no holder of this lock panics");
    loop {
        if let Ok(mut socket) = open(&api, &user).await {
            let cursor = lock().cursor.clone();
            if ask_to_resume(&mut socket, &cursor).await.is_ok() {
                lock().connections += 1;
                while let Some(Ok(message)) = socket.next().await {
                    let Message::Text(text) = message else { continue };
                    let rest_after = lock().take(&text);
                    if let Some(cursor) = rest_after
                        && ask_to_resume(&mut socket, &cursor).await.is_err()
                    {
                        break;
                    }
                }
            }
        }
        lock().is_caught_up = false;
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
}

impl Memory {
    /// The cursor to resume from when only a part of what was missed has come.
    fn take(&mut self, text: &str) -> Option<String> {
        let message: Value = serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("the server sent {text:?}, which is not JSON: {error}"));
        match message["type"].as_str() {
            Some("notification") => self.take_notification(message),
            Some("resumed") => {
                self.move_cursor(&message);
                self.is_caught_up = true;
            }
            Some("more") => {
                self.move_cursor(&message);
                return Some(self.cursor.clone());
            }
            _ => panic!("the server sent {message}, which is neither a notification nor the end of a resume"),
        }
        None
    }

    fn take_notification(&mut self, message: Value) {
        if self.is_caught_up {
            self.move_cursor(&message);
        }
        let id = message["id"].as_str().expect("a notification has an id").to_owned();
        let message = told::without_place(message);
        match self.told.get(&id) {
            None => {
                self.live_order.push(id.clone());
                self.told.insert(id, message);
            }
            Some(known) => {
                self.repetitions += 1;
                if *known != message {
                    self.contradictions.push(id);
                }
            }
        }
    }

    fn move_cursor(&mut self, message: &Value) {
        let cursor = message["cursor"].as_str().expect("messages have a cursor");
        if cursor > self.cursor.as_str() {
            self.cursor = cursor.to_owned();
        }
    }
}
