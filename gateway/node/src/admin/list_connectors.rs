//! `GET /v1/admin/connectors`

use axum::extract::Request;
use axum::response::Response;
use serde_json::json;

use crate::answer;
use crate::connectors::KINDS;
use crate::door::Context;
use crate::refusal::Refusal;

/// Lists the connectors with their last run and checkpoint, and the kinds there are. Configurations hold references to
/// secrets, never secrets.
pub async fn run(context: Context, _request: Request) -> Result<Response, Refusal> {
    let store = &context.app.store;
    let mut connectors = Vec::new();
    for connector in store.connectors().await? {
        let last = store.runs(&connector.id, 1).await?.into_iter().next();
        let checkpoint = store.checkpoint(&connector.id).await?.map(|checkpoint| checkpoint.content);
        connectors.push(json!({"connector": connector, "last_run": last, "checkpoint": checkpoint}));
    }
    let kinds: Vec<_> = KINDS
        .iter()
        .map(|kind| json!({"kind": kind.kind, "describe": kind.describe, "example": kind.example}))
        .collect();
    Ok(answer::json(&json!({"connectors": connectors, "kinds": kinds})))
}
