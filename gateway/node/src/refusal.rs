//! The only place that chooses an HTTP status and a problem type.
//!
//! A [`Refusal`] keeps apart what the caller may read (`detail`, `errors`) and what only the log may hold (`internal`).
//! Handlers return it; the door turns it into `application/problem+json` (RFC 9457) in the caller's language, so no handler
//! builds a status code. What is deliberately absent: any text that tells whether another agency's dataset exists.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use simpul_core::access::{Denied, ViewDenied};
use simpul_lake::LakeError;
use simpul_store::StoreError;

/// The language of titles, as the caller asks for it. Indonesian unless English is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Bahasa Indonesia.
    Indonesian,
    /// English.
    English,
}

impl Language {
    /// The language that `Accept-Language` names first.
    pub fn of(headers: &HeaderMap) -> Self {
        let first = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if first.trim_start().to_ascii_lowercase().starts_with("en") { Self::English } else { Self::Indonesian }
    }
}

impl From<Language> for simpul_schemas::Lang {
    fn from(language: Language) -> Self {
        match language {
            Language::Indonesian => Self::Id,
            Language::English => Self::En,
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $status:ident, $word:literal, $id:literal, $en:literal;)*) => {
        /// Every way in which a request can be refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// Every kind, for the documentation and for tests.
            #[cfg_attr(not(test), allow(dead_code))]
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The HTTP status.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$kind => StatusCode::$status,)* }
            }

            /// The stable word: the end of the problem type, the reason in the audit log and the label of the counter.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$kind => $word,)* }
            }

            /// The title in `language`.
            pub const fn title(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$kind, Language::Indonesian) => $id, (Self::$kind, Language::English) => $en,)*
                }
            }
        }
    };
}

