//! The digest that a resource declares: `md5`, `sha1`, `sha256` or `sha512`, MD5 where no name stands.

use sha2::Digest as _;

/// A file's size and digest while it streams past.
pub(crate) struct Checksum {
    bytes: u64,
    kind: Kind,
}

enum Kind {
    None,
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Checksum {
    /// For a declared `hash`, such as `sha256:…`.
    pub(crate) fn new(declared: Option<&str>) -> Self {
        let name = declared.map(|hash| hash.split_once(':').map_or("md5", |(name, _)| name).to_ascii_lowercase());
        let kind = match name.as_deref() {
            Some("md5") => Kind::Md5(<md5::Md5 as md5::Digest>::new()),
            Some("sha1" | "sha-1") => Kind::Sha1(<sha1::Sha1 as sha1::Digest>::new()),
            Some("sha256" | "sha-256") => Kind::Sha256(sha2::Sha256::new()),
            Some("sha512" | "sha-512") => Kind::Sha512(sha2::Sha512::new()),
            _ => Kind::None,
        };
        Self { bytes: 0, kind }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        match &mut self.kind {
            Kind::None => {}
            Kind::Md5(digest) => md5::Digest::update(digest, bytes),
            Kind::Sha1(digest) => sha1::Digest::update(digest, bytes),
            Kind::Sha256(digest) => digest.update(bytes),
            Kind::Sha512(digest) => digest.update(bytes),
        }
    }

    /// Bytes read.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest in hexadecimal; nothing for a kind that is not known.
    pub(crate) fn finish(self) -> Option<String> {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(match self.kind {
            Kind::None => return None,
            Kind::Md5(digest) => hex(&md5::Digest::finalize(digest)),
            Kind::Sha1(digest) => hex(&sha1::Digest::finalize(digest)),
            Kind::Sha256(digest) => hex(&digest.finalize()),
            Kind::Sha512(digest) => hex(&digest.finalize()),
        })
    }
}
