//! Our forms against the crate of the URL standard's own implementation.

use paybell_shared::callback::Rejection;
use paybell_shared::callback::form::{Form, PARAMETERS_MAX};
use proptest::prelude::*;

use super::pieces;

const WORDS: &[&str] = &[
    "a", "b", "sign", "=", "&", "+", "%26", "%3D", "%3d", "%61", "%", "%4", "%zz", "%C3%A9", "%C4%E3", "%00",
    "\u{e9}", "1.00", ";", "?", "#", " ",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn f13_f14_a_form_is_read_as_the_standard_reads_it(body in pieces(WORDS)) {
        let theirs: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
        match Form::parse(&body) {
            Ok(ours) => {
                let ours: Vec<(String, String)> = ours
                    .iter()
                    .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned()))
                    .collect();
                prop_assert_eq!(ours, theirs);
            }
            // The standard reads repeated names, and writes another character for what is no text. We do neither.
            Err(Rejection::Duplicate { name }) => {
                prop_assert!(theirs.iter().filter(|(theirs, _)| *theirs == name).count() > 1);
            }
            Err(_) => {
                let is_odd = theirs.iter().any(|(name, _)| name.contains('\u{fffd}'));
                prop_assert!(is_odd || theirs.len() > PARAMETERS_MAX);
            }
        }
    }
}
