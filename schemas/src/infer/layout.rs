//! The head of the file: its encoding, its delimiter, and which of its rows is the header.

use std::collections::HashMap;

use super::{MAX_RECORD, SheetRow};
use crate::contract::MAX_FIELDS;
use crate::reader::csv::{CsvLimits, CsvReader, Dialect, Scan};
use crate::reader::rows::Tag;

/// Bytes that are looked at before the rows are read.
pub(super) const HEAD: usize = 256 << 10;
/// Records of the head that are compared.
pub(super) const RECORDS: usize = 400;
/// Rows among which the header is looked for.
const HEADER_WITHIN: usize = 40;
/// Every delimiter that is tried, the standard's own first.
const DELIMITERS: [&str; 4] = [",", ";", "\t", "|"];

/// How the file is laid out.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) encoding: &'static str,
    /// Why that encoding: a byte order mark, its bytes, or nothing but its bytes not being UTF-8.
    pub(super) encoding_from: Evidence,
    pub(super) delimiter: &'static str,
    /// The share of the head's records that have the usual number of cells.
    pub(super) regular: f64,
    /// The record that holds the labels; 0 for none.
    pub(super) header: u64,
    /// Records below the header that number the columns.
    pub(super) numbering: Vec<u64>,
    pub(super) labels: Vec<String>,
    /// Lines of NDJSON so far.
    pub(super) lines: u64,
}

/// What an encoding was guessed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    Told,
    Mark,
    Bytes,
    NothingElse,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            encoding: "utf-8",
            encoding_from: Evidence::Bytes,
            delimiter: ",",
            regular: 1.0,
            header: 0,
            numbering: Vec::new(),
            labels: Vec::new(),
            lines: 0,
        }
    }
}

impl Layout {
    /// Whether a record holds data.
    pub(super) fn is_data(&self, number: u64) -> bool {
        number > self.header && !self.numbering.contains(&number)
    }

    pub(super) fn guess_encoding(&mut self, head: &[u8], told: Option<&str>) {
        let odd = head.iter().skip(1).step_by(2).filter(|byte| **byte == 0).count();
        let even = head.iter().step_by(2).filter(|byte| **byte == 0).count();
        // A quarter of the bytes of Latin text in UTF-16 would still be more than any other file has.
        let many = head.len() / 8;
        (self.encoding, self.encoding_from) = match head {
            _ if told.is_some() => (known(told.unwrap_or_default()), Evidence::Told),
            [0xef, 0xbb, 0xbf, ..] => ("utf-8", Evidence::Mark),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => ("utf-16", Evidence::Mark),
            _ if odd > many && odd > even => ("utf-16le", Evidence::Bytes),
            _ if even > many => ("utf-16be", Evidence::Bytes),
            _ if is_utf8(head) => ("utf-8", Evidence::Bytes),
            _ => ("windows-1252", Evidence::NothingElse),
        };
    }

    pub(super) fn guess_rows(&mut self, text: &str, last: bool) {
        let mut best: Option<(f64, Vec<Record>)> = None;
        for delimiter in DELIMITERS {
            let records = records(text, delimiter, last);
            let (width, regular) = usual(&records);
            // A wide table that is regular beats a narrow one; one column is what every wrong delimiter gives.
            let score = if width < 2 { 0.0 } else { regular + width.min(20) as f64 / 100.0 };
            if best.as_ref().is_none_or(|(known, _)| score > *known) {
                (self.delimiter, self.regular) = (delimiter, regular);
                best = Some((score, records));
            }
        }
        let records = best.map(|(_, records)| records).unwrap_or_default();
        let (width, _) = usual(&records);
        self.find_header(&records, width);
    }

    /// Finds the header among the first rows of a sheet.
    pub(super) fn guess_sheet(&mut self, rows: &[SheetRow]) {
        let texts = |cells: &[(String, Tag)]| cells.iter().map(|(text, _)| text.clone()).collect();
        let records: Vec<Record> =
            rows.iter().map(|(number, cells)| Record { number: *number, cells: texts(cells) }).collect();
        let (width, regular) = usual(&records);
        self.regular = regular;
        self.find_header(&records, width);
    }

    fn find_header(&mut self, records: &[Record], width: usize) {
        let needed = if width < 2 { 1 } else { (width * 7 / 10).max(2) };
        let head = records.iter().take(HEADER_WITHIN);
        let found = head.enumerate().find(|(_, record)| record.filled() >= needed);
        let Some((at, header)) = found else {
            self.labels = vec![String::new(); width.max(1)];
            return;
        };
        let below: Vec<&Record> = records.iter().skip(at + 1).take(50).collect();
        if is_data_row(header, &below) {
            // No labels: the first row is already data. Rows above it are titles.
            self.header = header.number.saturating_sub(1);
            self.labels = vec![String::new(); header.cells.len()];
            return;
        }
        self.header = header.number;
        self.labels = header.cells.iter().map(|cell| cell.trim().to_owned()).collect();
        let widest = below.iter().filter(|record| record.filled() >= needed).map(|r| r.cells.len()).max().unwrap_or(0);
        if self.labels.len() < width.min(widest) {
            self.labels.resize(width.min(widest), String::new());
        }
        self.numbering = below.iter().take(2).filter(|record| record.numbers_columns()).map(|r| r.number).collect();
    }

