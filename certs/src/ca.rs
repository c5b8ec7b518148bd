//! A small certificate authority that is a folder.
//!
//! ```text
//! ca.json           name, trust domain, prefix, how long a revocation list holds
//! ca.crt  ca.key    certificate and key (mode 0600)
//! root.crt          the root above, if this is an issuing CA
//! bundle.pem        what peers trust: the root and the issuing CAs known here
//! issuers.json      which CA may name which areas
//! crl.pem           the revocation list in force
//! issued/           index.json and one .crt per certificate
//! ```
//! The index is written before a certificate leaves this module, so every certificate in the
//! world can be found and revoked. One operation at a time holds `ca.lock`.

use std::fs::{self, File, OpenOptions};
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams,
    SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, DnsName};
use serde::{Deserialize, Serialize};
use simpul_core::digest::Digest;
use simpul_core::id::{Identity, TrustDomain};
use simpul_core::time::Timestamp;
use time::OffsetDateTime;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use crate::error::CertError;
use crate::files::{MAX_CERT_FILE, MAX_CRL_FILE, read_limited, read_secret, write_atomic, write_secret};
use crate::identity::{AreaPrefix, IssuerId, IssuerPin, Serial};
use crate::x509;

/// The longest validity of any certificate or list, in days: twenty years.
pub const MAX_DAYS: u32 = 7_300;
/// How far before its making a certificate begins to be valid, in seconds, so that a machine
/// whose clock is slow still accepts it.
pub const BACKDATE_SECONDS: i64 = 3_600;
/// The most certificates one CA issues. A revocation list is read whole by every node.
pub const MAX_ISSUED: usize = 50_000;
/// The largest index file, in bytes.
const MAX_INDEX_FILE: u64 = 64 * 1024 * 1024;
/// The longest CA name, in bytes (the bound of a common name in RFC 5280).
const MAX_NAME: usize = 64;

/// How to make a root CA.
#[derive(Clone, Debug)]
pub struct CaOptions {
    /// The CA's name, unique in the exchange: 1 to 64 bytes.
    pub name: String,
    /// The exchange.
    pub trust_domain: TrustDomain,
    /// The areas the CA may name.
    pub prefix: AreaPrefix,
    /// Validity of the CA in days.
    pub days: u32,
    /// How long a revocation list holds, in days. A node that gets no new list for longer refuses
    /// everyone, so it must exceed the longest time without a link.
    pub crl_days: u32,
}

impl CaOptions {
    /// A root for every area: ten years, lists that hold a year.
    #[must_use]
    pub fn root(name: impl Into<String>, trust_domain: TrustDomain) -> Self {
        Self { name: name.into(), trust_domain, prefix: AreaPrefix::EVERYWHERE, days: 3_650, crl_days: 365 }
    }
}

/// How to make an issuing CA under a root.
#[derive(Clone, Debug)]
pub struct IntermediateOptions {
    /// The CA's name, unique in the exchange: 1 to 64 bytes.
    pub name: String,
    /// The areas it may name; they lie in those of the root.
    pub prefix: AreaPrefix,
    /// Validity in days.
    pub days: u32,
    /// How long a revocation list holds, in days.
    pub crl_days: u32,
}

impl IntermediateOptions {
    /// An issuing CA for one area: five years, lists that hold sixty days.
    #[must_use]
    pub fn area(name: impl Into<String>, prefix: AreaPrefix) -> Self {
        Self { name: name.into(), prefix, days: 1_825, crl_days: 60 }
    }
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Speaks to nodes: client authentication only.
    Client,
    /// A node: serves and speaks to other nodes.
    Node,
    /// An issuing CA.
    Ca,
}

/// What a new certificate shall say.
#[derive(Clone, Debug)]
pub struct IssueRequest {
    /// Whom it names.
    pub identity: Identity,
    /// Host names of a node.
    pub dns: Vec<String>,
    /// Addresses of a node.
    pub ips: Vec<IpAddr>,
    /// Validity in days.
    pub days: u32,
    /// [`Role::Client`] or [`Role::Node`].
    pub role: Role,
}

