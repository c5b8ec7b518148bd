//! `GET /v1/admin/clients`

use axum::extract::Request;
use axum::response::Response;
use serde_json::json;

use crate::answer;
use crate::door::Context;
use crate::refusal::Refusal;

/// Lists the registered clients.
pub async fn run(context: Context, _request: Request) -> Result<Response, Refusal> {
    Ok(answer::json(&json!({"clients": context.app.store.clients().await?})))
}
