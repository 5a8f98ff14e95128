//! Tables: as the code makes them on one machine, and safe from loss.

use serde_json::Value;

use super::{Code, Findings, Template};
use crate::infra::sources::Table;
use crate::infra::template::{Resource, alternatives, members, text};

pub fn check(template: &Template, code: &Code, findings: &mut Findings) {
    let mut missing = code.tables.clone();
    for table in template.of("AWS::DynamoDB::Table") {
        let id = &table.id;
        let name = table.short_name("/TableName");
        let shape = shape(table);
        match missing.remove(&name) {
            None => findings.push(format!("{id}: the code has no table `{name}`")),
            Some(expected) if expected != shape => {
                findings.push(format!("{id}: is {shape:?}, and the code's is {expected:?}"));
            }
            Some(_) => {}
        }
        let mut expect = |holds: bool, problem: &str| {
            if !holds {
                findings.push(format!("{id}: {problem}"));
            }
        };
        expect(table.at("/BillingMode") == "PAY_PER_REQUEST", "is not on demand");
        let recovery = table.at("/PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled");
        expect(recovery == true, "cannot be set back to a point in time");
        let protection = alternatives(table.at("/DeletionProtectionEnabled"));
        expect(protection.first().is_some_and(|first| **first == true), "may be deleted by mistake");
    }
    for name in missing.keys() {
        findings.push(format!("the code's table `{name}` is missing"));
    }
}

/// What of a table the code depends on.
fn shape(table: &Resource) -> Table {
    let indexes = ["/GlobalSecondaryIndexes", "/LocalSecondaryIndexes"];
    let index = indexes.iter().flat_map(|path| members(table.at(path))).next();
    let keys = |schema: &Value| {
        members(schema).into_iter().map(|key| (text(&key["AttributeName"]), plain(&key["KeyType"]))).collect()
    };
    let types = members(table.at("/AttributeDefinitions")).into_iter();
    let expiry = table.at("/TimeToLiveSpecification");
    Table {
        keys: keys(table.at("/KeySchema")),
        index: index.map(|index| text(&index["IndexName"])),
        index_keys: index.map(|index| keys(&index["KeySchema"])).unwrap_or_default(),
        projection: index.map(|index| plain(&index["Projection"]["ProjectionType"])),
        types: types.map(|one| (text(&one["AttributeName"]), text(&one["AttributeType"]))).collect(),
        stream: match table.at("/StreamSpecification/StreamViewType") {
            Value::Null => None,
            view => Some(plain(view)),
        },
        expires_at: (expiry["Enabled"] == true).then(|| text(&expiry["AttributeName"])),
    }
}

/// `KEYS_ONLY` and the code's `KeysOnly` are the same.
fn plain(value: &Value) -> String {
    text(value).replace('_', "").to_lowercase()
}
