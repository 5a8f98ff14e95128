//! What a check must not say.

use crate::callback::signature::Hash;

use super::super::grammar::{
    Algorithm, Check, CoversRule, Grammar, KeyEncoding, KeyRule, SignatureEncoding, SignatureRule,
    TimestampRule,
};
use super::super::place::{Place, Root};
use super::super::sorted::{SortedOf, SortedRule};
use super::super::template::{Segment, Template};
use super::covers::covers;
use super::{Problem, credential, in_request, require, url};

pub(super) fn check(grammar: &Grammar, check: &Check, field: &str) -> Result<(), Problem> {
    if let Some(place) = &check.when {
        in_request(place, &format!("{field}.when"))?;
    }
    let (key, signature) = (&check.key, &check.signature);
    key_rule(grammar, check.algorithm, key, &format!("{field}.key"))?;
    signature_rule(check, signature, &format!("{field}.signature"))?;
    let signed = format!("{field}.signed");
    let encoding = format!("{field}.signature.encoding");
    if check.algorithm == Algorithm::Token {
        require(check.signed.is_none(), signed, "a token signs nothing")?;
        let problem = "must be `nothing`: a token proves the sender, not the content";
        require(grammar.covers == CoversRule::Nothing, "covers", problem)?;
        return require(signature.encoding == SignatureEncoding::Text, encoding, "a token is `text`");
    }
    require(signature.encoding != SignatureEncoding::Text, encoding, "only a token is `text`")?;
    let template = check.signed.as_ref().ok_or_else(|| Problem::new(&signed, "is missing"))?;
    for place in template.places() {
        in_signed(grammar, check, signature, place, field)?;
    }
    if let Some(rule) = &check.sorted {
        sorted(grammar, check, template, rule, &format!("{field}.sorted"))?;
    }
    if let Some(place) = &check.free_field {
        let named = names(template, &place.root) && place.is_field();
        require(named, format!("{field}.free_field"), "is not one of the fields that are signed")?;
    }
    covered(grammar, check, template, field)?;
    keyed(grammar, check, template, &signed)?;
    let inside = match signature.at.root {
        Root::Json(_) | Root::Xml(_) | Root::Form(_) | Root::Item(_) | Root::Param(_) => {
            names(template, &Root::Body)
        }
        Root::Query(_) => names(template, &Root::Path),
        _ => false,
    };
    require(!inside, format!("{field}.signature.at"), "is inside the body that it signs")
}

fn in_signed(
    grammar: &Grammar,
    check: &Check,
    signature: &SignatureRule,
    place: &Place,
    field: &str,
) -> Result<(), Problem> {
    let signed = format!("{field}.signed");
    match &place.root {
        Root::Credential(name) => credential(grammar, name, &signed),
        Root::Url => url(grammar, &signed),
        Root::Entry(_) => {
            let problem = format!("`{place}` needs `{field}.signature.assign`");
            require(signature.assign.is_some(), signed, problem)
        }
        Root::Item(_) => {
            require(check.each_item.is_some(), signed, format!("`{place}` needs `{field}.each_item`"))
        }
        Root::Sorted => require(check.sorted.is_some(), signed, format!("`{place}` needs `{field}.sorted`")),
        Root::Key => {
            let symmetric = !check.algorithm.has_public_key();
            require(symmetric, signed, "`key` is public, so it proves nothing there")
        }
        Root::Variant => Err(Problem::new(signed, "`variant` is not known before the check")),
        _ => Ok(()),
    }
}

/// The signed text must depend on what the description says is covered, and must have one reading.
fn covered(grammar: &Grammar, check: &Check, template: &Template, field: &str) -> Result<(), Problem> {
    let signed = format!("{field}.signed");
    if let Some(pointer) = &check.each_item {
        let of_items = template.places().any(|place| matches!(place.root, Root::Item(_)));
        require(
            pointer.starts_with('/'),
            format!("{field}.each_item"),
            "must be a pointer such as `/items`",
        )?;
        require(of_items, &signed, "names no `item:`, so one signature would fit every item")?;
    }
    if grammar.covers == CoversRule::Nothing {
        return Ok(());
    }
    if let Some(problem) = template.ambiguity() {
        return Err(Problem::new(signed, problem));
    }
    let varies = template.places().any(|place| !place.is_constant() && !matches!(place.root, Root::Entry(_)));
    require(varies, &signed, "names nothing of the request, so one signature would fit every request")?;
    let whole = names(template, &Root::Body) || names(template, &Root::Sorted);
    match grammar.covers {
        CoversRule::Body => {
            require(whole, &signed, "does not name `{body}` or `{sorted}` although covers is `body`")
        }
        _ => {
            let some = whole || template.places().any(Place::is_field);
            require(some, &signed, "names neither the body nor a field although covers is `fields`")
        }
    }
}

/// A hash proves nothing unless the key is in the hashed text, and not at its beginning: the hash of a longer text can
/// be computed from the hash of a text that begins with the key, without knowing the key.
fn keyed(grammar: &Grammar, check: &Check, template: &Template, field: &str) -> Result<(), Problem> {
    let Some(hash) = check.algorithm.hash() else { return Ok(()) };
    let included = check.sorted.iter().flat_map(|rule| rule.include.values());
    let included = names(template, &Root::Sorted) && included.clone().any(|place| place.root == Root::Key);
    let has_key = included || template.always_has(&Root::Key);
    require(has_key, field, "does not name `{key}`, so anybody could make the hash")?;
    let varying = |segment: &Segment| match segment {
        Segment::At(place) | Segment::AtIfAny(place) => !place.is_constant(),
        Segment::Group(_) => true,
        Segment::Literal(_) => false,
    };
    let is_key = |segment: &&Segment| matches!(segment, Segment::At(place) if place.root == Root::Key);
    let extended = template.0.iter().rposition(|segment| is_key(&segment));
    let extends = extended
        .is_some_and(|at| template.0[at..].iter().any(varying) && !template.0[..at].iter().any(varying));
    let safe = included || hash == Hash::Keccak256 || grammar.covers == CoversRule::Nothing || !extends;
    require(safe, field, "begins with `{key}`, so anybody could append to it")
}

