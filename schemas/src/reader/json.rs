//! The JSON readers: one object a line (NDJSON), or one document that holds an array of rows.
//!
//! Objects are taken apart without being built: a cell is the raw text of its value, and only
//! strings with escapes are copied.

use std::borrow::Cow;
use std::fmt;

use hashbrown::HashMap;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::flat;
use super::rows::{KeyFault, RowInfo, Rows, Span, Tag};
use crate::canonical::{MAX_DEPTH, depth};

/// Keys of one object that are remembered as unknown.
const MAX_UNKNOWN: usize = 16;

/// Why no further row can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JsonStop {
    /// A value passes the limit of a cell.
    CellTooLong { row: u64 },
    /// A line passes the limit of a row, or a document that of a document.
    RowTooLong { row: u64 },
    /// An object has more members than the limit of columns.
    TooManyMembers { row: u64 },
    /// The document is not JSON, or holds no array of rows.
    Document { why: String, line: Option<u64>, column: Option<u64> },
}

/// What the names of an object mean.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Field names and their earlier names.
    pub(crate) places: HashMap<String, usize>,
    /// Names in the order of the contract, tried first.
    pub(crate) order: Vec<String>,
    /// Names that no field has are a fault.
    pub(crate) refuse_unknown: bool,
    /// A field that is not in the object is a fault.
    pub(crate) need_all: bool,
    /// Arrays hold the fields in order, without their names in the first one.
    pub(crate) no_header: bool,
}

/// Limits in bytes and members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonLimits {
    pub(crate) cell: usize,
    pub(crate) row: usize,
    pub(crate) document: usize,
    pub(crate) columns: usize,
}

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More text is needed, or there is none.
    Done,
    /// A row was added.
    Row,
    /// A row of an array of arrays was added; its cells are in `rows.cells` by position.
    Header,
}

/// Rows of a document, found once it is whole.
struct Document {
    elements: Vec<(usize, usize)>,
    next: usize,
}

/// The reader. Text is appended to `rows.text` by its owner.
pub(crate) struct JsonReader {
    names: Names,
    limits: JsonLimits,
    property: Option<String>,
    lines: bool,
    document: Option<Document>,
    /// The rows are arrays; the first of them told their names.
    arrays: bool,
    /// A row was met.
    begun: bool,
    pos: usize,
    searched: usize,
    number: u64,
    /// Cells of the row being read, one per field.
    slots: Vec<Option<Span>>,
    /// Plain objects are read without the parser.
    flat: bool,
    pub(crate) rows: Rows,
}

impl JsonReader {
    pub(crate) fn new(names: Names, limits: JsonLimits, lines: bool, property: Option<String>) -> Self {
        let width = names.order.len();
        let flat = width <= limits.columns && flat::fits(&names.order);
        let rows = Rows { width, ..Rows::default() };
        Self {
            names,
            limits,
            property,
            lines,
            document: None,
            arrays: false,
            begun: false,
            pos: 0,
            searched: 0,
            number: 0,
            slots: vec![None; width],
            flat,
            rows,
        }
    }

    /// The line, or row of the document, being read.
    pub(crate) const fn current_row(&self) -> u64 {
        self.number + 1
    }

    /// Rows are read by position from here on: the width is that of the header.
    pub(crate) fn set_width(&mut self, width: usize) {
        self.rows.width = width;
        self.rows.cells.clear();
        self.rows.clear_rows();
    }

    /// Forgets the rows that were taken.
    pub(crate) fn recycle(&mut self) {
        self.rows.cells.clear();
        self.rows.scratch.clear();
        self.rows.clear_rows();
        if self.document.is_none() {
            self.rows.text.drain(..self.pos);
            self.searched -= self.pos;
            self.pos = 0;
        }
    }

    /// Reads one row.
    pub(crate) fn step(&mut self, last: bool) -> Result<Step, JsonStop> {
        if self.lines { self.line(last) } else { self.element(last) }
    }

