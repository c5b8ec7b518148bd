//! Forward: what landed here goes to the parent, through the same public endpoint that an agency system calls.
//!
//! 1. [`owed`] says, at the landing, what the link owes the parent; it is journalled in the same transaction.
//! 2. [`run`] wakes when something is owed or due, and takes the oldest entry of each dataset.
//! 3. [`attempt`] renders the accepted rows as NDJSON under zstd into the spool, once, and posts them with the number that
//!    makes the parent's effect happen once: (this node, dataset, sequence).
//! 4. [`judge`] reads the answer: a receipt is kept, a fault is tried again after a pause, a refusal waits for a person.
//!
//! The parent validates again. What is deliberately absent: a second protocol between nodes, and any state of the transfer
//! outside the journal: the spool can be deleted at any time.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use simpul_core::audit::Outcome;
use simpul_core::delivery::{Delivery, ForwardState, Staged, StagedFile, State};
use simpul_core::digest::{Digest, Digester};
use simpul_core::id::DatasetId;
use simpul_core::receipt;
use simpul_store::StoreError;
use simpul_store::outbox::{Forward, NewForward};
use tracing::{info, warn};

use super::ingest;
use crate::app::App;
use crate::auditing;
use crate::client::{ClientError, NodeClient};
use crate::refusal::Kind;

/// The name of the link to the parent in the outbox.
pub const PARENT: &str = "parent";

/// The problem types after which another attempt cannot help.
const FINAL: [Kind; 9] = [
    Kind::RowsInvalid,
    Kind::FileInvalid,
    Kind::Stale,
    Kind::SequenceConflict,
    Kind::KeyReused,
    Kind::TooLarge,
    Kind::MediaType,
    Kind::Encoding,
    Kind::OriginDenied,
];
/// How often a parent's client is made anew even when no certificate changed.
const CLIENT_LIFE: Duration = Duration::from_secs(3600);
/// The most that rows may shrink under compression: what shrinks more is sent as it is, or the parent takes it for a bomb.
const MAX_RATIO: u64 = 50;

/// What the outbox keeps about an entry.
#[derive(Serialize, Deserialize)]
struct Content {
    files: Vec<StagedFile>,
    contract_version: String,
    rows: u64,
}

/// What the link owes the parent for a delivery that lands now.
pub fn owed(app: &App, delivery: &Delivery, staged: &Staged) -> Vec<NewForward> {
    let Some(link) = &app.config.link else { return Vec::new() };
    if !link.datasets.contains(&delivery.dataset) {
        return Vec::new();
    }
    let content = Content {
        files: staged.files.clone(),
        contract_version: delivery.contract_version.clone(),
        rows: staged.counts.accepted,
    };
    vec![NewForward {
        link: PARENT.to_owned(),
        content: json!(content),
        bytes: staged.files.iter().map(|file| file.bytes).sum(),
        created_at: app.now(),
    }]
}

/// Sends what is due until the node stops.
pub async fn run(app: Arc<App>) {
    let Some(link) = app.config.link.clone() else { return };
    clear_spool(&app);
    let mut held: Option<(u64, Instant, NodeClient)> = None;
    while !app.stop.is_cancelled() {
        let epoch = app.tls.revocation_epoch();
        if held.as_ref().is_none_or(|(made_in, at, _)| *made_in != epoch || at.elapsed() > CLIENT_LIFE) {
            match app.parent_client() {
                Ok(client) => held = client.map(|client| (epoch, Instant::now(), client)),
                Err(error) => warn!(%error, "the link cannot use its certificate"),
            }
        }
        let Some((_, _, client)) = &held else {
            tokio::time::sleep(Duration::from_secs(link.poll_s)).await;
            continue;
        };
        let mut stuck = false;
        match app.store.due(PARENT, app.now(), 16).await {
            Ok(due) if !due.is_empty() => {
                for forward in due {
                    if app.stop.is_cancelled() {
                        return;
                    }
                    stuck |= !step(&app, client, forward).await;
                }
                if !stuck {
                    continue;
                }
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "the outbox cannot be read"),
        }
        let pause = Duration::from_secs(link.poll_s);
        let pause = match app.store.next_due(PARENT).await {
            // What could not be journalled is due at once, and would be sent again and again.
            _ if stuck => pause,
            Ok(Some(at)) => {
                pause.min(Duration::from_millis(u64::try_from(at.millis() - app.now().millis()).unwrap_or(0)))
            }
            _ => pause,
        };
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = app.link_wake.notified() => {}
            () = tokio::time::sleep(pause.max(Duration::from_millis(50))) => {}
        }
    }
}

