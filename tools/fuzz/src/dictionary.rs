//! Dictionaries as libFuzzer reads them: a word in quotes on each line, with `\"`, `\\` and `\xNN` in it.

/// The words of a dictionary; lines that are none are left out.
pub fn words(text: &str) -> Vec<Vec<u8>> {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(word).collect()
}

fn word(line: &str) -> Option<Vec<u8>> {
    let quoted = line.split_once('"')?.1.strip_suffix('"')?;
    let mut bytes = Vec::new();
    let mut rest = quoted.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'x' => {
                    let digits = [rest.next()?, rest.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                escaped => escaped,
            },
            plain => plain,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TARGETS;

    #[test]
    fn every_line_of_every_dictionary_is_a_word() {
        assert_eq!(words("# a\nx=\"a\\x00\\\"\\\\\"\n\n\"b\""), [&b"a\0\"\\"[..], b"b"]);
        for target in TARGETS {
            let lines = target.dictionary.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            assert_eq!(words(target.dictionary).len(), lines.count(), "{}", target.name);
        }
    }
}
