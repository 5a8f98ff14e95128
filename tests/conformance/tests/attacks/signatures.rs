//! Signatures that are too short, too long, or only begin well.

use paybell_conformance::{Findings, cases, word};
use paybell_shared::sandbox::request::signature_spans;

use super::is_accepted;

/// Beginnings of a signature are tried, the empty one and the scheme's label alone among them: a comparison of what is
/// there with the beginning of what is expected would accept them.
#[test]
fn f5_no_part_of_a_signature_is_enough() {
    let mut findings = Findings::default();
    let mut tried = 0;
    for case in cases().iter().filter(|case| case.provider.signs()) {
        let genuine = case.request(case.main());
        let spans = signature_spans(&genuine);
        if spans.is_empty() {
            findings.note(format!("{}: no signature is found in a callback that has one", case.name()));
        }
        for span in spans {
            let mut length = None;
            drop(span.replaced(&genuine, |written| {
                length = Some(written.len());
                written.to_vec()
            }));
            let longest = length.unwrap();
            // All short ones, those around the end, and some between: RSA takes its time.
            let tried_lengths = (0..longest).filter(|end| *end < 8 || end % 5 == 0 || longest - end <= 4);
            let beginnings = tried_lengths.map(|end| span.replaced(&genuine, |it| it[..end].to_vec()));
            let labels = ["v1,", "v1=", "sha256=", "=", "=="].map(str::as_bytes);
            let labels = labels.into_iter().map(|label| span.replaced(&genuine, |_| label.to_vec()));
            let longer = [&b"0"[..], b"A", b"=", b"=="]
                .into_iter()
                .map(|more| span.replaced(&genuine, |it| [it, more].concat()));
            for changed in beginnings.chain(labels).chain(longer) {
                tried += 1;
                let verdict = case.judge(&changed);
                if changed != genuine && is_accepted(&verdict) {
                    findings.note(format!("{}: {}", case.name(), word(&verdict)));
                }
            }
        }
    }
    println!("{tried} signatures were tried");
    findings.assert_none();
}
