//! The outbox: which landed deliveries still have to reach the parent, in which order.
//!
//! Every link has its own numbers 1, 2, 3, … within a dataset; the parent takes them in that order,
//! so of one dataset only the oldest queued entry is ever due. An entry that the parent refused for
//! good does not hold up the next one; one that waits for another attempt does.

use serde::Serialize;
use serde_json::Value as Json;
use simpul_core::delivery::{Delivery, ForwardState};
use simpul_core::id::DatasetId;
use simpul_core::time::Timestamp;

use crate::Store;
use crate::db::{Row, Tx, at_most, from_json, int, to_json, values};
use crate::error::{Result, StoreError};
use crate::journal::MAX_NAME;

/// The longest content of an entry, in bytes of JSON.
pub const MAX_CONTENT: usize = 16 << 20;
/// What is kept of an error message, in bytes.
pub const MAX_ERROR: usize = 4096;

/// What a landed delivery puts into the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct NewForward {
    /// The link it leaves by; one entry per delivery and link.
    pub link: String,
    /// What is needed to send it: files, rows, the contract. At most [`MAX_CONTENT`].
    pub content: Json,
    /// Bytes to be sent, for the status of the link.
    pub bytes: u64,
    /// When the delivery landed.
    pub created_at: Timestamp,
}

/// One entry of the outbox.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forward {
    /// Its name at this node.
    pub id: String,
    /// The link it leaves by.
    pub link: String,
    /// The dataset.
    pub dataset: DatasetId,
    /// Its number within (link, dataset), from 1 without gaps: what the parent takes as our sequence.
    pub sequence: u64,
    /// The landed delivery.
    pub delivery: String,
    /// Who delivered first.
    pub origin: String,
    /// What is needed to send it.
    pub content: Json,
    /// Bytes to be sent.
    pub bytes: u64,
    /// When the delivery landed.
    pub created_at: Timestamp,
    /// Where it stands.
    pub state: ForwardState,
}

/// How a link stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkStatus {
    /// Entries still to be sent.
    pub queued: u64,
    /// Bytes of them.
    pub queued_bytes: u64,
    /// When the oldest of them landed.
    pub oldest_at: Option<Timestamp>,
    /// Entries that the parent refused for good.
    pub refused: u64,
    /// When the parent last answered.
    pub last_contact_at: Option<Timestamp>,
    /// When it was last tried.
    pub last_attempt_at: Option<Timestamp>,
    /// When the parent last acknowledged an entry.
    pub last_ack_at: Option<Timestamp>,
    /// What the last attempt met, if it failed.
    pub last_error: Option<String>,
}

/// The oldest queued entry of each dataset of link `$1`. It jumps from dataset to dataset in the index instead
/// of reading a queue that weeks without a link have made long.
macro_rules! heads {
    () => {
        "WITH RECURSIVE datasets (dataset) AS (
             SELECT MIN(dataset) FROM forwards WHERE link = $1 AND state = 'queued'
             UNION ALL
             SELECT (SELECT MIN(f.dataset) FROM forwards f
                     WHERE f.link = $1 AND f.state = 'queued' AND f.dataset > datasets.dataset)
             FROM datasets WHERE datasets.dataset IS NOT NULL),
         heads AS (
             SELECT dataset, (SELECT MIN(f.sequence) FROM forwards f
                              WHERE f.link = $1 AND f.state = 'queued' AND f.dataset = datasets.dataset) AS sequence
             FROM datasets WHERE dataset IS NOT NULL)
         "
    };
}

