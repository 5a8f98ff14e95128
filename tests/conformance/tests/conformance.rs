//! One suite over every provider of the registry: nothing but the genuine callback passes, and nothing is said twice.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test, its helpers too")]

use paybell_conformance::fixtures::{RECEIVED_LATER, vectors_text};
use paybell_conformance::mutations::{MUTATIONS, Must, Mutation, places, signature_places};
use paybell_conformance::{
    Case, Findings, NOW, cases, fixture_folder, has_all_cases, key_set, repository, word,
};
use paybell_shared::callback::{Credentials, KeyStatus, UnixSeconds};
use paybell_shared::providers::{Covers, Registry};
use paybell_shared::sandbox::request::with_flipped_byte;
use paybell_shared::sandbox::vector::{Verdict, check_vector, read_vectors};
use paybell_shared::sandbox::{Payload, SignedRequest, render};
use serde_json::Value;

const DAY_SECONDS: i64 = 86_400;
/// RSA signing takes milliseconds, so not every length of every payload is tried.
const TRUNCATIONS_MAX: usize = 20;

#[test]
fn genuine_callbacks_mean_their_events() {
    for case in cases() {
        for payload in case.payloads() {
            let events = serde_json::to_string_pretty(&case.events(payload)).unwrap();
            insta::assert_snapshot!(format!("{}-{payload}", case.name()), events);
        }
    }
}

#[test]
fn every_provider_has_a_place_for_its_signature() {
    for case in cases().iter().filter(|case| case.provider.signs()) {
        assert!(!signature_places(&case.request(case.main())).is_empty(), "{}", case.name());
    }
}

/// The most telling line of every provider × change, on one screen; the reason of the last place that was changed.
#[test]
fn f1_f4_f5_f13_changed_callbacks_are_rejected() {
    let mut findings = Findings::default();
    let mut table = Vec::new();
    for case in cases() {
        let paid = case.request(case.main());
        let genuine = case.effect(&paid);
        let mut rows = format!("{}\n", case.name());
        for (mutation, must) in mutations_of(case) {
            let changed: Vec<SignedRequest> =
                (mutation.apply)(&paid).into_iter().filter(|changed| *changed != paid).collect();
            let mut words: Vec<&str> = Vec::new();
            for request in &changed {
                let verdict = case.effect(request);
                if passes(&verdict, must, &genuine) {
                    findings.note(format!("{}: {}: {}", case.name(), mutation.name, word(&verdict)));
                }
                words.push(word(&verdict));
            }
            words.sort_unstable();
            words.dedup();
            rows.push_str(&format!("  {:<40} {}\n", mutation.name, words.join(" ")));
        }
        table.push(rows);
    }
    findings.assert_none();
    if has_all_cases() {
        insta::assert_snapshot!("changed-callbacks", table.concat());
    } else {
        assert_among("changed-callbacks", &table);
    }
}

/// Some providers' rows are as they stand in the snapshot of all.
#[track_caller]
fn assert_among(snapshot: &str, rows: &[String]) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots");
    let kept = std::fs::read_to_string(format!("{folder}/conformance__{snapshot}.snap")).unwrap();
    for rows in rows {
        assert!(kept.contains(rows.as_str()), "not as in {snapshot}:\n{rows}");
    }
}

fn mutations_of(case: &Case) -> impl Iterator<Item = (&'static Mutation, Must)> {
    MUTATIONS.iter().filter_map(|mutation| Some((mutation, mutation.must_for(case.provider)?)))
}

fn passes(verdict: &Verdict, must: Must, genuine: &Verdict) -> bool {
    match must {
        Must::Reject => !matches!(verdict, Verdict::Rejected(_)),
        Must::NotChangeMeaning => !matches!(verdict, Verdict::Rejected(_)) && verdict != genuine,
    }
}

