//! Moralis Streams. Source: <https://docs.moralis.com/streams/webhooks/webhook-payloads>. Mapping:
//! `fixtures/moralis/MAPPING.md`.

use crate::callback::UnixSeconds;
use crate::callback::json::Json;

use super::chain::watcher::{self, EachTold, Watcher};
use super::chain::{Finality, KINDS, Network, Quantity, Told, is_known};
use super::described::described_signature;
use super::{MappingError, Normalise, Provider};

const NAME: &str = "moralis";

/// The facts and the signature; what a transfer means is shared with the other watchers.
const DESCRIPTION: &str = r#"
title = "Moralis Streams"
rail = "crypto"
home_currency = "USDT"
documents = [
    "https://docs.moralis.com/streams/webhooks/webhook-payloads",
    "https://docs.moralis.com/streams/webhooks/webhook-delivery",
    "https://docs.moralis.com/streams/streams-concepts/error-handling",
    "https://github.com/MoralisWeb3/Moralis-JS-SDK",
]
retry_schedule = "after 1 min, 10 min, 1 h, 2 h, 6 h, 12 h, 24 h"
covers = "body"

[[credentials]]
name = "secret"
required = true
about = "Secret of the Streams API: Settings, Webhook secret; by default the API key"

[[checks]]
algorithm = "keccak256"
key = { field = "secret", encoding = "utf8" }
signature = { at = "header:X-Signature", encoding = "hex", prefix = "0x" }
signed = "{body}{key}"
"#;

/// The provider.
pub(super) fn provider() -> &'static Provider {
    described_signature(NAME, DESCRIPTION, KINDS, Normalise::CodedEach(watcher::normalise::<Moralis>))
}

struct Moralis;

impl Watcher for Moralis {
    const NAME: &'static str = NAME;

    /// Every transfer is told twice: when a block has it, and when that block is final.
    fn told(callback: &Json) -> EachTold<'_> {
        // Test webhooks and chains of another kind have no such id.
        let Some(network) = callback.text("/chainId").and_then(Network::from_chain_id) else {
            return Ok(Vec::new());
        };
        let finality = match callback.at("/confirmed") {
            Some(Json::Bool(true)) => Finality::Final,
            Some(Json::Bool(false)) => Finality::Unconfirmed,
            _ => return Err(MappingError::field("/confirmed")),
        };
        let seconds = callback.text("/block/timestamp").and_then(|text| text.parse().ok());
        let transfers = callback.members("/erc20Transfers").iter();
        let known = transfers
            .filter(|member| member.text("/contract").is_some_and(|contract| is_known(network, contract)));
        Ok(known.map(|member| transfer(network, finality, seconds.map(UnixSeconds), member)).collect())
    }
}

fn transfer(
    network: Network,
    finality: Finality,
    occurred_at: Option<UnixSeconds>,
    member: &Json,
) -> Result<Told<'_>, MappingError> {
    let required = |pointer: &str| member.text(pointer).ok_or_else(|| MappingError::field(pointer));
    let log_index = required("/logIndex")?.parse().map_err(|_| MappingError::field("/logIndex"))?;
    Ok(Told {
        network,
        hash: required("/transactionHash")?,
        log_index: Some(log_index),
        contract: required("/contract")?,
        to: required("/to")?.into(),
        quantity: Quantity::Units(required("/value")?),
        decimals: member.text("/tokenDecimals"),
        finality,
        occurred_at,
    })
}
