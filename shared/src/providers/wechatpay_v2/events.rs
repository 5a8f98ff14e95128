//! WeChat Pay v2's messages in the uniform vocabulary. Mapping: `fixtures/wechatpay_v2/MAPPING.md`.

use super::{Elements, PROVIDER, refund};
use crate::callback::xml::Xml;
use crate::callback::{Origin, UnixSeconds, Verified};
use crate::domain::{EventKind, PaymentEvent};
use crate::providers::MappingError;
use crate::providers::read::{china_time, minor};

/// Every kind that it tells.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::PaymentPending,
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::PaymentCancelled,
    EventKind::PaymentExpired,
    EventKind::RefundPending,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::MandateSigned,
    EventKind::MandateRevoked,
];

pub(super) type Events = Result<Vec<PaymentEvent>, MappingError>;

/// Amounts are in fen where a message names no currency.
pub(super) const CURRENCY: &str = "CNY";

pub(super) fn normalise(verified: &Verified) -> Events {
    if verified.origin() == Origin::Hint {
        return refund::normalise_hint(verified);
    }
    let document = Xml::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let elements = document.flat().map_err(|_| MappingError::Content)?;
    let message = Message { elements, received_at: verified.received_at() };
    // Anything but SUCCESS is a fault of the transport and says nothing about a payment.
    if message.text("return_code") != Some("SUCCESS") {
        return Ok(Vec::new());
    }
    if message.text("change_type").is_some() {
        return message.agreement();
    }
    if message.text("result_code").is_some() {
        return message.payment();
    }
    // Such as the question for an order of a printed code, which names only the product.
    Ok(Vec::new())
}

/// The elements of one message.
pub(super) struct Message<'a> {
    pub elements: Elements<'a>,
    pub received_at: UnixSeconds,
}

impl Message<'_> {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.elements.get(name).copied().filter(|text| !text.is_empty())
    }

    pub fn required(&self, name: &str) -> Result<&str, MappingError> {
        self.text(name).ok_or_else(|| MappingError::field(name))
    }

    pub fn event(&self, kind: EventKind, facts: &[&str], status: &str) -> PaymentEvent {
        let key = PaymentEvent::identified_by(facts);
        let mut event = PaymentEvent::new(kind, PROVIDER.name, key, self.received_at);
        status.clone_into(&mut event.provider_status);
        event
    }

    fn payment(&self) -> Events {
        let result = self.required("result_code")?;
        // Only deductions name the state of the trade, which then counts: a result may be that it was accepted.
        let (kind, status) = match (result, self.text("trade_state")) {
            ("SUCCESS", None | Some("SUCCESS")) => (EventKind::PaymentCaptured, result),
            // Refunded later: what was refunded comes in notices of its own.
            ("SUCCESS", Some(state @ "REFUND")) => (EventKind::PaymentCaptured, state),
            (_, Some(state @ ("NOTPAY" | "USERPAYING" | "ACCEPT"))) => (EventKind::PaymentPending, state),
            (_, Some(state @ ("PAYERROR" | "PAY_FAIL"))) => (EventKind::PaymentFailed, state),
            (_, Some(state @ "CLOSED")) => (EventKind::PaymentExpired, state),
            (_, Some(state @ "REVOKED")) => (EventKind::PaymentCancelled, state),
            ("FAIL", None) => (EventKind::PaymentFailed, self.text("err_code").unwrap_or(result)),
            _ => return Err(MappingError::field("trade_state")),
        };
        let order = self.required("out_trade_no")?;
        let transaction = self.text("transaction_id");
        let paid = kind == EventKind::PaymentCaptured;
        let facts = ["payment", order, transaction.unwrap_or_default(), kind.name()];
        let mut event = self.event(kind, &facts, status);
        event.subject_id = Some(order.to_owned());
        event.transaction_id = match transaction {
            None if paid => return Err(MappingError::field("transaction_id")),
            transaction => transaction.map(str::to_owned),
        };
        if paid || self.text("total_fee").is_some() {
            let currency = self.text("fee_type").unwrap_or(CURRENCY);
            event.amount = Some(minor(self.text("total_fee"), currency, "total_fee")?);
        }
        event.occurred_at = self.text("time_end").and_then(china_time);
        Ok(vec![event])
    }

    fn agreement(&self) -> Events {
        if self.text("result_code").is_some_and(|result| result != "SUCCESS") {
            return Ok(Vec::new());
        }
        let change = self.required("change_type")?;
        let kind = match change {
            "ADD" => EventKind::MandateSigned,
            "DELETE" => EventKind::MandateRevoked,
            _ => return Err(MappingError::field("change_type")),
        };
        let agreement = self.required("contract_id")?;
        let at = self.text("operate_time").unwrap_or_default();
        let mut event = self.event(kind, &["agreement", agreement, change, at], change);
        event.subject_id = Some(agreement.to_owned());
        event.occurred_at = china_time(at);
        Ok(vec![event])
    }
}
