//! What the log of one table amounts to at one version.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use serde::Deserialize;

use crate::action::{Action, Add, MetaData, Remove, Txn};
use crate::place;
use crate::schema::{self, ORIGIN, PERIOD};

/// The tag of an `add` that holds the version in which its rows came or changed, which compaction leaves as it was.
const SINCE: &str = "simpul.since";

/// One data file of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataFile {
    /// Relative to the folder of the table.
    pub path: String,
    pub origin: String,
    pub period: Option<String>,
    pub rows: u64,
    pub bytes: u64,
    /// Milliseconds since 1970.
    pub modified: i64,
    pub stats: String,
    /// The version in which its rows came.
    pub since: u64,
}

/// What a reader needs to know of one version.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Snapshot {
    pub version: u64,
    /// The columns of the contract, without the partition columns.
    pub schema: SchemaRef,
    /// In the order of the log, which is the order that rows are read in.
    pub files: Arc<Vec<Arc<DataFile>>>,
}

/// The last transaction of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastTxn {
    pub sequence: u64,
    /// The table version that it made; unknown after reading a checkpoint.
    pub version: Option<u64>,
    pub updated: Option<i64>,
}

/// The whole of one version.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub version: u64,
    pub metadata: MetaData,
    pub schema: SchemaRef,
    pub files: Arc<Vec<Arc<DataFile>>>,
    pub txns: BTreeMap<String, LastTxn>,
    /// Removed files that may still be on disk, by path.
    pub tombstones: BTreeMap<String, Remove>,
    /// The version of the newest checkpoint.
    pub checkpoint: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RowCount {
    num_records: u64,
}

impl DataFile {
    /// The file in the form of the log.
    pub fn to_add(&self, data_change: bool) -> Add {
        Add {
            path: place::to_log(&self.path),
            partition_values: self.partition_values(),
            size: i64::try_from(self.bytes).unwrap_or(i64::MAX),
            modification_time: self.modified,
            data_change,
            stats: Some(self.stats.clone()),
            tags: Some(BTreeMap::from([(SINCE.to_owned(), Some(self.since.to_string()))])),
        }
    }

    /// The file's removal at `now` in the form of the log.
    pub fn to_remove(&self, now: i64, data_change: bool) -> Remove {
        Remove {
            path: place::to_log(&self.path),
            deletion_timestamp: Some(now),
            data_change,
            extended_file_metadata: Some(true),
            partition_values: Some(self.partition_values()),
            size: i64::try_from(self.bytes).ok(),
        }
    }

    fn partition_values(&self) -> BTreeMap<String, Option<String>> {
        BTreeMap::from([(ORIGIN.to_owned(), Some(self.origin.clone())), (PERIOD.to_owned(), self.period.clone())])
    }

    fn from_add(add: Add, version: u64) -> Result<Self, String> {
        let mut values = add.partition_values;
        let stats = add.stats.ok_or_else(|| format!("{} has no row count", add.path))?;
        let counted: RowCount = serde_json::from_str(&stats).map_err(|e| format!("statistics of {}: {e}", add.path))?;
        let tag = add.tags.as_ref().and_then(|tags| tags.get(SINCE)).and_then(Option::as_deref);
        Ok(Self {
            since: tag.and_then(|tag| tag.parse().ok()).unwrap_or(version),
            origin: values.remove(ORIGIN).flatten().unwrap_or_default(),
            period: values.remove(PERIOD).flatten(),
            rows: counted.num_records,
            bytes: u64::try_from(add.size).map_err(|_| format!("size of {}", add.path))?,
            modified: add.modification_time,
            path: place::from_log(&add.path),
            stats,
        })
    }
}

impl State {
    /// The version that `actions`, the first of a table or a whole checkpoint, describe.
    ///
    /// # Errors
    /// A text that says what is missing or not understood.
    pub fn first(actions: Vec<Action>, version: u64, checkpoint: bool) -> Result<Self, String> {
        let metadata = actions.iter().find_map(|a| a.meta_data.clone()).ok_or("no metaData action")?;
        let mut state = Self {
            version,
            schema: schema::from_log(&metadata.schema_string)?,
            metadata,
            files: Arc::default(),
            txns: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            checkpoint: checkpoint.then_some(version),
        };
        state.apply(actions, version)?;
        if checkpoint {
            state.txns.values_mut().for_each(|txn| txn.version = None);
        }
        Ok(state)
    }

    /// Moves on to `version`, which `actions` make.
    ///
    /// # Errors
    /// A text that says what is not understood; the state must not be used any more.
    pub fn apply(&mut self, actions: Vec<Action>, version: u64) -> Result<(), String> {
        let mut added = Vec::new();
        let mut removed = HashSet::new();
        for action in actions {
            if let Some(protocol) = action.protocol
                && (protocol.min_reader_version > 1 || protocol.min_writer_version > 2)
            {
                return Err(format!("{protocol:?} is not understood"));
            }
            if let Some(metadata) = action.meta_data {
                self.schema = schema::from_log(&metadata.schema_string)?;
                self.metadata = metadata;
            }
            if let Some(Txn { app_id, version: sequence, last_updated: updated }) = action.txn {
                let sequence = u64::try_from(sequence).map_err(|_| "a negative transaction number")?;
                self.txns.insert(app_id, LastTxn { sequence, version: Some(version), updated });
            }
            if let Some(remove) = action.remove {
                let path = place::from_log(&remove.path);
                removed.insert(path.clone());
                self.tombstones.insert(path, remove);
            }
            if let Some(add) = action.add {
                added.push(Arc::new(DataFile::from_add(add, version)?));
            }
        }
        if !removed.is_empty() || !added.is_empty() {
            let files = Arc::make_mut(&mut self.files);
            if !removed.is_empty() {
                files.retain(|file| !removed.contains(&file.path));
            }
            files.extend(added);
        }
        self.version = version;
        Ok(())
    }

    /// The part that readers share.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { version: self.version, schema: Arc::clone(&self.schema), files: Arc::clone(&self.files) }
    }

    /// Everything, in the order of a checkpoint.
    pub fn to_actions(&self) -> impl Iterator<Item = Action> {
        let head = [
            Action { protocol: Some(crate::action::Protocol::OURS), ..Action::default() },
            Action { meta_data: Some(self.metadata.clone()), ..Action::default() },
        ];
        let txns = self.txns.iter().map(|(app_id, txn)| {
            let version = i64::try_from(txn.sequence).unwrap_or(i64::MAX);
            let txn = Txn { app_id: app_id.clone(), version, last_updated: txn.updated };
            Action { txn: Some(txn), ..Action::default() }
        });
        let removes = self.tombstones.values().map(|r| Action { remove: Some(r.clone()), ..Action::default() });
        let adds = self.files.iter().map(|file| Action { add: Some(file.to_add(false)), ..Action::default() });
        head.into_iter().chain(txns).chain(removes).chain(adds)
    }
}
