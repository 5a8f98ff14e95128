//! The listings as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use paybell_shared::aws::{AccountSummary, StoredApiKey};
use paybell_shared::callback::{KeySet, KeyStatus};
use serde::Serialize;

use super::written;

/// What is told of a key set: nothing of its values.
#[derive(Debug, Serialize)]
pub(super) struct KeySetView {
    provider: String,
    id: String,
    status: &'static str,
    added_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_at: Option<String>,
    fingerprint: String,
    fields: Vec<String>,
}

impl KeySetView {
    pub fn new(provider: &str, set: &KeySet) -> Self {
        Self {
            provider: provider.to_owned(),
            id: set.id.clone(),
            status: match set.status {
                KeyStatus::Active => "active",
                KeyStatus::Retired => "retired",
            },
            added_at: set.added_at.and_then(written),
            retired_at: set.retired_at.and_then(written),
            fingerprint: set.fingerprint(),
            fields: set.names().map(str::to_owned).collect(),
        }
    }

    fn since(&self) -> &str {
        self.retired_at.as_deref().or(self.added_at.as_deref()).unwrap_or("unknown")
    }
}

/// A line for each key set.
pub(super) fn key_sets_table(account: &str, views: &[KeySetView]) -> String {
    if views.is_empty() {
        return format!("No credentials: `paybell credentials put {account} PROVIDER` puts some.");
    }
    let heads = ["PROVIDER", "KEY SET", "STATUS", "SINCE", "FINGERPRINT", "FIELDS"].map(str::to_owned);
    let rows = views.iter().map(|view| {
        [
            view.provider.clone(),
            view.id.clone(),
            view.status.to_owned(),
            view.since().to_owned(),
            view.fingerprint.clone(),
            view.fields.join(", "),
        ]
    });
    table(std::iter::once(heads).chain(rows).collect())
}

/// What is told of an API key.
#[derive(Debug, Serialize)]
pub(super) struct ApiKeyView {
    id: String,
    status: &'static str,
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    ending: Option<String>,
}

impl ApiKeyView {
    pub fn new(key: &StoredApiKey) -> Self {
        Self {
            id: key.id.clone(),
            status: if key.is_active() { "active" } else { "revoked" },
            created_at: key.created_at.and_then(written),
            revoked_at: key.revoked_at.and_then(written),
            ending: key.ending.clone(),
        }
    }
}

/// A line for each API key.
pub(super) fn api_keys_table(account: &str, views: &[ApiKeyView]) -> String {
    if views.is_empty() {
        return format!("No API keys: `paybell account key add {account}` makes one.");
    }
    let heads = ["KEY", "STATUS", "SINCE", "ENDS IN"].map(str::to_owned);
    let rows = views.iter().map(|view| {
        let since = view.revoked_at.as_deref().or(view.created_at.as_deref());
        [
            view.id.clone(),
            view.status.to_owned(),
            since.unwrap_or("unknown").to_owned(),
            view.ending.clone().unwrap_or_else(|| "unknown".to_owned()),
        ]
    });
    table(std::iter::once(heads).chain(rows).collect())
}

/// A line for each account.
pub(super) fn accounts_table(accounts: &BTreeMap<String, AccountSummary>) -> String {
    if accounts.is_empty() {
        return "No accounts: `paybell account create NAME` makes one.".to_owned();
    }
    let heads = ["ACCOUNT", "SINCE", "API KEYS", "PROVIDERS"].map(str::to_owned);
    let rows = accounts.iter().map(|(name, account)| {
        [
            name.clone(),
            account.created_at.and_then(written).unwrap_or_else(|| "unknown".to_owned()),
            account.api_keys.to_string(),
            account.providers.join(", "),
        ]
    });
    table(std::iter::once(heads).chain(rows).collect())
}

fn table<const COLUMNS: usize>(rows: Vec<[String; COLUMNS]>) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
