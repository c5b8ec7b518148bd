//! Access tokens: `POST /v1/token` and the keys behind it.
//!
//! OAuth 2.0 client credentials with mutual TLS (RFC 6749 section 4.4, RFC 8705): the certificate of the connection is the
//! client's authentication, and the token that it gets is bound to it.

use std::collections::BTreeSet;
use std::path::Path;

use axum::extract::Request;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use simpul_certs::token::{self, AccessToken, Claims, KeySet, SigningKey, TokenError, Verifier};
use simpul_core::agreement::Agreement;
use simpul_core::digest::Digest;
use simpul_core::id::Identity;
use simpul_core::time::Timestamp;
use simpul_store::registry::Role;

use crate::answer;
use crate::door::{Caller, Context};
use crate::refusal::{Kind, Refusal};

/// The scope of administrators.
pub const ADMIN_SCOPE: &str = "admin";
/// The most bytes of a scope that nobody asked for: a token is at most 8 KiB, and travels with every request.
const MAX_SCOPE: usize = 2 << 10;
/// The most bytes of a token request.
const MAX_FORM: usize = 64 << 10;

/// The node's own issuer and verifier of tokens.
pub struct Tokens {
    key: SigningKey,
    keys: KeySet,
    verifier: Verifier,
    issuer: String,
    lifetime: i64,
}

impl Tokens {
    /// Opens the signing key in the folder `data`, made at the first start; issuer and audience are the node's identity.
    ///
    /// # Errors
    /// When the key cannot be read or made.
    pub fn open(data: &Path, identity: &Identity, lifetime: u32) -> anyhow::Result<Self> {
        let path = data.join("token.key");
        if !path.exists() {
            simpul_certs::files::write_secret(&path, SigningKey::generate()?.to_pem()?.as_bytes())?;
        }
        let pem = simpul_certs::files::read_secret(&path)?;
        let key = SigningKey::from_pem(std::str::from_utf8(&pem)?)?;
        let keys = KeySet::of([&key])?;
        let issuer = identity.to_string();
        let verifier = Verifier::new(issuer.clone(), issuer.clone(), KeySet::of([&key])?);
        Ok(Self { key, keys, verifier, issuer, lifetime: i64::from(lifetime) })
    }

    /// Checks a token that came over a connection with this certificate.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify(
        &self,
        token: &str,
        thumbprint: &Digest,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<AccessToken, TokenError> {
        self.verifier.verify(token, thumbprint, identity, now)
    }

    fn issue(&self, caller: &Caller, scope: String, now: Timestamp) -> Result<String, Refusal> {
        let claims = Claims {
            iss: self.issuer.clone(),
            sub: caller.identity.clone(),
            aud: self.issuer.clone(),
            scope,
            purpose: None,
            client_thumbprint: caller.thumbprint,
        };
        token::issue(&self.key, &claims, now, self.lifetime, &uuid::Uuid::new_v4().to_string())
            .map_err(Refusal::internal)
    }
}

#[derive(Deserialize)]
struct Form {
    grant_type: Option<String>,
    scope: Option<String>,
    client_id: Option<String>,
}

/// `POST /v1/token`
pub async fn grant(context: Context, request: Request) -> Result<Response, Refusal> {
    let app = context.app.clone();
    let caller = context.caller()?;
    let bytes = answer::read_all(request.into_body(), MAX_FORM).await?;
    let form: Form = serde_urlencoded::from_bytes(&bytes).map_err(|_| {
        oauth(Refusal::new(Kind::Malformed, "send grant_type=client_credentials form-encoded"), "invalid_request")
    })?;
    match form.grant_type.as_deref() {
        Some("client_credentials") => {}
        Some(_) => {
            return Err(oauth(Refusal::new(Kind::UnsupportedGrant, "client_credentials"), "unsupported_grant_type"));
        }
        None => return Err(oauth(Refusal::new(Kind::Malformed, "grant_type is missing"), "invalid_request")),
    }
    let named = form.client_id.as_deref().unwrap_or_default();
    if !named.is_empty() && named != caller.identity.to_string() && named != caller.identity.source() {
        let refusal = Refusal::new(Kind::ClientInvalid, "client_id is not that of the certificate");
        return Err(oauth(refusal.reason("client_id_mismatch"), "invalid_client"));
    }
    let now = app.now();
    let allowed = scopes(caller, &app.store.agreements().await?, now);
    let scope = chosen(&allowed, form.scope.as_deref())?;
    context.account.note("scope", scope.clone());
    let access_token = app.tokens.issue(caller, scope.clone(), now)?;
    Ok(answer::json(&json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": app.tokens.lifetime,
        "scope": scope,
    })))
}

