//! The two threads of an open log: one makes entries durable, one signs checkpoints.
//!
//! Entries that wait while a batch is being synced form the next batch, so that many callers share
//! one fsync. A failed write or fsync is never repeated: its batch is refused, and so is everything
//! after it, until the log is reopened from what the disk really holds.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use simpul_core::audit::tree::leaf_hash;
use simpul_core::audit::{Checkpoint, EntryDraft};
use simpul_core::digest::Digest;
use simpul_core::time::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::checkpoints::CheckpointFile;
use super::error::AuditError;
use super::files::{Layout, joined, push_record, sync_folder_of};
use super::key::Signer;
use super::recover::{Files, Opened, Recovered, open_segment, recover};
use super::tree::Tree;

/// The most entries made durable by one fsync.
const BATCH_ENTRIES: usize = 1024;
/// Entries that may wait for the writer; more callers wait for a place.
pub(super) const WAITING: usize = 4096;
/// The longest that a durable entry stays without a signed checkpoint on disk.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// Where a durable entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The position in the log.
    pub index: u64,
    /// The leaf of the entry in the tree.
    pub leaf_hash: Digest,
}

type Reply<T> = oneshot::Sender<Result<T, AuditError>>;

pub(super) enum Request {
    Append { draft: Box<EntryDraft>, now: Timestamp, reply: Reply<Appended> },
    Reopen(Reply<Opened>),
}

struct Waiting {
    draft: Box<EntryDraft>,
    now: Timestamp,
    reply: Reply<Appended>,
}

/// A step of the writer at which a test lets the disk fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Write,
    Sync,
    Checkpoint,
}

/// Decides for each step whether the disk fails; in production it never is asked.
pub(super) type Faults = Option<Arc<dyn Fn(Step) -> io::Result<()> + Send + Sync>>;

/// What the threads and the readers share.
pub(super) struct Shared {
    pub(super) layout: Layout,
    pub(super) signer: Signer,
    pub(super) faults: Faults,
    head: Mutex<Head>,
    changed: Condvar,
    checkpoints: Mutex<CheckpointFile>,
}

/// The state of the log that readers see: durable entries only.
pub(super) struct Head {
    pub(super) tree: Tree,
    pub(super) opened: Opened,
    pub(super) failed: Option<AuditError>,
    /// The size of the newest checkpoint on disk.
    signed: u64,
    closing: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics between two changes that belong together.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn head(&self) -> MutexGuard<'_, Head> {
        lock(&self.head)
    }

    /// The signed checkpoint of the durable entries, and their number.
    pub(super) fn sign_head(&self) -> (u64, String) {
        let (size, root) = {
            let head = self.head();
            (head.tree.size(), head.tree.root())
        };
        let origin = self.signer.public().origin().clone();
        let checkpoint = Checkpoint { origin, size, root, extensions: vec![] };
        (size, checkpoint.sign(self.signer.public(), &|message| self.signer.sign(message)))
    }

    fn step(&self, step: Step) -> io::Result<()> {
        self.faults.as_ref().map_or(Ok(()), |faults| faults(step))
    }

    fn fail(&self, error: &AuditError) {
        tracing::error!(%error, "the audit log takes no more entries");
        self.head().failed = Some(error.clone());
        self.changed.notify_all();
    }
}

/// Opens the log and gives its shared state and the writer, not running yet.
pub(super) fn open(layout: Layout, signer: Signer, faults: Faults) -> Result<(Arc<Shared>, Writer), AuditError> {
    let Recovered { files, tree, checkpoints, signed, opened } = recover(&layout, &signer)?;
    let head = Mutex::new(Head { tree, opened, failed: None, signed, closing: false });
    let checkpoints = Mutex::new(checkpoints);
    let shared = Arc::new(Shared { layout, signer, faults, head, changed: Condvar::new(), checkpoints });
    let writer = Writer { shared: Arc::clone(&shared), files };
    Ok((shared, writer))
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    files: Files,
}

