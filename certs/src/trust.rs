//! Whom to believe: root and issuing CAs, revocation lists, and which CA may name which areas.
//!
//! A [`TrustStore`] is immutable. A reload builds a new one beside the old and replaces it only if
//! every file is whole and no list went backwards; otherwise the old one stays in force.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, TrustAnchor, UnixTime};
use simpul_core::digest::{Digest, Digester};
use simpul_core::id::{Identity, TrustDomain};
use simpul_core::time::Timestamp;
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptions, RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath, anchor_from_trusted_cert,
};
use x509_parser::num_bigint::BigUint;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::ca::read_json;
use crate::error::CertError;
use crate::files::{MAX_CERT_FILE, MAX_CRL_FILE, read_limited};
use crate::identity::{IdentityError, IssuerId, IssuerPin, IssuerPins, Link, PeerIdentity, Serial, identity_of};
use crate::tls::algorithms;
use crate::x509;

/// The most verified chains remembered per store. Beyond it the memory starts anew.
const MAX_REMEMBERED: usize = 4_096;

/// The files a [`TrustStore`] is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustFiles {
    /// Roots and issuing CAs, PEM. A certificate signed by itself is a root, any other an issuing CA.
    pub bundle: PathBuf,
    /// Revocation lists, PEM; a file may hold several. A server needs one for every CA.
    pub crls: Vec<PathBuf>,
    /// JSON list of [`IssuerPin`]. A server needs it.
    pub issuers: Option<PathBuf>,
    /// The exchange.
    pub trust_domain: TrustDomain,
}

impl TrustFiles {
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.bundle).chain(&self.crls).chain(&self.issuers).map(PathBuf::as_path)
    }
}

/// What a peer's certificate is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// The peer opened the connection.
    Client,
    /// The peer accepted the connection.
    Server,
}

struct KnownCa {
    id: IssuerId,
    name: String,
    /// The certificate's subject, DER, as lists name it.
    subject: Vec<u8>,
    der: CertificateDer<'static>,
    not_after: Timestamp,
    is_root: bool,
}

struct LoadedCrl {
    issuer: IssuerId,
    issuer_name: String,
    number: BigUint,
    next_update: Timestamp,
    list: CertRevocationList<'static>,
}

/// A chain that verified, and for how long that holds.
struct Remembered {
    peer: Result<Arc<PeerIdentity>, IdentityError>,
    from: Timestamp,
    until: Timestamp,
}

/// State of one revocation list, for readiness and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlStatus {
    /// The CA's name.
    pub issuer: String,
    /// The list's number, decimal.
    pub number: String,
    /// When the list ends; from then on everyone under the CA is refused.
    pub next_update: Timestamp,
}

/// State of one CA, for readiness and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaStatus {
    /// The CA's name.
    pub name: String,
    /// The CA.
    pub id: IssuerId,
    /// End of its validity.
    pub not_after: Timestamp,
    /// Whether a revocation list of it is loaded. Without one, everyone under it is refused.
    pub has_crl: bool,
    /// Whether the pins name it. If not, it may name nobody.
    pub pinned: bool,
}

/// Roots, issuing CAs, revocation lists and pins, loaded and checked as a whole.
pub struct TrustStore {
    domain: TrustDomain,
    cas: Vec<KnownCa>,
    anchors: Vec<(TrustAnchor<'static>, IssuerId)>,
    roots: Vec<TrustAnchor<'static>>,
    crls: Vec<LoadedCrl>,
    pins: Option<IssuerPins>,
    remembered: Mutex<HashMap<Digest, Arc<Remembered>>>,
}

impl TrustStore {
    /// Loads a store at start.
    ///
    /// # Errors
    /// [`CertError::EmptyBundle`], [`CertError::NotACa`], [`CertError::CrlUnknownIssuer`],
    /// [`CertError::CrlSignature`], [`CertError::CrlAmbiguous`], [`CertError::Malformed`],
    /// [`CertError::Read`], [`CertError::TooLarge`].
    pub fn load(files: &TrustFiles) -> Result<Self, CertError> {
        let cas = load_bundle(&files.bundle)?;
        let mut crls: Vec<LoadedCrl> = Vec::new();
        for path in &files.crls {
            for crl in load_crls(path, &cas)? {
                keep_newest(&mut crls, crl)?;
            }
        }
        let pins = match &files.issuers {
            Some(path) => Some(IssuerPins::new(read_json::<Vec<IssuerPin>>(path, MAX_CERT_FILE, "an issuers list")?)),
            None => None,
        };
        let mut anchors = Vec::new();
        for ca in cas.iter().filter(|ca| ca.is_root) {
            let anchor = anchor_from_trusted_cert(&ca.der)
                .map_err(|e| CertError::malformed(&files.bundle, A_BUNDLE, e))?
                .to_owned();
            anchors.push((anchor, ca.id));
        }
        let roots = anchors.iter().map(|(anchor, _)| anchor.clone()).collect();
        let domain = files.trust_domain.clone();
        Ok(Self { domain, cas, anchors, roots, crls, pins, remembered: Mutex::default() })
    }

