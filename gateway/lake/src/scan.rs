//! Reading: the rows of one version that a view shows, file by file in the order of the log.
//!
//! 1. The snapshot of the wanted version gives the files; those whose partition values or statistics fail a filter are left
//!    out.
//! 2. The filters on columns become one predicate, which the Parquet reader applies to row groups, pages and rows.
//! 3. Each file is read with the visible columns and the number of each row within its file.
//! 4. Masked columns are covered, the row number becomes the position that a cursor keeps, and the batch is sent on.
//!
//! All of it runs on a blocking thread, at most [`AHEAD`] batches ahead of the reader.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::DateTime;
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetRowSelection};
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::TaskContext;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_expr::{PhysicalExpr, conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter_pushdown::PushedDown;
use futures::{Stream, StreamExt};
use object_store::local::LocalFileSystem;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::RowNumber;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use serde::{Deserialize, Serialize};
use simpul_core::access::View;
use simpul_core::agreement::Visibility;
use simpul_core::digest::Digest;
use simpul_core::id::DatasetId;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::condition;
use crate::error::{LakeError, Result};
use crate::prune;
use crate::schema::{self, ORIGIN, PERIOD, ROW_NUMBER};
use crate::state::{DataFile, Snapshot};

/// Rows in a batch that a scan gives, at most.
pub const BATCH_ROWS: usize = 8192;
/// Batches that are read before the reader asks for them.
const AHEAD: usize = 2;
/// Memory for the footers of files that were read lately, in bytes.
const FOOTER_CACHE_BYTES: usize = 32 * 1024 * 1024;
/// The longest text that is looked at as a cursor, in bytes.
const MAX_CURSOR: usize = 256;
/// Characters of a masked value that are shown.
const SHOWN: usize = 2;
/// Characters that a text must have, and one more, to show any of them.
const LONG: usize = 9;
/// What stands for the others.
const COVER: &str = "***";
/// The name under which the engine knows the folder of the lake.
const STORE: &str = "lake://tables";

type Expr = Arc<dyn PhysicalExpr>;

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// The table version; absent: the newest, or the cursor's.
    pub version: Option<u64>,
    /// Where the page before ended: a text that [`Rows::cursor`] gave.
    pub after: Option<String>,
    /// The most rows; absent: all.
    pub limit: Option<u64>,
}

/// A place between two rows of one version under one view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    /// The version.
    v: u64,
    /// Index of the file in the version.
    f: usize,
    /// Rows of the file that lie before.
    r: u64,
    /// What ties it to its dataset and view.
    t: String,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for Cursor {
    type Err = LakeError;
    fn from_str(text: &str) -> Result<Self> {
        if text.len() > MAX_CURSOR {
            return Err(LakeError::Cursor);
        }
        let json = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| LakeError::Cursor)?;
        serde_json::from_slice(&json).map_err(|_| LakeError::Cursor)
    }
}

/// A name for `view` of `dataset`: two views with the same name show the same.
pub(crate) fn view_tag(dataset: &DatasetId, view: &View) -> String {
    let text = serde_json::to_vec(&(dataset, view)).unwrap_or_default();
    Digest::of(&text).to_string()[..32].to_owned()
}

/// The engine's surroundings, shared by all scans of a lake.
pub(crate) struct Engine {
    context: Arc<TaskContext>,
    readers: Arc<CachedParquetFileReaderFactory>,
    url: ObjectStoreUrl,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    pub fn new(root: &std::path::Path) -> Result<Self> {
        let failed = |e: object_store::Error| LakeError::Io { path: root.to_owned(), source: e.into() };
        let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(root).map_err(failed)?);
        let runtime = RuntimeEnvBuilder::new().with_metadata_cache_limit(FOOTER_CACHE_BYTES).build_arc()?;
        let url = ObjectStoreUrl::parse(STORE)?;
        runtime.register_object_store(url.as_ref(), Arc::clone(&store));
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let readers = Arc::new(CachedParquetFileReaderFactory::new(store, footers));
        Ok(Self { context: Arc::new(TaskContext::default().with_runtime(runtime)), readers, url })
    }
}

