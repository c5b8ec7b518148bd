//! Code lists: immutable, versioned reference tables that contracts point to with a foreign key such as
//! `urn:satudata:ref:wilayah@2025-1`.
//!
//! A list is a Data Package whose `satudata.kodeReferensi` names the columns that matter. It is read once into one
//! text buffer with a hash over its key, so that a foreign key costs one lookup per cell.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use thiserror::Error;

/// Rows a code list may hold. All villages of Indonesia are 83,762; ten times that is still a code list.
pub const MAX_CODES: usize = 1_000_000;
/// Columns a code list may have.
pub const MAX_COLUMNS: usize = 64;
/// Bytes of one file of a code list. Offsets into it are kept in 32 bits.
pub const MAX_FILE_BYTES: usize = 256 * 1024 * 1024;
/// Characters of a text for which a near code is still searched; longer texts are not typing errors of a code.
pub const MAX_QUERY_CHARS: usize = 80;
/// The largest edit distance at which a code or name counts as "near".
pub const MAX_DISTANCE: usize = 2;

const URN_PREFIX: &str = "urn:satudata:ref:";

/// Why a code list cannot be used. Lines are counted from 1, the header is line 1.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CodeListError {
    /// The descriptor is not JSON.
    #[error("the descriptor is not JSON: {0}")]
    Json(String),
    /// The descriptor lacks something that a code list needs.
    #[error("the descriptor lacks {0}")]
    Missing(&'static str),
    /// A file named by the descriptor was not handed over.
    #[error("file {0} is not there")]
    File(String),
    /// A file is larger than [`MAX_FILE_BYTES`], or has more than [`MAX_CODES`] rows or [`MAX_COLUMNS`] columns.
    #[error("file {0} is too large")]
    TooLarge(String),
    /// A file is not UTF-8.
    #[error("file {0} is not UTF-8")]
    Encoding(String),
    /// A column named by the descriptor is not in the header of the file.
    #[error("file {file} has no column {column}")]
    Column {
        /// The file.
        file: String,
        /// The column that the descriptor names.
        column: String,
    },
    /// A line does not have as many cells as the header, or a quote is left open on it.
    #[error("file {file}, line {line}: wrong number of cells or an open quote")]
    Row {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// A code is empty or stands there twice, or a replaced code is still valid or replaced by an unknown one.
    #[error("file {file}, line {line}: code {code:?} is empty, repeated or contradicts the list")]
    Code {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The code.
        code: String,
    },
}

/// A valid code close to what somebody typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion<'a> {
    /// The valid code.
    pub code: &'a str,
    /// Its name, empty where the list has no names.
    pub name: &'a str,
    /// Edits between the typed text and the code or name: 0 to [`MAX_DISTANCE`].
    pub distance: usize,
}

/// How two versions of one list differ in their codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeDelta {
    /// Codes that only the newer version has.
    pub added: usize,
    /// Codes that only the older version has.
    pub removed: usize,
}

/// One version of one code list, in memory.
#[derive(Debug, Clone)]
pub struct CodeList {
    id: String,
    version: String,
    resource: String,
    table: Table,
    roles: Roles,
    index: HashMap<Box<str>, u32>,
    successors: BTreeMap<Box<str>, Vec<Box<str>>>,
    dotted: bool,
}

/// Which column plays which part.
#[derive(Debug, Clone, Copy)]
struct Roles {
    key: usize,
    name: Option<usize>,
    level: Option<usize>,
    parent: Option<usize>,
}

/// Splits `urn:satudata:ref:<id>@<version>` into id and version.
pub fn parse_urn(urn: &str) -> Option<(&str, &str)> {
    let (id, version) = urn.strip_prefix(URN_PREFIX)?.split_once('@')?;
    (!id.is_empty() && !version.is_empty()).then_some((id, version))
}

