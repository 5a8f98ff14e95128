//! What is derived from an order: where it stands, and the money of each transaction.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Currency;
use crate::callback::UnixSeconds;

/// Where an order stands, derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Registered, nothing heard.
    Created,
    /// Events without a registration.
    Unclaimed,
    /// Begun.
    Pending,
    /// Money reserved.
    Authorized,
    /// Money taken, as expected.
    Paid,
    /// Paid, part of it given back.
    PartiallyRefunded,
    /// Paid, all of it given back.
    Refunded,
    /// A dispute is open.
    Disputed,
    /// A dispute was lost.
    ChargedBack,
    /// The last word is a failure.
    Failed,
    /// Given up.
    Cancelled,
    /// Not paid in time.
    Expired,
    /// Paid after expiry or closing.
    LatePaid,
    /// Two transactions paid for one order.
    Overpaid,
    /// Something contradicts what is expected; a person must look.
    Held,
    /// For subjects other than orders: in force, done, admitted.
    Active,
    /// For subjects other than orders: ended, failed, refused.
    Inactive,
}

impl Status {
    /// All statuses.
    pub const ALL: &'static [Self] = &[
        Self::Created,
        Self::Unclaimed,
        Self::Pending,
        Self::Authorized,
        Self::Paid,
        Self::PartiallyRefunded,
        Self::Refunded,
        Self::Disputed,
        Self::ChargedBack,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
        Self::LatePaid,
        Self::Overpaid,
        Self::Held,
        Self::Active,
        Self::Inactive,
    ];

    /// The name in storage and on the wire, such as `late_paid`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Unclaimed => "unclaimed",
            Self::Pending => "pending",
            Self::Authorized => "authorized",
            Self::Paid => "paid",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Disputed => "disputed",
            Self::ChargedBack => "charged_back",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::LatePaid => "late_paid",
            Self::Overpaid => "overpaid",
            Self::Held => "held",
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }
}

/// Why an order is held, overpaid or late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// What was taken is not what is expected.
    AmountMismatch,
    /// Money was taken and the provider did not say how much.
    AmountMissing,
    /// Money moved in another currency than expected, or than the transaction's.
    CurrencyMismatch,
    /// More was given back than was taken, by refunds and lost disputes together.
    RefundExceedsCaptured,
    /// Money was given back and the provider did not say how much.
    RefundAmountMissing,
    /// A reference of this order is claimed by another one too.
    SharedReference,
    /// More than one transaction paid, and the surplus is not given back yet.
    SurplusTransaction,
    /// Paid after the order's expiry.
    PaidAfterExpiry,
    /// Paid after the order was cancelled or closed.
    PaidAfterClosing,
}

impl Reason {
    /// All reasons.
    pub const ALL: &'static [Self] = &[
        Self::AmountMismatch,
        Self::AmountMissing,
        Self::CurrencyMismatch,
        Self::RefundExceedsCaptured,
        Self::RefundAmountMissing,
        Self::SharedReference,
        Self::SurplusTransaction,
        Self::PaidAfterExpiry,
        Self::PaidAfterClosing,
    ];

    /// The name in storage and on the wire, such as `amount_mismatch`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AmountMismatch => "amount_mismatch",
            Self::AmountMissing => "amount_missing",
            Self::CurrencyMismatch => "currency_mismatch",
            Self::RefundExceedsCaptured => "refund_exceeds_captured",
            Self::RefundAmountMissing => "refund_amount_missing",
            Self::SharedReference => "shared_reference",
            Self::SurplusTransaction => "surplus_transaction",
            Self::PaidAfterExpiry => "paid_after_expiry",
            Self::PaidAfterClosing => "paid_after_closing",
        }
    }

    /// Whether it holds the order until a person has looked.
    pub fn holds(self) -> bool {
        !matches!(self, Self::SurplusTransaction | Self::PaidAfterExpiry | Self::PaidAfterClosing)
    }

    /// Whether it doubts that the captured money pays for this order, so that nobody is told it is paid.
    pub fn doubts_payment(self) -> bool {
        self.holds() && !matches!(self, Self::RefundExceedsCaptured | Self::RefundAmountMissing)
    }
}

