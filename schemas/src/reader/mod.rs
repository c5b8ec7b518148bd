//! Readers: bytes in pieces of any size become rows of text cells with exact record numbers.

pub(crate) mod csv;
pub(crate) mod decode;
pub(crate) mod json;
pub(crate) mod rows;
