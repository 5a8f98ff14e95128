//! A keep-alive HTTP/1.1 connection that sends ready-made requests: who generates load must cost less than what is
//! loaded.

use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEADERS_MAX: usize = 32;
const READ_BYTES: usize = 4 * 1024;

/// A keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

struct Head {
    status: u16,
    head_bytes: usize,
    body_bytes: usize,
}

impl Connection {
    /// Connects to 127.0.0.1.
    ///
    /// # Errors
    /// As connecting.
    pub async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(READ_BYTES) })
    }

    /// Sends one whole request and reads one whole reply.
    ///
    /// # Errors
    /// When the connection breaks or the reply is not HTTP/1.1 with a known length.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Reply> {
        self.stream.write_all(request).await?;
        self.received.clear();
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Some(head) = head(&self.received)?
                && let Some(body) = self.received.get(head.head_bytes..head.head_bytes + head.body_bytes)
            {
                return Ok(Reply { status: head.status, body: body.to_vec() });
            }
        }
    }
}

/// The head of a reply, once it is all there.
fn head(received: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(received).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    let (httparse::Status::Complete(head_bytes), Some(status)) = (parsed, response.code) else {
        return Ok(None);
    };
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    let body_bytes = match length {
        Some(body_bytes) => body_bytes,
        None if status == 204 => 0,
        None => return Err(Error::new(ErrorKind::InvalidData, "a reply without Content-Length")),
    };
    Ok(Some(Head { status, head_bytes, body_bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_head_only_when_it_is_all_there() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsuccess";
        for cut in 0..whole.len() - "success".len() {
            assert!(head(&whole[..cut]).unwrap().is_none(), "{cut}");
        }
        let read = head(whole).unwrap().unwrap();
        assert_eq!((read.status, &whole[read.head_bytes..]), (200, &b"success"[..]));
        assert_eq!(read.body_bytes, 7);
        assert_eq!(head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap().body_bytes, 0);
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
