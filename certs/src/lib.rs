//! placeholder

pub mod jws;
pub mod token;
