//! `GET /v1/admin/link`: the link to the parent: queue, age, last contact.

use axum::extract::Request;
use axum::response::Response;
use serde_json::json;

use crate::answer;
use crate::door::Context;
use crate::flows::forward::PARENT;
use crate::refusal::Refusal;

/// Shows the link.
pub async fn run(context: Context, _request: Request) -> Result<Response, Refusal> {
    let app = &context.app;
    let Some(link) = &app.config.link else { return Ok(answer::json(&json!({"link": null}))) };
    let status = app.store.link_status(PARENT).await?;
    let refused = app.store.forwards(PARENT, "refused", 20).await?;
    let refused: Vec<_> = refused
        .iter()
        .map(|forward| json!({"dataset": forward.dataset, "delivery": forward.delivery, "sequence": forward.sequence, "state": forward.state}))
        .collect();
    let age = status.oldest_at.map(|at| (app.now().millis() - at.millis()).max(0) / 1000);
    Ok(answer::json(&json!({"link": {
        "upstream": link.upstream,
        "datasets": link.datasets,
        "queued": status.queued,
        "queued_bytes": status.queued_bytes,
        "oldest_age_s": age,
        "refused": status.refused,
        "refused_entries": refused,
        "last_contact_at": status.last_contact_at,
        "last_attempt_at": status.last_attempt_at,
        "last_ack_at": status.last_ack_at,
        "last_error": status.last_error,
        "next_attempt_at": app.store.next_due(PARENT).await?,
    }})))
}