impl Writer {
    /// Serves requests until nobody can send any more.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut batch = Vec::new();
        while let Some(mut request) = requests.blocking_recv() {
            loop {
                match request {
                    Request::Append { draft, now, reply } => batch.push(Waiting { draft, now, reply }),
                    Request::Reopen(reply) => {
                        self.append(&mut batch);
                        // Who asked may be gone; the log is reopened all the same.
                        let _ = reply.send(self.reopen().inspect_err(|error| self.shared.fail(error)));
                    }
                }
                let Some(next) = (batch.len() < BATCH_ENTRIES).then(|| requests.try_recv().ok()).flatten() else {
                    break;
                };
                request = next;
            }
            self.append(&mut batch);
        }
        self.shared.head().closing = true;
        self.shared.changed.notify_all();
    }

    /// Makes the waiting entries durable and tells their callers, one file of entries at a time.
    fn append(&mut self, waiting: &mut Vec<Waiting>) {
        while !waiting.is_empty() {
            let room = self.files.first + self.shared.layout.per_segment - self.shared.head().tree.size();
            let rest = waiting.split_off(waiting.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            let batch = std::mem::replace(waiting, rest);
            let failed = self.shared.head().failed.clone();
            if let Some(error) = failed {
                let refused = batch.into_iter().chain(waiting.drain(..));
                refused.for_each(|entry| drop(entry.reply.send(Err(error.refusing()))));
            } else if batch.is_empty() {
                self.next_segment().unwrap_or_else(|error| self.shared.fail(&error));
            } else {
                self.commit(batch).unwrap_or_else(|error| self.shared.fail(&error));
            }
        }
    }

    /// Writes and syncs `batch`, publishes it, and answers its callers. After an error the log must refuse.
    fn commit(&mut self, batch: Vec<Waiting>) -> Result<(), AuditError> {
        let start = self.shared.head().tree.size();
        let (mut bytes, mut leaves, mut replies) = (Vec::new(), Vec::new(), Vec::new());
        for (index, Waiting { draft, now, reply }) in (start..).zip(batch) {
            let encoded = draft.at(index, now).encode();
            push_record(&mut bytes, encoded.as_bytes(), index == start);
            leaves.push(leaf_hash(encoded.as_bytes()));
            replies.push(reply);
        }
        if let Err(error) = self.write_durably(&bytes) {
            replies.into_iter().for_each(|reply| drop(reply.send(Err(error.clone()))));
            return Err(error);
        }
        self.files.durable += bytes.len() as u64;
        // Readers compare every entry they see with its hash, so the hashes come first.
        let cached = self.write_leaves(&leaves);
        let tiles = self.publish(&leaves);
        let cached = cached.and_then(|()| self.write_tiles(&tiles));
        for ((index, leaf_hash), reply) in (start..).zip(leaves).zip(replies) {
            // The caller may have gone; the entry stands.
            let _ = reply.send(Ok(Appended { index, leaf_hash }));
        }
        self.shared.changed.notify_all();
        cached
    }

    fn write_durably(&mut self, bytes: &[u8]) -> Result<(), AuditError> {
        let Files { segment, segment_path, .. } = &mut self.files;
        let written = self.shared.step(Step::Write).and_then(|()| segment.write_all(bytes));
        let synced = written.and_then(|()| self.shared.step(Step::Sync)).and_then(|()| segment.sync_data());
        synced.map_err(|error| AuditError::io(segment_path, &error))
    }

    /// Adds the leaves to the tree that readers see. Answers the hashes of the tiles they complete.
    fn publish(&self, leaves: &[Digest]) -> Vec<Digest> {
        let mut head = self.shared.head();
        leaves.iter().filter_map(|leaf| head.tree.push(*leaf)).collect()
    }

    fn write_leaves(&mut self, leaves: &[Digest]) -> Result<(), AuditError> {
        let written = self.files.leaves.write_all(&joined(leaves));
        written.map_err(|error| AuditError::io(&self.shared.layout.leaves(), &error))
    }

    fn write_tiles(&mut self, tiles: &[Digest]) -> Result<(), AuditError> {
        let written = self.files.tiles.write_all(&joined(tiles));
        written.map_err(|error| AuditError::io(&self.shared.layout.tiles(), &error))
    }

    /// Goes on in a new file of entries. The hashes of the full one become durable with it.
    fn next_segment(&mut self) -> Result<(), AuditError> {
        let io = |error: io::Error| AuditError::io(&self.shared.layout.dir, &error);
        self.files.leaves.sync_data().and_then(|()| self.files.tiles.sync_data()).map_err(io)?;
        let first = self.files.first + self.shared.layout.per_segment;
        let (segment, segment_path) = open_segment(&self.shared.layout, first)?;
        sync_folder_of(&segment_path)?;
        (self.files.first, self.files.segment, self.files.segment_path) = (first, segment, segment_path);
        self.files.durable = 0;
        Ok(())
    }

    /// Opens the log again from what is on disk. Of the file being written only what was synced counts:
    /// after a failed fsync the rest may be in memory alone.
    fn reopen(&mut self) -> Result<Opened, AuditError> {
        let mut checkpoints = lock(&self.shared.checkpoints);
        if self.shared.head().failed.is_some() {
            let (path, durable) = (self.files.segment_path.clone(), self.files.durable);
            self.forget_unsynced(&path, durable)?;
        }
        let recovered = recover(&self.shared.layout, &self.shared.signer)?;
        *checkpoints = recovered.checkpoints;
        self.files = recovered.files;
        let mut head = self.shared.head();
        (head.tree, head.signed, head.failed) = (recovered.tree, recovered.signed, None);
        head.opened = recovered.opened.clone();
        self.shared.changed.notify_all();
        Ok(recovered.opened)
    }

    fn forget_unsynced(&self, path: &Path, durable: u64) -> Result<(), AuditError> {
        let cut = self.files.segment.set_len(durable).and_then(|()| self.files.segment.sync_all());
        cut.map_err(|error| AuditError::io(path, &error))
    }
}

/// Signs the durable entries, at most once a second and once more when the log closes.
pub(super) fn sign_checkpoints(shared: &Shared) {
    loop {
        let mut head = shared.head();
        let idle = |head: &Head| head.failed.is_some() || head.tree.size() == head.signed;
        while idle(&head) && !head.closing {
            head = shared.changed.wait(head).unwrap_or_else(PoisonError::into_inner);
        }
        if idle(&head) {
            return;
        }
        drop(head);
        if let Err(error) = write_checkpoint(shared) {
            shared.fail(&error);
            continue;
        }
        let head = shared.head();
        // Entries that arrive meanwhile wait for the next checkpoint; only closing is urgent.
        drop(shared.changed.wait_timeout_while(head, CHECKPOINT_EVERY, |head| !head.closing));
    }
}

fn write_checkpoint(shared: &Shared) -> Result<(), AuditError> {
    let mut file = lock(&shared.checkpoints);
    let (size, note) = shared.sign_head();
    shared.step(Step::Checkpoint).map_err(|error| AuditError::io(&shared.layout.checkpoints(), &error))?;
    file.append(&note)?;
    shared.head().signed = size;
    Ok(())
}
