//! Access tokens: OAuth 2.0 JWTs (RFC 9068) that are worth something only to the holder of one certificate (RFC 8705).
//!
//! The checks that a JWT library leaves to its caller are all here: the type, critical headers, keys offered by the
//! token itself, lifetime, issue time, duplicate members, and the binding. Whoever calls over the network learns only
//! `invalid_token`; the word of [`TokenError`] goes to the audit log.
//!
//! ECDSA signatures can be rewritten into another valid signature of the same token. Nothing may
//! recognise a token by its bytes: its name is the `jti`.

pub(crate) mod compact;
mod keys;
mod verify;

#[cfg(test)]
mod tests;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Header};
use serde::Serialize;
use simpul_core::digest::Digest;
use simpul_core::id::Identity;
use simpul_core::time::Timestamp;

pub use compact::{MAX_DEPTH, Malformed};
pub use keys::{
    KeyAlgorithm, KeySet, KeySetError, MAX_KEY_SET_BYTES, MAX_KEYS, MAX_KID_BYTES, SigningKey, SigningKeyError,
};
pub use verify::{AccessToken, Claim, LEEWAY_SECONDS, TokenError, Verifier, claimed_issuer};

/// The `typ` header of an access token.
pub const TYPE: &str = "at+jwt";
/// The longest token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The longest time from issue to expiry, in seconds.
pub const MAX_LIFETIME_SECONDS: i64 = 3600;
/// The longest `jti`, in bytes.
pub const MAX_JTI_BYTES: usize = 128;

/// What a token says, apart from its times and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The node that issues it, as a URL.
    pub iss: String,
    /// The client.
    pub sub: Identity,
    /// The node that it is for, as a URL.
    pub aud: String,
    /// What the client may try, separated by single spaces; agreements decide what it gets.
    pub scope: String,
    /// The purpose that the client declared, if any.
    pub purpose: Option<String>,
    /// SHA-256 of the client's certificate (DER).
    pub client_thumbprint: Digest,
}

/// Why a token was not issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The lifetime is not 1 to [`MAX_LIFETIME_SECONDS`] seconds.
    #[error("a token lives 1 to {MAX_LIFETIME_SECONDS} seconds")]
    Lifetime,
    /// The `jti` is not 1 to [`MAX_JTI_BYTES`] visible ASCII characters.
    #[error("a token's number is 1 to {MAX_JTI_BYTES} visible ASCII characters")]
    Jti,
    /// The claims are so long that no verifier would take the token.
    #[error("the claims exceed a token of {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// The crypto library refused.
    #[error("the token could not be signed")]
    Signing,
}

#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    sub: &'a Identity,
    /// RFC 9068 wants it; a client of the exchange has no other name than its identity.
    client_id: &'a Identity,
    aud: &'a str,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<&'a str>,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: &'a str,
    cnf: Confirmation,
}

#[derive(Serialize)]
struct Confirmation {
    #[serde(rename = "x5t#S256")]
    thumbprint: String,
}

/// Issues a token that is valid from `now` for `lifetime` seconds. `jti` must never have been used before.
///
/// # Errors
/// See [`IssueError`].
pub fn issue(
    key: &SigningKey,
    claims: &Claims,
    now: Timestamp,
    lifetime: i64,
    jti: &str,
) -> Result<String, IssueError> {
    if !(1..=MAX_LIFETIME_SECONDS).contains(&lifetime) {
        return Err(IssueError::Lifetime);
    }
    if !verify::is_jti(jti) {
        return Err(IssueError::Jti);
    }
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some(TYPE.to_owned());
    header.kid = Some(key.kid().to_owned());
    let payload = Payload {
        iss: &claims.iss,
        sub: &claims.sub,
        client_id: &claims.sub,
        aud: &claims.aud,
        scope: &claims.scope,
        purpose: claims.purpose.as_deref(),
        iat: now.seconds(),
        nbf: now.seconds(),
        exp: now.plus_seconds(lifetime).seconds(),
        jti,
        cnf: Confirmation { thumbprint: BASE64_URL_SAFE_NO_PAD.encode(claims.client_thumbprint.as_bytes()) },
    };
    let token = key.sign(&header, &payload).map_err(|_| IssueError::Signing)?;
    if token.len() > MAX_TOKEN_BYTES { Err(IssueError::TooLong) } else { Ok(token) }
}
