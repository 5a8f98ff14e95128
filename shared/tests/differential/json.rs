//! Our JSON, which keeps numbers as they are written and refuses repeated names, against serde_json's own values.

use std::fmt;

use paybell_shared::callback::json::{DEPTH_MAX, Json};
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{damaged, pieces};

const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"a\"",
    "\"b\"",
    "\"\\u0061\"",
    "\"\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "1",
    "-0",
    "10.00",
    "1e999999",
    "1E-7",
    "01",
    ".5",
    "29383937493038367292",
    "true",
    "false",
    "null",
    " ",
    "\n",
    "{\"a\":",
    "[[[[[[[[",
    "]]]]]]]]",
];

/// What serde_json sees, every member of an object included.
enum Seen {
    Array(Vec<Seen>),
    Object(Vec<(String, Seen)>),
    Other,
}

impl Seen {
    fn has_repeated_name(&self) -> bool {
        match self {
            Self::Other => false,
            Self::Array(members) => members.iter().any(Self::has_repeated_name),
            Self::Object(members) => {
                let mut names: Vec<&String> = members.iter().map(|(name, _)| name).collect();
                names.sort_unstable();
                names.windows(2).any(|pair| pair[0] == pair[1])
                    || members.iter().any(|(_, member)| member.has_repeated_name())
            }
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::Other => 0,
            Self::Array(members) => 1 + members.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(members) => 1 + members.iter().map(|(_, member)| member.depth()).max().unwrap_or(0),
        }
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Seen;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Seen, E> {
                Ok(Seen::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
                Ok(Seen::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Seen, E> {
                Ok(Seen::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
                Ok(Seen::Other)
            }

            fn visit_str<E>(self, _: &str) -> Result<Seen, E> {
                Ok(Seen::Other)
            }

            fn visit_unit<E>(self) -> Result<Seen, E> {
                Ok(Seen::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Seen, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = access.next_element()? {
                    members.push(member);
                }
                Ok(Seen::Array(members))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Seen, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = access.next_entry()? {
                    members.push(member);
                }
                Ok(Seen::Object(members))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Whether both are the same; a number of theirs is ours as a floating-point number, whose last bits serde_json rounds
/// otherwise than the standard library.
fn same(ours: &Json, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(ours), Value::Bool(theirs)) => ours == theirs,
        (Json::Text(ours), Value::String(theirs)) => ours == theirs,
        (Json::Number(ours), Value::Number(theirs)) => {
            let (ours, theirs): (f64, f64) = (ours.parse().unwrap(), theirs.as_f64().unwrap());
            (ours - theirs).abs() <= ours.abs() * 1e-15
        }
        (Json::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Json::Object(ours), Value::Object(theirs)) => {
            let same_member =
                |(name, ours): (&String, &Json)| theirs.get(name).is_some_and(|theirs| same(ours, theirs));
            ours.len() == theirs.len() && ours.iter().all(same_member)
        }
        _ => false,
    }
}

fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    let value = leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,3}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    value.prop_map(|value| value.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn f13_json_is_read_as_serde_json_reads_it(
        body in prop_oneof![pieces(WORDS), damaged(document())],
    ) {
        let theirs: Result<Value, _> = serde_json::from_slice(&body);
        match (Json::parse(&body), theirs) {
            (Ok(ours), Ok(theirs)) => prop_assert!(same(&ours, &theirs), "{ours} is not {theirs}"),
            // A number beyond a floating-point number is a text to us; whoever wants an amount refuses it.
            (Ok(_), Err(error)) => prop_assert!(error.to_string().starts_with("number out of range"), "{error}"),
            (Err(_), Ok(_)) => {
                let seen: Seen = serde_json::from_slice(&body).unwrap();
                prop_assert!(seen.has_repeated_name() || seen.depth() > DEPTH_MAX);
            }
            (Err(_), Err(_)) => {}
        }
    }
}
