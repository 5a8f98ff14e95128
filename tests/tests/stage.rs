//! A deployed stage as it is, with its own way out to the providers: run after the suite, which plays the providers itself.

use std::time::Duration;

use paybell_shared::sandbox::SignedRequest;
use paybell_tests::stage::Stage;
use paybell_tests::{Api, wait};
use reqwest::Method;
use serde_json::json;

/// A stage's log comes a while after what it is about.
const LOG_POLL_INTERVAL: Duration = Duration::from_millis(500);

async fn stage() -> (Stage, String, Api) {
    let stage = Stage::untouched_from_env().await.expect("the environment names a stage");
    let demo = stage.create_account("demo").await;
    let api = stage.api(&demo.api_key);
    (stage, demo.account, api)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a deployed stage"]
async fn a_hint_is_taken_to_its_provider() {
    let (stage, account, api) = stage().await;
    stage.aws().enable_mapping(&stage.function("reconcile"), true).await;
    let hint = SignedRequest {
        method: "POST",
        query: String::new(),
        headers: vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())],
        body: b"id=tr_nobody".to_vec(),
    };
    let answer = api.deliver(&account, "mollie", &hint).await.expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");

    let log = async || {
        tokio::time::sleep(LOG_POLL_INTERVAL).await;
        stage.log_of("reconcile").await
    };
    // Mollie knows neither the account's key nor the id; where it cannot be reached, the hint comes again.
    let says =
        |log: &str, outcome: &str| log.lines().any(|line| line.contains("outcome") && line.contains(outcome));
    let is_asked = |log: &String| ["retried", "poison", "dropped"].iter().any(|outcome| says(log, outcome));
    let log = wait::until("the deployed `reconcile` to ask Mollie", log, is_asked).await;
    if says(&log, "retried") {
        assert!(stage.queued().await.callbacks > 0, "a hint that was given back is in its queue:\n{log}");
    }
    stage.empty_hints().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a deployed stage"]
async fn nobody_can_tell_a_stage_what_providers_answer() {
    let (_, _, api) = stage().await;
    let answer = api.call(Method::PUT, "/sandbox/answers", Some(&json!([]))).await;
    assert_eq!(answer.status, 404, "{answer:?}");
}
