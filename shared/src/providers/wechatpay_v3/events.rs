//! WeChat Pay's events in the uniform vocabulary. Mapping: `fixtures/wechatpay_v3/MAPPING.md`.

use crate::callback::json::Json;
use crate::callback::{UnixSeconds, Verified};
use crate::domain::{EventKind, Money, PaymentEvent, Reference};
use crate::providers::read::{china_time, minor, rfc3339};
use crate::providers::{EachEvent, MappingError};

/// Every kind that it tells.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::PaymentPending,
    EventKind::PaymentAuthorized,
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::PaymentCancelled,
    EventKind::PaymentExpired,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::MandateSigned,
    EventKind::MandateRevoked,
    EventKind::TransferSucceeded,
    EventKind::TransferFailed,
];

/// Where a resource names no currency.
const CURRENCY: &str = "CNY";

pub(super) fn normalise(verified: &Verified) -> EachEvent {
    let envelope = Json::parse(verified.raw().body()).map_err(|_| MappingError::Content)?;
    let resource = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let notice = Notice {
        id: required(&envelope, "/id")?,
        resource: &resource,
        received_at: verified.received_at(),
        created_at: envelope.text("/create_time").and_then(rfc3339),
    };
    let event_type = required(&envelope, "/event_type")?;
    match event_type {
        // Results of profit sharing come under this name too.
        "TRANSACTION.SUCCESS" | "TRANSACTION.FAIL" if notice.is_profit_sharing() => {
            notice.profit_sharing(event_type)
        }
        "TRANSACTION.SUCCESS" | "TRANSACTION.FAIL" => notice.transaction(),
        "REFUND.SUCCESS" => notice.refund(EventKind::RefundSucceeded, event_type),
        "REFUND.ABNORMAL" | "REFUND.CLOSED" => notice.refund(EventKind::RefundFailed, event_type),
        "PAYSCORE.USER_CONFIRM" => notice.service_order(EventKind::PaymentAuthorized),
        "PAYSCORE.USER_PAID" => notice.service_order(EventKind::PaymentCaptured),
        "PAYSCORE.USER_OPEN_SERVICE" | "ENTRUST.SIGNING" | "ECOMMERCE_ENTRUST.SIGN" => {
            notice.mandate(EventKind::MandateSigned, event_type)
        }
        "PAYSCORE.USER_CLOSE_SERVICE" | "ENTRUST.RELEASE" | "ECOMMERCE_ENTRUST.TERMINATE" => {
            notice.mandate(EventKind::MandateRevoked, event_type)
        }
        "PROFITSHARING.SUCCESS" | "PROFITSHARING.RETURN" => notice.profit_sharing(event_type),
        "MCHTRANSFER.BILL.FINISHED" => notice.transfer_bill(),
        "MCHTRANSFER.BATCH.FINISHED" | "MCHTRANSFER.BATCH.CLOSED" => notice.transfer_batch(event_type),
        "ABNORMAL_FUND_PROCESSING.TRANSFER.SUCCESS" => notice.abnormal_funds(event_type),
        _ => Ok(Vec::new()),
    }
}

struct Notice<'a> {
    id: &'a str,
    resource: &'a Json,
    received_at: UnixSeconds,
    created_at: Option<UnixSeconds>,
}

impl<'a> Notice<'a> {
    fn event(&self, kind: EventKind, key: impl Into<String>, status: &str) -> PaymentEvent {
        let mut event = PaymentEvent::new(kind, super::PROVIDER.name, key, self.received_at);
        event.occurred_at = self.created_at;
        status.clone_into(&mut event.provider_status);
        event
    }

