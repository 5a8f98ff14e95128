//! Every provider through the callback function: what it is answered, and that only what is genuine is queued.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test, its helpers too")]

use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::{HeaderName, HeaderValue, Method};
use callback_function::{Ports, handle};
use paybell_conformance::mutations::{MUTATIONS, Must, Mutation, signature_places};
use paybell_conformance::{ACCOUNT, Case, NOW, cases};
use paybell_shared::callback::{BODY_BYTES_MAX, Origin, Verified};
use paybell_shared::ports::memory::{MemoryAccounts, MemoryQueue};
use paybell_shared::ports::{AccountStore, FetchedKeys, PortError};
use paybell_shared::providers::{Registry, Reply};
use paybell_shared::sandbox::SignedRequest;
use paybell_shared::sandbox::request::{forge, with_flipped_byte};
use paybell_shared::sandbox::vector::Verdict;

/// The callback function of one account with all providers' test keys.
struct House {
    accounts: Arc<MemoryAccounts>,
    queue: Arc<MemoryQueue>,
    ports: Ports,
}

impl House {
    async fn new() -> Self {
        let (accounts, queue) = (Arc::new(MemoryAccounts::default()), Arc::new(MemoryQueue::default()));
        for case in cases() {
            accounts.put_credentials(ACCOUNT, case.name(), &case.credentials()).await.unwrap();
        }
        let providers = Arc::new(Registry::default());
        let keys = Arc::new(FetchedKeys::unreachable());
        let refusals = Arc::default();
        let ports = Ports { accounts: accounts.clone(), callbacks: queue.clone(), keys, providers, refusals };
        Self { accounts, queue, ports }
    }

    async fn answer(
        &self,
        account: &str,
        provider: &str,
        request: &SignedRequest,
    ) -> ApiGatewayV2httpResponse {
        handle(event(account, provider, request), &self.ports, NOW).await
    }

    async fn check(&self, case: &Case, request: &SignedRequest, expected: Reply) {
        let response = self.answer(ACCOUNT, case.name(), request).await;
        assert_answer(&response, expected, case.name());
    }
}

