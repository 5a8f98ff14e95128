//! PayPal's events in the uniform vocabulary. Mapping: `fixtures/paypal/MAPPING.md`.

use crate::callback::json::Json;
use crate::callback::{UnixSeconds, Verified};
use crate::domain::{EventKind, Money, PaymentEvent, Reference};
use crate::providers::read::{major, rfc3339};
use crate::providers::{EachEvent, MappingError};

/// Every kind that it tells.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::PaymentPending,
    EventKind::PaymentAuthorized,
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::PaymentCancelled,
    EventKind::RefundPending,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::DisputeOpened,
    EventKind::DisputeWon,
    EventKind::DisputeLost,
    EventKind::MandateSigned,
    EventKind::MandateRevoked,
    EventKind::TransferSucceeded,
    EventKind::TransferFailed,
    EventKind::MerchantApproved,
    EventKind::MerchantRejected,
    EventKind::TokenUpdated,
    EventKind::TokenRevoked,
];

pub(super) fn normalise(verified: &Verified) -> EachEvent {
    use EventKind as K;
    let message = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let event_type = required(&message, "/event_type")?;
    let notice = Notice {
        id: required(&message, "/id")?,
        event_type,
        resource: message.at("/resource").unwrap_or(&Json::Null),
        received_at: verified.received_at(),
        created_at: message.text("/create_time").and_then(rfc3339),
    };
    match event_type {
        "CHECKOUT.ORDER.APPROVED" | "CHECKOUT.ORDER.COMPLETED" | "CHECKOUT.ORDER.PROCESSED" => {
            notice.checkout(K::PaymentPending)
        }
        "CHECKOUT.ORDER.VOIDED" | "CHECKOUT.PAYMENT-APPROVAL.REVERSED" => {
            notice.checkout(K::PaymentCancelled)
        }
        "PAYMENT.AUTHORIZATION.CREATED" => notice.payment(K::PaymentAuthorized),
        "PAYMENT.AUTHORIZATION.VOIDED" => notice.payment(K::PaymentCancelled),
        "PAYMENT.CAPTURE.PENDING" | "PAYMENT.SALE.PENDING" => notice.payment(K::PaymentPending),
        "PAYMENT.CAPTURE.COMPLETED" | "PAYMENT.SALE.COMPLETED" => notice.payment(K::PaymentCaptured),
        "PAYMENT.CAPTURE.DENIED"
        | "PAYMENT.CAPTURE.DECLINED"
        | "PAYMENT.SALE.DENIED"
        | "PAYMENT.AUTHORIZATION.DENIED" => notice.payment(K::PaymentFailed),
        "PAYMENT.CAPTURE.REFUNDED"
        | "PAYMENT.CAPTURE.REVERSED"
        | "PAYMENT.SALE.REFUNDED"
        | "PAYMENT.SALE.REVERSED" => notice.refund(K::RefundSucceeded),
        "PAYMENT.REFUND.PENDING" => notice.refund(K::RefundPending),
        "PAYMENT.REFUND.FAILED" => notice.refund(K::RefundFailed),
        "CUSTOMER.DISPUTE.CREATED"
        | "CUSTOMER.DISPUTE.UPDATED"
        | "CUSTOMER.DISPUTE.RESOLVED"
        | "RISK.DISPUTE.CREATED" => notice.dispute(),
        "BILLING.SUBSCRIPTION.ACTIVATED" | "BILLING.SUBSCRIPTION.RE-ACTIVATED" => {
            notice.named(K::MandateSigned, "/id")
        }
        "BILLING.SUBSCRIPTION.CANCELLED"
        | "BILLING.SUBSCRIPTION.EXPIRED"
        | "BILLING.SUBSCRIPTION.SUSPENDED" => notice.named(K::MandateRevoked, "/id"),
        "BILLING_AGREEMENTS.AGREEMENT.CREATED" => notice.named(K::MandateSigned, "/id"),
        "BILLING_AGREEMENTS.AGREEMENT.CANCELLED" => notice.named(K::MandateRevoked, "/id"),
        "VAULT.PAYMENT-TOKEN.CREATED" => notice.named(K::TokenUpdated, "/id"),
        "VAULT.PAYMENT-TOKEN.DELETED" => notice.named(K::TokenRevoked, "/id"),
        "MERCHANT.ONBOARDING.COMPLETED" => notice.named(K::MerchantApproved, "/merchant_id"),
        "MERCHANT.PARTNER-CONSENT.REVOKED" => notice.named(K::MerchantRejected, "/merchant_id"),
        "PAYMENT.PAYOUTS-ITEM.SUCCEEDED" => notice.payout(K::TransferSucceeded),
        "PAYMENT.PAYOUTS-ITEM.FAILED"
        | "PAYMENT.PAYOUTS-ITEM.BLOCKED"
        | "PAYMENT.PAYOUTS-ITEM.DENIED"
        | "PAYMENT.PAYOUTS-ITEM.RETURNED"
        | "PAYMENT.PAYOUTS-ITEM.REFUNDED"
        | "PAYMENT.PAYOUTS-ITEM.CANCELED" => notice.payout(K::TransferFailed),
        _ => Ok(Vec::new()),
    }
}

