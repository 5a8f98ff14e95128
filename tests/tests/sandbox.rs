//! The sandbox of one machine; a stage has none.

use paybell_tests::World;
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn only_the_demo_account_tells_the_sandbox_what_to_answer() {
    let world = World::start_on_this_machine().await;
    let stranger = world.api.with_api_key("pb_test_somebody");
    for api in [stranger, world.api.with_api_key("")] {
        let answer = api.call(Method::PUT, "/sandbox/answers", Some(&json!([]))).await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    let answer = world.api.call(Method::PUT, "/sandbox/answers", Some(&json!([]))).await;
    assert_eq!(answer.status, 204, "{answer:?}");
}
