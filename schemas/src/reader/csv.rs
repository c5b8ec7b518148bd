//! The CSV reader: text in pieces of any size, records out, each with its number in the file.
//!
//! It is a state machine over one growing buffer. Cells are spans of that buffer; only a cell with
//! an escaped quote is copied. A record's number counts every record of the file from 1, the
//! header, comments and blank lines included, so that a person can go to that row.

use super::rows::{RowInfo, Rows, Span};

/// How the cells are written. Built from a Table Dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Between cells; never empty.
    pub(crate) delimiter: String,
    /// Ends a row instead of CR, LF and CRLF, when the dialect names something else.
    pub(crate) terminator: Option<String>,
    /// Opens and closes a cell that holds delimiters or line ends.
    pub(crate) quote: Option<u8>,
    /// Two quotes inside a quoted cell mean one.
    pub(crate) double_quote: bool,
    /// The next character is data.
    pub(crate) escape: Option<u8>,
    /// Spaces after a delimiter are no data.
    pub(crate) skip_initial_space: bool,
    /// A record that begins with this is no data.
    pub(crate) comment: Option<String>,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            delimiter: ",".to_owned(),
            terminator: None,
            quote: Some(b'"'),
            double_quote: true,
            escape: None,
            skip_initial_space: false,
            comment: None,
        }
    }
}

/// Limits that the reader keeps, all in bytes or columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CsvLimits {
    pub(crate) cell: usize,
    pub(crate) row: usize,
    pub(crate) columns: usize,
}

/// Why no further record can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CsvStop {
    /// A quote was opened in this record and never closed; the column counts from 1.
    Unterminated { row: u64, column: usize },
    /// A cell passes the limit; `quoted` when a quote is still open.
    CellTooLong { row: u64, column: usize, quoted: bool },
    /// A record passes the limit.
    RowTooLong { row: u64 },
    /// A record has more cells than the limit.
    TooManyColumns { row: u64 },
}

/// One record found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// More text is needed.
    Incomplete,
    /// A record ended; its cells are the last ones in `rows.cells`.
    Record,
    /// A comment ended; it has a number and no cells.
    Comment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    RecordStart,
    Comment,
    CellStart,
    Unquoted,
    Quoted,
    AfterQuote,
}

/// The reader. Text is appended to `rows.text` by its owner.
pub(crate) struct CsvReader {
    dialect: Dialect,
    limits: CsvLimits,
    plain: bool,
    delimiter: u8,
    mode: Mode,
    /// Start of the record, of the cell (or of its uncopied rest), and the place of scanning.
    record: usize,
    cell: usize,
    pos: usize,
    /// First span of the record, and where its scratch begins.
    first: usize,
    scratch_record: usize,
    /// Where the cell's scratch begins, when it is copied.
    copying: Option<usize>,
    /// End of the text between the quotes.
    quote_end: usize,
    /// The last record ended with CR: an LF that follows belongs to it.
    after_cr: bool,
    number: u64,
    /// End of the current record without its line end.
    raw_end: usize,
    /// The end of the text closes a quote that is still open.
    end_closes_quote: bool,
    /// The record and column whose quote the end of the text closed.
    closed_by_end: Option<(u64, usize)>,
    pub(crate) rows: Rows,
}

impl CsvReader {
    pub(crate) fn new(dialect: Dialect, limits: CsvLimits) -> Self {
        let mut reader = Self {
            dialect: Dialect::default(),
            limits,
            plain: true,
            delimiter: b',',
            mode: Mode::RecordStart,
            record: 0,
            cell: 0,
            pos: 0,
            first: 0,
            scratch_record: 0,
            copying: None,
            quote_end: 0,
            after_cr: false,
            number: 0,
            raw_end: 0,
            end_closes_quote: false,
            closed_by_end: None,
            rows: Rows::default(),
        };
        reader.set_dialect(dialect);
        reader
    }

    /// Reads on under another dialect. Only between records.
    pub(crate) fn set_dialect(&mut self, dialect: Dialect) {
        self.plain = dialect.delimiter.len() == 1 && dialect.terminator.is_none() && dialect.escape.is_none();
        self.delimiter = dialect.delimiter.as_bytes().first().copied().unwrap_or(b',');
        self.dialect = dialect;
    }

