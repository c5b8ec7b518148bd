//! One page: its bounds, its digest and its rows.

use crate::plan::Plan;
use crate::session::Session;
use futures::stream::{self, Stream};
use sha2::{Digest, Sha256};
use simpul_connector_api::{Bytes, ConnectorError, Part, PullLimits, Value};
use sqlx::Row;
use sqlx::postgres::PgRow;

/// The largest row, in bytes of JSON.
pub const MAX_ROW_BYTES: u64 = 16 << 20;
/// What one FETCH may bring, in bytes, whatever the sizes of its rows; a single row may be larger.
const FETCH_BYTES: u64 = 1 << 20;
const MAX_FETCH_ROWS: u64 = 5_000;
/// A page over the limits is tried again with this part of its rows.
const SHRINK: u64 = 4;

/// The rows after `before` up to and including `upto`.
#[derive(Debug, Clone)]
pub struct Page {
    /// The position it begins after; `None` is the beginning.
    pub before: Option<String>,
    /// The largest cursor in it.
    pub upto: String,
    /// How many rows it has.
    pub rows: u64,
    bytes: u64,
    largest: u64,
    digest: String,
}

/// Finds the next page that fits the limits, or `None` when there is no row after the position.
pub async fn find(
    session: &mut Session,
    plan: &Plan,
    before: Option<String>,
    limits: PullLimits,
) -> Result<Option<Page>, ConnectorError> {
    let mut aim = plan.page_rows.min(limits.max_rows).max(1);
    loop {
        let (sql, values) = plan.bound(before.as_ref(), aim);
        let rows = session.run(&sql, &values).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let upto: String = get(row, 0)?;
        if matches!(upto.as_str(), "infinity" | "Infinity" | "NaN") {
            return Err(ConnectorError::source_data(format!("a row has the cursor {upto}: nothing could follow it")));
        }
        let page = measure(session, plan, before.clone(), upto).await?;
        match page.over(limits) {
            None => return Ok(Some(page)),
            Some(why) if aim == 1 => return Err(ConnectorError::limit(format!("rows with one cursor value: {why}"))),
            Some(_) => aim = (aim.min(page.rows) / SHRINK).max(1),
        }
    }
}

async fn measure(
    session: &mut Session,
    plan: &Plan,
    before: Option<String>,
    upto: String,
) -> Result<Page, ConnectorError> {
    let (sql, values) = plan.measure(before.as_ref(), &upto);
    let rows = session.run(&sql, &values).await?;
    let row = rows.first().ok_or_else(|| ConnectorError::interrupted("the server gave no measure of the page"))?;
    let count = |at| get::<i64>(row, at).map(|n| n.max(0).unsigned_abs());
    let (rows, bytes, largest) = (count(0)?, count(1)?, count(2)?);
    Ok(Page { before, upto, rows, bytes, largest, digest: get(row, 3)? })
}

fn get<'r, T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>>(
    row: &'r PgRow,
    at: usize,
) -> Result<T, ConnectorError> {
    row.try_get(at).map_err(|_| ConnectorError::interrupted("the server's answer could not be read"))
}

impl Page {
    /// What is too much about it.
    fn over(&self, limits: PullLimits) -> Option<String> {
        let rules = [
            (self.rows > limits.max_rows, format!("{} rows, {} are allowed", self.rows, limits.max_rows)),
            (self.bytes > limits.max_bytes, format!("{} bytes, {} are allowed", self.bytes, limits.max_bytes)),
            (self.largest > MAX_ROW_BYTES, format!("a row of {} bytes, {MAX_ROW_BYTES} are allowed", self.largest)),
        ];
        rules.into_iter().find_map(|(over, why)| over.then_some(why))
    }

    /// What an operator calls it. Holds no cursor values when they may be text out of the rows.
    pub fn name(&self, plan: &Plan) -> String {
        format!("{} ({} rows)", plan.name(), self.rows)
    }

    /// SHA-256 over the source, what is read, the position and the digest, each with its length before it.
    pub fn key(&self, source: &str, plan: &Plan) -> String {
        let counts = format!("{}:{}", self.rows, self.bytes);
        let before = self.before.as_ref().map_or_else(|| "-".to_owned(), |b| format!("+{b}"));
        let mut hash = Sha256::new();
        for part in plan.identity().into_iter().chain([source, &before, &self.upto, &counts, &self.digest]) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Reads the page in the transaction that measured it. Memory holds one FETCH at a time.
    pub fn parts(
        self,
        session: Session,
        plan: Plan,
        after: Value,
    ) -> impl Stream<Item = Result<Part, ConnectorError>> + Send + 'static {
        let fetch = (FETCH_BYTES / self.largest.max(1)).clamp(1, MAX_FETCH_ROWS);
        let reading =
            Reading { fetch: format!("FETCH FORWARD {fetch} FROM simpul_page"), page: self, session, plan, after };
        stream::try_unfold(State::New(Box::new(reading)), State::next)
    }
}

struct Reading {
    fetch: String,
    page: Page,
    session: Session,
    plan: Plan,
    after: Value,
}

enum State {
    New(Box<Reading>),
    /// Open, with the rows that are still to come.
    Open(Box<Reading>, u64),
    Done,
}

impl State {
    async fn next(self) -> Result<Option<(Part, State)>, ConnectorError> {
        match self {
            State::New(mut reading) => {
                reading.open().await?;
                let rows = reading.page.rows;
                reading.more(rows).await.map(Some)
            }
            State::Open(reading, left) => reading.more(left).await.map(Some),
            State::Done => Ok(None),
        }
    }
}

impl Reading {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        let (sql, values) = self.plan.declare(self.page.before.as_ref(), &self.page.upto);
        self.session.run(&sql, &values).await.map(drop)
    }

    async fn more(mut self: Box<Self>, left: u64) -> Result<(Part, State), ConnectorError> {
        let rows = self.session.run(&self.fetch, &[]).await?;
        let changed = || ConnectorError::source_data("the query gives other rows each time it is asked");
        match left.checked_sub(rows.len() as u64).ok_or_else(changed)? {
            0 if rows.is_empty() => Ok((Part::End(self.after), State::Done)),
            _ if rows.is_empty() => Err(changed()),
            left => Ok((Part::Bytes(lines(&rows)?), State::Open(self, left))),
        }
    }
}

/// The rows as lines. A column of type `json` keeps the line ends it was written with; between the tokens of JSON they
/// are blanks like any other, and within a string they cannot stand.
fn lines(rows: &[PgRow]) -> Result<Bytes, ConnectorError> {
    let mut lines = Vec::new();
    for row in rows {
        let unreadable = |_| ConnectorError::interrupted("the server's answer could not be read");
        let value = row.try_get_raw(0).map_err(unreadable)?;
        let bytes = value.as_bytes().map_err(|_| ConnectorError::source_data("a row is empty"))?;
        lines.extend(bytes.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }));
        lines.push(b'\n');
    }
    Ok(Bytes::from(lines))
}
