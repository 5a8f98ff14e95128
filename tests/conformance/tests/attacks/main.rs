//! Attacks on what callbacks are made of, on every provider that has the place for them.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test, its helpers too")]

mod canonical;
mod documents;
mod sealed;
mod signatures;
mod tokens;

use paybell_conformance::Case;
use paybell_shared::sandbox::vector::Verdict;
use serde_json::Value;

/// What the provider tells, as JSON: the sandbox signs it in the provider's own form.
fn told(case: &Case) -> Value {
    serde_json::from_str(&case.content(case.main())).unwrap()
}

fn is_accepted(verdict: &Verdict) -> bool {
    !matches!(verdict, Verdict::Rejected(_))
}
