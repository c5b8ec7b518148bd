//! `POST /v1/admin/connectors/{connector}/test`: reaches the source and tells what it sees. Brings no rows.

use axum::extract::Request;
use axum::response::Response;
use serde_json::json;
use simpul_core::id::ConnectorId;

use crate::door::Context;
use crate::refusal::{Kind, Refusal};
use crate::{answer, connectors};

/// Tests the connector of the path. A source that does not answer is a finding, not a refusal.
pub async fn run(context: Context, _request: Request) -> Result<Response, Refusal> {
    let app = &context.app;
    let id: ConnectorId = context.name("connector")?;
    context.account.about(id.as_str());
    let connector = app.store.connector(&id).await?.ok_or_else(|| Refusal::new(Kind::NotFound, ""))?;
    context.account.record(app).await?;
    let source = connectors::build(&connector.kind, connector.config, id.as_str())
        .map_err(|error| Refusal::new(Kind::Invalid, error.to_string()))?;
    Ok(answer::json(&match source.test().await {
        Ok(report) => json!({"ok": true, "report": report}),
        Err(error) => json!({"ok": false, "error": error.name(), "message": error.message()}),
    }))
}