/// Everything derived from an order's events and expectation by one pure function.
///
/// Sums are in minor units of `currency` and leave out money in other currencies, which
/// [`Reason::CurrencyMismatch`] names. In storage amounts are texts, as in [`super::Money`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderState {
    /// Where it stands.
    pub status: Status,
    /// Why it is held, overpaid or late; empty otherwise.
    #[serde(default)]
    pub reasons: BTreeSet<Reason>,
    /// The expected currency, else that of the first money seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// Reserved, whether taken since or not; released reservations are left out.
    #[serde(with = "minor_text")]
    pub authorized_minor: i128,
    /// Taken, by all transactions together.
    #[serde(with = "minor_text")]
    pub captured_minor: i128,
    /// Given back, of what was taken.
    #[serde(with = "minor_text")]
    pub refunded_minor: i128,
    /// In open or lost disputes.
    #[serde(with = "minor_text")]
    pub disputed_minor: i128,
    /// Surplus transactions that must be given back.
    #[serde(default)]
    pub refund_due: Vec<RefundDue>,
    /// Each transaction, by provider and id.
    #[serde(default)]
    pub transactions: Vec<TransactionState>,
    /// For subjects other than orders: the fact that is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
}

/// The fact in force for a mandate, transfer, sub-merchant or token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What happened last, by time.
    pub kind: super::EventKind,
    /// How many times it has come to this, other facts between: signed, revoked and signed again is 2.
    pub times: u32,
    /// The money that went out, for a transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<super::Money>,
}

/// A surplus that must be given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundDue {
    /// The provider's name.
    pub provider: String,
    /// The provider's id of the payment; empty when it named none.
    pub transaction_id: String,
    /// What is still to be given back, in minor units of the order's currency.
    #[serde(with = "minor_text")]
    pub amount_minor: i128,
}

/// One payment at a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionState {
    /// The provider's name.
    pub provider: String,
    /// The provider's id of the payment; empty when it named none.
    pub transaction_id: String,
    /// How far it came.
    pub status: TransactionStatus,
    /// The currency of its money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// The most that was told to be reserved.
    #[serde(with = "minor_text")]
    pub authorized_minor: i128,
    /// The most that was told to be taken.
    #[serde(with = "minor_text")]
    pub captured_minor: i128,
    /// Given back; see [`RefundState`].
    #[serde(with = "minor_text")]
    pub refunded_minor: i128,
    /// In open or lost disputes.
    #[serde(with = "minor_text")]
    pub disputed_minor: i128,
    /// When it was captured, by the provider's clock where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<UnixSeconds>,
    /// When it was cancelled or expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<UnixSeconds>,
    /// Its refunds by id.
    #[serde(default)]
    pub refunds: Vec<RefundState>,
    /// Its disputes by id.
    #[serde(default)]
    pub disputes: Vec<DisputeState>,
    /// Something about its money does not fit together.
    #[serde(default)]
    pub reasons: BTreeSet<Reason>,
}

/// How far a transaction came. The order is the rank: the highest one told wins, whenever it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionStatus {
    /// Only its refunds or disputes are known.
    Unseen,
    /// Begun.
    Pending,
    /// An attempt failed; another one of the same transaction may follow.
    Failed,
    /// Reserved.
    Authorized,
    /// Closed without payment.
    Expired,
    /// Given up, or its reservation released.
    Cancelled,
    /// Taken.
    Captured,
}

/// One refund.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundState {
    /// The refund's id, else the key of its only event.
    pub refund_id: String,
    /// How far it came.
    pub status: RefundStatus,
    /// Its amount.
    #[serde(with = "minor_text")]
    pub amount_minor: i128,
    /// Whether the amount is everything given back so far of the transaction.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub amount_is_cumulative: bool,
}

/// How far a refund came. A failure is reported after a success too (the card was closed), so it ranks above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// Begun.
    Pending,
    /// Given back.
    Succeeded,
    /// Not given back.
    Failed,
}

/// One dispute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeState {
    /// The dispute's id, else the transaction's.
    pub dispute_id: String,
    /// How far it came.
    pub status: DisputeStatus,
    /// Its amount; all of the transaction that is not refunded when the provider does not say.
    #[serde(with = "minor_text")]
    pub amount_minor: i128,
}

/// How far a dispute came. A dispute that was won may be lost in arbitration, so a loss ranks above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// Undecided.
    Opened,
    /// The merchant keeps the money.
    Won,
    /// The payer has it back.
    Lost,
}

/// Amounts are texts in storage: 18-decimal assets do not fit the integers of common JSON readers.
mod minor_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(amount_minor: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(amount_minor)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
