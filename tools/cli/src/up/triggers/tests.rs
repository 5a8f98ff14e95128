//! The mappings with functions that fail on purpose.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::sqs::SqsEvent;
use paybell_shared::ports::{Clock, SystemClock};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;

use super::queue::QueueMapping;
use super::stream::StreamMapping;
use crate::up::dynamodb::DynamoDb;
use crate::up::functions::{Function, StreamFunction};
use crate::up::queue::{Outgoing, Receive, Store};

type Log = Arc<Mutex<Vec<String>>>;

/// The machine's clock, set forward.
#[derive(Default)]
struct Shifted(AtomicI64);

impl Shifted {
    fn pass_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::Relaxed);
    }
}

impl Clock for Shifted {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.0.load(Ordering::Relaxed)
    }
}

fn open_store(folder: &TempDir, clock: &Arc<Shifted>) -> Arc<Store> {
    Arc::new(Store::open(&folder.path().join("queue.sqlite"), Arc::clone(clock) as _).unwrap())
}

/// A handler that gets what `identify` makes of its items, and answers with a batch response or panics.
fn function<I: Send + 'static, O: serde::de::DeserializeOwned + Send + 'static>(
    identify: impl Fn(I) -> Vec<(String, String)> + Send + Sync + 'static,
    fails: impl Fn(&str, usize) -> bool + Send + Sync + 'static,
    log: Log,
) -> Function<I, O> {
    let (identify, fails) = (Arc::new(identify), Arc::new(fails));
    Arc::new(move |event| {
        let items = identify(event);
        let (fails, log) = (Arc::clone(&fails), Arc::clone(&log));
        Box::pin(async move {
            let mut log = log.lock().unwrap();
            let mut failed = Vec::new();
            for (id, text) in items {
                let earlier = log.iter().filter(|it| **it == text).count();
                log.push(text.clone());
                if fails(&text, earlier) {
                    failed.push(json!({"itemIdentifier": id}));
                }
            }
            drop(log);
            assert!(failed.len() < 50, "a function may panic");
            serde_json::from_value(json!({"batchItemFailures": failed})).unwrap()
        })
    })
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    for _ in 0..2000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen");
}

#[tokio::test]
async fn s3_failed_messages_come_again_after_the_visibility_timeout_and_the_others_are_gone() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(Shifted::default()));
    let (store, log) = (open_store(&folder, &clock), Log::default());
    store.create_queue("q", 30, None).await.unwrap();
    let identify = |(event, _): (SqsEvent, i64)| {
        let ids = event.records.into_iter();
        ids.map(|record| (record.message_id.unwrap(), record.body.unwrap())).collect()
    };
    let mapping = QueueMapping {
        store: Arc::clone(&store),
        queue: "q".to_owned(),
        function: function(identify, |text, earlier| text == "bad" && earlier == 0, Arc::clone(&log)),
        timeout: Duration::from_secs(5),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
    };
    let messages = ["a", "bad", "b"].map(Outgoing::new).into_iter().collect();
    store.send("q", messages).await.unwrap();
    let (stop, stopping) = watch::channel(false);
    let running = tokio::spawn(super::queue::run(mapping, stopping));
    until("the bad one alone", async || store.counts("q").await.unwrap().hidden == 1).await;
    assert_eq!(*log.lock().unwrap(), ["a", "bad", "b"]);
    // A message that is sent wakes the poller, which knows nothing of our clock.
    clock.pass_seconds(30);
    store.send("q", vec![Outgoing::new("c")]).await.unwrap();
    until("an empty queue", async || store.counts("q").await.unwrap().is_empty()).await;
    assert_eq!(*log.lock().unwrap(), ["a", "bad", "b", "bad", "c"]);
    stop.send(true).unwrap();
    running.await.unwrap();
}

fn put_item(dynamodb: &DynamoDb, id: &str, value: usize) {
    let item = json!({"TableName": "table", "Item": {"pk": {"S": id}, "value": {"N": value.to_string()}}});
    dynamodb.perform("PutItem", &item.to_string()).unwrap();
}

fn open_table(folder: &TempDir) -> DynamoDb {
    let dynamodb = DynamoDb::open(&folder.path().join("dynamodb.sqlite")).unwrap();
    let table = json!({
        "TableName": "table", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    });
    dynamodb.perform("CreateTable", &table.to_string()).unwrap();
    dynamodb
}

fn stream_mapping(
    dynamodb: &DynamoDb,
    store: &Arc<Store>,
    clock: &Arc<Shifted>,
    function: StreamFunction,
) -> StreamMapping {
    StreamMapping {
        dynamodb: dynamodb.clone(),
        table: "table".to_owned(),
        store: Arc::clone(store),
        dead_letter_queue: "dead".to_owned(),
        function,
        timeout: Duration::from_secs(5),
        record_tried_max: Duration::from_secs(6 * 3600),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
    }
}

fn identify_records((event, _): (aws_lambda_events::dynamodb::Event, i64)) -> Vec<(String, String)> {
    let texts = event.records.into_iter().map(|record| {
        let image = serde_json::to_value(&record.change.new_image).unwrap();
        let text =
            format!("{}={}", image["pk"]["S"].as_str().unwrap(), image["value"]["N"].as_str().unwrap());
        (record.change.sequence_number.unwrap(), text)
    });
    texts.collect()
}

