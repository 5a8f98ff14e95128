//! Stripe webhooks. Source: <https://docs.stripe.com/webhooks>, <https://docs.stripe.com/api/events/types>.
//! Mapping: `fixtures/stripe/MAPPING.md`.

mod thin;

use crate::callback::UnixSeconds;
use crate::callback::Verified;
use crate::callback::json::Json;
use crate::domain::{EventKind, Money, PaymentEvent, Reference};

use super::described::{described_signature_and_inquiry, money_on_the_wire};
use super::read::rfc3339;
use super::{EachEvent, MappingError, Normalise, Provider};

const NAME: &str = "stripe";

/// The facts and the signature; the events need code because their shape depends on the object.
const DESCRIPTION: &str = r#"
title = "Stripe"
rail = "card"
documents = [
    "https://docs.stripe.com/webhooks",
    "https://docs.stripe.com/webhooks/signature",
    "https://docs.stripe.com/api/events/types",
    "https://docs.stripe.com/event-destinations",
    "https://docs.stripe.com/currencies",
]
retry_schedule = "growing delays for up to 3 days (test mode: 3 times within a few hours)"
covers = "body"

[[credentials]]
name = "secret"
required = true
about = "Signing secret of the endpoint, `whsec_` included: Workbench, Webhooks. A list while it is rolled"

[[credentials]]
name = "account_id"
about = "For Connect: the connected account (`acct_`) whose events are meant"

[[credentials]]
name = "api_key"
about = "For thin events: a restricted key (`rk_`) that may read payments, refunds, disputes, payouts and subscriptions"

[[credentials]]
name = "tolerance_seconds"
about = "How far the signed time may be from ours; 300 unless told"

[timestamp]
at = "entry:t"
unit = "seconds"
tolerance_seconds = 300

# Only `v1` counts: `v0` is for Stripe's own tests, and to fall back to it would be a downgrade.
[[checks]]
algorithm = "hmac-sha256"
key = { field = "secret", encoding = "utf8" }
signature = { at = "header:Stripe-Signature", encoding = "hex", separator = ",", assign = "=", take = "v1" }
signed = "{entry:t}.{body}"

[[identity]]
at = "json:/account"
expected = "account_id"
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
    EventKind::TransferSucceeded,
    EventKind::TransferFailed,
];

/// The provider.
pub(super) fn provider() -> &'static Provider {
    described_signature_and_inquiry(NAME, DESCRIPTION, KINDS, Normalise::CodedEach(normalise), thin::INQUIRY)
}

fn normalise(verified: &Verified) -> EachEvent {
    let event = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    // A thin event carries no object, only what to ask about: it moves nothing by itself.
    let (Some(type_name), Some(json)) = (event.text("/type"), event.at("/data/object")) else {
        return Ok(Vec::new());
    };
    Object { json, event: &event, received_at: verified.received_at() }.read(type_name)
}

/// The object of an event, and the event around it.
struct Object<'a> {
    json: &'a Json,
    event: &'a Json,
    received_at: UnixSeconds,
}