    fn line(&mut self, last: bool) -> Result<Step, JsonStop> {
        loop {
            let size = self.rows.text.len();
            let fresh = self.rows.text.as_bytes().get(self.searched..).unwrap_or_default();
            let (end, next) = match memchr::memchr(b'\n', fresh) {
                Some(at) => (self.searched + at, self.searched + at + 1),
                None if last && self.pos < size => (size, size),
                None => {
                    self.searched = size;
                    if size - self.pos > self.limits.row {
                        return Err(JsonStop::RowTooLong { row: self.number + 1 });
                    }
                    return Ok(Step::Done);
                }
            };
            let (start, mut end) = (self.pos, end);
            if end - start > self.limits.row {
                return Err(JsonStop::RowTooLong { row: self.number + 1 });
            }
            self.pos = next;
            self.searched = next;
            self.number += 1;
            if self.rows.text.as_bytes().get(start..end).is_some_and(|line| line.last() == Some(&b'\r')) {
                end -= 1;
            }
            let line = self.rows.text.get(start..end).unwrap_or_default();
            let (blank, array) = (line.trim_ascii().is_empty(), line.trim_ascii_start().starts_with('['));
            if !blank {
                let first = !std::mem::replace(&mut self.begun, true);
                return self.row(start, end, array, first);
            }
        }
    }

    /// Adds the object at that place of the text as a row.
    fn object(&mut self, start: usize, end: usize) -> Result<(), JsonStop> {
        self.slots.fill(None);
        let source = self.rows.text.get(start..end).unwrap_or_default();
        let (names, longest) = (&self.names.order, self.limits.cell);
        let plain = self.flat && flat::read(source, start, names, longest, &mut self.slots).is_some();
        let unreadable = !plain && self.parse(start, end)?;
        let row = self.rows.rows.len() as u32;
        for (index, slot) in self.slots.iter().enumerate() {
            if slot.is_none() && self.names.need_all {
                self.rows.key_faults.push((row, KeyFault::Absent(index as u32)));
            }
            self.rows.cells.push(slot.unwrap_or(Span::MISSING));
        }
        self.add_row(start, end, self.slots.len() as u32, unreadable);
        Ok(())
    }

    /// Takes the object at that place of the text apart. Says whether it is no object at all.
    fn parse(&mut self, start: usize, end: usize) -> Result<bool, JsonStop> {
        let row = self.rows.rows.len() as u32;
        self.slots.fill(None);
        let Rows { text, scratch, key_faults, .. } = &mut self.rows;
        let source = text.get(start..end).unwrap_or_default();
        let mut filler = Filler {
            names: &self.names,
            limits: self.limits,
            slots: &mut self.slots,
            scratch,
            faults: Vec::new(),
            base: start,
            source,
            expected: 0,
            members: 0,
            stop: None,
        };
        let mut reader = serde_json::Deserializer::from_str(source);
        let mut parsed = reader.deserialize_map(&mut filler).and_then(|()| reader.end());
        let Filler { faults, stop, .. } = filler;
        match stop {
            Some(Stop::Cell) => return Err(JsonStop::CellTooLong { row: self.number }),
            Some(Stop::Members) => return Err(JsonStop::TooManyMembers { row: self.number }),
            Some(Stop::Value(why)) => parsed = Err(serde::de::Error::custom(why)),
            None => {}
        }
        if let Err(why) = parsed {
            key_faults.push((row, KeyFault::NotAnObject(crate::report::shown(&why.to_string()))));
            self.slots.fill(Some(Span::NULL));
            return Ok(true);
        }
        key_faults.extend(faults.into_iter().map(|fault| (row, fault)));
        Ok(false)
    }

    fn add_row(&mut self, start: usize, end: usize, present: u32, blank: bool) {
        self.rows.rows.push(RowInfo {
            number: self.number,
            raw: (start as u32, end as u32),
            present,
            blank,
            unreadable: blank,
        });
    }

