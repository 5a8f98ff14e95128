//! Money in integer minor units.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A currency or asset code with the number of decimals of its minor unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: String,
    exponent: u8,
}

impl Currency {
    /// The currency with its ISO 4217 exponent, or a known crypto asset; a provider whose table differs uses [`Currency::with_exponent`].
    ///
    /// # Errors
    /// [`MoneyError::Currency`] for a code that is not known.
    ///
    /// # Source
    /// ISO 4217, list one.
    pub fn new(code: &str) -> Result<Self, MoneyError> {
        let code = code.to_ascii_uppercase();
        let exponent = known_exponent(&code).ok_or_else(|| MoneyError::Currency(code.clone()))?;
        Ok(Self { code, exponent })
    }

    /// A currency or asset whose minor unit has `exponent` decimals (0 to 18).
    ///
    /// # Errors
    /// [`MoneyError::Currency`] for a code of other than 2 to 12 letters and digits, or an exponent above 18.
    pub fn with_exponent(code: &str, exponent: u8) -> Result<Self, MoneyError> {
        let well_formed =
            (2..=12).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !well_formed || exponent > 18 {
            return Err(MoneyError::Currency(code.to_owned()));
        }
        Ok(Self { code: code.to_ascii_uppercase(), exponent })
    }

    /// The code in upper case.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Decimals of the minor unit.
    pub fn exponent(&self) -> u8 {
        self.exponent
    }
}

#[derive(Serialize, Deserialize)]
struct StoredCurrency {
    code: String,
    exponent: u8,
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        StoredCurrency { code: self.code.clone(), exponent: self.exponent }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = StoredCurrency::deserialize(deserializer)?;
        Self::with_exponent(&stored.code, stored.exponent).map_err(serde::de::Error::custom)
    }
}

/// An amount of money: never negative, never a float.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money {
    amount_minor: i128,
    currency: Currency,
}

/// Why an amount is not money.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MoneyError {
    /// The currency is not known; a deployment may name its exponent.
    #[error("unknown currency `{0}`")]
    Currency(String),
    /// The text is not an exact, non-negative amount of that currency.
    #[error("not an exact amount of {currency}")]
    Amount {
        /// The currency's code.
        currency: String,
    },
}

impl Money {
    /// `amount_minor` minor units.
    ///
    /// # Errors
    /// [`MoneyError::Amount`] when negative.
    pub fn from_minor(amount_minor: i128, currency: Currency) -> Result<Self, MoneyError> {
        if amount_minor < 0 {
            return Err(MoneyError::Amount { currency: currency.code });
        }
        Ok(Self { amount_minor, currency })
    }

    /// Reads an integer text of minor units, such as `1999`.
    ///
    /// # Errors
    /// [`MoneyError::Amount`] when it is anything but digits.
    pub fn parse_minor(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        match parse_digits(text) {
            Some(amount_minor) => Ok(Self { amount_minor, currency }),
            None => Err(MoneyError::Amount { currency: currency.code }),
        }
    }

    /// Reads a decimal text of major units, such as `19.99`; trailing zeros beyond the exponent are fine, other digits are not.
    ///
    /// # Errors
    /// [`MoneyError::Amount`] when it is not exact: a sign, an exponent, or more decimals than the currency has.
    pub fn parse_major(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        match parse_decimal(text, currency.exponent) {
            Some(amount_minor) => Ok(Self { amount_minor, currency }),
            None => Err(MoneyError::Amount { currency: currency.code }),
        }
    }

    /// The amount in minor units.
    pub fn amount_minor(&self) -> i128 {
        self.amount_minor
    }

    /// The same amount in minor units of `currency`; `None` for another code, or when it is not exact there.
    /// Providers' tables of decimals differ from ISO 4217 for some currencies.
    pub fn minor_in(&self, currency: &Currency) -> Option<i128> {
        if self.currency.code != currency.code {
            return None;
        }
        let (from, to) = (u32::from(self.currency.exponent), u32::from(currency.exponent));
        let factor = 10_i128.pow(from.abs_diff(to));
        if to >= from {
            self.amount_minor.checked_mul(factor)
        } else {
            (self.amount_minor % factor == 0).then_some(self.amount_minor / factor)
        }
    }

    /// The currency.
    pub fn currency(&self) -> &Currency {
        &self.currency
    }

    /// The amount in major units as a decimal text with all the currency's decimals, such as `19.90`.
    pub fn to_major_text(&self) -> String {
        let digits =
            format!("{:0>width$}", self.amount_minor, width = usize::from(self.currency.exponent) + 1);
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(self.currency.exponent));
        if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_major_text(), self.currency.code)
    }
}

