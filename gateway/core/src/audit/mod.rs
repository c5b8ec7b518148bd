//! The audit log as values: entries, the Merkle tree over them, signed checkpoints, and the file
//! that a third party checks without us.
//!
//! - [`entry`]: one act, in one canonical line of ASCII.
//! - [`tree`]: the Merkle tree of RFC 6962 over those lines.
//! - [`note`]: what the log signs about the tree, in the C2SP formats `tlog-checkpoint`,
//!   `signed-note` and `tlog-proof`.
//! - [`export`]: the exported log, written and verified in one pass with flat memory.
//!
//! Nothing here holds a key or knows a signature algorithm: signing and verifying arrive as
//! functions. Where the log is stored is the business of the store.

pub mod entry;
pub mod export;
mod json;
pub mod note;
pub mod tree;

pub use entry::{ANONYMOUS, Detail, Entry, EntryDraft, Filter, MAX_ENTRY_BYTES, Outcome, SYSTEM};
pub use export::{Bad, Comparison, Exporter, Fault, Verified, VerifyOptions, compare_exports, verify_export};
pub use note::{Checkpoint, CheckpointConflict, InvalidKey, InvalidNote, LogKey, Origin, Proof, Sign, Verify, compare};
