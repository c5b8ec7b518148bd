//! What can go wrong with the audit log.

use std::io;
use std::path::{Path, PathBuf};

/// Why the audit log did not do it. It can be cloned, because one failed write fails every entry of its
/// batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// The disk is full. The log refuses entries until it is reopened.
    #[error("no space is left for the audit log")]
    NoSpace,
    /// A file of the log cannot be read or written. After a failed write the log refuses entries until
    /// it is reopened.
    #[error("{}: {message}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The kind of failure.
        kind: io::ErrorKind,
        /// What the system says.
        message: String,
    },
    /// An earlier write failed, so the log takes no entries until it is reopened.
    #[error("the audit log takes no entries since a write failed: {0}")]
    Refusing(Box<AuditError>),
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
    /// The entries on disk are not those that the log once had.
    #[error("the audit log was changed or damaged at entry {index}: {what}")]
    Contradiction {
        /// The first entry that cannot be trusted.
        index: u64,
        /// What was found.
        what: &'static str,
    },
    /// The signing key cannot be used.
    #[error("signing key {}: {what}", .path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// What is wrong and what to do.
        what: &'static str,
    },
    /// Another process has the log open.
    #[error("the audit log in {} is in use by another process", .0.display())]
    InUse(PathBuf),
}

impl AuditError {
    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            kind => Self::Io { path: path.to_owned(), kind, message: error.to_string() },
        }
    }

    /// What a caller gets while the log is refusing because of this error.
    pub(super) fn refusing(&self) -> Self {
        match self {
            Self::Refusing(_) | Self::Closed => self.clone(),
            // Callers answer a full disk with its own status, at every attempt.
            Self::NoSpace => Self::NoSpace,
            _ => Self::Refusing(Box::new(self.clone())),
        }
    }
}
