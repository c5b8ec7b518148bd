//! Answers that are not refusals: the only place that chooses the status of a success.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
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

/// Reads a small body: at most `limit` bytes within 30 seconds.
///
/// # Errors
/// 408 or 413.
pub async fn read_all(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let whole = tokio::time::timeout(Duration::from_secs(30), axum::body::to_bytes(body, limit)).await;
    let whole = whole.map_err(|_| Refusal::new(Kind::Timeout, "").and_close())?;
    whole.map_err(|_| Refusal::new(Kind::TooLarge, format!("at most {limit} bytes")).and_close())
}

/// Reads a JSON body of at most `limit` bytes.
///
/// # Errors
/// 413 or 422 with the place where the JSON is wrong.
pub async fn read_json<T: serde::de::DeserializeOwned>(body: Body, limit: usize) -> Result<T, Refusal> {
    let bytes = read_all(body, limit).await?;
    serde_json::from_slice(&bytes).map_err(|error| Refusal::new(Kind::Invalid, error.to_string()))
}
