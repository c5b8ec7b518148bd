//! The journal of deliveries: what was promised, in which state it is, and its place in the order of
//! its source.
//!
//! 1. [`Store::begin`] takes the key of a delivery or finds the delivery that has it.
//! 2. [`Store::transition`] records that it is staged, refused or abandoned.
//! 3. [`Store::take_sequence`] fixes its number; from here on the lake may commit its rows.
//! 4. [`Store::land`] records the commit with everything that follows from it, together or not at all.
//!
//! After a restart [`Store::unfinished`] lists what has to be driven on.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use simpul_core::delivery::{Delivery, IllegalTransition, Mode, State};
use simpul_core::id::DatasetId;
use simpul_core::time::Timestamp;
use sqlx::AssertSqlSafe;

use crate::Store;
use crate::connectors::{self, ConnectorCheckpoint};
use crate::db::{Row, Tx, Value, at_most, int, to_json, values};
use crate::error::{Result, StoreError};
use crate::outbox::{self, NewForward};

/// The longest id, source, origin, contract version or idempotency key, in bytes.
pub const MAX_NAME: usize = 256;
/// The longest state in its JSON form, in bytes: some ten thousand staged files with their statistics.
pub const MAX_STATE: usize = 64 << 20;
/// The longest report, in bytes of JSON.
pub const MAX_REPORT: usize = 4 << 20;
/// The most deliveries in one page of a list.
pub const MAX_PAGE: u32 = 1000;
/// Reports are mostly repeated words; a higher level costs time and saves nothing.
const ZSTD_LEVEL: i32 = 1;

/// A delivery and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// What is known from its first byte on.
    pub delivery: Delivery,
    /// Where it stands.
    pub state: State,
}

/// What [`Store::begin`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The key was free and is now taken; the delivery is receiving.
    New,
    /// This (source, dataset, idempotency key) has a delivery, in whatever state.
    Same(Box<Record>),
    /// The key is new, but this (source, dataset, source sequence) has a delivery.
    Sequence(Box<Record>),
}

/// Which deliveries a list shows. A condition that is absent holds for all.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Those of this source.
    pub source: Option<String>,
    /// Those of this origin.
    pub origin: Option<String>,
    /// Those in this state, by [`State::name`].
    pub state: Option<String>,
    /// Those received at this instant or later.
    pub since: Option<Timestamp>,
}

/// Where the next page of a list begins. Its text form is opaque to callers of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    received_at: i64,
    id: String,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.received_at, self.id)
    }
}

impl FromStr for Cursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self> {
        let parse = |text: &str| {
            let (millis, id) = text.split_once('.')?;
            (id.len() <= MAX_NAME).then_some(())?;
            Some(Self { received_at: millis.parse().ok()?, id: id.to_owned() })
        };
        parse(text).ok_or(StoreError::Invalid("not a cursor of this list"))
    }
}

/// One page of a list, newest delivery first.
#[derive(Clone, Debug)]
pub struct Page {
    /// The deliveries.
    pub records: Vec<Record>,
    /// Where the next page begins; absent after the last one.
    pub next: Option<Cursor>,
}

impl Store {
    /// Takes the key of `delivery` in the state receiving, or finds the delivery that has it. Of any
    /// number of calls at once with one key exactly one gets [`Begin::New`]. The key and the source
    /// sequence of an abandoned delivery are free.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the id is taken by another delivery, [`StoreError::TooLarge`].
    pub async fn begin(&self, delivery: &Delivery) -> Result<Begin> {
        check_names(delivery)?;
        let mut tx = self.db.write().await?;
        if let Some(record) = by_key(&mut tx, delivery).await? {
            return Ok(Begin::Same(Box::new(record)));
        }
        if let Some(record) = by_source_sequence(&mut tx, delivery).await? {
            return Ok(Begin::Sequence(Box::new(record)));
        }
        if insert(&mut tx, delivery).await? == 0 {
            return Err(StoreError::Conflict { what: "delivery", name: delivery.id.clone() });
        }
        tx.commit().await?;
        Ok(Begin::New)
    }

    /// Moves delivery `id` from the state named `expected` to `new`, if it is still there: to staged,
    /// refused or abandoned. [`Store::take_sequence`] and [`Store::land`] do the others. Abandoning
    /// frees the key and drops the report.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] if the stored state is another one, [`StoreError::Illegal`] if a
    /// delivery never moves this way, [`StoreError::NotFound`], [`StoreError::TooLarge`].
    pub async fn transition(&self, id: &str, expected: &'static str, new: &State) -> Result<()> {
        let legal = match new {
            State::Staged(_) | State::Abandoned => expected == "receiving",
            State::Refused { .. } => matches!(expected, "receiving" | "staged" | "landing"),
            State::Receiving | State::Landing { .. } | State::Landed { .. } => false,
        };
        if !legal {
            return Err(IllegalTransition { from: expected, transition: transition_to(new) }.into());
        }
        let mut tx = self.db.write().await?;
        write_state(&mut tx, id, expected, new).await?;
        if matches!(new, State::Abandoned) {
            tx.run("DELETE FROM reports WHERE delivery = $1", values![id]).await?;
        }
        tx.commit().await
    }

