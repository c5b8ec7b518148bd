//! The truth about people and intentions: who is registered, what is agreed, which deliveries began
//! and how they ended, what is still to be forwarded.
//!
//! It is the only crate that speaks SQL to our own state: SQLite in the data folder by default,
//! PostgreSQL by URL, with the same statements. What is deliberately absent: a clock (instants are
//! arguments), rows of datasets (they are in the lake), and any secret (configurations hold references).
//!
//! - [`journal`]: deliveries and their states; the only place that gives out sequence numbers
//! - [`outbox`]: what goes to the parent, in order
//! - [`registry`]: agencies, clients, agreements, settings
//! - [`documents`]: contracts and code lists, immutable and versioned
//! - [`connectors`]: sources, their checkpoints and runs
//! - [`audit_log`]: what was done by whom, tamper-evident; files beside the database
//! - [`denials`]: tokens and clients that are not accepted any more
//!
//! Every operation is one transaction. When it returns, what it stored survives a power cut; when it
//! fails, nothing of it is stored.

pub mod audit_log;
pub mod connectors;
mod db;
pub mod denials;
pub mod documents;
pub mod error;
pub mod journal;
mod lock;
pub mod outbox;
pub mod registry;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use crate::error::{Result, StoreError};
pub use crate::lock::{FolderLock, LOCK_FILE};

use crate::db::Db;

/// The store. A clone is another handle to the same one.
#[derive(Clone, Debug)]
pub struct Store {
    db: Arc<Db>,
}

impl Store {
    /// Opens the store at `location` and brings it to this program's format: `sqlite:PATH`, a plain
    /// path, or `postgres://…`. The folder of an SQLite file must exist and is held for this process
    /// by [`LOCK_FILE`]; a PostgreSQL database (and schema) is held by an advisory lock.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process has it, [`StoreError::FormatTooNew`] if a newer
    /// program changed it (it is then left as it is), [`StoreError::InvalidLocation`],
    /// [`StoreError::Damaged`], and what the disk or the server says.
    pub async fn connect(location: &str) -> Result<Self> {
        Ok(Self { db: Arc::new(Db::open(location.parse()?).await?) })
    }

    /// Waits for what is under way and closes the store; operations on other handles fail after it.
    /// The folder stays held until the last handle is dropped.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// Whether the store can be written to now: what a readiness check asks.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn check(&self) -> Result<()> {
        self.put_setting("last-check", "ok").await
    }
}
