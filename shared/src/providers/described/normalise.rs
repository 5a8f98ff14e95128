//! Reading the events as a description says.

use crate::callback::json::Json;
use crate::callback::{Rejection, Verified};
use crate::domain::money::Currency;
use crate::domain::{EventKind, Money, MoneyError, PaymentEvent, Reference};

use super::super::{EachEvent, MappingError};
use super::event_rules::{AmountRule, AmountUnit, EventsRule, FactsRule, TypeRule};
use super::grammar::Grammar;
use super::place::Place;
use super::request::{Request, Scope};
use super::template::Fact;
use super::validate::needs;
use super::verify::{parse_time, present};

/// Most members of a list that are read as events: twice what is documented at most, GoCardless's 250. Each may be an
/// order of its own, and all of a callback's are applied in one invocation.
const ITEMS_MAX: usize = 500;

/// The tables that read this callback.
pub(super) fn tables<'a>(
    grammar: &'a Grammar,
    verified: &Verified,
) -> Result<impl Iterator<Item = &'a EventsRule>, MappingError> {
    let request = Request::new(verified.raw(), verified.raw().body());
    let whens = grammar.checks.iter().map(|check| check.when.as_ref());
    let when = present(whens, &Scope::of(&request)).map_err(unreadable)?;
    Ok(grammar.events.iter().filter(move |events| events.when.as_ref() == when))
}

/// The events of a callback, each with what hinders its reading.
pub(super) fn normalise(grammar: &Grammar, provider: &str, verified: &Verified) -> EachEvent {
    let mut events = Vec::new();
    for table in tables(grammar, verified)? {
        events.extend(read_each(table, provider, verified, verified.content())?);
    }
    Ok(events)
}

/// The events that one table reads from the content.
pub(super) fn read(
    events: &EventsRule,
    provider: &str,
    verified: &Verified,
) -> Result<Vec<PaymentEvent>, MappingError> {
    normalise_content(events, provider, verified, verified.content())
}

/// Reads the events out of a part of the callback.
pub(super) fn normalise_content(
    events: &EventsRule,
    provider: &str,
    verified: &Verified,
    content: &[u8],
) -> Result<Vec<PaymentEvent>, MappingError> {
    read_each(events, provider, verified, content)?.into_iter().collect()
}

fn read_each(events: &EventsRule, provider: &str, verified: &Verified, content: &[u8]) -> EachEvent {
    let request = Request::new(verified.raw(), content);
    let items = items(events, &request)?.into_iter();
    Ok(items.filter_map(|item| event(events, provider, verified, &request, item).transpose()).collect())
}

/// The members to read one event of each, or one reading of the whole.
pub(super) fn items<'a>(
    events: &EventsRule,
    request: &'a Request<'_>,
) -> Result<Vec<Option<&'a Json>>, MappingError> {
    let Some(pointer) = &events.items else { return Ok(vec![None]) };
    match request.json().map_err(unreadable)?.at(pointer) {
        Some(Json::Array(items)) if items.len() > ITEMS_MAX => Err(MappingError::TooMany(pointer.clone())),
        Some(Json::Array(items)) => Ok(items.iter().map(Some).collect()),
        _ => Err(MappingError::field(pointer.as_str())),
    }
}

fn event(
    events: &EventsRule,
    provider: &str,
    verified: &Verified,
    request: &Request<'_>,
    item: Option<&Json>,
) -> Result<Option<PaymentEvent>, MappingError> {
    let scope = Scope { item, variant: verified.variant(), ..Scope::of(request) };
    let Some((rule, type_name, word)) = word(events, &scope)? else { return Ok(None) };
    // `ignored` and `ask` are no kinds.
    let (Some(kind), Some(facts)) = (EventKind::from_name(word), facts(events, rule)) else {
        return Ok(None);
    };
    let mut event = PaymentEvent::new(kind, provider, String::new(), verified.received_at());
    event.subject_id = first_fact(&scope, &facts.subject_id)?;
    event.transaction_id = first_fact(&scope, &facts.transaction_id)?;
    event.refund_id = first_fact(&scope, &facts.refund_id)?;
    event.dispute_id = first_fact(&scope, &facts.dispute_id)?;
    event.provider_status = first_fact(&scope, &facts.status)?.unwrap_or_default();
    event.references = references(&scope, &facts.references, provider)?;
    if let Some(rule) = &facts.amount {
        event.amount = amount(events, rule, &scope)?;
        event.amount_is_cumulative = rule.cumulative && event.amount.is_some();
    }
    if let Some(rule) = &events.occurred_at {
        event.occurred_at = first(&scope, &rule.at)?.and_then(|text| parse_time(&text, rule.unit));
    }
    event.key = key(events, &scope, &type_name, &event)?;
    complete(event, facts).map(Some)
}

/// The word for what an event means: a kind of our vocabulary, or `ignored`, or `ask`.
pub(super) fn word<'a>(
    events: &'a EventsRule,
    scope: &Scope<'_>,
) -> Result<Option<(&'a TypeRule, String, &'a str)>, MappingError> {
    let Some(type_name) = events.kind_name.text(scope).map_err(unreadable)? else { return Ok(None) };
    let Some(rule) = events.types.get(&type_name) else { return Ok(None) };
    let word = match &rule.kind_at {
        Some(place) => {
            let value = scope.text(place).map_err(unreadable)?;
            value.and_then(|value| rule.kinds.get(value.as_ref()))
        }
        None => rule.kind.as_ref(),
    };
    Ok(word.map(|word| (rule, type_name, word.as_str())))
}

