//! A dry run that tells what it finds while the body is still being read: `POST …/deliveries?dry_run=true` with
//! `Accept: application/x-ndjson`.
//!
//! 1. The answer begins at once: `door` writes the audit entry of the request before its head leaves, and what the rehearsal
//!    finds changes nothing in the node.
//! 2. A few times a second a line `{"rows": …, "bad_rows": …, "errors": […]}` says how far the check is; errors are those that
//!    no earlier line named, the first of each file only.
//! 3. The last line is the answer that the same request gets without the header, or the problem that ended it.
//!
//! Lines of JSON rather than server-sent events: every client that reads our lists reads them, `curl -N` shows them as they
//! are, and nothing suggests that a broken answer could be taken up again, which a POST cannot.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Value, json};
use simpul_schemas::Lang;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::ingest::{self, Chunks, Submission};
use super::intake::{Intake, IntakeError};
use crate::answer;
use crate::door::{Connection, Context};
use crate::refusal::{Language, Refusal};

/// Lines of JSON.
const NDJSON: &str = "application/x-ndjson";
/// How often a line says how far the check is.
const EVERY: Duration = Duration::from_millis(250);
/// Errors that are named before the last line.
const NAMED: usize = 20;
/// Lines that may wait for the caller; more are left out, the last one never.
const WAITING: usize = 16;

/// Whether the caller asks to follow the check.
pub fn is_followed(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|range| range.split(';').next().unwrap_or_default().trim() == NDJSON)
}

/// Answers at once and goes on checking.
///
/// # Errors
/// What refuses any delivery before its body is read: no place, no space.
pub async fn follow(
    context: &Context,
    submission: Submission,
    body: Chunks,
    connection: Option<Arc<Connection>>,
) -> Result<Response, Refusal> {
    let app = context.app.clone();
    let place = app.places.take(&submission.source).await?;
    app.require_space()?;
    let delivery = ingest::journal_entry(&app, &submission).await?;
    let (lines, receiver) = channel::<Bytes>(WAITING);
    let (language, request) = (context.language, context.account.request());
    let tasks = app.tasks.clone();
    tasks.spawn(async move {
        let _place = place;
        let _busy = connection.as_ref().map(Connection::busy);
        let watch = Watch::new(lines.clone(), submission.language);
        let outcome = ingest::rehearse(&app, &submission, delivery, body, Some(watch)).await;
        // When nobody listens any more there is nobody to tell.
        let _ = lines.send(last_line(outcome, language, &request)).await;
    });
    let pieces = futures::stream::unfold(receiver, |mut receiver| async move {
        let line = receiver.recv().await?;
        Some((Ok::<_, Infallible>(line), receiver))
    });
    Ok(answer::ok(NDJSON, Body::from_stream(pieces)))
}

fn last_line(outcome: Result<ingest::Answer, Refusal>, language: Language, request: &str) -> Bytes {
    let last = match outcome {
        Ok(answer) => ingest::described(&answer),
        Err(refusal) => {
            metrics::counter!("gw_reject_total", "reason" => refusal.word()).increment(1);
            if let Some(internal) = &refusal.internal {
                tracing::warn!(request, reason = refusal.word(), internal, "a dry run ended");
            }
            refusal.problem(language, request)
        }
    };
    line(&last)
}

fn line(value: &Value) -> Bytes {
    Bytes::from(format!("{value}\n"))
}

/// What tells the caller how far the check is.
pub struct Watch {
    lines: Sender<Bytes>,
    language: Lang,
    last: Instant,
    rows: u64,
    named: usize,
}

impl Watch {
    fn new(lines: Sender<Bytes>, language: Lang) -> Self {
        Self { lines, language, last: Instant::now(), rows: 0, named: 0 }
    }

    /// Gives the intake everything that comes, and looks at it while nothing comes too. On a thread for blocking work.
    ///
    /// # Errors
    /// As [`Intake::push`].
    pub fn take_all(&mut self, intake: &mut Intake, body: &mut Receiver<Bytes>) -> Result<(), IntakeError> {
        let runtime = tokio::runtime::Handle::current();
        loop {
            let left = EVERY.saturating_sub(self.last.elapsed());
            match runtime.block_on(async { tokio::time::timeout(left, body.recv()).await }) {
                Ok(Some(chunk)) => intake.push(&chunk)?,
                Ok(None) => return Ok(()),
                Err(_) => {}
            }
            if self.last.elapsed() >= EVERY {
                self.look(intake)?;
            }
        }
    }

    fn look(&mut self, intake: &mut Intake) -> Result<(), IntakeError> {
        let news = intake.news(self.named, NAMED.saturating_sub(self.named))?;
        if news.rows != self.rows || !news.errors.is_empty() {
            let errors: Vec<Value> = news.errors.iter().map(|error| error.to_json(self.language)).collect();
            let said =
                self.lines.try_send(line(&json!({"rows": news.rows, "bad_rows": news.bad_rows, "errors": errors})));
            if said.is_ok() {
                (self.rows, self.named) = (news.rows, self.named + news.errors.len());
            }
        }
        self.last = Instant::now();
        Ok(())
    }
}
