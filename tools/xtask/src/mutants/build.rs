//! Compiles the sources with all mutants in them, and leaves out the mutants that do not compile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::list::{Genre, Mutant};
use super::weave::{Woven, weave};
use crate::suite::StepError;
use crate::suite::cargo::Cargo;

/// Folders that hold nothing to compile.
const SKIPPED_FOLDERS: &[&str] = &[".git", "node_modules", "target", "paybell-data"];
/// More rounds mean that leaving out does not help.
const ROUNDS_MAX: usize = 12;
/// The switches, in the crate that is mutated.
const SWITCH: &str = include_str!("switch.rs");
const SWITCH_FILE: &str = "shared/src/mutant.rs";
const CRATE_ROOT: &str = "shared/src/lib.rs";

/// What was compiled.
pub struct Built {
    /// The test programs, with the folder in which each runs.
    pub programs: Vec<(PathBuf, PathBuf)>,
    /// Mutants that no compiler takes.
    pub unviable: BTreeSet<usize>,
    /// Mutants that cannot be compiled beside others.
    pub left_out: BTreeSet<usize>,
}

/// Copies the checkout to `tree`, weaves the mutants in and compiles the tests.
///
/// # Errors
/// [`StepError`] when the sources do not compile, with or without mutants.
pub fn build(root: &Path, tree: &Path, mutants: &[Mutant]) -> Result<Built, StepError> {
    copy_folder(root, tree, mutants)?;
    let lib = fs::read_to_string(root.join(CRATE_ROOT))?;
    write_if_other(&tree.join(CRATE_ROOT), format!("{lib}\n#[doc(hidden)]\npub mod mutant;\n"))?;
    write_if_other(&tree.join(SWITCH_FILE), SWITCH)?;
    let mut by_file: BTreeMap<&str, Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        by_file.entry(&mutant.file).or_default().push(mutant);
    }
    let memory = Memory::new(root, tree, mutants)?;
    let (mut unviable, mut left_out) = memory.read();
    for round in 1..=ROUNDS_MAX {
        let mut woven = BTreeMap::new();
        for (file, all) in &by_file {
            let text = fs::read_to_string(root.join(file))?;
            let gone =
                |mutant: &&&Mutant| unviable.contains(&mutant.number) || left_out.contains(&mutant.number);
            let kept: Vec<&Mutant> = all.iter().filter(|mutant| !gone(mutant)).copied().collect();
            let result = weave(&text, &kept).map_err(io::Error::other)?;
            left_out.extend(
                kept.iter().map(|mutant| mutant.number).filter(|number| !result.woven.contains(number)),
            );
            unviable.extend(&result.unviable);
            write_if_other(&tree.join(file), &result.text)?;
            woven.insert(*file, result);
        }
        left_out.retain(|number| !unviable.contains(number));
        let (programs, errors) = compile(tree)?;
        println!(
            "compiled, round {round}: {} errors, {} unviable, {} left out",
            errors.len(),
            unviable.len(),
            left_out.len()
        );
        if errors.is_empty() {
            return Ok(Built { programs, unviable, left_out });
        }
        let before = unviable.len() + left_out.len();
        for error in &errors {
            blame(error, &woven, mutants, &mut unviable, &mut left_out);
        }
        memory.write(&unviable, &left_out)?;
        if unviable.len() + left_out.len() == before {
            println!("{}", errors[0].text);
            return Err(StepError::Findings(errors.len()));
        }
    }
    Err(StepError::Findings(ROUNDS_MAX))
}

/// What did not compile the last time: not tried again while its source is the same.
struct Memory {
    file: PathBuf,
    keys: Vec<String>,
}

impl Memory {
    fn new(root: &Path, tree: &Path, mutants: &[Mutant]) -> io::Result<Self> {
        let mut digests: BTreeMap<&str, u64> = BTreeMap::new();
        let mut keys = Vec::new();
        for mutant in mutants {
            if !digests.contains_key(&*mutant.file) {
                let mut hasher = DefaultHasher::new();
                fs::read(root.join(&mutant.file))?.hash(&mut hasher);
                digests.insert(&mutant.file, hasher.finish());
            }
            keys.push(format!("{:016x} {}", digests[&*mutant.file], mutant.name()));
        }
        Ok(Self { file: tree.with_file_name("uncompiled"), keys })
    }

    fn read(&self) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        let lines: BTreeSet<&str> = text.lines().collect();
        let numbers = |word: &str| {
            let keys = self.keys.iter().enumerate();
            keys.filter(|(_, key)| lines.contains(&*format!("{word} {key}")))
                .map(|(index, _)| index + 1)
                .collect()
        };
        (numbers("unviable"), numbers("left-out"))
    }

    fn write(&self, unviable: &BTreeSet<usize>, left_out: &BTreeSet<usize>) -> io::Result<()> {
        let line = |word: &str, number: &usize| format!("{word} {}\n", self.keys[number - 1]);
        let unviable = unviable.iter().map(|number| line("unviable", number));
        let left_out = left_out.iter().map(|number| line("left-out", number));
        fs::write(&self.file, unviable.chain(left_out).collect::<String>())
    }
}

