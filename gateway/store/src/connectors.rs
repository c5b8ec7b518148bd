//! Connectors: which sources are pulled, how far each has been read, and how its runs ended.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use simpul_core::id::{ConnectorId, DatasetId};
use simpul_core::time::Timestamp;

use crate::Store;
use crate::db::{Row, Tx, at_most, from_json, int, to_json, values};
use crate::error::{Result, StoreError};
use crate::journal::MAX_NAME;
use crate::outbox::{MAX_ERROR, shortened};

/// The longest configuration or checkpoint, in bytes of JSON.
pub const MAX_CONFIG: usize = 1 << 20;
/// The runs that are kept of each connector; older ones are dropped.
pub const RUNS_KEPT: u64 = 1000;

/// A source that is pulled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connector {
    /// Its name.
    pub id: ConnectorId,
    /// Its kind, such as `files` or `postgres`.
    pub kind: String,
    /// The dataset its rows are for.
    pub dataset: DatasetId,
    /// Its configuration. Secrets are references (environment, file), never values: the configuration
    /// is stored and listed as it is.
    pub config: Json,
    /// When it runs, as a cron text; absent: only when asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Whether the schedule applies.
    pub enabled: bool,
}

/// How far a connector has read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectorCheckpoint {
    /// The connector.
    pub connector: ConnectorId,
    /// What it needs to go on.
    pub content: Json,
    /// When it got there.
    pub at: Timestamp,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunOutcome {
    /// Rows were delivered and landed.
    Delivered,
    /// There was nothing new.
    Nothing,
    /// A delivery was refused.
    Refused,
    /// The source or the node failed; the next run tries again.
    Failed,
}

/// One run of a connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How it ended.
    pub outcome: RunOutcome,
    /// The deliveries it made.
    pub deliveries: Vec<String>,
    /// What a person should know, without secrets.
    pub message: Option<String>,
}

impl Store {
    /// Registers a connector or changes a registered one. Its checkpoint stays.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] above [`MAX_NAME`] and [`MAX_CONFIG`].
    pub async fn put_connector(&self, connector: &Connector) -> Result<()> {
        let config = to_json(&connector.config)?;
        at_most("the kind of a connector", connector.kind.len(), MAX_NAME)?;
        at_most("a schedule", connector.schedule.as_ref().map_or(0, String::len), MAX_NAME)?;
        at_most("the configuration of a connector", config.len(), MAX_CONFIG)?;
        let sql =
            "INSERT INTO connectors (id, kind, dataset, config, schedule, enabled) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, dataset = excluded.dataset,
                 config = excluded.config, schedule = excluded.schedule, enabled = excluded.enabled";
        let values = values![
            connector.id.as_str(),
            &*connector.kind,
            connector.dataset.as_str(),
            config,
            connector.schedule.clone(),
            connector.enabled,
        ];
        self.db.run(sql, values).await?;
        Ok(())
    }

