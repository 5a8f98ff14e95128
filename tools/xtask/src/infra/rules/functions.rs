//! Functions: all of them are there, with everything that they read and nothing that they do not.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Code, Findings, Template};
use crate::infra::template::{Resource, alternatives, members, text};

pub fn check(template: &Template, code: &Code, findings: &mut Findings) {
    let deployed: BTreeSet<String> = template.functions().map(name).collect();
    for name in code.functions.difference(&deployed) {
        findings.push(format!("functions/{name} is not deployed"));
    }
    for name in deployed.difference(&code.functions) {
        findings.push(format!("`{name}` is deployed, and there is no functions/{name}"));
    }
    let mut roles = BTreeSet::new();
    for function in template.functions() {
        check_one(template, function, findings);
        check_variables(function, code, findings);
        let role = template.target(function.at("/Role"));
        if role.is_none_or(|role| role.kind != "AWS::IAM::Role" || !roles.insert(&role.id)) {
            findings.push(format!("{}: has no role of its own", function.id));
        }
    }
    for group in template.of(LOG_GROUP) {
        if alternatives(group.at("/RetentionInDays")).is_empty() {
            findings.push(format!("{}: keeps logs for ever", group.id));
        }
    }
}

const LOG_GROUP: &str = "AWS::Logs::LogGroup";

/// The function's name without the stage, which is that of its folder too.
pub fn name(function: &Resource) -> String {
    function.short_name("/FunctionName")
}

fn check_one(template: &Template, function: &Resource, findings: &mut Findings) {
    let id = &function.id;
    let mut expect = |holds: bool, problem: &str| {
        if !holds {
            findings.push(format!("{id}: {problem}"));
        }
    };
    let code = text(function.at("/CodeUri"));
    expect(code == format!("../target/lambda/{}/", name(function)), "its code is not that of its name");
    expect(function.at("/Runtime") == "provided.al2023", "does not run on Amazon Linux 2023");
    expect(function.at("/Tracing") == "Active", "is not traced");
    expect(function.number("/ReservedConcurrentExecutions").is_some(), "has no concurrency of its own");
    expect(function.at("/AutoPublishAlias") == "live", "is not published under the alias `live`");
    let alarms = members(function.at("/DeploymentPreference/Alarms"));
    let are_alarms = alarms
        .iter()
        .all(|alarm| template.target(alarm).is_some_and(|alarm| alarm.kind == "AWS::CloudWatch::Alarm"));
    expect(!alarms.is_empty() && are_alarms, "no alarm takes a bad deployment back");
    let group = template.target(function.at("/LoggingConfig/LogGroup"));
    let group_name = group.map(|group| text(group.at("/LogGroupName")));
    let is_own = group_name == Some(format!("/aws/lambda/{}", text(function.at("/FunctionName"))));
    expect(is_own, "has no log group of its own name");
}

fn check_variables(function: &Resource, code: &Code, findings: &mut Findings) {
    let variables = function.at("/Environment/Variables");
    let set: BTreeSet<String> =
        variables.as_object().into_iter().flat_map(|variables| variables.keys().cloned()).collect();
    for name in code.variables.difference(&set) {
        findings.push(format!("{}: the code reads `{name}`, which is not set", function.id));
    }
    for name in set.difference(&code.variables) {
        findings.push(format!("{}: `{name}` is set, and no code reads it", function.id));
    }
    for (name, value) in variables.as_object().into_iter().flatten() {
        if alternatives(value).iter().any(|value| !is_filled(value)) {
            findings.push(format!("{}: `{name}` has no value", function.id));
        }
    }
}

fn is_filled(value: &Value) -> bool {
    !text(value).is_empty()
}
