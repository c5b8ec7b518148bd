//! Receipts as signed texts: a compact JWS whose header carries the signer's certificate chain (`x5c`).
//!
//! A receipt is checked years later, offline, when every certificate in it has expired. So the chain is checked as of
//! the receipt's own `time`. That time is the signer's word; that the receipt existed by then is what the
//! audit log proves.

use base64::{Engine, prelude::BASE64_STANDARD};
use jsonwebtoken::{Algorithm, Header};
use rustls_pki_types::{CertificateDer, UnixTime};
use serde_json::{Map, Value};
use simpul_core::digest::Digest;
use simpul_core::id::Identity;
use simpul_core::receipt::{Receipt, TYPE};
use simpul_core::time::Timestamp;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use crate::token::SigningKey;
use crate::token::compact::{Compact, Malformed};

/// The longest receipt, in bytes: a few hundred of content, the rest is certificates.
pub const MAX_RECEIPT_BYTES: usize = 64 * 1024;
/// The longest chain, leaf and root included.
pub const MAX_CHAIN: usize = 8;
/// Why a receipt was not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The chain is empty or longer than [`MAX_CHAIN`].
    #[error("a chain of 1 to {MAX_CHAIN} certificates is needed")]
    Chain,
    /// The first certificate is not that of a node: see [`ReceiptError::Leaf`].
    #[error("the first certificate is not that of a node")]
    Leaf,
    /// The first certificate is for another key.
    #[error("the first certificate is not the signing key's")]
    LeafNotOfKey,
    /// The first certificate does not name the receipt's node.
    #[error("the first certificate does not name the receipt's node")]
    NodeNotOfLeaf,
    /// The receipt would be longer than [`MAX_RECEIPT_BYTES`].
    #[error("the receipt would exceed {MAX_RECEIPT_BYTES} bytes")]
    TooLong,
    /// The crypto library refused.
    #[error("the receipt could not be signed")]
    Signing,
}

/// Why a receipt does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The outer form is not that of a signed receipt.
    #[error("not a signed receipt: {0}")]
    Malformed(#[from] Malformed),
    /// The header has other members than `alg`, `typ`, `x5c`, or other values than a receipt's.
    #[error("the header is not that of a receipt")]
    Header,
    /// `x5c` is not a list of 1 to [`MAX_CHAIN`] certificates in base64.
    #[error("the certificate chain is not readable")]
    Chain,
    /// The first certificate may not sign, is not for serving (a mere client's is not), or does not name
    /// exactly one identity.
    #[error("the first certificate is not that of a node")]
    Leaf,
    /// The signature is not that of the first certificate's key.
    #[error("the signature does not match")]
    SignatureWrong,
    /// The signed content is not a receipt.
    #[error("the content is not a receipt")]
    Content,
    /// The receipt names another node than the certificate.
    #[error("signed by {signer}, but it names {named}")]
    NodeOther {
        /// The identity in the certificate.
        signer: Box<Identity>,
        /// The node in the receipt.
        named: Box<Identity>,
    },
    /// Without a given root: the chain does not end in a certificate that signs itself.
    #[error("the chain does not end in a root; give the root to check against")]
    NoRoot,
    /// No chain from the first certificate to a root held at the receipt's time.
    #[error("no chain to a root held at the time of the receipt: {0}")]
    Untrusted(String),
}

/// A receipt whose signature and chain hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReceipt {
    /// What was signed.
    pub receipt: Receipt,
    /// The node that signed: the URI name in its certificate. The reader decides whether it is the node it asked.
    pub node: Identity,
    /// SHA-256 of the certificate that signed (DER).
    pub leaf_fingerprint: Digest,
    /// SHA-256 of the public key (SubjectPublicKeyInfo, DER) of the CA that issued the node's certificate. No
    /// certificate can bound the URI names below it, so a reader that knows which CA serves
    /// which area compares this with its pins.
    pub issuer: Digest,
    /// SHA-256 of the root at the end of the chain (DER).
    pub root_fingerprint: Digest,
    /// Whether that root was given by the caller. If not, it came with the receipt, and the receipt
    /// proves no more than that whoever owns this root vouches for the node.
    pub pinned: bool,
}

