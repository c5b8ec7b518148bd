//! Push: one delivery from the wire to its receipt.
//!
//! 1. [`push`] reads the request's head: agreement, key, form, compression, digests.
//! 2. [`run`] takes the key in the journal. A key that was used gives the stored answer, once the payload is known to be the
//!    same; a key in use is a conflict.
//! 3. [`take`] streams the body through `intake` into staged files and a report; one in a foreign format takes the way
//!    round through `foreign` and a process that decodes it.
//! 4. [`decide`] by the contract's policy: stage the accepted rows, or refuse the delivery.
//! 5. `land` commits and gives the receipt.
//!
//! A pull and a forwarded delivery enter at 2: there is one way for rows into a dataset.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Value, json};
use simpul_core::agreement::Operation;
use simpul_core::delivery::{Delivery, RefusedBecause, RowCounts, State};
use simpul_core::digest::Digest;
use simpul_core::id::{AgencyCode, DatasetId};
use simpul_schemas::{Contract, Foreign, Format, Lang, Policy, Report, TextEncoding, Validator};
use simpul_store::journal::{Begin, Record};
use tokio::sync::mpsc::Receiver;

use super::decompress::{Coding, Decompress};
use super::intake::{Intake, IntakeError, Quarantine, Taken, Takers};
use super::rehearsal::{self, Watch};
use super::spill::{self, KeyFile, Trouble};
use super::{foreign, land};
use crate::answer;
use crate::app::App;
use crate::auditing::Account;
use crate::config::Limits;
use crate::door::{Connection, Context};
use crate::refusal::{Kind, Refusal};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");
/// The contract version that the sender means; absent: the latest.
pub const CONTRACT_VERSION: HeaderName = HeaderName::from_static("simpul-contract-version");
/// The sender's sequence number, for a forwarded delivery.
pub const SEQUENCE: HeaderName = HeaderName::from_static("simpul-sequence");
/// Who delivered first, for a forwarded delivery: `agency/client`.
pub const ORIGIN: HeaderName = HeaderName::from_static("simpul-origin");

/// The most empty pieces of a body in a row.
const MAX_EMPTY: u32 = 1000;

/// The media types of deliveries.
const MEDIA_TYPES: [(&str, Format); 13] = [
    ("text/csv", Format::Csv),
    ("application/csv", Format::Csv),
    ("application/x-ndjson", Format::Ndjson),
    ("application/ndjson", Format::Ndjson),
    ("application/json", Format::Json),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", Format::Cells(Foreign::Xlsx)),
    ("application/vnd.ms-excel.sheet.macroenabled.12", Format::Cells(Foreign::Xlsx)),
    ("application/vnd.ms-excel", Format::Cells(Foreign::Xls)),
    ("application/vnd.oasis.opendocument.spreadsheet", Format::Cells(Foreign::Ods)),
    ("application/vnd.apache.parquet", Format::Cells(Foreign::Parquet)),
    ("application/x-parquet", Format::Cells(Foreign::Parquet)),
    ("application/vnd.apache.arrow.stream", Format::Cells(Foreign::Arrow)),
    ("application/vnd.apache.arrow.file", Format::Cells(Foreign::Arrow)),
];

/// A delivery that is about to be read.
pub struct Submission {
    /// The contract it will be checked against.
    pub contract: Arc<Contract>,
    /// The dataset.
    pub dataset: DatasetId,
    /// Who sends it.
    pub source: String,
    /// Who delivered it first.
    pub origin: String,
    /// The sender's own number.
    pub source_sequence: Option<u64>,
    /// The sender's key.
    pub key: String,
    /// The form of the body.
    pub format: Format,
    /// The encoding of its text that the sender names; without it that of the contract.
    pub encoding: Option<TextEncoding>,
    /// Its compression.
    pub coding: Coding,
    /// The digest that the bytes on the wire must have.
    pub expected: Option<Digest>,
    /// The language of the report in the answer.
    pub language: Lang,
    /// Whether to stop before anything lands.
    pub dry_run: bool,
}

