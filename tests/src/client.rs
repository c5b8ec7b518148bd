//! A client of a node, as an agency system would be written: HTTP over mutual TLS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::demo::NodeInfo;
use crate::{Credential, tls_config, unique};

/// The version of HTTP that a client offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1 only.
    One,
    /// HTTP/2 only.
    Two,
}

/// A client of one node.
pub struct Client {
    /// The node.
    pub node: NodeInfo,
    /// Its agency.
    pub agency: String,
    /// Its name in the certificate, or in `ready.json` for those of the demo.
    pub name: String,
    /// Its profile for the command line.
    pub profile: PathBuf,
    /// Its certificate and key.
    pub credential: Credential,
    /// The HTTP client beneath, for what the helpers do not do.
    pub http: reqwest::Client,
    token: Mutex<Option<String>>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads a response to its end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn read(response: reqwest::Response) -> Result<Self, reqwest::Error> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, body: response.bytes().await?.to_vec() })
    }

    /// This answer, which must have the status `wanted`.
    ///
    /// # Panics
    /// With the whole answer when it has another.
    #[must_use = "an answer is looked at"]
    #[track_caller]
    pub fn wants(self, wanted: u16) -> Self {
        self.expect(wanted);
        self
    }

    /// Checks that the status is `wanted`.
    ///
    /// # Panics
    /// With the whole answer when it is another.
    #[track_caller]
    pub fn expect(&self, wanted: u16) -> &Self {
        assert_eq!(self.status, wanted, "{:?}\n{}", self.headers, self.text());
        self
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    /// A header, empty when absent or no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The last word of the problem's type.
    #[must_use]
    pub fn problem(&self) -> String {
        let kind = serde_json::from_slice::<Value>(&self.body).unwrap_or_default();
        kind["type"].as_str().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default().to_owned()
    }
}

impl Client {
    /// A client of `node` with `credential`, which believes the root certificate in the file `ca`.
    ///
    /// # Panics
    /// When the TLS configuration cannot be made.
    #[must_use]
    pub fn new(
        node: &NodeInfo,
        agency: &str,
        name: &str,
        profile: &Path,
        credential: Credential,
        ca: &Path,
        http: Http,
    ) -> Self {
        let mut tls = tls_config(ca, Some(&credential));
        tls.alpn_protocols = vec![if http == Http::Two { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(120))
            .build()
            .expect("an HTTP client");
        Self {
            node: node.clone(),
            agency: agency.to_owned(),
            name: name.to_owned(),
            profile: profile.to_owned(),
            credential,
            http,
            token: Mutex::new(None),
        }
    }

    /// The address of `path`: administration and audit at the console, the rest at the exchange, whole URLs as they are.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        match path {
            whole if whole.starts_with("http") => whole.to_owned(),
            admin if admin.starts_with("/v1/admin") || admin.starts_with("/v1/audit") => {
                format!("{}{admin}", self.node.console)
            }
            data => format!("{}{data}", self.node.exchange),
        }
    }

    /// An access token with everything that the client may ask for; the one that it holds, if it holds one.
    ///
    /// # Panics
    /// When none is given.
    pub async fn token(&self) -> String {
        let mut held = self.token.lock().await;
        if let Some(token) = held.as_ref() {
            return token.clone();
        }
        let token = self.new_token().await;
        *held = Some(token.clone());
        token
    }

    /// A new access token, which the next requests use: after an agreement, for its scope.
    ///
    /// # Panics
    /// When none is given.
    pub async fn renew(&self) -> String {
        let token = self.new_token().await;
        *self.token.lock().await = Some(token.clone());
        token
    }

    async fn new_token(&self) -> String {
        let form = [("grant_type", "client_credentials")];
        let answer = self.send(self.bare(Method::POST, "/v1/token").form(&form)).await;
        answer.expect(200);
        answer.json()["access_token"].as_str().expect("an access token").to_owned()
    }

    /// A request with a token.
    pub async fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let token = self.token().await;
        self.bare(method, path).bearer_auth(token)
    }

    /// A request without a token.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// Sends a request and reads the answer.
    ///
    /// # Panics
    /// When the connection breaks; [`RequestBuilder::send`] tells how, for tests that expect it.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap_or_else(|error| panic!("{}: {error:?}", self.name));
        Answer::read(response).await.unwrap_or_else(|error| panic!("{}: {error:?}", self.name))
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).await).await
    }

    /// GET, again for as long as the quota is used up: for what is shared by many tests.
    pub async fn patient_get(&self, path: &str) -> Answer {
        loop {
            let answer = self.get(path).await;
            if answer.status != 429 {
                return answer;
            }
            let seconds = answer.header("retry-after").parse().unwrap_or(1);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).await.json(body)).await
    }

    /// PUT of JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path).await.json(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path).await).await
    }

    /// Delivers `body` to `dataset` with these headers on top; the idempotency key is a new one unless they name one.
    pub async fn deliver(
        &self,
        dataset: &str,
        body: impl Into<Vec<u8>>,
        content_type: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.request(Method::POST, &format!("/v1/datasets/{dataset}/deliveries")).await;
        request = request.header("content-type", content_type);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("idempotency-key")) {
            request = request.header("idempotency-key", unique("kiriman"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into())).await
    }
}
