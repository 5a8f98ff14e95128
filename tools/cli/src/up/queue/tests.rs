//! The queue through the real SDK client.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageAttributeValue,
    MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};
use paybell_shared::ports::{Clock, SystemClock};

use super::protocol::MESSAGE_BYTES_MAX;
use super::{Receive, Store};
use crate::up::dynamodb::DynamoDb;
use crate::up::gateway::hub::Hub;
use crate::up::internal::{Services, random_access_key_id, router, sdk_config};

struct Shifted(AtomicI64);

impl Clock for Shifted {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.0.load(Ordering::Relaxed)
    }
}

struct Queue {
    client: Client,
    url: String,
    store: Arc<Store>,
    clock: Arc<Shifted>,
    folder: tempfile::TempDir,
}

impl Queue {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Shifted(AtomicI64::new(0)));
        let store = Arc::new(Store::open(&folder.path().join("queue.sqlite"), clock.clone()).unwrap());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, access_key_id) = (listener.local_addr().unwrap(), random_access_key_id());
        let services = Services {
            dynamodb: DynamoDb::open(&folder.path().join("dynamodb.sqlite")).unwrap(),
            queue: Arc::clone(&store),
            hub: Arc::new(Hub::new(clock.clone())),
            address,
            access_key_id: access_key_id.clone(),
        };
        tokio::spawn(async move { axum::serve(listener, router(services)).await });
        let client = client(address, &access_key_id);
        client.create_queue().queue_name("dead").send().await.unwrap();
        let url = client
            .create_queue()
            .queue_name("q")
            .attributes(QueueAttributeName::VisibilityTimeout, "30")
            .attributes(
                QueueAttributeName::RedrivePolicy,
                r#"{"deadLetterTargetArn":"arn:aws:sqs:local:000000000000:dead","maxReceiveCount":2}"#,
            )
            .send()
            .await
            .unwrap();
        Self { client, url: url.queue_url.unwrap(), store, clock, folder }
    }

    async fn send(&self, body: &str) {
        self.client.send_message().queue_url(&self.url).message_body(body).send().await.unwrap();
    }

    async fn receive(&self, wait_seconds: i32) -> Vec<Message> {
        self.receive_from(&self.url, wait_seconds).await
    }

    async fn receive_from(&self, url: &str, wait_seconds: i32) -> Vec<Message> {
        let request = self.client.receive_message().queue_url(url).max_number_of_messages(10);
        let request = request.wait_time_seconds(wait_seconds);
        let all = MessageSystemAttributeName::All;
        request.message_system_attribute_names(all).send().await.unwrap().messages.unwrap_or_default()
    }

    fn pass_seconds(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    async fn counts(&self, queue: &str) -> (u64, u64) {
        let counts = self.store.counts(queue).await.unwrap();
        (counts.visible, counts.hidden)
    }
}

fn client(address: std::net::SocketAddr, access_key_id: &str) -> Client {
    let config = paybell_shared::config::Config {
        tables: paybell_shared::config::TableNames::with_prefix(""),
        callbacks_queue_url: String::new(),
        callbacks_dead_letters_url: String::new(),
        hints_queue_url: String::new(),
        hints_dead_letters_url: String::new(),
        notify_dead_letters_url: String::new(),
        websocket_endpoint: format!("http://{address}"),
        dynamodb_endpoint: None,
        sqs_endpoint: None,
    };
    paybell_shared::aws::Clients::new(&sdk_config(address, access_key_id), &config).sqs
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body().unwrap()).collect()
}

fn receipt(message: &Message) -> String {
    message.receipt_handle.clone().unwrap()
}

#[tokio::test]
async fn a_message_is_hidden_while_in_flight_and_comes_back() {
    let queue = Queue::start().await;
    queue.send("a").await;
    let first = queue.receive(0).await;
    assert_eq!(bodies(&first), ["a"]);
    assert_eq!(first[0].md5_of_body(), Some("0cc175b9c0f1b6a831c399e269772661"));
    assert_eq!(queue.receive(0).await, []);
    assert_eq!(queue.counts("q").await, (0, 1));
    queue.pass_seconds(31);
    let second = queue.receive(0).await;
    assert_eq!(second[0].message_id, first[0].message_id);
    let count = &second[0].attributes.as_ref().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
    assert_eq!(count, "2");

    let delete = |handle| queue.client.delete_message().queue_url(&queue.url).receipt_handle(handle).send();
    delete(receipt(&first[0])).await.unwrap();
    assert_eq!(queue.counts("q").await, (0, 1), "the handle of the first receive deletes nothing");
    delete(receipt(&second[0])).await.unwrap();
    assert_eq!(queue.counts("q").await, (0, 0));
}

