//! A draft of a contract from a real file, with every guess marked as a guess.
//!
//! The file streams past once: [`Drafter::push`] takes its bytes in pieces of any size, [`Drafter::finish`] gives the
//! [`Draft`]. The walk: `layout` looks at the head of the file (encoding, delimiter, where the header is) → `profile`
//! counts, column by column, what every cell could be → `decide` chooses from the counts → `draft` writes the Data Package.
//! Each guessed property stands in `satudata.tebakan` with its reason, how sure it is (0 to 1), and cells that speak
//! against it. What looks like personal data is marked `dataPribadi`, so that it is masked until a person decides, and no
//! cell of such a column is repeated in the draft.
//!
//! Memory does not grow with the file: texts and numbers are counted, examples and choices have limits, and the sets that
//! tell whether a column repeats share one budget, after which uniqueness is not guessed. Nothing is inferred from the
//! digits of an area code alone: the code system is a guess like any other, and says so.

mod candidates;
mod decide;
mod draft;
mod layout;
mod meaning;
mod profile;
#[cfg(test)]
mod tests;
mod words;

use serde_json::Value;
use thiserror::Error;

use crate::contract::MAX_FIELDS;
use crate::reader::cells::{CellFault, CellLimits, CellReader, CellStep, CellStop, Foreign, Sheet};
use crate::reader::csv::{CsvLimits, CsvReader, CsvStop, Dialect, Scan};
use crate::reader::decode::{DecodeStop, Decoder, encoding_for};
use crate::reader::rows::Tag;
use crate::report::{Lang, Text};
use crate::validator::Limits;
use layout::{HEAD, Layout, RECORDS};
use profile::Profile;

/// Bytes of one cell or record that is looked at.
const MAX_RECORD: usize = 1 << 20;

/// The form of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Separated values.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// A workbook or columnar file: its bytes are those of [`crate::CellWriter`].
    Cells(Foreign),
}

/// What is to be drafted.
#[derive(Clone, Debug)]
pub struct Request {
    /// The file's name without folders: the draft points to it and is named after it.
    pub file: String,
    /// Its form.
    pub shape: Shape,
    /// Its encoding, where somebody knows it; else it is guessed from the head.
    pub encoding: Option<String>,
    /// The sheet of a workbook, where somebody names it; else it is the first.
    pub sheet: Sheet,
    /// The language of reasons.
    pub lang: Lang,
}

/// Why no draft can be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// The head was UTF-8 and this byte (from 0) is not: ask again with another encoding.
    #[error("byte {0} is not UTF-8")]
    NotUtf8(u64),
    /// The bytes are not text.
    #[error("byte {0} cannot be read as text")]
    NotText(u64),
    /// The encoding that was asked for is not known.
    #[error("the encoding {0} is not known")]
    Encoding(String),
    /// This record (from 1) cannot be read: an open quote, more than 1 MiB, too many columns, or no JSON object.
    #[error("record {row}: {what}")]
    Record {
        /// The record.
        row: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The workbook or columnar file cannot be read.
    #[error("{1}")]
    Cells(Foreign, CellFault),
    /// There is no row of data.
    #[error("there is no row of data")]
    Empty,
}

impl Unreadable {
    /// The reason in words for the person who named the file.
    #[must_use]
    pub fn words(&self) -> Text {
        match self {
            Self::NotUtf8(byte) => Text::new(
                format!("Byte ke-{byte} bukan UTF-8; sebutkan pengodeannya dengan --encoding, misalnya windows-1252."),
                format!("Byte {byte} is not UTF-8; name the encoding with --encoding, such as windows-1252."),
            ),
            Self::NotText(byte) => Text::new(
                format!("Byte ke-{byte} tidak terbaca sebagai teks: berkas rusak atau bukan berkas teks."),
                format!("Byte {byte} cannot be read as text: the file is damaged, or no text file."),
            ),
            Self::Encoding(name) => Text::new(
                format!("Pengodean «{name}» tidak dikenal; yang lazim: utf-8, utf-16, windows-1252."),
                format!("The encoding “{name}” is not known; usual ones are utf-8, utf-16, windows-1252."),
            ),
            Self::Record { row, what } => {
                Text::new(format!("Baris {row} tidak terbaca ({what})."), format!("Row {row} cannot be read: {what}."))
            }
            Self::Cells(format, fault) => {
                let words = crate::cell_words::fatal(&CellStop::Fault(fault.clone()), *format, &Limits::default());
                *words.message
            }
            Self::Empty => {
                Text::fixed("Tidak ada baris data dalam berkas ini.", "There is no row of data in this file.")
            }
        }
    }
}

/// A drafted contract.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The Data Package.
    pub descriptor: Value,
    /// Rows of data that were looked at.
    pub rows: u64,
}

enum State {
    /// The head is collected: bytes for its encoding, then text.
    Head(Vec<u8>),
    Csv(Box<CsvReader>),
    Lines(String),
    Cells(Box<Cells>),
}

