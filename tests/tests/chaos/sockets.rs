//! WebSockets of clients that do not behave, and what they cost the process.

use std::net::SocketAddr;

use futures_util::StreamExt as _;
use paybell_tests::World;
use paybell_tests::wait::{self, PATIENCE};
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// What the system rounds up to its smallest. Over the loopback it would keep megabytes for segments of 64 KiB.
const RECEIVE_BUFFER_BYTES: u32 = 4 * 1024;
const SEGMENT_BYTES: u32 = 536;

/// A user's WebSocket of which the test decides when it reads and which bytes it sends.
pub struct RawSocket {
    websocket: WebSocketStream<TcpStream>,
}

impl RawSocket {
    /// Connects with a fresh ticket, and reads nothing.
    pub async fn open(world: &World, user: &str) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], world.server().port()));
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES).expect("the system takes the size");
        SockRef::from(&socket).set_tcp_mss(SEGMENT_BYTES).expect("the system takes the size");
        let stream = socket.connect(address).await.unwrap_or_else(|error| panic!("{user}: {error}"));
        let url = format!("{}?ticket={}", world.api.websocket_address(), world.api.ticket(user).await);
        let (websocket, _) =
            client_async(url, stream).await.unwrap_or_else(|error| panic!("{user}: {error}"));
        Self { websocket }
    }

    /// Writes bytes past the protocol until the system takes no more; false when the server has closed.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        self.websocket.get_mut().write_all(bytes).await.is_ok()
    }

    /// Closes without a word: the server's next packet is answered with a reset.
    pub fn reset(mut self) {
        self.websocket.get_mut().set_zero_linger().expect("the system takes the option");
    }

    /// Waits, without reading, until the server has closed the connection.
    pub async fn cut_off(mut self) {
        let ping = frame(true, PING, b"");
        // What is written to a connection that the other side has closed is answered with a reset.
        let write = async || self.write(&ping).await;
        wait::until("the client to be cut off", write, |is_open| !is_open).await;
    }

    /// Reads until the server ends the connection, and returns the close code if it gave one.
    pub async fn closed(mut self) -> Option<u16> {
        let mut code = None;
        let reading = async {
            while let Some(Ok(message)) = self.websocket.next().await {
                if let Message::Close(Some(frame)) = message {
                    code = Some(frame.code.into());
                }
            }
        };
        let ended = tokio::time::timeout(PATIENCE, reading).await;
        ended.unwrap_or_else(|_| panic!("the server has not closed the connection in {PATIENCE:?}"));
        code
    }
}

/// A client's frame: final or not, its opcode, and the content, masked with zeros, which change nothing.
pub fn frame(is_final: bool, opcode: u8, content: &[u8]) -> Vec<u8> {
    let mut frame = header(is_final, opcode, content.len() as u64);
    frame.extend_from_slice(content);
    frame
}

/// The beginning of a client's frame that says how long its content will be.
pub fn header(is_final: bool, opcode: u8, content_bytes: u64) -> Vec<u8> {
    const MASKED: u8 = 0x80;
    let mut header = vec![u8::from(is_final) << 7 | opcode];
    match content_bytes {
        0..126 => header.push(MASKED | content_bytes as u8),
        126..=0xffff => {
            header.push(MASKED | 126);
            header.extend_from_slice(&(content_bytes as u16).to_be_bytes());
        }
        _ => {
            header.push(MASKED | 127);
            header.extend_from_slice(&content_bytes.to_be_bytes());
        }
    }
    header.extend_from_slice(&[0; 4]);
    header
}

/// Asks for everything that the user was ever told.
pub fn resume_from_the_beginning() -> Vec<u8> {
    frame(true, TEXT, br#"{"action":"resume","cursor":""}"#)
}

/// Opcodes of frames.
pub const CONTINUATION: u8 = 0;
/// A text.
pub const TEXT: u8 = 1;
/// Bytes.
pub const BINARY: u8 = 2;
/// A ping.
pub const PING: u8 = 9;
/// None that the protocol knows.
pub const RESERVED: u8 = 3;
