//! Changing an account's key sets: a new one is added, both are tried for a while, the old one is retired.

use serde_json::{Map, Value};
use thiserror::Error;

use super::UnixSeconds;
use super::credentials::{Credentials, KEY_SETS_MAX, KeySet, KeyStatus};

/// Most retired key sets that are kept to be looked at; the oldest go first.
pub const RETIRED_MAX: usize = 4;
/// Most bytes of a key set's id.
pub const KEY_SET_ID_BYTES_MAX: usize = 64;

/// What became of a key set that was to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is active under this id.
    New(String),
    /// The same fields are active under this id already.
    Already(String),
}

/// Why key sets cannot be changed so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RotationError {
    /// Another key set has the id.
    #[error(
        "there is a key set `{0}` with other values already: give the new one another id, and retire the old one"
    )]
    IdTaken(String),
    /// The id could not be typed or listed.
    #[error(
        "`{0}` cannot be the id of a key set: letters, digits, `-`, `_` and `.`, at most {KEY_SET_ID_BYTES_MAX}"
    )]
    BadId(String),
    /// As many are active as are ever tried.
    #[error("{KEY_SETS_MAX} key sets are active already, and no more are tried: retire one first")]
    TooMany,
    /// No active key set has the id.
    #[error("there is no active key set `{id}`; active are: {}", list(active))]
    NoSuchId {
        /// The id that was asked for.
        id: String,
        /// Those that there are.
        active: Vec<String>,
    },
}

fn list(ids: &[String]) -> String {
    if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
}

impl Credentials {
    /// Adds an active key set; without an `id` it is called after the day. Adding the same fields again changes nothing.
    ///
    /// # Errors
    /// [`RotationError`].
    pub fn add(
        &mut self,
        id: Option<&str>,
        fields: Map<String, Value>,
        now: UnixSeconds,
    ) -> Result<Added, RotationError> {
        if let Some(bad) = id.filter(|id| !is_id(id)) {
            return Err(RotationError::BadId(bad.to_owned()));
        }
        let mut new = KeySet::new("", fields);
        new.added_at = Some(now);
        let same = |set: &&KeySet| set.status == KeyStatus::Active && set.has_same_fields(&new);
        let named = |set: &&KeySet| id.is_none_or(|id| set.id == id);
        if let Some(already) = self.key_sets.iter().filter(same).find(named) {
            return Ok(Added::Already(already.id.clone()));
        }
        if let Some(taken) = id.filter(|id| self.has(id)) {
            return Err(RotationError::IdTaken(taken.to_owned()));
        }
        if self.active().count() >= KEY_SETS_MAX {
            return Err(RotationError::TooMany);
        }
        new.id = id.map_or_else(|| self.id_of_day(now), str::to_owned);
        let id = new.id.clone();
        self.key_sets.push(new);
        Ok(Added::New(id))
    }

    /// Retires the active key set of this id: callbacks that it proves are refused from now on.
    ///
    /// # Errors
    /// [`RotationError::NoSuchId`].
    pub fn retire(&mut self, id: &str, now: UnixSeconds) -> Result<(), RotationError> {
        let active: Vec<String> = self.active().map(|set| set.id.clone()).collect();
        let is_it = |set: &&mut KeySet| set.status == KeyStatus::Active && set.id == id;
        let Some(set) = self.key_sets.iter_mut().find(is_it) else {
            return Err(RotationError::NoSuchId { id: id.to_owned(), active });
        };
        set.status = KeyStatus::Retired;
        set.retired_at = Some(now);
        self.forget_oldest_retired();
        Ok(())
    }

    fn has(&self, id: &str) -> bool {
        self.key_sets.iter().any(|set| set.id == id)
    }

    fn id_of_day(&self, now: UnixSeconds) -> String {
        let day = jiff::Timestamp::from_second(now.0).map_or_else(
            |_| "keys".to_owned(),
            |time| time.to_string().chars().take_while(|character| *character != 'T').collect(),
        );
        let mut id = day.clone();
        let mut number = 1;
        while self.has(&id) {
            number += 1;
            id = format!("{day}-{number}");
        }
        id
    }

