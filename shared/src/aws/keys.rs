//! The keys of all items. They are made here and nowhere else, and each contains the account that the item belongs to,
//! so no call for one account can name another's item. Three do not, because they are looked up by whom the account is
//! not known of yet: a ticket and an API key by their hashes, which are found only by who holds the secret, and a
//! connection by the id that the gateway has given it.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::domain::{Reference, Subject};

/// First part of an order's key; value of the attribute `item`, at which the stream's filter looks.
pub(super) const ORDER: &str = "order";
/// First part of a reference's key; value of the attribute `item`.
pub(super) const REFERENCE: &str = "reference";
/// First part of the key of an account's own item.
pub(super) const ACCOUNT: &str = "account";
/// First part of the key of an account's credentials for a provider.
pub(super) const CREDENTIALS: &str = "credentials";
/// First part of an API key's key.
pub(super) const API_KEY: &str = "api_key";

const SEPARATOR: AsciiSet = CONTROLS.add(b'#').add(b'%');

/// An order, in the table of orders.
pub(super) fn order(subject: &Subject) -> String {
    compose(&[ORDER, &subject.account, subject.kind.name(), &subject.id])
}

/// A reference of an account, in the table of orders.
pub(super) fn reference(account: &str, reference: &Reference) -> String {
    compose(&[REFERENCE, account, &reference.0])
}

/// A subject as a member of a reference's set.
pub(super) fn subject(subject: &Subject) -> String {
    compose(&[&subject.account, subject.kind.name(), &subject.id])
}

/// A user's orders, in the index of the table of orders.
pub(super) fn orders_of_user(account: &str, user: &str) -> String {
    compose(&[account, user])
}

/// A user's notifications, in the table of inboxes.
pub(super) fn inbox(account: &str, user: &str) -> String {
    compose(&[account, user])
}

/// A user's open WebSockets, in the table of connections.
pub(super) fn connections_of_user(account: &str, user: &str) -> String {
    compose(&["user", account, user])
}

/// A connection by its id; without the account.
pub(super) fn connection(connection_id: &str) -> String {
    compose(&["connection", connection_id])
}

/// A ticket; without the account.
pub(super) fn ticket(ticket_sha256_hex: &str) -> String {
    compose(&["ticket", ticket_sha256_hex])
}

/// What says that an account exists.
pub(super) fn account(account: &str) -> String {
    compose(&[ACCOUNT, account])
}

/// An account's credentials for a provider, or where they are.
pub(super) fn credentials(account: &str, provider: &str) -> String {
    compose(&[CREDENTIALS, account, provider])
}

/// An API key; without the account.
pub(super) fn api_key(api_key_sha256_hex: &str) -> String {
    compose(&[API_KEY, api_key_sha256_hex])
}

/// Joins the parts of a key by `#` so that different parts never give the same key.
fn compose(parts: &[&str]) -> String {
    let escaped: Vec<String> =
        parts.iter().map(|part| utf8_percent_encode(part, &SEPARATOR).to_string()).collect();
    escaped.join("#")
}

