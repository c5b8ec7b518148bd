//! Identities, a small CA, revocation, tokens, and TLS configurations that are replaced while
//! connections stay open.
//!
//! | to | read |
//! |---|---|
//! | make a CA, issue, revoke | [`ca`] |
//! | know who a peer is | [`identity`] |
//! | see what is believed and what a reload refuses | [`trust`] |
//! | configure a listener or a caller | [`tls`] |
//! | ask a CA for a certificate | [`request`] |
//! | issue and verify access tokens | [`token`] |
//! | sign and verify receipts | [`jws`] |
//! | warn before something ends | [`status`] |

pub mod ca;
pub mod error;
pub mod files;
pub mod identity;
pub mod jws;
pub mod request;
pub mod status;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod token;
pub mod trust;
mod x509;

pub use error::CertError;
