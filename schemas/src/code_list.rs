//! Code lists: immutable, versioned reference tables that contracts point to with a foreign key such as
//! `urn:satudata:ref:wilayah@2025-1`.
//!
//! A list is a Data Package whose `satudata.kodeReferensi` names the columns that matter. It is read once into one
//! text buffer with a hash over its key, so that a foreign key costs one lookup per cell.

mod document;
#[cfg(test)]
#[path = "code_list/tests.rs"]
mod edition_tests;
mod error;
mod table;
mod validity;

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use simpul_core::digest::Digest;
use simpul_core::receipt::CodeListEdition;

pub use document::{document, referenced};
pub use error::CodeListError;
use table::Table;
pub(crate) use validity::said;
pub use validity::{Named, Retired, Split, Status};
use validity::{first_day, is_date, last_day};

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
    digest: Digest,
    title: Option<String>,
    system: Option<String>,
    /// The day that the edition describes.
    day: Option<String>,
    resource: String,
    table: Table,
    roles: Roles,
    /// The codes that are valid, by their row.
    index: HashMap<Box<str>, u32>,
    /// The codes that are over or still to come, by their row.
    beyond: HashMap<Box<str>, u32>,
    successors: BTreeMap<Box<str>, Replaced>,
    origins: BTreeMap<Box<str>, Origin>,
    dotted: bool,
}

/// What came after a code.
#[derive(Debug, Clone, Default)]
struct Replaced {
    by: Vec<Box<str>>,
    since: Option<Box<str>>,
}

/// What a code was split off from.
#[derive(Debug, Clone)]
struct Origin {
    whole: Box<str>,
    since: Option<Box<str>>,
}

/// Which column plays which part.
#[derive(Debug, Clone, Copy)]
struct Roles {
    key: usize,
    name: Option<usize>,
    level: Option<usize>,
    parent: Option<usize>,
    from: Option<usize>,
    until: Option<usize>,
}

/// Splits `urn:satudata:ref:<id>@<version>` into id and version.
pub fn parse_urn(urn: &str) -> Option<(&str, &str)> {
    let (id, version) = urn.strip_prefix(URN_PREFIX)?.split_once('@')?;
    (!id.is_empty() && !version.is_empty()).then_some((id, version))
}