impl Store {
    /// The entries of `link` that may be sent at `now`, oldest first, at most `limit`, at most one
    /// per dataset.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn due(&self, link: &str, now: Timestamp, limit: u32) -> Result<Vec<Forward>> {
        let sql = concat!(
            heads!(),
            "SELECT f.* FROM heads JOIN forwards f ON f.link = $1 AND f.dataset = heads.dataset AND f.sequence = heads.sequence
             WHERE f.not_before <= $2 ORDER BY f.created_at, f.dataset LIMIT $3"
        );
        let rows = self.db.rows(sql, values![link, now.millis(), i64::from(limit)]).await?;
        rows.iter().map(forward).collect()
    }

    /// The first instant at which [`Store::due`] has something for `link`, be it past or to come; absent
    /// when nothing is queued.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn next_due(&self, link: &str) -> Result<Option<Timestamp>> {
        let sql = concat!(
            heads!(),
            "SELECT MIN(f.not_before) AS at FROM heads
             JOIN forwards f ON f.link = $1 AND f.dataset = heads.dataset AND f.sequence = heads.sequence"
        );
        let row = self.db.row(sql, values![link]).await?;
        row.map_or(Ok(None), |row| row.maybe_at("at"))
    }

    /// Moves entry `id` from `expected` to `new`, if it is still there. An acknowledgement at `at`
    /// also counts as the link's last one.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] if the stored state is not exactly `expected`,
    /// [`StoreError::NotFound`], [`StoreError::TooLarge`].
    pub async fn set_forward(
        &self,
        id: &str,
        expected: &ForwardState,
        new: &ForwardState,
        at: Timestamp,
    ) -> Result<()> {
        let body = to_json(new)?;
        at_most("the state of a forward", body.len(), MAX_CONTENT)?;
        let mut tx = self.db.write().await?;
        let row = tx.row("SELECT * FROM forwards WHERE id = $1", values![id]).await?;
        let stored = row.map(|row| forward(&row)).transpose()?.ok_or_else(|| StoreError::not_found("forward", id))?;
        if stored.state != *expected {
            let (expected, found) = (expected.name(), stored.state.name());
            return Err(StoreError::WrongState { what: "forward", id: id.to_owned(), expected, found });
        }
        tx.run(
            "UPDATE forwards SET state = $2, state_body = $3, not_before = $4 WHERE id = $1",
            values![id, new.name(), body, not_before(new)],
        )
        .await?;
        if matches!(new, ForwardState::Acknowledged { .. }) {
            tx.run(
                "INSERT INTO links (link, last_ack_at) VALUES ($1, $2)
                 ON CONFLICT (link) DO UPDATE SET last_ack_at = excluded.last_ack_at",
                values![&*stored.link, at.millis()],
            )
            .await?;
        }
        tx.commit().await
    }

    /// Entry `id`.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn forward(&self, id: &str) -> Result<Option<Forward>> {
        let row = self.db.row("SELECT * FROM forwards WHERE id = $1", values![id]).await?;
        row.map(|row| forward(&row)).transpose()
    }

    /// The entries of one delivery, by link.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn forwards_of(&self, delivery: &str) -> Result<Vec<Forward>> {
        let rows = self.db.rows("SELECT * FROM forwards WHERE delivery = $1 ORDER BY link", values![delivery]).await?;
        rows.iter().map(forward).collect()
    }

    /// The entries of `link` in the state `state` (by [`ForwardState::name`]), oldest first, at most `limit`.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn forwards(&self, link: &str, state: &str, limit: u32) -> Result<Vec<Forward>> {
        let rows = self
            .db
            .rows(
                "SELECT * FROM forwards WHERE link = $1 AND state = $2 ORDER BY created_at, dataset, sequence LIMIT $3",
                values![link, state, i64::from(limit)],
            )
            .await?;
        rows.iter().map(forward).collect()
    }

    /// How `link` stands. A link that was never used has an empty status.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn link_status(&self, link: &str) -> Result<LinkStatus> {
        let mut status = LinkStatus::default();
        let counts = self
            .db
            .rows(
                "SELECT state, COUNT(*) AS entries, CAST(SUM(bytes) AS BIGINT) AS bytes, MIN(created_at) AS oldest_at
                 FROM forwards WHERE link = $1 AND state IN ('queued', 'refused') GROUP BY state",
                values![link],
            )
            .await?;
        for row in &counts {
            if row.text("state")? == "queued" {
                status.queued = row.count("entries")?;
                status.queued_bytes = row.count("bytes")?;
                status.oldest_at = row.maybe_at("oldest_at")?;
            } else {
                status.refused = row.count("entries")?;
            }
        }
        if let Some(row) = self.db.row("SELECT * FROM links WHERE link = $1", values![link]).await? {
            status.last_contact_at = row.maybe_at("last_contact_at")?;
            status.last_attempt_at = row.maybe_at("last_attempt_at")?;
            status.last_ack_at = row.maybe_at("last_ack_at")?;
            status.last_error = row.maybe_text("last_error")?;
        }
        Ok(status)
    }

    /// Notes an attempt on `link` at `at`: without an error the parent answered. Of a long error the
    /// first [`MAX_ERROR`] bytes stay.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for a name above [`MAX_NAME`].
    pub async fn touch_link(&self, link: &str, at: Timestamp, error: Option<&str>) -> Result<()> {
        at_most("the name of a link", link.len(), MAX_NAME)?;
        let contact = error.is_none().then_some(at.millis());
        let error = error.map(|error| shortened(error, MAX_ERROR));
        let sql = "INSERT INTO links (link, last_attempt_at, last_contact_at, last_error) VALUES ($1, $2, $3, $4)
             ON CONFLICT (link) DO UPDATE SET last_attempt_at = excluded.last_attempt_at,
                 last_contact_at = COALESCE(excluded.last_contact_at, links.last_contact_at),
                 last_error = excluded.last_error";
        self.db.run(sql, values![link, at.millis(), contact, error]).await?;
        Ok(())
    }
}