/// One flipped bit must be noticed wherever the signature covers; flipping the case of a letter in an escape or a
/// hexadecimal signature may say the same in another way, which must then mean the same.
#[test]
fn single_flipped_bits_are_noticed() {
    let mut findings = Findings::default();
    for case in cases() {
        let request = case.request(case.main());
        let genuine = case.effect(&request);
        for place in signature_places(&request) {
            if passes(&case.judge(&with_flipped_byte(&request, place, 1)), Must::Reject, &genuine) {
                findings.note(format!("{}: a flipped bit in the signature passes", case.name()));
            }
        }
        for place in places(&request) {
            for mask in [1, 0x20] {
                let changed = with_flipped_byte(&request, place, mask);
                let in_body = changed.body != request.body;
                let must = match (case.provider.covers, mask) {
                    (Covers::Body, 1) if in_body => Must::Reject,
                    (Covers::Nothing, _) if in_body => continue,
                    _ => Must::NotChangeMeaning,
                };
                if passes(&case.effect(&changed), must, &genuine) {
                    findings.note(format!("{}: {place:?} with mask {mask}", case.name()));
                }
            }
        }
    }
    findings.assert_none();
}

#[test]
fn f15_f17_only_active_keys_of_the_account_count() {
    let mut findings = Findings::default();
    for case in cases() {
        let (own, other) = (key_set("own", &case.keys), key_set("other", &case.other_keys));
        let mut retired = own.clone();
        retired.status = KeyStatus::Retired;
        let table = [
            ("the account's key", vec![own.clone()], true),
            ("the new key beside the old", vec![own.clone(), other.clone()], true),
            ("the old key beside the new", vec![other.clone(), own.clone()], true),
            ("somebody else's key", vec![other.clone()], !case.provider.signs()),
            ("a retired key", vec![retired.clone()], false),
            ("a retired key beside an active one", vec![other, retired], !case.provider.signs()),
            ("no key", Vec::new(), false),
        ];
        for (about, key_sets, genuine) in table {
            let credentials = Credentials { key_sets };
            let request = case.request(case.main());
            let verdict = case.judge_with(&request, &credentials, NOW);
            if verdict.is_genuine() != Some(genuine) {
                findings.note(format!("{}: {about}: {}", case.name(), word(&verdict)));
            }
            if genuine && case.provider.signs() {
                let verified = case.provider.verify(&case.raw(&request), &credentials, NOW).unwrap();
                assert_eq!(verified.key_set_id(), "own", "{}: {about}", case.name());
            }
        }
    }
    findings.assert_none();
}

/// A half-configured account must not accept anything: each field of the key set in turn is blanked,
/// made another, or given another type.
#[test]
fn f3_damaged_key_sets_prove_nothing() {
    let mut findings = Findings::default();
    for case in cases() {
        let request = case.request(case.main());
        let fields: Vec<String> = case.keys.key_set.keys().cloned().collect();
        for field in &fields {
            for damaged in
                [Value::from(""), Value::from("  "), Value::from(false), Value::Array(vec![Value::Null])]
            {
                let mut keys = case.keys.clone();
                keys.key_set.insert(field.clone(), damaged.clone());
                let verdict = case.judge_with(
                    &request,
                    &Credentials { key_sets: vec![key_set("damaged", &keys)] },
                    NOW,
                );
                let is_switch = case.keys.key_set[field].is_boolean() && damaged.is_boolean();
                if verdict.is_genuine() != Some(false) && !is_switch {
                    findings.note(format!("{}: `{field}` = {damaged}: {}", case.name(), word(&verdict)));
                }
            }
        }
        let required = case.provider.credential_fields.iter().filter(|field| field.required);
        for field in required {
            let mut keys = case.keys.clone();
            keys.key_set.remove(field.name);
            let verdict =
                case.judge_with(&request, &Credentials { key_sets: vec![key_set("without", &keys)] }, NOW);
            if verdict.is_genuine() != Some(false) {
                findings.note(format!("{}: without `{}`: {}", case.name(), field.name, word(&verdict)));
            }
        }
    }
    findings.assert_none();
}

