//! Landing: the only place that commits rows.
//!
//! Push, pull and forward all end here, and recovery begins here. Under the lock of the dataset:
//! 1. a replacement whose period was replaced since it began is refused: one of two conflicting deliveries wins;
//! 2. the sequence number is fixed in the journal;
//! 3. the audit entry is written, once, whatever is repeated: without it nothing is committed;
//! 4. the lake commits under the transaction identifier (source, sequence), which has no effect when it did so before;
//! 5. the receipt is signed and stored together with what the link owes the parent and how far a connector has read.
//!
//! A crash after any of these steps leaves a journal from which [`recover`] goes on at the same step.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, json};
use simpul_core::audit::{EntryDraft, Outcome as Audited};
use simpul_core::delivery::{Delivery, Mode, RefusedBecause, RowCounts, Staged, State};
use simpul_core::digest::Digest;
use simpul_core::receipt::{CodeListEdition, Outcome, Receipt};
use simpul_lake::Commit;
use simpul_store::StoreError;
use simpul_store::journal::Record;
use simpul_store::outbox::NewForward;
use tracing::{info, warn};

use super::{forward, pull};
use crate::app::App;
use crate::auditing::{self, Account};
use crate::refusal::Refusal;

const LANDING: &str = "delivery.land";
const REFUSING: &str = "delivery.refuse";

/// Lands a delivery that is staged or landing; gives its record in a final state.
///
/// # Errors
/// A refusal of the node's own (storage full, audit not writable): the delivery stays where it is and can go on later.
pub async fn run(app: &Arc<App>, record: Record, account: Option<&Account>) -> Result<Record, Refusal> {
    let lock = app.dataset_lock(&record.delivery.dataset);
    let _turn = lock.lock().await;
    // Another task may have landed it while this one waited.
    let record = app.store.get(&record.delivery.id).await?.unwrap_or(record);
    if record.state.is_final() {
        return Ok(record);
    }
    finish_earlier(app, &record.delivery).await?;
    conclude(app, record, account).await
}

/// Drives what the same source has landing for the same dataset to its end first: its number is lower, and a table that has
/// seen a later number takes an earlier one for a repetition.
async fn finish_earlier(app: &Arc<App>, delivery: &Delivery) -> Result<(), Refusal> {
    for earlier in app.store.unfinished().await? {
        let other = &earlier.delivery;
        let same = other.source == delivery.source && other.dataset == delivery.dataset && other.id != delivery.id;
        if same && matches!(earlier.state, State::Landing { .. }) {
            conclude(app, earlier, None).await?;
        }
    }
    Ok(())
}

/// Steps 1 to 5, under the lock of the dataset.
async fn conclude(app: &Arc<App>, record: Record, account: Option<&Account>) -> Result<Record, Refusal> {
    // Without a certificate that can sign nothing is committed.
    let signer = app.signer()?;
    if let Some(conflict) = conflict(app, &record).await? {
        return withdraw(app, record, conflict, account).await;
    }
    let (staged, sequence) = match fix_sequence(app, &record).await? {
        Sequenced::At(staged, sequence) => (staged, sequence),
        Sequenced::Stale => return withdraw(app, record, RefusedBecause::Stale, account).await,
    };
    let lists = code_lists(app, &record.delivery).await?;
    let entry = entry(app, &record.delivery, LANDING, Audited::Done, staged.counts, Some(staged.payload), &lists)
        .with("sequence", sequence)
        .with("periods", staged.periods().join(" "));
    let audit_index = record_once(app, &record.delivery, entry, account).await?;
    let committed = commit(app, &record.delivery, &staged, sequence).await?;
    let receipt = Receipt {
        sequence: Some(sequence),
        outcome: Receipt::landed_outcome(staged.counts),
        rows: staged.counts,
        payload_sha256: Some(staged.payload),
        table_version: Some(committed),
        audit_index,
        ..blank_receipt(app, &record.delivery, lists)
    };
    let receipt = signer.sign(&receipt)?;
    let forwards = forward::owed(app, &record.delivery, &staged);
    let landed = State::Landing { staged, sequence }.land(committed, receipt).map_err(Refusal::internal)?;
    finish(app, record.delivery, landed, &forwards).await
}

