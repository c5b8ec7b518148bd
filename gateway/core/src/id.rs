//! Names: agencies, clients, datasets, identities.
//!
//! A name that exists as one of these types is well formed; the check happens once, where the
//! text enters. None of them can hold a path separator, a NUL or a character outside ASCII, so a
//! name may become part of a path or a log line as it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a name of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind}: expected {expected}")]
pub struct InvalidName {
    /// What was wanted, such as `dataset name`.
    pub kind: &'static str,
    /// The form, in words, with an example.
    pub expected: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Checks `text` and takes it as a name.
            ///
            /// # Errors
            /// [`InvalidName`] tells the expected form; it does not repeat the text.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(InvalidName { kind: $kind, expected: $expected }) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of a dataset and of its contract: `^[a-z][a-z0-9-]{1,62}$`, such as `penduduk-wilayah`.
    DatasetId,
    "dataset name",
    "2 to 63 small letters, digits and hyphens, a letter first, such as penduduk-wilayah",
    |text| text.len() >= 2 && is_label(text)
);
name!(
    /// The name of a client within its agency: `^[a-z][a-z0-9-]{0,62}$`, such as `simpeg`.
    ClientName,
    "client name",
    "1 to 63 small letters, digits and hyphens, a letter first, such as simpeg",
    is_label
);
name!(
    /// The name of a connector at one node: the form of a dataset name.
    ConnectorId,
    "connector name",
    "1 to 63 small letters, digits and hyphens, a letter first, such as pg-dukcapil",
    is_label
);
name!(
    /// The name of an agreement (PKS) at one node: the form of a dataset name.
    AgreementId,
    "agreement name",
    "1 to 63 small letters, digits and hyphens, a letter first, such as pks-bps-2026",
    is_label
);
name!(
    /// The code of an agency: an area code of the Ministry of Home Affairs (Kemendagri) at any of
    /// its levels, a dot, and the agency's short name, such as `64.02.diskominfo`.
    AgencyCode,
    "agency code",
    "an area code and a short name, such as 64.02.diskominfo",
    is_agency_code
);
name!(
    /// The domain that every identity of one exchange shares, such as `satudata.kaltim.go.id`.
    TrustDomain,
    "trust domain",
    "1 to 253 small letters, digits, hyphens and dots, such as satudata.kaltim.go.id",
    is_trust_domain
);

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

fn is_agency_code(text: &str) -> bool {
    let Some((area, short)) = text.rsplit_once('.') else { return false };
    let widths: Vec<usize> = area.split('.').map(str::len).collect();
    let levels: &[&[usize]] = &[&[2], &[2, 2], &[2, 2, 2], &[2, 2, 2, 4]];
    levels.contains(&widths.as_slice()) && area.bytes().all(|b| b.is_ascii_digit() || b == b'.') && is_label(short)
}

fn is_trust_domain(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

impl AgencyCode {
    /// The area code of the agency: `64.02` of `64.02.diskominfo`.
    #[must_use]
    pub fn area(&self) -> &str {
        self.0.rsplit_once('.').map_or("", |(area, _)| area)
    }

    /// Whether `other` works in this agency's area or in an area inside it: `64.02.diskominfo`
    /// covers `64.02.05.kecamatan` but not `64.03.dukcapil`.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let (own, theirs) = (self.area(), other.area());
        theirs.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// Who a client is: `spiffe://<trust-domain>/<agency>/<client>`, the URI SAN of its certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Identity {
    /// The exchange that vouches for the name.
    pub trust_domain: TrustDomain,
    /// The agency the client belongs to.
    pub agency: AgencyCode,
    /// The client within the agency.
    pub client: ClientName,
}

impl Identity {
    /// The client without the exchange, as journals and receipts name it: `64.02.diskominfo/simpeg`.
    #[must_use]
    pub fn source(&self) -> String {
        format!("{}/{}", self.agency, self.client)
    }
}

impl FromStr for Identity {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        const INVALID: InvalidName =
            InvalidName { kind: "identity", expected: "spiffe://<trust-domain>/<agency>/<client>" };
        let rest = text.strip_prefix("spiffe://").ok_or(INVALID)?;
        let mut parts = rest.split('/');
        let (Some(domain), Some(agency), Some(client), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(INVALID);
        };
        Ok(Self { trust_domain: domain.parse()?, agency: agency.parse()?, client: client.parse()? })
    }
}

impl TryFrom<String> for Identity {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Identity> for String {
    fn from(identity: Identity) -> Self {
        identity.to_string()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/{}/{}", self.trust_domain, self.agency, self.client)
    }
}

/// Where a node stands between the village and the province.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// A kecamatan data centre.
    Kecamatan,
    /// A kabupaten or kota.
    Kabupaten,
    /// A province.
    Provinsi,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kecamatan => "kecamatan",
            Self::Kabupaten => "kabupaten",
            Self::Provinsi => "provinsi",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_dataset_names_are_refused() {
        let long = "a".repeat(64);
        for text in ["", "a", "A1", "1a", "a/b", "../x", "a%2e", "a\0b", "a\\b", "CON", "pendu\u{434}uk", &long] {
            assert!(DatasetId::new(text).is_err(), "{text:?}");
        }
        for text in ["ab", "penduduk-wilayah", "kejadian-112"] {
            assert!(DatasetId::new(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn an_agency_covers_its_own_area_and_what_lies_inside() {
        let kabupaten: AgencyCode = "64.02.diskominfo".parse().unwrap();
        for (code, covered) in [
            ("64.02.dukcapil", true),
            ("64.02.05.kecamatan", true),
            ("64.02.05.2001.desa", true),
            ("64.03.dukcapil", false),
            ("64.diskominfo", false),
        ] {
            assert_eq!(kabupaten.covers(&code.parse().unwrap()), covered, "{code}");
        }
    }

    #[test]
    fn an_identity_reads_back_and_odd_ones_are_refused() {
        let text = "spiffe://satudata.test/64.02.diskominfo/simpul";
        let identity: Identity = text.parse().unwrap();
        assert_eq!(identity.to_string(), text);
        assert_eq!(identity.source(), "64.02.diskominfo/simpul");
        for bad in [
            "https://satudata.test/64.02.diskominfo/simpul",
            "spiffe://satudata.test/64.02.diskominfo",
            "spiffe://satudata.test/64.02.diskominfo/simpul/",
            "spiffe://satudata.test/64.02.diskominfo/simpul?x",
            "spiffe://Satudata.test/64.02.diskominfo/simpul",
            "spiffe://satudata.test/64.2.diskominfo/simpul",
        ] {
            assert!(bad.parse::<Identity>().is_err(), "{bad}");
        }
    }
}
