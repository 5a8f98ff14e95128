//! Messages in our vocabulary; see `fixtures/adapay/MAPPING.md`.

use crate::callback::Verified;
use crate::callback::json::Json;
use crate::domain::{EventKind, PaymentEvent, Reference};
use crate::providers::MappingError;
use crate::providers::read::{china_time, major};

/// What it may tell.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::TransferSucceeded,
    EventKind::TransferFailed,
    EventKind::MerchantApproved,
    EventKind::MerchantRejected,
];

/// Whether the unsigned type says nothing else than the signed data: its object and its outcome.
pub(super) fn agrees(type_name: &str, data: &Json) -> bool {
    let parts: Vec<&str> = type_name.split('.').collect();
    let (object, status) = (data.text("/object"), data.text("/status"));
    match parts[..] {
        [family, outcome] => {
            object.is_none_or(|object| object == family) && status.is_none_or(|status| status == outcome)
        }
        [family, ..] => object.is_none_or(|object| object.starts_with(family)),
        [] => false,
    }
}

pub(super) fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let content = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let notice = Notice { verified, content: &content };
    let type_name = content.text("/type").ok_or_else(|| MappingError::field("type"))?;
    let event = match type_name {
        "payment.succeeded" => notice.payment(EventKind::PaymentCaptured)?,
        "payment.failed" => notice.payment(EventKind::PaymentFailed)?,
        "refund.succeeded" => notice.refund(EventKind::RefundSucceeded, "/data/refund_amt")?,
        "refund.failed" => notice.refund(EventKind::RefundFailed, "/data/refund_amt")?,
        "payment_reverse.succeeded" => notice.refund(EventKind::RefundSucceeded, "/data/reverse_amt")?,
        "payment_reverse.failed" => notice.refund(EventKind::RefundFailed, "/data/reverse_amt")?,
        "cash.succeeded" => notice.cash(EventKind::TransferSucceeded)?,
        "cash.failed" => notice.cash(EventKind::TransferFailed)?,
        "corp_member.succeeded" => notice.member(EventKind::MerchantApproved)?,
        "corp_member.failed" => notice.member(EventKind::MerchantRejected)?,
        _ => return Ok(Vec::new()),
    };
    Ok(vec![event])
}

struct Notice<'a> {
    verified: &'a Verified,
    content: &'a Json,
}

impl Notice<'_> {
    fn payment(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let id = self.required("/data/id")?;
        let mut event = self.told(kind, id)?;
        event.subject_id = Some(self.required("/data/order_no")?.to_owned());
        event.transaction_id = Some(id.to_owned());
        event.references = vec![Reference::new(super::PROVIDER.name, id)];
        event.amount = Some(major(self.content.text("/data/pay_amt"), "CNY", "/data/pay_amt")?);
        Ok(event)
    }

    fn refund(&self, kind: EventKind, amount: &str) -> Result<PaymentEvent, MappingError> {
        let id = self.required("/data/id")?;
        let payment = self.required("/data/payment_id")?;
        let mut event = self.told(kind, id)?;
        event.subject_id = self.content.text("/data/payment_order_no").map(str::to_owned);
        event.transaction_id = Some(payment.to_owned());
        event.refund_id = Some(id.to_owned());
        event.references = vec![Reference::new(super::PROVIDER.name, payment)];
        event.amount = Some(major(self.content.text(amount), "CNY", amount)?);
        Ok(event)
    }

    fn cash(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let id = self.required("/data/id")?;
        let mut event = self.told(kind, id)?;
        event.subject_id = Some(self.required("/data/order_no")?.to_owned());
        event.transaction_id = Some(id.to_owned());
        event.amount = Some(major(self.content.text("/data/cash_amt"), "CNY", "/data/cash_amt")?);
        Ok(event)
    }

    fn member(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let id = self.required("/data/member_id")?;
        let mut event = self.told(kind, id)?;
        event.subject_id = Some(id.to_owned());
        Ok(event)
    }

    /// The message's own id is unsigned, so what it is about identifies it.
    fn told(&self, kind: EventKind, id: &str) -> Result<PaymentEvent, MappingError> {
        let key = format!("{id}:{}", self.required("/type")?);
        let mut event = PaymentEvent::new(kind, super::PROVIDER.name, key, self.verified.received_at());
        event.occurred_at = self.content.text("/data/end_time").and_then(china_time);
        event.provider_status = self.content.text("/data/status").unwrap_or_default().to_owned();
        Ok(event)
    }

    fn required(&self, pointer: &str) -> Result<&str, MappingError> {
        self.content.text(pointer).ok_or_else(|| MappingError::field(pointer))
    }
}