/// A body as it comes in.
pub type Chunks = BoxStream<'static, Result<Bytes, Refusal>>;

/// What a delivery came to.
pub struct Answer {
    /// The journal's record, in a final state.
    pub record: Record,
    /// What the validator found, as stored.
    pub report: Option<Report>,
    /// The language of its texts.
    pub language: Lang,
    /// Whether this is the stored answer of an earlier request.
    pub replayed: bool,
}

/// `POST /v1/datasets/{dataset}/deliveries`
pub async fn push(context: Context, request: Request) -> Result<Response, Refusal> {
    let app = context.app.clone();
    let dataset: DatasetId = context.name("dataset")?;
    let headers = request.headers().clone();
    said_once(&headers)?;
    let (operation, origin) = origin(&context, &headers)?;
    if headers.contains_key(SEQUENCE) != (operation == Operation::Forward) {
        return Err(Refusal::new(Kind::Malformed, "Simpul-Sequence and Simpul-Origin go together"));
    }
    context.grant(operation, &dataset).await?;
    let submission = submission(&context, dataset, origin, &headers, request.uri().query().unwrap_or_default()).await?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if length.is_some_and(|length| length > app.config.limits.body_bytes) {
        return Err(too_large(app.config.limits.body_bytes));
    }
    if submission.dry_run {
        context.account.note("dry_run", true);
    }
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let body = chunks(&app, request.into_body(), length);
    if submission.dry_run && rehearsal::is_followed(&headers) {
        return rehearsal::follow(&context, submission, body, connection).await;
    }
    let answer = run(app, submission, body, Some(&context.account)).await?;
    respond(&answer)
}

/// Steps 2 to 5, for a body from anywhere.
pub async fn run(
    app: Arc<App>,
    submission: Submission,
    body: Chunks,
    account: Option<&Account>,
) -> Result<Answer, Refusal> {
    let _place = app.places.take(&submission.source).await?;
    app.require_space()?;
    let delivery = journal_entry(&app, &submission).await?;
    if submission.dry_run {
        return rehearse(&app, &submission, delivery, body, None).await;
    }
    // Before the journal: whoever finds the delivery there also finds that it is being read.
    let _busy = app.receiving.enter(&delivery.id);
    match begin(&app, &delivery).await? {
        Begin::New => {}
        Begin::Same(record) => return again(&app, &submission, *record, body, Kind::KeyReused).await,
        Begin::Sequence(record) => return again(&app, &submission, *record, body, Kind::SequenceConflict).await,
    }
    if let Some(account) = account {
        account.note("delivery", delivery.id.clone());
    }
    let outcome = match take(&app, &submission, &delivery, body, None).await {
        Ok(taken) => decide(&app, &submission, &delivery, taken, account).await,
        Err(refusal) => Err(refusal),
    };
    if outcome.is_err() {
        land::abandon_unstaged(&app, &delivery.id).await?;
    }
    outcome
}

/// Takes the key. One that belongs to a delivery nobody reads any more, because its reader was cut off, is free.
async fn begin(app: &App, delivery: &Delivery) -> Result<Begin, Refusal> {
    let found = app.store.begin(delivery).await?;
    if let Begin::Same(record) | Begin::Sequence(record) = &found
        && matches!(record.state, State::Receiving)
        && !app.receiving.holds(&record.delivery.id)
    {
        land::abandon_unstaged(app, &record.delivery.id).await?;
        return Ok(app.store.begin(delivery).await?);
    }
    Ok(found)
}

