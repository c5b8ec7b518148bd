//! `GET /v1/admin/agreements`

use axum::extract::Request;
use axum::response::Response;
use serde_json::json;

use crate::answer;
use crate::door::Context;
use crate::refusal::Refusal;

/// Lists the agreements, those that have ended too.
pub async fn run(context: Context, _request: Request) -> Result<Response, Refusal> {
    Ok(answer::json(&json!({"agreements": context.app.store.agreements().await?})))
}
