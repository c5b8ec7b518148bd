//! What the benchmarks share: data that look like a government's, what a process has cost so far, and a table of figures.
//!
//! Each flow is a program in `src/bin`. CPU seconds stand beside the wall time in every table: on a machine that others use
//! they are the steadier figure.

mod figures;
mod keys;
mod node;
mod people;
mod usage;

pub use figures::{Figures, millis, percentile};
pub use keys::KeyFile;
pub use node::{Bench, Latencies, duckdb_python, enroll, use_binary};
pub use people::{BAD_KINDS, DATASET, Expected, Lists, People, descriptor};
pub use usage::Usage;
