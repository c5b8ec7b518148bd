//! TLS configurations that are replaced while connections stay open.
//!
//! TLS 1.3 only, and no session tickets: a resumed session would keep the certificate it began
//! with and skip the revocation check. Peers keep connections open instead.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs as suite, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::version::TLS13;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use simpul_core::id::Identity;
use simpul_core::time::Timestamp;

use crate::error::CertError;
use crate::files::{MAX_CERT_FILE, read_limited, read_secret};
use crate::identity::{IssuerId, PeerIdentity, Serial};
use crate::status::TlsStatus;
use crate::trust::{TrustFiles, TrustStore, Usage, check_server_name};
use crate::x509;

/// The application protocols offered, most wanted first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// aws-lc-rs with AES-128-GCM first (a third cheaper than AES-256 and long enough); key exchange
/// keeps the library's order, X25519MLKEM768 first.
static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    use suite::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256};
    let cipher_suites = vec![TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];
    Arc::new(CryptoProvider { cipher_suites, ..suite::default_provider() })
});

/// The cryptography every configuration of this crate uses. A binary installs it as the process
/// default before it makes an HTTP client.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

pub(crate) fn algorithms() -> WebPkiSupportedAlgorithms {
    PROVIDER.signature_verification_algorithms
}

/// The kinds of listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Listener {
    /// Systems and nodes: a client certificate is required.
    Exchange,
    /// Administrators: a client certificate is required. Who is an administrator is for the
    /// registry to say.
    Console,
    /// Readers with a bearer token: a client certificate is optional, but a wrong one is refused.
    Portal,
}

/// The files of a node's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The own certificate and the issuing CAs above it, PEM, the own first.
    pub cert: PathBuf,
    /// The own private key, PEM, readable by its owner alone.
    pub key: PathBuf,
    /// Whom to believe.
    pub trust: TrustFiles,
}

/// A certificate chain with its key, checked to belong together and to be valid now.
#[derive(Clone, Debug)]
pub struct OwnCertificate {
    key: Arc<CertifiedKey>,
    not_after: Timestamp,
}

impl OwnCertificate {
    /// Loads a certificate and its key.
    ///
    /// # Errors
    /// Those of [`read_secret`]; [`CertError::Malformed`]; [`CertError::KeyMismatch`] (E03);
    /// [`CertError::OwnNotValid`] (E04).
    pub fn load(cert: &Path, key: &Path, now: Timestamp) -> Result<Self, CertError> {
        let malformed = |reason: String| CertError::malformed(cert, "a PEM certificate chain", reason);
        let pem = read_limited(cert, MAX_CERT_FILE)?;
        let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.map_err(|e| malformed(e.to_string()))?;
        let first = chain.first().ok_or_else(|| malformed("it holds no certificate".to_owned()))?;
        let facts = x509::parse(first).map_err(malformed)?;
        let (not_before, not_after) = x509::validity(&facts);
        if !(not_before..=not_after).contains(&now) {
            return Err(CertError::OwnNotValid { path: cert.to_path_buf(), not_before, not_after, now });
        }
        let secret = read_secret(key)?;
        let bad_key = || CertError::malformed(key, "a PEM private key", "it cannot be read as one");
        let private = PrivateKeyDer::from_pem_slice(&secret).map_err(|_| bad_key())?;
        let private = PROVIDER.key_provider.load_private_key(private).map_err(|_| bad_key())?;
        let certified = CertifiedKey::new(chain, private);
        if certified.keys_match().is_err() {
            return Err(CertError::KeyMismatch { cert: cert.to_path_buf(), key: key.to_path_buf() });
        }
        Ok(Self { key: Arc::new(certified), not_after })
    }

