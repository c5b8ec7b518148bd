//! Keys outside memory, as `gateway/node/src/flows/spill.rs` keeps them: in a file without a name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use simpul_schemas::KeyStore;

/// A file of keys, made when the first ones come.
#[derive(Debug, Default)]
pub struct KeyFile {
    file: Option<File>,
    bytes: u64,
}

impl KeyStore for KeyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile()?,
        };
        file.write_all_at(bytes, self.bytes)?;
        self.bytes += bytes.len() as u64;
        self.file = Some(file);
        Ok(())
    }

    fn read(&mut self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.as_ref().ok_or(io::ErrorKind::NotFound)?.read_exact_at(out, at)
    }
}