    fn element(&mut self, last: bool) -> Result<Step, JsonStop> {
        if !last {
            if self.rows.text.len() > self.limits.document {
                return Err(JsonStop::RowTooLong { row: 1 });
            }
            return Ok(Step::Done);
        }
        if self.document.is_none() {
            let elements = self.find_elements()?;
            self.document = Some(Document { elements, next: 0 });
        }
        let Some(document) = &mut self.document else { return Ok(Step::Done) };
        let Some((start, end)) = document.elements.get(document.next).copied() else { return Ok(Step::Done) };
        document.next += 1;
        self.number = document.next as u64;
        let array = self.rows.text.as_bytes().get(start) == Some(&b'[');
        let first = self.number == 1;
        // The names of objects stand for a header, which is row 1.
        self.number += u64::from(!(self.arrays || array && first));
        self.row(start, end, array, first)
    }

    /// Where the rows of the document lie in the text.
    fn find_elements(&self) -> Result<Vec<(usize, usize)>, JsonStop> {
        let text = self.rows.text.as_str();
        let fault = |why: &serde_json::Error| JsonStop::Document {
            why: crate::report::shown(&why.to_string()),
            line: Some(why.line() as u64),
            column: Some(why.column() as u64),
        };
        let mut array: &RawValue = serde_json::from_str(text).map_err(|why| fault(&why))?;
        if let Some(property) = &self.property {
            let absent = || JsonStop::Document {
                why: format!("“{}”?", crate::report::shown(property)),
                line: None,
                column: None,
            };
            array = match member(array, property).map_err(|why| fault(&why))? {
                Some(found) => found,
                // A path of names, when no single name is meant.
                None => property.split('.').try_fold(array, |within, name| {
                    member(within, name).map_err(|why| fault(&why))?.ok_or_else(absent)
                })?,
            };
        }
        let elements: Vec<&RawValue> = serde_json::from_str(array.get()).map_err(|why| fault(&why))?;
        Ok(elements.iter().map(|element| place(text, element.get(), 0)).collect())
    }

    /// Adds a row; the first array is the header when there is one. All rows are of one kind.
    fn row(&mut self, start: usize, end: usize, array: bool, first: bool) -> Result<Step, JsonStop> {
        self.arrays |= array && first;
        match (array, self.arrays) {
            (true, true) => {
                let header = first && !self.names.no_header;
                self.array(start, end, header)?;
                return Ok(if header { Step::Header } else { Step::Row });
            }
            (false, true) => self.unlike(start, end),
            _ => self.object(start, end)?,
        }
        Ok(Step::Row)
    }

    /// Adds an object among arrays: a row of which nothing can be read.
    fn unlike(&mut self, start: usize, end: usize) {
        let row = self.rows.rows.len() as u32;
        let width = self.rows.width;
        self.rows.key_faults.push((row, KeyFault::NotAnObject("not an array, as the rows before it".to_owned())));
        self.rows.cells.extend(std::iter::repeat_n(Span::NULL, width));
        self.add_row(start, end, width as u32, true);
    }

    /// Adds an array of cells as a row of `rows.width` cells; a header has as many as it has.
    fn array(&mut self, start: usize, end: usize, header: bool) -> Result<(), JsonStop> {
        let row = self.rows.rows.len() as u32;
        let width = self.rows.width;
        let first = self.rows.cells.len();
        let source = self.rows.text.get(start..end).unwrap_or_default();
        let items: Result<Vec<&RawValue>, _> = serde_json::from_str(source);
        let mut why = items.as_ref().err().map(ToString::to_string);
        let items = items.unwrap_or_default();
        if items.len() > self.limits.columns {
            return Err(JsonStop::TooManyMembers { row: self.number });
        }
        for (column, item) in items.iter().enumerate() {
            let span = match cell(source, start, item.get(), &mut self.rows.scratch) {
                Ok(span) => span,
                Err(fault) => {
                    why = Some(fault.to_owned());
                    Span::NULL
                }
            };
            if span.len() > self.limits.cell {
                return Err(JsonStop::CellTooLong { row: self.number });
            }
            if !header && column >= width {
                self.rows.extras.push((row, column as u32, span));
            } else {
                self.rows.cells.push(span);
            }
        }
        let present = items.len() as u32;
        if !header {
            self.rows.cells.resize(first + width, Span::MISSING);
        }
        let blank = why.is_some();
        if let Some(why) = why {
            self.rows.key_faults.push((row, KeyFault::NotAnObject(crate::report::shown(&why))));
        }
        self.add_row(start, end, present, blank);
        Ok(())
    }
}