    /// End of the certificate's validity.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The chain as it is sent, the own certificate first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    /// The chain up to its root, as far as the PEM file `bundle` holds what is missing: what a receipt carries so that it
    /// can be verified by someone who has nothing else. DER, the own certificate first.
    ///
    /// # Errors
    /// [`CertError::Read`], [`CertError::Malformed`] about the bundle.
    pub fn chain_to_root(&self, bundle: &Path) -> Result<Vec<Vec<u8>>, CertError> {
        let known = crate::files::read_certificates(bundle)?;
        let mut chain: Vec<Vec<u8>> = self.chain().iter().map(|der| der.to_vec()).collect();
        while let Some(above) = chain.last().and_then(|last| crate::x509::issuer_of(last, &known)) {
            if chain.contains(above) {
                break;
            }
            chain.push(above.clone());
        }
        Ok(chain)
    }
}

/// Everything that changes at a reload, replaced at once so that no handshake sees a mixture.
struct Snapshot {
    mutual: Arc<ServerConfig>,
    portal: Arc<ServerConfig>,
    trust: Arc<TrustStore>,
    own: OwnCertificate,
    identity: Identity,
}

/// The last load that was tried.
struct LastAttempt {
    stamp: Vec<FileStamp>,
    failure: Option<String>,
    /// A file could not be read, which may pass without the file changing.
    try_again: bool,
}

/// What tells a changed file from an unchanged one without reading it.
type FileStamp = Option<(u64, u64, i64, i64)>;

/// The server side of a node: configurations for every listener and the trust they rest on.
pub struct ServerTls {
    files: TlsFiles,
    clock: Arc<dyn TimeProvider>,
    current: ArcSwap<Snapshot>,
    epoch: AtomicU64,
    /// Held through a reload: two at once could put the older files in force last.
    last: Mutex<LastAttempt>,
}

impl ServerTls {
    /// Loads everything and checks it, the own certificate with the own verifier included.
    ///
    /// # Errors
    /// Any of [`CertError`]; at start all of them mean that the node must not run.
    pub fn load(files: TlsFiles) -> Result<Self, CertError> {
        Self::load_with_clock(files, Arc::new(DefaultTimeProvider))
    }

    /// Like [`ServerTls::load`] with a clock that a test can set.
    ///
    /// # Errors
    /// Those of [`ServerTls::load`].
    pub fn load_with_clock(files: TlsFiles, clock: Arc<dyn TimeProvider>) -> Result<Self, CertError> {
        // The stamp is taken first: a file that changes while it is read differs from it afterwards.
        let stamp = stamp(&files);
        let now = now(&clock)?;
        let trust = Arc::new(TrustStore::load(&files.trust)?);
        trust.check_serves()?;
        let (own, identity) = load_own(&files, &trust, now)?;
        let current = ArcSwap::from_pointee(Snapshot::new(trust, own, identity, &clock)?);
        let last = Mutex::new(LastAttempt { stamp, failure: None, try_again: false });
        Ok(Self { files, clock, current, epoch: AtomicU64::new(1), last })
    }

