//! The audit log on disk: append-only files, a Merkle tree over them, signed checkpoints.
//!
//! [`AuditLog::append`] returns when the entry is durable, and not before: what it answers may be
//! promised to others. Many callers at once share one fsync. When the disk fails, every waiting
//! caller gets the error, and the log takes nothing more until [`AuditLog::reopen`].
//!
//! Opening checks the end of the log against its last signed checkpoint, cuts what a crash left
//! half written, and refuses a log that anybody changed, naming the entry.
//!
//! Reading functions read files: call them where blocking is allowed.

mod checkpoints;
mod error;
mod files;
mod key;
mod read;
mod recover;
#[cfg(test)]
mod tests;
mod tree;
mod writer;

use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use simpul_core::audit::tree::{consistency_proof, inclusion_proof};
use simpul_core::audit::{Entry, EntryDraft, Exporter, LogKey, Origin, Proof};
use simpul_core::digest::Digest;
use simpul_core::time::Timestamp;
use tokio::sync::{mpsc, oneshot};

pub use self::error::AuditError;
pub use self::key::verify_ed25519;
pub use self::read::{Entries, NewestFirst};
pub use self::recover::{Opened, Torn};
pub use self::writer::Appended;

use crate::{FolderLock, StoreError};

use self::files::{Layout, PER_SEGMENT};
use self::key::Signer;
use self::writer::{Faults, Request, Shared, WAITING, sign_checkpoints};

/// Where a log is and what it is called.
#[derive(Clone)]
pub struct AuditOptions {
    /// The folder of the log; made if it is not there.
    pub dir: PathBuf,
    /// The file of the Ed25519 signing key, PKCS#8 in DER; made with mode 0600 when the log is first opened.
    pub key_file: PathBuf,
    /// The name of the log, the same for ever.
    pub origin: Origin,
    per_segment: u64,
    faults: Faults,
}

impl AuditOptions {
    /// The log called `origin` in `dir`, with its key in the same folder.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, origin: Origin) -> Self {
        let dir = dir.into();
        Self { key_file: dir.join("signing.key"), dir, origin, per_segment: PER_SEGMENT, faults: None }
    }
}

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The number of entries.
    pub entries: u64,
    /// The root over them.
    pub root: Digest,
}

/// An open audit log. Share it behind an `Arc`; dropping it writes the last checkpoint.
pub struct AuditLog {
    shared: Arc<Shared>,
    requests: Option<mpsc::Sender<Request>>,
    threads: Vec<JoinHandle<()>>,
    _lock: FolderLock,
}

impl AuditLog {
    /// Opens the log, or makes an empty one with a new key. Reads files and blocks; the time does not
    /// grow with the log beyond its last 65,536 entries, unless its cached hashes are lost.
    ///
    /// # Errors
    /// [`AuditError::Contradiction`] if the entries are not those that were signed,
    /// [`AuditError::Key`] for a key that is missing, unreadable or readable by others,
    /// [`AuditError::InUse`], [`AuditError::NoSpace`], [`AuditError::Io`].
    pub fn open(options: AuditOptions) -> Result<Self, AuditError> {
        let AuditOptions { dir, key_file, origin, per_segment, faults } = options;
        fs::create_dir_all(&dir).map_err(|error| AuditError::io(&dir, &error))?;
        files::sync_folder_of(&dir)?;
        let lock = FolderLock::acquire(&dir).map_err(|error| match error {
            StoreError::Io { path, source } => AuditError::io(&path, &source),
            _ => AuditError::InUse(dir.clone()),
        })?;
        let layout = Layout { dir, per_segment };
        let fresh = !layout.checkpoints().exists();
        let signer = Signer::load(&key_file, origin, fresh)?;
        let (shared, writer) = writer::open(layout, signer, faults)?;
        let (requests, received) = mpsc::channel(WAITING);
        let signing = Arc::clone(&shared);
        let threads = vec![
            spawn("audit-writer", &shared, move || writer.run(received))?,
            spawn("audit-checkpoints", &shared, move || sign_checkpoints(&signing))?,
        ];
        Ok(Self { shared, requests: Some(requests), threads, _lock: lock })
    }

    /// What the last opening found, a torn write among it.
    #[must_use]
    pub fn opened(&self) -> Opened {
        self.shared.head().opened.clone()
    }

    /// Why the log takes no entries, if it does not.
    #[must_use]
    pub fn failure(&self) -> Option<AuditError> {
        self.shared.head().failed.clone()
    }

