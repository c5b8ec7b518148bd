//! Contracts: what a dataset's rows must be, and whether the rows of a file are that.
//!
//! A contract is a Data Package (version 2) with one Table Schema and the `satudata` properties.
//! It is compiled once ([`Contract::compile`]) and then checks files of any size while they stream
//! past ([`Validator`]): good rows come out as typed Arrow batches, bad ones with the row, column,
//! rule and value named in a [`Report`]. Nothing here reads a clock, a file or a socket.

pub mod across;
mod bare;
mod canonical;
mod cell_words;
pub mod code_list;
mod collect;
mod column;
pub mod compat;
mod compile_field;
mod contract;
mod descriptor;
mod detect;
mod digest;
pub mod export;
mod fatal;
mod field;
mod form;
mod header;
pub mod infer;
mod key_index;
mod keys;
mod lexical;
mod messages;
mod metadata;
mod package;
mod reader;
mod reference;
pub mod render;
mod report;
pub mod standard;
mod unpack;
mod validator;
mod values;

#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod standard_tests;

pub use contract::{Contract, MAX_FIELDS, Policy, Sifat};
pub use descriptor::DescriptorError;
pub use field::Field;
pub use key_index::KeyStore;
pub use package::{Cells, Keep, Means, Outcome, validate_package, validate_package_with};
pub use reader::cells::{Cell, CellFault, CellWriter, Foreign, Sheet};
pub use reader::decode::TextEncoding;
pub use reference::{NoReferences, ReferenceTable, References, Wanted};
pub use report::page::{Line, Role, page};
pub use report::rejected::{Records, RejectedCsv};
pub use report::{
    Fatal, Finding, Group, Lang, MASK, Notice, Report, Severity, Stats, Text, VALUE_CHARS, error_columns, io_words,
    shown, spoken_count,
};
pub use validator::{AcceptedBatch, Format, Limits, News, RejectedRow, Validator};
pub use values::canonical_text;