/// A scan that is ready to run.
pub(crate) struct Plan {
    engine: Arc<Engine>,
    dataset: DatasetId,
    snapshot: Arc<Snapshot>,
    /// Indices of the files to read, from the first position on.
    files: Vec<usize>,
    source: Arc<dyn FileSource>,
    /// The columns that are read: the visible ones and the row number.
    read: Vec<usize>,
    visible: Vec<Visibility>,
    schema: SchemaRef,
    start: (usize, u64),
    limit: u64,
    tag: String,
}

impl Plan {
    /// Checks `view` and `scan` against `snapshot`.
    pub fn new(
        engine: Arc<Engine>,
        dataset: &DatasetId,
        snapshot: Arc<Snapshot>,
        view: &View,
        scan: &Scan,
    ) -> Result<Self> {
        let tag = view_tag(dataset, view);
        let start = match &scan.after {
            Some(text) => position(text, &snapshot, &tag)?,
            None => (0, 0),
        };
        let (partition, conditions): (Vec<_>, Vec<_>) =
            view.rows.iter().partition(|filter| [ORIGIN, PERIOD].contains(&filter.column.as_str()));
        let kept = |file: &DataFile| {
            partition.iter().all(|filter| {
                let found = if filter.column == ORIGIN { Some(file.origin.as_str()) } else { file.period.as_deref() };
                condition::holds(filter, found)
            })
        };
        let mut files: Vec<usize> = (start.0..snapshot.files.len()).filter(|i| kept(&snapshot.files[*i])).collect();
        let full = schema::with_partition_columns(&snapshot.schema);
        let expressions = conditions.iter().map(|filter| condition::expression(filter, &snapshot.schema));
        let expressions: Vec<_> = expressions.collect::<Result<_>>()?;
        if !expressions.is_empty() {
            let candidates: Vec<&DataFile> = files.iter().map(|index| snapshot.files[*index].as_ref()).collect();
            let may = prune::may_match(conjunction(expressions.clone()), &snapshot.schema, &candidates)?;
            files = files.into_iter().zip(may).filter(|(_, may)| *may).map(|(index, _)| index).collect();
        }
        let source = source(&engine, &snapshot.schema, expressions)?;
        let (schema, mut read) = visible_columns(&full, view)?;
        read.push(full.fields().len());
        let visible = view.columns.iter().map(|(_, visibility)| *visibility).collect();
        let limit = scan.limit.unwrap_or(u64::MAX);
        let dataset = dataset.clone();
        Ok(Self { engine, dataset, snapshot, files, source, read, visible, schema, start, limit, tag })
    }

