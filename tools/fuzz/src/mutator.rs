//! Changes inputs at random, the same way for the same seed.

use fastrand::Rng;

/// Bytes at which readers change their minds.
const ODD_BYTES: &[u8] = b"\0\x01\x7f\x80\xff\"'\\&=+%<>[]{}:;,./#?|-_ \n\r\te";
/// Most bytes that an input may grow to: half as many again as a body may have, so that limits are met too.
pub const INPUT_BYTES_MAX: usize = 384 * 1024;
/// How often a piece is repeated at most, as a power of two: enough for every limit on depth and count.
const REPETITIONS_MAX_LOG2: u32 = 13;

/// Makes inputs out of seeds and the words of a dictionary.
pub struct Mutator {
    random: Rng,
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    /// A mutator of at least one seed.
    pub fn new(seed: u64, mut seeds: Vec<Vec<u8>>, words: Vec<Vec<u8>>) -> Self {
        if seeds.is_empty() {
            seeds.push(Vec::new());
        }
        Self { random: Rng::with_seed(seed), seeds, words }
    }

    /// The next input: a seed with one to eight changes.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.pick_seed();
        for _ in 0..self.random.usize(1..=8) {
            self.change(&mut input);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn pick_seed(&mut self) -> Vec<u8> {
        let at = self.random.usize(..self.seeds.len());
        self.seeds[at].clone()
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.usize(..=input.len());
        let range = at..(at + self.random.usize(..64)).min(input.len());
        match self.random.u8(..12) {
            0 => self.on_byte(input, at, |byte, random| byte ^ (1 << random.u8(..8))),
            1 => self.on_byte(input, at, |_, random| ODD_BYTES[random.usize(..ODD_BYTES.len())]),
            2 => self.on_byte(input, at, |_, random| random.u8(..)),
            3 => drop(input.drain(range)),
            4 => input.truncate(at),
            5 | 6 => self.insert_word(input, at, range),
            7 => {
                let piece = input[range].to_vec();
                let to = self.random.usize(..=input.len());
                insert(input, to, &piece);
            }
            8 => {
                let piece = input[range].to_vec();
                // As often a few times as thousands of times: the latter costs most of the run's time.
                let count = 1_usize << self.random.u32(..=REPETITIONS_MAX_LOG2);
                insert(input, at, &piece.repeat(count.min(INPUT_BYTES_MAX / piece.len().max(1))));
            }
            9 => self.splice(input, at),
            10 => self.change_digits(input, at),
            _ => {
                let byte = ODD_BYTES[self.random.usize(..ODD_BYTES.len())];
                insert(input, at, &[byte]);
            }
        }
    }

    fn on_byte(&mut self, input: &mut [u8], at: usize, change: fn(u8, &mut Rng) -> u8) {
        if let Some(byte) = input.get_mut(at) {
            *byte = change(*byte, &mut self.random);
        }
    }

    fn insert_word(&mut self, input: &mut Vec<u8>, at: usize, instead_of: std::ops::Range<usize>) {
        if self.words.is_empty() {
            return;
        }
        let word = self.words[self.random.usize(..self.words.len())].clone();
        if self.random.bool() {
            input.drain(instead_of);
        }
        insert(input, at, &word);
    }

    /// The beginning of this input and the end of another seed.
    fn splice(&mut self, input: &mut Vec<u8>, at: usize) {
        let other = self.pick_seed();
        let from = self.random.usize(..=other.len());
        input.truncate(at);
        input.extend_from_slice(&other[from..]);
    }

    /// Another number in place of the digits at or behind a place.
    fn change_digits(&mut self, input: &mut Vec<u8>, at: usize) {
        let Some(start) = input[at..].iter().position(u8::is_ascii_digit).map(|start| at + start) else {
            return;
        };
        let end = input[start..].iter().position(|byte| !byte.is_ascii_digit());
        let end = end.map_or(input.len(), |end| start + end);
        const NUMBERS: &[&str] = &[
            "0",
            "-1",
            "1e999999",
            "4294967296",
            "9223372036854775808",
            "0.1",
            "00",
            "99999999999999999999999",
        ];
        let number = NUMBERS[self.random.usize(..NUMBERS.len())];
        input.splice(start..end, number.bytes());
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        let make = |seed| {
            let mut mutator = Mutator::new(seed, vec![b"a=1&b=22".to_vec()], vec![b"word".to_vec()]);
            (0..200).map(|_| mutator.next_input()).collect::<Vec<_>>()
        };
        assert_eq!(make(7), make(7));
        assert_ne!(make(7), make(8));
        assert!(make(7).iter().all(|input| input.len() <= INPUT_BYTES_MAX));
    }
}
