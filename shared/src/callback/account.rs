//! What an account may be called.

/// Most bytes of an account's name: longer ones are nobody's, and are not looked up.
pub const ACCOUNT_BYTES_MAX: usize = 128;

/// Whether an account can have this name: it is a segment of the callbacks' addresses, which providers write as they
/// were told, so nothing in it has a second way of being written. Letters, digits, `-`, `_` and `.`, beginning with a
/// letter or digit.
pub fn is_account_name(name: &str) -> bool {
    (1..=ACCOUNT_BYTES_MAX).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_way_of_being_written_in_an_address() {
        let longest = "a".repeat(ACCOUNT_BYTES_MAX);
        let too_long = format!("{longest}a");
        for (name, allowed) in [
            ("shop", true),
            ("Shop-2_eu.west", true),
            ("7", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            (".", false),
            ("..", false),
            ("-shop", false),
            ("a/b", false),
            ("a b", false),
            ("a%20b", false),
            ("a?b", false),
            ("a#b", false),
            ("caf\u{e9}", false),
        ] {
            assert_eq!(is_account_name(name), allowed, "{name}");
        }
    }
}
