//! Runs the tests that reach a mutant, until one notices it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::build::Built;
use super::list::Mutant;

/// How often a running test is looked at.
const PAUSE: Duration = Duration::from_millis(3);
/// How much longer a test may take with a mutant than without, beside [`SLACK`].
const TIMES_LONGER: u32 = 20;
const SLACK: Duration = Duration::from_secs(30);
/// A test of vectors that are not part of the project.
const FOREIGN_TEST: &str = "vectors_beside_the_checkout_come_out_as_stated";

/// What came of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// A test failed.
    Killed,
    /// No test that reaches it failed.
    Survived,
    /// No test reaches it.
    Unreached,
    /// A test did not end.
    TimedOut,
    /// It does not compile.
    Unviable,
    /// It was not run.
    LeftOut,
}

/// One test; those of the conformance suite for one provider each.
pub struct Test {
    program: PathBuf,
    folder: PathBuf,
    name: String,
    provider: Option<String>,
    took: Duration,
}

impl Test {
    fn command(&self, tree: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args([&self.name, "--exact", "--test-threads=1"]).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.env("INSTA_WORKSPACE_ROOT", tree).env("INSTA_UPDATE", "no").env("RUST_BACKTRACE", "0");
        // What one run finds must not steer the next.
        command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true").env("CARGO_MANIFEST_DIR", &self.folder);
        if let Some(provider) = &self.provider {
            command.env("PAYBELL_CONFORMANCE_PROVIDERS", provider);
        }
        command
    }

    /// Whether it passes; `None` when it does not end.
    fn passes(&self, tree: &Path, number: usize, limit: Duration) -> io::Result<Option<bool>> {
        let started = Instant::now();
        let mut child = self.command(tree).env("PAYBELL_MUTANT", number.to_string()).spawn()?;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status.success()));
            }
            if started.elapsed() > limit {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// The tests, and which of them reach which mutant, quick ones first.
pub struct Reach {
    tests: Vec<Test>,
    by_mutant: HashMap<usize, Vec<usize>>,
}

impl Reach {
    /// Runs every test whose name contains `wanted` once, without a mutant.
    ///
    /// # Errors
    /// As running programs, and when a test fails.
    pub fn find(tree: &Path, built: &Built, wanted: &str, workers: usize) -> io::Result<Self> {
        let mut tests = tests(tree, built, wanted)?;
        let seen_folder = tree.with_file_name("seen");
        fs::create_dir_all(&seen_folder)?;
        let results = in_parallel(workers, tests.len(), |index| {
            let file = seen_folder.join(index.to_string());
            let _ = fs::remove_file(&file);
            let started = Instant::now();
            let status = tests[index].command(tree).env("PAYBELL_MUTANTS_SEEN", &file).status()?;
            let seen = fs::read_to_string(&file).unwrap_or_default();
            let numbers: Vec<usize> = seen.lines().filter_map(|line| line.parse().ok()).collect();
            if status.success() {
                return Ok((started.elapsed(), numbers));
            }
            let Test { name, provider, .. } = &tests[index];
            Err(io::Error::other(format!("{name} {provider:?} fails without a mutant")))
        })?;
        let mut order: Vec<usize> = (0..tests.len()).collect();
        order.sort_by_key(|index| results[*index].0);
        let mut by_mutant: HashMap<usize, Vec<usize>> = HashMap::new();
        for index in order {
            for number in &results[index].1 {
                by_mutant.entry(*number).or_default().push(index);
            }
        }
        for (test, (took, _)) in tests.iter_mut().zip(&results) {
            test.took = *took;
        }
        by_mutant.values_mut().for_each(|reaching| in_turns(reaching, &tests));
        Ok(Self { tests, by_mutant })
    }

    /// How many tests there are.
    pub fn test_count(&self) -> usize {
        self.tests.len()
    }

    /// What comes of every mutant of `mutants`; tests are run for at most `budget` of a mutant.
    ///
    /// # Errors
    /// As running programs.
    pub fn fates(
        &self,
        tree: &Path,
        mutants: &[&Mutant],
        budget: Duration,
        workers: usize,
        tell: impl Fn(&Mutant, Fate) + Sync,
    ) -> io::Result<Vec<Fate>> {
        in_parallel(workers, mutants.len(), |index| {
            let fate = self.fate(tree, mutants[index].number, budget)?;
            tell(mutants[index], fate);
            Ok(fate)
        })
    }

    fn fate(&self, tree: &Path, number: usize, budget: Duration) -> io::Result<Fate> {
        let Some(reaching) = self.by_mutant.get(&number) else { return Ok(Fate::Unreached) };
        let mut spent = Duration::ZERO;
        for test in reaching.iter().map(|index| &self.tests[*index]) {
            match test.passes(tree, number, test.took * TIMES_LONGER + SLACK)? {
                Some(true) => spent += test.took,
                Some(false) => return Ok(Fate::Killed),
                None => return Ok(Fate::TimedOut),
            }
            if spent > budget {
                break;
            }
        }
        Ok(Fate::Survived)
    }
}

/// Every test once, with the provider that is quickest, then with the next: the same test of another provider tells
/// less than another test.
fn in_turns(reaching: &mut Vec<usize>, tests: &[Test]) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut turns: Vec<(usize, usize)> = Vec::new();
    for index in reaching.iter() {
        let turn = seen.entry(&tests[*index].name).or_default();
        turns.push((*turn, *index));
        *turn += 1;
    }
    turns.sort_by_key(|(turn, _)| *turn);
    *reaching = turns.into_iter().map(|(_, index)| index).collect();
}

fn tests(tree: &Path, built: &Built, wanted: &str) -> io::Result<Vec<Test>> {
    let mut providers = Vec::new();
    for folder in fs::read_dir(tree.join("shared/fixtures"))? {
        let folder = folder?;
        if folder.path().join("keys.json").exists() {
            providers.push(folder.file_name().to_string_lossy().into_owned());
        }
    }
    providers.sort();
    let mut tests = Vec::new();
    for (program, folder) in &built.programs {
        let output = Command::new(program).args(["--list", "--format=terse"]).current_dir(folder).output()?;
        let listing = String::from_utf8_lossy(&output.stdout);
        let names = listing.lines().filter_map(|line| line.strip_suffix(": test"));
        let is_conformance = folder.ends_with("conformance");
        for name in names.filter(|name| *name != FOREIGN_TEST && name.contains(wanted)) {
            let test = |provider| Test {
                program: program.clone(),
                folder: folder.clone(),
                name: name.to_owned(),
                provider,
                took: Duration::ZERO,
            };
            match is_conformance {
                true => tests.extend(providers.iter().cloned().map(|provider| test(Some(provider)))),
                false => tests.push(test(None)),
            }
        }
    }
    Ok(tests)
}

/// Does `count` things, as many at a time as there are workers; the results are in order.
fn in_parallel<T: Send>(
    workers: usize,
    count: usize,
    work: impl Fn(usize) -> io::Result<T> + Sync,
) -> io::Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, io::Result<T>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return;
                    }
                    let result = work(index);
                    if let Ok(mut results) = results.lock() {
                        results.push((index, result));
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().map_err(|_| io::Error::other("a worker panicked"))?;
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