#[tokio::test]
async fn m11_a_delayed_message_is_held_back_until_its_time_or_a_restart() {
    let mut queue = Queue::start().await;
    let send = |body: &'static str, seconds: i32| {
        queue.client.send_message().queue_url(&queue.url).message_body(body).delay_seconds(seconds).send()
    };
    for (body, seconds) in [("late", 900), ("soon", 300), ("now", 0)] {
        send(body, seconds).await.unwrap();
    }
    assert!(send("never", 901).await.is_err(), "SQS holds nothing back for longer");
    let now = queue.receive(0).await;
    assert_eq!(bodies(&now), ["now"]);
    queue
        .client
        .delete_message()
        .queue_url(&queue.url)
        .receipt_handle(receipt(&now[0]))
        .send()
        .await
        .unwrap();
    let counts = queue.store.counts("q").await.unwrap();
    assert_eq!((counts.visible, counts.hidden, counts.delayed), (0, 0, 2));
    queue.pass_seconds(299);
    assert_eq!(queue.receive(0).await, []);
    queue.pass_seconds(2);
    assert_eq!(bodies(&queue.receive(0).await), ["soon"]);
    assert_eq!(queue.counts("q").await, (0, 1), "it is in flight like any other");

    let file = queue.folder.path().join("queue.sqlite");
    queue.store = Arc::new(Store::open(&file, queue.clock.clone()).unwrap());
    let receive = || {
        let receive =
            Receive { messages_max: 10, visibility_timeout_seconds: Some(30), wait: Duration::ZERO };
        queue.store.receive("q", receive)
    };
    let texts = |received: Vec<super::Received>| received.into_iter().map(|it| it.body).collect::<Vec<_>>();
    let again = texts(receive().await.unwrap());
    assert_eq!(again, ["late", "soon"], "what comes early is held back again by who takes it");
}

#[tokio::test]
async fn visibility_can_be_changed_while_in_flight() {
    let queue = Queue::start().await;
    queue.send("a").await;
    let handle = receipt(&queue.receive(0).await[0]);
    let change = |seconds| {
        let request = queue.client.change_message_visibility().queue_url(&queue.url);
        request.receipt_handle(&handle).visibility_timeout(seconds).send()
    };
    change(300).await.unwrap();
    queue.pass_seconds(31);
    assert_eq!(queue.receive(0).await, []);
    change(0).await.unwrap();
    let error = change(10).await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_message_not_inflight(), "{error:?}");
    assert_eq!(bodies(&queue.receive(0).await), ["a"]);
}

#[tokio::test]
async fn visibilities_are_changed_together_and_each_has_its_outcome() {
    let queue = Queue::start().await;
    queue.send("a").await;
    queue.send("b").await;
    let messages = queue.receive(0).await;
    queue
        .client
        .delete_message()
        .queue_url(&queue.url)
        .receipt_handle(receipt(&messages[1]))
        .send()
        .await
        .unwrap();
    let entries = messages.iter().enumerate().map(|(index, message)| {
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
        entry.receipt_handle(receipt(message)).visibility_timeout(900).build().unwrap()
    });
    let change = queue.client.change_message_visibility_batch().queue_url(&queue.url);
    let changed = change.set_entries(Some(entries.collect())).send().await.unwrap();
    assert_eq!(changed.successful.iter().map(|entry| entry.id()).collect::<Vec<_>>(), ["0"]);
    assert_eq!((changed.failed[0].id(), changed.failed[0].code()), ("1", "MessageNotInflight"));
    queue.pass_seconds(899);
    assert_eq!(queue.receive(0).await, []);
    queue.pass_seconds(1);
    assert_eq!(bodies(&queue.receive(0).await), ["a"]);
}

