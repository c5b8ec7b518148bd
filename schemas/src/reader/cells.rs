//! Rows of typed cells, as the process that decodes workbooks and columnar files hands them over.
//!
//! A foreign file (XLSX, XLS, ODS, Parquet, Arrow) is decoded in a process of its own, which writes what it finds as a
//! stream of records ([`CellWriter`]); the reader here turns the stream into rows. It trusts none of it: every length is
//! held to the limits of a file before anything is kept.
//!
//! A record is its kind (one byte), the length of its content (four bytes, little-endian) and the content:
//!
//! | kind | content |
//! |---|---|
//! | `S` | nothing: rows of a sheet follow, the header among them |
//! | `T` | text cells, the names of columns: rows of a table follow, the first of which is row 2 |
//! | `R` | the row's number (four bytes), then its cells from the first column on |
//! | `E` | nothing: the file is complete |
//! | `F` | a [`CellFault`] in JSON: the file cannot be read |

use serde::{Deserialize, Serialize};

use super::rows::{RowInfo, Rows, Span, Tag};
use crate::lexical::temporal::{DAY_MICROS, days_from_civil, write_date, write_datetime, write_time};

/// The file formats that are decoded in a process of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Foreign {
    /// Office Open XML workbook (ISO/IEC 29500), macros or not.
    Xlsx,
    /// Binary workbook of Excel 97 to 2003.
    Xls,
    /// OpenDocument spreadsheet (ISO/IEC 26300).
    Ods,
    /// Apache Parquet.
    Parquet,
    /// Apache Arrow IPC, stream or file.
    Arrow,
}

impl Foreign {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Xlsx, Self::Xls, Self::Ods, Self::Parquet, Self::Arrow];

    /// The ending of file names, which is also the word of the command line.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Xlsx => "xlsx",
            Self::Xls => "xls",
            Self::Ods => "ods",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        }
    }

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xlsx => "XLSX",
            Self::Xls => "XLS",
            Self::Ods => "ODS",
            Self::Parquet => "Parquet",
            Self::Arrow => "Arrow IPC",
        }
    }

    /// The format that an ending promises, in any case of letters.
    #[must_use]
    pub fn of_ending(ending: &str) -> Option<Self> {
        match ending.to_ascii_lowercase().as_str() {
            "xlsm" => Some(Self::Xlsx),
            "arrows" | "feather" => Some(Self::Arrow),
            ending => Self::ALL.into_iter().find(|format| format.ending() == ending),
        }
    }
}

/// Which sheet of a workbook is the table, as the contract's dialect says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheet {
    /// Its name; before the number.
    pub name: Option<String>,
    /// Its place, counted from 1; the first where nothing is said.
    pub number: Option<u32>,
    /// Merged cells that begin above this row (counted from 0) hold their value in every cell they cover. 0: only in their
    /// first, as the file has it.
    pub merged_rows: u32,
}

