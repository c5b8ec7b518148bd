//! Checks access tokens.

use serde_json::{Map, Value};
use simpul_core::digest::Digest;
use simpul_core::id::Identity;
use simpul_core::time::Timestamp;
use subtle::ConstantTimeEq;

use super::compact::{self, Compact, Malformed};
use super::keys::{KeyAlgorithm, KeySet, is_kid};
use super::{MAX_JTI_BYTES, MAX_LIFETIME_SECONDS, MAX_TOKEN_BYTES, TYPE};

/// How far two clocks may differ, in seconds. Far below the usual minute: nodes keep time, and one that does
/// not should notice.
pub const LEEWAY_SECONDS: i64 = 5;

/// Why a token was refused. The caller learns only `invalid_token`; [`word`](Self::word) goes to the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("token refused: {}", self.word())]
pub enum TokenError {
    /// The outer form is not that of a token.
    Malformed(#[from] Malformed),
    /// The header demands that the reader understand something (`crit`), or that the payload be read otherwise
    /// (`b64`, `zip`, `enc`, `cty`).
    HeaderDemand,
    /// The token brings or points to the key that it wants to be checked with (`jku`, `jwk`, `x5u`, `x5c`).
    KeyInHeader,
    /// `typ` is not `at+jwt`.
    TypeOther,
    /// `alg` is missing or not ES256 or EdDSA.
    AlgorithmRefused,
    /// `kid` is missing.
    KidMissing,
    /// `kid` is not 1 to 256 printable ASCII characters.
    KidInvalid,
    /// No key of this name. The key set may be older than the key.
    KidUnknown,
    /// The key is for another algorithm than the header says.
    AlgorithmNotOfKey,
    /// The signature is not the key's.
    SignatureWrong,
    /// A required claim is missing; the claim's name.
    Missing(Claim),
    /// A claim is of the wrong type or form; the claim's name.
    Invalid(Claim),
    /// A claim says something else than it must here; the claim's name.
    Other(Claim),
    /// `exp` has passed.
    Expired,
    /// `iat` lies in the future.
    IssuedInFuture,
    /// `nbf` lies in the future.
    NotYetValid,
    /// `exp` is more than the longest lifetime after `iat`.
    Lifetime,
}

/// A claim that the verifier looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// `iss`, the issuer.
    Iss,
    /// `sub`, the client's identity.
    Sub,
    /// `aud`, the node the token is for.
    Aud,
    /// `exp`, the expiry.
    Exp,
    /// `iat`, the time of issue.
    Iat,
    /// `nbf`, the start of validity.
    Nbf,
    /// `jti`, the token's number.
    Jti,
    /// `cnf`, the certificate the token is bound to.
    Cnf,
    /// `scope`.
    Scope,
    /// `purpose`.
    Purpose,
}

impl Claim {
    /// The claim's name, and the words for: missing, of the wrong form, other than it must be.
    const fn words(self) -> [&'static str; 4] {
        match self {
            Self::Iss => ["iss", "iss_missing", "iss_invalid", "iss_other"],
            Self::Sub => ["sub", "sub_missing", "sub_invalid", "sub_other"],
            Self::Aud => ["aud", "aud_missing", "aud_invalid", "aud_other"],
            Self::Exp => ["exp", "exp_missing", "exp_invalid", "exp_other"],
            Self::Iat => ["iat", "iat_missing", "iat_invalid", "iat_other"],
            Self::Nbf => ["nbf", "nbf_missing", "nbf_invalid", "nbf_other"],
            Self::Jti => ["jti", "jti_missing", "jti_invalid", "jti_other"],
            Self::Cnf => ["cnf", "cnf_missing", "cnf_invalid", "cnf_other"],
            Self::Scope => ["scope", "scope_missing", "scope_invalid", "scope_other"],
            Self::Purpose => ["purpose", "purpose_missing", "purpose_invalid", "purpose_other"],
        }
    }

    const fn name(self) -> &'static str {
        self.words()[0]
    }
}

