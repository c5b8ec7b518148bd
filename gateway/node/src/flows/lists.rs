//! Code lists between nodes: a parent gives them to whoever holds a token, a child fetches what its contracts need.
//!
//! 1. [`index`] and [`show`] answer at the exchange: code lists are agreed for shared use (Perpres 39/2019, article 10), so
//!    they need no agreement, only a registered client. A child is a client like any other.
//! 2. [`run`] asks the parent when the node starts, and then every `link.code_lists_s`, which editions it has, and fetches
//!    those of lists that are used here.
//! 3. [`fetch`] fetches one that a contract needs which is just being registered.
//!
//! A document is taken only if it is what the parent's index says by its digest, and never in place of one that is here. What
//! is deliberately absent: pushing to children, whom a parent cannot reach.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use simpul_core::audit::Outcome;
use simpul_core::digest::Digest;
use simpul_schemas::Lang;
use simpul_schemas::code_list::{CodeList, parse_urn};
use tracing::{info, warn};

use crate::answer;
use crate::app::App;
use crate::auditing;
use crate::client::{ClientError, NodeClient};
use crate::code_lists::{self, MAX_DOCUMENT};
use crate::door::Context;
use crate::refusal::{Kind, Refusal};

/// The most editions that a child reads from its parent's index.
const MAX_EDITIONS: usize = 10_000;
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// `GET /v1/code-lists`
pub async fn index(context: Context, _request: Request) -> Result<Response, Refusal> {
    let editions = code_lists::all(&context.app).await?;
    let editions: Vec<Value> = editions
        .iter()
        .map(|edition| json!({"id": edition.id, "version": edition.version, "digest": edition.digest}))
        .collect();
    Ok(answer::json(&json!({"code_lists": editions})))
}

/// `GET /v1/code-lists/{list}/{version}`, and the same for administrators.
pub async fn show(context: Context, _request: Request) -> Result<Response, Refusal> {
    let named = |name: &str| context.params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let (id, version) = (named("list"), named("version"));
    context.account.about(&format!("{id}@{version}"));
    let document = code_lists::document(&context.app.store, id, version).await?;
    let document = document.ok_or_else(|| Refusal::new(Kind::NotFound, ""))?;
    let digest = Digest::of(&document).to_digest_field();
    let mut response = answer::ok("application/json", document);
    if let Ok(digest) = HeaderValue::from_str(&digest) {
        response.headers_mut().insert(REPR_DIGEST, digest);
    }
    Ok(response)
}

/// A line of a parent's index.
#[derive(Deserialize)]
struct Offered {
    id: String,
    version: String,
    digest: Digest,
}

/// A list that came from the parent and is not registered yet.
pub struct Fetched {
    /// The list.
    pub list: CodeList,
    document: String,
}

/// What a look at the parent's lists brought.
#[derive(Default)]
pub struct Synced {
    /// Editions that are new here.
    pub fetched: Vec<String>,
    /// Editions that say something else at the parent than here.
    pub conflicts: Vec<String>,
}

/// The first pause after a parent did not answer; it doubles up to `link.code_lists_s`.
const RETRY: Duration = Duration::from_secs(30);

