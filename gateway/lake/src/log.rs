//! The Delta log of one table on disk: commits as JSON lines, checkpoints as Parquet.
//!
//! Names and contents follow the Delta protocol. A commit is published by linking a finished, synced file to its name,
//! which fails if the name is taken, and then syncing the folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::json::{LineDelimitedWriter, ReaderBuilder};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::action::Action;
use crate::durable;
use crate::error::{LakeError, Result};
use crate::state::State;

/// The folder of the log within the folder of a table.
pub(crate) const LOG: &str = "_delta_log";
/// Actions that become one batch of a checkpoint.
const CHECKPOINT_BATCH: usize = 4096;

/// The log of one table.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    folder: PathBuf,
}

/// What the folder of a log holds, each sorted.
struct Listing {
    commits: Vec<u64>,
    checkpoints: Vec<u64>,
}

/// Why a log cannot be read.
#[derive(Debug)]
pub(crate) enum LogError {
    /// There is no log, or not this version of it.
    Absent,
    /// It is there and damaged.
    Damaged(String),
    /// The disk refuses.
    Lake(LakeError),
}

impl From<LakeError> for LogError {
    fn from(error: LakeError) -> Self {
        Self::Lake(error)
    }
}

impl Log {
    pub fn new(table: &Path) -> Self {
        Self { folder: table.join(LOG) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn commit_path(&self, version: u64) -> PathBuf {
        self.folder.join(format!("{version:020}.json"))
    }

    fn checkpoint_path(&self, version: u64) -> PathBuf {
        self.folder.join(format!("{version:020}.checkpoint.parquet"))
    }

    fn list(&self) -> Result<Listing> {
        let mut listing = Listing { commits: Vec::new(), checkpoints: Vec::new() };
        for name in durable::names(&self.folder)? {
            let Some((version, rest)) = name.split_once('.') else { continue };
            let Some(version) = (version.len() == 20).then(|| version.parse().ok()).flatten() else { continue };
            match rest {
                "json" => listing.commits.push(version),
                "checkpoint.parquet" => listing.checkpoints.push(version),
                _ => {}
            }
        }
        listing.commits.sort_unstable();
        listing.checkpoints.sort_unstable();
        Ok(listing)
    }

    /// The state at `version`, or at the newest version.
    pub fn load(&self, version: Option<u64>) -> Result<State, LogError> {
        let listing = self.list()?;
        let newest = listing.commits.last().max(listing.checkpoints.last()).copied().ok_or(LogError::Absent)?;
        let wanted = version.unwrap_or(newest);
        if wanted > newest {
            return Err(LogError::Absent);
        }
        // An entry that is visible may have been published just before a crash: what is built on it must be durable.
        durable::sync_folder(&self.folder)?;
        let base = listing.checkpoints.iter().copied().rfind(|&checkpoint| checkpoint <= wanted);
        let mut state = match base {
            Some(checkpoint) => {
                let actions = self.read_checkpoint(checkpoint).map_err(LogError::Damaged)?;
                State::first(actions, checkpoint, true).map_err(LogError::Damaged)?
            }
            None if listing.commits.first() != Some(&0) => return Err(LogError::Absent),
            None => State::first(self.read_commit(0)?, 0, false).map_err(LogError::Damaged)?,
        };
        for next in state.version + 1..=wanted {
            if listing.commits.binary_search(&next).is_err() {
                return Err(LogError::Damaged(format!("version {next} is missing")));
            }
            state.apply(self.read_commit(next)?, next).map_err(LogError::Damaged)?;
        }
        state.checkpoint = listing.checkpoints.last().copied();
        Ok(state)
    }

    /// The actions of one commit.
    pub fn read_commit(&self, version: u64) -> Result<Vec<Action>, LogError> {
        let path = self.commit_path(version);
        let text = match fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(LogError::Absent),
            other => other.map_err(|e| LakeError::io(&path, e))?,
        };
        let parse = |line: &str| serde_json::from_str(line).map_err(|e| format!("version {version}: {e}"));
        text.lines()
            .filter(|line| !line.trim().is_empty())
            .map(parse)
            .collect::<Result<_, _>>()
            .map_err(LogError::Damaged)
    }

    /// Makes `actions` the commit `version`. False if that version exists already.
    pub fn write_commit(&self, version: u64, actions: &[Action]) -> Result<bool> {
        let mut text = Vec::new();
        for action in actions {
            serde_json::to_writer(&mut text, action).map_err(|_| LakeError::Misuse("an action that is not JSON"))?;
            text.push(b'\n');
        }
        durable::publish_new(&self.commit_path(version), &text)
    }

    /// The version of the commit with transaction (`app_id`, `sequence`), looking back at most `depth` versions from `newest`.
    pub fn find_txn(&self, app_id: &str, sequence: u64, newest: u64, depth: u64) -> Result<Option<u64>> {
        for version in (newest.saturating_sub(depth)..=newest).rev() {
            let actions = match self.read_commit(version) {
                Ok(actions) => actions,
                Err(LogError::Lake(error)) => return Err(error),
                Err(_) => return Ok(None),
            };
            let found = actions.iter().filter_map(|action| action.txn.as_ref()).find(|txn| txn.app_id == app_id);
            match found.map(|txn| u64::try_from(txn.version).unwrap_or(0)) {
                Some(held) if held == sequence => return Ok(Some(version)),
                Some(held) if held < sequence => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Writes the checkpoint of `state` and the hint that other readers look for.
    pub fn write_checkpoint(&self, state: &State) -> Result<()> {
        let draft = durable::temporary(&self.folder);
        let written = write_actions(&draft, state);
        let (size, bytes, adds) = written.inspect_err(|_| drop(fs::remove_file(&draft)))?;
        durable::rename_synced(&draft, &self.checkpoint_path(state.version))?;
        let hint = serde_json::json!({
            "version": state.version, "size": size, "sizeInBytes": bytes, "numOfAddFiles": adds,
        });
        durable::publish(&self.folder.join("_last_checkpoint"), hint.to_string().as_bytes())
    }

    fn read_checkpoint(&self, version: u64) -> Result<Vec<Action>, String> {
        let file = File::open(self.checkpoint_path(version)).map_err(|e| e.to_string())?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(CHECKPOINT_BATCH).build())
            .map_err(|e| format!("checkpoint {version}: {e}"))?;
        let mut actions = Vec::new();
        for batch in reader {
            let batch = batch.map_err(|e| format!("checkpoint {version}: {e}"))?;
            let mut lines = Vec::new();
            LineDelimitedWriter::new(&mut lines).write(&batch).map_err(|e| e.to_string())?;
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                actions.push(serde_json::from_slice(line).map_err(|e| format!("checkpoint {version}: {e}"))?);
            }
        }
        Ok(actions)
    }

    /// Removes the entries below the newest checkpoint that was written before `before` (milliseconds) and is not above any
    /// of `keep`: every later version stays readable.
    pub fn trim(&self, before: i64, keep: &[u64]) -> Result<()> {
        let listing = self.list()?;
        let old_enough = |version: &u64| {
            let written = fs::metadata(self.checkpoint_path(*version)).ok().map(|found| crate::modified_millis(&found));
            written.is_some_and(|written| written < before) && keep.iter().all(|kept| version <= kept)
        };
        let Some(base) = listing.checkpoints.iter().copied().rfind(old_enough) else { return Ok(()) };
        for version in listing.commits.into_iter().filter(|version| *version < base) {
            durable::remove(&self.commit_path(version))?;
        }
        for version in listing.checkpoints.into_iter().filter(|version| *version < base) {
            durable::remove(&self.checkpoint_path(version))?;
        }
        Ok(())
    }
}

/// Writes all actions of `state` to `path` and syncs it. Answers the number of actions, of bytes and of files.
fn write_actions(path: &Path, state: &State) -> Result<(usize, u64, usize)> {
    let schema = checkpoint_schema();
    let file = File::create_new(path).map_err(|e| LakeError::io(path, e))?;
    let level = ZstdLevel::try_new(1).map_err(|e| LakeError::parquet(path, e))?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
    let failed = |e| LakeError::parquet(path, e);
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).map_err(failed)?;
    let mut decoder = ReaderBuilder::new(schema).with_batch_size(CHECKPOINT_BATCH).build_decoder()?;
    let mut actions = state.to_actions();
    let mut count = 0;
    loop {
        let chunk: Vec<Action> = actions.by_ref().take(CHECKPOINT_BATCH).collect();
        if chunk.is_empty() {
            break;
        }
        count += chunk.len();
        decoder.serialize(&chunk)?;
        if let Some(batch) = decoder.flush()? {
            writer.write(&batch).map_err(failed)?;
        }
    }
    writer.finish().map_err(failed)?;
    let file = writer.inner();
    file.sync_all().map_err(|e| LakeError::io(path, e))?;
    let bytes = file.metadata().map_err(|e| LakeError::io(path, e))?.len();
    Ok((count, bytes, state.files.len()))
}

fn checkpoint_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let long = |name: &str| Field::new(name, DataType::Int64, true);
    let int = |name: &str| Field::new(name, DataType::Int32, true);
    let flag = |name: &str| Field::new(name, DataType::Boolean, true);
    let map = |name: &str| {
        let (key, value) = (Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true));
        Field::new_map(name, "key_value", key, value, false, true)
    };
    let group = |name: &str, fields: Vec<Field>| Field::new(name, DataType::Struct(Fields::from(fields)), true);
    Arc::new(Schema::new(vec![
        group("txn", vec![text("appId"), long("version"), long("lastUpdated")]),
        group(
            "add",
            vec![
                text("path"),
                map("partitionValues"),
                long("size"),
                long("modificationTime"),
                flag("dataChange"),
                text("stats"),
                map("tags"),
            ],
        ),
        group(
            "remove",
            vec![
                text("path"),
                long("deletionTimestamp"),
                flag("dataChange"),
                flag("extendedFileMetadata"),
                map("partitionValues"),
                long("size"),
            ],
        ),
        group(
            "metaData",
            vec![
                text("id"),
                group("format", vec![text("provider"), map("options")]),
                text("schemaString"),
                Field::new_list("partitionColumns", Field::new_list_field(DataType::Utf8, true), true),
                map("configuration"),
                long("createdTime"),
            ],
        ),
        group("protocol", vec![int("minReaderVersion"), int("minWriterVersion")]),
    ]))
}
