//! What a function's batch response means.

use std::collections::BTreeSet;

use serde_json::Value;

/// The outcome of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Only these items failed; none when the set is empty.
    Failed(BTreeSet<String>),
    /// The whole batch failed.
    AllFailed,
}

/// Reads a response to a batch with the items `sent`.
///
/// # Source
/// AWS Lambda developer guide, "Implementing partial batch responses", conditions of success and failure.
pub fn read(response: &Value, sent: &BTreeSet<&str>) -> Outcome {
    let failures = match response {
        Value::Null => return Outcome::Failed(BTreeSet::new()),
        Value::Object(fields) => fields.get("batchItemFailures").unwrap_or(&Value::Null),
        _ => return Outcome::AllFailed,
    };
    let failures = match failures {
        Value::Null => return Outcome::Failed(BTreeSet::new()),
        Value::Array(failures) => failures,
        _ => return Outcome::AllFailed,
    };
    let identifiers = failures.iter().map(|failure| failure["itemIdentifier"].as_str());
    let known = |identifier: Option<&str>| identifier.filter(|it| sent.contains(it)).map(str::to_owned);
    identifiers.map(known).collect::<Option<BTreeSet<String>>>().map_or(Outcome::AllFailed, Outcome::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_responses_mean_what_lambda_documents() {
        let table = [
            ("null", "none"),
            ("{}", "none"),
            (r#"{"batchItemFailures":null}"#, "none"),
            (r#"{"batchItemFailures":[]}"#, "none"),
            (r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#, "a"),
            (r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"a"}]}"#, "a,b"),
            (r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"a"}]}"#, "a"),
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, "all"),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, "all"),
            (r#"{"batchItemFailures":[{"badKeyName":"a"}]}"#, "all"),
            (r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"z"}]}"#, "all"),
            (r#"{"batchItemFailures":["a"]}"#, "all"),
            (r#"{"batchItemFailures":"a"}"#, "all"),
            (r#""ok""#, "all"),
            ("[]", "all"),
        ];
        let sent = BTreeSet::from(["a", "b"]);
        for (response, expected) in table {
            let got = match read(&serde_json::from_str(response).unwrap(), &sent) {
                Outcome::AllFailed => "all".to_owned(),
                Outcome::Failed(failed) if failed.is_empty() => "none".to_owned(),
                Outcome::Failed(failed) => failed.into_iter().collect::<Vec<_>>().join(","),
            };
            assert_eq!(got, expected, "{response}");
        }
    }
}
