//! Which records of a stream are done, in whatever order that happens.

use std::collections::VecDeque;

/// The records that were read and may not be forgotten yet, in the order of the stream.
#[derive(Debug, Default)]
pub struct Unfinished {
    /// Each with its sequence number and whether it is done.
    records: VecDeque<(String, bool)>,
    /// The number of the first of them.
    first: u64,
    last_read: Option<String>,
}

impl Unfinished {
    /// Takes in the next record of the stream and gives it a number.
    pub fn read(&mut self, sequence_number: String) -> u64 {
        self.last_read = Some(sequence_number.clone());
        self.records.push_back((sequence_number, false));
        self.first + self.records.len() as u64 - 1
    }

    /// The sequence number of the last record that was taken in.
    pub fn last_read(&self) -> Option<&str> {
        self.last_read.as_deref()
    }

    /// How many records wait, done or not, for the first that is not done.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The record of this number is done.
    pub fn finish(&mut self, number: u64) {
        let index = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(record) = index.and_then(|index| self.records.get_mut(index)) {
            record.1 = true;
        }
    }

    /// Forgets the records before the first that is not done; the sequence number of the last of them, if there are any.
    pub fn take_done(&mut self) -> Option<String> {
        let mut last = None;
        while let Some((sequence_number, _)) = self.records.pop_front_if(|(_, is_done)| *is_done) {
            self.first += 1;
            last = Some(sequence_number);
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_forgotten_up_to_the_first_that_is_not() {
        let mut unfinished = Unfinished::default();
        let numbers: Vec<u64> =
            ["a", "b", "c"].into_iter().map(|name| unfinished.read(name.to_owned())).collect();
        assert_eq!((unfinished.take_done(), unfinished.last_read()), (None, Some("c")));
        unfinished.finish(numbers[1]);
        assert_eq!(unfinished.take_done(), None, "the first is not done");
        unfinished.finish(numbers[0]);
        assert_eq!(unfinished.take_done().as_deref(), Some("b"));
        assert_eq!(unfinished.len(), 1);
        unfinished.finish(numbers[0]);
        let later = unfinished.read("d".to_owned());
        unfinished.finish(later);
        assert_eq!(unfinished.take_done(), None);
        unfinished.finish(numbers[2]);
        assert_eq!(unfinished.take_done().as_deref(), Some("d"));
        assert_eq!((unfinished.len(), unfinished.last_read()), (0, Some("d")));
    }
}
