//! Checking a file while it streams past.
//!
//! 1. Bytes become text (`reader/decode.rs`), text becomes rows of spans (`reader/csv.rs`, `reader/json.rs`).
//! 2. The header is fitted to the fields (`header.rs`).
//! 3. A batch of rows is read column by column into typed arrays (`column.rs`).
//! 4. Keys and references are checked over the whole file (`keys.rs`).
//! 5. Good rows are handed out, bad ones are set aside and put in words (`collect.rs`).

mod refused;
mod sheets;

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use hashbrown::{HashMap, HashSet};

use crate::across;
use crate::cell_words;
use crate::collect::{Batch, Collector, key_rule};
use crate::column::{self, Fault, Place, Reading};
use crate::contract::{Contract, FieldsMatch, Target};
use crate::detect::{self, Detection};
use crate::fatal;
use crate::field::{Field, Rule};
use crate::header::{self, Mapping};
use crate::key_index::{KeyStore, KeysStop};
use crate::keys::{FirstRows, Keys};
use crate::reader::cells::{CellFault, CellStop, Foreign};
use crate::reader::csv::{CsvLimits, CsvReader, Scan};
use crate::reader::decode::{DecodeStop, Decoder, TextEncoding};
use crate::reader::json::{JsonLimits, JsonReader, Names, Step};
use crate::reader::kind::{self, Look};
use crate::reader::rows::{KeyFault, MAX_SPAN, Rows, Span, Tag};
use crate::report::{Fatal, Finding, Lang, Notice, Report, Stats, Text, labels, speech};
use sheets::CellInput;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Delimited text, under the contract's dialect.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// One JSON document: an array of objects, or of arrays with the names first.
    Json,
    /// The rows of a workbook or columnar file, as [`crate::CellWriter`] writes them.
    Cells(Foreign),
}

/// What a file may cost. All sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest cell. Default 1 MiB.
    pub cell_bytes: usize,
    /// The largest record or line. Default 8 MiB.
    pub row_bytes: usize,
    /// The most columns of a record. Default 4096.
    pub columns: usize,
    /// Errors that are detailed; all are counted. Default 1000.
    pub errors: usize,
    /// Rows of a batch. Default 8192.
    pub batch_rows: usize,
    /// Text of a batch: what fits into the cache of a processor is read several times without waiting. Default 1 MiB.
    pub batch_bytes: usize,
    /// The largest JSON document. Default 64 MiB.
    pub document_bytes: usize,
    /// Memory for the keys of one file: eight to twelve bytes a key, and the keys themselves unless they are kept elsewhere
    /// ([`Validator::spill_keys`]). Default 1 GiB.
    pub key_bytes: usize,
    /// Refused rows kept until they are taken; more are counted and dropped. Default 16 MiB.
    pub rejected_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cell_bytes: 1 << 20,
            row_bytes: 8 << 20,
            columns: 4096,
            errors: 1000,
            batch_rows: 8192,
            batch_bytes: 1 << 20,
            document_bytes: 64 << 20,
            key_bytes: 1 << 30,
            rejected_bytes: 16 << 20,
        }
    }
}

/// Cells of a batch, however many columns there are.
const BATCH_CELLS: usize = 1 << 18;
/// Rows below the header's place in which labels are looked for when it does not fit.
const HEADER_WITHIN: usize = 20;
/// Bytes in which a header is looked for that may be in another encoding than the contract says.
const HEADER_BYTES: usize = 4096;
/// Bytes decoded at once.
const PIECE: usize = 256 << 10;

/// What the check is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// The rows will be stored: values that 64 bits cannot hold are refused, and a header that does
    /// not fit ends the reading.
    Land,
    /// Only the report is wanted: values too wide to be stored, NUL characters and a quote that is
    /// never closed are noticed, and rows under a header that does not fit are checked all the same.
    Check,
}

/// Rows that meet the contract, in the contract's schema.
#[derive(Clone, Debug)]
pub struct AcceptedBatch {
    /// The rows.
    pub rows: RecordBatch,
}

/// How far a check is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Data rows read.
    pub rows: u64,
    /// Those that do not meet the contract.
    pub bad_rows: u64,
    /// Errors that are new.
    pub errors: Vec<Finding>,
}

/// A row that does not meet the contract, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// Its number in the file, the header counted.
    pub row: u64,
    /// Its text without the line end.
    pub raw: String,
}

enum Input {
    Csv(Box<CsvInput>),
    Json(Box<JsonReader>),
    Cells(Box<CellInput>),
}

impl Input {
    /// What the file should be, in words.
    const fn name(&self) -> &'static str {
        match self {
            Self::Csv(_) => "CSV",
            Self::Json(_) => "JSON",
            Self::Cells(_) => "",
        }
    }
}

struct CsvInput {
    reader: CsvReader,
    detecting: bool,
    /// Length of the text at the last attempt to detect the delimiter.
    tried: usize,
    header: HeaderState,
}

struct HeaderState {
    done: bool,
    lines: Vec<Vec<String>>,
}

