//! The tokens, their transfers and what nodes answer.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::node::{NODES_FIELD, question, transfers};
use super::*;
use crate::callback::KeySet;
use crate::domain::Reference;

const HASH: &str = "0x7a4a39da2a3fa1fc2ef88fd1eaea070286ed2aba21e0419dcfb6d5c5d9f02a72";
const RECEIVER: &str = "0xbe3f4b43db5eb49d1f48f53443b9abce45da3b79";
const TRON_RECEIVER: &str = "TVf3RVEtzKtMfqQaCAWs9d4HKbC4bZGaWP";

fn told<'a>(network: Network, contract: &'a str, quantity: Quantity<'a>) -> Told<'a> {
    Told {
        network,
        hash: HASH,
        log_index: Some(110),
        contract,
        to: if network == Network::Tron { TRON_RECEIVER } else { RECEIVER }.into(),
        quantity,
        decimals: None,
        finality: Finality::Final,
        occurred_at: None,
    }
}

fn amount(told: &Told<'_>) -> Option<String> {
    let event = told.transfer().unwrap()?.event("watcher", UnixSeconds(0));
    event.amount.map(|amount| format!("{amount} {}", amount.currency().exponent()))
}

#[test]
fn every_token_has_a_contract_of_its_network_and_a_known_currency() {
    for token in TOKENS {
        assert_eq!(token.network.address(token.contract).as_deref(), Some(token.contract), "{token:?}");
        assert!(token.decimals >= Currency::new(token.code).unwrap().exponent(), "{token:?}");
        let same =
            TOKENS.iter().filter(|other| (other.network, other.contract) == (token.network, token.contract));
        assert_eq!(same.count(), 1, "{token:?}");
    }
}

#[test]
fn the_contract_and_its_network_say_which_token_it_is() {
    use Quantity::{HexUnits, Tokens, Units};
    let (ethereum, bsc) =
        ("0xdAC17F958D2ee523a2206206994597C13D831ec7", "0x55d398326f99059fF775485246999027B3197955");
    let tron = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t";
    let rows = [
        (Network::Ethereum, ethereum, Units("1000001"), Some("1.000001 USDT 6")),
        (Network::Ethereum, ethereum, HexUnits("0x0000000000f42ee1"), Some("16.002785 USDT 6")),
        (Network::Tron, tron, Tokens("20"), Some("20.000000 USDT 6")),
        // Eighteen decimals, exactly or not in the currency's six.
        (Network::Bsc, bsc, Units("1000001000000000000"), Some("1.000001 USDT 6")),
        (Network::Bsc, bsc, Units("1000001000000000001"), Some("1.000001000000000001 USDT 18")),
        // The same contract elsewhere, another contract, and nothing at all.
        (Network::Polygon, ethereum, Units("1000001"), None),
        (Network::Ethereum, bsc, Units("1000001"), None),
        (Network::Ethereum, "0x743e8b6cc1676adae0e3243b5c011f7139c26128", Units("1000001"), None),
        (Network::Tron, "TJG7iciLGjsib9qhe6U6F7M2vxYJuDjWNM", Tokens("20"), None),
        (Network::Tron, "USDT", Tokens("20"), None),
        (Network::Ethereum, ethereum, Units("0"), None),
        (Network::Ethereum, ethereum, HexUnits("0x"), None),
    ];
    for (network, contract, quantity, expected) in rows {
        let found = amount(&told(network, contract, quantity));
        assert_eq!(found.as_deref(), expected, "{network:?} {contract} {quantity:?}");
    }
}

#[test]
fn what_contradicts_the_table_is_an_error() {
    let contract = "0xdAC17F958D2ee523a2206206994597C13D831ec7";
    let good = told(Network::Ethereum, contract, Quantity::Units("5"));
    assert!(Told { decimals: Some("6"), ..good.clone() }.transfer().unwrap().is_some());
    for wrong in [
        Told { decimals: Some("18"), ..good.clone() },
        Told { to: TRON_RECEIVER.into(), ..good.clone() },
        Told { hash: "0x12", ..good.clone() },
        Told { quantity: Quantity::Units("-5"), ..good.clone() },
        Told { quantity: Quantity::Tokens("0.0000001"), ..good.clone() },
        Told { quantity: Quantity::HexUnits("0xffffffffffffffffffffffffffffffffff"), ..good.clone() },
    ] {
        assert!(wrong.transfer().is_err(), "{wrong:?}");
    }
}

