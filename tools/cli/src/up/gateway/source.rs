//! Where a request comes from, when a reverse proxy stands before this process.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// What stands for an address that a proxy has written and we cannot read.
const UNREADABLE: &str = "0.0.0.0";

/// The address that a request comes from, as far as those tell that are trusted: this machine, and `trusted_proxies`.
///
/// Each proxy adds the address that it has seen at the end of `X-Forwarded-For`, so the last one that is no proxy is the
/// client's, whatever it has written before that itself. Without the header the peer is the client.
pub fn of(peer: SocketAddr, headers: &HeaderMap, trusted_proxies: &[IpAddr]) -> String {
    let is_proxy = |address: IpAddr| {
        let address = address.to_canonical();
        address.is_loopback() || trusted_proxies.iter().any(|trusted| trusted.to_canonical() == address)
    };
    if !is_proxy(peer.ip()) {
        return peer.ip().to_string();
    }
    let values = headers.get_all(FORWARDED_FOR).iter().rev();
    let hops = values.flat_map(|value| value.to_str().unwrap_or(UNREADABLE).rsplit(','));
    for hop in hops {
        match address_of(hop.trim()) {
            Some(address) if is_proxy(address) => {}
            Some(address) => return address.to_string(),
            None => return UNREADABLE.to_owned(),
        }
    }
    peer.ip().to_string()
}

/// Some proxies write the port as well.
fn address_of(hop: &str) -> Option<IpAddr> {
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    hop.parse().ok().or_else(with_port).or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f19_a_client_cannot_choose_its_source() {
        let trusted = ["198.51.100.7".parse().unwrap()];
        for (peer, forwarded, expected) in [
            ("127.0.0.1:1", &[][..], "127.0.0.1"),
            ("192.0.2.1:1", &[], "192.0.2.1"),
            // Nobody else's word counts.
            ("192.0.2.1:1", &["203.0.113.9"], "192.0.2.1"),
            ("127.0.0.1:1", &["203.0.113.9"], "203.0.113.9"),
            ("127.0.0.1:1", &["10.0.0.1, 203.0.113.9"], "203.0.113.9"),
            ("127.0.0.1:1", &["10.0.0.1", "203.0.113.9"], "203.0.113.9"),
            ("127.0.0.1:1", &["127.0.0.1, 203.0.113.9"], "203.0.113.9"),
            ("127.0.0.1:1", &["203.0.113.9, 198.51.100.7, 127.0.0.1"], "203.0.113.9"),
            ("127.0.0.1:1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("127.0.0.1:1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("127.0.0.1:1", &["[2001:db8::1]"], "2001:db8::1"),
            ("127.0.0.1:1", &["203.0.113.9, unknown"], UNREADABLE),
            ("127.0.0.1:1", &[""], UNREADABLE),
            ("198.51.100.7:1", &["203.0.113.9"], "203.0.113.9"),
            ("127.0.0.1:1", &["127.0.0.1"], "127.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(FORWARDED_FOR, value.parse().unwrap());
            }
            assert_eq!(of(peer.parse().unwrap(), &headers, &trusted), expected, "{peer} {forwarded:?}");
        }
    }
}
