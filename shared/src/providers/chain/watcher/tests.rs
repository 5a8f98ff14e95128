//! What each watcher's callbacks and the nodes' answers come to.

use serde_json::{Value, json};

use super::*;
use crate::callback::{Credentials, Fetched, UnixSeconds};
use crate::domain::{Currency, EventKind, Money, Reference};
use crate::providers::{Provider, Registry};
use crate::sandbox::{Payload, SandboxKeys, SimulatedFacts, render};

const NOW: UnixSeconds = UnixSeconds(1_767_225_600);
const ORDER_ID: &str = "order-1";
const FAKE_CONTRACT: &str = "0x743e8b6cc1676adae0e3243b5c011f7139c26128";

/// A watcher with its sandbox keys.
struct Bench {
    provider: &'static Provider,
    keys: SandboxKeys,
}

impl Bench {
    fn new(name: &str) -> Self {
        let provider = Registry::default().find(name).unwrap();
        Self { provider, keys: provider.sandbox.generate() }
    }

    fn payload(&self, name: &str) -> Value {
        let amount = Money::parse_major("12.5", Currency::new("USDT").unwrap()).unwrap();
        let facts = SimulatedFacts {
            event_id: "event-1".to_owned(),
            order_id: ORDER_ID.to_owned(),
            transaction_id: "transaction-1".to_owned(),
            refund_id: String::new(),
            refund: amount.clone(),
            amount,
            now: NOW,
            path: String::new(),
        };
        let text = render(self.provider.payload_template(name).unwrap(), &facts, &self.keys).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// What the node answers about the `paid` callback.
    fn answer(&self) -> Value {
        self.payload("paid.answer")[0]["body"].take()
    }

    fn verified(&self, content: &Value) -> Verified {
        let payload = Payload {
            content: content.to_string(),
            event_id: "event-1".to_owned(),
            sent_at: NOW,
            path: String::new(),
        };
        let request = self.provider.sandbox.sign(&self.keys, &payload).unwrap();
        let raw =
            RawCallback::new("a", self.provider.name, "POST", "/", request.headers.clone(), request.body);
        self.provider.verify(&raw, &Credentials { key_sets: vec![self.key_set()] }, NOW).unwrap()
    }

    fn key_set(&self) -> KeySet {
        KeySet::new("own", self.keys.key_set.clone())
    }

    /// The `paid` callback with a change, and what it gives: kinds and amounts, and whether a node is asked.
    fn told(&self, change: impl Fn(&mut Value)) -> (Result<Vec<(EventKind, String)>, MappingError>, bool) {
        let mut content = self.payload("paid");
        change(&mut content);
        let verified = self.verified(&content);
        let events = self.provider.normalise(&verified).map(|events| events.iter().map(summary).collect());
        (events, self.provider.must_ask(&verified))
    }

    /// The only event of the `paid` callback with a change.
    fn first(&self, change: impl Fn(&mut Value)) -> PaymentEvent {
        let mut content = self.payload("paid");
        change(&mut content);
        let mut events = self.provider.normalise(&self.verified(&content)).unwrap();
        assert_eq!(events.len(), 1, "{content}");
        events.remove(0)
    }

    fn answered(&self, answer: &Value) -> Result<Vec<PaymentEvent>, MappingError> {
        let fetched = Fetched::new(200, answer.to_string().into_bytes(), NOW);
        let about = self.verified(&self.payload("paid"));
        let answer = self.provider.answered(&about, &fetched, &self.key_set())?;
        self.provider.normalise(&answer)
    }
}

fn summary(event: &PaymentEvent) -> (EventKind, String) {
    (event.kind, event.amount.as_ref().unwrap().to_string())
}

fn one(kind: EventKind, amount: &str) -> Result<Vec<(EventKind, String)>, MappingError> {
    Ok(vec![(kind, amount.to_owned())])
}

#[test]
fn tatum_tells_pending_transfers_of_the_right_contract_on_the_right_network() {
    let tatum = Bench::new("tatum");
    assert_eq!(tatum.told(|_| {}), (one(EventKind::PaymentPending, "12.500000 USDT"), true));
    let named_apart = |content: &mut Value| {
        content["contractAddress"] = content["asset"].take();
        content["asset"] = json!("USDT");
        content["subscriptionType"] = json!("INCOMING_FUNGIBLE_TX");
    };
    assert_eq!(tatum.told(named_apart).0, one(EventKind::PaymentPending, "12.500000 USDT"));
    let nothing: [fn(&mut Value); 8] = [
        |content| content["asset"] = json!("TJG7iciLGjsib9qhe6U6F7M2vxYJuDjWNM"),
        |content| content["asset"] = json!("USDT"),
        |content| content["contractAddress"] = json!(FAKE_CONTRACT),
        |content| content["chain"] = json!("tron-testnet"),
        |content| content["chain"] = json!("ethereum-mainnet"),
        |content| content["amount"] = json!("-12.5"),
        |content| content["mempool"] = json!(true),
        |content| content["subscriptionType"] = json!("FAILED_TXS_PER_BLOCK"),
    ];
    for (index, change) in nothing.into_iter().enumerate() {
        assert_eq!(tatum.told(change), (Ok(Vec::new()), false), "{index}");
    }
    assert!(tatum.told(|content| content["amount"] = json!("0.0000001")).0.is_err());
    assert!(tatum.told(|content| content["address"] = json!(FAKE_CONTRACT)).0.is_err());
}

#[test]
fn moralis_tells_pending_and_then_final_transfers() {
    let moralis = Bench::new("moralis");
    let (events, asks) = moralis.told(|_| {});
    assert_eq!((events, asks), (one(EventKind::PaymentCaptured, "12.500000 USDT"), false));
    let unconfirmed = moralis.told(|content| content["confirmed"] = json!(false)).0;
    assert_eq!(unconfirmed, one(EventKind::PaymentPending, "12.500000 USDT"));
    let both = [true, false].map(|confirmed| {
        let mut content = moralis.payload("paid");
        content["confirmed"] = json!(confirmed);
        moralis.provider.normalise(&moralis.verified(&content)).unwrap().remove(0)
    });
    assert_eq!(both[0].transaction_id, both[1].transaction_id);
    assert_ne!(both[0].key, both[1].key);
    let dust =
        moralis.told(|content| content["erc20Transfers"][0]["value"] = json!("12500000000000000001")).0;
    assert_eq!(dust, one(EventKind::PaymentCaptured, "12.500000000000000001 USDT"));
    let nothing: [fn(&mut Value); 5] = [
        |content| content["erc20Transfers"][0]["contract"] = json!(FAKE_CONTRACT),
        |content| content["chainId"] = json!("0x61"),
        |content| content["chainId"] = json!(""),
        |content| content["chainId"] = json!("0x1"),
        |content| content["erc20Transfers"][0]["value"] = json!("0"),
    ];
    for (index, change) in nothing.into_iter().enumerate() {
        assert_eq!(moralis.told(change).0, Ok(Vec::new()), "{index}");
    }
    let wrong: [fn(&mut Value); 3] = [
        |content| content["erc20Transfers"][0]["tokenDecimals"] = json!("6"),
        |content| content["confirmed"] = Value::Null,
        |content| content["erc20Transfers"][0]["value"] = json!("1e19"),
    ];
    for (index, change) in wrong.into_iter().enumerate() {
        assert!(moralis.told(change).0.is_err(), "{index}");
    }
}

#[test]
fn alchemy_tells_transfers_that_a_block_has_or_has_lost() {
    let alchemy = Bench::new("alchemy");
    assert_eq!(alchemy.told(|_| {}), (one(EventKind::PaymentPending, "12.500000 USDT"), true));
    fn activity(content: &mut Value) -> &mut Value {
        &mut content["event"]["activity"][0]
    }
    let removed = alchemy.told(|content| activity(content)["log"]["removed"] = json!(true));
    assert_eq!(removed, (one(EventKind::PaymentFailed, "12.500000 USDT"), false));
    let nothing: [fn(&mut Value); 4] = [
        |content| activity(content)["rawContract"]["address"] = json!(FAKE_CONTRACT),
        |content| activity(content)["rawContract"] = json!({ "rawValue": "0x1", "decimals": 18 }),
        |content| content["event"]["network"] = json!("ETH_SEPOLIA"),
        |content| content["event"] = json!({ "error": "block not found" }),
    ];
    for (index, change) in nothing.into_iter().enumerate() {
        assert_eq!(alchemy.told(change), (Ok(Vec::new()), false), "{index}");
    }
    let wrong: [fn(&mut Value); 3] = [
        |content| activity(content)["log"]["address"] = json!(FAKE_CONTRACT),
        |content| activity(content)["rawContract"]["decimals"] = json!(18),
        |content| activity(content)["log"]["logIndex"] = Value::Null,
    ];
    for (index, change) in wrong.into_iter().enumerate() {
        assert!(alchemy.told(change).0.is_err(), "{index}");
    }
}

/// One transfer of a batch is malformed: the other one is told and asked about, and the callback is kept for the first.
#[test]
fn m12_a_transfer_that_cannot_be_read_does_not_hide_the_others() {
    for (name, list, broken) in [
        ("alchemy", "/event/activity", "/log/logIndex"),
        ("moralis", "/erc20Transfers", "/logIndex"),
        ("quicknode", "/logs", "/logIndex"),
    ] {
        let bench = Bench::new(name);
        let mut content = bench.payload("paid");
        if name == "moralis" {
            content["confirmed"] = json!(false);
        }
        let transfers = content.pointer_mut(list).and_then(Value::as_array_mut).unwrap();
        let mut malformed = transfers[0].clone();
        *malformed.pointer_mut(broken).unwrap() = json!("none");
        transfers.insert(0, malformed);
        let verified = bench.verified(&content);
        let read = bench.provider.read(&verified).unwrap();
        let told: Vec<_> = read.events.iter().map(summary).collect();
        assert_eq!(told, [(EventKind::PaymentPending, "12.500000 USDT".to_owned())], "{name}");
        assert_eq!(read.unreadable, [MappingError::field(broken)], "{name}");
        assert_eq!(bench.provider.must_ask(&verified), bench.provider.inquiry.is_some(), "{name}");
        assert!(bench.provider.normalise(&verified).is_err(), "{name}: not all of it is read");
    }
}

/// Names and chain ids of every main network, and the contract of USDC there.
const NETWORKS: [(&str, &str, &str, &str, &str); 7] = [
    ("arbitrum", "0xa4b1", "ARB_MAINNET", "arb-one-mainnet", "0xaf88d065e77c8cc2239327c5edb3a432268e5831"),
    ("avalanche", "0xa86a", "AVAX_MAINNET", "avax-mainnet", "0xb97ef9ef8734c71904d8002f8b6bc66dd9c48a6e"),
    ("base", "0x2105", "BASE_MAINNET", "base-mainnet", "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"),
    ("bsc", "0x38", "BNB_MAINNET", "bsc-mainnet", "0x8ac76a51cc950d9822d68b83fe1ad97b32cd580d"),
    ("ethereum", "0x1", "ETH_MAINNET", "ethereum-mainnet", "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"),
    ("optimism", "0xa", "OPT_MAINNET", "optimism-mainnet", "0x0b2c639c533813f4aa9d7837caf62653d097ff85"),
    ("polygon", "0x89", "MATIC_MAINNET", "polygon-mainnet", "0x3c499c542cef5e3811e1192ce70d8cc03d5c3359"),
];

#[test]
fn every_network_is_known_by_each_watchers_name_of_it() {
    let [alchemy, moralis, tatum] = ["alchemy", "moralis", "tatum"].map(Bench::new);
    let receiver = "0x00000000000000000000000000000000000000a1";
    for (network, chain_id, of_alchemy, of_tatum, contract) in NETWORKS {
        let decimals = if network == "bsc" { 18 } else { 6 };
        let told = [
            alchemy.first(|content| {
                content["event"]["network"] = json!(of_alchemy);
                let activity = &mut content["event"]["activity"][0];
                activity["rawContract"] =
                    json!({"rawValue": "0x1", "address": contract, "decimals": decimals});
                activity["log"]["address"] = json!(contract);
                activity["toAddress"] = json!(receiver);
            }),
            moralis.first(|content| {
                content["chainId"] = json!(chain_id);
                let transfer = &mut content["erc20Transfers"][0];
                transfer["contract"] = json!(contract);
                transfer["tokenDecimals"] = json!(decimals.to_string());
                transfer["to"] = json!(receiver);
            }),
            tatum.first(|content| {
                content["chain"] = json!(of_tatum);
                content["asset"] = json!(contract);
                content["address"] = json!(receiver);
                content["txId"] = json!(format!("0x{}", "1".repeat(64)));
                content["timestamp"] = json!(1_767_225_599_999_i64);
            }),
        ];
        for event in &told {
            let reference = Reference(format!("address:{network}:{receiver}"));
            assert_eq!(event.references, [reference], "{network}");
            assert_eq!(event.amount.as_ref().unwrap().currency().code(), "USDC", "{network}");
        }
        assert_eq!(told[2].occurred_at, Some(UnixSeconds(1_767_225_599)), "Tatum counts milliseconds");
    }
}

#[test]
fn every_watcher_finds_its_order_by_the_address_alone() {
    let expected = [("alchemy", "ethereum"), ("moralis", "bsc"), ("quicknode", "polygon"), ("tatum", "tron")];
    for (name, network) in expected {
        let bench = Bench::new(name);
        let events = bench.provider.normalise(&bench.verified(&bench.payload("paid"))).unwrap();
        let [event] = &events[..] else { panic!("{name}: {events:?}") };
        assert_eq!(event.subject_id, None, "{name}");
        let [Reference(reference)] = &event.references[..] else { panic!("{name}: {event:?}") };
        assert!(reference.starts_with(&format!("address:{network}:")), "{name}: {reference}");
    }
}

#[test]
fn a_node_says_when_a_transfer_is_final() {
    for name in ["alchemy", "quicknode", "tatum"] {
        let bench = Bench::new(name);
        let pending = bench.provider.normalise(&bench.verified(&bench.payload("paid"))).unwrap();
        let events = bench.answered(&bench.answer()).unwrap();
        let [event] = &events[..] else { panic!("{name}: {events:?}") };
        assert_eq!(summary(event), (EventKind::PaymentCaptured, "12.500000 USDT".to_owned()), "{name}");
        assert_eq!(event.references, pending[0].references, "{name}");
        assert_ne!(event.key, pending[0].key, "{name}");
        let about = bench.verified(&bench.payload("paid"));
        let requests = bench.provider.inquiries(&about, &bench.key_set()).unwrap();
        assert_eq!(requests.len(), 1, "{name}");
        assert_eq!(requests[0].pinned_host, format!("{name}-node.example"));
    }
}

#[test]
fn what_is_not_final_yet_is_asked_again() {
    let tatum = Bench::new("tatum");
    assert_eq!(tatum.answered(&json!({})), Err(MappingError::Unsettled));
    let alchemy = Bench::new("alchemy");
    let mut answer = alchemy.answer();
    answer[1]["result"]["number"] = json!("0xdf34a2");
    assert_eq!(alchemy.answered(&answer), Err(MappingError::Unsettled));
    answer[0]["result"] = Value::Null;
    assert_eq!(alchemy.answered(&answer), Err(MappingError::Unsettled));
}

#[test]
fn an_answer_about_another_transaction_or_token_pays_nothing() {
    let alchemy = Bench::new("alchemy");
    let changed = |change: fn(&mut Value)| {
        let mut answer = alchemy.answer();
        change(&mut answer);
        alchemy.answered(&answer)
    };
    let other = format!("0x{}", "ab".repeat(32));
    let mut foreign = alchemy.answer();
    foreign[0]["result"]["transactionHash"] = json!(other);
    assert!(alchemy.answered(&foreign).is_err());
    assert_eq!(
        changed(|answer| answer[0]["result"]["logs"][0]["address"] = json!(FAKE_CONTRACT)),
        Ok(Vec::new())
    );
    assert_eq!(changed(|answer| answer[0]["result"]["status"] = json!("0x0")), Ok(Vec::new()));
    let receiver = "0x000000000000000000000000503828976d22510aad0201ac7ec88293211d23da";
    let elsewhere = move |answer: &mut Value| answer[0]["result"]["logs"][0]["topics"][2] = json!(receiver);
    let mut answer = alchemy.answer();
    elsewhere(&mut answer);
    assert_eq!(alchemy.answered(&answer), Ok(Vec::new()));
}
