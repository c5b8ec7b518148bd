//! The whole way in, in order: accept → TLS → identify → authorize → limit → route → audit.
//!
//! 1. [`listen`] accepts, bounded by the number of connections.
//! 2. [`connection`] makes the TLS handshake under a time limit; a refused one leaves an audit entry and nothing else.
//! 3. [`handle`] is entered once for every request, with the route that it matched:
//!    [`identify`] the certificate (again, because it may have been revoked since the handshake), [`authorize`] token, client
//!    and role, [`limit`] the client, run the handler, and [`settle`] the account: one audit entry, durable before the answer
//!    leaves.
//!
//! What is deliberately absent: a route that is open because somebody forgot to close it. Every route in `routes.rs` states
//! its [`Access`], and there is no default.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::response::Response;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{HeaderValue, Version, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use simpul_certs::CertError;
use simpul_certs::identity::{IdentityError, PeerIdentity};
use simpul_certs::tls::Listener;
use simpul_certs::token::AccessToken;
use simpul_core::access::{self};
use simpul_core::agreement::{Agreement, Operation};
use simpul_core::audit::Outcome;
use simpul_core::digest::Digest;
use simpul_core::id::{DatasetId, Identity};
use simpul_store::registry::{Client, Role};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tracing::{Instrument, debug, info, warn};

use crate::app::App;
use crate::auditing::{self, Account};
use crate::limits::Allowance;
use crate::refusal::{Kind, Language, Refusal};
use crate::tokens::ADMIN_SCOPE;

/// What a request must show before its handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing: it tells nothing about anybody.
    Public,
    /// The certificate of a registered client: the token endpoint.
    Certificate,
    /// A token bound to the certificate of a registered client.
    Token,
    /// That, on the console, from a client with the role administrator.
    Administrator,
}

/// Which of the node's addresses a connection came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entrance {
    /// Agency systems and child nodes.
    Exchange,
    /// Without a client certificate.
    Portal,
    /// Administrators.
    Console,
    /// Supervisor and Prometheus, in clear.
    Metrics,
}

impl Entrance {
    /// The TLS configuration of this entrance; the one in clear has none and takes the strictest.
    const fn listener(self) -> Listener {
        match self {
            Self::Portal => Listener::Portal,
            Self::Console => Listener::Console,
            Self::Exchange | Self::Metrics => Listener::Exchange,
        }
    }

    /// The entrance as logs and metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Portal => "portal",
            Self::Console => "console",
            Self::Metrics => "metrics",
        }
    }
}

/// What answers a route.
pub type Handler = fn(Context, Request) -> BoxFuture<'static, Result<Response, Refusal>>;

/// One connection: who is at the other end.
pub struct Connection {
    entrance: Entrance,
    peer: SocketAddr,
    identity: Option<Result<Arc<PeerIdentity>, Refused>>,
    /// Whether it is used, for giving up idle ones.
    activity: Activity,
    /// Tokens that were verified on this connection, with the revocation epoch in which that was done.
    tokens: Mutex<HashMap<Digest, (u64, AccessToken)>>,
}

/// How many requests of a connection are open, and when the last one ended.
struct Activity {
    open: AtomicUsize,
    served: AtomicBool,
    last: Mutex<Instant>,
}

impl Default for Activity {
    fn default() -> Self {
        Self { open: AtomicUsize::new(0), served: AtomicBool::new(false), last: Mutex::new(Instant::now()) }
    }
}

