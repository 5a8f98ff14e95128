//! Attacks on what callbacks are made of, on every provider that has the place for them.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test, its helpers too")]

mod canonical;
mod documents;
mod sealed;
mod signatures;
mod tokens;

use paybell_conformance::{Case, NOW};
use paybell_shared::sandbox::vector::Verdict;
use paybell_shared::sandbox::{Payload, SignedRequest, render};
use serde_json::Value;

/// What the provider tells, as JSON: the sandbox signs it in the provider's own form.
fn told(case: &Case) -> Value {
    let content = render(case.template(case.main()), &case.facts(case.main(), NOW), &case.keys).unwrap();
    serde_json::from_str(&content).unwrap()
}

/// A content as the provider would sign it.
fn signed(case: &Case, content: String) -> SignedRequest {
    let facts = case.facts(case.main(), NOW);
    let payload = Payload { content, event_id: facts.event_id, sent_at: NOW, path: facts.path };
    case.provider.sandbox.sign(&case.keys, &payload).unwrap()
}

fn is_accepted(verdict: &Verdict) -> bool {
    !matches!(verdict, Verdict::Rejected(_))
}