impl CodeList {
    /// Reads a code list from its descriptor; `read` gives the bytes of a file that the descriptor names by `path`.
    ///
    /// # Errors
    /// [`CodeListError`] with file and line.
    pub fn load<'a>(descriptor: &str, read: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, CodeListError> {
        // Names of files are told as the descriptor has them.
        let files = file_names(&document::parse(descriptor)?);
        Self::read(&document(descriptor, read)?, &files)
    }

    /// Reads a code list from its [`document()`].
    ///
    /// # Errors
    /// [`CodeListError`] with the resource in place of a file, and line.
    pub fn from_document(text: &str) -> Result<Self, CodeListError> {
        Self::read(&document(text, |_| None)?, &BTreeMap::new())
    }

    fn read(document: &str, files: &BTreeMap<String, String>) -> Result<Self, CodeListError> {
        let package = document::parse(document)?;
        let part = &package["satudata"]["kodeReferensi"];
        let resource = named(&part["sumberdaya"], "satudata.kodeReferensi.sumberdaya")?.to_owned();
        let source = Source { package: &package, files };
        let (path, table) = source.table(&resource)?;
        let roles = Roles {
            key: table.column(&path, named(&part["kunci"], "satudata.kodeReferensi.kunci")?)?,
            name: optional_column(&table, &path, &part["nama"])?,
            level: optional_column(&table, &path, &part["tingkat"])?,
            parent: optional_column(&table, &path, &part["induk"])?,
            from: optional_column(&table, &path, &part["berlakuDari"])?,
            until: optional_column(&table, &path, &part["berlakuSampai"])?,
        };
        let (id, version) = identity(&package)?;
        let mut list = CodeList {
            id,
            version,
            digest: Digest::of(document.as_bytes()),
            title: package["title"].as_str().map(str::to_owned),
            system: system(&part["sistem"])?,
            day: day(&part["tanggal"])?,
            resource,
            table,
            roles,
            index: HashMap::new(),
            beyond: HashMap::new(),
            successors: BTreeMap::new(),
            origins: BTreeMap::new(),
            dotted: false,
        };
        list.load_codes(&path)?;
        list.dotted = list.index.keys().any(|code| code.contains('.'));
        list.load_successors(&source, &part["pengganti"])?;
        list.load_origins(&source, &part["pemekaran"])?;
        Ok(list)
    }

    /// Every row's code, valid or not.
    fn load_codes(&mut self, path: &str) -> Result<(), CodeListError> {
        self.index.reserve(self.table.rows());
        for row in 0..self.table.rows() {
            let code = self.table.cell(row, self.roles.key);
            let at = u32::try_from(row).map_err(|_| CodeListError::TooLarge(path.to_owned()))?;
            let (from, until) = self.time(at);
            let wrong = [from, until].into_iter().flatten().find(|date| !is_date(date)).or_else(|| {
                from.zip(until).filter(|(from, until)| first_day(from) > last_day(until)).map(|(from, _)| from)
            });
            if let Some(date) = wrong {
                return Err(CodeListError::Date { file: path.to_owned(), line: row + 2, date: date.to_owned() });
            }
            let over =
                until.is_some_and(|until| self.day.as_deref().is_none_or(|day| last_day(until) < first_day(day)));
            let later = from.is_some_and(|from| self.is_later(from));
            let code: Box<str> = code.into();
            let known = self.index.contains_key(&code) || self.beyond.contains_key(&code);
            if code.is_empty() || known {
                return Err(CodeListError::Code { file: path.to_owned(), line: row + 2, code: code.into() });
            }
            if over || later {
                self.beyond.insert(code, at)
            } else {
                self.index.insert(code, at)
            };
        }
        Ok(())
    }

    /// From when to when the code in a row is valid, as the list writes it.
    fn time(&self, row: u32) -> (Option<&str>, Option<&str>) {
        let cell = |column: Option<usize>| {
            column.map(|column| self.table.cell(row as usize, column)).filter(|date| !date.is_empty())
        };
        (cell(self.roles.from), cell(self.roles.until))
    }

    /// Whether `date` begins after the day that the edition describes.
    fn is_later(&self, date: &str) -> bool {
        self.day.as_deref().is_some_and(|day| first_day(date) > last_day(day))
    }

    fn load_successors(&mut self, source: &Source<'_>, part: &Value) -> Result<(), CodeListError> {
        let Some(resource) = part["sumberdaya"].as_str() else { return Ok(()) };
        let (path, table) = source.table(resource)?;
        let old = table.column(&path, named(&part["lama"], "satudata.kodeReferensi.pengganti.lama")?)?;
        let new = table.column(&path, named(&part["baru"], "satudata.kodeReferensi.pengganti.baru")?)?;
        let since = optional_column(&table, &path, &part["sejak"])?;
        for row in 0..table.rows() {
            let (from, to) = (table.cell(row, old), table.cell(row, new));
            let place = || (path.clone(), row + 2, from.to_owned());
            // What has an end may say now what comes after it.
            if self.index.get(from).is_some_and(|row| self.time(*row).1.is_none()) {
                let (file, line, code) = place();
                return Err(CodeListError::StillValid { file, line, code });
            }
            let since = date_in(&table, &path, row, since)?;
            // A code that was split has a row for each of its successors.
            let replaced = self.successors.entry(from.into()).or_default();
            let repeated = replaced.by.iter().any(|known| **known == *to);
            replaced.by.push(to.into());
            replaced.since = replaced.since.take().or(since);
            if from.is_empty() || repeated {
                let (file, line, code) = place();
                return Err(CodeListError::Code { file, line, code });
            }
        }
        // A code may have been replaced more than once, so all of them have to be known first.
        for row in 0..table.rows() {
            let (from, to) = (table.cell(row, old), table.cell(row, new));
            let known = self.contains(to) || self.beyond.contains_key(to) || self.successors.contains_key(to);
            if !known || from == to {
                return Err(CodeListError::Unknown { file: path, line: row + 2, code: to.to_owned() });
            }
        }
        Ok(())
    }

    fn load_origins(&mut self, source: &Source<'_>, part: &Value) -> Result<(), CodeListError> {
        let Some(resource) = part["sumberdaya"].as_str() else { return Ok(()) };
        let (path, table) = source.table(resource)?;
        let part_column = table.column(&path, named(&part["kode"], "satudata.kodeReferensi.pemekaran.kode")?)?;
        let whole_column = table.column(&path, named(&part["asal"], "satudata.kodeReferensi.pemekaran.asal")?)?;
        let since = optional_column(&table, &path, &part["sejak"])?;
        for row in 0..table.rows() {
            let (new, whole) = (table.cell(row, part_column), table.cell(row, whole_column));
            let known = |code: &str| {
                self.contains(code) || self.beyond.contains_key(code) || self.successors.contains_key(code)
            };
            if let Some(code) = [new, whole].into_iter().find(|code| !known(code)) {
                return Err(CodeListError::Unknown { file: path, line: row + 2, code: code.to_owned() });
            }
            let origin = Origin { whole: whole.into(), since: date_in(&table, &path, row, since)? };
            if new == whole || self.origins.insert(new.into(), origin).is_some() {
                return Err(CodeListError::Code { file: path, line: row + 2, code: new.to_owned() });
            }
        }
        Ok(())
    }

    /// What deliveries and receipts name.
    pub fn edition(&self) -> CodeListEdition {
        CodeListEdition { id: self.id.clone(), version: self.version.clone(), digest: self.digest }
    }

    /// SHA-256 of the list's [`document()`]: the same for the same list wherever it comes from.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// What a person calls the list.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The system of codes that it declares: `kemendagri`, `bps` or another word.
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// The day that the edition describes, as its descriptor writes it.
    pub fn day(&self) -> Option<&str> {
        self.day.as_deref()
    }

    /// How many codes the edition knows that are not valid in it: over, still to come, or replaced.
    pub fn invalid(&self) -> usize {
        self.beyond.len()
            + self.successors.keys().filter(|code| !self.beyond.contains_key(*code) && !self.contains(code)).count()
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
        self.index.len()
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

    /// The cells of `column` of all valid codes in file order, for foreign keys to a column other than the key.
    pub fn values<'a>(&'a self, column: &str) -> Option<impl Iterator<Item = &'a str>> {
        let column = self.table.header.iter().position(|name| name == column)?;
        Some(self.valid_rows().map(move |row| self.table.cell(row, column)))
    }

    /// The rows of all valid codes in file order, cells in the order of [`CodeList::columns`]; an empty cell is `None`.
    pub fn rows(&self) -> impl Iterator<Item = Vec<Option<&str>>> {
        let columns = self.table.header.len();
        let cell = |row, column| Some(self.table.cell(row, column)).filter(|cell| !cell.is_empty());
        self.valid_rows().map(move |row| (0..columns).map(|column| cell(row, column)).collect())
    }

    fn valid_rows(&self) -> impl Iterator<Item = usize> {
        let all = self.beyond.is_empty();
        (0..self.table.rows()).filter(move |row| all || self.contains(self.table.cell(*row, self.roles.key)))
    }

    /// The valid code that replaced `code`, where there is exactly one. A valid code has none.
    pub fn successor(&self, code: &str) -> Option<&str> {
        match self.resolve(code).as_slice() {
            [code] => Some(code),
            _ => None,
        }
    }

    /// The codes that were replaced, with those that replaced them: more than one where an area was split.
    pub fn retired(&self) -> impl Iterator<Item = (&str, &[Box<str>])> {
        self.successors.iter().map(|(code, replaced)| (&**code, replaced.by.as_slice()))
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
        let rows = self.valid_rows();
        rows.filter_map(|row| {
            let code = self.table.cell(row, self.roles.key);
            let name = self.roles.name.map_or("", |column| self.table.cell(row, column));
            distance(code, name).map(|distance| Suggestion { code, name, distance })
        })
        .collect()
    }

    fn role(&self, code: &str, column: Option<usize>) -> Option<&str> {
        let row = *self.index.get(code).or_else(|| self.beyond.get(code))? as usize;
        Some(self.table.cell(row, column?))
    }
}

