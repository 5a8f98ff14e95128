//! What must never be in a log.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use paybell_cli::demo::DemoAccount;
use paybell_shared::sandbox::{SandboxKeys, SignedRequest};
use serde_json::Value;

/// Shorter texts are ids and words that a log may well hold.
const SECRET_BYTES_MIN: usize = 16;
/// Length of the pieces of a body that are looked for.
const PIECE_BYTES: usize = 32;

/// Fails when `log` holds a secret of the account, or a signature or a part of a body of what was sent.
pub fn assert_clean(log: &str, demo: &DemoAccount, sent: &[SignedRequest]) {
    let mut forbidden = secrets(demo);
    for request in sent {
        forbidden.extend(long_header_values(request));
        forbidden.extend(pieces(&String::from_utf8_lossy(&request.body)));
    }
    forbidden.sort();
    forbidden.dedup();
    assert!(!forbidden.is_empty(), "nothing to look for: the test proves nothing");
    // One pass for all of them: they are tens of thousands, and the log has megabytes.
    let finder = AhoCorasick::new(&forbidden).expect("as many texts as this can be looked for");
    let leaked: BTreeSet<&str> =
        finder.find_iter(log).map(|found| forbidden[found.pattern().as_usize()].as_str()).collect();
    let lines = log.lines().filter(|line| leaked.iter().any(|text| line.contains(text)));
    let lines: Vec<&str> = lines.take(10).collect();
    assert!(leaked.is_empty(), "the log holds what it must not: {leaked:#?}\nin:\n{}", lines.join("\n"));
}

/// Every text of the account's keys, line by line because logs escape line ends, and the API key.
fn secrets(demo: &DemoAccount) -> Vec<String> {
    let of_providers = demo.providers.values().flat_map(texts_of);
    std::iter::once(demo.api_key.clone()).chain(of_providers).collect()
}

/// Every text of sandbox keys that is long enough to be a secret, line by line.
pub fn texts_of(keys: &SandboxKeys) -> Vec<String> {
    let mut texts = Vec::new();
    keys.key_set.values().chain(keys.private.values()).for_each(|value| leaves(value, &mut texts));
    texts
        .iter()
        .flat_map(|text| text.lines())
        .map(str::trim)
        .filter(|line| line.len() >= SECRET_BYTES_MIN && !line.starts_with("-----"))
        .map(str::to_owned)
        .collect()
}

fn leaves(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(members) => members.iter().for_each(|member| leaves(member, texts)),
        Value::Object(members) => members.values().for_each(|member| leaves(member, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn long_header_values(request: &SignedRequest) -> Vec<String> {
    let values = request.headers.iter().map(|(_, value)| value.clone());
    values.filter(|value| value.len() >= PIECE_BYTES).collect()
}

fn pieces(body: &str) -> Vec<String> {
    let characters: Vec<char> = body.chars().collect();
    let pieces = characters.chunks(PIECE_BYTES).map(|piece| piece.iter().collect::<String>());
    pieces.filter(|piece| piece.len() >= SECRET_BYTES_MIN).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::panic::catch_unwind;

    use paybell_shared::sandbox::SandboxKeys;
    use serde_json::json;

    use super::*;

    #[test]
    fn s10_finds_keys_signatures_and_bodies() {
        let map = |value: Value| value.as_object().expect("an object").clone();
        let keys = SandboxKeys {
            key_set: map(json!({ "keys": { "k1": "secret-of-the-key-set" } })),
            private: map(json!({ "pem": "-----BEGIN X-----\nfirst-line-of-a-private-key\n-----END X-----" })),
        };
        let demo = DemoAccount {
            account: "demo".to_owned(),
            api_key: "api-key-in-the-clear".to_owned(),
            user: "demo-user".to_owned(),
            providers: BTreeMap::from([("acme".to_owned(), keys)]),
        };
        let sent = [SignedRequest {
            method: "POST",
            query: String::new(),
            headers: vec![("x-signature".to_owned(), "s".repeat(64))],
            body: b"a body that is certainly longer than one of the pieces".to_vec(),
        }];
        let is_clean = |log: &str| catch_unwind(|| assert_clean(log, &demo, &sent)).is_ok();
        assert!(is_clean("INFO callback acknowledged account=demo provider=acme order=o-1"));
        for leak in ["secret-of-the-key-set", "first-line-of-a-private-key", "api-key-in-the-clear"] {
            assert!(!is_clean(&format!("DEBUG {leak}")), "{leak}");
        }
        assert!(!is_clean(&format!("DEBUG header={}", "s".repeat(64))));
        assert!(!is_clean("DEBUG body=a body that is certainly longer than one"));
    }
}
