//! One table: the only place that changes a log.
//!
//! A commit holds the table's lock from the look-up of its transaction until its entry is durable. Readers never wait
//! for it: they share the last published snapshot.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use arrow::datatypes::Schema;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};
use simpul_core::delivery::{Mode, StagedFile};
use simpul_core::id::DatasetId;
use uuid::Uuid;

use crate::action::{Action, Format, MetaData, Protocol, Txn};
use crate::durable;
use crate::error::{LakeError, Result};
use crate::log::{Log, LogError};
use crate::now_millis;
use crate::place;
use crate::schema::{self, ORIGIN, PERIOD};
use crate::stage::{self, Stager};
use crate::state::{DataFile, LastTxn, Snapshot, State};

/// A checkpoint is due after so many commits: a restart reads at most these and one file.
pub(crate) const CHECKPOINT_EVERY: u64 = 20;
/// How far back a replayed transaction is searched to tell its version.
const TXN_LOOKBACK: u64 = 10_000;
/// Older versions that are kept in memory for readers that page through them.
const OLD_SNAPSHOTS: usize = 8;
/// How often a commit is tried again after another process took its version.
const ATTEMPTS: usize = 5;
/// A file below this size is worth merging with its neighbours.
const SMALL_BYTES: u64 = 16 * 1024 * 1024;
/// Small files of one partition that make merging worth while.
const SMALL_FILES: usize = 8;
/// The most bytes that one merge reads.
const MERGE_BYTES: u64 = 128 * 1024 * 1024;

/// What a delivery does to a table.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Who delivers; with `sequence` the transaction identifier.
    pub source: String,
    /// The delivery's number within (source, dataset), rising.
    pub sequence: u64,
    /// How the rows join the table.
    pub mode: Mode,
    /// Who delivered first: the value of [`ORIGIN`] for the rows.
    pub origin: String,
    /// The table version that the delivery is based on. If a period that it replaces has changed since then, the commit is
    /// a conflict. Absent: whatever is there is replaced.
    pub base_version: Option<u64>,
    /// The rows.
    pub files: Vec<StagedFile>,
    /// What the log tells of the delivery to whoever reads it, such as its identifier.
    pub info: Map<String, Value>,
}

/// The effect of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The table version with the rows. Unknown only for a replay that is no longer in the log, or whose number was never
    /// committed although a later one was.
    pub version: Option<u64>,
    /// The transaction was there before, and this call changed nothing.
    pub replayed: bool,
    /// Rows that a replacement removed.
    pub removed_rows: u64,
}

/// One table and what is remembered of it.
#[derive(Debug)]
pub(crate) struct Table {
    dataset: DatasetId,
    folder: PathBuf,
    log: Log,
    /// Empty until the log is read, and after a write whose outcome is not known.
    state: Mutex<Option<State>>,
    latest: RwLock<Option<Arc<Snapshot>>>,
    old: Mutex<Vec<Arc<Snapshot>>>,
}

impl Table {
    pub fn new(root: &std::path::Path, dataset: DatasetId) -> Self {
        let folder = root.join(dataset.as_str());
        let log = Log::new(&folder);
        Self { dataset, folder, log, state: Mutex::default(), latest: RwLock::default(), old: Mutex::default() }
    }

    pub const fn dataset(&self) -> &DatasetId {
        &self.dataset
    }

    /// Whether the folder of the log is there.
    pub fn exists(&self) -> bool {
        self.log.folder().is_dir()
    }