/// One cell as a decoder found it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Nothing, or an empty text.
    Empty,
    /// Characters.
    Text(&'a str),
    /// A number, in the shortest digits that say it exactly, without an exponent or with one.
    Number(&'a str),
    /// True or false.
    Bool(bool),
    /// Days since the epoch of the workbook, under a format of dates or times.
    Serial {
        /// The days, with the time of day as their fraction.
        days: f64,
        /// Day 0 is 1904-01-01; else day 1 is 1900-01-01 and day 60 the 29th of February 1900 that never was.
        epoch_1904: bool,
        /// The format shows elapsed time (`[h]:mm`), not a point in time.
        elapsed: bool,
    },
    /// A date, time, date with time, or duration in its ISO 8601 form.
    Stamp(&'a str),
    /// An error value such as `#N/A`.
    Error(&'a str),
    /// A formula whose value the file does not hold.
    NoValue,
}

/// Why a foreign file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum CellFault {
    /// The file is something else than its name or media type says.
    #[error("the file is {is}")]
    Other {
        /// A word for what it is, such as `html`.
        is: String,
    },
    /// A password protects it.
    #[error("the file is encrypted")]
    Encrypted,
    /// It has no such sheet.
    #[error("there is no sheet {wanted}")]
    NoSheet {
        /// The name or number that was asked for.
        wanted: String,
        /// The names it does have, at most ten.
        sheets: Vec<String>,
    },
    /// Its content contradicts its format.
    #[error("the file is damaged: {why}")]
    Damaged {
        /// What the decoder says.
        why: String,
    },
    /// It holds what no field of a contract can take.
    #[error("not supported: {what}")]
    Unsupported {
        /// What, and in which column.
        what: String,
    },
    /// Its parts are larger than allowed when they are unpacked.
    #[error("the file unpacks to more than {limit} bytes")]
    Bomb {
        /// The limit in bytes.
        limit: u64,
    },
    /// The decoder needed more memory than it may use.
    #[error("the decoder ran out of memory")]
    Memory,
    /// The decoder needed more time than it may use.
    #[error("the decoder ran out of time")]
    Time,
    /// The decoder ended without a word.
    #[error("the decoder broke down")]
    Died,
}

const EMPTY: u8 = 0;
const TEXT: u8 = 1;
const NUMBER: u8 = 2;
const FALSE: u8 = 3;
const TRUE: u8 = 4;
const SERIAL: u8 = 5;
const STAMP: u8 = 6;
const ERROR: u8 = 7;
const NO_VALUE: u8 = 8;

/// Bytes of a record's head.
const HEAD: usize = 5;
/// The last row of a sheet in every format of workbooks.
const LAST_ROW: u64 = 1 << 20;
/// Bytes of a fault.
const MAX_FAULT: usize = 64 << 10;

/// Writes the stream. The buffer is the caller's to flush; a record is complete after each call but [`CellWriter::cell`].
#[derive(Debug, Default)]
pub struct CellWriter {
    out: Vec<u8>,
    /// Where the row being written begins.
    row: usize,
}

impl CellWriter {
    /// The records so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.out
    }

    /// Forgets what was flushed.
    pub fn clear(&mut self) {
        self.out.clear();
    }

    /// Rows of a sheet follow.
    pub fn sheet(&mut self) {
        self.record(b'S', &[]);
    }

    /// Rows of a table with these columns follow.
    pub fn table<'a>(&mut self, columns: impl Iterator<Item = &'a str>) {
        let mut names = Self::default();
        for column in columns {
            names.cell(Cell::Text(column));
        }
        self.record(b'T', &names.out);
    }

    /// Begins the row with that number, as a person sees it.
    pub fn row(&mut self, number: u32) {
        self.row = self.out.len();
        self.out.extend_from_slice(&[b'R', 0, 0, 0, 0]);
        self.out.extend_from_slice(&number.to_le_bytes());
    }

    /// Adds the next cell of the row.
    pub fn cell(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Empty | Cell::Text("") => self.out.push(EMPTY),
            Cell::Text(text) => self.text(TEXT, text),
            Cell::Number(text) => self.text(NUMBER, text),
            Cell::Bool(value) => self.out.push(if value { TRUE } else { FALSE }),
            Cell::Serial { days, epoch_1904, elapsed } => {
                self.out.push(SERIAL);
                self.out.push(u8::from(epoch_1904) | u8::from(elapsed) << 1);
                self.out.extend_from_slice(&days.to_le_bytes());
            }
            Cell::Stamp(text) => self.text(STAMP, text),
            Cell::Error(text) => self.text(ERROR, text),
            Cell::NoValue => self.out.push(NO_VALUE),
        }
    }

    /// Ends the row.
    pub fn end_row(&mut self) {
        let length = (self.out.len() - self.row).saturating_sub(HEAD);
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        if let Some(place) = self.out.get_mut(self.row + 1..self.row + HEAD) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    /// The file is complete.
    pub fn end(&mut self) {
        self.record(b'E', &[]);
    }

    /// The file cannot be read.
    pub fn fault(&mut self, fault: &CellFault) {
        self.record(b'F', &serde_json::to_vec(fault).unwrap_or_default());
    }

    fn record(&mut self, kind: u8, content: &[u8]) {
        self.out.push(kind);
        self.out.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.out.extend_from_slice(content);
    }

    fn text(&mut self, kind: u8, text: &str) {
        self.out.push(kind);
        self.out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.out.extend_from_slice(text.as_bytes());
    }
}

/// Limits in bytes and columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CellLimits {
    pub(crate) cell: usize,
    pub(crate) row: usize,
    pub(crate) columns: usize,
}

/// Why no further row can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CellStop {
    CellTooLong { row: u64, column: usize },
    RowTooLong { row: u64 },
    TooManyColumns { row: u64 },
    Fault(CellFault),
}

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CellStep {
    /// More of the stream is needed, or there is none.
    Incomplete,
    /// Names of columns; they are the current row's cells.
    Table,
    /// A row, to be kept or discarded before the next step.
    Row,
}