    /// Whether the labels stand in the file.
    pub(super) fn has_header(&self) -> bool {
        self.labels.iter().any(|label| !label.is_empty())
    }
}

/// The encoding that a person named, in the spelling that descriptors use.
fn known(name: &str) -> &'static str {
    match crate::reader::decode::encoding_for(name).map(encoding_rs::Encoding::name) {
        Some("UTF-8") => "utf-8",
        Some("UTF-16LE") => "utf-16le",
        Some("UTF-16BE") => "utf-16be",
        Some("windows-1252") => "windows-1252",
        Some(other) => other,
        None => "utf-8",
    }
}

/// Whether bytes are UTF-8, the last character perhaps cut off.
fn is_utf8(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(fault) => fault.error_len().is_none(),
    }
}

struct Record {
    number: u64,
    cells: Vec<String>,
}

impl Record {
    fn filled(&self) -> usize {
        self.cells.iter().filter(|cell| !cell.trim().is_empty()).count()
    }

    /// A row such as `(1);(2);(3)` that government tables carry below their header.
    fn numbers_columns(&self) -> bool {
        let plain = |cell: &String| cell.trim().trim_matches(['(', ')', '[', ']', '.']).to_owned();
        self.cells.len() > 2
            && self.cells.iter().enumerate().all(|(index, cell)| plain(cell) == (index + 1).to_string())
    }
}

fn records(text: &str, delimiter: &str, last: bool) -> Vec<Record> {
    let limits = CsvLimits { cell: MAX_RECORD, row: MAX_RECORD, columns: MAX_FIELDS };
    let mut reader = CsvReader::new(Dialect { delimiter: delimiter.to_owned(), ..Dialect::default() }, limits);
    reader.rows.text.push_str(text);
    let mut found = Vec::new();
    while found.len() < RECORDS {
        match reader.scan(last && text.len() < HEAD) {
            Ok(Scan::Record) => {
                let cells = reader.record_cells().iter().map(|span| reader.rows.get(*span).to_owned()).collect();
                found.push(Record { number: reader.last_row(), cells });
                reader.discard_record();
            }
            Ok(Scan::Comment) => {}
            Ok(Scan::Incomplete) | Err(_) => break,
        }
    }
    found
}

/// The usual number of cells, and the share of records that have it.
fn usual(records: &[Record]) -> (usize, f64) {
    let mut counts: HashMap<usize, usize> = HashMap::new();
    for record in records.iter().filter(|record| record.filled() > 0) {
        *counts.entry(record.cells.len()).or_default() += 1;
    }
    let most = counts.iter().max_by_key(|(width, count)| (**count, **width));
    let total: usize = counts.values().sum();
    most.map_or((0, 0.0), |(width, count)| (*width, *count as f64 / total as f64))
}

/// What a cell looks like, roughly: enough to tell labels from data.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Empty,
    Year,
    Numeric,
    Words,
}

fn look(cell: &str) -> Look {
    let cell = cell.trim();
    let digits = cell.bytes().filter(u8::is_ascii_digit).count();
    let year = cell.len() == 4 && digits == 4 && (cell.starts_with("19") || cell.starts_with("20"));
    match () {
        () if cell.is_empty() => Look::Empty,
        () if year => Look::Year,
        () if digits > 0 && !cell.chars().any(char::is_alphabetic) => Look::Numeric,
        () => Look::Words,
    }
}

/// Whether a row that could be the header looks like the rows below it. Years are labels as often as values, so a row of
/// them is data only where years stand below.
fn is_data_row(row: &Record, below: &[&Record]) -> bool {
    let mut alike = 0;
    for (index, cell) in row.cells.iter().enumerate() {
        let looks = below.iter().filter_map(|record| record.cells.get(index)).map(|cell| look(cell));
        let mut looks = looks.filter(|look| *look != Look::Empty).peekable();
        if looks.peek().is_none() {
            continue;
        }
        let column: Vec<Look> = looks.collect();
        let usual = |wanted: Look| column.iter().filter(|look| **look == wanted).count() * 10 >= column.len() * 8;
        match look(cell) {
            // A word over numbers is a label, and one label makes a header.
            Look::Words if usual(Look::Numeric) || usual(Look::Year) => return false,
            Look::Year if !usual(Look::Year) => return false,
            Look::Numeric if usual(Look::Numeric) => alike += 1,
            Look::Year => alike += 1,
            _ => {}
        }
    }
    alike > 0
}