    /// The number of durable entries.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.shared.head().tree.size()
    }

    /// The public key of the log, for pinning.
    #[must_use]
    pub fn key(&self) -> &LogKey {
        self.shared.signer.public()
    }

    /// Adds an entry at the time `now`. It is durable when this returns. A caller that stops waiting
    /// does not take its entry back. Whether an entry is in the log after an error shows only after
    /// the log was reopened: nobody was told that it is.
    ///
    /// # Errors
    /// [`AuditError::NoSpace`] and [`AuditError::Io`] if it could not be written, for every entry of the
    /// batch; [`AuditError::Refusing`] (or again [`AuditError::NoSpace`]) until the log is reopened.
    pub async fn append(&self, draft: EntryDraft, now: Timestamp) -> Result<Appended, AuditError> {
        self.ask(|reply| Request::Append { draft: Box::new(draft), now, reply }).await
    }

    /// Opens the log again after a failed write, as [`AuditLog::open`] does. Harmless at any other time.
    ///
    /// # Errors
    /// As for [`AuditLog::open`]; the log then goes on refusing.
    pub async fn reopen(&self) -> Result<Opened, AuditError> {
        self.ask(Request::Reopen).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, AuditError> {
        let requests = self.requests.as_ref().ok_or(AuditError::Closed)?;
        let (reply, answer) = oneshot::channel();
        requests.send(request(reply)).await.map_err(|_| AuditError::Closed)?;
        answer.await.map_err(|_| AuditError::Closed)?
    }

    /// The signed checkpoint of the durable entries: a `tlog-checkpoint`.
    #[must_use]
    pub fn checkpoint(&self) -> String {
        self.shared.sign_head().1
    }

    /// The entries of `range`, oldest first; what lies beyond the end is left out.
    #[must_use]
    pub fn entries(&self, range: Range<u64>) -> Entries {
        Entries::new(Arc::clone(&self.shared), range.start, range.end.min(self.size()))
    }

    /// All entries, newest first.
    #[must_use]
    pub fn newest_first(&self) -> NewestFirst {
        NewestFirst::new(Arc::clone(&self.shared), self.size())
    }

    /// The newest entry that `wanted` accepts, looking at most `look_back` entries back.
    ///
    /// # Errors
    /// [`AuditError::Contradiction`] or [`AuditError::Io`] if an entry on the way cannot be read.
    pub fn find_last(
        &self,
        look_back: u64,
        mut wanted: impl FnMut(&Entry) -> bool,
    ) -> Result<Option<Entry>, AuditError> {
        let look_back = usize::try_from(look_back).unwrap_or(usize::MAX);
        let found = |entry: Result<Entry, AuditError>| match entry {
            Ok(entry) if wanted(&entry) => Some(Ok(entry)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        };
        self.newest_first().take(look_back).find_map(found).transpose()
    }

    /// Writes the whole log as a file that anybody can verify; `now` is noted in it. Entries added
    /// meanwhile are not in it.
    ///
    /// # Errors
    /// [`AuditError::Contradiction`] if an entry is not the one that was appended: nothing damaged is signed.
    /// [`AuditError::Io`] and [`AuditError::NoSpace`] also for `out`.
    pub fn export(&self, out: impl Write, now: Timestamp) -> Result<Exported, AuditError> {
        let failed = |error: io::Error| AuditError::io(std::path::Path::new("export"), &error);
        let (size, root) = {
            let head = self.shared.head();
            (head.tree.size(), head.tree.root())
        };
        let sign = |message: &[u8]| self.shared.signer.sign(message);
        read::check_hashes(&self.shared, size)?;
        let mut exporter = Exporter::new(io::BufWriter::new(out), self.key().clone(), &sign).map_err(failed)?;
        let mut entries = self.entries(0..size);
        while let Some(encoded) = entries.advance() {
            exporter.entry(encoded?).map_err(failed)?;
        }
        if exporter.root() != root {
            return Err(AuditError::Contradiction { index: 0, what: "the tree in memory is another one" });
        }
        exporter.finish(now).map_err(failed)?;
        Ok(Exported { entries: size, root })
    }

    /// Reads every entry and compares it with the tree; answers how many there are. Takes about a second
    /// for a million entries.
    ///
    /// # Errors
    /// [`AuditError::Contradiction`] with the first entry that does not hold.
    pub fn check_everything(&self) -> Result<u64, AuditError> {
        let size = self.size();
        read::check_hashes(&self.shared, size)?;
        let mut entries = self.entries(0..size);
        while let Some(encoded) = entries.advance() {
            encoded?;
        }
        Ok(size)
    }

    /// The proof that entry `index` is in the log; `None` if there is no such entry.
    ///
    /// # Errors
    /// [`AuditError::Contradiction`] or [`AuditError::Io`] if the hashes cannot be read.
    pub fn proof(&self, index: u64) -> Result<Option<Proof>, AuditError> {
        let (size, checkpoint) = self.shared.sign_head();
        if index >= size {
            return Ok(None);
        }
        let hashes = inclusion_proof(index, size, |level, n| read::subtree(&self.shared, level, n))?;
        Ok(Some(Proof { index, hashes, checkpoint }))
    }

    /// The proof that the log of `old` entries is the beginning of the log of now, with the checkpoint
    /// of now; `None` if the log has fewer entries.
    ///
    /// # Errors
    /// As for [`AuditLog::proof`].
    pub fn consistency(&self, old: u64) -> Result<Option<(Vec<Digest>, String)>, AuditError> {
        let (size, checkpoint) = self.shared.sign_head();
        if old > size {
            return Ok(None);
        }
        let hashes = consistency_proof(old, size, |level, n| read::subtree(&self.shared, level, n))?;
        Ok(Some((hashes, checkpoint)))
    }
}

type Reply<T> = oneshot::Sender<Result<T, AuditError>>;

impl Drop for AuditLog {
    fn drop(&mut self) {
        // The writer ends when it has served what was sent, and the checkpoints end after it.
        self.requests = None;
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn spawn(name: &str, shared: &Shared, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, AuditError> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|error| AuditError::io(&shared.layout.dir, &error))
}
