//! placeholder

pub mod code_list;
pub mod compat;
pub mod standard;
