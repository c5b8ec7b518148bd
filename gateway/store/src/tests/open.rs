//! Opening: who may, in which format, and what a disk that says no means.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use super::*;
use crate::db::Db;
use crate::{LOCK_FILE, StoreError};

/// SQL that the store itself has no reason to run.
async fn meddle(place: &Place, sql: &str) {
    match place {
        Place::Folder(folder) => {
            let options = SqliteConnectOptions::new().filename(folder.path().join("store.db"));
            let mut connection = options.connect().await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
        Place::Schema { .. } => {
            let mut connection = PgConnection::connect(&place.location()).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        }
    }
}

#[test]
fn what_was_stored_is_there_after_any_number_of_opens() {
    on_each_engine(async |place| {
        let store = place.open().await;
        store.put_setting("a", "1").await.unwrap();
        store.close().await;
        drop(store);
        for _ in 0..3 {
            let store = place.open().await;
            assert_eq!(store.setting("a").await.unwrap().as_deref(), Some("1"));
            store.close().await;
        }
    });
}

#[test]
fn a_second_process_is_told_that_the_store_is_in_use() {
    on_each_engine(async |place| {
        let store = place.open().await;
        let error = Store::connect(&place.location()).await.unwrap_err();
        assert_eq!(error.code(), "locked", "{error}");
        store.check().await.unwrap();
        store.close().await;
        drop(store);
        place.open().await.check().await.unwrap();
    });
}

#[test]
fn a_store_of_a_newer_program_is_refused_and_left_as_it_is() {
    on_each_engine(async |place| {
        place.open().await.close().await;
        meddle(
            place,
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             SELECT 9999, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        )
        .await;
        for _ in 0..2 {
            let error = Store::connect(&place.location()).await.unwrap_err();
            assert!(matches!(error, StoreError::FormatTooNew { found: 9999, known: 1 }), "{error}");
            assert_eq!(error.code(), "format_too_new");
        }
        meddle(place, "DELETE FROM _sqlx_migrations WHERE version = 9999").await;
        place.open().await.check().await.unwrap();
    });
}

#[test]
fn a_format_that_someone_changed_is_damage() {
    on_each_engine(async |place| {
        place.open().await.close().await;
        meddle(place, "UPDATE _sqlx_migrations SET version = 0").await;
        let error = Store::connect(&place.location()).await.unwrap_err();
        assert_eq!(error.code(), "damaged", "{error}");
    });
}

#[test]
fn a_text_with_a_nul_is_refused_on_both_engines() {
    on_each_engine(async |place| {
        let store = place.open().await;
        assert_eq!(store.put_setting("a", "x\0y").await.unwrap_err().code(), "invalid");
        store.put_setting("a", "b").await.unwrap();
    });
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damage() {
    let place = Place::folder();
    let Place::Folder(folder) = &place else { unreachable!() };
    std::fs::write(folder.path().join("store.db"), [b'x'; 8192]).unwrap();
    let error = Store::connect(&place.location()).await.unwrap_err();
    assert_eq!(error.code(), "damaged", "{error}");
}

#[test]
fn a_row_that_no_program_wrote_is_damage_and_not_a_panic() {
    on_each_engine(async |place| {
        let store = place.open().await;
        store.begin(&delivery("1", "a/x", "1")).await.unwrap();
        store.close().await;
        drop(store);
        for change in ["state_body = '{'", "mode = 'x'", "dataset = '../x'", "base_version = -1"] {
            meddle(place, &format!("UPDATE deliveries SET {change}")).await;
            let store = place.open().await;
            assert_eq!(store.get("1").await.unwrap_err().code(), "damaged", "{change}");
            store.close().await;
        }
    });
}

#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let place = Place::folder();
    let store = place.open().await;
    let Db::Sqlite { write, .. } = &*store.db else { unreachable!() };
    let pragma = async |sql: &'static str| sqlx::query(sql).fetch_one(write).await.unwrap();
    let synchronous: i64 = sqlx::Row::get(&pragma("PRAGMA synchronous").await, 0);
    let journal: String = sqlx::Row::get(&pragma("PRAGMA journal_mode").await, 0);
    let keys: i64 = sqlx::Row::get(&pragma("PRAGMA foreign_keys").await, 0);
    assert_eq!((synchronous, &*journal, keys), (2, "wal", 1), "2 is FULL");
}

#[tokio::test]
async fn only_the_owner_reads_the_file_and_its_log() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::folder();
    let store = place.open().await;
    let Place::Folder(folder) = &place else { unreachable!() };
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != LOCK_FILE {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        }
    }
    store.close().await;
}

#[tokio::test]
async fn places_that_are_none_are_refused_without_repeating_them() {
    for text in ["", "sqlite:", "sqlite::memory:", "mysql://u:secret@h/d", "postgres://u:secret@h:notaport/d"] {
        let error = Store::connect(text).await.unwrap_err();
        assert_eq!(error.code(), "invalid_location", "{text}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let error = Store::connect("/nonexistent/folder/store.db").await.unwrap_err();
    assert_eq!(error.code(), "io", "{error}");
}

/// SQLite answers a full disk and a database at its page limit with the same code.
#[tokio::test]
async fn a_full_disk_is_told_apart_and_the_store_works_on_when_there_is_space_again() {
    let place = Place::folder();
    let store = place.open().await;
    let limit = async |pages: &str| {
        let Db::Sqlite { write, .. } = &*store.db else { unreachable!() };
        sqlx::query(AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"))).execute(write).await.unwrap();
    };
    store.put_setting("before", "kept").await.unwrap();
    let large = "x".repeat(900_000);
    for _ in 0..3 {
        limit("1").await;
        let error = store.put_setting("large", &large).await.unwrap_err();
        assert_eq!(error.code(), "no_space", "{error}");
    }
    assert_eq!(store.setting("large").await.unwrap(), None);
    limit("1000000").await;
    store.put_setting("large", &large).await.unwrap();
    assert_eq!(store.setting("before").await.unwrap().as_deref(), Some("kept"));
}

#[test]
fn a_call_that_is_dropped_half_way_leaves_nothing_and_blocks_nobody() {
    on_each_engine(async |place| {
        let store = place.open().await;
        for round in 0..200_u64 {
            let name = format!("r{round}");
            let call = store.put_setting(&name, "x");
            let _ = tokio::time::timeout(std::time::Duration::from_micros(round * 20), call).await;
        }
        store.check().await.unwrap();
    });
}

#[test]
fn a_broken_connection_is_replaced_by_one_that_holds_the_lock() {
    on_each_engine(async |place| {
        let Place::Schema { url, name } = place else { return };
        let store = place.open().await;
        store.put_setting("a", "1").await.unwrap();
        let mut other = PgConnection::connect(url).await.unwrap();
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'
                   AND (classid::bigint << 32) | objid::bigint = hashtextextended('simpul-store ' || $1, 0)";
        let ended = sqlx::query(sql).bind(name).fetch_all(&mut other).await.unwrap();
        assert_eq!(ended.len(), 1, "one connection held the lock");
        let mut answer = store.put_setting("a", "2").await;
        if answer.is_err() {
            answer = store.put_setting("a", "2").await;
        }
        answer.unwrap();
        assert_eq!(Store::connect(&place.location()).await.unwrap_err().code(), "locked");
    });
}
