//! Keys that sign tokens and receipts, and the sets of public keys that tokens are checked against.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, ThumbprintHash};
use jsonwebtoken::{EncodingKey, Header};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde::Serialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::compact::{self, Malformed};

/// The largest key set that is read, in bytes.
pub const MAX_KEY_SET_BYTES: usize = 64 * 1024;
/// The most keys a set may hold.
pub const MAX_KEYS: usize = 64;
/// The longest key identifier, in bytes.
pub const MAX_KID_BYTES: usize = 256;

/// Members that only private or symmetric keys have (RFC 7518, sections 6.2.2, 6.3.2 and 6.4).
const SECRET_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a key is not usable for signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// The text has no PEM block `PRIVATE KEY` (PKCS#8).
    #[error("expected a PEM file with a PKCS#8 private key")]
    Pem,
    /// The key is not on the curve P-256.
    #[error("expected an ECDSA key on the curve P-256")]
    NotP256,
    /// The system's random generator refused.
    #[error("a new key could not be made")]
    Generate,
}

/// A P-256 key that signs with ES256. Its name, [`kid`](Self::kid), is the RFC 7638 thumbprint of its public half.
pub struct SigningKey {
    kid: String,
    /// x and y, 32 bytes each.
    point: [u8; 64],
    key: EncodingKey,
}

impl SigningKey {
    /// Makes a new key from the system's random bytes.
    ///
    /// # Errors
    /// [`SigningKeyError::Generate`].
    pub fn generate() -> Result<Self, SigningKeyError> {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256);
        let pair = pair.map_err(|_| SigningKeyError::Generate)?;
        Self::from_pkcs8(&Zeroizing::new(pair.serialize_der()))
    }

    /// Reads the first `PRIVATE KEY` block of a PEM file.
    ///
    /// # Errors
    /// [`SigningKeyError::Pem`] or [`SigningKeyError::NotP256`]; neither repeats anything of the file.
    pub fn from_pem(pem: &str) -> Result<Self, SigningKeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| SigningKeyError::Pem)?;
        Self::from_pkcs8(der.secret_pkcs8_der())
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, SigningKeyError> {
        install_provider();
        let key = EncodingKey::from_ec_der(der);
        let jwk = Jwk::from_encoding_key(&key, jsonwebtoken::Algorithm::ES256).map_err(|_| SigningKeyError::NotP256)?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| SigningKeyError::NotP256)?;
        let AlgorithmParameters::EllipticCurve(public) = &jwk.algorithm else { return Err(SigningKeyError::NotP256) };
        let coordinates = [&public.x, &public.y].map(|text| compact::base64url(text).unwrap_or_default());
        let point = coordinates.concat().try_into().map_err(|_| SigningKeyError::NotP256)?;
        Ok(Self { kid, point, key })
    }

    /// The key as PKCS#8 PEM, to be kept in a file that only the node can read.
    ///
    /// # Errors
    /// [`SigningKeyError::NotP256`], which a key that exists cannot cause.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, SigningKeyError> {
        let der = PrivatePkcs8KeyDer::from(self.key.as_bytes());
        let pair = rcgen::KeyPair::try_from(&der).map_err(|_| SigningKeyError::NotP256)?;
        Ok(Zeroizing::new(pair.serialize_pem()))
    }

    /// The name under which verifiers find the public half: 43 characters of base64url.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half as a JWK (RFC 7517).
    #[must_use]
    pub fn public_jwk(&self) -> Value {
        jwk_of(&self.kid, KeyAlgorithm::Es256, &self.point)
    }

    /// The public half as an uncompressed point, as it stands in a certificate: 4, x, y.
    pub(crate) fn uncompressed_point(&self) -> Vec<u8> {
        [&[4_u8][..], &self.point].concat()
    }

    /// Signs `payload` as a compact JWS.
    pub(crate) fn sign(
        &self,
        header: &Header,
        payload: &impl Serialize,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        jsonwebtoken::encode(header, payload, &self.key)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// Tells jsonwebtoken to use aws-lc-rs. Without this it guesses from its features, and panics if any crate of
/// the build turns on the other back end. Losing the race to another caller is fine: it installs the same.
fn install_provider() {
    let _ = aws_lc::DEFAULT_PROVIDER.install_default();
}

/// The one algorithm that a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256 with SHA-256, signature as r and s (RFC 7518, section 3.4).
    Es256,
    /// Ed25519 (RFC 8037).
    EdDsa,
}

