//! Lexical forms: how each type of value is written, read strictly and without allocation.

pub(crate) mod duration;
pub(crate) mod geo;
pub(crate) mod number;
pub(crate) mod pattern;
pub(crate) mod temporal;
pub(crate) mod text;
