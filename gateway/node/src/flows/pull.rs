//! Pull: what a connector brings becomes a delivery like any other.
//!
//! 1. [`run`] finishes deliveries of the connector that an interruption left open, then asks it for payloads until nothing is
//!    new.
//! 2. Each payload goes through `ingest::run` under the connector's own key; the checkpoint after it is journalled beside the
//!    delivery before its rows can land.
//! 3. `land` stores rows and checkpoint in one transaction ([`checkpoint_of`]).
//! 4. [`settle`] tells the source what became of the payload.
//!
//! [`schedule`] runs the connectors whose time has come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use simpul_connector_api::{self as api, ConnectorError, PullLimits, Ticket};
use simpul_core::audit::Outcome;
use simpul_core::delivery::{Delivery, Mode, State};
use simpul_core::id::ConnectorId;
use simpul_schemas::{Contract, Foreign, Format, Lang};
use simpul_store::connectors::{Connector, ConnectorCheckpoint, Run, RunOutcome};
use tracing::{info, warn};

use super::decompress::Coding;
use super::ingest::{self, Answer, Submission};
use super::land;
use crate::app::App;
use crate::refusal::{Kind, Refusal};
use crate::{auditing, connectors};

/// The payloads that one run takes before it gives others a turn.
const PAYLOADS_PER_RUN: usize = 100;

/// What the journal keeps beside a delivery that a connector brought.
#[derive(Serialize, Deserialize)]
struct Note {
    connector: ConnectorId,
    checkpoint: Value,
    ticket: Ticket,
}

fn source_of(id: &ConnectorId) -> String {
    format!("konektor/{id}")
}

fn origin_of(app: &App, id: &ConnectorId) -> String {
    format!("{}/{id}", app.identity.agency)
}

fn note_name(source: &str, key: &str) -> String {
    format!("pull.{source}.{key}")
}

/// Pulls everything that is new through the connector `id`.
///
/// # Errors
/// 404 without such a connector; a fault of the node. What the source does wrong is in the [`Run`].
pub async fn run(app: &Arc<App>, id: &ConnectorId) -> Result<Run, Refusal> {
    let connector = app.store.connector(id).await?.ok_or_else(|| Refusal::new(Kind::NotFound, ""))?;
    let lock = app.connector_lock(id);
    let Ok(_turn) = lock.try_lock() else {
        return Err(Refusal::new(Kind::InProgress, "the connector is running").header(http::header::RETRY_AFTER, "5"));
    };
    let started_at = app.now();
    let mut deliveries = Vec::new();
    let result = rounds(app, &connector, &mut deliveries).await;
    let (outcome, message) = match result {
        Ok(0) if deliveries.is_empty() => (RunOutcome::Nothing, None),
        Ok(0) => (RunOutcome::Delivered, None),
        Ok(refused) => (RunOutcome::Refused, Some(format!("{refused} refused"))),
        Err(message) => (RunOutcome::Failed, Some(message)),
    };
    let run = Run { started_at, finished_at: app.now(), outcome, deliveries, message };
    app.store.record_run(id, &run).await?;
    info!(connector = %id, outcome = ?run.outcome, deliveries = run.deliveries.len(), "pulled");
    Ok(run)
}

/// One payload after the other; gives how many were refused.
async fn rounds(app: &Arc<App>, connector: &Connector, deliveries: &mut Vec<String>) -> Result<usize, String> {
    let source = connectors::build(&connector.kind, connector.config.clone(), connector.id.as_str())
        .map_err(|error| error.to_string())?;
    // What an interruption left open comes first: its rows may be in the table while the checkpoint is not yet in the store.
    let left = land::resume(app, Some(&source_of(&connector.id))).await;
    left.map_err(|refusal| format!("an earlier delivery cannot be finished yet: {}", refusal.kind.word()))?;
    let mut refused = 0;
    let mut refused_key = String::new();
    for _ in 0..PAYLOADS_PER_RUN {
        if app.stop.is_cancelled() {
            break;
        }
        let checkpoint = app.store.checkpoint(&connector.id).await.map_err(|error| error.to_string())?;
        let limits = PullLimits { max_bytes: app.config.limits.decoded_bytes, ..PullLimits::default() };
        let pull = source.pull(checkpoint.map(|c| c.content), limits).await.map_err(|error| error.to_string())?;
        let Some(pull) = pull else { break };
        if pull.key == refused_key {
            // The source gives what was just refused: it waits there until it is corrected.
            break;
        }
        let key = pull.key.clone();
        let answer = deliver(app, connector, pull).await?;
        if matches!(answer.0.record.state, State::Refused { .. }) {
            refused += 1;
            refused_key = key;
        }
        deliveries.push(answer.0.record.delivery.id.clone());
        settle(app, source.as_ref(), answer).await?;
    }
    Ok(refused)
}

