//! The part of the grammar that says how events are read.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::grammar::TimeUnit;
use super::place::Place;
use super::template::{Fact, Template};

/// How the events are read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsRule {
    /// The place that a request must have; a table without it reads the requests that have none of the other tables'.
    #[serde(default)]
    pub when: Option<Place>,
    /// Pointer to an array with one event each; then places are usually `item:`.
    #[serde(default)]
    pub items: Option<String>,
    /// In an answer: where the callback has the order's id by which it was asked about. Answers need not repeat it.
    #[serde(default)]
    pub subject_asked: Option<Place>,
    /// The provider's event id, the first that is there; without one the identifying facts are digested.
    #[serde(default)]
    pub id: Vec<Template>,
    /// The provider's name of what happened.
    #[serde(rename = "type")]
    pub kind_name: Template,
    #[serde(default)]
    pub occurred_at: Option<OccurredAtRule>,
    /// Decimals of minor units where the provider's table differs from ISO 4217.
    #[serde(default)]
    pub exponents: BTreeMap<String, u8>,
    /// What each type means; a type that is not listed is ignored.
    pub types: BTreeMap<String, TypeRule>,
    /// Where the facts are, by name.
    #[serde(default)]
    pub facts: BTreeMap<String, FactsRule>,
}

/// When it happened.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OccurredAtRule {
    pub at: Vec<Place>,
    pub unit: TimeUnit,
}

/// What one type means: a `kind` of our vocabulary (or `ignored`, or `ask` where the provider must be asked), or one
/// chosen by the value at a place.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TypeRule {
    #[serde(default)]
    pub kind: Option<String>,
    /// The place whose value chooses the kind; a value that is not listed is ignored.
    #[serde(default)]
    pub kind_at: Option<Place>,
    #[serde(default)]
    pub kinds: BTreeMap<String, String>,
    /// The name of the facts; nothing to read when ignored.
    #[serde(default)]
    pub facts: Option<String>,
}

/// Where an event's facts are; of several the first that is there counts. Each is a place, or a text with places in
/// braces where the provider's ids are unique only beside something else.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FactsRule {
    /// The order number, or the mandate's, transfer's, sub-merchant's, token's id.
    pub subject_id: Vec<Fact>,
    pub transaction_id: Vec<Fact>,
    pub refund_id: Vec<Fact>,
    pub dispute_id: Vec<Fact>,
    pub amount: Option<AmountRule>,
    /// Every one that is there becomes a reference.
    pub references: Vec<Fact>,
    /// The provider's own word for the state.
    pub status: Vec<Fact>,
}

/// An amount of money.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AmountRule {
    pub at: Vec<Place>,
    pub unit: AmountUnit,
    /// Where the currency's code is.
    #[serde(default)]
    pub currency: Vec<Place>,
    /// The currency's code, where the provider knows only one.
    #[serde(default)]
    pub fixed_currency: Option<String>,
    /// Where the number of decimals of the minor units is, for tokens of a chain.
    #[serde(default)]
    pub decimals_at: Option<Place>,
    /// Whether it is everything so far for the transaction, not this event's share.
    #[serde(default)]
    pub cumulative: bool,
}

/// The unit of an amount on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AmountUnit {
    Minor,
    Major,
}

/// Reads a table, or an array of tables.
pub(super) fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct OneOrMany<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table or an array of tables")
        }

        fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(table)).map(|rule| vec![rule])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut tables: A) -> Result<Self::Value, A::Error> {
            let mut rules = Vec::new();
            while let Some(rule) = tables.next_element()? {
                rules.push(rule);
            }
            Ok(rules)
        }
    }
    deserializer.deserialize_any(OneOrMany(PhantomData))
}
