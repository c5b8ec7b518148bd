//! One way to speak SQL to SQLite and to PostgreSQL.
//!
//! Both engines have one connection that writes and a few that only read, so a transaction that
//! reads and then writes sees nothing change in between, on either engine, without retries.
//! - **SQLite**: write-ahead log with `synchronous=FULL`: a commit that returned survives a power
//!   cut. The writer begins with `BEGIN IMMEDIATE`; nobody else writes, so nothing is ever busy.
//! - **PostgreSQL**: the writing connection holds an advisory lock from its first moment on. If it
//!   breaks, the next one takes the lock before it is used; without the lock there is no writer.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{
    ConnectOptions, Connection, PgConnection, Pool, Postgres, Row as _, SqlSafeStr, Sqlite, SqliteConnection,
    Transaction,
};

use crate::error::{Result, StoreError};
use crate::lock::FolderLock;

/// Connections that read at the same time.
const READERS: u32 = 4;
/// How long an operation waits for its turn before the store counts as not reachable.
const WAIT: Duration = Duration::from_secs(30);
/// SQLite's own patience: only while a process that was just killed still closes its files.
const BUSY: Duration = Duration::from_secs(10);
/// What stays of the write-ahead log after a checkpoint, in bytes.
const LOG_KEPT: &str = "67108864";
/// One holder per database and schema, by a name that no other program has reason to use.
const LOCK_SQL: &str = "SELECT pg_try_advisory_lock(hashtextextended('simpul-store ' || current_schema(), 0))";
const UNLOCK_SQL: &str = "SELECT pg_advisory_unlock_all()";
/// How long a server may take to notice that the process that held the store is gone.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// The formats of the store, oldest first. A format that was released never changes.
const FORMATS: &[(i64, &str, &str)] = &[(1, "first", include_str!("../migrations/0001_first.sql"))];

/// The newest format this program knows.
pub(crate) fn newest_format() -> i64 {
    FORMATS.last().map_or(0, |(version, _, _)| *version)
}

/// The two engines.
#[derive(Debug)]
pub(crate) enum Db {
    Sqlite { write: Pool<Sqlite>, read: Pool<Sqlite>, _lock: FolderLock },
    Postgres { write: Pool<Postgres>, read: Pool<Postgres> },
}

/// Where the store is.
#[derive(Clone, Debug)]
pub(crate) enum Location {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl FromStr for Location {
    type Err = StoreError;

    /// Never repeats the text: a URL may hold a password.
    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(text)
                .map_err(|_| StoreError::InvalidLocation("expected postgres://user@host:port/database"))?;
            return Ok(Self::Postgres(Box::new(options)));
        }
        let path = match text.strip_prefix("sqlite:") {
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None if text.contains("://") => {
                return Err(StoreError::InvalidLocation("expected sqlite:PATH, a path, or postgres://…"));
            }
            None => text,
        };
        if path.is_empty() || path.starts_with(':') {
            return Err(StoreError::InvalidLocation("expected the path of a file after sqlite:"));
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }
}

impl Db {
    pub(crate) async fn open(location: Location) -> Result<Self> {
        match location {
            Location::Sqlite(path) => open_sqlite(&path).await,
            Location::Postgres(options) => open_postgres(*options).await,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { write, read, .. } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres { write, read } => {
                read.close().await;
                release(write).await;
                write.close().await;
            }
        }
    }