/// Checks one file against one contract.
pub struct Validator {
    decoder: Decoder,
    input: Input,
    core: Core,
    seen_text: bool,
    finished: bool,
    /// The first bytes of a text, until they have said that it is one.
    head: Option<Vec<u8>>,
    /// The contract's one-byte encoding is to be doubted.
    doubt_encoding: bool,
}

/// What does not depend on the way the file is written.
struct Core {
    contract: Arc<Contract>,
    limits: Limits,
    purpose: Purpose,
    /// Hand out every row, for lists whose bad rows still hold keys.
    keep_bad: bool,
    mapping: Option<Mapping>,
    /// The header does not fit, and nobody has looked yet whether it stands further down.
    header_fails: bool,
    /// None of its labels means anything.
    header_lost: bool,
    keys: Keys,
    collector: Collector,
    faults: Vec<Fault>,
    /// What may be wrong in a batch and refuses nothing.
    doubts: Vec<Fault>,
    first_rows: FirstRows,
    accepted: Vec<AcceptedBatch>,
    rejected: Vec<RejectedRow>,
    rejected_bytes: usize,
    rejected_dropped: u64,
    /// Numbers of refused rows, where late errors have to be told apart from them.
    refused_numbers: Option<HashSet<u64>>,
    rows: u64,
    rows_accepted: u64,
    too_wide: u64,
    late_errors: u64,
    header_raw: String,
    fatal: Option<Fatal>,
}

impl Validator {
    /// A check for landing. For a mere report see [`Validator::for_check`].
    #[must_use]
    pub fn new(contract: Arc<Contract>, format: Format, limits: Limits) -> Self {
        Self::with_purpose(contract, format, limits, Purpose::Land)
    }

    /// A check whose report is all that is wanted.
    #[must_use]
    pub fn for_check(contract: Arc<Contract>, format: Format, limits: Limits) -> Self {
        Self::with_purpose(contract, format, limits, Purpose::Check)
    }

    fn with_purpose(contract: Arc<Contract>, format: Format, mut limits: Limits, purpose: Purpose) -> Self {
        limits.row_bytes = limits.row_bytes.min(MAX_SPAN / 4);
        limits.cell_bytes = limits.cell_bytes.min(limits.row_bytes);
        limits.document_bytes = limits.document_bytes.min(MAX_SPAN);
        limits.batch_bytes = limits.batch_bytes.clamp(1, MAX_SPAN / 4);
        let width = contract.fields.len();
        limits.batch_rows = limits.batch_rows.clamp(1, (BATCH_CELLS / width.max(1)).max(1));
        let input = match format {
            Format::Csv => Input::Csv(Box::new(csv_input(&contract, &limits, purpose))),
            Format::Ndjson | Format::Json => {
                Input::Json(Box::new(json_input(&contract, &limits, format == Format::Ndjson)))
            }
            Format::Cells(format) => Input::Cells(Box::new(CellInput::new(&contract, format, &limits))),
        };
        let itself = contract.foreign_keys.iter().any(|key| matches!(key.target, Target::Itself(_)));
        // The names of objects are the fields; other files say by their header what is where.
        let mapping = matches!(input, Input::Json(_)).then(|| Mapping::positional(width));
        let lacking = contract.lacks_rules();
        let one_byte = contract.encoding.is_some_and(encoding_rs::Encoding::is_single_byte);
        let doubt_encoding = one_byte && format == Format::Csv;
        let mut validator = Self {
            decoder: match format {
                Format::Csv => Decoder::detecting(contract.encoding),
                _ => Decoder::new(None),
            },
            input,
            core: Core {
                keys: Keys::new(&contract, limits.key_bytes),
                collector: Collector::new(limits.errors),
                contract,
                limits,
                purpose,
                keep_bad: false,
                mapping,
                header_fails: false,
                header_lost: false,
                faults: Vec::new(),
                doubts: Vec::new(),
                first_rows: Vec::new(),
                accepted: Vec::new(),
                rejected: Vec::new(),
                rejected_bytes: 0,
                rejected_dropped: 0,
                refused_numbers: itself.then(HashSet::new),
                rows: 0,
                rows_accepted: 0,
                too_wide: 0,
                late_errors: 0,
                header_raw: String::new(),
                fatal: None,
            },
            seen_text: false,
            finished: false,
            head: (!matches!(format, Format::Cells(_))).then(Vec::new),
            doubt_encoding,
        };
        if lacking {
            validator.core.without_rules();
        }
        validator
    }

    /// Reads a CSV file in the encoding that its sender names, whatever the contract says. JSON is always UTF-8 (RFC 8259).
    #[must_use]
    pub fn in_encoding(mut self, encoding: TextEncoding) -> Self {
        if matches!(self.input, Input::Csv(_)) {
            self.decoder = Decoder::new(Some(encoding.0));
            self.doubt_encoding = false;
        }
        self
    }

    /// Keeps the primary and unique keys of a large file in `store` instead of in memory, where eight to twelve bytes a key
    /// remain. To be called before the first piece of the file.
    pub fn spill_keys(&mut self, store: Box<dyn KeyStore>) {
        self.core.keys.spill(store);
    }

    /// Hands out bad rows too: a list may hold keys in rows that have other faults.
    pub(crate) const fn keep_bad_rows(&mut self) {
        self.core.keep_bad = true;
    }

