//! Committed data: one Delta table per dataset, with the queries and extracts that read it.
//!
//! A table is a folder that other software opens as it is: Parquet files and a log of the Delta protocol, reader version 1
//! and writer version 2. Every table is partitioned by [`ORIGIN`], who delivered a row first, and [`PERIOD`].
//!
//! The log is written and read by this crate. The `delta_kernel` crate (0.30) does not build with Arrow data without its
//! dependency on `object_store` with the clients of three clouds, and with them a second crypto library and a second HTTP
//! client; its file system does not sync. What the gateway needs of the protocol is small: `protocol`, `metaData`, `add`,
//! `remove`, `txn`, `commitInfo`, and checkpoints of one part.
//!
//! What is deliberately absent: a second writer (the gateway is the only one; a commit that finds its version taken reads
//! the log again all the same), deletion vectors, column mapping, and tables anywhere but in a local folder.
//!
//! Methods that are `async` do their work on blocking threads; [`Lake::open`], [`Lake::stage`] and [`Stager`] block.

mod action;
mod condition;
mod durable;
mod encode;
mod error;
mod extract;
mod log;
mod place;
mod prune;
mod rules;
mod scan;
mod schema;
mod stage;
mod state;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod work;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;
use simpul_core::access::View;
use simpul_core::delivery::StagedFile;
use simpul_core::id::DatasetId;
use simpul_core::time::Timestamp;

pub use encode::{CsvSafe, Encoding};
pub use error::{LakeError, Result};
pub use extract::Extract;
pub use rules::SqlRules;
pub use scan::{BATCH_ROWS, Rows, Scan};
pub use schema::{MAX_COLUMNS, ORIGIN, PERIOD};
pub use stage::{MAX_BUFFERED_BYTES, MAX_OPEN_PERIODS, ROW_GROUP_ROWS, Stager};
pub use table::{Commit, Committed};

use extract::Extracts;
use table::Table;
use tokio::sync::Semaphore;

/// How long [`Lake::maintain`] keeps removed files for readers of older versions.
pub const KEEP_REMOVED: Duration = Duration::from_secs(7 * 24 * 3600);

/// All tables of one node. Cheap to clone; every clone is the same lake.
#[derive(Clone, Debug)]
pub struct Lake {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    tables: Mutex<HashMap<DatasetId, Arc<Table>>>,
    engine: Arc<scan::Engine>,
    scans: Arc<Semaphore>,
    extracts: Extracts,
}

/// What a lake may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most scans at one time; more wait for their turn. Each holds a thread and a few batches. Default: 64.
    pub scans: usize,
    /// The most bytes that all extracts together take on disk; extracts that somebody holds may exceed it for a while.
    /// Default: 20 GiB.
    pub extract_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { scans: 64, extract_bytes: 20 * 1024 * 1024 * 1024 }
    }
}

/// What a round of [`Lake::maintain`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Small files that became part of a larger one.
    pub merged_files: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Data files removed for good.
    pub vacuumed_files: u64,
}

