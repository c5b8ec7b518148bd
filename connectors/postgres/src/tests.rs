mod server;

use super::*;
use conformance::Source;
use futures::StreamExt;
use serde_json::json;
use server::{Server, shared};
use std::sync::atomic::{AtomicU32, Ordering};

/// The password of the reading role, wherever it is right, and what a wrong one looks like.
const CANARY: &str = "kenari-7f3a-rahasia";

/// A schema of its own, on a server that others may share.
struct Place {
    server: Arc<Server>,
    schema: String,
    fills: AtomicU32,
}

impl Place {
    async fn new() -> Self {
        Self::on(shared()).await
    }

    async fn on(server: Arc<Server>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let schema = format!("s{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let role = format!(
            "DO $$ BEGIN PERFORM pg_advisory_xact_lock(1); \
             IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'simpul') THEN \
             CREATE ROLE simpul LOGIN PASSWORD '{CANARY}'; END IF; END $$"
        );
        server.sql(&role).await;
        server.sql(&format!("CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO simpul")).await;
        server.sql(&format!("ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO simpul")).await;
        Place { server, schema, fills: AtomicU32::new(0) }
    }

    /// A place with a table `t`.
    async fn with(columns: &str, values: &str) -> Self {
        let place = Self::new().await;
        place.sql(&format!("CREATE TABLE S.t ({columns}); INSERT INTO S.t {values}")).await;
        place
    }

    /// Statements in which `S.` is the schema.
    async fn sql(&self, sql: &str) {
        self.server.sql(&self.here(sql)).await;
    }

    fn here(&self, sql: &str) -> String {
        sql.replace("S.", &format!("{}.", self.schema))
    }

    fn config(&self, changes: Value) -> Value {
        let mut config = json!({
            "host": "127.0.0.1", "port": self.server.port, "user": "simpul", "password": "env:PASSWORD",
            "database": "postgres", "sslmode": "disable", "cursor": "id", "table": self.here("S.t"),
        });
        for (key, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(config.as_object_mut().unwrap().remove(key)),
                value => config[key] = value.clone(),
            }
        }
        config
    }

    fn connect_with(&self, changes: Value) -> Box<dyn Connector> {
        build(self.config(changes), context(CANARY)).unwrap()
    }

    /// Every page from the beginning, each with a new handle.
    async fn pages(&self, changes: Value, limits: PullLimits) -> Vec<String> {
        let mut position = None;
        let mut pages = Vec::new();
        while let Some(pull) = self.connect_with(changes.clone()).pull(position.take(), limits).await.unwrap() {
            let (text, after) = read(pull).await.unwrap();
            position = Some(after);
            pages.push(text);
        }
        pages
    }

    async fn refusal(&self, changes: Value) -> ConnectorError {
        let tested = self.connect_with(changes.clone()).test().await.unwrap_err();
        let pulled = self.connect_with(changes).pull(None, PullLimits::default()).await.unwrap_err();
        assert_eq!(tested.name(), pulled.name());
        pulled
    }
}

fn context(password: &str) -> Context {
    let url = format!("postgres://simpul:{password}@127.0.0.1:1/x?sslmode=disable");
    let secrets = FixedSecrets::default().with_env("PASSWORD", password).with_env("URL_WITH_PARAMETERS", &url);
    let secrets = secrets.with_env("NO_URL", password).with_env("WRONG", "salah-kenari-7f3a-rahasia");
    Context { source: "uji".into(), secrets: Arc::new(secrets) }
}

async fn read(mut pull: Pull) -> Result<(String, Value), ConnectorError> {
    let mut bytes = Vec::new();
    while let Some(piece) = pull.body.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok((String::from_utf8(bytes).unwrap(), pull.ending.checkpoint().await?))
}

async fn first(connector: &dyn Connector) -> Pull {
    connector.pull(None, PullLimits::default()).await.unwrap().unwrap()
}