/// Fetches what is missing until the node stops.
pub async fn run(app: Arc<App>) {
    let Some(link) = app.config.link.clone() else { return };
    let usual = Duration::from_secs(link.code_lists_s);
    let mut retry = RETRY;
    loop {
        let mut pause = usual;
        match sync(&app).await {
            Ok(synced) => {
                retry = RETRY;
                for edition in &synced.conflicts {
                    warn!(edition, "the parent has this code list with other content; the one here stays");
                }
            }
            Err(refusal) => {
                let why = refusal.internal.unwrap_or(refusal.detail);
                info!(why, "the parent's code lists cannot be asked for now");
                pause = retry.min(usual);
                retry = pause.saturating_mul(2);
            }
        }
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Fetches the editions that the parent has of lists that are used here.
///
/// # Errors
/// 503 when the parent does not answer; what the store or the audit log refuses.
pub async fn sync(app: &App) -> Result<Synced, Refusal> {
    let Some(parent) = parent(app)? else {
        return Err(Refusal::new(Kind::Unavailable, "this node has no parent"));
    };
    let offered = offered(&parent).await.map_err(|error| unreachable(&error))?;
    let here = code_lists::all(app).await?;
    let used = code_lists::used(&app.store).await?;
    let mut wanted: BTreeSet<&str> = used.iter().filter_map(|urn| Some(parse_urn(urn)?.0)).collect();
    wanted.extend(here.iter().filter(|edition| edition.registered.is_some()).map(|edition| edition.id.as_str()));
    let mut synced = Synced::default();
    for offer in offered.iter().filter(|offer| wanted.contains(offer.id.as_str())) {
        let name = format!("{}@{}", offer.id, offer.version);
        match here.iter().find(|known| known.id == offer.id && known.version == offer.version) {
            Some(known) if known.digest == offer.digest => {}
            Some(_) => synced.conflicts.push(name),
            None => {
                let fetched = download(&parent, offer).await.map_err(|error| unreachable(&error))?;
                take(app, &fetched).await?;
                synced.fetched.push(name);
            }
        }
    }
    Ok(synced)
}

/// Fetches the lists `missing` from the parent, to be [`take`]n when the act they are needed for is decided.
///
/// # Errors
/// 422 that names what is missing, says what the parent answered, and which command brings a list here.
pub async fn fetch(app: &App, missing: &BTreeSet<String>, lang: Lang) -> Result<Vec<Fetched>, Refusal> {
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let told = |id: String, en: String| if lang == Lang::Id { id } else { en };
    let Some(parent) = parent(app)? else { return Err(code_lists::not_here(missing, "", lang)) };
    let unreachable = |error: &ClientError| {
        let said = told(
            " Simpul induk tidak dapat dimintai; coba lagi bila tautan pulih.".to_owned(),
            " The parent node cannot be asked; try again when the link is back.".to_owned(),
        );
        code_lists::not_here(missing, &said, lang).because(error)
    };
    let offered = offered(&parent).await.map_err(|error| unreachable(&error))?;
    let find = |urn: &String| {
        let (id, version) = parse_urn(urn)?;
        offered.iter().find(|offer| offer.id == id && offer.version == version)
    };
    let absent: BTreeSet<String> = missing.iter().filter(|urn| find(urn).is_none()).cloned().collect();
    if !absent.is_empty() {
        let said = told(
            " Simpul induk juga tidak memilikinya.".to_owned(),
            " The parent node does not have it either.".to_owned(),
        );
        return Err(code_lists::not_here(&absent, &said, lang));
    }
    let mut fetched = Vec::new();
    for offer in missing.iter().filter_map(find) {
        fetched.push(download(&parent, offer).await.map_err(|error| unreachable(&error))?);
    }
    Ok(fetched)
}

/// Registers a list that came from the parent; its audit entry comes first.
///
/// # Errors
/// What the audit log or the store refuses.
pub async fn take(app: &App, fetched: &Fetched) -> Result<(), Refusal> {
    let list = &fetched.list;
    if !code_lists::is_new(app, list).await? {
        return Ok(());
    }
    let parent = app.config.link.as_ref().map(|link| link.upstream.clone()).unwrap_or_default();
    let draft = auditing::own("link.code_list", &format!("{}@{}", list.id(), list.version()), Outcome::Done)
        .with("digest", list.digest().to_string())
        .with("parent", parent.clone());
    auditing::append(app, draft).await?;
    code_lists::register(app, list, &fetched.document, &parent).await?;
    info!(list = list.id(), version = list.version(), "a code list came from the parent");
    Ok(())
}

fn parent(app: &App) -> Result<Option<NodeClient>, Refusal> {
    app.parent_client()
        .map_err(|error| Refusal::new(Kind::Unavailable, "the link cannot use its certificate").because(error))
}

fn unreachable(error: &ClientError) -> Refusal {
    Refusal::new(Kind::Unavailable, "the parent cannot be asked for its code lists").because(error)
}

async fn offered(parent: &NodeClient) -> Result<Vec<Offered>, ClientError> {
    let body = bounded(parent, "/v1/code-lists").await?;
    let mut index: Value = serde_json::from_slice(&body).map_err(ClientError::local)?;
    let mut offered: Vec<Offered> = serde_json::from_value(index["code_lists"].take()).map_err(ClientError::local)?;
    offered.truncate(MAX_EDITIONS);
    Ok(offered)
}

/// The document of an edition, once it is known to be the one of the index.
async fn download(parent: &NodeClient, offer: &Offered) -> Result<Fetched, ClientError> {
    let name = format!("{}@{}", offer.id, offer.version);
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    if !plain(&offer.id) || !plain(&offer.version) {
        return Err(ClientError::local("the parent offers a code list without a proper name"));
    }
    let body = bounded(parent, &format!("/v1/code-lists/{}/{}", offer.id, offer.version)).await?;
    let digest = offer.digest;
    tokio::task::spawn_blocking(move || accepted(body, &name, digest)).await.map_err(ClientError::local)?
}

/// Takes a document only if it is the one that was offered: every byte, and the name that it gives itself.
fn accepted(body: Vec<u8>, name: &str, digest: Digest) -> Result<Fetched, ClientError> {
    let other = || ClientError::local(format!("what the parent sent is not the code list {name} of its index"));
    if Digest::of(&body) != digest {
        return Err(other());
    }
    let document = String::from_utf8(body).map_err(ClientError::local)?;
    let list = CodeList::from_document(&document).map_err(ClientError::local)?;
    if list.digest() != digest || format!("{}@{}", list.id(), list.version()) != name {
        return Err(other());
    }
    Ok(Fetched { list, document })
}

async fn bounded(parent: &NodeClient, path: &str) -> Result<Vec<u8>, ClientError> {
    let mut response = parent.open(parent.request(http::Method::GET, path).await?).await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(ClientError::local)? {
        if body.len() + chunk.len() > MAX_DOCUMENT {
            return Err(ClientError::local(format!("more than {MAX_DOCUMENT} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"id":"urn:satudata:ref:buah@1","satudata":{"kodeReferensi":{"sumberdaya":"b","kunci":"k"}},"resources":[{"name":"b","format":"csv","data":"k\na\n"}]}"#;

    #[test]
    fn only_the_document_that_was_offered_is_taken() {
        let document = simpul_schemas::code_list::document(LIST, |_| None).unwrap();
        let digest = Digest::of(document.as_bytes());
        let body = || document.clone().into_bytes();
        assert_eq!(accepted(body(), "buah@1", digest).ok().map(|fetched| fetched.list.digest()), Some(digest));
        // Another digest, another name, another way to write the same, and no list at all.
        assert!(accepted(body(), "buah@1", Digest::of(b"")).is_err());
        assert!(accepted(body(), "buah@2", digest).is_err());
        assert!(accepted(LIST.into(), "buah@1", Digest::of(LIST.as_bytes())).is_err());
        assert!(accepted(b"{}".to_vec(), "buah@1", Digest::of(b"{}")).is_err());
        assert!(accepted(vec![0xff], "buah@1", Digest::of(&[0xff])).is_err());
    }
}