impl Lake {
    /// Opens the lake in the folder `root` with the usual limits, creating it if need be. Blocks.
    ///
    /// # Errors
    /// [`LakeError::Io`] if the folder cannot be created or read.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        Self::open_with(root, Limits::default())
    }

    /// [`Lake::open`] with other limits.
    ///
    /// # Errors
    /// [`LakeError::Io`] if the folder cannot be created or read.
    pub fn open_with(root: impl Into<PathBuf>, limits: Limits) -> Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|e| LakeError::io(&root, e))?;
        let root = root.canonicalize().map_err(|e| LakeError::io(&root, e))?;
        if let Some(above) = root.parent() {
            durable::sync_folder(above)?;
        }
        let engine = Arc::new(scan::Engine::new(&root)?);
        let scans = Arc::new(Semaphore::new(limits.scans));
        let extracts = Extracts::open(&root, limits.extract_bytes)?;
        Ok(Self { inner: Arc::new(Inner { root, tables: Mutex::default(), engine, scans, extracts }) })
    }

    /// Creates the table of `dataset` with `columns`, or adds those that are new (they are null in older rows). Columns of
    /// the table that are not in `columns` stay.
    ///
    /// # Errors
    /// [`LakeError::Schema`] if a column would change its type, or has one that a table cannot hold: text, booleans,
    /// signed integers, floats, `Decimal128`, `Date32`, `Binary` and microseconds in UTC it can.
    pub async fn ensure(&self, dataset: &DatasetId, columns: &SchemaRef) -> Result<()> {
        let columns = Arc::clone(columns);
        let table = self.remember(self.table(dataset));
        self.blocking(move |lake| table.ensure(&lake.inner.root, &columns)).await
    }

    /// The columns of `dataset`, without the partition columns; none if it has no table.
    ///
    /// # Errors
    /// [`LakeError::Corrupt`], [`LakeError::Io`].
    pub async fn columns(&self, dataset: &DatasetId) -> Result<Option<SchemaRef>> {
        self.latest(dataset).await.map(|found| found.map(|snapshot| Arc::clone(&snapshot.schema)))
    }

    /// The newest version of `dataset`; none if it has no table.
    ///
    /// # Errors
    /// [`LakeError::Corrupt`], [`LakeError::Io`].
    pub async fn version(&self, dataset: &DatasetId) -> Result<Option<u64>> {
        self.latest(dataset).await.map(|found| found.map(|snapshot| snapshot.version))
    }

    /// The rows of `dataset` in its newest version; none if it has no table.
    ///
    /// # Errors
    /// [`LakeError::Corrupt`], [`LakeError::Io`].
    pub async fn row_count(&self, dataset: &DatasetId) -> Result<Option<u64>> {
        let found = self.latest(dataset).await?;
        Ok(found.map(|snapshot| snapshot.files.iter().map(|file| file.rows).sum()))
    }

    async fn latest(&self, dataset: &DatasetId) -> Result<Option<Arc<state::Snapshot>>> {
        if let Some(cached) = self.table(dataset).cached() {
            return Ok(Some(cached));
        }
        let found = self.with_table(dataset, |_, table| table.snapshot(None)).await;
        unknown_is_none(found)
    }

    /// The sequence number of the last commit of `source` to `dataset`; none if there is none.
    ///
    /// # Errors
    /// [`LakeError::Corrupt`], [`LakeError::Io`].
    pub async fn last_sequence(&self, dataset: &DatasetId, source: &str) -> Result<Option<u64>> {
        let source = source.to_owned();
        let last = self.with_table(dataset, move |_, table| table.last_txn(&source)).await;
        Ok(unknown_is_none(last)?.flatten().map(|last| last.sequence))
    }

    /// Begins to stage the rows of delivery `delivery`, which `origin` delivered first. Blocks, as the stager does.
    ///
    /// # Errors
    /// [`LakeError::UnknownDataset`] before [`Lake::ensure`].
    pub fn stage(&self, dataset: &DatasetId, delivery: &str, origin: &str) -> Result<Stager> {
        self.table(dataset).stager(delivery, origin)
    }

    /// Makes staged rows visible, all of them in one step, durably before it answers. A transaction (source, sequence) that
    /// has been committed before, or one older than the last of its source, changes nothing and is answered as a replay.
    /// [`simpul_core::delivery::Mode::Replace`] removes what the same origin has in the periods of `commit.files`.
    ///
    /// # Errors
    /// [`LakeError::Conflict`], [`LakeError::NoSpace`], [`LakeError::Io`]: the rows are not visible, unless the failure came
    /// after the entry was published; trying the same commit again finds out and has no second effect.
    pub async fn commit(&self, dataset: &DatasetId, commit: Commit) -> Result<Committed> {
        self.with_table(dataset, move |_, table| table.commit(&commit)).await
    }

    /// Reads what `view` shows of `dataset`: its columns in its order, the rows that meet all of its filters, always in the
    /// same order for the same version.
    ///
    /// # Errors
    /// [`LakeError::UnknownDataset`], [`LakeError::UnknownVersion`], [`LakeError::Cursor`], [`LakeError::Column`],
    /// [`LakeError::FilterValue`].
    pub async fn scan(&self, dataset: &DatasetId, view: &View, scan: Scan) -> Result<Rows> {
        let named = scan.after.as_deref().map(scan::cursor_version).transpose()?;
        if named.is_some() && scan.version.is_some() && named != scan.version {
            return Err(LakeError::Cursor);
        }
        let permit = Arc::clone(&self.inner.scans).acquire_owned().await.map_err(|_| LakeError::CutOff)?;
        let (view, name) = (view.clone(), dataset.clone());
        let plan = self.with_table(dataset, move |lake, table| {
            let snapshot = table.snapshot(scan.version.or(named))?;
            scan::Plan::new(Arc::clone(&lake.inner.engine), &name, snapshot, &view, &scan)
        });
        Ok(plan.await?.run(permit))
    }

    /// The rows of data files of `dataset` as they were staged, file by file: what a delivery brought, to be passed on. A
    /// file that has left the table can be read until it is vacuumed.
    ///
    /// # Errors
    /// In the stream: [`LakeError::Io`] if a file is gone, [`LakeError::Parquet`]. It ends after an error.
    pub async fn read_files(
        &self,
        dataset: &DatasetId,
        files: Vec<StagedFile>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let permit = Arc::clone(&self.inner.scans).acquire_owned().await.map_err(|_| LakeError::CutOff)?;
        let folder = self.inner.root.join(dataset.as_str());
        Ok(work::blocking_stream(move |send| {
            let _permit = permit;
            stage::read(&folder, &files, send)
        }))
    }

    /// What `view` shows of `dataset` in `version` (absent: the newest), as one Parquet file. It is made once; callers who
    /// want the same at the same time wait for the one who makes it, and it goes on if that one stops waiting.
    ///
    /// # Errors
    /// Those of [`Lake::scan`], [`LakeError::ExtractTooLarge`], [`LakeError::NoSpace`], [`LakeError::Io`].
    pub async fn extract_parquet(&self, dataset: &DatasetId, view: &View, version: Option<u64>) -> Result<Extract> {
        let version = match version {
            Some(version) => version,
            None => self.version(dataset).await?.ok_or_else(|| LakeError::UnknownDataset(dataset.clone()))?,
        };
        let key = format!("{dataset}-{version}-{}", scan::view_tag(dataset, view));
        let gate = self.inner.extracts.gate(&key).await;
        let find = key.clone();
        if let Some(found) = self.blocking(move |lake| Ok(lake.inner.extracts.find(&find))).await? {
            return Ok(found);
        }
        let rows = self.scan(dataset, view, Scan { version: Some(version), ..Scan::default() }).await?;
        self.blocking(move |lake| {
            let made = lake.inner.extracts.make(&key, rows);
            drop(gate);
            made
        })
        .await
    }

    /// Removes staged files that will never be committed. Files that the log names, or that are gone, are left alone.
    ///
    /// # Errors
    /// [`LakeError::Io`].
    pub async fn discard(&self, dataset: &DatasetId, files: Vec<StagedFile>) -> Result<()> {
        self.with_table(dataset, move |_, table| table.discard(&files)).await
    }

    /// Removes what earlier runs left behind: unfinished files, and staged files that are not in `keep`. For the start of
    /// the node, before anything is staged. Answers the number of files.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Corrupt`].
    pub async fn sweep(&self, keep: Vec<(DatasetId, StagedFile)>) -> Result<u64> {
        self.blocking(move |lake| {
            let mut removed = 0;
            for table in lake.all_tables()? {
                let own = keep.iter().filter(|(dataset, _)| dataset == table.dataset());
                removed += table.sweep(&own.map(|(_, file)| file.path.as_str()).collect())?;
            }
            Ok(removed)
        })
        .await
    }

    /// Merges small files of the same partition. Readers see the same rows, in another order. Answers the number of files
    /// that were merged.
    ///
    /// # Errors
    /// [`LakeError::NoSpace`], [`LakeError::Io`], [`LakeError::Parquet`].
    pub async fn compact(&self, dataset: &DatasetId) -> Result<u64> {
        self.with_table(dataset, |_, table| table.compact()).await
    }

    /// Removes for good the files that left `dataset` before `keep_since`, except those of the versions in `keep`, and the
    /// log entries that no remaining version needs. Answers the number of data files.
    ///
    /// # Errors
    /// [`LakeError::Io`], [`LakeError::Corrupt`].
    pub async fn vacuum(&self, dataset: &DatasetId, keep_since: Timestamp, keep: Vec<u64>) -> Result<u64> {
        self.with_table(dataset, move |_, table| table.vacuum(keep_since.millis(), &keep)).await
    }

    /// One round of housekeeping over all tables: merge, checkpoint, vacuum what was removed more than [`KEEP_REMOVED`] ago
    /// and is in no version of `released`. To be called now and then; commits go on meanwhile. A table that fails is logged
    /// and does not keep the others from their turn.
    ///
    /// # Errors
    /// [`LakeError::Io`] if the root folder cannot be listed.
    pub async fn maintain(&self, released: Vec<(DatasetId, u64)>) -> Result<Maintained> {
        self.blocking(move |lake| {
            let mut done = Maintained::default();
            for table in lake.all_tables()? {
                let own = released.iter().filter(|(dataset, _)| dataset == table.dataset());
                let keep: Vec<u64> = own.map(|(_, version)| *version).collect();
                if let Err(error) = maintain_table(&table, &keep, &mut done) {
                    tracing::warn!(dataset = %table.dataset(), %error, "housekeeping failed");
                }
            }
            Ok(done)
        })
        .await
    }

    fn table(&self, dataset: &DatasetId) -> Arc<Table> {
        let mut tables = self.inner.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables.get(dataset) {
            return Arc::clone(table);
        }
        // A dataset that is only asked for leaves nothing behind.
        let table = Arc::new(Table::new(&self.inner.root, dataset.clone()));
        if table.exists() {
            tables.insert(dataset.clone(), Arc::clone(&table));
        }
        table
    }

    fn remember(&self, table: Arc<Table>) -> Arc<Table> {
        let mut tables = self.inner.tables.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tables.entry(table.dataset().clone()).or_insert(table))
    }

    fn all_tables(&self) -> Result<Vec<Arc<Table>>> {
        let names = durable::names(&self.inner.root)?;
        let datasets = names.into_iter().filter_map(|name| DatasetId::new(name).ok());
        Ok(datasets.map(|dataset| self.table(&dataset)).filter(|table| table.exists()).collect())
    }

    async fn with_table<T, F>(&self, dataset: &DatasetId, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Self, &Table) -> Result<T> + Send + 'static,
    {
        let table = self.table(dataset);
        self.blocking(move |lake| work(lake, &table)).await
    }

    /// Does `work` where it may block. It goes on to its end even if the caller stops waiting.
    async fn blocking<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> Result<T> + Send + 'static,
    {
        let lake = self.clone();
        tokio::task::spawn_blocking(move || work(&lake)).await.map_err(|_| LakeError::CutOff)?
    }
}

fn maintain_table(table: &Table, keep: &[u64], done: &mut Maintained) -> Result<()> {
    done.merged_files += table.compact()?;
    done.checkpoints += u64::from(table.checkpoint(false)?);
    let kept = i64::try_from(KEEP_REMOVED.as_millis()).unwrap_or(i64::MAX);
    done.vacuumed_files += table.vacuum(now_millis() - kept, keep)?;
    Ok(())
}

fn unknown_is_none<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(LakeError::UnknownDataset(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Milliseconds since 1970, as the log counts them.
pub(crate) fn now_millis() -> i64 {
    millis(SystemTime::now())
}

/// When a file was last written, in milliseconds since 1970; the far future if that is not known.
pub(crate) fn modified_millis(found: &fs::Metadata) -> i64 {
    found.modified().map_or(i64::MAX, millis)
}

fn millis(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
