//! What can go wrong with certificates, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};

use simpul_core::time::Timestamp;

use crate::identity::{IdentityError, Serial};

/// Why a certificate operation did not happen. The message names the file or the certificate and
/// says what to do; it never holds key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// A file could not be read.
    #[error("cannot read {}: {source}; check that it exists and that this user may read it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}; check the folder, its owner and the free space", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that must not exist yet does.
    #[error("{} exists already and is not overwritten; choose another folder or move it away", .0.display())]
    Exists(PathBuf),
    /// A file is larger than anything of its kind may be.
    #[error("{} is larger than {limit} bytes; it is not a file of this kind", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A private key can be read by others (E02).
    #[error("{} can be read by others (mode {mode:04o}); run: chmod 600 {}", path.display(), path.display())]
    KeyExposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A private key belongs to another user (E02).
    #[error("{} belongs to user {owner}, this process runs as {own}; run: chown {own} {}", path.display(), path.display())]
    KeyOwner {
        /// The key file.
        path: PathBuf,
        /// The user id the file belongs to.
        owner: u32,
        /// The user id of this process.
        own: u32,
    },
    /// A key path names a folder, a pipe or a device.
    #[error("{} is not a regular file; give the path of the key file itself", .0.display())]
    NotRegular(PathBuf),
    /// A file does not hold what it should.
    #[error("{} does not hold {expected}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold, such as `a PEM certificate chain`.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The trust bundle holds no certificate or no root (E05).
    #[error("the trust bundle {} holds no root certificate; put the exchange's root CA (PEM) into it", .0.display())]
    EmptyBundle(PathBuf),
    /// The trust bundle holds a certificate that is no CA.
    #[error("the trust bundle {} holds \"{subject}\", which is not a CA certificate; remove it", path.display())]
    NotACa {
        /// The bundle.
        path: PathBuf,
        /// The subject of the certificate.
        subject: String,
    },
    /// No revocation list was given or found (A10).
    #[error("no revocation list (CRL) is loaded; name the crl.pem of every CA in the bundle")]
    NoCrl,
    /// A revocation list that was in force is missing from the new set (A10).
    #[error("the revocation list of \"{issuer}\" is in force but missing from the new files; fetch its crl.pem again")]
    CrlGone {
        /// The CA.
        issuer: String,
    },
    /// A revocation list comes from a CA that is not in the bundle.
    #[error("the revocation list {} is of \"{issuer}\", a CA that is not in the trust bundle; add its certificate", path.display())]
    CrlUnknownIssuer {
        /// The file.
        path: PathBuf,
        /// The CA it names.
        issuer: String,
    },
    /// A revocation list is not signed by the CA it names (A11).
    #[error("the revocation list {} is not signed by the CA \"{issuer}\" of the bundle; fetch it again from that CA", path.display())]
    CrlSignature {
        /// The file.
        path: PathBuf,
        /// The CA it names.
        issuer: String,
    },
    /// A revocation list is older than the one in force (A12).
    #[error(
        "the revocation list of \"{issuer}\" has number {offered}, but {loaded} is in force; an older list is never taken back"
    )]
    CrlRollback {
        /// The CA.
        issuer: String,
        /// The number in force.
        loaded: String,
        /// The number in the file.
        offered: String,
    },
    /// Two CAs in the bundle share a name and both have a revocation list.
    #[error("two CAs are named \"{issuer}\" and each has a revocation list; give the new CA a name of its own")]
    CrlAmbiguous {
        /// The shared name.
        issuer: String,
    },
    /// No file says which identities a CA may issue.
    #[error("no issuers file is configured; without it any CA of the bundle could issue any identity")]
    NoIssuers,
    /// The private key is not the one of the certificate (E03).
    #[error("the key {} does not belong to the certificate {}; they were made in different steps", key.display(), cert.display())]
    KeyMismatch {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The own certificate is not valid now (E04).
    #[error("the certificate {} is valid from {not_before} to {not_after}, now is {now}; renew it or correct the clock", path.display())]
    OwnNotValid {
        /// The certificate file.
        path: PathBuf,
        /// Start of its validity.
        not_before: Timestamp,
        /// End of its validity.
        not_after: Timestamp,
        /// The time of the check.
        now: Timestamp,
    },
    /// The own certificate does not pass the own verifier (E04).
    #[error("peers would refuse the own certificate {}: {reason}", path.display())]
    OwnRefused {
        /// The certificate file.
        path: PathBuf,
        /// What the verifier said.
        reason: String,
    },
    /// The peer's certificate does not verify.
    #[error("the certificate does not verify: {0}")]
    Unverified(rustls::Error),
    /// The certificate says nobody, or somebody its issuer may not name (A15, A16).
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A certificate of the peer's chain is revoked (A21).
    #[error("the certificate with serial {serial} is revoked")]
    Revoked {
        /// Its serial number.
        serial: Serial,
    },
    /// The peer's certificate or a revocation list it depends on is past its time.
    #[error("the certificate, or a revocation list it depends on, ended at {at}")]
    Outlived {
        /// The end of validity.
        at: Timestamp,
    },
    /// The certificate's issuer is no longer trusted.
    #[error("the issuer of the certificate is no longer in the trust bundle")]
    IssuerGone,
    /// A CA was asked for an identity outside its trust domain or prefix.
    #[error("this CA issues identities under {allowed}; {asked} is not one of them; ask the CA of that area")]
    OutsidePrefix {
        /// What the CA may issue.
        allowed: String,
        /// What was asked.
        asked: String,
    },
    /// A certificate would outlive its CA.
    #[error("the CA itself ends at {ca_ends}; ask for fewer days or renew the CA first")]
    OutlivesCa {
        /// End of the CA's validity.
        ca_ends: Timestamp,
    },
    /// A number of days is zero or beyond [`crate::ca::MAX_DAYS`].
    #[error("{days} days is not a validity; give 1 to {max} days")]
    BadValidity {
        /// The days asked for.
        days: u32,
        /// The most allowed.
        max: u32,
    },
    /// A name is unfit for a certificate.
    #[error("\"{}\" is not a {kind}", .name.escape_debug())]
    BadName {
        /// What was wanted.
        kind: &'static str,
        /// The text given.
        name: String,
    },
    /// A certificate request cannot be signed (E16).
    #[error("the certificate request is refused: {0}; make a new one with an ECDSA P-256 key")]
    BadRequest(String),
    /// A public key is too weak to certify or accept (A18, E16).
    #[error("the public key is too weak: {0}; use ECDSA P-256, Ed25519 or RSA of 2048 bits or more")]
    WeakKey(String),
    /// Nothing in the CA's index matches.
    #[error("this CA has no unrevoked certificate for {0}; list them with: simpul ca list")]
    NothingToRevoke(String),
    /// The CA's index is full.
    #[error("this CA has issued {0} certificates, its limit; start a new issuing CA")]
    IndexFull(usize),
    /// A certificate or list could not be made.
    #[error("could not make the certificate or list: {0}")]
    Generate(#[from] rcgen::Error),
    /// The TLS library refused the configuration.
    #[error("the TLS configuration is refused: {0}")]
    Tls(#[from] rustls::Error),
    /// No secure random numbers could be had.
    #[error("the system gave no random numbers; restart the machine or check its entropy source")]
    NoRandom,
}

impl CertError {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_path_buf(), source }
    }

    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AlreadyExists => Self::Exists(path.to_path_buf()),
            _ => Self::Write { path: path.to_path_buf(), source },
        }
    }

    pub(crate) fn malformed(path: &Path, expected: &'static str, reason: impl ToString) -> Self {
        Self::Malformed { path: path.to_path_buf(), expected, reason: reason.to_string() }
    }

    /// The stable word of a refusal of a peer, for audit and counters: `identity_invalid`,
    /// `identity_issuer_mismatch`, `certificate_revoked`, `certificate_expired`,
    /// `certificate_untrusted`; `None` for what is no refusal of a peer.
    #[must_use]
    pub const fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Identity(error) => Some(error.code()),
            Self::Revoked { .. } => Some("certificate_revoked"),
            Self::Outlived { .. } => Some("certificate_expired"),
            Self::IssuerGone | Self::Unverified(_) => Some("certificate_untrusted"),
            _ => None,
        }
    }
}