    /// Moves a staged delivery to landing and answers its number: for a forwarded delivery the
    /// sender's own, else one more than any number that (source, dataset) ever had.
    ///
    /// # Errors
    /// [`StoreError::Stale`] if the sender's number is not above the highest that landed or is
    /// landing, [`StoreError::WrongState`] unless the delivery is staged, [`StoreError::NotFound`].
    pub async fn take_sequence(&self, id: &str) -> Result<u64> {
        let mut tx = self.db.write().await?;
        let Record { delivery, state } = expect(&mut tx, id, "staged").await?;
        let sequence = next_sequence(&mut tx, &delivery).await?;
        let landing = state.sequence(sequence)?;
        write_state(&mut tx, id, "staged", &landing).await?;
        tx.run("UPDATE deliveries SET sequence = $2 WHERE id = $1", values![id, int(sequence)?]).await?;
        tx.commit().await?;
        Ok(sequence)
    }

    /// Records that the rows of delivery `id` are visible: its state, one entry in the outbox per
    /// link, and how far its connector has read, together or not at all. The same call again is no
    /// change. The checkpoint of a connector that was deleted in the meantime is dropped.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] unless the delivery is landing with the same sequence number,
    /// [`StoreError::Illegal`] if `landed` is another state, [`StoreError::NotFound`].
    pub async fn land(
        &self,
        id: &str,
        landed: &State,
        forwards: &[NewForward],
        checkpoint: Option<&ConnectorCheckpoint>,
    ) -> Result<()> {
        let State::Landed { sequence, table_version, .. } = landed else {
            return Err(IllegalTransition { from: "landing", transition: transition_to(landed) }.into());
        };
        let mut tx = self.db.write().await?;
        let record = find(&mut tx, id).await?;
        match &record.state {
            stored if stored == landed => return Ok(()),
            State::Landing { sequence: taken, .. } if taken == sequence => {}
            other => return Err(wrong_state(id, "landing", other)),
        }
        write_state(&mut tx, id, "landing", landed).await?;
        let version = int(*table_version)?;
        tx.run("UPDATE deliveries SET table_version = $2 WHERE id = $1", values![id, version]).await?;
        for forward in forwards {
            outbox::enqueue(&mut tx, &record.delivery, forward).await?;
        }
        if let Some(checkpoint) = checkpoint {
            connectors::save_checkpoint(&mut tx, checkpoint).await?;
        }
        tx.commit().await
    }

