//! `DELETE /v1/admin/agreements/{agreement}`: ends an agreement now. It stays in the registry, with its end.

use axum::extract::Request;
use axum::response::Response;
use simpul_core::id::AgreementId;

use crate::answer;
use crate::door::Context;
use crate::refusal::{Kind, Refusal};

/// Ends the agreement of the path.
pub async fn run(context: Context, _request: Request) -> Result<Response, Refusal> {
    let app = &context.app;
    let id: AgreementId = context.name("agreement")?;
    context.account.about(id.as_str());
    if app.store.agreement(&id).await?.is_none() {
        return Err(Refusal::new(Kind::NotFound, ""));
    }
    context.account.record(app).await?;
    let by = context.caller()?.identity.to_string();
    Ok(answer::json(&app.store.revoke_agreement(&id, app.now(), &by).await?))
}
