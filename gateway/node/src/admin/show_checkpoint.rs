//! `GET /v1/audit/checkpoint`: the last signed checkpoint, as text (C2SP signed note).

use axum::extract::Request;
use axum::response::Response;

use crate::answer;
use crate::door::Context;
use crate::refusal::Refusal;

/// Shows the checkpoint.
pub async fn run(context: Context, _request: Request) -> Result<Response, Refusal> {
    let checkpoint = context.app.audit.checkpoint();
    Ok(answer::ok("text/plain; charset=utf-8", checkpoint))
}
