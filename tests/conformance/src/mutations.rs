//! What may happen to a genuine callback on its way, by accident or by intent.

use paybell_shared::providers::{Covers, Provider};
use paybell_shared::sandbox::SignedRequest;
use paybell_shared::sandbox::request::{Place, Span, is_signature_name, signature_spans};
use serde_json::Value;

/// One kind of change; it may be made in several places.
pub struct Mutation {
    /// Its name.
    pub name: &'static str,
    /// What it is made to.
    pub touches: Touches,
    /// What must come of it where the signature covers everything.
    must: Must,
    /// Makes the changed requests; none when the protocol has no place for it.
    pub apply: fn(&SignedRequest) -> Vec<SignedRequest>,
}

impl Mutation {
    /// What must come of it for this provider; nothing where the change is of what it does not cover, because then
    /// it is asked before anything counts.
    pub fn must_for(&self, provider: &Provider) -> Option<Must> {
        match (self.touches, provider.covers) {
            (Touches::Signature, _) => provider.signs().then_some(self.must),
            (Touches::Body, Covers::Body) | (Touches::Other, _) => Some(self.must),
            (Touches::Body, Covers::Fields) => Some(Must::NotChangeMeaning),
            (Touches::Body, Covers::Nothing) => None,
        }
    }
}

/// What a change is made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touches {
    /// What proves the callback.
    Signature,
    /// What it says.
    Body,
    /// What surrounds it.
    Other,
}

/// What must come of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Must {
    /// It is rejected.
    Reject,
    /// It is rejected, or it is not part of what is said: the events stay the same.
    NotChangeMeaning,
}

/// All kinds of change.
pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "signature left out",
        touches: Touches::Signature,
        must: Must::Reject,
        apply: signature_left_out,
    },
    Mutation {
        name: "signature emptied",
        touches: Touches::Signature,
        must: Must::Reject,
        apply: |it| signatures(it, |_| Vec::new()),
    },
    Mutation {
        name: "signature of one byte",
        touches: Touches::Signature,
        must: Must::Reject,
        apply: |it| signatures(it, |old| old[..1].to_vec()),
    },
    Mutation {
        name: "first half of the signature",
        touches: Touches::Signature,
        must: Must::Reject,
        apply: |it| signatures(it, |old| old[..old.len() / 2].to_vec()),
    },
    Mutation {
        name: "signature without its last byte",
        touches: Touches::Signature,
        must: Must::Reject,
        apply: |it| signatures(it, |old| old[..old.len() - 1].to_vec()),
    },
    Mutation {
        name: "signature of zeros",
        touches: Touches::Signature,
        must: Must::Reject,
        apply: |it| signatures(it, zeros),
    },
    Mutation {
        name: "signature twice",
        touches: Touches::Signature,
        must: Must::Reject,
        apply: signature_twice,
    },
    Mutation {
        name: "a header left out",
        touches: Touches::Other,
        must: Must::NotChangeMeaning,
        apply: header_left_out,
    },
    Mutation {
        name: "a header twice",
        touches: Touches::Other,
        must: Must::NotChangeMeaning,
        apply: header_twice,
    },
    Mutation {
        name: "a header emptied",
        touches: Touches::Other,
        must: Must::NotChangeMeaning,
        apply: header_emptied,
    },
    Mutation {
        name: "a form parameter twice",
        touches: Touches::Body,
        must: Must::Reject,
        apply: parameter_twice,
    },
    Mutation { name: "body cut", touches: Touches::Body, must: Must::Reject, apply: body_cut },
    Mutation { name: "body extended", touches: Touches::Body, must: Must::Reject, apply: body_extended },
    Mutation { name: "another body", touches: Touches::Body, must: Must::Reject, apply: another_body },
    Mutation {
        name: "another content type",
        touches: Touches::Other,
        must: Must::NotChangeMeaning,
        apply: another_content_type,
    },
    Mutation {
        name: "another method",
        touches: Touches::Other,
        must: Must::NotChangeMeaning,
        apply: another_method,
    },
    Mutation {
        name: "unsigned, said to come from localhost",
        touches: Touches::Signature,
        must: Must::Reject,
        apply: unsigned_from_localhost,
    },
];

/// All bytes of a request that a flip may change, header names aside; the content type belongs to no protocol.
pub fn places(request: &SignedRequest) -> Vec<Place> {
    let headers = request.headers.iter().enumerate();
    let headers = headers.filter(|(_, (name, _))| !name.eq_ignore_ascii_case("content-type"));
    let in_headers =
        headers.flat_map(|(index, (_, value))| (0..value.len()).map(move |at| Place::Header(index, at)));
    let in_query = (0..request.query.len()).map(Place::Query);
    let in_body = (0..request.body.len()).map(Place::Body);
    in_headers.chain(in_query).chain(in_body).collect()
}

/// The bytes of the signature itself.
pub fn signature_places(request: &SignedRequest) -> Vec<Place> {
    signature_spans(request).iter().flat_map(Span::bytes).collect()
}

fn signatures(request: &SignedRequest, with: fn(&[u8]) -> Vec<u8>) -> Vec<SignedRequest> {
    signature_spans(request).iter().map(|span| span.replaced(request, with)).collect()
}

fn zeros(old: &[u8]) -> Vec<u8> {
    old.iter().map(|byte| if byte.is_ascii_alphanumeric() { b'0' } else { *byte }).collect()
}

