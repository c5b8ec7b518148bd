//! `POST /v1/admin/code-lists/fetch`: asks the parent for editions of the lists that are used here, now.

use axum::extract::Request;
use axum::response::Response;
use serde_json::json;

use crate::answer;
use crate::door::Context;
use crate::flows::lists;
use crate::refusal::Refusal;

/// Fetches what is new and says what came.
pub async fn run(context: Context, _request: Request) -> Result<Response, Refusal> {
    context.account.record(&context.app).await?;
    let synced = lists::sync(&context.app).await?;
    Ok(answer::json(&json!({"fetched": synced.fetched, "conflicts": synced.conflicts})))
}
