//! The switches of mutants: a module of the crate that they are woven into, not of this one.

use std::io::Write as _;
use std::ops::{Neg, Not};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the mutant of this number is on; notes that it was asked for.
#[inline]
pub fn on(number: usize) -> bool {
    static CHOSEN: LazyLock<usize> =
        LazyLock::new(|| std::env::var("PAYBELL_MUTANT").map_or(0, |text| text.parse().unwrap_or(0)));
    let chosen = *CHOSEN;
    if chosen == 0 {
        note(number);
    }
    chosen == number
}

fn note(number: usize) {
    static SEEN: [AtomicBool; 20_000] = [const { AtomicBool::new(false) }; 20_000];
    if !SEEN[number].swap(true, Ordering::Relaxed)
        && let Some(file) = std::env::var_os("PAYBELL_MUTANTS_SEEN")
        && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(file)
    {
        let _ = writeln!(file, "{number}");
    }
}

/// `!value`, or the value itself.
pub fn not<T: Not<Output = T>>(number: usize, value: T) -> T {
    if on(number) { value } else { !value }
}

/// `-value`, or the value itself.
pub fn negative<T: Neg<Output = T>>(number: usize, value: T) -> T {
    if on(number) { value } else { -value }
}

/// The condition, or its opposite.
pub fn flip(number: usize, condition: bool) -> bool {
    condition != on(number)
}

/// Compares by `own`, or by what the mutant that is on says.
pub fn compare<A: PartialOrd<B> + ?Sized, B: ?Sized>(own: &str, others: &[(usize, &str)], a: &A, b: &B) -> bool {
    let mut by = own;
    for (number, other) in others {
        if on(*number) {
            by = other;
        }
    }
    match by {
        "<" => a < b,
        "<=" => a <= b,
        ">" => a > b,
        ">=" => a >= b,
        "==" => a == b,
        _ => a != b,
    }
}
