//! Answers that are not refusals: the only place that chooses the status of a success.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::refusal::{Kind, Refusal};

const JSON: &str = "application/json";

/// 200 with a JSON body.
pub fn json(value: &impl Serialize) -> Response {
    ok(JSON, serde_json::to_vec(value).unwrap_or_default())
}

/// 201 with a JSON body.
pub fn created(value: &impl Serialize) -> Response {
    with(StatusCode::CREATED, JSON, serde_json::to_vec(value).unwrap_or_default())
}

/// 200 with a body of any kind.
pub fn ok(media_type: &'static str, body: impl Into<Body>) -> Response {
    with(StatusCode::OK, media_type, body)
}

/// 206 with a part of the body.
pub fn partial(media_type: &'static str, body: impl Into<Body>) -> Response {
    with(StatusCode::PARTIAL_CONTENT, media_type, body)
}

/// 304: the caller has it.
pub fn not_modified(media_type: &'static str) -> Response {
    with(StatusCode::NOT_MODIFIED, media_type, Body::empty())
}

/// Nothing of an answer may be kept by a cache on the way.
fn with(status: StatusCode, media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Reads a JSON body of at most `limit` bytes.
///
/// # Errors
/// 413 or 422 with the place where the JSON is wrong.
pub async fn read_json<T: serde::de::DeserializeOwned>(body: Body, limit: usize) -> Result<T, Refusal> {
    let bytes = axum::body::to_bytes(body, limit)
        .await
        .map_err(|_| Refusal::new(Kind::TooLarge, format!("at most {limit} bytes")))?;
    serde_json::from_slice(&bytes).map_err(|error| Refusal::new(Kind::Invalid, error.to_string()))
}