/// The member of an object by its name.
fn member<'a>(object: &'a RawValue, name: &str) -> serde_json::Result<Option<&'a RawValue>> {
    let members: std::collections::HashMap<Cow<'a, str>, &'a RawValue> = serde_json::from_str(object.get())?;
    Ok(members.get(name).copied())
}

/// Where `part`, a piece of `whole`, lies.
fn place(whole: &str, part: &str, base: usize) -> (usize, usize) {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize) + base;
    (start, start + part.len())
}

/// The cell of a raw JSON value.
fn cell(whole: &str, base: usize, raw: &str, scratch: &mut String) -> Result<Span, &'static str> {
    let (start, end) = place(whole, raw, base);
    Ok(match raw.as_bytes().first() {
        Some(b'"') if memchr::memchr(b'\\', raw.as_bytes()).is_none() => Span::text(start + 1, end - 1),
        Some(b'"') => {
            let text: String = serde_json::from_str(raw).map_err(|_| "lone surrogate or bad escape in a string")?;
            if text.contains('\0') {
                return Err("NUL in a string");
            }
            let from = scratch.len();
            scratch.push_str(&text);
            Span::scratch(from, scratch.len())
        }
        Some(b'n') => Span::NULL,
        Some(b't' | b'f') => Span::text(start, end).tagged(Tag::Bool),
        Some(b'[' | b'{') if depth(raw) > MAX_DEPTH => return Err("nests too deep"),
        Some(b'[' | b'{') => Span::text(start, end).tagged(Tag::Json),
        _ => Span::text(start, end).tagged(Tag::Number),
    })
}

enum Stop {
    Cell,
    Members,
    Value(&'static str),
}

/// Puts the members of one object into their slots.
struct Filler<'a> {
    names: &'a Names,
    limits: JsonLimits,
    slots: &'a mut Vec<Option<Span>>,
    scratch: &'a mut String,
    faults: Vec<KeyFault>,
    base: usize,
    source: &'a str,
    expected: usize,
    members: usize,
    stop: Option<Stop>,
}

impl<'de> Visitor<'de> for &mut Filler<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            let raw: &'de RawValue = map.next_value()?;
            self.members += 1;
            if self.members > self.limits.columns {
                self.stop = Some(Stop::Members);
                return Err(serde::de::Error::custom("too many members"));
            }
            self.member(&key, raw.get());
        }
        Ok(())
    }
}

impl Filler<'_> {
    fn member(&mut self, key: &str, raw: &str) {
        let index = match self.names.order.get(self.expected) {
            Some(name) if name == key => Some(self.expected),
            _ => self.names.places.get(key).copied(),
        };
        let Some(index) = index else {
            if self.names.refuse_unknown && self.faults.len() < MAX_UNKNOWN {
                self.faults.push(KeyFault::Unknown(crate::report::shown(key)));
            }
            return;
        };
        self.expected = index + 1;
        let span = match cell(self.source, self.base, raw, self.scratch) {
            Ok(span) => span,
            Err(why) => {
                self.stop = Some(Stop::Value(why));
                return;
            }
        };
        if span.len() > self.limits.cell {
            self.stop = Some(Stop::Cell);
        }
        if let Some(slot) = self.slots.get_mut(index)
            && slot.replace(span).is_some()
            && self.faults.len() < MAX_UNKNOWN
        {
            self.faults.push(KeyFault::Twice(crate::report::shown(key)));
        }
    }
}

