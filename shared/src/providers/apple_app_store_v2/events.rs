//! Notifications in our vocabulary; see `fixtures/apple_app_store_v2/MAPPING.md`.

use crate::callback::json::Json;
use crate::callback::{UnixSeconds, Verified};
use crate::domain::{EventKind, Money, PaymentEvent, Reference};
use crate::providers::MappingError;
use crate::providers::described::money_on_the_wire;

/// What it may tell.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::RefundPending,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::MandateSigned,
    EventKind::MandateRevoked,
];

/// Prices are thousandths of the currency's unit, whatever its decimals.
const PRICE_DECIMALS: u8 = 3;
/// Hundred percent, in thousandths.
const WHOLE_PERCENTAGE: i128 = 100_000;

pub(super) fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let content = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let notice = Notice { content: &content, received_at: verified.received_at() };
    let type_name = notice.required("/notification/notificationType")?;
    let subtype = content.text("/notification/subtype").unwrap_or_default();
    match (type_name, subtype) {
        ("ONE_TIME_CHARGE", _) if notice.is_shared() => Ok(Vec::new()),
        ("ONE_TIME_CHARGE", _) => Ok(vec![notice.payment(true)?]),
        // The family's other members have the subscription and pay nothing.
        ("SUBSCRIBED", _) if notice.is_shared() => Ok(vec![notice.mandate(EventKind::MandateSigned)?]),
        ("SUBSCRIBED", _) => Ok(vec![notice.payment(true)?, notice.mandate(EventKind::MandateSigned)?]),
        ("DID_RENEW", _) | ("DID_CHANGE_RENEWAL_PREF" | "OFFER_REDEEMED", "UPGRADE") => {
            Ok(vec![notice.payment(false)?, notice.mandate(EventKind::MandateSigned)?])
        }
        ("DID_FAIL_TO_RENEW", _) => Ok(vec![notice.failed_renewal()?]),
        ("EXPIRED" | "GRACE_PERIOD_EXPIRED", _) => Ok(vec![notice.mandate(EventKind::MandateRevoked)?]),
        ("REVOKE", _) if notice.is_subscription() => Ok(vec![notice.mandate(EventKind::MandateRevoked)?]),
        ("CONSUMPTION_REQUEST", _) => Ok(vec![notice.refund(EventKind::RefundPending)?]),
        ("REFUND", _) => Ok(vec![notice.refund(EventKind::RefundSucceeded)?]),
        ("REFUND_DECLINED" | "REFUND_REVERSED", _) => Ok(vec![notice.refund(EventKind::RefundFailed)?]),
        _ => Ok(Vec::new()),
    }
}

/// A notification, with the nested objects in the clear beside it.
struct Notice<'a> {
    content: &'a Json,
    received_at: UnixSeconds,
}

