//! A rule for the checks that give out a proof: what they compare, they compare in constant time.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

use super::Finding;
use super::tree::Tree;

/// Where proofs come from: nobody else can make one, because its field is private to these sources.
const PLACES: &[&str] = &["shared/src/callback/signature.rs", "shared/src/callback/signature/"];
/// What compares byte by byte, and stops at the first that differs.
const HASTY: &[&str] =
    &["cmp", "contains", "ends_with", "eq", "find", "ne", "partial_cmp", "position", "starts_with"];

/// Finds, in every function that makes a proof, a comparison that is neither `subtle`'s nor aws-lc-rs's.
pub fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, text) in tree.texts_of(&["rs"]) {
        if !PLACES.iter().any(|place| path.starts_with(place)) {
            continue;
        }
        let Ok(tokens) = text.parse() else { continue };
        let mut hasty = Vec::new();
        check_functions(tokens, &mut hasty);
        findings.extend(hasty.into_iter().map(|(line, name)| {
            let message = format!("`{name}` in a function that gives out a proof: compare in constant time");
            Finding::new(path, line, message)
        }));
    }
}

fn check_functions(tokens: TokenStream, hasty: &mut Vec<(usize, String)>) {
    let mut is_function = false;
    for tree in tokens {
        match tree {
            TokenTree::Ident(ident) if ident == "fn" => is_function = true,
            TokenTree::Punct(punct) if punct.as_char() == ';' => is_function = false,
            TokenTree::Group(group) if is_function && group.delimiter() == Delimiter::Brace => {
                is_function = false;
                if makes_proof(group.stream()) {
                    collect_hasty(group.stream(), hasty);
                }
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                check_functions(group.stream(), hasty);
            }
            _ => {}
        }
    }
}

/// Whether `Proof(` stands in it, at any depth.
fn makes_proof(tokens: TokenStream) -> bool {
    let mut after_proof = false;
    for tree in tokens {
        match &tree {
            TokenTree::Group(group) if after_proof || makes_proof(group.stream()) => return true,
            TokenTree::Ident(ident) => after_proof = ident == "Proof",
            _ => after_proof = false,
        }
    }
    false
}

fn collect_hasty(tokens: TokenStream, hasty: &mut Vec<(usize, String)>) {
    let mut before = None;
    for tree in tokens {
        match &tree {
            TokenTree::Group(group) => collect_hasty(group.stream(), hasty),
            TokenTree::Ident(ident) if HASTY.iter().any(|name| ident == name) => {
                hasty.push((ident.span().start().line, ident.to_string()));
            }
            TokenTree::Punct(punct) if punct.as_char() == '=' && matches!(before, Some('=' | '!')) => {
                hasty.push((punct.span().start().line, format!("{}=", before.unwrap_or('='))));
            }
            _ => {}
        }
        before = match tree {
            TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint => Some(punct.as_char()),
            _ => None,
        };
    }
}