impl Activity {
    fn enter(&self) -> Open<'_> {
        self.open.fetch_add(1, Ordering::SeqCst);
        self.served.store(true, Ordering::SeqCst);
        Open(self)
    }

    fn leave(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    /// How long nothing has been asked for; zero while a request is open.
    fn idle(&self) -> Duration {
        if self.open.load(Ordering::SeqCst) > 0 {
            return Duration::ZERO;
        }
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// An open request of a connection.
struct Open<'a>(&'a Activity);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// An answer that is still being made after its head has left. Its connection is not idle until this is dropped.
pub struct Busy(Arc<Connection>);

impl Connection {
    /// Begins such an answer.
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.activity.open.fetch_add(1, Ordering::SeqCst);
        Busy(self.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.activity.leave();
    }
}

/// An identity that was refused at the handshake; told at the first request, because TLS has no alert for it.
#[derive(Clone)]
struct Refused {
    kind: Kind,
    internal: String,
}

/// What a handler knows about the request that it answers.
#[derive(Clone)]
pub struct Context {
    /// The node.
    pub app: Arc<App>,
    /// The language of the answer.
    pub language: Language,
    /// Who asks; absent on public routes.
    pub caller: Option<Caller>,
    /// The account of this request, settled with one audit entry.
    pub account: Account,
    /// The values of the path's placeholders.
    pub params: Vec<(String, String)>,
}

/// An authenticated caller.
#[derive(Clone)]
pub struct Caller {
    /// The identity in the certificate.
    pub identity: Identity,
    /// SHA-256 of the certificate.
    pub thumbprint: Digest,
    /// The registered client.
    pub client: Client,
    /// The token; absent at the token endpoint.
    pub token: Option<AccessToken>,
}

impl Context {
    /// The caller of a route that requires one.
    ///
    /// # Errors
    /// A fault of the node: the route table lets nobody through without.
    pub fn caller(&self) -> Result<&Caller, Refusal> {
        self.caller.as_ref().ok_or_else(|| Refusal::internal("a route without a caller asks for one"))
    }

    /// The placeholder `name` of the path as a well-formed name.
    ///
    /// # Errors
    /// 400 that tells the expected form and does not repeat the text.
    pub fn name<T: std::str::FromStr<Err = simpul_core::id::InvalidName>>(&self, name: &str) -> Result<T, Refusal> {
        let text = self.params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        text.parse().map_err(|error: simpul_core::id::InvalidName| Refusal::new(Kind::NameInvalid, error.to_string()))
    }

    /// The agreement that allows the caller `operation` on `dataset`: the scope in the token, the agreement in force now, and
    /// the agreement's own quota. Refused in the same words whether the dataset exists or not.
    ///
    /// # Errors
    /// 403 or 429.
    pub async fn grant(&self, operation: Operation, dataset: &DatasetId) -> Result<Agreement, Refusal> {
        let caller = self.caller()?;
        self.account.about(dataset.as_str());
        let agreements = self.app.store.agreements_for(&caller.identity.agency, dataset).await?;
        let request = access::Request { identity: &caller.identity, operation, dataset };
        let agreement = access::decide(&request, &agreements, self.app.now())?.clone();
        let scopes = [&*operation.scope(dataset), operation.as_str()];
        let scoped = caller.token.as_ref().is_some_and(|token| scopes.iter().any(|scope| token.has_scope(scope)));
        if !scoped {
            return Err(insufficient_scope(&operation.scope(dataset)));
        }
        if let Some(quota) = agreement.quota {
            self.app.limits.agreement(&agreement.id, quota)?;
        }
        self.account.under(agreement.id.as_str());
        Ok(agreement)
    }
}

fn insufficient_scope(scope: &str) -> Refusal {
    let challenge = format!("Bearer realm=\"simpul\", error=\"insufficient_scope\", scope=\"{scope}\"");
    Refusal::new(Kind::InsufficientScope, format!("the token lacks the scope {scope}"))
        .header(header::WWW_AUTHENTICATE, &challenge)
}

/// Accepts connections on `listener` until the node stops.
pub async fn listen(app: Arc<App>, listener: TcpListener, entrance: Entrance, router: Router) {
    let Some(places) = app.connections.get(&entrance).cloned() else { return };
    loop {
        let Ok(permit) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = app.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let span = tracing::info_span!("connection", entrance = entrance.as_str(), %peer);
                let serve = connection(app.clone(), stream, peer, entrance, router.clone(), permit);
                app.tasks.spawn(serve.instrument(span));
            }
            Err(error) => {
                // Out of file descriptors: give the open connections a moment to close.
                warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(
    app: Arc<App>,
    stream: TcpStream,
    peer: SocketAddr,
    entrance: Entrance,
    router: Router,
    permit: OwnedSemaphorePermit,
) {
    let _ = stream.set_nodelay(true);
    if entrance == Entrance::Metrics {
        let connection =
            Connection { entrance, peer, identity: None, activity: Activity::default(), tokens: Mutex::default() };
        serve_http(&app, TokioIo::new(stream), Arc::new(connection), false, router).await;
        return drop(permit);
    }
    let acceptor = tokio_rustls::TlsAcceptor::from(app.tls.config(entrance.listener()));
    let handshake = tokio::time::timeout(Duration::from_secs(app.config.tls.handshake_s), acceptor.accept(stream));
    let reason = match handshake.await {
        Ok(Ok(stream)) => {
            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let identity = (!chain.is_empty()).then(|| {
                app.tls.identify(chain).map_err(|error| Refused {
                    kind: match &error {
                        CertError::Identity(IdentityError::IssuerMismatch { .. }) => Kind::IdentityIssuer,
                        _ => Kind::IdentityInvalid,
                    },
                    internal: error.to_string(),
                })
            });
            let connection =
                Connection { entrance, peer, identity, activity: Activity::default(), tokens: Mutex::default() };
            serve_http(&app, TokioIo::new(stream), Arc::new(connection), h2, router).await;
            return drop(permit);
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the handshake took too long".to_owned(),
    };
    metrics::counter!("simpul_tls_refused_total", "entrance" => entrance.as_str()).increment(1);
    info!(reason, "handshake refused");
    auditing::handshake_refused(&app, entrance, peer, &reason).await;
}

/// Serves one connection until it is idle, broken or the node stops: HTTP/2 when the handshake agreed on it, else HTTP/1.1.
async fn serve_http<I>(app: &Arc<App>, io: TokioIo<I>, connection: Arc<Connection>, h2: bool, router: Router)
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let limits = &app.config.limits;
    let server = auto::Builder::new(TokioExecutor::new());
    let mut server = if h2 { server.http2_only() } else { server.http1_only() };
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits.header_s))
        .max_headers(100)
        .max_buf_size(64 << 10);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(64)
        .max_header_list_size(16 << 10)
        .keep_alive_interval(Duration::from_secs(limits.idle_s / 2 + 1))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_pending_accept_reset_streams(20);
    let watched = connection.clone();
    let service =
        TowerToHyperService::new(tower::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(connection.clone());
            let mut router = router.clone();
            async move { tower::Service::call(&mut router, request).await }
        }));
    let serving = server.serve_connection(io, service);
    tokio::pin!(serving);
    tokio::select! {
        result = serving.as_mut() => if let Err(error) = result { broken_off(app, &watched, error).await },
        () = app.stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
        }
        () = idled(&watched.activity, Duration::from_secs(limits.header_s), Duration::from_secs(limits.idle_s)) => {
            serving.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(Duration::from_secs(5), serving).await;
        }
    }
}

