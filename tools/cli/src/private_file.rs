//! Files that hold secrets.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Replaces a file in `folder`, all of it or nothing; it is readable by its owner alone.
///
/// # Errors
/// As writing a file.
pub(crate) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(temporary, folder.join(name))
}
