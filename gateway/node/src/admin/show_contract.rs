//! `GET /v1/admin/contracts/{dataset}/{version}`

use axum::extract::Request;
use axum::response::Response;
use serde_json::Value;
use simpul_core::id::DatasetId;

use crate::answer;
use crate::door::Context;
use crate::refusal::{Kind, Refusal};

/// Shows the descriptor of one version.
pub async fn run(context: Context, _request: Request) -> Result<Response, Refusal> {
    let dataset: DatasetId = context.name("dataset")?;
    let version = context.params.iter().find(|(key, _)| key == "version").map_or("", |(_, value)| value.as_str());
    context.account.about(dataset.as_str());
    let stored = context.app.store.contract(&dataset, version).await?;
    let stored = stored.ok_or_else(|| Refusal::new(Kind::NotFound, ""))?;
    let descriptor: Value = serde_json::from_str(&stored.descriptor).map_err(Refusal::internal)?;
    Ok(answer::json(&descriptor))
}
