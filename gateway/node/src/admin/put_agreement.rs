//! `PUT /v1/admin/agreements/{agreement}`: registers an agreement (PKS) or changes it. Every change is kept.

use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use simpul_core::access::View;
use simpul_core::agreement::{Agreement, Operation};
use simpul_core::id::AgreementId;
use simpul_lake::{LakeError, Scan};

use super::MAX_BODY;
use crate::answer;
use crate::app::App;
use crate::door::Context;
use crate::flows::query;
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
    check_columns(app, &agreement).await?;

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

/// A misspelt column would be shown as the others are, and a misspelt condition would hide everything or nothing: both are
/// compared with the dataset's contract.
async fn check_columns(app: &App, agreement: &Agreement) -> Result<(), Refusal> {
    let contract = app.contract(&agreement.dataset, None).await?;
    let contract = contract.ok_or_else(|| Refusal::new(Kind::NoContract, "register the dataset's contract first"))?;
    let known = |name: &str| contract.fields().iter().any(|field| field.name() == name);
    let named = agreement.columns.keys().chain(agreement.rows.iter().map(|filter| &filter.column));
    if let Some(unknown) = named.into_iter().find(|name| !known(name)) {
        let shown: String = unknown.chars().take(64).collect();
        return Err(Refusal::new(Kind::Invalid, format!("the contract has no column {shown}")));
    }
    let view = View::of(agreement, query::marked(&contract));
    if agreement.operations.contains(&Operation::Read) && !agreement.rows.is_empty() {
        let scan = Scan { limit: Some(1), ..Scan::default() };
        let told = |error: LakeError| Refusal::new(Kind::Invalid, format!("rows: {error}"));
        app.lake.scan(&agreement.dataset, &view, scan).await.map_err(told)?;
    }
    Ok(())
}