/// The parts that a key was made of; `None` when one of them is no text.
pub(super) fn parts(key: &str) -> Option<Vec<String>> {
    let parts = key.split('#').map(|part| percent_decode_str(part).decode_utf8());
    parts.map(|part| part.map(|part| part.into_owned()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::callback::ACCOUNT_BYTES_MAX;
    use crate::domain::SubjectKind;
    use crate::providers::ID_BYTES_MAX;

    /// # Source
    /// Amazon DynamoDB Developer Guide, "Quotas": partition keys have at most 2048 bytes.
    const PARTITION_KEY_BYTES_MAX: usize = 2048;

    /// A maker of keys, of an account and two other names.
    type Maker = fn(&str, &str, &str) -> String;

    /// All that contain the account, by table: keys of different tables never meet.
    const MAKERS: &[(&str, &[Maker])] = &[
        (
            "orders",
            &[
                |account, id, _| order(&subject_of(account, SubjectKind::Order, id)),
                |account, id, _| order(&subject_of(account, SubjectKind::Mandate, id)),
                |account, id, _| reference(account, &Reference(id.to_owned())),
            ],
        ),
        ("orders by user", &[|account, user, _| orders_of_user(account, user)]),
        (
            "subjects of a reference",
            &[|account, id, _| subject(&subject_of(account, SubjectKind::Order, id))],
        ),
        ("inbox", &[|account, user, _| inbox(account, user)]),
        (
            "connections",
            &[
                |account, user, _| connections_of_user(account, user),
                |_, _, hash| ticket(hash),
                |_, _, id| connection(id),
            ],
        ),
        (
            "accounts",
            &[
                |account, _, _| super::account(account),
                |account, provider, _| credentials(account, provider),
                |_, _, hash| api_key(hash),
            ],
        ),
    ];

    fn subject_of(account: &str, kind: SubjectKind, id: &str) -> Subject {
        Subject { account: account.to_owned(), kind, id: id.to_owned() }
    }

    /// Names that are made to look like something else, and any others.
    fn name() -> impl Strategy<Value = String> {
        let pieces = vec(
            prop_oneof![
                Just("a"),
                Just("#"),
                Just("%23"),
                Just("%2523"),
                Just("%"),
                Just(".."),
                Just("/"),
                Just(""),
                Just("order"),
                Just("reference"),
                Just("user"),
                Just("账户"),
                Just("\u{0}"),
                Just("\u{202e}"),
            ],
            0..6,
        );
        prop_oneof![pieces.prop_map(|pieces| pieces.concat()), any::<String>()]
    }

    proptest! {
        #[test]
        fn different_parts_never_give_the_same_key(one in vec(name(), 1..5), other in vec(name(), 1..5)) {
            let text = |names: &[String]| compose(&names.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(parts(&text(&one)), Some(one.clone()));
            prop_assert_eq!(text(&one) == text(&other), one == other);
        }

        /// Whatever two accounts call their things, and whichever of a table's keys are made of the names.
        #[test]
        fn two_accounts_never_have_the_same_key(
            (one, other) in (name(), name()).prop_filter("accounts differ", |(one, other)| one != other),
            names in vec(name(), 4..5),
        ) {
            for (table, makers) in MAKERS {
                for (index, first) in makers.iter().enumerate() {
                    for (other_index, second) in makers.iter().enumerate() {
                        if index == other_index && is_without_account(*first) {
                            continue;
                        }
                        let first = first(&one, &names[0], &names[1]);
                        let second = second(&other, &names[2], &names[3]);
                        prop_assert_ne!(first, second, "{}", table);
                    }
                }
            }
        }
    }

    fn is_without_account(maker: Maker) -> bool {
        maker("acme", "x", "y") == maker("shop", "x", "y")
    }

    #[test]
    fn every_key_but_three_contains_its_account() {
        let mut without = Vec::new();
        for (table, makers) in MAKERS {
            for maker in *makers {
                let key = maker("acme", "x", "y");
                if is_without_account(*maker) {
                    without.push(key);
                } else {
                    assert!(parts(&key).unwrap().contains(&"acme".to_owned()), "{table}: {key}");
                }
            }
        }
        assert_eq!(without, ["ticket#y", "connection#y", "api_key#y"]);
    }

    /// Or else what is asked of every maker would not be asked of a new one.
    #[test]
    fn every_maker_of_this_file_is_in_the_table() {
        let source = include_str!("keys.rs");
        let (makers, _) = source.split_once("#[cfg(test)]").unwrap();
        assert_eq!(makers.matches("    compose(&[").count(), 11, "a new maker belongs into MAKERS");
        assert!(!makers.contains("pub(super) fn compose") && !makers.contains("pub fn compose"));
    }

    #[test]
    fn the_longest_names_fit_into_a_key() {
        let account = "a".repeat(ACCOUNT_BYTES_MAX);
        // Each byte of what is not ASCII becomes three.
        let id = "\u{e9}".repeat(ID_BYTES_MAX / 2);
        for (table, makers) in MAKERS {
            for maker in *makers {
                let key = maker(&account, &id, &"f".repeat(64));
                assert!(key.len() <= PARTITION_KEY_BYTES_MAX, "{table}: {} bytes", key.len());
            }
        }
    }
}
