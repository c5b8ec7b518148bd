//! Extracts: what one view shows of one version, as one immutable Parquet file.
//!
//! 1. The name of an extract is its dataset, version and view; whoever asks for the same gets the same file.
//! 2. One caller makes it while the others wait: rows stream from a scan into a draft, hashed on the way.
//! 3. The synced draft gets its name, then a description with digest and counts appears beside it. Without a description
//!    an extract does not count, so a crash between the two leaves only something to make again.
//! 4. While all extracts together are larger than the limit, the one that was asked for the longest ago is removed, unless
//!    somebody holds it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use parquet::arrow::ArrowWriter;
use serde::{Deserialize, Serialize};
use simpul_core::digest::{Digest, Digester};
use tokio::sync::OwnedMutexGuard;

use crate::durable;
use crate::error::{LakeError, Result};
use crate::scan::Rows;
use crate::stage::{self, MAX_BUFFERED_BYTES};

/// The folder of extracts in the folder of the lake; no dataset can have this name.
pub(crate) const EXTRACTS: &str = ".extracts";

/// A finished extract. The file stays at `path` as long as this value or a clone of it lives.
#[derive(Clone, Debug)]
pub struct Extract {
    /// Where it is.
    pub path: PathBuf,
    /// Its digest.
    pub sha256: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// The table version that it shows.
    pub version: u64,
    _lease: Arc<()>,
}

/// The description that lies beside an extract.
#[derive(Serialize, Deserialize)]
struct Description {
    sha256: Digest,
    bytes: u64,
    rows: u64,
    version: u64,
}

/// All extracts of a lake.
#[derive(Debug)]
pub(crate) struct Extracts {
    folder: PathBuf,
    /// The most bytes of all together.
    limit: u64,
    /// One lock per extract that is being looked up or made.
    gates: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    /// Who holds which file.
    leases: Mutex<HashMap<PathBuf, Weak<()>>>,
}

impl Extracts {
    /// Opens the folder and removes what is unfinished.
    pub fn open(root: &Path, limit: u64) -> Result<Self> {
        let folder = root.join(EXTRACTS);
        durable::create_folder(root, &folder)?;
        let names = durable::names(&folder)?;
        for name in &names {
            let described = name.strip_suffix(".parquet").is_some_and(|key| names.contains(&format!("{key}.json")));
            if !described && !name.ends_with(".json") {
                durable::remove(&folder.join(name))?;
            }
        }
        Ok(Self { folder, limit, gates: Mutex::default(), leases: Mutex::default() })
    }

    /// Waits until nobody else makes the extract `key`, and keeps others from it.
    pub async fn gate(&self, key: &str) -> OwnedMutexGuard<()> {
        let gate = {
            let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
            gates.retain(|_, gate| gate.strong_count() > 0);
            let known = gates.get(key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let fresh = Arc::new(tokio::sync::Mutex::new(()));
                gates.insert(key.to_owned(), Arc::downgrade(&fresh));
                fresh
            })
        };
        gate.lock_owned().await
    }

    /// The extract `key` if it is there. The caller holds its gate.
    pub fn find(&self, key: &str) -> Option<Extract> {
        // Held before it is looked at, so that it is not removed in between.
        let path = self.path(key);
        let lease = self.lease(&path);
        let description: Description =
            serde_json::from_slice(&fs::read(self.folder.join(format!("{key}.json"))).ok()?).ok()?;
        let file = File::open(&path).ok()?;
        if file.metadata().ok()?.len() != description.bytes {
            return None;
        }
        let _ = file.set_modified(SystemTime::now());
        Some(description.at(path, lease))
    }

    /// Makes the extract `key` of `rows`. The caller holds its gate. Blocks.
    pub fn make(&self, key: &str, rows: Rows) -> Result<Extract> {
        let draft = durable::temporary(&self.folder);
        let described = self.write(&draft, rows).inspect_err(|_| drop(fs::remove_file(&draft)))?;
        let path = self.path(key);
        let lease = self.lease(&path);
        durable::rename_synced(&draft, &path)?;
        let text = serde_json::to_vec(&described).map_err(|_| LakeError::Misuse("a description that is not JSON"))?;
        durable::publish(&self.folder.join(format!("{key}.json")), &text)?;
        self.evict()?;
        Ok(described.at(path, lease))
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.parquet"))
    }

    fn lease(&self, path: &Path) -> Arc<()> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.retain(|_, lease| lease.strong_count() > 0);
        leases.get(path).and_then(Weak::upgrade).unwrap_or_else(|| {
            let lease = Arc::new(());
            leases.insert(path.to_owned(), Arc::downgrade(&lease));
            lease
        })
    }

    fn write(&self, draft: &Path, mut rows: Rows) -> Result<Description> {
        let version = rows.version();
        let schema = rows.schema();
        let mut next = rows.blocking_next()?;
        let sample = next.clone().unwrap_or_else(|| arrow::array::RecordBatch::new_empty(Arc::clone(&schema)));
        let file = File::create_new(draft).map_err(|e| LakeError::io(draft, e))?;
        let sink = Hashed { file, digester: Digester::default(), bytes: 0 };
        let failed = |e| LakeError::parquet(draft, e);
        let mut writer = ArrowWriter::try_new(sink, schema, Some(stage::properties(&sample)?)).map_err(failed)?;
        let mut count = 0;
        while let Some(batch) = next {
            count += batch.num_rows() as u64;
            writer.write(&batch).map_err(failed)?;
            if writer.memory_size() > MAX_BUFFERED_BYTES {
                writer.flush().map_err(failed)?;
            }
            if writer.bytes_written() as u64 > self.limit {
                return Err(LakeError::ExtractTooLarge { limit: self.limit });
            }
            next = rows.blocking_next()?;
        }
        let sink = writer.into_inner().map_err(failed)?;
        sink.file.sync_all().map_err(|e| LakeError::io(draft, e))?;
        Ok(Description { sha256: sink.digester.finish(), bytes: sink.bytes, rows: count, version })
    }

    fn evict(&self) -> Result<()> {
        let mut found = Vec::new();
        for name in durable::names(&self.folder)?.iter().filter(|name| name.ends_with(".parquet")) {
            let path = self.folder.join(name);
            if let Ok(metadata) = fs::metadata(&path) {
                found.push((crate::modified_millis(&metadata), metadata.len(), path));
            }
        }
        found.sort();
        let mut total: u64 = found.iter().map(|(_, bytes, _)| bytes).sum();
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, bytes, path) in found {
            if total <= self.limit {
                break;
            }
            if leases.get(&path).is_some_and(|lease| lease.strong_count() > 0) {
                continue;
            }
            durable::remove(&path.with_extension("json"))?;
            durable::remove(&path)?;
            total -= bytes;
        }
        Ok(())
    }
}

impl Description {
    fn at(self, path: PathBuf, lease: Arc<()>) -> Extract {
        let Self { sha256, bytes, rows, version } = self;
        Extract { path, sha256, bytes, rows, version, _lease: lease }
    }
}

/// A file that is hashed while it is written.
struct Hashed {
    file: File,
    digester: Digester,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.file.write(piece)?;
        self.digester.update(&piece[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
