//! Rows of a PostgreSQL table, view or query, in pages along a cursor column.
//!
//! A page is every row whose cursor lies after the checkpoint and at or before an upper value, so that rows with equal
//! cursors are never parted: a page may hold somewhat more than `page_rows`, and is cut smaller when it would pass the
//! limits of the pull. Bounds, digest and rows are read in one read-only, repeatable-read transaction. The key is over
//! the position and the digest of the rows, so a page that someone corrected at the source is a new payload.
//!
//! A cursor must only grow, and must be moved by every change that is to be brought again. What it cannot see:
//! - rows whose cursor is empty are never brought;
//! - a row that becomes visible after a page, with a cursor inside that page, is missed. It happens when transactions
//!   commit in another order than they drew their numbers or times. `hold_back_seconds` leaves the youngest rows of a
//!   `timestamptz` cursor for later; make it longer than the longest writing transaction;
//! - deleted rows are not noticed.
//!
//! Rows travel as NDJSON written by the server: every digit of a number, ISO dates and times, times with a zone in UTC.
//! `bytea` and composite columns have no such form and are refused; name the other columns in `columns`.
//!
//! Table and column names are looked up at the server and quoted as it spells them; values travel as parameters. `query`
//! is SQL of the administrator and runs with the rights of the configured role, in a transaction that cannot write.
//! Functions with effects outside the database are a matter of that role's rights: give it `SELECT` and nothing else.

mod page;
mod plan;
mod session;

use futures::FutureExt;
use plan::Plan;
use serde::{Deserialize, Serialize};
use session::Session;
use simpul_connector_api::*;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// PostgreSQL, for the node's list of kinds. Servers from version 12 on.
pub const KIND: Kind = Kind {
    kind: "postgres",
    describe: "A table, view or query of a PostgreSQL database, brought in pages along a cursor column.",
    example: EXAMPLE,
    build,
};

const EXAMPLE: &str = r#"host = "10.20.0.5"
port = 5432
database = "simdukcapil"
# A role that may only read: GRANT SELECT ON pelayanan.penduduk TO simpul
user = "simpul"
password = "env:SIMPUL_PENDUDUK_PASSWORD"
# Instead of the five above: url = "file:/etc/simpul/secrets/penduduk-url"

# verify-full | verify-ca | require (encrypted, any certificate) | disable
sslmode = "verify-full"
# The authority that signed the server's certificate, besides the public ones.
ca = "/etc/simpul/ca/dukcapil.pem"

# As in SQL: a name with capitals or spaces stands in double quotes. Or: query = "SELECT ... FROM ..."
table = "pelayanan.penduduk"
# All columns, if left out. The cursor must be one of them.
columns = ["nik", "nama", "kode_wilayah", "diubah_pada"]
# Grows with every change: a sequence number, or the time of the last change.
cursor = "diubah_pada"
# Rows younger than this wait for the next run (timestamptz cursors only).
hold_back_seconds = 300

page_rows = 50000
statement_timeout_seconds = 60
connect_timeout_seconds = 10
"#;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: Option<SecretRef>,
    host: Option<String>,
    port: Option<u16>,
    database: Option<String>,
    user: Option<String>,
    password: Option<SecretRef>,
    #[serde(default)]
    sslmode: SslMode,
    ca: Option<PathBuf>,
    table: Option<String>,
    query: Option<String>,
    columns: Option<Vec<String>>,
    cursor: String,
    hold_back_seconds: Option<u32>,
    #[serde(default = "default_page_rows")]
    page_rows: u32,
    #[serde(default = "default_statement_timeout")]
    statement_timeout_seconds: u32,
    #[serde(default = "default_connect_timeout")]
    connect_timeout_seconds: u32,
}

/// Whoever may be on the path: nothing falls back to clear text by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SslMode {
    Disable,
    Require,
    VerifyCa,
    #[default]
    VerifyFull,
}

fn default_page_rows() -> u32 {
    50_000
}
fn default_statement_timeout() -> u32 {
    60
}
fn default_connect_timeout() -> u32 {
    10
}

impl Config {
    fn check(&self) -> Result<(), ConnectorError> {
        const DAY: u32 = 86_400;
        let parts = [self.host.is_some(), self.user.is_some(), self.database.is_some()];
        let any_part = parts.contains(&true) || self.port.is_some() || self.password.is_some();
        let rules = [
            (self.url.is_some() && any_part, "either `url` or `host`, `port`, `user`, `password`, `database`"),
            (self.url.is_none() && parts.contains(&false), "`host`, `user` and `database` are needed, or `url`"),
            (self.table.is_some() == self.query.is_some(), "either `table` or `query` is needed"),
            (self.page_rows == 0, "`page_rows` must be at least 1"),
            (!(1..=DAY).contains(&self.statement_timeout_seconds), "`statement_timeout_seconds` is from 1 to 86400"),
            (!(1..=DAY).contains(&self.connect_timeout_seconds), "`connect_timeout_seconds` is from 1 to 86400"),
            (self.columns.as_ref().is_some_and(Vec::is_empty), "`columns` is empty; leave it out to bring all"),
        ];
        match rules.iter().find(|(wrong, _)| *wrong) {
            Some((_, why)) => Err(ConnectorError::misconfigured(*why)),
            None => Ok(()),
        }
    }

