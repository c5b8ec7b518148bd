//! Reading: what there is, and its records page by page.
//!
//! 1. [`view`] finds the agreement, and narrows what it shows to the columns and conditions that the reader asks for.
//! 2. The lake scans one version with columns and conditions pushed down.
//! 3. The answer is JSON with a cursor to the next page, or NDJSON to the end.
//!
//! A cursor stays on the version that the first page was read from, so that pages neither repeat nor skip rows while others
//! deliver.

use std::collections::HashSet;

use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use arrow_array::RecordBatch;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures::TryStreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use serde_json::{Value, json};
use simpul_core::access::View;
use simpul_core::agreement::{Agreement, Operation};
use simpul_core::filter::Filter;
use simpul_core::id::DatasetId;
use simpul_lake::{LakeError, Scan};
use simpul_schemas::Contract;

use crate::answer;
use crate::door::Context;
use crate::query_string::QueryString;
use crate::refusal::{Kind, Refusal};

/// Parameters that are not filters.
pub const RESERVED: [&str; 5] = ["select", "limit", "cursor", "version", "format"];
/// The most columns that a reader may name.
const MAX_SELECT: usize = 4096;

/// The header that names the cursor of the next page of NDJSON.
const NEXT: HeaderName = HeaderName::from_static("simpul-next");

/// What a reader may see of a dataset, and what it asked for.
pub struct Wanted {
    /// The dataset.
    pub dataset: DatasetId,
    /// The columns and rows.
    pub view: View,
    /// The rest of the query.
    pub query: QueryString,
}

