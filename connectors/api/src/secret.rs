//! Secrets are named in configurations and looked up at the moment they are used.

use crate::ConnectorError;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;

/// The longest secret, in bytes.
pub const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Where a secret stands: `env:NAME` or `file:PATH`. It is written, shown and logged as that reference; the secret
/// itself appears only in what [`SecretSource::resolve`] gives.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretRef {
    /// A variable of the node's environment.
    Env(String),
    /// A file that holds the secret and nothing else; one line end after it is not part of it.
    File(PathBuf),
}

impl TryFrom<String> for SecretRef {
    /// Never repeats the text: someone may have written the secret itself.
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const HOW: &str = "a secret is written as env:NAME or file:/PATH, never as the secret itself";
        let (scheme, rest) = text.split_once(':').ok_or(HOW)?;
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match scheme {
            "env" if !rest.is_empty() && rest.len() <= 256 && rest.chars().all(name) => Ok(Self::Env(rest.into())),
            "file" if rest.starts_with('/') && !rest.contains('\0') => Ok(Self::File(rest.into())),
            _ => Err(HOW),
        }
    }
}

impl From<SecretRef> for String {
    fn from(reference: SecretRef) -> String {
        reference.to_string()
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Looks secrets up. Called at each use, so that a rotated secret is taken up without a restart.
pub trait SecretSource: Send + Sync {
    /// The secret, not empty, or [`ConnectorError::Misconfigured`] naming the reference.
    fn resolve(&self, reference: &SecretRef) -> Result<SecretString, ConnectorError>;
}

/// The environment and the files of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessSecrets;

impl SecretSource for ProcessSecrets {
    fn resolve(&self, reference: &SecretRef) -> Result<SecretString, ConnectorError> {
        let fail = |why: &str| ConnectorError::misconfigured(format!("the secret {reference} {why}"));
        let secret = match reference {
            SecretRef::Env(name) => std::env::var(name).map_err(|_| fail("is not set, or is not text"))?,
            SecretRef::File(path) => {
                let file = std::fs::File::open(path).map_err(|e| fail(&format!("cannot be opened: {}", e.kind())))?;
                let mut text = String::new();
                file.take(MAX_SECRET_BYTES + 1)
                    .read_to_string(&mut text)
                    .map_err(|_| fail("cannot be read as text"))?;
                let end = text.strip_suffix('\n').map(|t| t.strip_suffix('\r').unwrap_or(t).len());
                text.truncate(end.unwrap_or(text.len()));
                text
            }
        };
        match secret.len() as u64 {
            0 => Err(fail("is empty")),
            n if n > MAX_SECRET_BYTES => Err(fail("is longer than 64 KiB")),
            _ => Ok(secret.into()),
        }
    }
}

/// Secrets given in advance, by their reference; for tests and for callers with a vault of their own.
#[derive(Default)]
pub struct FixedSecrets(HashMap<SecretRef, SecretString>);

impl FixedSecrets {
    /// Adds a secret under `env:name`.
    pub fn with_env(mut self, name: &str, secret: &str) -> Self {
        self.0.insert(SecretRef::Env(name.into()), secret.to_owned().into());
        self
    }
}

impl SecretSource for FixedSecrets {
    fn resolve(&self, reference: &SecretRef) -> Result<SecretString, ConnectorError> {
        let missing = || ConnectorError::misconfigured(format!("the secret {reference} is not set"));
        self.0.get(reference).cloned().ok_or_else(missing)
    }
}

/// `text` with every occurrence of each secret replaced. A second line of defence for words that come from a driver or
/// a server; secrets shorter than 4 bytes are left, they would blank out ordinary words.
pub fn scrub(text: &str, secrets: &[&SecretString]) -> String {
    let mut clean = text.to_owned();
    for secret in secrets.iter().map(|s| s.expose_secret()).filter(|s| s.len() >= 4) {
        clean = clean.replace(secret, "[secret]");
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(text: &str) -> Result<SecretRef, &'static str> {
        SecretRef::try_from(text.to_owned())
    }

    #[test]
    fn a_reference_is_shown_and_a_secret_in_its_place_is_not_repeated() {
        let good = reference("env:DB_PASSWORD").unwrap();
        assert_eq!(serde_json::to_string(&good).unwrap(), "\"env:DB_PASSWORD\"");
        assert_eq!(format!("{good:?}"), "env:DB_PASSWORD");
        for bad in ["canary-7f3a", "env:", "env:a b", "file:relative", "file:", "vault:x", "env:canary-7f3a$"] {
            let error = serde_json::from_value::<SecretRef>(serde_json::json!(bad)).unwrap_err().to_string();
            assert!(!error.contains("canary") && error.contains("env:NAME"), "{error}");
        }
    }

    #[test]
    fn a_secret_file_loses_one_line_end_and_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let read = |content: &str| {
            std::fs::write(&path, content).unwrap();
            ProcessSecrets.resolve(&SecretRef::File(path.clone())).map(|s| s.expose_secret().to_owned())
        };
        assert_eq!(read("hunter2\n").unwrap(), "hunter2");
        assert_eq!(read("hunter2\r\n").unwrap(), "hunter2");
        assert_eq!(read(" two\n\n").unwrap(), " two\n");
        assert_eq!(read("\n").unwrap_err().name(), "misconfigured");
        assert_eq!(read(&"x".repeat(70_000)).unwrap_err().name(), "misconfigured");
    }

    #[test]
    fn a_missing_secret_is_named_by_its_reference() {
        let error = ProcessSecrets.resolve(&reference("env:SIMPUL_NO_SUCH_SECRET").unwrap()).unwrap_err();
        assert!(error.message().contains("env:SIMPUL_NO_SUCH_SECRET"), "{error}");
        let error = ProcessSecrets.resolve(&reference("file:/no/such/file").unwrap()).unwrap_err();
        assert!(error.message().contains("file:/no/such/file"), "{error}");
    }

    #[test]
    fn scrubbing_takes_every_occurrence() {
        let secret = SecretString::from("canary-7f3a");
        assert_eq!(scrub("a canary-7f3a b canary-7f3a", &[&secret]), "a [secret] b [secret]");
    }
}