/// Refuses a header that comes twice with what this node takes from its first: somebody on the way may take the other.
fn said_once(headers: &HeaderMap) -> Result<(), Refusal> {
    let single =
        [header::CONTENT_TYPE, IDEMPOTENCY_KEY, CONTENT_DIGEST, REPR_DIGEST, CONTRACT_VERSION, SEQUENCE, ORIGIN];
    match single.iter().find(|name| headers.get_all(*name).iter().count() > 1) {
        Some(name) => Err(Refusal::new(Kind::Malformed, format!("{name} comes more than once"))),
        None => Ok(()),
    }
}

/// Who may deliver for whom: an agency system for itself, a child node for the agencies of its area.
fn origin(context: &Context, headers: &HeaderMap) -> Result<(Operation, String), Refusal> {
    let caller = context.caller()?;
    let source = caller.identity.source();
    let Some(value) = headers.get(ORIGIN) else { return Ok((Operation::Deliver, source)) };
    let text = value.to_str().unwrap_or_default();
    let agency = text.split_once('/').and_then(|(agency, client)| {
        client.parse::<simpul_core::id::ClientName>().ok().and_then(|_| agency.parse::<AgencyCode>().ok())
    });
    match agency {
        Some(agency) if caller.identity.agency.covers(&agency) => Ok((Operation::Forward, text.to_owned())),
        Some(_) => Err(Refusal::new(Kind::OriginDenied, "")),
        None => Err(Refusal::new(Kind::Malformed, "Simpul-Origin is written agency/client")),
    }
}

async fn submission(
    context: &Context,
    dataset: DatasetId,
    origin: String,
    headers: &HeaderMap,
    query: &str,
) -> Result<Submission, Refusal> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let dry_run = query.split('&').any(|pair| pair == "dry_run=true");
    let key = text(&IDEMPOTENCY_KEY).map(|key| key.trim_matches('"').to_owned());
    let key = match key {
        Some(key) if (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) => key,
        Some(_) => return Err(Refusal::new(Kind::KeyMissing, "Idempotency-Key: 1 to 255 printable ASCII characters")),
        None if dry_run => String::new(),
        None => {
            return Err(Refusal::new(
                Kind::KeyMissing,
                "send a key that is the same whenever you send this file again",
            ));
        }
    };
    let format = media_type(text(&header::CONTENT_TYPE))?;
    let encoding = charset(text(&header::CONTENT_TYPE))?;
    let coding = coding(headers)?;
    let expected = digest(headers)?;
    let source_sequence = match text(&SEQUENCE) {
        None => None,
        Some(number) => Some(sequence_number(number)?),
    };
    let contract = context.app.contract(&dataset, text(&CONTRACT_VERSION)).await?;
    let contract = contract.ok_or_else(|| Refusal::new(Kind::NoContract, ""))?;
    let source = context.caller()?.identity.source();
    Ok(Submission {
        contract,
        dataset,
        source,
        origin,
        source_sequence,
        key,
        format,
        encoding,
        coding,
        expected,
        language: context.language.into(),
        dry_run,
    })
}

/// A sender's number: from 1, and far below what the journal can count to.
fn sequence_number(text: &str) -> Result<u64, Refusal> {
    let number = text.parse().ok().filter(|number| (1..=1 << 48).contains(number));
    number.ok_or_else(|| Refusal::new(Kind::Malformed, "Simpul-Sequence is a number from 1 to 2^48"))
}

fn media_type(value: Option<&str>) -> Result<Format, Refusal> {
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let found = MEDIA_TYPES.iter().find(|(name, _)| *name == essence).map(|(_, format)| *format);
    found.ok_or_else(|| {
        Refusal::new(Kind::MediaType, "send CSV, NDJSON, JSON, XLSX, XLS, ODS, Parquet or Arrow IPC")
            .header(HeaderName::from_static("accept-post"), &MEDIA_TYPES.map(|(name, _)| name).join(", "))
    })
}