/// Refuses a delivery of which nothing is committed.
///
/// # Errors
/// A refusal of the node's own; the delivery stays where it is.
pub async fn refuse(
    app: &Arc<App>,
    record: Record,
    because: RefusedBecause,
    rows: RowCounts,
    payload: Option<Digest>,
    account: Option<&Account>,
) -> Result<Record, Refusal> {
    let reason = json!(because).as_str().unwrap_or_default().to_owned();
    let lists = code_lists(app, &record.delivery).await?;
    let entry = entry(app, &record.delivery, REFUSING, Audited::Refused, rows, payload, &lists).because(reason);
    let audit_index = record_once(app, &record.delivery, entry, account).await?;
    let receipt = Receipt {
        outcome: Outcome::Refused,
        because: Some(because),
        rows: RowCounts { accepted: 0, ..rows },
        payload_sha256: payload,
        audit_index,
        ..blank_receipt(app, &record.delivery, lists)
    };
    let receipt = app.signer()?.sign(&receipt)?;
    let before = record.state.name();
    let state = record.state.refuse(because, rows, payload, receipt).map_err(Refusal::internal)?;
    app.store.transition(&record.delivery.id, before, &state).await?;
    app.forget_entries(&record.delivery.id);
    metrics::counter!("simpul_deliveries_total", "outcome" => "refused").increment(1);
    Ok(Record { delivery: record.delivery, state })
}

/// Gives up a delivery of which nothing is staged, and frees its key. Any other stays as it is.
///
/// # Errors
/// When the store cannot be written.
pub async fn abandon_unstaged(app: &App, id: &str) -> Result<(), Refusal> {
    let record = app.store.get(id).await?;
    if record.is_some_and(|record| matches!(record.state, State::Receiving)) {
        app.store.transition(id, "receiving", &State::Abandoned).await?;
        let _ = std::fs::remove_file(app.quarantine_path(id));
        info!(delivery = id, "abandoned: it did not come whole, or could not be kept");
    }
    Ok(())
}

