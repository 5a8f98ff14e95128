//! Antom's notices in the uniform vocabulary. Mapping: `fixtures/alipay_global/MAPPING.md`.

use super::PROVIDER;
use crate::callback::json::Json;
use crate::callback::{UnixSeconds, Verified};
use crate::domain::{EventKind, Money, PaymentEvent, Reference};
use crate::providers::MappingError;
use crate::providers::read::{minor, rfc3339};

/// Every kind that it tells.
pub(super) const KINDS: &[EventKind] = &[
    EventKind::PaymentPending,
    EventKind::PaymentAuthorized,
    EventKind::PaymentCaptured,
    EventKind::PaymentFailed,
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
];

type Events = Result<Vec<PaymentEvent>, MappingError>;

pub(super) fn normalise(verified: &Verified) -> Events {
    let body = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let notice = Notice { body: &body, received_at: verified.received_at() };
    let event = match body.text("/notifyType") {
        Some("PAYMENT_RESULT") => notice.payment()?,
        Some("PAYMENT_PENDING") => Some(notice.payment_event(EventKind::PaymentPending)?),
        Some("CAPTURE_RESULT") => notice.capture()?,
        Some("REFUND_RESULT") => Some(notice.refund()?),
        // The notices below have types of their own, and some carry a notifyType beside.
        _ if body.at("/disputeNotificationType").is_some() => notice.dispute()?,
        _ if body.at("/subscriptionNotificationType").is_some() => notice.subscription()?,
        _ if body.at("/authorizationNotifyType").is_some() => notice.authorization()?,
        _ if body.at("/transferResult").is_some() => notice.transfer()?,
        _ => None,
    };
    Ok(event.into_iter().collect())
}

struct Notice<'a> {
    body: &'a Json,
    received_at: UnixSeconds,
}