    /// The delivery `id`.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn get(&self, id: &str) -> Result<Option<Record>> {
        let row = self.db.row("SELECT * FROM deliveries WHERE id = $1", values![id]).await?;
        row.map(|row| record(&row)).transpose()
    }

    /// The delivery of `source` to `dataset` that has this key; an abandoned one has none.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn with_key(&self, dataset: &DatasetId, source: &str, key: &str) -> Result<Option<Record>> {
        let row = self.db.row(BY_KEY, values![source, dataset.as_str(), key]).await?;
        row.map(|row| record(&row)).transpose()
    }

    /// Deliveries of `dataset`, or of all, newest first, at most `limit` (1 to [`MAX_PAGE`]).
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn list(
        &self,
        dataset: Option<&DatasetId>,
        filter: &DeliveryFilter,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page> {
        let limit = limit.clamp(1, MAX_PAGE);
        let (sql, values) = list_sql(dataset, filter, after, limit);
        let rows = self.db.rows(AssertSqlSafe(sql), values).await?;
        let more = rows.len() > limit as usize;
        let records = rows.iter().take(limit as usize).map(record).collect::<Result<Vec<_>>>()?;
        let last = records.last().filter(|_| more).map(|record| &record.delivery);
        let next = last.map(|last| Cursor { received_at: last.received_at.millis(), id: last.id.clone() });
        Ok(Page { records, next })
    }

    /// What a restart has to drive on: first the deliveries that are landing, in the order of their
    /// numbers, then the staged and the receiving ones in the order they came.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn unfinished(&self) -> Result<Vec<Record>> {
        let rows = self
            .db
            .rows(
                "SELECT * FROM deliveries WHERE state IN ('receiving', 'staged', 'landing')
                 ORDER BY sequence NULLS LAST, received_at, id",
                values![],
            )
            .await?;
        rows.iter().map(record).collect()
    }

    /// The periods of `dataset` that deliveries of `origin` replaced in table versions after
    /// `base_version`, sorted, each once.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn landed_since(&self, dataset: &DatasetId, origin: &str, base_version: u64) -> Result<Vec<String>> {
        let rows = self
            .db
            .rows(
                "SELECT state_body FROM deliveries
                 WHERE state = 'landed' AND dataset = $1 AND origin = $2 AND table_version > $3",
                values![dataset.as_str(), origin, int(base_version)?],
            )
            .await?;
        let mut all = BTreeSet::new();
        for row in &rows {
            if let State::Landed { periods, .. } = row.json("state_body")? {
                all.extend(periods);
            }
        }
        Ok(all.into_iter().collect())
    }

    /// Keeps what validation found in delivery `id`, a JSON text, in the place of an earlier one.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] above [`MAX_REPORT`], [`StoreError::NotFound`] without the delivery.
    pub async fn put_report(&self, id: &str, json: &str) -> Result<()> {
        at_most("a report", json.len(), MAX_REPORT)?;
        let content = zstd::bulk::compress(json.as_bytes(), ZSTD_LEVEL)
            .map_err(|_| StoreError::Invalid("the report cannot be compressed"))?;
        let stored = self
            .db
            .run(
                "INSERT INTO reports (delivery, content) SELECT id, $2 FROM deliveries WHERE id = $1
                 ON CONFLICT (delivery) DO UPDATE SET content = excluded.content",
                values![id, content],
            )
            .await?;
        if stored == 0 { Err(StoreError::not_found("delivery", id)) } else { Ok(()) }
    }

    /// The report of delivery `id`, as it was put.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if what is stored is not a report.
    pub async fn report(&self, id: &str) -> Result<Option<String>> {
        let row = self.db.row("SELECT content FROM reports WHERE delivery = $1", values![id]).await?;
        let Some(row) = row else { return Ok(None) };
        let damaged = || StoreError::Damaged(format!("the report of delivery {id} cannot be read"));
        let bytes = zstd::bulk::decompress(&row.bytes("content")?, MAX_REPORT).map_err(|_| damaged())?;
        String::from_utf8(bytes).map(Some).map_err(|_| damaged())
    }
}

const fn transition_to(state: &State) -> &'static str {
    match state {
        State::Receiving => "be received again",
        State::Staged(_) => "stage",
        State::Landing { .. } => "take a sequence number",
        State::Landed { .. } => "land",
        State::Refused { .. } => "be refused",
        State::Abandoned => "be abandoned",
    }
}

const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Append => "append",
        Mode::Replace => "replace",
    }
}

fn check_names(delivery: &Delivery) -> Result<()> {
    at_most("the id of a delivery", delivery.id.len(), MAX_NAME)?;
    at_most("a contract version", delivery.contract_version.len(), MAX_NAME)?;
    at_most("the source of a delivery", delivery.source.len(), MAX_NAME)?;
    at_most("the origin of a delivery", delivery.origin.len(), MAX_NAME)?;
    at_most("an idempotency key", delivery.idempotency_key.len(), MAX_NAME)
}

const BY_KEY: &str = "SELECT * FROM deliveries
     WHERE source = $1 AND dataset = $2 AND idempotency_key = $3 AND state <> 'abandoned'";

async fn by_key(tx: &mut Tx, delivery: &Delivery) -> Result<Option<Record>> {
    let key = values![&*delivery.source, delivery.dataset.as_str(), &*delivery.idempotency_key];
    let row = tx.row(BY_KEY, key).await?;
    row.map(|row| record(&row)).transpose()
}

async fn by_source_sequence(tx: &mut Tx, delivery: &Delivery) -> Result<Option<Record>> {
    let Some(sequence) = delivery.source_sequence else { return Ok(None) };
    let row = tx
        .row(
            "SELECT * FROM deliveries
             WHERE source = $1 AND dataset = $2 AND source_sequence = $3 AND state <> 'abandoned'",
            values![&*delivery.source, delivery.dataset.as_str(), int(sequence)?],
        )
        .await?;
    row.map(|row| record(&row)).transpose()
}

async fn insert(tx: &mut Tx, delivery: &Delivery) -> Result<u64> {
    tx.run(
        "INSERT INTO deliveries (id, dataset, contract_version, source, origin, source_sequence, idempotency_key, mode,
                                 base_version, received_at, state, state_body)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (id) DO NOTHING",
        values![
            &*delivery.id,
            delivery.dataset.as_str(),
            &*delivery.contract_version,
            &*delivery.source,
            &*delivery.origin,
            delivery.source_sequence.map(int).transpose()?,
            &*delivery.idempotency_key,
            mode_name(delivery.mode),
            int(delivery.base_version)?,
            delivery.received_at.millis(),
            State::Receiving.name(),
            to_json(&State::Receiving)?,
        ],
    )
    .await
}