impl TokenError {
    /// The stable word for the audit log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Malformed(form) => form.word(),
            Self::HeaderDemand => "header_demand",
            Self::KeyInHeader => "key_in_header",
            Self::TypeOther => "typ_other",
            Self::AlgorithmRefused => "alg_refused",
            Self::KidMissing => "kid_missing",
            Self::KidInvalid => "kid_invalid",
            Self::KidUnknown => "kid_unknown",
            Self::AlgorithmNotOfKey => "alg_not_of_key",
            Self::SignatureWrong => "signature_wrong",
            Self::Missing(claim) => claim.words()[1],
            Self::Invalid(claim) => claim.words()[2],
            Self::Other(claim) => claim.words()[3],
            Self::Expired => "expired",
            Self::IssuedInFuture => "issued_in_future",
            Self::NotYetValid => "not_yet_valid",
            Self::Lifetime => "token_lifetime",
        }
    }
}

/// A token that holds for the certificate and identity it was presented with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// Who issued it.
    pub issuer: String,
    /// The client.
    pub subject: Identity,
    /// What the client may try, as the token words it; empty if it says nothing.
    pub scope: String,
    /// The purpose that the client declared.
    pub purpose: Option<String>,
    /// The token's number, the only key under which it may be remembered or revoked.
    pub jti: String,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it expires, without leeway.
    pub expires: Timestamp,
}

impl AccessToken {
    /// Whether `wanted` is one of the words of the scope.
    #[must_use]
    pub fn has_scope(&self, wanted: &str) -> bool {
        self.scope.split(' ').any(|word| word == wanted)
    }
}

/// Checks the tokens of one issuer for one audience.
#[derive(Debug)]
pub struct Verifier {
    issuer: String,
    audience: String,
    keys: KeySet,
    leeway: i64,
    max_lifetime: i64,
}

impl Verifier {
    /// A verifier with a leeway of [`LEEWAY_SECONDS`] and a longest lifetime of [`MAX_LIFETIME_SECONDS`].
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>, keys: KeySet) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            keys,
            leeway: LEEWAY_SECONDS,
            max_lifetime: MAX_LIFETIME_SECONDS,
        }
    }

    /// The issuer whose tokens this verifier takes.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Checks `token`, presented over a connection whose client certificate has the SHA-256 `presented` (of its DER)
    /// and names `identity`. Nothing in the payload is read before the signature holds.
    ///
    /// Whether the client is known, the certificate revoked or the `jti` denied is for the caller to ask.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify(
        &self,
        token: &str,
        presented: &Digest,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<AccessToken, TokenError> {
        let compact = Compact::split(token, MAX_TOKEN_BYTES)?;
        let header = compact.header()?;
        let kid = self.accepted_kid(&header)?;
        if !self.keys.verifies(kid, compact.signed.as_bytes(), &compact.signature()?) {
            return Err(TokenError::SignatureWrong);
        }
        let claims = Claims(compact.payload()?);
        let (issued, expires) = self.check_times(&claims, now.seconds())?;
        claims.must_be(Claim::Iss, &self.issuer)?;
        claims.must_be(Claim::Aud, &self.audience)?;
        check_binding(&claims, presented)?;
        claims.must_be(Claim::Sub, &identity.to_string())?;
        let jti = claims.text(Claim::Jti)?.ok_or(TokenError::Missing(Claim::Jti))?;
        if !is_jti(jti) {
            return Err(TokenError::Invalid(Claim::Jti));
        }
        Ok(AccessToken {
            issuer: self.issuer.clone(),
            subject: identity.clone(),
            scope: claims.text(Claim::Scope)?.unwrap_or_default().to_owned(),
            purpose: claims.text(Claim::Purpose)?.map(str::to_owned),
            jti: jti.to_owned(),
            issued: Timestamp::from_seconds(issued),
            expires: Timestamp::from_seconds(expires),
        })
    }

    /// The name of the key, once the header asks for nothing but an ordinary signature by it.
    fn accepted_kid<'h>(&self, header: &'h Map<String, Value>) -> Result<&'h str, TokenError> {
        let has = |members: &[&str]| members.iter().any(|member| header.contains_key(*member));
        if has(&["crit", "b64", "zip", "enc", "cty"]) {
            return Err(TokenError::HeaderDemand);
        }
        if has(&["jku", "jwk", "x5u", "x5c"]) {
            return Err(TokenError::KeyInHeader);
        }
        let text = |member: &str| header.get(member).and_then(Value::as_str);
        // RFC 9068, section 4, also names the long form of the media type.
        if !matches!(text("typ"), Some(TYPE | "application/at+jwt")) {
            return Err(TokenError::TypeOther);
        }
        let algorithm = text("alg").and_then(KeyAlgorithm::from_name).ok_or(TokenError::AlgorithmRefused)?;
        let kid = header.get("kid").ok_or(TokenError::KidMissing)?.as_str().ok_or(TokenError::KidInvalid)?;
        if !is_kid(kid) {
            return Err(TokenError::KidInvalid);
        }
        match self.keys.algorithm(kid) {
            None => Err(TokenError::KidUnknown),
            Some(of_key) if of_key != algorithm => Err(TokenError::AlgorithmNotOfKey),
            Some(_) => Ok(kid),
        }
    }

    /// `iat` and `exp`, in seconds. The last second of the leeway still counts: a token is refused
    /// from `exp` + leeway + 1 s on.
    fn check_times(&self, claims: &Claims, now: i64) -> Result<(i64, i64), TokenError> {
        let expires = claims.seconds(Claim::Exp)?.ok_or(TokenError::Missing(Claim::Exp))?;
        let issued = claims.seconds(Claim::Iat)?.ok_or(TokenError::Missing(Claim::Iat))?;
        if now > expires.saturating_add(self.leeway) {
            return Err(TokenError::Expired);
        }
        let latest = now.saturating_add(self.leeway);
        if issued > latest {
            return Err(TokenError::IssuedInFuture);
        }
        if claims.seconds(Claim::Nbf)?.is_some_and(|start| start > latest) {
            return Err(TokenError::NotYetValid);
        }
        if expires.saturating_sub(issued) > self.max_lifetime {
            return Err(TokenError::Lifetime);
        }
        Ok((issued, expires))
    }
}

