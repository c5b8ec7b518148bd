//! One process per data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Result, StoreError};

/// The name of the lock file in the data folder.
pub const LOCK_FILE: &str = "simpul.lock";

/// How long a lock is asked for. A process that is started while the lock is open holds it too, from its fork until it
/// becomes another program, and one that was killed until the system has cleared it away.
const PATIENCE: Duration = Duration::from_millis(500);

/// Holds a data folder for this process until it is dropped. The system releases it when the process
/// ends in any way, so a lock is never left behind.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes `folder`, which must exist, for this process. Waits for half a second at most, and blocks meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Locked`] names the process that holds it; [`StoreError::Io`] if the lock file
    /// cannot be made.
    pub fn acquire(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|error| StoreError::io(&path, error))?;
        let patience = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < patience => std::thread::sleep(PATIENCE / 50),
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Locked { place: path.display().to_string(), holder: holder(&mut file) });
                }
                Err(TryLockError::Error(error)) => return Err(StoreError::io(&path, error)),
            }
        }
        note_holder(&mut file);
        Ok(Self { _file: file })
    }
}

/// The lock is the system's; the number in the file only helps a person find the other process, so
/// a full disk must not prevent the start.
fn note_holder(file: &mut File) {
    let noted = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    if let Err(error) = noted {
        tracing::debug!(%error, "the process number is not noted in the lock file");
    }
}

fn holder(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_and_free_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::acquire(folder.path()).unwrap();
        let Err(StoreError::Locked { holder, .. }) = FolderLock::acquire(folder.path()) else { panic!("not locked") };
        assert_eq!(holder, Some(std::process::id().to_string()));
        drop(first);
        FolderLock::acquire(folder.path()).unwrap();
    }
}
