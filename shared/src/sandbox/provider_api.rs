//! A provider's API in memory: it answers what the simulator told it before, to whoever asks as the provider wants it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{PayloadError, SandboxKeys, SimulatedFacts, render};
use crate::callback::{Fetched, KeySet, UnixSeconds, Verified};
use crate::domain::PaymentEvent;
use crate::ports::{FetchResponse, PortError, Transport};
use crate::providers::{FetchMethod, FetchRequest, MappingError, Provider};

/// Most exchanges that are kept.
const EXCHANGES_MAX: usize = 10_000;

/// A request that a provider's API expects, written down from its documents, and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// HTTP method.
    pub method: String,
    /// The whole address.
    pub url: String,
    /// A text that must stand in the body of the question, where one address answers about many things.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub question: String,
    /// Headers that must be there, by name in lower case: without them the API knows nobody.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// User and password of HTTP Basic authentication that must be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<(String, String)>,
    /// HTTP status of the answer.
    #[serde(default = "ok")]
    pub status: u16,
    /// Its body: a text as it stands, anything else as JSON.
    pub body: Value,
}

fn ok() -> u16 {
    200
}

impl Exchange {
    fn answer(&self, request: &FetchRequest) -> FetchResponse {
        let method = match request.method {
            FetchMethod::Get => "GET",
            FetchMethod::Post => "POST",
        };
        let basic = self.basic.as_ref().map(|(user, password)| {
            ("authorization".to_owned(), format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
        });
        let has = |name: &String, value: &String| {
            let mut values = request.headers.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name));
            values.next().is_some_and(|(_, have)| have == value) && values.next().is_none()
        };
        let mut expected = self.headers.iter().chain(basic.as_ref().map(|(name, value)| (name, value)));
        if method != self.method {
            error(405)
        } else if !expected.all(|(name, value)| has(name, value)) {
            error(401)
        } else {
            FetchResponse {
                status: self.status,
                max_age_seconds: None,
                body: match &self.body {
                    Value::String(text) => text.clone().into_bytes(),
                    json => json.to_string().into_bytes(),
                },
            }
        }
    }
}

fn error(status: u16) -> FetchResponse {
    FetchResponse { status, max_age_seconds: None, body: b"{}".to_vec() }
}

/// The API of every provider.
#[derive(Default)]
pub struct ProviderApi {
    /// By address and question.
    exchanges: Mutex<HashMap<String, HashMap<String, Exchange>>>,
}

impl ProviderApi {
    /// An API that answers these.
    pub fn with(exchanges: impl IntoIterator<Item = Exchange>) -> Self {
        let api = Self::default();
        exchanges.into_iter().for_each(|exchange| api.put(exchange));
        api
    }

    /// From now on this is the answer at its address.
    pub fn put(&self, exchange: Exchange) {
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        if exchanges.len() >= EXCHANGES_MAX {
            exchanges.clear();
        }
        let of_address = exchanges.entry(exchange.url.clone()).or_default();
        if of_address.len() >= EXCHANGES_MAX {
            of_address.clear();
        }
        of_address.insert(exchange.question.clone(), exchange);
    }

    /// The answer to a request: 404 where nothing is known, 405 for another method, 401 for a stranger.
    pub fn answer(&self, request: &FetchRequest) -> FetchResponse {
        let exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        let question = String::from_utf8_lossy(&request.body);
        let mut of_address = exchanges.get(&request.url).into_iter().flat_map(HashMap::values);
        let exchange = of_address.find(|exchange| question.contains(&exchange.question));
        exchange.map_or_else(|| error(404), |exchange| exchange.answer(request))
    }

    /// The events that come of a callback of which the provider must be asked.
    ///
    /// # Errors
    /// [`MappingError`] when nothing can be asked, or the answer is none to what was asked.
    pub fn events(
        &self,
        provider: &Provider,
        about: &Verified,
        keys: &KeySet,
        now: UnixSeconds,
    ) -> Result<Vec<PaymentEvent>, MappingError> {
        let asked = |request: &FetchRequest| {
            let FetchResponse { status, body, .. } = self.answer(request);
            let fetched = (status == 200).then(|| Fetched::new(status, body, now));
            fetched.ok_or_else(|| MappingError::field(format!("status {status}")))
        };
        let wanted = provider.token_request(keys)?;
        let mut events = Vec::new();
        for mut request in provider.inquiries(about, keys)? {
            if let Some(wanted) = &wanted {
                let token = provider.access_token(&asked(&wanted.request)?)?;
                request = wanted.authorized(&request, &token);
            }
            let answer = provider.answered(about, &asked(&request)?, keys)?;
            events.extend(provider.normalise(&answer)?);
        }
        Ok(events)
    }
}

#[async_trait]
impl Transport for ProviderApi {
    async fn send(&self, _account: &str, request: &FetchRequest) -> Result<FetchResponse, PortError> {
        Ok(self.answer(request))
    }
}

