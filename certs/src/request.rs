//! Certificate requests: a new key that never leaves its machine, and what is sent to the CA.

use std::net::IpAddr;

use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use simpul_core::id::Identity;
use zeroize::Zeroizing;

use crate::error::CertError;

/// A request with its new key.
pub struct NewRequest {
    /// The request (PKCS #10, PEM). The CA decides which names the certificate carries.
    pub csr_pem: String,
    /// The private key (PKCS #8, PEM), wiped from memory when dropped.
    pub key_pem: Zeroizing<String>,
}

/// Makes an ECDSA P-256 key and a request for `identity`, reached under these host names and addresses.
///
/// # Errors
/// [`CertError::Generate`] if a name cannot stand in a request.
pub fn new(identity: &Identity, dns: &[String], ips: &[IpAddr]) -> Result<NewRequest, CertError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(dns.to_vec())?;
    params.subject_alt_names.push(SanType::URI(identity.to_string().try_into()?));
    params.subject_alt_names.extend(ips.iter().map(|ip| SanType::IpAddress(*ip)));
    params.distinguished_name.push(DnType::CommonName, identity.source());
    let csr_pem = params.serialize_request(&key)?.pem()?;
    Ok(NewRequest { csr_pem, key_pem: Zeroizing::new(key.serialize_pem()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_and_its_key_is_fresh() {
        let identity: Identity = "spiffe://satudata.test/64.02.diskominfo/simpul".parse().unwrap();
        let (a, b) = (new(&identity, &[], &[]).unwrap(), new(&identity, &[], &[]).unwrap());
        assert!(a.csr_pem.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
        assert_ne!(*a.key_pem, *b.key_pem);
    }
}
