//! `POST /v1/admin/code-lists`: registers an edition of a code list.
//!
//! The body is the list's document: its descriptor, with the text of its files as `data` of their resources. Its `id` is
//! `urn:satudata:ref:name@version`. The same content again is no change; other content under the same version is refused, and
//! nothing removes an edition. `?dry_run=true` checks without registering.
//!
//! The answer compares it with the edition that was registered last: how many codes came and went, and which of those that
//! went have no successor.

use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use simpul_schemas::code_list::{self, CodeList};

use crate::answer;
use crate::code_lists::{self, MAX_DOCUMENT};
use crate::door::Context;
use crate::refusal::{Kind, Refusal};

/// Codes without a successor that the answer names.
const NAMED: usize = 20;

/// Registers the list in the body.
pub async fn run(context: Context, request: Request) -> Result<Response, Refusal> {
    let app = &context.app;
    let dry_run = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "dry_run=true"));
    let body = answer::read_all(request.into_body(), MAX_DOCUMENT).await?;
    let lang = context.language.into();
    let read = move || {
        let text = std::str::from_utf8(&body).map_err(|_| Refusal::new(Kind::Invalid, "UTF-8"))?;
        let document = code_list::document(text, |_| None);
        let list = document.and_then(|document| CodeList::from_document(&document).map(|list| (document, list)));
        list.map_err(|error| Refusal::new(Kind::Invalid, error.text().get(lang)))
    };
    let (document, list) = tokio::task::spawn_blocking(read).await.map_err(Refusal::internal)??;
    context.account.about(&format!("{}@{}", list.id(), list.version()));
    context.account.note("digest", list.digest().to_string());
    let new = code_lists::is_new(app, &list).await?;
    let summary = json!({
        "id": list.id(), "version": list.version(), "digest": list.digest(), "title": list.title(),
        "system": list.system(), "codes": list.len(), "invalid": list.invalid(), "new": new, "dry_run": dry_run,
        "previous": previous(&context, &list).await?,
    });
    if dry_run {
        return Ok(answer::json(&summary));
    }
    context.account.record(app).await?;
    code_lists::register(app, &list, &document, &context.caller()?.identity.to_string()).await?;
    Ok(answer::created(&summary))
}

/// What changed since the edition that was registered last.
async fn previous(context: &Context, list: &CodeList) -> Result<Value, Refusal> {
    let editions = context.app.store.code_list_versions(list.id()).await?;
    let Some(last) = editions.iter().rev().find(|edition| edition.version != list.version()) else {
        return Ok(Value::Null);
    };
    let Some(document) = code_lists::document(&context.app.store, list.id(), &last.version).await? else {
        return Ok(Value::Null);
    };
    let old = String::from_utf8(document).map_err(Refusal::internal)?;
    let old = CodeList::from_document(&old).map_err(Refusal::internal)?;
    Ok(compared(&old, list))
}

/// How `new` differs from `old`.
pub fn compared(old: &CodeList, new: &CodeList) -> Value {
    let delta = old.delta(new);
    let gone = old.values(old.key()).into_iter().flatten().filter(|code| !new.contains(code));
    let mut lost: Vec<&str> = gone.filter(|code| new.resolve(code).is_empty()).collect();
    let count = lost.len();
    lost.truncate(NAMED);
    json!({
        "version": old.version(), "added": delta.added, "removed": delta.removed,
        "without_successor": count, "without_successor_codes": lost,
    })
}