/// The `charset` of a media type (RFC 9110 section 8.3.2).
fn charset(value: Option<&str>) -> Result<Option<TextEncoding>, Refusal> {
    let parameters = value.unwrap_or_default().split(';').skip(1);
    let mut named = parameters.filter_map(|parameter| parameter.split_once('='));
    let Some((_, name)) = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset")) else { return Ok(None) };
    let name = name.trim().trim_matches('"');
    match TextEncoding::named(name) {
        Some(encoding) => Ok(Some(encoding)),
        None => Err(Refusal::new(
            Kind::MediaType,
            "the charset is not known; utf-8, utf-16 and windows-1252 are some that are",
        )),
    }
}

/// The media type under which a file in a foreign format is sent.
pub fn media_type_of(format: Foreign) -> &'static str {
    let found = MEDIA_TYPES.iter().find(|(_, known)| *known == Format::Cells(format));
    found.map_or("application/octet-stream", |(name, _)| name)
}

fn coding(headers: &HeaderMap) -> Result<Coding, Refusal> {
    let refused =
        || Refusal::new(Kind::Encoding, "send gzip or zstd, once").header(header::ACCEPT_ENCODING, "gzip, zstd");
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let (first, more) = (values.next(), values.next());
    match (first.map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase()).as_deref(), more) {
        (None | Some("identity"), None) => Ok(Coding::Identity),
        (Some("gzip" | "x-gzip"), None) => Ok(Coding::Gzip),
        (Some("zstd"), None) => Ok(Coding::Zstd),
        _ => Err(refused()),
    }
}

/// The SHA-256 of the bytes on the wire, from `Content-Digest` or `Repr-Digest` (RFC 9530). In a request both are taken over
/// the encoded content.
fn digest(headers: &HeaderMap) -> Result<Option<Digest>, Refusal> {
    let mut expected = None;
    for name in [&CONTENT_DIGEST, &REPR_DIGEST] {
        let Some(value) = headers.get(name) else { continue };
        let members = value.to_str().unwrap_or_default();
        let found = members.split(',').find_map(|member| member.trim().strip_prefix("sha-256="));
        let Some(encoded) = found else {
            return Err(Refusal::new(Kind::DigestUnsupported, "send sha-256").header(WANT_REPR_DIGEST, "sha-256=10"));
        };
        let bytes = encoded.strip_prefix(':').and_then(|text| text.strip_suffix(':'));
        let bytes = bytes.and_then(|text| BASE64_STANDARD.decode(text).ok()).and_then(|bytes| bytes.try_into().ok());
        let digest = bytes.map(Digest::from_bytes).ok_or_else(|| Refusal::new(Kind::Malformed, "the digest field"))?;
        if expected.is_some_and(|other| other != digest) {
            return Err(Refusal::new(Kind::DigestMismatch, "the two digest fields differ"));
        }
        expected = Some(digest);
    }
    Ok(expected)
}

fn too_large(limit: u64) -> Refusal {
    Refusal::new(Kind::TooLarge, format!("at most {limit} bytes")).and_close()
}

/// The body in chunks, held to the length that was announced, to its size, to a chunk every few seconds and to a lowest rate
/// over a minute.
fn chunks(app: &Arc<App>, body: Body, length: Option<u64>) -> Chunks {
    let limits = app.config.limits.clone();
    let pace = Pace { frames: body.into_data_stream(), total: 0, waited: Duration::ZERO, lately: 0, empty: 0 };
    futures::stream::try_unfold(pace, move |mut pace| {
        let limits = limits.clone();
        async move {
            let Some(chunk) = pace.next(&limits).await? else {
                let whole = length.is_none_or(|length| length == pace.total);
                return if whole { Ok(None) } else { Err(Refusal::new(Kind::BodyIncomplete, "").and_close()) };
            };
            Ok(Some((chunk, pace)))
        }
    })
    .boxed()
}

/// A body and how fast it comes. Only the time that is spent waiting for the sender counts.
struct Pace {
    frames: BodyDataStream,
    total: u64,
    waited: Duration,
    lately: u64,
    /// Pieces without a byte since the last one with any. They keep a sender busy and bring nothing.
    empty: u32,
}

