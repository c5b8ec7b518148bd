//! `GET /v1/audit/entries`: the last entries, newest last: `?action=…&actor=…&outcome=…&since=…&until=…&limit=n&before=index`
//!
//! `next` is the `before` of the page of older entries.

use axum::extract::Request;
use axum::response::Response;
use serde_json::json;
use simpul_core::audit::{Filter, Outcome};
use simpul_core::time::Timestamp;

use crate::answer;
use crate::door::Context;
use crate::query_string::QueryString;
use crate::refusal::{Kind, Refusal};

/// The most entries of one answer.
const MOST: usize = 1000;
/// The most entries that are looked at for one answer.
const LOOK_BACK: usize = 1_000_000;

/// Shows entries.
pub async fn run(context: Context, request: Request) -> Result<Response, Refusal> {
    let query = QueryString::of(request.uri())?;
    let malformed = |what: &str| Refusal::new(Kind::Malformed, what.to_owned());
    let instant =
        |name: &str| query.get(name).map(|text| Timestamp::parse(text).ok_or_else(|| malformed(name))).transpose();
    let outcome = match query.get("outcome") {
        None => None,
        Some("granted") => Some(Outcome::Granted),
        Some("refused") => Some(Outcome::Refused),
        Some("done") => Some(Outcome::Done),
        Some("failed") => Some(Outcome::Failed),
        Some(_) => return Err(malformed("outcome")),
    };
    let filter = Filter {
        since: instant("since")?,
        until: instant("until")?,
        actor: query.get("actor").map(str::to_owned),
        action: query.get("action").map(str::to_owned),
        outcome,
    };
    let limit: usize = query.get("limit").unwrap_or("100").parse().map_err(|_| malformed("limit"))?;
    let limit = limit.clamp(1, MOST);
    let before: u64 = query.get("before").map_or(Ok(u64::MAX), str::parse).map_err(|_| malformed("before"))?;
    let app = context.app.clone();
    let work = tokio::task::spawn_blocking(move || {
        let older = app.audit.newest_first().skip_while(|entry| entry.as_ref().is_ok_and(|entry| entry.seq >= before));
        let wanted = older.take(LOOK_BACK).filter(|entry| entry.as_ref().map_or(true, |entry| filter.takes(entry)));
        wanted.take(limit).collect::<Result<Vec<_>, _>>()
    });
    let mut entries = work.await.map_err(Refusal::internal)?.map_err(Refusal::internal)?;
    entries.reverse();
    let next = entries.first().map(|oldest| oldest.seq).filter(|seq| entries.len() == limit && *seq > 0);
    Ok(answer::json(&json!({"entries": entries, "next": next})))
}
