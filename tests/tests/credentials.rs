//! Accounts and credentials by command, with `paybell up` running on the data folder and with nothing running on it.

#![allow(clippy::unwrap_used, reason = "the whole crate is a test")]

use paybell_cli::simulate::Facts;
use paybell_conformance::repository;
use paybell_shared::providers::Provider;
use paybell_shared::sandbox::SandboxKeys;
use paybell_tests::accounts::paid;
use paybell_tests::command::{Said, paybell};
use paybell_tests::place::data_arguments;
use paybell_tests::{World, logs};
use serde_json::{Value, json};

/// The account that the tests make.
const SHOP: &str = "shop-1";

/// A running Paybell, the commands on its data folder, and everything that they have said.
struct Shop {
    world: World,
    said: String,
}

impl Shop {
    async fn run(&mut self, arguments: &[&str], stdin: &str) -> Said {
        let said = paybell(&self.world.place.arguments(), arguments, stdin).await;
        self.said += &format!("{arguments:?}\n{}\n{}\n", said.stdout, said.stderr);
        said
    }

    async fn put(&mut self, provider: &Provider, id: &str, keys: &SandboxKeys) -> Said {
        let fields = Value::Object(keys.key_set.clone()).to_string();
        self.run(&["credentials", "put", SHOP, provider.name, "--id", id, "--json", "-"], &fields).await
    }

    /// The ids and states of the key sets, as listed.
    async fn key_sets(&mut self, provider: &Provider) -> Value {
        let listed = self.run(&["credentials", "list", SHOP, provider.name, "--json"], "").await.json();
        let of_one = |set: &Value| json!([set["id"], set["status"]]);
        listed.as_array().unwrap().iter().map(of_one).collect()
    }

    /// The status with which a payment that is signed with these keys is answered.
    async fn status(&self, provider: &Provider, keys: &SandboxKeys, order_id: &str) -> u16 {
        let facts = Facts { account: SHOP.to_owned(), ..self.world.facts(provider, order_id) };
        self.world.deliver_to(SHOP, provider.name, &paid(provider, keys, &facts)).await.status
    }