    /// Checks the next piece of the file, of any size.
    ///
    /// # Errors
    /// When the file as a whole cannot be read; then nothing of it may be kept, and every further
    /// call answers the same. [`Validator::into_report`] still tells what was found.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Fatal> {
        for piece in bytes.chunks(PIECE) {
            self.piece(piece, false)?;
        }
        Ok(())
    }

    /// Checks what is left, and what only the whole file can answer.
    ///
    /// # Errors
    /// As [`Validator::push`].
    pub fn finish(&mut self) -> Result<(), Fatal> {
        if self.finished {
            return self.core.fatal.clone().map_or(Ok(()), Err);
        }
        self.piece(&[], true)?;
        self.finished = true;
        self.core.finish_keys();
        Ok(())
    }

    /// The decoder of a foreign file failed: what it did not say itself. Nothing of the file may be kept.
    pub fn fail(&mut self, fault: &CellFault) {
        if let (Input::Cells(cells), None) = (&self.input, &self.core.fatal) {
            let words = cells.words(&CellStop::Fault(fault.clone()), &self.core.limits);
            self.core.fatal = Some(self.flush().err().unwrap_or(words));
        }
    }

    /// The good rows found since the last call. Nothing may be kept for good before
    /// [`Validator::finish`] succeeded and the report has no late errors.
    pub fn take_batches(&mut self) -> Vec<AcceptedBatch> {
        std::mem::take(&mut self.core.accepted)
    }

    /// The bad rows found since the last call, as the file has them, as far as the limit allows.
    pub fn take_rejected(&mut self) -> Vec<RejectedRow> {
        self.core.rejected_bytes = 0;
        std::mem::take(&mut self.core.rejected)
    }

    /// Bad rows that [`Validator::take_rejected`] will never return since the buffer was full.
    #[must_use]
    pub const fn rejected_dropped(&self) -> u64 {
        self.core.rejected_dropped
    }

    /// The lines of a CSV file down to its header as the file has them, each with its line end: what a file of bad rows
    /// has to begin with to be read like this one. Empty without a header.
    #[must_use]
    pub fn header_text(&self) -> &str {
        &self.core.header_raw
    }

    /// Checks the rows that wait for a batch to fill, so that [`Validator::news`] is new.
    ///
    /// # Errors
    /// As [`Validator::push`].
    pub fn settle(&mut self) -> Result<(), Fatal> {
        if let Some(fatal) = &self.core.fatal {
            return Err(fatal.clone());
        }
        self.flush().inspect_err(|fatal| self.core.fatal = Some(fatal.clone()))
    }

    /// The contract that is checked against.
    #[must_use]
    pub fn contract(&self) -> &Contract {
        &self.core.contract
    }

    /// How far the check is: exact counts, and at most `most` of the detailed errors from number `from` on, without
    /// personal values.
    #[must_use]
    pub fn news(&self, from: usize, most: usize) -> News {
        let core = &self.core;
        let errors = core.collector.errors.iter().skip(from).take(most).cloned().map(Finding::masked).collect();
        News { rows: core.rows, bad_rows: core.rows - core.rows_accepted, errors }
    }

    /// Data rows read so far.
    #[must_use]
    pub const fn rows_read(&self) -> u64 {
        self.core.rows
    }

    /// What was found so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.core.report()
    }

    /// What was found. Complete only after [`Validator::finish`] or a fatal error.
    #[must_use]
    pub fn into_report(self) -> Report {
        self.core.report()
    }

    fn piece(&mut self, bytes: &[u8], last: bool) -> Result<(), Fatal> {
        if let Some(fatal) = &self.core.fatal {
            return Err(fatal.clone());
        }
        let Some(mut head) = self.head.take() else { return self.decoded(bytes, last) };
        head.extend_from_slice(bytes);
        let wait = self.doubt_encoding && head.len() < HEADER_BYTES && !last;
        match kind::look(&head, last) {
            Look::Other(is) => {
                let fatal = cell_words::no_text(is, self.input.name());
                self.core.fatal = Some(fatal.clone());
                Err(fatal)
            }
            Look::Text if !wait => {
                self.doubt_encoding(&head);
                self.decoded(&head, last)
            }
            Look::Text | Look::Undecided => {
                self.head = Some(head);
                Ok(())
            }
        }
    }

    /// A header that is UTF-8 where the contract declares one byte a letter: its labels would not be known.
    fn doubt_encoding(&mut self, head: &[u8]) {
        let lines = self.core.contract.layout.header_rows.last().copied().unwrap_or(1);
        if self.doubt_encoding && kind::is_utf8(head, usize::try_from(lines).unwrap_or(1)) {
            let name = self.decoder.name();
            self.core.notice(
                "encoding-doubtful",
                format!("Berkas tampaknya UTF-8, tetapi standar data menyebut {name}, sehingga huruf khusus terbaca salah. Kirim lagi dengan --encoding utf-8 (HTTP: Content-Type: text/csv; charset=utf-8)."),
                format!("The file seems to be UTF-8, but the contract says {name}, so that special letters are read wrongly. Send it again with --encoding utf-8 (HTTP: Content-Type: text/csv; charset=utf-8)."),
            );
        }
    }

    /// Checks bytes of which it is known that they are meant as what the format says.
    fn decoded(&mut self, bytes: &[u8], last: bool) -> Result<(), Fatal> {
        let text = match &mut self.input {
            Input::Csv(csv) => &mut csv.reader.rows.text,
            Input::Json(json) => &mut json.rows.text,
            Input::Cells(cells) => {
                cells.reader.feed(bytes);
                return self.drive(last).inspect_err(|fatal| self.core.fatal = Some(fatal.clone()));
            }
        };
        let mut stop = self.decoder.decode(bytes, last, text).err();
        self.seen_text |= self.has_text();
        loop {
            stop = match stop {
                Some(DecodeStop::Detected { byte, encoding }) => self.note_encoding(byte, TextEncoding(encoding))?,
                Some(DecodeStop::Nul { byte })
                    if self.core.purpose == Purpose::Check && matches!(self.input, Input::Csv(_)) =>
                {
                    self.pass_nul(byte)?
                }
                _ => break,
            };
            self.seen_text |= self.has_text();
        }
        if stop.is_some() {
            self.decide_delimiter();
        }
        let nothing = last && stop.is_none() && !self.seen_text;
        let mut result = if nothing { Err(fatal::empty()) } else { self.drive(last && stop.is_none()) };
        if let (Ok(()), Some(stop)) = (&result, stop) {
            let row = match &self.input {
                Input::Csv(csv) => csv.reader.current_row(),
                Input::Json(json) => json.current_row(),
                Input::Cells(cells) => cells.reader.last_row(),
            };
            result = self.flush().and(Err(fatal::decode(stop, row, self.decoder.name())));
        }
        result.inspect_err(|fatal| self.core.fatal = Some(fatal.clone()))
    }

    /// Where the text stops, its rows are counted: the delimiter has to be known by then.
    fn decide_delimiter(&mut self) {
        if let Input::Csv(csv) = &mut self.input
            && csv.detecting
        {
            detect_delimiter(csv, &mut self.core, true);
        }
    }

    fn has_text(&self) -> bool {
        match &self.input {
            Input::Csv(csv) => !csv.reader.rows.text.is_empty(),
            Input::Json(json) => !json.rows.text.is_empty(),
            Input::Cells(_) => false,
        }
    }

    /// The file goes on in another encoding than UTF-8: nobody declared it, so the report says where that was seen.
    fn note_encoding(&mut self, byte: u64, found: TextEncoding) -> Result<Option<DecodeStop>, Fatal> {
        self.drive(false).inspect_err(|fatal| self.core.fatal = Some(fatal.clone()))?;
        let Input::Csv(csv) = &mut self.input else { return Ok(None) };
        let row = csv.reader.current_row();
        let stop = self.decoder.resume(&mut csv.reader.rows.text).err();
        let name = found.name();
        let (place_id, place_en) = match byte {
            0 => (String::new(), String::new()),
            _ => {
                (format!(" (terlihat pada byte ke-{byte}, baris {row})"), format!(" (seen at byte {byte}, row {row})"))
            }
        };
        self.core.notice(
            "encoding-detected",
            format!("Berkas bukan UTF-8; dibaca sebagai {name}{place_id}. Periksa apakah huruf dan tanda khususnya benar."),
            format!("The file is not UTF-8; it was read as {name}{place_en}. Check that its special letters and signs are right."),
        );
        Ok(stop)
    }

    /// A mere report goes on behind a NUL; the text up to it is read first, so that its row is known.
    fn pass_nul(&mut self, byte: u64) -> Result<Option<DecodeStop>, Fatal> {
        self.decide_delimiter();
        self.drive(false).inspect_err(|fatal| self.core.fatal = Some(fatal.clone()))?;
        let Input::Csv(csv) = &mut self.input else { return Ok(None) };
        let row = csv.reader.current_row();
        let stop = self.decoder.keep_nul(&mut csv.reader.rows.text).err();
        self.core.notice(
            "nul-character",
            format!("Perhatian: berkas memuat karakter NUL (byte ke-{byte}, baris {row}). Kiriman berkas ini akan ditolak."),
            format!("Beware: the file holds a NUL character (byte {byte}, row {row}). A delivery of this file would be refused."),
        );
        Ok(stop)
    }

    fn drive(&mut self, last: bool) -> Result<(), Fatal> {
        match &mut self.input {
            Input::Csv(csv) => drive_csv(csv, &mut self.core, last)?,
            Input::Json(json) => drive_json(json, &mut self.core, last)?,
            Input::Cells(cells) => sheets::drive(cells, &mut self.core, last)?,
        }
        if last { self.flush() } else { Ok(()) }
    }

    /// Checks the rows that wait for a full batch.
    fn flush(&mut self) -> Result<(), Fatal> {
        match &mut self.input {
            Input::Csv(csv) => {
                self.core.process(&mut csv.reader.rows)?;
                csv.reader.recycle();
            }
            Input::Json(json) => {
                self.core.process(&mut json.rows)?;
                json.recycle();
            }
            Input::Cells(cells) => {
                self.core.process(&mut cells.reader.rows)?;
                cells.reader.recycle();
            }
        }
        Ok(())
    }
}

