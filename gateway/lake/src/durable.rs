//! Files that are either whole and durable or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::{LakeError, Result};

/// Every unfinished file begins with this; what is left of them is removed when the lake is opened.
pub(crate) const TEMPORARY: &str = ".tmp-";

/// A name in `folder` that no other attempt uses.
pub(crate) fn temporary(folder: &Path) -> PathBuf {
    folder.join(format!("{TEMPORARY}{}", Uuid::now_v7()))
}

/// Makes the names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|handle| handle.sync_all()).map_err(|e| LakeError::io(folder, e))
}

/// Creates `folder` below the existing folder `base`, durably.
pub(crate) fn create_folder(base: &Path, folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|e| LakeError::io(folder, e))?;
    let mut parent = folder.parent();
    while let Some(above) = parent {
        sync_folder(above)?;
        parent = if above == base { None } else { above.parent() };
    }
    Ok(())
}

/// Writes `bytes` as `path`, which must not exist: it appears whole and durable, or not at all.
///
/// Answers false, and leaves what is there, if `path` exists.
pub(crate) fn publish_new(path: &Path, bytes: &[u8]) -> Result<bool> {
    let folder = parent(path)?;
    let draft = temporary(folder);
    write_synced(&draft, bytes)?;
    // A link fails if the name is taken; a rename would replace what another writer put there.
    let linked = fs::hard_link(&draft, path);
    let _ = fs::remove_file(&draft);
    match linked {
        Ok(()) => sync_folder(folder).map(|()| true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(LakeError::io(path, e)),
    }
}

/// Writes `bytes` as `path`, whole and durable, in the place of what was there.
pub(crate) fn publish(path: &Path, bytes: &[u8]) -> Result<()> {
    let draft = temporary(parent(path)?);
    write_synced(&draft, bytes)?;
    rename_synced(&draft, path)
}

/// Gives a finished and synced `draft` its name, durably.
pub(crate) fn rename_synced(draft: &Path, path: &Path) -> Result<()> {
    if let Err(e) = fs::rename(draft, path) {
        let _ = fs::remove_file(draft);
        return Err(LakeError::io(path, e));
    }
    sync_folder(parent(path)?)
}

fn write_synced(draft: &Path, bytes: &[u8]) -> Result<()> {
    let written = File::create_new(draft).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|e| {
        let _ = fs::remove_file(draft);
        LakeError::io(draft, e)
    })
}

fn parent(path: &Path) -> Result<&Path> {
    path.parent().ok_or(LakeError::Misuse("a path without a folder"))
}

/// Removes a file; one that is not there counts as removed.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(LakeError::io(path, e)),
        _ => Ok(()),
    }
}

/// The names in `folder` that are text; none if it does not exist.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(LakeError::io(folder, e)),
    };
    entries
        .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
        .collect::<io::Result<_>>()
        .map_err(|e| LakeError::io(folder, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_never_replaces_one_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert!(publish_new(&path, b"first").unwrap());
        assert!(!publish_new(&path, b"second").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(folder.path()).unwrap(), ["a"]);
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let full = LakeError::io(Path::new("x"), io::Error::from(io::ErrorKind::StorageFull));
        assert!(matches!(full, LakeError::NoSpace { .. }));
    }

    #[test]
    fn a_write_to_a_full_device_says_so() {
        let written = fs::OpenOptions::new().write(true).open("/dev/full").and_then(|mut f| f.write_all(b"x"));
        let error = LakeError::io(Path::new("/dev/full"), written.unwrap_err());
        assert!(matches!(error, LakeError::NoSpace { .. }), "{error}");
    }
}