    /// Reads every file again. Handshakes from now on use what is good of it; open connections stay
    /// and are judged by [`ServerTls::check_open`].
    ///
    /// Trust and the own certificate are taken each for itself, so that a mistake in one never keeps
    /// a revocation in the other from taking effect.
    ///
    /// # Errors
    /// Any of [`CertError`]: then the half it concerns stays as it was, and
    /// [`ServerTls::status`] is degraded until a reload succeeds.
    pub fn reload(&self) -> Result<(), CertError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&self.files);
        let outcome = self.take_what_is_good();
        let failure = outcome.as_ref().err().map(ToString::to_string);
        if failure != last.failure {
            // Tried every few seconds, said once.
            if let Some(reason) = &failure {
                tracing::error!(reason, "the TLS files are not taken as a whole; what was in force stays");
            }
        }
        *last = LastAttempt { stamp, failure, try_again: matches!(outcome, Err(CertError::Read { .. })) };
        outcome
    }

    fn take_what_is_good(&self) -> Result<(), CertError> {
        let current = self.current.load_full();
        let now = self.now()?;
        let loaded = TrustStore::load_after(&self.files.trust, &current.trust);
        let (trust, bad_trust) = match loaded.and_then(|store| store.check_serves().map(|()| store)) {
            Ok(store) => (Arc::new(store), None),
            Err(error) => (Arc::clone(&current.trust), Some(error)),
        };
        let (own, identity, bad_own) = match load_own(&self.files, &trust, now) {
            Ok((own, identity)) => (own, identity, None),
            Err(error) => (current.own.clone(), current.identity.clone(), Some(error)),
        };
        self.current.store(Arc::new(Snapshot::new(trust, own, identity, &self.clock)?));
        if bad_trust.is_none() {
            // After the store: whoever sees the new epoch also sees the new trust.
            self.epoch.fetch_add(1, Ordering::Release);
        }
        bad_trust.or(bad_own).map_or(Ok(()), Err)
    }

    /// Reloads if any file changed since the last attempt, or if one could not be read then.
    /// Answers whether it did. Costs one `stat` per file; meant to be called every few seconds.
    ///
    /// # Errors
    /// Those of [`ServerTls::reload`].
    pub fn reload_if_changed(&self) -> Result<bool, CertError> {
        let unchanged = {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.stamp == stamp(&self.files) && !last.try_again
        };
        if unchanged {
            return Ok(false);
        }
        self.reload().map(|()| true)
    }

    /// A configuration for calling other nodes with the certificate and trust in force. Make it
    /// anew when [`ServerTls::revocation_epoch`] changes.
    ///
    /// # Errors
    /// [`CertError::Tls`].
    pub fn client_config(&self, expected: Option<Identity>) -> Result<Arc<ClientConfig>, CertError> {
        let current = self.current.load();
        let options = ClientOptions { trust: Arc::clone(&current.trust), own: Some(current.own.clone()), expected };
        client_config_with_clock(options, Arc::clone(&self.clock))
    }

    /// The configuration for the next handshake. Take it anew for every accepted connection.
    #[must_use]
    pub fn config(&self, listener: Listener) -> Arc<ServerConfig> {
        let current = self.current.load();
        match listener {
            Listener::Exchange | Listener::Console => Arc::clone(&current.mutual),
            Listener::Portal => Arc::clone(&current.portal),
        }
    }

    /// The trust in force.
    #[must_use]
    pub fn trust(&self) -> Arc<TrustStore> {
        Arc::clone(&self.current.load().trust)
    }

    /// The node's own identity.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.current.load().identity.clone()
    }

    /// Who is at the other end, from the certificates the finished handshake holds.
    ///
    /// # Errors
    /// [`CertError::Identity`]: answer 403 with its code and close (A15, A16).
    /// [`CertError::Unverified`] if the chain does not verify any more.
    pub fn identify(&self, chain: &[CertificateDer<'_>]) -> Result<Arc<PeerIdentity>, CertError> {
        self.trust().identify(chain, Usage::Client, self.now()?)
    }

    /// Whether a peer of an open connection may go on: for each request (A21).
    ///
    /// # Errors
    /// Those of [`TrustStore::still_holds`]: answer 401 and close.
    pub fn check_open(&self, peer: &PeerIdentity) -> Result<(), CertError> {
        self.current.load().trust.still_holds(peer, self.now()?)
    }

    /// Whether the list in force of `issuer` names `serial`.
    #[must_use]
    pub fn is_revoked(&self, issuer: &IssuerId, serial: &Serial) -> bool {
        self.current.load().trust.is_revoked(issuer, serial)
    }

    /// Counts the times trust was taken from the files, from 1. What was decided about a peer holds while this number
    /// stays and its [`PeerIdentity::valid_until`] is not past.
    #[must_use]
    pub fn revocation_epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// What readiness and metrics need.
    ///
    /// # Errors
    /// [`CertError::Tls`] if the clock cannot be read.
    pub fn status(&self) -> Result<TlsStatus, CertError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last_failure = last.failure.clone();
        let current = self.current.load();
        Ok(TlsStatus::new(self.now()?, current.own.not_after, &current.trust, last_failure))
    }

    fn now(&self) -> Result<Timestamp, CertError> {
        now(&self.clock)
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Snapshot {
    fn new(
        trust: Arc<TrustStore>,
        own: OwnCertificate,
        identity: Identity,
        clock: &Arc<dyn TimeProvider>,
    ) -> Result<Self, CertError> {
        let mutual = server_config(&own, ClientVerifier::new(&trust, true), clock)?;
        let portal = server_config(&own, ClientVerifier::new(&trust, false), clock)?;
        Ok(Self { mutual, portal, trust, own, identity })
    }
}

/// The own certificate, which the own verifier must accept like any peer's would.
fn load_own(files: &TlsFiles, trust: &TrustStore, now: Timestamp) -> Result<(OwnCertificate, Identity), CertError> {
    let own = OwnCertificate::load(&files.cert, &files.key, now)?;
    let identity = trust
        .identify_own(own.chain(), now)
        .map_err(|e| CertError::OwnRefused { path: files.cert.clone(), reason: e.to_string() })?;
    Ok((own, identity))
}

fn stamp(files: &TlsFiles) -> Vec<FileStamp> {
    let paths = [files.cert.as_path(), files.key.as_path()].into_iter().chain(files.trust.paths());
    let stat = |path: &Path| std::fs::metadata(path).ok().map(|m| (m.ino(), m.len(), m.mtime(), m.mtime_nsec()));
    paths.map(stat).collect()
}

fn now(clock: &Arc<dyn TimeProvider>) -> Result<Timestamp, CertError> {
    let seconds = clock.current_time().ok_or(CertError::Tls(rustls::Error::FailedToGetCurrentTime))?.as_secs();
    Ok(Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX)))
}