impl IssueRequest {
    /// A client for `days` days.
    #[must_use]
    pub fn client(identity: Identity, days: u32) -> Self {
        Self { identity, dns: Vec::new(), ips: Vec::new(), days, role: Role::Client }
    }

    /// A node for `days` days that is reached under `dns` names and `ips` addresses.
    #[must_use]
    pub fn node(identity: Identity, dns: Vec<String>, ips: Vec<IpAddr>, days: u32) -> Self {
        Self { identity, dns, ips, days, role: Role::Node }
    }
}

/// A certificate for somebody else's key.
#[derive(Clone, Debug)]
pub struct SignedCertificate {
    /// The certificate and the issuing CA's, without the root, as PEM.
    pub chain_pem: String,
    /// Its number at this CA.
    pub serial: Serial,
    /// SHA-256 of the certificate (DER).
    pub thumbprint: Digest,
    /// End of validity.
    pub not_after: Timestamp,
}

/// A certificate with its new key. The key exists nowhere else.
#[derive(Clone, Debug)]
pub struct IssuedCertificate {
    /// The certificate.
    pub certificate: SignedCertificate,
    /// The private key (PKCS #8, PEM), wiped from memory when dropped.
    pub key_pem: Zeroizing<String>,
}

impl IssuedCertificate {
    /// Writes `<name>.crt` and `<name>.key` (mode 0600) into `dir`, overwriting nothing.
    ///
    /// # Errors
    /// [`CertError::Exists`], [`CertError::Write`].
    pub fn write(&self, dir: &Path, name: &str) -> Result<(PathBuf, PathBuf), CertError> {
        let (cert, key) = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")));
        if cert.exists() {
            return Err(CertError::Exists(cert));
        }
        write_secret(&key, self.key_pem.as_bytes())?;
        write_atomic(&cert, self.certificate.chain_pem.as_bytes())?;
        Ok((cert, key))
    }
}

/// Why a certificate is revoked (RFC 5280, section 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No reason given.
    Unspecified,
    /// The private key may be known to others.
    KeyCompromise,
    /// The agency or the client moved.
    AffiliationChanged,
    /// Replaced by a newer certificate.
    Superseded,
    /// The client exists no more.
    CessationOfOperation,
    /// The client lost its right.
    PrivilegeWithdrawn,
}

impl From<Reason> for rcgen::RevocationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unspecified => Self::Unspecified,
            Reason::KeyCompromise => Self::KeyCompromise,
            Reason::AffiliationChanged => Self::AffiliationChanged,
            Reason::Superseded => Self::Superseded,
            Reason::CessationOfOperation => Self::CessationOfOperation,
            Reason::PrivilegeWithdrawn => Self::PrivilegeWithdrawn,
        }
    }
}

/// What to revoke.
#[derive(Clone, Debug)]
pub enum Target {
    /// One certificate.
    Serial(Serial),
    /// Every certificate of an identity.
    Identity(Identity),
}

/// When and why a certificate was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// One issued certificate in the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its number.
    pub serial: Serial,
    /// What it is for.
    pub role: Role,
    /// The identity, or the name of an issuing CA.
    pub subject: String,
    /// SHA-256 of the certificate (DER).
    pub thumbprint: Digest,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// Set once it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    format: u32,
    crl_number: u64,
    certificates: Vec<Record>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meta {
    format: u32,
    name: String,
    trust_domain: TrustDomain,
    prefix: AreaPrefix,
    crl_days: u32,
}

/// The format of the folder that this version reads and writes.
const FORMAT: u32 = 1;

/// An opened CA. The key stays in memory until it is dropped.
pub struct Ca {
    dir: PathBuf,
    meta: Meta,
    cert: CertificateDer<'static>,
    cert_pem: String,
    root_pem: Option<String>,
    not_after: Timestamp,
    id: IssuerId,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// Makes a root CA in `dir`, which is created if need be.
    ///
    /// # Errors
    /// [`CertError::Exists`] if there is a CA already; [`CertError::BadName`],
    /// [`CertError::BadValidity`], [`CertError::Write`].
    pub fn init(dir: &Path, options: &CaOptions, now: Timestamp) -> Result<Self, CertError> {
        let key = KeyPair::generate()?;
        let params = ca_params(&options.name, &options.trust_domain, 1, options.days, now)?;
        let cert = params.self_signed(&key)?;
        let meta = Meta {
            format: FORMAT,
            name: options.name.clone(),
            trust_domain: options.trust_domain.clone(),
            prefix: options.prefix.clone(),
            crl_days: valid_days(options.crl_days)?,
        };
        Self::lay_out(dir, &meta, &key, &cert.pem(), None, now)
    }