    /// Starts to read on a blocking thread, which holds `permit` until it is done.
    pub fn run(self, permit: OwnedSemaphorePermit) -> Rows {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let rows = Rows {
            schema: Arc::clone(&self.schema),
            snapshot: Arc::clone(&self.snapshot),
            tag: self.tag.clone(),
            last: self.files.last().copied(),
            position: self.start,
            receiver,
            ended: false,
        };
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                let end = self.produce(&sender).await.map(|()| None);
                let _ = sender.send(end).await;
            });
            drop(permit);
        });
        rows
    }

    /// Sends every batch and the position after it; stops quietly when nobody listens any more.
    async fn produce(&self, sender: &mpsc::Sender<Result<Option<Piece>>>) -> Result<()> {
        let mut left = self.limit;
        for &index in &self.files {
            if left == 0 {
                return Ok(());
            }
            let skip = if index == self.start.0 { self.start.1 } else { 0 };
            let mut batches = self.file(index, skip)?.execute(0, Arc::clone(&self.engine.context))?;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let rows = batch.num_rows().min(usize::try_from(left).unwrap_or(usize::MAX));
                if rows == 0 {
                    continue;
                }
                let piece = self.piece(&batch.slice(0, rows), index)?;
                left -= rows as u64;
                if sender.send(Ok(Some(piece))).await.is_err() || left == 0 {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The plan that reads one file from its row number `skip` on.
    fn file(&self, index: usize, skip: u64) -> Result<Arc<dyn ExecutionPlan>> {
        let file = &self.snapshot.files[index];
        let location = object_store::path::Path::parse(format!("{}/{}", self.dataset, file.path));
        let location = location.map_err(|_| LakeError::Misuse("not the path of a data file"))?;
        let meta = ObjectMeta {
            location,
            last_modified: DateTime::from_timestamp_millis(file.modified).unwrap_or_default(),
            size: file.bytes,
            e_tag: None,
            version: None,
        };
        let text = |value: Option<String>| ScalarValue::Utf8(value);
        let mut part = PartitionedFile::new_from_meta(meta)
            .with_partition_values(vec![text(Some(file.origin.clone())), text(file.period.clone())]);
        if skip > 0 {
            let select = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
            let selectors = vec![RowSelector::skip(select(skip)), RowSelector::select(select(file.rows - skip))];
            part = part.with_extension(ParquetRowSelection::new(RowSelection::from(selectors)));
        }
        let config = FileScanConfigBuilder::new(self.engine.url.clone(), Arc::clone(&self.source))
            .with_file(part)
            .with_projection_indices(Some(self.read.clone()))?
            .with_batch_size(Some(BATCH_ROWS))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// The visible part of `batch`, and the position after it.
    fn piece(&self, batch: &RecordBatch, index: usize) -> Result<Piece> {
        let columns = batch.columns().iter().zip(&self.visible).map(|(column, visibility)| match visibility {
            Visibility::Masked => mask(column),
            _ => Ok(Arc::clone(column)),
        });
        let batch_shown = RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Result<_>>()?)?;
        let numbers = batch.column(batch.num_columns() - 1).as_primitive::<Int64Type>();
        let last = numbers.values().last().and_then(|row| u64::try_from(*row).ok());
        let next = last.map_or(0, |row| row + 1);
        Ok(Piece { batch: batch_shown, position: (index, next) })
    }
}

struct Piece {
    batch: RecordBatch,
    position: (usize, u64),
}

/// Rows being read: a stream of batches. Dropping it ends the scan.
#[derive(Debug)]
pub struct Rows {
    schema: SchemaRef,
    snapshot: Arc<Snapshot>,
    tag: String,
    /// The last file that the scan reads.
    last: Option<usize>,
    position: (usize, u64),
    /// An end that is not announced means that the scan was cut off.
    receiver: mpsc::Receiver<Result<Option<Piece>>>,
    ended: bool,
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Rows {
    /// The columns, in the order of the view; masked ones are text.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The table version that the rows are of.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.snapshot.version
    }

    /// The next batch, on a thread that may block.
    pub(crate) fn blocking_next(&mut self) -> Result<Option<RecordBatch>> {
        if self.ended {
            return Ok(None);
        }
        let received = self.receiver.blocking_recv();
        self.accept(received)
    }

    fn accept(&mut self, received: Option<Result<Option<Piece>>>) -> Result<Option<RecordBatch>> {
        match received.unwrap_or(Err(LakeError::CutOff)) {
            Ok(Some(piece)) => {
                self.position = piece.position;
                Ok(Some(piece.batch))
            }
            end => {
                self.ended = true;
                end.map(|_| None)
            }
        }
    }

    /// Where the rows after the last batch begin, for [`Scan::after`] of the next page; none if there are no more. A page
    /// may turn out empty when only rows that the filters leave out remain.
    #[must_use]
    pub fn cursor(&self) -> Option<String> {
        let (file, row) = self.position;
        let rows = self.snapshot.files.get(file)?.rows;
        if self.last.is_none_or(|last| file > last || (file == last && row >= rows)) {
            return None;
        }
        Some(Cursor { v: self.snapshot.version, f: file, r: row, t: self.tag.clone() }.to_string())
    }
}

/// Batches of at most [`BATCH_ROWS`] rows. [`LakeError::Query`] if a file cannot be read, [`LakeError::CutOff`] if the scan
/// came to no end; nothing follows an error.
impl Stream for Rows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let received = ready!(self.receiver.poll_recv(context));
        Poll::Ready(self.accept(received).transpose())
    }
}

/// The version that a cursor is for. Whether it fits a dataset and a view is checked when it is used.
pub(crate) fn cursor_version(text: &str) -> Result<u64> {
    Ok(text.parse::<Cursor>()?.v)
}

