//! `POST /v1/admin/connectors/{connector}/run`: pulls what is new, now, and tells what came of it.

use axum::extract::Request;
use axum::response::Response;
use simpul_core::id::ConnectorId;

use crate::answer;
use crate::door::Context;
use crate::flows::pull;
use crate::refusal::{Kind, Refusal};

/// Runs the connector of the path.
pub async fn run(context: Context, _request: Request) -> Result<Response, Refusal> {
    let app = &context.app;
    let id: ConnectorId = context.name("connector")?;
    context.account.about(id.as_str());
    if app.store.connector(&id).await?.is_none() {
        return Err(Refusal::new(Kind::NotFound, ""));
    }
    context.account.record(app).await?;
    Ok(answer::json(&pull::run(app, &id).await?))
}