    /// Begins the one transaction that may write now; others wait for its end in the order they came.
    pub(crate) async fn write(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { write, .. } => Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres { write, .. } => Tx::Postgres(write.begin().await?),
        })
    }

    /// Reads what is committed.
    pub(crate) async fn rows(&self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Vec<Row>> {
        check(&values)?;
        Ok(match self {
            Self::Sqlite { read, .. } => sqlite_rows(read, sql, values).await?,
            Self::Postgres { read, .. } => postgres_rows(read, sql, values).await?,
        })
    }

    /// Reads at most one row of what is committed.
    pub(crate) async fn row(&self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// One statement as a transaction of its own. Answers how many rows it changed.
    pub(crate) async fn run(&self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<u64> {
        let mut tx = self.write().await?;
        let changed = tx.run(sql, values).await?;
        tx.commit().await?;
        Ok(changed)
    }
}

async fn open_sqlite(path: &Path) -> Result<Db> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let lock = FolderLock::acquire(folder)?;
    create_private(path, folder)?;
    let common = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let writer = common
        .clone()
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("journal_size_limit", LOG_KEPT)
        .thread_name(|_| "store-write".to_owned());
    // A full disk makes SQLite end the transaction by itself, and sqlx then counts one that nobody can end:
    // such a connection is replaced. Its rollback, if one was due, has been through before this is asked.
    let write = single()
        .before_acquire(|connection: &mut SqliteConnection, _| {
            let usable = !connection.is_in_transaction();
            Box::pin(async move { Ok(usable) })
        })
        .connect_with(writer)
        .await?;
    migrator().run(&write).await.map_err(|error| StoreError::migration(error, newest_format()))?;
    let reader = common.pragma("query_only", "on").thread_name(|n| format!("store-read-{n}"));
    let read = several().connect_with(reader).await?;
    Ok(Db::Sqlite { write, read, _lock: lock })
}

/// The file, and with it the log beside it, is readable by its owner only: reports hold cells of
/// refused rows. Its name in the folder must survive a power cut like its content.
fn create_private(path: &Path, folder: &Path) -> Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(StoreError::io(path, error)),
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| StoreError::io(folder, error))
}

async fn open_postgres(options: PgConnectOptions) -> Result<Db> {
    let options = options.application_name("simpul").disable_statement_logging();
    take_postgres_lock_once(&options).await?;
    let writer = options.clone().options([("synchronous_commit", "on")]);
    let write = single()
        .after_connect(|connection: &mut PgConnection, _| {
            Box::pin(async move {
                let free = try_lock(connection).await?;
                if free { Ok(()) } else { Err(sqlx::Error::Configuration("another process holds the store".into())) }
            })
        })
        .connect_with(writer)
        .await?;
    migrator().run(&write).await.map_err(|error| StoreError::migration(error, newest_format()))?;
    let reader = options.options([("default_transaction_read_only", "on")]);
    let read = several().connect_with(reader).await?;
    Ok(Db::Postgres { write, read })
}

/// Tells "another process has it"; the pool would only say that no connection came.
async fn take_postgres_lock_once(options: &PgConnectOptions) -> Result<()> {
    let mut connection = options.connect().await?;
    let patience = tokio::time::Instant::now() + LOCK_PATIENCE;
    while !try_lock(&mut connection).await? {
        if tokio::time::Instant::now() >= patience {
            return Err(StoreError::Locked { place: "the PostgreSQL database".to_owned(), holder: None });
        }
        tokio::time::sleep(LOCK_RETRY).await;
    }
    sqlx::query(UNLOCK_SQL).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// The server ends a closed connection in its own time; the next process should not have to wait for it.
async fn release(write: &Pool<Postgres>) {
    let Ok(mut connection) = write.acquire().await else { return };
    if let Err(error) = sqlx::query(UNLOCK_SQL).execute(&mut *connection).await {
        tracing::debug!(%error, "the lock is left to the end of the connection");
    }
}

async fn try_lock(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query(LOCK_SQL).fetch_one(connection).await?.try_get(0)
}

fn single<DB: sqlx::Database>() -> PoolOptions<DB> {
    PoolOptions::new().min_connections(1).max_connections(1).idle_timeout(None).max_lifetime(None).acquire_timeout(WAIT)
}

fn several<DB: sqlx::Database>() -> PoolOptions<DB> {
    PoolOptions::new().max_connections(READERS).acquire_timeout(WAIT)
}

fn migrator() -> Migrator {
    let migration = |&(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(FORMATS.iter().map(migration).collect())
}

/// A transaction that writes. Dropped without [`Tx::commit`] it leaves nothing.
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    pub(crate) async fn rows(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Vec<Row>> {
        check(&values)?;
        Ok(match self {
            Self::Sqlite(tx) => sqlite_rows(&mut **tx, sql, values).await?,
            Self::Postgres(tx) => postgres_rows(&mut **tx, sql, values).await?,
        })
    }

    pub(crate) async fn row(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Answers how many rows changed.
    pub(crate) async fn run(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<u64> {
        check(&values)?;
        Ok(match self {
            Self::Sqlite(tx) => sqlite_query(sql, values).execute(&mut **tx).await?.rows_affected(),
            Self::Postgres(tx) => postgres_query(sql, values).execute(&mut **tx).await?.rows_affected(),
        })
    }

    /// When it returns, everything of the transaction survives whatever happens.
    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

/// What a statement takes. The kinds are those that mean the same on both engines.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
    Bytes(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Int(Some(i64::from(truth)))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// The arguments of a statement, in the order of `$1`, `$2`, …
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::db::Value::from($value)),*] };
}
pub(crate) use values;

/// PostgreSQL cannot hold a NUL in a text; SQLite must not be the one that can.
fn check(values: &[Value]) -> Result<()> {
    let nul = |value: &Value| matches!(value, Value::Text(Some(text)) if text.contains('\0'));
    if values.iter().any(nul) { Err(StoreError::Invalid("a text with a NUL cannot be stored")) } else { Ok(()) }
}

fn sqlite_query(
    sql: impl SqlSafeStr,
    values: Vec<Value>,
) -> sqlx::query::Query<'static, Sqlite, sqlx::sqlite::SqliteArguments> {
    values.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Int(number) => query.bind(number),
        Value::Bytes(bytes) => query.bind(bytes),
    })
}