    /// The connector `id`.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn connector(&self, id: &ConnectorId) -> Result<Option<Connector>> {
        let row = self.db.row("SELECT * FROM connectors WHERE id = $1", values![id.as_str()]).await?;
        row.map(|row| connector(&row)).transpose()
    }

    /// All connectors by id.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn connectors(&self) -> Result<Vec<Connector>> {
        let rows = self.db.rows("SELECT * FROM connectors ORDER BY id", values![]).await?;
        rows.iter().map(connector).collect()
    }

    /// Forgets the connector with its checkpoint and runs; what it delivered stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delete_connector(&self, id: &ConnectorId) -> Result<()> {
        let deleted = self.db.run("DELETE FROM connectors WHERE id = $1", values![id.as_str()]).await?;
        if deleted == 0 { Err(StoreError::not_found("connector", id)) } else { Ok(()) }
    }

    /// How far the connector has read; absent before its first landed delivery.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn checkpoint(&self, id: &ConnectorId) -> Result<Option<ConnectorCheckpoint>> {
        let sql = "SELECT * FROM connector_checkpoints WHERE connector = $1";
        let Some(row) = self.db.row(sql, values![id.as_str()]).await? else { return Ok(None) };
        let (content, at) = (row.json("content")?, row.at("saved_at")?);
        Ok(Some(ConnectorCheckpoint { connector: id.clone(), content, at }))
    }

    /// Moves a checkpoint that no landed rows belong to: past a delivery that was refused. With rows
    /// it goes through [`Store::land`].
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without the connector, [`StoreError::TooLarge`] above [`MAX_CONFIG`].
    pub async fn put_checkpoint(&self, checkpoint: &ConnectorCheckpoint) -> Result<()> {
        let mut tx = self.db.write().await?;
        if !save_checkpoint(&mut tx, checkpoint).await? {
            return Err(StoreError::not_found("connector", &checkpoint.connector));
        }
        tx.commit().await
    }

    /// Notes a run and drops those beyond the newest [`RUNS_KEPT`]. Of a long message the first
    /// [`MAX_ERROR`] bytes stay.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without the connector, [`StoreError::TooLarge`] above [`MAX_CONFIG`].
    pub async fn record_run(&self, id: &ConnectorId, run: &Run) -> Result<()> {
        let deliveries = to_json(&run.deliveries)?;
        at_most("the deliveries of a run", deliveries.len(), MAX_CONFIG)?;
        let message = run.message.as_deref().map(|message| shortened(message, MAX_ERROR));
        let mut tx = self.db.write().await?;
        let sql =
            "INSERT INTO connector_runs (connector, ordinal, started_at, finished_at, outcome, deliveries, message)
             SELECT id, (SELECT COALESCE(MAX(ordinal), 0) + 1 FROM connector_runs WHERE connector = $1),
                    $2, $3, $4, $5, $6
             FROM connectors WHERE id = $1";
        let (started, finished) = (run.started_at.millis(), run.finished_at.millis());
        let outcome = to_json(&run.outcome)?;
        if tx.run(sql, values![id.as_str(), started, finished, outcome, deliveries, message]).await? == 0 {
            return Err(StoreError::not_found("connector", id));
        }
        tx.run(
            "DELETE FROM connector_runs WHERE connector = $1
             AND ordinal <= (SELECT MAX(ordinal) FROM connector_runs WHERE connector = $1) - $2",
            values![id.as_str(), int(RUNS_KEPT)?],
        )
        .await?;
        tx.commit().await
    }

    /// The newest runs of the connector, newest first, at most `limit`.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn runs(&self, id: &ConnectorId, limit: u32) -> Result<Vec<Run>> {
        let sql = "SELECT * FROM connector_runs WHERE connector = $1 ORDER BY ordinal DESC LIMIT $2";
        let rows = self.db.rows(sql, values![id.as_str(), i64::from(limit)]).await?;
        let run = |row: &Row| {
            Ok(Run {
                started_at: row.at("started_at")?,
                finished_at: row.at("finished_at")?,
                outcome: row.json("outcome")?,
                deliveries: row.json("deliveries")?,
                message: row.maybe_text("message")?,
            })
        };
        rows.iter().map(run).collect()
    }
}

/// Answers whether the connector still exists.
pub(crate) async fn save_checkpoint(tx: &mut Tx, checkpoint: &ConnectorCheckpoint) -> Result<bool> {
    let content = to_json(&checkpoint.content)?;
    at_most("a checkpoint", content.len(), MAX_CONFIG)?;
    let saved = tx
        .run(
            "INSERT INTO connector_checkpoints (connector, content, saved_at)
             SELECT id, $2, $3 FROM connectors WHERE id = $1
             ON CONFLICT (connector) DO UPDATE SET content = excluded.content, saved_at = excluded.saved_at",
            values![checkpoint.connector.as_str(), content, checkpoint.at.millis()],
        )
        .await?;
    Ok(saved == 1)
}

fn connector(row: &Row) -> Result<Connector> {
    Ok(Connector {
        id: row.name("id")?,
        kind: row.text("kind")?,
        dataset: row.name("dataset")?,
        config: from_json("the configuration of a connector", &row.text("config")?)?,
        schedule: row.maybe_text("schedule")?,
        enabled: row.truth("enabled")?,
    })
}