    /// Makes an issuing CA in `dir`, certified by this root and pinned to its areas in the
    /// `issuers.json` of both.
    ///
    /// # Errors
    /// [`CertError::OutsidePrefix`] if the areas are not this CA's, or if this CA is no root;
    /// [`CertError::OutlivesCa`], and those of [`Ca::init`].
    pub fn issue_intermediate(
        &self,
        dir: &Path,
        options: &IntermediateOptions,
        now: Timestamp,
    ) -> Result<Self, CertError> {
        if self.root_pem.is_some() || !self.meta.prefix.contains(&options.prefix) {
            let asked = format!("an issuing CA for {}", options.prefix);
            return Err(CertError::OutsidePrefix { allowed: self.scope(), asked });
        }
        if dir.join("ca.key").exists() {
            return Err(CertError::Exists(dir.to_path_buf()));
        }
        let key = KeyPair::generate()?;
        let mut params = ca_params(&options.name, &self.meta.trust_domain, 0, options.days, now)?;
        let meta = Meta {
            format: FORMAT,
            name: options.name.clone(),
            trust_domain: self.meta.trust_domain.clone(),
            prefix: options.prefix.clone(),
            crl_days: valid_days(options.crl_days)?,
        };
        let signed = self.certify(&mut params, &key, Role::Ca, &options.name, now)?;
        // The pin comes before the folder: a pinned CA whose key nobody has can do nothing.
        let id = Digest::of(&key.subject_public_key_info());
        self.publish_trust(Some(IssuerPin {
            issuer: id,
            name: meta.name.clone(),
            prefixes: vec![meta.prefix.clone()],
        }))?;
        Self::lay_out(dir, &meta, &key, &signed.chain_pem, Some(self), now)
    }

