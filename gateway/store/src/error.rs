//! What can go wrong with the store, in kinds that a caller treats differently.

use std::io;
use std::path::{Path, PathBuf};

use simpul_core::delivery::IllegalTransition;
use sqlx::migrate::MigrateError;

/// The result of everything the store does.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why the store did not do it. After any of these nothing of the operation is stored, except after
/// [`StoreError::Unavailable`] from a PostgreSQL server that went away while it committed: then the
/// caller reads back what is stored before it goes on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process works with this store.
    #[error("{place} is in use by another process{}", .holder.as_deref().map(|pid| format!(" ({pid})")).unwrap_or_default())]
    Locked {
        /// The lock file, or the database.
        place: String,
        /// The process that holds it, if it is known.
        holder: Option<String>,
    },
    /// A newer program has changed the store; this one must not touch it.
    #[error("the store has format {found}, this program knows formats up to {known}: use the newer program")]
    FormatTooNew {
        /// The newest format in the store.
        found: i64,
        /// The newest format this program knows.
        known: i64,
    },
    /// The disk, or the database's share of it, is full.
    #[error("no space is left for the store")]
    NoSpace,
    /// The disk or the database can be read but not written.
    #[error("the store is read-only")]
    ReadOnly,
    /// What is stored cannot be what a program of this format wrote.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The database cannot be reached, or did not answer in time.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// The place given is neither the path of a file nor the URL of a PostgreSQL database.
    #[error("the place of the store is not valid: {0}")]
    InvalidLocation(&'static str),
    /// A file or folder of the store cannot be used.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is already something else under this name, and it cannot change.
    #[error("{what} {name} is already registered with other content")]
    Conflict {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// There is nothing under this name.
    #[error("there is no {what} {name}")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The stored state is not the one the caller started from: someone else was first.
    #[error("{what} {id} is {found}, expected {expected}")]
    WrongState {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        id: String,
        /// The state the caller started from.
        expected: &'static str,
        /// The state that is stored.
        found: &'static str,
    },
    /// The life of a delivery or of a forward has no such transition.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// The sender's number is not above the highest of this source that landed or is landing.
    #[error("sequence number {sequence} is not above {highest}")]
    Stale {
        /// The number of the delivery.
        sequence: u64,
        /// The highest number so far.
        highest: u64,
    },
    /// The value is longer than the store takes.
    #[error("{what} is longer than {limit} bytes")]
    TooLarge {
        /// Which value.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The value cannot be stored.
    #[error("{0}")]
    Invalid(&'static str),
    /// The database refused for a reason that no caller treats apart.
    #[error("the database of the store failed")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// The kind in one stable word, for logs and for the choice of an answer.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "locked",
            Self::FormatTooNew { .. } => "format_too_new",
            Self::NoSpace => "no_space",
            Self::ReadOnly => "read_only",
            Self::Damaged(_) => "damaged",
            Self::Unavailable(_) => "unavailable",
            Self::InvalidLocation(_) => "invalid_location",
            Self::Io { .. } => "io",
            Self::Conflict { .. } => "conflict",
            Self::NotFound { .. } => "not_found",
            Self::WrongState { .. } => "wrong_state",
            Self::Illegal(_) => "illegal_transition",
            Self::Stale { .. } => "stale",
            Self::TooLarge { .. } => "too_large",
            Self::Invalid(_) => "invalid",
            Self::Database(_) => "database",
        }
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Io { path: path.to_owned(), source },
        }
    }

    pub(crate) fn not_found(what: &'static str, name: impl ToString) -> Self {
        Self::NotFound { what, name: name.to_string() }
    }

    /// A migration failed; `known` is the newest one of this program.
    pub(crate) fn migration(error: MigrateError, known: i64) -> Self {
        match error {
            MigrateError::VersionMissing(found) if found > known => Self::FormatTooNew { found, known },
            MigrateError::VersionMissing(found) | MigrateError::VersionMismatch(found) | MigrateError::Dirty(found) => {
                Self::Damaged(format!("its format {found} is not the one that this program writes"))
            }
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::Database(Box::new(other)),
        }
    }
}

/// SQLite's extended result codes end in the primary code.
const PRIMARY_CODE: i32 = 0xff;
/// The shared-memory index of the log could not grow, which only a full disk explains.
const SQLITE_IOERR_SHMSIZE: i32 = 4874;

fn from_sqlite(code: i32) -> Option<StoreError> {
    if code == SQLITE_IOERR_SHMSIZE {
        return Some(StoreError::NoSpace);
    }
    match code & PRIMARY_CODE {
        5 | 6 => Some(StoreError::Unavailable("another process holds a lock on the database file".to_owned())),
        8 => Some(StoreError::ReadOnly),
        11 => Some(StoreError::Damaged("SQLite finds its file malformed".to_owned())),
        13 => Some(StoreError::NoSpace),
        26 => Some(StoreError::Damaged("the file is not an SQLite database".to_owned())),
        _ => None,
    }
}

fn from_postgres(sqlstate: &str) -> Option<StoreError> {
    match sqlstate {
        "53100" => Some(StoreError::NoSpace),
        "25006" => Some(StoreError::ReadOnly),
        "XX001" | "XX002" => Some(StoreError::Damaged("PostgreSQL finds its data corrupted".to_owned())),
        "28000" | "28P01" | "3D000" => {
            Some(StoreError::Unavailable(format!("the server does not let us in ({sqlstate})")))
        }
        "53300" => Some(StoreError::Unavailable("the server has no connection left".to_owned())),
        _ if sqlstate.starts_with("57P") || sqlstate.starts_with("08") => {
            Some(StoreError::Unavailable(format!("the server ended the connection ({sqlstate})")))
        }
        _ => None,
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let known = match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                if database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                    code.parse().ok().and_then(from_sqlite)
                } else {
                    from_postgres(&code)
                }
            }
            sqlx::Error::PoolTimedOut => Some(Self::Unavailable("no connection became free in time".to_owned())),
            sqlx::Error::PoolClosed => Some(Self::Unavailable("the store is closed".to_owned())),
            sqlx::Error::Io(source) => Some(Self::Unavailable(source.to_string())),
            _ => None,
        };
        known.unwrap_or_else(|| Self::Database(Box::new(error)))
    }
}