fn server_config(
    own: &OwnCertificate,
    verifier: ClientVerifier,
    clock: &Arc<dyn TimeProvider>,
) -> Result<Arc<ServerConfig>, CertError> {
    let mut config = ServerConfig::builder_with_details(provider(), Arc::clone(clock))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&own.key))));
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

/// Checks the certificates of callers.
#[derive(Debug)]
struct ClientVerifier {
    trust: Arc<TrustStore>,
    mandatory: bool,
    hints: Vec<DistinguishedName>,
}

impl ClientVerifier {
    fn new(trust: &Arc<TrustStore>, mandatory: bool) -> Self {
        Self { trust: Arc::clone(trust), mandatory, hints: trust.root_subjects() }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // Who the caller is gets decided after the handshake, where a refusal can say why.
        self.trust.verify_handshake(end_entity, intermediates, Usage::Client, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// What a caller needs to open connections to nodes.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Whom to believe. Lists and pins are checked if the store has them.
    pub trust: Arc<TrustStore>,
    /// The own certificate; `None` only for a portal.
    pub own: Option<OwnCertificate>,
    /// The identity the server must have, beside the host name; `None` takes any.
    pub expected: Option<Identity>,
}

/// A TLS configuration for callers: TLS 1.3, the server checked by host name or address and by
/// identity, no resumption. It holds what it was made of; make a new one when the files change.
///
/// # Errors
/// [`CertError::Tls`].
pub fn client_config(options: ClientOptions) -> Result<Arc<ClientConfig>, CertError> {
    client_config_with_clock(options, Arc::new(DefaultTimeProvider))
}

/// Like [`client_config`] with a clock that a test can set.
///
/// # Errors
/// [`CertError::Tls`].
pub fn client_config_with_clock(
    options: ClientOptions,
    clock: Arc<dyn TimeProvider>,
) -> Result<Arc<ClientConfig>, CertError> {
    let verifier = ServerVerifier { trust: options.trust, expected: options.expected };
    let builder = ClientConfig::builder_with_details(provider(), clock)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match options.own {
        Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own.key))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

/// Checks the certificate of a node that is called.
#[derive(Debug)]
struct ServerVerifier {
    trust: Arc<TrustStore>,
    expected: Option<Identity>,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let peer = self.trust.verify_handshake(end_entity, intermediates, Usage::Server, now)?;
        check_server_name(end_entity, server_name)?;
        match &self.expected {
            Some(expected) if peer.is_none_or(|peer| peer.identity != *expected) => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}