/// The request without its signature; none when there is no place for one.
pub fn signature_left_out(request: &SignedRequest) -> Vec<SignedRequest> {
    let spans = signature_spans(request);
    let mut changed = request.clone();
    let is_signature = |index: usize| spans.iter().any(|span| span.header() == Some(index));
    changed.headers = (0..request.headers.len())
        .filter(|index| !is_signature(*index))
        .map(|index| request.headers[index].clone())
        .collect();
    if is_form(request) {
        let pairs: Vec<&[u8]> = request.body.split(|byte| *byte == b'&').collect();
        let name = |pair: &[u8]| pair.split(|byte| *byte == b'=').next().unwrap_or_default().to_vec();
        let kept: Vec<&[u8]> = pairs.into_iter().filter(|pair| !is_signature_name(&name(pair))).collect();
        changed.body = kept.join(&b'&');
    } else if let Ok(mut document) = serde_json::from_slice(&request.body)
        && remove_signature_members(&mut document)
    {
        changed.body = document.to_string().into_bytes();
    } else if request.body.starts_with(b"<") {
        let emptied = spans.iter().find(|span| span.header().is_none());
        changed.body = emptied.map_or(changed.body, |span| span.replaced(request, |_| Vec::new()).body);
    }
    vec![changed]
}

/// Whether there was one.
fn remove_signature_members(value: &mut Value) -> bool {
    match value {
        Value::Object(members) => {
            let count = members.len();
            members.retain(|name, _| !is_signature_name(name.as_bytes()));
            let removed = members.len() < count;
            members.values_mut().fold(removed, |removed, member| remove_signature_members(member) || removed)
        }
        Value::Array(members) => {
            let removed =
                members.iter_mut().filter_map(|member| remove_signature_members(member).then_some(()));
            removed.count() > 0
        }
        _ => false,
    }
}

fn signature_twice(request: &SignedRequest) -> Vec<SignedRequest> {
    let headers = signature_spans(request).into_iter().filter_map(|span| span.header());
    headers.map(|index| with_header(request, request.headers[index].clone())).collect()
}

fn header_left_out(request: &SignedRequest) -> Vec<SignedRequest> {
    let without = |index: usize| {
        let mut changed = request.clone();
        changed.headers.remove(index);
        changed
    };
    (0..request.headers.len()).map(without).collect()
}

fn header_twice(request: &SignedRequest) -> Vec<SignedRequest> {
    let other =
        |(name, _): &(String, String)| with_header(request, (name.to_uppercase(), "other".to_owned()));
    request.headers.iter().map(other).collect()
}

fn header_emptied(request: &SignedRequest) -> Vec<SignedRequest> {
    let emptied = |index: usize| {
        let mut changed = request.clone();
        changed.headers[index].1.clear();
        changed
    };
    (0..request.headers.len()).map(emptied).collect()
}

fn parameter_twice(request: &SignedRequest) -> Vec<SignedRequest> {
    if !is_form(request) {
        return Vec::new();
    }
    let pairs = request.body.split(|byte| *byte == b'&');
    pairs.map(|pair| with_body(request, [&request.body, &b"&"[..], pair].concat())).collect()
}

fn body_cut(request: &SignedRequest) -> Vec<SignedRequest> {
    let length = request.body.len();
    [0, 1.min(length), length / 2, length.saturating_sub(1)]
        .map(|kept| with_body(request, request.body[..kept].to_vec()))
        .into()
}

fn body_extended(request: &SignedRequest) -> Vec<SignedRequest> {
    [&b" "[..], b"\n", b"\0", b"&x=1", b"}"]
        .map(|more| with_body(request, [&request.body, more].concat()))
        .into()
}

fn another_body(request: &SignedRequest) -> Vec<SignedRequest> {
    let bodies: [&[u8]; 5] =
        [b"{}", b"[]", b"a=1", b"\xff\xfe\x00", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"];
    bodies.map(|body| with_body(request, body.to_vec())).into()
}

fn another_content_type(request: &SignedRequest) -> Vec<SignedRequest> {
    let with_type = |content_type: &str| {
        let mut changed = request.clone();
        changed.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        with_header(&changed, ("Content-Type".to_owned(), content_type.to_owned()))
    };
    ["text/plain", "application/xml", "application/x-www-form-urlencoded; charset=gbk", "multipart/form-data"]
        .map(with_type)
        .into()
}

fn another_method(request: &SignedRequest) -> Vec<SignedRequest> {
    ["GET", "PUT", "HEAD"].map(|method| SignedRequest { method, ..request.clone() }).into()
}

fn unsigned_from_localhost(request: &SignedRequest) -> Vec<SignedRequest> {
    let claims =
        [("Host", "localhost"), ("X-Forwarded-For", "127.0.0.1"), ("X-Debug", "true"), ("X-Test-Mode", "1")];
    let mut unsigned = signature_left_out(request);
    for changed in &mut unsigned {
        changed.headers.extend(claims.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    unsigned
}

/// Whether the body is a form.
pub fn is_form(request: &SignedRequest) -> bool {
    request.headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("content-type") && value.starts_with("application/x-www-form-urlencoded")
    })
}

fn with_header(request: &SignedRequest, header: (String, String)) -> SignedRequest {
    let mut changed = request.clone();
    changed.headers.push(header);
    changed
}

fn with_body(request: &SignedRequest, body: Vec<u8>) -> SignedRequest {
    SignedRequest { body, ..request.clone() }
}
