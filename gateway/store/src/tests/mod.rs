//! The store from outside, on SQLite always and on PostgreSQL when `SIMPUL_TEST_POSTGRES_URL` names a
//! server on which schemas may be made.

mod crash;
mod journal;
mod model;
mod open;
mod registry;

use std::sync::atomic::{AtomicU32, Ordering};

use simpul_core::delivery::{Delivery, Mode, RowCounts, Staged, StagedFile, State};
use simpul_core::digest::Digest;
use simpul_core::time::Timestamp;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use crate::Store;

/// A place for one store, empty at first.
pub(crate) enum Place {
    Folder(TempDir),
    Schema { url: String, name: String },
}

impl Place {
    pub(crate) fn folder() -> Self {
        Self::Folder(tempfile::tempdir().unwrap())
    }

    async fn schema(url: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(url).await.unwrap();
        for sql in [format!("DROP SCHEMA IF EXISTS {name} CASCADE"), format!("CREATE SCHEMA {name}")] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        }
        Self::Schema { url: url.to_owned(), name }
    }

    pub(crate) fn location(&self) -> String {
        match self {
            Self::Folder(folder) => format!("sqlite:{}", folder.path().join("store.db").display()),
            Self::Schema { url, name } => {
                let join = if url.contains('?') { '&' } else { '?' };
                format!("{url}{join}options[search_path]={name}")
            }
        }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::connect(&self.location()).await.unwrap()
    }
}

/// Runs `test` with an empty place on each engine.
pub(crate) fn on_each_engine(test: impl AsyncFn(&Place)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        test(&Place::folder()).await;
        if let Ok(url) = std::env::var("SIMPUL_TEST_POSTGRES_URL") {
            test(&Place::schema(&url).await).await;
        }
    });
}

pub(crate) const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn delivery(id: &str, source: &str, key: &str) -> Delivery {
    Delivery {
        id: id.to_owned(),
        dataset: "penduduk-wilayah".parse().unwrap(),
        contract_version: "1.0.0".to_owned(),
        source: source.to_owned(),
        origin: source.to_owned(),
        source_sequence: None,
        idempotency_key: key.to_owned(),
        mode: Mode::Replace,
        base_version: 0,
        received_at: at(1_795_000_000_000),
    }
}

pub(crate) fn staged(period: &str) -> Staged {
    Staged {
        counts: RowCounts { total: 3, accepted: 2, refused: 1 },
        payload: Digest::of(period.as_bytes()),
        files: vec![StagedFile {
            path: format!("_period={period}/part.parquet"),
            period: Some(period.to_owned()),
            rows: 2,
            bytes: 10,
            stats: "{}".to_owned(),
        }],
    }
}

pub(crate) fn landed(sequence: u64, table_version: u64, period: &str) -> State {
    State::Landing { staged: staged(period), sequence }.land(table_version, "receipt".to_owned()).unwrap()
}

/// Takes a new delivery to landing and answers its number.
pub(crate) async fn to_landing(store: &Store, delivery: &Delivery, period: &str) -> u64 {
    store.begin(delivery).await.unwrap();
    store.transition(&delivery.id, "receiving", &State::Staged(staged(period))).await.unwrap();
    store.take_sequence(&delivery.id).await.unwrap()
}
