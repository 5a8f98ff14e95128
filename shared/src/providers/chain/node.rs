//! Asking a chain's node whether a transaction is final, and reading the transfers from what it answers.

use std::collections::BTreeSet;

use crate::callback::json::Json;
use crate::callback::{KeySet, Rejection, UnixSeconds};
use crate::providers::{FetchMethod, FetchRequest, MappingError};

use super::{Finality, Network, Quantity, Told, Transfer};

/// The key set's field with the addresses of the nodes by the name of the network.
pub const NODES_FIELD: &str = "nodes";

/// The topic of `Transfer(address,address,uint256)`.
///
/// # Source
/// ERC-20 (<https://eips.ethereum.org/EIPS/eip-20>): Keccak-256 of the event's signature. TRC-20 has the same.
pub const TRANSFER_TOPIC: &str = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";

/// The question whether a transaction is final, for the node that the key set names.
///
/// # Errors
/// [`MappingError::Field`] naming `nodes` when the key set has no `https://` address for the network, or naming
/// `transaction` when the hash is none.
///
/// # Source
/// <https://ethereum.org/en/developers/docs/apis/json-rpc/>, `eth_getTransactionReceipt` and the block tag `finalized`;
/// <https://developers.tron.network/reference/transactions>, `walletsolidity/gettransactioninfobyid`, which knows
/// transactions of solidified blocks alone.
pub fn question(keys: &KeySet, network: Network, hash: &str) -> Result<FetchRequest, MappingError> {
    let hash = network.hash(hash).ok_or_else(|| MappingError::field("transaction"))?;
    let nodes = keys.keys_by_id(NODES_FIELD).map_err(|_| MappingError::field(NODES_FIELD))?;
    let node = nodes.into_iter().find(|(name, _)| *name == network.name()).map(|(_, node)| node);
    let node = node.ok_or_else(|| MappingError::field(NODES_FIELD))?.trim_end_matches('/');
    let rest = node.strip_prefix("https://").ok_or_else(|| MappingError::field(NODES_FIELD))?;
    let host = rest.split('/').next().unwrap_or_default();
    let (path, body) = if network.is_evm() {
        ("/", receipt_and_finalized_block(&hash))
    } else {
        ("/walletsolidity/gettransactioninfobyid", format!(r#"{{"value":"{hash}"}}"#))
    };
    // Some providers' addresses end in a key, behind which no slash may stand.
    let url = if path == "/" && rest.contains('/') { node.to_owned() } else { format!("{node}{path}") };
    Ok(FetchRequest {
        method: FetchMethod::Post,
        url,
        pinned_host: host.to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.into_bytes(),
    })
}

/// Accepts a key set whose nodes, where it has any, are `https://` addresses by the names of networks.
///
/// # Errors
/// [`Rejection::Unconfigured`].
pub fn require_addresses(keys: &KeySet) -> Result<(), Rejection> {
    let usable = |(network, address): &(&str, &str)| {
        Network::from_name(network).is_some() && address.starts_with("https://")
    };
    match keys.keys_by_id(NODES_FIELD)?.iter().all(usable) {
        true => Ok(()),
        false => Err(Rejection::unconfigured(NODES_FIELD)),
    }
}

fn receipt_and_finalized_block(hash: &str) -> String {
    format!(
        r#"[{{"jsonrpc":"2.0","id":1,"method":"eth_getTransactionReceipt","params":["{hash}"]}},{{"jsonrpc":"2.0","id":2,"method":"eth_getBlockByNumber","params":["finalized",false]}}]"#
    )
}

/// The transfers to `receivers` in a node's answer about the transaction `hash`. Those of a transaction that is not
/// final yet are [`Finality::Unconfirmed`]; a transaction that the node does not know, or that failed, has none.
///
/// # Errors
/// [`MappingError`] when the answer is an error, or about another transaction.
pub fn transfers(
    answer: &[u8],
    network: Network,
    hash: &str,
    receivers: &BTreeSet<String>,
) -> Result<Vec<Transfer>, MappingError> {
    let answer = Json::parse(answer).map_err(|_| MappingError::Content)?;
    let hash = network.hash(hash).ok_or_else(|| MappingError::field("transaction"))?;
    let outcome = if network.is_evm() { evm_outcome(&answer, &hash)? } else { tron_outcome(&answer, &hash)? };
    let Some(Outcome { logs, finality, occurred_at }) = outcome else { return Ok(Vec::new()) };
    let mut transfers = Vec::new();
    for (index, log) in logs.iter().enumerate() {
        let Some(Emitted { contract, to, units }) = emitted(network, log) else { continue };
        let log_index = Some(match log.text("/logIndex") {
            Some(index) => quantity(index).ok_or_else(|| MappingError::field("logIndex"))?,
            None => index as u64,
        });
        let told = Told {
            network,
            hash: &hash,
            log_index,
            contract: &contract,
            to: to.into(),
            quantity: Quantity::HexUnits(units),
            decimals: None,
            finality,
            occurred_at,
        };
        transfers.extend(told.transfer()?.filter(|transfer| receivers.contains(&transfer.to)));
    }
    Ok(transfers)
}

/// The transaction that an answer is about; `None` when the node does not know it.
///
/// # Errors
/// [`MappingError::Content`] when it is no node's answer.
pub fn transaction(answer: &[u8]) -> Result<Option<String>, MappingError> {
    let answer = Json::parse(answer).map_err(|_| MappingError::Content)?;
    let hash = match &answer {
        Json::Array(_) => result(&answer, "1")?.text("/transactionHash"),
        _ => answer.text("/id"),
    };
    Ok(hash.map(str::to_owned))
}

/// What a successful transaction emitted, and whether it stays.
struct Outcome<'a> {
    logs: &'a [Json],
    finality: Finality,
    occurred_at: Option<UnixSeconds>,
}

fn evm_outcome<'a>(answer: &'a Json, hash: &str) -> Result<Option<Outcome<'a>>, MappingError> {
    let receipt = result(answer, "1")?;
    let finalized = result(answer, "2")?;
    if receipt == &Json::Null {
        return Ok(None);
    }
    if receipt.text("/transactionHash").and_then(|told| Network::Ethereum.hash(told)).as_deref() != Some(hash)
    {
        return Err(MappingError::field("transactionHash"));
    }
    if receipt.text("/status") != Some("0x1") {
        return Ok(None);
    }
    let number = |json: &Json, pointer: &str| {
        json.text(pointer).and_then(quantity).ok_or_else(|| MappingError::field(pointer))
    };
    let is_final = number(receipt, "/blockNumber")? <= number(finalized, "/number")?;
    let finality = if is_final { Finality::Final } else { Finality::Unconfirmed };
    Ok(Some(Outcome { logs: receipt.members("/logs"), finality, occurred_at: None }))
}

