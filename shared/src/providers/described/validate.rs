//! What a description must not say. Everything that would accept an unsigned request is refused here, at load.

use crate::domain::EventKind;
use crate::domain::money::Currency;

use super::DescriptionError;
use super::grammar::{
    Algorithm, AmountRule, Check, CoversRule, EventsRule, FactsRule, Grammar, KeyEncoding, KeyRule,
    SignatureEncoding, SignatureRule, TimestampRule, TypeRule,
};
use super::inquiry::ASK;
use super::place::{Place, Template};
use super::verify::PART_KEY_FIELD;

/// The word in place of a kind for a type that we do not act on.
pub(super) const IGNORED: &str = "ignored";

/// Names stand in addresses and in keys of the data.
const NAME_BYTES_MAX: usize = 64;

/// What the simulator can tell; its faults are made from these.
const SCENARIOS: &[&str] = &["paid", "refunded", "partial-refund", "failed"];

/// What is wrong with which field.
pub(super) struct Problem {
    field: String,
    problem: String,
}

impl Problem {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// The same with the field below another one, instead of below `events`.
    pub(super) fn within(self, parent: &str) -> Self {
        let field = self.field.strip_prefix("events").unwrap_or(&self.field);
        Self { field: format!("{parent}{field}"), ..self }
    }

    pub(super) fn of(self, provider: &str) -> DescriptionError {
        DescriptionError { provider: provider.to_owned(), field: self.field, problem: self.problem }
    }
}

pub(super) fn require(
    holds: bool,
    field: impl Into<String>,
    problem: impl Into<String>,
) -> Result<(), Problem> {
    if holds { Ok(()) } else { Err(Problem::new(field, problem)) }
}

/// Checks everything but the events.
pub(super) fn signature(name: &str, grammar: &Grammar) -> Result<(), Problem> {
    let well_named = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    require(well_named, "name", "must be 1 to 64 of a-z, 0-9 and `_`")?;
    require(!grammar.title.trim().is_empty(), "title", "must not be blank")?;
    let status = grammar.answers.success_status.unwrap_or(200);
    require((200..300).contains(&status), "answers.success_status", "must be 200 to 299")?;
    for (index, field) in grammar.credentials.iter().enumerate() {
        let repeated = grammar.credentials[..index].iter().any(|earlier| earlier.name == field.name);
        require(!repeated, format!("credentials[{index}].name"), "occurs twice")?;
        require(!field.name.trim().is_empty(), format!("credentials[{index}].name"), "must not be blank")?;
    }
    let hints = grammar.inquiry.as_ref().is_some_and(|rule| !rule.unsigned.is_empty());
    let problem = "at least one is needed: nothing is accepted unsigned";
    require(hints || !grammar.checks.is_empty(), "checks", problem)?;
    let covers_nothing = grammar.covers == CoversRule::Nothing;
    require(covers_nothing || !grammar.checks.is_empty(), "covers", "must be `nothing`: there is no check")?;
    for (index, rule) in grammar.checks.iter().enumerate() {
        check(grammar, rule, &format!("checks[{index}]"))?;
    }
    if let Some(rule) = &grammar.timestamp {
        timestamp(grammar, rule)?;
    }
    for (index, place) in grammar.required.iter().enumerate() {
        in_request(place, &format!("required[{index}]"))?;
    }
    for (index, rule) in grammar.identity.iter().enumerate() {
        in_request(&rule.at, &format!("identity[{index}].at"))?;
        signed(grammar, &rule.at, &format!("identity[{index}].at"))?;
        credential(grammar, &rule.expected, &format!("identity[{index}].expected"))?;
    }
    for scenario in grammar.payloads.keys() {
        let problem = format!("is not a scenario; there are {}", SCENARIOS.join(", "));
        require(SCENARIOS.contains(&scenario.as_str()), format!("payloads.{scenario}"), problem)?;
    }
    for (index, _) in grammar.parts.iter().enumerate() {
        credential(grammar, PART_KEY_FIELD, &format!("parts[{index}].check"))?;
    }
    Ok(())
}

