//! `PUT /v1/admin/agencies/{agency}`: registers an agency, or changes its name or kind, or disables it.

use axum::extract::Request;
use axum::response::Response;
use serde::Deserialize;
use simpul_core::id::AgencyCode;
use simpul_store::registry::Agency;

use super::MAX_BODY;
use crate::answer;
use crate::door::Context;
use crate::refusal::{Kind, Refusal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    name: String,
    #[serde(default = "agency")]
    kind: String,
    #[serde(default = "yes")]
    enabled: bool,
}

fn agency() -> String {
    "agency".to_owned()
}

const fn yes() -> bool {
    true
}

/// Registers the agency of the path.
pub async fn run(context: Context, request: Request) -> Result<Response, Refusal> {
    let app = &context.app;
    let code: AgencyCode = context.name("agency")?;
    let body: Body = answer::read_json(request.into_body(), MAX_BODY).await?;
    if body.name.trim().is_empty() || body.name.len() > 200 {
        return Err(Refusal::new(Kind::Invalid, "name: 1 to 200 bytes"));
    }
    let known = app.store.agency(&code).await?;
    let created_at = known.map_or_else(|| app.now(), |agency| agency.created_at);
    let agency = Agency { code, name: body.name, kind: body.kind, enabled: body.enabled, created_at };

    context.account.about(agency.code.as_str());
    context.account.record(app).await?;
    app.store.put_agency(&agency).await?;
    Ok(answer::json(&agency))
}
