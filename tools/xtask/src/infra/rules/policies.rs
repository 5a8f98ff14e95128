//! Policies: every role may do what its function does, to what it does it to, and nothing else.

use serde_json::Value;

use super::{Findings, Template};
use crate::infra::template::{Resource, alternatives, members, text};

/// A resource that may end in `*`.
pub struct OpenEnd {
    /// How it ends.
    pub end: &'static str,
    /// The actions for which it may.
    pub actions: &'static [&'static str],
    /// Why.
    pub why: &'static str,
}

/// All resources that may end in `*`.
pub const OPEN_ENDS: &[OpenEnd] = &[
    OpenEnd {
        end: "*",
        actions: &["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
        why: "X-Ray has no resources that a policy could name",
    },
    OpenEnd {
        end: ":log-stream:*",
        actions: &["logs:CreateLogStream", "logs:PutLogEvents"],
        why: "Lambda gives every instance of a function a stream of its own, in the function's log group",
    },
    OpenEnd {
        end: ":secret:paybell/${Stage}/credentials/*",
        actions: &["secretsmanager:GetSecretValue"],
        why: "accounts come and go without a deployment",
    },
    OpenEnd {
        end: ":${WebSocketApi}/live/POST/@connections/*",
        actions: &["execute-api:ManageConnections"],
        why: "API Gateway makes up the ids of connections",
    },
    OpenEnd {
        end: ":${WebSocketApi}/live/DELETE/@connections/*",
        actions: &["execute-api:ManageConnections"],
        why: "API Gateway makes up the ids of connections",
    },
    OpenEnd {
        end: ":alarm:*",
        actions: &["cloudwatch:DescribeAlarms"],
        why: "CloudWatch lets alarms be listed by who may list all of them",
    },
];

/// Who may take on a role.
const TRUSTED: &[&str] = &["lambda.amazonaws.com", "codedeploy.amazonaws.com"];

pub fn check(template: &Template, findings: &mut Findings) {
    for resource in template.resources() {
        let id = &resource.id;
        for statement in statements(&resource.properties) {
            check_statement(id, statement, findings);
        }
        match resource.kind.as_str() {
            "AWS::IAM::Role" => check_role(resource, findings),
            "AWS::Lambda::Permission" => check_permission(resource, findings),
            "AWS::Serverless::Function" if !resource.at("/Policies").is_null() => {
                findings.push(format!("{id}: has policies beside its role"));
            }
            _ => {}
        }
    }
}

/// All statements of all policies in a resource.
pub fn statements(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(name, value)| if name == "Statement" { members(value) } else { statements(value) })
            .collect(),
        Value::Array(values) => values.iter().flat_map(statements).collect(),
        _ => Vec::new(),
    }
}

/// The actions that a statement allows.
pub fn actions(statement: &Value) -> Vec<String> {
    members(&statement["Action"]).into_iter().map(text).collect()
}

fn check_statement(id: &str, statement: &Value, findings: &mut Findings) {
    let actions = actions(statement);
    let shown = actions.join(", ");
    if actions.is_empty() || actions.iter().any(|action| action.contains('*') || !action.contains(':')) {
        findings.push(format!("{id}: `{shown}` does not name its actions one by one"));
    }
    for name in ["NotAction", "NotResource", "NotPrincipal"] {
        if !statement[name].is_null() {
            findings.push(format!("{id}: `{name}` allows what nobody has named"));
        }
    }
    let principal = &statement["Principal"];
    if principal.is_null() && statement["Resource"].is_null() {
        findings.push(format!("{id}: `{shown}` is allowed on nothing that is named"));
    }
    if text(principal) == "*" || members(&principal["AWS"]).iter().any(|who| text(who) == "*") {
        findings.push(format!("{id}: `{shown}` is allowed to everybody"));
    }
    for resource in members(&statement["Resource"]) {
        let resource = text(resource);
        let is_open = resource.is_empty() || resource.contains('*');
        let is_excepted = OPEN_ENDS.iter().any(|open| {
            let is_this = if open.end == "*" { resource == "*" } else { resource.ends_with(open.end) };
            is_this && actions.iter().all(|action| open.actions.contains(&action.as_str()))
        });
        if is_open && !is_excepted {
            findings.push(format!("{id}: `{shown}` is allowed on `{resource}`, which names no single thing"));
        }
    }
}

fn check_role(role: &Resource, findings: &mut Findings) {
    let id = &role.id;
    for statement in statements(role.at("/AssumeRolePolicyDocument")) {
        let principal = statement["Principal"].as_object();
        let only_services = principal.is_some_and(|principal| principal.keys().eq(["Service"]));
        let services = members(&statement["Principal"]["Service"]);
        let are_trusted = services.iter().all(|service| TRUSTED.contains(&text(service).as_str()));
        if !only_services || !are_trusted || services.is_empty() || actions(statement) != ["sts:AssumeRole"] {
            findings.push(format!("{id}: may be taken on by others than Lambda and CodeDeploy"));
        }
    }
    if !role.at("/ManagedPolicyArns").is_null() {
        findings.push(format!("{id}: what a managed policy allows is not ours to say"));
    }
}

/// Only who calls a function's own address, and API Gateway for one API of ours, may call a function.
fn check_permission(permission: &Resource, findings: &mut Findings) {
    let by_url =
        permission.at("/FunctionUrlAuthType") == "NONE" || permission.at("/InvokedViaFunctionUrl") == true;
    let sources = alternatives(permission.at("/SourceArn"));
    let by_api = permission.at("/Principal") == "apigateway.amazonaws.com"
        && sources.iter().all(|source| text(source).contains("Api}/"))
        && !sources.is_empty();
    if !by_url && !by_api {
        findings
            .push(format!("{}: lets others than its own address and API call the function", permission.id));
    }
}