    /// Loads the store that is to replace `previous`.
    ///
    /// # Errors
    /// Those of [`TrustStore::load`]; [`CertError::CrlRollback`] for a list older than the one in
    /// force, [`CertError::CrlGone`] for a missing list of a CA that is still trusted.
    pub fn load_after(files: &TrustFiles, previous: &Self) -> Result<Self, CertError> {
        let next = Self::load(files)?;
        for old in &previous.crls {
            if !next.cas.iter().any(|ca| ca.id == old.issuer) {
                continue;
            }
            let issuer = old.issuer_name.clone();
            match next.crls.iter().find(|crl| crl.issuer == old.issuer) {
                None => return Err(CertError::CrlGone { issuer }),
                Some(new) if new.number < old.number => {
                    let (loaded, offered) = (old.number.to_string(), new.number.to_string());
                    return Err(CertError::CrlRollback { issuer, loaded, offered });
                }
                Some(_) => {}
            }
        }
        Ok(next)
    }

    /// Refuses a store that a server cannot run on: one without lists or without pins.
    ///
    /// # Errors
    /// [`CertError::NoCrl`], [`CertError::NoIssuers`].
    pub fn check_serves(&self) -> Result<(), CertError> {
        match (self.crls.is_empty(), &self.pins) {
            (true, _) => Err(CertError::NoCrl),
            (false, None) => Err(CertError::NoIssuers),
            (false, Some(_)) => Ok(()),
        }
    }

