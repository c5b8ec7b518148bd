//! A small exchange for tests, and the certificates that nobody must accept.
//!
//! Behind the feature `testing`, so that no node carries it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, PublicKeyData, RsaKeySize, SanType, SerialNumber, SignatureAlgorithm, SigningKey,
};
use rustls::client::ClientConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use simpul_core::id::{Identity, TrustDomain};
use simpul_core::time::Timestamp;

use crate::ca::{Ca, CaOptions, IntermediateOptions, IssueRequest, instant, random_serial};
use crate::error::CertError;
use crate::tls::{TlsFiles, provider};
use crate::trust::TrustFiles;
use crate::x509;

/// The exchange of the tests.
pub const DOMAIN: &str = "satudata.test";
const DAY: i64 = 86_400;

/// A clock that a test sets.
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl TestClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now.seconds())))
    }

    /// Sets the clock.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.seconds(), Ordering::SeqCst);
    }

    /// What the clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }
}

impl TimeProvider for TestClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.load(Ordering::SeqCst)).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// The identity `text`, such as `64.02.diskominfo/simpeg`, in the exchange of the tests.
///
/// # Errors
/// [`CertError::BadName`] if it is none.
pub fn identity(text: &str) -> Result<Identity, CertError> {
    let bad = |_| CertError::BadName { kind: "identity", name: text.to_owned() };
    format!("spiffe://{DOMAIN}/{text}").parse().map_err(bad)
}

/// A root, the issuing CAs of two kabupaten (64.02 and 64.03), and a stranger's root of the same
/// name, each a folder inside one folder.
#[derive(Debug)]
pub struct Exchange {
    /// The folder of everything.
    pub dir: PathBuf,
    /// The root for every area.
    pub root: Ca,
    /// The issuing CA of 64.02.
    pub issuing: Ca,
    /// The issuing CA of 64.03.
    pub neighbour: Ca,
    /// A root that is not trusted, with the name of the one that is.
    pub stranger: Ca,
}

impl Exchange {
    /// Makes the exchange in `dir`.
    ///
    /// # Errors
    /// Those of [`Ca::init`].
    pub fn new(dir: &Path, now: Timestamp) -> Result<Self, CertError> {
        let bad = |_| CertError::BadName { kind: "trust domain", name: DOMAIN.to_owned() };
        let options = CaOptions::root("Induk", TrustDomain::new(DOMAIN).map_err(bad)?);
        let area = |name: &str, prefix: &str| -> Result<IntermediateOptions, CertError> {
            let bad = |_| CertError::BadName { kind: "area", name: prefix.to_owned() };
            Ok(IntermediateOptions::area(name, prefix.parse().map_err(bad)?))
        };
        let root = Ca::init(&dir.join("root"), &options, now)?;
        let issuing = root.issue_intermediate(&dir.join("kab-6402"), &area("Penerbit 64.02", "64.02")?, now)?;
        let neighbour = root.issue_intermediate(&dir.join("kab-6403"), &area("Penerbit 64.03", "64.03")?, now)?;
        let stranger = Ca::init(&dir.join("stranger"), &options, now)?;
        Ok(Self { dir: dir.to_path_buf(), root, issuing, neighbour, stranger })
    }

    /// The trust files of a node: every CA, every list, every pin.
    #[must_use]
    pub fn trust_files(&self) -> TrustFiles {
        TrustFiles {
            bundle: self.root.bundle_path(),
            crls: [&self.root, &self.issuing, &self.neighbour].map(Ca::crl_path).to_vec(),
            issuers: Some(self.root.issuers_path()),
            trust_domain: self.root.trust_domain().clone(),
        }
    }

    /// The files of the node `64.02.diskominfo/<name>`, reached as localhost or 127.0.0.1.
    ///
    /// # Errors
    /// Those of [`Ca::issue`].
    pub fn node_files(&self, name: &str, days: u32, now: Timestamp) -> Result<TlsFiles, CertError> {
        let who = identity(&format!("64.02.diskominfo/{name}"))?;
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let request = IssueRequest::node(who, vec!["localhost".to_owned()], vec![local], days);
        let (cert, key) = self.issuing.issue(&request, now)?.write(&self.dir, name)?;
        Ok(TlsFiles { cert, key, trust: self.trust_files() })
    }