    fn lay_out(
        dir: &Path,
        meta: &Meta,
        key: &KeyPair,
        cert_pem: &str,
        root: Option<&Self>,
        now: Timestamp,
    ) -> Result<Self, CertError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir.join("issued"))
            .map_err(|e| CertError::write(dir, e))?;
        // The key comes first: it is the file that must never be overwritten, so it claims the folder.
        write_secret(&dir.join("ca.key"), Zeroizing::new(key.serialize_pem()).as_bytes())?;
        if let Some(root) = root {
            write_atomic(&dir.join("root.crt"), root.cert_pem.as_bytes())?;
        }
        write_atomic(&dir.join("ca.crt"), cert_pem.as_bytes())?;
        write_json(&dir.join("issued/index.json"), &Index { format: FORMAT, crl_number: 1, certificates: Vec::new() })?;
        write_json(&dir.join("ca.json"), meta)?;
        let ca = Self::open(dir, now)?;
        if let Some(root) = root {
            write_json(&dir.join("issuers.json"), &root.pins()?)?;
        }
        ca.publish_trust(None)?;
        Ok(ca)
    }

    /// Opens a CA and, if a revocation was recorded but its list not yet written, writes the list.
    ///
    /// # Errors
    /// [`CertError::Read`], [`CertError::Malformed`], [`CertError::KeyMismatch`], and those of
    /// [`read_secret`] for the key.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Self, CertError> {
        let meta: Meta = read_json(&dir.join("ca.json"), MAX_CERT_FILE, "the description of a CA")?;
        let (cert_path, key_path) = (dir.join("ca.crt"), dir.join("ca.key"));
        let (cert_pem, cert) = read_cert(&cert_path)?;
        let key_bytes = read_secret(&key_path)?;
        let key_text = std::str::from_utf8(&key_bytes).map_err(|_| bad_key(&key_path))?;
        let key = KeyPair::from_pem(key_text).map_err(|_| bad_key(&key_path))?;
        let facts = x509::parse(&cert).map_err(|reason| CertError::malformed(&cert_path, A_CERTIFICATE, reason))?;
        if key.subject_public_key_info() != facts.subject_pki.raw {
            return Err(CertError::KeyMismatch { cert: cert_path, key: key_path });
        }
        let (id, not_after) = (x509::key_id(&facts), x509::validity(&facts).1);
        let issuer = Issuer::from_ca_cert_der(&cert, key)?;
        let root = dir.join("root.crt");
        let root_pem = root.exists().then(|| read_cert(&root)).transpose()?.map(|(pem, _)| pem);
        let ca = Self { dir: dir.to_path_buf(), meta, cert, cert_pem, root_pem, not_after, id, issuer };
        ca.finish_publication(now)?;
        Ok(ca)
    }

    /// Issues a certificate with a new ECDSA P-256 key.
    ///
    /// # Errors
    /// [`CertError::OutsidePrefix`], [`CertError::BadValidity`], [`CertError::OutlivesCa`],
    /// [`CertError::BadName`], [`CertError::IndexFull`], [`CertError::Write`].
    pub fn issue(&self, request: &IssueRequest, now: Timestamp) -> Result<IssuedCertificate, CertError> {
        let key = KeyPair::generate()?;
        let certificate = self.issue_for(request, &key, now)?;
        Ok(IssuedCertificate { certificate, key_pem: Zeroizing::new(key.serialize_pem()) })
    }

    /// Certifies the key of a certificate request (PEM). Everything the request asks for is
    /// ignored; `request` says what the certificate says.
    ///
    /// # Errors
    /// [`CertError::BadRequest`] for a malformed or wrongly signed request, [`CertError::WeakKey`],
    /// and those of [`Ca::issue`].
    pub fn sign_csr(
        &self,
        csr_pem: &str,
        request: &IssueRequest,
        now: Timestamp,
    ) -> Result<SignedCertificate, CertError> {
        let refuse = |reason: &str| CertError::BadRequest(reason.to_owned());
        let der = CertificateSigningRequestDer::from_pem_slice(csr_pem.as_bytes())
            .map_err(|_| refuse("it is not a PEM certificate request"))?;
        let (rest, csr) = X509CertificationRequest::from_der(&der).map_err(|_| refuse("it is malformed"))?;
        if !rest.is_empty() {
            return Err(refuse("bytes follow it"));
        }
        let spki = &csr.certification_request_info.subject_pki;
        x509::check_key(spki).map_err(CertError::WeakKey)?;
        csr.verify_signature().map_err(|_| refuse("it is not signed with its own key"))?;
        let key = rcgen::SubjectPublicKeyInfo::from_der(spki.raw).map_err(|_| refuse("its key is of another kind"))?;
        self.issue_for(request, &key, now)
    }

    fn issue_for(
        &self,
        request: &IssueRequest,
        key: &impl PublicKeyData,
        now: Timestamp,
    ) -> Result<SignedCertificate, CertError> {
        let identity = &request.identity;
        if identity.trust_domain != self.meta.trust_domain || !self.meta.prefix.covers(&identity.agency) {
            return Err(CertError::OutsidePrefix { allowed: self.scope(), asked: identity.to_string() });
        }
        let mut params = leaf_params(request, now)?;
        self.certify(&mut params, key, request.role, &identity.to_string(), now)
    }

    fn certify(
        &self,
        params: &mut CertificateParams,
        key: &impl PublicKeyData,
        role: Role,
        subject: &str,
        now: Timestamp,
    ) -> Result<SignedCertificate, CertError> {
        let not_after = from_instant(params.not_after);
        if not_after > self.not_after {
            return Err(CertError::OutlivesCa { ca_ends: self.not_after });
        }
        let serial = random_serial()?;
        params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
        let cert = params.signed_by(key, &self.issuer)?;
        let thumbprint = Digest::of(cert.der());
        let record = Record {
            serial: serial.clone(),
            role,
            subject: subject.to_owned(),
            thumbprint,
            not_before: now.plus_seconds(-BACKDATE_SECONDS),
            not_after,
            revoked: None,
        };
        self.update(|index| {
            if index.certificates.len() >= MAX_ISSUED {
                return Err(CertError::IndexFull(MAX_ISSUED));
            }
            write_atomic(&self.dir.join(format!("issued/{serial}.crt")), cert.pem().as_bytes())?;
            index.certificates.push(record);
            Ok(())
        })?;
        let own = self.root_pem.as_ref().map_or("", |_| &self.cert_pem);
        Ok(SignedCertificate { chain_pem: format!("{}{own}", cert.pem()), serial, thumbprint, not_after })
    }

    /// Revokes certificates and publishes a new list. Answers how many were revoked.
    ///
    /// # Errors
    /// [`CertError::NothingToRevoke`] if nothing unrevoked matches; [`CertError::Write`].
    pub fn revoke(&self, target: &Target, reason: Reason, now: Timestamp) -> Result<usize, CertError> {
        let (text, count) = self.update(|index| {
            let text = match target {
                Target::Serial(serial) => serial.to_string(),
                Target::Identity(identity) => identity.to_string(),
            };
            let matches = |record: &Record| match target {
                Target::Serial(serial) => record.serial == *serial,
                Target::Identity(_) => record.role != Role::Ca && record.subject == text,
            };
            let mut count = 0;
            for record in index.certificates.iter_mut().filter(|r| r.revoked.is_none() && matches(r)) {
                record.revoked = Some(Revocation { at: now, reason });
                count += 1;
            }
            index.crl_number += u64::from(count > 0);
            Ok((text, count))
        })?;
        if count == 0 {
            return Err(CertError::NothingToRevoke(text));
        }
        self.finish_publication(now)?;
        Ok(count)
    }

    /// Publishes the list anew with the next number, so that it holds `crl_days` from now.
    ///
    /// # Errors
    /// [`CertError::Read`], [`CertError::Write`], [`CertError::Generate`].
    pub fn publish_crl(&self, now: Timestamp) -> Result<(), CertError> {
        self.update(|index| {
            index.crl_number += 1;
            Ok(())
        })?;
        self.finish_publication(now)
    }

    /// Publishes the list anew if less than half of its time is left. Answers whether it did; meant
    /// to be called daily where the CA lives.
    ///
    /// # Errors
    /// Those of [`Ca::publish_crl`].
    pub fn refresh_crl(&self, now: Timestamp) -> Result<bool, CertError> {
        let half = i64::from(self.meta.crl_days) * 43_200;
        let due = self.published()?.is_none_or(|(_, next_update)| next_update < now.plus_seconds(half));
        if due {
            self.publish_crl(now)?;
        }
        Ok(due)
    }

    /// Brings `crl.pem` up to the index. Running it twice changes nothing.
    fn finish_publication(&self, now: Timestamp) -> Result<(), CertError> {
        let _lock = self.lock()?;
        let index = self.index()?;
        let number = index.crl_number;
        if self.published()?.is_some_and(|(published, _)| published >= number) {
            return Ok(());
        }
        let keep_from = now.plus_seconds(-i64::from(self.meta.crl_days) * 86_400);
        let mut revoked_certs = Vec::new();
        // An expired certificate is refused anyhow; it stays one list period longer so that every
        // list that names it overlaps its validity.
        for record in index.certificates.iter().filter(|r| r.not_after > keep_from) {
            let Some(revoked) = record.revoked else { continue };
            revoked_certs.push(RevokedCertParams {
                serial_number: SerialNumber::from_slice(record.serial.as_bytes()),
                revocation_time: instant(revoked.at)?,
                reason_code: Some(revoked.reason.into()),
                invalidity_date: None,
            });
        }
        let list = CertificateRevocationListParams {
            this_update: instant(now)?,
            next_update: instant(now.plus_seconds(i64::from(self.meta.crl_days) * 86_400))?,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        write_atomic(&self.crl_path(), list.signed_by(&self.issuer)?.pem()?.as_bytes())
    }

    /// Number and end of the list on disk; `None` if there is none or it is unreadable.
    fn published(&self) -> Result<Option<(u64, Timestamp)>, CertError> {
        if !self.crl_path().exists() {
            return Ok(None);
        }
        let bytes = read_limited(&self.crl_path(), MAX_CRL_FILE)?;
        Ok(x509::crl_number_and_end(&bytes))
    }

    /// Every certificate issued, oldest first.
    ///
    /// # Errors
    /// [`CertError::Read`], [`CertError::Malformed`].
    pub fn list(&self) -> Result<Vec<Record>, CertError> {
        Ok(self.index()?.certificates)
    }

    /// The revocation list in force, PEM.
    ///
    /// # Errors
    /// [`CertError::Read`].
    pub fn crl(&self) -> Result<String, CertError> {
        read_text(&self.crl_path(), MAX_CRL_FILE)
    }

    /// Where the revocation list is.
    #[must_use]
    pub fn crl_path(&self) -> PathBuf {
        self.dir.join("crl.pem")
    }

    /// Where the trust bundle is.
    #[must_use]
    pub fn bundle_path(&self) -> PathBuf {
        self.dir.join("bundle.pem")
    }

    /// Where the pins are: which CA may name which areas.
    #[must_use]
    pub fn issuers_path(&self) -> PathBuf {
        self.dir.join("issuers.json")
    }

    /// The CA's own certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.cert
    }

    /// The digest of the CA's public key.
    #[must_use]
    pub const fn id(&self) -> IssuerId {
        self.id
    }

    /// The CA's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.meta.name
    }

    /// The exchange it issues for.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.meta.trust_domain
    }

    /// The areas it may name.
    #[must_use]
    pub const fn prefix(&self) -> &AreaPrefix {
        &self.meta.prefix
    }

    /// End of the CA's own validity.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) const fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    fn scope(&self) -> String {
        let kind = if self.root_pem.is_some() { " (end certificates only)" } else { "" };
        format!("spiffe://{}/{}{kind}", self.meta.trust_domain, self.meta.prefix)
    }

    fn pins(&self) -> Result<Vec<IssuerPin>, CertError> {
        match self.issuers_path().exists() {
            true => read_json(&self.issuers_path(), MAX_CERT_FILE, "an issuers list"),
            false => Ok(Vec::new()),
        }
    }

    /// Adds this CA, and a new issuing CA under it, to `bundle.pem` and `issuers.json`.
    fn publish_trust(&self, child: Option<IssuerPin>) -> Result<(), CertError> {
        let _lock = self.lock()?;
        let own = IssuerPin { issuer: self.id, name: self.meta.name.clone(), prefixes: vec![self.meta.prefix.clone()] };
        let mut pins = self.pins()?;
        for pin in std::iter::once(own).chain(child) {
            if !pins.iter().any(|known| known.issuer == pin.issuer) {
                pins.push(pin);
            }
        }
        let mut bundle = self.root_pem.clone().unwrap_or_default();
        bundle.push_str(&self.cert_pem);
        for record in self.index()?.certificates.iter().filter(|r| r.role == Role::Ca) {
            bundle.push_str(&read_text(&self.dir.join(format!("issued/{}.crt", record.serial)), MAX_CERT_FILE)?);
        }
        // Pins before the bundle: a CA that is pinned but not trusted can do nothing.
        write_json(&self.issuers_path(), &pins)?;
        write_atomic(&self.bundle_path(), bundle.as_bytes())
    }

    fn lock(&self) -> Result<File, CertError> {
        let path = self.dir.join("ca.lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        file.and_then(|file| file.lock().map(|()| file)).map_err(|e| CertError::write(&path, e))
    }

    fn index(&self) -> Result<Index, CertError> {
        read_json(&self.dir.join("issued/index.json"), MAX_INDEX_FILE, "the index of a CA")
    }

    fn update<T>(&self, change: impl FnOnce(&mut Index) -> Result<T, CertError>) -> Result<T, CertError> {
        let _lock = self.lock()?;
        let mut index = self.index()?;
        let answer = change(&mut index)?;
        write_json(&self.dir.join("issued/index.json"), &index)?;
        Ok(answer)
    }
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca").field("dir", &self.dir).field("name", &self.meta.name).finish_non_exhaustive()
    }
}

