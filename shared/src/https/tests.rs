//! The transport against a local server that speaks real TLS, with an authority of the test's own.

use std::net::Ipv4Addr;
use std::sync::Mutex;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;
use crate::ports::{Fetcher, SystemClock};

const HOST: &str = "keys.provider.example";
const LIMITS: HttpsLimits = HttpsLimits {
    connect: Duration::from_secs(20),
    total: Duration::from_secs(20),
    body_bytes_max: 64 * 1024,
};

struct Server {
    address: SocketAddr,
    roots: RootCertStore,
    requests: Arc<Mutex<Vec<String>>>,
}

/// What the server does with a request.
#[derive(Clone)]
enum Behaviour {
    /// Sends this text and closes.
    Answer(String),
    /// Sends this text and then nothing, without closing.
    Stall(String),
}

fn answer(head: &str, body: &str) -> Behaviour {
    Behaviour::Answer(format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

impl Server {
    /// A server with a certificate for `certified_host`.
    async fn start(certified_host: &str, behaviour: Behaviour) -> Self {
        let (roots, config) = authority(certified_host);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (acceptor, heard) = (TlsAcceptor::from(Arc::new(config)), requests.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, heard, behaviour) = (acceptor.clone(), heard.clone(), behaviour.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut request = vec![0; 16 * 1024];
                    let length = stream.read(&mut request).await.unwrap_or_default();
                    heard.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
                    let (Behaviour::Answer(text) | Behaviour::Stall(text)) = &behaviour;
                    let _ = stream.write_all(text.as_bytes()).await;
                    match behaviour {
                        Behaviour::Answer(_) => drop(stream.shutdown().await),
                        Behaviour::Stall(_) => std::future::pending().await,
                    }
                });
            }
        });
        Self { address, roots, requests }
    }

    /// Trusts the server's authority, finds every host at it, and may connect to this machine.
    fn transport(&self, limits: HttpsLimits) -> HttpsTransport {
        let resolver = Arc::new(Addresses(vec![self.address]));
        HttpsTransport::with(self.roots.clone(), resolver, |address| address.is_loopback(), limits)
    }

    async fn get(&self, limits: HttpsLimits) -> Result<FetchResponse, PortError> {
        self.transport(limits).send("acme", &request("/keys/1?x=y")).await
    }

    fn heard(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

struct Addresses(Vec<SocketAddr>);

#[async_trait]
impl Resolver for Addresses {
    async fn resolve(&self, _host: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(self.0.clone())
    }
}

fn authority(host: &str) -> (RootCertStore, ServerConfig) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(root.der().to_vec())).unwrap();
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &root).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(leaf.der().to_vec())],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    (roots, config)
}

fn request(target: &str) -> FetchRequest {
    FetchRequest::get(HOST, format!("https://{HOST}{target}"))
}

