//! Measures the release binary from outside, with everything durable and the load generator on the same machine.
//!
//! It measures and never judges; the goals are in ARCHITECTURE.md.

mod figures;
mod flood;
mod load;

use std::io::Write;
use std::time::{Duration, Instant};

use clap::Parser;

use figures::{Distribution, median, table};
use flood::Flood;
use load::{Load, Trace};

/// Measures callbacks a second from HTTP to WebSocket, and the time from acknowledgement to push.
#[derive(Parser)]
struct Options {
    /// Runs of each measurement, each with a fresh data folder
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Callbacks of a run at full speed
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..))]
    callbacks: u32,
    /// Connections of the load generator
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Callbacks a second of a paced run
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Seconds of a paced run
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Measure only how genuine callbacks are answered, paced, without and with a flood in which this many of a hundred
    /// are forged
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..100))]
    forged: Option<u32>,
    /// Source addresses of the flood; few are limited soon, of many every forgery is looked at
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    sources: u32,
}

/// One thread: the generator leaves the other core to the server.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = Options::parse();
    println!("{}", environment());
    if let Some(percent) = options.forged {
        return measure_flood(&options, percent).await;
    }
    let mut rows = Vec::new();
    for _ in 0..options.runs {
        let load = Load::prepare(options.callbacks as usize).await;
        rows.push(full_speed_row(&load.send_at_full_speed(options.connections as usize).await));
    }
    println!("At full speed: {} callbacks over {} connections", options.callbacks, options.connections);
    println!("{}", table(&["pushed/s", "acked/s", "ack_median_ms", "ack_p99_ms"], &rows));

    let mut rows = Vec::new();
    let count = options.rate * options.seconds;
    for _ in 0..options.runs {
        let load = Load::prepare(count as usize).await;
        rows.push(paced_row(&load.send_paced(options.rate, options.connections as usize).await));
    }
    println!("Paced: {} callbacks/s for {} s; acknowledgement to push, in ms", options.rate, options.seconds);
    println!("{}", table(&["median", "p95", "p99", "max", "ack_median_ms", "ack_p99_ms"], &rows));
}

/// The answers to genuine callbacks in the first half of a run, alone, and in the second half, among forged ones.
async fn measure_flood(options: &Options, percent: u32) {
    let per_second = (options.rate * percent / (100 - percent)).max(1);
    let half = (options.rate * options.seconds) as usize;
    let (mut rows, mut answered) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        let load = Load::prepare(2 * half).await;
        let connections = options.connections as usize;
        let alone = Distribution::of(load.answer_times(0..half, options.rate, connections).await);
        let flood = Flood::begin(load.world(), per_second, options.sources as usize);
        let among = load.answer_times(half..2 * half, options.rate, connections).await;
        answered.push(flood.end());
        let among = Distribution::of(among);
        let ratio = |with: f64, without: f64| with / without;
        rows.push(vec![
            alone.median_ms,
            alone.p99_ms,
            among.median_ms,
            among.p99_ms,
            ratio(among.median_ms, alone.median_ms),
            ratio(among.p99_ms, alone.p99_ms),
        ]);
    }
    println!(
        "Genuine: {} callbacks/s for {} s alone, then as long among {per_second} forged ones/s ({percent} %) from {} \
         addresses; until their answer, in ms",
        options.rate, options.seconds, options.sources
    );
    let names = ["alone", "alone_p99", "flooded", "flooded_p99", "ratio", "ratio_p99"];
    println!("{}", table(&names, &rows));
    let shares: Vec<String> = answered
        .iter()
        .map(|statuses| {
            let forged: usize = statuses.values().sum();
            format!("{:.0} % ({statuses:?})", 100.0 * forged as f64 / (forged + half) as f64)
        })
        .collect();
    println!("Forged in the end, and how they were answered: {}", shares.join(", "));
}

fn full_speed_row(traces: &[Trace]) -> Vec<f64> {
    let begun = traces.iter().map(|trace| trace.due).min().expect("a run has callbacks");
    let per_second = |last: Option<Instant>| {
        traces.len() as f64 / last.expect("a run has callbacks").duration_since(begun).as_secs_f64()
    };
    let pushed = per_second(traces.iter().map(|trace| trace.pushed).max());
    let acknowledged = per_second(traces.iter().map(|trace| trace.acknowledged).max());
    let answers = answer_times(traces);
    vec![pushed, acknowledged, answers.median_ms, answers.p99_ms]
}

fn paced_row(traces: &[Trace]) -> Vec<f64> {
    // A push may overtake its acknowledgement on the way to us; that counts as no time at all.
    let to_push = traces.iter().map(|trace| trace.pushed.saturating_duration_since(trace.acknowledged));
    let to_push = Distribution::of(to_push.collect());
    let answers = answer_times(traces);
    vec![to_push.median_ms, to_push.p95_ms, to_push.p99_ms, to_push.max_ms, answers.median_ms, answers.p99_ms]
}

fn answer_times(traces: &[Trace]) -> Distribution {
    Distribution::of(traces.iter().map(|trace| trace.acknowledged.duration_since(trace.due)).collect())
}

fn environment() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let sync_ms = sync_milliseconds().map_or_else(|error| error.to_string(), |ms| format!("{ms:.2} ms"));
    format!(
        "{cores} cores, shared with the load generator; {profile} profile; one disk sync takes {sync_ms}\n"
    )
}

/// What one `fdatasync` after a small append takes where the data folders are: it bounds anything durable.
fn sync_milliseconds() -> std::io::Result<f64> {
    let mut file = tempfile::tempfile()?;
    let mut times = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    Ok(median(times.iter().map(Duration::as_secs_f64)) * 1_000.0)
}
