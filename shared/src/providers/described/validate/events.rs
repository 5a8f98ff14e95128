//! What the rules for reading events must not say.

use std::collections::BTreeSet;

use crate::domain::EventKind;
use crate::domain::money::Currency;

use super::super::event_rules::{AmountRule, AmountUnit, EventsRule, FactsRule, TypeRule};
use super::super::grammar::{CoversRule, Grammar};
use super::super::inquiry::ASK;
use super::super::place::{Place, Root};
use super::super::sorted::own_name;
use super::super::template::Template;
use super::covers::signed;
use super::{Problem, require};

/// The word in place of a kind for a type that we do not act on.
const IGNORED: &str = "ignored";

/// Checks how the events of callbacks are read.
pub(in super::super) fn events(grammar: &Grammar) -> Result<(), Problem> {
    require(!grammar.events.is_empty(), "events", "is missing")?;
    let many = grammar.events.len() > 1;
    for (index, events) in grammar.events.iter().enumerate() {
        let field = if many { format!("events[{index}]") } else { "events".to_owned() };
        let known = events.when.is_none() || grammar.checks.iter().any(|check| check.when == events.when);
        require(known, format!("{field}.when"), "is not the `when` of a check")?;
        let problem = "is only for the answers of an inquiry";
        require(events.subject_asked.is_none(), format!("{field}.subject_asked"), problem)?;
        Reading { grammar, events, field }.check()?;
    }
    Ok(())
}

/// One table of events, and where it stands.
struct Reading<'a> {
    grammar: &'a Grammar,
    events: &'a EventsRule,
    field: String,
}

