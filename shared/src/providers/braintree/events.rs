//! Braintree's notifications in the uniform vocabulary. Mapping: `fixtures/braintree/MAPPING.md`.

use crate::callback::xml::Xml;
use crate::callback::{UnixSeconds, Verified};
use crate::domain::{EventKind, Money, PaymentEvent, Reference};
use crate::providers::MappingError;
use crate::providers::read::{major, rfc3339};

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

type Events = Result<Vec<PaymentEvent>, MappingError>;

pub(super) fn normalise(verified: &Verified) -> Events {
    use EventKind as K;
    let document = Xml::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let required = |path: &str| document.text(path).ok_or_else(|| MappingError::field(path));
    let notice = Notice {
        document: &document,
        kind: required("/notification/kind")?,
        timestamp: required("/notification/timestamp")?,
        received_at: verified.received_at(),
    };
    match notice.kind {
        "transaction_settled" | "transaction_disbursed" => {
            notice.transaction("/transaction", Some(K::PaymentCaptured))
        }
        "transaction_settlement_declined" => notice.transaction("/transaction", Some(K::PaymentFailed)),
        "transaction_retried" => notice.transaction("/transaction", None),
        "refund_failed" => notice.refund("/transaction", K::RefundFailed),
        "subscription_charged_successfully" | "subscription_charged_unsuccessfully" => notice.charges(),
        "subscription_went_active" => notice.named(K::MandateSigned, "/subscription/id"),
        "subscription_canceled" | "subscription_expired" => {
            notice.named(K::MandateRevoked, "/subscription/id")
        }
        "local_payment_completed" => notice.local("/local-payment", K::PaymentPending),
        "local_payment_funded" => notice.local("/local-payment-funded", K::PaymentPending),
        "local_payment_expired" => notice.local("/local-payment-expired", K::PaymentExpired),
        "local_payment_reversed" => notice.local("/local-payment-reversed", K::PaymentCancelled),
        "dispute_opened" | "dispute_under_review" | "dispute_disputed" => notice.dispute(K::DisputeOpened),
        "dispute_won" => notice.dispute(K::DisputeWon),
        "dispute_lost" | "dispute_accepted" | "dispute_auto_accepted" | "dispute_expired" => {
            notice.dispute(K::DisputeLost)
        }
        "disbursement" | "disbursement_exception" => notice.disbursement(),
        "sub_merchant_account_approved" => notice.named(K::MerchantApproved, "/merchant-account/id"),
        "sub_merchant_account_declined" => {
            notice.named(K::MerchantRejected, "/api-error-response/merchant-account/id")
        }
        "partner_merchant_connected" => {
            notice.named(K::MerchantApproved, "/partner-merchant/partner-merchant-id")
        }
        "partner_merchant_declined" | "partner_merchant_disconnected" => {
            notice.named(K::MerchantRejected, "/partner-merchant/partner-merchant-id")
        }
        "oauth_access_revoked" => {
            notice.named(K::MerchantRejected, "/oauth-application-revocation/merchant-id")
        }
        "payment_method_revoked_by_customer" | "granted_payment_method_revoked" => notice.revoked_token(),
        "grantor_updated_granted_payment_method" | "recipient_updated_granted_payment_method" => {
            notice.named(K::TokenUpdated, "/granted-payment-instrument-update/token")
        }
        "payment_method_customer_data_updated" => {
            notice.named(K::TokenUpdated, "/payment-method-customer-data-updated-metadata/token")
        }
        _ => Ok(Vec::new()),
    }
}

/// Elements that a revoked payment method may be.
const PAYMENT_METHODS: &[&str] = &[
    "android-pay-card",
    "apple-pay-card",
    "credit-card",
    "paypal-account",
    "samsung-pay-card",
    "sepa-debit-account",
    "us-bank-account",
    "venmo-account",
];

struct Notice<'a> {
    document: &'a Xml,
    kind: &'a str,
    timestamp: &'a str,
    received_at: UnixSeconds,
}