struct Notice<'a> {
    id: &'a str,
    event_type: &'a str,
    resource: &'a Json,
    received_at: UnixSeconds,
    created_at: Option<UnixSeconds>,
}

impl<'a> Notice<'a> {
    fn event(&self, kind: EventKind, key: impl Into<String>) -> PaymentEvent {
        let mut event = PaymentEvent::new(kind, super::PROVIDER.name, key, self.received_at);
        let status = self.text("/status").or(self.text("/state")).unwrap_or(self.event_type);
        status.clone_into(&mut event.provider_status);
        event.occurred_at = self.created_at;
        event
    }

    fn text(&self, pointer: &str) -> Option<&'a str> {
        self.resource.text(pointer)
    }

    /// The merchant's order number on a payment of the current API, else of the first one.
    fn order_number(&self) -> Option<String> {
        ["/custom_id", "/invoice_id", "/custom", "/invoice_number"]
            .iter()
            .find_map(|pointer| self.text(pointer))
            .map(str::to_owned)
    }

    fn references<'b>(&self, ids: impl IntoIterator<Item = Option<&'b str>>) -> Vec<Reference> {
        let mut references: Vec<Reference> =
            ids.into_iter().flatten().map(|id| Reference::new(super::PROVIDER.name, id)).collect();
        references.sort_unstable();
        references.dedup();
        references
    }

    fn checkout(&self, kind: EventKind) -> EachEvent {
        let order =
            self.text("/id").or(self.text("/order_id")).ok_or_else(|| MappingError::field("/resource/id"))?;
        let units = self.resource.members("/purchase_units");
        if units.len() < 2 {
            let unit = units.first().unwrap_or(&Json::Null);
            return Ok(vec![self.purchase_unit(kind, unit, order, self.id.to_owned())]);
        }
        let with_key = |(index, unit)| self.purchase_unit(kind, unit, order, format!("{}:{index}", self.id));
        // A unit that names no order of ours gives nothing to hold on to; its capture will.
        let is_held = |event: &PaymentEvent| event.subject_id.is_some() || !event.references.is_empty();
        let events = units.iter().enumerate().map(with_key);
        Ok(events.filter(|event| event.as_ref().map_or(true, is_held)).collect())
    }

    fn purchase_unit(
        &self,
        kind: EventKind,
        unit: &Json,
        order: &str,
        key: String,
    ) -> Result<PaymentEvent, MappingError> {
        let mut event = self.event(kind, key);
        event.subject_id = unit.text("/custom_id").or(unit.text("/invoice_id")).map(str::to_owned);
        event.amount = match unit.at("/amount") {
            Some(amount) => Some(money(amount, "/resource/purchase_units/amount")?),
            None => None,
        };
        let captures = unit.members("/payments/captures").iter().map(|capture| capture.text("/id"));
        let authorizations = unit.members("/payments/authorizations").iter().map(|one| one.text("/id"));
        let several = self.resource.members("/purchase_units").len() > 1;
        // One PayPal order of several units pays several orders of ours: its id names none of them alone.
        let order = (!several).then_some(order);
        event.references = self.references(captures.chain(authorizations).chain([order]));
        Ok(event)
    }

    fn payment(&self, kind: EventKind) -> EachEvent {
        let id = self.own_id()?;
        let mut event = self.event(kind, self.id);
        // A subscription's sales all carry the subscription's `custom`: only an invoice number tells them apart.
        event.subject_id = match self.text("/billing_agreement_id") {
            Some(_) => self.text("/invoice_number").map(str::to_owned),
            None => self.order_number(),
        };
        event.transaction_id = Some(id.to_owned());
        let must_be_there = matches!(kind, EventKind::PaymentCaptured | EventKind::PaymentAuthorized);
        event.amount = match self.resource.at("/amount") {
            None if !must_be_there => None,
            amount => Some(money(amount.unwrap_or(&Json::Null), "/resource/amount")?),
        };
        event.references = self.references([
            Some(id),
            self.text("/supplementary_data/related_ids/order_id"),
            self.text("/supplementary_data/related_ids/authorization_id"),
            self.text("/parent_payment"),
        ]);
        event.occurred_at = self.text("/create_time").and_then(rfc3339).or(self.created_at);
        Ok(vec![Ok(event)])
    }

    /// A refund may carry an invoice number of its own, so it finds the order by what it refunds.
    fn refund(&self, kind: EventKind) -> EachEvent {
        let refunded = self
            .text("/sale_id")
            .or(self.text("/capture_id"))
            .or(self.text("/supplementary_data/related_ids/capture_id"))
            .or_else(|| self.linked("up"));
        let mut event = self.event(kind, self.id);
        match refunded {
            Some(id) => event.references = self.references([Some(id)]),
            None => {
                let order = self.order_number();
                event.subject_id = Some(order.ok_or_else(|| MappingError::field("/resource/links"))?);
            }
        }
        event.transaction_id = refunded.map(str::to_owned);
        event.refund_id = Some(self.own_id()?.to_owned());
        event.amount = match self.resource.at("/amount") {
            None if kind != EventKind::RefundSucceeded => None,
            amount => Some(money(amount.unwrap_or(&Json::Null), "/resource/amount")?),
        };
        event.occurred_at = self.text("/create_time").and_then(rfc3339).or(self.created_at);
        Ok(vec![Ok(event)])
    }

    fn dispute(&self) -> EachEvent {
        let dispute = self.text("/dispute_id").or(self.text("/id"));
        let dispute = dispute.ok_or_else(|| MappingError::field("/resource/dispute_id"))?;
        let kind = self.dispute_kind()?;
        let transactions: Vec<&str> = self
            .resource
            .members("/disputed_transactions")
            .iter()
            .filter_map(|one| one.text("/seller_transaction_id"))
            .collect();
        if transactions.is_empty() {
            return Err(MappingError::field("/resource/disputed_transactions"));
        }
        // The amount is the whole dispute's: with several transactions no share of it is known.
        let amount = match self.resource.at("/dispute_amount") {
            Some(amount) if transactions.len() == 1 => Some(money(amount, "/resource/dispute_amount")?),
            _ => None,
        };
        let event_of = |(index, transaction): (usize, &&str)| {
            let key = if index == 0 { self.id.to_owned() } else { format!("{}:{index}", self.id) };
            let mut event = self.event(kind, key);
            event.dispute_id = Some(dispute.to_owned());
            event.transaction_id = Some((*transaction).to_owned());
            event.references = self.references([Some(*transaction)]);
            event.amount.clone_from(&amount);
            if let Some(outcome) = self.text("/dispute_outcome/outcome_code") {
                outcome.clone_into(&mut event.provider_status);
            }
            Ok(event)
        };
        Ok(transactions.iter().enumerate().map(event_of).collect())
    }

    fn dispute_kind(&self) -> Result<EventKind, MappingError> {
        let resolved =
            self.event_type == "CUSTOMER.DISPUTE.RESOLVED" || self.text("/status") == Some("RESOLVED");
        if !resolved {
            return Ok(EventKind::DisputeOpened);
        }
        match self.text("/dispute_outcome/outcome_code") {
            Some("RESOLVED_BUYER_FAVOUR" | "ACCEPTED") => Ok(EventKind::DisputeLost),
            // With a payout PayPal pays the buyer itself, and the merchant keeps the money.
            Some("RESOLVED_SELLER_FAVOUR" | "RESOLVED_WITH_PAYOUT" | "CANCELED_BY_BUYER" | "DENIED") => {
                Ok(EventKind::DisputeWon)
            }
            _ => Err(MappingError::field("/resource/dispute_outcome/outcome_code")),
        }
    }

    fn named(&self, kind: EventKind, pointer: &str) -> EachEvent {
        let mut event = self.event(kind, self.id);
        let id = self.text(pointer).ok_or_else(|| MappingError::field(format!("/resource{pointer}")))?;
        event.subject_id = Some(id.to_owned());
        Ok(vec![Ok(event)])
    }

    fn payout(&self, kind: EventKind) -> EachEvent {
        let item =
            self.text("/payout_item_id").ok_or_else(|| MappingError::field("/resource/payout_item_id"))?;
        let mut event = self.event(kind, self.id);
        event.subject_id = Some(self.text("/payout_item/sender_item_id").unwrap_or(item).to_owned());
        event.transaction_id = Some(self.text("/transaction_id").unwrap_or(item).to_owned());
        event.amount = match self.resource.at("/payout_item/amount") {
            None if kind != EventKind::TransferSucceeded => None,
            amount => Some(money(amount.unwrap_or(&Json::Null), "/resource/payout_item/amount")?),
        };
        if let Some(status) = self.text("/transaction_status") {
            status.clone_into(&mut event.provider_status);
        }
        Ok(vec![Ok(event)])
    }

    fn own_id(&self) -> Result<&'a str, MappingError> {
        self.text("/id").ok_or_else(|| MappingError::field("/resource/id"))
    }

    /// The id at the end of the link of this relation.
    fn linked(&self, relation: &str) -> Option<&'a str> {
        let links = self.resource.members("/links").iter();
        let href =
            links.filter(|link| link.text("/rel") == Some(relation)).find_map(|link| link.text("/href"))?;
        href.rsplit('/').next().filter(|id| !id.is_empty())
    }
}

/// `{value, currency_code}` of the current API, `{total | value, currency}` of the first one, whose reversals are
/// written as negative totals.
fn money(amount: &Json, pointer: &str) -> Result<Money, MappingError> {
    let currency = amount
        .text("/currency_code")
        .or(amount.text("/currency"))
        .ok_or_else(|| MappingError::field(format!("{pointer}/currency_code")))?;
    let value = match amount.text("/total") {
        Some(total) => Some(total.strip_prefix('-').unwrap_or(total)),
        None => amount.text("/value"),
    };
    major(value, currency, pointer)
}

fn required<'a>(json: &'a Json, pointer: &str) -> Result<&'a str, MappingError> {
    json.text(pointer).ok_or_else(|| MappingError::field(pointer))
}
