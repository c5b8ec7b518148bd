//! Rows on their way into a table: durable Parquet files that no reader sees until a commit names them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use simpul_core::delivery::StagedFile;
use uuid::Uuid;

use crate::durable;
use crate::error::{LakeError, Result};
use crate::place;
use crate::stats;
use crate::work::Send;

/// The most periods that one delivery may hold. Each is an open file, and a delivery that spreads over more is a backlog
/// that its sender can split.
pub const MAX_OPEN_PERIODS: usize = 64;
/// The most bytes that the unfinished row groups of one delivery hold in memory before the largest is written out.
pub const MAX_BUFFERED_BYTES: usize = 64 * 1024 * 1024;
/// Rows in a row group: large enough to compress well, small enough to skip and to hold one in memory.
pub const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Rows that a delivery may have before it gets a thread that encodes them.
const ROWS_HERE: usize = 4096;
/// Batches that wait for the thread that encodes: enough that neither side waits for the other's uneven steps.
const JOBS_AHEAD: usize = 4;
/// Rows that are looked at to tell whether a column repeats its values.
const SAMPLE_ROWS: usize = 4096;
/// Rows in the first batch from which on a file gets Bloom filters: a smaller one is read as quickly as its filter.
const FILTERED_ROWS: usize = 1024;

/// Writes the accepted rows of one delivery. Every method blocks: call them where the rows are checked, not on a thread of
/// the async runtime. Files of a stager that is dropped before [`Stager::finish`] are removed.
///
/// A large delivery is encoded on a thread of its own, so that the next rows are checked meanwhile. What is wrong with the rows
/// (their columns, their period) is told by the call that brings them; what the disk refuses may be told by a later one.
#[derive(Debug)]
pub struct Stager {
    table: SchemaRef,
    /// The columns of this delivery, from its first batch on.
    schema: Option<SchemaRef>,
    origin: String,
    periods: BTreeSet<Option<String>>,
    rows: usize,
    work: Work,
}

/// Where the rows are encoded.
#[derive(Debug)]
enum Work {
    /// Where they come from: a small delivery is written before a thread would have begun.
    Here(Files),
    Apart(Apart),
    /// It failed.
    Over,
}

impl Stager {
    /// A stager of rows of `origin` for the table in `folder`, which has the columns `table`. The names of the files begin
    /// with `prefix`.
    pub(crate) fn new(folder: PathBuf, table: SchemaRef, prefix: &str, origin: &str) -> Self {
        let prefix = prefix.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
        let origin = origin.to_owned();
        let work = Work::Here(Files { folder, prefix, open: BTreeMap::new() });
        Self { table, schema: None, origin, periods: BTreeSet::new(), rows: 0, work }
    }

    /// Adds the rows of `batch` to `period` (absent in a dataset of events; not empty, and short enough to name a folder). The columns of every batch are the same, each
    /// with the type that the table has; columns of the table that are missing count as null.
    ///
    /// # Errors
    /// [`LakeError::TooManyPeriods`], [`LakeError::Schema`] if a column does not fit, [`LakeError::NoSpace`],
    /// [`LakeError::Io`], [`LakeError::CutOff`]. After an error the stager is of no more use.
    pub fn write(&mut self, period: Option<&str>, batch: &RecordBatch) -> Result<()> {
        self.check_columns(batch)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let part = Part { folder: place::folder(&self.origin, period)?, period: period.map(str::to_owned) };
        if !self.periods.contains(&part.period) {
            if self.periods.len() >= MAX_OPEN_PERIODS {
                return Err(LakeError::TooManyPeriods { limit: MAX_OPEN_PERIODS });
            }
            self.periods.insert(part.period.clone());
        }
        if self.rows >= ROWS_HERE && matches!(self.work, Work::Here(_)) {
            self.work = match std::mem::replace(&mut self.work, Work::Over) {
                Work::Here(files) => Work::Apart(Apart::start(files)?),
                other => other,
            };
        }
        self.rows += batch.num_rows();
        let written = match &mut self.work {
            Work::Here(files) => files.write(&part, batch),
            Work::Apart(apart) => apart.write(part, batch.clone()),
            Work::Over => Err(LakeError::CutOff),
        };
        written.inspect_err(|_| self.work = Work::Over)
    }

    /// Completes every file and makes it durable. Nothing is visible until the files are committed.
    ///
    /// # Errors
    /// [`LakeError::NoSpace`], [`LakeError::Io`], [`LakeError::Parquet`], [`LakeError::CutOff`]; the files are removed then.
    pub fn finish(self) -> Result<Vec<StagedFile>> {
        match self.work {
            Work::Here(files) => files.finish(self.schema.as_ref()),
            Work::Apart(apart) => apart.finish(self.schema),
            Work::Over => Err(LakeError::CutOff),
        }
    }