/// Signs `receipt` with the key of the certificate `chain_der[0]`; each next certificate is the issuer of the
/// one before, up to the root if it is at hand. The chain itself is not checked: that is done when
/// the node loads it.
///
/// # Errors
/// See [`SignError`].
pub fn sign_receipt(receipt: &Receipt, key: &SigningKey, chain_der: &[Vec<u8>]) -> Result<String, SignError> {
    if !(1..=MAX_CHAIN).contains(&chain_der.len()) {
        return Err(SignError::Chain);
    }
    let leaf = Leaf::read(&chain_der[0]).ok_or(SignError::Leaf)?;
    if leaf.point != key.uncompressed_point() {
        return Err(SignError::LeafNotOfKey);
    }
    if leaf.identity != receipt.node {
        return Err(SignError::NodeNotOfLeaf);
    }
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some(TYPE.to_owned());
    header.x5c = Some(chain_der.iter().map(|der| BASE64_STANDARD.encode(der)).collect());
    let jws = key.sign(&header, receipt).map_err(|_| SignError::Signing)?;
    if jws.len() > MAX_RECEIPT_BYTES { Err(SignError::TooLong) } else { Ok(jws) }
}

/// Checks a receipt: its form, the signature by the key of its first certificate, that this certificate names the
/// receipt's node, and its chain to one of `roots` (DER) as of the receipt's time. With `None` the chain is
/// checked to the root that came along, and the result says that it is not pinned. Revocation is not
/// looked at: what a node signed before its key was withdrawn stays signed.
///
/// # Errors
/// The first check that fails.
pub fn verify_receipt(jws: &str, roots: Option<&[Vec<u8>]>) -> Result<VerifiedReceipt, ReceiptError> {
    let compact = Compact::split(jws, MAX_RECEIPT_BYTES)?;
    let chain = chain_of(&compact.header()?)?;
    let leaf = Leaf::read(&chain[0]).ok_or(ReceiptError::Leaf)?;
    if !leaf.verifies(compact.signed.as_bytes(), &compact.signature()?) {
        return Err(ReceiptError::SignatureWrong);
    }
    let content = Value::Object(compact.payload()?);
    let receipt: Receipt = serde_json::from_value(content).map_err(|_| ReceiptError::Content)?;
    if receipt.node != leaf.identity {
        return Err(ReceiptError::NodeOther { signer: Box::new(leaf.identity), named: Box::new(receipt.node) });
    }
    let path = match roots {
        Some(roots) => path_to_any(&chain, roots, receipt.time)?,
        None => {
            let last = chain.last().filter(|last| signs_itself(last)).ok_or(ReceiptError::NoRoot)?;
            path_to_any(&chain, std::slice::from_ref(last), receipt.time)?
        }
    };
    Ok(VerifiedReceipt {
        receipt,
        node: leaf.identity,
        leaf_fingerprint: Digest::of(&chain[0]),
        issuer: path.issuer,
        root_fingerprint: path.root,
        pinned: roots.is_some(),
    })
}

/// The parts of a JWS, checked for form and for nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct Unverified {
    /// The header.
    pub header: Map<String, Value>,
    /// The payload.
    pub payload: Map<String, Value>,
}

/// Takes a JWS of at most [`MAX_RECEIPT_BYTES`] apart so that a person can look at it. Nothing in it may be relied on.
///
/// # Errors
/// [`Malformed`].
pub fn decode_unverified(jws: &str) -> Result<Unverified, Malformed> {
    let compact = Compact::split(jws, MAX_RECEIPT_BYTES)?;
    Ok(Unverified { header: compact.header()?, payload: compact.payload()? })
}

/// The certificates of a header that is exactly that of a receipt: an unknown member could change what the rest means.
fn chain_of(header: &Map<String, Value>) -> Result<Vec<Vec<u8>>, ReceiptError> {
    let text = |member: &str| header.get(member).and_then(Value::as_str);
    if header.len() != 3 || text("alg") != Some("ES256") || text("typ") != Some(TYPE) {
        return Err(ReceiptError::Header);
    }
    let chain = header.get("x5c").ok_or(ReceiptError::Header)?.as_array().ok_or(ReceiptError::Chain)?;
    if !(1..=MAX_CHAIN).contains(&chain.len()) {
        return Err(ReceiptError::Chain);
    }
    let decode = |text: &Value| BASE64_STANDARD.decode(text.as_str()?).ok();
    chain.iter().map(|text| decode(text).ok_or(ReceiptError::Chain)).collect()
}

