//! Alchemy webhooks about the activity of addresses. Source: <https://www.alchemy.com/docs/reference/address-activity-webhook>,
//! <https://www.alchemy.com/docs/reference/notify-api-faq>. Mapping: `fixtures/alchemy/MAPPING.md`.

use crate::callback::json::Json;

use super::chain::node::quantity;
use super::chain::watcher::{self, EachTold, Watcher};
use super::chain::{Finality, KINDS, Network, Quantity, Told, is_known};
use super::described::described_signature_and_inquiry;
use super::{MappingError, Normalise, Provider};

const NAME: &str = "alchemy";

/// The facts and the signature; what a transfer means is shared with the other watchers.
const DESCRIPTION: &str = r#"
title = "Alchemy"
rail = "crypto"
home_currency = "USDT"
documents = [
    "https://www.alchemy.com/docs/reference/address-activity-webhook",
    "https://www.alchemy.com/docs/reference/notify-api-faq",
    "https://www.alchemy.com/docs/reference/webhooks-overview",
]
retry_schedule = "growing delays until it is answered with 2xx; the times depend on the plan"
covers = "body"

[[credentials]]
name = "secret"
required = true
about = "Signing key of the webhook (`whsec_…`): Dashboard, Webhooks. A list while there are several webhooks"

[[credentials]]
name = "webhook_id"
about = "Id of the webhook (`wh_…`) that is meant"

[[credentials]]
name = "nodes"
about = "`https://` addresses of nodes by network (`ethereum`, `polygon`, …): they are asked whether a transfer is final"
sandbox = { arbitrum = "https://alchemy-node.example", avalanche = "https://alchemy-node.example", base = "https://alchemy-node.example", bsc = "https://alchemy-node.example", ethereum = "https://alchemy-node.example", optimism = "https://alchemy-node.example", polygon = "https://alchemy-node.example", tron = "https://alchemy-node.example" }

[[checks]]
algorithm = "hmac-sha256"
key = { field = "secret", encoding = "utf8" }
signature = { at = "header:X-Alchemy-Signature", encoding = "hex" }
signed = "{body}"

[[identity]]
at = "json:/webhookId"
expected = "webhook_id"
"#;

/// The provider.
pub(super) fn provider() -> &'static Provider {
    let normalise = Normalise::CodedEach(watcher::normalise::<Alchemy>);
    described_signature_and_inquiry(NAME, DESCRIPTION, KINDS, normalise, watcher::inquiry::<Alchemy>())
}

struct Alchemy;

impl Watcher for Alchemy {
    const NAME: &'static str = NAME;

    /// A webhook comes as soon as a block has the transfer, and again with `removed` when the chain drops the block.
    fn told(callback: &Json) -> EachTold<'_> {
        let network = callback.text("/event/network").and_then(network);
        let (Some("ADDRESS_ACTIVITY"), Some(network)) = (callback.text("/type"), network) else {
            return Ok(Vec::new());
        };
        let activity = callback.members("/event/activity").iter();
        let tokens = activity.filter(|member| {
            member.text("/rawContract/address").is_some_and(|contract| is_known(network, contract))
        });
        Ok(tokens.map(|member| transfer(network, member)).collect())
    }
}

fn transfer(network: Network, activity: &Json) -> Result<Told<'_>, MappingError> {
    let required = |pointer: &str| activity.text(pointer).ok_or_else(|| MappingError::field(pointer));
    let contract = required("/rawContract/address")?;
    let log_index = required("/log/logIndex")?;
    // The same is told twice, and both must say it.
    if network.address(contract) != network.address(required("/log/address")?) {
        return Err(MappingError::field("/log/address"));
    }
    let removed = activity.at("/log/removed") == Some(&Json::Bool(true));
    Ok(Told {
        network,
        hash: required("/hash")?,
        log_index: Some(quantity(log_index).ok_or_else(|| MappingError::field("/log/logIndex"))?),
        contract,
        to: required("/toAddress")?.into(),
        quantity: Quantity::HexUnits(required("/rawContract/rawValue")?),
        decimals: activity.text("/rawContract/decimals"),
        finality: if removed { Finality::Removed } else { Finality::Unconfirmed },
        occurred_at: None,
    })
}

/// Alchemy's name of a main network.
///
/// # Source
/// <https://www.alchemy.com/docs/reference/notify-api-quickstart>, the enumeration `network`.
fn network(name: &str) -> Option<Network> {
    match name {
        "ARB_MAINNET" => Some(Network::Arbitrum),
        "AVAX_MAINNET" => Some(Network::Avalanche),
        "BASE_MAINNET" => Some(Network::Base),
        "BNB_MAINNET" => Some(Network::Bsc),
        "ETH_MAINNET" => Some(Network::Ethereum),
        "OPT_MAINNET" => Some(Network::Optimism),
        "MATIC_MAINNET" => Some(Network::Polygon),
        _ => None,
    }
}
