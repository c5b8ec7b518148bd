//! `GET /v1/admin/code-lists`

use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};

use crate::answer;
use crate::code_lists;
use crate::door::Context;
use crate::refusal::Refusal;

/// Lists every edition of every code list with its digest; one that only ships has no date of registration.
pub async fn run(context: Context, _request: Request) -> Result<Response, Refusal> {
    let editions = code_lists::all(&context.app).await?;
    let editions: Vec<Value> = editions
        .into_iter()
        .map(|edition| {
            let (at, by) = edition.registered.unzip();
            json!({
                "id": edition.id, "version": edition.version, "digest": edition.digest,
                "registered_at": at, "registered_by": by,
            })
        })
        .collect();
    Ok(answer::json(&json!({"code_lists": editions})))
}
