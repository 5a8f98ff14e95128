//! What CloudWatch asks of a line that carries metrics, for the tests.
//!
//! # Source
//! Amazon CloudWatch User Guide, "Specification: Embedded metric format": the schema and the limits.

use std::collections::BTreeSet;

use serde_json::Value;

const NAME_BYTES_MAX: usize = 1024;
const DIMENSIONS_MAX: usize = 30;
const METRICS_MAX: usize = 100;
/// The units that we use, of those that there are.
const UNITS: &[&str] = &["Count", "Milliseconds"];

/// Checks a line: required members, limits, dimensions that are texts in the line, metrics that are numbers in it.
///
/// # Errors
/// What CloudWatch would not take.
pub fn check(line: &Value) -> Result<(), String> {
    let is_name =
        |value: &Value| value.as_str().is_some_and(|name| (1..=NAME_BYTES_MAX).contains(&name.len()));
    let metadata = &line["_aws"];
    require(metadata["Timestamp"].is_u64(), "Timestamp")?;
    for directive in filled(&metadata["CloudWatchMetrics"], "CloudWatchMetrics")? {
        require(is_name(&directive["Namespace"]), "Namespace")?;
        for set in filled(&directive["Dimensions"], "Dimensions")? {
            let keys = filled(set, "DimensionSet")?;
            require(keys.len() <= DIMENSIONS_MAX, "too many dimensions")?;
            let distinct: BTreeSet<_> = keys.iter().filter_map(Value::as_str).collect();
            require(distinct.len() == keys.len(), "a dimension twice, or one that is no text")?;
            for key in distinct {
                require(is_name(&line[key]), &format!("the dimension {key} is no text in the line"))?;
            }
        }
        let metrics = filled(&directive["Metrics"], "Metrics")?;
        require(metrics.len() <= METRICS_MAX, "too many metrics")?;
        for metric in metrics {
            require(is_name(&metric["Name"]), "Name")?;
            let name = metric["Name"].as_str().unwrap_or_default();
            require(line[name].is_number(), &format!("the metric {name} is no number in the line"))?;
            require(metric["Unit"].as_str().is_some_and(|unit| UNITS.contains(&unit)), "Unit")?;
        }
    }
    Ok(())
}

fn require(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn filled<'a>(value: &'a Value, what: &str) -> Result<&'a [Value], String> {
    value.as_array().filter(|array| !array.is_empty()).map(Vec::as_slice).ok_or_else(|| what.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cloudwatch_does_not_take_is_found() {
        let good = json!({
            "stage": "dev", "accepted": 1,
            "_aws": {"Timestamp": 1, "CloudWatchMetrics": [{
                "Namespace": "Paybell", "Dimensions": [["stage"]], "Metrics": [{"Name": "accepted", "Unit": "Count"}],
            }]},
        });
        assert_eq!(check(&good), Ok(()));
        let directive = "/_aws/CloudWatchMetrics/0";
        for (pointer, value) in [
            ("/_aws/Timestamp".to_owned(), json!("1")),
            ("/_aws/CloudWatchMetrics".to_owned(), json!([])),
            ("/stage".to_owned(), json!(1)),
            ("/stage".to_owned(), json!("")),
            ("/accepted".to_owned(), json!("1")),
            (format!("{directive}/Namespace"), json!(null)),
            (format!("{directive}/Dimensions"), json!([["stage", "stage"]])),
            (format!("{directive}/Dimensions"), json!([["nowhere"]])),
            (format!("{directive}/Metrics"), json!([])),
            (format!("{directive}/Metrics/0/Unit"), json!("Apples")),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(&pointer).unwrap() = value;
            assert!(check(&bad).is_err(), "{bad}");
        }
    }
}