    /// A good client certificate of the 64.02 CA for `text`, such as `64.02.dukcapil/simpeg`.
    ///
    /// # Errors
    /// Those of [`Ca::issue`].
    pub fn client(&self, text: &str, now: Timestamp) -> Result<Credential, CertError> {
        let issued = self.issuing.issue(&IssueRequest::client(identity(text)?, 90), now)?;
        Credential::from_pem(&issued.certificate.chain_pem, &issued.key_pem)
    }

    /// A certificate that must be refused.
    ///
    /// # Errors
    /// [`CertError::Generate`].
    pub fn hostile(&self, kind: Hostile, now: Timestamp) -> Result<Credential, CertError> {
        let key = KeyPair::generate()?;
        let mut params = good_params(now)?;
        let mut issuer = &self.issuing;
        match kind {
            Hostile::OtherRoot => issuer = &self.stranger,
            Hostile::Expired => params.not_after = instant(now.plus_seconds(-60))?,
            Hostile::NotYetValid => params.not_before = instant(now.plus_seconds(DAY))?,
            Hostile::ServerAuthOnly => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            Hostile::NoKeyUsage => params.extended_key_usages.clear(),
            Hostile::NoSan => params.subject_alt_names.clear(),
            Hostile::NoUri => params.subject_alt_names = vec![SanType::DnsName("simpeg.test".try_into()?)],
            Hostile::TwoUris => params.subject_alt_names.push(uri(&format!("spiffe://{DOMAIN}/64.02.bkd/lain"))?),
            Hostile::NotSpiffe => params.subject_alt_names = vec![uri("https://satudata.test/64.02.dukcapil/simpeg")?],
            Hostile::WrongDomain => {
                params.subject_alt_names = vec![uri("spiffe://satudata.example/64.02.dukcapil/simpeg")?];
            }
            Hostile::RogueArea => params.subject_alt_names = vec![uri(&format!("spiffe://{DOMAIN}/64.03.dukcapil/x"))?],
            Hostile::CaAsClient => {
                params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
                issuer = &self.root;
            }
            Hostile::IntermediateMissing | Hostile::IssuerWithoutList => {
                return self.under_unknown_ca(kind, params, now);
            }
            Hostile::Sha1 => return self.signed_with_sha1(params, now),
            Hostile::Rsa1024 => {
                let cert = params.signed_by(&Rsa1024::new(), issuer.issuer())?;
                return Credential::new(vec![cert.der().clone(), issuer.certificate().clone()], &key);
            }
            Hostile::CurveP192 => return self.on_p192(&params, &key),
            Hostile::HugeChain => {
                let cert = params.signed_by(&key, issuer.issuer())?;
                let mut chain = vec![issuer.certificate().clone(); 201];
                chain[0] = cert.der().clone();
                return Credential::new(chain, &key);
            }
        }
        let cert = params.signed_by(&key, issuer.issuer())?;
        Credential::new(vec![cert.der().clone(), issuer.certificate().clone()], &key)
    }

