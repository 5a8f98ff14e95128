//! Addresses of keys and certificates that callbacks name: read strictly, so that no reader sees another host.

/// Most bytes of an address.
pub const ADDRESS_BYTES_MAX: usize = 2048;

/// Host and path of an address that is `https://`, a host's name and a plain path, and nothing else: no user, port,
/// IP address, query, fragment, escape or way upwards. Whose host and path it is remains to be checked.
pub fn https_file(address: &str) -> Option<(&str, &str)> {
    let rest = address.strip_prefix("https://").filter(|rest| rest.len() <= ADDRESS_BYTES_MAX)?;
    let (host, path) = rest.split_at(rest.find('/')?);
    let plain = path[1..].split('/').all(|segment| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    });
    (plain && is_host_name(host)).then_some((host, path))
}

/// Whether `host` is a full name in lower case: labels of letters, digits and hyphens, the last one with letters
/// only at its beginning, so that no number passes that some reader takes for an IP address.
pub fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let top = host.rsplit('.').next().unwrap_or_default();
    host.len() <= 253
        && host.contains('.')
        && host.split('.').all(is_label)
        && top.starts_with(|first: char| first.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_reading() {
        for (address, read) in [
            ("https://api.paypal.com/v1/certs/CERT-1", Some(("api.paypal.com", "/v1/certs/CERT-1"))),
            ("https://a.b/c.pem", Some(("a.b", "/c.pem"))),
            ("http://a.b/c", None),
            ("HTTPS://a.b/c", None),
            ("https:/a.b/c", None),
            ("https:///a.b/c", None),
            ("https://a.b", None),
            ("https://a.b/", None),
            ("https://a.b:443/c", None),
            ("https://user@a.b/c", None),
            ("https://a.b\\@evil.example/c", None),
            ("https://a.b#@evil.example/c", None),
            ("https://a.b?/c", None),
            ("https://A.b/c", None),
            ("https://а.b/c", None),
            ("https://a.b./c", None),
            ("https://.a.b/c", None),
            ("https://localhost/c", None),
            ("https://127.0.0.1/c", None),
            ("https://0x7f.1/c", None),
            ("https://2130706433/c", None),
            ("https://[::1]/c", None),
            ("https://169.254.169.254/latest", None),
            ("https://a.b/c?d", None),
            ("https://a.b/c#d", None),
            ("https://a.b/../c", None),
            ("https://a.b/c/./d", None),
            ("https://a.b//c", None),
            ("https://a.b/%2e%2e/c", None),
            ("https://a.b/c d", None),
            ("https://a.b/c\n", None),
            (" https://a.b/c", None),
            ("", None),
        ] {
            assert_eq!(https_file(address), read, "{address}");
        }
        assert_eq!(https_file(&format!("https://a.b/{}", "c".repeat(ADDRESS_BYTES_MAX))), None);
    }
}
