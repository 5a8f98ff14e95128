//! The uniform event vocabulary.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Money, Reference, SubjectKind};
use crate::callback::UnixSeconds;

/// One fact that a provider has told, in the vocabulary that is the same for all of them.
///
/// `Ord` is total so that two readings of one event key merge the same way in any order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PaymentEvent {
    /// When we received it first; the earliest wins when it is delivered again.
    pub received_at: UnixSeconds,
    /// Stable across redeliveries: the provider's own event id where there is one, else a digest of the
    /// facts that identify it. Unique within account, provider and callback; see [`PaymentEvent::identified_by`].
    pub key: String,
    /// What happened.
    pub kind: EventKind,
    /// The provider's name.
    pub provider: String,
    /// The order number (or the mandate's, transfer's, sub-merchant's, token's id), when the event names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_id: Option<String>,
    /// The provider's id of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// The refund, for `refund.*`: the provider's or the merchant's id, the same in all its events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<String>,
    /// The dispute, for `dispute.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispute_id: Option<String>,
    /// The money that this event is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Whether `amount` is everything so far for the transaction (Alipay's `refund_fee`), not this event's share.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub amount_is_cumulative: bool,
    /// When it happened, by the provider's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<UnixSeconds>,
    /// Ids by which this and other events may find the order; see [`Reference`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// The provider's own word for what happened, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provider_status: String,
}

impl PaymentEvent {
    /// An event with the facts that every one has; the others are set on the result.
    pub fn new(kind: EventKind, provider: &str, key: impl Into<String>, received_at: UnixSeconds) -> Self {
        Self {
            received_at,
            key: key.into(),
            kind,
            provider: provider.to_owned(),
            subject_id: None,
            transaction_id: None,
            refund_id: None,
            dispute_id: None,
            amount: None,
            amount_is_cumulative: false,
            occurred_at: None,
            references: Vec::new(),
            provider_status: String::new(),
        }
    }

    /// A key for an event that the provider gives no id: a digest of the facts that identify it.
    pub fn identified_by(facts: &[&str]) -> String {
        let mut text = Vec::new();
        for fact in facts {
            text.extend_from_slice(&(fact.len() as u64).to_be_bytes());
            text.extend_from_slice(fact.as_bytes());
        }
        hex::encode(&crate::callback::signature::sha256(&text)[..16])
    }
}

macro_rules! event_kinds {
    ($($(#[$about:meta])* $variant:ident = $name:literal in $subject:ident,)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum EventKind {
            $($(#[$about])* #[serde(rename = $name)] $variant,)*
        }

        impl EventKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in the vocabulary, such as `payment.captured`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What kind of thing it is about.
            pub fn subject_kind(self) -> SubjectKind {
                match self { $(Self::$variant => SubjectKind::$subject,)* }
            }
        }
    };
}

event_kinds! {
    /// The payment has begun; nothing is certain.
    PaymentPending = "payment.pending" in Order,
    /// The money is reserved, not taken.
    PaymentAuthorized = "payment.authorized" in Order,
    /// The money is taken: paid.
    PaymentCaptured = "payment.captured" in Order,
    /// This attempt failed.
    PaymentFailed = "payment.failed" in Order,
    /// Given up by the merchant or the payer, or a reservation released.
    PaymentCancelled = "payment.cancelled" in Order,
    /// Not paid in time; the provider has closed it.
    PaymentExpired = "payment.expired" in Order,
    /// A refund has begun.
    RefundPending = "refund.pending" in Order,
    /// A refund went through.
    RefundSucceeded = "refund.succeeded" in Order,
    /// A refund failed.
    RefundFailed = "refund.failed" in Order,
    /// The payer disputes the payment.
    DisputeOpened = "dispute.opened" in Order,
    /// The merchant won the dispute.
    DisputeWon = "dispute.won" in Order,
    /// The merchant lost the dispute.
    DisputeLost = "dispute.lost" in Order,
    /// An agreement for later charges is in force.
    MandateSigned = "mandate.signed" in Mandate,
    /// An agreement has ended.
    MandateRevoked = "mandate.revoked" in Mandate,
    /// Money went out.
    TransferSucceeded = "transfer.succeeded" in Transfer,
    /// Money did not go out.
    TransferFailed = "transfer.failed" in Transfer,
    /// A sub-merchant is admitted.
    MerchantApproved = "merchant.approved" in Merchant,
    /// A sub-merchant is refused.
    MerchantRejected = "merchant.rejected" in Merchant,
    /// A wallet token has changed.
    TokenUpdated = "token.updated" in Token,
    /// A wallet token is void.
    TokenRevoked = "token.revoked" in Token,
}

impl EventKind {
    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