#[test]
fn addresses_have_one_form() {
    let upper = RECEIVER.to_ascii_uppercase().replace("0X", "0x");
    assert_eq!(Network::Base.address(&upper).as_deref(), Some(RECEIVER));
    assert_eq!(Network::Tron.address(TRON_RECEIVER).as_deref(), Some(TRON_RECEIVER));
    for (network, wrong) in [
        (Network::Ethereum, "be3f4b43db5eb49d1f48f53443b9abce45da3b79"),
        (Network::Ethereum, "0xbe3f4b43db5eb49d1f48f53443b9abce45da3b7"),
        (Network::Ethereum, TRON_RECEIVER),
        (Network::Tron, RECEIVER),
        (Network::Tron, "TVf3RVEtzKtMfqQaCAWs9d4HKbC4bZGaWQ"),
        (Network::Tron, "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
    ] {
        assert_eq!(network.address(wrong), None, "{network:?} {wrong}");
    }
    let usdt = Network::Tron.address_from_bytes("a614f803b6fd780986a42c78ec9c7f77e6ded13c");
    assert_eq!(usdt.as_deref(), Some("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"));
}

#[test]
fn each_state_of_a_transfer_is_one_event_of_one_transaction() {
    let contract = "0xdAC17F958D2ee523a2206206994597C13D831ec7";
    let event = |finality, index| {
        let told =
            Told { finality, log_index: index, ..told(Network::Ethereum, contract, Quantity::Units("5")) };
        told.transfer().unwrap().unwrap().event("watcher", UnixSeconds(0))
    };
    let states =
        [Finality::Unconfirmed, Finality::Final, Finality::Removed].map(|state| event(state, Some(7)));
    let kinds = [EventKind::PaymentPending, EventKind::PaymentCaptured, EventKind::PaymentFailed];
    assert_eq!(states.clone().map(|event| event.kind), kinds);
    let keys: BTreeSet<&String> = states.iter().map(|event| &event.key).collect();
    assert_eq!(keys.len(), 3);
    assert!(states.iter().all(|event| event.transaction_id == Some(format!("ethereum:{HASH}:7"))));
    assert!(states.iter().all(|event| event.subject_id.is_none()));
    let reference = Reference(format!("address:ethereum:{RECEIVER}"));
    assert!(states.iter().all(|event| event.references == [reference.clone()]));
    assert_ne!(event(Finality::Final, Some(8)).key, states[1].key);
    assert_eq!(event(Finality::Final, None).transaction_id, Some(format!("ethereum:{HASH}")));
}

fn nodes(nodes: Value) -> KeySet {
    KeySet::new("own", Map::from_iter([(NODES_FIELD.to_owned(), nodes)]))
}

#[test]
fn only_the_accounts_own_nodes_are_asked() {
    let keys = nodes(json!({
        "ethereum": "https://eth-mainnet.example/v2/key",
        "tron": "https://tron.example/",
        "base": "http://base.example",
        "bsc": "https://bsc.example",
    }));
    let url =
        |network, hash| question(&keys, network, hash).map(|request| (request.url, request.pinned_host));
    let expected = |url: &str, host: &str| Ok((url.to_owned(), host.to_owned()));
    assert_eq!(
        url(Network::Ethereum, HASH),
        expected("https://eth-mainnet.example/v2/key", "eth-mainnet.example")
    );
    assert_eq!(url(Network::Bsc, HASH), expected("https://bsc.example/", "bsc.example"));
    assert_eq!(
        url(Network::Tron, &HASH[2..]),
        expected("https://tron.example/walletsolidity/gettransactioninfobyid", "tron.example")
    );
    assert_eq!(url(Network::Base, HASH), Err(MappingError::field(NODES_FIELD)));
    assert_eq!(url(Network::Polygon, HASH), Err(MappingError::field(NODES_FIELD)));
    assert_eq!(url(Network::Ethereum, r#"0x"],"x":["#), Err(MappingError::field("transaction")));
    let body = question(&keys, Network::Ethereum, HASH).unwrap().body;
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body[0]["params"][0], HASH);
    assert_eq!(body[1]["params"][0], "finalized");
}

fn receipt(block: &str, finalized: &str) -> Value {
    let padded = |address: &str| format!("0x{:0>64}", address.trim_start_matches("0x"));
    let log = |contract: &str, to: &str, index: &str| {
        json!({
            "address": contract,
            "topics": [
                "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
                padded("0x503828976d22510aad0201ac7ec88293211d23da"),
                padded(to),
            ],
            "data": "0x0000000000000000000000000000000000000000000000000000000011783b21",
            "logIndex": index,
        })
    };
    let usdc = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48";
    json!([
        { "jsonrpc": "2.0", "id": 1, "result": {
            "transactionHash": HASH,
            "blockNumber": block,
            "status": "0x1",
            "logs": [
                log("0x743e8b6cc1676adae0e3243b5c011f7139c26128", RECEIVER, "0x6d"),
                log(usdc, RECEIVER, "0x6e"),
                log(usdc, "0x690b9a9e9aa1c9db991c7721a92d351db4fac990", "0x6f"),
            ],
        } },
        { "jsonrpc": "2.0", "id": 2, "result": { "number": finalized } },
    ])
}

fn read(answer: &Value) -> Result<Vec<PaymentEvent>, MappingError> {
    let receivers = BTreeSet::from([RECEIVER.to_owned()]);
    let found = transfers(answer.to_string().as_bytes(), Network::Ethereum, HASH, &receivers)?;
    Ok(found.iter().map(|transfer| transfer.event("watcher", UnixSeconds(0))).collect())
}

#[test]
fn a_receipt_is_final_once_its_block_is() {
    for (block, finalized, kind) in [
        ("0xdf34a3", "0xdf34a3", EventKind::PaymentCaptured),
        ("0xdf34a3", "0xdf34a2", EventKind::PaymentPending),
    ] {
        let events = read(&receipt(block, finalized)).unwrap();
        let [event] = &events[..] else { panic!("{events:?}") };
        assert_eq!(event.kind, kind);
        assert_eq!(event.transaction_id, Some(format!("ethereum:{HASH}:110")));
        assert_eq!(event.amount.as_ref().unwrap().to_string(), "293.092129 USDC");
    }
}

#[test]
fn failed_unknown_and_foreign_transactions_have_no_transfers() {
    let changed = |change: fn(&mut Value)| {
        let mut answer = receipt("0x1", "0x2");
        change(&mut answer);
        read(&answer)
    };
    assert_eq!(changed(|answer| answer[0]["result"]["status"] = json!("0x0")), Ok(Vec::new()));
    assert_eq!(changed(|answer| answer[0]["result"] = Value::Null), Ok(Vec::new()));
    for change in [
        (|answer| answer[0]["result"]["transactionHash"] = json!(HASH.replace('7', "8"))) as fn(&mut Value),
        |answer| answer[0] = json!({ "id": 1, "error": { "code": -32000 } }),
        |answer| answer[1]["result"] = Value::Null,
        |answer| *answer = json!({ "id": null, "error": { "code": -32600 } }),
    ] {
        assert!(changed(change).is_err());
    }
}

#[test]
fn tron_tells_only_solidified_transactions() {
    let info = |result: &str| {
        json!({
            "id": &HASH[2..],
            "blockTimeStamp": 1_767_225_600_123_i64,
            "receipt": { "result": result },
            "log": [{
                "address": "a614f803b6fd780986a42c78ec9c7f77e6ded13c",
                "topics": [
                    node::TRANSFER_TOPIC,
                    "0000000000000000000000005b0d3a1aa5b3a8f2ec9b9d5f6ff3d3f3d6f8a1c2",
                    format!("{:0>64}", hex::encode(&bs58::decode(TRON_RECEIVER).into_vec().unwrap()[1..21])),
                ],
                "data": "0000000000000000000000000000000000000000000000000000000001312d00",
            }],
        })
    };
    let read = |answer: Value| {
        let receivers = BTreeSet::from([TRON_RECEIVER.to_owned()]);
        transfers(answer.to_string().as_bytes(), Network::Tron, HASH, &receivers)
    };
    let events = read(info("SUCCESS")).unwrap();
    let event = events[0].event("watcher", UnixSeconds(0));
    assert_eq!(event.kind, EventKind::PaymentCaptured);
    assert_eq!(event.amount.unwrap().to_string(), "20.000000 USDT");
    assert_eq!(event.occurred_at, Some(UnixSeconds(1_767_225_600)));
    assert_eq!(event.transaction_id, Some(format!("tron:{}:0", &HASH[2..])));
    assert_eq!(read(info("REVERT")), Ok(Vec::new()));
    assert_eq!(read(json!({})), Ok(Vec::new()));
    assert!(read(json!({ "Error": "INVALID hash" })).is_err());
    assert!(read(json!([])).is_err());
}
