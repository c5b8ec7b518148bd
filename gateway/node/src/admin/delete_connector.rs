//! `DELETE /v1/admin/connectors/{connector}`: removes a connector and its checkpoint. What it delivered stays.

use axum::extract::Request;
use axum::response::Response;
use serde_json::json;
use simpul_core::id::ConnectorId;

use crate::answer;
use crate::door::Context;
use crate::refusal::{Kind, Refusal};

/// Removes the connector of the path.
pub async fn run(context: Context, _request: Request) -> Result<Response, Refusal> {
    let app = &context.app;
    let id: ConnectorId = context.name("connector")?;
    context.account.about(id.as_str());
    if app.store.connector(&id).await?.is_none() {
        return Err(Refusal::new(Kind::NotFound, ""));
    }
    context.account.record(app).await?;
    app.store.delete_connector(&id).await?;
    Ok(answer::json(&json!({"deleted": id})))
}
