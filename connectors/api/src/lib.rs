//! What a source system looks like to the node.
//!
//! A connector brings rows as *payloads*: the bytes of a CSV or NDJSON document, which the node then checks against the
//! contract like any delivery that came over the wire. A connector knows neither contracts nor the lake nor the store.
//!
//! One round of the node:
//!
//! 1. drive every delivery of this connector that is still open in the journal to its end;
//! 2. [`Connector::pull`] with the last stored checkpoint: a [`Pull`], or `None` when nothing is new;
//! 3. stage [`Pull::body`] to its end, then ask [`Pull::ending`] for the checkpoint that follows it;
//! 4. journal the delivery under [`Pull::key`] together with that checkpoint and [`Pull::ticket`];
//! 5. land it, and store the checkpoint in the transaction that marks it landed;
//! 6. [`Connector::settle`] with the ticket and the outcome, then go on with 2.
//!
//! A refused payload leaves the stored checkpoint where it is, unless an operator decides to go past it. Pulled again, it
//! has the same key and meets the same refusal, until someone corrects the source: then the key is another one. A source
//! that sets refused payloads aside itself, like a drop folder, goes on by itself.
//!
//! A crash at any point repeats a step, never skips one: before 5 the old checkpoint pulls the same payload under the
//! same key, after 5 `settle` is repeated from the journal. One round runs at a time for each connector.
//!
//! Deliberately absent: schedules, retries and validation (the node's), and any way to write to the source system's
//! tables.

mod body;
mod config;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod secret;

pub use body::{Ending, Part, PayloadStream, payload};
pub use bytes::Bytes;
pub use config::parse_config;
pub use error::{ConnectorError, MAX_MESSAGE_CHARS, Message};
pub use futures::future::BoxFuture;
pub use secrecy::{ExposeSecret, SecretString};
pub use secret::{FixedSecrets, MAX_SECRET_BYTES, ProcessSecrets, SecretRef, SecretSource, scrub};
pub use serde_json::Value;

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// One source system, as configured by an administrator.
///
/// Handles are cheap to make and hold no state that matters: a second handle made from the same configuration after a
/// crash goes on where the first one stopped.
pub trait Connector: Send + Sync {
    /// The kind as it is written in configurations, such as `files`.
    fn kind(&self) -> &'static str;

    /// Reaches the source and says what it sees there. Changes nothing in the source and brings no rows.
    fn test(&self) -> BoxFuture<'_, Result<TestReport, ConnectorError>>;

    /// The next payload after `checkpoint` (`None`: from the beginning), or `None` when nothing is new.
    ///
    /// The same checkpoint over an unchanged source gives the same [`Pull::key`] and the same bytes. A checkpoint that
    /// this kind did not write is [`ConnectorError::Misconfigured`].
    fn pull(
        &self,
        checkpoint: Option<Value>,
        limits: PullLimits,
    ) -> BoxFuture<'_, Result<Option<Pull>, ConnectorError>>;

    /// Tells the source what became of a payload, once that is durable in the node. Repeating it has no further effect.
    fn settle<'a>(&'a self, ticket: Ticket, outcome: Outcome<'a>) -> BoxFuture<'a, Result<(), ConnectorError>>;
}

/// One payload on its way into a delivery.
pub struct Pull {
    /// What the bytes are.
    pub format: Format,
    /// What an operator calls it: the file name, or the table and the range. At most a few hundred characters.
    pub name: String,
    /// The idempotency key: 64 lowercase hexadecimal digits over the position and the content of the payload, so that
    /// the same payload has the same key after any crash, and a corrected one has another.
    pub key: String,
    /// Names the payload to [`Connector::settle`]. Journalled with the delivery.
    pub ticket: Ticket,
    /// The bytes, already held to the limits of the pull.
    pub body: PayloadStream,
    /// Gives the checkpoint after the payload, once the body was read to its end.
    pub ending: Ending,
}