impl Source for Place {
    fn connect(&self) -> Box<dyn Connector> {
        self.connect_with(json!({"page_rows": 7}))
    }
    fn fill(&self) -> BoxFuture<'_, ()> {
        let from = self.fills.fetch_add(1, Ordering::Relaxed) * 100;
        let sql =
            format!("INSERT INTO S.t SELECT n, 'Kutai ' || n FROM generate_series({}, {}) n", from + 1, from + 30);
        async move { self.sql(&sql).await }.boxed()
    }
    fn rows_of_a_fill(&self) -> usize {
        30
    }
    fn limits(&self) -> PullLimits {
        PullLimits::default()
    }
    fn broken(&self) -> Vec<(Box<dyn Connector>, &'static str)> {
        vec![
            (self.connect_with(json!({"port": 1})), "unreachable"),
            (self.connect_with(json!({"host": "tidak-ada.invalid"})), "unreachable"),
            (self.connect_with(json!({"password": "env:WRONG"})), "denied"),
            (self.connect_with(json!({"user": "tak_dikenal"})), "denied"),
            (self.connect_with(json!({"database": "tidak_ada"})), "misconfigured"),
            (self.connect_with(json!({"table": "tidak_ada"})), "misconfigured"),
            (self.connect_with(json!({"password": "env:UNSET"})), "misconfigured"),
            (self.connect_with(json!({"password": null})), "denied"),
            (self.by_url("env:NO_URL"), "misconfigured"),
            (self.by_url("env:URL_WITH_PARAMETERS"), "misconfigured"),
        ]
    }
    fn canary(&self) -> Option<&str> {
        Some("kenari-7f3a-rahasia")
    }
}

impl Place {
    fn by_url(&self, url: &str) -> Box<dyn Connector> {
        self.connect_with(
            json!({"url": url, "host": null, "port": null, "user": null, "password": null, "database": null}),
        )
    }
}

#[tokio::test]
async fn it_passes_the_suite_of_all_connectors() {
    conformance::run(async || Place::with("id int8 PRIMARY KEY, nama text", "SELECT 1, 'x' WHERE false").await).await;
}

#[test]
fn the_example_is_a_configuration_and_contradictions_are_not() {
    let example: Value = toml::from_str(KIND.example).unwrap();
    assert_eq!((KIND.build)(example.clone(), context(CANARY)).unwrap().kind(), "postgres");
    let changes: [(&str, Value); 8] = [
        ("url", json!("env:X")),
        ("query", json!("SELECT 1 AS diubah_pada")),
        ("host", Value::Null),
        ("page_rows", json!(0)),
        ("statement_timeout_seconds", json!(0)),
        ("columns", json!([])),
        ("password", json!(CANARY)),
        ("sslmode", json!("prefer")),
    ];
    for (key, value) in changes {
        let mut config = example.clone();
        config[key] = value;
        let error = build(config, context(CANARY)).err().unwrap_or_else(|| panic!("{key} was accepted"));
        assert!(error.name() == "misconfigured" && error.message().contains(key), "{error}");
        assert!(!format!("{error:?}").contains(CANARY), "{key} repeats the secret");
    }
}

#[tokio::test]
async fn every_digit_and_every_letter_arrives() {
    let place = Place::with(
        "id int8, angka numeric, nol numeric(10,3), pecahan float8, waktu timestamptz, lokal timestamp, hari date, nama text, j json, kosong text",
        r#"VALUES (9007199254740993, 123456789012345678901234567890.000000000000000001, 1.500, 0.1,
            '2026-01-02 10:04:05.123456+07', '2026-01-02 10:04:05', '2026-02-28', E'Kutai "é"\nbaris\\', E'{"a":\n\t[1,\r\n2]}', NULL)"#,
    )
    .await;
    let (text, _) = read(first(&*place.connect_with(json!({}))).await).await.unwrap();
    assert_eq!(text.lines().count(), 1, "one row is one line: {text}");
    for part in [
        r#""id":9007199254740993,"#,
        r#""angka":123456789012345678901234567890.000000000000000001,"#,
        r#""nol":1.500,"pecahan":0.1,"#,
        r#""waktu":"2026-01-02T03:04:05.123456+00:00","lokal":"2026-01-02T10:04:05","hari":"2026-02-28","#,
        r#""nama":"Kutai \"é\"\nbaris\\","#,
        r#""kosong":null}"#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["j"], json!({"a": [1, 2]}));
}