impl<'a> Notice<'a> {
    /// A text below the notification's subject.
    fn text(&self, path: &str) -> Option<&'a str> {
        self.document.text(&format!("/notification/subject{path}"))
    }

    fn required(&self, path: &str) -> Result<&'a str, MappingError> {
        self.text(path).ok_or_else(|| MappingError::field(path))
    }

    /// Braintree gives its notifications no id: a repeated one has the same kind, subject and time.
    fn event(&self, kind: EventKind, about: &str) -> PaymentEvent {
        let key = PaymentEvent::identified_by(&[self.kind, about, self.timestamp]);
        let mut event = PaymentEvent::new(kind, super::PROVIDER.name, key, self.received_at);
        event.occurred_at = rfc3339(self.timestamp);
        self.kind.clone_into(&mut event.provider_status);
        event
    }

    /// The amount below `path`, when its currency is told as well.
    fn amount(&self, path: &str, name: &str, currency_path: &str) -> Result<Option<Money>, MappingError> {
        match self.text(currency_path) {
            Some(currency) => {
                let path = format!("{path}/{name}");
                major(self.text(&path), currency, &path).map(Some)
            }
            None => Ok(None),
        }
    }

    /// A sale, or the credit that a refund is. What it came to is its status; the notification may say the same.
    fn transaction(&self, path: &str, told: Option<EventKind>) -> Events {
        let sale = match self.text(&format!("{path}/status")).map(sale_kind) {
            Some(kind) => kind,
            None => Some(told.ok_or_else(|| MappingError::field(format!("{path}/status")))?),
        };
        let Some(sale) = sale else { return Ok(Vec::new()) };
        if told.is_some_and(|told| told != sale) {
            return Err(MappingError::field(format!("{path}/status")));
        }
        if self.text(&format!("{path}/type")) == Some("credit") {
            return self.refund(path, refund_kind(sale));
        }
        let id = self.required(&format!("{path}/id"))?;
        let mut event = self.event(sale, id);
        event.subject_id = self.text(&format!("{path}/order-id")).map(str::to_owned);
        event.transaction_id = Some(id.to_owned());
        event.amount = self.amount(path, "amount", &format!("{path}/currency-iso-code"))?;
        event.references = references(&[Some(id)]);
        if let Some(status) = self.text(&format!("{path}/status")) {
            status.clone_into(&mut event.provider_status);
        }
        Ok(vec![event])
    }

    /// A refund finds its order by the sale: it may carry an order number of its own.
    fn refund(&self, path: &str, kind: EventKind) -> Events {
        let id = self.required(&format!("{path}/id"))?;
        let sale = self
            .text(&format!("{path}/refunded-transaction-id"))
            .or_else(|| self.text(&format!("{path}/refunded-transaction-fk")));
        let mut event = self.event(kind, id);
        if sale.is_none() {
            event.subject_id = self.text(&format!("{path}/order-id")).map(str::to_owned);
        }
        event.transaction_id = sale.map(str::to_owned);
        event.refund_id = Some(id.to_owned());
        event.amount = self.amount(path, "amount", &format!("{path}/currency-iso-code"))?;
        // A credit of its own refunds no sale, and is then found by its own id.
        event.references = references(&[sale.or(Some(id))]);
        if let Some(status) = self.text(&format!("{path}/status")) {
            status.clone_into(&mut event.provider_status);
        }
        Ok(vec![event])
    }

    /// The newest of a subscription's transactions stands first; the older ones were told before.
    fn charges(&self) -> Events {
        let subscription = self.required("/subscription/id")?;
        let transactions =
            self.document.elements("/notification/subject/subscription/transactions/transaction");
        let Some(transaction) = transactions.first() else { return Ok(Vec::new()) };
        let text = |name: &str| transaction.text(&format!("/transaction/{name}"));
        let required = |name: &str| text(name).ok_or_else(|| MappingError::field(name));
        let Some(kind) = sale_kind(required("status")?) else { return Ok(Vec::new()) };
        let id = required("id")?;
        let mut event = self.event(kind, id);
        event.subject_id = text("order-id").map(str::to_owned);
        event.transaction_id = Some(id.to_owned());
        event.amount = match text("currency-iso-code") {
            Some(currency) => Some(major(text("amount"), currency, "amount")?),
            None => None,
        };
        event.references = references(&[Some(id), Some(subscription)]);
        required("status")?.clone_into(&mut event.provider_status);
        Ok(vec![event])
    }

    /// A local payment has an id of its own; its transaction is there once the money is.
    fn local(&self, path: &str, without_transaction: EventKind) -> Events {
        let payment = self.required(&format!("{path}/payment-id"))?;
        let transaction = format!("{path}/transaction");
        let mut events = if self.text(&format!("{transaction}/id")).is_some() {
            self.transaction(&transaction, None)?
        } else {
            vec![self.event(without_transaction, payment)]
        };
        for event in &mut events {
            event.references.push(Reference::new(super::PROVIDER.name, payment));
            event.references.sort_unstable();
            event.references.dedup();
        }
        Ok(events)
    }

    fn dispute(&self, kind: EventKind) -> Events {
        // A retrieval asks for documents and moves no money.
        if self.text("/dispute/kind") == Some("retrieval") {
            return Ok(Vec::new());
        }
        let dispute = self.required("/dispute/id")?;
        let transaction = self.required("/dispute/transaction/id")?;
        let disputed = match self.text("/dispute/amount-disputed") {
            Some(_) => "amount-disputed",
            None => "amount",
        };
        let mut event = self.event(kind, dispute);
        event.subject_id = self.text("/dispute/transaction/order-id").map(str::to_owned);
        event.transaction_id = Some(transaction.to_owned());
        event.dispute_id = Some(dispute.to_owned());
        event.amount = self.amount("/dispute", disputed, "/dispute/currency-iso-code")?;
        event.references = references(&[Some(transaction)]);
        Ok(vec![event])
    }

    fn disbursement(&self) -> Events {
        let id = self.required("/disbursement/id")?;
        let kind = match self.required("/disbursement/success")? {
            "true" => EventKind::TransferSucceeded,
            "false" => EventKind::TransferFailed,
            _ => return Err(MappingError::field("/disbursement/success")),
        };
        let mut event = self.event(kind, id);
        event.subject_id = Some(id.to_owned());
        event.transaction_id = Some(id.to_owned());
        let currency = "/disbursement/merchant-account/currency-iso-code";
        event.amount = self.amount("/disbursement", "amount", currency)?;
        Ok(vec![event])
    }

    fn named(&self, kind: EventKind, path: &str) -> Events {
        let id = self.required(path)?;
        let mut event = self.event(kind, id);
        event.subject_id = Some(id.to_owned());
        Ok(vec![event])
    }

    fn revoked_token(&self) -> Events {
        let tokens = PAYMENT_METHODS.iter().map(|method| format!("/{method}/token"));
        match tokens.into_iter().find(|path| self.text(path).is_some()) {
            Some(path) => self.named(EventKind::TokenRevoked, &path),
            None => Ok(Vec::new()),
        }
    }
}

