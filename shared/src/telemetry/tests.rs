//! Lines are read as CloudWatch reads them.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use super::lines::Lines;
use super::{lag_ms, specification, subscriber};

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn lines(level: &str, tell: impl FnOnce()) -> Vec<Value> {
    let written = Written::default();
    let lines = Lines::new(written.clone(), "dev".to_owned(), level);
    let subscriber = subscriber(lines, level);
    tracing::subscriber::with_default(subscriber, tell);
    let bytes = written.0.lock().unwrap();
    String::from_utf8_lossy(&bytes).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_outcome_is_a_metric_in_the_same_line() {
    let told = lines("info", || {
        tracing::info!(target: "callback_function", outcome = "accepted", provider = "stripe", account = "acme", "callback");
        tracing::info!(target: "apply_function", outcome = "received", lag_ms = 12_i64, messages = 3, provider = "x", "apply");
        tracing::error!(target: "apply_function::batch", outcome = "poison", reason = %"a \"quoted\"\nreason", "apply");
    });
    let expected = [
        (json!([["stage", "function"], ["stage", "function", "provider"]]), vec![("accepted", "Count")]),
        (json!([["stage", "function"]]), vec![("received", "Count"), ("lag_ms", "Milliseconds")]),
        (json!([["stage", "function"]]), vec![("poison", "Count")]),
    ];
    assert_eq!(told.len(), expected.len());
    for (line, (dimensions, metrics)) in told.iter().zip(expected) {
        assert_eq!(specification::check(line), Ok(()), "{line}");
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        let metrics: Vec<Value> =
            metrics.iter().map(|(name, unit)| json!({"Name": name, "Unit": unit})).collect();
        assert_eq!(directive["Namespace"], "Paybell");
        assert_eq!(directive["Dimensions"], dimensions, "{line}");
        assert_eq!(directive["Metrics"], json!(metrics), "{line}");
    }
    let [accepted, received, poison] = &told[..] else { unreachable!("counted above") };
    assert_eq!((&accepted["function"], &accepted["stage"]), (&json!("callback"), &json!("dev")));
    assert_eq!((&accepted["accepted"], &accepted["account"]), (&json!(1), &json!("acme")));
    assert_eq!((&received["lag_ms"], &received["messages"]), (&json!(12), &json!(3)));
    assert_eq!((&poison["level"], &poison["reason"]), (&json!("ERROR"), &json!("a \"quoted\"\nreason")));
}

#[test]
fn fields_keep_their_types() {
    let told = lines("info", || {
        tracing::info!(big = u64::MAX, small = -1, half = 0.5, no = false, text = "1", odd_ms = f64::NAN, seen = ?Some(1), "told");
    });
    let [line] = &told[..] else { panic!("{told:?}") };
    for (field, expected) in [
        ("big", json!(u64::MAX)),
        ("small", json!(-1)),
        ("half", json!(0.5)),
        ("no", json!(false)),
        ("text", json!("1")),
        ("odd_ms", json!("NaN")),
        ("seen", json!("Some(1)")),
        ("message", json!("told")),
    ] {
        assert_eq!(line[field], expected, "{field}");
    }
    assert_eq!(line["_aws"], Value::Null);
}

#[test]
fn a_level_silences_lines_and_no_metric() {
    for (level, expected) in [
        ("info", vec!["metric", "said", "foreign", "warned"]),
        ("WARN", vec!["metric", "warned"]),
        ("FATAL", vec!["metric"]),
        ("off", vec!["metric"]),
        ("off,elsewhere=info", vec!["metric", "foreign"]),
    ] {
        let told = lines(level, || {
            tracing::info!(target: "notify_function", outcome = "pushed", name = "metric", "notify");
            tracing::info!(name = "said", "notify");
            tracing::info!(target: "elsewhere", outcome = "pushed", name = "foreign", "notify");
            tracing::warn!(name = "warned", "notify");
            tracing::debug!(name = "unheard", "notify");
        });
        let names: Vec<&str> = told.iter().map(|line| line["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{level}");
        let metrics = told.iter().filter(|line| !line["_aws"].is_null());
        assert!(metrics.map(|line| &line["name"]).eq(["metric"]), "{level}: {told:?}");
    }
}

#[test]
fn a_metric_is_above_the_level_below_which_lambda_drops_lines() {
    for (level, expected) in [
        ("TRACE", ["INFO", "WARN", "ERROR"]),
        ("INFO", ["INFO", "WARN", "ERROR"]),
        ("WARN", ["WARN", "WARN", "ERROR"]),
        ("ERROR", ["ERROR", "ERROR", "ERROR"]),
        ("FATAL", ["FATAL", "FATAL", "ERROR"]),
    ] {
        let told = lines(level, || {
            tracing::info!(target: "apply_function", outcome = "applied", "apply");
            tracing::warn!(target: "apply_function", outcome = "retried", "apply");
            tracing::error!(target: "elsewhere", "no metric");
        });
        let levels = told.iter().map(|line| line["level"].as_str().unwrap());
        assert!(levels.eq(expected), "{level}: {told:?}");
    }
}

#[test]
fn a_line_says_which_request_it_is_about() {
    let told = lines("warn", || {
        let runtime =
            tracing::info_span!(target: "lambda_runtime::layers", "Lambda runtime invoke", requestId = "r-1");
        runtime.in_scope(|| tracing::warn!("late"));
        tracing::warn!("outside");
    });
    assert_eq!(told[0]["request_id"], "r-1");
    assert_eq!(told[1]["request_id"], Value::Null);
}

#[test]
fn the_lag_is_that_of_the_oldest() {
    for (sent_at_ms, expected) in [
        (vec!["900", "700", "800"], Some(300)),
        (vec!["1100"], Some(0)),
        (vec!["no", "999"], Some(1)),
        (vec![], None),
    ] {
        assert_eq!(lag_ms(sent_at_ms.clone(), 1_000), expected, "{sent_at_ms:?}");
    }
}
