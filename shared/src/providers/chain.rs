//! Tokens that arrive at an address of a public chain, as watchers of addresses tell it and nodes confirm it.
//!
//! An order is found by the address alone: [`Network::address_reference`] is the reference under which it is
//! registered. The contract says which token it is, never a symbol: anybody can deploy a contract that calls itself
//! USDT.

mod network;
pub mod node;
mod tokens;
pub mod watcher;

use std::borrow::Cow;

use crate::callback::UnixSeconds;
use crate::domain::{Currency, EventKind, Money, PaymentEvent};

use super::MappingError;

pub use network::Network;
pub use tokens::{TOKENS, Token};

/// Every kind that a watcher tells.
pub const KINDS: &[EventKind] =
    &[EventKind::PaymentPending, EventKind::PaymentCaptured, EventKind::PaymentFailed];

/// How sure it is that a transfer stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finality {
    /// In a block that the chain may still drop.
    Unconfirmed,
    /// In a block that the chain will not drop.
    Final,
    /// In a block that the chain has dropped.
    Removed,
}

/// A quantity of a token as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity<'a> {
    /// Decimal digits of the contract's smallest unit.
    Units(&'a str),
    /// Hexadecimal digits of the contract's smallest unit, after `0x` or without it.
    HexUnits(&'a str),
    /// A decimal number of whole tokens.
    Tokens(&'a str),
}

/// What somebody says of a transfer; nothing of it has been compared with the table of tokens.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// The network.
    pub network: Network,
    /// The transaction.
    pub hash: &'a str,
    /// The place of the transfer in the block (or the transaction), where it is told.
    pub log_index: Option<u64>,
    /// The token's contract.
    pub contract: &'a str,
    /// Who received.
    pub to: Cow<'a, str>,
    /// How much.
    pub quantity: Quantity<'a>,
    /// The token's decimals, where they are told.
    pub decimals: Option<&'a str>,
    /// Whether it stays.
    pub finality: Finality,
    /// The time of the block, where it is told.
    pub occurred_at: Option<UnixSeconds>,
}

/// A transfer of a known token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    network: Network,
    hash: String,
    log_index: Option<u64>,
    to: String,
    amount: Money,
    finality: Finality,
    occurred_at: Option<UnixSeconds>,
}

/// Whether a contract is a token of the table. What other contracts emit may be as strange as their makers like.
pub fn is_known(network: Network, contract: &str) -> bool {
    tokens::token_of(network, contract).is_some()
}

impl Told<'_> {
    /// The transfer, in the table's token and its decimals; `None` when it is no token of the table, or nothing moved.
    ///
    /// # Errors
    /// [`MappingError`] when a known token's transfer has no readable transaction, receiver or amount, or other
    /// decimals than the table.
    pub fn transfer(&self) -> Result<Option<Transfer>, MappingError> {
        let Some(token) = tokens::token_of(self.network, self.contract) else { return Ok(None) };
        let decimals = token.decimals.to_string();
        if self.decimals.is_some_and(|told| told != decimals) {
            return Err(MappingError::field("decimals"));
        }
        let amount = token.amount(self.quantity)?;
        // Anybody can make a token emit a transfer of nothing to any address.
        if amount.amount_minor() == 0 {
            return Ok(None);
        }
        Ok(Some(Transfer {
            network: self.network,
            hash: self.network.hash(self.hash).ok_or_else(|| MappingError::field("transaction"))?,
            log_index: self.log_index,
            to: self.network.address(&self.to).ok_or_else(|| MappingError::field("to"))?,
            amount,
            finality: self.finality,
            occurred_at: self.occurred_at,
        }))
    }
}

impl Token {
    /// A quantity of the token in its currency's own minor units, or in the contract's where it has digits beyond
    /// them: such an amount equals no order's, and holds it.
    fn amount(&self, quantity: Quantity<'_>) -> Result<Money, MappingError> {
        let unreadable = |_| MappingError::field("amount");
        let on_chain = Currency::with_exponent(self.code, self.decimals).map_err(unreadable)?;
        let told = match quantity {
            Quantity::Units(digits) => Money::parse_minor(digits, on_chain),
            Quantity::HexUnits(digits) => {
                let digits = digits.strip_prefix("0x").unwrap_or(digits);
                let units = u128::from_str_radix(digits.trim_start_matches('0'), 16);
                let units = if digits.bytes().all(|byte| byte == b'0') { Ok(0) } else { units };
                let units = units.map_err(|_| MappingError::field("amount"))?;
                Money::parse_minor(&units.to_string(), on_chain)
            }
            Quantity::Tokens(text) => Money::parse_major(text, on_chain),
        };
        let told = told.map_err(unreadable)?;
        let currency = Currency::new(self.code).map_err(unreadable)?;
        match told.minor_in(&currency) {
            Some(amount_minor) => Money::from_minor(amount_minor, currency).map_err(unreadable),
            None => Ok(told),
        }
    }
}

impl Transfer {
    /// Whether it stays.
    pub fn finality(&self) -> Finality {
        self.finality
    }

    /// The event that it is. Each state of a transfer is told once, however often it is delivered.
    pub fn event(&self, provider: &str, received_at: UnixSeconds) -> PaymentEvent {
        let (kind, state) = match self.finality {
            Finality::Unconfirmed => (EventKind::PaymentPending, "unconfirmed"),
            Finality::Final => (EventKind::PaymentCaptured, "final"),
            Finality::Removed => (EventKind::PaymentFailed, "removed"),
        };
        let place = self.log_index.map_or_else(String::new, |index| format!(":{index}"));
        let transaction_id = format!("{}:{}{place}", self.network.name(), self.hash);
        // Without its place a transfer is told apart from others of its transaction by what it moved to whom.
        let facts = [transaction_id.as_str(), &self.to, &self.amount.to_string(), state];
        let mut event = PaymentEvent::new(kind, provider, PaymentEvent::identified_by(&facts), received_at);
        event.transaction_id = Some(transaction_id);
        event.amount = Some(self.amount.clone());
        event.occurred_at = self.occurred_at;
        event.references = vec![self.network.address_reference(&self.to)];
        event.provider_status = state.to_owned();
        event
    }
}

#[cfg(test)]
mod tests;