/// The reader.
pub(crate) struct CellReader {
    limits: CellLimits,
    pending: Vec<u8>,
    pos: usize,
    ended: bool,
    started: bool,
    table: bool,
    /// The number of the current row.
    number: u64,
    /// The row that was announced, when blank rows stand before it.
    ahead: Option<u64>,
    /// The current row's cells, and where its text begins.
    cells: Vec<Span>,
    record: usize,
    pub(crate) rows: Rows,
}

impl CellReader {
    pub(crate) fn new(limits: CellLimits, width: usize) -> Self {
        Self {
            limits,
            pending: Vec::new(),
            pos: 0,
            ended: false,
            started: false,
            table: false,
            number: 0,
            ahead: None,
            cells: Vec::new(),
            record: 0,
            rows: Rows { width, typed: true, ..Rows::default() },
        }
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.pending.drain(..self.pos);
        self.pos = 0;
        self.pending.extend_from_slice(bytes);
    }

    /// Whether the decoder said that the file is complete.
    pub(crate) const fn ended(&self) -> bool {
        self.ended
    }

    /// The number of the current row.
    pub(crate) const fn last_row(&self) -> u64 {
        self.number
    }

    /// The cells of the current row, and what its decoder took them for.
    pub(crate) fn current(&self) -> impl Iterator<Item = (&str, Tag)> + Clone {
        self.cells.iter().map(|span| (self.rows.get(*span), span.tag()))
    }

    /// The texts of the current row.
    pub(crate) fn labels(&self) -> Vec<String> {
        let mut labels: Vec<String> = self.cells.iter().map(|span| self.rows.get(*span).to_owned()).collect();
        // Formatted columns without a label hold nothing that anyone entered.
        while labels.last().is_some_and(|label| label.trim().is_empty()) {
            labels.pop();
        }
        labels
    }

    /// Whether the current row begins with a text that begins so.
    pub(crate) fn begins_with(&self, mark: &str) -> bool {
        self.cells.first().is_some_and(|span| span.tag() == Tag::Text && self.rows.get(*span).starts_with(mark))
    }

    /// The current row as a line of CSV.
    #[cfg(test)]
    pub(crate) fn record_text(&self) -> &str {
        self.rows.text.get(self.record..).unwrap_or_default()
    }

    /// Forgets the rows that were taken.
    pub(crate) fn recycle(&mut self) {
        self.rows.cells.clear();
        self.rows.text.clear();
        self.rows.scratch.clear();
        self.rows.clear_rows();
        self.record = 0;
    }

    /// The current row is data.
    pub(crate) fn keep_record(&mut self) {
        let row = self.rows.rows.len() as u32;
        let width = self.rows.width;
        let blank = self.cells.iter().all(|span| span.tag() == Tag::Null);
        for (column, span) in self.cells.iter().enumerate().skip(width) {
            if span.tag() != Tag::Null {
                self.rows.extras.push((row, column as u32, *span));
            }
        }
        self.cells.resize(width, Span::NULL);
        self.rows.cells.append(&mut self.cells);
        let raw = (self.record as u32, self.rows.text.len() as u32);
        self.rows.rows.push(RowInfo { number: self.number, raw, present: width as u32, blank, unreadable: false });
        self.record = self.rows.text.len();
    }

    /// The current row is none.
    pub(crate) fn discard_record(&mut self) {
        self.rows.text.truncate(self.record);
        self.cells.clear();
    }

    /// Reads the next row.
    pub(crate) fn step(&mut self) -> Result<CellStep, CellStop> {
        self.cells.clear();
        if let Some(wanted) = self.ahead {
            self.number += 1;
            if self.number < wanted {
                return Ok(CellStep::Row);
            }
            self.ahead = None;
            return self.content();
        }
        let Some(&[kind, a, b, c, d]) = self.pending.get(self.pos..self.pos + HEAD) else {
            return Ok(CellStep::Incomplete);
        };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        self.check_length(kind, length)?;
        if self.ended {
            return Err(garbled());
        }
        if self.pending.len() - self.pos < HEAD + length {
            return Ok(CellStep::Incomplete);
        }
        match kind {
            b'S' if !self.started => {
                self.started = true;
                self.pos += HEAD + length;
                self.step()
            }
            b'T' if !self.started => {
                (self.started, self.table, self.number) = (true, true, 1);
                self.content()
            }
            b'R' if self.started => self.row(),
            b'E' if self.started => {
                self.pos += HEAD + length;
                self.ended = true;
                Ok(CellStep::Incomplete)
            }
            b'F' => {
                let content = self.pending.get(self.pos + HEAD..self.pos + HEAD + length).unwrap_or_default();
                Err(CellStop::Fault(serde_json::from_slice(content).unwrap_or(CellFault::Died)))
            }
            _ => Err(garbled()),
        }
    }