    /// A CA that the root signed but no node was told of.
    fn unknown_ca(
        &self,
        key: KeyPair,
        now: Timestamp,
    ) -> Result<(CertificateDer<'static>, Issuer<'static, KeyPair>), CertError> {
        let mut params = good_params(now)?;
        params.subject_alt_names.clear();
        params.extended_key_usages.clear();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, "Penerbit tak dikenal");
        let cert = params.signed_by(&key, self.root.issuer())?;
        Ok((cert.der().clone(), Issuer::new(params, key)))
    }

    fn under_unknown_ca(
        &self,
        kind: Hostile,
        params: CertificateParams,
        now: Timestamp,
    ) -> Result<Credential, CertError> {
        let key = KeyPair::generate()?;
        let (ca, issuer) = self.unknown_ca(KeyPair::generate()?, now)?;
        let mut chain = vec![params.signed_by(&key, &issuer)?.der().clone()];
        if kind == Hostile::IssuerWithoutList {
            chain.push(ca);
        }
        Credential::new(chain, &key)
    }

    /// The two algorithm names differ in one byte, and the signature is not looked at before them.
    fn signed_with_sha1(&self, params: CertificateParams, now: Timestamp) -> Result<Credential, CertError> {
        const SHA256_WITH_RSA: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b];
        const SHA1_WITH_RSA: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x05];
        let key = KeyPair::generate()?;
        let (ca, issuer) = self.unknown_ca(KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?, now)?;
        let cert = replace(params.signed_by(&key, &issuer)?.der(), &SHA256_WITH_RSA, &SHA1_WITH_RSA);
        Credential::new(vec![cert.into(), ca], &key)
    }

    /// A certificate whose key claims the curve P-192, signed again after the claim.
    fn on_p192(&self, params: &CertificateParams, key: &KeyPair) -> Result<Credential, CertError> {
        const P256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        const P192: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1];
        const ECDSA_SHA256: [u8; 12] = [0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        let good = params.signed_by(key, self.issuing.issuer())?;
        let facts = x509::parse(good.der()).map_err(CertError::BadRequest)?;
        let tbs = replace(facts.tbs_certificate.as_ref(), &P256, &P192);
        let mut signature = vec![0];
        signature.extend(self.issuing.issuer().key().sign(&tbs)?);
        let cert = der(0x30, &[tbs, ECDSA_SHA256.to_vec(), der(0x03, &signature)].concat());
        Credential::new(vec![cert.into(), self.issuing.certificate().clone()], key)
    }
}

/// The certificates that must be refused, by what is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hostile {
    /// A02: a root nobody trusts, of the same name as the trusted one.
    OtherRoot,
    /// A03: the issuing CA neither sent nor configured.
    IntermediateMissing,
    /// A04.
    Expired,
    /// A05.
    NotYetValid,
    /// A08: the issuing CA is sent but has no list at the node.
    IssuerWithoutList,
    /// A13.
    ServerAuthOnly,
    /// A14: no extended key usage at all.
    NoKeyUsage,
    /// A15: no alternative name.
    NoSan,
    /// A15: alternative names, but no URI.
    NoUri,
    /// A15: two identities.
    TwoUris,
    /// A15: a URI of another scheme.
    NotSpiffe,
    /// A15: an identity of another exchange.
    WrongDomain,
    /// A16: the CA of 64.02 names an agency of 64.03.
    RogueArea,
    /// A17.
    CaAsClient,
    /// A18: RSA of 1024 bits.
    Rsa1024,
    /// A18: signed with SHA-1.
    Sha1,
    /// A18: a key on P-192.
    CurveP192,
    /// A22: 200 certificates above the own.
    HugeChain,
}

/// How a hostile certificate is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The handshake ends with this alert, named as in RFC 8446.
    Alert(&'static str),
    /// The connection ends without an alert: the message was never read to its end.
    Closed,
    /// The handshake succeeds; the request is answered 403 with this code.
    Code(&'static str),
}

impl Hostile {
    /// Every kind, in the order of the case numbers.
    pub const ALL: [Self; 18] = [
        Self::OtherRoot,
        Self::IntermediateMissing,
        Self::Expired,
        Self::NotYetValid,
        Self::IssuerWithoutList,
        Self::ServerAuthOnly,
        Self::NoKeyUsage,
        Self::NoSan,
        Self::NoUri,
        Self::TwoUris,
        Self::NotSpiffe,
        Self::WrongDomain,
        Self::RogueArea,
        Self::CaAsClient,
        Self::Rsa1024,
        Self::Sha1,
        Self::CurveP192,
        Self::HugeChain,
    ];

    /// How the node refuses it.
    #[must_use]
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::OtherRoot | Self::IntermediateMissing | Self::IssuerWithoutList => Refusal::Alert("unknown_ca"),
            Self::Expired | Self::NotYetValid => Refusal::Alert("certificate_expired"),
            Self::ServerAuthOnly | Self::NoKeyUsage => Refusal::Alert("unsupported_certificate"),
            Self::NoSan | Self::NoUri | Self::TwoUris | Self::NotSpiffe | Self::WrongDomain => {
                Refusal::Code("identity_invalid")
            }
            Self::RogueArea => Refusal::Code("identity_issuer_mismatch"),
            Self::CaAsClient => Refusal::Alert("certificate_unknown"),
            Self::Rsa1024 | Self::Sha1 | Self::CurveP192 => Refusal::Alert("bad_certificate"),
            Self::HugeChain => Refusal::Closed,
        }
    }
}