fn named<'a>(value: &'a Value, what: &'static str) -> Result<&'a str, CodeListError> {
    value.as_str().ok_or(CodeListError::Missing(what))
}

/// Names go into addresses and file names, so they are short and plain.
fn identity(package: &Value) -> Result<(String, String), CodeListError> {
    let urn = package["id"].as_str().ok_or(CodeListError::Missing("id"))?;
    let plain = |text: &str, more: &[u8], most: usize| {
        text.len() <= most && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase() || more.contains(&b))
    };
    let parts = parse_urn(urn).filter(|(id, version)| plain(id, b"-", 64) && plain(version, b"-.", 32));
    let (id, version) = parts.ok_or_else(|| CodeListError::Identity(urn.to_owned()))?;
    match package.get("version").map(|said| said.as_str().unwrap_or_default()) {
        Some(said) if said != version => Err(CodeListError::Identity(format!("{urn}, version {said}"))),
        _ => Ok((id.to_owned(), version.to_owned())),
    }
}

/// A word of small letters, digits and hyphens.
fn system(value: &Value) -> Result<Option<String>, CodeListError> {
    if value.is_null() {
        return Ok(None);
    }
    let word = value.as_str().unwrap_or_default();
    let plain = word.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase() || b == b'-');
    if !plain || !(1..=32).contains(&word.len()) {
        return Err(CodeListError::Word { place: "satudata.kodeReferensi.sistem", word: value.to_string() });
    }
    Ok(Some(word.to_owned()))
}

