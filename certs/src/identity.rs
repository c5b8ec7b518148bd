//! Who a certificate speaks for, and whether its issuer may say so.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use simpul_core::digest::Digest;
use simpul_core::id::{AgencyCode, Identity, TrustDomain};
use simpul_core::time::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// A CA, known by the SHA-256 digest of its public key (SubjectPublicKeyInfo, DER). It stays the
/// same when the CA's certificate is renewed or cross-signed with the same key.
pub type IssuerId = Digest;

/// Why a verified certificate is nobody, or somebody it may not be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Not exactly one well-formed URI name of this exchange (A15).
    #[error(
        "the certificate carries no valid identity: {0}; it must have exactly one URI name spiffe://<trust-domain>/<agency>/<client>"
    )]
    Invalid(&'static str),
    /// The issuing CA has no right to this identity (A16).
    #[error("the CA \"{issuer}\" may not issue the identity {identity}; have it issued by the CA of that area")]
    IssuerMismatch {
        /// The CA that overstepped.
        issuer: IssuerId,
        /// The identity it named.
        identity: Box<Identity>,
    },
}

impl IdentityError {
    /// The stable word for problem types, audit and counters.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "identity_invalid",
            Self::IssuerMismatch { .. } => "identity_issuer_mismatch",
        }
    }
}

/// A certificate's serial number: 1 to 20 bytes, written as lower-case hexadecimal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial(Vec<u8>);

impl Serial {
    /// Takes the bytes of the number as they stand in the certificate, big end first. `None` for
    /// none or more than 20 (21 with the sign byte).
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (1..=21).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// The bytes of the number, as in the certificate.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

/// The text is not the hexadecimal form of a serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a serial number: expected 2 to 42 hexadecimal digits")]
pub struct InvalidSerial;

impl FromStr for Serial {
    type Err = InvalidSerial;

    fn from_str(text: &str) -> Result<Self, InvalidSerial> {
        if !text.bytes().all(|b| b.is_ascii_hexdigit()) || !text.len().is_multiple_of(2) || text.len() > 42 {
            return Err(InvalidSerial);
        }
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or(InvalidSerial);
        let bytes: Result<Vec<u8>, _> =
            text.as_bytes().chunks_exact(2).map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
        Self::from_bytes(&bytes?).ok_or(InvalidSerial)
    }
}

impl TryFrom<String> for Serial {
    type Error = InvalidSerial;
    fn try_from(text: String) -> Result<Self, InvalidSerial> {
        text.parse()
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}

/// The part of the exchange a CA may name: an area with all areas inside it (`64.02`), or every
/// area (`*`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AreaPrefix(Option<String>);

/// The text is not an area prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an area prefix: expected an area code such as 64 or 64.02, or * for every area")]
pub struct InvalidPrefix;

impl AreaPrefix {
    /// Every area of the exchange.
    pub const EVERYWHERE: Self = Self(None);

    /// Whether `agency` works in this area or in one inside it.
    #[must_use]
    pub fn covers(&self, agency: &AgencyCode) -> bool {
        self.covers_area(agency.area())
    }

    /// Whether every area of `other` lies in this one.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(area)) => self.covers_area(area),
        }
    }

    fn covers_area(&self, area: &str) -> bool {
        self.0.as_deref().is_none_or(|own| {
            // `64.02` must not cover `64.021`: the rest is empty or begins a new level.
            area.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}

impl FromStr for AreaPrefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        if text == "*" {
            return Ok(Self::EVERYWHERE);
        }
        // The area codes are those of agencies, and core knows their form.
        AgencyCode::new(format!("{text}.x")).map_err(|_| InvalidPrefix)?;
        Ok(Self(Some(text.to_owned())))
    }
}

impl TryFrom<String> for AreaPrefix {
    type Error = InvalidPrefix;
    fn try_from(text: String) -> Result<Self, InvalidPrefix> {
        text.parse()
    }
}

impl From<AreaPrefix> for String {
    fn from(prefix: AreaPrefix) -> Self {
        prefix.0.unwrap_or_else(|| "*".to_owned())
    }
}

impl fmt::Display for AreaPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("*"))
    }
}

/// One line of an issuers file: a CA and the areas it may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerPin {
    /// The CA.
    pub issuer: IssuerId,
    /// Its name, for people.
    pub name: String,
    /// Where it may name agencies.
    pub prefixes: Vec<AreaPrefix>,
}

/// Which CA may name which areas. A CA that is not listed may name nobody.
///
/// DNS name constraints in a CA certificate do not bound URI names, and the verifier refuses URI
/// constraints altogether; so the bound is kept here, outside the certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssuerPins(BTreeMap<IssuerId, Vec<AreaPrefix>>);

impl IssuerPins {
    /// Collects pins; several lines for one CA add up.
    #[must_use]
    pub fn new(pins: impl IntoIterator<Item = IssuerPin>) -> Self {
        let mut map: BTreeMap<IssuerId, Vec<AreaPrefix>> = BTreeMap::new();
        for pin in pins {
            map.entry(pin.issuer).or_default().extend(pin.prefixes);
        }
        Self(map)
    }

