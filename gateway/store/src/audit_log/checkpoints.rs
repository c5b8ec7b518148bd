//! The file of signed checkpoints.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use simpul_core::audit::export::{checkpoint_line, note_of_line};
use simpul_core::audit::{Checkpoint, LogKey};

use super::error::AuditError;
use super::files::sync_folder_of;
use super::key::verify_ed25519;

/// When the file is longer, it begins anew with its newest checkpoint.
const LONGEST: u64 = 1 << 20;
/// The most that is read of it: the newest checkpoints decide, and a file this long is not ours.
const MOST: u64 = 8 << 20;

/// Appends to the file of checkpoints.
#[derive(Debug)]
pub(super) struct CheckpointFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl CheckpointFile {
    /// Reads the good checkpoints in the file, oldest first. A file that does not exist has none.
    pub(super) fn read(path: &Path, key: &LogKey) -> Result<Vec<Checkpoint>, AuditError> {
        let mut bytes = Vec::new();
        match File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(AuditError::io(path, &error)),
        }
        let notes = bytes.split(|byte| *byte == b'\n').filter_map(note_of_line);
        Ok(notes.filter_map(|note| Checkpoint::open(&note, key, &verify_ed25519).ok()).collect())
    }

    /// Replaces the file by one that holds only `note`.
    pub(super) fn create(path: &Path, note: &str) -> Result<Self, AuditError> {
        let temporary = path.with_extension("new");
        let line = checkpoint_line(note) + "\n";
        let made = File::create(&temporary)
            .and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, path))
            .and_then(|()| OpenOptions::new().append(true).open(path));
        let file = made.map_err(|error| AuditError::io(path, &error))?;
        sync_folder_of(path)?;
        Ok(Self { path: path.to_owned(), file, length: line.len() as u64 })
    }

    /// Opens the file for adding. A last line that a crash left without its end is closed; it is no
    /// checkpoint and will be passed over.
    pub(super) fn open(path: &Path) -> Result<Self, AuditError> {
        let io = |error: io::Error| AuditError::io(path, &error);
        let mut file = OpenOptions::new().read(true).append(true).open(path).map_err(io)?;
        let mut length = file.metadata().map_err(io)?.len();
        let mut last = [b'\n'];
        if length > 0 {
            file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).map_err(io)?;
        }
        if last != [b'\n'] {
            file.write_all(b"\n").map_err(io)?;
            length += 1;
        }
        Ok(Self { path: path.to_owned(), file, length })
    }

    /// Adds `note`; it is durable when this returns.
    pub(super) fn append(&mut self, note: &str) -> Result<(), AuditError> {
        if self.length > LONGEST {
            *self = Self::create(&self.path, note)?;
            return Ok(());
        }
        let line = checkpoint_line(note) + "\n";
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| AuditError::io(&self.path, &error))?;
        self.length += line.len() as u64;
        Ok(())
    }
}
