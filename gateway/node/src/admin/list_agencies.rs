//! `GET /v1/admin/agencies`

use axum::extract::Request;
use axum::response::Response;
use serde_json::json;

use crate::answer;
use crate::door::Context;
use crate::refusal::Refusal;

/// Lists the registered agencies.
pub async fn run(context: Context, _request: Request) -> Result<Response, Refusal> {
    Ok(answer::json(&json!({"agencies": context.app.store.agencies().await?})))
}
