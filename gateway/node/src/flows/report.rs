//! The report of a delivery and its bad rows, as downloads for its sender.
//!
//! The report is the stored one: values of personal data are masked. The bad rows are in quarantine as they came, personal
//! data included, and leave the node towards nobody but the sender whose they are. Neither is logged.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Deserialize;
use simpul_schemas::{Contract, Lang, RejectedCsv, Report};
use simpul_store::journal::Record;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Sender, channel};

use super::workbook::{MAX_ROWS, Workbook};
use super::{ingest, workbook};
use crate::answer;
use crate::door::Context;
use crate::query_string::QueryString;
use crate::refusal::{Kind, Refusal};

/// Bytes of an answer that are sent at once.
const PIECE: usize = 64 << 10;
/// Rows in quarantine are at most this long; see the limit `row_bytes`.
const LINE: u64 = 64 << 20;
/// Workbooks are made in memory, so one at a time.
static WORKBOOKS: Semaphore = Semaphore::const_new(1);

#[derive(Clone, Copy)]
enum Form {
    Json,
    Text,
    Csv,
    Xlsx,
}

const FORMS: [(&str, &str, Form); 4] = [
    ("json", "application/json", Form::Json),
    ("text", "text/plain; charset=utf-8", Form::Text),
    ("csv", "text/csv; charset=utf-8", Form::Csv),
    ("xlsx", workbook::MEDIA_TYPE, Form::Xlsx),
];

/// `GET /v1/deliveries/{delivery}/report`
pub async fn show(context: Context, request: Request) -> Result<Response, Refusal> {
    let record = ingest::sent(&context).await?;
    let query = QueryString::of(request.uri())?;
    let (name, media_type, form) = form(query.get("format"), request.headers())?;
    context.account.note("format", name);
    let lang: Lang = context.language.into();
    let report = ingest::stored_report(&context.app, &record.delivery.id).await?;
    let report = report.ok_or_else(|| Refusal::new(Kind::NotFound, no_report(lang)))?;
    let body = match form {
        Form::Json => Body::from(report.to_json(lang).to_string()),
        Form::Text => Body::from(report.to_text(lang)),
        // Without the mark Excel reads the file in the code page of the country.
        Form::Csv => Body::from(format!("\u{feff}{}", report.errors_csv(lang))),
        Form::Xlsx => Body::from(annotated(&context, &record, report, lang).await?),
    };
    let response = answer::ok(media_type, body);
    Ok(match form {
        Form::Json | Form::Text => response,
        Form::Csv | Form::Xlsx => attached(response, &file_name(&record, "kesalahan", "errors", name, lang)),
    })
}

fn form(named: Option<&str>, headers: &HeaderMap) -> Result<(&'static str, &'static str, Form), Refusal> {
    let unknown = || Refusal::new(Kind::NotAcceptable, "format is json, text, csv or xlsx");
    if let Some(named) = named {
        return FORMS.iter().find(|(name, ..)| *name == named).copied().ok_or_else(unknown);
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let essence = |media: &'static str| media.split(';').next().unwrap_or_default();
    let ranges = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    let found = ranges.into_iter().find_map(|range| match range {
        "*/*" | "application/*" => FORMS.first(),
        "text/*" => FORMS.get(1),
        range => FORMS.iter().find(|(_, media, _)| essence(media) == range),
    });
    found.copied().ok_or_else(unknown)
}

const fn no_report(lang: Lang) -> &'static str {
    match lang {
        Lang::Id => "Kiriman ini belum punya laporan.",
        Lang::En => "This delivery has no report yet.",
    }
}

const fn no_rows(lang: Lang) -> &'static str {
    match lang {
        Lang::Id => "Kiriman ini tidak punya baris salah yang disimpan; baris salah disimpan paling lama 30 hari.",
        Lang::En => "No bad rows of this delivery are kept; bad rows are kept for 30 days at most.",
    }
}

fn file_name(record: &Record, id: &str, en: &str, ending: &str, lang: Lang) -> String {
    let what = if lang == Lang::Id { id } else { en };
    format!("{}-{what}.{ending}", record.delivery.dataset)
}