/// One payload through the same way as a push.
async fn deliver(app: &Arc<App>, connector: &Connector, pull: api::Pull) -> Result<(Answer, Note), String> {
    let text =
        |refusal: Refusal| refusal.internal.unwrap_or_else(|| format!("{}: {}", refusal.kind.word(), refusal.detail));
    let contract = app.contract(&connector.dataset, None).await.map_err(text)?;
    let contract = contract.ok_or_else(|| format!("no contract is registered for {}", connector.dataset))?;
    let source = source_of(&connector.id);
    let key = standing_key(app, connector, &contract, &pull.key).await.map_err(text)?;
    let submission = Submission {
        contract,
        dataset: connector.dataset.clone(),
        origin: origin_of(app, &connector.id),
        source: source.clone(),
        source_sequence: None,
        key: key.clone(),
        format: match pull.format {
            api::Format::Csv => Format::Csv,
            api::Format::Ndjson => Format::Ndjson,
            api::Format::Xlsx => Format::Cells(Foreign::Xlsx),
            api::Format::Xls => Format::Cells(Foreign::Xls),
            api::Format::Ods => Format::Cells(Foreign::Ods),
            api::Format::Parquet => Format::Cells(Foreign::Parquet),
            api::Format::Arrow => Format::Cells(Foreign::Arrow),
        },
        encoding: None,
        coding: Coding::Identity,
        expected: None,
        language: Lang::Id,
        dry_run: false,
    };
    let name = note_name(&source, &key);
    let (connector_id, ticket, ending) = (connector.id.clone(), pull.ticket.clone(), pull.ending);
    let owner = app.clone();
    let noted = name.clone();
    // The checkpoint is known when the body has ended, and must be journalled before the rows can land: it is the last
    // piece of the body as far as ingest is concerned.
    let ending = futures::stream::once(async move {
        let checkpoint = ending.checkpoint().await.map_err(source_fault)?;
        let note = Note { connector: connector_id, checkpoint, ticket };
        owner.store.put_setting(&noted, &json!(note).to_string()).await?;
        Ok(bytes::Bytes::new())
    });
    let body = pull.body.map(|piece| piece.map_err(source_fault)).chain(ending).boxed();
    let answer = ingest::run(app.clone(), submission, body, None).await.map_err(text)?;
    let note = read_note(app, &name).await.map_err(text)?.ok_or("the connector's note is missing")?;
    if matches!(answer.record.state, State::Landed { .. }) && answer.replayed {
        // The rows landed before, perhaps in a run that ended before it came to the checkpoint. After a refusal the
        // checkpoint stays: moving on would lose the payload's good rows.
        let checkpoint = checkpoint(app, &note);
        app.store.put_checkpoint(&checkpoint).await.map_err(|error| error.to_string())?;
    }
    Ok((answer, note))
}

/// The key under which a payload is delivered: its own, unless what landed under that was replaced since. Then the source
/// has returned to an earlier content, which is a new delivery: its key names the version that it replaced the first time,
/// so that it too has one effect.
async fn standing_key(app: &App, connector: &Connector, contract: &Contract, own: &str) -> Result<String, Refusal> {
    let (dataset, source, origin) = (&connector.dataset, source_of(&connector.id), origin_of(app, &connector.id));
    let mut key = own.to_owned();
    if contract.mode() != Mode::Replace {
        return Ok(key);
    }
    while let Some(record) = app.store.with_key(dataset, &source, &key).await? {
        let State::Landed { table_version, periods, .. } = record.state else { break };
        let replaced = app.store.landed_since(dataset, &origin, table_version).await?;
        if !periods.iter().any(|period| replaced.contains(period)) {
            break;
        }
        key = format!("{own}@{table_version}");
    }
    Ok(key)
}