impl Object<'_> {
    fn read(&self, type_name: &str) -> EachEvent {
        let object = self;
        let read = match type_name.split_once('.') {
            Some(("payment_intent", what)) => object.payment_intent(what)?,
            Some(("charge", "refunded")) => return Ok(object.embedded_refunds()),
            Some(("charge", "refund.updated")) | Some(("refund", _)) => Some(object.refund()?),
            Some(("charge", what)) => match what.strip_prefix("dispute.") {
                Some(what) => object.dispute(what)?,
                None => object.charge(what)?,
            },
            Some(("checkout", what)) => object.checkout_session(what)?,
            Some(("mandate", "updated")) => object.mandate()?,
            Some(("customer", what)) => object.subscription(what)?,
            Some(("payout", what)) => object.payout(what)?,
            _ => None,
        };
        Ok(read.into_iter().map(Ok).collect())
    }

    fn payment_intent(&self, what: &str) -> Result<Option<PaymentEvent>, MappingError> {
        let (kind, amount) = match what {
            "created" | "processing" | "requires_action" => (EventKind::PaymentPending, "/amount"),
            "amount_capturable_updated" => (EventKind::PaymentAuthorized, "/amount_capturable"),
            "succeeded" => (EventKind::PaymentCaptured, "/amount_received"),
            "payment_failed" => (EventKind::PaymentFailed, "/amount"),
            "canceled" => (EventKind::PaymentCancelled, "/amount"),
            _ => return Ok(None),
        };
        self.payment(kind, &self.required("/id")?, amount, &["/id", "/latest_charge"]).map(Some)
    }

    fn charge(&self, what: &str) -> Result<Option<PaymentEvent>, MappingError> {
        let captured = self.json.at("/captured") == Some(&Json::Bool(true));
        let (kind, amount) = match what {
            "pending" => (EventKind::PaymentPending, "/amount"),
            "succeeded" if captured => (EventKind::PaymentCaptured, self.captured_amount()),
            "succeeded" => (EventKind::PaymentAuthorized, "/amount"),
            "captured" => (EventKind::PaymentCaptured, self.captured_amount()),
            "failed" => (EventKind::PaymentFailed, "/amount"),
            // A reservation that was not captured in time is released.
            "expired" => (EventKind::PaymentCancelled, "/amount"),
            _ => return Ok(None),
        };
        self.payment(kind, &self.transaction_of("/id")?, amount, &["/id", "/payment_intent"]).map(Some)
    }

    /// API versions before 2020-08-27 have no `amount_captured`; a charge captured in full has its amount.
    fn captured_amount(&self) -> &'static str {
        if self.json.at("/amount_captured").is_some() { "/amount_captured" } else { "/amount" }
    }

    fn checkout_session(&self, what: &str) -> Result<Option<PaymentEvent>, MappingError> {
        // The other modes collect no payment of their own: a subscription's is told by its payment intents.
        if self.json.text("/mode").is_some_and(|mode| mode != "payment") {
            return Ok(None);
        }
        let kind = match (what, self.json.text("/payment_status")) {
            ("session.completed", Some("paid" | "no_payment_required"))
            | ("session.async_payment_succeeded", _) => EventKind::PaymentCaptured,
            ("session.completed", Some("unpaid")) => EventKind::PaymentPending,
            ("session.completed", _) => return Err(MappingError::field("/data/object/payment_status")),
            ("session.async_payment_failed", _) => EventKind::PaymentFailed,
            ("session.expired", _) => EventKind::PaymentExpired,
            _ => return Ok(None),
        };
        let transaction_id = self.transaction_of("/id")?;
        self.payment(kind, &transaction_id, "/amount_total", &["/id", "/payment_intent"]).map(Some)
    }

    /// `charge.refunded` tells only the sum so far. Its refunds are facts of their own, with ids, in API versions
    /// that embed them; in later ones `refund.*` tells them.
    fn embedded_refunds(&self) -> Vec<Result<PaymentEvent, MappingError>> {
        let refunds = self.json.members("/refunds/data").iter();
        refunds
            .map(|json| {
                let mut event = Object { json, ..*self }.refund()?;
                event.key = format!("{}:{}", event.key, event.refund_id.as_deref().unwrap_or_default());
                if let Some(intent) = self.id("/payment_intent") {
                    event.references.push(Reference::new(NAME, &intent));
                    event.transaction_id = Some(intent);
                }
                event.subject_id = event.subject_id.or_else(|| self.order_id());
                tidy(&mut event.references);
                Ok(event)
            })
            .collect()
    }

    fn refund(&self) -> Result<PaymentEvent, MappingError> {
        let kind = match self.json.text("/status") {
            Some("succeeded") => EventKind::RefundSucceeded,
            Some("pending" | "requires_action") => EventKind::RefundPending,
            Some("failed" | "canceled") => EventKind::RefundFailed,
            _ => return Err(MappingError::field("/data/object/status")),
        };
        let transaction_id = self.transaction_of("/charge")?;
        let mut event = self.payment(kind, &transaction_id, "/amount", &["/charge", "/payment_intent"])?;
        event.refund_id = Some(self.required("/id")?);
        Ok(event)
    }

    /// `funds_withdrawn` and `funds_reinstated` book what opening and closing already say.
    fn dispute(&self, what: &str) -> Result<Option<PaymentEvent>, MappingError> {
        if !matches!(what, "created" | "updated" | "closed") {
            return Ok(None);
        }
        let kind = match self.json.text("/status") {
            // An inquiry that closes, or a dispute closed by a refund, takes nothing from the merchant by itself.
            Some("won" | "warning_closed" | "charge_refunded") => EventKind::DisputeWon,
            Some("lost") => EventKind::DisputeLost,
            Some("prevented") => return Ok(None),
            Some(_) if what != "closed" => EventKind::DisputeOpened,
            _ => return Err(MappingError::field("/data/object/status")),
        };
        let transaction_id = self.transaction_of("/charge")?;
        let mut event = self.payment(kind, &transaction_id, "/amount", &["/charge", "/payment_intent"])?;
        event.dispute_id = Some(self.required("/id")?);
        Ok(Some(event))
    }

    fn mandate(&self) -> Result<Option<PaymentEvent>, MappingError> {
        match self.json.text("/status") {
            Some("active") => self.about_itself(EventKind::MandateSigned).map(Some),
            Some("inactive") => self.about_itself(EventKind::MandateRevoked).map(Some),
            _ => Ok(None),
        }
    }

    fn subscription(&self, what: &str) -> Result<Option<PaymentEvent>, MappingError> {
        match (what, self.json.text("/status")) {
            ("subscription.created" | "subscription.updated", Some("active" | "trialing")) => {
                self.about_itself(EventKind::MandateSigned).map(Some)
            }
            ("subscription.deleted", _) => self.about_itself(EventKind::MandateRevoked).map(Some),
            _ => Ok(None),
        }
    }

    fn payout(&self, what: &str) -> Result<Option<PaymentEvent>, MappingError> {
        let kind = match what {
            "paid" => EventKind::TransferSucceeded,
            "failed" | "canceled" => EventKind::TransferFailed,
            _ => return Ok(None),
        };
        let mut event = self.about_itself(kind)?;
        event.amount = Some(self.money("/amount")?);
        Ok(Some(event))
    }

    fn payment(
        &self,
        kind: EventKind,
        transaction_id: &str,
        amount: &str,
        references: &[&str],
    ) -> Result<PaymentEvent, MappingError> {
        let mut event = self.told(kind)?;
        event.subject_id = self.order_id();
        event.transaction_id = Some(transaction_id.to_owned());
        // A session that was left before its payer chose an amount has none.
        event.amount = match self.json.text(amount) {
            None if kind == EventKind::PaymentExpired => None,
            _ => Some(self.money(amount)?),
        };
        event.references = references
            .iter()
            .filter_map(|pointer| self.id(pointer))
            .map(|id| Reference::new(NAME, &id))
            .collect();
        tidy(&mut event.references);
        Ok(event)
    }

    fn about_itself(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let mut event = self.told(kind)?;
        event.subject_id = Some(self.required("/id")?);
        Ok(event)
    }

    fn told(&self, kind: EventKind) -> Result<PaymentEvent, MappingError> {
        let id = self.event.text("/id").ok_or_else(|| MappingError::field("/id"))?;
        let mut event = PaymentEvent::new(kind, NAME, id, self.received_at);
        // Thin events write it as text.
        let created = self.event.text("/created");
        event.occurred_at =
            created.and_then(|text| text.parse().ok().map(UnixSeconds).or_else(|| rfc3339(text)));
        event.provider_status = self.json.text("/status").unwrap_or_default().to_owned();
        Ok(event)
    }

    fn order_id(&self) -> Option<String> {
        let named = self.json.text("/metadata/order_id").or_else(|| self.json.text("/client_reference_id"));
        named.map(str::to_owned)
    }

    /// One payment is told by its intent, its charge and its session; the intent's id joins them into one transaction.
    fn transaction_of(&self, otherwise: &str) -> Result<String, MappingError> {
        self.id("/payment_intent").map_or_else(|| self.required(otherwise), Ok)
    }

    fn required(&self, pointer: &str) -> Result<String, MappingError> {
        self.id(pointer).ok_or_else(|| MappingError::field(format!("/data/object{pointer}")))
    }

    /// An id, or the id of the object that an endpoint with expansion has in its place.
    fn id(&self, pointer: &str) -> Option<String> {
        let plain = self.json.text(pointer);
        plain.or_else(|| self.json.text(&format!("{pointer}/id"))).map(str::to_owned)
    }

    fn money(&self, pointer: &str) -> Result<Money, MappingError> {
        let missing = |pointer: &str| MappingError::field(format!("/data/object{pointer}"));
        let amount = self.json.text(pointer).ok_or_else(|| missing(pointer))?;
        let code = self.json.text("/currency").ok_or_else(|| missing("/currency"))?.to_ascii_uppercase();
        money_on_the_wire(amount, &code, decimals(&code)).map_err(|_| missing(pointer))
    }
}

fn tidy(references: &mut Vec<Reference>) {
    references.sort();
    references.dedup();
}

/// Decimals of Stripe's amounts, which differ from ISO 4217: ISK and UGX have two on the wire, MGA has none.
///
/// # Source
/// <https://docs.stripe.com/currencies#zero-decimal>, "Special cases".
fn decimals(code: &str) -> u8 {
    match code {
        "BIF" | "CLP" | "DJF" | "GNF" | "JPY" | "KMF" | "KRW" | "MGA" | "PYG" | "RWF" | "VND" | "VUV"
        | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "JOD" | "KWD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;