fn csv_input(contract: &Contract, limits: &Limits, purpose: Purpose) -> CsvInput {
    let csv_limits = CsvLimits { cell: limits.cell_bytes, row: limits.row_bytes, columns: limits.columns };
    let mut reader = CsvReader::new(contract.layout.dialect.clone(), csv_limits);
    if purpose == Purpose::Check {
        reader.let_end_close_quote();
    }
    CsvInput {
        reader,
        detecting: !contract.layout.delimiter_declared,
        tried: 0,
        header: HeaderState { done: false, lines: Vec::new() },
    }
}

fn json_input(contract: &Contract, limits: &Limits, lines: bool) -> JsonReader {
    let mut places = HashMap::new();
    for (index, field) in contract.fields.iter().enumerate() {
        let aliases = field.satudata("alias").and_then(serde_json::Value::as_array);
        for alias in aliases.into_iter().flatten().filter_map(serde_json::Value::as_str) {
            places.entry(alias.to_owned()).or_insert(index);
        }
    }
    for (index, field) in contract.fields.iter().enumerate() {
        places.insert(field.name.clone(), index);
    }
    let names = Names {
        places,
        order: contract.fields.iter().map(|field| field.name.clone()).collect(),
        refuse_unknown: !matches!(contract.fields_match, FieldsMatch::Subset | FieldsMatch::Partial)
            && contract.layout.item_keys.is_none(),
        need_all: !matches!(contract.fields_match, FieldsMatch::Superset | FieldsMatch::Partial),
        no_header: !contract.layout.header,
    };
    let json_limits = JsonLimits {
        cell: limits.cell_bytes,
        row: limits.row_bytes,
        document: limits.document_bytes,
        columns: limits.columns,
    };
    JsonReader::new(names, json_limits, lines, contract.layout.property.clone())
}

