//! The Ed25519 key of the log, in a PKCS#8 file that only its owner can read.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use simpul_core::audit::{LogKey, Origin};

use super::error::AuditError;
use super::files::sync_folder_of;

/// Checks an Ed25519 signature: the function that [`simpul_core::audit::verify_export`] wants.
#[must_use]
pub fn verify_ed25519(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, public).verify(message, signature).is_ok()
}

/// The key pair of the log.
pub(super) struct Signer {
    pair: Ed25519KeyPair,
    public: LogKey,
}

impl Signer {
    /// Reads the key at `path`, or makes one there with mode 0600 if `may_create` and there is none.
    pub(super) fn load(path: &Path, origin: Origin, may_create: bool) -> Result<Self, AuditError> {
        let wrong = |what| AuditError::Key { path: path.to_owned(), what };
        let io = |error: &std::io::Error| AuditError::io(path, error);
        if !path.try_exists().map_err(|error| io(&error))? {
            if !may_create {
                return Err(wrong("it is missing although the log has entries; restore it from the backup"));
            }
            create(path)?;
        }
        let mode = fs::metadata(path).map_err(|error| io(&error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(wrong("others may read it; set its mode to 0600"));
        }
        let der = fs::read(path).map_err(|error| io(&error))?;
        let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| wrong("it is not an Ed25519 key in PKCS#8 (DER)"))?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| wrong("its public half has not 32 bytes"))?;
        Ok(Self { pair, public: LogKey::new(origin, public) })
    }

    pub(super) const fn public(&self) -> &LogKey {
        &self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        signature
    }
}

/// Whole or not at all: a key that a crash left half written would lock its owner out.
fn create(path: &Path) -> Result<(), AuditError> {
    let io = |error: std::io::Error| AuditError::io(path, &error);
    let made = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8());
    let der = made.map_err(|_| AuditError::Key { path: path.to_owned(), what: "the system gave no random bytes" })?;
    let temporary = path.with_extension("new");
    let _ = fs::remove_file(&temporary);
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(io)?;
    file.write_all(der.as_ref()).and_then(|()| file.sync_all()).map_err(io)?;
    fs::rename(&temporary, path).map_err(io)?;
    sync_folder_of(path)
}
