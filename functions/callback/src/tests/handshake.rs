//! The providers' checks of the address.

use super::*;

impl World {
    fn check(&self, path: &str, method: &str, header: &str) -> ApiGatewayV2httpRequest {
        serde_json::from_value(json!({
            "rawPath": path,
            "headers": {"x-gcs-webhooks-endpoint-verification": header},
            "requestContext": {"http": {"method": method}, "timeEpoch": 0},
        }))
        .unwrap()
    }
}

#[tokio::test]
async fn a_check_of_the_address_is_answered_and_not_queued() {
    let world = World::new("worldline").await;
    let long = "a".repeat(513);
    let address = "/callbacks/acme/worldline";
    let rows = [
        (address, "GET", "9a3f-b7", 200, "9a3f-b7"),
        // No check: without a signature it is refused.
        (address, "POST", "9a3f-b7", 401, ""),
        (address, "GET", "", 401, ""),
        // What a browser could take for a page, or a log for a line of its own, is not repeated.
        (address, "GET", "<script>", 401, ""),
        (address, "GET", &long, 401, ""),
        ("/callbacks/nobody/worldline", "GET", "9a3f-b7", 404, ""),
        ("/callbacks/acme/razorpay", "GET", "9a3f-b7", 404, ""),
    ];
    for (path, method, header, status, body) in rows {
        let response = world.deliver(world.check(path, method, header)).await;
        let text = match &response.body {
            Some(Body::Text(text)) => text.as_str(),
            _ => "",
        };
        assert_eq!((response.status_code, text), (status, body), "{method} {path} {header}");
    }
    assert_eq!(world.queue.messages(), [""; 0]);
}

#[tokio::test]
async fn a_challenge_is_signed_and_nothing_else_is() {
    let world = World::new("braintree").await;
    let challenge = "20f9f8ed05f77439fe955c977e4c8a53";
    for (query, method, status) in [
        (format!("bt_challenge={challenge}"), "GET", 200),
        (format!("bt_challenge={challenge}"), "POST", 401),
        (format!("bt_challenge={challenge}&bt_challenge={challenge}"), "GET", 400),
        ("bt_challenge=transfer+everything".to_owned(), "GET", 401),
        (String::new(), "GET", 401),
    ] {
        let mut event = world.check("/callbacks/acme/braintree", method, "");
        event.raw_query_string = Some(query.clone());
        let response = world.deliver(event).await;
        assert_eq!(response.status_code, status, "{method} {query}");
        let public_key = world.keys.key_set["public_key"].as_str().unwrap();
        assert_eq!(body(&response).starts_with(&format!("{public_key}|")), status == 200, "{query}");
    }
    assert_eq!(world.queue.messages(), [""; 0]);
}