fn drive_csv(csv: &mut CsvInput, core: &mut Core, last: bool) -> Result<(), Fatal> {
    if csv.detecting && !detect_delimiter(csv, core, last) {
        return Ok(());
    }
    loop {
        let scan = match csv.reader.scan(last) {
            Ok(scan) => scan,
            Err(stop) => {
                // What was read before is checked all the same: one correction may show more than one fault.
                core.process(&mut csv.reader.rows)?;
                return Err(fatal::csv(&stop, &core.limits));
            }
        };
        match scan {
            Scan::Incomplete => break,
            Scan::Comment if csv.header.done => {}
            // Its place counts: the header is found by its number.
            Scan::Comment => {
                let mark = csv.reader.dialect().comment.clone().unwrap_or_default();
                keep_head(csv, core, Some(mark));
            }
            Scan::Record if csv.header.done && core.contract.layout.comment_rows.is_empty() => csv.reader.keep_record(),
            Scan::Record => record(csv, core)?,
        }
        let full = csv.reader.rows.rows.len() >= core.limits.batch_rows;
        if full || csv.reader.consumed() >= core.limits.batch_bytes {
            core.process(&mut csv.reader.rows)?;
            csv.reader.recycle();
        }
    }
    if let Some((row, column)) = csv.reader.closed_by_end().filter(|_| last) {
        core.notice(
            "quote-never-closed",
            format!("Perhatian: kutip yang dibuka di baris {row}, kolom {column}, tidak ditutup; semua isi sesudahnya terbaca sebagai satu sel. Kiriman berkas ini akan ditolak."),
            format!("Beware: the quote opened in row {row}, column {column}, is never closed; all that follows is read as one cell. A delivery of this file would be refused."),
        );
    }
    if last && !csv.header.done {
        end_of_header(csv, core)?;
    }
    // One empty line in the place of the header, and nothing else: nobody wrote a table here.
    let blank = matches!(csv.header.lines.as_slice(), [line] if matches!(line.as_slice(), [label] if label.is_empty()));
    if last && blank && core.rows == 0 && csv.reader.rows.rows.is_empty() {
        return Err(fatal::no_header());
    }
    Ok(())
}

/// Says whether the delimiter is known now.
fn detect_delimiter(csv: &mut CsvInput, core: &mut Core, last: bool) -> bool {
    let text = csv.reader.pending();
    if !last && text.len() < detect::SAMPLE && (text.len() < csv.tried * 2 || !text.contains(['\n', '\r'])) {
        return false;
    }
    match detect::delimiter(text, &core.contract, csv.reader.dialect(), last) {
        Detection::Unknown if !last && text.len() < detect::SAMPLE => {
            csv.tried = text.len();
            return false;
        }
        Detection::Unknown | Detection::Comma => {}
        Detection::Other(delimiter) => {
            let mut dialect = csv.reader.dialect().clone();
            dialect.delimiter = delimiter.to_owned();
            csv.reader.set_dialect(dialect);
            let (id, en) = if delimiter == "\t" { ("tabulator", "tab") } else { (delimiter, delimiter) };
            core.notice(
                "delimiter-detected",
                format!("Berkas memakai pemisah «{id}», yang tidak disebut dalam standar data."),
                format!("The file uses “{en}” as its delimiter, which the contract does not say."),
            );
        }
    }
    csv.detecting = false;
    true
}