/// A chain with a key that signs for it, right or wrong.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The chain, the own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key, PEM. It belongs to the certificate unless the certificate's key is too weak to use.
    pub key_pem: String,
}

impl Credential {
    fn new(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Result<Self, CertError> {
        Ok(Self { chain, key_pem: key.serialize_pem() })
    }

    /// A credential from PEM texts.
    ///
    /// # Errors
    /// [`CertError::BadRequest`] if `chain` is no PEM.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, CertError> {
        let chain: Result<_, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        Ok(Self { chain: chain.map_err(|_| CertError::BadRequest("bad chain".to_owned()))?, key_pem: key.to_owned() })
    }

    /// A TLS 1.3 configuration that presents this credential as it is, checks nothing of its own,
    /// and trusts `root` for the server.
    ///
    /// # Errors
    /// [`CertError::Tls`].
    pub fn client_config(&self, root: &Ca) -> Result<ClientConfig, CertError> {
        let unreadable = |_| CertError::BadRequest("bad key".to_owned());
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(unreadable)?;
        let key = provider().key_provider.load_private_key(key)?;
        let own = SingleCertAndKey::from(CertifiedKey::new(self.chain.clone(), key));
        let mut config = plain_client(root)?.with_client_cert_resolver(Arc::new(own));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// A TLS 1.3 configuration that presents no certificate and trusts `root` for the server (A01).
///
/// # Errors
/// [`CertError::Tls`].
pub fn anonymous_client(root: &Ca) -> Result<ClientConfig, CertError> {
    Ok(plain_client(root)?.with_no_client_auth())
}

fn plain_client(root: &Ca) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, CertError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.certificate().clone())?;
    let builder = ClientConfig::builder_with_provider(provider());
    Ok(builder.with_protocol_versions(&[&rustls::version::TLS13])?.with_root_certificates(roots))
}

/// What a good client certificate of `64.02.dukcapil/simpeg` says.
fn good_params(now: Timestamp) -> Result<CertificateParams, CertError> {
    let mut params = CertificateParams::default();
    params.not_before = instant(now.plus_seconds(-DAY))?;
    params.not_after = instant(now.plus_seconds(30 * DAY))?;
    params.serial_number = Some(SerialNumber::from_slice(random_serial()?.as_bytes()));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![uri(&format!("spiffe://{DOMAIN}/64.02.dukcapil/simpeg"))?];
    Ok(params)
}

fn uri(text: &str) -> Result<SanType, CertError> {
    Ok(SanType::URI(text.try_into()?))
}

fn replace(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len().saturating_sub(old.len()) {
        if bytes[at..].starts_with(old) {
            bytes[at..at + new.len()].copy_from_slice(new);
        }
    }
    bytes
}

/// One DER value with the long form of its length, two bytes; enough for a certificate. Shorter
/// contents use the shorter forms, as DER demands.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut out = match content.len() {
        0..=0x7f => vec![tag, low],
        0x80..=0xff => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    out.extend_from_slice(content);
    out
}

/// A public key that is only a number of 1024 bits; nobody holds its private half.
struct Rsa1024(Vec<u8>);

impl Rsa1024 {
    fn new() -> Self {
        let modulus = der(2, &[[0].as_slice(), &[0xc3; 128]].concat());
        Self(der(0x30, &[modulus, vec![2, 3, 1, 0, 1]].concat()))
    }
}

impl PublicKeyData for Rsa1024 {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}