impl CodeList {
    /// Reads a code list from its descriptor; `read` gives the bytes of a file that the descriptor names by `path`.
    pub fn load<'a>(descriptor: &str, read: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, CodeListError> {
        let package: Value = serde_json::from_str(descriptor).map_err(|e| CodeListError::Json(e.to_string()))?;
        let part = &package["satudata"]["kodeReferensi"];
        let resource = named(&part["sumberdaya"], "satudata.kodeReferensi.sumberdaya")?.to_owned();
        let (path, table) = read_resource(&package, &resource, &read)?;
        let roles = Roles {
            key: table.column(&path, named(&part["kunci"], "satudata.kodeReferensi.kunci")?)?,
            name: optional_column(&table, &path, &part["nama"])?,
            level: optional_column(&table, &path, &part["tingkat"])?,
            parent: optional_column(&table, &path, &part["induk"])?,
        };
        let index = index(&table, roles.key, &path)?;
        let (id, version) = identity(&package)?;
        let dotted = index.keys().any(|code| code.contains('.'));
        let mut list = CodeList { id, version, resource, table, roles, index, successors: BTreeMap::new(), dotted };
        list.load_successors(&package, &part["pengganti"], &read)?;
        Ok(list)
    }

    fn load_successors<'a>(
        &mut self,
        package: &Value,
        part: &Value,
        read: &impl Fn(&str) -> Option<&'a [u8]>,
    ) -> Result<(), CodeListError> {
        let Some(resource) = part["sumberdaya"].as_str() else { return Ok(()) };
        let (path, table) = read_resource(package, resource, read)?;
        let old = table.column(&path, named(&part["lama"], "satudata.kodeReferensi.pengganti.lama")?)?;
        let new = table.column(&path, named(&part["baru"], "satudata.kodeReferensi.pengganti.baru")?)?;
        for row in 0..table.rows() {
            let (from, to) = (table.cell(row, old), table.cell(row, new));
            // A code that was split has a row for each of its successors.
            let successors = self.successors.entry(from.into()).or_default();
            let repeated = successors.iter().any(|known| **known == *to);
            successors.push(to.into());
            if from.is_empty() || repeated || self.contains(from) || !self.contains(to) {
                return Err(CodeListError::Code { file: path, line: row + 2, code: from.to_owned() });
            }
        }
        Ok(())
    }

    /// The name of the list without its version, for example `wilayah`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The version, for example `2025-1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The identifier that contracts write as `reference.package`.
    pub fn urn(&self) -> String {
        format!("{URN_PREFIX}{}@{}", self.id, self.version)
    }

    /// The name of the resource that holds the codes, which contracts write as `reference.resource`.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The name of the column that holds the codes.
    pub fn key(&self) -> &str {
        &self.table.header[self.roles.key]
    }

    /// The names of all columns, in file order.
    pub fn columns(&self) -> &[String] {
        &self.table.header
    }

    /// How many codes are valid.
    pub fn len(&self) -> usize {
        self.table.rows()
    }

    /// Whether the list has no codes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `code` is valid, character by character.
    pub fn contains(&self, code: &str) -> bool {
        self.index.contains_key(code)
    }

    /// The name that belongs to `code`.
    pub fn name(&self, code: &str) -> Option<&str> {
        self.role(code, self.roles.name)
    }

    /// The level of `code` in the list's own words, for example `kecamatan`.
    pub fn level(&self, code: &str) -> Option<&str> {
        self.role(code, self.roles.level)
    }

    /// The code above `code`; `None` at the top.
    pub fn parent(&self, code: &str) -> Option<&str> {
        self.role(code, self.roles.parent).filter(|parent| !parent.is_empty())
    }

    /// The cell of `column` in the row of `code`.
    pub fn value(&self, code: &str, column: &str) -> Option<&str> {
        self.role(code, self.table.header.iter().position(|name| name == column))
    }

    /// All cells of `column` in file order, for foreign keys to a column other than the key.
    pub fn values<'a>(&'a self, column: &str) -> Option<impl Iterator<Item = &'a str>> {
        let column = self.table.header.iter().position(|name| name == column)?;
        Some((0..self.table.rows()).map(move |row| self.table.cell(row, column)))
    }

    /// All rows in file order, cells in the order of [`CodeList::columns`]; an empty cell is `None`.
    pub fn rows(&self) -> impl Iterator<Item = Vec<Option<&str>>> {
        let columns = self.table.header.len();
        let cell = |row, column| Some(self.table.cell(row, column)).filter(|cell| !cell.is_empty());
        (0..self.table.rows()).map(move |row| (0..columns).map(|column| cell(row, column)).collect())
    }

    /// The code that replaced `code`, where there is exactly one. A valid code has none.
    pub fn successor(&self, code: &str) -> Option<&str> {
        match self.successors.get(code).map(Vec::as_slice) {
            Some([code]) => Some(code),
            _ => None,
        }
    }

    /// The codes that are no longer valid, with those that replaced them: more than one where an area was split.
    pub fn retired(&self) -> impl Iterator<Item = (&str, &[Box<str>])> {
        self.successors.iter().map(|(code, successors)| (&**code, successors.as_slice()))
    }

    /// Valid codes that are at most [`MAX_DISTANCE`] edits away from `text`, nearest first, at most `limit`.
    ///
    /// A text that begins with a digit is compared with the codes, any other with the names (letters and digits only,
    /// case aside). Where the codes are written with dots, a text of digits alone gets no answer: it may be a code of
    /// another system, and the same digits mean other places there. Cost: one pass over the list, some
    /// milliseconds for ten thousand codes; ask for the rows that are shown, not for every bad row.
    pub fn nearest(&self, text: &str, limit: usize) -> Vec<Suggestion<'_>> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > MAX_QUERY_CHARS {
            return Vec::new();
        }
        let by_code = text.starts_with(|c: char| c.is_ascii_digit());
        if by_code && self.dotted && text.bytes().all(|b| b.is_ascii_digit()) {
            return Vec::new();
        }
        let mut found = if by_code { self.near_codes(text) } else { self.near_names(text) };
        found.sort_by(|a, b| (a.distance, a.code).cmp(&(b.distance, b.code)));
        found.truncate(limit);
        found
    }

    /// What changed from this version to `newer`.
    pub fn delta(&self, newer: &CodeList) -> CodeDelta {
        let missing = |from: &CodeList, to: &CodeList| from.index.keys().filter(|code| !to.contains(code)).count();
        CodeDelta { added: missing(newer, self), removed: missing(self, newer) }
    }

    fn near_codes(&self, text: &str) -> Vec<Suggestion<'_>> {
        let typed: Vec<char> = text.chars().collect();
        self.near(|code, _| distance(&typed, code))
    }

    fn near_names(&self, text: &str) -> Vec<Suggestion<'_>> {
        let typed = letters(text);
        // Two edits turn any name of four letters into half of the others: short names must agree more closely.
        let bound = MAX_DISTANCE.min(typed.len() / 4);
        let typed: Vec<char> = typed.chars().collect();
        self.near(|_, name| distance(&typed, &letters(name)).filter(|d| *d <= bound))
    }

    fn near(&self, distance: impl Fn(&str, &str) -> Option<usize>) -> Vec<Suggestion<'_>> {
        let rows = 0..self.table.rows();
        rows.filter_map(|row| {
            let code = self.table.cell(row, self.roles.key);
            let name = self.roles.name.map_or("", |column| self.table.cell(row, column));
            distance(code, name).map(|distance| Suggestion { code, name, distance })
        })
        .collect()
    }

    fn role(&self, code: &str, column: Option<usize>) -> Option<&str> {
        let row = *self.index.get(code)? as usize;
        Some(self.table.cell(row, column?))
    }
}

