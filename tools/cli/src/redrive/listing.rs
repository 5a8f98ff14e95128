//! What the command says.

use std::fmt::Write as _;

use jiff::Timestamp;
use paybell_shared::domain::{Currency, Money};
use paybell_shared::printable;
use serde_json::{Value, json};

use super::forecast::{Forecast, OrderForecast, Standing, Told};
use super::letters::{Letter, Queue};
use super::{Mode, Outcome, Report};

/// The report for people.
pub(super) fn text(report: &Report) -> String {
    let mut all = Vec::new();
    for (letter, outcome) in &report.letters {
        all.push(head(letter, report.now_ms));
        all.push(format!("  why: {}", letter.reason));
        all.extend(lines(outcome, letter.queue).iter().map(|line| format!("  {line}")));
    }
    if report.letters.is_empty() {
        all.push("No dead letters.".to_owned());
    } else {
        all.extend([String::new(), summary(report)]);
    }
    all.extend_from_slice(&report.notes);
    // Order ids and reasons come from callbacks, and so from anybody.
    all.iter().map(|line| printable(line) + "\n").collect()
}

/// The report for programs.
///
/// # Errors
/// None that can happen: everything in it is text and numbers.
pub(super) fn json(report: &Report) -> Result<String, serde_json::Error> {
    let letters: Vec<Value> = report
        .letters
        .iter()
        .map(|(letter, outcome)| {
            let mut view = view(letter);
            match outcome {
                Outcome::Listed => {}
                Outcome::Forecast(forecast) => view["would"] = json!(forecast),
                Outcome::Redone(told) => view["done"] = json!({"redone": true, "told": told}),
                Outcome::Kept(error) => view["done"] = json!({"redone": false, "error": error.to_string()}),
                Outcome::NotDeleted(error) => view["done"] = json!({"redone": true, "error": error}),
            }
            view
        })
        .collect();
    serde_json::to_string_pretty(&json!({"letters": letters, "notes": report.notes}))
}

fn view(letter: &Letter) -> Value {
    json!({
        "id": letter.letter.id,
        "queue": letter.queue,
        "account": letter.account,
        "provider": letter.provider,
        "order": letter.subject.as_ref().map(|subject| &subject.id),
        "reason": letter.reason,
        "sent_at": Timestamp::from_millisecond(letter.letter.sent_at_ms).ok().map(|at| at.to_string()),
        "receives": letter.letter.receive_count,
    })
}

fn head(letter: &Letter, now_ms: i64) -> String {
    let mut head = format!("{}  {}", letter.letter.id, letter.queue);
    let order = letter.subject.as_ref().map(|subject| format!("{} {}", subject.kind.name(), subject.id));
    for part in [letter.account.as_ref(), letter.provider.as_ref(), order.as_ref()].into_iter().flatten() {
        let _ = write!(head, "  {part}");
    }
    let _ = write!(head, "  {} old", age(now_ms - letter.letter.sent_at_ms));
    head
}

/// How long ago, in its largest unit.
fn age(age_ms: i64) -> String {
    let seconds = age_ms.max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn lines(outcome: &Outcome, queue: Queue) -> Vec<String> {
    match outcome {
        Outcome::Listed => Vec::new(),
        Outcome::Forecast(forecast) => forecast_lines(forecast, queue),
        Outcome::Redone(None) => vec![format!("done: is back in the queue `{queue}`")],
        Outcome::Redone(Some(0)) => vec!["done: nothing was missing".to_owned()],
        Outcome::Redone(Some(told)) => vec![format!("done: told {}", notifications(*told))],
        Outcome::Kept(error) => vec![format!("stays: {error}")],
        Outcome::NotDeleted(error) => {
            vec![format!("done, and is still here, because it could not be deleted: {error}")]
        }
    }
}

fn forecast_lines(forecast: &Forecast, queue: Queue) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for order in &forecast.orders {
        lines.push(change(order));
        lines.extend(told_line(&order.tells));
    }
    lines.extend(told_line(&forecast.tells));
    match forecast.known_events {
        0 => {}
        1 => lines.push("1 event is known already".to_owned()),
        known => lines.push(format!("{known} events are known already")),
    }
    match forecast.waiting_events {
        0 => {}
        1 => lines.push("1 event waits for an order that names it".to_owned()),
        waiting => lines.push(format!("{waiting} events wait for an order that names them")),
    }
    if forecast.handed_on {
        lines.push("the provider is asked".to_owned());
    }
    if !forecast.asks.is_empty() {
        lines.push(format!("asks {}", forecast.asks.join(", ")));
    }
    if forecast.ignored {
        lines.push(match queue {
            Queue::Callbacks => "tells nothing that changes an order".to_owned(),
            Queue::Hints => "there is nothing to ask".to_owned(),
            Queue::Notify => "nothing is missing: users were told all that is true".to_owned(),
        });
    }
    lines.extend(forecast.still_fails.iter().map(|reason| format!("still fails: {reason}")));
    lines
}

fn change(order: &OrderForecast) -> String {
    let status = |standing: &Option<Standing>| standing.as_ref().map_or("(new)", |it| it.status);
    let mut line =
        format!("{} {}: {} -> {}", order.kind, order.id, status(&order.before), order.after.status);
    let captured = |standing: &Standing| standing.captured_minor.clone();
    let refunded = |standing: &Standing| standing.refunded_minor.clone();
    for (name, before, after) in [
        ("captured", order.before.as_ref().map(captured), captured(&order.after)),
        ("refunded", order.before.as_ref().map(refunded), refunded(&order.after)),
    ] {
        let before = before.unwrap_or_else(|| "0".to_owned());
        if before != after {
            let currency = order.after.currency.as_deref();
            let (before, after) = (major(&before, currency), major(&after, currency));
            let _ = write!(line, ", {name} {before} -> {after} {}", currency.unwrap_or_default());
        }
    }
    let _ = write!(line, "; new: {}", order.new_events.join(", "));
    line
}

/// An amount as people write it; in minor units where the currency's decimals are not known.
fn major(minor: &str, currency: Option<&str>) -> String {
    let currency = currency.and_then(|code| Currency::new(code).ok());
    let money = currency.and_then(|currency| Money::parse_minor(minor, currency).ok());
    money.map_or_else(|| minor.to_owned(), |money| money.to_major_text())
}

fn told_line(told: &[Told]) -> Option<String> {
    let mut facts: Vec<String> =
        told.iter().map(|it| format!("{} of {} ({})", it.user, it.subject, it.kind)).collect();
    facts.dedup();
    (!facts.is_empty()).then(|| format!("tells {}", facts.join(", ")))
}

fn notifications(count: usize) -> String {
    if count == 1 { "1 notification".to_owned() } else { format!("{count} notifications") }
}

fn summary(report: &Report) -> String {
    let count = |is: fn(&Outcome) -> bool| report.letters.iter().filter(|(_, it)| is(it)).count();
    let all = report.letters.len();
    let letters =
        |count: usize| if count == 1 { "1 dead letter".to_owned() } else { format!("{count} dead letters") };
    match report.mode {
        Mode::List => format!(
            "{}. --dry-run says what each would do now; --all, or --id with an id, has them done again.",
            letters(all)
        ),
        Mode::DryRun => {
            let failing = count(|it| matches!(it, Outcome::Forecast(it) if it.still_fails.is_some()));
            format!("{}, of which {failing} would fail again. Nothing was changed.", letters(all))
        }
        Mode::Redrive => {
            let redone = count(|it| matches!(it, Outcome::Redone(_)));
            format!("Done again: {redone} of {}.", letters(all))
        }
    }
}
