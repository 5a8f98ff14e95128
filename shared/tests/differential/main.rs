//! Our readings and checks against second implementations: whatever we accept, they read the same; whatever they refuse,
//! we refuse, or it is listed why not.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]

mod edwards;
mod elliptic;
mod forms;
mod json;
mod rsa;
mod xml;

use proptest::prelude::*;

/// A document of pieces that a grammar is made of, with bytes in between that are none of it.
fn pieces(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec());
    let piece = prop_oneof![
        12 => word,
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        1 => any::<char>().prop_map(|character| character.to_string().into_bytes()),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A document with some bytes changed.
fn damaged(document: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..3);
    (document, changes).prop_map(|(document, changes)| {
        let mut bytes = document.into_bytes();
        for (at, byte, removes) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match removes {
                true => drop(bytes.remove(at)),
                false => bytes[at] = byte,
            }
        }
        bytes
    })
}