/// A connection that ended in the middle. What hyper refused before a request came of it (a head that is none, lengths that
/// contradict each other, a flood of frames) reached no handler, so its entry is written here.
async fn broken_off(app: &App, connection: &Connection, error: Box<dyn std::error::Error + Send + Sync>) {
    let (reason, text) = (refused_by_http(error.as_ref()), chain(error.as_ref()));
    debug!(error = text, "connection ended");
    let Some(reason) = reason else { return };
    metrics::counter!("gw_reject_total", "reason" => reason).increment(1);
    let actor = connection.identity.as_ref().and_then(|identity| identity.as_ref().ok()).map(|peer| &peer.identity);
    auditing::connection_refused(app, connection.entrance, connection.peer, actor, (reason, &text)).await;
}

/// Why the HTTP layer ended a connection, if it did so and not the other side.
fn refused_by_http(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_parse_too_large() {
        return Some("headers_too_large");
    }
    if error.is_parse() {
        return Some("malformed");
    }
    let h2 = std::error::Error::source(error)?.downcast_ref::<h2::Error>()?;
    match h2.reason() {
        Some(h2::Reason::ENHANCE_YOUR_CALM) if h2.is_library() => Some("flood"),
        Some(_) if h2.is_library() => Some("malformed"),
        _ => None,
    }
}

/// An error with what is behind it.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}

/// Ends when nothing was asked for during `first` at the beginning, or during `later` after a request.
async fn idled(activity: &Activity, first: Duration, later: Duration) {
    loop {
        let allowed = if activity.served.load(Ordering::SeqCst) { later } else { first };
        match allowed.checked_sub(activity.idle()) {
            Some(left) if !left.is_zero() => tokio::time::sleep(left.max(Duration::from_millis(200))).await,
            _ => return,
        }
    }
}

