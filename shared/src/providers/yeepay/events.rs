//! Notifications in our vocabulary; see `fixtures/yeepay/MAPPING.md`.

use crate::callback::json::Json;
use crate::callback::{UnixSeconds, Verified};
use crate::domain::{EventKind, PaymentEvent, Reference};
use crate::providers::MappingError;
use crate::providers::read::{china_time, major};

/// What it may tell.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::PaymentExpired,
    EventKind::RefundPending,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::TransferSucceeded,
    EventKind::TransferFailed,
];

/// Nothing names what a notification is about but the members that it has.
pub(super) fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let content = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let notice = Notice { content: &content, received_at: verified.received_at() };
    let has = |pointer: &str| content.at(pointer).is_some();
    let event = if has("/settleStatus") {
        notice.settlement()?
    } else if has("/refundRequestId") || has("/uniqueRefundNo") {
        notice.refund()?
    } else if has("/divideRequestId") || has("/ypSettleAmount") || has("/csSuccessDate") {
        // A split or the clearing of what has been paid moves no more of the payer's money.
        return Ok(Vec::new());
    } else if has("/orderId") && (has("/orderAmount") || has("/payAmount")) {
        match notice.payment()? {
            Some(event) => event,
            None => return Ok(Vec::new()),
        }
    } else {
        return Ok(Vec::new());
    };
    Ok(vec![event])
}

struct Notice<'a> {
    content: &'a Json,
    received_at: UnixSeconds,
}

impl Notice<'_> {
    fn payment(&self) -> Result<Option<PaymentEvent>, MappingError> {
        let kind = match self.required("/status")? {
            "SUCCESS" => EventKind::PaymentCaptured,
            "FAIL" | "FAILED" => EventKind::PaymentFailed,
            "TIME_OUT" | "CLOSE" => EventKind::PaymentExpired,
            _ => return Ok(None),
        };
        let id = self.required("/uniqueOrderNo")?;
        let mut event = self.told(kind, id, "/status", "/paySuccessDate")?;
        event.subject_id = Some(self.required("/orderId")?.to_owned());
        event.transaction_id = Some(id.to_owned());
        event.references = vec![Reference::new(super::PROVIDER.name, id)];
        let amount = self.content.text("/orderAmount").or_else(|| self.content.text("/payAmount"));
        event.amount = Some(major(amount, "CNY", "/orderAmount")?);
        Ok(Some(event))
    }

    fn refund(&self) -> Result<PaymentEvent, MappingError> {
        let kind = match self.required("/status")? {
            "SUCCESS" => EventKind::RefundSucceeded,
            "FAILED" | "FAIL" | "CANCEL" => EventKind::RefundFailed,
            "PROCESSING" | "SUSPEND" => EventKind::RefundPending,
            _ => return Err(MappingError::field("/status")),
        };
        let own = self.content.text("/uniqueRefundNo").or_else(|| self.content.text("/refundRequestId"));
        let own = own.ok_or_else(|| MappingError::field("/uniqueRefundNo"))?;
        let mut event = self.told(kind, own, "/status", "/refundSuccessDate")?;
        event.subject_id = Some(self.required("/orderId")?.to_owned());
        event.refund_id = Some(own.to_owned());
        if let Some(payment) = self.content.text("/uniqueOrderNo") {
            event.transaction_id = Some(payment.to_owned());
            event.references = vec![Reference::new(super::PROVIDER.name, payment)];
        }
        event.amount = Some(major(self.content.text("/refundAmount"), "CNY", "/refundAmount")?);
        Ok(event)
    }

    /// Money that came back from the bank (`retreatFlag`) did not go out.
    fn settlement(&self) -> Result<PaymentEvent, MappingError> {
        let came_back =
            matches!(
                self.content.at("/retreatFlag"),
                Some(Json::Bool(true)) | Some(Json::Text(_)) | Some(Json::Number(_))
            ) && !matches!(self.content.text("/retreatFlag"), Some("false" | "FALSE" | "N" | "0"));
        let kind = match self.required("/settleStatus")? {
            "SUCCESS" if !came_back => EventKind::TransferSucceeded,
            "SUCCESS" | "SETTLE_FAIL" | "FAIL" => EventKind::TransferFailed,
            _ => return Err(MappingError::field("/settleStatus")),
        };
        let ids = ["/settleRequestNo", "/requestNo", "/summaryNo", "/uniqueOrderNo"];
        let id = ids.into_iter().find_map(|pointer| self.content.text(pointer));
        let id = id.ok_or_else(|| MappingError::field("/settleRequestNo"))?;
        let mut event = self.told(kind, id, "/settleStatus", "/settleSuccessDate")?;
        event.subject_id = Some(id.to_owned());
        event.amount = Some(major(self.content.text("/settleAmount"), "CNY", "/settleAmount")?);
        Ok(event)
    }

    fn told(
        &self,
        kind: EventKind,
        id: &str,
        status: &str,
        time: &str,
    ) -> Result<PaymentEvent, MappingError> {
        let status = self.required(status)?;
        let key = format!("{id}:{kind}");
        let mut event = PaymentEvent::new(kind, super::PROVIDER.name, key, self.received_at);
        event.occurred_at = self.content.text(time).and_then(china_time);
        event.provider_status = status.to_owned();
        Ok(event)
    }

    fn required(&self, pointer: &str) -> Result<&str, MappingError> {
        self.content.text(pointer).ok_or_else(|| MappingError::field(pointer))
    }
}