fn facts<'a>(events: &'a EventsRule, rule: &TypeRule) -> Option<&'a FactsRule> {
    events.facts.get(rule.facts.as_deref()?)
}

fn first(scope: &Scope<'_>, places: &[Place]) -> Result<Option<String>, MappingError> {
    scope.first_text(places).map_err(unreadable)
}

fn first_fact(scope: &Scope<'_>, facts: &[Fact]) -> Result<Option<String>, MappingError> {
    let mut texts = facts.iter().filter_map(|fact| fact.0.text(scope).transpose());
    texts.next().transpose().map_err(unreadable)
}

fn references(scope: &Scope<'_>, facts: &[Fact], provider: &str) -> Result<Vec<Reference>, MappingError> {
    let mut references = Vec::new();
    for fact in facts {
        if let Some(id) = fact.0.text(scope).map_err(unreadable)? {
            references.push(Reference::new(provider, &id));
        }
    }
    references.sort();
    references.dedup();
    Ok(references)
}

fn amount(events: &EventsRule, rule: &AmountRule, scope: &Scope<'_>) -> Result<Option<Money>, MappingError> {
    let Some(text) = first(scope, &rule.at)? else {
        return Ok(None);
    };
    let code = match &rule.fixed_currency {
        Some(code) => code.clone(),
        None => first(scope, &rule.currency)?.ok_or_else(|| absent(&rule.currency))?,
    };
    let code = code.to_ascii_uppercase();
    let decimals = match &rule.decimals_at {
        Some(place) => {
            let text = first(scope, std::slice::from_ref(place))?
                .ok_or_else(|| MappingError::field(place.to_string()))?;
            Some(text.parse::<u8>().map_err(|_| MappingError::field(place.to_string()))?)
        }
        None => events.exponents.get(&code).copied(),
    };
    let money = match (rule.unit, decimals) {
        (AmountUnit::Minor, Some(decimals)) => money_on_the_wire(&text, &code, decimals),
        (AmountUnit::Minor, None) => {
            Currency::new(&code).and_then(|currency| Money::parse_minor(&text, currency))
        }
        (AmountUnit::Major, decimals) => {
            currency(&code, decimals).and_then(|currency| Money::parse_major(&text, currency))
        }
    };
    match money {
        Ok(money) => Ok(Some(money)),
        Err(MoneyError::Currency(_)) => Err(absent(&rule.currency)),
        Err(MoneyError::Amount { .. }) => Err(absent(&rule.at)),
    }
}

/// An amount of minor units with as many `decimals` as the provider's table says, in our own minor units:
/// so that it equals what the merchant registered, whichever table the provider has.
pub(in crate::providers) fn money_on_the_wire(
    minor_text: &str,
    code: &str,
    decimals: u8,
) -> Result<Money, MoneyError> {
    let told = Money::parse_minor(minor_text, Currency::with_exponent(code, decimals)?)?;
    match Currency::new(code) {
        Ok(currency) => Money::parse_major(&told.to_major_text(), currency),
        Err(_) => Ok(told),
    }
}

/// ISO 4217 and the known assets come first; the provider's table only adds what they lack.
fn currency(code: &str, decimals: Option<u8>) -> Result<Currency, MoneyError> {
    match (Currency::new(code), decimals) {
        (Err(_), Some(decimals)) => Currency::with_exponent(code, decimals),
        (known, _) => known,
    }
}

/// The provider's id of the event where it has one, else a digest of the facts that identify it.
fn key(
    events: &EventsRule,
    scope: &Scope<'_>,
    type_name: &str,
    event: &PaymentEvent,
) -> Result<String, MappingError> {
    for template in &events.id {
        if let Some(id) = template.text(scope).map_err(unreadable)? {
            return Ok(id);
        }
    }
    let text = |id: &Option<String>| id.clone().unwrap_or_default();
    let amount = event.amount.as_ref().map(ToString::to_string).unwrap_or_default();
    Ok(PaymentEvent::identified_by(&[
        event.kind.name(),
        type_name,
        &text(&event.subject_id),
        &text(&event.transaction_id),
        &text(&event.refund_id),
        &text(&event.dispute_id),
        &event.provider_status,
        &amount,
    ]))
}

/// Refuses an event that lacks what its kind needs, rather than counting it wrongly.
fn complete(event: PaymentEvent, facts: &FactsRule) -> Result<PaymentEvent, MappingError> {
    let needs = needs(event.kind);
    let amount_places = facts.amount.as_ref().map(|rule| rule.at.as_slice());
    if needs.amount && event.amount.is_none() && amount_places.is_some() {
        return Err(absent(amount_places.unwrap_or_default()));
    }
    let ids = [
        (needs.transaction_id, &event.transaction_id, &facts.transaction_id),
        (needs.refund_id, &event.refund_id, &facts.refund_id),
        (needs.dispute_id, &event.dispute_id, &facts.dispute_id),
        (event.references.is_empty(), &event.subject_id, &facts.subject_id),
    ];
    for (needed, id, places) in ids {
        if needed && id.is_none() {
            let place = places.first().and_then(|fact| fact.0.places().next());
            return Err(absent(place.map(std::slice::from_ref).unwrap_or_default()));
        }
    }
    Ok(event)
}

fn absent(places: &[Place]) -> MappingError {
    MappingError::field(places.first().map_or_else(|| "currency".to_owned(), ToString::to_string))
}

fn unreadable(rejection: Rejection) -> MappingError {
    match rejection {
        Rejection::Duplicate { name } => MappingError::field(name),
        _ => MappingError::Content,
    }
}