fn position(text: &str, snapshot: &Snapshot, tag: &str) -> Result<(usize, u64)> {
    let cursor: Cursor = text.parse()?;
    let file = snapshot.files.get(cursor.f).ok_or(LakeError::Cursor)?;
    if cursor.v != snapshot.version || cursor.t != tag || cursor.r > file.rows {
        return Err(LakeError::Cursor);
    }
    // A file that is read to its end is not opened again.
    Ok(if cursor.r == file.rows { (cursor.f + 1, 0) } else { (cursor.f, cursor.r) })
}

/// The Parquet source for the columns of a table, which applies `filters` to every row.
fn source(engine: &Engine, columns: &SchemaRef, filters: Vec<Expr>) -> Result<Arc<dyn FileSource>> {
    let row = Arc::new(Field::new(ROW_NUMBER, DataType::Int64, true).with_extension_type(RowNumber));
    let table = TableSchema::builder(Arc::clone(columns))
        .with_table_partition_cols(schema::partition_fields().to_vec())
        .with_virtual_columns(vec![row])
        .build();
    let source = ParquetSource::new(table)
        .with_parquet_file_reader_factory(Arc::clone(&engine.readers) as _)
        .with_pushdown_filters(true);
    let config = engine.context.session_config().options();
    let pushed = source.try_pushdown_filters(filters, config)?;
    if pushed.filters.iter().any(|pushed| matches!(pushed, PushedDown::No)) {
        return Err(LakeError::Misuse("a filter that the reader does not apply"));
    }
    Ok(pushed.updated_node.unwrap_or_else(|| Arc::new(source)))
}

/// The columns of `view` as a schema and as indices into `full`.
fn visible_columns(full: &Schema, view: &View) -> Result<(SchemaRef, Vec<usize>)> {
    let (mut fields, mut indices) = (Vec::new(), Vec::new());
    for (name, visibility) in &view.columns {
        let unknown = || LakeError::Column(name.clone());
        let index = full.index_of(name).map_err(|_| unknown())?;
        if indices.contains(&index) || *visibility == Visibility::Hidden {
            return Err(unknown());
        }
        let kind =
            if *visibility == Visibility::Masked { DataType::Utf8 } else { full.field(index).data_type().clone() };
        fields.push(Field::new(name, kind, true));
        indices.push(index);
    }
    if indices.is_empty() {
        return Err(LakeError::Misuse("a view without columns"));
    }
    Ok((Arc::new(Schema::new(fields)), indices))
}

/// `column` as text of which only the first [`SHOWN`] characters are left. A value that has no more than these is covered
/// as a whole.
fn mask(column: &ArrayRef) -> Result<ArrayRef> {
    // Numbers, dates and words of a small vocabulary would be told by their first characters.
    let long = *column.data_type() == DataType::Utf8;
    let text = cast(column, &DataType::Utf8)?;
    let masked = text.as_string::<i32>().iter().map(|value| {
        value.map(|value| match (value.char_indices().nth(SHOWN), value.char_indices().nth(LONG)) {
            (Some((end, _)), Some(_)) if long => format!("{}{COVER}", &value[..end]),
            _ => COVER.to_owned(),
        })
    });
    Ok(Arc::new(masked.collect::<StringArray>()))
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_text_shows_two_characters_other_values_none_and_null_stays_null() {
        let column: ArrayRef =
            Arc::new(StringArray::from(vec![Some("6402010101990001"), Some("é漢字xxxxxxx"), Some("laki-laki"), None]));
        let masked = mask(&column).unwrap();
        let masked: Vec<Option<&str>> = masked.as_string::<i32>().iter().collect();
        assert_eq!(masked, [Some("64***"), Some("é漢***"), Some("***"), None]);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![123_456]));
        assert_eq!(mask(&numbers).unwrap().as_string::<i32>().value(0), "***");
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back(v in any::<u64>(), f in any::<usize>(), r in any::<u64>()) {
            let cursor = Cursor { v, f, r, t: "0".repeat(32) };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }

        #[test]
        fn no_text_makes_the_cursor_reader_panic(text in ".{0,300}") {
            let _ = text.parse::<Cursor>();
        }
    }
}