    /// Stops Paybell; what it remembers of credentials is gone when it starts again.
    async fn stop(&mut self) {
        assert!(self.world.server_mut().stop().await.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f17_an_account_is_connected_and_its_keys_are_changed() {
    let mut shop = Shop { world: World::start_talkative_on_this_machine().await, said: String::new() };
    let provider = shop.world.provider("wechatpay_v3");
    let [first, second, third] = [(); 3].map(|()| provider.sandbox.generate());

    let made = shop.run(&["account", "create", SHOP], "").await;
    let api_key = made.clone().ok().trim().to_owned();
    assert!(api_key.starts_with("pb_live_") && api_key.len() == 72, "{made:?}");
    assert_eq!(shop.world.api.with_api_key(&api_key).get("/orders/none").await.status, 404);
    assert_eq!(shop.world.api.with_api_key("pb_live_other").get("/orders/none").await.status, 401);
    shop.run(&["account", "create", SHOP], "").await.refused("`paybell credentials put shop-1");
    shop.run(&["account", "create", "a/b"], "").await.refused("cannot be an account's name");
    // From here on the key, too, is among what must not be said again.
    shop.said.clear();

    // Running: both sets are put before the first callback, and both count.
    shop.put(provider, "first", &first).await.ok();
    shop.put(provider, "second", &second).await.ok();
    assert_eq!(shop.status(provider, &first, "one").await, 200);
    assert_eq!(shop.status(provider, &second, "two").await, 200);
    assert_eq!(shop.status(provider, &third, "three").await, 401);
    let again = shop.put(provider, "second", &second).await.ok();
    assert!(again.contains("nothing was changed"), "{again}");
    shop.put(provider, "second", &third).await.refused("give the new one another id");

    // Stopped: the command opens the folder itself. The third set comes, the first one goes.
    shop.stop().await;
    shop.put(provider, "third", &third).await.ok();
    let retired = shop.run(&["credentials", "retire", SHOP, provider.name, "first"], "").await.ok();
    assert!(retired.contains("refused within 30 s") && retired.contains("second, third"), "{retired}");
    shop.run(&["credentials", "retire", SHOP, provider.name, "first"], "").await.refused("second, third");
    let expected = json!([["first", "retired"], ["second", "active"], ["third", "active"]]);
    assert_eq!(shop.key_sets(provider).await, expected);
    shop.world.server_mut().restart().await;
    assert_eq!(shop.key_sets(provider).await, expected);
    assert_eq!(shop.status(provider, &first, "four").await, 401);
    assert_eq!(shop.status(provider, &second, "five").await, 200);
    assert_eq!(shop.status(provider, &third, "six").await, 200);

    // Killed: the file that says where it was is stale, and the lock is free.
    shop.world.server_mut().kill().await;
    let accounts = shop.run(&["account", "list", "--json"], "").await.json();
    let names: Vec<&str> =
        accounts.as_array().unwrap().iter().map(|one| one["account"].as_str().unwrap()).collect();
    assert_eq!(names, ["demo", SHOP]);
    assert_eq!(accounts[1]["providers"], json!([provider.name]));
    shop.world.server_mut().restart().await;

    let mut secrets = vec![api_key];
    for keys in [&first, &second, &third] {
        secrets.extend(logs::texts_of(keys));
    }
    for secret in secrets {
        assert!(!shop.said.contains(&secret), "a command has said a secret:\n{}", shop.said);
        assert!(!shop.world.server().log().contains(&secret), "a secret is in the log");
    }
    shop.world.assert_log_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_credentials_that_cannot_work_are_refused_when_they_are_put() {
    let mut shop = Shop { world: World::start_on_this_machine().await, said: String::new() };
    shop.run(&["account", "create", SHOP], "").await.ok();
    for (arguments, words) in [
        (&["nobody", "stripe", "--field", "secret=x"][..], "`paybell account create nobody`"),
        (&["a b", "stripe", "--field", "secret=x"], "cannot be an account's name"),
        (&[SHOP, "strip", "--field", "secret=x"], "there is no provider `strip`"),
        (&[SHOP, "stripe"], "`secret` is missing: "),
        (&[SHOP, "stripe", "--field", "secret="], "`secret` cannot be used as it is: "),
        (&[SHOP, "stripe", "--field", "secret=x", "--field", "sercet=y"], "`sercet`: there is no such field"),
        (&[SHOP, "stripe", "--field", "secret=x", "--id", "a b"], "cannot be the id of a key set"),
        (&[SHOP, "stripe", "--field-file", "secret=no/such/file"], "no/such/file: "),
        (&[SHOP, "adyen", "--field", "hmac_key_hex=zz"], "`hmac_key_hex` cannot be used as it is: "),
        (&[SHOP, "gocardless", "--field", "secret=x"], "`access_token` is missing: "),
    ] {
        let arguments = [&["credentials", "put"], arguments].concat();
        shop.run(&arguments, "").await.refused(words);
    }
    shop.run(&["credentials", "list", "nobody"], "").await.refused("`paybell account create nobody`");
    shop.run(&["credentials", "retire", SHOP, "stripe", "x"], "")
        .await
        .refused("no credentials for `stripe`");
    let listed = shop.run(&["credentials", "list", SHOP], "").await.ok();
    assert!(listed.contains("paybell credentials put shop-1 PROVIDER"), "{listed}");
    let empty = tempfile::tempdir().unwrap();
    let nowhere = empty.path().join("nothing");
    paybell(&data_arguments(&nowhere), &["account", "list"], "")
        .await
        .refused("there is nothing in the data folder");
    assert!(!nowhere.exists(), "a listing has made a folder");
}

/// What the README shows of it does what it says, command by command.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_readme_run() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, section) = readme.split_once("### Your account with a provider\n").unwrap();
    let (section, _) = section.split_once("\n### ").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secret_file = folder.path().join("signing-secret.txt");
    let blocks = section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    let place = data_arguments(&folder.path().join("data"));
    let mut said = Vec::new();
    for line in blocks.flat_map(str::lines) {
        if let Some(secret) = line.strip_prefix("printf %s ") {
            std::fs::write(&secret_file, secret.strip_suffix(" > signing-secret.txt").unwrap()).unwrap();
            continue;
        }
        let command = line.strip_prefix("cargo run -- ").unwrap();
        let command = command.replace("signing-secret.txt", &secret_file.to_string_lossy());
        let arguments: Vec<&str> = command.split(' ').collect();
        said.push(paybell(&place, &arguments, "").await.ok());
    }
    let [key, put, listed, next, retired] = said.try_into().unwrap();
    assert!(key.starts_with("pb_live_"), "{key}");
    assert!(put.contains("/callbacks/shop/stripe"), "{put}");
    assert!(listed.contains("active") && listed.contains("secret") && !listed.contains("whsec"), "{listed}");
    assert!(next.contains("`second` is put") && next.contains("first, second"), "{next}");
    assert!(retired.contains("`first` is retired") && retired.contains(": second."), "{retired}");
}