    /// A record longer than its content may be is refused before it is waited for.
    fn check_length(&self, kind: u8, length: usize) -> Result<(), CellStop> {
        // Head and length of each cell, and the row's number.
        let row = self.limits.row.saturating_add(self.limits.columns.saturating_mul(10)).saturating_add(4);
        match kind {
            b'F' if length <= MAX_FAULT => Ok(()),
            b'S' | b'E' if length == 0 => Ok(()),
            b'R' | b'T' if length <= row => Ok(()),
            b'R' | b'T' => Err(CellStop::RowTooLong { row: self.number + 1 }),
            _ => Err(garbled()),
        }
    }

    /// A row whose number says how many blank ones stand before it.
    fn row(&mut self) -> Result<CellStep, CellStop> {
        let place = self.pending.get(self.pos + HEAD..self.pos + HEAD + 4).and_then(|bytes| bytes.try_into().ok());
        let number = u64::from(u32::from_le_bytes(place.ok_or_else(garbled)?));
        // Rows before it that the stream leaves out are blank: their number has a limit too.
        if number <= self.number || !self.table && number > LAST_ROW {
            return Err(garbled());
        }
        if number > self.number + 1 {
            if self.table {
                return Err(garbled());
            }
            self.ahead = Some(number);
            self.number += 1;
            return Ok(CellStep::Row);
        }
        self.number = number;
        self.content()
    }

    /// The cells of the record at hand.
    fn content(&mut self) -> Result<CellStep, CellStop> {
        let head = self.pending.get(self.pos..self.pos + HEAD).and_then(|head| <[u8; HEAD]>::try_from(head).ok());
        let [kind, length @ ..] = head.ok_or_else(garbled)?;
        let end = self.pos + HEAD + u32::from_le_bytes(length) as usize;
        let start = self.pos + HEAD + if kind == b'R' { 4 } else { 0 };
        let content = self.pending.get(start..end).ok_or_else(garbled)?;
        let mut parser = Parser { rest: content, row: self.number, limits: self.limits };
        self.record = self.rows.text.len();
        while !parser.rest.is_empty() {
            if self.cells.len() >= self.limits.columns {
                return Err(CellStop::TooManyColumns { row: self.number });
            }
            if !self.cells.is_empty() {
                self.rows.text.push(',');
            }
            let span = parser.cell(self.cells.len(), &mut self.rows)?;
            self.cells.push(span);
        }
        if self.rows.text.len() - self.record > self.limits.row.saturating_mul(2) {
            return Err(CellStop::RowTooLong { row: self.number });
        }
        self.pos = end;
        Ok(if kind == b'T' { CellStep::Table } else { CellStep::Row })
    }
}

/// The stream does not follow its own rules: the process that writes it is not to be trusted any more.
const fn garbled() -> CellStop {
    CellStop::Fault(CellFault::Died)
}

/// The cells of one record.
struct Parser<'a> {
    rest: &'a [u8],
    row: u64,
    limits: CellLimits,
}

impl<'a> Parser<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], CellStop> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(garbled)?;
        self.rest = rest;
        Ok(taken)
    }

    fn text(&mut self, column: usize) -> Result<&'a str, CellStop> {
        let length = self.take(4)?.try_into().map(u32::from_le_bytes).map_err(|_| garbled())? as usize;
        if length > self.limits.cell {
            return Err(CellStop::CellTooLong { row: self.row, column: column + 1 });
        }
        std::str::from_utf8(self.take(length)?).map_err(|_| garbled())
    }

    /// Reads one cell, and writes it to the row's text as a cell of CSV.
    fn cell(&mut self, column: usize, rows: &mut Rows) -> Result<Span, CellStop> {
        let kind = self.take(1)?.first().copied().unwrap_or(EMPTY);
        let plain = |text: &str, tag, rows: &mut Rows| {
            let start = rows.text.len();
            rows.text.push_str(text);
            Span::text(start, rows.text.len()).tagged(tag)
        };
        Ok(match kind {
            EMPTY => Span::NULL,
            TEXT => quoted(self.text(column)?, rows),
            NUMBER => plain(self.text(column)?, Tag::Number, rows),
            FALSE => plain("false", Tag::Bool, rows),
            TRUE => plain("true", Tag::Bool, rows),
            SERIAL => {
                let flags = self.take(1)?.first().copied().unwrap_or_default();
                let days = self.take(8)?.try_into().map(f64::from_le_bytes).map_err(|_| garbled())?;
                let start = rows.text.len();
                let tag = write_serial(days, flags & 1 != 0, flags & 2 != 0, &mut rows.text);
                Span::text(start, rows.text.len()).tagged(tag)
            }
            STAMP => plain(self.text(column)?, Tag::Stamp, rows),
            ERROR => plain(self.text(column)?, Tag::Error, rows),
            NO_VALUE => plain("", Tag::NoValue, rows),
            _ => return Err(garbled()),
        })
    }
}