fn event(account: &str, provider: &str, request: &SignedRequest) -> ApiGatewayV2httpRequest {
    let mut event = ApiGatewayV2httpRequest::default();
    event.raw_path = Some(format!("/callbacks/{account}/{provider}{}", request.further_path()));
    event.raw_query_string = Some(request.query.clone());
    event.request_context.http.method = Method::from_bytes(request.method.as_bytes()).unwrap();
    for (name, value) in request.sent_headers() {
        event.headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    match String::from_utf8(request.body.clone()) {
        Ok(text) => event.body = Some(text),
        Err(_) => {
            use base64::{Engine as _, engine::general_purpose::STANDARD};
            event.is_base64_encoded = true;
            event.body = Some(STANDARD.encode(&request.body));
        }
    }
    event
}

fn assert_answer(response: &ApiGatewayV2httpResponse, expected: Reply, about: &str) {
    assert_eq!(response.status_code, i64::from(expected.status), "{about}");
    let body = match &response.body {
        None | Some(Body::Empty) => "",
        Some(Body::Text(text)) => text,
        Some(_) => panic!("{about}: an answer is text"),
    };
    assert_eq!(body, expected.body, "{about}");
    let content_type = response.headers.get("content-type").map(|value| value.to_str().unwrap());
    assert_eq!(content_type.unwrap_or_default(), expected.content_type, "{about}");
}

#[tokio::test]
async fn genuine_callbacks_are_queued_and_then_acknowledged() {
    for case in cases() {
        let house = House::new().await;
        let paid = case.request(case.main());
        house.check(case, &paid, case.success(&paid)).await;
        let messages = house.queue.messages();
        assert_eq!(messages.len(), 1, "{}", case.name());
        let verified = Verified::from_queue(&messages[0]).unwrap();
        assert_eq!(case.events_of(&verified, case.main()), case.events(case.main()));
        assert_eq!(verified.raw().body(), paid.body, "{}: the queue carries the bytes", case.name());
    }
}

#[tokio::test]
async fn forged_callbacks_get_401_and_leave_no_trace() {
    for case in cases().iter().filter(|case| case.provider.signs()) {
        let house = House::new().await;
        let forged = forge(&case.request(case.main()), |changed| {
            matches!(
                case.judge(changed),
                Verdict::Rejected(paybell_shared::callback::Rejection::SignatureMismatch)
            )
        });
        house.check(case, &forged.unwrap(), case.provider.answers.failure(401).into()).await;
        assert!(house.queue.messages().is_empty(), "{}", case.name());
    }
}

/// Changed callbacks of every kind: a refusal is always the provider's own failure body, with a status that says whose fault it is.
#[tokio::test]
async fn changed_callbacks_are_refused_with_the_providers_failure_body() {
    for case in cases() {
        let house = House::new().await;
        let paid = case.request(case.main());
        let rejects = |mutation: &&Mutation| mutation.must_for(case.provider) == Some(Must::Reject);
        for mutation in MUTATIONS.iter().filter(rejects) {
            for changed in (mutation.apply)(&paid) {
                if changed == paid || !deliverable(&changed) {
                    continue;
                }
                let response = house.answer(ACCOUNT, case.name(), &changed).await;
                let status = u16::try_from(response.status_code).unwrap();
                assert!([400, 401].contains(&status), "{}: {}: {status}", case.name(), mutation.name);
                assert_answer(&response, case.provider.answers.failure(status).into(), mutation.name);
            }
        }
        assert!(house.queue.messages().is_empty(), "{}", case.name());
    }
}

/// Some changes cannot come over HTTP at all: a header's value has no control characters.
fn deliverable(request: &SignedRequest) -> bool {
    request.headers.iter().all(|(name, value)| {
        HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_bytes(value.as_bytes()).is_ok()
    })
}

fn is_hint(message: &str) -> bool {
    Verified::from_queue(message).unwrap().origin() == Origin::Hint
}

#[tokio::test]
async fn a_callback_belongs_to_one_account_and_one_provider() {
    for case in cases() {
        let house = House::new().await;
        let paid = case.request(case.main());
        let elsewhere = house.answer("somebody", case.name(), &paid).await;
        assert_answer(&elsewhere, case.provider.answers.failure(404).into(), case.name());
        assert_eq!(house.answer(ACCOUNT, "nobody", &paid).await.status_code, 404);
        // The other account uses the same provider, with its own keys.
        let theirs = paybell_shared::callback::Credentials {
            key_sets: vec![paybell_conformance::key_set("theirs", &case.other_keys)],
        };
        house.accounts.put_credentials("other", case.name(), &theirs).await.unwrap();
        let crossed = house.answer("other", case.name(), &paid).await;
        if !case.provider.signs() {
            // Nothing says whose it is: the other account asks about it with its own key.
            continue;
        }
        assert_answer(&crossed, case.provider.answers.failure(401).into(), case.name());
        let others = cases().iter().filter(|other| other.name() != case.name() && other.provider.signs());
        for other in others {
            let crossed = house.answer(ACCOUNT, other.name(), &paid).await;
            // One that signs only some of its callbacks may take it for a hint, which changes nothing by itself.
            let is_refused = [400, 401].contains(&crossed.status_code);
            let is_hint = house.queue.messages().last().is_some_and(|message| is_hint(message));
            assert!(is_refused || is_hint, "{} at {}", case.name(), other.name());
        }
        assert!(house.queue.messages().iter().all(|message| is_hint(message)), "{}", case.name());
    }
}

#[tokio::test]
async fn oversize_callbacks_get_413() {
    for case in cases() {
        let house = House::new().await;
        let mut oversize = case.request(case.main());
        oversize.body.resize(BODY_BYTES_MAX + 1, b' ');
        house.check(case, &oversize, case.provider.answers.failure(413).into()).await;
        assert!(house.queue.messages().is_empty(), "{}", case.name());
    }
}

#[tokio::test]
async fn what_is_not_durable_is_not_acknowledged() {
    for case in cases() {
        let house = House::new().await;
        let paid = case.request(case.main());
        let errors = [PortError::Transient("throttled".into()), PortError::Permanent("denied".into())];
        for error in errors {
            house.queue.faults.push(error.clone());
            house.check(case, &paid, case.provider.answers.failure(503).into()).await;
            house.accounts.faults.push(error);
            house.check(case, &paid, case.provider.answers.failure(503).into()).await;
        }
        assert!(house.queue.messages().is_empty(), "{}", case.name());
        house.check(case, &paid, case.success(&paid)).await;
    }
}

#[tokio::test]
async fn a_forged_body_is_never_in_the_answer() {
    for case in cases().iter().filter(|case| case.provider.signs()) {
        let house = House::new().await;
        let paid = case.request(case.main());
        let place = signature_places(&paid)[0];
        let response = house.answer(ACCOUNT, case.name(), &with_flipped_byte(&paid, place, 1)).await;
        let printed = format!("{response:?}");
        for piece in paid.body.chunks(24).map(String::from_utf8_lossy).filter(|piece| piece.len() >= 16) {
            assert!(!printed.contains(piece.as_ref()), "{}", case.name());
        }
    }
}