/// A time that is signed is checked both ways; where none is signed a replay says what it said before.
#[test]
fn f7_old_and_future_callbacks_are_rejected_or_mean_the_same() {
    let keys = |verdict: &Verdict| -> Vec<String> {
        verdict.events().iter().map(|event| event.key.clone()).collect()
    };
    let mut table = Vec::new();
    for case in cases() {
        let request = case.request(case.main());
        let genuine = case.judge(&request);
        let at = |now: i64| case.judge_with(&request, &case.credentials(), UnixSeconds(now));
        let (late, early) = (at(NOW.0 + DAY_SECONDS), at(NOW.0 - DAY_SECONDS));
        for verdict in [&late, &early] {
            let same = word(verdict) == word(&genuine) && keys(verdict) == keys(&genuine);
            assert!(word(verdict) == "stale" || same, "{}: {verdict:?}", case.name());
        }
        assert_eq!(word(&late), word(&early), "{}: an age is limited both ways", case.name());
        for extreme in [i64::MIN, i64::MAX] {
            assert_ne!(word(&at(extreme)), "unreadable", "{}", case.name());
        }
        table.push(format!(
            "{:<24} a day late: {:<12} a day early: {}\n",
            case.name(),
            word(&late),
            word(&early)
        ));
    }
    if has_all_cases() {
        insta::assert_snapshot!("times", table.concat());
    } else {
        assert_among("times", &table);
    }
}

/// Genuine signatures over strange content: whatever a provider sends, reading it never panics,
/// and a repeated name is never read.
#[test]
fn strange_content_is_read_or_refused_without_a_panic() {
    for case in cases() {
        for payload in case.payloads() {
            let content = render(case.template(payload), &case.facts(payload, NOW), &case.keys).unwrap();
            let document: Value = serde_json::from_str(&content).unwrap();
            for strange in strange_documents(&document) {
                sign_and_judge(case, strange.to_string());
            }
            let step = (content.len() / TRUNCATIONS_MAX).max(1);
            for length in (0..content.len()).step_by(step).filter(|length| content.is_char_boundary(*length))
            {
                sign_and_judge(case, content[..length].to_owned());
            }
            let repeated = content.replacen('{', r#"{"repeated":1,"repeated":2,"#, 1);
            let (request, verdict) = sign_and_judge(case, repeated);
            let as_written = String::from_utf8_lossy(&request.body).contains(r#""repeated":1,"repeated":2"#);
            // What is asked about whatever it says is not read at all.
            let unread = case.provider.inquiry.is_some() && verdict.events().is_empty();
            let refused = !matches!(verdict, Verdict::Genuine(_));
            assert!(!as_written || refused || unread, "{}: {verdict:?}", case.name());
        }
    }
}

fn sign_and_judge(case: &Case, content: String) -> (SignedRequest, Verdict) {
    let path = case.facts(case.main(), NOW).path;
    let payload = Payload { content, event_id: "strange".to_owned(), sent_at: NOW, path };
    let request = case.provider.sandbox.sign(&case.keys, &payload).unwrap();
    let verdict = case.judge(&request);
    (request, verdict)
}

/// The document with each of its members in turn left out or replaced by something unexpected.
fn strange_documents(document: &Value) -> Vec<Value> {
    let strange = [
        Value::Null,
        Value::from(""),
        Value::from(-1),
        Value::from(1e300),
        Value::from("99999999999999999999999999999999999999999999.99"),
        Value::Array(Vec::new()),
        Value::from("\u{0}\u{feff}%00&=+"),
    ];
    let mut all = Vec::new();
    let mut pointers = Vec::new();
    collect_pointers(document, String::new(), &mut pointers);
    for pointer in pointers {
        for value in &strange {
            let mut changed = document.clone();
            if let Some(place) = changed.pointer_mut(&pointer) {
                *place = value.clone();
            }
            all.push(changed);
        }
    }
    all
}

fn collect_pointers(value: &Value, at: String, pointers: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                collect_pointers(member, format!("{at}/{name}"), pointers);
            }
        }
        Value::Array(members) => {
            for (index, member) in members.iter().enumerate() {
                collect_pointers(member, format!("{at}/{index}"), pointers);
            }
        }
        _ => {}
    }
    pointers.push(at);
}

/// Many random changes at once: never a panic, never another meaning.
#[test]
fn random_damage_never_passes() {
    const ROUNDS: usize = 400;
    let mut random = fastrand::Rng::with_seed(7);
    let mut findings = Findings::default();
    for case in cases() {
        let paid = case.request(case.main());
        let genuine = case.effect(&paid);
        let places = places(&paid);
        for _ in 0..ROUNDS {
            let mut changed = paid.clone();
            for _ in 0..random.usize(1..6) {
                let place = places[random.usize(..places.len())];
                changed = with_flipped_byte(&changed, place, random.u8(1..));
            }
            let verdict = case.effect(&changed);
            if case.provider.covers != Covers::Nothing && passes(&verdict, Must::NotChangeMeaning, &genuine) {
                findings.note(format!("{}: random damage passes", case.name()));
            }
        }
    }
    findings.assert_none();
}

