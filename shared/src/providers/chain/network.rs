//! The main networks that tokens are known on.

use crate::domain::Reference;

/// The main network of a public chain. Test networks are none of these, so nothing on them is money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// Arbitrum One.
    Arbitrum,
    /// Avalanche's C-Chain.
    Avalanche,
    /// Base.
    Base,
    /// BNB Smart Chain.
    Bsc,
    /// Ethereum.
    Ethereum,
    /// OP Mainnet.
    Optimism,
    /// Polygon PoS.
    Polygon,
    /// TRON.
    Tron,
}

/// First byte of every TRON address.
const TRON_PREFIX: u8 = 0x41;

impl Network {
    /// All networks.
    pub const ALL: &'static [Self] = &[
        Self::Arbitrum,
        Self::Avalanche,
        Self::Base,
        Self::Bsc,
        Self::Ethereum,
        Self::Optimism,
        Self::Polygon,
        Self::Tron,
    ];

    /// The name in references, transaction ids and key sets.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arbitrum => "arbitrum",
            Self::Avalanche => "avalanche",
            Self::Base => "base",
            Self::Bsc => "bsc",
            Self::Ethereum => "ethereum",
            Self::Optimism => "optimism",
            Self::Polygon => "polygon",
            Self::Tron => "tron",
        }
    }

    /// The network of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|network| network.name() == name)
    }

    /// The network with this chain id in hexadecimal, such as `0x1`.
    ///
    /// # Source
    /// EIP-155; <https://chainid.network/chains.json>.
    pub fn from_chain_id(chain_id: &str) -> Option<Self> {
        match chain_id {
            "0x1" => Some(Self::Ethereum),
            "0xa" => Some(Self::Optimism),
            "0x38" => Some(Self::Bsc),
            "0x89" => Some(Self::Polygon),
            "0x2105" => Some(Self::Base),
            "0xa4b1" => Some(Self::Arbitrum),
            "0xa86a" => Some(Self::Avalanche),
            _ => None,
        }
    }

    /// Whether its transactions have Ethereum's form.
    pub fn is_evm(self) -> bool {
        self != Self::Tron
    }

    /// An address in the one form in which it is compared: lower-case hexadecimal with `0x`, on TRON Base58Check.
    /// `None` when it is no address of the network.
    pub fn address(self, text: &str) -> Option<String> {
        if self.is_evm() {
            return Some(format!("0x{}", hex_digits(text.strip_prefix("0x")?, 40)?));
        }
        let bytes = bs58::decode(text).with_check(Some(TRON_PREFIX)).into_vec().ok()?;
        (bytes.len() == 21).then(|| text.to_owned())
    }

    /// The address with these 20 bytes in hexadecimal.
    pub fn address_from_bytes(self, digits: &str) -> Option<String> {
        let digits = hex_digits(digits, 40)?;
        if self.is_evm() {
            return Some(format!("0x{digits}"));
        }
        let bytes = hex::decode(digits).ok()?;
        Some(bs58::encode(bytes).with_check_version(TRON_PREFIX).into_string())
    }

    /// A transaction's hash in the one form in which it is compared; `None` when it is none.
    pub fn hash(self, text: &str) -> Option<String> {
        let bare = text.strip_prefix("0x");
        if self.is_evm() {
            return Some(format!("0x{}", hex_digits(bare?, 64)?));
        }
        hex_digits(bare.unwrap_or(text), 64)
    }

    /// The reference by which an order waits for money at an address, whoever tells of it.
    pub fn address_reference(self, address: &str) -> Reference {
        Reference(format!("address:{}:{address}", self.name()))
    }
}

/// Exactly `count` hexadecimal digits, in lower case.
fn hex_digits(text: &str, count: usize) -> Option<String> {
    let well_formed = text.len() == count && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    well_formed.then(|| text.to_ascii_lowercase())
}
