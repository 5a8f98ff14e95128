//! What one paid order costs on AWS, counted in the units that AWS bills. `docs/cost.md` holds the outcome, and its
//! prices are computed from it.

mod meter;
mod world;

use std::fmt::Write as _;

use meter::Units;
use world::World;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cost.md");
const BEGIN: &str = "<!-- counted: made by the test `cost` -->\n";
const END: &str = "<!-- end of counted -->";
/// Set, it writes the page again.
const WRITE: &str = "PAYBELL_WRITE_COST";

/// A price in us-east-1, in millionths of a dollar per unit.
struct Price {
    what: &'static str,
    micro_dollars: f64,
    units: fn(&Units) -> f64,
}

/// # Source
/// AWS's price pages for US East (N. Virginia); `docs/cost.md` says which, and when.
const PRICES: &[Price] = &[
    Price { what: "HTTP API requests", micro_dollars: 1.0, units: |units| units.http },
    Price { what: "Lambda invocations", micro_dollars: 0.2, units: |units| units.invocations },
    Price { what: "SQS requests", micro_dollars: 0.4, units: |units| units.sqs },
    Price { what: "DynamoDB read units", micro_dollars: 0.125, units: |units| units.reads },
    Price { what: "DynamoDB write units", micro_dollars: 0.625, units: |units| units.writes },
    Price { what: "WebSocket messages", micro_dollars: 1.0, units: |units| units.messages },
];

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_what_a_payment_costs() {
    let single = payments(1, 10).await;
    let batched = payments(10, 1).await;
    let device = device().await;
    let counted =
        format!("{}{}", steps_table(&single, &batched, device), price_table(&single, &batched, device));
    let page = std::fs::read_to_string(PAGE).expect("the page is there");
    let (before, rest) = page.split_once(BEGIN).expect("the page has the mark before what is counted");
    let (have, after) = rest.split_once(END).expect("the page has the mark behind what is counted");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(PAGE, format!("{before}{BEGIN}\n{counted}\n{END}{after}")).expect("it can be written");
    } else {
        assert_eq!(have.trim(), counted.trim(), "run {WRITE}=1 cargo test -p paybell-tests --test cost");
    }
}

/// What each step of one payment costs, when so many come at once.
type Steps = [(&'static str, Units); 5];

async fn payments(at_once: usize, rounds: usize) -> Steps {
    let mut world = World::start().await;
    world.connect_device("warm").await;
    // What functions remember while they are warm.
    world.round(0, 1).await;
    let mut total: Option<Steps> = None;
    for round in 1..=rounds {
        let counted = world.round(round, at_once).await;
        match &mut total {
            None => total = Some(counted),
            Some(total) => {
                total.iter_mut().zip(counted).for_each(|((_, total), (_, counted))| *total += counted);
            }
        }
    }
    total.expect("there are rounds").map(|(step, units)| (step, units.per(at_once * rounds)))
}

async fn device() -> Units {
    let world = World::start().await;
    world.connect_device("warm").await;
    world.connect_device("counted").await
}

fn sum(steps: &Steps) -> Units {
    let mut sum = Units::default();
    steps.iter().for_each(|(_, units)| sum += *units);
    sum
}

fn steps_table(single: &Steps, batched: &Steps, device: Units) -> String {
    let mut table =
        "| Step | Lambda | HTTP | SQS | Reads | Writes | WebSocket |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
    let mut row = |name: &str, units: Units| {
        let Units { invocations, http, sqs, reads, writes, messages } = units;
        let cells = [invocations, http, sqs, reads, writes, messages].map(number).join(" | ");
        let _ = writeln!(table, "| {name} | {cells} |");
    };
    single.iter().for_each(|(step, units)| row(step, *units));
    row("**a payment, one at a time**", sum(single));
    batched.iter().for_each(|(step, units)| row(&format!("{step}, ten at once"), *units));
    row("**a payment, ten at once**", sum(batched));
    row("a device connects, resumes and leaves", device);
    table
}

fn price_table(single: &Steps, batched: &Steps, device: Units) -> String {
    let columns = [sum(single), sum(batched), device];
    let mut table =
        "\n| Dollars for a million | Price | Payments, one at a time | Payments, ten at once | Devices |\n\
                     |---|---|---|---|---|\n"
            .to_owned();
    let mut totals = [0.0; 3];
    for Price { what, micro_dollars, units } in PRICES {
        let dollars = columns.map(|column| units(&column) * micro_dollars);
        totals.iter_mut().zip(dollars).for_each(|(total, dollars)| *total += dollars);
        let cells = dollars.map(|dollars| format!("{dollars:.2}")).join(" | ");
        let _ = writeln!(table, "| {what} | {micro_dollars} | {cells} |");
    }
    let cells = totals.map(|total| format!("**{total:.2}**")).join(" | ");
    let _ = writeln!(table, "| **counted** | | {cells} |");
    table
}

fn number(units: f64) -> String {
    let text = format!("{units:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