/// A record that may be header, comment or data.
fn record(csv: &mut CsvInput, core: &mut Core) -> Result<(), Fatal> {
    let number = csv.reader.last_row();
    let contract = Arc::clone(&core.contract);
    let layout = &contract.layout;
    if layout.comment_rows.binary_search(&number).is_ok() {
        if core.rows == 0 && csv.reader.rows.rows.is_empty() {
            keep_head(csv, core, None);
        }
        csv.reader.discard_record();
        return Ok(());
    }
    if !csv.header.done && !layout.header {
        fix_header(csv, core, Mapping::positional(contract.fields.len()))?;
    }
    if csv.header.done {
        csv.reader.keep_record();
        return Ok(());
    }
    keep_head(csv, core, None);
    let wanted = layout.header_rows.get(csv.header.lines.len()).copied().unwrap_or(1);
    if number >= wanted {
        let labels = csv.reader.record_cells().iter().map(|span| csv.reader.rows.get(*span).to_owned()).collect();
        csv.header.lines.push(labels);
    }
    csv.reader.discard_record();
    if csv.header.lines.len() >= layout.header_rows.len().max(1) {
        end_of_header(csv, core)?;
    }
    Ok(())
}

/// Adds a line to the head of the file: the record that just ended, or this text.
fn keep_head(csv: &CsvInput, core: &mut Core, text: Option<String>) {
    let line = text.as_deref().unwrap_or_else(|| csv.reader.record_text());
    if core.header_raw.len() + line.len() <= core.limits.row_bytes {
        core.header_raw.push_str(line);
        core.header_raw.push_str(csv.reader.dialect().terminator.as_deref().unwrap_or("\n"));
    }
}

/// The header is complete, or the file is.
fn end_of_header(csv: &mut CsvInput, core: &mut Core) -> Result<(), Fatal> {
    let layout = &core.contract.layout;
    let mapping = if !layout.header {
        Mapping::positional(core.contract.fields.len())
    } else if csv.header.lines.is_empty() {
        return Err(fatal::no_header());
    } else {
        let labels = join_labels(&csv.header.lines, &layout.header_join);
        header::fit(&core.contract, &labels)
    };
    fix_header(csv, core, mapping)
}

fn fix_header(csv: &mut CsvInput, core: &mut Core, mapping: Mapping) -> Result<(), Fatal> {
    csv.header.done = true;
    csv.reader.rows.width = mapping.width;
    core.set_mapping(mapping)
}

/// Joins the lines of a header: a short line's last cell spans the columns to its right, and what
/// stands twice in a row is said once.
pub(crate) fn join_labels(lines: &[Vec<String>], join: &str) -> Vec<String> {
    if let [line] = lines {
        return line.clone();
    }
    let width = lines.iter().map(Vec::len).max().unwrap_or(0);
    (0..width)
        .map(|column| {
            let mut parts: Vec<&str> = Vec::new();
            for line in lines {
                let part = line.get(column).or(line.last()).map(|part| part.trim()).unwrap_or_default();
                if !part.is_empty() && parts.last() != Some(&part) {
                    parts.push(part);
                }
            }
            parts.join(join)
        })
        .collect()
}

fn drive_json(json: &mut JsonReader, core: &mut Core, last: bool) -> Result<(), Fatal> {
    loop {
        let step = match json.step(last) {
            Ok(step) => step,
            Err(stop) => {
                core.process(&mut json.rows)?;
                return Err(fatal::json(&stop, &core.limits));
            }
        };
        match step {
            Step::Done => return Ok(()),
            Step::Row => {}
            Step::Header => {
                let labels: Vec<String> = json.rows.cells.iter().map(|span| json.rows.get(*span).to_owned()).collect();
                let mapping = header::fit(&core.contract, &labels);
                json.set_width(mapping.width);
                core.set_mapping(mapping)?;
            }
        }
        if json.rows.rows.len() >= core.limits.batch_rows
            || json.rows.rows.last().is_some_and(|row| row.raw.1 as usize >= core.limits.batch_bytes)
        {
            core.process(&mut json.rows)?;
            json.recycle();
        }
    }
}

impl Core {
    /// Nobody compiled the contract's rules across columns: rows may not land, and a report says so.
    fn without_rules(&mut self) {
        match self.purpose {
            Purpose::Land => self.fatal = Some(fatal::internal()),
            Purpose::Check => self.notice(
                "rules-unchecked",
                "Aturan antarkolom tidak diperiksa di sini.".to_owned(),
                "Rules across columns are not checked here.".to_owned(),
            ),
        }
    }

    fn notice(&mut self, code: &'static str, id: String, en: String) {
        self.collector.notices.push(Notice { code: code.into(), message: Text::new(id, en) });
    }

    fn set_mapping(&mut self, mapping: Mapping) -> Result<(), Fatal> {
        self.header_lost = self.collector.header(&self.contract, &mapping);
        self.header_fails = !mapping.faults.is_empty();
        self.mapping = Some(mapping);
        Ok(())
    }