impl Reading<'_> {
    fn check(&self) -> Result<(), Problem> {
        let events = self.events;
        require(!events.types.is_empty(), self.at("types"), "is empty: nothing would ever happen")?;
        let pointer = events.items.as_deref().is_none_or(|pointer| pointer.starts_with('/'));
        require(pointer, self.at("items"), "must be a pointer such as `/events`")?;
        for (code, exponent) in &events.exponents {
            let known = Currency::with_exponent(code, *exponent).is_ok();
            let problem = "must be 0 to 18 decimals of a currency code";
            require(known, self.at(&format!("exponents.{code}")), problem)?;
        }
        for place in events.kind_name.places() {
            self.readable(place, &self.at("type"))?;
        }
        for (index, template) in events.id.iter().enumerate() {
            self.event_id(template, &self.at(&format!("id[{index}]")))?;
        }
        for place in events.occurred_at.iter().flat_map(|rule| &rule.at) {
            self.readable(place, &self.at("occurred_at"))?;
        }
        for (name, rule) in &events.facts {
            self.facts(rule, &self.at(&format!("facts.{name}")))?;
        }
        for (name, rule) in &events.types {
            self.type_rule(rule, &self.at(&format!("types.\"{name}\"")))?;
        }
        Ok(())
    }

    fn at(&self, name: &str) -> String {
        format!("{}.{name}", self.field)
    }

    fn event_id(&self, id: &Template, field: &str) -> Result<(), Problem> {
        require(id.places().next().is_some(), field, "names nothing of the request")?;
        let of_item = id.places().any(|place| matches!(place.root, Root::Item(_)));
        let unique = self.events.items.is_none() || of_item;
        require(unique, field, "names no `item:`, so all events of one callback would be one")?;
        id.places().try_for_each(|place| self.readable(place, field))
    }

    fn facts(&self, rule: &FactsRule, field: &str) -> Result<(), Problem> {
        let lists = [
            ("subject_id", &rule.subject_id),
            ("transaction_id", &rule.transaction_id),
            ("refund_id", &rule.refund_id),
            ("dispute_id", &rule.dispute_id),
            ("references", &rule.references),
            ("status", &rule.status),
        ];
        for (name, facts) in lists {
            for (index, fact) in facts.iter().enumerate() {
                let field = format!("{field}.{name}[{index}]");
                require(fact.0.places().next().is_some(), &field, "names nothing of the request")?;
                fact.0.places().try_for_each(|place| self.readable(place, &field))?;
            }
        }
        let findable = !rule.subject_id.is_empty() || !rule.references.is_empty();
        require(findable, format!("{field}.subject_id"), "is missing, and there are no references either")?;
        match &rule.amount {
            Some(rule) => self.amount(rule, &format!("{field}.amount")),
            None => Ok(()),
        }
    }

    fn amount(&self, rule: &AmountRule, field: &str) -> Result<(), Problem> {
        require(!rule.at.is_empty(), format!("{field}.at"), "is empty")?;
        for place in rule.at.iter().chain(&rule.currency).chain(&rule.decimals_at) {
            self.readable(place, field)?;
        }
        let decimals = rule.decimals_at.is_none() || rule.unit == AmountUnit::Minor;
        require(decimals, format!("{field}.decimals_at"), "needs the unit `minor`")?;
        match (&rule.fixed_currency, rule.currency.is_empty()) {
            (Some(_), false) => {
                Err(Problem::new(format!("{field}.fixed_currency"), "and `currency` exclude each other"))
            }
            (None, true) => Err(Problem::new(format!("{field}.currency"), "is missing")),
            (Some(code), true) => {
                let known = self.events.exponents.contains_key(code)
                    || rule.decimals_at.is_some()
                    || Currency::new(code).is_ok();
                let problem = format!("`{code}` is unknown; name its decimals in `{}`", self.at("exponents"));
                require(known, format!("{field}.fixed_currency"), problem)
            }
            (None, false) => Ok(()),
        }
    }

    fn readable(&self, place: &Place, field: &str) -> Result<(), Problem> {
        match place.root {
            Root::Entry(_) | Root::Credential(_) | Root::Url | Root::Key | Root::Sorted => {
                Err(Problem::new(field, format!("`{place}` is not known when events are read")))
            }
            Root::Variant => {
                let mut checks = self.grammar.checks.iter().filter(|check| check.when == self.events.when);
                let named = checks.all(|check| check.variant.is_some());
                require(named, field, "`variant` needs a variant for each of the checks")
            }
            Root::Item(_) if self.events.items.is_none() => {
                Err(Problem::new(field, format!("`{place}` needs `{}`", self.at("items"))))
            }
            _ => {
                let checks = self.grammar.checks.iter().filter(|check| check.when == self.events.when);
                signed(self.grammar, checks, self.events.items.as_deref(), place, field)
            }
        }
    }

    fn type_rule(&self, rule: &TypeRule, field: &str) -> Result<(), Problem> {
        let kinds: Vec<&String> = match (&rule.kind, &rule.kind_at) {
            (Some(kind), None) => vec![kind],
            (None, Some(place)) if !rule.kinds.is_empty() => {
                self.readable(place, &format!("{field}.kind_at"))?;
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
                require(self.grammar.inquiry.is_some(), format!("{field}.kind"), problem)?;
                continue;
            }
            let kind = EventKind::from_name(name).ok_or_else(|| {
                Problem::new(format!("{field}.kind"), format!("`{name}` is not in the vocabulary"))
            })?;
            let chosen =
                rule.facts.as_ref().ok_or_else(|| Problem::new(format!("{field}.facts"), "is missing"))?;
            let at = self.at(&format!("facts.{chosen}"));
            let facts = self
                .events
                .facts
                .get(chosen)
                .ok_or_else(|| Problem::new(format!("{field}.facts"), format!("there is no `{at}`")))?;
            self.needs_met(kind, facts, &at)?;
        }
        Ok(())
    }

    fn needs_met(&self, kind: EventKind, facts: &FactsRule, field: &str) -> Result<(), Problem> {
        let needs = needs(kind);
        let hint = self.grammar.covers == CoversRule::Nothing;
        let problem = format!("is missing; `{}` needs it", kind.name());
        require(!needs.amount || hint || facts.amount.is_some(), format!("{field}.amount"), &problem)?;
        let ids = [
            ("transaction_id", needs.transaction_id, &facts.transaction_id),
            ("refund_id", needs.refund_id, &facts.refund_id),
            ("dispute_id", needs.dispute_id, &facts.dispute_id),
        ];
        for (id, needed, places) in ids {
            require(!needed || hint || !places.is_empty(), format!("{field}.{id}"), &problem)?;
        }
        Ok(())
    }
}

/// The names of the parameters that events are read from.
pub(in super::super) fn names_read(grammar: &Grammar) -> BTreeSet<String> {
    let mut places: Vec<&Place> = grammar.required.iter().collect();
    places.extend(grammar.identity.iter().map(|rule| &rule.at));
    for events in &grammar.events {
        places.extend(events.kind_name.places().chain(events.id.iter().flat_map(Template::places)));
        places.extend(events.occurred_at.iter().flat_map(|rule| &rule.at));
        places.extend(events.types.values().flat_map(|rule| &rule.kind_at));
        for facts in events.facts.values() {
            let ids = [&facts.subject_id, &facts.transaction_id, &facts.refund_id, &facts.dispute_id];
            let texts = ids.into_iter().chain([&facts.references, &facts.status]).flatten();
            places.extend(texts.flat_map(|fact| fact.0.places()));
            let amounts = facts.amount.iter();
            places.extend(
                amounts.flat_map(|rule| rule.at.iter().chain(&rule.currency).chain(&rule.decimals_at)),
            );
        }
    }
    places.into_iter().filter_map(own_name).map(str::to_owned).collect()
}

/// The facts without which an event of a kind would be counted wrongly.
pub(in super::super) struct Needs {
    pub(in super::super) amount: bool,
    pub(in super::super) transaction_id: bool,
    pub(in super::super) refund_id: bool,
    pub(in super::super) dispute_id: bool,
}

/// What an event of this kind must carry.
pub(in super::super) fn needs(kind: EventKind) -> Needs {
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