#[tokio::test]
async fn rows_with_equal_cursors_are_never_parted() {
    let place = Place::with("id int4, n int4", "SELECT n / 10, n FROM generate_series(0, 99) n").await;
    for page_rows in [1, 3, 10, 11, 25, 1000] {
        let pages = place.pages(json!({"page_rows": page_rows}), PullLimits::default()).await;
        let mut all = Vec::new();
        for page in &pages {
            let rows: Vec<Value> = page.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
            assert_eq!(rows.len() % 10, 0, "page_rows {page_rows} parts a cursor value");
            all.extend(rows.into_iter().map(|r| r["n"].as_i64().unwrap()));
        }
        all.sort();
        assert_eq!(all, (0..100).collect::<Vec<_>>(), "page_rows {page_rows}");
    }
}

#[tokio::test]
async fn a_page_over_the_limits_is_made_smaller_until_one_value_is_too_much() {
    let place = Place::with("id int4, n int4", "SELECT least(n, 90), n FROM generate_series(1, 120) n").await;
    let limits = PullLimits { max_rows: 40, ..PullLimits::default() };
    let pages = place.pages(json!({}), limits).await;
    assert_eq!(pages.iter().map(|p| p.lines().count()).sum::<usize>(), 120);
    assert!(pages.iter().all(|p| p.lines().count() <= 40));

    let limits = PullLimits { max_bytes: 800, ..PullLimits::default() };
    assert!(place.pages(json!({}), limits).await.iter().all(|p| p.len() <= 800));

    let limits = PullLimits { max_rows: 30, ..PullLimits::default() };
    let position = json!({"column": "id", "after": "89"});
    let error = place.connect_with(json!({})).pull(Some(position), limits).await.unwrap_err();
    assert!(error.name() == "limit" && error.message().contains("31 rows, 30 are allowed"), "{error}");
}

#[tokio::test]
async fn every_type_of_cursor_goes_on_where_it_stopped() {
    for (kind, value) in [
        ("int2", "n"),
        ("int8", "9007199254740990 + n"),
        ("numeric", "n / 7.0 + 1e20"),
        ("date", "date '2025-12-20' + n"),
        ("timestamp", "timestamp '2025-12-31 23:59:59.999990' + n * interval '1 microsecond'"),
        ("timestamptz", "timestamptz '2025-12-31 23:59:59.999990+07' + n * interval '1 microsecond'"),
        ("uuid", "md5(n::text)::uuid"),
        ("text", "'é''\" ' || n"),
        ("varchar(20)", "'Ä' || n"),
    ] {
        let columns = format!("id {kind}, n int4");
        let place = Place::with(&columns, &format!("SELECT {value}, n FROM generate_series(1, 20) n")).await;
        let pages = place.pages(json!({"page_rows": 3}), PullLimits::default()).await;
        let rows = pages.iter().flat_map(|p| p.lines()).collect::<std::collections::HashSet<_>>();
        assert_eq!((pages.len(), rows.len()), (7, 20), "{kind}");
    }
    let place = Place::with("id float8", "VALUES (1)").await;
    assert!(place.refusal(json!({})).await.message().contains("FLOAT8 cannot be a cursor"));
}

