//! `PUT /v1/admin/agreements/{agreement}`: registers an agreement (PKS) or changes it. Every change is kept.

use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use simpul_core::agreement::Agreement;
use simpul_core::id::AgreementId;

use super::MAX_BODY;
use crate::answer;
use crate::door::Context;
use crate::refusal::{Kind, Refusal};

/// Registers the agreement of the path.
pub async fn run(context: Context, request: Request) -> Result<Response, Refusal> {
    let app = &context.app;
    let id: AgreementId = context.name("agreement")?;
    let mut body: Value = answer::read_json(request.into_body(), MAX_BODY).await?;
    if let Some(object) = body.as_object_mut() {
        object.insert("id".to_owned(), json!(id));
    }
    let agreement: Agreement =
        serde_json::from_value(body).map_err(|error| Refusal::new(Kind::Invalid, error.to_string()))?;
    check(&agreement).map_err(|what| Refusal::new(Kind::Invalid, what))?;

    context.account.about(id.as_str());
    context.account.note("consumer", agreement.consumer.as_str());
    context.account.note("dataset", agreement.dataset.as_str());
    context.account.note("operations", json!(agreement.operations).to_string());
    context.account.note("valid_until", agreement.valid_until.to_string());
    context.account.record(app).await?;
    let by = context.caller()?.identity.to_string();
    app.store.put_agreement(&agreement, app.now(), &by).await?;
    Ok(answer::json(&agreement))
}

fn check(agreement: &Agreement) -> Result<(), &'static str> {
    if agreement.operations.is_empty() {
        return Err("operations: at least one of deliver, forward, read");
    }
    if agreement.valid_until <= agreement.valid_from {
        return Err("valid_until must be after valid_from");
    }
    if agreement.purpose.trim().is_empty() || agreement.document.trim().is_empty() {
        return Err("purpose and document must be given");
    }
    if agreement.quota.is_some_and(|quota| quota.per_second == 0 || quota.burst == 0) {
        return Err("quota: at least 1 request a second and a burst of 1");
    }
    Ok(())
}