    /// A header that does not fit may stand further down: the rows that follow are looked at before anything is refused.
    fn failing_header(&mut self, rows: &Rows, mapping: &Mapping) -> Result<(), Fatal> {
        if !std::mem::take(&mut self.header_fails) {
            return Ok(());
        }
        let known = header::named(&self.contract, mapping.labels.iter().map(String::as_str));
        let mut below = rows.rows.iter().take(HEADER_WITHIN).enumerate();
        let found = below.find(|(index, _)| detect::is_header(rows.raw(*index), &self.contract, known));
        if let Some((_, row)) = found {
            let row = row.number;
            self.notice(
                "header-below",
                format!("Judul kolom tampaknya ada di baris {row}. Hapus baris-baris di atasnya, lalu periksa lagi."),
                format!("The column labels seem to stand in row {row}. Delete the rows above it, then check again."),
            );
        } else if self.header_lost {
            let Text { id, en } = labels::wrong_table(&self.contract);
            self.notice("wrong-table", id.into_owned(), en.into_owned());
        }
        if self.purpose == Purpose::Land { Err(fatal::header()) } else { Ok(()) }
    }

    /// Checks a batch of rows.
    fn process(&mut self, rows: &mut Rows) -> Result<(), Fatal> {
        let Some(mapping) = self.mapping.take() else { return Ok(()) };
        let result = match self.failing_header(rows, &mapping) {
            Ok(()) if !rows.rows.is_empty() => self.batch(rows, &mapping),
            result => result,
        };
        self.mapping = Some(mapping);
        result
    }

    fn batch(&mut self, rows: &mut Rows, mapping: &Mapping) -> Result<(), Fatal> {
        let contract = Arc::clone(&self.contract);
        mark_blank(rows, &contract, mapping);
        let mut faults = std::mem::take(&mut self.faults);
        faults.clear();
        let mut doubts = std::mem::take(&mut self.doubts);
        doubts.clear();
        self.first_rows.clear();
        row_faults(rows, &mut faults);
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(contract.fields.len());
        for (index, field) in contract.fields.iter().enumerate() {
            let storable = self.purpose == Purpose::Land;
            let reading = Reading { field, index: index as u32, rows, storable };
            let source = mapping.sources.get(index).copied().flatten();
            let (array, too_wide) = column::read(reading, source, &mut faults, &mut doubts);
            self.too_wide += too_wide;
            arrays.push(array);
        }
        faults.sort_unstable();
        let known = faults.len();
        let mut broken = Vec::new();
        across::check(&contract.rules, contract.arrow_schema(), &arrays, &faults, &mut broken, &mut doubts)
            .map_err(|_| fatal::internal())?;
        let stop = self.keys.check(&contract, mapping, rows, &arrays, &mut faults, &mut self.first_rows).err();
        faults.append(&mut broken);
        if faults.len() > known {
            faults.sort_unstable();
            self.first_rows.sort_unstable();
        }
        let batch = Batch { contract: &contract, mapping, rows, first_rows: &self.first_rows, faults: &faults };
        self.collector.strays(batch);
        for fault in &faults {
            self.collector.fault(batch, fault);
        }
        doubts.sort_unstable();
        for doubt in &doubts {
            self.collector.fault(batch, doubt);
        }
        self.doubts = doubts;
        self.rows += rows.rows.len() as u64;
        self.hand_out(rows, mapping, arrays, &faults)?;
        self.faults = faults;
        match stop {
            None => Ok(()),
            Some(KeysStop::Full) => Err(fatal::keys_full(&self.limits)),
            Some(KeysStop::Store) => Err(fatal::internal()),
        }
    }

    /// Parts the good rows from the bad.
    fn hand_out(
        &mut self,
        rows: &Rows,
        mapping: &Mapping,
        arrays: Vec<ArrayRef>,
        faults: &[Fault],
    ) -> Result<(), Fatal> {
        let batch =
            RecordBatch::try_new(Arc::clone(self.contract.arrow_schema()), arrays).map_err(|_| fatal::internal())?;
        let header_fits = mapping.faults.is_empty();
        if faults.is_empty() && header_fits || self.keep_bad {
            self.rows_accepted += batch.num_rows() as u64;
            self.accepted.push(AcceptedBatch { rows: batch });
            return Ok(());
        }
        let mut good = vec![header_fits; batch.num_rows()];
        for fault in faults {
            if let Some(good) = good.get_mut(fault.row as usize) {
                *good = false;
            }
        }
        for (row, _) in good.iter().enumerate().filter(|(_, good)| !**good) {
            self.reject(rows, mapping, row);
        }
        let mask = BooleanArray::from(good);
        let kept = arrow_select::filter::filter_record_batch(&batch, &mask).map_err(|_| fatal::internal())?;
        if kept.num_rows() > 0 {
            self.rows_accepted += kept.num_rows() as u64;
            self.accepted.push(AcceptedBatch { rows: kept });
        }
        Ok(())
    }

