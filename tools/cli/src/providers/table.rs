//! The listings as text.

use std::fmt::Write as _;

use super::ProviderView;

/// A Markdown table: one line each, in the order of their names.
pub fn markdown(views: &[ProviderView]) -> String {
    let mut text = String::from(
        "| Name | Provider | Rail | How it signs | Tells | Asked before money moves |\n|---|---|---|---|---|---|\n",
    );
    for view in views {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} |",
            view.name,
            cell(view.title),
            view.rail,
            cell(view.scheme),
            view.families.join(", "),
            view.asked
        );
    }
    text
}

/// A pipe would end the cell, and a line end the row.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// Everything of one provider, for the terminal.
pub fn paragraph(view: &ProviderView) -> String {
    let mut text = format!("{} ({}, {})\n", view.name, view.title, view.rail);
    let body = match view.acknowledgement.body {
        "" => "no body".to_owned(),
        body => format!("the body `{body}`"),
    };
    let rows = [
        ("signs", view.scheme.to_owned()),
        ("covers", view.covers.to_owned()),
        ("asked", view.asked.to_owned()),
        ("tells", view.events.join(", ")),
        ("answer", format!("{} with {body}", view.acknowledgement.status)),
        ("retries", view.retry_schedule.to_owned()),
    ];
    for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "  {name:<8}{value}");
    }
    for credential in &view.credentials {
        let required = if credential.required { ", required" } else { "" };
        let _ = writeln!(text, "  key     {}{required}: {}", credential.name, credential.about);
    }
    for document in view.documents {
        let _ = writeln!(text, "  see     {document}");
    }
    text
}