/// A key, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(text: &str, flat: bool) -> JsonReader {
        let order: Vec<String> = ["a", "b", "kode wilayah", "c"].map(str::to_owned).to_vec();
        let places = order.iter().cloned().zip(0..).collect();
        let names = Names { places, order, refuse_unknown: true, need_all: true, no_header: false };
        let limits = JsonLimits { cell: 12, row: 1000, document: 1000, columns: 5 };
        let mut reader = JsonReader::new(names, limits, true, None);
        reader.flat &= flat;
        reader.rows.text.push_str(text);
        reader
    }

    /// Everything that was read of a file, or why it was not.
    fn all(text: &str, flat: bool) -> String {
        let mut reader = reader(text, flat);
        let stop = loop {
            match reader.step(true) {
                Ok(Step::Done) => break None,
                Ok(_) => {}
                Err(stop) => break Some(stop),
            }
        };
        let cells: Vec<_> = reader.rows.cells.iter().map(|span| (span.tag(), reader.rows.get(*span))).collect();
        format!("{cells:?} {:?} {:?} {stop:?}", reader.rows.rows, reader.rows.key_faults)
    }

    fn same_either_way(text: &str) {
        assert_eq!(all(text, true), all(text, false), "{text}");
    }

    #[test]
    fn a_plain_object_needs_no_parser() {
        let text = r#"{"a":"x", "b" : -1.50,"kode wilayah":null,"c":true}"#;
        let mut slots = [None; 4];
        let names = reader("", true).names.order;
        assert!(flat::read(text, 0, &names, 12, &mut slots).is_some() && slots.iter().all(Option::is_some));
        same_either_way(text);
    }

    #[test]
    fn what_is_not_plain_is_read_as_the_parser_reads_it() {
        let values = [
            "1",
            "-0",
            "01",
            "-",
            "1.",
            ".5",
            "1e3",
            "1.5E-2",
            "+1",
            "null",
            "nul",
            "nulls",
            "true",
            "falsey",
            r#""""#,
            r#""a\nb""#,
            "\"a\tb\"",
            r#""日本""#,
            r#""a"#,
            "[1]",
            "{}",
            r#""panjang sekali ini""#,
            "NaN",
            "",
            "1 2",
        ];
        for value in values {
            for object in [
                format!(r#"{{"a":{value},"b":2,"kode wilayah":3,"c":4}}"#),
                format!(r#" {{ "b" :{value} }} "#),
                format!(r#"{{"a":1,"x":{value}}}"#),
                format!(r#"{{"c":{value},"a":1}}"#),
                format!(r#"{{"a":{value},"a":1}}"#),
                format!(r#"{{"a":{value},}}"#),
                format!(r#"{{"a":{value}}}x"#),
                format!(r#"{{"a"{value}}}"#),
                format!(r#"{{"\u0061":{value}}}"#),
                format!(r#"{{{value}"#),
            ] {
                same_either_way(&format!("{object}\n{{\"a\":1,\"b\":2}}\n"));
            }
        }
        same_either_way(r#"{"a":1,"b":2,"kode wilayah":3,"c":4,"d":5,"e":6}"#);
        same_either_way("{}\n{\"a\"\n");
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read_as_the_parser_reads_it(text in r#"(\{|\}|"a"|"b"|"c"|"|:|,|1|\.|-|0|null|true| |\\|\n|é|\[|\]){0,24}"#) {
            same_either_way(&text);
        }

        #[test]
        fn any_object_is_read_as_the_parser_reads_it(
            members in proptest::collection::vec((r#"a|b|c|kode wilayah|d|é"#, r#"-?[0-9]{1,3}(\.[0-9]{0,2})?|"[ a-zé\\"]{0,5}"|null|true|false|\[\]"#), 0..6),
        ) {
            let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            same_either_way(&format!("{{{}}}", members.join(",")));
        }
    }
}