/// Step 1 of every read.
///
/// # Errors
/// 403 without agreement or for a column that it does not show; 404 when there is no such dataset for those who may know.
pub async fn view(context: &Context, uri: &Uri) -> Result<Wanted, Refusal> {
    let dataset: DatasetId = context.name("dataset")?;
    let agreement = context.grant(Operation::Read, &dataset).await?;
    let query = QueryString::of(uri)?;
    let contract = context.app.contract(&dataset, None).await?;
    let contract = contract.ok_or_else(|| Refusal::new(Kind::NotFound, ""))?;
    if context.app.lake.version(&dataset).await?.is_none() {
        // Nobody has delivered yet: an empty table, and no fault of the node.
        context.app.lake.ensure(&dataset, contract.arrow_schema()).await?;
    }
    let whole = View::of(&agreement, marked(&contract));
    let select: Vec<String> = query
        .get("select")
        .map(|text| text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
        .unwrap_or_default();
    let distinct: HashSet<&String> = select.iter().collect();
    if select.len() > MAX_SELECT || distinct.len() < select.len() {
        return Err(Refusal::new(Kind::Malformed, "select names a column twice, or too many"));
    }
    let filters: Vec<Filter> = query
        .others(&RESERVED)
        .map(|(column, condition)| Filter::parse(column, condition))
        .collect::<Result<_, _>>()
        .map_err(|error| Refusal::new(Kind::Malformed, error.to_string()))?;
    let view = whole.narrow(&select, &filters)?;
    if !select.is_empty() {
        context.account.note("columns", select.join(","));
    }
    Ok(Wanted { dataset, view, query })
}

/// The columns of a contract, each with whether it holds personal data.
pub fn marked(contract: &Contract) -> impl Iterator<Item = (&str, bool)> {
    contract.fields().iter().map(|field| (field.name(), field.personal()))
}

/// `GET /v1/datasets`
pub async fn datasets(context: Context, _request: Request) -> Result<Response, Refusal> {
    let app = &context.app;
    let caller = context.caller()?;
    let now = app.now();
    let mut shown = Vec::new();
    let mut names: Vec<DatasetId> = Vec::new();
    for agreement in app.store.agreements().await? {
        let own = agreement.consumer == caller.identity.agency
            && agreement.client.as_ref().is_none_or(|client| *client == caller.identity.client)
            && agreement.in_force(now);
        if own && !names.contains(&agreement.dataset) {
            names.push(agreement.dataset);
        }
    }
    names.sort();
    for name in names {
        if let Some(contract) = app.contract(&name, None).await? {
            shown.push(summary(&contract, app.lake.version(&name).await?));
        }
    }
    Ok(answer::json(&json!({"datasets": shown, "next": null})))
}

fn summary(contract: &Contract, version: Option<u64>) -> Value {
    let descriptor = contract.descriptor();
    json!({
        "id": contract.name(),
        "title": contract.title(),
        "contract_version": contract.version(),
        "mode": contract.mode(),
        "satudata": descriptor["satudata"],
        "table_version": version,
    })
}

/// `GET /v1/datasets/{dataset}`: for anyone with an agreement about it, whatever it allows.
pub async fn dataset(context: Context, _request: Request) -> Result<Response, Refusal> {
    let app = &context.app;
    let dataset: DatasetId = context.name("dataset")?;
    let agreement = any_agreement(&context, &dataset).await?;
    let contract = app.contract(&dataset, None).await?;
    let contract = contract.ok_or_else(|| Refusal::new(Kind::NotFound, ""))?;
    let mut shown = summary(&contract, app.lake.version(&dataset).await?);
    let view = View::of(&agreement, marked(&contract));
    let visible = |field: &&simpul_schemas::Field| view.columns.iter().any(|(name, _)| name == field.name());
    let reads = agreement.operations.contains(&Operation::Read);
    if reads {
        // The number of rows is a figure about all rows, and told only to those who may read them all.
        shown["rows"] = json!(if view.rows.is_empty() { app.lake.row_count(&dataset).await? } else { None });
        let columns: Vec<Value> = contract.fields().iter().filter(visible).map(|field| json!(field.name())).collect();
        shown["columns"] = json!(columns);
    }
    let everything = view.columns.len() == contract.fields().len();
    if !reads || everything {
        shown["contract"] = contract.descriptor().clone();
    }
    Ok(answer::json(&shown))
}

async fn any_agreement(context: &Context, dataset: &DatasetId) -> Result<Agreement, Refusal> {
    let mut refused = None;
    for operation in [Operation::Read, Operation::Deliver, Operation::Forward] {
        match context.grant(operation, dataset).await {
            Ok(agreement) => return Ok(agreement),
            Err(refusal) if refusal.kind == Kind::Quota => return Err(refusal),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    Err(refused.unwrap_or_else(|| Refusal::new(Kind::NoAgreement, "")))
}

/// `GET /v1/datasets/{dataset}/records`
pub async fn records(context: Context, request: Request) -> Result<Response, Refusal> {
    let (head, _) = request.into_parts();
    let wanted = view(&context, &head.uri).await?;
    let app = &context.app;
    let most = app.config.limits.page_records;
    let limit = match wanted.query.get("limit") {
        None => most.min(100),
        Some(text) => text
            .parse::<usize>()
            .ok()
            .filter(|limit| (1..=most).contains(limit))
            .ok_or_else(|| Refusal::new(Kind::Malformed, format!("limit is a number from 1 to {most}")))?,
    };
    let lines = wants_lines(&head.headers)?;
    let scan = Scan {
        version: version(&wanted.query)?,
        after: wanted.query.get("cursor").map(str::to_owned),
        limit: Some(limit as u64),
    };
    let mut rows = app.lake.scan(&wanted.dataset, &wanted.view, scan).await.map_err(reading)?;
    let mut text = Vec::new();
    let mut count = 0;
    while let Some(batch) = rows.try_next().await.map_err(reading)? {
        count += batch.num_rows();
        write_lines(&batch, &mut text)?;
    }
    let next = if count < limit { None } else { rows.cursor() };
    context.account.note("rows", count as u64);
    if lines {
        return Ok(line_answer(text, next.as_deref()));
    }
    let mut body = Vec::with_capacity(text.len() + 64);
    body.extend_from_slice(b"{\"records\":[");
    for (index, line) in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(line);
    }
    body.extend_from_slice(format!("],\"next\":{}}}", json!(next)).as_bytes());
    Ok(answer::ok("application/json", body))
}

fn line_answer(text: Vec<u8>, next: Option<&str>) -> Response {
    let mut response = answer::ok("application/x-ndjson", Body::from(text));
    if let Some(value) = next.and_then(|next| HeaderValue::from_str(next).ok()) {
        response.headers_mut().insert(NEXT, value);
    }
    response
}

/// Whether the reader wants one record a line.
fn wants_lines(headers: &HeaderMap) -> Result<bool, Refusal> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let named = |name: &str| accept.split(',').any(|range| range.split(';').next().is_some_and(|r| r.trim() == name));
    if named("application/x-ndjson") || named("application/ndjson") {
        return Ok(true);
    }
    if named("application/json") || named("*/*") || named("application/*") {
        return Ok(false);
    }
    Err(Refusal::new(Kind::NotAcceptable, "application/json or application/x-ndjson"))
}

/// The table version that the query names.
///
/// # Errors
/// 400 when it is not a number.
pub fn version(query: &QueryString) -> Result<Option<u64>, Refusal> {
    let parse = |text: &str| text.parse().map_err(|_| Refusal::new(Kind::Malformed, "version is a number"));
    query.get("version").map(parse).transpose()
}

/// What a reader did wrong, told; what the node did wrong, not.
pub fn reading(error: LakeError) -> Refusal {
    match error {
        LakeError::Cursor => Refusal::new(Kind::Malformed, "the cursor is not one of this query"),
        LakeError::FilterValue { column, .. } => {
            Refusal::new(Kind::Malformed, "the value of a filter does not fit the column's type")
                .member("column", column)
        }
        LakeError::Column(column) => {
            Refusal::new(Kind::Malformed, "there is no such column in this version of the table")
                .member("column", column)
        }
        LakeError::ExtractTooLarge { limit } => Refusal::new(
            Kind::TooLarge,
            format!("the extract would be larger than {limit} bytes: choose columns or rows"),
        ),
        LakeError::UnknownVersion { .. } => Refusal::new(Kind::NotFound, "this version is not kept"),
        other => other.into(),
    }
}

/// The rows of `batch` as JSON, one object a line, with `null` for what is missing.
fn write_lines(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(out);
    writer.write(batch).and_then(|()| writer.finish()).map_err(Refusal::internal)
}