/// The table versions whose files the link still has to read.
///
/// # Errors
/// When the store cannot be read.
pub async fn needed_versions(app: &App) -> Result<Vec<(DatasetId, u64)>, StoreError> {
    let mut needed = Vec::new();
    for forward in app.store.forwards(PARENT, "queued", u32::MAX).await? {
        if let Some(State::Landed { table_version, .. }) =
            app.store.get(&forward.delivery).await?.map(|record| record.state)
        {
            needed.push((forward.dataset, table_version));
        }
    }
    Ok(needed)
}

/// One attempt and its place in the journal; whether that could be written.
async fn step(app: &Arc<App>, client: &NodeClient, forward: Forward) -> bool {
    let verdict = match attempt(app, client, &forward).await {
        Ok(receipt) => Verdict::Acknowledged(receipt),
        Err(error) => judge(app, &forward, &error),
    };
    let now = app.now();
    let (next, contact) = match &verdict {
        Verdict::Acknowledged(receipt) => (forward.state.clone().acknowledge(receipt.clone()), None),
        Verdict::Refused(problem) => (forward.state.clone().refuse(problem.clone()), None),
        Verdict::Later(pause, error) => {
            let at = now.plus_seconds(i64::try_from(pause.as_secs()).unwrap_or(i64::MAX));
            (forward.state.clone().postpone(at, error.clone()), Some(error.as_str()))
        }
    };
    let next = match next {
        Ok(next) => next,
        Err(error) => {
            warn!(%error, forward = forward.id, "a forward that is over was tried again");
            return false;
        }
    };
    if !matches!(verdict, Verdict::Later(..)) && record(app, &forward, &verdict).await.is_err() {
        return false;
    }
    if let Err(error) = app.store.set_forward(&forward.id, &forward.state, &next, now).await {
        warn!(%error, forward = forward.id, "the outbox cannot be written");
        return false;
    }
    if let Err(error) = app.store.touch_link(PARENT, now, contact).await {
        warn!(%error, "the link's state cannot be written");
    }
    metrics::counter!("simpul_forwards_total", "outcome" => next.name()).increment(1);
    match &verdict {
        Verdict::Later(pause, error) => {
            info!(dataset = %forward.dataset, sequence = forward.sequence, ?pause, error, "forward postponed")
        }
        _ => {
            info!(dataset = %forward.dataset, sequence = forward.sequence, state = next.name(), "forwarded");
            let packed = spool_path(app, &forward);
            let _ = std::fs::remove_file(packed.with_extension(""));
            let _ = std::fs::remove_file(packed);
        }
    }
    true
}

/// Removes what an earlier run spooled: it is made again when it is sent.
fn clear_spool(app: &App) {
    let Ok(files) = std::fs::read_dir(app.config.node.data.join("spool")) else { return };
    for file in files.flatten() {
        let _ = std::fs::remove_file(file.path());
    }
}

enum Verdict {
    Acknowledged(String),
    Refused(String),
    Later(Duration, String),
}

/// The entry in the audit log comes before the journal's, so that no acknowledged forward is without one.
async fn record(app: &App, forward: &Forward, verdict: &Verdict) -> Result<(), ()> {
    let (outcome, reason) = match verdict {
        Verdict::Acknowledged(_) => (Outcome::Done, String::new()),
        Verdict::Refused(problem) => (Outcome::Refused, problem.clone()),
        Verdict::Later(..) => return Ok(()),
    };
    let draft = auditing::own("link.forward", forward.dataset.as_str(), outcome)
        .because(reason)
        .with("delivery", forward.delivery.as_str())
        .with("sequence", forward.sequence)
        .with("origin", forward.origin.as_str());
    auditing::append(app, draft).await.map(|_| ()).map_err(|refusal| {
        warn!(internal = refusal.internal, "a forward waits because the audit log cannot be written");
    })
}

/// Posts the rows; gives the parent's receipt.
async fn attempt(app: &Arc<App>, client: &NodeClient, forward: &Forward) -> Result<String, ClientError> {
    let content: Content = serde_json::from_value(forward.content.clone()).map_err(ClientError::local)?;
    let (path, coding) = spool(app, forward, &content).await.map_err(ClientError::local)?;
    let (digest, length) = digest_of(&path).await.map_err(ClientError::local)?;
    let file = tokio::fs::File::open(&path).await.map_err(ClientError::local)?;
    let request = client
        .post(&format!("/v1/datasets/{}/deliveries", forward.dataset))
        .await?
        .header("content-type", "application/x-ndjson")
        .header("content-encoding", coding)
        .header("content-length", length)
        .header("idempotency-key", &forward.id)
        .header("content-digest", digest.to_digest_field())
        .header(ingest::CONTRACT_VERSION, &content.contract_version)
        .header(ingest::SEQUENCE, forward.sequence)
        .header(ingest::ORIGIN, &forward.origin)
        .body(reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::new(file)));
    let answer: Value = client.send(request).await?;
    let receipt = answer["receipt"].as_str().ok_or_else(|| ClientError::local("the parent gave no receipt"))?;
    check_receipt(app, forward, receipt).map_err(ClientError::local)?;
    Ok(receipt.to_owned())
}