fn attached(mut response: Response, name: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// The contract that the delivery was checked against.
async fn contract(context: &Context, record: &Record) -> Result<Arc<Contract>, Refusal> {
    let delivery = &record.delivery;
    let found = context.app.contract(&delivery.dataset, Some(&delivery.contract_version)).await?;
    found.ok_or_else(|| Refusal::new(Kind::NoContract, ""))
}

async fn annotated(context: &Context, record: &Record, report: Report, lang: Lang) -> Result<Vec<u8>, Refusal> {
    let contract = contract(context, record).await?;
    let path = context.app.quarantine_path(&record.delivery.id);
    let _one = WORKBOOKS.acquire().await.map_err(Refusal::internal)?;
    let made = tokio::task::spawn_blocking(move || {
        let mut workbook = Workbook::new(lang);
        if let Some(mut kept) = Kept::open(&path)? {
            workbook.begin(&contract, &kept.head);
            while let Some(row) = kept.next()?
                && workbook.rows() < MAX_ROWS
            {
                workbook.row(row.row, &row.raw);
            }
        }
        workbook.finish(&report).map_err(std::io::Error::other)
    });
    made.await.map_err(Refusal::internal)?.map_err(Refusal::internal)
}

/// `GET /v1/deliveries/{delivery}/rejected`: CSV for a delivery of CSV, NDJSON for one of JSON.
pub async fn rejected(context: Context, _request: Request) -> Result<Response, Refusal> {
    let record = ingest::sent(&context).await?;
    let lang: Lang = context.language.into();
    let contract = contract(&context, &record).await?;
    let path = context.app.quarantine_path(&record.delivery.id);
    let opened = tokio::task::spawn_blocking(move || Kept::open(&path)).await.map_err(Refusal::internal)?;
    let kept = opened.map_err(Refusal::internal)?.ok_or_else(|| Refusal::new(Kind::NotFound, no_rows(lang)))?;
    let (media_type, ending) = if kept.is_json { ("application/x-ndjson", "ndjson") } else { ("text/csv", "csv") };
    let (sender, receiver) = channel::<std::io::Result<Bytes>>(4);
    // A reader who goes away ends it: nobody receives.
    tokio::task::spawn_blocking(move || send_rows(kept, &contract, &sender));
    let pieces =
        futures::stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    let mut response = answer::ok(media_type, Body::from_stream(pieces));
    let refused =
        ingest::stored_report(&context.app, &record.delivery.id).await?.map_or(0, |report| report.rows_refused);
    response.headers_mut().insert(HeaderName::from_static("simpul-rows-refused"), HeaderValue::from(refused));
    Ok(attached(response, &file_name(&record, "baris-salah", "bad-rows", ending, lang)))
}

fn send_rows(mut kept: Kept, contract: &Contract, sender: &Sender<std::io::Result<Bytes>>) {
    let file = RejectedCsv::new(contract);
    let mut piece = if kept.is_json { Vec::new() } else { file.head(&kept.head) };
    loop {
        let row = match kept.next() {
            Ok(row) => row,
            Err(error) => {
                let _ = sender.blocking_send(Err(error));
                return;
            }
        };
        if let Some(row) = &row {
            if kept.is_json {
                piece.extend(row.raw.replace(['\n', '\r'], " ").as_bytes());
                piece.push(b'\n');
            } else {
                piece.extend(file.row(&row.raw));
            }
        }
        let full = piece.len() >= PIECE || row.is_none() && !piece.is_empty();
        if full && sender.blocking_send(Ok(std::mem::take(&mut piece).into())).is_err() || row.is_none() {
            return;
        }
    }
}

/// A row in quarantine.
#[derive(Deserialize)]
struct KeptRow {
    row: u64,
    raw: String,
}

#[derive(Deserialize)]
struct KeptHead {
    head: String,
}

/// The bad rows of one delivery, as `intake` keeps them.
struct Kept {
    lines: BufReader<File>,
    head: String,
    is_json: bool,
    first: Option<KeptRow>,
}

impl Kept {
    /// Opens the file; nothing when there is none.
    fn open(path: &Path) -> std::io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut kept = Self { lines: BufReader::new(file), head: String::new(), is_json: false, first: None };
        let Some(line) = kept.line()? else { return Ok(None) };
        match serde_json::from_str::<KeptHead>(&line) {
            Ok(head) => kept.head = head.head,
            Err(_) => kept.first = Some(serde_json::from_str(&line)?),
        }
        if kept.first.is_none() {
            kept.first = kept.read()?;
        }
        let raw = kept.first.as_ref().map(|row| row.raw.trim_start()).unwrap_or_default();
        kept.is_json = kept.head.is_empty() && raw.starts_with(['{', '[']);
        Ok(Some(kept))
    }

    fn line(&mut self) -> std::io::Result<Option<String>> {
        let mut line = String::new();
        let read = std::io::Read::take(&mut self.lines, LINE).read_line(&mut line)?;
        Ok((read > 0).then_some(line))
    }

    fn read(&mut self) -> std::io::Result<Option<KeptRow>> {
        self.line()?.map(|line| serde_json::from_str(&line).map_err(Into::into)).transpose()
    }

    fn next(&mut self) -> std::io::Result<Option<KeptRow>> {
        match self.first.take() {
            Some(row) => Ok(Some(row)),
            None => self.read(),
        }
    }
}
