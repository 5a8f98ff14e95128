//! Forged callbacks as strangers send them, beside genuine ones.

use paybell_cli::simulate::Scenario;
use paybell_conformance::mutations::{places, signature_left_out};
use paybell_shared::callback::BODY_BYTES_MAX;
use paybell_shared::providers::Provider;
use paybell_shared::sandbox::SignedRequest;
use paybell_shared::sandbox::request::{http_text, with_flipped_byte};

use crate::world::World;

/// Where a genuine provider sends from: an address of the network for documentation.
pub const PROVIDER_ADDRESS: &str = "192.0.2.10";

/// The statuses with which forgeries are answered.
pub const REFUSALS: &[u16] = &[400, 401, 404, 413, 429];

/// Providers whose forgeries cost the most and the least: RSA, HMAC, a chain of certificates, sorted parameters.
const FORGED_PROVIDERS: &[&str] = &["wechatpay_v3", "stripe", "paypal", "alipay"];

/// Forged callbacks as texts of HTTP/1.1 without a source, one of each kind for each of a few providers: a changed body
/// under a genuine signature, no signature, an account that does not exist, and a provider that does not.
pub fn forgeries(world: &World) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    for name in FORGED_PROVIDERS {
        let provider = world.provider(name);
        let genuine = world.requests(provider, Scenario::Paid, &world.facts(provider, "forged1")).remove(0);
        let account = &world.demo.account;
        texts.extend(changed(&genuine).map(|forged| text(world, account, name, &forged)));
        texts.extend(signature_left_out(&genuine).first().map(|forged| text(world, account, name, forged)));
        texts.push(text(world, "nobody", name, &genuine));
        texts.push(text(world, account, "nobodypay", &genuine));
    }
    texts
}

/// A callback that is larger than what is taken.
pub fn oversize(world: &World) -> Vec<u8> {
    let provider = world.provider("stripe");
    let genuine = world.requests(provider, Scenario::Paid, &world.facts(provider, "forged1")).remove(0);
    let body = vec![b' '; BODY_BYTES_MAX + 1];
    text(world, &world.demo.account, provider.name, &SignedRequest { body, ..genuine })
}

/// A genuine callback as a text of HTTP/1.1, from the provider's address.
pub fn genuine(world: &World, provider: &'static Provider, request: &SignedRequest) -> Vec<u8> {
    from_source(&text(world, &world.demo.account, provider.name, request), PROVIDER_ADDRESS)
}

/// The request as a reverse proxy on this machine passes it on.
pub fn from_source(text: &[u8], address: &str) -> Vec<u8> {
    let line_end = text.windows(2).position(|pair| pair == b"\r\n").expect("a request has a first line") + 2;
    let header = format!("X-Forwarded-For: {address}\r\n");
    [&text[..line_end], header.as_bytes(), &text[line_end..]].concat()
}

/// The address of the stranger of this number: of the networks for benchmarks.
pub fn stranger(number: usize) -> String {
    format!("198.18.{}.{}", number / 250 % 250, number % 250 + 1)
}

/// One byte of the body, in its middle, is another.
fn changed(genuine: &SignedRequest) -> Option<SignedRequest> {
    let in_body: Vec<_> = places(genuine)
        .into_iter()
        .filter(|place| with_flipped_byte(genuine, *place, 1).body != genuine.body)
        .collect();
    Some(with_flipped_byte(genuine, *in_body.get(in_body.len() / 2)?, 1))
}

fn text(world: &World, account: &str, provider: &str, request: &SignedRequest) -> Vec<u8> {
    let host = format!("127.0.0.1:{}", world.server().port());
    http_text(account, provider, &host, request)
}
