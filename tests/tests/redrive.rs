//! Dead letters and their redrive, on one machine: a provider of the merchant's own whose description is wrong at
//! first, and is repaired.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test")]

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use paybell_cli::simulate::{Facts, Scenario};
use paybell_cli::up::embedded::Embedded;
use paybell_conformance::repository;
use paybell_shared::aws::Clients;
use paybell_shared::callback::UnixSeconds;
use paybell_shared::config::described_providers;
use paybell_shared::domain::{Reference, Reminder, Subject, SubjectKind};
use paybell_shared::ports::{QueuedHint, SystemClock};
use paybell_shared::providers::Provider;
use paybell_tests::command::{Said, paybell};
use paybell_tests::listener::Listener;
use paybell_tests::server::Options;
use paybell_tests::wait::until;
use paybell_tests::world::now;
use paybell_tests::{World, told};
use serde_json::{Value, json};
use tempfile::TempDir;

const USER: &str = "anna";
/// What the repaired description says, and what the wrong one says instead.
const RIGHT: &str = "json:/amount";
const WRONG: &str = "json:/total";

/// A running Paybell with Quay Pay, the provider of the walk-through.
struct Quay {
    world: World,
    provider: &'static Provider,
    config: PathBuf,
    _folder: TempDir,
}

impl Quay {
    /// Starts with a description that reads the amount at the wrong place.
    async fn misread() -> Self {
        let text = fs::read_to_string(repository().join("docs/own-provider.md")).unwrap();
        let (_, rest) = text.split_once("```toml\n").unwrap();
        let right = rest.split_once("```\n").unwrap().0.to_owned();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("quay.toml");
        fs::write(&config, right.replace(RIGHT, WRONG)).unwrap();
        let options = Options { config: Some(config.clone()), ..Options::default() };
        let world = World::start_on_this_machine_with(options).await;
        // Signing and sending are described rightly in both.
        let provider = described_providers(&right).unwrap()[0];
        Self { world, provider, config, _folder: folder }
    }

    fn repair(&self) {
        let text = fs::read_to_string(&self.config).unwrap();
        fs::write(&self.config, text.replace(WRONG, RIGHT)).unwrap();
    }

    /// Registers an order, and has the provider say that it is paid, which is acknowledged.
    async fn pay(&self, order_id: &str) -> Facts {
        let facts = self.world.facts(self.provider, order_id);
        self.world.register(&facts, USER).await;
        for request in self.world.requests(self.provider, Scenario::Paid, &facts) {
            self.world.deliver_genuine(self.provider, &request).await;
        }
        facts
    }

    async fn redrive(&self, arguments: &[&str]) -> Said {
        let config = self.config.to_str().unwrap();
        let all = [&["redrive", "--json", "--config", config], arguments].concat();
        paybell(&self.world.place.arguments(), &all, "").await
    }

    /// Kills a redrive as soon as one of `count` dead letters is gone; how many are left.
    async fn kill_a_redrive_that_has_begun(&self, count: u64) -> u64 {
        let mut command = tokio::process::Command::new(paybell_tests::binary::paybell());
        command.args(["redrive", "--all"]).args(self.world.place.arguments());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while self.world.server().queued().dead_letters == count && child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        child.kill().await.unwrap();
        self.world.server().queued().dead_letters
    }

    async fn letters(&self) -> Vec<Value> {
        self.redrive(&[]).await.json()["letters"].as_array().unwrap().clone()
    }

    /// Waits until there are so many dead letters.
    async fn wait_for_letters(&self, count: u64) {
        let dead_letters = async || self.world.place.queued().await;
        let is_there =
            |queued: &paybell_tests::place::Queued| queued.dead_letters == count && queued.callbacks == 0;
        until(&format!("{count} dead letters"), dead_letters, is_there).await;
    }

    async fn status(&self, order_id: &str) -> Value {
        self.world.api.order(order_id).await.json_of(200)["status"].clone()
    }
}