/// What a sale's status says. Money that is on its way to settlement is not taken yet: settlement may be declined.
///
/// # Source
/// <https://developer.paypal.com/braintree/docs/reference/general/statuses>
fn sale_kind(status: &str) -> Option<EventKind> {
    Some(match status {
        "authorizing" | "settlement_pending" => EventKind::PaymentPending,
        "authorized" | "submitted_for_settlement" | "settling" | "settlement_confirmed" => {
            EventKind::PaymentAuthorized
        }
        "settled" => EventKind::PaymentCaptured,
        "failed" | "gateway_rejected" | "processor_declined" | "settlement_declined" => {
            EventKind::PaymentFailed
        }
        "voided" => EventKind::PaymentCancelled,
        "authorization_expired" => EventKind::PaymentExpired,
        _ => return None,
    })
}

/// The same of a refund, which is a transaction as well.
fn refund_kind(sale: EventKind) -> EventKind {
    match sale {
        EventKind::PaymentCaptured => EventKind::RefundSucceeded,
        EventKind::PaymentPending | EventKind::PaymentAuthorized => EventKind::RefundPending,
        _ => EventKind::RefundFailed,
    }
}

fn references(ids: &[Option<&str>]) -> Vec<Reference> {
    let mut references: Vec<Reference> =
        ids.iter().flatten().map(|id| Reference::new(super::PROVIDER.name, id)).collect();
    references.sort_unstable();
    references.dedup();
    references
}
