//! Inputs of the largest size that are built to be worst, measured at a quarter, a half and all of it.

mod certificates;
mod documents;
mod providers;

use std::time::{Duration, Instant};

/// How often each size is measured; the quickest counts, because nothing makes a reader quicker than it is.
const MEASUREMENTS: usize = 3;
/// What takes less than this at its largest is not measured again at smaller sizes.
const QUICK: Duration = Duration::from_millis(2);

/// A family of inputs that grow.
pub struct Worst {
    /// What it does to whom.
    pub name: String,
    /// The largest size, in bytes or in whatever it counts.
    pub size: usize,
    /// Makes the input of a size, and reads it whenever it is called.
    pub prepare: Box<dyn Fn(usize) -> Box<dyn Fn()>>,
}

/// What was measured.
pub struct Measured {
    /// The family's name.
    pub name: String,
    /// The time at a quarter of the size, at a half, and at all of it.
    pub times: [Duration; 3],
    /// The most that the largest one allocated, in bytes.
    pub peak_bytes: usize,
}

impl Measured {
    /// How much longer twice the size takes: 2 where the time is linear, 4 where it is quadratic.
    pub fn ratio(&self) -> f64 {
        self.times[2].as_secs_f64() / self.times[1].as_secs_f64().max(1e-9)
    }
}

/// All families.
pub fn all() -> Vec<Worst> {
    let mut all = documents::all();
    all.extend(certificates::all());
    all.extend(providers::all());
    all
}

/// Measures a family, and `None` for one that is quick whatever its size; `take_peak_bytes` says how much was allocated at most since it was last called.
pub fn measure(worst: &Worst, take_peak_bytes: fn() -> usize) -> Option<Measured> {
    let largest = (worst.prepare)(worst.size);
    let began = Instant::now();
    largest();
    if began.elapsed() < QUICK {
        return None;
    }
    let mut peak_bytes = 0;
    let times = [worst.size / 4, worst.size / 2, worst.size].map(|size| {
        let read = (worst.prepare)(size);
        let _ = take_peak_bytes();
        let quickest = (0..MEASUREMENTS).map(|_| {
            let began = Instant::now();
            read();
            began.elapsed()
        });
        let quickest = quickest.min().unwrap_or_default();
        peak_bytes = take_peak_bytes();
        quickest
    });
    Some(Measured { name: worst.name.clone(), times, peak_bytes })
}

/// A piece repeated up to a size.
fn repeated(piece: &str, size: usize) -> String {
    piece.repeat(size / piece.len().max(1))
}

/// Numbered pieces up to a size, joined.
fn numbered(size: usize, join: &str, piece: impl Fn(usize) -> String) -> String {
    let mut text = String::with_capacity(size);
    for number in 0.. {
        let next = piece(number);
        if text.len() + next.len() + join.len() > size {
            break;
        }
        if number > 0 {
            text.push_str(join);
        }
        text.push_str(&next);
    }
    text
}