    /// The newest version, from memory if it is there.
    pub fn cached(&self) -> Option<Arc<Snapshot>> {
        self.latest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The snapshot of `version`, or the newest.
    pub fn snapshot(&self, version: Option<u64>) -> Result<Arc<Snapshot>> {
        let latest = match self.cached() {
            Some(latest) => latest,
            None => Arc::new(self.with_state(|state| Ok(state.snapshot()))?),
        };
        match version {
            Some(version) if version != latest.version => self.old_snapshot(version, &latest),
            _ => Ok(latest),
        }
    }

    fn old_snapshot(&self, version: u64, latest: &Snapshot) -> Result<Arc<Snapshot>> {
        if version > latest.version {
            return Err(LakeError::UnknownVersion { version });
        }
        let remembered = |old: &[Arc<Snapshot>]| old.iter().find(|snapshot| snapshot.version == version).cloned();
        if let Some(found) = remembered(&self.old.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(found);
        }
        let state = self.log.load(Some(version)).map_err(|error| match error {
            LogError::Absent => LakeError::UnknownVersion { version },
            other => self.explain(other),
        })?;
        let snapshot = Arc::new(state.snapshot());
        // The log may reach further back than the data.
        if !snapshot.files.iter().all(|file| self.folder.join(&file.path).exists()) {
            return Err(LakeError::UnknownVersion { version });
        }
        let mut old = self.old.lock().unwrap_or_else(PoisonError::into_inner);
        if old.len() >= OLD_SNAPSHOTS {
            old.remove(0);
        }
        old.push(Arc::clone(&snapshot));
        Ok(snapshot)
    }

    fn explain(&self, error: LogError) -> LakeError {
        match error {
            LogError::Absent => LakeError::UnknownDataset(self.dataset.clone()),
            LogError::Damaged(detail) => LakeError::Corrupt { dataset: self.dataset.clone(), detail },
            LogError::Lake(error) => error,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the newest state, reading the log if need be.
    pub fn with_state<T>(&self, look: impl FnOnce(&State) -> Result<T>) -> Result<T> {
        let mut slot = self.lock();
        look(self.loaded(&mut slot)?)
    }

    fn loaded<'s>(&self, slot: &'s mut Option<State>) -> Result<&'s mut State> {
        if slot.is_none() {
            let state = self.log.load(None).map_err(|error| self.explain(error))?;
            self.publish(&state);
            *slot = Some(state);
        }
        slot.as_mut().ok_or(LakeError::Misuse("the state was just set"))
    }

    fn publish(&self, state: &State) {
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(state.snapshot()));
    }

    /// Writes the commit that `plan` makes of the newest state; none if it plans nothing. Should another process have taken
    /// the version, the log is read again and planned anew.
    fn write<T>(&self, plan: impl Fn(&State) -> Result<(T, Vec<Action>)>) -> Result<(T, u64)> {
        let mut slot = self.lock();
        for _ in 0..ATTEMPTS {
            let state = self.loaded(&mut slot)?;
            let (outcome, actions) = plan(state)?;
            if actions.is_empty() {
                return Ok((outcome, state.version));
            }
            let version = state.version + 1;
            // Until the entry is known to be durable, nothing is remembered: the next look is at the disk.
            let Some(mut state) = slot.take() else { continue };
            if self.log.write_commit(version, &actions)? {
                state
                    .apply(actions, version)
                    .map_err(|detail| LakeError::Corrupt { dataset: self.dataset.clone(), detail })?;
                self.publish(&state);
                *slot = Some(state);
                return Ok((outcome, version));
            }
        }
        Err(LakeError::Corrupt { dataset: self.dataset.clone(), detail: "another process writes to it".to_owned() })
    }

    /// Creates the table, or adds columns to it.
    pub fn ensure(&self, root: &std::path::Path, columns: &Schema) -> Result<()> {
        if let Err(LakeError::UnknownDataset(_)) = self.with_state(|_| Ok(())) {
            self.create(root, columns)?;
        }
        let added = self.write(|state| {
            let merged = schema::merge(Some(&state.schema), columns)?;
            if merged == state.schema {
                return Ok(((), Vec::new()));
            }
            let meta_data = MetaData { schema_string: schema::to_log(&merged)?, ..state.metadata.clone() };
            let info = info("ADD COLUMNS", json!({}), Map::new());
            Ok(((), vec![info, Action { meta_data: Some(meta_data), ..Action::default() }]))
        });
        added.map(|_| ())
    }