fn sorted(
    grammar: &Grammar,
    check: &Check,
    template: &Template,
    rule: &SortedRule,
    field: &str,
) -> Result<(), Problem> {
    require(names(template, &Root::Sorted), field, "is not named in `signed`")?;
    require(rule.values_only || !rule.join.is_empty(), format!("{field}.join"), "must not be empty")?;
    let named = !rule.values_only || grammar.covers == CoversRule::Nothing;
    let problem = "leaves the names unsigned, so `covers` must be `nothing`";
    require(named, format!("{field}.values_only"), problem)?;
    for (name, place) in &rule.include {
        let field = format!("{field}.include.{name}");
        match &place.root {
            Root::Key => {
                require(!check.algorithm.has_public_key(), field, "is public, so it proves nothing there")?
            }
            Root::Credential(name) => credential(grammar, name, &field)?,
            _ => in_request(place, &field)?,
        }
    }
    let fits = match &check.signature.at.root {
        Root::Form(_) => rule.of == SortedOf::Form,
        Root::Query(_) => rule.of == SortedOf::Query,
        Root::Param(_) => rule.of == SortedOf::Parameters,
        Root::Json(_) => rule.of == SortedOf::Json,
        Root::Xml(_) => rule.of == SortedOf::Xml,
        _ => true,
    };
    require(fits, format!("{field}.of"), "is not where the signature is")
}

fn key_rule(grammar: &Grammar, algorithm: Algorithm, rule: &KeyRule, field: &str) -> Result<(), Problem> {
    credential(grammar, &rule.field, &format!("{field}.field"))?;
    let fits = match algorithm {
        Algorithm::HmacSha1 | Algorithm::HmacSha256 | Algorithm::HmacSha512 => {
            rule.encoding != KeyEncoding::Pem
        }
        Algorithm::RsaMd5
        | Algorithm::RsaSha1
        | Algorithm::RsaSha256
        | Algorithm::EcdsaP256Der
        | Algorithm::EcdsaP256Raw => rule.encoding == KeyEncoding::Pem,
        Algorithm::Ed25519 => matches!(rule.encoding, KeyEncoding::Hex | KeyEncoding::Base64),
        Algorithm::Token | Algorithm::Md5 | Algorithm::Sha256 | Algorithm::Sha512 | Algorithm::Keccak256 => {
            rule.encoding == KeyEncoding::Utf8
        }
    };
    require(fits, format!("{field}.encoding"), "does not fit the algorithm")?;
    match &rule.id_at {
        Some(place) => in_request(place, &format!("{field}.id_at")),
        None => Ok(()),
    }
}

fn signature_rule(check: &Check, rule: &SignatureRule, field: &str) -> Result<(), Problem> {
    let readable = match rule.at.root {
        Root::Header(_) | Root::Query(_) | Root::Form(_) | Root::Param(_) | Root::Json(_) | Root::Xml(_) => {
            true
        }
        Root::Item(_) => check.each_item.is_some(),
        _ => false,
    };
    require(
        readable,
        format!("{field}.at"),
        "must be a header, query, form, param, json, xml or item place",
    )?;
    let own = check.each_item.is_none() || matches!(rule.at.root, Root::Item(_));
    require(own, format!("{field}.at"), "is not inside of each item")?;
    for (name, text) in [("separator", &rule.separator), ("assign", &rule.assign), ("take", &rule.take)] {
        require(text.as_deref() != Some(""), format!("{field}.{name}"), "must not be empty")?;
    }
    let named = (rule.assign.is_some(), rule.take.is_some(), rule.separator.is_some());
    match named {
        (false, false, _) | (true, true, true) => Ok(()),
        (true, true, false) => Err(Problem::new(format!("{field}.separator"), "is needed with `assign`")),
        (true, false, _) => Err(Problem::new(format!("{field}.take"), "is needed with `assign`")),
        (false, true, _) => Err(Problem::new(format!("{field}.assign"), "is needed with `take`")),
    }
}

/// The signed time must be signed, by every check that it limits.
pub(super) fn timestamps(grammar: &Grammar) -> Result<(), Problem> {
    let of_all = grammar.timestamp.as_ref();
    if let Some(rule) = of_all {
        positive(rule, "timestamp")?;
    }
    for (index, check) in grammar.checks.iter().enumerate() {
        let field = match &check.timestamp {
            Some(rule) => {
                positive(rule, &format!("checks[{index}].timestamp"))?;
                format!("checks[{index}].timestamp")
            }
            None => "timestamp".to_owned(),
        };
        let Some(rule) = check.timestamp.as_ref().or(of_all) else { continue };
        let signed = covers(check, check.each_item.as_deref(), &rule.at);
        let problem = format!("`{}` is not signed by checks[{index}], so a replay could change it", rule.at);
        require(signed, format!("{field}.at"), problem)?;
    }
    Ok(())
}

fn positive(rule: &TimestampRule, field: &str) -> Result<(), Problem> {
    require(
        rule.tolerance_seconds.is_none_or(|seconds| seconds > 0),
        format!("{field}.tolerance_seconds"),
        "must be positive",
    )
}

fn names(template: &Template, root: &Root) -> bool {
    template.places().any(|have| have.root == *root)
}
