//! Shopify webhooks. Source: <https://shopify.dev/docs/apps/build/webhooks>. Mapping: `fixtures/shopify/MAPPING.md`.
//!
//! The signature is described. The events need code because the topic is in a header that is not signed: whoever
//! replays a genuine callback could change it, so the signed body alone says what kind of thing it is about.

use crate::callback::Verified;
use crate::callback::json::Json;
use crate::domain::{EventKind, Money, PaymentEvent, Reference};

use super::described::described_signature;
use super::{EachEvent, MappingError, Normalise, Provider, read};

const NAME: &str = "shopify";

const DESCRIPTION: &str = r#"
title = "Shopify"
rail = "aggregator"
documents = [
    "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
    "https://shopify.dev/docs/api/admin-rest/latest/resources/webhook",
    "https://github.com/Shopify/shopify-api-js",
]
retry_schedule = "8 times over 4 hours, then the subscription is removed"
covers = "body"
# What Shopify's own library requires; none of it is signed, and nothing is read from it.
required = [
    "header:X-Shopify-Topic",
    "header:X-Shopify-Shop-Domain",
    "header:X-Shopify-API-Version",
    "header:X-Shopify-Webhook-Id",
]

[[credentials]]
name = "secret"
required = true
about = "Client secret of the app, or the key shown under Settings, Notifications, Webhooks. A list while it is changed, which may take an hour"

[[checks]]
algorithm = "hmac-sha256"
key = { field = "secret", encoding = "utf8" }
signature = { at = "header:X-Shopify-Hmac-Sha256", encoding = "base64" }
signed = "{body}"
"#;

/// Every kind that it tells.
const KINDS: &[EventKind] = &[
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
];

/// The provider.
pub(super) fn provider() -> &'static Provider {
    described_signature(NAME, DESCRIPTION, KINDS, Normalise::CodedEach(normalise))
}

fn normalise(verified: &Verified) -> EachEvent {
    let json = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let resource = Resource { json: &json, verified };
    match json
        .text("/admin_graphql_api_id")
        .and_then(|id| id.strip_prefix("gid://shopify/")?.split('/').next())
    {
        Some("Order") => resource.order(),
        Some("Refund") => Ok(resource.embedded("/transactions")),
        Some("OrderTransaction") => resource.transaction().map(|event| event.into_iter().map(Ok).collect()),
        Some("SubscriptionContract") => resource.contract().map(|event| event.into_iter().map(Ok).collect()),
        // A dispute is the one resource with money that has no such id in every API version.
        _ if json.at("/evidence_due_by").is_some() => resource.dispute().map(|event| vec![Ok(event)]),
        _ => Ok(Vec::new()),
    }
}

/// One resource in the callback, or embedded in another.
#[derive(Clone, Copy)]
struct Resource<'a> {
    json: &'a Json,
    verified: &'a Verified,
}