impl Notice<'_> {
    /// The order of a purchase is what the app named it; a renewal has none but itself.
    fn payment(&self, is_purchase: bool) -> Result<PaymentEvent, MappingError> {
        let mut event = self.of_transaction(EventKind::PaymentCaptured)?;
        let named = self.content.text("/transaction/appAccountToken").filter(|_| is_purchase);
        event.subject_id = named.map(str::to_owned).or_else(|| event.transaction_id.clone());
        // The first captures have no price; that they were paid is a fact all the same.
        event.amount = match self.content.at("/transaction/price") {
            None => None,
            Some(_) => Some(self.money("/transaction/price", "/transaction/currency")?),
        };
        event.occurred_at = self.time("/transaction/purchaseDate").or(event.occurred_at);
        Ok(event)
    }

    /// It names no order: the transaction has been tied to one by its payment.
    fn refund(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let mut event = self.of_transaction(kind)?;
        event.refund_id = event.transaction_id.clone();
        event.amount = self.refunded()?;
        event.amount_is_cumulative = true;
        Ok(event)
    }

    /// The share of the price that is given back. Apple tells a rounded percentage; a share that is not an exact
    /// amount is left open, and a person has to look.
    fn refunded(&self) -> Result<Option<Money>, MappingError> {
        const PERCENTAGE: &str = "/transaction/revocationPercentage";
        if self.content.at("/transaction/price").is_none() {
            return Ok(None);
        }
        let price = self.money("/transaction/price", "/transaction/currency")?;
        if self.content.text("/transaction/revocationType") != Some("REFUND_PRORATED") {
            return Ok(Some(price));
        }
        let percentage: i128 =
            self.required(PERCENTAGE)?.parse().map_err(|_| MappingError::field(PERCENTAGE))?;
        if !(0..=WHOLE_PERCENTAGE).contains(&percentage) {
            return Err(MappingError::field(PERCENTAGE));
        }
        let share =
            price.amount_minor().checked_mul(percentage).filter(|share| share % WHOLE_PERCENTAGE == 0);
        let money = share.map(|share| Money::from_minor(share / WHOLE_PERCENTAGE, price.currency().clone()));
        money.transpose().map_err(|_| MappingError::field(PERCENTAGE))
    }

    /// The transaction inside is the last one that was paid, not the one that failed; it has no id of its own.
    fn failed_renewal(&self) -> Result<PaymentEvent, MappingError> {
        let mut event = self.told(EventKind::PaymentFailed, "")?;
        let subscription = self.subscription()?;
        event.references = vec![Reference::new(super::PROVIDER.name, subscription)];
        if self.content.at("/renewal/renewalPrice").is_some() {
            event.amount = Some(self.money("/renewal/renewalPrice", "/renewal/currency")?);
        }
        Ok(event)
    }

    fn mandate(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let mut event = self.told(kind, ":mandate")?;
        event.subject_id = Some(self.subscription()?.to_owned());
        Ok(event)
    }

    fn of_transaction(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let id = self.required("/transaction/transactionId")?;
        let mut event = self.told(kind, "")?;
        event.transaction_id = Some(id.to_owned());
        event.references = vec![Reference::new(super::PROVIDER.name, id)];
        Ok(event)
    }

    fn told(&self, kind: EventKind, suffix: &str) -> Result<PaymentEvent, MappingError> {
        let key = format!("{}{suffix}", self.required("/notification/notificationUUID")?);
        let mut event = PaymentEvent::new(kind, super::PROVIDER.name, key, self.received_at);
        let signed_dates = ["/notification/signedDate", "/transaction/signedDate", "/renewal/signedDate"];
        event.occurred_at = signed_dates.into_iter().find_map(|pointer| self.time(pointer));
        let words = ["/notification/notificationType", "/notification/subtype"];
        let words: Vec<&str> = words.into_iter().filter_map(|pointer| self.content.text(pointer)).collect();
        event.provider_status = words.join(".");
        Ok(event)
    }

    /// Every transaction of a subscription has the first one's id as its original.
    fn subscription(&self) -> Result<&str, MappingError> {
        const ORIGINAL: &str = "/transaction/originalTransactionId";
        let told =
            self.content.text(ORIGINAL).or_else(|| self.content.text("/renewal/originalTransactionId"));
        told.ok_or_else(|| MappingError::field(ORIGINAL))
    }

    fn is_shared(&self) -> bool {
        self.content.text("/transaction/inAppOwnershipType") == Some("FAMILY_SHARED")
    }

    fn is_subscription(&self) -> bool {
        self.content.text("/transaction/type") == Some("Auto-Renewable Subscription")
    }

    fn money(&self, price: &str, currency: &str) -> Result<Money, MappingError> {
        money_on_the_wire(self.required(price)?, self.required(currency)?, PRICE_DECIMALS)
            .map_err(|_| MappingError::field(price))
    }

    fn time(&self, pointer: &str) -> Option<UnixSeconds> {
        let milliseconds: i64 = self.content.text(pointer)?.parse().ok()?;
        Some(UnixSeconds(milliseconds.div_euclid(1000)))
    }

    fn required(&self, pointer: &str) -> Result<&str, MappingError> {
        self.content.text(pointer).ok_or_else(|| MappingError::field(pointer))
    }
}