async fn find(tx: &mut Tx, id: &str) -> Result<Record> {
    match tx.row("SELECT * FROM deliveries WHERE id = $1", values![id]).await? {
        Some(row) => record(&row),
        None => Err(StoreError::not_found("delivery", id)),
    }
}

async fn expect(tx: &mut Tx, id: &str, expected: &'static str) -> Result<Record> {
    let record = find(tx, id).await?;
    if record.state.name() == expected { Ok(record) } else { Err(wrong_state(id, expected, &record.state)) }
}

fn wrong_state(id: &str, expected: &'static str, found: &State) -> StoreError {
    StoreError::WrongState { what: "delivery", id: id.to_owned(), expected, found: found.name() }
}

async fn write_state(tx: &mut Tx, id: &str, expected: &'static str, new: &State) -> Result<()> {
    let body = to_json(new)?;
    at_most("the state of a delivery", body.len(), MAX_STATE)?;
    let sql = "UPDATE deliveries SET state = $3, state_body = $4 WHERE id = $1 AND state = $2";
    if tx.run(sql, values![id, expected, new.name(), body]).await? == 1 {
        return Ok(());
    }
    Err(wrong_state(id, expected, &find(tx, id).await?.state))
}

async fn next_sequence(tx: &mut Tx, delivery: &Delivery) -> Result<u64> {
    let Some(sequence) = delivery.source_sequence else {
        // A number that was refused after it was taken stays used: the lake may have seen it.
        let sql = "SELECT COALESCE(MAX(sequence), 0) AS highest FROM deliveries WHERE source = $1 AND dataset = $2";
        return Ok(highest(tx, sql, delivery).await? + 1);
    };
    let sql = "SELECT COALESCE(MAX(sequence), 0) AS highest FROM deliveries
         WHERE source = $1 AND dataset = $2 AND state IN ('landing', 'landed')";
    let highest = highest(tx, sql, delivery).await?;
    if sequence <= highest { Err(StoreError::Stale { sequence, highest }) } else { Ok(sequence) }
}

async fn highest(tx: &mut Tx, sql: &'static str, delivery: &Delivery) -> Result<u64> {
    let row = tx.row(sql, values![&*delivery.source, delivery.dataset.as_str()]).await?;
    row.map_or(Ok(0), |row| row.count("highest"))
}

fn list_sql(
    dataset: Option<&DatasetId>,
    filter: &DeliveryFilter,
    after: Option<&Cursor>,
    limit: u32,
) -> (String, Vec<Value>) {
    let mut sql = "SELECT * FROM deliveries WHERE 1 = 1".to_owned();
    let mut values: Vec<Value> = Vec::new();
    let texts = [
        (dataset.map(DatasetId::as_str), " AND dataset = $"),
        (filter.source.as_deref(), " AND source = $"),
        (filter.origin.as_deref(), " AND origin = $"),
        (filter.state.as_deref(), " AND state = $"),
    ];
    for (text, condition) in texts {
        if let Some(text) = text {
            values.push(text.into());
            sql += condition;
            sql += &values.len().to_string();
        }
    }
    if let Some(since) = filter.since {
        values.push(since.millis().into());
        sql += &format!(" AND received_at >= ${}", values.len());
    }
    if let Some(after) = after {
        values.push(after.received_at.into());
        values.push((&*after.id).into());
        let (at, id) = (values.len() - 1, values.len());
        sql += &format!(" AND (received_at < ${at} OR (received_at = ${at} AND id < ${id}))");
    }
    values.push(i64::from(limit + 1).into());
    sql += &format!(" ORDER BY received_at DESC, id DESC LIMIT ${}", values.len());
    (sql, values)
}

fn record(row: &Row) -> Result<Record> {
    let mode = match &*row.text("mode")? {
        "append" => Mode::Append,
        "replace" => Mode::Replace,
        _ => return Err(StoreError::Damaged("a delivery has an unknown mode".to_owned())),
    };
    let delivery = Delivery {
        id: row.text("id")?,
        dataset: row.name("dataset")?,
        contract_version: row.text("contract_version")?,
        source: row.text("source")?,
        origin: row.text("origin")?,
        source_sequence: row.maybe_count("source_sequence")?,
        idempotency_key: row.text("idempotency_key")?,
        mode,
        base_version: row.count("base_version")?,
        received_at: row.at("received_at")?,
    };
    Ok(Record { delivery, state: row.json("state_body")? })
}