    /// Verifies a chain (the end certificate first) and tells who the peer is.
    ///
    /// # Errors
    /// [`CertError::Unverified`] if the chain does not verify; [`CertError::Identity`] if it does
    /// but names nobody of this exchange (A15) or somebody its issuer may not name (A16).
    pub fn identify(
        &self,
        chain: &[CertificateDer<'_>],
        usage: Usage,
        now: Timestamp,
    ) -> Result<Arc<PeerIdentity>, CertError> {
        let (end, above) = chain.split_first().ok_or(CertError::Unverified(rustls::Error::NoCertificatesPresented))?;
        let verified = self.verify(end, above, usage, now, ExpirationPolicy::Enforce).map_err(CertError::Unverified)?;
        Ok(verified.peer.clone()?)
    }

    /// Like [`TrustStore::identify`], but a list past its end is no reason to refuse: a node that
    /// had no link for long must still start and say what is wrong.
    pub(crate) fn identify_own(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<Identity, CertError> {
        let (end, above) = chain.split_first().ok_or(CertError::Unverified(rustls::Error::NoCertificatesPresented))?;
        let verified = self.verify_anew(end, above, Usage::Server, now, ExpirationPolicy::Ignore);
        Ok(verified.map_err(CertError::Unverified)?.peer?.identity.clone())
    }

    /// Verifies for a handshake. Who the peer is gets decided later, where it can be answered.
    pub(crate) fn verify_handshake(
        &self,
        end: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        usage: Usage,
        now: UnixTime,
    ) -> Result<Option<Arc<PeerIdentity>>, rustls::Error> {
        let now = Timestamp::from_seconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        self.verify(end, above, usage, now, ExpirationPolicy::Enforce).map(|verified| verified.peer.clone().ok())
    }

    fn verify(
        &self,
        end: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        usage: Usage,
        now: Timestamp,
        expiration: ExpirationPolicy,
    ) -> Result<Arc<Remembered>, rustls::Error> {
        let key = memory_key(end, above, usage);
        if let Some(known) = self.memory().get(&key).filter(|r| (r.from..=r.until).contains(&now)) {
            return Ok(Arc::clone(known));
        }
        let verified = Arc::new(self.verify_anew(end, above, usage, now, expiration)?);
        let mut memory = self.memory();
        if memory.len() >= MAX_REMEMBERED {
            memory.clear();
        }
        memory.insert(key, Arc::clone(&verified));
        Ok(verified)
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Arc<Remembered>>> {
        // The map is whole after any panic: entries are inserted complete.
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verify_anew(
        &self,
        end: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        usage: Usage,
        now: Timestamp,
        expiration: ExpirationPolicy,
    ) -> Result<Remembered, rustls::Error> {
        let cert = EndEntityCert::try_from(end).map_err(tls_error)?;
        let known = self.cas.iter().filter(|ca| !ca.is_root).map(|ca| &ca.der);
        let above: Vec<CertificateDer<'_>> = above.iter().chain(known).cloned().collect();
        let lists: Vec<&CertRevocationList<'_>> = self.crls.iter().map(|crl| &crl.list).collect();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.seconds()).unwrap_or(0)));
        let key_usage = match usage {
            Usage::Client => KeyUsage::client_auth(),
            Usage::Server => KeyUsage::server_auth(),
        };
        let revocation = revocation_options(&lists, expiration);
        let path = cert
            .verify_for_usage(algorithms().all, &self.roots, &above, time, key_usage, revocation, None)
            .map_err(tls_error)?;
        self.remember(end, &path, usage)
    }

    /// What the library does not check: key strength, a present key usage, the identity.
    fn remember(
        &self,
        end: &CertificateDer<'_>,
        path: &VerifiedPath<'_>,
        usage: Usage,
    ) -> Result<Remembered, rustls::Error> {
        use rustls::CertificateError::{BadEncoding, InvalidPurpose, UnknownIssuer};
        let cert = x509::parse(end).map_err(|_| rustls::Error::from(BadEncoding))?;
        if let Err(reason) = x509::check_key(&cert.subject_pki) {
            tracing::debug!(reason, "a peer's certificate has a weak key");
            return Err(BadEncoding.into());
        }
        let purposes = cert.extended_key_usage().ok().flatten().ok_or(InvalidPurpose)?.value;
        if !(match usage {
            Usage::Client => purposes.client_auth,
            Usage::Server => purposes.server_auth,
        }) {
            return Err(InvalidPurpose.into());
        }
        let root = self.anchors.iter().find(|(anchor, _)| anchor == path.anchor()).ok_or(UnknownIssuer)?.1;
        let (mut from, mut until) = x509::validity(&cert);
        let not_after = until;
        let mut links = Vec::new();
        let mut serial = Serial::from_bytes(path.end_entity().serial()).ok_or(BadEncoding)?;
        for above in path.intermediate_certificates() {
            let der = above.der();
            let facts = x509::parse(&der).map_err(|_| rustls::Error::from(BadEncoding))?;
            let (start, end) = x509::validity(&facts);
            (from, until) = (from.max(start), until.min(end));
            links.push(Link { issuer: x509::key_id(&facts), serial });
            serial = Serial::from_bytes(above.serial()).ok_or(BadEncoding)?;
        }
        links.push(Link { issuer: root, serial });
        // A list is over at its nextUpdate, a certificate only after its notAfter.
        let ends = self.crls.iter().filter(|crl| links.iter().any(|link| link.issuer == crl.issuer));
        until = ends.map(|crl| crl.next_update.plus_seconds(-1)).fold(until, Timestamp::min);
        let peer = identity_of(&cert, &self.domain).and_then(|identity| {
            self.pins.as_ref().map_or(Ok(()), |pins| pins.check(&identity, &links))?;
            Ok(Arc::new(PeerIdentity {
                identity,
                thumbprint: Digest::of(end),
                serial: links[0].serial.clone(),
                issuer: links[0].issuer,
                not_after,
                valid_until: until,
                path: links,
            }))
        });
        Ok(Remembered { peer, from, until })
    }

    /// Whether the list of `issuer` names `serial`. Unknown issuers have no list: use
    /// [`TrustStore::still_holds`] to judge a connection.
    #[must_use]
    pub fn is_revoked(&self, issuer: &IssuerId, serial: &Serial) -> bool {
        let crl = self.crls.iter().find(|crl| crl.issuer == *issuer);
        // Malformed entries cannot be here, they were refused at load; were there one, deny.
        crl.is_some_and(|crl| crl.list.find_serial(serial.as_bytes()).map_or(true, |found| found.is_some()))
    }

    /// Whether what a handshake found about a peer is still true under this store: for each
    /// request on an open connection. Costs a few map look-ups, no cryptography.
    ///
    /// # Errors
    /// [`CertError::Revoked`], [`CertError::Outlived`], [`CertError::IssuerGone`],
    /// [`CertError::Identity`] if a pin changed.
    pub fn still_holds(&self, peer: &PeerIdentity, now: Timestamp) -> Result<(), CertError> {
        if peer.not_after < now {
            return Err(CertError::Outlived { at: peer.not_after });
        }
        for link in &peer.path {
            let Some(ca) = self.cas.iter().find(|ca| ca.id == link.issuer) else { return Err(CertError::IssuerGone) };
            if ca.not_after < now {
                return Err(CertError::Outlived { at: ca.not_after });
            }
            match self.crls.iter().find(|crl| crl.issuer == link.issuer) {
                Some(crl) if crl.next_update <= now => return Err(CertError::Outlived { at: crl.next_update }),
                None if !self.crls.is_empty() => return Err(CertError::NoCrl),
                _ => {}
            }
            if self.is_revoked(&link.issuer, &link.serial) {
                return Err(CertError::Revoked { serial: link.serial.clone() });
            }
        }
        self.pins.as_ref().map_or(Ok(()), |pins| pins.check(&peer.identity, &peer.path))?;
        Ok(())
    }

    /// The exchange.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// Every loaded revocation list.
    #[must_use]
    pub fn crl_status(&self) -> Vec<CrlStatus> {
        let status = |crl: &LoadedCrl| CrlStatus {
            issuer: crl.issuer_name.clone(),
            number: crl.number.to_string(),
            next_update: crl.next_update,
        };
        self.crls.iter().map(status).collect()
    }

    /// Every CA of the bundle.
    #[must_use]
    pub fn ca_status(&self) -> Vec<CaStatus> {
        let status = |ca: &KnownCa| CaStatus {
            name: ca.name.clone(),
            id: ca.id,
            not_after: ca.not_after,
            has_crl: self.crls.iter().any(|crl| crl.issuer == ca.id),
            pinned: self.pins.as_ref().is_some_and(|pins| pins.lists(&ca.id)),
        };
        self.cas.iter().map(status).collect()
    }

    /// The names of the roots, DER, for the hint a server sends with its certificate request.
    pub(crate) fn root_subjects(&self) -> Vec<rustls::DistinguishedName> {
        let roots = self.cas.iter().filter(|ca| ca.is_root);
        roots.map(|ca| rustls::DistinguishedName::from(ca.subject.clone())).collect()
    }
}

impl std::fmt::Debug for TrustStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustStore")
            .field("cas", &self.ca_status())
            .field("crls", &self.crl_status())
            .finish_non_exhaustive()
    }
}

/// Whether the end certificate is valid for the name or address a client asked for.
pub(crate) fn check_server_name(end: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), rustls::Error> {
    let cert = EndEntityCert::try_from(end).map_err(tls_error)?;
    cert.verify_is_valid_for_subject_name(name).map_err(tls_error)
}

const A_BUNDLE: &str = "PEM certificates of CAs";
const A_LIST: &str = "a PEM revocation list";

fn load_bundle(path: &Path) -> Result<Vec<KnownCa>, CertError> {
    let bytes = read_limited(path, MAX_CERT_FILE)?;
    let mut cas: Vec<KnownCa> = Vec::new();
    for der in CertificateDer::pem_slice_iter(&bytes) {
        let der = der.map_err(|e| CertError::malformed(path, A_BUNDLE, e))?;
        let cert = x509::parse(&der).map_err(|e| CertError::malformed(path, A_BUNDLE, e))?;
        let name = x509::name(cert.subject());
        if !cert.is_ca() {
            return Err(CertError::NotACa { path: path.to_path_buf(), subject: name });
        }
        let subject = cert.subject().as_raw().to_vec();
        let (id, not_after) = (x509::key_id(&cert), x509::validity(&cert).1);
        let is_root = subject == cert.issuer().as_raw() && cert.verify_signature(None).is_ok();
        cas.push(KnownCa { id, name, subject, not_after, is_root, der });
    }
    match cas.iter().any(|ca| ca.is_root) {
        true => Ok(cas),
        false => Err(CertError::EmptyBundle(path.to_path_buf())),
    }
}

/// Every list of a file. A file that was cut short has none, or a broken one: both are refused.
fn load_crls(path: &Path, cas: &[KnownCa]) -> Result<Vec<LoadedCrl>, CertError> {
    let bytes = read_limited(path, MAX_CRL_FILE)?;
    let mut crls = Vec::new();
    for der in CertificateRevocationListDer::pem_slice_iter(&bytes) {
        let der = der.map_err(|e| CertError::malformed(path, A_LIST, e))?;
        crls.push(load_crl(path, &der, cas)?);
    }
    match crls.is_empty() {
        true => Err(CertError::malformed(path, A_LIST, "it holds none")),
        false => Ok(crls),
    }
}

fn load_crl(path: &Path, der: &[u8], cas: &[KnownCa]) -> Result<LoadedCrl, CertError> {
    let malformed = |reason: &str| CertError::malformed(path, A_LIST, reason);
    let list = OwnedCertRevocationList::from_der(der).map_err(|e| malformed(&e.to_string()))?;
    let (_, facts) = CertificateRevocationList::from_der(der).map_err(|_| malformed("it cannot be read"))?;
    let issuer_name = x509::name(facts.issuer());
    let mut namesakes = cas.iter().filter(|ca| ca.subject == facts.issuer().as_raw()).peekable();
    if namesakes.peek().is_none() {
        return Err(CertError::CrlUnknownIssuer { path: path.to_path_buf(), issuer: issuer_name });
    }
    let signed_by = |ca: &&KnownCa| {
        x509::parse(&ca.der).is_ok_and(|cert| facts.verify_signature(&cert.tbs_certificate.subject_pki).is_ok())
    };
    let Some(ca) = namesakes.find(signed_by) else {
        return Err(CertError::CrlSignature { path: path.to_path_buf(), issuer: issuer_name });
    };
    let number = facts.crl_number().ok_or_else(|| malformed("it has no number"))?.clone();
    let next_update = x509::instant(facts.next_update().ok_or_else(|| malformed("it has no next update"))?);
    Ok(LoadedCrl { issuer: ca.id, issuer_name, number, next_update, list: list.into() })
}

/// One list per CA, the newest; the library finds lists by the CA's name, so two CAs of one name
/// cannot both have one.
fn keep_newest(crls: &mut Vec<LoadedCrl>, crl: LoadedCrl) -> Result<(), CertError> {
    match crls.iter_mut().find(|known| known.list.issuer() == crl.list.issuer()) {
        Some(known) if known.issuer != crl.issuer => Err(CertError::CrlAmbiguous { issuer: crl.issuer_name }),
        Some(known) => {
            if crl.number > known.number {
                *known = crl;
            }
            Ok(())
        }
        None => {
            crls.push(crl);
            Ok(())
        }
    }
}

/// Every certificate of the path must have a known, unrevoked status. `None` only without lists.
fn revocation_options<'a>(
    lists: &'a [&'a CertRevocationList<'a>],
    expiration: ExpirationPolicy,
) -> Option<RevocationOptions<'a>> {
    let builder = RevocationOptionsBuilder::new(lists).ok()?;
    let strict = builder.with_depth(RevocationCheckDepth::Chain).with_status_policy(UnknownStatusPolicy::Deny);
    Some(strict.with_expiration_policy(expiration).build())
}

fn memory_key(end: &CertificateDer<'_>, above: &[CertificateDer<'_>], usage: Usage) -> Digest {
    let mut digester = Digester::default();
    digester.update(&[usage as u8]);
    for der in std::iter::once(end).chain(above) {
        digester.update(&(der.len() as u64).to_be_bytes());
        digester.update(der);
    }
    digester.finish()
}