#[tokio::test]
async fn a_request_and_its_answer_go_over_trusted_tls() {
    let server =
        Server::start(HOST, answer("200 OK\r\nCache-Control: public, max-age=\"300\"", "the key")).await;
    let response = server.get(LIMITS).await.unwrap();
    assert_eq!(
        (response.status, response.body, response.max_age_seconds),
        (200, b"the key".to_vec(), Some(300))
    );
    let heard = server.heard().concat();
    assert!(heard.starts_with("GET /keys/1?x=y HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains(&format!("host: {HOST}\r\n")), "{heard}");
}

#[tokio::test]
async fn a_body_and_headers_are_sent_as_they_are() {
    let server = Server::start(HOST, answer("201 Created", "")).await;
    let mut post = request("/ask").with_header("Authorization", "Bearer test");
    post.method = FetchMethod::Post;
    post.body = b"{\"id\":1}".to_vec();
    assert_eq!(server.transport(LIMITS).send("acme", &post).await.unwrap().status, 201);
    let heard = server.heard().concat();
    assert!(heard.starts_with("POST /ask HTTP/1.1\r\n") && heard.ends_with("{\"id\":1}"), "{heard}");
    assert!(heard.contains("authorization: Bearer test\r\n"), "{heard}");
    assert!(heard.contains("content-length: 8\r\n"), "{heard}");
}

#[tokio::test]
async fn f8_a_redirect_is_told_and_refused_and_never_followed() {
    let server =
        Server::start(HOST, answer(&format!("302 Found\r\nLocation: https://{HOST}/other"), "")).await;
    assert_eq!(server.get(LIMITS).await.unwrap().status, 302);
    let fetcher = Fetcher::new(Arc::new(server.transport(LIMITS)), Arc::new(SystemClock));
    let refused = fetcher.fetch("acme", &request("/keys/1")).await;
    assert!(matches!(&refused, Err(PortError::Permanent(why)) if why.contains("redirects")), "{refused:?}");
    assert_eq!(server.heard().len(), 2);
}

#[tokio::test]
async fn f8_an_answer_is_cut_off_at_the_limit() {
    let limits = HttpsLimits { body_bytes_max: 10, ..LIMITS };
    let chunked = |body: &str| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        Behaviour::Answer(format!("{head}5\r\n01234\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()))
    };
    let lying =
        Behaviour::Stall("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n01234567890".to_owned());
    for (behaviour, fits) in [
        (answer("200 OK", "0123456789"), true),
        (answer("200 OK", "0123456789a"), false),
        (chunked("56789"), true),
        (chunked("56789a"), false),
        (lying, false),
    ] {
        let server = Server::start(HOST, behaviour).await;
        match server.get(limits).await {
            Ok(response) => assert!(fits && response.body == b"0123456789"),
            Err(PortError::Permanent(why)) => assert!(!fits && why.contains("too large"), "{why}"),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn what_is_no_whole_http_answer_is_an_error() {
    let headers = "X: y\r\n".repeat(HEADERS_MAX + 1);
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(2 * HEADERS_BYTES_MAX));
    for (text, for_good) in [
        (String::new(), false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_owned(), false),
        ("SSH-2.0-OpenSSH\r\n\r\n".to_owned(), true),
        (format!("HTTP/1.1 200 OK\r\n{headers}\r\n"), true),
        (long, true),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx".to_owned(), true),
    ] {
        let server = Server::start(HOST, Behaviour::Answer(text.clone())).await;
        let error = server.get(LIMITS).await.unwrap_err();
        assert_eq!(matches!(error, PortError::Permanent(_)), for_good, "{error} for {:.60}", text);
    }
}

#[tokio::test]
async fn f8_a_server_that_stalls_is_given_up() {
    let limits = HttpsLimits { total: Duration::from_millis(300), ..LIMITS };
    for text in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nslow"] {
        let server = Server::start(HOST, Behaviour::Stall(text.to_owned())).await;
        let error = server.get(limits).await.unwrap_err();
        assert_eq!(error, transient("no answer in time"), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_accepts_and_never_shakes_hands_is_given_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let resolver = Arc::new(Addresses(vec![listener.local_addr().unwrap()]));
    let limits = HttpsLimits { connect: Duration::from_millis(300), ..LIMITS };
    let transport = HttpsTransport::with(RootCertStore::empty(), resolver, |_| true, limits);
    let error = transport.send("acme", &request("/")).await.unwrap_err();
    assert_eq!(error, transient("no connection in time"));
}

#[tokio::test]
async fn a_certificate_must_be_of_the_host_and_of_a_trusted_authority() {
    let other_host = Server::start("keys.provider.example.evil.example", answer("200 OK", "")).await;
    let mut other_authority = Server::start(HOST, answer("200 OK", "")).await;
    other_authority.roots = authority(HOST).0;
    for server in [other_host, other_authority] {
        let error = server.get(LIMITS).await.unwrap_err();
        assert_eq!(error, permanent("the host's certificate is not trusted"));
        assert!(server.heard().is_empty(), "a request went to a server that is not trusted");
    }
}

#[tokio::test]
async fn f8_plain_http_is_never_spoken() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 1024];
        let _ = stream.read(&mut hello).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    });
    let resolver = Arc::new(Addresses(vec![address]));
    let transport = HttpsTransport::with(RootCertStore::empty(), resolver, |_| true, LIMITS);
    assert!(transport.send("acme", &request("/")).await.is_err());
}

#[tokio::test]
async fn f8_a_name_with_any_address_that_is_not_public_is_not_connected_to() {
    let server = Server::start(HOST, answer("200 OK", "")).await;
    let public: SocketAddr = "8.8.8.8:443".parse().unwrap();
    for addresses in [
        vec![server.address],
        vec![public, server.address],
        vec!["169.254.169.254:443".parse().unwrap(), public],
        vec!["[::ffff:127.0.0.1]:443".parse().unwrap()],
        vec!["[fd00:ec2::254]:443".parse().unwrap()],
    ] {
        let resolver = Arc::new(Addresses(addresses));
        let transport = HttpsTransport::with(server.roots.clone(), resolver, is_public, LIMITS);
        let error = transport.send("acme", &request("/")).await.unwrap_err();
        assert_eq!(error, permanent("the host's address is not public"));
    }
    assert!(server.heard().is_empty());
}

#[tokio::test]
async fn the_system_resolver_does_not_open_this_machine() {
    let transport = HttpsTransport::new(LIMITS);
    let local = FetchRequest::get("localhost", "https://localhost/");
    let error = transport.send("acme", &local).await.unwrap_err();
    assert_eq!(error, permanent("the host's address is not public"));
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_does_not_answer() {
    let server = Server::start(HOST, answer("200 OK", "here")).await;
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let resolver = Arc::new(Addresses(vec![closed, server.address]));
    let transport = HttpsTransport::with(server.roots.clone(), resolver, |_| true, LIMITS);
    assert_eq!(transport.send("acme", &request("/")).await.unwrap().body, b"here");
}

#[test]
fn how_long_an_answer_may_be_kept() {
    for (lines, seconds) in [
        (&["max-age=60"][..], Some(60)),
        (&["public, MAX-AGE=5, must-revalidate"], Some(5)),
        (&["public", "max-age=7"], Some(7)),
        (&["max-age=60, no-store"], Some(0)),
        (&["s-maxage=60"], None),
        (&["max-age=-1"], None),
        (&["max-age=x"], None),
        (&[], None),
    ] {
        let headers = lines.iter().map(|line| (CACHE_CONTROL, line.parse().unwrap())).collect::<Vec<_>>();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        assert_eq!(max_age_seconds(&map), seconds, "{lines:?}");
    }
}
