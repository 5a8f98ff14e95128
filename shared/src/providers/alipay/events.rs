//! Alipay's messages in the uniform vocabulary. Mapping: `fixtures/alipay/MAPPING.md`.

use crate::callback::form::Form;
use crate::callback::json::Json;
use crate::callback::{UnixSeconds, Verified};
use crate::domain::{EventKind, Money, PaymentEvent};
use crate::providers::MappingError;
use crate::providers::read::{china_time, form_text, major};

/// Every kind that it tells.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::PaymentPending,
    EventKind::PaymentAuthorized,
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
    EventKind::PaymentCancelled,
    EventKind::PaymentExpired,
    EventKind::RefundPending,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::MandateSigned,
    EventKind::MandateRevoked,
    EventKind::TransferSucceeded,
    EventKind::TransferFailed,
    EventKind::MerchantApproved,
    EventKind::MerchantRejected,
];

type Events = Result<Vec<PaymentEvent>, MappingError>;

/// Alipay settles in yuan; only cross-border trades say otherwise.
const CURRENCY: &str = "CNY";

pub(super) fn normalise(verified: &Verified) -> Events {
    // The page return comes through the payer's browser and must never fulfil an order.
    if verified.raw().method == "GET" {
        return Ok(Vec::new());
    }
    let form = Form::parse(verified.raw().body()).map_err(|_| MappingError::Content)?;
    let opened = form.text("encrypt_type").map(|_| verified.content());
    let message = Message { form: &form, opened, received_at: verified.received_at() };
    if let Some(method) = form.text("msg_method") {
        return message.gateway(method);
    }
    if form.text("out_merge_no").is_some() && form.text("merge_pay_status").is_some() {
        return message.combined();
    }
    match form.text("notify_type") {
        Some("trade_status_sync") => message.trade(),
        Some("dut_user_sign") => message.agreement(EventKind::MandateSigned, "NORMAL"),
        Some("dut_user_unsign") => message.agreement(EventKind::MandateRevoked, "UNSIGN"),
        Some("fund_auth_freeze" | "fund_auth_unfreeze") => message.preauthorisation(),
        _ => Ok(Vec::new()),
    }
}

struct Message<'a> {
    form: &'a Form,
    /// The content where it came encrypted.
    opened: Option<&'a [u8]>,
    received_at: UnixSeconds,
}