#[tokio::test]
async fn names_are_looked_up_and_quoted_and_values_are_parameters() {
    let place = Place::with("id int4", "VALUES (1)").await;
    place.sql(r#"CREATE TABLE S."a""b; DROP TABLE t --" ("Kode ""W""; --" int4, "nama'x" text)"#).await;
    place.sql(r#"INSERT INTO S."a""b; DROP TABLE t --" VALUES (1, 'x'), (2, '''; DROP TABLE t; --')"#).await;
    let changes = json!({
        "table": place.here(r#"S."a""b; DROP TABLE t --""#), "cursor": r#"Kode "W"; --"#, "columns": [r#"Kode "W"; --"#, "nama'x"], "page_rows": 1,
    });
    let pages = place.pages(changes, PullLimits::default()).await;
    assert_eq!(pages[1], "{\"Kode \\\"W\\\"; --\":2,\"nama'x\":\"'; DROP TABLE t; --\"}\n");

    for table in ["t'; DROP TABLE S.t; --", "S.t\"; DROP TABLE S.t; --", "(SELECT 1)", "S.t, S.t", "", "a.b.c.d"] {
        let error = place.refusal(json!({"table": place.here(table)})).await;
        assert_eq!(error.name(), "misconfigured", "{table}: {error}");
    }
    for cursor in ["id\" IS NULL; DROP TABLE t; --", "id::text", "ctid", "ID"] {
        assert_eq!(place.refusal(json!({"cursor": cursor})).await.name(), "misconfigured", "{cursor}");
    }
    let position = json!({"column": "id", "after": place.here("0'; DROP TABLE S.t; --")});
    let error = place.connect_with(json!({})).pull(Some(position), PullLimits::default()).await.unwrap_err();
    assert_eq!(error.name(), "source_data", "{error}");
    assert!(!error.message().contains("DROP"), "values are not repeated: {error}");
    assert_eq!(place.server.count(&place.here("SELECT count(*) FROM S.t")).await, 1);
}

#[tokio::test]
async fn a_query_is_read_and_can_write_nothing() {
    let place = Place::with("id int4, n int4", "SELECT n, n * 2 FROM generate_series(1, 5) n").await;
    place.sql("CREATE SEQUENCE S.q; GRANT ALL ON S.q TO simpul; GRANT ALL ON S.t TO simpul").await;
    place.sql("CREATE FUNCTION S.w() RETURNS int4 LANGUAGE sql AS 'DELETE FROM S.t RETURNING 1'").await;
    let query = |sql: &str| json!({"table": null, "query": place.here(sql)});
    let pages =
        place.pages(query("SELECT id, sum(n) AS jumlah FROM S.t GROUP BY id -- per id"), PullLimits::default()).await;
    assert_eq!(pages.concat().lines().next().unwrap(), r#"{"id":1,"jumlah":2}"#);
    let report = place.connect_with(query("SELECT * FROM S.t")).test().await.unwrap();
    assert_eq!(report.columns[1], Column { name: "n".into(), source_type: "int4".into() });

    for sql in ["SELECT id, nextval('S.q') AS n FROM S.t", "SELECT id, S.w() AS n FROM S.t"] {
        let connector = place.connect_with(query(sql));
        let error = connector.pull(None, PullLimits::default()).await.unwrap_err();
        assert_eq!(error.name(), "misconfigured", "{sql}: {error}");
    }
    for sql in [
        "DELETE FROM S.t",
        "SELECT 1 AS id; DELETE FROM S.t",
        "SELECT id) t; DELETE FROM S.t; --",
        "SELECT id, id FROM S.t",
    ] {
        let error = place.refusal(query(sql)).await;
        assert_eq!(error.name(), "misconfigured", "{sql}: {error}");
    }
    assert_eq!(place.server.count(&place.here("SELECT count(*) FROM S.t")).await, 5);
}

#[tokio::test]
async fn a_dropped_column_is_named() {
    let place = Place::with("id int4, nama text, alamat text", "VALUES (1, 'x', 'y')").await;
    let changes = json!({"columns": ["id", "alamat"]});
    assert_eq!(place.pages(changes.clone(), PullLimits::default()).await.concat(), "{\"id\":1,\"alamat\":\"y\"}\n");
    place.sql("ALTER TABLE S.t DROP COLUMN alamat").await;
    let error = place.refusal(changes).await;
    assert!(error.name() == "misconfigured" && error.message().contains("column alamat"), "{error}");
    place.sql("ALTER TABLE S.t DROP COLUMN id").await;
    assert!(place.refusal(json!({})).await.message().contains("column id"));
}

#[tokio::test]
async fn columns_without_a_form_as_text_are_refused_by_name() {
    let place = Place::new().await;
    place.sql("CREATE TYPE S.pair AS (a int, b bytea); CREATE DOMAIN S.foto AS bytea").await;
    place.sql("CREATE TABLE S.t (id int4, a bytea, b bytea[], c S.pair, d S.foto); INSERT INTO S.t VALUES (1)").await;
    for column in ["a", "b", "c", "d"] {
        let error = place.refusal(json!({"columns": ["id", column]})).await;
        assert!(
            error.name() == "misconfigured" && error.message().starts_with(&format!("column {column}:")),
            "{error}"
        );
    }
    assert_eq!(place.pages(json!({"columns": ["id"]}), PullLimits::default()).await.concat(), "{\"id\":1}\n");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_cut() {
    let place = Place::with("id int4", "SELECT generate_series(1, 5)").await;
    let slow = place.here("SELECT id, s.x FROM S.t, LATERAL (SELECT pg_sleep(id)::text) AS s(x)");
    let connector = place.connect_with(json!({"table": null, "query": slow, "statement_timeout_seconds": 1}));
    let begun = std::time::Instant::now();
    let error = connector.pull(None, PullLimits::default()).await.unwrap_err();
    assert!(error.name() == "limit" && error.message().contains("longer than allowed"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_table_that_is_locked_is_not_waited_for_without_end() {
    let place = Place::with("id int4", "VALUES (1)").await;
    let mut admin = place.server.admin().await;
    let lock = place.here("BEGIN; LOCK TABLE S.t IN ACCESS EXCLUSIVE MODE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut admin).await.unwrap();
    let error = place.refusal(json!({"statement_timeout_seconds": 1})).await;
    assert_eq!(error.name(), "limit", "{error}");
}

#[tokio::test]
async fn a_role_without_the_right_to_read_is_denied() {
    let place = Place::with("id int4", "VALUES (1)").await;
    place.sql("REVOKE ALL ON S.t FROM simpul").await;
    assert_eq!(place.refusal(json!({})).await.name(), "denied");
}

#[tokio::test]
async fn a_corrected_row_is_a_new_payload_and_the_same_rows_are_not() {
    let place = Place::with("id int4, nama text", "VALUES (1, 'salah'), (2, 'benar'), (3, 'benar')").await;
    let key = async || first(&*place.connect_with(json!({}))).await.key;
    let before = key().await;
    assert_eq!(before, key().await);
    // The same rows in another order on disk.
    place.sql("UPDATE S.t SET nama = nama WHERE id = 1").await;
    assert_eq!(before, key().await);
    place.sql("UPDATE S.t SET nama = 'benar' WHERE id = 1").await;
    let corrected = key().await;
    assert_ne!(before, corrected);
    let elsewhere = Context { source: "lain".into(), ..context(CANARY) };
    let other = build(place.config(json!({})), elsewhere).unwrap();
    assert_ne!(corrected, first(&*other).await.key, "two sources never share a key");
}

#[tokio::test]
async fn young_rows_are_held_back_and_empty_cursors_never_come() {
    let rows = "VALUES (now() - interval '1 hour', 1), (now(), 2), (NULL, 3)";
    let place = Place::with("id timestamptz, n int4", rows).await;
    let pages = place.pages(json!({"hold_back_seconds": 600}), PullLimits::default()).await;
    assert!(pages.len() == 1 && pages[0].lines().count() == 1 && pages[0].contains("\"n\":1"), "{pages:?}");
    let all = place.pages(json!({}), PullLimits::default()).await.concat();
    assert!(all.lines().count() == 2 && !all.contains("\"n\":3"), "{all}");
    let error = place.refusal(json!({"cursor": "n", "hold_back_seconds": 1})).await;
    assert!(error.message().contains("needs a timestamptz cursor"), "{error}");
}

#[tokio::test]
async fn a_cursor_that_nothing_can_follow_is_an_error() {
    for (kind, value) in
        [("timestamptz", "infinity"), ("date", "infinity"), ("numeric", "NaN"), ("numeric", "Infinity")]
    {
        let place = Place::with(&format!("id {kind}"), &format!("VALUES ('{value}')")).await;
        let error = place.connect_with(json!({})).pull(None, PullLimits::default()).await.unwrap_err();
        assert_eq!(error.name(), "source_data", "{kind} {value}: {error}");
    }
}

#[tokio::test]
async fn two_hundred_thousand_rows_stream_through_little_memory() {
    let place =
        Place::with("id int8 PRIMARY KEY, nama text", "SELECT n, repeat('x', 300) FROM generate_series(1, 200000) n")
            .await;
    let connector = place.connect_with(json!({"page_rows": 1_000_000}));
    let mut pull = first(&*connector).await;
    let (before, mut rows, mut bytes, mut peak) = (resident_kib(), 0, 0, 0);
    while let Some(piece) = pull.body.next().await {
        let piece = piece.unwrap();
        assert!(piece.len() <= 2 << 20, "a piece of {} bytes", piece.len());
        rows += piece.iter().filter(|b| **b == b'\n').count();
        bytes += piece.len();
        peak = peak.max(resident_kib().saturating_sub(before));
    }
    assert_eq!(pull.ending.checkpoint().await.unwrap(), json!({"column": "id", "after": "200000"}));
    assert_eq!(rows, 200_000);
    println!("{bytes} bytes, {peak} KiB more than before");
    assert!(bytes > 60 << 20 && peak < 24 << 10, "{bytes} bytes took {peak} KiB");
}

/// The memory of this process, shared with the tests beside this one.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_server_that_goes_down_in_mid_page_costs_nothing_but_time() {
    let place = Place::on(Arc::new(Server::start(false))).await;
    place.sql("CREATE TABLE S.t (id int8 PRIMARY KEY, nama text)").await;
    place.sql("INSERT INTO S.t SELECT n, repeat('x', 300) FROM generate_series(1, 50000) n; CHECKPOINT").await;
    let connector = place.connect_with(json!({}));
    let mut pull = first(&*connector).await;
    let key = pull.key.clone();
    assert!(pull.body.next().await.unwrap().is_ok());
    place.server.down();
    let mut cut = None;
    while let Some(piece) = pull.body.next().await {
        cut = piece.err();
    }
    let error = cut.expect("the cut is seen");
    assert!(error.retryable(), "{error}");
    assert_eq!(pull.ending.checkpoint().await.unwrap_err(), error, "half a page has no checkpoint");
    assert_eq!(connector.test().await.unwrap_err().name(), "unreachable");
    place.server.up();
    let again = first(&*connector).await;
    assert_eq!(again.key, key);
    assert_eq!(read(again).await.unwrap().0.lines().count(), 50_000);
    let error = place.refusal(json!({"sslmode": "require"})).await;
    assert!(error.name() == "misconfigured" && error.message().starts_with("TLS"), "{error}");
}

#[tokio::test]
async fn the_server_is_who_the_configuration_says() {
    let place = Place::with("id int4", "VALUES (1)").await;
    let tls = |mode: Value, host: &str, ca: bool| {
        let ca = if ca { json!(place.server.ca()) } else { Value::Null };
        json!({"sslmode": mode, "host": host, "ca": ca})
    };
    for good in [
        tls(Value::Null, "localhost", true),
        tls(json!("verify-ca"), "127.0.0.1", true),
        tls(json!("require"), "localhost", false),
    ] {
        place.connect_with(good.clone()).test().await.unwrap_or_else(|e| panic!("{good}: {e}"));
    }
    for bad in [
        tls(Value::Null, "localhost", false),
        tls(Value::Null, "127.0.0.1", true),
        tls(json!("verify-ca"), "localhost", false),
    ] {
        let error = place.refusal(bad.clone()).await;
        assert!(error.name() == "misconfigured" && error.message().starts_with("TLS"), "{bad}: {error}");
    }
}

#[tokio::test]
async fn a_position_of_another_column_is_refused() {
    let place = Place::with("id int4, n int4", "VALUES (1, 1)").await;
    let position = json!({"column": "n", "after": "0"});
    let error = place.connect_with(json!({})).pull(Some(position), PullLimits::default()).await.unwrap_err();
    assert!(error.name() == "misconfigured" && error.message().contains("column n"), "{error}");
}

#[tokio::test]
async fn a_test_estimates_the_rows_and_names_the_columns() {
    let place =
        Place::with("id int4 PRIMARY KEY, nama varchar(9)", "SELECT n, 'x' FROM generate_series(1, 1000) n").await;
    place.sql("ANALYZE S.t").await;
    let report = place.connect_with(json!({})).test().await.unwrap();
    assert_eq!(report.rows_estimate, Some(1000));
    assert_eq!(report.summary, place.here("S.t"));
    assert_eq!(report.columns.iter().map(|c| c.source_type.as_str()).collect::<Vec<_>>(), ["int4", "varchar"]);
}
