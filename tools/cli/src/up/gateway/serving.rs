//! The public listener: so many connections at once, and each says within a while what it wants.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::up::triggers::{Stopping, pause, stopped};

/// Most connections that are open at once, WebSockets included.
const CONNECTIONS_MAX: usize = 10_000;
/// Files that stay free for what is behind the gateway: tables, queues, and the functions' own connections.
const RESERVED_FILES: u64 = 512;
/// How long after the system has refused a connection the next one is taken.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What one client may cost, and all of them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long the head of a request may take, and how long a connection may be idle before it.
    pub head: Duration,
    /// Most connections; further ones wait in the system's queue until one ends.
    pub connections: usize,
}

impl Limits {
    /// Those of a process that may have so many files open; `None` where nobody knows.
    pub fn with_open_files(files: Option<u64>) -> Self {
        let left = files.map_or(u64::MAX, |files| files.saturating_sub(RESERVED_FILES).max(files / 2));
        let connections = usize::try_from(left).unwrap_or(usize::MAX).clamp(1, CONNECTIONS_MAX);
        Self { head: Duration::from_secs(60), connections }
    }
}

/// A connection's place among those that are open. Whoever has a clone holds it, such as a WebSocket, which outlives the
/// request that it began with.
#[derive(Clone)]
pub struct Seat(#[expect(dead_code, reason = "held, and not read")] Arc<OwnedSemaphorePermit>);

/// Serves until told to stop, and then until the requests that are under way are answered.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, mut stopping: Stopping) {
    let seats = Arc::new(Semaphore::new(limits.connections));
    let (under_way, mut all_answered) = mpsc::channel::<Infallible>(1);
    loop {
        let accepted = async {
            // A seat first: a client that has none is left in the system's queue and costs no file.
            let seat = Arc::clone(&seats).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((seat, listener.accept().await?))
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            () = stopped(&mut stopping) => break,
        };
        match accepted {
            Ok((seat, (stream, peer))) => {
                let connection = Connection { stream, peer, seat: Seat(Arc::new(seat)) };
                let (router, under_way, stopping) = (router.clone(), under_way.clone(), stopping.clone());
                tokio::spawn(async move {
                    connection.serve(router, limits.head, stopping).await;
                    drop(under_way);
                });
            }
            // Its client has left already.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                pause(&mut stopping, ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
    drop((listener, under_way));
    // Nothing is ever sent: it ends with the last sender.
    let _ = all_answered.recv().await;
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    seat: Seat,
}

impl Connection {
    async fn serve(self, router: Router, head_max: Duration, mut stopping: Stopping) {
        let Self { stream, peer, seat } = self;
        // It is only slower without.
        let _ = stream.set_nodelay(true);
        let router = TowerToHyperService::new(router);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(seat.clone());
            router.call(request)
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(head_max);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = stopped(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Extension;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::watch;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// Serves a route that answers at once, and one that keeps its seat as a WebSocket does.
    async fn start(limits: Limits) -> (SocketAddr, watch::Sender<bool>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopping) = watch::channel(false);
        let (keep, mut kept) = mpsc::unbounded_channel::<Seat>();
        let router = Router::new().route("/", get(|| async { "here" })).route(
            "/keep",
            get(move |Extension(seat): Extension<Seat>| async move {
                let _ = keep.send(seat);
                "kept"
            }),
        );
        tokio::spawn(async move { serve(listener, router, limits, stopping).await });
        tokio::spawn(async move {
            let mut seats = Vec::new();
            while let Some(seat) = kept.recv().await {
                seats.push(seat);
            }
        });
        (address, stop)
    }

    async fn connect(address: SocketAddr) -> TcpStream {
        TcpStream::connect(address).await.unwrap()
    }

    /// The next answer's last bytes, or nothing when the connection was closed.
    async fn ask(stream: &mut TcpStream, request: &[u8], end: &str) -> String {
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(end.as_bytes()) {
            if stream.read_buf(&mut answer).await.unwrap_or(0) == 0 {
                return String::new();
            }
        }
        end.to_owned()
    }

    #[tokio::test]
    async fn f19_a_client_that_does_not_end_its_head_is_cut_off() {
        let (address, _stop) = start(Limits { head: Duration::from_millis(50), connections: 8 }).await;
        for begun in [&b""[..], &REQUEST[..3], &REQUEST[..REQUEST.len() - 1]] {
            let mut stream = connect(address).await;
            stream.write_all(begun).await.unwrap();
            let mut rest = Vec::new();
            // It ends: nobody waits for the other half.
            let _ = stream.read_to_end(&mut rest).await;
            assert!(!rest.starts_with(b"HTTP/1.1 200"));
        }
        assert_eq!(ask(&mut connect(address).await, REQUEST, "here").await, "here");
    }

    #[tokio::test]
    async fn f19_a_full_house_leaves_those_inside_alone_and_lets_the_next_in_when_one_leaves() {
        let (address, _stop) = start(Limits { head: Duration::from_secs(30), connections: 2 }).await;
        let (mut first, mut second) = (connect(address).await, connect(address).await);
        for inside in [&mut first, &mut second] {
            assert_eq!(ask(inside, REQUEST, "here").await, "here");
        }
        let mut third = connect(address).await;
        third.write_all(REQUEST).await.unwrap();
        for inside in [&mut first, &mut second] {
            assert_eq!(ask(inside, REQUEST, "here").await, "here", "as before");
        }
        assert!(third.try_read(&mut [0; 1]).is_err(), "nobody serves it yet");
        drop(first);
        assert_eq!(ask(&mut third, b"", "here").await, "here");
    }

    #[tokio::test]
    async fn f19_a_socket_that_outlives_its_request_keeps_its_seat() {
        let (address, _stop) = start(Limits { head: Duration::from_secs(30), connections: 2 }).await;
        let keep = b"GET /keep HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(ask(&mut connect(address).await, keep, "kept").await, "kept");
        let mut second = connect(address).await;
        assert_eq!(ask(&mut second, REQUEST, "here").await, "here");
        let mut third = connect(address).await;
        third.write_all(REQUEST).await.unwrap();
        assert_eq!(ask(&mut second, REQUEST, "here").await, "here");
        assert!(third.try_read(&mut [0; 1]).is_err(), "both seats are taken");
    }

    #[test]
    fn the_limit_of_connections_leaves_files_for_everything_else() {
        for (files, connections) in [
            (None, CONNECTIONS_MAX),
            (Some(524_288), CONNECTIONS_MAX),
            (Some(1_024), 512),
            (Some(256), 128),
            (Some(0), 1),
        ] {
            assert_eq!(Limits::with_open_files(files).connections, connections, "{files:?}");
        }
    }
}