fn named<'a>(value: &'a Value, what: &'static str) -> Result<&'a str, CodeListError> {
    value.as_str().ok_or(CodeListError::Missing(what))
}

fn identity(package: &Value) -> Result<(String, String), CodeListError> {
    let urn = package["id"].as_str().ok_or(CodeListError::Missing("id"))?;
    let (id, version) =
        parse_urn(urn).ok_or(CodeListError::Missing("an id of the form urn:satudata:ref:name@version"))?;
    Ok((id.to_owned(), version.to_owned()))
}

fn read_resource<'a>(
    package: &Value,
    name: &str,
    read: &impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<(String, Table), CodeListError> {
    let resources = package["resources"].as_array().ok_or(CodeListError::Missing("resources"))?;
    let resource = resources.iter().find(|resource| resource["name"] == name);
    let resource = resource.ok_or(CodeListError::Missing("the resource that satudata.kodeReferensi names"))?;
    let path = resource["path"].as_str().ok_or(CodeListError::Missing("the path of a resource"))?;
    let bytes = read(path).ok_or_else(|| CodeListError::File(path.to_owned()))?;
    Ok((path.to_owned(), Table::parse(path, bytes)?))
}

fn optional_column(table: &Table, path: &str, name: &Value) -> Result<Option<usize>, CodeListError> {
    name.as_str().map(|name| table.column(path, name)).transpose()
}