impl Message<'_> {
    fn text(&self, name: &str) -> Result<Option<String>, MappingError> {
        form_text(self.form, "charset", name)
    }

    fn required(&self, name: &str) -> Result<String, MappingError> {
        self.text(name)?.ok_or_else(|| MappingError::field(name))
    }

    fn time(&self, name: &str) -> Option<UnixSeconds> {
        self.form.text(name).and_then(china_time)
    }

    fn amount(&self, name: &str) -> Result<Money, MappingError> {
        major(self.form.text(name), self.form.text("trans_currency").unwrap_or(CURRENCY), name)
    }

    fn event(&self, kind: EventKind, key: &str) -> PaymentEvent {
        PaymentEvent::new(kind, super::PROVIDER.name, key, self.received_at)
    }

    fn trade(&self) -> Events {
        let status = self.required("trade_status")?;
        let is_refund = self.form.text("refund_fee").is_some() && self.form.text("gmt_refund").is_some();
        let (payment, refund) = match (status.as_str(), is_refund) {
            ("WAIT_BUYER_PAY" | "TRADE_PENDING", _) => (Some(EventKind::PaymentPending), false),
            ("TRADE_SUCCESS", false) => (Some(EventKind::PaymentCaptured), false),
            // Final: said of a trade that may have been refunded in part before.
            ("TRADE_FINISHED", _) => (Some(EventKind::PaymentCaptured), is_refund),
            ("TRADE_CLOSED", false) => (Some(EventKind::PaymentExpired), false),
            ("TRADE_SUCCESS" | "TRADE_CLOSED", true) => (None, true),
            _ => return Err(MappingError::field("trade_status")),
        };
        let notify_id = self.required("notify_id")?;
        let mut events = Vec::new();
        if let Some(kind) = payment {
            let mut event = self.trade_event(kind, &notify_id, &status)?;
            event.occurred_at = match kind {
                EventKind::PaymentCaptured => self.time("gmt_payment"),
                EventKind::PaymentExpired => self.time("gmt_close"),
                _ => self.time("gmt_create"),
            };
            event.amount = Some(self.amount("total_amount")?);
            events.push(event);
        }
        if refund {
            let key = if payment.is_some() { format!("{notify_id}:refund") } else { notify_id };
            let mut event = self.trade_event(EventKind::RefundSucceeded, &key, &status)?;
            // Alipay uses the trade number as the request number of a refund that was given none.
            event.refund_id = self.text("out_biz_no")?.or_else(|| event.transaction_id.clone());
            event.amount = Some(self.amount("refund_fee")?);
            event.amount_is_cumulative = true;
            event.occurred_at = self.time("gmt_refund");
            events.push(event);
        }
        Ok(events)
    }

    fn trade_event(&self, kind: EventKind, key: &str, status: &str) -> Result<PaymentEvent, MappingError> {
        let mut event = self.event(kind, key);
        event.subject_id = Some(self.required("out_trade_no")?);
        event.transaction_id = Some(self.required("trade_no")?);
        event.provider_status = status.to_owned();
        Ok(event)
    }

    fn agreement(&self, kind: EventKind, expected_status: &str) -> Events {
        let status = self.required("status")?;
        if status != expected_status {
            return Ok(Vec::new());
        }
        let mut event = self.event(kind, &self.required("notify_id")?);
        event.subject_id = Some(self.required("agreement_no")?);
        event.occurred_at = self.time("sign_time").or_else(|| self.time("unsign_time"));
        event.provider_status = status;
        Ok(vec![event])
    }

    fn preauthorisation(&self) -> Events {
        let status = self.required("status")?;
        let operation = self.required("operation_type")?;
        let nothing_left = self
            .form
            .text("rest_amount")
            .or_else(|| self.form.text("total_rest_amount"))
            .is_none_or(|rest| rest.bytes().all(|byte| byte == b'0' || byte == b'.'));
        let kind = match (operation.as_str(), status.as_str()) {
            ("FREEZE", "SUCCESS") => EventKind::PaymentAuthorized,
            ("FREEZE", "INIT") => EventKind::PaymentPending,
            ("FREEZE", "CLOSED") => EventKind::PaymentExpired,
            ("UNFREEZE", "SUCCESS") if nothing_left => EventKind::PaymentCancelled,
            _ => return Ok(Vec::new()),
        };
        let mut event = self.event(kind, &self.required("notify_id")?);
        event.subject_id = Some(self.required("out_order_no")?);
        event.transaction_id = Some(self.required("auth_no")?);
        event.amount = Some(self.amount("amount")?);
        event.occurred_at = self.time("gmt_trans");
        event.provider_status = format!("{operation} {status}");
        Ok(vec![event])
    }

    fn combined(&self) -> Events {
        let status = self.required("merge_pay_status")?;
        if status != "FINISHED" {
            return Ok(Vec::new());
        }
        let notify_id = self.required("notify_id")?;
        let orders = self.json("order_detail_results")?;
        let mut events = Vec::new();
        for order in orders.members("") {
            let order_no = json_text(order, "out_trade_no")?;
            let paid = order.at("/success").is_none_or(|success| *success == Json::Bool(true))
                && order.text("/result_code").is_none_or(|code| matches!(code, "SUCCESS" | "10000"));
            let kind = if paid { EventKind::PaymentCaptured } else { EventKind::PaymentFailed };
            let mut event = self.event(kind, &format!("{notify_id}:{order_no}"));
            event.transaction_id = order.text("/trade_no").map(str::to_owned);
            if paid {
                event.amount = Some(major(order.text("/total_amount"), CURRENCY, "total_amount")?);
                json_text(order, "trade_no")?;
            }
            event.subject_id = Some(order_no);
            event.occurred_at = self.time("gmt_payment");
            event.provider_status = status.clone();
            events.push(event);
        }
        if events.is_empty() { Err(MappingError::field("order_detail_results")) } else { Ok(events) }
    }

    fn gateway(&self, method: &str) -> Events {
        match method {
            "ant.merchant.expand.indirect.zft.passed" => self.merchant(EventKind::MerchantApproved, method),
            "ant.merchant.expand.indirect.zft.rejected" => self.merchant(EventKind::MerchantRejected, method),
            "alipay.trade.refund.depositback.completed" => self.deposit_back(),
            "alipay.trade.order.settle.notify" => self.settlement(),
            _ => Ok(Vec::new()),
        }
    }

    fn merchant(&self, kind: EventKind, method: &str) -> Events {
        let content = self.content()?;
        let mut event = self.event(kind, &self.required("notify_id")?);
        let order_id = content.text("/order_id").ok_or_else(|| MappingError::field("order_id"))?;
        event.subject_id = Some(order_id.to_owned());
        event.transaction_id = content.text("/smid").map(str::to_owned);
        event.occurred_at = self.sent_at();
        event.provider_status = method.to_owned();
        Ok(vec![event])
    }

    /// A refund to a bank card: the refund itself is told by the trade's notification, this tells where it ended.
    fn deposit_back(&self) -> Events {
        let content = self.content()?;
        let status = json_text(&content, "dback_status")?;
        let kind = match status.as_str() {
            "S" => EventKind::RefundSucceeded,
            "F" => EventKind::RefundFailed,
            _ => EventKind::RefundPending,
        };
        let mut event = self.event(kind, &self.required("notify_id")?);
        event.subject_id = Some(json_text(&content, "out_trade_no")?);
        event.transaction_id = Some(json_text(&content, "trade_no")?);
        event.refund_id = Some(json_text(&content, "out_request_no")?);
        event.amount = Some(major(content.text("/dback_amount"), CURRENCY, "dback_amount")?);
        event.occurred_at = content.text("/bank_ack_time").and_then(china_time);
        event.provider_status = status;
        Ok(vec![event])
    }

    fn settlement(&self) -> Events {
        let content = self.content()?;
        let notify_id = self.required("notify_id")?;
        let settlement = json_text(&content, "settle_no")?;
        let mut events = Vec::new();
        for (index, row) in content.members("/royalty_detail_list").iter().enumerate() {
            let state = json_text(row, "state")?;
            let kind = match state.as_str() {
                "SUCCESS" => EventKind::TransferSucceeded,
                "FAIL" => EventKind::TransferFailed,
                _ => continue,
            };
            let mut event = self.event(kind, &format!("{notify_id}:{index}"));
            let detail = row.text("/detail_id").map(str::to_owned);
            event.subject_id = Some(detail.unwrap_or_else(|| format!("{settlement}:{index}")));
            event.transaction_id = Some(settlement.clone());
            event.amount = Some(major(row.text("/amount"), CURRENCY, "amount")?);
            event.occurred_at = content.text("/operation_dt").and_then(china_time);
            event.provider_status =
                row.text("/error_code").map_or(state.clone(), |code| format!("{state} {code}"));
            events.push(event);
        }
        Ok(events)
    }

    /// The content of a message to the application gateway.
    fn content(&self) -> Result<Json, MappingError> {
        match self.opened {
            Some(opened) => Json::parse(opened).map_err(|_| MappingError::field("biz_content")),
            None => self.json("biz_content"),
        }
    }

    fn sent_at(&self) -> Option<UnixSeconds> {
        let milliseconds: i64 = self.form.text("utc_timestamp")?.parse().ok()?;
        Some(UnixSeconds(milliseconds.div_euclid(1000)))
    }

    fn json(&self, name: &str) -> Result<Json, MappingError> {
        Json::parse(self.required(name)?.as_bytes()).map_err(|_| MappingError::field(name))
    }
}

fn json_text(json: &Json, name: &str) -> Result<String, MappingError> {
    json.text(&format!("/{name}")).map(str::to_owned).ok_or_else(|| MappingError::field(name))
}