struct CompileError {
    file: String,
    /// Where it is, the place itself before what led to it: bytes and lines.
    spans: Vec<(Range<usize>, Range<usize>)>,
    text: String,
}

/// What the compiler complains about lies in a mutant's own text, else somewhere beside it in the same lines.
fn blame(
    error: &CompileError,
    woven: &BTreeMap<&str, Woven>,
    mutants: &[Mutant],
    unviable: &mut BTreeSet<usize>,
    left_out: &mut BTreeSet<usize>,
) {
    let Some(source) = woven.get(&*error.file) else { return };
    let inside = error.spans.iter().find_map(|(bytes, _)| {
        let overlaps = |range: &Range<usize>| range.start < bytes.end && bytes.start < range.end;
        source.places.iter().filter(|(range, _)| overlaps(range)).min_by_key(|(range, _)| range.len())
    });
    if let Some((_, numbers)) = inside {
        for number in numbers {
            let is_unviable = matches!(mutants[number - 1].genre, Genre::FnValue | Genre::BinaryOperator);
            if is_unviable {
                unviable.insert(*number)
            } else {
                left_out.insert(*number)
            };
        }
        return;
    }
    let line_of = |at: usize| source.text[..at].matches('\n').count() + 1;
    let is_near = |line: usize| error.spans.iter().any(|(_, lines)| lines.contains(&line));
    let near = source.places.iter().filter(|(range, _)| is_near(line_of(range.start)));
    left_out.extend(near.flat_map(|(_, numbers)| numbers).copied());
}

type Programs = Vec<(PathBuf, PathBuf)>;

fn compile(tree: &Path) -> Result<(Programs, Vec<CompileError>), StepError> {
    let arguments = [
        "test",
        "--no-run",
        "--message-format=json",
        "--profile=mutants",
        "--package=paybell-shared",
        "--package=paybell-conformance",
        "--features=paybell-shared/sandbox",
        "--lib",
        "--test=*",
    ];
    let target = tree.with_file_name("build");
    let command = Cargo::new(tree, &arguments).env("CARGO_TARGET_DIR", target).env("CARGO_INCREMENTAL", "1");
    let printed = command.output_whatever()?;
    let (mut programs, mut errors) = (Vec::new(), Vec::new());
    for message in printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        match message["reason"].as_str() {
            Some("compiler-message") if message["message"]["level"] == "error" => {
                errors.extend(read_error(&message["message"]));
            }
            Some("compiler-artifact") => {
                let manifest = message["manifest_path"].as_str().map(PathBuf::from);
                if let (Some(program), Some(manifest)) = (message["executable"].as_str(), manifest) {
                    programs.push((program.into(), manifest.with_file_name("")));
                }
            }
            _ => {}
        }
    }
    if programs.is_empty() && errors.is_empty() {
        return Err(StepError::Failed { command: "cargo test --no-run, with the mutants".to_owned() });
    }
    Ok((programs, errors))
}

fn read_error(message: &Value) -> Option<CompileError> {
    let spans = message["spans"].as_array()?;
    let is_primary = |span: &&Value| span["is_primary"] == true;
    let file = spans.iter().find(is_primary)?["file_name"].as_str()?;
    let in_file = |span: &&Value| span["file_name"] == file;
    let (primary, others): (Vec<&Value>, Vec<&Value>) = spans.iter().filter(in_file).partition(is_primary);
    let range = |span: &Value, start: &str, end: &str| {
        let number = |name: &str| span[name].as_u64().and_then(|number| usize::try_from(number).ok());
        Some(number(start)?..number(end)?)
    };
    let spans = primary.into_iter().chain(others).filter_map(|span| {
        let lines = range(span, "line_start", "line_end")?;
        Some((range(span, "byte_start", "byte_end")?, lines.start..lines.end + 1))
    });
    Some(CompileError {
        file: file.to_owned(),
        spans: spans.collect(),
        text: message["rendered"].as_str().unwrap_or_default().to_owned(),
    })
}

/// Copies what differs, so that the compiler's own memory of what has changed stays right, and removes what is gone.
fn copy_folder(from: &Path, to: &Path, mutants: &[Mutant]) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let copy = entry?.path();
        let is_gone = copy.file_name().is_some_and(|name| !from.join(name).exists());
        if is_gone && !copy.ends_with(SWITCH_FILE) {
            if copy.is_dir() { fs::remove_dir_all(&copy)? } else { fs::remove_file(&copy)? }
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if kind.is_dir() && !SKIPPED_FOLDERS.iter().any(|skipped| name == *skipped) {
            copy_folder(&entry.path(), &to.join(&name), mutants)?;
        } else if kind.is_file() {
            let is_woven = |mutant: &Mutant| entry.path().ends_with(&mutant.file);
            if !entry.path().ends_with(CRATE_ROOT) && !mutants.iter().any(is_woven) {
                write_if_other(&to.join(&name), &fs::read(entry.path())?)?;
            }
        }
    }
    Ok(())
}

fn write_if_other(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    if fs::read(path).is_ok_and(|have| have == content.as_ref()) { Ok(()) } else { fs::write(path, content) }
}
