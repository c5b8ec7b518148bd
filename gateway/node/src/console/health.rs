//! Health and figures.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::response::Response;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;

use crate::answer;
use crate::app::App;
use crate::door::Context;
use crate::flows::forward::PARENT;
use crate::refusal::{Kind, Refusal};

static FIGURES: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Begins to collect figures, once in a process; several nodes in one process share them.
pub fn collect_figures() {
    FIGURES.get_or_init(|| PrometheusBuilder::new().install_recorder().ok());
}

/// `GET /health/live`
pub async fn live(_context: Context, _request: Request) -> Result<Response, Refusal> {
    Ok(answer::json(&json!({"status": "live"})))
}

/// How long a look at the node's health is believed: anyone may ask, and looking writes to the store.
const BELIEVED: Duration = Duration::from_secs(2);

/// `GET /health/ready`: whether the node can take deliveries now. Says what is wrong in a word, and nothing about anybody.
pub async fn ready(context: Context, _request: Request) -> Result<Response, Refusal> {
    let app = &context.app;
    let problems = {
        let mut last = app.health.lock().await;
        match last.as_ref() {
            Some((at, problems)) if at.elapsed() < BELIEVED => problems.clone(),
            _ => last.insert((Instant::now(), problems(app).await)).1.clone(),
        }
    };
    if problems.is_empty() && !app.stop.is_cancelled() {
        return Ok(answer::json(&json!({"status": "ready", "agency": app.identity.agency})));
    }
    Err(Refusal::new(Kind::Unavailable, problems.join(", ")))
}

async fn problems(app: &App) -> Vec<&'static str> {
    let mut problems = Vec::new();
    if app.store.check().await.is_err() {
        problems.push("store");
    }
    if app.require_space().is_err() {
        problems.push("disk");
    }
    if app.audit.failure().is_some() {
        problems.push("audit");
    }
    if app.tls.status().is_ok_and(|status| status.last_failure.is_some()) {
        problems.push("certificates");
    }
    problems
}

/// `GET /metrics`
pub async fn metrics(context: Context, _request: Request) -> Result<Response, Refusal> {
    let app = &context.app;
    if let Ok(status) = app.store.link_status(PARENT).await {
        let age = status.oldest_at.map_or(0, |at| (app.now().millis() - at.millis()).max(0) / 1000);
        metrics::gauge!("simpul_link_queued").set(status.queued as f64);
        metrics::gauge!("simpul_link_oldest_age_seconds").set(age as f64);
        metrics::gauge!("simpul_link_refused").set(status.refused as f64);
    }
    if let Ok(status) = app.tls.status() {
        let left = |at: simpul_core::time::Timestamp| (at.seconds() - app.now().seconds()) as f64;
        metrics::gauge!("simpul_certificate_seconds_left").set(left(status.own_not_after));
        if let Some(next) = status.crls.iter().map(|crl| crl.next_update).min() {
            metrics::gauge!("simpul_crl_seconds_left").set(left(next));
        }
    }
    if let Some(free) = app.free_bytes() {
        metrics::gauge!("simpul_disk_free_bytes").set(free as f64);
    }
    let text = FIGURES.get().and_then(Option::as_ref).map(PrometheusHandle::render).unwrap_or_default();
    Ok(answer::ok("text/plain; version=0.0.4", text))
}