    fn create(&self, root: &std::path::Path, columns: &Schema) -> Result<()> {
        let columns = schema::merge(None, columns)?;
        let mut slot = self.lock();
        durable::create_folder(root, self.log.folder())?;
        let meta_data = Some(MetaData {
            id: Uuid::now_v7().to_string(),
            format: Format { provider: "parquet".to_owned(), options: Default::default() },
            schema_string: schema::to_log(&columns)?,
            partition_columns: vec![ORIGIN.to_owned(), PERIOD.to_owned()],
            configuration: Default::default(),
            created_time: Some(now_millis()),
        });
        let actions = [
            info("CREATE TABLE", json!({}), Map::new()),
            Action { protocol: Some(Protocol::OURS), ..Action::default() },
            Action { meta_data, ..Action::default() },
        ];
        // If the entry is there already, another call was faster: the columns that it lacks are added next.
        self.log.write_commit(0, &actions)?;
        *slot = None;
        Ok(())
    }

    /// The last transaction of `source`.
    pub fn last_txn(&self, source: &str) -> Result<Option<LastTxn>> {
        self.with_state(|state| Ok(state.txns.get(source).copied()))
    }

    /// See [`crate::Lake::commit`].
    pub fn commit(&self, commit: &Commit) -> Result<Committed> {
        let (outcome, version) = self.write(|state| {
            if let Some(last) = state.txns.get(&commit.source)
                && last.sequence >= commit.sequence
            {
                let version = if last.sequence == commit.sequence { last.version } else { None };
                return Ok((Err((version, state.version)), Vec::new()));
            }
            // A replay is answered even if its files are vacuumed by now.
            for file in &commit.files {
                let folder = place::folder(&commit.origin, file.period.as_deref())?;
                if !file.path.starts_with(&format!("{folder}/")) {
                    return Err(LakeError::Misuse("a file was staged for another origin or period"));
                }
                self.check_staged(file)?;
            }
            plan_commit(state, commit).map(|(removed, actions)| (Ok(removed), actions))
        })?;
        match outcome {
            Ok(removed_rows) => Ok(Committed { version: Some(version), replayed: false, removed_rows }),
            Err((known, newest)) => {
                let version = match known {
                    Some(version) => Some(version),
                    None => self.log.find_txn(&commit.source, commit.sequence, newest, TXN_LOOKBACK)?,
                };
                Ok(Committed { version, replayed: true, removed_rows: 0 })
            }
        }
    }

    /// A file that is committed must be there, whole, and of this table.
    fn check_staged(&self, file: &StagedFile) -> Result<()> {
        if !place::is_data_file(&file.path) {
            return Err(LakeError::Misuse("not the path of a staged file"));
        }
        let path = self.folder.join(&file.path);
        let found = fs::metadata(&path).map_err(|e| LakeError::io(&path, e))?;
        if found.len() == file.bytes { Ok(()) } else { Err(LakeError::Misuse("a staged file changed its size")) }
    }

    /// A stager for this table.
    pub fn stager(&self, prefix: &str, origin: &str) -> Result<Stager> {
        let snapshot = self.snapshot(None)?;
        Ok(Stager::new(self.folder.clone(), Arc::clone(&snapshot.schema), prefix, origin))
    }

    /// Removes staged files that will not be committed.
    pub fn discard(&self, files: &[StagedFile]) -> Result<()> {
        self.with_state(|state| {
            let used: HashSet<&str> = state.files.iter().map(|file| file.path.as_str()).collect();
            for file in files.iter().filter(|file| !used.contains(file.path.as_str())) {
                self.check_staged(file).or_else(|error| match error {
                    LakeError::Io { ref source, .. } if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
                    other => Err(other),
                })?;
                durable::remove(&self.folder.join(&file.path))?;
            }
            Ok(())
        })
    }