/// Writes a text as a cell of CSV. The span is the text itself.
fn quoted(text: &str, rows: &mut Rows) -> Span {
    let start = rows.text.len();
    let bytes = text.as_bytes();
    if memchr::memchr3(b',', b'\n', b'\r', bytes).is_none() && memchr::memchr(b'"', bytes).is_none() {
        rows.text.push_str(text);
        return Span::text(start, rows.text.len());
    }
    rows.text.push('"');
    if memchr::memchr(b'"', bytes).is_none() {
        rows.text.push_str(text);
        rows.text.push('"');
        return Span::text(start + 1, start + 1 + text.len());
    }
    rows.text.push_str(&text.replace('"', "\"\""));
    rows.text.push('"');
    let copy = rows.scratch.len();
    rows.scratch.push_str(text);
    Span::scratch(copy, rows.scratch.len())
}

const DAY_MILLIS: f64 = 86_400_000.0;

/// Writes the date, time or duration that a serial number of days means; one that means none stays a number.
///
/// Excel shows milliseconds at most: what is nearer to one than that is the noise of binary fractions.
fn write_serial(days: f64, epoch_1904: bool, elapsed: bool, out: &mut String) -> Tag {
    use std::fmt::Write as _;
    // 9999-12-31 is the last day that Excel knows; an elapsed time of that length is none either.
    if !(0.0..2_958_466.0).contains(&days) {
        let _ = write!(out, "{days}");
        return Tag::Number;
    }
    let millis = (days * DAY_MILLIS).round() as i64;
    if elapsed && millis >= 86_400_000 {
        write_duration(millis, out);
        return Tag::Stamp;
    }
    let (day, of_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000) * 1000);
    if day == 0 && !epoch_1904 || elapsed || days < 1.0 && of_day != 0 {
        write_time(of_day, out);
        return Tag::Stamp;
    }
    let epoch = if epoch_1904 { days_from_civil(1904, 1, 1) } else { days_from_civil(1899, 12, 30) };
    let civil = match day {
        60 if !epoch_1904 => {
            out.push_str("1900-02-29");
            return Tag::Stamp;
        }
        1..60 if !epoch_1904 => epoch + day + 1,
        _ => epoch + day,
    };
    if of_day == 0 {
        write_date(civil, out)
    } else {
        write_datetime(civil * DAY_MICROS + of_day, out)
    }
    Tag::Stamp
}

