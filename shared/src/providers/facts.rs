//! Facts that every provider states about itself.

use serde::{Deserialize, Serialize};

/// What kind of rail the money moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rail {
    /// An account-based wallet: Alipay, WeChat Pay, PayPal.
    Wallet,
    /// Cards, and what card processors carry beside them.
    Card,
    /// Bank transfers and direct debits.
    Bank,
    /// Purchases inside of an app store.
    AppStore,
    /// A wallet's card tokens.
    WalletToken,
    /// One interface before many payment methods.
    Aggregator,
    /// Crypto payments and chain watchers.
    Crypto,
    /// A signature scheme without a payment vocabulary of its own.
    Generic,
}

impl Rail {
    /// The name in descriptions and listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wallet => "wallet",
            Self::Card => "card",
            Self::Bank => "bank",
            Self::AppStore => "app-store",
            Self::WalletToken => "wallet-token",
            Self::Aggregator => "aggregator",
            Self::Crypto => "crypto",
            Self::Generic => "generic",
        }
    }
}

/// What a provider's signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covers {
    /// The whole body (or all parameters).
    Body,
    /// Some fields, the money facts among them.
    Fields,
    /// Not the money facts: a callback is only a hint.
    Nothing,
}

impl Covers {
    /// The name in descriptions and listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Fields => "fields",
            Self::Nothing => "nothing",
        }
    }
}

/// Whether a provider is asked before its callbacks move money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Its callbacks prove everything.
    Never,
    /// Some of its callbacks leave out the money.
    Sometimes,
    /// None of its callbacks proves the money.
    Always,
    /// None of its callbacks proves the money and it cannot be asked: nothing comes of its hints.
    Cannot,
}

impl Asked {
    /// The name in listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Sometimes => "sometimes",
            Self::Always => "always",
            Self::Cannot => "cannot",
        }
    }
}

/// One field of a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialField {
    /// The field's name.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// What it is and where the provider shows it.
    pub about: &'static str,
}
