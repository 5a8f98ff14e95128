//! What a description says to a provider.

use crate::callback::{KeySet, RawCallback, Rejection, Verified};
use crate::providers::Reply;

use super::grammar::HandshakeRule;
use super::request::{Request, Scope};
use super::template::Template;

/// Most bytes of an answer that repeats what a request says.
const ECHO_BYTES_MAX: usize = 512;

/// The body of the answer to a durable callback; nothing when the callback lacks a part of it.
pub(super) fn success_body(template: &Template, verified: &Verified) -> Option<String> {
    let request = Request::new(verified.raw(), verified.content());
    template.text(&Scope::of(&request)).ok().flatten()
}

/// The answer to a check of the address. Anybody may ask for one, so it says nothing but short plain text.
pub(super) fn handshake(
    rule: &HandshakeRule,
    raw: &RawCallback,
    keys: &KeySet,
) -> Result<Option<Reply>, Rejection> {
    let request = Request::new(raw, raw.body());
    let scope = Scope { keys: Some(keys), ..Scope::of(&request) };
    if raw.method != rule.method || scope.bytes(&rule.when)?.is_none() {
        return Ok(None);
    }
    let body = rule.body.text(&scope)?.ok_or_else(|| rule.when.missing())?;
    let plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic() && !b"<>&\"'".contains(&byte);
    if body.len() > ECHO_BYTES_MAX || !body.bytes().all(plain) {
        return Err(Rejection::malformed("handshake"));
    }
    Ok(Some(Reply { status: 200, content_type: rule.content_type.clone(), body }))
}