fn source_fault(error: ConnectorError) -> Refusal {
    Refusal::new(Kind::BodyIncomplete, "").because(error)
}

/// Tells the source what became of its payload.
async fn settle(app: &App, source: &dyn api::Connector, (answer, note): (Answer, Note)) -> Result<(), String> {
    let report = answer.report.clone().unwrap_or_default();
    let bytes = report.to_json(Lang::Id).to_string().into_bytes();
    let text = report.to_text(Lang::Id);
    let report = api::Report { text: &text, json: &bytes };
    let outcome = match &answer.record.state {
        State::Landed { counts, .. } if counts.refused == 0 => api::Outcome::Landed { report: None },
        State::Landed { .. } => api::Outcome::Landed { report: Some(report) },
        _ => api::Outcome::Refused { report },
    };
    source.settle(note.ticket, outcome).await.map_err(|error| error.to_string())?;
    let delivery = &answer.record.delivery;
    let name = note_name(&delivery.source, &delivery.idempotency_key);
    app.store.delete_setting(&name).await.map_err(|error| error.to_string())
}

/// The checkpoint that must be stored with the landing of `delivery`, if a connector brought it.
///
/// # Errors
/// When the store cannot be read.
pub async fn checkpoint_of(app: &App, delivery: &Delivery) -> Result<Option<ConnectorCheckpoint>, Refusal> {
    if !delivery.source.starts_with("konektor/") {
        return Ok(None);
    }
    let note = read_note(app, &note_name(&delivery.source, &delivery.idempotency_key)).await?;
    Ok(note.map(|note| checkpoint(app, &note)))
}

fn checkpoint(app: &App, note: &Note) -> ConnectorCheckpoint {
    ConnectorCheckpoint { connector: note.connector.clone(), content: note.checkpoint.clone(), at: app.now() }
}

async fn read_note(app: &App, name: &str) -> Result<Option<Note>, Refusal> {
    let text = app.store.setting(name).await?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Runs every enabled connector when its time has come, until the node stops.
pub async fn schedule(app: Arc<App>) {
    let mut due: HashMap<(ConnectorId, String), DateTime<Utc>> = HashMap::new();
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        let connectors = match app.store.connectors().await {
            Ok(connectors) => connectors,
            Err(error) => {
                warn!(%error, "the connectors cannot be read");
                continue;
            }
        };
        let now = DateTime::from_timestamp_millis(app.now().millis()).unwrap_or_default();
        let mut next = HashMap::new();
        for connector in connectors.into_iter().filter(|connector| connector.enabled) {
            let Some(cron) = connector.schedule.as_deref().and_then(|text| connectors::parse_schedule(text).ok())
            else {
                continue;
            };
            let key = (connector.id.clone(), connector.schedule.clone().unwrap_or_default());
            let at = due.get(&key).copied().or_else(|| cron.find_next_occurrence(&now, false).ok());
            let Some(at) = at else { continue };
            if at > now {
                next.insert(key, at);
                continue;
            }
            let owner = app.clone();
            app.tasks.spawn(async move { scheduled(&owner, &connector.id).await });
        }
        due = next;
    }
}

async fn scheduled(app: &Arc<App>, id: &ConnectorId) {
    let draft = auditing::own("connector.run", id.as_str(), Outcome::Done);
    if let Err(refusal) = auditing::append(app, draft).await {
        return warn!(internal = refusal.internal, "a connector did not run because the audit log cannot be written");
    }
    if let Err(refusal) = run(app, id).await
        && refusal.kind != Kind::InProgress
    {
        warn!(connector = %id, internal = refusal.internal, "a connector did not run");
    }
}
