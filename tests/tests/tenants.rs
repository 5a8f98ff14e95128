//! Two accounts that call everything the same, and what the one's API key reaches of the other: nothing.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test, its helpers too")]

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use paybell_cli::simulate::Facts;
use paybell_shared::domain::Money;
use paybell_shared::providers::Provider;
use paybell_shared::sandbox::SandboxKeys;
use paybell_tests::accounts::paid;
use paybell_tests::command::paybell;
use paybell_tests::listener::{Listener, ask_to_resume, open_with_ticket};
use paybell_tests::world::registration;
use paybell_tests::{Api, World, told};
use reqwest::Method;
use serde_json::{Value, json};

const SHOP: &str = "shop";
/// What both accounts call an order of theirs.
const ORDER: &str = "same1";
/// What both accounts call a user of theirs.
const USER: &str = "anna";

/// A second account beside the demo account, with its own keys for one provider.
struct Shop {
    api: Api,
    api_key: String,
    keys: SandboxKeys,
    provider: &'static Provider,
}

impl Shop {
    async fn open(world: &World, provider: &'static Provider) -> Self {
        let place = world.place.arguments();
        let api_key = paybell(&place, &["account", "create", SHOP], "").await.ok().trim().to_owned();
        let keys = provider.sandbox.generate();
        let fields = Value::Object(keys.key_set.clone()).to_string();
        let put = ["credentials", "put", SHOP, provider.name, "--json", "-"];
        paybell(&place, &put, &fields).await.ok();
        Self { api: world.api.with_api_key(&api_key), api_key, keys, provider }
    }

    /// The same order as the demo account's, for twice the money.
    fn facts(&self, world: &World) -> Facts {
        let facts = world.facts(self.provider, ORDER);
        let amount = Money::from_minor(2 * facts.amount.amount_minor(), facts.amount.currency().clone());
        Facts { account: SHOP.to_owned(), amount: amount.unwrap(), ..facts }
    }

    async fn pay(&self, world: &World) {
        let request = paid(self.provider, &self.keys, &self.facts(world));
        assert_eq!(world.deliver_to(SHOP, self.provider.name, &request).await.status, 200);
    }
}

async fn pay(world: &World, provider: &'static Provider) {
    let request = paid(provider, world.keys(provider), &world.facts(provider, ORDER));
    assert_eq!(world.deliver(provider, &request).await.status, 200);
}

/// Status, money and events of the order.
async fn order(api: &Api) -> Value {
    let order = api.order(ORDER).await.json_of(200);
    json!([order["status"], order["captured_minor"], order["events"].as_array().unwrap().len()])
}

/// The same order, user, reference and transaction at the same provider: each account has its own of everything.
#[tokio::test(flavor = "multi_thread")]
async fn f15_two_accounts_that_call_everything_the_same_never_meet() {
    let world = World::start_talkative_on_this_machine().await;
    let provider = world.provider("stripe");
    let shop = Shop::open(&world, provider).await;
    world.register(&world.facts(provider, ORDER), USER).await;
    assert_eq!(shop.api.register(&registration(&shop.facts(&world), USER)).await.status, 201);
    let of_demo = Listener::connect(&world.api, USER).await;
    let of_shop = Listener::connect(&shop.api, USER).await;

    pay(&world, provider).await;
    of_demo.wait_for(ORDER, "payment.captured").await;
    world.settle().await;
    assert_eq!(order(&world.api).await, json!(["paid", 1999, 1]));
    assert_eq!(order(&shop.api).await, json!(["created", 0, 0]));
    shop.pay(&world).await;
    let paid = of_shop.wait_for(ORDER, "payment.captured").await;
    world.settle().await;
    assert_eq!(paid["amount_minor"], 3998);
    assert_eq!(order(&world.api).await, json!(["paid", 1999, 1]));
    assert_eq!(order(&shop.api).await, json!(["paid", 3998, 1]));

    for (api, device, amount_minor) in [(&world.api, &of_demo, 1999), (&shop.api, &of_shop, 3998)] {
        let told_by_push = device.told();
        assert_eq!(told_by_push, told::by_id(api.inbox(USER).await), "the user's own inbox and nothing else");
        let amounts: Vec<&Value> = told_by_push.values().map(|told| &told["amount_minor"]).collect();
        assert_eq!(amounts, [&json!(amount_minor)]);
    }
    world.assert_log_is_clean().await;
}