/// Everything that the caller's agreements in force allow, and what its role adds.
fn scopes(caller: &Caller, agreements: &[Agreement], now: Timestamp) -> Vec<String> {
    let own = agreements.iter().filter(|agreement| {
        agreement.consumer == caller.identity.agency
            && agreement.client.as_ref().is_none_or(|client| *client == caller.identity.client)
            && agreement.in_force(now)
    });
    let mut scopes: Vec<String> = own
        .flat_map(|agreement| agreement.operations.iter().map(|operation| operation.scope(&agreement.dataset)))
        .collect();
    if caller.client.roles.contains(&Role::Administrator) {
        scopes.push(ADMIN_SCOPE.to_owned());
    }
    scopes.sort();
    scopes.dedup();
    scopes
}

/// What was asked for, or everything: one scope for each dataset, or, where that would not fit into a token, one for each
/// operation. Either is only what a token may be used for; what its bearer may do is in the agreements, at every request.
fn chosen(allowed: &[String], wanted: Option<&str>) -> Result<String, Refusal> {
    let Some(wanted) = wanted.filter(|text| !text.trim().is_empty()) else {
        let all = allowed.join(" ");
        return Ok(if all.len() <= MAX_SCOPE { all } else { operations(allowed) });
    };
    let wanted: Vec<&str> = wanted.split_ascii_whitespace().collect();
    if wanted.iter().all(|scope| allowed.iter().any(|have| have == scope)) {
        return Ok(wanted.join(" "));
    }
    Err(oauth(Refusal::new(Kind::InvalidScope, "no agreement in force gives this scope"), "invalid_scope"))
}

/// The operations among `scopes`, each once, without their datasets.
fn operations(scopes: &[String]) -> String {
    let names: BTreeSet<&str> = scopes.iter().filter_map(|scope| scope.split(':').next()).collect();
    names.into_iter().collect::<Vec<_>>().join(" ")
}

/// Adds the error code of RFC 6749, section 5.2.
fn oauth(refusal: Refusal, code: &str) -> Refusal {
    refusal.member("error", code)
}

/// `GET /v1/jwks`
pub async fn jwks(context: Context, _request: Request) -> Result<Response, Refusal> {
    Ok(answer::json(&context.app.tokens.keys.to_jwks()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_wish_a_token_is_for_everything_in_a_form_that_fits() {
        let few = ["admin".to_owned(), "deliver:sekolah".to_owned(), "read:sekolah".to_owned()];
        assert_eq!(chosen(&few, None).unwrap(), "admin deliver:sekolah read:sekolah");
        let mut many: Vec<String> = (0..300).map(|number| format!("read:dataset-{number}")).collect();
        many.push("admin".to_owned());
        assert_eq!(chosen(&many, Some(" ")).unwrap(), "admin read");
        assert_eq!(chosen(&many, Some("read:dataset-7")).unwrap(), "read:dataset-7");
    }

    #[test]
    fn nothing_that_is_not_allowed_can_be_wished_for() {
        let few = ["read:sekolah".to_owned()];
        for wish in ["read", "deliver:sekolah", "read:sekolah admin", "read:sekolah2"] {
            assert_eq!(chosen(&few, Some(wish)).unwrap_err().kind, Kind::InvalidScope, "{wish}");
        }
    }
}
