//! `POST /v1/admin/contracts`: registers a version of a contract.
//!
//! The body is a Data Package descriptor; its `name` is the dataset, its `version` the version. It must compile, and be
//! compatible with every registered version in the mode that it declares (`satudata.kompatibilitas`). The same content again
//! is no change; other content under the same version is refused. `?dry_run=true` checks without registering.
//!
//! A refusal for incompatibility says in `detail` what breaks first and which version number the change would need, lists
//! every change that the mode does not allow in `errors`, and names in `affected` the agencies whose agreements in force
//! make them readers or producers of the dataset. The caller is an administrator, who may list all agreements.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use simpul_core::agreement::Operation;
use simpul_core::id::DatasetId;
use simpul_schemas::code_list::referenced;
use simpul_schemas::compat::{self, Compatibility};

use super::MAX_BODY;
use crate::answer;
use crate::code_lists::{self, Found};
use crate::contracts;
use crate::door::Context;
use crate::flows::lists::Fetched;
use crate::refusal::{Kind, Refusal};

/// Registers the contract in the body.
pub async fn run(context: Context, request: Request) -> Result<Response, Refusal> {
    let app = &context.app;
    let dry_run = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "dry_run=true"));
    let descriptor = read(request.into_body()).await?;
    let dataset: DatasetId = descriptor["name"]
        .as_str()
        .unwrap_or_default()
        .parse()
        .map_err(|error: simpul_core::id::InvalidName| Refusal::new(Kind::Invalid, format!("name: {error}")))?;
    let version = descriptor["version"].as_str().unwrap_or_default().to_owned();
    if !(1..=32).contains(&version.len())
        || version.bytes().any(|b| !(b.is_ascii_alphanumeric() || b".-+".contains(&b)))
    {
        return Err(Refusal::new(Kind::Invalid, "version: 1 to 32 letters, digits, dots, such as 1.0.0"));
    }
    context.account.about(dataset.as_str());
    context.account.note("version", version.clone());
    let (lists, fetched) = lists_of(&context, &descriptor).await?;
    contracts::compile(&descriptor, &lists).map_err(|what| Refusal::new(Kind::Invalid, what))?;
    let compatibility = compatible(&context, &dataset, &version, &descriptor, &lists).await?;
    let summary = json!({"dataset": dataset, "version": version, "compatibility": compatibility, "dry_run": dry_run});
    if dry_run {
        return Ok(answer::json(&summary));
    }

    context.account.note("code_lists", lists.named());
    context.account.record(app).await?;
    let by = context.caller()?.identity.to_string();
    for list in &fetched {
        crate::flows::lists::take(app, list).await?;
    }
    code_lists::keep_shipped(app, &lists, &by).await?;
    app.store.register_contract(&dataset, &version, &descriptor.to_string(), app.now(), &by).await?;
    // Readers see the dataset, and columns that are new, from now on.
    app.contract(&dataset, Some(&version)).await?;
    Ok(answer::created(&summary))
}

async fn read(body: Body) -> Result<Value, Refusal> {
    let descriptor: Value = answer::read_json(body, MAX_BODY).await?;
    if descriptor.is_object() { Ok(descriptor) } else { Err(Refusal::new(Kind::Invalid, "a descriptor is an object")) }
}

/// The code lists that the descriptor points to. Those that are not here come from the parent, and are registered later.
async fn lists_of(context: &Context, descriptor: &Value) -> Result<(Found, Vec<Fetched>), Refusal> {
    let app = &context.app;
    let wanted = referenced(descriptor);
    let mut lists = app.contracts.lists.resolve(&app.store, &wanted).await?;
    let fetched = crate::flows::lists::fetch(app, &lists.missing(&wanted), context.language.into()).await?;
    for list in &fetched {
        lists.add(list.list.clone());
    }
    Ok((lists, fetched))
}

/// The verdict against every version that is registered.
async fn compatible(
    context: &Context,
    dataset: &DatasetId,
    version: &str,
    descriptor: &Value,
    lists: &Found,
) -> Result<Value, Refusal> {
    let store = &context.app.store;
    let mut history = Vec::new();
    for known in store.contract_versions(dataset).await? {
        let Some(stored) = store.contract(dataset, &known.version).await? else { continue };
        let old: Value = serde_json::from_str(&stored.descriptor).map_err(Refusal::internal)?;
        if known.version == version && old != *descriptor {
            return Err(Refusal::new(Kind::VersionConflict, "give the changed contract a new version"));
        }
        history.push(old);
    }
    // The mode of the version in force counts: a new one cannot excuse itself.
    let mode = compat::Mode::declared(history.last().unwrap_or(descriptor));
    let history: Vec<&Value> = history.iter().collect();
    // Of an older list that is not here any more nothing is known, which counts as a break.
    let older: BTreeSet<String> = history.iter().flat_map(|old| referenced(old)).collect();
    let mut lists = lists.clone();
    lists.extend(context.app.contracts.lists.resolve(store, &older).await?);
    let verdict = compat::check_all(&history, descriptor, mode, &lists)
        .map_err(|error| Refusal::new(Kind::Invalid, error.to_string()))?;
    let lang = context.language.into();
    let shown = verdict.to_json(lang);
    if verdict.compatible {
        return Ok(shown);
    }
    let errors = verdict.offending().map(|change| change.to_json(lang)).collect();
    let affected = affected(context, dataset, &verdict).await?;
    Err(Refusal::new(Kind::Incompatible, verdict.reason(lang))
        .errors(errors)
        .member("suggestedVersion", verdict.suggested_version.clone())
        .member("affected", affected)
        .member("compatibility", shown))
}

/// The agencies that have an agreement in force and would break: readers and producers.
async fn affected(context: &Context, dataset: &DatasetId, verdict: &Compatibility) -> Result<Value, Refusal> {
    let now = context.app.now();
    let (mut readers, mut producers) = (BTreeSet::new(), BTreeSet::new());
    for agreement in context.app.store.agreements().await? {
        if agreement.dataset != *dataset || !agreement.in_force(now) {
            continue;
        }
        let consumer = agreement.consumer.to_string();
        if agreement.operations.contains(&Operation::Read) && !(verdict.backward && verdict.forward) {
            readers.insert(consumer.clone());
        }
        if agreement.operations.iter().any(|operation| *operation != Operation::Read) && !verdict.producer {
            producers.insert(consumer);
        }
    }
    Ok(json!({"readers": readers, "producers": producers}))
}
