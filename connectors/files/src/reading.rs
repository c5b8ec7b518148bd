//! Reads a file twice: for the key, and for the payload. Both readings must agree.

use crate::blocking;
use crate::inbox::Seen;
use futures::stream::{self, Stream};
use sha2::{Digest as _, Sha256};
use simpul_connector_api::{Bytes, ConnectorError, Part, Value};
use std::fs::File;
use std::io::{Read, Seek};

const PIECE_BYTES: usize = 256 * 1024;

/// The key in the making: SHA-256 over the length of the name, the name and the content.
pub struct Digest(Sha256);

impl Digest {
    fn new(name: &str) -> Self {
        Digest(Sha256::new().chain_update((name.len() as u64).to_be_bytes()).chain_update(name))
    }

    fn key(self) -> String {
        self.0.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The key of a file, or `None` if it changes while it is read.
    pub fn of_file(name: &str, mut file: &File, seen: &Seen) -> Result<Option<String>, ConnectorError> {
        let mut digest = Digest::new(name);
        let mut piece = vec![0; PIECE_BYTES];
        let mut left = seen.size;
        loop {
            let read = file.read(&mut piece).map_err(unreadable)?;
            match left.checked_sub(read as u64) {
                Some(rest) => left = rest,
                None => return Ok(None),
            }
            if read == 0 {
                break;
            }
            digest.0.update(&piece[..read]);
        }
        file.rewind().map_err(unreadable)?;
        Ok((left == 0 && Seen::of(file)?.same(seen)).then(|| digest.key()))
    }
}

/// The second reading.
pub struct Reading {
    file: File,
    seen: Seen,
    digest: Digest,
    key: String,
    after: Value,
}

impl Reading {
    /// Of a file at its beginning.
    pub fn new(name: &str, file: File, seen: Seen, key: String, after: Value) -> Self {
        Reading { file, seen, digest: Digest::new(name), key, after }
    }

    /// The pieces of the file, and its checkpoint if they add up to the key.
    pub fn parts(self) -> impl Stream<Item = Result<Part, ConnectorError>> + Send + 'static {
        stream::try_unfold(Some(self), |state| async move {
            match state {
                Some(reading) => blocking(move || reading.piece()).await.map(Some),
                None => Ok(None),
            }
        })
    }

    fn piece(mut self) -> Result<(Part, Option<Self>), ConnectorError> {
        let mut piece = vec![0; PIECE_BYTES];
        let read = self.file.read(&mut piece).map_err(unreadable)?;
        if read > 0 {
            piece.truncate(read);
            self.digest.0.update(&piece);
            return Ok((Part::Bytes(Bytes::from(piece)), Some(self)));
        }
        if self.digest.key() != self.key || !Seen::of(&self.file)?.same(&self.seen) {
            return Err(ConnectorError::interrupted("the file changed while it was being read"));
        }
        Ok((Part::End(self.after), None))
    }
}

fn unreadable(error: std::io::Error) -> ConnectorError {
    ConnectorError::interrupted(format!("reading the file: {}", error.kind()))
}
