//! A batch of rows whose cells are still text: one matrix of spans over one buffer.
//!
//! Readers fill it, the columns read it. A span says what kind of value the source wrote, so that
//! CSV cells and JSON values travel the same way.

/// What a source wrote in a cell, before the field's type is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// Characters: a CSV cell, or a JSON string without its quotes and escapes.
    Text,
    /// A JSON null.
    Null,
    /// The row has no such cell.
    Missing,
    /// A JSON number, as written.
    Number,
    /// A JSON `true` or `false`.
    Bool,
    /// A JSON array or object, as written.
    Json,
    /// A date, time or duration that the source types as such, in its ISO form.
    Stamp,
    /// An error value of a sheet, such as `#N/A`.
    Error,
    /// A formula whose value the file does not hold.
    NoValue,
}

const LENGTH_BITS: u32 = 27;
const LENGTH_MASK: u32 = (1 << LENGTH_BITS) - 1;
const SCRATCH: u32 = 1 << LENGTH_BITS;
const TAG_SHIFT: u32 = LENGTH_BITS + 1;

/// The longest cell and row that a span can hold, in bytes.
pub(crate) const MAX_SPAN: usize = LENGTH_MASK as usize;

/// Where the text of a cell lies: 27 bits of length, one bit for the buffer, the tag above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    packed: u32,
}

impl Span {
    /// The row has no such cell.
    pub(crate) const MISSING: Self = Self { start: 0, packed: (Tag::Missing as u32) << TAG_SHIFT };
    /// A JSON null.
    pub(crate) const NULL: Self = Self { start: 0, packed: (Tag::Null as u32) << TAG_SHIFT };

    /// A piece of the batch's text. Positions stay below [`MAX_SPAN`] because readers flush long before.
    #[inline]
    pub(crate) const fn text(start: usize, end: usize) -> Self {
        Self { start: start as u32, packed: (end - start) as u32 & LENGTH_MASK }
    }

    /// A piece of the batch's scratch buffer, where unescaped cells are kept.
    #[inline]
    pub(crate) const fn scratch(start: usize, end: usize) -> Self {
        Self { start: start as u32, packed: ((end - start) as u32 & LENGTH_MASK) | SCRATCH }
    }

    /// The same place, as another kind of value.
    #[inline]
    pub(crate) const fn tagged(self, tag: Tag) -> Self {
        Self { start: self.start, packed: (self.packed & (LENGTH_MASK | SCRATCH)) | ((tag as u32) << TAG_SHIFT) }
    }

    #[inline]
    pub(crate) const fn tag(self) -> Tag {
        match self.packed >> TAG_SHIFT {
            0 => Tag::Text,
            1 => Tag::Null,
            2 => Tag::Missing,
            3 => Tag::Number,
            4 => Tag::Bool,
            5 => Tag::Json,
            6 => Tag::Stamp,
            7 => Tag::Error,
            _ => Tag::NoValue,
        }
    }

    /// Its length in bytes.
    #[inline]
    pub(crate) const fn len(self) -> usize {
        (self.packed & LENGTH_MASK) as usize
    }

    #[inline]
    const fn in_scratch(self) -> bool {
        self.packed & SCRATCH != 0
    }

    /// The text of the span, which lies in one of these buffers.
    #[inline]
    pub(crate) fn read<'a>(self, text: &'a str, scratch: &'a str) -> &'a str {
        let start = self.start as usize;
        let buffer = if self.in_scratch() { scratch } else { text };
        buffer.get(start..start + self.len()).unwrap_or_default()
    }

    /// The same span after `text` and `scratch` lost that many bytes at their front.
    #[inline]
    pub(crate) const fn shifted(self, text: usize, scratch: usize) -> Self {
        let by = if self.in_scratch() { scratch } else { text };
        Self { start: self.start.saturating_sub(by as u32), packed: self.packed }
    }
}

/// One row of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowInfo {
    /// Record number in the file, the header counted.
    pub(crate) number: u64,
    /// The whole record in the text, without its line end.
    pub(crate) raw: (u32, u32),
    /// Cells that the file has in this row.
    pub(crate) present: u32,
    /// No field has a value.
    pub(crate) blank: bool,
    /// The row is no row of this format at all; it counts as blank.
    pub(crate) unreadable: bool,
}

/// Rows waiting to be checked.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// The text that spans point into.
    pub(crate) text: String,
    /// Unescaped cells.
    pub(crate) scratch: String,
    /// Cells per row; every row has exactly this many spans.
    pub(crate) width: usize,
    /// `rows × width` spans.
    pub(crate) cells: Vec<Span>,
    /// The rows.
    pub(crate) rows: Vec<RowInfo>,
    /// Cells beyond the width: (row in this batch, column counted from 0, cell).
    pub(crate) extras: Vec<(u32, u32, Span)>,
    /// JSON only: (row in this batch, key) of keys that no field has, and of keys given twice.
    pub(crate) key_faults: Vec<(u32, KeyFault)>,
    /// The source types its cells as workbooks do.
    pub(crate) typed: bool,
}

/// What is wrong with a row of JSON as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyFault {
    /// No field has this name.
    Unknown(String),
    /// The key stands twice in the object.
    Twice(String),
    /// The object lacks this field (its place in the contract), and the contract wants it.
    Absent(u32),
    /// The line is not one JSON object; the text says why.
    NotAnObject(String),
}

impl Rows {
    /// The text of a span.
    #[inline]
    pub(crate) fn get(&self, span: Span) -> &str {
        span.read(&self.text, &self.scratch)
    }

    /// The cell of a row and column of this batch.
    #[inline]
    pub(crate) fn cell(&self, row: usize, column: usize) -> Span {
        self.cells.get(row * self.width + column).copied().unwrap_or(Span::MISSING)
    }

    /// The cells of a column, from the first row of this batch to the last.
    #[inline]
    pub(crate) fn column(&self, column: usize) -> impl Iterator<Item = Span> {
        self.cells.get(column..).unwrap_or_default().iter().step_by(self.width.max(1)).copied()
    }

    /// The record as the file has it, without its line end.
    pub(crate) fn raw(&self, row: usize) -> &str {
        self.rows
            .get(row)
            .map_or("", |info| self.text.get(info.raw.0 as usize..info.raw.1 as usize).unwrap_or_default())
    }

    /// Forgets the rows, keeps the buffers.
    pub(crate) fn clear_rows(&mut self) {
        self.rows.clear();
        self.extras.clear();
        self.key_faults.clear();
    }
}