fn check(grammar: &Grammar, check: &Check, field: &str) -> Result<(), Problem> {
    key(grammar, check.algorithm, &check.key, &format!("{field}.key"))?;
    signature_rule(&check.signature, &format!("{field}.signature"))?;
    let signed = format!("{field}.signed");
    if check.algorithm == Algorithm::Token {
        require(check.signed.is_none(), signed, "a token signs nothing")?;
        let problem = "must be `nothing`: a token proves the sender, not the content";
        require(grammar.covers == CoversRule::Nothing, "covers", problem)?;
        let encoding = format!("{field}.signature.encoding");
        return require(check.signature.encoding == SignatureEncoding::Text, encoding, "a token is `text`");
    }
    let encoding = format!("{field}.signature.encoding");
    require(check.signature.encoding != SignatureEncoding::Text, encoding, "only a token is `text`")?;
    let template = check.signed.as_ref().ok_or_else(|| Problem::new(&signed, "is missing"))?;
    let mut varies = false;
    for place in template.places() {
        match place {
            Place::Credential(name) => credential(grammar, name, &signed)?,
            Place::Entry(_) => {
                let problem = format!("`{place}` needs `{field}.signature.assign`");
                require(check.signature.assign.is_some(), &signed, problem)?;
            }
            Place::Item(_) => return Err(Problem::new(signed, "`item:` has no meaning outside `events`")),
            _ => varies = true,
        }
    }
    if let Some(place) = template.unbounded_field() {
        let problem = format!("needs a separator behind `{place}`, or one text would have several readings");
        return Err(Problem::new(signed, problem));
    }
    require(varies, &signed, "names nothing of the request, so one signature would fit every request")?;
    if grammar.covers == CoversRule::Body {
        require(names(template, &Place::Body), &signed, "does not name `{body}` although covers is `body`")?;
    }
    let inside = matches!(check.signature.at, Place::Json(_) | Place::Form(_));
    let apart = !(inside && names(template, &Place::Body));
    require(apart, format!("{field}.signature.at"), "is inside the body that it signs")
}

fn key(grammar: &Grammar, algorithm: Algorithm, rule: &KeyRule, field: &str) -> Result<(), Problem> {
    credential(grammar, &rule.field, &format!("{field}.field"))?;
    let fits = match algorithm {
        Algorithm::HmacSha1 | Algorithm::HmacSha256 | Algorithm::HmacSha512 => {
            rule.encoding != KeyEncoding::Pem
        }
        Algorithm::RsaSha1 | Algorithm::RsaSha256 | Algorithm::EcdsaP256Der | Algorithm::EcdsaP256Raw => {
            rule.encoding == KeyEncoding::Pem
        }
        Algorithm::Ed25519 => matches!(rule.encoding, KeyEncoding::Hex | KeyEncoding::Base64),
        Algorithm::Token => rule.encoding == KeyEncoding::Utf8,
    };
    require(fits, format!("{field}.encoding"), "does not fit the algorithm")?;
    match &rule.id_at {
        Some(place) => in_request(place, &format!("{field}.id_at")),
        None => Ok(()),
    }
}

