//! `docs/permissions.md`: what each function may do, written from the template.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use super::rules::functions::name;
use super::rules::policies::{OPEN_ENDS, OpenEnd, actions, statements};
use super::template::{Resource, Template, alternatives, members, text};
use super::{InfraError, TEMPLATE};

const PAGE: &str = "docs/permissions.md";

const INTRODUCTION: &str = "# What each function may do

Made from `infra/template.yaml` by `cargo xtask permissions`; `cargo xtask test --only infra` fails when it is not current.

Every function has a role of its own, which only Lambda can take on. No role has a managed policy or names an action \
with `*`.
";

/// Writes the page.
pub fn run(root: &Path) -> ExitCode {
    let written = fs::read_to_string(root.join(TEMPLATE)).map_err(InfraError::from).and_then(|text| {
        let page = page(&Template::parse(&text)?);
        Ok(fs::write(root.join(PAGE), page)?)
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is wrong with the page in the checkout.
pub fn finding(root: &Path, template: &Template) -> Result<Option<String>, InfraError> {
    let have = fs::read_to_string(root.join(PAGE)).unwrap_or_default();
    let is_current = have == page(template);
    Ok((!is_current).then(|| format!("{PAGE}: is not what the template says; run cargo xtask permissions")))
}

/// What a role may do: each action, to what, and under which condition.
struct Grant {
    action: String,
    to: String,
    only_if: Option<&'static str>,
}

fn page(template: &Template) -> String {
    let granted: Vec<(String, Vec<Grant>)> = template
        .functions()
        .filter_map(|function| {
            Some((name(function), grants(template, template.target(function.at("/Role"))?)))
        })
        .collect();
    let mut page = format!(
        "{INTRODUCTION}\n| Function | Actions | Beside logs, traces and a KMS key of yours |\n|---|---|---|\n"
    );
    for (function, grants) in &granted {
        let own: Vec<_> = grants.iter().filter(|grant| !is_common(grant)).collect();
        let mut services: Vec<_> = own.iter().map(|grant| service(&grant.action)).collect();
        services.sort_unstable();
        services.dedup();
        let _ = writeln!(
            page,
            "| [`{function}`](#{function}) | {} | {}: {} |",
            grants.len(),
            own.len(),
            services.join(", ")
        );
    }
    for (function, grants) in &granted {
        let _ = write!(page, "\n## {function}\n\n| Action | On |\n|---|---|\n");
        for (to, actions) in by_resource(grants) {
            let _ = writeln!(page, "| {} | {to} |", actions.join(", "));
        }
    }
    page.push_str(&others(template));
    page.push_str("\n## Resources that end in `*`\n\nThese and no others.\n\n| Ends in | For | Because |\n|---|---|---|\n");
    for OpenEnd { end, actions, why } in OPEN_ENDS {
        let _ = writeln!(page, "| `{end}` | `{}` | {why} |", actions.join("`, `"));
    }
    page
}

/// The roles of others than functions.
fn others(template: &Template) -> String {
    let mut text = String::new();
    let roles = template.of("AWS::IAM::Role");
    let is_functions = |role: &Resource| {
        template
            .functions()
            .any(|function| template.target(function.at("/Role")).is_some_and(|have| have.id == role.id))
    };
    for role in roles.filter(|role| !is_functions(role)) {
        let _ = write!(
            text,
            "\n## {}\n\nTaken on by CodeDeploy alone, to shift traffic to a new version and back.\n\n| Action | On |\n|---|---|\n",
            role.id
        );
        for (to, actions) in by_resource(&grants(template, role)) {
            let _ = writeln!(text, "| {} | {to} |", actions.join(", "));
        }
    }
    text
}

/// The actions on each resource, in the order of the template.
fn by_resource(grants: &[Grant]) -> Vec<(String, Vec<String>)> {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for grant in grants {
        let to = format!("{}{}", grant.to, grant.only_if.map(|when| format!(", {when}")).unwrap_or_default());
        let action = format!("`{}`", grant.action);
        match rows.iter_mut().find(|(have, _)| *have == to) {
            Some((_, actions)) => actions.push(action),
            None => rows.push((to, vec![action])),
        }
    }
    rows
}

fn grants(template: &Template, role: &Resource) -> Vec<Grant> {
    let mut grants = Vec::new();
    for policy in members(role.at("/Policies")) {
        for listed in policy["PolicyDocument"]["Statement"].as_array().into_iter().flatten() {
            let only_if = (listed.get("Fn::If").is_some()).then_some("with a KMS key of yours");
            let listed = serde_json::json!({ "Statement": alternatives(listed) });
            for statement in statements(&listed) {
                let mut resources: Vec<String> =
                    members(&statement["Resource"]).into_iter().map(|one| in_words(template, one)).collect();
                resources.dedup();
                let to = resources.join(", ");
                let actions = actions(statement).into_iter();
                grants.extend(actions.map(|action| Grant { action, to: to.clone(), only_if }));
            }
        }
    }
    grants
}

/// What every function needs to say how it goes.
fn is_common(grant: &Grant) -> bool {
    ["logs", "xray", "kms"].contains(&grant.action.split(':').next().unwrap_or_default())
}

fn service(action: &str) -> &str {
    let names = BTreeMap::from([
        ("sqs", "SQS"),
        ("dynamodb", "DynamoDB"),
        ("secretsmanager", "Secrets Manager"),
        ("execute-api", "API Gateway"),
    ]);
    let short = action.split(':').next().unwrap_or_default();
    names.get(short).copied().unwrap_or(short)
}

/// What a policy names, as a person would.
fn in_words(template: &Template, value: &Value) -> String {
    let text = text(value);
    let named = template.target(value).map(|resource| match resource.kind.as_str() {
        "AWS::SQS::Queue" => format!("queue `{}`", resource.short_name("/QueueName")),
        "AWS::DynamoDB::Table" => format!("table `{}`", resource.short_name("/TableName")),
        _ => format!("`{}`", resource.id),
    });
    if let Some((_, index)) = text.split_once("/index/") {
        return format!("index `{index}` of {}", named.unwrap_or_default());
    }
    if text.ends_with(".StreamArn}") {
        return format!("stream of {}", named.unwrap_or_default());
    }
    match (named, text.as_str()) {
        (Some(named), _) => named,
        (None, "*") => "everything, since X-Ray has no resources".to_owned(),
        (None, "${KmsKeyArn}") => "the key".to_owned(),
        (None, text) if text.contains(":log-stream:") => "streams of its own log group".to_owned(),
        (None, text) if text.contains(":secret:") => "this stage's credentials".to_owned(),
        (None, text) if text.contains("/@connections/") => "connections of the WebSocket API".to_owned(),
        (None, text) if text.contains(":alarm:") => "this stage's alarms".to_owned(),
        (None, text) if text.contains(":function:") => "this stage's functions and their alias".to_owned(),
        (None, text) => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_counts_and_names_what_the_template_allows() {
        let page = page(&Template::parse(include_str!("rules/good.yaml")).unwrap());
        for expected in [
            "| [`apply`](#apply) | 10 | 6: DynamoDB, SQS |",
            "| `sqs:SendMessage` | queue `callbacks-dead-letters` |",
            "| `dynamodb:GetItem`, `dynamodb:UpdateItem` | table `orders` |",
            "| `dynamodb:GetRecords` | stream of table `orders` |",
            "| `kms:Decrypt`, `kms:GenerateDataKey` | the key, with a KMS key of yours |",
            "| `logs:PutLogEvents` | streams of its own log group |",
        ] {
            assert!(page.contains(expected), "{expected}\n{page}");
        }
    }
}