impl Resource<'_> {
    /// What an order's financial status says of its payment, and the refunds that it embeds.
    fn order(self) -> EachEvent {
        let status = self.required("/financial_status")?;
        let left = self.json.text("/cancelled_at").is_some();
        let kind = match status {
            "pending" | "unpaid" if left => EventKind::PaymentCancelled,
            "pending" | "unpaid" => EventKind::PaymentPending,
            "authorized" => EventKind::PaymentAuthorized,
            "partially_paid" | "paid" | "partially_refunded" | "refunded" => EventKind::PaymentCaptured,
            "voided" => EventKind::PaymentCancelled,
            "expired" => EventKind::PaymentExpired,
            _ => return Err(MappingError::field("/financial_status")),
        };
        let mut amount = self.money("/total_price")?;
        if status == "partially_paid" {
            amount = less(&amount, &self.money("/total_outstanding")?)?;
        }
        let mut events = vec![Ok(self.payment(kind, self.required("/id")?, status, amount))];
        for refund in self.json.members("/refunds") {
            events.extend(Resource { json: refund, ..self }.embedded("/transactions"));
        }
        Ok(events)
    }

    fn embedded(self, pointer: &str) -> Vec<Result<PaymentEvent, MappingError>> {
        let transactions = self.json.members(pointer).iter();
        transactions.filter_map(|json| Resource { json, ..self }.transaction().transpose()).collect()
    }

    /// All transactions of an order are one payment here: the order's own callbacks tell the sum of its captures.
    fn transaction(self) -> Result<Option<PaymentEvent>, MappingError> {
        use EventKind as K;
        let [success, pending, failure] = match self.required("/kind")? {
            "authorization" => [K::PaymentAuthorized, K::PaymentPending, K::PaymentFailed],
            "sale" => [K::PaymentCaptured, K::PaymentPending, K::PaymentFailed],
            // Of a reservation that stays what it was when it cannot be taken or released.
            "capture" => [K::PaymentCaptured, K::PaymentAuthorized, K::PaymentAuthorized],
            "void" => [K::PaymentCancelled, K::PaymentAuthorized, K::PaymentAuthorized],
            "refund" => [K::RefundSucceeded, K::RefundPending, K::RefundFailed],
            _ => return Ok(None),
        };
        let status = self.required("/status")?;
        let kind = match status {
            "success" => success,
            "pending" | "awaiting_response" => pending,
            "failure" | "error" => failure,
            _ => return Err(MappingError::field("/status")),
        };
        let id = self.required("/id")?;
        let mut event = self.payment(kind, self.required("/order_id")?, status, self.money("/amount")?);
        event.key = PaymentEvent::identified_by(&["transaction", id, kind.name()]);
        if success == K::RefundSucceeded {
            event.refund_id = Some(id.to_owned());
        }
        Ok(Some(event))
    }

    fn dispute(self) -> Result<PaymentEvent, MappingError> {
        let status = self.required("/status")?;
        let kind = match status {
            "needs_response" | "under_review" => EventKind::DisputeOpened,
            // One that a refund closed takes nothing from the merchant by itself.
            "won" | "charge_refunded" => EventKind::DisputeWon,
            "lost" | "accepted" => EventKind::DisputeLost,
            _ => return Err(MappingError::field("/status")),
        };
        let id = self.required("/id")?;
        let mut event = self.payment(kind, self.required("/order_id")?, status, self.money("/amount")?);
        event.key = PaymentEvent::identified_by(&["dispute", id, status]);
        event.dispute_id = Some(id.to_owned());
        Ok(event)
    }

    fn contract(self) -> Result<Option<PaymentEvent>, MappingError> {
        let status = self.required("/status")?;
        let kind = match status {
            "active" => EventKind::MandateSigned,
            "cancelled" | "expired" | "failed" => EventKind::MandateRevoked,
            _ => return Ok(None),
        };
        let id = self.required("/id")?;
        let revision = self.json.text("/revision_id").unwrap_or_default();
        let mut event = self.told(kind, &["contract", id, status, revision], status);
        event.subject_id = Some(id.to_owned());
        Ok(Some(event))
    }

    fn payment(self, kind: EventKind, order_id: &str, status: &str, amount: Money) -> PaymentEvent {
        let mut event = self.told(kind, &["order", order_id, status, &amount.to_string()], status);
        event.subject_id = Some(order_id.to_owned());
        event.transaction_id = Some(order_id.to_owned());
        event.references = vec![Reference::new(NAME, order_id)];
        event.amount = Some(amount);
        event
    }

    fn told(self, kind: EventKind, identity: &[&str], status: &str) -> PaymentEvent {
        let key = PaymentEvent::identified_by(identity);
        let mut event = PaymentEvent::new(kind, NAME, key, self.verified.received_at());
        let times = ["/processed_at", "/finalized_on", "/initiated_at", "/updated_at", "/created_at"];
        event.occurred_at = times.iter().find_map(|pointer| read::rfc3339(self.json.text(pointer)?));
        event.provider_status = status.to_owned();
        event
    }

    fn money(self, pointer: &str) -> Result<Money, MappingError> {
        read::major(self.json.text(pointer), self.required("/currency")?, pointer)
    }

    fn required(&self, pointer: &str) -> Result<&str, MappingError> {
        self.json.text(pointer).ok_or_else(|| MappingError::field(pointer))
    }
}

fn less(total: &Money, outstanding: &Money) -> Result<Money, MappingError> {
    let minor = total.amount_minor() - outstanding.amount_minor();
    Money::from_minor(minor, total.currency().clone()).map_err(|_| MappingError::field("/total_outstanding"))
}

#[cfg(test)]
mod tests;
