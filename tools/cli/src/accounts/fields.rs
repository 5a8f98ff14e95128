//! The fields of a key set as a command is given them: in its arguments, in files, on standard input.

use std::io::Read as _;
use std::path::Path;

use clap::Args;
use serde_json::{Map, Value};
use thiserror::Error;

/// Where the fields are.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct FieldOptions {
    /// A field that is no secret, such as an id: other users of this machine see arguments. `NAME:=JSON` for a number,
    /// a switch or a list, `NAME.KEY=VALUE` for one of several by key; given twice, a field is a list
    #[arg(long, value_name = "NAME=VALUE")]
    field: Vec<String>,
    /// A field whose value is the text of a file, `-` for standard input; line ends at its end are left out
    #[arg(long, value_name = "NAME=FILE")]
    field_file: Vec<String>,
    /// All fields as one JSON object in a file, `-` for standard input
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
}

/// Why there are no fields. The texts name fields and files, never a value.
#[derive(Debug, Error)]
pub(crate) enum FieldError {
    #[error("{option} wants NAME=VALUE, and `=` is missing")]
    NoEquals { option: &'static str },
    #[error("{option} wants a name before `=`")]
    NoName { option: &'static str },
    #[error("`{0}` is given as a text and by key: one of the two")]
    Mixed(String),
    #[error("`{0}` after `:=` is not JSON")]
    NotJson(String),
    #[error("{file} is not one JSON object with the fields of a key set")]
    NotAnObject { file: String },
    #[error("{file}: {error}")]
    File { file: String, error: std::io::Error },
    #[error("standard input can be read only once")]
    StdinTwice,
}

const STDIN: &str = "-";

impl FieldOptions {
    /// Reads all of them.
    ///
    /// # Errors
    /// [`FieldError`].
    pub fn read(&self) -> Result<Map<String, Value>, FieldError> {
        let mut files = Files::default();
        let mut fields = match &self.json {
            None => Map::new(),
            Some(file) => match serde_json::from_str(&files.read(file)?) {
                Ok(Value::Object(fields)) => fields,
                _ => return Err(FieldError::NotAnObject { file: file.clone() }),
            },
        };
        for given in &self.field {
            let (name, value) = split(given, "--field")?;
            put(&mut fields, name, value.to_owned())?;
        }
        for given in &self.field_file {
            let (name, file) = split(given, "--field-file")?;
            let text = files.read(file)?;
            put(&mut fields, name, text.trim_end_matches(['\r', '\n']).to_owned())?;
        }
        Ok(fields)
    }
}

fn split<'a>(given: &'a str, option: &'static str) -> Result<(&'a str, &'a str), FieldError> {
    let (name, value) = given.split_once('=').ok_or(FieldError::NoEquals { option })?;
    if name.trim_end_matches(':').is_empty() { Err(FieldError::NoName { option }) } else { Ok((name, value)) }
}

/// Puts a text (or JSON, where the name ends with a colon) under its name, beside what is there.
fn put(fields: &mut Map<String, Value>, name: &str, text: String) -> Result<(), FieldError> {
    let (name, value) = match name.strip_suffix(':') {
        None => (name, Value::String(text)),
        Some(name) => (name, serde_json::from_str(&text).map_err(|_| FieldError::NotJson(name.to_owned()))?),
    };
    let mixed = || FieldError::Mixed(name.to_owned());
    if let Some((name, key)) = name.split_once('.') {
        let by_key = fields.entry(name).or_insert_with(|| Value::Object(Map::new()));
        by_key.as_object_mut().ok_or_else(mixed)?.insert(key.to_owned(), value);
        return Ok(());
    }
    match fields.get_mut(name) {
        None => drop(fields.insert(name.to_owned(), value)),
        Some(Value::Object(_)) => return Err(mixed()),
        Some(Value::Array(members)) => members.push(value),
        Some(one) => *one = Value::Array(vec![one.take(), value]),
    }
    Ok(())
}

/// Reads files, and standard input once.
#[derive(Default)]
struct Files {
    stdin_is_read: bool,
}

impl Files {
    fn read(&mut self, file: &str) -> Result<String, FieldError> {
        let failed = |error| FieldError::File { file: file.to_owned(), error };
        if file != STDIN {
            return std::fs::read_to_string(Path::new(file)).map_err(failed);
        }
        if std::mem::replace(&mut self.stdin_is_read, true) {
            return Err(FieldError::StdinTwice);
        }
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map_err(failed)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(field: &[&str], field_file: &[&str], json: Option<&str>) -> Result<Value, String> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let options = FieldOptions {
            field: owned(field),
            field_file: owned(field_file),
            json: json.map(str::to_owned),
        };
        options.read().map(Value::Object).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_are_texts_lists_json_and_texts_by_key() {
        for (field, expected) in [
            (&["a=1", "b=x=y=="][..], json!({"a": "1", "b": "x=y=="})),
            (&["a=1", "a=2", "a=3"], json!({"a": ["1", "2", "3"]})),
            (&["a:=1", "b:=true", "c:=[\"x\"]"], json!({"a": 1, "b": true, "c": ["x"]})),
            (&["k.one=1", "k.two=2"], json!({"k": {"one": "1", "two": "2"}})),
            (&["a="], json!({"a": ""})),
            (&[], json!({})),
        ] {
            assert_eq!(read(field, &[], None), Ok(expected), "{field:?}");
        }
    }

    #[test]
    fn files_are_read_and_nothing_of_them_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        std::fs::write(path("key.pem"), "-----BEGIN\nx\n-----END\n\n").unwrap();
        std::fs::write(path("keys.json"), r#"{"a":"1","n":{"x":"y"}}"#).unwrap();
        let pem = format!("pem={}", path("key.pem"));
        assert_eq!(
            read(&["b=2"], &[&pem], Some(&path("keys.json"))),
            Ok(json!({"a": "1", "n": {"x": "y"}, "b": "2", "pem": "-----BEGIN\nx\n-----END"}))
        );
        for (field, field_file, json, message) in [
            ("secret", "", "", "--field wants NAME=VALUE"),
            ("=secret", "", "", "--field wants a name"),
            (":=1", "", "", "--field wants a name"),
            ("a:=secret", "", "", "`a` after `:=` is not JSON"),
            ("", "a=no/such/file", "", "no/such/file: "),
            ("", "", "key.pem", "is not one JSON object"),
        ] {
            let some = |text: &'static str| if text.is_empty() { vec![] } else { vec![text] };
            let json = Some(path(json)).filter(|_| !json.is_empty());
            let error = read(&some(field), &some(field_file), json.as_deref()).unwrap_err();
            assert!(error.contains(message) && !error.contains("secret"), "{error}");
        }
        assert!(read(&["a=1", "a.x=1"], &[], None).is_err());
        assert!(read(&["a.x=1", "a=1"], &[], None).is_err());
    }
}
