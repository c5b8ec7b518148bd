//! The keys of a large delivery on the disk, in a file that has no name: it is gone with whoever has it open.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use simpul_schemas::KeyStore;

/// The ending of a file of keys, for the moment in which it has a name.
pub const ENDING: &str = "keys";

/// What went wrong with the keys of a delivery, for whoever has to answer for it.
#[derive(Clone, Debug, Default)]
pub struct Trouble(Arc<OnceLock<io::Error>>);

impl Trouble {
    /// What went wrong, if anything did.
    pub fn told(&self) -> Option<io::Error> {
        let error = self.0.get()?;
        Some(error.raw_os_error().map_or_else(|| io::Error::from(error.kind()), io::Error::from_raw_os_error))
    }
}

/// A file of keys, made when the first ones come.
pub struct KeyFile {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    trouble: Trouble,
}

impl KeyFile {
    /// A file that is at `path` for a moment. What goes wrong with it is told to `trouble`.
    pub const fn new(path: PathBuf, trouble: Trouble) -> Self {
        Self { path, file: None, bytes: 0, trouble }
    }

    fn file(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&self.path)?;
            fs::remove_file(&self.path)?;
            self.file = Some(file);
        }
        self.file.as_ref().ok_or_else(|| io::Error::other("no file of keys"))
    }

    fn told<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            let _ = self.trouble.0.set(error);
            kind.into()
        })
    }
}

impl KeyStore for KeyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let at = self.bytes;
        let written = self.file().and_then(|file| file.write_all_at(bytes, at));
        self.bytes += bytes.len() as u64;
        self.told(written)
    }

    fn read(&mut self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let read = self.file().and_then(|file| file.read_exact_at(out, at));
        self.told(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_and_the_file_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut keys = KeyFile::new(folder.path().join("a.keys"), Trouble::default());
        keys.append(b"satu").unwrap();
        keys.append(b"dua").unwrap();
        let mut out = [0; 5];
        keys.read(2, &mut out).unwrap();
        assert_eq!(&out, b"tudua");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_goes_wrong_is_told() {
        let trouble = Trouble::default();
        let mut keys = KeyFile::new(PathBuf::from("/nowhere/a.keys"), trouble.clone());
        assert!(trouble.told().is_none());
        assert!(keys.append(b"satu").is_err());
        assert_eq!(trouble.told().map(|error| error.kind()), Some(io::ErrorKind::NotFound));
    }
}
