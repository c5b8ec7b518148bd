//! Reading facts out of certificates and lists.

use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use simpul_core::digest::Digest;
use simpul_core::time::Timestamp;
use x509_parser::asn1_rs::{Oid, oid};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::identity::IssuerId;

/// The smallest RSA key accepted, in bits.
pub(crate) const MIN_RSA_BITS: usize = 2_048;

const EC_KEY: Oid<'static> = oid!(1.2.840.10045.2.1);
const ED25519: Oid<'static> = oid!(1.3.101.112);
const CURVES: [Oid<'static>; 3] = [oid!(1.2.840.10045.3.1.7), oid!(1.3.132.0.34), oid!(1.3.132.0.35)];

/// The certificate in `der`, with nothing after it.
pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], cert)) => Ok(cert),
        Ok(_) => Err("bytes follow the certificate".to_owned()),
        Err(_) => Err("the certificate is malformed".to_owned()),
    }
}

/// The digest of the certificate's public key.
pub(crate) fn key_id(cert: &X509Certificate<'_>) -> IssuerId {
    Digest::of(cert.subject_pki.raw)
}

/// Start and end of validity.
pub(crate) fn validity(cert: &X509Certificate<'_>) -> (Timestamp, Timestamp) {
    (instant(cert.validity.not_before), instant(cert.validity.not_after))
}

pub(crate) fn instant(time: ASN1Time) -> Timestamp {
    Timestamp::from_seconds(time.timestamp())
}

/// Whether an end certificate's key is strong enough: the TLS library checks the keys of CAs by
/// what they sign with, but takes any key in an end certificate.
pub(crate) fn check_key(spki: &SubjectPublicKeyInfo<'_>) -> Result<(), String> {
    match spki.parsed() {
        Ok(PublicKey::RSA(rsa)) if rsa.key_size() >= MIN_RSA_BITS => Ok(()),
        Ok(PublicKey::RSA(rsa)) => Err(format!("RSA of {} bits", rsa.key_size())),
        _ if spki.algorithm.algorithm == ED25519 => Ok(()),
        _ if spki.algorithm.algorithm == EC_KEY => {
            let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
            match curve.is_some_and(|curve| CURVES.contains(&curve)) {
                true => Ok(()),
                false => Err("an elliptic curve other than P-256, P-384 or P-521".to_owned()),
            }
        }
        _ => Err("a key of another kind".to_owned()),
    }
}

/// Number and end of the first list in a PEM file of our own CA.
pub(crate) fn crl_number_and_end(pem: &[u8]) -> Option<(u64, Timestamp)> {
    let der = CertificateRevocationListDer::from_pem_slice(pem).ok()?;
    let (_, list) = CertificateRevocationList::from_der(&der).ok()?;
    let number = list.crl_number()?.try_into().ok()?;
    Some((number, instant(list.next_update()?)))
}

/// A name as people know it: the common name, or the whole if there is none.
pub(crate) fn name(name: &x509_parser::x509::X509Name<'_>) -> String {
    let common = name.iter_common_name().next().and_then(|attribute| attribute.as_str().ok());
    common.map_or_else(|| name.to_string(), str::to_owned)
}

/// The certificate among `known` whose subject is the issuer of `certificate` and whose key signed it.
pub(crate) fn issuer_of<'k>(certificate: &[u8], known: &'k [Vec<u8>]) -> Option<&'k Vec<u8>> {
    use x509_parser::prelude::{FromDer, X509Certificate};
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    known.iter().find(|candidate| {
        X509Certificate::from_der(candidate).is_ok_and(|(_, above)| {
            above.subject() == parsed.issuer() && parsed.verify_signature(Some(above.public_key())).is_ok()
        })
    })
}