    /// Removes unfinished files, and data files that neither the log nor `keep` names.
    pub fn sweep(&self, keep: &HashSet<&str>) -> Result<u64> {
        let known = self.with_state(|state| {
            let active = state.files.iter().map(|file| file.path.clone());
            Ok(active.chain(state.tombstones.keys().cloned()).collect::<HashSet<String>>())
        });
        // A crash while the table was created leaves a folder without a log, and nothing in it counts.
        let known = match known {
            Err(LakeError::UnknownDataset(_)) => HashSet::new(),
            other => other?,
        };
        let mut removed = 0;
        for name in durable::names(self.log.folder())?.iter().filter(|name| name.starts_with(durable::TEMPORARY)) {
            durable::remove(&self.log.folder().join(name))?;
            removed += 1;
        }
        for path in place::data_files(&self.folder)? {
            if !known.contains(&path) && !keep.contains(path.as_str()) {
                durable::remove(&self.folder.join(path))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// See [`crate::Lake::vacuum`]. `before` is in milliseconds since 1970.
    pub fn vacuum(&self, before: i64, keep: &[u64]) -> Result<u64> {
        let mut needed = HashSet::new();
        for version in keep {
            match self.snapshot(Some(*version)) {
                Ok(kept) => needed.extend(kept.files.iter().map(|file| file.path.clone())),
                Err(LakeError::UnknownVersion { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        let mut slot = self.lock();
        let state = self.loaded(&mut slot)?;
        let mut removed = 0;
        let due = |path: &str, at: Option<i64>| at.is_some_and(|at| at < before) && !needed.contains(path);
        let paths: Vec<String> = state
            .tombstones
            .iter()
            .filter(|(path, tombstone)| due(path, tombstone.deletion_timestamp))
            .map(|(path, _)| path.clone())
            .collect();
        for path in paths {
            durable::remove(&self.folder.join(&path))?;
            state.tombstones.remove(&path);
            removed += 1;
        }
        drop(slot);
        self.old.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.log.trim(before, keep)?;
        Ok(removed)
    }

    /// Writes a checkpoint if one is due, or in any case if `force`. Does not hold up commits.
    pub fn checkpoint(&self, force: bool) -> Result<bool> {
        let state = self.with_state(|state| Ok(state.clone()))?;
        let since = state.version - state.checkpoint.unwrap_or(0).min(state.version);
        let due = since >= CHECKPOINT_EVERY || (force && state.checkpoint != Some(state.version));
        if !due {
            return Ok(false);
        }
        self.log.write_checkpoint(&state)?;
        if let Some(current) = self.lock().as_mut() {
            current.checkpoint = current.checkpoint.max(Some(state.version));
        }
        Ok(true)
    }

    /// See [`crate::Lake::compact`].
    pub fn compact(&self) -> Result<u64> {
        let mut merged = 0;
        let snapshot = self.snapshot(None)?;
        for group in mergeable(&snapshot) {
            merged += self.merge(&snapshot, &group)?;
        }
        Ok(merged)
    }

    fn merge(&self, snapshot: &Snapshot, group: &[Arc<DataFile>]) -> Result<u64> {
        let (Some(first), Some(since)) = (group.first(), group.iter().map(|file| file.since).max()) else {
            return Ok(0);
        };
        let mut stager = Stager::new(self.folder.clone(), Arc::clone(&snapshot.schema), "merged", &first.origin);
        for file in group {
            let path = self.folder.join(&file.path);
            let input = File::open(&path).map_err(|e| LakeError::io(&path, e))?;
            let reader = ParquetRecordBatchReaderBuilder::try_new(input).and_then(|builder| builder.build());
            for batch in reader.map_err(|e| LakeError::parquet(&path, e))? {
                stager.write(first.period.as_deref(), &stage::conform(&batch?, &snapshot.schema)?)?;
            }
        }
        let staged = stager.finish()?;
        let (done, _) = self.write(|state| {
            let active: HashSet<&str> = state.files.iter().map(|file| file.path.as_str()).collect();
            if !group.iter().all(|file| active.contains(file.path.as_str())) {
                return Ok((false, Vec::new()));
            }
            let now = now_millis();
            let mut actions = vec![info("OPTIMIZE", json!({}), Map::new())];
            actions.extend(group.iter().map(|file| remove(file, now, false)));
            actions.extend(staged.iter().map(|file| add(file, &first.origin, now, since, false)));
            Ok((true, actions))
        })?;
        if done { Ok(group.len() as u64) } else { self.discard(&staged).map(|()| 0) }
    }
}

/// The actions of `commit` on top of `state`, and the number of rows that it removes.
fn plan_commit(state: &State, commit: &Commit) -> Result<(u64, Vec<Action>)> {
    let now = now_millis();
    let version = state.version + 1;
    let periods: HashSet<Option<&str>> = commit.files.iter().map(|file| file.period.as_deref()).collect();
    let replaced: Vec<&Arc<DataFile>> = match commit.mode {
        Mode::Append => Vec::new(),
        Mode::Replace => {
            let taken =
                |file: &&Arc<DataFile>| file.origin == commit.origin && periods.contains(&file.period.as_deref());
            state.files.iter().filter(taken).collect()
        }
    };
    if let Some(base) = commit.base_version
        && let Some(newer) = replaced.iter().find(|file| file.since > base)
    {
        return Err(LakeError::Conflict { period: newer.period.clone(), version: newer.since });
    }
    let sequence = i64::try_from(commit.sequence).map_err(|_| LakeError::Misuse("a sequence number above 2^63"))?;
    let mode = match commit.mode {
        Mode::Append => "Append",
        Mode::Replace => "Overwrite",
    };
    let txn = Txn { app_id: commit.source.clone(), version: sequence, last_updated: Some(now) };
    let mut actions =
        vec![info("WRITE", json!({"mode": mode}), commit.info.clone()), Action { txn: Some(txn), ..Action::default() }];
    actions.extend(replaced.iter().map(|file| remove(file, now, true)));
    actions.extend(commit.files.iter().map(|file| add(file, &commit.origin, now, version, true)));
    Ok((replaced.iter().map(|file| file.rows).sum(), actions))
}

fn add(file: &StagedFile, origin: &str, now: i64, since: u64, data_change: bool) -> Action {
    let file = DataFile {
        path: file.path.clone(),
        origin: origin.to_owned(),
        period: file.period.clone(),
        rows: file.rows,
        bytes: file.bytes,
        modified: now,
        stats: file.stats.clone(),
        since,
    };
    Action { add: Some(file.to_add(data_change)), ..Action::default() }
}

fn remove(file: &DataFile, now: i64, data_change: bool) -> Action {
    Action { remove: Some(file.to_remove(now, data_change)), ..Action::default() }
}

fn info(operation: &str, parameters: Value, own: Map<String, Value>) -> Action {
    let info = json!({
        "timestamp": now_millis(),
        "operation": operation,
        "operationParameters": parameters,
        "engineInfo": concat!("simpul/", env!("CARGO_PKG_VERSION")),
        "simpul": own,
    });
    Action { commit_info: Some(info), ..Action::default() }
}

/// Groups of small files of one partition that are worth merging, in the order of the log.
fn mergeable(snapshot: &Snapshot) -> Vec<Vec<Arc<DataFile>>> {
    let mut partitions: std::collections::BTreeMap<_, Vec<Arc<DataFile>>> = Default::default();
    for file in snapshot.files.iter().filter(|file| file.bytes < SMALL_BYTES) {
        partitions.entry((&file.origin, &file.period)).or_default().push(Arc::clone(file));
    }
    let mut groups = Vec::new();
    for files in partitions.into_values() {
        let mut group: Vec<Arc<DataFile>> = Vec::new();
        for file in files {
            if group.iter().map(|held| held.bytes).sum::<u64>() + file.bytes > MERGE_BYTES {
                groups.push(std::mem::take(&mut group));
            }
            group.push(file);
        }
        groups.push(group);
    }
    groups.retain(|group| group.len() >= SMALL_FILES);
    groups
}