const A_CERTIFICATE: &str = "a PEM certificate";

fn ca_params(
    name: &str,
    domain: &TrustDomain,
    sub_cas: u8,
    days: u32,
    now: Timestamp,
) -> Result<CertificateParams, CertError> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(CertError::BadName {
            kind: "CA name of 1 to 64 bytes",
            name: name.chars().take(MAX_NAME).collect(),
        });
    }
    let mut params = params_for(days, now)?;
    params.distinguished_name = distinguished_name(name, domain.as_str());
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(sub_cas));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from_slice(random_serial()?.as_bytes()));
    Ok(params)
}

fn leaf_params(request: &IssueRequest, now: Timestamp) -> Result<CertificateParams, CertError> {
    let identity = &request.identity;
    let mut params = params_for(request.days, now)?;
    params.distinguished_name = distinguished_name(identity.client.as_str(), identity.agency.as_str());
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match request.role {
        Role::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Role::Node => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        Role::Ca => return Err(CertError::BadName { kind: "role of an end certificate", name: "ca".to_owned() }),
    };
    params.subject_alt_names.push(SanType::URI(identity.to_string().as_str().try_into()?));
    for name in &request.dns {
        let bad = || CertError::BadName { kind: "host name", name: name.chars().take(MAX_NAME).collect() };
        DnsName::try_from(name.as_str()).map_err(|_| bad())?;
        params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
    }
    params.subject_alt_names.extend(request.ips.iter().map(|ip| SanType::IpAddress(*ip)));
    Ok(params)
}