/// What a node's certificate says about it.
struct Leaf {
    identity: Identity,
    /// The P-256 key: 4, x, y.
    point: Vec<u8>,
}

impl Leaf {
    /// `None` unless the certificate may sign, may serve (as a node does and a mere client does not), and has
    /// exactly one URI name, which is an identity.
    fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        let signs = certificate.key_usage().ok()?.is_none_or(|usage| usage.value.digital_signature());
        let serves = certificate.extended_key_usage().ok()?.is_some_and(|usage| usage.value.server_auth);
        if !rest.is_empty() || !signs || !serves {
            return None;
        }
        let mut uris = Vec::new();
        for extension in certificate.extensions() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() {
                uris.extend(names.general_names.iter().filter_map(|name| match name {
                    GeneralName::URI(uri) => Some(*uri),
                    _ => None,
                }));
            }
        }
        let [uri] = uris[..] else { return None };
        let point = certificate.public_key().subject_public_key.data.to_vec();
        Some(Self { identity: uri.parse().ok()?, point })
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
        // Whatever kind of key the certificate holds, its bytes are taken as a P-256 point or not at all.
        self.point.len() == 65
            && UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point).verify(message, signature).is_ok()
    }
}

/// A chain that held: the digest of the leaf's issuer's public key, and that of the root.
struct Path {
    issuer: Digest,
    root: Digest,
}

/// The path to the first of `roots` that the chain leads to.
fn path_to_any(chain: &[Vec<u8>], roots: &[Vec<u8>], at: Timestamp) -> Result<Path, ReceiptError> {
    let mut reason = "no root was given".to_owned();
    for root in roots {
        match path_to(chain, root, at) {
            Ok(path) => return Ok(path),
            Err(fault) => reason = fault,
        }
    }
    Err(ReceiptError::Untrusted(reason))
}

fn path_to(chain: &[Vec<u8>], root: &[u8], at: Timestamp) -> Result<Path, String> {
    let (_, parsed) = X509Certificate::from_der(root).map_err(|_| "the root is not a certificate")?;
    // A trust anchor's own validity is outside the path check.
    let validity = parsed.validity();
    if !(validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&at.seconds()) {
        return Err("the root was not valid then".to_owned());
    }
    let seconds = u64::try_from(at.seconds()).map_err(|_| "the receipt's time is before 1970")?;
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let root = CertificateDer::from(root);
    let anchors = [anchor_from_trusted_cert(&root).map_err(|fault| fault.to_string())?];
    let leaf = CertificateDer::from(chain[0].as_slice());
    let leaf = EndEntityCert::try_from(&leaf).map_err(|fault| fault.to_string())?;
    let between: Vec<_> =
        chain[1..].iter().filter(|der| der[..] != root[..]).map(|der| CertificateDer::from(der.as_slice())).collect();
    let path = leaf
        .verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &between, time, KeyUsage::server_auth(), None, None)
        .map_err(|fault| fault.to_string())?;
    // The order in the receipt is the signer's choice; only the path that held tells who issued the leaf.
    let issuer = match path.intermediate_certificates().next() {
        Some(issuer) => Digest::of(&issuer.subject_public_key_info()),
        None => Digest::of(parsed.public_key().raw),
    };
    Ok(Path { issuer, root: Digest::of(&root) })
}

/// Whether the certificate is signed by its own key.
fn signs_itself(der: &[u8]) -> bool {
    let certificate = CertificateDer::from(der);
    let (Ok((_, parsed)), Ok(own)) = (X509Certificate::from_der(der), EndEntityCert::try_from(&certificate)) else {
        return false;
    };
    let message = parsed.tbs_certificate.as_ref();
    let signature = &parsed.signature_value.data;
    ALL_VERIFICATION_ALGS.iter().any(|algorithm| own.verify_signature(*algorithm, message, signature).is_ok())
}

#[cfg(test)]
mod tests;
