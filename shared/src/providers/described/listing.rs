//! What a description says about itself in listings.

use crate::domain::EventKind;

use super::grammar::{Algorithm, Check, Grammar};
use super::place::{Place, Root};
use super::template::Segment;

/// How it signs, such as `HMAC-SHA256 over {t}.{body}, header:Stripe-Signature`.
pub(super) fn scheme(grammar: &Grammar) -> String {
    let mut texts: Vec<String> = Vec::new();
    for text in grammar.checks.iter().map(scheme_of) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    if grammar.inquiry.as_ref().is_some_and(|rule| !rule.unsigned.is_empty()) {
        texts.push("unsigned, and then asked".to_owned());
    }
    texts.join("; or ")
}

fn scheme_of(check: &Check) -> String {
    let algorithm = match check.algorithm {
        Algorithm::HmacSha1 => "HMAC-SHA1",
        Algorithm::HmacSha256 => "HMAC-SHA256",
        Algorithm::HmacSha512 => "HMAC-SHA512",
        Algorithm::Md5 => "MD5",
        Algorithm::Sha256 => "SHA-256",
        Algorithm::Sha512 => "SHA-512",
        Algorithm::Keccak256 => "Keccak-256",
        Algorithm::RsaMd5 => "RSA-MD5",
        Algorithm::RsaSha1 => "RSA-SHA1",
        Algorithm::RsaSha256 => "RSA-SHA256",
        Algorithm::EcdsaP256Der | Algorithm::EcdsaP256Raw => "ECDSA-P256-SHA256",
        Algorithm::Ed25519 => "Ed25519",
        Algorithm::Token => "shared token",
    };
    let over = check.signed.iter().map(|signed| format!(" over {}", text(&signed.0))).collect::<String>();
    let each =
        check.each_item.iter().map(|pointer| format!(" of each member of {pointer}")).collect::<String>();
    format!("{algorithm}{over}{each}, {}", check.signature.at)
}

fn text(segments: &[Segment]) -> String {
    let texts = segments.iter().map(|segment| match segment {
        Segment::Literal(text) => text.replace('\n', "\\n"),
        Segment::At(place) | Segment::AtIfAny(place) => format!("{{{}}}", short(place)),
        Segment::Group(group) => format!("[{}]", text(group)),
    });
    texts.collect()
}

/// The place for people: its own name, without the way to it.
fn short(place: &Place) -> String {
    let text = place.to_string();
    let name = text.split_once(':').map_or(text.as_str(), |(_, name)| name);
    match place.root {
        Root::Json(_) | Root::Item(_) | Root::Xml(_) if place.steps.is_empty() => {
            name.rsplit('/').next().unwrap_or(name).to_owned()
        }
        _ => name.to_owned(),
    }
}

/// Every kind of event that its types may mean, and those of its answers where it is asked.
pub(super) fn kinds(grammar: &Grammar) -> &'static [EventKind] {
    let answers = grammar.inquiry.iter().flat_map(|rule| &rule.events);
    let rules = grammar.events.iter().chain(answers).flat_map(|events| events.types.values());
    let names = rules.flat_map(|rule| rule.kind.iter().chain(rule.kinds.values()));
    let mut kinds: Vec<EventKind> = names.filter_map(|name| EventKind::from_name(name)).collect();
    kinds.sort();
    kinds.dedup();
    kinds.leak()
}