    fn check_columns(&mut self, batch: &RecordBatch) -> Result<()> {
        if let Some(schema) = &self.schema {
            return if *schema == batch.schema() {
                Ok(())
            } else {
                Err(LakeError::Schema("the batches of a delivery differ in their columns".to_owned()))
            };
        }
        for field in batch.schema_ref().fields() {
            let fits = self.table.field_with_name(field.name()).is_ok_and(|own| own.data_type() == field.data_type());
            if !fits {
                let (name, kind) = (field.name(), field.data_type());
                return Err(LakeError::Schema(format!("the table has no column {name} of type {kind}")));
            }
        }
        self.schema = Some(batch.schema());
        Ok(())
    }
}

/// What the thread that encodes is told.
enum Job {
    Write(Part, RecordBatch),
    /// The delivery is complete; its columns, if it has any.
    Finish(Option<SchemaRef>),
}

/// A thread that encodes. It ends with its sender; files that are not finished then are removed.
#[derive(Debug)]
struct Apart {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<Result<Vec<StagedFile>>>>,
}

impl Apart {
    fn start(files: Files) -> Result<Self> {
        let (jobs, received) = sync_channel(JOBS_AHEAD);
        let folder = files.folder.clone();
        let thread = thread::Builder::new().name("stage".to_owned()).spawn(move || encode(files, &received));
        let thread = thread.map_err(|e| LakeError::io(&folder, e))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands rows over, and waits while the thread is behind.
    fn write(&mut self, part: Part, batch: RecordBatch) -> Result<()> {
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(Job::Write(part, batch)).is_ok());
        if sent { Ok(()) } else { self.end().and(Err(LakeError::CutOff)) }
    }

    fn finish(mut self, schema: Option<SchemaRef>) -> Result<Vec<StagedFile>> {
        if let Some(jobs) = &self.jobs {
            // A thread that takes no more jobs has its reason, which comes below.
            let _ = jobs.send(Job::Finish(schema));
        }
        self.end()
    }

    /// Waits for the thread and gives what it came to. A panic is [`LakeError::CutOff`].
    fn end(&mut self) -> Result<Vec<StagedFile>> {
        self.jobs = None;
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or(Err(LakeError::CutOff))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // When this is gone, so are its files.
        let _ = self.end();
    }
}

fn encode(mut files: Files, jobs: &Receiver<Job>) -> Result<Vec<StagedFile>> {
    for job in jobs {
        match job {
            Job::Write(part, batch) => files.write(&part, &batch)?,
            Job::Finish(schema) => return files.finish(schema.as_ref()),
        }
    }
    Err(LakeError::CutOff)
}

/// Where rows belong.
struct Part {
    period: Option<String>,
    /// Its folder, relative to that of the table.
    folder: String,
}

/// The open files of a delivery.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    prefix: String,
    open: BTreeMap<Option<String>, Open>,
}