impl KeyAlgorithm {
    /// The algorithm that `alg` names, of the two that are accepted.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// Why a key set was refused as a whole. The caller keeps the set it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not a JWK set: too long (over [`MAX_KEY_SET_BYTES`]), not strict JSON, or no `keys` array of objects.
    #[error("not a readable JWK set: {0}")]
    Malformed(#[from] Malformed),
    /// More than [`MAX_KEYS`] keys.
    #[error("too many keys")]
    TooMany,
    /// A symmetric key: whoever can verify with it could also sign.
    #[error("a symmetric key in a public key set")]
    SymmetricKey,
    /// A private member: the key is in everybody's hands.
    #[error("a private key in a public key set")]
    PrivateKey,
    /// Two keys of one name.
    #[error("two keys with one kid")]
    DuplicateKid,
    /// A `kid` that is not 1 to 256 printable ASCII characters.
    #[error("a kid that is not 1 to 256 printable ASCII characters")]
    InvalidKid,
    /// A P-256 or Ed25519 key whose coordinates are no such key.
    #[error("a key that is not a point of its curve")]
    InvalidKey,
    /// No key in it can verify a token.
    #[error("no usable ES256 or EdDSA key with a kid")]
    NoUsableKey,
}

struct PublicKey {
    algorithm: KeyAlgorithm,
    bytes: Vec<u8>,
    parsed: ParsedPublicKey,
}

impl PublicKey {
    /// `bytes` are x and y of a P-256 point, or the 32 bytes of an Ed25519 key.
    fn new(algorithm: KeyAlgorithm, bytes: Vec<u8>) -> Result<Self, KeySetError> {
        let parsed = match algorithm {
            KeyAlgorithm::Es256 if bytes.len() == 64 => {
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4_u8][..], &bytes].concat())
            }
            KeyAlgorithm::EdDsa if bytes.len() == 32 => ParsedPublicKey::new(&ED25519, &bytes),
            KeyAlgorithm::Es256 | KeyAlgorithm::EdDsa => return Err(KeySetError::InvalidKey),
        };
        Ok(Self { algorithm, bytes, parsed: parsed.map_err(|_| KeySetError::InvalidKey)? })
    }
}

/// Public keys by `kid`, each usable with exactly one algorithm.
pub struct KeySet(BTreeMap<String, PublicKey>);

impl KeySet {
    /// The public halves of our own keys: the current one and those that signed tokens which are still valid.
    ///
    /// # Errors
    /// [`KeySetError::NoUsableKey`] if there are none.
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Result<Self, KeySetError> {
        let mut set = BTreeMap::new();
        for key in keys {
            set.insert(key.kid.clone(), PublicKey::new(KeyAlgorithm::Es256, key.point.to_vec())?);
        }
        if set.is_empty() { Err(KeySetError::NoUsableKey) } else { Ok(Self(set)) }
    }

    /// Reads the JWK set of a foreign issuer. Keys for other algorithms or other uses, and keys without a `kid`,
    /// are passed over, as RFC 7517 section 5 asks; a secret or an ambiguous name spoils the whole set.
    ///
    /// # Errors
    /// See [`KeySetError`].
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeySetError> {
        if json.len() > MAX_KEY_SET_BYTES {
            return Err(Malformed::TooLong.into());
        }
        let document = compact::object(json)?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or(Malformed::Json)?;
        if keys.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let (mut set, mut kids) = (BTreeMap::new(), BTreeSet::new());
        for jwk in keys {
            let jwk = jwk.as_object().ok_or(Malformed::Json)?;
            refuse_secrets(jwk)?;
            let Some(kid) = jwk.get("kid") else { continue };
            let kid = kid.as_str().filter(|kid| is_kid(kid)).ok_or(KeySetError::InvalidKid)?;
            if !kids.insert(kid) {
                return Err(KeySetError::DuplicateKid);
            }
            if let Some((algorithm, bytes)) = signature_key(jwk)? {
                set.insert(kid.to_owned(), PublicKey::new(algorithm, bytes)?);
            }
        }
        if set.is_empty() { Err(KeySetError::NoUsableKey) } else { Ok(Self(set)) }
    }

