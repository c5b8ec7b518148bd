//! Lexical forms: how each type of value is written, read strictly and without allocation.

// These files read foreign bytes: no index and no slice may panic.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice, clippy::panic, clippy::expect_used))]

pub(crate) mod duration;
pub(crate) mod geo;
pub(crate) mod identity;
pub(crate) mod loose;
pub(crate) mod number;
pub(crate) mod pattern;
pub(crate) mod temporal;
pub(crate) mod text;
