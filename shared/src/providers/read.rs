//! Readers that several mappings share.

use std::collections::BTreeSet;

use encoding_rs::{Encoding, GBK, UTF_8};
use jiff::{Timestamp, civil, tz};

use super::MappingError;
use crate::callback::form::Form;
use crate::callback::{Rejection, UnixSeconds};
use crate::domain::{Currency, Money};

/// A time with its offset, such as `2024-05-20T10:00:12+08:00`.
pub fn rfc3339(text: &str) -> Option<UnixSeconds> {
    text.parse::<Timestamp>().ok().map(|at| UnixSeconds(at.as_second()))
}

/// A time in China without its offset: `2024-05-20 10:00:12` (a fraction is cut off) or `20240520100012`.
pub fn china_time(text: &str) -> Option<UnixSeconds> {
    local_time(text, 8 * 3600)
}

/// A time in India, written as [`china_time`] reads it.
pub fn india_time(text: &str) -> Option<UnixSeconds> {
    local_time(text, 5 * 3600 + 1800)
}

/// A time in UTC, written as [`china_time`] reads it.
pub fn utc_time(text: &str) -> Option<UnixSeconds> {
    local_time(text, 0)
}

fn local_time(text: &str, offset_seconds: i32) -> Option<UnixSeconds> {
    let text = text.split('.').next().unwrap_or(text);
    let local = civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text)
        .or_else(|_| civil::DateTime::strptime("%Y%m%d%H%M%S", text))
        .ok()?;
    let at = local.to_zoned(tz::TimeZone::fixed(tz::Offset::from_seconds(offset_seconds).ok()?)).ok()?;
    Some(UnixSeconds(at.timestamp().as_second()))
}

/// An amount that must be there, in major units such as `19.99`.
///
/// # Errors
/// [`MappingError::Field`] naming `field` when it is absent or not an exact amount of the currency.
pub fn major(text: Option<&str>, currency: &str, field: &str) -> Result<Money, MappingError> {
    let currency = Currency::new(currency).map_err(|_| MappingError::field("currency"))?;
    text.and_then(|text| Money::parse_major(text, currency).ok()).ok_or_else(|| MappingError::field(field))
}

/// An amount that must be there, in minor units such as `1999`.
///
/// # Errors
/// [`MappingError::Field`] naming `field` when it is absent or not digits.
pub fn minor(text: Option<&str>, currency: &str, field: &str) -> Result<Money, MappingError> {
    let currency = Currency::new(currency).map_err(|_| MappingError::field("currency"))?;
    text.and_then(|text| Money::parse_minor(text, currency).ok()).ok_or_else(|| MappingError::field(field))
}

/// Text of a form's parameter in the charset that the form declares (UTF-8 without a declaration, or GBK).
///
/// # Errors
/// [`MappingError::Field`] when it is not text in that charset, or the charset is another one.
pub fn form_text(form: &Form, charset_parameter: &str, name: &str) -> Result<Option<String>, MappingError> {
    let encoding: &'static Encoding =
        match form.text(charset_parameter).map(str::to_ascii_lowercase).as_deref() {
            None | Some("utf-8" | "utf8") => UTF_8,
            Some("gbk" | "gb2312" | "gb18030") => GBK,
            Some(_) => return Err(MappingError::field(charset_parameter)),
        };
    let Some(bytes) = form.bytes(name).filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
    encoding
        .decode_without_bom_handling_and_without_replacement(bytes)
        .map(|text| Some(text.into_owned()))
        .ok_or_else(|| MappingError::field(name))
}

/// Accepts parameters that only one reading of their signed text `name=value&name=value` gives, as far as it matters.
///
/// Nothing is escaped in that text, so `a` with the value `1&b=2` signs the same as `a=1` and `b=2`. Whoever chooses
/// one value of a genuine callback (a product's name, a remark) could send it again with a parameter of their own in
/// place of a genuine one, which then hides inside of a value.
///
/// # Errors
/// [`Rejection::Malformed`] for a name with other than letters, digits, `_`, `-` and `.`; [`Rejection::Duplicate`]
/// for a name that stands inside of a value too.
pub fn require_one_reading<'a>(
    parameters: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
) -> Result<(), Rejection> {
    require_one_reading_among(parameters, "&", std::iter::empty())
}

/// As [`require_one_reading`] for parameters that are joined by `join`. None of `names_read` may hide inside of a
/// value either: an absent parameter can change what a callback means as much as another value of it.
///
/// # Errors
/// As [`require_one_reading`].
pub fn require_one_reading_among<'a>(
    parameters: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
    join: &str,
    names_read: impl Iterator<Item = &'a str>,
) -> Result<(), Rejection> {
    let plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    let own = parameters.clone().map(|(name, _)| name);
    let names: BTreeSet<&[u8]> = own.chain(names_read).map(str::as_bytes).collect();
    let join = join.as_bytes();
    for (name, value) in parameters {
        if !plain(name) {
            return Err(Rejection::malformed("body"));
        }
        let joins = (0..value.len()).filter(|at| value[*at..].starts_with(join));
        let mut hidden = joins.map(|at| {
            let pair = &value[at + join.len()..];
            let ends = |at: &usize| pair[*at] == b'=' || pair[*at..].starts_with(join);
            &pair[..(0..pair.len()).find(ends).unwrap_or(pair.len())]
        });
        if let Some(hidden) = hidden.find(|hidden| names.contains(hidden)) {
            return Err(Rejection::Duplicate { name: String::from_utf8_lossy(hidden).into_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_china_are_eight_hours_ahead() {
        for text in ["2024-05-20 10:00:12", "2024-05-20 10:00:12.456", "20240520100012"] {
            assert_eq!(china_time(text), Some(UnixSeconds(1_716_170_412)), "{text}");
        }
        assert_eq!(rfc3339("2024-05-20T10:00:12+08:00"), Some(UnixSeconds(1_716_170_412)));
        assert_eq!(india_time("2024-05-20 07:30:12.0"), Some(UnixSeconds(1_716_170_412)));
        assert_eq!(utc_time("2024-05-20 02:00:12"), Some(UnixSeconds(1_716_170_412)));
        assert_eq!(china_time("2024-13-20 10:00:12"), None);
    }

    #[test]
    fn texts_with_a_second_reading_are_refused() {
        for (body, accepted) in [
            ("a=1&b_2=x%3Dy%26z", true),
            ("a=x%3D1%26y%3D2&b=3", true),
            ("a%3D1%26b=2", false),
            ("=1", false),
            ("a=1%26b%3D2&b=3", false),
            ("a=1&b=2&c=%26b%3D3", false),
            ("a=1&b=%26b%3D3", false),
            ("a=1&b=%26b", false),
        ] {
            let form = Form::parse(body.as_bytes()).unwrap();
            assert_eq!(require_one_reading(form.iter()).is_ok(), accepted, "{body}");
        }
    }
}