fn signature_rule(rule: &SignatureRule, field: &str) -> Result<(), Problem> {
    let readable = matches!(rule.at, Place::Header(_) | Place::Query(_) | Place::Form(_) | Place::Json(_));
    require(readable, format!("{field}.at"), "must be a header, query, form or json place")?;
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

fn timestamp(grammar: &Grammar, rule: &TimestampRule) -> Result<(), Problem> {
    require(rule.tolerance_seconds > 0, "timestamp.tolerance_seconds", "must be positive")?;
    let unsigned = grammar.checks.iter().position(|check| !covers(check, &rule.at));
    match unsigned {
        Some(index) => Err(Problem::new(
            "timestamp.at",
            format!("`{}` is not signed by checks[{index}], so a replay could change it", rule.at),
        )),
        None => Ok(()),
    }
}

/// Whether a check's signature fixes the value at a place.
fn covers(check: &Check, place: &Place) -> bool {
    let within = match place {
        Place::Json(_) | Place::Form(_) | Place::Item(_) => &Place::Body,
        Place::Query(_) => &Place::Path,
        _ => place,
    };
    check.signed.as_ref().is_some_and(|template| names(template, place) || names(template, within))
}

/// What decides about money must be signed, whichever check applies, or the callback is only a hint.
fn signed(grammar: &Grammar, place: &Place, field: &str) -> Result<(), Problem> {
    let hint = grammar.covers == CoversRule::Nothing;
    let signed = hint || grammar.checks.iter().all(|check| covers(check, place));
    require(signed, field, format!("`{place}` is not signed, so a replay could change it"))
}

fn names(template: &Template, place: &Place) -> bool {
    template.places().any(|have| have == place)
}

fn in_request(place: &Place, field: &str) -> Result<(), Problem> {
    let readable = !matches!(place, Place::Item(_) | Place::Credential(_));
    require(readable, field, format!("`{place}` is not part of the request"))
}

pub(super) fn credential(grammar: &Grammar, name: &str, field: &str) -> Result<(), Problem> {
    let listed = grammar.credentials.iter().any(|have| have.name == name);
    require(listed, field, format!("`{name}` is not listed in `credentials`"))
}

/// Checks the events.
pub(super) fn events(grammar: &Grammar) -> Result<(), Problem> {
    let events = grammar.events.as_ref().ok_or_else(|| Problem::new("events", "is missing"))?;
    require(!events.types.is_empty(), "events.types", "is empty: nothing would ever happen")?;
    let pointer = events.items.as_deref().is_none_or(|pointer| pointer.starts_with('/'));
    require(pointer, "events.items", "must be a pointer such as `/events`")?;
    for (code, exponent) in &events.exponents {
        let known = Currency::with_exponent(code, *exponent).is_ok();
        require(known, format!("events.exponents.{code}"), "must be 0 to 18 decimals of a currency code")?;
    }
    for place in events.kind_name.places() {
        in_events(grammar, events, place, "events.type")?;
    }
    for (index, template) in events.id.iter().enumerate() {
        event_id(grammar, events, template, &format!("events.id[{index}]"))?;
    }
    for place in events.occurred_at.iter().flat_map(|rule| &rule.at) {
        in_events(grammar, events, place, "events.occurred_at")?;
    }
    for (name, rule) in &events.facts {
        facts(grammar, events, rule, &format!("events.facts.{name}"))?;
    }
    for (name, rule) in &events.types {
        type_rule(grammar, events, rule, &format!("events.types.\"{name}\""))?;
    }
    Ok(())
}

fn event_id(grammar: &Grammar, events: &EventsRule, id: &Template, field: &str) -> Result<(), Problem> {
    require(id.places().next().is_some(), field, "names nothing of the request")?;
    let unique = events.items.is_none() || id.places().any(|place| matches!(place, Place::Item(_)));
    require(unique, field, "names no `item:`, so all events of one callback would be one")?;
    for place in id.places() {
        in_events(grammar, events, place, field)?;
    }
    Ok(())
}

fn facts(grammar: &Grammar, events: &EventsRule, rule: &FactsRule, field: &str) -> Result<(), Problem> {
    let lists = [
        ("subject_id", &rule.subject_id),
        ("transaction_id", &rule.transaction_id),
        ("refund_id", &rule.refund_id),
        ("dispute_id", &rule.dispute_id),
        ("references", &rule.references),
        ("status", &rule.status),
    ];
    for (name, places) in lists {
        for (index, place) in places.iter().enumerate() {
            in_events(grammar, events, place, &format!("{field}.{name}[{index}]"))?;
        }
    }
    let findable = !rule.subject_id.is_empty() || !rule.references.is_empty();
    require(findable, format!("{field}.subject_id"), "is missing, and there are no references either")?;
    match &rule.amount {
        Some(rule) => amount(grammar, events, rule, &format!("{field}.amount")),
        None => Ok(()),
    }
}

fn amount(grammar: &Grammar, events: &EventsRule, rule: &AmountRule, field: &str) -> Result<(), Problem> {
    require(!rule.at.is_empty(), format!("{field}.at"), "is empty")?;
    for place in rule.at.iter().chain(&rule.currency) {
        in_events(grammar, events, place, field)?;
    }
    match (&rule.fixed_currency, rule.currency.is_empty()) {
        (Some(_), false) => {
            Err(Problem::new(format!("{field}.fixed_currency"), "and `currency` exclude each other"))
        }
        (None, true) => Err(Problem::new(format!("{field}.currency"), "is missing")),
        (Some(code), true) => {
            let known = events.exponents.contains_key(code) || Currency::new(code).is_ok();
            let problem = format!("`{code}` is unknown; name its decimals in `events.exponents`");
            require(known, format!("{field}.fixed_currency"), problem)
        }
        (None, false) => Ok(()),
    }
}

fn in_events(grammar: &Grammar, events: &EventsRule, place: &Place, field: &str) -> Result<(), Problem> {
    match place {
        Place::Entry(_) | Place::Credential(_) => {
            Err(Problem::new(field, format!("`{place}` is not known when events are read")))
        }
        Place::Item(_) if events.items.is_none() => {
            Err(Problem::new(field, format!("`{place}` needs `events.items`")))
        }
        _ => signed(grammar, place, field),
    }
}

fn type_rule(grammar: &Grammar, events: &EventsRule, rule: &TypeRule, field: &str) -> Result<(), Problem> {
    let kinds: Vec<&String> = match (&rule.kind, &rule.kind_at) {
        (Some(kind), None) => vec![kind],
        (None, Some(place)) => {
            in_events(grammar, events, place, &format!("{field}.kind_at"))?;
            require(!rule.kinds.is_empty(), format!("{field}.kinds"), "is empty")?;
            rule.kinds.values().collect()
        }
        _ => return Err(Problem::new(field, "needs either `kind` or `kind_at` with `kinds`")),
    };
    for name in kinds {
        if name == IGNORED {
            continue;
        }
        if name == ASK {
            let problem = "is `ask`, and there is no `inquiry`";
            require(grammar.inquiry.is_some(), format!("{field}.kind"), problem)?;
            continue;
        }
        let kind = EventKind::from_name(name).ok_or_else(|| {
            Problem::new(format!("{field}.kind"), format!("`{name}` is not in the vocabulary"))
        })?;
        let chosen =
            rule.facts.as_ref().ok_or_else(|| Problem::new(format!("{field}.facts"), "is missing"))?;
        let facts = events.facts.get(chosen).ok_or_else(|| {
            Problem::new(format!("{field}.facts"), format!("there is no `events.facts.{chosen}`"))
        })?;
        needs_met(grammar, kind, facts, &format!("events.facts.{chosen}"), name)?;
    }
    Ok(())
}

fn needs_met(
    grammar: &Grammar,
    kind: EventKind,
    facts: &FactsRule,
    field: &str,
    name: &str,
) -> Result<(), Problem> {
    let needs = needs(kind);
    let hint = grammar.covers == CoversRule::Nothing;
    let problem = format!("is missing; `{name}` needs it");
    require(!needs.amount || hint || facts.amount.is_some(), format!("{field}.amount"), &problem)?;
    let ids = [
        ("transaction_id", needs.transaction_id, &facts.transaction_id),
        ("refund_id", needs.refund_id, &facts.refund_id),
        ("dispute_id", needs.dispute_id, &facts.dispute_id),
    ];
    for (id, needed, places) in ids {
        require(!needed || !places.is_empty(), format!("{field}.{id}"), &problem)?;
    }
    Ok(())
}

/// The facts without which an event of a kind would be counted wrongly.
pub(super) struct Needs {
    pub(super) amount: bool,
    pub(super) transaction_id: bool,
    pub(super) refund_id: bool,
    pub(super) dispute_id: bool,
}

/// What an event of this kind must carry.
pub(super) fn needs(kind: EventKind) -> Needs {
    use EventKind as K;
    Needs {
        amount: matches!(
            kind,
            K::PaymentAuthorized
                | K::PaymentCaptured
                | K::RefundSucceeded
                | K::DisputeOpened
                | K::DisputeLost
        ),
        transaction_id: matches!(kind, K::PaymentAuthorized | K::PaymentCaptured),
        refund_id: matches!(kind, K::RefundPending | K::RefundSucceeded | K::RefundFailed),
        dispute_id: matches!(kind, K::DisputeOpened | K::DisputeWon | K::DisputeLost),
    }
}
