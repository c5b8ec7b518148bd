//! Reading and writing the files of trust: keys that only their owner reads, and files that are
//! either the old or the new content after a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::CertError;

/// The largest private key file, in bytes.
pub const MAX_KEY_FILE: u64 = 64 * 1024;
/// The largest certificate chain, trust bundle or issuers file, in bytes.
pub const MAX_CERT_FILE: u64 = 1024 * 1024;
/// The largest revocation list file, in bytes: about 400,000 entries.
pub const MAX_CRL_FILE: u64 = 16 * 1024 * 1024;

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// [`CertError::Read`] or [`CertError::TooLarge`].
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, CertError> {
    let file = File::open(path).map_err(|e| CertError::read(path, e))?;
    read_up_to(file, path, limit)
}

/// Reads a private key file that only its owner, the user of this process, may read.
///
/// The permissions are those of the opened file, so a swap between check and read gains nothing.
///
/// # Errors
/// [`CertError::KeyExposed`], [`CertError::KeyOwner`], [`CertError::NotRegular`],
/// [`CertError::TooLarge`] beyond [`MAX_KEY_FILE`], [`CertError::Read`].
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, CertError> {
    // Without NONBLOCK, opening a FIFO that nobody writes to would wait for ever.
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(|e| CertError::read(path, e))?;
    let meta = file.metadata().map_err(|e| CertError::read(path, e))?;
    if !meta.is_file() {
        return Err(CertError::NotRegular(path.to_path_buf()));
    }
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(CertError::KeyExposed { path: path.to_path_buf(), mode });
    }
    let own = rustix::process::geteuid().as_raw();
    if meta.uid() != own {
        return Err(CertError::KeyOwner { path: path.to_path_buf(), owner: meta.uid(), own });
    }
    read_up_to(file, path, MAX_KEY_FILE).map(Zeroizing::new)
}

fn read_up_to(file: File, path: &Path, limit: u64) -> Result<Vec<u8>, CertError> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| CertError::read(path, e))?;
    match bytes.len() as u64 > limit {
        true => Err(CertError::TooLarge { path: path.to_path_buf(), limit }),
        false => Ok(bytes),
    }
}

/// Writes a new file that only its owner may read, durably. An existing file is never touched.
///
/// # Errors
/// [`CertError::Exists`] or [`CertError::Write`].
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), CertError> {
    create(path, bytes, 0o600).map_err(|e| CertError::write(path, e))?;
    sync_folder_of(path)
}

/// Replaces a public file: after a crash it holds either the old or the new bytes.
///
/// # Errors
/// [`CertError::Write`].
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), CertError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let fresh = path.with_file_name(name);
    // A leftover of a write that was cut short; nobody else writes here, the caller holds the lock.
    let _ = fs::remove_file(&fresh);
    create(&fresh, bytes, 0o644).and_then(|()| fs::rename(&fresh, path)).map_err(|e| CertError::write(path, e))?;
    sync_folder_of(path)
}

fn create(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder_of(path: &Path) -> Result<(), CertError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| CertError::write(folder, e))
}

/// The certificates of a PEM file, DER, in their order.
///
/// # Errors
/// [`CertError::Read`]; [`CertError::Malformed`] if the file holds none or something broken.
pub fn read_certificates(path: &Path) -> Result<Vec<Vec<u8>>, CertError> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    let malformed = |reason: String| CertError::malformed(path, "PEM certificates", reason);
    let pem = read_limited(path, MAX_CERT_FILE)?;
    let parsed: Result<Vec<Vec<u8>>, _> =
        CertificateDer::pem_slice_iter(&pem).map(|der| der.map(|der| der.to_vec())).collect();
    match parsed {
        Ok(certificates) if certificates.is_empty() => Err(malformed("there is none in it".to_owned())),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(malformed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own.key");
        write_secret(&path, b"secret").unwrap();
        assert_eq!(read_secret(&path).unwrap().as_slice(), b"secret");
        for mode in [0o644, 0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read_secret(&path).unwrap_err();
            assert!(matches!(error, CertError::KeyExposed { .. }), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_key_of_another_owner_is_refused() {
        if !rustix::process::geteuid().is_root() {
            // Only root can give a file away; another user meets the same check from the other side.
            assert!(matches!(read_secret(Path::new("/etc/passwd")), Err(CertError::KeyExposed { .. })));
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own.key");
        write_secret(&path, b"secret").unwrap();
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        assert!(matches!(read_secret(&path), Err(CertError::KeyOwner { owner: 65534, .. })));
    }

    #[test]
    fn a_key_is_never_written_over_an_existing_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own.key");
        write_secret(&path, b"one").unwrap();
        assert!(matches!(write_secret(&path, b"two"), Err(CertError::Exists(_))));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_folder_a_pipe_and_a_huge_file_are_not_keys() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read_secret(dir.path()), Err(CertError::NotRegular(_))));
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(matches!(read_secret(&pipe), Err(CertError::NotRegular(_))));
        let huge = dir.path().join("huge");
        write_secret(&huge, &vec![b'a'; 70_000]).unwrap();
        assert!(matches!(read_secret(&huge), Err(CertError::TooLarge { .. })));
    }
}