impl Pace {
    async fn next(&mut self, limits: &Limits) -> Result<Option<Bytes>, Refusal> {
        let slow = || Refusal::new(Kind::Timeout, "send it again; nothing of it was kept").and_close();
        let asked = tokio::time::Instant::now();
        let stall = Duration::from_secs(limits.body_stall_s);
        let next = tokio::time::timeout(stall, self.frames.next()).await.map_err(|_| slow())?;
        self.waited += asked.elapsed();
        let Some(chunk) = next else { return Ok(None) };
        let chunk = chunk.map_err(|error| Refusal::new(Kind::BodyIncomplete, "").because(error).and_close())?;
        self.empty = if chunk.is_empty() { self.empty + 1 } else { 0 };
        if self.empty > MAX_EMPTY {
            return Err(slow());
        }
        self.total += chunk.len() as u64;
        self.lately += chunk.len() as u64;
        if self.total > limits.body_bytes {
            return Err(too_large(limits.body_bytes));
        }
        if self.waited > Duration::from_secs(60) {
            if self.lately < limits.body_min_rate * 60 {
                return Err(slow());
            }
            (self.waited, self.lately) = (Duration::ZERO, 0);
        }
        Ok(Some(chunk))
    }
}

pub(super) async fn journal_entry(app: &App, submission: &Submission) -> Result<Delivery, Refusal> {
    Ok(Delivery {
        id: uuid::Uuid::now_v7().to_string(),
        dataset: submission.dataset.clone(),
        contract_version: submission.contract.version().to_owned(),
        source: submission.source.clone(),
        origin: submission.origin.clone(),
        source_sequence: submission.source_sequence,
        idempotency_key: submission.key.clone(),
        mode: submission.contract.mode(),
        base_version: app.lake.version(&submission.dataset).await?.unwrap_or(0),
        received_at: app.now(),
    })
}

/// Step 3: the body through the intake.
async fn take(
    app: &Arc<App>,
    submission: &Submission,
    delivery: &Delivery,
    body: Chunks,
    watch: Option<Watch>,
) -> Result<Taken, Refusal> {
    if let Format::Cells(format) = submission.format {
        return foreign::take(app, submission, delivery, format, body).await;
    }
    let mut intake = intake(app, submission, delivery)?;
    let intake = match watch {
        None => pour(body, intake, Intake::push).await?,
        Some(mut watch) => feed(body, move |body| watch.take_all(&mut intake, body).map(|()| intake)).await?,
    };
    let taken = tokio::task::spawn_blocking(move || intake.finish()).await.map_err(Refusal::internal)??;
    if submission.expected.is_some_and(|expected| expected != taken.wire) {
        app.lake.discard(&delivery.dataset, taken.staged.files).await?;
        return Err(digest_mismatch());
    }
    Ok(taken)
}

/// The refusal of a body that is not what its sender announced.
pub fn digest_mismatch() -> Refusal {
    Refusal::new(Kind::DigestMismatch, "nothing of the body was kept")
}

/// Feeds a body to `taker`, on a thread of its own.
///
/// # Errors
/// Why the body does not come, or is not taken.
pub async fn pour<T: Send + 'static>(
    body: Chunks,
    mut taker: T,
    push: fn(&mut T, &[u8]) -> Result<(), IntakeError>,
) -> Result<T, Refusal> {
    let drain = move |body: &mut Receiver<Bytes>| {
        while let Some(chunk) = body.blocking_recv() {
            push(&mut taker, &chunk)?;
        }
        Ok(taker)
    };
    feed(body, drain).await
}