/// The library's error as the TLS error that carries the right alert.
fn tls_error(error: webpki::Error) -> rustls::Error {
    use rustls::CertificateError as C;
    use webpki::Error as W;
    match error {
        W::BadDer | W::BadDerTime | W::TrailingData(_) | W::InvalidCertValidity => C::BadEncoding,
        W::CertNotValidYet { time, not_before } => C::NotValidYetContext { time, not_before },
        W::CertExpired { time, not_after } => C::ExpiredContext { time, not_after },
        // A signature that does not verify under a CA of the right name: the issuer is a namesake of ours.
        W::UnknownIssuer | W::InvalidSignatureForPublicKey => C::UnknownIssuer,
        W::CertRevoked => C::Revoked,
        W::UnknownRevocationStatus => C::UnknownRevocationStatus,
        W::CrlExpired { time, next_update } => C::ExpiredRevocationListContext { time, next_update },
        W::RequiredEkuNotFoundContext(_) | W::EmptyEkuExtension => C::InvalidPurpose,
        W::CertNotValidForName(_) => C::NotValidForName,
        W::UnsupportedSignatureAlgorithmContext(_) | W::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            // SHA-1 and its like: the certificate is bad, its signature was never looked at.
            tracing::debug!("a peer's certificate is signed with an algorithm that is not accepted");
            C::BadEncoding
        }
        other => C::Other(rustls::OtherError(Arc::new(other))),
    }
    .into()
}

#[cfg(test)]
pub(crate) fn load_crl_for_test(bundle: &Path, der: &[u8]) -> Result<(), CertError> {
    load_crl(bundle, der, &load_bundle(bundle)?).map(|_| ())
}