/// RFC 8705, section 3.1: the token belongs to the certificate whose SHA-256 it carries.
fn check_binding(claims: &Claims, presented: &Digest) -> Result<(), TokenError> {
    const INVALID: TokenError = TokenError::Invalid(Claim::Cnf);
    let bound = claims.0.get("cnf").ok_or(TokenError::Missing(Claim::Cnf))?.as_object().ok_or(INVALID)?;
    let thumbprint = bound.get("x5t#S256").ok_or(TokenError::Missing(Claim::Cnf))?.as_str().ok_or(INVALID)?;
    // A second binding, such as a DPoP key, would go unchecked: then the token is not ours to accept.
    if bound.len() != 1 {
        return Err(INVALID);
    }
    let thumbprint = compact::base64url(thumbprint).map_err(|_| INVALID)?;
    if thumbprint.len() != 32 {
        return Err(INVALID);
    }
    let same: bool = thumbprint.ct_eq(presented.as_bytes()).into();
    if same { Ok(()) } else { Err(TokenError::Other(Claim::Cnf)) }
}

/// Whether `text` may number a token: 1 to [`MAX_JTI_BYTES`] visible ASCII characters.
pub(super) fn is_jti(text: &str) -> bool {
    (1..=MAX_JTI_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The issuer that `token` names, believed by nobody yet: only to choose the [`Verifier`] that then checks it.
#[must_use]
pub fn claimed_issuer(token: &str) -> Option<String> {
    let claims = Claims(Compact::split(token, MAX_TOKEN_BYTES).ok()?.payload().ok()?);
    claims.text(Claim::Iss).ok()?.map(str::to_owned)
}

struct Claims(Map<String, Value>);

impl Claims {
    fn text(&self, claim: Claim) -> Result<Option<&str>, TokenError> {
        match self.0.get(claim.name()) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(TokenError::Invalid(claim)),
        }
    }

    /// Whole seconds since 1970, not negative. RFC 7519 would allow fractions; no issuer needs them, and a
    /// float cannot be compared exactly.
    fn seconds(&self, claim: Claim) -> Result<Option<i64>, TokenError> {
        match self.0.get(claim.name()) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(seconds) if seconds >= 0 => Ok(Some(seconds)),
                _ => Err(TokenError::Invalid(claim)),
            },
        }
    }

    /// A list, even of one audience, is refused like any other type.
    fn must_be(&self, claim: Claim, expected: &str) -> Result<(), TokenError> {
        match self.text(claim)? {
            None => Err(TokenError::Missing(claim)),
            Some(text) if text == expected => Ok(()),
            Some(_) => Err(TokenError::Other(claim)),
        }
    }
}