#[tokio::test]
async fn a_message_received_too_often_goes_to_the_dead_letter_queue() {
    let queue = Queue::start().await;
    queue.send("poison").await;
    for _ in 0..2 {
        assert_eq!(bodies(&queue.receive(0).await), ["poison"]);
        queue.pass_seconds(31);
    }
    assert_eq!(queue.receive(0).await, []);
    let dead = queue.url.replace("/q", "/dead");
    assert_eq!(queue.counts("dead").await, (1, 0));
    assert_eq!(bodies(&queue.receive_from(&dead, 0).await), ["poison"]);
    assert_eq!(queue.counts("q").await, (0, 0));
}

#[tokio::test]
async fn attributes_stay_with_their_message_and_are_given_to_those_who_ask() {
    let queue = Queue::start().await;
    let text = |data_type: &str, value: &str| {
        MessageAttributeValue::builder().data_type(data_type).string_value(value).build().unwrap()
    };
    let send = queue.client.send_message().queue_url(&queue.url).message_body("a");
    let send = send.message_attributes("Reason", text("String", "because: 李雷"));
    let sent = send.message_attributes("Count", text("Number", "7")).send().await.unwrap();
    assert_eq!(sent.md5_of_message_attributes(), Some("a781700097d987159703783d1fdc1e9c"));
    let dead = queue.url.replace("/q", "/dead");
    for (url, asked, names, md5) in [
        (&queue.url, "All", &["Count", "Reason"][..], Some("a781700097d987159703783d1fdc1e9c")),
        (&queue.url, "Rea.*", &["Reason"], Some("12be3b9b0bb2978430ab5d2caa380715")),
        // The queue has moved it by now, attributes included.
        (&dead, "Reason", &["Reason"], Some("12be3b9b0bb2978430ab5d2caa380715")),
        (&dead, "Rea", &[], None),
    ] {
        // A queue moves a message when it is asked for one that it has given too often.
        let _ = if *url == dead { queue.receive(0).await } else { Vec::new() };
        let receive = queue.client.receive_message().queue_url(url).message_attribute_names(asked);
        let received = receive.visibility_timeout(0).send().await.unwrap().messages.unwrap_or_default();
        let attributes = received[0].message_attributes.clone().unwrap_or_default();
        let mut got: Vec<&str> = attributes.keys().map(String::as_str).collect();
        got.sort_unstable();
        assert_eq!((got.as_slice(), received[0].md5_of_message_attributes()), (names, md5), "{asked}");
        let value = attributes.get("Reason").and_then(|value| value.string_value());
        assert_eq!(value, names.contains(&"Reason").then_some("because: 李雷"));
        queue.pass_seconds(1);
    }
    queue.receive_from(&dead, 0).await;
    let counts = queue.client.get_queue_attributes().queue_url(&dead);
    let counts = counts.attribute_names(QueueAttributeName::All).send().await.unwrap().attributes.unwrap();
    assert_eq!(counts[&QueueAttributeName::ApproximateNumberOfMessages], "0");
    assert_eq!(counts[&QueueAttributeName::ApproximateNumberOfMessagesNotVisible], "1");
}

#[tokio::test]
async fn messages_of_before_attributes_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.sqlite");
    let earlier = "CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, message_id TEXT NOT NULL, body TEXT NOT NULL,
        sent_at_ms INTEGER NOT NULL, visible_at_ms INTEGER NOT NULL,
        receive_count INTEGER NOT NULL DEFAULT 0, first_received_at_ms INTEGER, receipt TEXT) STRICT;
        INSERT INTO messages (queue, message_id, body, sent_at_ms, visible_at_ms) VALUES ('q', 'm', 'kept', 1, 1)";
    rusqlite::Connection::open(&path).unwrap().execute_batch(earlier).unwrap();
    for _ in 0..2 {
        let store = Store::open(&path, Arc::new(SystemClock)).unwrap();
        let receive = Receive { messages_max: 1, visibility_timeout_seconds: Some(0), wait: Duration::ZERO };
        let received = store.receive("q", receive).await.unwrap();
        assert_eq!((received[0].body.as_str(), received[0].attributes.is_empty()), ("kept", true));
    }
}