    /// Whether every CA of a path may name `identity`: the issuer of the certificate must be
    /// listed, and no CA above it may be bound to other areas.
    ///
    /// # Errors
    /// [`IdentityError::IssuerMismatch`] with the first CA that may not.
    pub fn check(&self, identity: &Identity, path: &[Link]) -> Result<(), IdentityError> {
        let covers = |prefixes: &Vec<AreaPrefix>| prefixes.iter().any(|p| p.covers(&identity.agency));
        for (height, link) in path.iter().enumerate() {
            if !self.0.get(&link.issuer).map_or(height > 0, covers) {
                return Err(IdentityError::IssuerMismatch {
                    issuer: link.issuer,
                    identity: Box::new(identity.clone()),
                });
            }
        }
        Ok(())
    }

    pub(crate) fn lists(&self, issuer: &IssuerId) -> bool {
        self.0.contains_key(issuer)
    }
}

/// One certificate of a verified path: who signed it, and its number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// The CA that signed the certificate.
    pub issuer: IssuerId,
    /// The certificate's number at that CA.
    pub serial: Serial,
}

/// Who is at the other end of a connection, from a verified certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Agency and client.
    pub identity: Identity,
    /// SHA-256 of the certificate (DER).
    pub thumbprint: Digest,
    /// The certificate's number.
    pub serial: Serial,
    /// The CA that issued it.
    pub issuer: IssuerId,
    /// End of the certificate's validity.
    pub not_after: Timestamp,
    /// When the verification ends at the latest: the earliest end of any certificate of the path
    /// and of any revocation list it depends on.
    pub valid_until: Timestamp,
    /// The certificate and every intermediate above it, each with its issuer.
    pub path: Vec<Link>,
}

impl PeerIdentity {
    /// The thumbprint as a token's `cnf` claim writes it (RFC 8705 `x5t#S256`): base64url, no padding.
    #[must_use]
    pub fn x5t_s256(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.thumbprint.as_bytes())
    }
}

/// The one URI name of a certificate, as an identity of `domain`.
pub(crate) fn identity_of(cert: &X509Certificate<'_>, domain: &TrustDomain) -> Result<Identity, IdentityError> {
    let names = match cert.subject_alternative_name() {
        Ok(Some(names)) => names.value,
        Ok(None) => return Err(IdentityError::Invalid("it has no subject alternative name")),
        Err(_) => return Err(IdentityError::Invalid("its subject alternative names are malformed")),
    };
    let mut uris = names.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let uri = match (uris.next(), uris.next()) {
        (Some(uri), None) => uri,
        (None, _) => return Err(IdentityError::Invalid("it has no URI name")),
        (Some(_), Some(_)) => return Err(IdentityError::Invalid("it has more than one URI name")),
    };
    let identity: Identity = uri.parse().map_err(|_| IdentityError::Invalid("its URI name has another form"))?;
    match identity.trust_domain == *domain {
        true => Ok(identity),
        false => Err(IdentityError::Invalid("it belongs to another trust domain")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_covers_its_area_and_what_lies_inside_and_nothing_that_only_looks_alike() {
        let kab: AreaPrefix = "64.02".parse().unwrap();
        for (agency, covered) in [
            ("64.02.dukcapil", true),
            ("64.02.05.kecamatan", true),
            ("64.03.dukcapil", false),
            ("64.diskominfo", false),
        ] {
            assert_eq!(kab.covers(&agency.parse().unwrap()), covered, "{agency}");
            assert!(AreaPrefix::EVERYWHERE.covers(&agency.parse().unwrap()));
        }
        assert!(!kab.contains(&AreaPrefix::EVERYWHERE) && AreaPrefix::EVERYWHERE.contains(&kab));
        assert!(kab.contains(&"64.02.05".parse().unwrap()) && !kab.contains(&"64".parse().unwrap()));
        for bad in ["", "6", "64.", "64.02x", "64.2", "**", "64/02"] {
            assert!(bad.parse::<AreaPrefix>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_unlisted_issuer_may_name_nobody_and_an_upper_ca_still_binds() {
        let (root, kab) = (Digest::of(b"root"), Digest::of(b"kab"));
        let serial: Serial = "40aa".parse().unwrap();
        let path = [Link { issuer: kab, serial: serial.clone() }, Link { issuer: root, serial }];
        let identity: Identity = "spiffe://satudata.test/64.02.dukcapil/simpeg".parse().unwrap();
        let pin =
            |issuer, prefix: &str| IssuerPin { issuer, name: String::new(), prefixes: vec![prefix.parse().unwrap()] };
        assert_eq!(IssuerPins::new([pin(kab, "64.02")]).check(&identity, &path), Ok(()));
        assert_eq!(IssuerPins::new([pin(kab, "64.02"), pin(root, "*")]).check(&identity, &path), Ok(()));
        for (pins, guilty) in [
            (IssuerPins::default(), kab),
            (IssuerPins::new([pin(root, "*")]), kab),
            (IssuerPins::new([pin(kab, "64.03")]), kab),
            (IssuerPins::new([pin(kab, "64.02"), pin(root, "63")]), root),
        ] {
            let refused = pins.check(&identity, &path).unwrap_err();
            assert!(matches!(refused, IdentityError::IssuerMismatch { issuer, .. } if issuer == guilty), "{refused}");
        }
    }

    #[test]
    fn a_serial_reads_back_and_odd_ones_are_refused() {
        let serial: Serial = "40ff0011".parse().unwrap();
        assert_eq!(serial.to_string(), "40ff0011");
        for bad in ["", "4", "zz", "4\u{e9}", &"ab".repeat(22)] {
            assert!(bad.parse::<Serial>().is_err(), "{bad:?}");
        }
    }
}