/// Runs `drain` on a thread of its own and gives it what comes.
async fn feed<T: Send + 'static>(
    mut body: Chunks,
    drain: impl FnOnce(&mut Receiver<Bytes>) -> Result<T, IntakeError> + Send + 'static,
) -> Result<T, Refusal> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Bytes>(8);
    let work = tokio::task::spawn_blocking(move || drain(&mut receiver));
    let mut broken = None;
    while let Some(chunk) = body.next().await {
        match chunk {
            // When nobody receives, the taker has stopped; its reason comes below.
            Ok(chunk) if sender.send(chunk.clone()).await.is_err() => break,
            Ok(_) => {}
            Err(refusal) => {
                broken = Some(refusal);
                break;
            }
        }
    }
    drop(sender);
    let taker = work.await.map_err(Refusal::internal)??;
    let Some(refusal) = broken else { return Ok(taker) };
    // What is staged so far goes with it, before the refusal leaves; that waits for the disk.
    tokio::task::spawn_blocking(move || drop(taker)).await.map_err(Refusal::internal)?;
    Err(refusal)
}

fn intake(app: &App, submission: &Submission, delivery: &Delivery) -> Result<Intake, Refusal> {
    let takers = takers(app, submission, delivery)?;
    Ok(Intake::new(submission.contract.clone(), takers, submission.coding, app.decode_limits())?)
}

/// What takes the rows of a delivery.
///
/// # Errors
/// When nothing can be staged.
pub fn takers(app: &App, submission: &Submission, delivery: &Delivery) -> Result<Takers, Refusal> {
    let stager = app.lake.stage(&delivery.dataset, &delivery.id, &delivery.origin)?;
    let mut validator = Validator::new(submission.contract.clone(), submission.format, app.schema_limits());
    if let Some(encoding) = submission.encoding {
        validator = validator.in_encoding(encoding);
    }
    let keys = Trouble::default();
    validator.spill_keys(Box::new(KeyFile::new(app.spool_path(&delivery.id, spill::ENDING), keys.clone())));
    let kept = if submission.dry_run { 0 } else { app.config.limits.quarantine_bytes };
    let quarantine = Quarantine::new(app.quarantine_path(&delivery.id), kept);
    Ok(Takers { validator, stager, quarantine, keys })
}

/// Step 4: what the contract's policy makes of the report.
async fn decide(
    app: &Arc<App>,
    submission: &Submission,
    delivery: &Delivery,
    taken: Taken,
    account: Option<&Account>,
) -> Result<Answer, Refusal> {
    let report = taken.report.for_storage();
    keep_report(app, &delivery.id, &report).await?;
    let counts = taken.staged.counts;
    // A header that does not fit is an error without a row.
    let whole = submission.contract.policy() == Policy::Refuse && !report.valid || report.late_errors > 0;
    let because = match &report.fatal {
        Some(_) => Some(RefusedBecause::File),
        None => (whole || counts.accepted == 0).then_some(RefusedBecause::Rows),
    };
    let record = Record { delivery: delivery.clone(), state: State::Receiving };
    let record = if let Some(because) = because {
        app.lake.discard(&delivery.dataset, taken.staged.files).await?;
        land::refuse(app, record, because, counts, Some(taken.staged.payload), account).await?
    } else {
        let state = record.state.stage(taken.staged).map_err(Refusal::internal)?;
        app.store.transition(&delivery.id, "receiving", &state).await?;
        land::run(app, Record { delivery: record.delivery, state }, account).await?
    };
    Ok(Answer { record, report: Some(report), language: submission.language, replayed: false })
}

/// The key or the sequence number is taken. The same payload gets the stored answer; another one is refused.
async fn again(
    app: &Arc<App>,
    submission: &Submission,
    record: Record,
    body: Chunks,
    other: Kind,
) -> Result<Answer, Refusal> {
    let record = if record.state.is_final() { record } else { resume(app, record).await? };
    let held = match &record.state {
        State::Landed { payload, .. } => Some(*payload),
        State::Refused { payload, .. } => *payload,
        _ => None,
    };
    let came = payload_digest(app, submission.coding, body).await?;
    if held.is_some_and(|held| held != came) {
        return Err(Refusal::new(other, "").member("delivery", record.delivery.id));
    }
    let report = stored_report(app, &record.delivery.id).await?;
    Ok(Answer { record, report, language: submission.language, replayed: true })
}