    pub(crate) fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Reads a quote that is never closed as closed by the end of the text.
    pub(crate) const fn let_end_close_quote(&mut self) {
        self.end_closes_quote = true;
    }

    /// The record and column of a quote that only the end of the text closed.
    pub(crate) const fn closed_by_end(&self) -> Option<(u64, usize)> {
        self.closed_by_end
    }

    /// The number of the record being read, or that would come next.
    pub(crate) const fn current_row(&self) -> u64 {
        self.number + 1
    }

    /// The number of the last finished record.
    pub(crate) const fn last_row(&self) -> u64 {
        self.number
    }

    /// Bytes of text before the current record.
    pub(crate) const fn consumed(&self) -> usize {
        self.record
    }

    /// Text not yet read.
    pub(crate) fn pending(&self) -> &str {
        self.rows.text.get(self.record..).unwrap_or_default()
    }

    /// The spans of the record that just ended.
    pub(crate) fn record_cells(&self) -> &[Span] {
        self.rows.cells.get(self.first..).unwrap_or_default()
    }

    /// The record that just ended, without its line end.
    pub(crate) fn record_text(&self) -> &str {
        self.rows.text.get(self.record..self.raw_end).unwrap_or_default()
    }

    /// Drops the record that just ended: it was a header or is skipped.
    pub(crate) fn discard_record(&mut self) {
        self.rows.cells.truncate(self.first);
        self.begin_record();
    }

    /// Keeps the record that just ended as a data row of exactly `rows.width` cells.
    pub(crate) fn keep_record(&mut self) {
        let width = self.rows.width;
        let present = self.rows.cells.len() - self.first;
        let row = self.rows.rows.len() as u32;
        // An empty line; whether cells without content are blank is for the fields to say.
        let blank = present == 1 && self.raw_end == self.record;
        if present > width {
            for column in width..present {
                let span = self.rows.cells.get(self.first + column).copied().unwrap_or(Span::MISSING);
                self.rows.extras.push((row, column as u32, span));
            }
        }
        self.rows.cells.resize(self.first + width, Span::MISSING);
        self.rows.rows.push(RowInfo {
            number: self.number,
            raw: (self.record as u32, self.raw_end as u32),
            present: present as u32,
            blank,
            unreadable: false,
        });
        self.begin_record();
    }

    fn begin_record(&mut self) {
        self.first = self.rows.cells.len();
        self.scratch_record = self.rows.scratch.len();
        self.record = self.pos;
    }

    /// Forgets the rows that were taken and the text before the current record.
    pub(crate) fn recycle(&mut self) {
        let (text, scratch) = (self.record, self.scratch_record);
        self.rows.text.drain(..text);
        self.rows.scratch.drain(..scratch);
        self.rows.cells.drain(..self.first);
        for span in &mut self.rows.cells {
            *span = span.shifted(text, scratch);
        }
        self.cell = self.cell.saturating_sub(text);
        self.quote_end = self.quote_end.saturating_sub(text);
        self.copying = self.copying.map(|start| start - scratch);
        self.pos -= text;
        self.record = 0;
        self.scratch_record = 0;
        self.first = 0;
        self.rows.clear_rows();
    }

    /// Reads on until a record ends or the text does.
    pub(crate) fn scan(&mut self, last: bool) -> Result<Scan, CsvStop> {
        loop {
            let step = match self.mode {
                Mode::RecordStart => self.record_start(last),
                Mode::Comment => self.comment(last),
                Mode::CellStart => self.cell_start(last)?,
                Mode::Unquoted if self.plain => self.unquoted_plain(last)?,
                Mode::Unquoted => self.unquoted(last)?,
                Mode::Quoted => self.quoted(last)?,
                Mode::AfterQuote => self.after_quote(last)?,
            };
            if let Some(scan) = step {
                return Ok(scan);
            }
        }
    }