#[test]
fn nothing_secret_is_printed() {
    for case in cases() {
        let paid = case.request(case.main());
        let raw = case.raw(&paid);
        let credentials = case.credentials();
        let verified = case.provider.verify(&raw, &credentials, NOW).unwrap();
        let mut printed = format!("{raw:?} {credentials:?} {verified:?}");
        for mutation in MUTATIONS {
            for changed in (mutation.apply)(&paid) {
                match case.judge(&changed) {
                    Verdict::Rejected(rejection) => printed.push_str(&format!(" {rejection} {rejection:?}")),
                    Verdict::Unreadable(error) => printed.push_str(&format!(" {error} {error:?}")),
                    _ => {}
                }
            }
        }
        for secret in secrets(case, &paid) {
            assert!(!printed.contains(&secret), "{} prints one of its secrets", case.name());
        }
    }
}

/// Every text of the keys that is long enough not to occur by chance, every header's value, and pieces of the body.
fn secrets(case: &Case, request: &SignedRequest) -> Vec<String> {
    let mut texts = Vec::new();
    for value in case.keys.key_set.values().chain(case.keys.private.values()) {
        collect_texts(value, &mut texts);
    }
    texts.extend(request.headers.iter().map(|(_, value)| value.clone()));
    texts.extend(request.body.chunks(24).map(|piece| String::from_utf8_lossy(piece).into_owned()));
    texts.retain(|text| text.len() >= 16 && !text.starts_with("application/"));
    texts
}

fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(members) => members.iter().for_each(|member| collect_texts(member, texts)),
        Value::Object(members) => members.values().for_each(|member| collect_texts(member, texts)),
        _ => {}
    }
}

/// `cargo xtask fixtures` makes the files; this says when they no longer follow from the code, or the code from them.
#[test]
fn the_projects_own_vectors_come_out_as_stated() {
    let registry = Registry::default();
    for case in cases() {
        let file = fixture_folder(case.name()).join("vectors.json");
        let vectors = read_vectors(&file).unwrap();
        for value in &vectors {
            let name = value["name"].as_str().unwrap();
            let (_, outcome) = check_vector(&registry, &format!("{} {name}", case.name()), value, NOW, true);
            assert!(outcome.passed, "{:?}", outcome.lines);
            let genuine = value["expect"]["valid"] == true;
            // Whether a day matters is up to the protocol; `f7_old_and_future_callbacks…` says for which it does.
            assert!(
                name == RECEIVED_LATER || genuine == case.payloads().contains(&name),
                "{} {name}",
                case.name()
            );
        }
        let kept = std::fs::read_to_string(&file).unwrap();
        assert!(
            kept == vectors_text(case),
            "{}: run `cargo xtask fixtures` and look at the difference",
            case.name()
        );
    }
}

/// Vectors that are kept beside the checkout, where there are any.
#[test]
fn vectors_beside_the_checkout_come_out_as_stated() {
    let registry = Registry::default();
    let folder = repository().join("../shared/vectors");
    let (mut ran, mut skipped) = (0, 0);
    let mut disagreements = Vec::new();
    for entry in std::fs::read_dir(&folder).into_iter().flatten() {
        let file = entry.unwrap().path();
        let provider = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let vectors = read_vectors(&file).unwrap();
        if !cases().iter().any(|case| case.name() == provider) {
            skipped += vectors.len();
            continue;
        }
        for value in &vectors {
            let place = format!("{provider} {}", value["name"]);
            let (_, outcome) = check_vector(&registry, &place, value, NOW, false);
            ran += 1;
            if !outcome.passed {
                disagreements.extend(outcome.lines);
            }
        }
    }
    println!("{ran} vectors of ../shared/vectors ran, {skipped} are of providers that are not here");
    assert!(disagreements.is_empty(), "\n{}", disagreements.join("\n"));
}
