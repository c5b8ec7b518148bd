//! Keys over the whole file: primary key, unique keys, unique columns, references.

use arrow_array::{ArrayRef, StringArray};

use crate::column::{Fault, Place};
use crate::contract::{Contract, ForeignKey, Target};
use crate::field::{Rule, same};
use crate::header::Mapping;
use crate::key_index::{KeyIndex, KeyLog, KeyStore, KeysStop};
use crate::reader::rows::Rows;
use crate::reference::KeySet;
use crate::values::Column;

/// A key that has to differ in every row.
struct Unique {
    rule: Rule,
    place: Place,
    columns: Vec<usize>,
    index: KeyIndex,
}

/// References of the table to itself that no earlier row answers.
struct Pending {
    key: Vec<u8>,
    row: u64,
}

/// The state of one foreign key.
struct Reference {
    own: KeySet,
    pending: Vec<Pending>,
    pending_bytes: usize,
    last: Vec<u8>,
    last_found: bool,
    parts: usize,
}

/// The parts of a text key, as a person reads them.
fn shown_key(key: &[u8], parts: usize) -> String {
    if parts == 1 {
        return String::from_utf8_lossy(key).into_owned();
    }
    let mut texts = Vec::with_capacity(parts);
    let mut rest = key;
    while let Some((len, tail)) = rest.split_first_chunk::<4>() {
        let (text, after) = tail.split_at((u32::from_le_bytes(*len) as usize).min(tail.len()));
        texts.push(String::from_utf8_lossy(text).into_owned());
        rest = after;
    }
    texts.join(", ")
}

/// A reference that no row answers, found at the end.
pub(crate) struct LateFault {
    pub(crate) row: u64,
    pub(crate) key: usize,
    pub(crate) value: String,
}

/// All keys of a file.
pub(crate) struct Keys {
    unique: Vec<Unique>,
    references: Vec<Reference>,
    log: KeyLog,
    limit: usize,
    buffer: Vec<u8>,
    found: Vec<Found>,
}

/// A key of the batch: its row in it, where it ends in the buffer, its hash.
struct Found {
    row: usize,
    end: usize,
    hash: u64,
}

/// Where a repeated key came first: (row in batch, rule, place) → record number.
pub(crate) type FirstRows = Vec<(Fault, u64)>;

impl Keys {
    pub(crate) fn new(contract: &Contract, limit: usize) -> Self {
        let mut unique = Vec::new();
        let mut add = |rule, place, columns: Vec<usize>| {
            unique.push(Unique { rule, place, columns, index: KeyIndex::new() });
        };
        if !contract.primary_key.is_empty() {
            add(Rule::PrimaryKey, Place::Row, contract.primary_key.clone());
        }
        for (number, key) in contract.unique_keys.iter().enumerate() {
            add(Rule::UniqueKey(number as u16), Place::Row, key.clone());
        }
        for (column, field) in contract.fields.iter().enumerate() {
            if field.unique {
                add(Rule::Unique, Place::Field(column as u32), vec![column]);
            }
        }
        let references = contract.foreign_keys.iter().map(|key| Reference {
            parts: key.columns.len(),
            own: KeySet::default(),
            pending: Vec::new(),
            pending_bytes: 0,
            last: Vec::new(),
            last_found: false,
        });
        let references = references.collect();
        Self { unique, references, log: KeyLog::default(), limit, buffer: Vec::new(), found: Vec::new() }
    }

    /// Keeps the keys of a large file in `store`.
    pub(crate) fn spill(&mut self, store: Box<dyn KeyStore>) {
        self.log.spill(store);
    }

    /// Checks a batch. `faults` are sorted; new ones are added at the end.
    pub(crate) fn check(
        &mut self,
        contract: &Contract,
        mapping: &Mapping,
        rows: &Rows,
        arrays: &[ArrayRef],
        faults: &mut Vec<Fault>,
        first_rows: &mut FirstRows,
    ) -> Result<(), KeysStop> {
        let known = faults.len();
        let read = |column: &usize| mapping.sources.get(*column).is_some_and(Option::is_some);
        // A key with a column that the file lacks has no values; the header says what is missing.
        for unique in self.unique.iter_mut().filter(|unique| unique.columns.iter().all(read)) {
            find_keys(unique, rows, arrays, faults, known, &mut self.buffer, &mut self.found);
            let mut start = 0;
            for Found { row, end, hash } in self.found.drain(..) {
                let key = self.buffer.get(start..end).unwrap_or_default();
                start = end;
                let number = rows.rows.get(row).map_or(0, |info| info.number);
                if let Some(first) = unique.index.insert(&mut self.log, hash, key, number)? {
                    let fault = Fault { row: row as u32, place: unique.place, rule: unique.rule };
                    faults.push(fault);
                    first_rows.push((fault, first));
                }
            }
        }
        for (number, key) in contract.foreign_keys.iter().enumerate() {
            if let Some(state) = self.references.get_mut(number) {
                let rule = Rule::ForeignKey(number as u16);
                check_reference(key, state, rule, rows, arrays, faults, &mut self.buffer);
            }
        }
        let held: usize = self.unique.iter().map(|unique| unique.index.size()).sum();
        let pending: usize =
            self.references.iter().map(|reference| reference.pending_bytes + reference.own.size()).sum();
        if held + self.log.size() + pending > self.limit { Err(KeysStop::Full) } else { Ok(()) }
    }