    fn statement_timeout(&self) -> Duration {
        Duration::from_secs(self.statement_timeout_seconds.into())
    }
}

fn build(config: Value, context: Context) -> Result<Box<dyn Connector>, ConnectorError> {
    let config: Config = parse_config(config)?;
    config.check()?;
    Ok(Box::new(Postgres { config: Arc::new(config), context }))
}

struct Postgres {
    config: Arc<Config>,
    context: Context,
}

/// How far the rows were brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checkpoint {
    /// The cursor column that `after` is a value of.
    column: String,
    /// The largest cursor that was brought, as the server writes it.
    after: String,
}

/// There is nothing to settle at a database; the ticket names the page for the journal's reader.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageTicket {
    after: Option<String>,
    upto: String,
    rows: u64,
}

impl Connector for Postgres {
    fn kind(&self) -> &'static str {
        KIND.kind
    }

    fn test(&self) -> BoxFuture<'_, Result<TestReport, ConnectorError>> {
        self.look().boxed()
    }

    fn pull(
        &self,
        checkpoint: Option<Value>,
        limits: PullLimits,
    ) -> BoxFuture<'_, Result<Option<Pull>, ConnectorError>> {
        self.next(checkpoint, limits).boxed()
    }

    fn settle<'a>(&'a self, ticket: Ticket, _: Outcome<'a>) -> BoxFuture<'a, Result<(), ConnectorError>> {
        futures::future::ready(parse_stored::<PageTicket>(ticket.0).map(drop)).boxed()
    }
}

impl Postgres {
    /// The next page: connect, learn the columns, find the bounds, and hand the transaction on to the body.
    async fn next(&self, checkpoint: Option<Value>, limits: PullLimits) -> Result<Option<Pull>, ConnectorError> {
        let before = self.position(checkpoint)?;
        let mut session = Session::open(&self.config, &self.context).await?;
        let plan = Plan::of(&self.config, &mut session).await?;
        let Some(page) = page::find(&mut session, &plan, before, limits).await? else { return Ok(None) };
        let key = page.key(&self.context.source, &plan);
        let name = page.name(&plan);
        let ticket = PageTicket { after: page.before.clone(), upto: page.upto.clone(), rows: page.rows };
        let after = Checkpoint { column: self.config.cursor.clone(), after: page.upto.clone() };
        let (body, ending) = payload(page.parts(session, plan, stored(&after)?), limits);
        let ticket = Ticket(stored(&ticket)?);
        Ok(Some(Pull { format: Format::Ndjson, name, key, ticket, body, ending }))
    }

    fn position(&self, checkpoint: Option<Value>) -> Result<Option<String>, ConnectorError> {
        let Some(checkpoint) = checkpoint.map(parse_stored::<Checkpoint>).transpose()? else { return Ok(None) };
        if checkpoint.column != self.config.cursor {
            let message = format!(
                "the stored position is of column {}, the cursor is now {}; forget the position to begin anew",
                checkpoint.column, self.config.cursor
            );
            return Err(ConnectorError::misconfigured(message));
        }
        Ok(Some(checkpoint.after))
    }

    async fn look(&self) -> Result<TestReport, ConnectorError> {
        let mut session = Session::open(&self.config, &self.context).await?;
        let plan = Plan::of(&self.config, &mut session).await?;
        let rows_estimate = plan.estimate(&mut session).await?;
        let mut notes = vec![format!("Rows without a value in {} are never brought.", self.config.cursor)];
        if self.config.hold_back_seconds.is_none() {
            notes.push("Rows that appear late with a cursor already passed are missed; see hold_back_seconds.".into());
        }
        Ok(TestReport {
            summary: plan.name().to_owned(),
            columns: plan.columns(),
            rows_estimate,
            notes,
            ..TestReport::default()
        })
    }
}

/// Reads back a checkpoint or a ticket that this kind wrote.
fn parse_stored<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ConnectorError> {
    let foreign = |_| ConnectorError::misconfigured("the stored position was not written by a PostgreSQL source");
    serde_json::from_value(value).map_err(foreign)
}

fn stored<T: Serialize>(value: &T) -> Result<Value, ConnectorError> {
    serde_json::to_value(value).map_err(|e| ConnectorError::source_data(e.to_string()))
}

#[cfg(test)]
mod tests;