kinds! {
    /// The request is not well formed.
    Malformed = BAD_REQUEST, "malformed", "Permintaan tidak dapat dibaca", "The request cannot be read";
    /// A name in the path is not of its form.
    NameInvalid = BAD_REQUEST, "name_invalid", "Nama tidak sah", "The name is not valid";
    /// A token in the query string would end up in logs.
    TokenInQuery = BAD_REQUEST, "token_in_query", "Token tidak boleh ada di alamat", "A token must not be in the address";
    /// More than one `Authorization` header.
    TwoAuthorizations = BAD_REQUEST, "two_authorizations", "Kepala Authorization lebih dari satu", "More than one Authorization header";
    /// A delivery without `Idempotency-Key`.
    KeyMissing = BAD_REQUEST, "idempotency_key_missing", "Idempotency-Key tidak ada", "Idempotency-Key is missing";
    /// The compressed body is broken.
    BodyCorrupt = BAD_REQUEST, "body_corrupt", "Isi terkompresi rusak", "The compressed body is broken";
    /// The body ended before its announced length.
    BodyIncomplete = BAD_REQUEST, "body_incomplete", "Isi terputus sebelum selesai", "The body ended early";
    /// The body is not the one that its digest announces.
    DigestMismatch = BAD_REQUEST, "digest_mismatch", "Isi tidak sama dengan sidik jarinya", "The body does not match its digest";
    /// Only digests of broken algorithms are given.
    DigestUnsupported = BAD_REQUEST, "digest_unsupported", "Algoritma sidik jari tidak diterima", "The digest algorithm is not accepted";
    /// The grant type of the token endpoint is unknown.
    UnsupportedGrant = BAD_REQUEST, "unsupported_grant_type", "Jenis grant tidak didukung", "The grant type is not supported";
    /// The requested scope cannot be given.
    InvalidScope = BAD_REQUEST, "invalid_scope", "Cakupan tidak dapat diberikan", "The scope cannot be granted";
    /// No token.
    TokenMissing = UNAUTHORIZED, "token_missing", "Token akses diperlukan", "An access token is required";
    /// A token that does not hold here.
    TokenInvalid = UNAUTHORIZED, "invalid_token", "Token akses tidak berlaku", "The access token does not hold";
    /// The certificate is not that of the client who asks for a token.
    ClientInvalid = UNAUTHORIZED, "invalid_client", "Sistem tidak dikenal", "The client is not known";
    /// The certificate was revoked while the connection was open.
    CertificateRevoked = UNAUTHORIZED, "certificate_revoked", "Sertifikat telah dicabut", "The certificate has been revoked";
    /// The certificate does not carry exactly one identity of this exchange.
    IdentityInvalid = FORBIDDEN, "identity_invalid", "Identitas dalam sertifikat tidak sah", "The identity in the certificate is not valid";
    /// The issuing CA may not vouch for this identity.
    IdentityIssuer = FORBIDDEN, "identity_issuer_mismatch", "Penerbit sertifikat tidak berwenang atas identitas ini", "The issuer may not vouch for this identity";
    /// No agreement in force allows this.
    NoAgreement = FORBIDDEN, "no_agreement", "Tidak ada PKS yang mengizinkan", "No agreement allows this";
    /// The token does not carry the scope.
    InsufficientScope = FORBIDDEN, "insufficient_scope", "Cakupan token tidak cukup", "The token's scope is not sufficient";
    /// The agreement does not show this column.
    ColumnDenied = FORBIDDEN, "column_denied", "Kolom tidak termasuk dalam PKS", "The agreement does not cover this column";
    /// Only administrators may do this.
    AdminOnly = FORBIDDEN, "administrator_only", "Hanya untuk administrator", "Only for administrators";
    /// A client may not act for this origin.
    OriginDenied = FORBIDDEN, "origin_denied", "Asal kiriman di luar wilayah pengirim", "The origin lies outside the sender's area";
    /// There is nothing here that the caller may know of.
    NotFound = NOT_FOUND, "not_found", "Tidak ditemukan", "Not found";
    /// The path exists, the method does not.
    MethodNotAllowed = METHOD_NOT_ALLOWED, "method_not_allowed", "Metode tidak didukung", "The method is not supported";
    /// No representation that the caller accepts.
    NotAcceptable = NOT_ACCEPTABLE, "not_acceptable", "Bentuk yang diminta tidak tersedia", "The wanted form is not available";
    /// The body came too slowly.
    Timeout = REQUEST_TIMEOUT, "timeout", "Pengiriman terlalu lambat", "The request came too slowly";
    /// A delivery with the same key is being read.
    InProgress = CONFLICT, "in_progress", "Kiriman yang sama sedang diproses", "The same delivery is in progress";
    /// Another delivery replaced the same period first.
    PeriodConflict = CONFLICT, "period_conflict", "Periode ini baru saja diganti kiriman lain", "Another delivery replaced this period first";
    /// The same sequence number came with other content.
    SequenceConflict = CONFLICT, "sequence_conflict", "Nomor urut sama dengan isi berbeda", "The same sequence number came with other content";
    /// The sequence number is older than one that has landed.
    Stale = CONFLICT, "stale_version", "Nomor urut lebih lama dari yang sudah diterima", "The sequence number is older than one accepted";
    /// A registered version cannot change.
    VersionConflict = CONFLICT, "version_conflict", "Versi ini sudah terdaftar dengan isi lain", "This version is registered with other content";
    /// The new contract would break readers or history.
    Incompatible = CONFLICT, "schema_incompatible", "Standar data tidak kompatibel", "The contract is not compatible";
    /// The body is larger than allowed, on the wire or decompressed.
    TooLarge = PAYLOAD_TOO_LARGE, "too_large", "Isi terlalu besar", "The body is too large";
    /// The address is too long.
    UriTooLong = URI_TOO_LONG, "uri_too_long", "Alamat terlalu panjang", "The address is too long";
    /// The range lies outside the file.
    RangeInvalid = RANGE_NOT_SATISFIABLE, "range_invalid", "Rentang di luar berkas", "The range lies outside the file";
    /// Not a form that deliveries may have.
    MediaType = UNSUPPORTED_MEDIA_TYPE, "media_type", "Jenis berkas tidak didukung", "The media type is not supported";
    /// Not a compression that deliveries may have.
    Encoding = UNSUPPORTED_MEDIA_TYPE, "content_encoding", "Kompresi tidak didukung", "The content encoding is not supported";
    /// The key was used for another payload.
    KeyReused = UNPROCESSABLE_ENTITY, "idempotency_key_reused", "Kunci sudah dipakai untuk isi lain", "The key was used for another payload";
    /// The dataset has no contract here, or the named version is not registered.
    NoContract = UNPROCESSABLE_ENTITY, "no_contract", "Standar data belum terdaftar", "No contract is registered";
    /// A contract needs a code list that is not here.
    NoCodeList = UNPROCESSABLE_ENTITY, "no_code_list", "Kode referensi belum ada di simpul ini", "A code list is not on this node";
    /// The file as a whole cannot be read as the contract says.
    FileInvalid = UNPROCESSABLE_ENTITY, "file_invalid", "Berkas tidak dapat dibaca", "The file cannot be read";
    /// Rows break the contract.
    RowsInvalid = UNPROCESSABLE_ENTITY, "rows_invalid", "Baris tidak memenuhi standar data", "Rows break the contract";
    /// What an administrator sent does not make sense.
    Invalid = UNPROCESSABLE_ENTITY, "invalid", "Isian tidak sah", "The content is not valid";
    /// Too many requests.
    Quota = TOO_MANY_REQUESTS, "quota_exceeded", "Kuota terlampaui", "The quota is exceeded";
    /// Too many or too large headers.
    HeadersTooLarge = REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", "Kepala permintaan terlalu besar", "The headers are too large";
    /// A fault of the node. The log has the rest.
    Internal = INTERNAL_SERVER_ERROR, "internal", "Kesalahan di simpul ini", "A fault in this node";
    /// The node cannot do this now.
    Unavailable = SERVICE_UNAVAILABLE, "unavailable", "Sedang tidak tersedia", "Not available now";
    /// The disk is full.
    NoSpace = INSUFFICIENT_STORAGE, "no_space", "Penyimpanan simpul penuh", "The node's storage is full";
}