impl Provider {
    /// What its API is asked and answers in a scenario, out of `payloads/{scenario}.answer.json`: none where it is
    /// not asked.
    ///
    /// # Errors
    /// [`PayloadError`] when the file names a fact that does not exist, or is no list of exchanges.
    pub fn exchanges(
        &self,
        scenario: &str,
        facts: &SimulatedFacts,
        keys: &SandboxKeys,
    ) -> Result<Vec<Exchange>, PayloadError> {
        let Some(template) = self.payload_template(&format!("{scenario}.answer")) else {
            return Ok(Vec::new());
        };
        let rendered = render(template, facts, keys)?;
        serde_json::from_str(&rendered).map_err(|error| PayloadError::Exchange {
            provider: self.name.to_owned(),
            scenario: scenario.to_owned(),
            problem: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::{Credentials, RawCallback};
    use crate::domain::Money;
    use crate::domain::money::Currency;
    use crate::providers::Registry;

    #[test]
    fn strangers_are_told_nothing() {
        let exchange = serde_json::json!({
            "method": "GET", "url": "https://api.example.com/payments/1",
            "headers": {"api-version": "2"}, "basic": ["user", "pass"], "body": {"id": 1},
        });
        let api = ProviderApi::with([serde_json::from_value::<Exchange>(exchange).unwrap()]);
        let genuine = FetchRequest::get("api.example.com", "https://api.example.com/payments/1")
            .with_header("Api-Version", "2")
            .with_header("authorization", "Basic dXNlcjpwYXNz");
        let check = |request: &FetchRequest, status: u16| assert_eq!(api.answer(request).status, status);
        check(&genuine, 200);
        assert_eq!(api.answer(&genuine).body, br#"{"id":1}"#);
        check(&FetchRequest { method: FetchMethod::Post, ..genuine.clone() }, 405);
        check(&FetchRequest { url: "https://api.example.com/payments/2".into(), ..genuine.clone() }, 404);
        check(&FetchRequest { headers: genuine.headers[..1].to_vec(), ..genuine.clone() }, 401);
        check(&FetchRequest { headers: genuine.headers[1..].to_vec(), ..genuine.clone() }, 401);
        check(&genuine.with_header("authorization", "Bearer x"), 401);
    }

    #[test]
    fn one_address_answers_many_questions() {
        let exchange = |question: &str, body: &str| -> Exchange {
            let exchange = serde_json::json!({
                "method": "POST", "url": "https://api.example.com/query", "question": question, "body": body,
            });
            serde_json::from_value(exchange).unwrap()
        };
        let api = ProviderApi::with([exchange("<id>1</id>", "<a>1</a>"), exchange("<id>2</id>", "<a>2</a>")]);
        let ask = |body: &str| {
            let get = FetchRequest::get("api.example.com", "https://api.example.com/query");
            api.answer(&FetchRequest { method: FetchMethod::Post, body: body.into(), ..get })
        };
        assert_eq!(ask("<x><id>2</id></x>").body, b"<a>2</a>");
        assert_eq!(ask("<x><id>1</id></x>").body, b"<a>1</a>");
        assert_eq!(ask("<x><id>3</id></x>").status, 404);
    }

    #[test]
    fn a_client_that_the_provider_does_not_know_gets_no_token() {
        let provider = Registry::default().find("phonepe_v2").unwrap();
        let keys = provider.sandbox.generate();
        let rupee = Currency::new("INR").unwrap();
        let money = |amount_minor| Money::from_minor(amount_minor, rupee.clone()).unwrap();
        let facts = SimulatedFacts {
            event_id: "event-1".to_owned(),
            order_id: "A1".to_owned(),
            transaction_id: "OMO1".to_owned(),
            refund_id: "OMR1".to_owned(),
            amount: money(1999),
            refund: money(100),
            now: UnixSeconds(1_767_225_600),
            path: "/".to_owned(),
        };
        let request =
            provider.sandbox.sign(&keys, &provider.payload("paid", &facts, &keys).unwrap()).unwrap();
        let raw = RawCallback::new("demo", "phonepe_v2", "POST", "/", request.headers, request.body);
        let own = KeySet::new("own", keys.key_set.clone());
        let credentials = Credentials { key_sets: vec![own.clone()] };
        let hint = provider.accept(&raw, &credentials, facts.now).unwrap();
        let api = ProviderApi::with(provider.exchanges("paid", &facts, &keys).unwrap());
        let events = api.events(provider, &hint, &own, facts.now).unwrap();
        assert_eq!(events[0].subject_id.as_deref(), Some("A1"));
        for field in ["client_id", "client_secret", "client_version"] {
            let stranger = own.with_key(field, None, "another".into());
            assert!(api.events(provider, &hint, &stranger, facts.now).is_err(), "{field}");
        }
    }
}
