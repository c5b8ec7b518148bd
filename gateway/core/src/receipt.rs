//! Receipts: what a node signs about a delivery.
//!
//! A receipt is the payload of a JWS (RFC 7515) with `typ` [`TYPE`], signed with the node's key; the
//! certificate chain travels in `x5c`, so that it can be checked offline, years later, by anyone
//! who holds the root.

use serde::{Deserialize, Serialize};

use crate::delivery::{Mode, RefusedBecause, RowCounts};
use crate::digest::Digest;
use crate::id::{DatasetId, Identity};
use crate::time::Timestamp;

/// The `typ` header of a receipt.
pub const TYPE: &str = "simpul-receipt+jws";

/// What became of the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every row is in the dataset.
    Accepted,
    /// The good rows are in the dataset, the others are in quarantine with a report.
    Partial,
    /// No row is in the dataset.
    Refused,
}

/// One immutable edition of a code list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeListEdition {
    /// The list, such as `wilayah`.
    pub id: String,
    /// The version, such as `2025-1`.
    pub version: String,
    /// SHA-256 of the list's document.
    pub digest: Digest,
}

/// The content of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The node that signed.
    pub node: Identity,
    /// The delivery at that node.
    pub delivery: String,
    /// The dataset.
    pub dataset: DatasetId,
    /// The version of the contract that the rows were checked against.
    pub contract_version: String,
    /// The code lists that the rows were checked against.
    #[serde(rename = "codeLists", default, skip_serializing_if = "Vec::is_empty")]
    pub code_lists: Vec<CodeListEdition>,
    /// Who delivered.
    pub source: String,
    /// Who delivered first.
    pub origin: String,
    /// The number within (source, dataset); absent when the delivery was refused before it got one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// How the rows joined the dataset.
    pub mode: Mode,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<RefusedBecause>,
    /// The rows.
    pub rows: RowCounts,
    /// SHA-256 of the sender's file, in hexadecimal: what `sha256sum` prints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_sha256: Option<Digest>,
    /// The version of the table that first shows the rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_version: Option<u64>,
    /// When the receipt was made.
    pub time: Timestamp,
    /// The index in the node's audit log of the entry about this delivery.
    pub audit_index: u64,
}

impl Receipt {
    /// The outcome that the counts of a landed delivery mean.
    #[must_use]
    pub const fn landed_outcome(rows: RowCounts) -> Outcome {
        if rows.refused == 0 { Outcome::Accepted } else { Outcome::Partial }
    }
}
