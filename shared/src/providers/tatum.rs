//! Tatum notifications about addresses. Source: <https://docs.tatum.io/docs/authenticating-notification-webhooks>,
//! <https://docs.tatum.io/docs/notification-workflow>. Mapping: `fixtures/tatum/MAPPING.md`.

use crate::callback::UnixSeconds;
use crate::callback::json::Json;

use super::chain::watcher::{self, EachTold, Watcher};
use super::chain::{Finality, KINDS, Network, Quantity, Told};
use super::described::described_signature_and_inquiry;
use super::{Normalise, Provider};

const NAME: &str = "tatum";

/// The facts and the signature; what a transfer means is shared with the other watchers.
const DESCRIPTION: &str = r#"
title = "Tatum"
rail = "crypto"
home_currency = "USDT"
documents = [
    "https://docs.tatum.io/docs/authenticating-notification-webhooks",
    "https://docs.tatum.io/docs/notification-workflow",
    "https://docs.tatum.io/reference/createsubscription",
    "https://github.com/tatumio/doc",
]
retry_schedule = "10 times (free plan: 3 times); the times are not published"
covers = "body"

[[credentials]]
name = "secret"
required = true
about = "`hmacSecret` that was set for the API key with `PUT /v4/subscription`: without it Tatum signs nothing"

[[credentials]]
name = "nodes"
about = "`https://` addresses of nodes by network (`tron`, `ethereum`, `bsc`, …): they are asked whether a transfer is final"
sandbox = { arbitrum = "https://tatum-node.example", avalanche = "https://tatum-node.example", base = "https://tatum-node.example", bsc = "https://tatum-node.example", ethereum = "https://tatum-node.example", optimism = "https://tatum-node.example", polygon = "https://tatum-node.example", tron = "https://tatum-node.example" }

[[checks]]
algorithm = "hmac-sha512"
key = { field = "secret", encoding = "utf8" }
signature = { at = "header:X-Payload-Hash", encoding = "base64" }
signed = "{body}"
"#;

/// The provider.
pub(super) fn provider() -> &'static Provider {
    let normalise = Normalise::CodedEach(watcher::normalise::<Tatum>);
    described_signature_and_inquiry(NAME, DESCRIPTION, KINDS, normalise, watcher::inquiry::<Tatum>())
}

struct Tatum;

impl Watcher for Tatum {
    const NAME: &'static str = NAME;

    /// Notifications do not say whether a block is final, so that every transfer is asked about.
    fn told(callback: &Json) -> EachTold<'_> {
        let told = || {
            let kind = callback.text("/subscriptionType")?;
            let known = matches!(kind, "ADDRESS_EVENT" | "INCOMING_FUNGIBLE_TX");
            let quantity = callback.text("/amount")?;
            // What went out of the address has a sign. What waits in the pool of a node is in no block.
            let incoming = !quantity.starts_with('-') && callback.at("/mempool") != Some(&Json::Bool(true));
            Some(Told {
                network: network(callback.text("/chain")?)?,
                hash: callback.text("/txId")?,
                log_index: None,
                contract: callback.text("/contractAddress").or_else(|| callback.text("/asset"))?,
                to: callback.text("/address")?.into(),
                quantity: Quantity::Tokens(quantity),
                decimals: None,
                finality: Finality::Unconfirmed,
                occurred_at: time(callback),
            })
            .filter(|_| known && incoming)
        };
        Ok(told().into_iter().map(Ok).collect())
    }
}

fn time(callback: &Json) -> Option<UnixSeconds> {
    let milliseconds = callback.text("/timestamp")?.parse::<i64>().ok()?;
    Some(UnixSeconds(milliseconds / 1000))
}

/// Tatum's name of a main network.
///
/// # Source
/// tatumio/tatum-js, `Network`.
fn network(name: &str) -> Option<Network> {
    match name {
        "arb-one-mainnet" => Some(Network::Arbitrum),
        "avax-mainnet" => Some(Network::Avalanche),
        "base-mainnet" => Some(Network::Base),
        "bsc-mainnet" => Some(Network::Bsc),
        "ethereum-mainnet" => Some(Network::Ethereum),
        "optimism-mainnet" => Some(Network::Optimism),
        "polygon-mainnet" => Some(Network::Polygon),
        "tron-mainnet" => Some(Network::Tron),
        _ => None,
    }
}