/// Puts `new` at the end of its link, inside the transaction that lands the delivery.
pub(crate) async fn enqueue(tx: &mut Tx, delivery: &Delivery, new: &NewForward) -> Result<()> {
    at_most("the name of a link", new.link.len(), MAX_NAME)?;
    let content = to_json(&new.content)?;
    at_most("the content of a forward", content.len(), MAX_CONTENT)?;
    let state = ForwardState::Queued { attempts: 0, not_before: new.created_at, last_error: None };
    tx.run(
        "INSERT INTO forwards (id, link, dataset, sequence, delivery, origin, content, bytes, created_at, state,
                               state_body, not_before)
         SELECT $1, $2, $3, COALESCE(MAX(sequence), 0) + 1, $4, $5, $6, $7, $8, $9, $10, $11
         FROM forwards WHERE link = $2 AND dataset = $3",
        values![
            format!("{}.{}", delivery.id, new.link),
            &*new.link,
            delivery.dataset.as_str(),
            &*delivery.id,
            &*delivery.origin,
            content,
            int(new.bytes)?,
            new.created_at.millis(),
            state.name(),
            to_json(&state)?,
            not_before(&state),
        ],
    )
    .await?;
    Ok(())
}

const fn not_before(state: &ForwardState) -> i64 {
    match state {
        ForwardState::Queued { not_before, .. } => not_before.millis(),
        ForwardState::Acknowledged { .. } | ForwardState::Refused { .. } => 0,
    }
}

/// The longest start of `text` of at most `limit` bytes, without the characters that no engine stores.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    text[..text.floor_char_boundary(limit)].replace('\0', "\u{fffd}")
}

fn forward(row: &Row) -> Result<Forward> {
    Ok(Forward {
        id: row.text("id")?,
        link: row.text("link")?,
        dataset: row.name("dataset")?,
        sequence: row.count("sequence")?,
        delivery: row.text("delivery")?,
        origin: row.text("origin")?,
        content: from_json("the content of a forward", &row.text("content")?)?,
        bytes: row.count("bytes")?,
        created_at: row.at("created_at")?,
        state: row.json("state_body")?,
    })
}