fn postgres_query(
    sql: impl SqlSafeStr,
    values: Vec<Value>,
) -> sqlx::query::Query<'static, Postgres, sqlx::postgres::PgArguments> {
    values.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Int(number) => query.bind(number),
        Value::Bytes(bytes) => query.bind(bytes),
    })
}

async fn sqlite_rows<'c>(
    executor: impl sqlx::Executor<'c, Database = Sqlite>,
    sql: impl SqlSafeStr,
    values: Vec<Value>,
) -> sqlx::Result<Vec<Row>> {
    let rows = sqlite_query(sql, values).fetch_all(executor).await?;
    Ok(rows.into_iter().map(Row::Sqlite).collect())
}

async fn postgres_rows<'c>(
    executor: impl sqlx::Executor<'c, Database = Postgres>,
    sql: impl SqlSafeStr,
    values: Vec<Value>,
) -> sqlx::Result<Vec<Row>> {
    let rows = postgres_query(sql, values).fetch_all(executor).await?;
    Ok(rows.into_iter().map(Row::Postgres).collect())
}

/// One row of an answer; columns are taken by name.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn text(&self, column: &str) -> Result<String> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(crate) fn maybe_text(&self, column: &str) -> Result<Option<String>> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(crate) fn int(&self, column: &str) -> Result<i64> {
        self.maybe_int(column)?.ok_or_else(|| StoreError::Damaged(format!("{column} is missing")))
    }

    pub(crate) fn maybe_int(&self, column: &str) -> Result<Option<i64>> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(crate) fn bytes(&self, column: &str) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(crate) fn truth(&self, column: &str) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    /// A count or a number that is never negative.
    pub(crate) fn count(&self, column: &str) -> Result<u64> {
        u64::try_from(self.int(column)?).map_err(|_| StoreError::Damaged(format!("{column} is negative")))
    }

    pub(crate) fn maybe_count(&self, column: &str) -> Result<Option<u64>> {
        self.maybe_int(column)?.map(|_| self.count(column)).transpose()
    }

    /// A text that is one of our names.
    pub(crate) fn name<T: FromStr>(&self, column: &str) -> Result<T> {
        self.text(column)?.parse().map_err(|_| StoreError::Damaged(format!("{column} holds no valid name")))
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<T> {
        from_json(column, &self.text(column)?)
    }

    pub(crate) fn at(&self, column: &str) -> Result<simpul_core::time::Timestamp> {
        Ok(simpul_core::time::Timestamp::from_millis(self.int(column)?))
    }

    pub(crate) fn maybe_at(&self, column: &str) -> Result<Option<simpul_core::time::Timestamp>> {
        Ok(self.maybe_int(column)?.map(simpul_core::time::Timestamp::from_millis))
    }
}

/// A number as the database holds it.
pub(crate) fn int(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| StoreError::Invalid("a number above 2^63-1 cannot be stored"))
}

pub(crate) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|_| StoreError::Invalid("the value has no JSON form"))
}

pub(crate) fn from_json<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::Damaged(format!("{what}: {error}")))
}

/// Refuses what is longer than `limit` bytes.
pub(crate) fn at_most(what: &'static str, length: usize, limit: usize) -> Result<()> {
    if length <= limit { Ok(()) } else { Err(StoreError::TooLarge { what, limit }) }
}
