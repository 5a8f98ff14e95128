//! The functions as Lambda binaries: each starts as Lambda starts it, and answers; what it tells operators meanwhile.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test")]

mod runtime;
mod traces;

use std::path::Path;
use std::{fmt, fs};

use paybell_shared::telemetry::specification;
use runtime::Invocation;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn every_function_starts_and_answers() {
    let http = |path: &str| {
        json!({
            "version": "2.0", "rawPath": path, "rawQueryString": "", "headers": {}, "isBase64Encoded": false,
            "requestContext": {
                "http": {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            },
        })
    };
    let connect = json!({
        "headers": {}, "multiValueHeaders": {}, "isBase64Encoded": false,
        "requestContext": {
            "routeKey": "$connect", "connectionId": "c1", "eventType": "CONNECT", "connectedAt": 1, "requestTimeEpoch": 1,
        },
    });
    for (name, event, pointer, expected) in [
        ("callback", http("/callbacks/acme/nosuch"), "/statusCode", json!(404)),
        ("apply", json!({"Records": []}), "/batchItemFailures", json!([])),
        ("reconcile", json!({"Records": []}), "/batchItemFailures", json!([])),
        ("notify", json!({"Records": []}), "/batchItemFailures", json!([])),
        ("connections", connect, "/statusCode", json!(401)),
        ("orders", http("/orders"), "/statusCode", json!(401)),
    ] {
        let told = Invocation::of(name, event).run().await;
        assert_eq!(told.answer.pointer(pointer), Some(&expected), "{name} answered {}", told.answer);
    }
}

#[test]
fn every_outcome_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let table = fs::read_to_string(root.join("shared/src/telemetry/mod.rs")).unwrap();
    let require = |outcome: &str, place: &dyn fmt::Debug| {
        assert!(table.contains(&format!("`{outcome}`")), "{outcome}, in {place:?}, is not in the table");
    };
    let mut count = 0;
    for function in fs::read_dir(root.join("functions")).unwrap() {
        for file in fs::read_dir(function.unwrap().path().join("src")).unwrap() {
            let path = file.unwrap().path();
            for after in fs::read_to_string(&path).unwrap_or_default().split("outcome = \"").skip(1) {
                require(after.split('"').next().unwrap(), &path);
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count} outcomes found");
    let path = root.join("infra/template.yaml");
    let template = fs::read_to_string(&path).unwrap();
    let alarmed = template.split("Namespace: Paybell\n").skip(1).map(|after| {
        let (_, name) = after.lines().next().unwrap().split_once("MetricName: ").unwrap();
        name
    });
    let shown = template.split("[\"Paybell\", \"").skip(1).map(|after| after.split('"').next().unwrap());
    for name in alarmed.chain(shown) {
        require(name, &path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_of_an_invocation_is_a_metric_in_its_log() {
    let path = "/callbacks/acme/nosuch";
    let refused = json!({
        "rawPath": path, "headers": {}, "isBase64Encoded": false,
        "requestContext": {"http": {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"}},
    });
    let sent =
        json!({"Records": [{"messageId": "m1", "body": "?", "attributes": {"SentTimestamp": "1000"}}]});
    let by_provider = json!([["stage", "function"], ["stage", "function", "provider"]]);
    let by_function = json!([["stage", "function"]]);
    for (name, event, outcome, dimensions) in [
        ("callback", refused, "refused", by_provider),
        ("apply", sent.clone(), "received", by_function.clone()),
        ("apply", sent.clone(), "poison", by_function.clone()),
        ("reconcile", sent, "received", by_function),
    ] {
        let told = Invocation::of(name, event).with("RUST_LOG", "error").run().await;
        let line = told.lines.iter().find(|line| line["outcome"] == outcome);
        let line = line.unwrap_or_else(|| panic!("{name} does not tell `{outcome}`: {:?}", told.lines));
        assert_eq!(specification::check(line), Ok(()), "{line}");
        assert_eq!((&line["stage"], &line["function"]), (&json!("test"), &json!(name)), "{line}");
        assert_eq!(line["request_id"], "request-1", "{line}");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], dimensions, "{line}");
        assert_eq!(line["lag_ms"].is_i64(), outcome == "received", "{line}");
    }
}
