//! The text that NOWPayments signs: the body as JavaScript would write it again with its names sorted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::callback::json::Json;

/// What happens to objects inside of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nested {
    /// `JSON.stringify(params, Object.keys(params).sort())`: only members with a name that the body itself has are
    /// written.
    Listed,
    /// Every object is sorted, with all its members; a list is an object with its indexes as names.
    Sorted,
}

/// The signed text of a body; `None` when it is no object.
pub(super) fn text(body: &Json, nested: Nested) -> Option<String> {
    let Json::Object(members) = body else { return None };
    let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
    // JavaScript compares UTF-16 units, which differs from UTF-8 for the rarest characters.
    names.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
    let mut out = String::new();
    match nested {
        Nested::Listed => write_listed(body, &names, &mut out),
        Nested::Sorted => write_sorted(body, &mut out),
    }
    Some(out)
}

fn write_listed(value: &Json, names: &[&str], out: &mut String) {
    match value {
        Json::Object(members) => {
            let listed = names.iter().filter_map(|name| Some((*name, members.get(*name)?)));
            write_object(listed, out, |value, out| write_listed(value, names, out));
        }
        Json::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_listed(element, names, out);
            }
            out.push(']');
        }
        scalar => write_scalar(scalar, out),
    }
}

fn write_sorted(value: &Json, out: &mut String) {
    match value {
        Json::Object(members) => write_object(sorted(members).into_iter(), out, write_sorted),
        Json::Array(elements) => {
            let indexes: Vec<String> = (0..elements.len()).map(|index| index.to_string()).collect();
            write_object(indexes.iter().map(String::as_str).zip(elements), out, write_sorted);
        }
        scalar => write_scalar(scalar, out),
    }
}

fn sorted(members: &BTreeMap<String, Json>) -> Vec<(&str, &Json)> {
    let mut members: Vec<(&str, &Json)> =
        members.iter().map(|(name, value)| (name.as_str(), value)).collect();
    members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    members
}

fn write_object<'a>(
    members: impl Iterator<Item = (&'a str, &'a Json)>,
    out: &mut String,
    write_value: impl Fn(&Json, &mut String),
) {
    out.push('{');
    for (index, (name, value)) in members.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        write_value(value, out);
    }
    out.push('}');
}

fn write_scalar(value: &Json, out: &mut String) {
    match value {
        Json::Text(text) => write_text(text, out),
        Json::Number(text) => write_number(text, out),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Null | Json::Array(_) | Json::Object(_) => out.push_str("null"),
    }
}

/// JavaScript and serde_json escape the same characters in the same way.
fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("a text always serialises"));
}

/// A number as JavaScript writes it: the shortest digits that mean the same double.
///
/// # Source
/// ECMAScript, Number::toString; JSON.stringify writes `null` for what is not finite.
fn write_number(text: &str, out: &mut String) {
    let number: f64 = text.parse().unwrap_or(f64::INFINITY);
    if !number.is_finite() {
        out.push_str("null");
        return;
    }
    if number == 0.0 {
        out.push('0');
        return;
    }
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("this format has an exponent");
    let exponent: i32 = exponent.parse().expect("this format's exponent is a number");
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let sign = if number < 0.0 { "-" } else { "" };
    let count = digits.len() as i32;
    // Where the decimal point stands behind the first digit.
    let point = exponent + 1;
    let written = match point {
        point if count <= point && point <= 21 => format!("{sign}{digits:0<width$}", width = point as usize),
        point if 0 < point && point <= 21 => {
            let (whole, fraction) = digits.split_at(point as usize);
            format!("{sign}{whole}.{fraction}")
        }
        point if -6 < point && point <= 0 => {
            format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize))
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            let plus = if exponent < 0 { '-' } else { '+' };
            format!("{sign}{first}{dot}{rest}e{plus}{}", exponent.unsigned_abs())
        }
    };
    let _ = write!(out, "{written}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(body: &str, nested: Nested) -> Option<String> {
        text(&Json::parse(body.as_bytes()).unwrap(), nested)
    }

    #[test]
    fn numbers_are_written_as_javascript_writes_them() {
        for (written, expected) in [
            ("170.00", "170"),
            ("155.38559757", "155.38559757"),
            ("0.1e1", "1"),
            ("-0", "0"),
            ("-1.50", "-1.5"),
            ("5077125051", "5077125051"),
            ("123456789012345680000", "123456789012345680000"),
            ("1e21", "1e+21"),
            ("1.5e300", "1.5e+300"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("1.25e-9", "1.25e-9"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("9007199254740993", "9007199254740992"),
            ("1e999", "null"),
        ] {
            let body = format!(r#"{{"a":{written}}}"#);
            assert_eq!(canonical(&body, Nested::Listed), Some(format!(r#"{{"a":{expected}}}"#)), "{written}");
        }
    }

    #[test]
    fn names_are_sorted_and_nested_ones_listed_or_kept() {
        let body = r#"{"b":{"z":1,"a":[{"b":2,"y":3}],"b":null},"a":"\u00e9\/\u0001"}"#;
        let listed = "{\"a\":\"é/\\u0001\",\"b\":{\"a\":[{\"b\":2}],\"b\":null}}";
        assert_eq!(canonical(body, Nested::Listed).as_deref(), Some(listed));
        let sorted = "{\"a\":\"é/\\u0001\",\"b\":{\"a\":{\"0\":{\"b\":2,\"y\":3}},\"b\":null,\"z\":1}}";
        assert_eq!(canonical(body, Nested::Sorted).as_deref(), Some(sorted));
        assert_eq!(canonical("[1]", Nested::Listed), None);
        // U+FF5E stands behind U+1F600 in UTF-16, before it in UTF-8.
        let rare = "{\"\u{ff5e}\":1,\"\u{1f600}\":2}";
        assert_eq!(canonical(rare, Nested::Listed), Some("{\"\u{1f600}\":2,\"\u{ff5e}\":1}".to_owned()));
    }
}
