//! What the node does with rows, one flow a file. Each opens with a numbered walk-through; `run()` holds the branching.

pub mod decompress;
pub mod extract;
pub mod foreign;
pub mod forward;
pub mod ingest;
pub mod intake;
pub mod land;
pub mod lists;
pub mod pull;
pub mod query;
pub mod rehearsal;
pub mod report;
pub mod spill;
pub mod workbook;
