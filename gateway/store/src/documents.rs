//! Contracts and code lists: what a version says never changes.

use serde::Serialize;
use serde_json::Value as Json;
use simpul_core::id::DatasetId;
use simpul_core::time::Timestamp;

use crate::Store;
use crate::db::{Row, at_most, values};
use crate::error::{Result, StoreError};
use crate::journal::MAX_NAME;

/// The longest contract, in bytes of JSON.
pub const MAX_CONTRACT: usize = 4 << 20;
/// The longest code list, in bytes.
pub const MAX_CODE_LIST: usize = 64 << 20;
/// Read far more often than written.
const ZSTD_LEVEL: i32 = 6;

/// One version of a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contract {
    /// The dataset it is for.
    pub name: DatasetId,
    /// The version.
    pub version: String,
    /// The descriptor, the JSON text that was registered.
    pub descriptor: String,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// By whom.
    pub registered_by: String,
}

/// One version of a code list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeList {
    /// Its id.
    pub id: String,
    /// The version.
    pub version: String,
    /// The bytes that were registered.
    pub content: Vec<u8>,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// By whom.
    pub registered_by: String,
}

/// A version without its content, for lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// The contract's or code list's name.
    pub name: String,
    /// The version.
    pub version: String,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// By whom.
    pub registered_by: String,
}

/// Whether a registration changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// The version is new.
    New,
    /// The version was there with the same content; it keeps its first date and person.
    Same,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Contract,
    CodeList,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Contract => "contract",
            Self::CodeList => "code list",
        }
    }

    const fn limit(self) -> usize {
        match self {
            Self::Contract => MAX_CONTRACT,
            Self::CodeList => MAX_CODE_LIST,
        }
    }

    /// Contracts are compared as JSON values, so that spaces and the order of names do not matter.
    fn same(self, one: &[u8], other: &[u8]) -> bool {
        let value = |bytes: &[u8]| serde_json::from_slice::<Json>(bytes).ok();
        one == other || (self == Self::Contract && value(one).is_some_and(|one| value(other) == Some(one)))
    }
}

struct Document {
    version: Version,
    content: Vec<u8>,
}

impl Store {
    /// Registers version `version` of the contract `name`. The newest registered version is the latest.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if this version says something else, [`StoreError::Invalid`] if
    /// `descriptor` is not JSON, [`StoreError::TooLarge`] above [`MAX_CONTRACT`].
    pub async fn register_contract(
        &self,
        name: &DatasetId,
        version: &str,
        descriptor: &str,
        at: Timestamp,
        by: &str,
    ) -> Result<Registered> {
        at_most("a contract", descriptor.len(), MAX_CONTRACT)?;
        if serde_json::from_str::<serde::de::IgnoredAny>(descriptor).is_err() {
            return Err(StoreError::Invalid("a contract has to be JSON"));
        }
        self.register(Kind::Contract, name.as_str(), version, descriptor.as_bytes(), at, by).await
    }

