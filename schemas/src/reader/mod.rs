//! Readers: bytes in pieces of any size become rows of text cells with exact record numbers.

// These files read foreign bytes: no index and no slice may panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice, clippy::panic, clippy::expect_used))]

pub(crate) mod cells;
pub(crate) mod csv;
pub(crate) mod decode;
pub(crate) mod flat;
pub(crate) mod json;
pub(crate) mod kind;
pub(crate) mod rows;