fn day(value: &Value) -> Result<Option<String>, CodeListError> {
    match value.as_str() {
        None if value.is_null() => Ok(None),
        Some(date) if is_date(date) => Ok(Some(date.to_owned())),
        _ => Err(CodeListError::Word { place: "satudata.kodeReferensi.tanggal", word: value.to_string() }),
    }
}

/// The file of each resource that has one.
fn file_names(package: &Value) -> BTreeMap<String, String> {
    let resources = package["resources"].as_array().into_iter().flatten();
    resources
        .filter_map(|resource| Some((resource["name"].as_str()?.to_owned(), resource["path"].as_str()?.to_owned())))
        .collect()
}

/// The tables of a document.
struct Source<'a> {
    package: &'a Value,
    /// What a person calls a resource.
    files: &'a BTreeMap<String, String>,
}

impl Source<'_> {
    fn table(&self, name: &str) -> Result<(String, Table), CodeListError> {
        let resources = self.package["resources"].as_array().ok_or(CodeListError::Missing("resources"))?;
        let resource = resources.iter().find(|resource| resource["name"] == name);
        let resource = resource.ok_or(CodeListError::Missing("the resource that satudata.kodeReferensi names"))?;
        let text = resource["data"].as_str().ok_or(CodeListError::Missing("the path or data of a resource"))?;
        let path = self.files.get(name).map_or(name, String::as_str).to_owned();
        let table = Table::parse(&path, text.as_bytes())?;
        Ok((path, table))
    }
}

/// The date in a cell, if there is one.
fn date_in(table: &Table, path: &str, row: usize, column: Option<usize>) -> Result<Option<Box<str>>, CodeListError> {
    let date = column.map(|column| table.cell(row, column)).filter(|date| !date.is_empty());
    match date {
        Some(date) if !is_date(date) => {
            Err(CodeListError::Date { file: path.to_owned(), line: row + 2, date: date.to_owned() })
        }
        date => Ok(date.map(Into::into)),
    }
}

fn optional_column(table: &Table, path: &str, name: &Value) -> Result<Option<usize>, CodeListError> {
    name.as_str().map(|name| table.column(path, name)).transpose()
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
        let refused = |bad| load("kode,nama\n1,a\n", bad).unwrap_err();
        assert!(matches!(refused("lama,baru\n1,1\n"), CodeListError::StillValid { line: 2, .. }));
        assert!(matches!(refused("lama,baru\n9,1\n7,8\n"), CodeListError::Unknown { line: 3, .. }));
        assert!(matches!(refused("lama,baru\n9,9\n"), CodeListError::Unknown { .. }));
        assert!(matches!(refused("lama,baru\n9,1\n9,1\n"), CodeListError::Code { line: 3, .. }));
        assert!(matches!(refused("lama,baru\n,1\n"), CodeListError::Code { .. }));
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
            if let Ok(text) = std::str::from_utf8(&bytes) {
                let _ = CodeList::from_document(text);
            }
        }

        #[test]
        fn any_line_of_quoted_cells_is_read_back(cells in proptest::collection::vec("[^\r\n]{0,8}", 1..6)) {
            let quote = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
            let line = cells.iter().map(quote).collect::<Vec<_>>().join(",");
            proptest::prop_assert_eq!(table::split(&line).unwrap(), cells);
        }
    }
}