    fn forget_oldest_retired(&mut self) {
        let mut retired: Vec<(Option<UnixSeconds>, String)> = self
            .key_sets
            .iter()
            .filter(|set| set.status == KeyStatus::Retired)
            .map(|set| (set.retired_at, set.id.clone()))
            .collect();
        retired.sort();
        let too_many = retired.len().saturating_sub(RETIRED_MAX);
        let forgotten: Vec<String> = retired.into_iter().take(too_many).map(|(_, id)| id).collect();
        self.key_sets.retain(|set| set.status == KeyStatus::Active || !forgotten.contains(&set.id));
    }
}

fn is_id(id: &str) -> bool {
    (1..=KEY_SET_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 2026-01-01T00:00:00Z.
    const NOW: UnixSeconds = UnixSeconds(1_767_225_600);

    fn fields(secret: &str) -> Map<String, Value> {
        Map::from_iter([("secret".to_owned(), json!(secret))])
    }

    fn ids(credentials: &Credentials) -> Vec<&str> {
        credentials.active().map(|set| set.id.as_str()).collect()
    }

    #[test]
    fn a_set_is_called_after_the_day_and_added_once() {
        let mut credentials = Credentials::default();
        let mut add = |id: Option<&str>, secret: &str| credentials.add(id, fields(secret), NOW);
        for (id, secret, expected) in [
            (None, "a", Ok(Added::New("2026-01-01".to_owned()))),
            (None, "a", Ok(Added::Already("2026-01-01".to_owned()))),
            (None, "b", Ok(Added::New("2026-01-01-2".to_owned()))),
            (Some("c"), "c", Ok(Added::New("c".to_owned()))),
            (Some("c"), "c", Ok(Added::Already("c".to_owned()))),
            (Some("c"), "d", Err(RotationError::IdTaken("c".to_owned()))),
            (Some("a b"), "d", Err(RotationError::BadId("a b".to_owned()))),
            (Some(""), "d", Err(RotationError::BadId(String::new()))),
        ] {
            assert_eq!(add(id, secret), expected, "{id:?} {secret}");
        }
        assert_eq!(ids(&credentials), ["2026-01-01", "2026-01-01-2", "c"]);
    }

    #[test]
    fn f17_a_retired_set_is_no_longer_tried_and_the_oldest_are_forgotten() {
        let mut credentials = Credentials::default();
        for number in 0..KEY_SETS_MAX {
            credentials.add(Some(&format!("k{number}")), fields(&number.to_string()), NOW).unwrap();
        }
        assert_eq!(credentials.add(Some("more"), fields("more"), NOW), Err(RotationError::TooMany));
        for (later, id) in (0..).zip(["k3", "k1", "k0", "k5", "k7"]) {
            credentials.retire(id, UnixSeconds(NOW.0 + later)).unwrap();
        }
        assert_eq!(ids(&credentials), ["k2", "k4", "k6"]);
        assert_eq!(credentials.key_sets.len(), 3 + RETIRED_MAX);
        assert!(!credentials.has("k3"), "the oldest is forgotten");
        let again = credentials.retire("k1", NOW).unwrap_err().to_string();
        assert_eq!(again, "there is no active key set `k1`; active are: k2, k4, k6");
        let taken = credentials.add(Some("k1"), fields("1"), NOW);
        assert_eq!(taken, Err(RotationError::IdTaken("k1".to_owned())), "a retired set does not come back");
    }

    #[test]
    fn a_fingerprint_depends_on_values_and_not_on_order() {
        let set = |text: &str| KeySet::new("k", serde_json::from_str(text).unwrap()).fingerprint();
        let one = set(r#"{"a":"1","b":{"x":["1"],"y":"2"}}"#);
        assert_eq!(one.len(), 16);
        assert_eq!(one, set(r#"{"b":{"y":"2","x":["1"]},"a":"1"}"#));
        for other in [r#"{"a":"1","b":{"x":["1"],"y":"3"}}"#, r#"{"a":"1"}"#, "{}"] {
            assert_ne!(one, set(other), "{other}");
        }
    }
}