#[tokio::test]
async fn s6_s8_a_stream_keeps_each_items_order_and_gives_up_on_poison_only() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(Shifted::default()));
    let (dynamodb, store, log) = (open_table(&folder), open_store(&folder, &clock), Log::default());
    store.create_queue("dead", 30, None).await.unwrap();
    for value in 0..5 {
        ["x", "y", "z"].iter().for_each(|id| put_item(&dynamodb, id, value));
    }
    // One record fails once, one for good, an hour at each time.
    let passing = Arc::clone(&clock);
    let fails = move |text: &str, earlier: usize| {
        passing.pass_seconds(if text == "y=3" { 3600 } else { 0 });
        (text == "x=1" && earlier == 0) || text == "y=3"
    };
    let function = function(identify_records, fails, Arc::clone(&log));
    let mapping = stream_mapping(&dynamodb, &store, &clock, function);
    let (stop, stopping) = watch::channel(false);
    let running = tokio::spawn(super::stream::run(mapping, stopping));
    put_item(&dynamodb, "w", 9);
    until("a record written later", async || log.lock().unwrap().iter().any(|text| text == "w=9")).await;
    let last = dynamodb.records_after("table", None, 100).unwrap().pop().unwrap().dynamodb.sequence_number;
    until("the checkpoint", async || store.checkpoint("table").await.unwrap().as_ref() == Some(&last)).await;
    stop.send(true).unwrap();
    running.await.unwrap();

    let tries = log.lock().unwrap().iter().filter(|text| *text == "y=3").count();
    assert!((6..=8).contains(&tries), "it was tried for six hours: {tries} times");
    let mut last_seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for text in log.lock().unwrap().iter() {
        let (id, value) = text.split_once('=').unwrap();
        let values = last_seen.entry(id.to_owned()).or_default();
        values.retain(|seen| seen != value);
        values.push(value.to_owned());
    }
    for id in ["x", "y", "z"] {
        assert_eq!(last_seen[id], ["0", "1", "2", "3", "4"], "{id} ends in order");
    }
    let receive = Receive { messages_max: 10, visibility_timeout_seconds: None, wait: Duration::ZERO };
    let dead = store.receive("dead", receive).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].body.contains(r#""N":"3""#), "{}", dead[0].body);
}

#[tokio::test]
async fn s6_a_record_that_fails_holds_up_its_own_lane_only() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(Shifted::default()));
    let (dynamodb, store, log) = (open_table(&folder), open_store(&folder, &clock), Log::default());
    put_item(&dynamodb, "stuck", 0);
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let fails = move |text: &str, _| text == "stuck=0" && is_down.load(Ordering::Relaxed);
    let function = function(identify_records, fails, Arc::clone(&log));
    let mapping = stream_mapping(&dynamodb, &store, &clock, function);
    let (stop, stopping) = watch::channel(false);
    let running = tokio::spawn(super::stream::run(mapping, stopping));
    until("a failure", async || log.lock().unwrap().iter().any(|text| text == "stuck=0")).await;
    let ids: Vec<String> = (0..40).map(|number| format!("id{number}")).collect();
    ids.iter().for_each(|id| put_item(&dynamodb, id, 1));
    // Of ten lanes nine go on, so most of forty items are told.
    until("the other lanes", async || {
        ids.iter().filter(|id| log.lock().unwrap().contains(&format!("{id}=1"))).count() > 20
    })
    .await;
    assert_eq!(
        store.checkpoint("table").await.unwrap(),
        None,
        "what is not done is not behind the checkpoint"
    );
    down.store(false, Ordering::Relaxed);
    let last = dynamodb.records_after("table", None, 100).unwrap().pop().unwrap().dynamodb.sequence_number;
    until("the checkpoint", async || store.checkpoint("table").await.unwrap().as_ref() == Some(&last)).await;
    stop.send(true).unwrap();
    running.await.unwrap();
    assert!(ids.iter().all(|id| log.lock().unwrap().contains(&format!("{id}=1"))));
}

#[tokio::test]
async fn a_stream_goes_on_after_its_checkpoint_and_is_trimmed() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(Shifted::default()));
    let (dynamodb, store) = (open_table(&folder), open_store(&folder, &clock));
    for round in 0..2 {
        let log = Log::default();
        let before = store.checkpoint("table").await.unwrap();
        put_item(&dynamodb, "x", round);
        let function = function(identify_records, |_, _| false, Arc::clone(&log));
        let (stop, stopping) = watch::channel(false);
        let mapping = stream_mapping(&dynamodb, &store, &clock, function);
        let running = tokio::spawn(super::stream::run(mapping, stopping));
        until("the checkpoint", async || store.checkpoint("table").await.unwrap() != before).await;
        stop.send(true).unwrap();
        running.await.unwrap();
        assert_eq!(*log.lock().unwrap(), [format!("x={round}")]);
    }
    put_item(&dynamodb, "x", 2);
    let checkpoint = store.checkpoint("table").await.unwrap().unwrap();
    dynamodb.trim("table", &checkpoint).unwrap();
    let rest = dynamodb.records_after("table", None, 10).unwrap();
    assert_eq!(rest.len(), 1, "what is not consumed stays");
    assert_eq!(
        dynamodb.trim("table", &rest[0].dynamodb.sequence_number).unwrap(),
        0,
        "the last record stays"
    );
}

#[test]
fn m5_the_letter_of_a_record_that_was_given_up_names_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let dynamodb = open_table(&folder);
    put_item(&dynamodb, "order#acme#order#A1", 1);
    let records = super::stream::records(&dynamodb, "table").unwrap();
    let untold = crate::redrive::untold::Untold::read(&super::stream::dead_letter(&records[0]));
    assert_eq!(untold.key.as_deref(), Some("order#acme#order#A1"));
    assert_eq!(untold.reason.as_deref(), Some("RetryAttemptsExhausted"));
}