/// Answers one request that matched `route`. It runs in a task of its own to its end: a caller who hangs up loses the answer,
/// but can stop neither an act half-way nor its audit entry.
pub async fn handle(app: Arc<App>, route: &'static crate::routes::Route, request: Request) -> Response {
    let started = Instant::now();
    let id = uuid::Uuid::now_v7().to_string();
    let language = Language::of(request.headers());
    let last = ends_connection(&request);
    let span = tracing::info_span!("request", id, route = route.action);
    let work = answer(app.clone(), route, request, id.clone(), language);
    let mut response = match app.tasks.spawn(work.instrument(span)).await {
        Ok(response) => response,
        Err(error) => Refusal::internal(error).into_response(language, &id),
    };
    if last {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let status = response.status().as_u16().to_string();
    metrics::counter!("simpul_requests_total", "route" => route.action, "status" => status).increment(1);
    metrics::histogram!("simpul_request_seconds", "route" => route.action).record(started.elapsed().as_secs_f64());
    response
}

async fn answer(
    app: Arc<App>,
    route: &'static crate::routes::Route,
    request: Request,
    id: String,
    language: Language,
) -> Response {
    let account = Account::open(route, &id);
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let outcome = async {
        let connection = connection.ok_or_else(|| Refusal::internal("a request without a connection"))?;
        let _open = connection.activity.enter();
        account.from(connection.peer);
        let (mut head, body) = request.into_parts();
        let (caller, allowance) = admit(&app, route, &connection, &head, &account).await?;
        let params = path_params(&mut head).await?;
        let request = Request::from_parts(head, body);
        let context = Context { app: app.clone(), language, caller, account: account.clone(), params };
        let mut response = (route.run)(context, request).await?;
        if let Some(allowance) = allowance {
            allowance.tell(response.headers_mut());
        }
        Ok(response)
    };
    let outcome = outcome.await;
    settle(&app, account, outcome, language, &id).await
}

/// Identify, authorize, limit: in that order, and nothing else runs before.
async fn admit(
    app: &App,
    route: &crate::routes::Route,
    connection: &Connection,
    request: &Parts,
    account: &Account,
) -> Result<(Option<Caller>, Option<Allowance>), Refusal> {
    well_formed(request)?;
    if !route.entrances.contains(&connection.entrance) {
        return Err(Refusal::new(Kind::NotFound, ""));
    }
    if route.access == Access::Public {
        return Ok((None, None));
    }
    let peer = identify(app, connection, account)?;
    let caller = match authorize(app, route, connection, peer, request).await {
        Ok(caller) => caller,
        // Trying costs as much as being served.
        Err(refusal) => return Err(app.limits.client(&peer.identity, None).err().unwrap_or(refusal)),
    };
    let allowance = limit(app, &caller)?;
    Ok((Some(caller), Some(allowance)))
}

/// Refuses what is wrong with a request before anyone asks who sent it.
fn well_formed(request: &Parts) -> Result<(), Refusal> {
    let uri = &request.uri;
    let length = uri.path().len() + uri.query().map_or(0, str::len);
    if length > 8 << 10 {
        return Err(Refusal::new(Kind::UriTooLong, "at most 8192 bytes"));
    }
    let size: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if request.headers.len() > 100 || size > 16 << 10 {
        return Err(Refusal::new(Kind::HeadersTooLarge, "at most 100 headers and 16 KiB").and_close());
    }
    let names = uri.query().unwrap_or_default().split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    if names.into_iter().any(|name| name.eq_ignore_ascii_case("access_token")) {
        return Err(Refusal::new(Kind::TokenInQuery, "send it in the Authorization header"));
    }
    if request.headers.get_all(header::AUTHORIZATION).iter().count() > 1 {
        return Err(Refusal::new(Kind::TwoAuthorizations, ""));
    }
    Ok(())
}

/// Whether no other request may follow on the connection: hyper takes the length of a request that has both a length and
/// chunks from its chunks and drops the other, so what stands behind the body may be read differently by somebody on the
/// way (RFC 9112, section 6.1).
fn ends_connection(request: &Request) -> bool {
    request.version() <= Version::HTTP_11 && request.headers().contains_key(header::TRANSFER_ENCODING)
}

/// Who holds the certificate of this connection, if it still holds.
fn identify<'c>(app: &App, connection: &'c Connection, account: &Account) -> Result<&'c PeerIdentity, Refusal> {
    let peer = match &connection.identity {
        Some(Ok(peer)) => peer,
        Some(Err(refused)) => return Err(Refusal::new(refused.kind, "").because(&refused.internal).and_close()),
        None => return Err(Refusal::new(Kind::ClientInvalid, "a client certificate is required").and_close()),
    };
    account.by(&peer.identity);
    app.tls.check_open(peer).map_err(|error| Refusal::new(Kind::CertificateRevoked, "").because(error).and_close())?;
    Ok(peer)
}