    /// The set as a JWK set document (`application/jwk-set+json`).
    #[must_use]
    pub fn to_jwks(&self) -> Value {
        let keys: Vec<Value> = self.0.iter().map(|(kid, key)| jwk_of(kid, key.algorithm, &key.bytes)).collect();
        json!({ "keys": keys })
    }

    /// The names of the keys, in order.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The algorithm of the key `kid`, if the set has it.
    #[must_use]
    pub fn algorithm(&self, kid: &str) -> Option<KeyAlgorithm> {
        self.0.get(kid).map(|key| key.algorithm)
    }

    /// Whether `signature` over `message` was made with the key `kid`.
    pub(crate) fn verifies(&self, kid: &str, message: &[u8], signature: &[u8]) -> bool {
        self.0.get(kid).is_some_and(|key| key.parsed.verify_sig(message, signature).is_ok())
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Whether `text` may name a key: 1 to [`MAX_KID_BYTES`] printable ASCII characters.
pub(crate) fn is_kid(text: &str) -> bool {
    (1..=MAX_KID_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

fn refuse_secrets(jwk: &Map<String, Value>) -> Result<(), KeySetError> {
    if jwk.get("kty").and_then(Value::as_str) == Some("oct") {
        return Err(KeySetError::SymmetricKey);
    }
    let secret = SECRET_MEMBERS.iter().any(|member| jwk.contains_key(*member));
    if secret { Err(KeySetError::PrivateKey) } else { Ok(()) }
}

/// The algorithm and public bytes of a key that verifies signatures; `None` for any other key.
fn signature_key(jwk: &Map<String, Value>) -> Result<Option<(KeyAlgorithm, Vec<u8>)>, KeySetError> {
    let text = |member: &str| jwk.get(member).and_then(Value::as_str);
    let (algorithm, coordinates): (_, &[&str]) = match (text("kty"), text("crv")) {
        (Some("EC"), Some("P-256")) => (KeyAlgorithm::Es256, &["x", "y"]),
        (Some("OKP"), Some("Ed25519")) => (KeyAlgorithm::EdDsa, &["x"]),
        _ => return Ok(None),
    };
    let other_use = jwk.get("use").is_some_and(|usage| usage.as_str() != Some("sig"));
    let other_algorithm =
        jwk.get("alg").is_some_and(|alg| alg.as_str().and_then(KeyAlgorithm::from_name) != Some(algorithm));
    let verify = Value::from("verify");
    let other_operations =
        jwk.get("key_ops").is_some_and(|ops| !ops.as_array().is_some_and(|ops| ops.contains(&verify)));
    if other_use || other_algorithm || other_operations {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(64);
    for member in coordinates {
        let coordinate = text(member).and_then(|text| compact::base64url(text).ok());
        // A coordinate of another length than 32 could shift the border between x and y.
        bytes.extend(coordinate.filter(|bytes| bytes.len() == 32).ok_or(KeySetError::InvalidKey)?);
    }
    Ok(Some((algorithm, bytes)))
}

fn jwk_of(kid: &str, algorithm: KeyAlgorithm, bytes: &[u8]) -> Value {
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    match algorithm {
        KeyAlgorithm::Es256 => {
            let (x, y) = bytes.split_at(bytes.len() / 2);
            let (x, y) = (encode(x), encode(y));
            json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "alg": "ES256", "use": "sig", "kid": kid })
        }
        KeyAlgorithm::EdDsa => {
            json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(bytes), "alg": "EdDSA", "use": "sig", "kid": kid })
        }
    }
}