/// Drives unfinished deliveries that nobody works on to their end, all of them or those of one source: what was being read is
/// abandoned, what was staged lands.
///
/// # Errors
/// When the store cannot be used, or the first reason why one of them cannot land now; the others are driven all the same.
pub async fn resume(app: &Arc<App>, source: Option<&str>) -> Result<(), Refusal> {
    let mut failed = None;
    for record in app.store.unfinished().await? {
        let id = record.delivery.id.clone();
        let wanted = source.is_none_or(|source| source == record.delivery.source);
        if !wanted || app.receiving.holds(&id) {
            continue;
        }
        if matches!(record.state, State::Receiving) {
            abandon_unstaged(app, &id).await?;
            continue;
        }
        match run(app, record, None).await {
            Ok(record) => info!(delivery = id, state = record.state.name(), "resumed"),
            Err(refusal) => failed = failed.or(Some(refusal)),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Finishes at start what an interruption left, and removes files that no delivery knows.
///
/// # Errors
/// When the store or the lake cannot be used; the node must not serve then.
pub async fn recover(app: &Arc<App>) -> Result<(), Refusal> {
    if let Err(refusal) = resume(app, None).await {
        // A full disk must not keep the node from telling so: the rest goes on while it serves.
        warn!(internal = refusal.internal, reason = refusal.word(), "some deliveries cannot be finished yet");
    }
    let staged = app.store.unfinished().await?.into_iter().filter_map(|record| match record.state {
        State::Staged(staged) | State::Landing { staged, .. } => Some((record.delivery.dataset, staged.files)),
        _ => None,
    });
    let keep = staged.flat_map(|(dataset, files)| files.into_iter().map(move |file| (dataset.clone(), file)));
    app.lake.sweep(keep.collect()).await?;
    Ok(())
}

/// Whether another delivery of the same origin replaced one of these periods since this one began.
async fn conflict(app: &App, record: &Record) -> Result<Option<RefusedBecause>, Refusal> {
    let State::Staged(staged) = &record.state else { return Ok(None) };
    // A forwarded delivery is ordered by its sender's sequence number.
    if record.delivery.mode != Mode::Replace || record.delivery.source_sequence.is_some() {
        return Ok(None);
    }
    let delivery = &record.delivery;
    let replaced = app.store.landed_since(&delivery.dataset, &delivery.origin, delivery.base_version).await?;
    let clash = staged.periods().iter().any(|period| replaced.contains(period));
    Ok(clash.then_some(RefusedBecause::Conflict))
}

/// Takes a delivery that will not land out of the lake and refuses it.
async fn withdraw(
    app: &Arc<App>,
    record: Record,
    because: RefusedBecause,
    account: Option<&Account>,
) -> Result<Record, Refusal> {
    let (State::Staged(staged) | State::Landing { staged, .. }) = &record.state else {
        return Err(Refusal::internal("only a staged delivery can be withdrawn"));
    };
    let (files, rows, payload) = (staged.files.clone(), staged.counts, staged.payload);
    let dataset = record.delivery.dataset.clone();
    let record = refuse(app, record, because, rows, Some(payload), account).await?;
    app.lake.discard(&dataset, files).await?;
    Ok(record)
}

enum Sequenced {
    At(Staged, u64),
    Stale,
}

async fn fix_sequence(app: &App, record: &Record) -> Result<Sequenced, Refusal> {
    match &record.state {
        State::Landing { staged, sequence } => Ok(Sequenced::At(staged.clone(), *sequence)),
        State::Staged(staged) => match app.store.take_sequence(&record.delivery.id).await {
            Ok(sequence) => Ok(Sequenced::At(staged.clone(), sequence)),
            Err(StoreError::Stale { .. }) => Ok(Sequenced::Stale),
            Err(error) => Err(error.into()),
        },
        _ => Err(Refusal::internal("only a staged delivery can land")),
    }
}

/// The index of the audit entry about this step of the delivery, which is written unless an interrupted attempt wrote it.
async fn record_once(
    app: &App,
    delivery: &Delivery,
    entry: EntryDraft,
    account: Option<&Account>,
) -> Result<u64, Refusal> {
    if let Some(index) = app.interrupted_entry(&delivery.id, &entry.action) {
        return Ok(index);
    }
    let action = entry.action.clone();
    let index = auditing::append(app, entry).await?;
    app.remember_entry(&delivery.id, &action, index);
    if let Some(account) = account {
        account.recorded();
    }
    Ok(index)
}

/// The editions of code lists that the delivery was checked against, as its stored report has them.
async fn code_lists(app: &App, delivery: &Delivery) -> Result<Vec<CodeListEdition>, Refusal> {
    #[derive(Deserialize)]
    struct Stored {
        #[serde(rename = "codeLists", default)]
        code_lists: Vec<CodeListEdition>,
    }
    let report = app.store.report(&delivery.id).await?;
    Ok(report
        .and_then(|text| serde_json::from_str::<Stored>(&text).ok())
        .map(|stored| stored.code_lists)
        .unwrap_or_default())
}

fn entry(
    app: &App,
    delivery: &Delivery,
    action: &str,
    outcome: Audited,
    rows: RowCounts,
    payload: Option<Digest>,
    lists: &[CodeListEdition],
) -> EntryDraft {
    // A client is named as in its other entries, by its identity; a connector has none and stands for the node.
    let actor = match delivery.source.starts_with("konektor/") {
        true => delivery.source.clone(),
        false => format!("spiffe://{}/{}", app.identity.trust_domain, delivery.source),
    };
    let mut entry = EntryDraft::new(actor, action, delivery.dataset.as_str(), outcome);
    if !lists.is_empty() {
        let named = lists.iter().map(|list| format!("{}@{} sha256:{}", list.id, list.version, list.digest));
        entry = entry.with("code_lists", named.collect::<Vec<_>>().join(", "));
    }
    entry
        .with("delivery", delivery.id.as_str())
        .with("origin", delivery.origin.as_str())
        .with("rows", rows.total)
        .with("accepted", rows.accepted)
        .with("refused", rows.refused)
        .with("payload_sha256", payload.map(|digest| digest.to_string()).unwrap_or_default())
}

async fn commit(app: &App, delivery: &Delivery, staged: &Staged, sequence: u64) -> Result<u64, Refusal> {
    let commit = Commit {
        source: delivery.source.clone(),
        sequence,
        mode: delivery.mode,
        origin: delivery.origin.clone(),
        files: staged.files.clone(),
        base_version: None,
        info: Map::from_iter([("delivery".to_owned(), json!(delivery.id))]),
    };
    let committed = app.lake.commit(&delivery.dataset, commit).await?;
    committed
        .version
        .ok_or_else(|| Refusal::internal("the table has a later transaction of this source than the journal"))
}

fn blank_receipt(app: &App, delivery: &Delivery, code_lists: Vec<CodeListEdition>) -> Receipt {
    Receipt {
        code_lists,
        node: app.identity.clone(),
        delivery: delivery.id.clone(),
        dataset: delivery.dataset.clone(),
        contract_version: delivery.contract_version.clone(),
        source: delivery.source.clone(),
        origin: delivery.origin.clone(),
        sequence: None,
        mode: delivery.mode,
        outcome: Outcome::Accepted,
        because: None,
        rows: RowCounts::default(),
        payload_sha256: None,
        table_version: None,
        time: app.now(),
        audit_index: 0,
    }
}

async fn finish(app: &Arc<App>, delivery: Delivery, landed: State, forwards: &[NewForward]) -> Result<Record, Refusal> {
    let checkpoint = pull::checkpoint_of(app, &delivery).await?;
    app.store.land(&delivery.id, &landed, forwards, checkpoint.as_ref()).await?;
    app.forget_entries(&delivery.id);
    metrics::counter!("simpul_deliveries_total", "outcome" => "landed").increment(1);
    if let State::Landed { counts, table_version, .. } = &landed {
        metrics::counter!("simpul_rows_landed_total").increment(counts.accepted);
        info!(delivery = delivery.id, dataset = %delivery.dataset, rows = counts.accepted, table_version, "landed");
    }
    if !forwards.is_empty() {
        app.link_wake.notify_one();
    }
    Ok(Record { delivery, state: landed })
}
