//! The contracts of the tokens that are money here.

use super::Network;

/// A token on one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The network.
    pub network: Network,
    /// Its contract, in the form of [`Network::address`].
    pub contract: &'static str,
    /// The currency that it is.
    pub code: &'static str,
    /// Decimals of the contract's smallest unit.
    pub decimals: u8,
}

const fn token(network: Network, code: &'static str, decimals: u8, contract: &'static str) -> Token {
    Token { network, contract, code, decimals }
}

/// Every known token.
///
/// # Source
/// USDT on TRON, Ethereum and Avalanche: <https://tether.to/en/supported-protocols/>. On Arbitrum, Polygon and
/// Optimism it is USD₮0: <https://docs.usdt0.to/technical-documentation/deployments>,
/// <https://github.com/Everdawn-Labs/usdt0-audit-reports>, `DEPLOYMENTS.md`; on Optimism the older token
/// of the standard bridge too: <https://github.com/ethereum-optimism/ethereum-optimism.github.io>, `data/USDT`.
/// USDC: <https://developers.circle.com/stablecoins/usdc-contract-addresses>.
/// On BNB Smart Chain both are Binance's (Binance-Peg), with 18 decimals: <https://bscscan.com/tokens>,
/// <https://www.binance.com/en/blog/ecosystem/introducing-binancepegged-tokens-421499824684903156>.
// One line each, so that adding one changes one line.
#[rustfmt::skip]
pub const TOKENS: &[Token] = &[
    token(Network::Arbitrum, "USDT", 6, "0xfd086bc7cd5c481dcc9c85ebe478a1c0b69fcbb9"),
    token(Network::Arbitrum, "USDC", 6, "0xaf88d065e77c8cc2239327c5edb3a432268e5831"),
    token(Network::Avalanche, "USDT", 6, "0x9702230a8ea53601f5cd2dc00fdbc13d4df4a8c7"),
    token(Network::Avalanche, "USDC", 6, "0xb97ef9ef8734c71904d8002f8b6bc66dd9c48a6e"),
    token(Network::Base, "USDC", 6, "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"),
    token(Network::Bsc, "USDT", 18, "0x55d398326f99059ff775485246999027b3197955"),
    token(Network::Bsc, "USDC", 18, "0x8ac76a51cc950d9822d68b83fe1ad97b32cd580d"),
    token(Network::Ethereum, "USDT", 6, "0xdac17f958d2ee523a2206206994597c13d831ec7"),
    token(Network::Ethereum, "USDC", 6, "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"),
    token(Network::Optimism, "USDT", 6, "0x01bff41798a0bcf287b996046ca68b395dbc1071"),
    token(Network::Optimism, "USDT", 6, "0x94b008aa00579c1307b0ef2c499ad98a8ce58e58"),
    token(Network::Optimism, "USDC", 6, "0x0b2c639c533813f4aa9d7837caf62653d097ff85"),
    token(Network::Polygon, "USDT", 6, "0xc2132d05d31c914a87c6611c10748aeb04b58e8f"),
    token(Network::Polygon, "USDC", 6, "0x3c499c542cef5e3811e1192ce70d8cc03d5c3359"),
    token(Network::Tron, "USDT", 6, "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
];

/// The token of a contract on a network; `None` for any other contract, whatever it calls itself.
pub(super) fn token_of(network: Network, contract: &str) -> Option<&'static Token> {
    let contract = network.address(contract)?;
    TOKENS.iter().find(|token| token.network == network && token.contract == contract)
}
