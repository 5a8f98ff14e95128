//! The files of a checkout, read once.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Folders that hold no sources, wherever they are.
const SKIPPED_FOLDERS: &[&str] = &[".git", "node_modules", "paybell-data", "target"];

/// The files of a checkout by their path from its root, with `/` between the parts.
pub struct Tree {
    /// The place of the checkout on this machine; no source may name it.
    pub root: String,
    /// Text by path; `None` for what is not UTF-8.
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads all files under `root`.
    ///
    /// # Errors
    /// As reading files.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        read_folder(root, "", &mut files)?;
        Ok(Self { root: root.display().to_string(), files })
    }

    /// A tree that exists only in a test.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned()))).collect();
        Self { root: "/nowhere/checkout".to_owned(), files }
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// All paths.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// All texts with their paths.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The texts whose names end with one of `extensions`.
    pub fn texts_of<'a>(&'a self, extensions: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts().filter(move |(path, _)| {
            extensions
                .iter()
                .any(|extension| path.rsplit_once('.').is_some_and(|(_, have)| have == *extension))
        })
    }

    /// The text at a path.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Whether a file or folder is there.
    pub fn exists(&self, path: &str) -> bool {
        path.is_empty() || self.files.contains_key(path) || self.under(path).next().is_some()
    }

    /// The paths below a folder, without the folder's own.
    pub fn under<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a str> {
        self.paths().filter_map(move |path| path.strip_prefix(folder)?.strip_prefix('/'))
    }
}

fn read_folder(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Option<String>>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() && !SKIPPED_FOLDERS.contains(&name.as_str()) {
            read_folder(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() && name != ".git" {
            files.insert(path, String::from_utf8(std::fs::read(entry.path())?).ok());
        }
    }
    Ok(())
}