    /// The latest version of the contract `name`.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn latest_contract(&self, name: &DatasetId) -> Result<Option<Contract>> {
        self.latest(Kind::Contract, name.as_str()).await?.map(contract).transpose()
    }

    /// One version of the contract `name`.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn contract(&self, name: &DatasetId, version: &str) -> Result<Option<Contract>> {
        self.document(Kind::Contract, name.as_str(), version).await?.map(contract).transpose()
    }

    /// Every version of the contract `name`, oldest first.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn contract_versions(&self, name: &DatasetId) -> Result<Vec<Version>> {
        self.versions(Kind::Contract, name.as_str()).await
    }

    /// The latest version of every contract, by name.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn contracts(&self) -> Result<Vec<Version>> {
        self.all_latest(Kind::Contract).await
    }

    /// Registers version `version` of the code list `id`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if this version has other bytes, [`StoreError::TooLarge`] above
    /// [`MAX_CODE_LIST`].
    pub async fn register_code_list(
        &self,
        id: &str,
        version: &str,
        content: &[u8],
        at: Timestamp,
        by: &str,
    ) -> Result<Registered> {
        at_most("a code list", content.len(), MAX_CODE_LIST)?;
        self.register(Kind::CodeList, id, version, content, at, by).await
    }

    /// One version of the code list `id`.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn code_list(&self, id: &str, version: &str) -> Result<Option<CodeList>> {
        Ok(self.document(Kind::CodeList, id, version).await?.map(code_list))
    }

    /// The latest version of the code list `id`.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn latest_code_list(&self, id: &str) -> Result<Option<CodeList>> {
        Ok(self.latest(Kind::CodeList, id).await?.map(code_list))
    }

    /// Every version of the code list `id`, oldest first.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn code_list_versions(&self, id: &str) -> Result<Vec<Version>> {
        self.versions(Kind::CodeList, id).await
    }

    /// The latest version of every code list, by id.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn code_lists(&self) -> Result<Vec<Version>> {
        self.all_latest(Kind::CodeList).await
    }

    async fn register(
        &self,
        kind: Kind,
        name: &str,
        version: &str,
        content: &[u8],
        at: Timestamp,
        by: &str,
    ) -> Result<Registered> {
        for text in [name, version, by] {
            at_most("a name, a version or who registers", text.len(), MAX_NAME)?;
        }
        let mut tx = self.db.write().await?;
        let sql = "SELECT * FROM documents WHERE kind = $1 AND name = $2 AND version = $3";
        if let Some(row) = tx.row(sql, values![kind.name(), name, version]).await? {
            return if kind.same(&document(kind, &row)?.content, content) {
                Ok(Registered::Same)
            } else {
                Err(StoreError::Conflict { what: kind.name(), name: format!("{name} {version}") })
            };
        }
        let packed = zstd::bulk::compress(content, ZSTD_LEVEL)
            .map_err(|_| StoreError::Invalid("the content cannot be compressed"))?;
        tx.run(
            "INSERT INTO documents (kind, name, version, ordinal, content, registered_at, registered_by)
             SELECT $1, $2, $3, COALESCE(MAX(ordinal), 0) + 1, $4, $5, $6
             FROM documents WHERE kind = $1 AND name = $2",
            values![kind.name(), name, version, packed, at.millis(), by],
        )
        .await?;
        tx.commit().await?;
        Ok(Registered::New)
    }

    async fn document(&self, kind: Kind, name: &str, version: &str) -> Result<Option<Document>> {
        let sql = "SELECT * FROM documents WHERE kind = $1 AND name = $2 AND version = $3";
        let row = self.db.row(sql, values![kind.name(), name, version]).await?;
        row.map(|row| document(kind, &row)).transpose()
    }

    async fn latest(&self, kind: Kind, name: &str) -> Result<Option<Document>> {
        let sql = "SELECT * FROM documents WHERE kind = $1 AND name = $2 ORDER BY ordinal DESC LIMIT 1";
        let row = self.db.row(sql, values![kind.name(), name]).await?;
        row.map(|row| document(kind, &row)).transpose()
    }

    async fn versions(&self, kind: Kind, name: &str) -> Result<Vec<Version>> {
        let sql = "SELECT name, version, registered_at, registered_by FROM documents
             WHERE kind = $1 AND name = $2 ORDER BY ordinal";
        self.db.rows(sql, values![kind.name(), name]).await?.iter().map(version).collect()
    }

    async fn all_latest(&self, kind: Kind) -> Result<Vec<Version>> {
        let sql = "SELECT d.name, d.version, d.registered_at, d.registered_by FROM documents d
             JOIN (SELECT name, MAX(ordinal) AS ordinal FROM documents WHERE kind = $1 GROUP BY name) newest
               ON newest.name = d.name AND newest.ordinal = d.ordinal
             WHERE d.kind = $1 ORDER BY d.name";
        self.db.rows(sql, values![kind.name()]).await?.iter().map(version).collect()
    }
}

fn version(row: &Row) -> Result<Version> {
    Ok(Version {
        name: row.text("name")?,
        version: row.text("version")?,
        registered_at: row.at("registered_at")?,
        registered_by: row.text("registered_by")?,
    })
}

fn document(kind: Kind, row: &Row) -> Result<Document> {
    let version = version(row)?;
    let damaged =
        |_| StoreError::Damaged(format!("{} {} {} cannot be read", kind.name(), version.name, version.version));
    let content = zstd::bulk::decompress(&row.bytes("content")?, kind.limit()).map_err(damaged)?;
    Ok(Document { version, content })
}

fn contract(document: Document) -> Result<Contract> {
    let Document { version, content } = document;
    let damaged = || StoreError::Damaged("a contract holds no valid text".to_owned());
    Ok(Contract {
        name: version.name.parse().map_err(|_| damaged())?,
        version: version.version,
        descriptor: String::from_utf8(content).map_err(|_| damaged())?,
        registered_at: version.registered_at,
        registered_by: version.registered_by,
    })
}

fn code_list(document: Document) -> CodeList {
    let Document { version, content } = document;
    CodeList {
        id: version.name,
        version: version.version,
        content,
        registered_at: version.registered_at,
        registered_by: version.registered_by,
    }
}