    fn reject(&mut self, rows: &Rows, mapping: &Mapping, row: usize) {
        let number = rows.rows.get(row).map_or(0, |info| info.number);
        if let Some(numbers) = &mut self.refused_numbers {
            numbers.insert(number);
        }
        let typed = rows.typed.then(|| refused::line(&self.contract, mapping, rows, row));
        let raw = typed.as_deref().unwrap_or_else(|| rows.raw(row));
        if self.rejected_bytes + raw.len() > self.limits.rejected_bytes {
            self.rejected_dropped += 1;
            return;
        }
        self.rejected_bytes += raw.len() + size_of::<RejectedRow>();
        self.rejected.push(RejectedRow { row: number, raw: raw.to_owned() });
    }

    /// What only the whole file can answer.
    fn finish_keys(&mut self) {
        let mapping = self.mapping.take().unwrap_or_default();
        for fault in self.keys.finish() {
            self.collector.late(&self.contract, &mapping, &fault);
            let fresh = self.refused_numbers.as_mut().is_none_or(|numbers| numbers.insert(fault.row));
            if fresh {
                self.late_errors += 1;
                self.rows_accepted = self.rows_accepted.saturating_sub(1);
            }
        }
        self.mapping = Some(mapping);
        if self.too_wide > 0 {
            let count = self.too_wide;
            self.notice(
                "beyond-64-bit",
                format!(
                    "{} terlalu besar untuk disimpan; kiriman dengan bilangan ini ditolak.",
                    speech::counted(count, Lang::Id, "bilangan", "", "")
                ),
                format!(
                    "{} too large to be stored; a delivery with such numbers is refused.",
                    speech::counted(count, Lang::En, "", "number is", "numbers are")
                ),
            );
        }
    }

    fn report(&self) -> Report {
        let errors = self.collector.total + u64::from(self.fatal.is_some());
        Report {
            valid: errors == 0,
            errors: self.collector.errors.clone(),
            warnings: self.collector.warnings.clone(),
            stats: Stats { rows: self.rows, errors, warnings: self.collector.warned },
            groups: self.collector.groups.clone(),
            notices: self.collector.notices.clone(),
            rows_accepted: self.rows_accepted,
            rows_refused: self.rows - self.rows_accepted,
            late_errors: self.late_errors,
            fatal: self.fatal.clone(),
            code_lists: self.contract.code_lists(),
        }
    }
}

/// Marks the rows in which no field has a value and no other column has any content.
fn mark_blank(rows: &mut Rows, contract: &Contract, mapping: &Mapping) {
    let Rows { text, scratch, width, cells, rows, extras, key_faults, .. } = rows;
    let mut fields: Vec<Option<&Field>> = vec![None; *width];
    for (field, source) in contract.fields.iter().zip(&mapping.sources) {
        if let Some(slot) = source.and_then(|column| fields.get_mut(column)) {
            *slot = Some(field);
        }
    }
    if fields.iter().all(Option::is_none) {
        return;
    }
    for (row, info) in rows.iter_mut().enumerate().filter(|(_, info)| !info.blank) {
        let cells = cells.get(row * *width..).unwrap_or_default();
        info.blank = cells.iter().zip(&fields).all(|(span, field)| match (span.tag(), field) {
            (Tag::Null | Tag::Missing, _) => true,
            (Tag::Text, Some(field)) => field.missing.contains(span.read(text, scratch)),
            (_, Some(_)) => false,
            (_, None) => span.len() == 0,
        }) && !extras_of(extras, row).any(|span| span.len() > 0)
            // A row of JSON that names only what no field has is not empty: its names are wrong.
            && key_faults.binary_search_by_key(&row, |(of, _)| *of as usize).is_err();
    }
}

/// The cells of a row that no column has. They stand in the order of the rows.
fn extras_of(extras: &[(u32, u32, Span)], row: usize) -> impl Iterator<Item = &Span> {
    let first = extras.partition_point(|(of, ..)| (*of as usize) < row);
    let rest = extras.get(first..).unwrap_or_default();
    rest.iter().take_while(move |(of, ..)| *of as usize == row).map(|(.., span)| span)
}

/// Faults that the shape of a row already shows.
fn row_faults(rows: &Rows, faults: &mut Vec<Fault>) {
    let width = rows.width as u32;
    for (row, info) in rows.rows.iter().enumerate() {
        let row = row as u32;
        if info.blank {
            if !info.unreadable {
                faults.push(Fault { row, place: Place::Row, rule: Rule::BlankRow });
            }
            continue;
        }
        for column in info.present..width {
            faults.push(Fault { row, place: Place::Column(column), rule: Rule::MissingCell });
        }
    }
    for (row, column, _) in &rows.extras {
        if rows.rows.get(*row as usize).is_some_and(|info| !info.blank) {
            faults.push(Fault { row: *row, place: Place::Column(*column), rule: Rule::ExtraCell });
        }
    }
    for (row, fault) in &rows.key_faults {
        if rows.rows.get(*row as usize).is_some_and(|info| info.blank && !info.unreadable) {
            continue;
        }
        let place = match fault {
            KeyFault::Absent(field) => Place::Field(*field),
            _ => Place::Row,
        };
        faults.push(Fault { row: *row, place, rule: key_rule(fault) });
    }
}
