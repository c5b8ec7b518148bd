//! Bad rows by themselves, in the form in which they came: to be corrected and sent again, or to be shown in a sheet.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::contract::Contract;
use crate::detect::{self, Detection};
use crate::reader::csv::{CsvLimits, CsvReader, Scan};

/// The most cells of a record that are taken apart.
const COLUMNS: usize = 4096;
/// The largest cell and record, in bytes. Larger ones are not in quarantine.
const BYTES: usize = 8 << 20;

/// A CSV file of bad rows under the dialect and the encoding of a contract.
pub struct RejectedCsv<'c> {
    contract: &'c Contract,
    line_end: &'c str,
}

impl<'c> RejectedCsv<'c> {
    /// A file for rows of `contract`.
    #[must_use]
    pub fn new(contract: &'c Contract) -> Self {
        let line_end = contract.layout.dialect.terminator.as_deref().unwrap_or("\n");
        Self { contract, line_end }
    }

    /// The bytes that the file begins with: a mark by which programs recognise the encoding, and the head
    /// ([`crate::Validator::header_text`]).
    #[must_use]
    pub fn head(&self, head: &str) -> Vec<u8> {
        let mut bytes = self.mark().to_vec();
        bytes.extend(encode(head, self.contract.encoding));
        bytes
    }

    /// The bytes of one row with its line end.
    #[must_use]
    pub fn row(&self, raw: &str) -> Vec<u8> {
        encode(&format!("{raw}{}", self.line_end), self.contract.encoding)
    }

    fn mark(&self) -> &'static [u8] {
        match self.contract.encoding {
            Some(encoding) if encoding == UTF_16LE => &[0xff, 0xfe],
            Some(encoding) if encoding == UTF_16BE => &[0xfe, 0xff],
            Some(encoding) if encoding != UTF_8 => &[],
            _ => &[0xef, 0xbb, 0xbf],
        }
    }
}

/// What an encoding cannot write becomes a numeric character reference.
fn encode(text: &str, encoding: Option<&'static Encoding>) -> Vec<u8> {
    match encoding {
        Some(encoding) if encoding == UTF_16LE => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        Some(encoding) if encoding == UTF_16BE => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        Some(encoding) => encoding.encode(text).0.into_owned(),
        None => text.as_bytes().to_vec(),
    }
}

/// Takes CSV records of one file apart, as the contract's dialect says; a delimiter that it does not name is detected in
/// the head.
pub struct Records {
    reader: CsvReader,
}

impl Records {
    /// A reader for records of the file that began with `head`.
    #[must_use]
    pub fn new(contract: &Contract, head: &str) -> Self {
        let mut dialect = contract.layout.dialect.clone();
        if !contract.layout.delimiter_declared
            && let Detection::Other(delimiter) = detect::delimiter(head, contract, &dialect, true)
        {
            dialect.delimiter = delimiter.to_owned();
        }
        // A comment is a row of its own here: only records that were kept are asked for.
        dialect.comment = None;
        let limits = CsvLimits { cell: BYTES, row: BYTES, columns: COLUMNS };
        Self { reader: CsvReader::new(dialect, limits) }
    }

    /// The cells of the last record in `text`; nothing when it cannot be taken apart.
    #[must_use]
    pub fn cells(&mut self, text: &str) -> Vec<String> {
        let mut cells = Vec::new();
        self.reader.rows.text.push_str(text);
        while let Ok(Scan::Record) = self.reader.scan(true) {
            cells = self.reader.record_cells().iter().map(|span| self.reader.rows.get(*span).to_owned()).collect();
            self.reader.discard_record();
        }
        let dialect = self.reader.dialect().clone();
        self.reader = CsvReader::new(dialect, CsvLimits { cell: BYTES, row: BYTES, columns: COLUMNS });
        cells
    }
}
