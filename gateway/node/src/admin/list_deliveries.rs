//! `GET /v1/admin/deliveries`: the journal, newest first: `?dataset=…&state=…&source=…&after=cursor&limit=n`

use axum::extract::Request;
use axum::response::Response;
use serde_json::json;
use simpul_core::id::DatasetId;
use simpul_store::journal::{Cursor, DeliveryFilter};

use crate::answer;
use crate::door::Context;
use crate::flows::ingest;
use crate::query_string::QueryString;
use crate::refusal::{Kind, Refusal};

/// Lists deliveries.
pub async fn run(context: Context, request: Request) -> Result<Response, Refusal> {
    let query = QueryString::of(request.uri())?;
    let malformed = |what: &'static str| move |_| Refusal::new(Kind::Malformed, what);
    let dataset = query
        .get("dataset")
        .map(str::parse::<DatasetId>)
        .transpose()
        .map_err(|_| Refusal::new(Kind::NameInvalid, "dataset"))?;
    let after =
        query.get("after").map(str::parse::<Cursor>).transpose().map_err(|_| Refusal::new(Kind::Malformed, "after"))?;
    let limit = query.get("limit").unwrap_or("100").parse().map_err(malformed("limit"))?;
    let filter = DeliveryFilter {
        source: query.get("source").map(str::to_owned),
        origin: query.get("origin").map(str::to_owned),
        state: query.get("state").map(str::to_owned),
        since: None,
    };
    let page = context.app.store.list(dataset.as_ref(), &filter, after.as_ref(), limit).await?;
    let deliveries: Vec<_> =
        page.records.iter().map(|record| ingest::describe(record, None, context.language.into())).collect();
    Ok(answer::json(&json!({"deliveries": deliveries, "next": page.next.map(|next| next.to_string())})))
}
