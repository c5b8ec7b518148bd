//! A client of a node: what the link to the parent, the command line and the demo use. It speaks the public API and nothing
//! else.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use simpul_core::id::TrustDomain;
use tokio::sync::Mutex;

/// Where a client finds its node and how it shows who it is: a TOML file that every client command takes as `--profile`.
/// Paths are relative to the folder of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The node's exchange address, such as `https://kukar.example:8443`.
    pub node: String,
    /// The node's console address, for administrators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
    /// The trust domain of the exchange.
    pub trust_domain: TrustDomain,
    /// The root certificates of the exchange (PEM).
    pub ca: PathBuf,
    /// The client's certificate chain (PEM).
    pub certificate: PathBuf,
    /// The client's key (PEM), readable by its owner only.
    pub key: PathBuf,
}

impl Profile {
    /// Reads the profile at `path`.
    ///
    /// # Errors
    /// When the file cannot be read or has an unknown or missing key.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read the profile {}", path.display()))?;
        let mut profile: Self = toml::from_str(&text).with_context(|| format!("the profile {}", path.display()))?;
        let base = path.parent().unwrap_or(Path::new("."));
        for file in [&mut profile.ca, &mut profile.certificate, &mut profile.key] {
            *file = base.join(&*file);
        }
        Ok(profile)
    }
}

/// Why a call did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The node cannot be reached, or the connection broke.
    #[error("cannot reach the node: {0}")]
    Unreachable(String),
    /// The node refused.
    #[error("{status} {kind}: {title}{}", .detail.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Problem {
        /// The HTTP status.
        status: u16,
        /// The last word of the problem type.
        kind: String,
        /// The title in the caller's language.
        title: String,
        /// More about this case.
        detail: Option<String>,
        /// Seconds that the node asks to wait.
        retry_after: Option<u64>,
        /// The whole problem.
        body: Box<Value>,
    },
    /// Something on this side.
    #[error("{0}")]
    Local(String),
}

impl ClientError {
    /// A refusal whose problem came as a part of an answer.
    pub fn from_problem(body: Value) -> Self {
        let kind = body["type"].as_str().and_then(|kind| kind.rsplit(':').next()).unwrap_or("unknown").to_owned();
        let status = body["status"].as_u64().and_then(|status| status.try_into().ok()).unwrap_or_default();
        Self::Problem {
            status,
            kind,
            title: body["title"].as_str().unwrap_or_default().to_owned(),
            detail: body["detail"].as_str().map(str::to_owned),
            retry_after: None,
            body: Box::new(body),
        }
    }

    /// An error of this side.
    pub fn local(error: impl std::fmt::Display) -> Self {
        Self::Local(error.to_string())
    }
}

/// A client of one node. Clones share the connection and the token.
#[derive(Clone)]
pub struct NodeClient {
    http: reqwest::Client,
    base: String,
    token: Arc<Mutex<Option<(String, Instant)>>>,
    language: &'static str,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

impl NodeClient {
    /// A client of the node at `base`; an attempt without progress ends after `timeout`.
    ///
    /// # Errors
    /// When the TLS configuration cannot be used.
    pub fn new(base: &str, tls: rustls::ClientConfig, timeout: Duration) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .connect_timeout(Duration::from_secs(20))
            .read_timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("simpul/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(ClientError::local)?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), token: Arc::default(), language: "id" })
    }

    /// The same client, asking for texts in English.
    #[must_use]
    pub fn in_english(mut self) -> Self {
        self.language = "en";
        self
    }

    /// A POST with a valid token.
    ///
    /// # Errors
    /// When no token can be had.
    pub async fn post(&self, path: &str) -> Result<RequestBuilder, ClientError> {
        self.request(Method::POST, path).await
    }

    /// A request with a valid token.
    ///
    /// # Errors
    /// When no token can be had.
    pub async fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, ClientError> {
        let token = self.token().await?;
        let request = self.http.request(method, format!("{}{path}", self.base));
        Ok(request.bearer_auth(token).header("accept-language", self.language))
    }

    /// Sends a request and reads its JSON answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn send(&self, request: RequestBuilder) -> Result<Value, ClientError> {
        let response = self.open(request).await?;
        let bytes = response.bytes().await.map_err(unreachable)?;
        if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes).map_err(ClientError::local) }
    }

    /// Sends a delivery; gives the answer and whether it is that of an earlier request.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deliver(&self, request: RequestBuilder) -> Result<(Value, bool), ClientError> {
        let response = self.open(request).await?;
        let replayed = response.headers().contains_key("idempotency-replayed");
        Ok((response.json().await.map_err(unreachable)?, replayed))
    }

    /// Sends a request and gives the answer to be read in pieces.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn open(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status == StatusCode::UNAUTHORIZED {
            // The next request asks for a new one.
            *self.token.lock().await = None;
        }
        Err(problem(response).await)
    }

    /// GET `path`, JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.send(self.request(Method::GET, path).await?).await
    }

    /// A token that lives for another few seconds at least.
    async fn token(&self) -> Result<String, ClientError> {
        let mut held = self.token.lock().await;
        if let Some((token, until)) = held.as_ref()
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let request = self.http.post(format!("{}/v1/token", self.base));
        let response = request.form(&[("grant_type", "client_credentials")]).send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(problem(response).await);
        }
        let granted: Granted = response.json().await.map_err(ClientError::local)?;
        let life = Duration::from_secs(granted.expires_in.saturating_sub(15).max(1));
        *held = Some((granted.access_token.clone(), Instant::now() + life));
        Ok(granted.access_token)
    }
}

fn unreachable(error: reqwest::Error) -> ClientError {
    use std::error::Error;
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    ClientError::Unreachable(text)
}

async fn problem(response: Response) -> ClientError {
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let replayed = response.headers().contains_key("idempotency-replayed");
    let mut body: Value = response.json().await.unwrap_or_default();
    if let (true, Some(object)) = (replayed, body.as_object_mut()) {
        object.insert("replayed".to_owned(), true.into());
    }
    let kind = body["type"].as_str().and_then(|kind| kind.rsplit(':').next()).unwrap_or("unknown").to_owned();
    ClientError::Problem {
        status,
        kind,
        title: body["title"].as_str().unwrap_or_default().to_owned(),
        detail: body["detail"].as_str().map(str::to_owned),
        retry_after,
        body: Box::new(body),
    }
}