    fn text(&self, pointer: &str) -> Option<&'a str> {
        self.resource.text(pointer)
    }

    fn owned(&self, pointer: &str) -> Option<String> {
        self.text(pointer).map(str::to_owned)
    }

    fn time(&self, pointer: &str) -> Option<UnixSeconds> {
        self.text(pointer).and_then(|text| rfc3339(text).or_else(|| china_time(text)))
    }

    fn is_profit_sharing(&self) -> bool {
        self.resource.at("/trade_state").is_none()
            && self.resource.at("/sub_orders").is_none()
            && self.resource.at("/receiver").is_some()
    }

    fn transaction(&self) -> EachEvent {
        let sub_orders = self.resource.members("/sub_orders");
        if sub_orders.is_empty() {
            return Ok(vec![self.trade(self.resource, self.id.to_owned(), "/amount/total")]);
        }
        // The parts of a combined payment belong to orders of their own.
        let trades = sub_orders.iter().map(|order| {
            let key = format!("{}:{}", self.id, required(order, "/out_trade_no")?);
            self.trade(order, key, "/amount/total_amount")
        });
        Ok(trades.collect())
    }

    fn trade(&self, trade: &Json, key: String, total: &str) -> Result<PaymentEvent, MappingError> {
        let state = required(trade, "/trade_state")?;
        let kind = match state {
            // Refunded later: what was refunded comes in notices of its own.
            "SUCCESS" | "REFUND" => EventKind::PaymentCaptured,
            "NOTPAY" | "USERPAYING" | "ACCEPT" => EventKind::PaymentPending,
            "PAYERROR" => EventKind::PaymentFailed,
            "CLOSED" => EventKind::PaymentExpired,
            "REVOKED" => EventKind::PaymentCancelled,
            _ => return Err(MappingError::field("/trade_state")),
        };
        let mut event = self.event(kind, key, state);
        event.subject_id = Some(required(trade, "/out_trade_no")?.to_owned());
        event.amount = amount_of(trade, total, kind == EventKind::PaymentCaptured)?;
        event.transaction_id = trade.text("/transaction_id").map(str::to_owned);
        if kind == EventKind::PaymentCaptured && event.transaction_id.is_none() {
            return Err(MappingError::field("/transaction_id"));
        }
        event.occurred_at = trade.text("/success_time").and_then(rfc3339).or(self.created_at);
        Ok(event)
    }

    fn refund(&self, kind: EventKind, event_type: &str) -> EachEvent {
        let status = self.text("/refund_status").unwrap_or(event_type);
        let mut event = self.event(kind, self.id, status);
        let transaction = required(self.resource, "/transaction_id")?;
        event.subject_id = self.owned("/out_trade_no");
        if event.subject_id.is_none() {
            event.references = vec![Reference::new(super::PROVIDER.name, transaction)];
        }
        event.transaction_id = Some(transaction.to_owned());
        event.refund_id = Some(required(self.resource, "/refund_id")?.to_owned());
        event.amount = amount_of(self.resource, "/amount/refund", kind == EventKind::RefundSucceeded)?;
        event.occurred_at = self.time("/success_time").or(self.created_at);
        Ok(vec![Ok(event)])
    }

    fn service_order(&self, kind: EventKind) -> EachEvent {
        let state = self.text("/collection/state").or(self.text("/state")).unwrap_or_default();
        let mut event = self.event(kind, self.id, state);
        event.subject_id = Some(required(self.resource, "/out_order_no")?.to_owned());
        event.transaction_id = Some(required(self.resource, "/order_id")?.to_owned());
        let paid = kind == EventKind::PaymentCaptured;
        let pointer = match self.resource.at("/collection/paid_amount") {
            Some(_) if paid => "/collection/paid_amount",
            _ => "/total_amount",
        };
        event.amount = amount_of(self.resource, pointer, paid)?;
        // A refund of a service order names the transaction that collected it.
        let collected = self.resource.members("/collection/details").iter();
        event.references = collected
            .filter_map(|detail| detail.text("/transaction_id"))
            .map(|id| Reference::new(super::PROVIDER.name, id))
            .collect();
        Ok(vec![Ok(event)])
    }

    /// The agreement's id; opening and closing a payment score service name it by service and user.
    fn mandate(&self, kind: EventKind, event_type: &str) -> EachEvent {
        let status =
            self.text("/contract_status").or(self.text("/user_service_status")).unwrap_or(event_type);
        let by_user = match (self.text("/service_id"), self.text("/openid")) {
            (Some(service), Some(user)) => Some(format!("{service}:{user}")),
            _ => None,
        };
        let id = self.owned("/contract_id").or(by_user).or_else(|| self.owned("/out_contract_code"));
        let mut event = self.event(kind, self.id, status);
        event.subject_id = Some(id.ok_or_else(|| MappingError::field("/contract_id"))?);
        event.occurred_at = self.time("/openorclose_time").or(self.created_at);
        Ok(vec![Ok(event)])
    }

    fn profit_sharing(&self, event_type: &str) -> EachEvent {
        let order = required(self.resource, "/out_order_no")?;
        let is_return = event_type == "PROFITSHARING.RETURN" || self.resource.at("/out_return_no").is_some();
        let mut event = self.event(EventKind::TransferSucceeded, self.id, event_type);
        event.subject_id = Some(match self.text("/out_return_no") {
            Some(number) => number.to_owned(),
            // A return without its own number must not look like the transfer that it takes back.
            None if is_return => format!("{order}:return"),
            None => order.to_owned(),
        });
        event.transaction_id = self.owned("/transaction_id");
        event.amount = Some(minor(self.text("/receiver/amount"), CURRENCY, "/receiver/amount")?);
        event.occurred_at = self.time("/success_time").or(self.created_at);
        if event_type == "TRANSACTION.FAIL" {
            event.kind = EventKind::TransferFailed;
        }
        Ok(vec![Ok(event)])
    }

    fn transfer_bill(&self) -> EachEvent {
        let state = required(self.resource, "/state")?;
        let kind = match state {
            "SUCCESS" => EventKind::TransferSucceeded,
            "FAIL" | "CANCELLED" => EventKind::TransferFailed,
            _ => return Err(MappingError::field("/state")),
        };
        let status = self.text("/fail_reason").unwrap_or(state);
        let mut event = self.event(kind, self.id, status);
        event.subject_id = Some(required(self.resource, "/out_bill_no")?.to_owned());
        event.transaction_id = self.owned("/transfer_bill_no");
        event.amount = amount_of(self.resource, "/transfer_amount", kind == EventKind::TransferSucceeded)?;
        event.occurred_at = self.time("/update_time").or(self.created_at);
        Ok(vec![Ok(event)])
    }

    /// Money that had got stuck on its way is paid out after all, by an instruction of the merchant.
    ///
    /// # Source
    /// WeChat Pay API v3, <https://pay.weixin.qq.com/doc/v3/partner/4015408031>.
    fn abnormal_funds(&self, event_type: &str) -> EachEvent {
        let receipt = required(self.resource, "/receipt_id")?;
        let mut event = self.event(EventKind::TransferSucceeded, self.id, event_type);
        event.subject_id = Some(self.text("/out_instruction_no").unwrap_or(receipt).to_owned());
        event.transaction_id = Some(receipt.to_owned());
        if self.resource.at("/transfer_amount").is_some() {
            let currency = self.text("/transfer_amount/currency").unwrap_or(CURRENCY);
            let total = "/transfer_amount/total";
            event.amount = Some(minor(self.text(total), currency, total)?);
        }
        Ok(vec![Ok(event)])
    }

    /// A batch may succeed in part: then it gives one event for each share.
    fn transfer_batch(&self, event_type: &str) -> EachEvent {
        let status = self.text("/close_reason").or(self.text("/batch_status")).unwrap_or(event_type);
        let batch = required(self.resource, "/out_batch_no")?;
        let share = |kind: EventKind, name: &str| -> Result<Option<PaymentEvent>, MappingError> {
            let pointer = format!("/{name}_amount");
            if self.text(&format!("/{name}_num")).is_none_or(|count| count == "0") {
                return Ok(None);
            }
            let mut event = self.event(kind, format!("{}:{name}", self.id), status);
            event.subject_id = Some(batch.to_owned());
            event.transaction_id = self.owned("/batch_id");
            event.amount = Some(minor(self.text(&pointer), CURRENCY, &pointer)?);
            Ok(Some(event))
        };
        let succeeded = share(EventKind::TransferSucceeded, "success")?;
        let failed = share(EventKind::TransferFailed, "fail")?;
        let mut events: Vec<PaymentEvent> = succeeded.into_iter().chain(failed).collect();
        if events.is_empty() {
            if event_type != "MCHTRANSFER.BATCH.CLOSED" {
                return Err(MappingError::field("/success_num"));
            }
            // Closed before anything was paid out, as when nobody approved it in time.
            let mut event = self.event(EventKind::TransferFailed, self.id, status);
            event.subject_id = Some(batch.to_owned());
            event.transaction_id = self.owned("/batch_id");
            events.push(event);
        }
        Ok(events.into_iter().map(Ok).collect())
    }
}

fn required<'a>(json: &'a Json, pointer: &str) -> Result<&'a str, MappingError> {
    json.text(pointer).ok_or_else(|| MappingError::field(pointer))
}

/// The amount in fen at `pointer`, in the currency beside it.
fn amount_of(json: &Json, pointer: &str, must_be_there: bool) -> Result<Option<Money>, MappingError> {
    if !must_be_there && json.at(pointer).is_none() {
        return Ok(None);
    }
    let currency = json.text("/amount/currency").unwrap_or(CURRENCY);
    minor(json.text(pointer), currency, pointer).map(Some)
}