/// A refused request.
#[derive(Debug)]
pub struct Refusal {
    /// Which one.
    pub kind: Kind,
    /// What the caller may read about this case. Never holds a path, a query, or another agency's name.
    pub detail: String,
    /// The `errors` array of the problem.
    pub errors: Vec<Value>,
    /// More members of the problem, such as `delivery`.
    pub members: Box<serde_json::Map<String, Value>>,
    /// Headers that belong to the answer.
    pub headers: Box<HeaderMap>,
    /// What only the log may hold.
    pub internal: Option<String>,
    /// The stable reason for the audit log where it is finer than the kind's word.
    pub reason: Option<&'static str>,
    /// Whether the connection must close after this answer.
    pub close: bool,
}

impl Refusal {
    /// A refusal of this kind, with a sentence for the caller (at most 512 characters of it are kept).
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let detail: String = detail.into();
        Self {
            kind,
            detail: detail.chars().filter(|c| !c.is_control()).take(512).collect(),
            errors: Vec::new(),
            members: Box::default(),
            headers: Box::default(),
            internal: None,
            reason: None,
            close: false,
        }
    }

    /// A fault of the node; `internal` goes to the log only.
    pub fn internal(internal: impl std::fmt::Display) -> Self {
        let mut refusal = Self::new(Kind::Internal, "");
        refusal.internal = Some(internal.to_string());
        refusal
    }

    /// Adds what only the log may hold.
    pub fn because(mut self, internal: impl std::fmt::Display) -> Self {
        self.internal = Some(internal.to_string());
        self
    }

    /// Names the reason that the audit log keeps.
    pub const fn reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Adds a header whose value is known to be valid text.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Adds a member to the problem.
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Fills the `errors` array.
    pub fn errors(mut self, errors: Vec<Value>) -> Self {
        self.errors = errors;
        self
    }

    /// Closes the connection after the answer.
    pub const fn and_close(mut self) -> Self {
        self.close = true;
        self
    }

    /// The reason for audit and metrics.
    pub const fn word(&self) -> &'static str {
        match self.reason {
            Some(reason) => reason,
            None => self.kind.word(),
        }
    }

    /// The problem document (RFC 9457), in the caller's language.
    pub fn problem(&self, language: Language, request: &str) -> Value {
        let mut problem = json!({
            "type": format!("urn:simpul:problem:{}", self.kind.word()),
            "title": self.kind.title(language),
            "status": self.kind.status().as_u16(),
            "request": request,
            "errors": self.errors,
        });
        if let Some(object) = problem.as_object_mut() {
            if !self.detail.is_empty() {
                object.insert("detail".to_owned(), self.detail.as_str().into());
            }
            if self.kind == Kind::ClientInvalid {
                // RFC 6749, section 5.2.
                object.insert("error".to_owned(), "invalid_client".into());
            }
            object.extend((*self.members).clone());
        }
        problem
    }

    /// The answer, in the caller's language.
    pub fn into_response(self, language: Language, request: &str) -> Response {
        let problem = self.problem(language, request);
        let mut response = Response::new(Body::from(problem.to_string()));
        *response.status_mut() = self.kind.status();
        let headers = response.headers_mut();
        headers.extend(*self.headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.kind.status() == StatusCode::UNAUTHORIZED && !headers.contains_key(header::WWW_AUTHENTICATE) {
            headers.insert(header::WWW_AUTHENTICATE, challenge(self.kind));
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// RFC 6750, section 3: a request without any credentials gets no error code.
const fn challenge(kind: Kind) -> HeaderValue {
    match kind {
        Kind::TokenMissing | Kind::ClientInvalid => HeaderValue::from_static("Bearer realm=\"simpul\""),
        _ => HeaderValue::from_static("Bearer realm=\"simpul\", error=\"invalid_token\""),
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let reason = match denied {
            Denied::NoAgreement => "no_agreement",
            Denied::NotYet => "agreement_not_yet",
            Denied::Ended => "agreement_ended",
        };
        Self::new(Kind::NoAgreement, "").reason(reason)
    }
}

impl From<ViewDenied> for Refusal {
    fn from(denied: ViewDenied) -> Self {
        Self::new(Kind::ColumnDenied, denied.to_string())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSpace => Self::new(Kind::NoSpace, "").because("store: no space"),
            // Two administrators at the same time: the checks of one were made before the other's act.
            StoreError::Conflict { .. } => Self::new(Kind::VersionConflict, "").because(error),
            other => Self::internal(format!("store: {other}")),
        }
    }
}

impl From<LakeError> for Refusal {
    fn from(error: LakeError) -> Self {
        match error {
            LakeError::NoSpace { .. } => Self::new(Kind::NoSpace, "").because("lake: no space"),
            other => Self::internal(format!("lake: {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_has_its_own_word_and_refuses() {
        let words: HashSet<_> = Kind::ALL.iter().map(|kind| kind.word()).collect();
        assert_eq!(words.len(), Kind::ALL.len());
        assert!(Kind::ALL.iter().all(|kind| kind.status().is_client_error() || kind.status().is_server_error()));
    }

    #[test]
    fn a_detail_holds_no_control_characters_and_the_internal_text_stays_inside() {
        let refusal = Refusal::new(Kind::Internal, "a\r\nb\u{1b}[0m").because("SELECT secret");
        assert_eq!(refusal.detail, "ab[0m");
        let response = refusal.into_response(Language::English, "r1");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