    fn record_start(&mut self, last: bool) -> Option<Scan> {
        let bytes = self.rows.text.as_bytes();
        if self.after_cr && bytes.get(self.pos) == Some(&b'\n') {
            self.pos += 1;
            self.after_cr = false;
        }
        if self.pos >= bytes.len() {
            self.record = self.pos;
            return Some(Scan::Incomplete);
        }
        self.after_cr = false;
        self.begin_record();
        if let Some(comment) = &self.dialect.comment {
            let rest = self.rows.text.get(self.pos..).unwrap_or_default();
            if rest.starts_with(comment.as_str()) {
                self.mode = Mode::Comment;
                return None;
            }
            if !last && comment.starts_with(rest) {
                return Some(Scan::Incomplete);
            }
        }
        self.mode = Mode::CellStart;
        None
    }

    fn comment(&mut self, last: bool) -> Option<Scan> {
        let rest = self.rows.text.as_bytes().get(self.pos..).unwrap_or_default();
        let (at, width) = match &self.dialect.terminator {
            Some(end) => (memchr::memmem::find(rest, end.as_bytes()), end.len()),
            None => (memchr::memchr2(b'\n', b'\r', rest), 1),
        };
        match at {
            Some(at) => {
                self.after_cr = self.dialect.terminator.is_none() && rest.get(at) == Some(&b'\r');
                self.pos += at + width;
            }
            None if last => self.pos = self.rows.text.len(),
            None => {
                // A comment may be of any length: its text is not kept.
                let keep = self.dialect.terminator.as_ref().map_or(0, |end| end.len());
                self.pos = self.floor(self.rows.text.len().saturating_sub(keep)).max(self.pos);
                return Some(Scan::Incomplete);
            }
        }
        self.mode = Mode::RecordStart;
        self.number += 1;
        self.begin_record();
        Some(Scan::Comment)
    }

