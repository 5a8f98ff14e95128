//! How deep TOML may nest. Its reader calls itself for every level, and the stack has an end.
//!
//! The reader has limits of its own, on the brackets that are open and on the parts of one dotted key, but none on their
//! product: each of eighty inline tables can have a key of eighty parts.

use toml_parser::Source;
use toml_parser::lexer::TokenKind;

/// Most levels of one value below the table whose header it is under.
const DEPTH_MAX: usize = 100;

/// Refuses TOML that nests deeper than [`DEPTH_MAX`].
pub(super) fn require_shallow(text: &str) -> Result<(), String> {
    // The brackets that close what is open, each with the levels that it and the dotted key before it make.
    let mut open: Vec<(TokenKind, usize)> = Vec::new();
    let mut dots = 0;
    let mut depth = 0;
    for token in Source::new(text).lex() {
        match token.kind() {
            kind @ (TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket) => {
                let close = match kind {
                    TokenKind::LeftSquareBracket => TokenKind::RightSquareBracket,
                    _ => TokenKind::RightCurlyBracket,
                };
                open.push((close, dots + 1));
                depth += dots + 1;
                dots = 0;
            }
            // One that closes nothing is a mistake that the reader may go on behind.
            close if open.last().is_some_and(|(expected, _)| *expected == close) => {
                depth -= open.pop().map_or(0, |(_, levels)| levels);
                dots = 0;
            }
            TokenKind::Dot => dots += 1,
            TokenKind::Comma => dots = 0,
            TokenKind::Newline if open.is_empty() => dots = 0,
            _ => {}
        }
        if depth + dots > DEPTH_MAX {
            return Err(format!("it nests deeper than {DEPTH_MAX} levels"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_nests_so_deep_and_no_deeper() {
        let brackets = |levels: usize| format!("a = {}", "[".repeat(levels));
        let dots = |levels: usize| format!("a{}", ".a".repeat(levels));
        let both = |levels: usize| format!("a.b.c = {}", "{a.b = [".repeat(levels));
        for (text, is_shallow) in [
            (brackets(DEPTH_MAX), true),
            (brackets(DEPTH_MAX + 1), false),
            (dots(DEPTH_MAX), true),
            (dots(DEPTH_MAX + 1), false),
            (both(32), true),
            (both(33), false),
            ("a.b.c = 1\n".repeat(DEPTH_MAX), true),
            (format!("a = [{}]", "1.5, ".repeat(2 * DEPTH_MAX)), true),
            (format!("a = [{}]", "[1.5], ".repeat(2 * DEPTH_MAX)), true),
            // Inside of brackets a key may go on behind the end of a line.
            (format!("a = [{}", "\n.a".repeat(DEPTH_MAX)), false),
        ] {
            assert_eq!(require_shallow(&text).is_ok(), is_shallow, "{text:.40}");
        }
    }
}
