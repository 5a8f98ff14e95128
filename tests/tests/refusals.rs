//! Callbacks that are refused: each with its status and the provider's failure body, and no trace in orders.

use paybell_cli::simulate::{Facts, Scenario};
use paybell_conformance::mutations::signature_left_out;
use paybell_shared::callback::BODY_BYTES_MAX;
use paybell_shared::domain::SubjectKind;
use paybell_shared::providers::{Covers, Provider};
use paybell_shared::sandbox::SignedRequest;
use paybell_tests::world::success;
use paybell_tests::{World, wait};
use serde_json::Value;

/// In every body and header that is refused; it must not come back in a log.
const MARKER: &str = "MARKER-of-a-refused-callback-0123456789abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn f1_refused_callbacks_are_answered_and_leave_no_trace() {
    let world = World::start_talkative().await;
    for provider in world.providers() {
        let order_id = format!("refused{}", provider.name.replace('_', ""));
        let facts = world.facts(provider, &order_id);
        world.register(&facts, "anna").await;
        let before = world.api.subject(facts.kind, &order_id).await.json_of(200);
        let genuine = genuine(&world, provider, &facts);

        let oversize = with_body(&genuine, oversize_body());
        world.deliver_refused(provider, &oversize, 413).await;
        let other = with_body(&genuine, format!(r#"{{"x":"{MARKER}"}}"#).into_bytes());
        // What a token vouches for says only that the provider should be asked, whatever the body is.
        let bodies = (provider.covers != Covers::Nothing).then_some(other);
        let unsigned = signature_left_out(&genuine).into_iter().filter(|_| provider.signs());
        for refused in bodies.into_iter().chain(unsigned) {
            let answer = world.deliver(provider, &refused).await;
            assert!(matches!(answer.status, 400 | 401), "{}: {answer:?}", provider.name);
            world.assert_answer(&answer, &provider.answers.failure(answer.status).into(), provider.name);
        }
        let answer = world.deliver_to("nobody", provider.name, &genuine).await;
        world.assert_answer(&answer, &provider.answers.failure(404).into(), provider.name);
        let answer = world.deliver_to(&world.demo.account, "nobodypay", &genuine).await;
        assert_eq!((answer.status, answer.body.as_str()), (404, ""), "{}", provider.name);

        world.settle().await;
        assert_eq!(world.api.subject(facts.kind, &order_id).await.json_of(200), before, "{}", provider.name);
        world.put_answers(provider, Scenario::Paid, &facts).await;
        // The same request as it should be is taken, so it was refused for what was wrong with it alone.
        world.deliver_genuine(provider, &genuine).await;
    }
    let telling = world.providers().filter(|provider| tells(provider)).count();
    let inbox = async || world.api.inbox("anna").await;
    let done = |told: &Vec<Value>| told.iter().filter(|told| told["kind"] != "payment.pending").count();
    wait::until("every provider to be heard once", inbox, |told| done(told) >= telling).await;
    world.settle().await;
    assert_eq!(done(&inbox().await), telling, "a refused callback was told");
    assert!(!world.place.log().await.contains(MARKER), "a refused body is in the log");
    world.assert_log_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_callbacks_are_400() {
    let world = World::start_talkative().await;
    for provider in world.providers() {
        let order_id = format!("malformed{}", provider.name.replace('_', ""));
        let facts = world.facts(provider, &order_id);
        let genuine = genuine(&world, provider, &facts);
        let mut malformed = vec![with_header(&genuine, "x-note", "no ASCII: é")];
        malformed.extend(with_repeated_parameter(&genuine));
        for request in malformed {
            world.deliver_refused(provider, &request, 400).await;
        }
        world.settle().await;
        let order = world.api.subject(facts.kind, &order_id).await;
        assert_eq!(order.status, 404, "{}: an order came out of it", provider.name);
    }
    world.assert_log_is_clean().await;
}

fn with_header(request: &SignedRequest, name: &str, value: &str) -> SignedRequest {
    let mut request = request.clone();
    request.headers.push((name.to_owned(), value.to_owned()));
    request
}

/// A form whose first parameter occurs again at the end; two readers could choose differently.
fn with_repeated_parameter(request: &SignedRequest) -> Option<SignedRequest> {
    let form = std::str::from_utf8(&request.body).ok().filter(|body| !body.starts_with('{'))?;
    let (first, _) = form.split_once('&')?;
    Some(with_body(request, format!("{form}&{first}").into_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_one_accounts_callback_is_refused_by_another_account() {
    let world = World::start_talkative().await;
    let shop = world.add_account("shop").await;
    // The questions of any other account than the demo account go out to the provider.
    for provider in world.providers().filter(|provider| provider.inquiry.is_none()) {
        if !provider.signs() {
            continue;
        }
        let order_id = format!("foreign{}", provider.name.replace('_', ""));
        let mut facts = world.facts(provider, &order_id);
        facts.account = shop.name.clone();
        let of_demo = genuine(&world, provider, &facts);
        let answer = world.deliver_to(&shop.name, provider.name, &of_demo).await;
        world.assert_answer(&answer, &provider.answers.failure(401).into(), provider.name);
        world.settle().await;
        for api in [&shop.api, &world.api] {
            assert_eq!(
                api.subject(facts.kind, &order_id).await.status,
                404,
                "{}: an order came out of it",
                provider.name
            );
        }

        let of_shop = shop.paid(provider, &facts);
        let answer = world.deliver_to(&shop.name, provider.name, &of_shop).await;
        world.assert_answer(
            &answer,
            &success(&shop.name, provider, shop.keys(provider), &of_shop),
            provider.name,
        );
        world.settle().await;
        // A callback that names no order waits for the one that is registered with its references.
        if facts.references.is_empty() && tells(provider) {
            let order = shop.api.subject(facts.kind, &order_id).await.json_of(200);
            let stands = if facts.kind == SubjectKind::Order { "unclaimed" } else { "active" };
            assert_eq!(order["status"], stands, "{}", provider.name);
        }
        assert_eq!(
            world.api.subject(facts.kind, &order_id).await.status,
            404,
            "{}: in the other account too",
            provider.name
        );
    }
    world.assert_log_is_clean().await;
}

/// Whether something comes of its callback.
fn tells(provider: &Provider) -> bool {
    provider.main_payload().is_some_and(|(name, _)| name != "hint")
}

fn genuine(world: &World, provider: &Provider, facts: &Facts) -> SignedRequest {
    world.requests(provider, Scenario::Paid, facts).remove(0)
}

fn oversize_body() -> Vec<u8> {
    MARKER.bytes().cycle().take(BODY_BYTES_MAX + 1).collect()
}

fn with_body(request: &SignedRequest, body: Vec<u8>) -> SignedRequest {
    SignedRequest { body, ..request.clone() }
}