    /// References of the table to itself, once every row is known.
    pub(crate) fn finish(&mut self) -> Vec<LateFault> {
        let mut late = Vec::new();
        for (key, reference) in self.references.iter_mut().enumerate() {
            for pending in reference.pending.drain(..) {
                if !reference.own.contains(&pending.key) {
                    let value = shown_key(&pending.key, reference.parts);
                    late.push(LateFault { row: pending.row, key, value });
                }
            }
        }
        late
    }
}

fn has(faults: &[Fault], row: usize, column: usize, rule: Rule) -> bool {
    let wanted = Fault { row: row as u32, place: Place::Field(column as u32), rule };
    faults.binary_search(&wanted).is_ok()
}

/// Finds the keys of a batch: their bytes one after the other in `buffer`.
fn find_keys(
    unique: &Unique,
    rows: &Rows,
    arrays: &[ArrayRef],
    faults: &mut Vec<Fault>,
    known: usize,
    buffer: &mut Vec<u8>,
    found: &mut Vec<Found>,
) {
    let columns: Vec<Column<'_>> =
        unique.columns.iter().filter_map(|column| arrays.get(*column)).map(Column::new).collect();
    let single = columns.len() == 1;
    buffer.clear();
    found.clear();
    for (row, info) in rows.rows.iter().enumerate() {
        if info.blank && (info.unreadable || unique.rule != Rule::PrimaryKey) {
            continue;
        }
        let nulls = columns.iter().filter(|column| column.is_null(row)).count();
        if nulls > 0 {
            if unique.rule == Rule::PrimaryKey
                && null_in_key(unique, row, nulls, faults.get(..known).unwrap_or_default(), &columns)
            {
                faults.push(Fault { row: row as u32, place: Place::Row, rule: Rule::PrimaryKeyNull });
            }
            continue;
        }
        let start = buffer.len();
        columns.iter().for_each(|column| column.write_key(row, single, buffer));
        let hash = unique.index.hash(buffer.get(start..).unwrap_or_default());
        found.push(Found { row, end: buffer.len(), hash });
    }
    // One after the other each key would wait for memory; all at once they wait together.
    std::hint::black_box(found.iter().fold(0, |all, found| all ^ unique.index.touch(found.hash)));
}

/// Whether nulls in a primary key are to be reported: always when the whole key is null; else not
/// those of a cell that could not be read, and not those that `required` already reports.
fn null_in_key(unique: &Unique, row: usize, nulls: usize, faults: &[Fault], columns: &[Column<'_>]) -> bool {
    let mut empty = unique.columns.iter().zip(columns).filter(|(_, column)| column.is_null(row));
    if nulls == unique.columns.len() {
        return true;
    }
    empty.any(|(column, _)| !has(faults, row, *column, Rule::Type) && !has(faults, row, *column, Rule::Required))
}

/// Writes the key of a row as text parts; `false` if a part is null.
fn text_key(columns: &[Column<'_>], row: usize, out: &mut Vec<u8>) -> bool {
    out.clear();
    let single = columns.len() == 1;
    for column in columns {
        let Some(text) = column.reference_text(row) else { return false };
        if !single {
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        }
        out.extend_from_slice(text.as_bytes());
    }
    true
}

fn check_reference(
    key: &ForeignKey,
    state: &mut Reference,
    rule: Rule,
    rows: &Rows,
    arrays: &[ArrayRef],
    faults: &mut Vec<Fault>,
    buffer: &mut Vec<u8>,
) {
    let columns: Vec<Column<'_>> =
        key.columns.iter().filter_map(|column| arrays.get(*column)).map(Column::new).collect();
    if let Target::Itself(target) = &key.target {
        let targets: Vec<Column<'_>> =
            target.iter().filter_map(|column| arrays.get(*column)).map(Column::new).collect();
        for (row, info) in rows.rows.iter().enumerate() {
            if !info.blank && text_key(&targets, row, buffer) {
                state.own.insert(buffer);
            }
        }
    }
    if let (Target::List { keys, .. }, [Column::Text(values)]) = (&key.target, columns.as_slice()) {
        return check_list(keys, values, rule, rows, faults);
    }
    for (row, info) in rows.rows.iter().enumerate() {
        // A reference with a null part passes, as in SQL.
        if info.blank || !text_key(&columns, row, buffer) {
            continue;
        }
        match &key.target {
            Target::List { keys, .. } => {
                if !state.last_found || state.last != *buffer {
                    state.last_found = keys.contains(buffer);
                    std::mem::swap(&mut state.last, buffer);
                }
                if !state.last_found {
                    faults.push(Fault { row: row as u32, place: Place::Row, rule });
                }
            }
            Target::Itself(_) => {
                if !state.own.contains(buffer) {
                    state.pending_bytes += buffer.len() + size_of::<Pending>();
                    state.pending.push(Pending { key: buffer.clone(), row: info.number });
                }
            }
        }
    }
}

/// The common case: one column of text, a list.
fn check_list(keys: &KeySet, values: &StringArray, rule: Rule, rows: &Rows, faults: &mut Vec<Fault>) {
    let mut good: Option<&str> = None;
    for (row, (info, value)) in rows.rows.iter().zip(values).enumerate() {
        let Some(value) = value.filter(|_| !info.blank) else { continue };
        // Neighbouring rows often repeat a code.
        if good.is_some_and(|good| same(good.as_bytes(), value.as_bytes())) {
            continue;
        }
        if keys.contains(value.as_bytes()) {
            good = Some(value);
        } else {
            faults.push(Fault { row: row as u32, place: Place::Row, rule });
        }
    }
}
