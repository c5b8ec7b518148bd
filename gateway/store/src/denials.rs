//! What is not accepted any more although it looks valid: used nonces, withdrawn tokens and
//! certificates, revoked clients. Each ends at an instant after which it would not be valid anyway.

use serde::{Deserialize, Serialize};
use simpul_core::time::Timestamp;

use crate::Store;
use crate::db::{Row, at_most, values};
use crate::error::{Result, StoreError};
use crate::journal::MAX_NAME;

/// What is denied.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "lowercase")]
pub enum Denied {
    /// One token, by its `jti`.
    Token(String),
    /// Every token and certificate of a client, by `agency/client`.
    Client(String),
    /// One certificate, by the hexadecimal SHA-256 of its DER form.
    Certificate(String),
    /// A value that may be used once.
    Nonce(String),
}

impl Denied {
    const fn parts(&self) -> (&'static str, &String) {
        match self {
            Self::Token(name) => ("token", name),
            Self::Client(name) => ("client", name),
            Self::Certificate(name) => ("certificate", name),
            Self::Nonce(name) => ("nonce", name),
        }
    }

    fn from_parts(kind: &str, name: String) -> Result<Self> {
        match kind {
            "token" => Ok(Self::Token(name)),
            "client" => Ok(Self::Client(name)),
            "certificate" => Ok(Self::Certificate(name)),
            "nonce" => Ok(Self::Nonce(name)),
            _ => Err(StoreError::Damaged("a denial has an unknown kind".to_owned())),
        }
    }
}

impl Store {
    /// Denies `what` until `until`; of two calls the later end holds. Answers whether it is new, so
    /// that of any number of uses of one nonce exactly one is told so.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for a name above [`MAX_NAME`].
    pub async fn deny(&self, what: &Denied, until: Timestamp) -> Result<bool> {
        let (kind, name) = what.parts();
        at_most("the name of what is denied", name.len(), MAX_NAME)?;
        let mut tx = self.db.write().await?;
        let sql =
            "INSERT INTO denials (kind, name, denied_until) VALUES ($1, $2, $3) ON CONFLICT (kind, name) DO NOTHING";
        let new = tx.run(sql, values![kind, &**name, until.millis()]).await? == 1;
        if !new {
            let sql = "UPDATE denials SET denied_until = $3 WHERE kind = $1 AND name = $2 AND denied_until < $3";
            tx.run(sql, values![kind, &**name, until.millis()]).await?;
        }
        tx.commit().await?;
        Ok(new)
    }

    /// Accepts `what` again. Answers whether it was denied.
    ///
    /// # Errors
    /// Only if the store cannot be written.
    pub async fn allow(&self, what: &Denied) -> Result<bool> {
        let (kind, name) = what.parts();
        let deleted = self.db.run("DELETE FROM denials WHERE kind = $1 AND name = $2", values![kind, &**name]).await?;
        Ok(deleted > 0)
    }

    /// Whether `what` is denied at `now`.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn denied(&self, what: &Denied, now: Timestamp) -> Result<bool> {
        let (kind, name) = what.parts();
        let sql = "SELECT denied_until FROM denials WHERE kind = $1 AND name = $2 AND denied_until > $3";
        Ok(self.db.row(sql, values![kind, &**name, now.millis()]).await?.is_some())
    }

    /// Everything but nonces that is denied at `now`: what the door keeps in memory.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn denials(&self, now: Timestamp) -> Result<Vec<(Denied, Timestamp)>> {
        let sql = "SELECT * FROM denials WHERE denied_until > $1 AND kind <> 'nonce' ORDER BY kind, name";
        let rows = self.db.rows(sql, values![now.millis()]).await?;
        let denial =
            |row: &Row| Ok((Denied::from_parts(&row.text("kind")?, row.text("name")?)?, row.at("denied_until")?));
        rows.iter().map(denial).collect()
    }

    /// Forgets what has ended at `now`. Answers how many.
    ///
    /// # Errors
    /// Only if the store cannot be written.
    pub async fn purge_denials(&self, now: Timestamp) -> Result<u64> {
        self.db.run("DELETE FROM denials WHERE denied_until <= $1", values![now.millis()]).await
    }
}
