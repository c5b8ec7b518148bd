//! `PUT /v1/admin/clients/{agency}/{client}`: registers a client of a registered agency, or changes its roles or quota, or
//! disables it. A client that is not registered gets nothing, whatever its certificate says.

use std::collections::BTreeSet;

use axum::extract::Request;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use simpul_core::agreement::Quota;
use simpul_core::id::{AgencyCode, ClientName};
use simpul_store::registry::{Client, Role};

use super::MAX_BODY;
use crate::answer;
use crate::door::Context;
use crate::refusal::{Kind, Refusal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    roles: BTreeSet<Role>,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    quota: Option<Quota>,
}

const fn yes() -> bool {
    true
}

/// Registers the client of the path.
pub async fn run(context: Context, request: Request) -> Result<Response, Refusal> {
    let app = &context.app;
    let (agency, name): (AgencyCode, ClientName) = (context.name("agency")?, context.name("client")?);
    let body: Body = answer::read_json(request.into_body(), MAX_BODY).await?;
    if body.quota.is_some_and(|quota| quota.per_second == 0 || quota.burst == 0) {
        return Err(Refusal::new(Kind::Invalid, "quota: at least 1 request a second and a burst of 1"));
    }
    if app.store.agency(&agency).await?.is_none() {
        return Err(Refusal::new(Kind::Invalid, "register the agency first"));
    }
    let known = app.store.registered_client(&agency, &name).await?;
    let created_at = known.map_or_else(|| app.now(), |client| client.created_at);
    let client =
        Client { agency, client: name, roles: body.roles, enabled: body.enabled, quota: body.quota, created_at };

    context.account.about(&format!("{}/{}", client.agency, client.client));
    context.account.note("roles", json!(client.roles).to_string());
    context.account.note("enabled", client.enabled);
    context.account.record(app).await?;
    app.store.put_client(&client).await?;
    Ok(answer::json(&client))
}
