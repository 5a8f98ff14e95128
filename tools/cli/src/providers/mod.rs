//! `paybell providers`: what each provider is, how it signs and what it tells.

mod table;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use paybell_shared::providers::{Provider, Registry};
use serde::Serialize;

use crate::up::configuration;

/// Options of `paybell providers`.
#[derive(Args)]
pub struct Options {
    /// Only this provider
    name: Option<String>,
    /// Print a JSON array
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print a Markdown table, as it stands in the README
    #[arg(long)]
    markdown: bool,
    /// File with a merchant's own providers, as for `paybell up`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What is told of one provider.
#[derive(Debug, Serialize)]
pub struct ProviderView {
    /// Its name in addresses, commands and files.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What kind of rail the money moves on.
    pub rail: &'static str,
    /// How it signs.
    pub scheme: &'static str,
    /// What the signature covers: `body`, `fields`, or `nothing`, when a callback is only a hint.
    pub covers: &'static str,
    /// Whether the provider is asked before money moves: `always`, `sometimes`, `never`, or `cannot` when nothing
    /// comes of its hints.
    pub asked: &'static str,
    /// The families of events that it tells.
    pub families: Vec<&'static str>,
    /// Every kind of event that it tells.
    pub events: Vec<&'static str>,
    /// The answer that stops its retries.
    pub acknowledgement: Acknowledgement,
    /// When it repeats a callback that was not acknowledged.
    pub retry_schedule: &'static str,
    /// What an account's key set holds for it.
    pub credentials: Vec<Credential>,
    /// Where the rules come from.
    pub documents: &'static [&'static str],
}

/// The answer that stops a provider's retries.
#[derive(Debug, Serialize)]
pub struct Acknowledgement {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`; empty when there is none.
    pub content_type: &'static str,
    /// The body; where it depends on the callback, the rule.
    pub body: &'static str,
}

/// One field of a key set.
#[derive(Debug, Serialize)]
pub struct Credential {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// What it is and where the provider shows it.
    pub about: &'static str,
}

impl From<&Provider> for ProviderView {
    fn from(provider: &Provider) -> Self {
        let mut families: Vec<&'static str> = Vec::new();
        for kind in provider.events {
            let family = kind.name().split('.').next().unwrap_or_default();
            if !families.contains(&family) {
                families.push(family);
            }
        }
        let credentials = provider.credential_fields.iter();
        Self {
            name: provider.name,
            title: provider.title,
            rail: provider.rail.name(),
            scheme: provider.scheme,
            covers: provider.covers.name(),
            asked: provider.asked().name(),
            families,
            events: provider.events.iter().map(|kind| kind.name()).collect(),
            acknowledgement: Acknowledgement {
                status: provider.answers.success.status,
                content_type: provider.answers.success.content_type,
                body: provider.answers.success.body,
            },
            retry_schedule: provider.retry_schedule,
            credentials: credentials
                .map(|field| Credential { name: field.name, required: field.required, about: field.about })
                .collect(),
            documents: provider.documents,
        }
    }
}

/// Runs the command: exit status 0 when there is such a provider.
pub fn run(options: &Options) -> ExitCode {
    match listing(options) {
        Ok(text) => {
            // A reader such as `head` may leave early.
            let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn listing(options: &Options) -> Result<String, String> {
    let configured = configuration::read(options.config.as_deref()).map_err(|error| error.to_string())?;
    let registry = Registry::new(configured);
    let wanted = |provider: &&Provider| options.name.as_deref().is_none_or(|name| name == provider.name);
    let views: Vec<ProviderView> = registry.iter().filter(wanted).map(ProviderView::from).collect();
    if let (Some(name), true) = (&options.name, views.is_empty()) {
        return Err(format!("there is no provider `{name}`; `paybell providers` lists them"));
    }
    if options.json {
        return serde_json::to_string_pretty(&views).map_err(|error| error.to_string());
    }
    if options.markdown {
        return Ok(table::markdown(&views));
    }
    Ok(views.iter().map(table::paragraph).collect::<Vec<_>>().join("\n"))
}

/// The table of all built-in providers, as it stands in the README.
pub fn readme_table() -> String {
    let views: Vec<ProviderView> = Registry::default().iter().map(ProviderView::from).collect();
    table::markdown(&views)
}
