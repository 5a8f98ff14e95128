//! What a description says about itself in listings.

use crate::domain::EventKind;

use super::grammar::{Algorithm, Check, Grammar};
use super::place::{Segment, Template};

/// How it signs, such as `HMAC-SHA256 over {entry:t}.{body}, header:Stripe-Signature`.
pub(super) fn scheme(grammar: &Grammar) -> String {
    let texts: Vec<String> = grammar.checks.iter().map(scheme_of).collect();
    texts.join("; or ")
}

fn scheme_of(check: &Check) -> String {
    let algorithm = match check.algorithm {
        Algorithm::HmacSha1 => "HMAC-SHA1",
        Algorithm::HmacSha256 => "HMAC-SHA256",
        Algorithm::HmacSha512 => "HMAC-SHA512",
        Algorithm::RsaSha1 => "RSA-SHA1",
        Algorithm::RsaSha256 => "RSA-SHA256",
        Algorithm::EcdsaP256Der | Algorithm::EcdsaP256Raw => "ECDSA-P256-SHA256",
        Algorithm::Ed25519 => "Ed25519",
        Algorithm::Token => "shared token",
    };
    let at = &check.signature.at;
    match &check.signed {
        Some(signed) => format!("{algorithm} over {}, {at}", text(signed)),
        None => format!("{algorithm}, {at}"),
    }
}

fn text(template: &Template) -> String {
    let segments = template.0.iter().map(|segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::At(place) => format!("{{{place}}}"),
    });
    segments.collect()
}

/// Every kind of event that its types may mean.
pub(super) fn kinds(grammar: &Grammar) -> &'static [EventKind] {
    let rules = grammar.events.iter().flat_map(|events| events.types.values());
    let names = rules.flat_map(|rule| rule.kind.iter().chain(rule.kinds.values()));
    let mut kinds: Vec<EventKind> = names.filter_map(|name| EventKind::from_name(name)).collect();
    kinds.sort();
    kinds.dedup();
    kinds.leak()
}