struct Open {
    relative: String,
    path: PathBuf,
    writer: ArrowWriter<File>,
    rows: u64,
    /// Columns of floating-point numbers in which a value that is not a number was seen.
    not_numbers: HashSet<usize>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("path", &self.path).field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Files {
    fn write(&mut self, part: &Part, batch: &RecordBatch) -> Result<()> {
        if !self.open.contains_key(&part.period) {
            let open = self.open_file(&part.folder, batch)?;
            self.open.insert(part.period.clone(), open);
        }
        let open = self.open.get_mut(&part.period).ok_or(LakeError::CutOff)?;
        open.writer.write(batch).map_err(|e| LakeError::parquet(&open.path, e))?;
        open.rows += batch.num_rows() as u64;
        note_not_numbers(batch, &mut open.not_numbers);
        self.relieve()
    }

    fn finish(mut self, schema: Option<&SchemaRef>) -> Result<Vec<StagedFile>> {
        let mut staged = Vec::with_capacity(self.open.len());
        for (period, open) in &mut self.open {
            let metadata = open.writer.finish().map_err(|e| LakeError::parquet(&open.path, e))?;
            let file = open.writer.inner();
            let synced = file.sync_all().and_then(|()| file.metadata());
            staged.push(StagedFile {
                path: open.relative.clone(),
                period: period.clone(),
                rows: open.rows,
                bytes: synced.map_err(|e| LakeError::io(&open.path, e))?.len(),
                stats: stats::of(&metadata, schema.map(Arc::as_ref), &open.not_numbers),
            });
        }
        for folder in self.open.values().filter_map(|open| open.path.parent()) {
            durable::sync_folder(folder)?;
        }
        self.open.clear();
        Ok(staged)
    }

    fn open_file(&self, partition: &str, first: &RecordBatch) -> Result<Open> {
        durable::create_folder(&self.folder, &self.folder.join(partition))?;
        let relative = format!("{partition}/{}-{}.parquet", self.prefix, Uuid::now_v7());
        let path = self.folder.join(&relative);
        let file = File::create_new(&path).map_err(|e| LakeError::io(&path, e))?;
        let writer = ArrowWriter::try_new(file, first.schema(), Some(properties(first)?));
        let writer = writer.map_err(|e| LakeError::parquet(&path, e))?;
        Ok(Open { relative, path, writer, rows: 0, not_numbers: HashSet::new() })
    }

    /// Writes out the largest row group once all of them together hold too much memory.
    fn relieve(&mut self) -> Result<()> {
        if self.open.values().map(|open| open.writer.memory_size()).sum::<usize>() <= MAX_BUFFERED_BYTES {
            return Ok(());
        }
        match self.open.values_mut().max_by_key(|open| open.writer.memory_size()) {
            Some(open) => open.writer.flush().map_err(|e| LakeError::parquet(&open.path, e)),
            None => Ok(()),
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for open in self.open.values() {
            let _ = fs::remove_file(&open.path);
        }
    }
}

/// Sends the rows of `files` of the table in `folder`, one file after the other.
pub(crate) fn read(folder: &Path, files: &[StagedFile], send: Send<'_, RecordBatch>) -> Result<()> {
    for file in files {
        let path = folder.join(&file.path);
        let input = File::open(&path).map_err(|e| LakeError::io(&path, e))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(input).and_then(|builder| builder.build());
        for batch in reader.map_err(|e| LakeError::parquet(&path, e))? {
            if !send(batch?) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// How data files are written: columns whose values hardly repeat in `sample` get no dictionary, and identifiers among them a
/// Bloom filter, so that who asks for one of them reads no row group that cannot have it. Names and addresses, which nobody
/// looks up by their whole text, have spaces and get none.
pub(crate) fn properties(sample: &RecordBatch) -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(1).map_err(|e| LakeError::parquet(Path::new(""), e))?;
    let mut properties = WriterProperties::builder()
        .set_created_by("simpul".to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    for (field, column) in sample.schema_ref().fields().iter().zip(sample.columns()) {
        if hardly_repeats(column)? {
            let path = ColumnPath::new(vec![field.name().clone()]);
            let identifies = matches!(field.data_type(), DataType::Utf8 | DataType::Int64) && !has_spaces(column);
            let filtered = identifies && sample.num_rows() >= FILTERED_ROWS;
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_bloom_filter_enabled(path.clone(), filtered);
            if *field.data_type() == DataType::Utf8 {
                // Lengths apart from the texts: a tenth less work than a length before each text, and every reader knows it.
                properties = properties.set_column_encoding(path, Encoding::DELTA_LENGTH_BYTE_ARRAY);
            }
        }
    }
    Ok(properties.build())
}

/// Whether more than three quarters of the first values are distinct.
fn hardly_repeats(column: &ArrayRef) -> Result<bool> {
    let sample = column.slice(0, column.len().min(SAMPLE_ROWS));
    let converter = RowConverter::new(vec![SortField::new(sample.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(&sample))?;
    let distinct: HashSet<&[u8]> = rows.iter().map(|row| row.data()).collect();
    Ok(distinct.len() * 4 > sample.len() * 3)
}

/// Whether one of the first values is of several words.
fn has_spaces(column: &ArrayRef) -> bool {
    let texts = column.as_string_opt::<i32>();
    texts.is_some_and(|texts| texts.iter().take(SAMPLE_ROWS).flatten().any(|text| text.contains(' ')))
}

fn note_not_numbers(batch: &RecordBatch, seen: &mut HashSet<usize>) {
    for (index, column) in batch.columns().iter().enumerate() {
        let found = match column.data_type() {
            DataType::Float32 => column.as_primitive::<Float32Type>().iter().flatten().any(f32::is_nan),
            DataType::Float64 => column.as_primitive::<Float64Type>().iter().flatten().any(f64::is_nan),
            _ => false,
        };
        if found {
            seen.insert(index);
        }
    }
}

/// `batch` with exactly the columns of `schema`, in its order; missing ones are null.
pub(crate) fn conform(batch: &RecordBatch, schema: &Arc<Schema>) -> Result<RecordBatch> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => Arc::clone(column),
        None => arrow::array::new_null_array(field.data_type(), batch.num_rows()),
    });
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect())?)
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn a_thread_that_dies_is_an_error_and_not_the_end() {
        let dies = || {
            let (jobs, received) = sync_channel::<Job>(JOBS_AHEAD);
            let thread = thread::spawn(move || {
                drop(received.recv());
                panic!("expected by the test")
            });
            Apart { jobs: Some(jobs), thread: Some(thread) }
        };
        let rows = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
        let part = || Part { period: None, folder: String::new() };
        assert!(matches!(dies().finish(None), Err(LakeError::CutOff)));
        let mut apart = dies();
        let told = std::iter::repeat_with(|| apart.write(part(), rows.clone())).find_map(Result::err);
        assert!(matches!(told, Some(LakeError::CutOff)));
        drop(dies());
    }
}
