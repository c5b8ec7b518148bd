//! Finding out which delimiter a file uses when the contract does not say.

use crate::contract::Contract;
use crate::header::{named, names};
use crate::reader::csv::{CsvLimits, CsvReader, Dialect, Scan};

/// Text that is looked at, in bytes.
pub(crate) const SAMPLE: usize = 64 << 10;

const CANDIDATES: [&str; 4] = [",", ";", "\t", "|"];

/// What the sample says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detection {
    /// The sample holds no whole header.
    Unknown,
    /// The standard's default.
    Comma,
    /// Another one.
    Other(&'static str),
}

/// The delimiter under which most labels are names of fields; the comma when in doubt.
pub(crate) fn delimiter(text: &str, contract: &Contract, dialect: &Dialect, last: bool) -> Detection {
    let mut cut = text.len().min(SAMPLE);
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    let sample = text.get(..cut).unwrap_or_default();
    let whole = last && cut == text.len();
    let mut best: Option<(Score, &'static str)> = None;
    for candidate in CANDIDATES {
        let dialect = Dialect { delimiter: candidate.to_owned(), ..dialect.clone() };
        let labels = match header(sample, contract, dialect, whole) {
            Header::Labels(labels) => labels,
            // Under this delimiter the header may go on: more text decides.
            Header::Incomplete if !whole && text.len() < SAMPLE => return Detection::Unknown,
            Header::Incomplete | Header::Unreadable => continue,
        };
        let score = Score::of(contract, &labels);
        if best.is_none_or(|(known, _)| score > known) {
            best = Some((score, candidate));
        }
    }
    match best {
        None => Detection::Unknown,
        Some((_, ",")) => Detection::Comma,
        Some((_, other)) => Detection::Other(other),
    }
}

/// Whether a line of the file is its header, though it does not stand where the contract says: it names at least half of
/// the fields, two or more, and more than the `known` that the row in the header's place names.
pub(crate) fn is_header(line: &str, contract: &Contract, known: usize) -> bool {
    let fields = contract.fields.len();
    let enough = fields.div_ceil(2).max(2).max(known + 1);
    if fields < enough || line.len() > SAMPLE {
        return false;
    }
    let declared = contract.layout.dialect.delimiter.as_str();
    CANDIDATES.into_iter().chain([declared]).any(|delimiter| {
        let dialect = Dialect { delimiter: delimiter.to_owned(), comment: None, ..contract.layout.dialect.clone() };
        let limits = CsvLimits { cell: SAMPLE, row: SAMPLE, columns: 4096 };
        let mut reader = CsvReader::new(dialect, limits);
        reader.let_end_close_quote();
        reader.rows.text.push_str(line);
        matches!(reader.scan(true), Ok(Scan::Record))
            && named(contract, reader.record_cells().iter().map(|span| reader.rows.get(*span))) >= enough
    })
}

/// Known names first, then the right number of columns, then more than one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    known: usize,
    fits: bool,
    divided: bool,
}

impl Score {
    fn of(contract: &Contract, labels: &[String]) -> Self {
        let known = if contract.layout.header {
            contract
                .fields
                .iter()
                .filter(|field| labels.iter().any(|label| names(field, label, &contract.layout)))
                .count()
        } else {
            0
        };
        Self { known, fits: labels.len() == contract.fields.len(), divided: labels.len() > 1 }
    }
}

enum Header {
    Labels(Vec<String>),
    Incomplete,
    Unreadable,
}

/// The last header line, or the first record of a file without a header.
fn header(sample: &str, contract: &Contract, dialect: Dialect, last: bool) -> Header {
    let limits = CsvLimits { cell: SAMPLE, row: SAMPLE, columns: 4096 };
    let layout = &contract.layout;
    let mut reader = CsvReader::new(dialect, limits);
    reader.let_end_close_quote();
    reader.rows.text.push_str(sample);
    let wanted = layout.header_rows.last().copied().filter(|_| layout.header).unwrap_or(1);
    loop {
        match reader.scan(last) {
            Err(_) => return Header::Unreadable,
            Ok(Scan::Incomplete) => return Header::Incomplete,
            Ok(Scan::Comment) => {}
            Ok(Scan::Record) if reader.last_row() < wanted || layout.comment_rows.contains(&reader.last_row()) => {
                reader.discard_record();
            }
            Ok(Scan::Record) => {
                return Header::Labels(
                    reader.record_cells().iter().map(|span| reader.rows.get(*span).to_owned()).collect(),
                );
            }
        }
    }
}