impl<'a> Notice<'a> {
    fn text(&self, pointer: &str) -> Option<&'a str> {
        self.body.text(pointer)
    }

    fn required(&self, pointer: &str) -> Result<&'a str, MappingError> {
        self.text(pointer).ok_or_else(|| MappingError::field(pointer))
    }

    fn owned(&self, pointer: &str) -> Option<String> {
        self.text(pointer).map(str::to_owned)
    }

    /// An amount in minor units, as a text, with its currency beside it.
    fn amount(&self, pointer: &str) -> Result<Option<Money>, MappingError> {
        if !matches!(self.body.at(pointer), Some(Json::Object(_))) {
            return Ok(None);
        }
        let currency = self.required(&format!("{pointer}/currency"))?;
        let value = format!("{pointer}/value");
        minor(self.text(&value), currency, &value).map(Some)
    }

    fn required_amount(&self, pointer: &str) -> Result<Option<Money>, MappingError> {
        self.amount(pointer)?.map(Some).ok_or_else(|| MappingError::field(pointer))
    }

    /// Antom gives no event ids: what happened to which thing identifies an event.
    fn event(&self, kind: EventKind, facts: &[&str], status: &str) -> PaymentEvent {
        let key = PaymentEvent::identified_by(facts);
        let mut event = PaymentEvent::new(kind, PROVIDER.name, key, self.received_at);
        status.clone_into(&mut event.provider_status);
        event
    }

    /// Ties the event to the payment that it names by any of its ids.
    fn about_payment(&self, event: &mut PaymentEvent) {
        event.subject_id = self.owned("/paymentRequestId");
        event.transaction_id = self.owned("/paymentId");
        event.references.extend(self.text("/paymentId").map(reference));
    }

    fn payment(&self) -> Result<Option<PaymentEvent>, MappingError> {
        let kind = match self.required("/result/resultStatus")? {
            "S" if self.is_only_authorised() => EventKind::PaymentAuthorized,
            "S" => EventKind::PaymentCaptured,
            "F" => EventKind::PaymentFailed,
            "U" => EventKind::PaymentPending,
            _ => return Err(MappingError::field("/result/resultStatus")),
        };
        self.payment_event(kind).map(Some)
    }

    /// A card's payment result is its authorisation: the money is taken by a capture, which has a notice of its own.
    fn is_only_authorised(&self) -> bool {
        self.text("/paymentMethodType") == Some("CARD") || self.body.at("/authExpiryTime").is_some()
    }

    fn payment_event(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let payment = self.required("/paymentId")?;
        let status = self.text("/result/resultCode").unwrap_or_default();
        let mut event = self.event(kind, &["payment", payment, kind.name()], status);
        self.about_payment(&mut event);
        self.required("/paymentRequestId")?;
        event.amount = self.required_amount("/paymentAmount")?;
        event.occurred_at = self.time("/paymentTime").or(self.time("/paymentCreateTime"));
        Ok(event)
    }

    fn capture(&self) -> Result<Option<PaymentEvent>, MappingError> {
        let status = self.required("/result/resultStatus")?;
        let kind = match status {
            "S" => EventKind::PaymentCaptured,
            "F" => EventKind::PaymentFailed,
            "U" => return Ok(None),
            _ => return Err(MappingError::field("/result/resultStatus")),
        };
        self.required("/paymentId")?;
        let capture = self.required("/captureId")?;
        let code = self.text("/result/resultCode").unwrap_or(status);
        let mut event = self.event(kind, &["capture", capture, status], code);
        self.about_payment(&mut event);
        event.references.push(reference(capture));
        event.amount = self.required_amount("/captureAmount")?;
        event.occurred_at = self.time("/captureTime");
        Ok(Some(event))
    }

    /// The refund's own status counts: the result only says that there is one.
    fn refund(&self) -> Result<PaymentEvent, MappingError> {
        let status = self.required("/refundStatus")?;
        let kind = match status {
            "SUCCESS" => EventKind::RefundSucceeded,
            "PROCESSING" => EventKind::RefundPending,
            "FAIL"
            | "PROCESS_FAIL"
            | "REFUND_AMOUNT_EXCEED"
            | "MERCHANT_BALANCE_NOT_ENOUGH"
            | "PARAM_ILLEGAL"
            | "REFUND_WINDOW_EXCEED"
            | "ACCESS_DENIED"
            | "INVALID_ACCESS_TOKEN" => EventKind::RefundFailed,
            _ => return Err(MappingError::field("/refundStatus")),
        };
        let refund = self.required("/refundId")?;
        let mut event = self.event(kind, &["refund", refund, status], status);
        self.about_payment(&mut event);
        event.refund_id = Some(refund.to_owned());
        event.references.extend(self.text("/refundRequestId").map(reference));
        event.references.push(reference(refund));
        event.amount = match self.amount("/refundAmount")? {
            None => self.required_amount("/refundToAmount")?,
            amount => amount,
        };
        event.occurred_at = self.time("/refundTime");
        Ok(event)
    }

    fn dispute(&self) -> Result<Option<PaymentEvent>, MappingError> {
        let kind_name = self.required("/disputeNotificationType")?;
        let judged = self.text("/disputeJudgedResult").unwrap_or_default();
        let kind = match (kind_name, judged) {
            ("DISPUTE_CREATED" | "DEFENSE_SUPPLIED" | "DEFENSE_DUE_ALERT", _) => EventKind::DisputeOpened,
            // The liability is the customer's, and the frozen money is released to the merchant.
            ("DISPUTE_CANCELLED", _) | ("DISPUTE_JUDGED", "ACCEPT_BY_CUSTOMER") => EventKind::DisputeWon,
            ("DISPUTE_ACCEPTED" | "RDR_RESOLVED", _) | ("DISPUTE_JUDGED", "ACCEPT_BY_MERCHANT") => {
                EventKind::DisputeLost
            }
            // Documents asked for were looked at; nothing is decided.
            ("DISPUTE_JUDGED", "VALIDATE_SUCCESS" | "VALIDATE_FAIL") => return Ok(None),
            ("DISPUTE_JUDGED", _) => return Err(MappingError::field("/disputeJudgedResult")),
            _ => return Err(MappingError::field("/disputeNotificationType")),
        };
        let dispute = self.required("/disputeId")?;
        let status = if judged.is_empty() { kind_name } else { judged };
        let mut event = self.event(kind, &["dispute", dispute, kind_name, judged], status);
        self.required("/paymentId")?;
        self.about_payment(&mut event);
        event.dispute_id = Some(dispute.to_owned());
        event.amount = match self.amount("/disputeJudgedAmount")? {
            None => self.amount("/disputeAmount")?,
            amount => amount,
        };
        let times = ["/disputeJudgedTime", "/disputeAcceptTime", "/disputeTime"];
        event.occurred_at = times.into_iter().find_map(|pointer| self.time(pointer));
        Ok(Some(event))
    }

    fn subscription(&self) -> Result<Option<PaymentEvent>, MappingError> {
        let change = self.required("/subscriptionNotificationType")?;
        let kind = match change {
            "CREATE" => EventKind::MandateSigned,
            "CANCEL" | "TERMINATE" => EventKind::MandateRevoked,
            "CHANGE" | "UPDATE" => return Ok(None),
            _ => return Err(MappingError::field("/subscriptionNotificationType")),
        };
        let ended = matches!(self.text("/subscriptionStatus"), Some("CANCELLED" | "TERMINATED"));
        if kind == EventKind::MandateSigned && ended {
            return Err(MappingError::field("/subscriptionStatus"));
        }
        let subscription = self.required("/subscriptionId")?;
        let mut event = self.event(kind, &["subscription", subscription, change], change);
        event.subject_id = Some(subscription.to_owned());
        event.references.extend(self.text("/subscriptionRequestId").map(reference));
        let pointer =
            if kind == EventKind::MandateSigned { "/subscriptionStartTime" } else { "/subscriptionEndTime" };
        event.occurred_at = self.time(pointer);
        Ok(Some(event))
    }

    /// An access token charges the user, so it is named by its digest.
    fn authorization(&self) -> Result<Option<PaymentEvent>, MappingError> {
        let change = self.required("/authorizationNotifyType")?;
        let (kind, subject) = match change {
            "AUTHCODE_CREATED" => (EventKind::MandateSigned, self.required("/authState")?.to_owned()),
            "TOKEN_CANCELED" => {
                let token = self.required("/accessToken")?;
                (EventKind::MandateRevoked, PaymentEvent::identified_by(&["token", token]))
            }
            _ => return Ok(None),
        };
        let mut event = self.event(kind, &["authorization", &subject, change], change);
        event.subject_id = Some(subject);
        Ok(Some(event))
    }

    fn transfer(&self) -> Result<Option<PaymentEvent>, MappingError> {
        let status = self.required("/transferResult/resultStatus")?;
        let kind = match status {
            "S" => EventKind::TransferSucceeded,
            "F" => EventKind::TransferFailed,
            "U" => return Ok(None),
            _ => return Err(MappingError::field("/transferResult/resultStatus")),
        };
        let transfer = self.required("/transferId")?;
        let code = self.text("/transferResult/resultCode").unwrap_or(status);
        let mut event = self.event(kind, &["transfer", transfer, status], code);
        event.subject_id = Some(self.required("/transferRequestId")?.to_owned());
        event.transaction_id = Some(transfer.to_owned());
        event.amount = self.amount("/transferFromDetail/transferFromAmount")?;
        event.occurred_at = self.time("/transferFinishTime");
        Ok(Some(event))
    }

    fn time(&self, pointer: &str) -> Option<UnixSeconds> {
        self.text(pointer).and_then(rfc3339)
    }
}

fn reference(id: &str) -> Reference {
    Reference::new(PROVIDER.name, id)
}
