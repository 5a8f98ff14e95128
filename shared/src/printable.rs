//! Text of strangers on a terminal.

/// The text without what steers a terminal: each control character becomes a replacement character. What callbacks,
/// vectors and letters say comes from anywhere.
pub fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        for (text, printed) in [
            ("A1 李雷 €", "A1 李雷 €"),
            ("a\u{1b}[2Jb", "a\u{fffd}[2Jb"),
            ("a\r\nb\u{9b}", "a\u{fffd}\u{fffd}b\u{fffd}"),
        ] {
            assert_eq!(printable(text), printed);
        }
    }
}
