//! What can go wrong in the lake, in the distinctions that a caller acts on.

use std::io;
use std::path::{Path, PathBuf};

use simpul_core::id::DatasetId;

/// The result of an operation on the lake.
pub type Result<T, E = LakeError> = std::result::Result<T, E>;

/// Why an operation on the lake failed. After any of them nothing is half visible: a commit is in the log as a whole or
/// not at all, and the same commit may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The disk or the quota is full. Trying again helps once there is room.
    #[error("no space left to write {}", path.display())]
    NoSpace {
        /// The file that was being written.
        path: PathBuf,
    },
    /// The file system refused something else.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// There is no table for this dataset yet.
    #[error("dataset {0} has no table")]
    UnknownDataset(DatasetId),
    /// The columns do not fit the table, or have a type that a table cannot hold.
    #[error("{0}")]
    Schema(String),
    /// A delivery touches more periods than may be open at once.
    #[error("a delivery may hold at most {limit} periods")]
    TooManyPeriods {
        /// The most it may touch: [`crate::MAX_OPEN_PERIODS`].
        limit: usize,
    },
    /// An origin or a period is empty, or too long to name a folder.
    #[error("a value of {column} is empty or too long")]
    PartitionValue {
        /// `_origin` or `_period`.
        column: String,
    },
    /// A view or a filter names a column that the table does not have, or names one twice.
    #[error("the dataset has no column {0}, or it is asked for twice")]
    Column(String),
    /// The value of a filter is not one of the column's type.
    #[error("filter on {column}: expected {expected}")]
    FilterValue {
        /// The column.
        column: String,
        /// What its values look like.
        expected: String,
    },
    /// The cursor was not made here, or for another dataset or view.
    #[error("not a cursor of this dataset and view")]
    Cursor,
    /// The version is not in the log, or not any more.
    #[error("version {version} of the table is not kept")]
    UnknownVersion {
        /// The version that was asked for.
        version: u64,
    },
    /// Another commit replaced this period after the version that the delivery was based on.
    #[error("period {period:?} was replaced in version {version}")]
    Conflict {
        /// The period; absent for rows without one.
        period: Option<String>,
        /// The version that replaced it.
        version: u64,
    },
    /// The caller broke a rule of this interface; a defect, not a condition.
    #[error("{0}")]
    Misuse(&'static str),
    /// The extract is larger than all extracts together may be.
    #[error("the extract would be larger than {limit} bytes")]
    ExtractTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The log of a table cannot be understood: damage, or a writer other than this gateway.
    #[error("the log of {dataset} is damaged: {detail}")]
    Corrupt {
        /// The table.
        dataset: DatasetId,
        /// What was found.
        detail: String,
    },
    /// A data file could not be written or read as Parquet.
    #[error("parquet: {0}")]
    Parquet(#[source] parquet::errors::ParquetError),
    /// A batch could not be built or converted.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// The query engine failed.
    #[error("query: {0}")]
    Query(#[from] datafusion::error::DataFusionError),
    /// The work was cut off because the process is stopping, or it panicked.
    #[error("the work was cut off")]
    CutOff,
}

impl LakeError {
    /// Names the path that `source` is about, and tells a full disk from everything else.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path },
            _ => Self::Io { path, source },
        }
    }

    /// A Parquet error while writing `path`: the operating system's refusal if it holds one.
    pub(crate) fn parquet(path: &Path, error: parquet::errors::ParquetError) -> Self {
        match error {
            parquet::errors::ParquetError::External(inner) => match inner.downcast::<io::Error>() {
                Ok(io) => Self::io(path, *io),
                Err(other) => Self::Parquet(parquet::errors::ParquetError::External(other)),
            },
            other => Self::Parquet(other),
        }
    }
}