fn index(table: &Table, key: usize, path: &str) -> Result<HashMap<Box<str>, u32>, CodeListError> {
    let mut index = HashMap::with_capacity(table.rows());
    for row in 0..table.rows() {
        let code = table.cell(row, key);
        let at = u32::try_from(row).map_err(|_| CodeListError::TooLarge(path.to_owned()))?;
        if code.is_empty() || index.insert(code.into(), at).is_some() {
            return Err(CodeListError::Code { file: path.to_owned(), line: row + 2, code: code.to_owned() });
        }
    }
    Ok(index)
}

/// The cells of one file in one buffer; cell `i` ends at `ends[i]`.
#[derive(Debug, Clone)]
struct Table {
    header: Vec<String>,
    text: String,
    ends: Vec<u32>,
}

impl Table {
    fn parse(path: &str, bytes: &[u8]) -> Result<Table, CodeListError> {
        let too_large = || CodeListError::TooLarge(path.to_owned());
        if bytes.len() > MAX_FILE_BYTES {
            return Err(too_large());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| CodeListError::Encoding(path.to_owned()))?;
        let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
        let row_error = |line| CodeListError::Row { file: path.to_owned(), line };
        let header = lines.next().and_then(|(_, line)| split(line)).ok_or_else(|| row_error(1))?;
        let mut table =
            Table { header: header.iter().map(|c| c.to_string()).collect(), text: String::new(), ends: vec![] };
        for (number, line) in lines {
            let cells = split(line).filter(|cells| cells.len() == table.header.len());
            for cell in cells.ok_or_else(|| row_error(number + 1))? {
                table.text.push_str(&cell);
                table.ends.push(u32::try_from(table.text.len()).map_err(|_| too_large())?);
            }
            if table.rows() > MAX_CODES || table.header.len() > MAX_COLUMNS {
                return Err(too_large());
            }
        }
        Ok(table)
    }

    fn column(&self, path: &str, name: &str) -> Result<usize, CodeListError> {
        let position = self.header.iter().position(|column| column == name);
        position.ok_or_else(|| CodeListError::Column { file: path.to_owned(), column: name.to_owned() })
    }

    fn rows(&self) -> usize {
        self.ends.len() / self.header.len()
    }

    fn cell(&self, row: usize, column: usize) -> &str {
        let at = row * self.header.len() + column;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.text[start as usize..self.ends[at] as usize]
    }
}

/// The cells of one line of CSV. `None` where a quote is left open or followed by text: a code list has no line
/// breaks inside its cells.
fn split(line: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let (cell, after) = match rest.strip_prefix('"') {
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (Cow::Borrowed(&rest[..end]), &rest[end..])
            }
            Some(quoted) => {
                let bytes = quoted.as_bytes();
                let mut end = 0;
                while bytes.get(end)? != &b'"' || bytes.get(end + 1) == Some(&b'"') {
                    end += if bytes[end] == b'"' { 2 } else { 1 };
                }
                (Cow::Owned(quoted[..end].replace("\"\"", "\"")), &quoted[end + 1..])
            }
        };
        cells.push(cell);
        if after.is_empty() {
            return Some(cells);
        }
        rest = after.strip_prefix(',')?;
    }
}

/// Upper-case letters and digits of a name, so that `Sanga-Sanga` and `SANGA SANGA` are the same.
fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

