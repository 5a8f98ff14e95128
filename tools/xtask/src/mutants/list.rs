//! The mutants that cargo-mutants makes.

use std::path::Path;

use serde_json::Value;

use crate::suite::StepError;
use crate::suite::cargo::Cargo;

/// What kind of change a mutant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Genre {
    /// A function returns at once.
    FnValue,
    /// Another operator.
    BinaryOperator,
    /// An operator less.
    UnaryOperator,
    /// An arm less.
    MatchArm,
    /// A guard that always or never holds.
    MatchArmGuard,
    /// A field that keeps the value of the rest.
    StructField,
}

/// One mutant.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// Its number, from 1.
    pub number: usize,
    /// What kind of change it is.
    pub genre: Genre,
    /// The source's path.
    pub file: String,
    /// The line of the change, from 1.
    pub line: usize,
    /// Its column, from 1.
    pub column: usize,
    /// What it puts there.
    pub replacement: String,
    /// What it does, in words without the place.
    pub about: String,
    /// Whether the function's result is `impl Trait`, which has one type only.
    pub is_opaque: bool,
}

impl Mutant {
    /// Where it is and what it does, as cargo-mutants says it.
    pub fn name(&self) -> String {
        format!("{}:{}:{}: {}", self.file, self.line, self.column, self.about)
    }
}

/// Asks cargo-mutants for the mutants of the files that `globs` name.
///
/// # Errors
/// [`StepError`] when it is not installed or fails.
pub fn list(root: &Path, globs: &[String]) -> Result<Vec<Mutant>, StepError> {
    let mut arguments = vec!["mutants", "--list", "--json", "--package", "paybell-shared"];
    for glob in globs {
        arguments.extend(["--file", glob]);
    }
    let text = Cargo::new(root, &arguments).output()?;
    let values: Vec<Value> = serde_json::from_str(&text).map_err(std::io::Error::from)?;
    Ok(values.iter().enumerate().filter_map(|(index, value)| read(index + 1, value)).collect())
}

fn read(number: usize, value: &Value) -> Option<Mutant> {
    let genre = match value["genre"].as_str()? {
        "FnValue" => Genre::FnValue,
        "BinaryOperator" => Genre::BinaryOperator,
        "UnaryOperator" => Genre::UnaryOperator,
        "MatchArm" => Genre::MatchArm,
        "MatchArmGuard" => Genre::MatchArmGuard,
        "StructField" => Genre::StructField,
        _ => return None,
    };
    let start = &value["span"]["start"];
    let position = |name: &str| start[name].as_u64().and_then(|number| usize::try_from(number).ok());
    let about = value["name"].as_str()?.splitn(4, ':').nth(3)?.trim().to_owned();
    Some(Mutant {
        number,
        genre,
        file: value["file"].as_str()?.to_owned(),
        line: position("line")?,
        column: position("column")?,
        replacement: value["replacement"].as_str()?.to_owned(),
        about,
        is_opaque: value["function"]["return_type"].as_str().is_some_and(|result| result.contains("impl ")),
    })
}
