//! Delimited tables without a schema: their labels are the fields, of any type.
//!
//! The standard recommends a schema and does not demand one. What can be checked without it is the
//! shape: labels, blank rows, missing and extra cells.

use std::io::Read as _;

use serde_json::{Value, json};

use crate::contract::Contract;
use crate::reader::csv::{CsvLimits, CsvReader, Dialect, Scan};
use crate::reader::decode::Decoder;
use crate::reference::NoReferences;
use crate::unpack::is_gzip;
use crate::validator::join_labels;

/// Bytes at the head of a file in which the labels are looked for.
pub(crate) const HEAD: usize = 64 << 10;
/// The most labels.
const MAX_LABELS: usize = 4096;

/// A schema made of the labels at the head of the resource's file.
pub(crate) fn schema(resource: &Value, head: &[u8]) -> Option<Value> {
    let mut resource = resource.clone();
    let unpacked = if is_gzip(&resource) { gunzip(head) } else { head.to_vec() };
    resource.as_object_mut()?.insert("schema".to_owned(), json!({"fields": [{"name": "x"}]}));
    let contract = Contract::compile(&json!({"resources": [resource]}), &NoReferences).ok()?;
    let mut text = String::new();
    // What cannot be decoded is said when the whole file is read.
    let _ = Decoder::detecting(contract.encoding).decode_on(&unpacked, unpacked.len() < HEAD, &mut text);
    let dialect = &contract.layout.dialect;
    let candidates = [dialect.delimiter.as_str(), ";", "\t", "|"];
    let count = if contract.layout.delimiter_declared { 1 } else { candidates.len() };
    let labels = candidates.into_iter().take(count).filter_map(|delimiter| {
        labels(&text, &contract, Dialect { delimiter: delimiter.to_owned(), ..dialect.clone() })
    });
    // The first of those that divide the header into most labels.
    let labels = labels.reduce(|best, next| if next.len() > best.len() { next } else { best })?;
    Some(json!({"fields": fields(&labels, contract.layout.header)}))
}

fn gunzip(head: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // The head of a file ends in the middle of its stream.
    let _ = flate2::read::MultiGzDecoder::new(head).take(HEAD as u64).read_to_end(&mut out);
    out
}

fn labels(text: &str, contract: &Contract, dialect: Dialect) -> Option<Vec<String>> {
    let layout = &contract.layout;
    let mut reader = CsvReader::new(dialect, CsvLimits { cell: HEAD, row: HEAD, columns: MAX_LABELS });
    reader.let_end_close_quote();
    reader.rows.text.push_str(text);
    let wanted = if layout.header { layout.header_rows.as_slice() } else { &[] };
    let mut lines: Vec<Vec<String>> = Vec::new();
    while lines.len() < wanted.len().max(1) {
        match reader.scan(true).ok()? {
            Scan::Incomplete => break,
            Scan::Comment => {}
            Scan::Record => {
                let row = reader.last_row();
                if row >= wanted.get(lines.len()).copied().unwrap_or(1) && !layout.comment_rows.contains(&row) {
                    let cells = reader.record_cells().iter().map(|span| reader.rows.get(*span).to_owned());
                    lines.push(cells.collect());
                }
                reader.discard_record();
            }
        }
    }
    (!lines.is_empty()).then(|| join_labels(&lines, &layout.header_join))
}

/// Fields with names of their own: blank and repeated labels get a number.
fn fields(labels: &[String], header: bool) -> Vec<Value> {
    let mut names: Vec<String> = Vec::with_capacity(labels.len());
    for (number, label) in labels.iter().enumerate() {
        let label = if header { label.trim() } else { "" };
        let mut name = if label.is_empty() { format!("field{}", number + 1) } else { label.to_owned() };
        while names.contains(&name) {
            name = format!("{name}_{}", number + 1);
        }
        names.push(name);
    }
    names.into_iter().map(|name| json!({"name": name})).collect()
}
