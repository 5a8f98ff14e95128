//! Types that mean the same: `"payment.updated" = "payment.created"` in `events.types`.

use toml::{Table, Value};

use super::DescriptionError;

/// The table with the rule of the named type in place of each name.
///
/// # Errors
/// [`DescriptionError`] for a name that is not a type with a rule of its own.
pub(super) fn expand(provider: &str, mut table: Table) -> Result<Table, DescriptionError> {
    for (path, at) in [("events", &["events"][..]), ("inquiry.events", &["inquiry", "events"])] {
        let events = at.iter().try_fold(&mut table, |table, name| table.get_mut(*name)?.as_table_mut());
        let Some(Value::Table(types)) = events.and_then(|events| events.get_mut("types")) else { continue };
        let rules = types.clone();
        for (name, value) in types.iter_mut() {
            let Value::String(same_as) = value else { continue };
            *value =
                rules.get(same_as.as_str()).filter(|rule| rule.is_table()).cloned().ok_or_else(|| {
                    DescriptionError {
                        provider: provider.to_owned(),
                        field: format!("{path}.types.\"{name}\""),
                        problem: format!("`{same_as}` is not a type with a rule of its own"),
                    }
                })?;
        }
    }
    Ok(table)
}