/// The edit distance (insert, delete, replace) where it is at most [`MAX_DISTANCE`].
fn distance(typed: &[char], valid: &str) -> Option<usize> {
    let length = valid.chars().count();
    if typed.len().abs_diff(length) > MAX_DISTANCE {
        return None;
    }
    let mut row: Vec<usize> = (0..=typed.len()).collect();
    for (i, c) in valid.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, t) in typed.iter().enumerate() {
            let replaced = diagonal + usize::from(*t != c);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
        if row.iter().min() > Some(&MAX_DISTANCE) {
            return None;
        }
    }
    row.last().copied().filter(|d| *d <= MAX_DISTANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTOR: &str = r#"{"id":"urn:satudata:ref:buah@1","satudata":{"kodeReferensi":{"sumberdaya":"buah",
        "kunci":"kode","nama":"nama","pengganti":{"sumberdaya":"ganti","lama":"lama","baru":"baru"}}},
        "resources":[{"name":"buah","path":"buah.csv"},{"name":"ganti","path":"ganti.csv"}]}"#;

    fn load(list: &'static str, successors: &'static str) -> Result<CodeList, CodeListError> {
        CodeList::load(DESCRIPTOR, |path| match path {
            "buah.csv" => Some(list.as_bytes()),
            "ganti.csv" => Some(successors.as_bytes()),
            _ => None,
        })
    }

    #[test]
    fn quoted_cells_keep_their_commas_and_quotes() {
        let list = load("kode,nama\n1.1,\"Mangga, \"\"harum\"\"\"\n1.2,\n", "lama,baru\n").unwrap();
        assert_eq!(list.name("1.1"), Some("Mangga, \"harum\""));
        assert_eq!(list.name("1.2"), Some(""));
        assert_eq!(list.name("1.3"), None);
        assert_eq!(list.rows().last(), Some(vec![Some("1.2"), None]));
    }

    #[test]
    fn a_broken_list_is_refused_with_its_line() {
        let row = |line| CodeListError::Row { file: "buah.csv".into(), line };
        assert_eq!(load("kode,nama\n1,a\n2\n", "lama,baru\n").unwrap_err(), row(3));
        assert_eq!(load("kode,nama\n1,\"a\n", "lama,baru\n").unwrap_err(), row(2));
        assert_eq!(load("kode,nama\n1,\"a\"b\n", "lama,baru\n").unwrap_err(), row(2));
        assert_eq!(load("", "lama,baru\n").unwrap_err(), row(1));
        let code = |line, code: &str| CodeListError::Code { file: "buah.csv".into(), line, code: code.into() };
        assert_eq!(load("kode,nama\n1,a\n1,b\n", "lama,baru\n").unwrap_err(), code(3, "1"));
        assert_eq!(load("kode,nama\n,a\n", "lama,baru\n").unwrap_err(), code(2, ""));
        let column = CodeListError::Column { file: "buah.csv".into(), column: "kode".into() };
        assert_eq!(load("kod,nama\n1,a\n", "lama,baru\n").unwrap_err(), column);
    }

    #[test]
    fn a_successor_must_replace_a_retired_code_by_a_valid_one() {
        assert_eq!(load("kode,nama\n1,a\n", "lama,baru\n9,1\n").unwrap().successor("9"), Some("1"));
        for bad in ["lama,baru\n1,1\n", "lama,baru\n9,8\n", "lama,baru\n9,1\n9,1\n", "lama,baru\n,1\n"] {
            assert!(matches!(load("kode,nama\n1,a\n", bad), Err(CodeListError::Code { .. })), "{bad:?}");
        }
    }

    #[test]
    fn the_distance_is_that_of_the_textbook_up_to_its_bound() {
        let d = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), b);
        assert_eq!(d("", ""), Some(0));
        assert_eq!(d("64.02", "64.02"), Some(0));
        assert_eq!(d("64.20", "64.02"), Some(2));
        assert_eq!(d("64.2", "64.02"), Some(1));
        assert_eq!(d("ab", ""), Some(2));
        assert_eq!(d("abc", ""), None);
        assert_eq!(d("kitten", "sitting"), None);
    }

    #[test]
    fn versions_are_compared_by_their_codes() {
        let old = load("kode,nama\n1,a\n2,b\n", "lama,baru\n").unwrap();
        let new = load("kode,nama\n2,x\n3,c\n4,d\n", "lama,baru\n").unwrap();
        assert_eq!(old.delta(&new), CodeDelta { added: 2, removed: 1 });
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(0u8..=255, 0..200)) {
            let _ = Table::parse("x", &bytes);
        }

        #[test]
        fn any_line_of_quoted_cells_is_read_back(cells in proptest::collection::vec("[^\r\n]{0,8}", 1..6)) {
            let quote = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
            let line = cells.iter().map(quote).collect::<Vec<_>>().join(",");
            proptest::prop_assert_eq!(split(&line).unwrap(), cells);
        }
    }
}