/// Whether this client may use this route at all; what it may do there is the handler's and the agreement's matter.
async fn authorize(
    app: &App,
    route: &crate::routes::Route,
    connection: &Connection,
    peer: &PeerIdentity,
    request: &Parts,
) -> Result<Caller, Refusal> {
    let token = match route.access {
        Access::Public | Access::Certificate => None,
        Access::Token | Access::Administrator => Some(verified_token(app, connection, peer, request)?),
    };
    let unknown = || match route.access {
        Access::Certificate => Refusal::new(Kind::ClientInvalid, "").reason("client_unknown"),
        _ => Refusal::new(Kind::TokenInvalid, "").reason("client_unknown"),
    };
    let client = app.store.client(&peer.identity).await?.filter(|client| client.enabled).ok_or_else(unknown)?;
    if route.access == Access::Administrator && !client.roles.contains(&Role::Administrator) {
        return Err(Refusal::new(Kind::AdminOnly, ""));
    }
    let administers = token.as_ref().is_some_and(|token| token.has_scope(ADMIN_SCOPE));
    if route.access == Access::Administrator && !administers {
        return Err(insufficient_scope(ADMIN_SCOPE));
    }
    Ok(Caller { identity: peer.identity.clone(), thumbprint: peer.thumbprint, client, token })
}

fn verified_token(
    app: &App,
    connection: &Connection,
    peer: &PeerIdentity,
    request: &Parts,
) -> Result<AccessToken, Refusal> {
    let missing = || Refusal::new(Kind::TokenMissing, "POST /v1/token gives one");
    let value = request.headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
    let invalid = |reason: &'static str| Refusal::new(Kind::TokenInvalid, "").reason(reason);
    let text = value.to_str().map_err(|_| invalid("not_ascii"))?;
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
        _ => return Err(missing()),
    };
    let key = Digest::of(token.as_bytes());
    let epoch = app.tls.revocation_epoch();
    let now = app.now();
    let mut tokens = connection.tokens.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((seen, verified)) = tokens.get(&key)
        && *seen == epoch
        && now.seconds() < verified.expires.seconds()
    {
        return Ok(verified.clone());
    }
    let verified =
        app.tokens.verify(token, &peer.thumbprint, &peer.identity, now).map_err(|error| invalid(error.word()))?;
    if tokens.len() >= 16 {
        tokens.clear();
    }
    tokens.insert(key, (epoch, verified.clone()));
    Ok(verified)
}

/// Takes one request from the client's quota.
fn limit(app: &App, caller: &Caller) -> Result<Allowance, Refusal> {
    app.limits.client(&caller.identity, caller.client.quota)
}

/// Writes the audit entry of the request if the handler did not, and turns a refusal into its answer. What could not be
/// recorded is not answered with success.
async fn settle(
    app: &App,
    account: Account,
    outcome: Result<Response, Refusal>,
    language: Language,
    request: &str,
) -> Response {
    let refusal = match outcome {
        Ok(mut response) => match account.settle(app, Outcome::Granted, "").await {
            Ok(()) => {
                if let Ok(value) = HeaderValue::from_str(request) {
                    response.headers_mut().insert("x-request-id", value);
                }
                return response;
            }
            Err(refusal) => refusal,
        },
        Err(refusal) => {
            let word = refusal.word();
            metrics::counter!("gw_reject_total", "reason" => word).increment(1);
            if let Some(internal) = &refusal.internal {
                warn!(request, reason = word, internal, "refused");
            }
            match account.settle(app, Outcome::Refused, word).await {
                Ok(()) => refusal,
                Err(unrecorded) => unrecorded,
            }
        }
    };
    refusal.into_response(language, request)
}

async fn path_params(head: &mut Parts) -> Result<Vec<(String, String)>, Refusal> {
    let params = RawPathParams::from_request_parts(head, &())
        .await
        .map_err(|_| Refusal::new(Kind::NameInvalid, "the path cannot be decoded"))?;
    Ok(params.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}