/// A receipt ends the link's duty, so it must be one: signed under a root of the exchange, about this forward.
fn check_receipt(app: &App, forward: &Forward, receipt: &str) -> anyhow::Result<()> {
    let roots = simpul_certs::files::read_certificates(&app.config.tls.ca)?;
    let verified = simpul_certs::jws::verify_receipt(receipt, Some(&roots))?.receipt;
    let about = verified.dataset == forward.dataset
        && verified.sequence == Some(forward.sequence)
        && verified.source == app.identity.source()
        && verified.outcome != receipt::Outcome::Refused;
    anyhow::ensure!(about, "the parent's receipt is about something else");
    Ok(())
}

fn judge(app: &App, forward: &Forward, error: &ClientError) -> Verdict {
    if let ClientError::Problem { kind, title, .. } = error
        && FINAL.iter().any(|last| last.word() == kind)
    {
        return Verdict::Refused(format!("{kind}: {title}"));
    }
    let attempts = match &forward.state {
        ForwardState::Queued { attempts, .. } => *attempts,
        _ => 0,
    };
    let longest = app.config.link.as_ref().map_or(300, |link| link.backoff_max_s);
    let base = 2_u64.saturating_pow(attempts.min(20)).min(longest);
    // Between half and all of it, so that the children of a parent that comes back do not come at once.
    let jitter = 0.5 + f64::from(u32::from(uuid::Uuid::now_v7().as_bytes()[15])) / 510.0;
    let pause = Duration::from_secs_f64(base as f64 * jitter);
    let told = match error {
        ClientError::Problem { retry_after: Some(seconds), .. } => Duration::from_secs((*seconds).min(longest)),
        _ => Duration::ZERO,
    };
    Verdict::Later(pause.max(told).max(Duration::from_secs(1)), error.to_string())
}

fn spool_path(app: &App, forward: &Forward) -> PathBuf {
    app.config.node.data.join("spool").join(format!("{}.ndjson.zst", forward.id))
}

/// The rows of a forward as they go over the wire, with their coding; made once and kept until the parent has them.
async fn spool(app: &Arc<App>, forward: &Forward, content: &Content) -> anyhow::Result<(PathBuf, &'static str)> {
    let packed = spool_path(app, forward);
    let plain = packed.with_extension("");
    if tokio::fs::try_exists(&plain).await? {
        return Ok((plain, "identity"));
    }
    if tokio::fs::try_exists(&packed).await? {
        return Ok((packed, "zstd"));
    }
    let record = app.store.get(&forward.delivery).await?;
    let delivery = record.ok_or_else(|| anyhow::anyhow!("the delivery is not in the journal"))?.delivery;
    let contract = app.contract(&delivery.dataset, Some(&content.contract_version)).await;
    let contract = contract.ok().flatten().ok_or_else(|| anyhow::anyhow!("the contract is not registered"))?;
    let partial = packed.with_extension("part");
    let mut writer = zstd::Encoder::new(BufWriter::new(std::fs::File::create(&partial)?), 3)?;
    let mut batches = app.lake.read_files(&delivery.dataset, content.files.clone()).await?;
    let mut rendered = 0_u64;
    while let Some(batch) = batches.try_next().await? {
        let mut lines = Vec::new();
        simpul_schemas::render::write_ndjson(&contract, &batch, &mut lines);
        rendered += lines.len() as u64;
        writer = tokio::task::spawn_blocking(move || writer.write_all(&lines).map(|()| writer)).await??;
    }
    let work = move || -> anyhow::Result<(PathBuf, &'static str)> {
        writer.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        let wire = std::fs::metadata(&partial)?.len();
        if rendered <= (1 << 20) + wire * MAX_RATIO {
            std::fs::rename(&partial, &packed)?;
            return Ok((packed, "zstd"));
        }
        let unpacked = partial.with_extension("plain");
        zstd::stream::copy_decode(std::fs::File::open(&partial)?, std::fs::File::create(&unpacked)?)?;
        std::fs::rename(&unpacked, &plain)?;
        std::fs::remove_file(&partial)?;
        Ok((plain, "identity"))
    };
    tokio::task::spawn_blocking(work).await?
}

async fn digest_of(path: &Path) -> std::io::Result<(Digest, u64)> {
    let path = path.to_owned();
    let work = tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::open(path)?;
        let mut digester = Digester::default();
        let mut buffer = vec![0_u8; 1 << 16];
        let mut length = 0;
        loop {
            let read = std::io::Read::read(&mut file, &mut buffer)?;
            if read == 0 {
                return Ok((digester.finish(), length));
            }
            digester.update(&buffer[..read]);
            length += read as u64;
        }
    });
    work.await.map_err(std::io::Error::other)?
}