    fn floor(&self, mut at: usize) -> usize {
        while !self.rows.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    fn cell_start(&mut self, last: bool) -> Result<Option<Scan>, CsvStop> {
        let bytes = self.rows.text.as_bytes();
        if self.dialect.skip_initial_space {
            while bytes.get(self.pos) == Some(&b' ') {
                self.pos += 1;
            }
        }
        self.cell = self.pos;
        self.copying = None;
        match bytes.get(self.pos) {
            None if last => self.finish(self.pos, self.pos, false).map(Some),
            None => self.incomplete().map(Some),
            Some(byte) if Some(*byte) == self.dialect.quote => {
                self.pos += 1;
                self.cell = self.pos;
                self.mode = Mode::Quoted;
                Ok(None)
            }
            Some(_) => {
                self.mode = Mode::Unquoted;
                Ok(None)
            }
        }
    }

    /// The common case: one-byte delimiter, any line end, no escape character. Stays here for as
    /// many cells as begin without a quote.
    fn unquoted_plain(&mut self, last: bool) -> Result<Option<Scan>, CsvStop> {
        let spaces = self.dialect.skip_initial_space;
        loop {
            let bytes = self.rows.text.as_bytes();
            let rest = bytes.get(self.pos..).unwrap_or_default();
            let Some(at) = memchr::memchr3(self.delimiter, b'\n', b'\r', rest) else {
                self.pos = bytes.len();
                return if last {
                    self.finish(self.pos, self.pos, false).map(Some)
                } else {
                    self.incomplete().map(Some)
                };
            };
            let end = self.pos + at;
            let byte = rest.get(at).copied().unwrap_or(b'\n');
            if byte != self.delimiter {
                return self.finish(end, end + 1, byte == b'\r').map(Some);
            }
            let next = bytes.get(end + 1).copied();
            self.pos = end + 1;
            if spaces || next.is_none() || next == self.dialect.quote {
                self.push_cell(end)?;
                self.mode = Mode::CellStart;
                return Ok(None);
            }
            self.push_cell(end)?;
            self.cell = self.pos;
        }
    }

    fn unquoted(&mut self, last: bool) -> Result<Option<Scan>, CsvStop> {
        let bytes = self.rows.text.as_bytes();
        let mut at = self.pos;
        while let Some(byte) = bytes.get(at).copied() {
            let rest = bytes.get(at..).unwrap_or_default();
            if Some(byte) == self.dialect.escape {
                self.pos = at;
                return self.escaped(last);
            }
            if byte == self.delimiter {
                if rest.starts_with(self.dialect.delimiter.as_bytes()) {
                    self.pos = at + self.dialect.delimiter.len();
                    self.push_cell(at)?;
                    self.mode = Mode::CellStart;
                    return Ok(None);
                }
                if !last && self.dialect.delimiter.as_bytes().starts_with(rest) {
                    break;
                }
            }
            match &self.dialect.terminator {
                None if byte == b'\n' || byte == b'\r' => return self.finish(at, at + 1, byte == b'\r').map(Some),
                Some(end) if rest.starts_with(end.as_bytes()) => {
                    let width = end.len();
                    return self.finish(at, at + width, false).map(Some);
                }
                Some(end) if !last && end.as_bytes().starts_with(rest) => break,
                _ => at += 1,
            }
        }
        self.pos = at;
        if last { self.finish(at, at, false).map(Some) } else { self.incomplete().map(Some) }
    }

    /// At an escape character: what came before is copied, the next character is data.
    fn escaped(&mut self, last: bool) -> Result<Option<Scan>, CsvStop> {
        let Some(next) = self.rows.text.get(self.pos + 1..).and_then(|rest| rest.chars().next()) else {
            if last {
                // A lone escape at the very end stands for itself.
                self.pos += 1;
                return Ok(None);
            }
            return self.incomplete().map(Some);
        };
        self.copy_up_to(self.pos);
        self.cell = self.pos + 1;
        self.pos += 1 + next.len_utf8();
        Ok(None)
    }

    fn copy_up_to(&mut self, end: usize) {
        let scratch = &mut self.rows.scratch;
        self.copying.get_or_insert(scratch.len());
        scratch.push_str(self.rows.text.get(self.cell..end).unwrap_or_default());
    }

    fn quoted(&mut self, last: bool) -> Result<Option<Scan>, CsvStop> {
        let quote = self.dialect.quote.unwrap_or(b'"');
        let bytes = self.rows.text.as_bytes();
        let rest = bytes.get(self.pos..).unwrap_or_default();
        let found = match self.dialect.escape {
            Some(escape) => memchr::memchr2(quote, escape, rest),
            None => memchr::memchr(quote, rest),
        };
        let Some(at) = found.map(|at| self.pos + at) else {
            self.pos = bytes.len();
            return if last { self.unterminated().map(Some) } else { self.incomplete().map(Some) };
        };
        if bytes.get(at) != Some(&quote) {
            self.pos = at;
            if last && bytes.len() == at + 1 {
                self.pos = bytes.len();
                return self.unterminated().map(Some);
            }
            return self.escaped(last);
        }
        match bytes.get(at + 1) {
            None if !last => {
                self.pos = at;
                self.incomplete().map(Some)
            }
            Some(next) if *next == quote && self.dialect.double_quote => {
                self.copy_up_to(at + 1);
                self.cell = at + 2;
                self.pos = at + 2;
                Ok(None)
            }
            _ => {
                self.quote_end = at;
                self.pos = at + 1;
                self.mode = Mode::AfterQuote;
                Ok(None)
            }
        }
    }

    /// The text ended inside quotes.
    fn unterminated(&mut self) -> Result<Scan, CsvStop> {
        let (row, column) = (self.number + 1, self.column());
        if !self.end_closes_quote {
            return Err(CsvStop::Unterminated { row, column });
        }
        self.closed_by_end = Some((row, column));
        self.finish(self.pos, self.pos, false)
    }

    /// Behind the closing quote: usually the cell ends; characters that follow belong to it.
    fn after_quote(&mut self, last: bool) -> Result<Option<Scan>, CsvStop> {
        let end = self.quote_end;
        let rest = self.rows.text.as_bytes().get(self.pos..).unwrap_or_default();
        let delimiter = self.dialect.delimiter.as_bytes();
        if rest.is_empty() {
            return if last { self.finish(end, self.pos, false).map(Some) } else { self.incomplete().map(Some) };
        }
        if rest.starts_with(delimiter) {
            self.pos += delimiter.len();
            self.push_cell(end)?;
            self.mode = Mode::CellStart;
            return Ok(None);
        }
        let terminator = self.dialect.terminator.as_deref().map(str::as_bytes);
        let waiting = delimiter.starts_with(rest) || terminator.is_some_and(|end| end.starts_with(rest));
        if !last && waiting && terminator.is_none_or(|end| !rest.starts_with(end)) {
            return self.incomplete().map(Some);
        }
        match (terminator, rest.first()) {
            (None, Some(byte @ (b'\n' | b'\r'))) => {
                let cr = *byte == b'\r';
                return self.finish(end, self.pos + 1, cr).map(Some);
            }
            (Some(mark), _) if rest.starts_with(mark) => {
                let after = self.pos + mark.len();
                return self.finish(end, after, false).map(Some);
            }
            _ => {}
        }
        self.copy_up_to(end);
        self.cell = self.pos;
        self.mode = Mode::Unquoted;
        Ok(None)
    }

    /// The column of the current cell, from 1.
    fn column(&self) -> usize {
        self.rows.cells.len() - self.first + 1
    }

    #[inline]
    fn push_cell(&mut self, end: usize) -> Result<(), CsvStop> {
        let span = match self.copying.take() {
            None => Span::text(self.cell, end),
            Some(start) => {
                self.rows.scratch.push_str(self.rows.text.get(self.cell..end).unwrap_or_default());
                Span::scratch(start, self.rows.scratch.len())
            }
        };
        if span.len() > self.limits.cell {
            return Err(CsvStop::CellTooLong { row: self.number + 1, column: self.column(), quoted: false });
        }
        self.rows.cells.push(span);
        if self.rows.cells.len() - self.first > self.limits.columns {
            return Err(CsvStop::TooManyColumns { row: self.number + 1 });
        }
        Ok(())
    }

    /// The record ends: the cell at `end`, the next record begins at `next`.
    fn finish(&mut self, end: usize, next: usize, cr: bool) -> Result<Scan, CsvStop> {
        self.raw_end = if self.mode == Mode::AfterQuote { self.quote_end + 1 } else { end };
        self.push_cell(end)?;
        if self.raw_end - self.record > self.limits.row {
            return Err(CsvStop::RowTooLong { row: self.number + 1 });
        }
        self.pos = next;
        self.after_cr = cr;
        self.mode = Mode::RecordStart;
        self.number += 1;
        Ok(Scan::Record)
    }

    /// The text ended inside a record: its size is checked while it grows.
    fn incomplete(&self) -> Result<Scan, CsvStop> {
        let size = self.rows.text.len();
        let copied = self.copying.map_or(0, |start| self.rows.scratch.len() - start);
        if size - self.cell.min(size) + copied > self.limits.cell {
            let quoted = matches!(self.mode, Mode::Quoted);
            return Err(CsvStop::CellTooLong { row: self.number + 1, column: self.column(), quoted });
        }
        if size - self.record > self.limits.row {
            return Err(CsvStop::RowTooLong { row: self.number + 1 });
        }
        Ok(Scan::Incomplete)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: CsvLimits = CsvLimits { cell: 1 << 20, row: 1 << 20, columns: 100 };

    type Records = (Vec<(u64, Vec<String>)>, Option<CsvStop>);

    /// Reads `text` in pieces; `recycle` as often as the validator might.
    fn read(text: &str, dialect: &Dialect, pieces: &[usize], recycle: bool) -> Records {
        let mut reader = CsvReader::new(dialect.clone(), LIMITS);
        let mut records = Vec::new();
        let mut rest = text;
        let mut sizes = pieces.iter().cycle();
        loop {
            let mut size = sizes.next().copied().unwrap_or(text.len()).min(rest.len());
            while !rest.is_char_boundary(size) {
                size += 1;
            }
            let (piece, tail) = rest.split_at(size);
            rest = tail;
            reader.rows.text.push_str(piece);
            let last = rest.is_empty();
            loop {
                match reader.scan(last) {
                    Err(stop) => return (records, Some(stop)),
                    Ok(Scan::Incomplete) => break,
                    Ok(Scan::Comment) => {}
                    Ok(Scan::Record) => {
                        let cells =
                            reader.record_cells().iter().map(|span| reader.rows.get(*span).to_owned()).collect();
                        records.push((reader.last_row(), cells));
                        reader.discard_record();
                    }
                }
                if recycle {
                    reader.recycle();
                }
            }
            if recycle {
                reader.recycle();
            }
            if last {
                return (records, None);
            }
        }
    }

    fn cells(text: &str, dialect: &Dialect) -> Vec<Vec<String>> {
        let (records, stop) = read(text, dialect, &[usize::MAX], false);
        assert_eq!(stop, None, "{text:?}");
        records.into_iter().map(|(_, cells)| cells).collect()
    }

    /// The same language, one character at a time, written to be obviously right.
    fn reference(text: &str) -> Option<Vec<Vec<String>>> {
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        let mut records = Vec::new();
        while at < chars.len() {
            let mut record = Vec::new();
            loop {
                let mut cell = String::new();
                if chars.get(at) == Some(&'"') {
                    at += 1;
                    loop {
                        match (chars.get(at)?, chars.get(at + 1)) {
                            ('"', Some('"')) => {
                                cell.push('"');
                                at += 2;
                            }
                            ('"', _) => {
                                at += 1;
                                break;
                            }
                            (c, _) => {
                                cell.push(*c);
                                at += 1;
                            }
                        }
                    }
                }
                while let Some(c) = chars.get(at).filter(|c| !matches!(c, ',' | '\n' | '\r')) {
                    cell.push(*c);
                    at += 1;
                }
                record.push(cell);
                match chars.get(at) {
                    Some(',') => at += 1,
                    Some('\r') if chars.get(at + 1) == Some(&'\n') => {
                        at += 2;
                        break;
                    }
                    _ => {
                        at += 1;
                        break;
                    }
                }
            }
            records.push(record);
        }
        Some(records)
    }

    #[test]
    fn quotes_line_ends_and_blank_lines_are_read_as_people_mean_them() {
        let plain = Dialect::default();
        assert_eq!(cells("a,\"b\"\"c\nd\"\r\n\r\n1,", &plain), [vec!["a", "b\"c\nd"], vec![""], vec!["1", ""]]);
        assert_eq!(cells("a\rb\r\nc\n", &plain), [["a"], ["b"], ["c"]]);
        assert_eq!(cells("a\"b,\"c\"d\n", &plain), [["a\"b", "cd"]]);
        let spaced = Dialect { skip_initial_space: true, ..Dialect::default() };
        assert_eq!(cells("a, \"b,c\"\n", &spaced), [["a", "b,c"]]);
        let escaped = Dialect { escape: Some(b'\\'), double_quote: false, ..Dialect::default() };
        assert_eq!(cells("1,\"a \\\"b\\\"\"\n2,c\\,d\\\n", &escaped), [["1", "a \"b\""], ["2", "c,d\n"]]);
        let other = Dialect { delimiter: "::".to_owned(), terminator: Some("||".to_owned()), ..Dialect::default() };
        assert_eq!(cells("a::b:c||\"d::\"::e|f||", &other), [["a", "b:c"], ["d::", "e|f"]]);
        let commented = Dialect { comment: Some("//".to_owned()), ..Dialect::default() };
        let (records, _) = read("//\"x\na\n/b\n//", &commented, &[1], true);
        assert_eq!(records, [(2, vec!["a".to_owned()]), (3, vec!["/b".to_owned()])]);
    }

    #[test]
    fn an_open_quote_is_named_where_it_was_opened() {
        let (records, stop) = read("id,nama\n1,\"a\n2,b\n", &Dialect::default(), &[3], false);
        assert_eq!(records.len(), 1);
        assert_eq!(stop, Some(CsvStop::Unterminated { row: 2, column: 2 }));
    }

    #[test]
    fn sizes_are_bounded_while_a_record_still_grows() {
        let limits = CsvLimits { cell: 10, row: 20, columns: 3 };
        let stop = |text: &str| {
            let mut reader = CsvReader::new(Dialect::default(), limits);
            reader.rows.text.push_str(text);
            loop {
                match reader.scan(false) {
                    Ok(Scan::Incomplete) => return None,
                    Ok(_) => reader.discard_record(),
                    Err(stop) => return Some(stop),
                }
            }
        };
        assert_eq!(stop("a\n12345678901"), Some(CsvStop::CellTooLong { row: 2, column: 1, quoted: false }));
        assert_eq!(stop("\"12345678901"), Some(CsvStop::CellTooLong { row: 1, column: 1, quoted: true }));
        assert_eq!(
            stop("\"1\"\"2\"\"3\"\"4\"\"5\"\"6\"\"7"),
            Some(CsvStop::CellTooLong { row: 1, column: 1, quoted: true })
        );
        assert_eq!(stop("12345678,12345678,12"), None);
        assert_eq!(stop("12345678,12345678,123"), Some(CsvStop::RowTooLong { row: 1 }));
        assert_eq!(stop("1,2,3,4\n"), Some(CsvStop::TooManyColumns { row: 1 }));
    }

    fn text() -> impl Strategy<Value = String> {
        prop::collection::vec(
            prop::sample::select(vec!["a", "ñ日", ",", ",", "\"", "\"\"", "\n", "\r", "\r\n", " ", "\\", "#"]),
            0..40,
        )
        .prop_map(|parts| parts.concat())
    }

    fn dialects() -> impl Strategy<Value = Dialect> {
        let marks = (
            prop::sample::select(vec![",", ";", "::", "¦"]),
            prop::option::of(prop::sample::select(vec![";", "ña"])),
            prop::option::of(Just(b'"')),
            any::<bool>(),
            prop::option::of(Just(b'\\')),
            any::<bool>(),
            prop::option::of(prop::sample::select(vec!["#", "a,"])),
        );
        marks.prop_map(|(delimiter, terminator, quote, double_quote, escape, skip_initial_space, comment)| Dialect {
            delimiter: delimiter.to_owned(),
            terminator: terminator.map(str::to_owned),
            quote,
            double_quote,
            escape,
            skip_initial_space,
            comment: comment.map(str::to_owned),
        })
    }

    proptest! {
        #[test]
        fn records_do_not_depend_on_how_the_text_arrives(
            text in text(),
            dialect in dialects(),
            pieces in prop::collection::vec(1_usize..9, 1..6),
        ) {
            let whole = read(&text, &dialect, &[usize::MAX], false);
            prop_assert_eq!(&read(&text, &dialect, &pieces, false), &whole);
            prop_assert_eq!(&read(&text, &dialect, &pieces, true), &whole);
        }

        #[test]
        fn records_are_those_of_a_plain_reader(text in text()) {
            let (records, stop) = read(&text, &Dialect::default(), &[usize::MAX], false);
            match reference(&text) {
                None => prop_assert!(matches!(stop, Some(CsvStop::Unterminated { .. })), "{:?}", stop),
                Some(expected) => {
                    prop_assert_eq!(stop, None);
                    let numbers: Vec<u64> = records.iter().map(|(number, _)| *number).collect();
                    prop_assert_eq!(numbers, (1..=expected.len() as u64).collect::<Vec<_>>());
                    prop_assert_eq!(records.into_iter().map(|(_, cells)| cells).collect::<Vec<_>>(), expected);
                }
            }
        }

        #[test]
        fn a_table_that_was_written_is_read_back(
            table in prop::collection::vec(prop::collection::vec("[a,\"\n\r ñ]{0,5}", 1..5), 0..6),
            quote_all in any::<bool>(),
        ) {
            let mut text = String::new();
            for row in &table {
                let cells: Vec<String> = row
                    .iter()
                    .map(|cell| {
                        let needed = cell.contains(['"', ',', '\n', '\r']);
                        if quote_all || needed { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
                    })
                    .collect();
                text.push_str(&cells.join(","));
                text.push('\n');
            }
            prop_assert_eq!(cells(&text, &Dialect::default()), table);
        }
    }
}
