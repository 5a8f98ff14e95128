//! Types that mean the same: `"payment.updated" = "payment.created"` in `events.types`.

use toml::{Table, Value};

use super::DescriptionError;

/// The table with the rule of the named type in place of each name.
///
/// # Errors
/// [`DescriptionError`] for a name that is not a type with a rule of its own.
pub(super) fn expand(provider: &str, mut table: Table) -> Result<Table, DescriptionError> {
    let refused = |field: String, same_as: &str| DescriptionError {
        provider: provider.to_owned(),
        field,
        problem: format!("`{same_as}` is not a type with a rule of its own"),
    };
    for (path, at) in [("events", &["events"][..]), ("inquiry.events", &["inquiry", "events"])] {
        let mut found = Some(&mut table);
        let (last, parents) = at.split_last().unwrap_or((&"events", &[]));
        for name in parents {
            found = found.and_then(|table| table.get_mut(*name)?.as_table_mut());
        }
        let (one, many) = match found.and_then(|table| table.get_mut(*last)) {
            Some(Value::Table(one)) => (Some(one), None),
            Some(Value::Array(many)) => (None, Some(many)),
            _ => continue,
        };
        let tables = many.into_iter().flatten().filter_map(Value::as_table_mut);
        for types in
            one.into_iter().chain(tables).filter_map(|events| events.get_mut("types")?.as_table_mut())
        {
            expand_types(types)
                .map_err(|(name, same_as)| refused(format!("{path}.types.\"{name}\""), &same_as))?;
        }
    }
    Ok(table)
}

/// Fails with the name and what it is said to be the same as.
fn expand_types(types: &mut Table) -> Result<(), (String, String)> {
    let rules = types.clone();
    for (name, value) in types.iter_mut() {
        let Value::String(same_as) = value else { continue };
        let rule = rules.get(same_as.as_str()).filter(|rule| rule.is_table());
        *value = rule.cloned().ok_or_else(|| (name.clone(), same_as.clone()))?;
    }
    Ok(())
}
