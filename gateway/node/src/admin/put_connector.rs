//! `PUT /v1/admin/connectors/{connector}`: registers a connector or changes it. Secrets are references (`env:NAME`,
//! `file:PATH`); a configuration that holds one in clear is refused by its kind.

use axum::extract::Request;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use simpul_core::id::{ConnectorId, DatasetId};
use simpul_store::connectors::Connector;

use super::MAX_BODY;
use crate::door::Context;
use crate::refusal::{Kind, Refusal};
use crate::{answer, connectors};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    kind: String,
    dataset: DatasetId,
    config: Value,
    #[serde(default)]
    schedule: Option<String>,
    #[serde(default = "yes")]
    enabled: bool,
}

const fn yes() -> bool {
    true
}

/// Registers the connector of the path.
pub async fn run(context: Context, request: Request) -> Result<Response, Refusal> {
    let app = &context.app;
    let id: ConnectorId = context.name("connector")?;
    let body: Body = answer::read_json(request.into_body(), MAX_BODY).await?;
    connectors::build(&body.kind, body.config.clone(), id.as_str())
        .map_err(|error| Refusal::new(Kind::Invalid, error.to_string()))?;
    if let Some(schedule) = &body.schedule {
        connectors::parse_schedule(schedule)
            .map_err(|what| Refusal::new(Kind::Invalid, format!("schedule: {what}")))?;
    }
    if app.store.latest_contract(&body.dataset).await?.is_none() {
        return Err(Refusal::new(Kind::NoContract, "register the dataset's contract first"));
    }
    let connector = Connector {
        id,
        kind: body.kind,
        dataset: body.dataset,
        config: body.config,
        schedule: body.schedule,
        enabled: body.enabled,
    };

    context.account.about(connector.id.as_str());
    context.account.note("kind", connector.kind.clone());
    context.account.note("dataset", connector.dataset.as_str());
    context.account.record(app).await?;
    app.store.put_connector(&connector).await?;
    Ok(answer::json(&connector))
}
