//! What an event is about.

use serde::{Deserialize, Serialize};

/// What kind of thing an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A merchant's order: payments, refunds, disputes.
    Order,
    /// An agreement to be charged again: withhold agreements, recurring payments.
    Mandate,
    /// Money going out: payouts, settlements, profit sharing.
    Transfer,
    /// A sub-merchant being onboarded.
    Merchant,
    /// A wallet token.
    Token,
}

impl SubjectKind {
    /// All kinds.
    pub const ALL: &'static [Self] =
        &[Self::Order, Self::Mandate, Self::Transfer, Self::Merchant, Self::Token];

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The name used in keys and texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Mandate => "mandate",
            Self::Transfer => "transfer",
            Self::Merchant => "merchant",
            Self::Token => "token",
        }
    }
}

/// One thing that events fold into: an account's order, mandate, transfer, sub-merchant or token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The account.
    pub account: String,
    /// What kind of thing.
    pub kind: SubjectKind,
    /// Its id: the merchant's order number, else the provider's id of it.
    pub id: String,
}

/// An id under which later events may name an order without its order number,
/// such as a Stripe charge or a PayPal capture. Unique within the account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(pub String);

impl Reference {
    /// The reference of a provider's id.
    pub fn new(provider: &str, id: &str) -> Self {
        Self(format!("{provider}:{id}"))
    }

    /// What stands before the colon, which may be a provider's name, and the id behind it.
    pub fn parts(&self) -> Option<(&str, &str)> {
        self.0.split_once(':')
    }
}
