//! Lists that foreign keys point to, and sets of keys.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::RecordBatch;
use hashbrown::{Equivalent, HashSet};

use crate::code_list::CodeList;
use crate::field::same;
use crate::form::Kind;

/// What a foreign key asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The package, such as `urn:satudata:ref:wilayah@2025-1`; absent for the contract's own package.
    pub package: Option<&'a str>,
    /// The resource in it; may be empty when the package has one.
    pub resource: &'a str,
    /// The fields that hold the key.
    pub fields: &'a [&'a str],
}

/// Where a contract finds the lists that it points to.
pub trait References {
    /// The list, or nothing if it is not there.
    fn table(&self, wanted: &Wanted<'_>) -> Option<Arc<ReferenceTable>>;
}

/// No lists at all: for contracts without foreign keys to others.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoReferences;

impl References for NoReferences {
    fn table(&self, _: &Wanted<'_>) -> Option<Arc<ReferenceTable>> {
        None
    }
}

/// A list in memory: the logical values of its rows as text.
#[derive(Clone, Debug, Default)]
pub struct ReferenceTable {
    fields: Vec<String>,
    columns: Vec<Vec<Option<Box<str>>>>,
    /// What the columns hold, where it is known; else their text is compared.
    kinds: Vec<Kind>,
    /// The code list that it is, which also knows the codes that are not valid.
    list: Option<Arc<CodeList>>,
}

impl ReferenceTable {
    /// An empty list with these columns.
    #[must_use]
    pub fn new(fields: &[&str]) -> Self {
        Self {
            fields: fields.iter().map(|name| (*name).to_owned()).collect(),
            columns: vec![Vec::new(); fields.len()],
            kinds: Vec::new(),
            list: None,
        }
    }

    /// Adds a row. A short row is filled with nulls, a long one is cut.
    pub fn push<S: AsRef<str>>(&mut self, row: &[Option<S>]) {
        for (index, column) in self.columns.iter_mut().enumerate() {
            column.push(row.get(index).and_then(|cell| cell.as_ref()).map(|cell| cell.as_ref().into()));
        }
    }

    /// A list made of validated rows.
    #[must_use]
    pub fn from_batches(batches: &[RecordBatch]) -> Self {
        let Some(first) = batches.first() else { return Self::default() };
        let schema = first.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let mut table = Self::new(&names);
        for batch in batches {
            for (array, column) in batch.columns().iter().zip(&mut table.columns) {
                let values = crate::values::Column::new(array);
                column.extend(
                    (0..batch.num_rows()).map(|row| values.reference_text(row).map(|text| text.as_ref().into())),
                );
            }
        }
        table
    }

    /// The same list, the kinds of its columns known.
    pub(crate) fn with_kinds(mut self, kinds: Vec<Kind>) -> Self {
        self.kinds = kinds;
        self
    }

    /// Whether values of that kind can stand in the column.
    pub(crate) fn may_hold(&self, name: &str, kind: Kind) -> bool {
        let index = self.fields.iter().position(|field| field == name);
        index.and_then(|index| self.kinds.get(index)).is_none_or(|known| *known == kind)
    }

    /// A code list that ships with the product or was registered.
    #[must_use]
    pub fn from_code_list(list: &CodeList) -> Self {
        Self::of(Arc::new(list.clone()))
    }

    /// The same, keeping the list itself.
    #[must_use]
    pub fn of(list: Arc<CodeList>) -> Self {
        let names: Vec<&str> = list.columns().iter().map(String::as_str).collect();
        let mut table = Self::new(&names);
        for row in list.rows() {
            table.push(&row);
        }
        table.list = Some(list);
        table
    }

    /// The code list that it is, if it is one.
    #[must_use]
    pub fn code_list(&self) -> Option<&Arc<CodeList>> {
        self.list.as_ref()
    }

    /// How many rows it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn column(&self, name: &str) -> Option<&[Option<Box<str>>]> {
        let index = self.fields.iter().position(|field| field == name)?;
        self.columns.get(index).map(Vec::as_slice)
    }

    /// What a person calls the rows: the first column with such a name.
    pub(crate) fn labels(&self) -> Option<&[Option<Box<str>>]> {
        ["nama", "name", "label", "judul", "title"].iter().find_map(|name| self.column(name))
    }

    /// The set of keys in these columns; nothing if a column is not there.
    pub(crate) fn keys(&self, fields: &[String]) -> Option<Arc<KeySet>> {
        let columns: Option<Vec<_>> = fields.iter().map(|name| self.column(name)).collect();
        let columns = columns?;
        let mut set = KeySet::default();
        let mut key = Vec::new();
        for row in 0..self.len() {
            key.clear();
            let parts = columns.iter().map(|column| column.get(row).and_then(Option::as_deref));
            if write_key(parts, &mut key) {
                set.insert(&key);
            }
        }
        Some(Arc::new(set))
    }
}

/// Writes the parts of a key so that different keys differ; `false` if a part is null.
pub(crate) fn write_key<'a>(parts: impl ExactSizeIterator<Item = Option<&'a str>>, out: &mut Vec<u8>) -> bool {
    let single = parts.len() == 1;
    for part in parts {
        let Some(text) = part else { return false };
        if !single {
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        }
        out.extend_from_slice(text.as_bytes());
    }
    true
}

/// A key that is looked up: hashed as the keys of a set are, and compared as short texts are.
struct Short<'a>(&'a [u8]);

impl Hash for Short<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Equivalent<Box<[u8]>> for Short<'_> {
    fn equivalent(&self, key: &Box<[u8]>) -> bool {
        same(self.0, key)
    }
}

/// A set of keys.
#[derive(Debug, Default)]
pub(crate) struct KeySet {
    keys: HashSet<Box<[u8]>>,
    bytes: usize,
}

impl KeySet {
    /// Bytes held.
    pub(crate) fn size(&self) -> usize {
        self.bytes + self.keys.capacity() * (size_of::<Box<[u8]>>() + 1)
    }

    pub(crate) fn insert(&mut self, key: &[u8]) {
        if !self.keys.contains(key) {
            self.bytes += key.len();
            self.keys.insert(key.into());
        }
    }

    #[inline]
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.keys.contains(&Short(key))
    }
}