/// In storage an amount is a text: 18-decimal assets do not fit the integers of common JSON readers.
#[derive(Serialize, Deserialize)]
struct Stored {
    amount_minor: String,
    currency: String,
    exponent: u8,
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored {
            amount_minor: self.amount_minor.to_string(),
            currency: self.currency.code.clone(),
            exponent: self.currency.exponent,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        Currency::with_exponent(&stored.currency, stored.exponent)
            .and_then(|currency| Self::parse_minor(&stored.amount_minor, currency))
            .map_err(serde::de::Error::custom)
    }
}

/// Most digits of an amount; 10^36 minor units are far beyond any money and far below `i128::MAX`.
const DIGITS_MAX: usize = 36;

fn parse_digits(text: &str) -> Option<i128> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits && text.len() <= DIGITS_MAX { text.parse().ok() } else { None }
}

fn parse_decimal(text: &str, exponent: u8) -> Option<i128> {
    let exponent = usize::from(exponent);
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (text, ""),
    };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = if fraction.len() > exponent {
        let (kept, rest) = fraction.split_at(exponent);
        rest.bytes().all(|byte| byte == b'0').then_some(kept)?
    } else {
        fraction
    };
    parse_digits(whole)?;
    parse_digits(&format!("{whole}{kept:0<exponent$}"))
}

fn known_exponent(code: &str) -> Option<u8> {
    const ZERO: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
    const THREE: &str = "BHD IQD JOD KWD LYD OMR TND";
    const TWO: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD \
        CAD CDF CHE CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ \
        GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT \
        MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR \
        SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES \
        WST XCD XCG YER ZAR ZMW ZWG ZWL";
    const CRYPTO: &[(&str, u8)] = &[
        ("BTC", 8),
        ("BCH", 8),
        ("LTC", 8),
        ("DOGE", 8),
        ("ETH", 18),
        ("BNB", 18),
        ("DAI", 18),
        ("USDT", 6),
        ("USDC", 6),
        ("TRX", 6),
        ("SOL", 9),
        ("TON", 9),
        ("XRP", 6),
        ("MATIC", 18),
        ("POL", 18),
    ];
    let listed = |list: &str| list.split_ascii_whitespace().any(|have| have == code);
    if listed(TWO) {
        Some(2)
    } else if listed(ZERO) {
        Some(0)
    } else if listed(THREE) {
        Some(3)
    } else if matches!(code, "CLF" | "UYW") {
        Some(4)
    } else {
        CRYPTO.iter().find(|(have, _)| *have == code).map(|(_, exponent)| *exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_parse_exactly_or_not_at_all() {
        // code, text of major units, minor units or nothing
        let rows = "
            CNY 88.88 8888
            CNY 0.1 10
            CNY 10 1000
            CNY 10.000 1000
            CNY 10.001 -
            CNY -1 -
            CNY 1e2 -
            CNY 1. -
            CNY .5 -
            CNY 1,000.00 -
            JPY 500 500
            JPY 500.5 -
            KWD 1.234 1234
            USDT 1.000001 1000001
            ETH 1.000000000000000001 1000000000000000001
            CNY 9999999999999999999999999999999999999 -
        ";
        for row in rows.lines().filter(|row| !row.trim().is_empty()) {
            let [code, text, minor] = row.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{row}") };
            let money = Money::parse_major(text, Currency::new(code).unwrap());
            match minor {
                "-" => assert!(money.is_err(), "{row}"),
                _ => assert_eq!(money.unwrap().amount_minor().to_string(), minor, "{row}"),
            }
        }
    }

    #[test]
    fn a_currency_has_a_code_and_at_most_18_decimals() {
        for (code, exponent, is_one) in [
            ("eth", 18, true),
            ("ETH", 19, false),
            ("AB", 0, true),
            ("ABCDEFGHIJ12", 2, true),
            ("ABCDEFGHIJ123", 2, false),
            ("A", 2, false),
            ("", 2, false),
            ("C-Y", 2, false),
            ("€€", 2, false),
        ] {
            assert_eq!(Currency::with_exponent(code, exponent).is_ok(), is_one, "{code} {exponent}");
        }
    }

    #[test]
    fn storage_keeps_every_digit() {
        let money = Money::parse_major("1.000000000000000001", Currency::new("eth").unwrap()).unwrap();
        let text = serde_json::to_string(&money).unwrap();
        assert_eq!(serde_json::from_str::<Money>(&text).unwrap(), money);
        assert_eq!(money.to_major_text(), "1.000000000000000001");
    }
}