fn write_duration(millis: i64, out: &mut String) {
    use std::fmt::Write as _;
    let (seconds, fraction) = (millis / 1000, millis % 1000);
    let _ = write!(out, "PT{}H{}M{}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        let text = format!("{fraction:03}");
        let _ = write!(out, ".{}", text.trim_end_matches('0'));
    }
    out.push('S');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: CellLimits = CellLimits { cell: 1000, row: 4000, columns: 20 };

    fn serial(days: f64, epoch_1904: bool, elapsed: bool) -> (String, Tag) {
        let mut out = String::new();
        let tag = write_serial(days, epoch_1904, elapsed, &mut out);
        (out, tag)
    }

    #[test]
    fn serial_days_mean_what_excel_shows() {
        for (days, epoch_1904, elapsed, text) in [
            (45296.0, false, false, "2024-01-05"),
            (45296.4375, false, false, "2024-01-05T10:30:00"),
            (45_296.437_499_999_9, false, false, "2024-01-05T10:30:00"),
            (45943.541, false, false, "2025-10-13T12:59:02.4"),
            (43834.0, true, false, "2024-01-05"),
            (0.0, true, false, "1904-01-01"),
            (1.0, false, false, "1900-01-01"),
            (59.0, false, false, "1900-02-28"),
            (60.0, false, false, "1900-02-29"),
            (61.0, false, false, "1900-03-01"),
            (0.4375, false, false, "10:30:00"),
            (0.4375, false, true, "10:30:00"),
            (1.5, false, true, "PT36H0M0S"),
            (2_958_465.0, false, false, "9999-12-31"),
        ] {
            assert_eq!(serial(days, epoch_1904, elapsed), (text.to_owned(), Tag::Stamp), "{days}");
        }
        for days in [-1.0, 2_958_466.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(serial(days, false, false).1, Tag::Number, "{days}");
        }
    }

    /// Number, cells and text of a row.
    type ReadRow = (u64, Vec<(String, Tag)>, String);

    fn read(bytes: &[u8], piece: usize) -> (Vec<ReadRow>, Result<(), CellStop>) {
        let mut reader = CellReader::new(LIMITS, 3);
        let mut found = Vec::new();
        for chunk in bytes.chunks(piece.max(1)) {
            reader.feed(chunk);
            loop {
                match reader.step() {
                    Ok(CellStep::Incomplete) => break,
                    Ok(_) => {
                        let cells = reader.cells.iter().map(|span| (reader.rows.get(*span).to_owned(), span.tag()));
                        found.push((reader.last_row(), cells.collect(), reader.record_text().to_owned()));
                        reader.discard_record();
                    }
                    Err(stop) => return (found, Err(stop)),
                }
            }
        }
        (found, Ok(()))
    }

    fn sample() -> CellWriter {
        let mut writer = CellWriter::default();
        writer.sheet();
        writer.row(2);
        writer.cell(Cell::Text("a, \"b\""));
        writer.cell(Cell::Empty);
        writer.cell(Cell::Number("64.01000000000001"));
        writer.end_row();
        writer.row(4);
        writer.cell(Cell::Serial { days: 45296.0, epoch_1904: false, elapsed: false });
        writer.cell(Cell::Error("#N/A"));
        writer.cell(Cell::NoValue);
        writer.cell(Cell::Bool(true));
        writer.end_row();
        writer.end();
        writer
    }

    #[test]
    fn a_stream_in_pieces_of_any_size_gives_its_rows_and_the_blank_ones_between() {
        for piece in 1..60 {
            let (rows, end) = read(sample().bytes(), piece);
            assert_eq!(end, Ok(()));
            assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
            assert_eq!(rows[1].1[0], ("a, \"b\"".to_owned(), Tag::Text));
            assert_eq!(rows[1].1[1].1, Tag::Null);
            assert_eq!(rows[1].2, "\"a, \"\"b\"\"\",,64.01000000000001");
            assert_eq!(rows[3].1[0], ("2024-01-05".to_owned(), Tag::Stamp));
            assert_eq!(rows[3].1[1], ("#N/A".to_owned(), Tag::Error));
            assert_eq!(rows[3].1[2].1, Tag::NoValue);
        }
    }

    #[test]
    fn what_passes_a_limit_is_refused_before_it_is_kept() {
        let mut long = CellWriter::default();
        long.sheet();
        long.row(1);
        long.cell(Cell::Text(&"x".repeat(1001)));
        long.end_row();
        assert_eq!(read(long.bytes(), 7).1, Err(CellStop::CellTooLong { row: 1, column: 1 }));
        let mut wide = CellWriter::default();
        wide.sheet();
        wide.row(1);
        (0..21).for_each(|_| wide.cell(Cell::Bool(true)));
        wide.end_row();
        assert_eq!(read(wide.bytes(), 7).1, Err(CellStop::TooManyColumns { row: 1 }));
        let head = [b'S', 0, 0, 0, 0, b'R', 0xff, 0xff, 0xff, 0xff];
        assert_eq!(read(&head, 1).1, Err(CellStop::RowTooLong { row: 1 }));
    }

    #[test]
    fn a_fault_arrives_as_it_was_sent() {
        let fault = CellFault::NoSheet { wanted: "Data".to_owned(), sheets: vec!["Lembar1".to_owned()] };
        let mut writer = CellWriter::default();
        writer.fault(&fault);
        assert_eq!(read(writer.bytes(), 3).1, Err(CellStop::Fault(fault)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..40) {
            let _ = read(&bytes, piece);
        }

        #[test]
        fn a_changed_stream_never_panics(at in 0usize..120, to in any::<u8>(), piece in 1usize..40) {
            let mut bytes = sample().bytes().to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            let _ = read(&bytes, piece);
        }
    }
}
