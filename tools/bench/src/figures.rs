//! Distributions in a few numbers, and a table of them.

use std::time::Duration;

/// Milliseconds at a few points of a distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distribution {
    /// Half of the values are at most this.
    pub median_ms: f64,
    /// 95 of 100 values are at most this.
    pub p95_ms: f64,
    /// 99 of 100 values are at most this.
    pub p99_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

impl Distribution {
    /// Of at least one duration.
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let at = |hundredths: usize| {
            let rank = (durations.len() * hundredths).div_ceil(100).max(1);
            durations[rank - 1].as_secs_f64() * 1_000.0
        };
        Self { median_ms: at(50), p95_ms: at(95), p99_ms: at(99), max_ms: at(100) }
    }
}

/// The middle one of an odd number of values, the mean of the middle two of an even one.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// A row per run and one of medians, columns right-aligned under their names.
pub fn table(names: &[&str], rows: &[Vec<f64>]) -> String {
    let medians = (0..names.len()).map(|column| median(rows.iter().map(|row| row[column])));
    let medians: Vec<f64> = medians.collect();
    let widths: Vec<usize> = names.iter().map(|name| name.len().max(8)).collect();
    let line = |label: &str, cells: Vec<String>| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("  {cell:>width$}"));
        format!("{label:<8}{}\n", cells.collect::<String>())
    };
    let numbers = |row: &[f64]| row.iter().map(|value| format!("{value:.1}")).collect();
    let mut text = line("run", names.iter().map(|name| (*name).to_owned()).collect());
    for (index, row) in rows.iter().enumerate() {
        text.push_str(&line(&(index + 1).to_string(), numbers(row)));
    }
    text.push_str(&line("median", numbers(&medians)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_a_distribution() {
        let of = |milliseconds: &[u64]| {
            Distribution::of(milliseconds.iter().copied().map(Duration::from_millis).collect())
        };
        let hundred: Vec<u64> = (1..=100).rev().collect();
        let expected = Distribution { median_ms: 50.0, p95_ms: 95.0, p99_ms: 99.0, max_ms: 100.0 };
        assert_eq!(of(&hundred), expected);
        assert_eq!(of(&[7]), Distribution { median_ms: 7.0, p95_ms: 7.0, p99_ms: 7.0, max_ms: 7.0 });
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_table_has_a_row_for_each_run_and_their_medians() {
        let text = table(&["a_ms", "b_ms"], &[vec![1.0, 20.0], vec![3.0, 40.0], vec![2.0, 30.0]]);
        let cells: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(cells[0], ["run", "a_ms", "b_ms"]);
        assert_eq!(cells[3], ["3", "2.0", "30.0"]);
        assert_eq!(cells[4], ["median", "2.0", "30.0"]);
    }
}
