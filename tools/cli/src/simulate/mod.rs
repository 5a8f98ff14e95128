//! `paybell simulate`: signs what a provider would sign, with the demo account's sandbox keys, and sends it.

mod perform;
pub mod plan;
mod references;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use paybell_shared::callback::UnixSeconds;
use paybell_shared::domain::{Currency, Money, SubjectKind};
use paybell_shared::providers::{Provider, Registry};
use paybell_shared::sandbox::SandboxKeys;
use paybell_shared::sandbox::request::http_text;

use crate::Place;
use crate::client::{Client, demo_account};
use crate::demo::DemoAccount;
use crate::up::configuration;

pub use perform::{Performance, Performer, Unmet};
pub use plan::{Delivery, Facts, Outcome, PlanError, Scenario, Step, plan};
pub use references::order_references;

/// Default amount in minor units.
const AMOUNT_MINOR: i128 = 1999;

/// Options of `paybell simulate`.
#[derive(Args)]
pub struct Options {
    /// Provider that "sends" the callbacks
    provider: String,
    /// What happens to the order, or goes wrong on the way
    scenario: Scenario,
    /// Use this order instead of registering a new one
    #[arg(long, value_name = "ID")]
    order: Option<String>,
    /// Amount in minor units [default: the order's, else 1999]
    #[arg(long, value_name = "MINOR")]
    amount: Option<i128>,
    /// Currency [default: the order's, else the provider's home currency]
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// User who is told [default: the demo user]
    #[arg(long)]
    user: Option<String>,
    /// Print the raw HTTP requests instead of sending them
    #[arg(long)]
    print: bool,
    /// Seconds to wait for the order to come out as it should
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait: u64,
    /// The file with a merchant's own providers that the server was started with
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command: exit status 0 when the outcome is what the scenario should give.
pub fn run(place: &Place, options: &Options) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    match runtime.block_on(simulate(place, options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn simulate(place: &Place, options: &Options) -> Result<(), String> {
    let demo = demo_account(&place.data).map_err(|error| error.to_string())?;
    let own = configuration::read(options.config.as_deref()).map_err(|error| error.to_string())?;
    let registry = Registry::new(own);
    let (provider, keys) = find(&registry, &demo, &options.provider)?;
    let client = Client::new(place.port, &demo.api_key);
    let user = options.user.clone().unwrap_or_else(|| demo.user.clone());
    let mut facts = facts(&client, &demo, provider, options).await?;
    facts.references = order_references(provider, keys, &facts);
    let mut steps = plan(provider, keys, options.scenario, &facts).map_err(|error| error.to_string())?;
    if options.print {
        return print(&steps, &demo.account, provider, place.port);
    }
    if options.order.is_some() && options.scenario != Scenario::BeforeOrder {
        steps.retain(|step| !matches!(step, Step::Register));
    }
    let wait = Duration::from_secs(options.wait);
    let performer = Performer { client: &client, provider, facts: &facts, user: &user, wait };
    let performance = performer.perform(&steps, &mut |line| println!("{line}")).await;
    let performance = performance.map_err(|error| error.to_string())?;
    match performance.unmet {
        None => {
            println!("{}: as it should be", options.scenario);
            Ok(())
        }
        Some(unmet) => Err(format!("{}: {unmet}", options.scenario)),
    }
}

fn find<'a>(
    registry: &Registry,
    demo: &'a DemoAccount,
    name: &str,
) -> Result<(&'static Provider, &'a SandboxKeys), String> {
    let provider = registry.find(name).ok_or_else(|| {
        let names: Vec<&str> = registry.iter().map(|provider| provider.name).collect();
        format!("there is no provider `{name}`; there are: {}", names.join(", "))
    })?;
    let keys = demo.providers.get(name).ok_or_else(|| {
        format!(
            "the demo account has no sandbox keys for `{name}`: it was created before this provider was added"
        )
    })?;
    Ok((provider, keys))
}

async fn facts(
    client: &Client,
    demo: &DemoAccount,
    provider: &Provider,
    options: &Options,
) -> Result<Facts, String> {
    let kind = provider.main_payload().map_or(SubjectKind::Order, |(_, kind)| kind);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let expected = match &options.order {
        Some(order_id) if !options.print => {
            let order = client.order(kind, order_id).await.map_err(|error| error.to_string())?;
            let expected = order.and_then(|order| order.expected);
            if expected.is_none() && options.scenario != Scenario::BeforeOrder {
                return Err(format!(
                    "order {order_id} is not registered: leave out --order to have one registered"
                ));
            }
            expected
        }
        _ => None,
    };
    let expected_minor = expected.as_ref().and_then(|expected| expected.amount_minor);
    let expected_currency = expected.and_then(|expected| expected.currency);
    let code = options.currency.clone().or(expected_currency);
    let code = code.unwrap_or_else(|| provider.home_currency.to_owned());
    let amount_minor = options.amount.or(expected_minor).unwrap_or(AMOUNT_MINOR);
    let amount = Currency::new(&code).and_then(|currency| Money::from_minor(amount_minor, currency));
    let amount = amount.map_err(|error| error.to_string())?;
    if amount.amount_minor() == 0 {
        return Err("--amount must be at least 1 minor unit".to_owned());
    }
    Ok(Facts {
        kind,
        account: demo.account.clone(),
        order_id: options.order.clone().unwrap_or_else(|| format!("sim{}", since_1970.as_nanos())),
        amount,
        now: UnixSeconds(i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX)),
        references: Vec::new(),
    })
}

fn print(steps: &[Step], account: &str, provider: &Provider, port: u16) -> Result<(), String> {
    let host = format!("127.0.0.1:{port}");
    let mut out = std::io::stdout().lock();
    for step in steps {
        let written = match step {
            Step::Send(delivery) => out
                .write_all(&http_text(account, provider.name, &host, &delivery.request))
                .and_then(|()| out.write_all(b"\n")),
            Step::Note(note) => {
                eprintln!("{note}");
                Ok(())
            }
            Step::Register | Step::Await(_) => Ok(()),
        };
        written.map_err(|error| error.to_string())?;
    }
    Ok(())
}