/// A delivery that was staged before an error or a restart goes on from there; one that is being read is busy.
async fn resume(app: &Arc<App>, record: Record) -> Result<Record, Refusal> {
    if app.receiving.holds(&record.delivery.id) || matches!(record.state, State::Receiving) {
        return Err(Refusal::new(Kind::InProgress, "").header(header::RETRY_AFTER, "2"));
    }
    land::run(app, record, None).await
}

/// The digest of a body that is not read otherwise.
async fn payload_digest(app: &App, coding: Coding, mut body: Chunks) -> Result<Digest, Refusal> {
    let mut digest = Decompress::new(coding, app.decode_limits(), ())?;
    while let Some(chunk) = body.next().await {
        digest.push(&chunk?)?;
    }
    Ok(digest.finish()?.payload)
}

/// Validates without landing: what `?dry_run=true` asks for. Nothing of it is journalled or kept.
pub(super) async fn rehearse(
    app: &Arc<App>,
    submission: &Submission,
    delivery: Delivery,
    body: Chunks,
    watch: Option<Watch>,
) -> Result<Answer, Refusal> {
    let taken = take(app, submission, &delivery, body, watch).await?;
    app.lake.discard(&delivery.dataset, taken.staged.files.clone()).await?;
    let state = State::Staged(taken.staged);
    let report = Some(taken.report.for_storage());
    Ok(Answer { record: Record { delivery, state }, report, language: submission.language, replayed: false })
}

/// Stores the report, with fewer of its details if they are more than the store takes; the counts stay exact.
async fn keep_report(app: &App, delivery: &str, report: &Report) -> Result<(), Refusal> {
    let mut text = serde_json::to_string(report).map_err(Refusal::internal)?;
    let mut shortened = report.clone();
    while text.len() > simpul_store::journal::MAX_REPORT && !shortened.errors.is_empty() {
        shortened.errors.truncate(shortened.errors.len() / 2);
        text = serde_json::to_string(&shortened).map_err(Refusal::internal)?;
    }
    Ok(app.store.put_report(delivery, &text).await?)
}

pub(super) async fn stored_report(app: &App, delivery: &str) -> Result<Option<Report>, Refusal> {
    let text = app.store.report(delivery).await?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

impl From<IntakeError> for Refusal {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Window => {
                Self::new(Kind::Encoding, "a zstd window of at most 8 MiB").reason("window_too_large")
            }
            IntakeError::Corrupt(what) => Self::new(Kind::BodyCorrupt, "nothing of it was kept").because(what),
            IntakeError::TooLarge(what) => Self::new(Kind::TooLarge, what).and_close(),
            IntakeError::Lake(error) => error.into(),
            IntakeError::Quarantine(error) if error.raw_os_error() == Some(28) => Self::new(Kind::NoSpace, ""),
            IntakeError::Quarantine(error) => Self::internal(error),
        }
    }
}

/// The answer to a delivery: 201 with the receipt when rows landed, 422 or 409 with receipt and report when none did. The
/// same delivery gives the same bytes however often it is sent.
fn respond(answer: &Answer) -> Result<Response, Refusal> {
    let body = described(answer);
    let mut response = match &answer.record.state {
        State::Refused { because, .. } => return Err(refused(*because, &body, answer)),
        State::Landed { .. } => answer::created(&body),
        _ => answer::json(&body),
    };
    let headers = response.headers_mut();
    if answer.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/deliveries/{}", answer.record.delivery.id)) {
        headers.insert(header::LOCATION, location);
    }
    Ok(response)
}