/// Everything that only the demo account has, asked for with the other account's key, on every route.
#[tokio::test(flavor = "multi_thread")]
async fn f15_an_api_key_reaches_nothing_of_another_account() {
    let world = World::start_on_this_machine().await;
    let provider = world.provider("stripe");
    let shop = Shop::open(&world, provider).await;
    world.register(&world.facts(provider, ORDER), USER).await;
    let of_demo = Listener::connect(&world.api, USER).await;
    pay(&world, provider).await;
    of_demo.wait_for(ORDER, "payment.captured").await;
    let cursor = of_demo.cursor();

    for id in [ORDER, "demo%23order%23same1", "..%2Fdemo%2Fsame1", "demo%2Fsame1", "%2523same1"] {
        assert_eq!(shop.api.order(id).await.status, 404, "{id}");
    }
    for user in [USER, "demo%23anna", "..%2Fdemo%2Fanna"] {
        let orders = shop.api.get(&format!("/users/{user}/orders")).await.json_of(200);
        assert_eq!(orders["orders"], json!([]), "{user}");
        for after in ["", cursor.as_str(), "0000000000000"] {
            let inbox = shop.api.get(&format!("/users/{user}/inbox?after={after}")).await.json_of(200);
            assert_eq!(inbox["notifications"], json!([]), "{user} after {after:?}");
        }
    }
    // A ticket for a user of that name is one for the shop's own user, and a cursor is a place and no permission.
    for cursor in ["", cursor.as_str()] {
        let ticket = shop.api.ticket(USER).await;
        let mut socket = open_with_ticket(&shop.api, &ticket).await.unwrap();
        ask_to_resume(&mut socket, cursor).await.unwrap();
        let message = socket.next().await.unwrap().unwrap().into_text().unwrap().to_string();
        let message: Value = serde_json::from_str(&message).unwrap();
        assert_eq!((&message["type"], &message["count"]), (&json!("resumed"), &json!(0)), "{message}");
    }
    // The shop registers and pays the same order, and the demo account's stays as it was.
    let before = world.api.order(ORDER).await.json_of(200);
    assert_eq!(shop.api.register(&registration(&shop.facts(&world), USER)).await.status, 201);
    shop.pay(&world).await;
    world.settle().await;
    assert_eq!(world.api.order(ORDER).await.json_of(200), before);
}

/// Calls with a revoked key are refused from the next one on, on every route; the other keys of the account count.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_api_key_is_nobodys_on_every_route() {
    let mut world = World::start_talkative_on_this_machine().await;
    let shop = Shop::open(&world, world.provider("stripe")).await;
    let place = world.place.arguments();
    let key =
        async |arguments: &[&str]| paybell(&place, &[&["account", "key"], arguments].concat(), "").await;

    let added = key(&["add", SHOP, "--json"]).await.json();
    let (id, second) = (added["id"].as_str().unwrap(), added["api_key"].as_str().unwrap().to_owned());
    let second_api = world.api.with_api_key(&second);
    assert_refused_everywhere(&world.api.with_api_key("pb_live_guessed")).await;
    for api in [&shop.api, &second_api] {
        assert_eq!(api.order("none").await.status, 404, "both keys count");
    }
    let listed = key(&["list", SHOP, "--json"]).await.json();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.iter().map(|key| &key["status"]).collect::<Vec<_>>(), ["active", "active"]);
    let first = listed.iter().find(|key| key["id"] != id).unwrap();
    let ends = &shop.api_key[shop.api_key.len() - 4..];
    assert_eq!(first["ending"], ends);
    let first = first["id"].as_str().unwrap();

    key(&["revoke", "demo", first]).await.refused("no active API key");
    key(&["revoke", SHOP, "0123456789ab"]).await.refused(id);
    key(&["add", "nobody"]).await.refused("`paybell account create nobody`");
    key(&["list", "nobody"]).await.refused("`paybell account create nobody`");
    let revoked = key(&["revoke", SHOP, first]).await.ok();
    assert!(revoked.contains("from now on") && revoked.contains(&format!("`{SHOP}`: {id}.")), "{revoked}");
    assert_refused_everywhere(&shop.api).await;
    assert_eq!(second_api.order("none").await.status, 404);
    key(&["revoke", SHOP, first]).await.refused("no active API key");

    // Stopped: the commands open the folder themselves, and what they did holds after the start.
    let demo = key(&["list", "demo", "--json"]).await.json();
    assert!(world.server_mut().stop().await.success());
    let table = key(&["list", SHOP]).await.ok();
    assert!(
        table.contains("revoked") && !table.contains(&shop.api_key) && !table.contains(&second),
        "{table}"
    );
    key(&["revoke", SHOP, id]).await.ok();
    let third = key(&["add", SHOP]).await.ok();
    key(&["revoke", "demo", demo[0]["id"].as_str().unwrap()]).await.ok();
    world.server_mut().restart().await;
    for api in [&shop.api, &second_api, &world.api] {
        assert_refused_everywhere(api).await;
    }
    assert_eq!(world.api.with_api_key(third.trim()).order("none").await.status, 404);
    for key in [&shop.api_key, &second, third.trim()] {
        assert!(!world.server().log().contains(key), "an API key is in the log");
    }
}

async fn assert_refused_everywhere(api: &Api) {
    let order = json!({ "order_id": "o1", "amount_minor": 1999, "currency": "CNY", "user": USER });
    let user = json!({ "user": USER });
    for (method, path, body) in [
        (Method::POST, "/orders", Some(&order)),
        (Method::GET, "/orders/o1", None),
        (Method::GET, "/users/anna/orders", None),
        (Method::GET, "/users/anna/inbox?after=&limit=10", None),
        (Method::POST, "/tickets", Some(&user)),
    ] {
        let answer = api.call(method.clone(), path, body).await;
        assert_eq!(answer.status, 401, "{method} {path}: {answer:?}");
    }
}

/// Of many devices that come with one ticket at the same time, one is let in.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_many_come_with_opens_one_connection() {
    const DEVICES: usize = 12;
    let world = World::start_on_this_machine().await;
    for _ in 0..3 {
        let ticket = world.api.ticket(USER).await;
        let tries = join_all((0..DEVICES).map(|_| open_with_ticket(&world.api, &ticket))).await;
        assert_eq!(tries.iter().filter(|tried| tried.is_ok()).count(), 1);
    }
}
