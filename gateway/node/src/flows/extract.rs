//! Extracts: everything that a reader may see, as Parquet, an Arrow stream or CSV.
//!
//! 1. `query::view` gives the columns and rows, the same as for records.
//! 2. Parquet is materialised once per (version, view) as an immutable file, and served with `ETag` and `Range`: an
//!    interrupted download goes on where it stopped.
//! 3. Arrow and CSV are streamed. CSV is safe to open in a spreadsheet: no cell is taken for a formula.
//!
//! A reader whose agreement hides columns or rows never gets a file of the table itself.

use std::io::SeekFrom;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures::TryStreamExt;
use http::{HeaderMap, HeaderValue, header};
use simpul_lake::{Encoding, Extract, Rows, Scan};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::query::{self, Wanted};
use crate::answer;
use crate::door::Context;
use crate::refusal::{Kind, Refusal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Parquet,
    Arrow,
    Csv,
}

const FORMS: [(&str, &str, Form); 3] = [
    ("parquet", "application/vnd.apache.parquet", Form::Parquet),
    ("arrow", "application/vnd.apache.arrow.stream", Form::Arrow),
    ("csv", "text/csv", Form::Csv),
];

/// `GET /v1/datasets/{dataset}/extract`
pub async fn run(context: Context, request: Request) -> Result<Response, Refusal> {
    let (head, _) = request.into_parts();
    let wanted = query::view(&context, &head.uri).await?;
    let form = form(wanted.query.get("format"), &head.headers)?;
    context.account.note("format", format!("{form:?}").to_lowercase());
    match form {
        Form::Parquet => parquet(&context, &wanted, &head.headers).await,
        Form::Arrow => Ok(streamed(scan(&context, &wanted).await?, Encoding::Arrow, FORMS[1].1)),
        Form::Csv => Ok(streamed(scan(&context, &wanted).await?, Encoding::Csv, FORMS[2].1)),
    }
}

fn form(named: Option<&str>, headers: &HeaderMap) -> Result<Form, Refusal> {
    if let Some(named) = named {
        let found = FORMS.iter().find(|(name, _, _)| *name == named).map(|(_, _, form)| *form);
        return found.ok_or_else(|| Refusal::new(Kind::NotAcceptable, "format is parquet, arrow or csv"));
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let ranges: Vec<&str> = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim()).collect();
    let found = FORMS.iter().find(|(_, media, _)| ranges.contains(media)).map(|(_, _, form)| *form);
    let any = ranges.iter().any(|range| ["*/*", "application/*"].contains(range));
    found.or(any.then_some(Form::Parquet)).ok_or_else(|| Refusal::new(Kind::NotAcceptable, "parquet, arrow or csv"))
}

async fn scan(context: &Context, wanted: &Wanted) -> Result<Rows, Refusal> {
    let scan = Scan { version: query::version(&wanted.query)?, ..Scan::default() };
    context.app.lake.scan(&wanted.dataset, &wanted.view, scan).await.map_err(query::reading)
}

async fn parquet(context: &Context, wanted: &Wanted, headers: &HeaderMap) -> Result<Response, Refusal> {
    let version = query::version(&wanted.query)?;
    let extract =
        context.app.lake.extract_parquet(&wanted.dataset, &wanted.view, version).await.map_err(query::reading)?;
    context.account.note("rows", extract.rows);
    context.account.note("version", extract.version);
    let etag = format!("\"{}\"", extract.sha256);
    let named = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let matches = |name| named(name).split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag);
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let mut response = if matches(header::IF_NONE_MATCH) {
        answer::not_modified(FORMS[0].1)
    } else if range.is_some() && (!headers.contains_key(header::IF_RANGE) || named(header::IF_RANGE) == etag) {
        part(&extract, range.unwrap_or_default()).await?
    } else {
        whole(&extract).await?
    };
    let name = format!("attachment; filename=\"{}-v{}.parquet\"", wanted.dataset, extract.version);
    let fields = [
        (header::ETAG, etag),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (http::HeaderName::from_static("repr-digest"), extract.sha256.to_digest_field()),
        (http::HeaderName::from_static("simpul-table-version"), extract.version.to_string()),
    ];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

async fn whole(extract: &Extract) -> Result<Response, Refusal> {
    let file = tokio::fs::File::open(&extract.path).await.map_err(Refusal::internal)?;
    let mut response = answer::ok(FORMS[0].1, Body::from_stream(ReaderStream::with_capacity(file, 1 << 18)));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(extract.bytes));
    Ok(response)
}

/// One part of the file (RFC 9110, section 14). A request for several parts gets the whole.
async fn part(extract: &Extract, range: &str) -> Result<Response, Refusal> {
    let Some((first, last)) = bounds(range, extract.bytes) else { return whole(extract).await };
    if first >= extract.bytes || first > last {
        return Err(
            Refusal::new(Kind::RangeInvalid, "").header(header::CONTENT_RANGE, &format!("bytes */{}", extract.bytes))
        );
    }
    let last = last.min(extract.bytes - 1);
    let mut file = tokio::fs::File::open(&extract.path).await.map_err(Refusal::internal)?;
    file.seek(SeekFrom::Start(first)).await.map_err(Refusal::internal)?;
    let length = last - first + 1;
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(length), 1 << 18));
    let mut response = answer::partial(FORMS[0].1, body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Ok(value) = HeaderValue::from_str(&format!("bytes {first}-{last}/{}", extract.bytes)) {
        headers.insert(header::CONTENT_RANGE, value);
    }
    Ok(response)
}

/// First and last byte of a single range; `None` when the header is not one that is honoured.
fn bounds(range: &str, length: u64) -> Option<(u64, u64)> {
    let spec = range.strip_prefix("bytes=")?;
    if spec.contains(',') {
        return None;
    }
    let (first, last) = spec.trim().split_once('-')?;
    match (first, last) {
        ("", suffix) => {
            let suffix: u64 = suffix.parse().ok()?;
            Some((length.saturating_sub(suffix), if suffix == 0 { 0 } else { u64::MAX }))
        }
        (first, "") => Some((first.parse().ok()?, u64::MAX)),
        (first, last) => {
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last).then_some((first, last))
        }
    }
}

/// A stream that ends in the middle is a broken answer, never a short one.
fn streamed(rows: Rows, encoding: Encoding, media_type: &'static str) -> Response {
    let pieces = rows.encode(encoding).map_err(|error| std::io::Error::other(error.to_string()));
    answer::ok(media_type, Body::from_stream(pieces))
}

#[cfg(test)]
mod tests {
    use super::bounds;

    #[test]
    fn one_range_is_honoured_and_others_are_not() {
        assert_eq!(bounds("bytes=0-9", 100), Some((0, 9)));
        assert_eq!(bounds("bytes=90-", 100), Some((90, u64::MAX)));
        assert_eq!(bounds("bytes=-10", 100), Some((90, u64::MAX)));
        assert_eq!(bounds("bytes=0-1,5-6", 100), None);
        assert_eq!(bounds("bytes=9-1", 100), None);
        assert_eq!(bounds("lines=0-1", 100), None);
    }
}