/// The body of an answer. What was only tried says so.
pub(super) fn described(answer: &Answer) -> Value {
    let mut body = describe(&answer.record, answer.report.as_ref(), answer.language);
    if matches!(answer.record.state, State::Staged(_)) {
        body["state"] = json!("dry_run");
    }
    body
}

fn refused(because: RefusedBecause, body: &Value, answer: &Answer) -> Refusal {
    let kind = match because {
        RefusedBecause::Rows => Kind::RowsInvalid,
        RefusedBecause::File => Kind::FileInvalid,
        RefusedBecause::Conflict => Kind::PeriodConflict,
        RefusedBecause::Stale => Kind::Stale,
    };
    let errors = body.pointer("/report/errors").and_then(Value::as_array).cloned().unwrap_or_default();
    // A file with nothing but its header breaks no rule, so the report has nothing to say.
    let nothing = because == RefusedBecause::Rows && errors.is_empty() && body["rows"]["total"] == 0;
    let detail = match answer.language {
        _ if !nothing => "",
        Lang::Id => "Berkas tidak memuat satu baris pun.",
        Lang::En => "The file holds no row.",
    };
    let mut refusal = Refusal::new(kind, detail).errors(errors);
    for name in ["delivery", "rows", "receipt", "report", "report_text"] {
        refusal = refusal.member(name, body[name].clone());
    }
    if answer.replayed { refusal.header(REPLAYED, "true") } else { refusal }
}

/// A delivery as the API shows it.
pub fn describe(record: &Record, report: Option<&Report>, language: Lang) -> Value {
    let delivery = &record.delivery;
    let mut body = json!({
        "delivery": delivery.id,
        "dataset": delivery.dataset,
        "contract_version": delivery.contract_version,
        "source": delivery.source,
        "origin": delivery.origin,
        "received_at": delivery.received_at,
        "mode": delivery.mode,
        "state": record.state.name(),
        "report": report.map(|report| report.to_json(language)),
        "report_text": report.map(|report| report.to_text(language)),
    });
    if let Some(report) = report.filter(|report| !report.code_lists.is_empty()) {
        body["codeLists"] = json!(report.code_lists);
    }
    match &record.state {
        State::Landed { counts, payload, sequence, table_version, periods, receipt } => {
            body["rows"] = json!(counts);
            body["payload_sha256"] = json!(payload);
            body["sequence"] = json!(sequence);
            body["table_version"] = json!(table_version);
            body["periods"] = json!(periods);
            body["receipt"] = json!(receipt);
        }
        State::Refused { because, counts, payload, receipt } => {
            body["because"] = json!(because);
            // As in the receipt: what was good in it did not land either.
            body["rows"] = json!(RowCounts { accepted: 0, ..*counts });
            body["payload_sha256"] = json!(payload);
            body["receipt"] = json!(receipt);
        }
        State::Staged(staged) | State::Landing { staged, .. } => body["rows"] = json!(staged.counts),
        State::Receiving | State::Abandoned => {}
    }
    body
}

/// `GET /v1/deliveries/{delivery}`: to its sender only.
pub async fn show(context: Context, _request: Request) -> Result<Response, Refusal> {
    let record = sent(&context).await?;
    let report = stored_report(&context.app, &record.delivery.id).await?;
    Ok(answer::json(&describe(&record, report.as_ref(), context.language.into())))
}

/// The delivery that the path names, to its sender only.
pub(super) async fn sent(context: &Context) -> Result<Record, Refusal> {
    let id = context.params.first().map(|(_, value)| value.clone()).unwrap_or_default();
    context.account.about(&id);
    let source = context.caller()?.identity.source();
    let unknown = || Refusal::new(Kind::NotFound, "");
    let id = uuid::Uuid::parse_str(&id).map_err(|_| unknown())?.to_string();
    let record = context.app.store.get(&id).await?.filter(|record| record.delivery.source == source);
    record.ok_or_else(unknown)
}