/// The result of one question of a batch.
fn result<'a>(answer: &'a Json, id: &str) -> Result<&'a Json, MappingError> {
    let member = answer.members("").iter().find(|member| member.text("/id") == Some(id));
    member.and_then(|member| member.at("/result")).ok_or_else(|| MappingError::field("result"))
}

fn tron_outcome<'a>(answer: &'a Json, hash: &str) -> Result<Option<Outcome<'a>>, MappingError> {
    let Some(id) = answer.text("/id") else {
        // A transaction that is in no solidified block is an empty object.
        let known = answer.at("/Error").is_some() || !matches!(answer, Json::Object(_));
        return if known { Err(MappingError::Content) } else { Ok(None) };
    };
    if Network::Tron.hash(id).as_deref() != Some(hash) {
        return Err(MappingError::field("id"));
    }
    if answer.text("/receipt/result") != Some("SUCCESS") {
        return Ok(None);
    }
    let milliseconds = answer.text("/blockTimeStamp").and_then(|text| text.parse::<i64>().ok());
    let occurred_at = milliseconds.map(|milliseconds| UnixSeconds(milliseconds / 1000));
    Ok(Some(Outcome { logs: answer.members("/log"), finality: Finality::Final, occurred_at }))
}

/// A `Transfer` event of any contract.
pub struct Emitted<'a> {
    /// The contract.
    pub contract: String,
    /// Who received.
    pub to: String,
    /// How much, in hexadecimal units.
    pub units: &'a str,
}

/// The `Transfer` event in a log; `None` when it is another event.
pub fn emitted(network: Network, log: &Json) -> Option<Emitted<'_>> {
    let bare = |text: &'_ str| text.strip_prefix("0x").unwrap_or(text).to_ascii_lowercase();
    let [topic, _from, to] = log.members("/topics") else { return None };
    let text = |json: &Json| match json {
        Json::Text(text) => Some(bare(text)),
        _ => None,
    };
    // An address fills the last 20 of a topic's 32 bytes.
    let to = text(to)?;
    let (padding, to) = to.split_at_checked(24)?;
    let is_transfer = text(topic)? == TRANSFER_TOPIC && padding.bytes().all(|byte| byte == b'0');
    let contract = network.address_from_bytes(&bare(log.text("/address")?))?;
    let to = network.address_from_bytes(to)?;
    is_transfer.then_some(Emitted { contract, to, units: log.text("/data")? })
}

/// A number as Ethereum's JSON-RPC writes it, such as `0x1f`.
pub fn quantity(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