fn texts(letters: &[Value], field: &str) -> Vec<String> {
    letters.iter().map(|letter| letter[field].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn m5_s6_what_a_wrong_mapping_left_is_seen_repaired_and_applied_once() {
    let mut quay = Quay::misread().await;
    let listener = Listener::connect(&quay.world.api, USER).await;
    for order_id in ["first", "second"] {
        quay.pay(order_id).await;
    }
    quay.wait_for_letters(2).await;
    // What is wrong with one provider holds no other up.
    let stripe = quay.world.provider("stripe");
    let facts = quay.world.facts(stripe, "beside");
    quay.world.perform(stripe, Scenario::Paid, &facts, USER).await;

    let letters = quay.letters().await;
    assert_eq!(texts(&letters, "reason"), ["field `json:/total` is absent or unreadable"; 2]);
    assert_eq!(
        (texts(&letters, "account"), texts(&letters, "provider")),
        (vec!["demo".to_owned(); 2], vec!["quay".to_owned(); 2])
    );
    let dry = quay.redrive(&["--dry-run", "--provider", "quay"]).await;
    assert!(!dry.succeeded && dry.stdout.contains("\"still_fails\": \"field `json:/total`"), "{dry:?}");

    // Returned too early, the chosen one comes back with its reason, under a new id; the other one is not touched.
    let ids = texts(&letters, "id");
    quay.redrive(&["--id", &ids[0][..8]]).await.ok();
    quay.wait_for_letters(2).await;
    let letters = quay.letters().await;
    let again = texts(&letters, "id");
    assert!(again.contains(&ids[1]) && !again.contains(&ids[0]), "{ids:?} {again:?}");
    assert_eq!(texts(&letters, "reason"), ["field `json:/total` is absent or unreadable"; 2]);
    quay.redrive(&["--id", &ids[0]]).await.refused("no dead letter has the id");

    // Stopped and repaired: the dry run says what will be, and nothing is.
    assert!(quay.world.server_mut().stop().await.success());
    quay.repair();
    let dry = quay.redrive(&["--dry-run"]).await.json();
    for letter in dry["letters"].as_array().unwrap() {
        let order = &letter["would"]["orders"][0];
        assert_eq!(
            (&order["before"]["status"], &order["after"]["status"]),
            (&json!("created"), &json!("paid")),
            "{dry:#}"
        );
        assert_eq!(
            (&order["before"]["captured_minor"], &order["after"]["captured_minor"]),
            (&json!("0"), &json!("1999"))
        );
        assert_eq!(
            order["tells"],
            json!([{"user": USER, "kind": "payment.captured", "subject": order["id"]}])
        );
    }
    quay.world.server_mut().restart().await;
    assert_eq!((quay.status("first").await, quay.letters().await.len()), (json!("created"), 2));

    // Two operators at once, and once more: every callback is applied once.
    join_all([quay.redrive(&["--all"]), quay.redrive(&["--all"])]).await;
    quay.wait_for_letters(0).await;
    assert_eq!(quay.redrive(&["--all"]).await.json()["letters"], json!([]));
    for order_id in ["first", "second"] {
        let told = listener.wait_for(order_id, "payment.captured").await;
        assert_eq!(told["status"], "paid");
        assert_eq!(quay.status(order_id).await, "paid");
    }
    assert_eq!(told::by_id(quay.world.api.inbox(USER).await).len(), 3);
    assert_eq!(listener.contradictions(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn m5_s1_a_redrive_that_is_killed_loses_nothing_and_doubles_nothing() {
    const ORDERS: usize = 24;
    let mut quay = Quay::misread().await;
    let ids: Vec<String> = (0..ORDERS).map(|number| format!("order{number:02}")).collect();
    join_all(ids.iter().map(|id| quay.pay(id))).await;
    quay.wait_for_letters(ORDERS as u64).await;
    assert!(quay.world.server_mut().stop().await.success());
    quay.repair();
    quay.world.server_mut().restart().await;
    let mut left = ORDERS as u64;
    for _ in 0..3 {
        left = quay.kill_a_redrive_that_has_begun(left).await;
        assert!(left > 0, "no kill came in the middle: the test proves nothing");
        // What the killed one had in hand would be seen after five minutes; a start sees it at once.
        quay.world.server_mut().kill().await;
        quay.world.server_mut().restart().await;
    }
    quay.redrive(&["--all"]).await.ok();
    quay.wait_for_letters(0).await;
    for id in &ids {
        until(&format!("{id} to be paid"), async || quay.status(id).await, |status| status == "paid").await;
    }
    let inbox = async || quay.world.api.inbox(USER).await;
    let inbox = until("everything to be told", inbox, |inbox| inbox.len() >= ORDERS).await;
    assert_eq!(told::by_id(inbox).len(), ORDERS);
}

/// What `notify` could not tell is told again: on a stopped folder, and on a running one.
#[tokio::test(flavor = "multi_thread")]
async fn m5_what_could_not_be_told_is_told_again() {
    let mut quay = Quay::misread().await;
    let stripe = quay.world.provider("stripe");
    for order_id in ["first", "second", "third"] {
        let facts = quay.world.facts(stripe, order_id);
        quay.world.perform(stripe, Scenario::Paid, &facts, USER).await;
    }
    let inbox = async || quay.world.api.inbox(USER).await;
    let complete = until("all to be told", inbox, |inbox| inbox.len() == 3).await;
    assert!(quay.world.server_mut().stop().await.success());
    let untold: Vec<&Value> = complete.iter().filter(|told| told["order_id"] != "third").collect();
    forget(&quay, &untold).await;
    let letters = quay.letters().await;
    assert_eq!(texts(&letters, "order"), ["first", "second"]);
    assert_eq!(texts(&letters, "reason"), ["no such table"; 2]);

    let first = letters.iter().find(|letter| letter["order"] == "first").unwrap();
    let said = quay.redrive(&["--id", first["id"].as_str().unwrap()]).await.json();
    assert_eq!(said["letters"][0]["done"], json!({"redone": true, "told": 1}));
    quay.world.server_mut().restart().await;
    assert_eq!(quay.world.api.inbox(USER).await.len(), 2);
    let listener = Listener::connect(&quay.world.api, USER).await;
    assert_eq!(listener.told().len(), 2);
    quay.redrive(&["--all"]).await.ok();
    listener.wait_for("second", "payment.captured").await;
    let inbox = told::by_id(quay.world.api.inbox(USER).await);
    assert_eq!(
        inbox.keys().collect::<Vec<_>>(),
        told::by_id(complete).keys().collect::<Vec<_>>(),
        "the same facts"
    );
    assert_eq!(quay.letters().await, [json!(null); 0]);
}

/// An account that has no key to ask with is told so, instead of its payment being forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn m11_a_reminder_that_could_not_be_asked_is_seen_with_what_it_would_ask() {
    let world = World::start_on_this_machine().await;
    let mollie = world.provider("mollie");
    let run =
        async |arguments: &[&str], stdin: &str| paybell(&world.place.arguments(), arguments, stdin).await;
    let api_key = run(&["account", "create", "shop"], "").await.ok();
    let api_key = api_key.split_whitespace().find(|word| word.starts_with("pb_")).unwrap().to_owned();
    let order = json!({
        "order_id": "unmentioned", "amount_minor": 1_999, "currency": "EUR", "user": USER,
        "references": ["mollie:tr_7"],
    });
    assert_eq!(world.api.with_api_key(api_key).register(&order).await.status, 201);
    let due_at = UnixSeconds(now().0 - 60);
    let reminder = Reminder {
        subject: Subject { account: "shop".into(), kind: SubjectKind::Order, id: "unmentioned".into() },
        reference: Reference::new("mollie", "tr_7"),
        registered_at: UnixSeconds(due_at.0 - 300),
        due_at,
        ends_at: due_at,
    };
    world.place.send_hint(&QueuedHint::message_of(&reminder)).await;
    let queued = async || world.place.queued().await;
    until("a dead letter", queued, |queued| queued.dead_letters == 1 && queued.callbacks == 0).await;
    let dry_run = async || run(&["redrive", "--json", "--dry-run", "--account", "shop"], "").await;
    let reason = "the account has no credentials for the provider";
    let without = dry_run().await;
    assert!(!without.succeeded, "{without:?}");
    let letter = &serde_json::from_str::<Value>(&without.stdout).unwrap()["letters"][0];
    assert_eq!(
        (&letter["queue"], &letter["provider"], &letter["order"], &letter["reason"]),
        (&json!("hints"), &json!("mollie"), &json!("unmentioned"), &json!(reason))
    );
    assert_eq!(letter["would"]["still_fails"], reason);

    let keys = json!({"api_key": world.keys(mollie).key_set["api_key"]}).to_string();
    run(&["credentials", "put", "shop", "mollie", "--id", "one", "--json", "-"], &keys).await.ok();
    let would = &dry_run().await.json()["letters"][0]["would"];
    assert_eq!(would["asks"], json!(["api.mollie.com"]), "{would:#}");
}

/// Takes these notifications out of the inbox, and leaves letters of them as `notify` does.
async fn forget(quay: &Quay, notifications: &[&Value]) {
    let data = quay.world.server().data();
    let letters: Vec<(String, String)> = notifications
        .iter()
        .map(|told| {
            (
                told["id"].as_str().unwrap().to_owned(),
                format!("order#demo#order#{}", told["order_id"].as_str().unwrap()),
            )
        })
        .collect();
    let change = move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (dynamodb, queue) = (data.join("dynamodb.sqlite"), data.join("queue.sqlite"));
            let embedded = Embedded::start(&dynamodb, &queue, Arc::new(SystemClock)).await.unwrap();
            let config = embedded.config();
            let Clients { dynamodb, sqs, .. } = Clients::new(&embedded.sdk_config(), &config);
            for (id, key) in letters {
                let delete = dynamodb.delete_item().table_name(&config.tables.inbox);
                let delete = delete.key("pk", AttributeValue::S(format!("demo#{USER}")));
                delete.key("sk", AttributeValue::S(id)).send().await.unwrap();
                let letter =
                    json!({"key": key, "sequence_number": "1", "reason": "no such table"}).to_string();
                sqs.send_message()
                    .queue_url(&config.notify_dead_letters_url)
                    .message_body(letter)
                    .send()
                    .await
                    .unwrap();
            }
        });
    };
    tokio::task::spawn_blocking(change).await.unwrap();
}