#[tokio::test]
async fn a_send_wakes_a_long_poll() {
    let queue = Queue::start().await;
    // Far longer than the operation timeout of the client: only a wake-up can end it in time.
    let receive =
        Receive { messages_max: 1, visibility_timeout_seconds: None, wait: Duration::from_secs(3600) };
    let (received, ()) = tokio::join!(queue.store.receive("q", receive), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        queue.send("late").await;
    });
    assert_eq!(received.unwrap()[0].body, "late");
}

#[tokio::test]
async fn batches_are_sent_received_and_deleted_together() {
    let queue = Queue::start().await;
    let entry = |id: &str| SendMessageBatchRequestEntry::builder().id(id).message_body(id).build().unwrap();
    let send = |ids: &[&str]| {
        let entries = ids.iter().map(|id| entry(id)).collect();
        queue.client.send_message_batch().queue_url(&queue.url).set_entries(Some(entries)).send()
    };
    assert_eq!(send(&["a", "b", "c"]).await.unwrap().successful().len(), 3);
    for (ids, code) in [
        (&["x", "x"][..], "BatchEntryIdsNotDistinct"),
        (&["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"][..], "TooManyEntriesInBatchRequest"),
    ] {
        let error = send(ids).await.unwrap_err();
        assert!(error.code().is_some_and(|it| it.ends_with(code)), "{error:?}");
    }
    let messages = queue.receive(0).await;
    assert_eq!(bodies(&messages), ["a", "b", "c"]);
    let entries = messages.iter().enumerate().map(|(index, message)| {
        let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
        entry.receipt_handle(receipt(message)).build().unwrap()
    });
    let delete = queue.client.delete_message_batch().queue_url(&queue.url);
    delete.set_entries(Some(entries.collect())).send().await.unwrap();
    assert_eq!(queue.counts("q").await, (0, 0));
}

#[tokio::test]
async fn errors_have_the_shapes_that_the_client_knows() {
    let queue = Queue::start().await;
    let large = "x".repeat(MESSAGE_BYTES_MAX);
    queue.send(&large).await;
    let request = queue.client.send_message().queue_url(&queue.url).message_body(format!("{large}x"));
    assert_eq!(request.send().await.unwrap_err().code(), Some("InvalidParameterValue"));
    let request = queue.client.get_queue_url().queue_name("nowhere");
    let error = request.send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_queue_does_not_exist(), "{error:?}");

    let stranger = client(queue.url[7..].split('/').next().unwrap().parse().unwrap(), "AKIAOTHER");
    let error = stranger.get_queue_url().queue_name("q").send().await.unwrap_err();
    assert_eq!(error.code(), Some("UnrecognizedClientException"));
}

#[tokio::test]
async fn s1_what_was_acknowledged_is_there_after_a_restart_and_due_at_once() {
    let queue = Queue::start().await;
    queue.send("a").await;
    queue.send("b").await;
    assert_eq!(queue.receive(0).await.len(), 2);
    // The first process is still there, as good as killed: it writes nothing more.
    let again = Store::open(&queue.folder.path().join("queue.sqlite"), queue.clock.clone()).unwrap();
    let receive = Receive { messages_max: 10, visibility_timeout_seconds: None, wait: Duration::ZERO };
    let received = again.receive("q", receive).await.unwrap();
    assert_eq!(received.iter().map(|it| it.body.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(received[0].receive_count, 2);
}

#[tokio::test]
async fn s12_what_was_sent_before_the_clock_was_set_back_is_due_at_the_next_start() {
    let queue = Queue::start().await;
    queue.send("a").await;
    queue.pass_seconds(-3600);
    let again = Store::open(&queue.folder.path().join("queue.sqlite"), queue.clock.clone()).unwrap();
    let counts = again.counts("q").await.unwrap();
    assert_eq!((counts.visible, counts.hidden), (1, 0));
}

#[tokio::test]
async fn a_checkpoint_is_kept() {
    let queue = Queue::start().await;
    assert_eq!(queue.store.checkpoint("orders").await.unwrap(), None);
    queue.store.put_checkpoint("orders", "1").await.unwrap();
    queue.store.put_checkpoint("orders", "2").await.unwrap();
    assert_eq!(queue.store.checkpoint("orders").await.unwrap().as_deref(), Some("2"));
}