fn params_for(days: u32, now: Timestamp) -> Result<CertificateParams, CertError> {
    let mut params = CertificateParams::default();
    params.not_before = instant(now.plus_seconds(-BACKDATE_SECONDS))?;
    params.not_after = instant(now.plus_seconds(i64::from(valid_days(days)?) * 86_400))?;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn distinguished_name(common: &str, organization: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, organization);
    name.push(DnType::CommonName, common);
    name
}

fn valid_days(days: u32) -> Result<u32, CertError> {
    match (1..=MAX_DAYS).contains(&days) {
        true => Ok(days),
        false => Err(CertError::BadValidity { days, max: MAX_DAYS }),
    }
}

/// A positive number of exactly 16 bytes with 126 random bits: neither a leading zero nor a sign
/// byte, so its bytes are the same wherever it is written.
pub(crate) fn random_serial() -> Result<Serial, CertError> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::SecureRandom::fill(&SystemRandom::new(), &mut bytes).map_err(|_| CertError::NoRandom)?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Serial::from_bytes(&bytes).ok_or(CertError::NoRandom)
}

pub(crate) fn instant(at: Timestamp) -> Result<OffsetDateTime, CertError> {
    OffsetDateTime::from_unix_timestamp(at.seconds())
        .map_err(|_| CertError::BadName { kind: "time between the years 1 and 9999", name: at.to_string() })
}

fn from_instant(at: OffsetDateTime) -> Timestamp {
    Timestamp::from_seconds(at.unix_timestamp())
}

fn read_cert(path: &Path) -> Result<(String, CertificateDer<'static>), CertError> {
    let text = read_text(path, MAX_CERT_FILE)?;
    let der =
        CertificateDer::from_pem_slice(text.as_bytes()).map_err(|e| CertError::malformed(path, A_CERTIFICATE, e))?;
    Ok((text, der))
}

fn bad_key(path: &Path) -> CertError {
    CertError::malformed(path, "a PEM private key", "it cannot be read as one")
}

fn read_text(path: &Path, limit: u64) -> Result<String, CertError> {
    String::from_utf8(read_limited(path, limit)?).map_err(|e| CertError::malformed(path, "text", e))
}

pub(crate) fn read_json<T: for<'a> Deserialize<'a>>(
    path: &Path,
    limit: u64,
    what: &'static str,
) -> Result<T, CertError> {
    serde_json::from_slice(&read_limited(path, limit)?).map_err(|e| CertError::malformed(path, what, e))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), CertError> {
    let text = serde_json::to_vec_pretty(value).map_err(|e| CertError::malformed(path, "JSON", e))?;
    write_atomic(path, &text)
}