/// The number and the cells of a row of a sheet.
type SheetRow = (u64, Vec<(String, Tag)>);

/// Rows of typed cells. The first wait until they are enough to tell where the header is.
struct Cells {
    reader: CellReader,
    waiting: Option<Vec<SheetRow>>,
}

/// Takes a file's bytes and makes the draft.
pub struct Drafter {
    request: Request,
    decoder: Decoder,
    layout: Layout,
    state: State,
    profile: Profile,
    rows: u64,
}

impl Drafter {
    /// A drafter that has seen nothing yet.
    ///
    /// # Errors
    /// When the encoding that is asked for is not known.
    pub fn new(request: Request) -> Result<Self, Unreadable> {
        if let Some(name) = &request.encoding
            && encoding_for(name).is_none()
        {
            return Err(Unreadable::Encoding(name.clone()));
        }
        let (decoder, layout) = (Decoder::new(None), Layout::default());
        let state = match request.shape {
            Shape::Cells(_) => {
                let limits = CellLimits { cell: MAX_RECORD, row: MAX_RECORD, columns: MAX_FIELDS };
                State::Cells(Box::new(Cells { reader: CellReader::new(limits, 0), waiting: Some(Vec::new()) }))
            }
            _ => State::Head(Vec::new()),
        };
        Ok(Self { request, decoder, layout, state, profile: Profile::default(), rows: 0 })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// When the file cannot be read to its end.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Unreadable> {
        self.take(bytes, false)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When the file cannot be read to its end, or has no row of data.
    pub fn finish(mut self) -> Result<Draft, Unreadable> {
        self.take(&[], true)?;
        if self.rows == 0 {
            return Err(Unreadable::Empty);
        }
        let descriptor = draft::write(&self.request, &self.layout, &self.profile, self.rows);
        Ok(Draft { descriptor, rows: self.rows })
    }

    fn take(&mut self, bytes: &[u8], last: bool) -> Result<(), Unreadable> {
        if let State::Cells(cells) = &mut self.state {
            cells.reader.feed(bytes);
            return self.cells(last);
        }
        if let State::Head(head) = &mut self.state {
            head.extend_from_slice(bytes);
            if head.len() < HEAD && !last {
                return Ok(());
            }
            let head = std::mem::take(head);
            return self.open(&head, last);
        }
        let mut text = String::new();
        self.decode(bytes, last, &mut text)?;
        self.read(&text, last)
    }

    fn decode(&mut self, bytes: &[u8], last: bool, text: &mut String) -> Result<(), Unreadable> {
        let utf8 = self.layout.encoding == "utf-8";
        self.decoder.decode(bytes, last, text).map_err(|stop| match stop {
            DecodeStop::Invalid { byte, .. } if utf8 => Unreadable::NotUtf8(byte),
            DecodeStop::Invalid { byte, .. } | DecodeStop::Detected { byte, .. } | DecodeStop::Nul { byte } => {
                Unreadable::NotText(byte)
            }
        })
    }

    /// Looks at the head and begins to read.
    fn open(&mut self, head: &[u8], last: bool) -> Result<(), Unreadable> {
        self.layout.guess_encoding(head, self.request.encoding.as_deref());
        self.decoder = Decoder::new(encoding_for(self.layout.encoding));
        let mut text = String::new();
        self.decode(head, last, &mut text)?;
        self.state = match self.request.shape {
            Shape::Ndjson => State::Lines(String::new()),
            Shape::Csv | Shape::Cells(_) => {
                self.layout.guess_rows(&text, last);
                self.profile.open(&self.layout.labels);
                let dialect = Dialect { delimiter: self.layout.delimiter.to_owned(), ..Dialect::default() };
                let limits = CsvLimits { cell: MAX_RECORD, row: MAX_RECORD, columns: MAX_FIELDS };
                State::Csv(Box::new(CsvReader::new(dialect, limits)))
            }
        };
        self.read(&text, last)
    }

    fn read(&mut self, text: &str, last: bool) -> Result<(), Unreadable> {
        match &mut self.state {
            State::Head(_) | State::Cells(_) => Ok(()),
            State::Csv(reader) => {
                reader.rows.text.push_str(text);
                self.csv(last)
            }
            State::Lines(rest) => {
                rest.push_str(text);
                let mut lines = std::mem::take(rest);
                let whole = if last { lines.len() } else { lines.rfind('\n').map_or(0, |at| at + 1) };
                let tail = lines.split_off(whole);
                for line in lines.lines() {
                    self.line(line)?;
                }
                if tail.len() > MAX_RECORD {
                    return Err(Unreadable::Record { row: self.rows + 1, what: "longer than 1 MiB" });
                }
                self.state = State::Lines(tail);
                Ok(())
            }
        }
    }

    fn csv(&mut self, last: bool) -> Result<(), Unreadable> {
        let State::Csv(reader) = &mut self.state else { return Ok(()) };
        loop {
            match reader.scan(last).map_err(stopped)? {
                Scan::Incomplete => break,
                Scan::Comment => {}
                Scan::Record => {
                    let number = reader.last_row();
                    let cells = reader.record_cells().iter().map(|span| reader.rows.get(*span));
                    if self.layout.is_data(number) && cells.clone().any(|cell| !cell.is_empty()) {
                        self.rows += 1;
                        self.profile.row(number, cells.map(|cell| (cell, Tag::Text)));
                    }
                    reader.discard_record();
                }
            }
        }
        reader.recycle();
        Ok(())
    }

    fn cells(&mut self, last: bool) -> Result<(), Unreadable> {
        let (State::Cells(cells), Shape::Cells(format)) = (&mut self.state, self.request.shape) else { return Ok(()) };
        loop {
            let step = cells.reader.step().map_err(|stop| not_decoded(format, stop))?;
            let reader = &mut cells.reader;
            match step {
                CellStep::Incomplete => break,
                CellStep::Table => {
                    (self.layout.labels, self.layout.header) = (reader.labels(), 1);
                    self.profile.open(&self.layout.labels);
                    cells.waiting = None;
                }
                CellStep::Row => {
                    let number = reader.last_row();
                    // The forms of dates and times are those that text would have.
                    let tag = |tag| if tag == Tag::Stamp { Tag::Text } else { tag };
                    let row = reader.current().map(|(text, kind)| (text, tag(kind)));
                    match &mut cells.waiting {
                        Some(waiting) => {
                            waiting.push((number, row.map(|(text, tag)| (text.to_owned(), tag)).collect()))
                        }
                        None => profiled(&self.layout, &mut self.profile, &mut self.rows, number, row),
                    }
                }
            }
            reader.discard_record();
            if cells.waiting.as_ref().is_some_and(|waiting| waiting.len() >= RECORDS) {
                opened(cells, &mut self.layout, &mut self.profile, &mut self.rows);
            }
        }
        if last && !cells.reader.ended() {
            return Err(Unreadable::Cells(format, CellFault::Died));
        }
        if last {
            opened(cells, &mut self.layout, &mut self.profile, &mut self.rows);
        }
        cells.reader.recycle();
        Ok(())
    }

    /// One line of NDJSON. Keys become columns in the order in which they first come.
    fn line(&mut self, line: &str) -> Result<(), Unreadable> {
        self.layout.lines += 1;
        let row = self.layout.lines;
        if line.trim().is_empty() {
            return Ok(());
        }
        let fault = |what| Unreadable::Record { row, what };
        let object: serde_json::Map<String, Value> =
            serde_json::from_str(line).map_err(|_| fault("not one JSON object"))?;
        for key in object.keys() {
            if !self.profile.knows(key) && self.profile.width() >= MAX_FIELDS {
                return Err(fault("too many different keys"));
            }
            self.profile.add(key, self.rows);
        }
        self.rows += 1;
        self.profile.object(row, &object);
        Ok(())
    }
}

/// Finds the header among the first rows of a sheet, and takes those below it.
fn opened(cells: &mut Cells, layout: &mut Layout, profile: &mut Profile, rows: &mut u64) {
    let Some(waiting) = cells.waiting.take() else { return };
    layout.guess_sheet(&waiting);
    profile.open(&layout.labels);
    for (number, row) in &waiting {
        profiled(layout, profile, rows, *number, row.iter().map(|(text, tag)| (text.as_str(), *tag)));
    }
}

/// Counts a row if it is one of data.
fn profiled<'a>(
    layout: &Layout,
    profile: &mut Profile,
    rows: &mut u64,
    number: u64,
    cells: impl Iterator<Item = (&'a str, Tag)> + Clone,
) {
    if layout.is_data(number) && cells.clone().any(|(text, _)| !text.trim().is_empty()) {
        *rows += 1;
        profile.row(number, cells);
    }
}

fn not_decoded(format: Foreign, stop: CellStop) -> Unreadable {
    match stop {
        CellStop::Fault(fault) => Unreadable::Cells(format, fault),
        CellStop::CellTooLong { row, .. } | CellStop::RowTooLong { row } => {
            Unreadable::Record { row, what: "longer than 1 MiB" }
        }
        CellStop::TooManyColumns { row } => Unreadable::Record { row, what: "too many columns" },
    }
}

const fn stopped(stop: CsvStop) -> Unreadable {
    match stop {
        CsvStop::Unterminated { row, .. } => Unreadable::Record { row, what: "a quote is opened and never closed" },
        CsvStop::CellTooLong { row, .. } | CsvStop::RowTooLong { row } => {
            Unreadable::Record { row, what: "longer than 1 MiB; perhaps a quote is never closed" }
        }
        CsvStop::TooManyColumns { row } => Unreadable::Record { row, what: "too many columns" },
    }
}
