//! `paybell redrive`: shows the dead letters of a deployment and why they are there, says what each would do to its
//! order now, and has their work done again once the cause is repaired.
//!
//! A letter is deleted only after its work is stored durably elsewhere. Whatever is killed in between leaves a
//! duplicate, and duplicates are harmless everywhere.

mod forecast;
mod letters;
mod listing;
mod ports;
#[cfg(test)]
mod tests;
pub(crate) mod untold;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum as _};
use futures_util::future::join_all;
use paybell_shared::ports::{Clock as _, PortError, SystemClock};
use paybell_shared::providers::Registry;
use thiserror::Error;
use tokio::time::Instant;

use crate::Place;
use crate::deployment::{self, DeploymentError, Stage};
use crate::up::{StartError, configuration};
use forecast::{Forecast, Forecaster};
use letters::{ChoiceError, Filter, InHand, Letter, Queue};
use ports::{Ports, RedoError};

/// What was found out or done is not what was hoped for, without anything having gone wrong.
const EXIT_STILL_FAILING: u8 = 3;

/// Options of `paybell redrive`.
#[derive(Args)]
#[command(
    after_help = "Without --dry-run, --all or --id it lists and changes nothing.\n\nExit status: 0 when everything \
                  that was asked is done, 1 when something could not be done, 2 for wrong arguments, 3 when a dry \
                  run finds letters that would fail again."
)]
pub struct Options {
    /// Have all the letters done again that the filters leave
    #[arg(long, conflicts_with = "id")]
    all: bool,
    /// Have this letter done again: its id, or how it begins; may be given several times
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Say what each letter would do to its order now, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Only letters of this queue
    #[arg(long, value_enum)]
    queue: Option<Queue>,
    /// Only letters of this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Only letters of this provider
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Only letters whose reason contains this
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only so many, the oldest
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stage: Stage,
    /// File with a merchant's own providers, as for `paybell up`; the dry run reads callbacks with it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Why the command did not do what it was asked; each says what to do next.
#[derive(Debug, Error)]
enum RedriveError {
    #[error("{0}")]
    Deployment(#[from] DeploymentError),
    #[error("{0}")]
    Start(#[from] Box<StartError>),
    #[error(
        "no dead letter has the id `{0}`: `paybell redrive` lists them; one that somebody else has in hand is seen \
             again within five minutes"
    )]
    NoLetter(String),
    #[error("several dead letters' ids begin with `{0}`: give more of it")]
    SeveralLetters(String),
    #[error("the dead letters of `{queue}` could not be read: {error}")]
    Letters { queue: Queue, error: PortError },
    #[error("what the dead letter `{id}` would do could not be found out: {error}; try again")]
    Forecast { id: String, error: PortError },
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

impl From<StartError> for RedriveError {
    fn from(error: StartError) -> Self {
        Self::Start(Box::new(error))
    }
}

impl From<ChoiceError> for RedriveError {
    fn from(error: ChoiceError) -> Self {
        match error {
            ChoiceError::None(id) => Self::NoLetter(id),
            ChoiceError::Several(id) => Self::SeveralLetters(id),
        }
    }
}

/// Runs the command.
pub fn run(place: &Place, options: &Options) -> ExitCode {
    let outcome = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(redrive(place, options)),
        Err(error) => Err(error.into()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

async fn redrive(place: &Place, options: &Options) -> Result<ExitCode, RedriveError> {
    let providers = Registry::new(configuration::read(options.config.as_deref())?);
    let deployment = deployment::open(place, &options.stage, false).await?;
    let ports = Ports::of(&deployment, providers).await?;
    let report = work(&ports, options).await?;
    let text = if options.json { listing::json(&report)? } else { listing::text(&report) };
    // A reader such as `head` may leave early.
    let _ = writeln!(io::stdout().lock(), "{}", text.trim_end());
    Ok(report.exit_code())
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    List,
    DryRun,
    Redrive,
}

/// What has come of a letter.
#[derive(Debug)]
enum Outcome {
    /// It was listed.
    Listed,
    /// What it would do.
    Forecast(Forecast),
    /// Its work is being done again; how many notifications were missing and are told now, of those of `notify`.
    Redone(Option<usize>),
    /// It stays, because its work is not stored.
    Kept(RedoError),
    /// Its work is being done again, and it stays nevertheless, so it may be done twice, which is harmless.
    NotDeleted(String),
}

/// What came of the command.
struct Report {
    mode: Mode,
    letters: Vec<(Letter, Outcome)>,
    /// Things to know beside that.
    notes: Vec<String>,
    now_ms: i64,
}

impl Report {
    fn exit_code(&self) -> ExitCode {
        let is_failed = |outcome: &Outcome| matches!(outcome, Outcome::Kept(_) | Outcome::NotDeleted(_));
        let still_fails = |outcome: &Outcome| matches!(outcome, Outcome::Forecast(forecast) if forecast.still_fails.is_some());
        if self.letters.iter().any(|(_, outcome)| is_failed(outcome)) {
            ExitCode::FAILURE
        } else if self.letters.iter().any(|(_, outcome)| still_fails(outcome)) {
            ExitCode::from(EXIT_STILL_FAILING)
        } else {
            ExitCode::SUCCESS
        }
    }
}

impl Options {
    fn mode(&self) -> Mode {
        match (self.dry_run, self.all || !self.id.is_empty()) {
            (true, _) => Mode::DryRun,
            (false, true) => Mode::Redrive,
            (false, false) => Mode::List,
        }
    }

    fn filter(&self) -> Filter {
        Filter {
            ids: self.id.clone(),
            account: self.account.clone(),
            provider: self.provider.clone(),
            reason: self.reason.clone(),
            limit: self.limit,
        }
    }
}

/// Takes the letters in hand, does what is asked, and gives back whatever is left of them.
async fn work(ports: &Ports, options: &Options) -> Result<Report, RedriveError> {
    let begun = Instant::now();
    let queues = Queue::value_variants().iter().copied();
    let queues = queues.filter(|queue| options.queue.is_none_or(|only| only == *queue));
    let taken =
        queues.map(|queue| async move { (queue, InHand::take(queue, ports.dead_letters(queue)).await) });
    let (mut in_hand, mut outcome) = (Vec::new(), Ok(()));
    for (queue, taken) in join_all(taken).await {
        match taken {
            Ok(letters) => in_hand.push(letters),
            Err(error) => outcome = Err(RedriveError::Letters { queue, error }),
        }
    }
    let mut notes = notes(&in_hand);
    let worked = match outcome {
        Ok(()) => work_on(ports, options, &mut in_hand, begun).await,
        Err(error) => Err(error),
    };
    for letters in in_hand {
        if let Err(error) = letters.give_back().await {
            let seconds = letters::HIDDEN_SECONDS;
            notes.push(format!(
                "Letters could not be given back ({error}): they are seen again in {seconds} s."
            ));
        }
    }
    Ok(Report { mode: options.mode(), letters: worked?, notes, now_ms: SystemClock.now_ms() })
}

fn notes(in_hand: &[InHand]) -> Vec<String> {
    let mut notes = Vec::new();
    let hidden: u64 = in_hand.iter().map(|letters| letters.hidden_by_others).sum();
    if hidden > 0 {
        notes.push(format!(
            "{hidden} more are in somebody else's hands, and are seen again within five minutes."
        ));
    }
    if in_hand.iter().any(|letters| letters.has_more) {
        notes.push("There are more than can be in hand at once: run the command again for them.".to_owned());
    }
    notes
}

async fn work_on(
    ports: &Ports,
    options: &Options,
    in_hand: &mut [InHand],
    begun: Instant,
) -> Result<Vec<(Letter, Outcome)>, RedriveError> {
    let all: Vec<&Letter> = in_hand.iter().flat_map(InHand::letters).collect();
    let chosen: Vec<Letter> = options.filter().choose(&all)?.into_iter().cloned().collect();
    let mut done = Vec::with_capacity(chosen.len());
    match options.mode() {
        Mode::List => done.extend(chosen.into_iter().map(|letter| (letter, Outcome::Listed))),
        Mode::DryRun => {
            let forecaster = Forecaster::new(
                Arc::clone(&ports.orders),
                ports.records.clone(),
                Arc::clone(&ports.accounts),
                Arc::clone(&ports.providers),
                SystemClock.now(),
            );
            for letter in chosen {
                let forecast = forecaster.forecast(&letter).await;
                let id = letter.letter.id.clone();
                let forecast = forecast.map_err(|error| RedriveError::Forecast { id, error })?;
                done.push((letter, Outcome::Forecast(forecast)));
            }
        }
        Mode::Redrive => {
            for letter in chosen {
                let outcome = if begun.elapsed() < letters::BEGUN_WITHIN {
                    redo(ports, in_hand, &letter).await
                } else {
                    Outcome::Kept(RedoError::NoTime)
                };
                done.push((letter, outcome));
            }
        }
    }
    Ok(done)
}

/// First what replaces the letter is durable, then the letter goes.
async fn redo(ports: &Ports, in_hand: &mut [InHand], letter: &Letter) -> Outcome {
    let told = match ports.redo(letter.queue, &letter.letter.body).await {
        Ok(told) => told,
        Err(error) => return Outcome::Kept(error),
    };
    for letters in in_hand.iter_mut().filter(|letters| letters.queue == letter.queue) {
        if let Err(error) = letters.delete(&letter.letter.id).await {
            return Outcome::NotDeleted(error.to_string());
        }
    }
    Outcome::Redone(told)
}
