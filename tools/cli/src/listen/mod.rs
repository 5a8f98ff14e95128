//! `paybell listen`: opens a user's WebSocket and prints notifications as they arrive.

mod connection;
mod frame;
mod progress;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep_until};

use crate::Place;
use crate::client::{self, demo_account};

pub use connection::{Client, Heard, ListenError, reconnect_delay};
pub use frame::{Frame, Notified};
pub use progress::{Progress, ProgressFile};

/// Longest `--timeout`: a century is for ever.
const TIMEOUT_SECONDS_MAX: u64 = 100 * 366 * 86_400;

/// Options of `paybell listen`.
#[derive(Args)]
pub struct Options {
    /// User to listen as [default: the demo user]
    #[arg(long)]
    user: Option<String>,
    /// Connect with this ticket instead of a new one; it serves once, so a lost connection ends the command
    #[arg(long)]
    ticket: Option<String>,
    /// Resume after this cursor [default: the one kept in the data folder]
    #[arg(long, value_name = "CURSOR", conflicts_with = "fresh")]
    from: Option<String>,
    /// Begin with the oldest notification in the inbox
    #[arg(long)]
    fresh: bool,
    /// Print each notification as the JSON that the server sent
    #[arg(long)]
    json: bool,
    /// Stop after this many notifications
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Stop after this many seconds; with --count, fewer notifications by then are a failure
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// Runs the command until Ctrl-C, `--count` or `--timeout`.
pub fn run(place: &Place, options: &Options) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    match runtime.block_on(listen(place, options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn listen(place: &Place, options: &Options) -> Result<(), String> {
    let demo = demo_account(&place.data).map_err(|error| error.to_string())?;
    let user = options.user.clone().unwrap_or_else(|| demo.user.clone());
    let file = ProgressFile::new(&place.data, &user);
    let progress = match (&options.from, options.fresh) {
        (Some(cursor), _) => Progress::from_cursor(cursor),
        (None, true) => Progress::default(),
        (None, false) => file.read().map_err(|error| error.to_string())?,
    };
    let mut client = Client::new(client::Client::new(place.port, &demo.api_key), &user, progress);
    match &options.ticket {
        Some(ticket) => client.connect_with(ticket).await,
        None => client.connect().await,
    }
    .map_err(|error| error.to_string())?;
    eprintln!("listening as {user}; Ctrl-C stops");
    let timeout_seconds = options.timeout.unwrap_or(TIMEOUT_SECONDS_MAX).min(TIMEOUT_SECONDS_MAX);
    let deadline = Instant::now() + Duration::from_secs(timeout_seconds);
    let mut heard_count = 0;
    while options.count.is_none_or(|count| heard_count < count) {
        let heard = tokio::select! {
            heard = hear(&mut client, options.ticket.is_some()) => heard.map_err(|error| error.to_string())?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = sleep_until(deadline) => return timed_out(options, heard_count),
        };
        if let Heard::Notification(notified) = &heard {
            heard_count += 1;
            print(if options.json { notified.json.clone() } else { notified.line() })?;
        }
        file.write(client.progress()).map_err(|error| format!("the cursor cannot be kept: {error}"))?;
    }
    Ok(())
}

async fn hear(client: &mut Client, once: bool) -> Result<Heard, ListenError> {
    if once {
        return client.next().await;
    }
    let mut tell = |error: &ListenError, pause: Duration| {
        eprintln!("{error}; trying again in {:.1} s", pause.as_secs_f64());
    };
    client.next_reconnecting(&mut tell).await
}

fn timed_out(options: &Options, heard_count: u64) -> Result<(), String> {
    match options.count {
        Some(count) => Err(format!("{heard_count} of {count} notifications arrived in time")),
        None => Ok(()),
    }
}

fn print(line: String) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}