impl std::fmt::Debug for Pull {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pull").field("format", &self.format).field("name", &self.name).field("key", &self.key).finish()
    }
}

/// The formats in which payloads come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values with a header; the contract's dialect decides delimiter and quotes.
    Csv,
    /// One JSON object per line. Numbers carry every digit of the source.
    Ndjson,
    /// Office Open XML workbook.
    Xlsx,
    /// Workbook of Excel 97 to 2003.
    Xls,
    /// OpenDocument spreadsheet.
    Ods,
    /// Apache Parquet.
    Parquet,
    /// Apache Arrow IPC, stream or file.
    Arrow,
}

impl Format {
    /// The media type under which a delivery in this format is sent.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv",
            Format::Ndjson => "application/x-ndjson",
            Format::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Format::Xls => "application/vnd.ms-excel",
            Format::Ods => "application/vnd.oasis.opendocument.spreadsheet",
            Format::Parquet => "application/vnd.apache.parquet",
            Format::Arrow => "application/vnd.apache.arrow.stream",
        }
    }
}

/// A connector's own note about a payload. Opaque to the node, a few hundred bytes, free of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticket(pub Value);

/// What became of a payload.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// It landed, whole or in part; in part, the report names the rows that were refused.
    Landed {
        /// What to leave beside the source, if anything.
        report: Option<Report<'a>>,
    },
    /// Nothing of it landed.
    Refused {
        /// Why, in words for the one who has to mend it.
        report: Report<'a>,
    },
}

/// A validation report in its two forms.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// For the clerk.
    pub text: &'a str,
    /// For a program: one JSON document.
    pub json: &'a [u8],
}

/// What [`Connector::test`] saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestReport {
    /// One line: what was reached.
    pub summary: String,
    /// The columns that a payload will have, in order; empty when only the payload itself can tell.
    pub columns: Vec<Column>,
    /// How many rows there are, when the source can say without counting. An estimate.
    pub rows_estimate: Option<u64>,
    /// Names of things waiting to be pulled, such as files; at most 20.
    pub samples: Vec<String>,
    /// What an operator should know before relying on it.
    pub notes: Vec<String>,
}

/// A column as the source declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The source's own word for its type.
    pub source_type: String,
}

/// The bounds of one pull. A payload that passes one of them ends in [`ConnectorError::Limit`] and lands in no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullLimits {
    /// Bytes of one payload.
    pub max_bytes: u64,
    /// Rows of one payload, where the connector is the one who cuts rows into payloads.
    pub max_rows: u64,
    /// The longest wait for the next piece of the body.
    pub stall: Duration,
    /// The longest time from the first piece asked for to the last, the reader's own pauses included.
    pub duration: Duration,
}

impl Default for PullLimits {
    /// 1 GiB, 1,000,000 rows, 60 seconds for a piece and one hour for all of it.
    fn default() -> Self {
        PullLimits {
            max_bytes: 1 << 30,
            max_rows: 1_000_000,
            stall: Duration::from_secs(60),
            duration: Duration::from_secs(3600),
        }
    }
}

/// What a connector is given besides its configuration.
#[derive(Clone)]
pub struct Context {
    /// The node's own name for this source. Keys are unique within it: the node keeps those of two sources apart.
    pub source: String,
    /// Where secrets are looked up at the moment they are needed.
    pub secrets: Arc<dyn SecretSource>,
}

/// One kind of connector, for the node's list of kinds.
#[derive(Clone, Copy)]
pub struct Kind {
    /// The word in configurations.
    pub kind: &'static str,
    /// One sentence for the operator who chooses between kinds.
    pub describe: &'static str,
    /// A complete configuration in TOML, with comments. `build` accepts it as it stands.
    pub example: &'static str,
    /// Checks a configuration and makes a connector of it. Reaches nothing and resolves no secret.
    pub build: fn(Value, Context) -> Result<Box<dyn Connector>, ConnectorError>,
}
