//! What came of a storm, held against what its callbacks say.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};
use paybell_cli::simulate::Outcome;
use serde_json::{Value, json};

use super::{PlannedOrder, Storm};
use crate::api::Api;
use crate::told;

/// Orders that are read at once.
const READS_AT_ONCE: usize = 24;
/// How many of the faults of one kind are shown.
const SHOWN_MAX: usize = 10;

/// What is not as the callbacks say, and how much was looked at.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Events that are in no order, and notifications that are in no inbox.
    pub lost: Vec<String>,
    /// Events that an order has twice or should not have, and notifications that there are too many of.
    pub doubled: Vec<String>,
    /// Orders with the right events and another status or other sums.
    pub wrong: Vec<String>,
    /// What the orders' changes are to tell their users.
    pub changes: usize,
    /// The notifications in the inboxes.
    pub told: usize,
    /// Notifications in the inboxes of a moment that passed, such as an order that was held while its refund had
    /// overtaken its payment. Whether there was such a moment is a matter of chance.
    pub passing: usize,
}

impl Tally {
    /// Adds what another one has found.
    pub fn add(&mut self, other: Self) {
        self.lost.extend(other.lost);
        self.doubled.extend(other.doubled);
        self.wrong.extend(other.wrong);
        self.changes += other.changes;
        self.told += other.told;
        self.passing += other.passing;
    }

    /// Fails unless nothing was lost, doubled or wrong.
    pub fn assert_faultless(&self) {
        for (what, faults) in [("lost", &self.lost), ("double", &self.doubled), ("wrong", &self.wrong)] {
            let some = &faults[..faults.len().min(SHOWN_MAX)];
            assert!(faults.is_empty(), "{} {what}, such as {some:#?}", faults.len());
        }
    }
}

impl Storm {
    /// Holds every order against what its callbacks say.
    pub async fn tally_orders(&self, api: &Api) -> Tally {
        let tallies =
            stream::iter(&self.orders).map(|order| order.tally(api)).buffer_unordered(READS_AT_ONCE);
        tallies
            .fold(Tally::default(), async |mut all, tally| {
                all.add(tally);
                all
            })
            .await
    }

    /// Holds a user's notifications against what the user's orders mean.
    pub fn tally_told(&self, user: &str, told: &BTreeMap<String, Value>) -> Tally {
        let mut tally = Tally { told: told.len(), ..Tally::default() };
        let mut by_order = BTreeMap::<&str, Vec<&Value>>::new();
        for told in told.values() {
            by_order.entry(told::text(told, "order_id")).or_default().push(told);
        }
        for order in self.orders.iter().filter(|order| order.user == user) {
            let id = order.facts.order_id.as_str();
            let told = by_order.remove(id).unwrap_or_default();
            let expected = told::expected_kinds(order.provider, order.scenario, order.outcome);
            let all = told::kinds(told.iter().copied());
            let counted = told::kinds_that_count(order.provider, order.scenario, told.iter().copied());
            tally.changes += expected.values().sum::<usize>();
            for (kind, count) in all.iter().filter(|(kind, _)| !counted.contains_key(*kind)) {
                tally.passing += count;
                let fault = || format!("`{kind}` of {id} to {user}: {count} times, in passing");
                tally.doubled.extend((*count > 1).then(fault));
            }
            for kind in expected.keys().chain(counted.keys()).collect::<BTreeSet<_>>() {
                let count = |kinds: &BTreeMap<String, usize>| kinds.get(kind).copied().unwrap_or_default();
                let (wanted, got) = (count(&expected), count(&counted));
                let fault = || format!("`{kind}` of {id} to {user}: {got} times, not {wanted}");
                tally.lost.extend((got < wanted).then(fault));
                tally.doubled.extend((got > wanted).then(fault));
            }
        }
        tally
            .doubled
            .extend(by_order.keys().map(|id| format!("{user} was told of {id}, which is not theirs")));
        tally
    }
}

impl PlannedOrder {
    async fn tally(&self, api: &Api) -> Tally {
        let mut tally = Tally::default();
        let id = &self.facts.order_id;
        let order = api.order_if_any(id).await;
        let listed = order["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        let keys = listed
            .iter()
            .map(|event| (told::text(event, "provider").to_owned(), told::text(event, "key").to_owned()));
        let keys: BTreeSet<(String, String)> = keys.collect();
        let name = |(provider, key): &(String, String)| format!("event {key} of {provider} for {id}");
        tally.lost.extend(self.events.difference(&keys).map(name));
        tally.doubled.extend(keys.difference(&self.events).map(name));
        if listed.len() > keys.len() {
            tally.doubled.push(format!("{} events are {} in {id}", keys.len(), listed.len()));
        }
        if let Outcome::Is { status, captured_minor, refunded_minor } = self.outcome {
            let got = json!([order["status"], order["captured_minor"], order["refunded_minor"]]);
            let expected = json!([status, captured_minor, refunded_minor]);
            tally.wrong.extend((got != expected).then(|| format!("{id} is {got}, not {expected}")));
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use paybell_cli::simulate::{Facts, Scenario};
    use paybell_shared::callback::UnixSeconds;
    use paybell_shared::domain::{Currency, Money, SubjectKind};
    use paybell_shared::providers::Registry;

    use super::*;
    use crate::storm::Mix;

    /// A storm with one order of `anna`'s, which was paid and refunded.
    fn storm() -> Storm {
        let mut storm = Storm::new(Mix { duplicates_percent: 0, moved_percent: 0, users: 1 });
        let euro = Currency::new("EUR").expect("it is a currency");
        storm.orders.push(PlannedOrder {
            provider: Registry::default().find("standard_webhooks").expect("it is built in"),
            facts: Facts {
                kind: SubjectKind::Order,
                account: "demo".to_owned(),
                order_id: "one".to_owned(),
                amount: Money::from_minor(1_999, euro).expect("it is not negative"),
                now: UnixSeconds(0),
                references: Vec::new(),
            },
            user: "anna".to_owned(),
            scenario: Scenario::Refunded,
            outcome: Outcome::Is { status: "refunded", captured_minor: 1_999, refunded_minor: 1_999 },
            events: BTreeSet::new(),
        });
        storm
    }

    #[test]
    fn an_inbox_that_is_not_what_the_changes_mean_is_found() {
        let complete = ["payment.captured", "refund.succeeded"];
        for (more, lost, doubled) in [
            (&[][..], 0, 0),
            (&["order.held"], 0, 0),
            (&["order.held", "order.held"], 0, 1),
            (&["payment.pending"], 0, 1),
            (&["payment.captured"], 0, 1),
        ] {
            let kinds = complete.iter().chain(more).enumerate();
            let told =
                kinds.map(|(number, kind)| (number.to_string(), json!({"order_id": "one", "kind": kind})));
            let tally = storm().tally_told("anna", &told.collect());
            assert_eq!((tally.lost.len(), tally.doubled.len()), (lost, doubled), "{more:?}: {tally:?}");
        }
        assert_eq!(storm().tally_told("anna", &BTreeMap::new()).lost.len(), complete.len());
    }
}
