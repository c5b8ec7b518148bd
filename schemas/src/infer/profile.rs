//! What is counted while the rows stream past.

use hashbrown::{HashMap, HashSet};
use serde_json::{Map, Value};

use super::candidates::CANDIDATES;
use super::meaning::{Areas, Signals};
use crate::reader::rows::Tag;
use crate::report::shown;

/// Cells against a guess that are kept.
const EXAMPLES: usize = 3;
/// Different values that are kept to guess a closed list.
const CHOICES: usize = 64;
/// Characters of a value that may be one of a closed list.
const CHOICE_CHARS: usize = 80;
/// Different texts for "no value" that are told apart in one column.
const MISSING_TEXTS: usize = 16;
/// Numbers kept in all sets together that tell whether something repeats: about 64 MiB.
const REMEMBERED: usize = 4_000_000;
/// Columns from the left whose pairs are tried as a key.
const PAIRED: usize = 8;
/// A candidate is ruled out after so many cells against it, if they are a tenth of all.
const RULED_OUT: u64 = 64;

/// Texts that mean "no value" wherever they stand alone in a cell.
const MISSING: [&str; 25] = [
    "",
    "-",
    "--",
    "---",
    "–",
    "—",
    "n/a",
    "N/A",
    "#N/A",
    "null",
    "NULL",
    "Null",
    "None",
    "nan",
    "NaN",
    "#REF!",
    "#VALUE!",
    "#DIV/0!",
    "...",
    "…",
    "?",
    "(kosong)",
    "tidak ada data",
    "Tidak ada data",
    "Tidak Ada Data",
];
/// Texts that mean "no value" in a column of numbers or dates, and may be a word in a column of text.
const MISSING_AMONG_NUMBERS: [&str; 6] = ["NA", "na", "x", "X", "*", "td"];

/// A cell that speaks against a guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Example {
    pub(super) row: u64,
    pub(super) value: String,
}

/// How one candidate did.
#[derive(Clone, Debug, Default)]
pub(super) struct Trial {
    pub(super) misses: u64,
    pub(super) examples: Vec<Example>,
    /// No longer tried.
    pub(super) out: bool,
}

/// Whether values repeat.
#[derive(Clone, Debug)]
pub(super) enum Distinct {
    /// Not so far.
    All(HashSet<u64>),
    /// Some row repeats an earlier one, or lacks a part.
    Repeats,
    /// There were too many to remember.
    Unknown,
}

/// What is known about one column.
pub(super) struct Column {
    /// The label as the file has it; the key in NDJSON.
    pub(super) label: String,
    /// Cells with a value.
    pub(super) seen: u64,
    /// Rows without a value, by what stood there.
    pub(super) missing: Vec<(String, u64)>,
    /// The first row without a value.
    pub(super) first_missing: Option<u64>,
    /// Cells whose text means "no value" among numbers only.
    pub(super) doubtful: Vec<(String, u64)>,
    pub(super) trials: Vec<Trial>,
    /// Values with their counts in the order in which they came; `None` when there are too many.
    pub(super) choices: Option<HashMap<String, u64>>,
    pub(super) distinct: Distinct,
    pub(super) signals: Signals,
    /// The longest text, in characters.
    pub(super) longest: usize,
    /// Cells that JSON wrote as an object or array.
    pub(super) nested: u64,
}

/// All columns.
#[derive(Default)]
pub(super) struct Profile {
    pub(super) columns: Vec<Column>,
    names: HashMap<String, usize>,
    pub(super) pairs: Vec<(usize, usize, Distinct)>,
    remembered: usize,
    hashes: Vec<Option<u64>>,
    areas: Areas,
}

impl Column {
    fn new(label: &str, absent: u64) -> Self {
        let missing = if absent > 0 { vec![(String::new(), absent)] } else { Vec::new() };
        Self {
            label: label.to_owned(),
            seen: 0,
            first_missing: (absent > 0).then_some(1),
            missing,
            doubtful: Vec::new(),
            trials: vec![Trial::default(); CANDIDATES.len()],
            choices: Some(HashMap::new()),
            distinct: Distinct::All(HashSet::new()),
            signals: Signals::default(),
            longest: 0,
            nested: 0,
        }
    }

    /// Rows without a value.
    pub(super) fn absent(&self) -> u64 {
        self.missing.iter().map(|(_, count)| count).sum()
    }

    /// Takes a cell; its number in the sets, nothing for a missing value.
    fn take(&mut self, row: u64, text: &str, tag: Tag, areas: &mut Areas) -> Option<u64> {
        let trimmed = text.trim();
        if matches!(tag, Tag::Null | Tag::Missing) || tag == Tag::Text && MISSING.contains(&trimmed) {
            self.first_missing.get_or_insert(row);
            count(&mut self.missing, text);
            return None;
        }
        self.seen += 1;
        if tag == Tag::Text && MISSING_AMONG_NUMBERS.contains(&trimmed) {
            count(&mut self.doubtful, text);
        } else {
            self.try_all(row, text, tag);
        }
        self.nested += u64::from(tag == Tag::Json);
        self.longest = self.longest.max(text.chars().count());
        self.signals.take(row, text, areas);
        if let Some(choices) = &mut self.choices {
            let room = choices.len() < CHOICES;
            match choices.get_mut(text) {
                Some(count) => *count += 1,
                None if room && text.chars().count() <= CHOICE_CHARS => {
                    choices.insert(text.to_owned(), 1);
                }
                None => self.choices = None,
            }
        }
        Some(number_of(text))
    }

    fn try_all(&mut self, row: u64, text: &str, tag: Tag) {
        for (trial, candidate) in self.trials.iter_mut().zip(CANDIDATES.iter()) {
            if trial.out || candidate.fits(text, tag) {
                continue;
            }
            trial.misses += 1;
            if trial.examples.len() < EXAMPLES {
                trial.examples.push(Example { row, value: shown(text) });
            }
            if trial.misses > RULED_OUT && trial.misses * 10 > self.seen {
                trial.out = true;
                trial.examples = Vec::new();
            }
        }
    }
}

/// Counts a text; of many different ones only the first are told apart.
fn count(texts: &mut Vec<(String, u64)>, text: &str) {
    let room = texts.len() < MISSING_TEXTS;
    match texts.iter_mut().find(|(known, _)| known == text) {
        Some((_, count)) => *count += 1,
        None if room => texts.push((text.to_owned(), 1)),
        None => {
            if let Some((_, count)) = texts.last_mut() {
                *count += 1;
            }
        }
    }
}

/// FNV-1a, 64 bits, mixed: the same for equal texts on every run.
fn number_of(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

impl Distinct {
    fn take(&mut self, number: Option<u64>, remembered: &mut usize) {
        let Self::All(set) = self else { return };
        match number {
            Some(_) if *remembered >= REMEMBERED => {
                *remembered -= set.len();
                *self = Self::Unknown;
            }
            Some(number) if set.insert(number) => *remembered += 1,
            _ => {
                *remembered -= set.len();
                *self = Self::Repeats;
            }
        }
    }

    pub(super) const fn holds(&self) -> bool {
        matches!(self, Self::All(_))
    }
}

impl Profile {
    /// Begins with the labels of a header.
    pub(super) fn open(&mut self, labels: &[String]) {
        for label in labels {
            self.push(label, 0);
        }
    }

    fn push(&mut self, label: &str, absent: u64) {
        let index = self.columns.len();
        self.columns.push(Column::new(label, absent));
        if index < PAIRED {
            let distinct = || if absent > 0 { Distinct::Unknown } else { Distinct::All(HashSet::new()) };
            self.pairs.extend((0..index).map(|other| (other, index, distinct())));
        }
    }

    pub(super) fn knows(&self, key: &str) -> bool {
        self.names.contains_key(key)
    }

    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Adds the column of a key that earlier rows did not have.
    pub(super) fn add(&mut self, key: &str, absent: u64) {
        if !self.knows(key) {
            self.names.insert(key.to_owned(), self.columns.len());
            self.push(key, absent);
        }
    }

    /// Takes a row whose cells stand in the order of the columns. Cells beyond the last label are not counted: the check
    /// of the file against the draft names them.
    pub(super) fn row<'a>(&mut self, row: u64, mut cells: impl Iterator<Item = (&'a str, Tag)>) {
        self.hashes.clear();
        for column in &mut self.columns {
            let (text, tag) = cells.next().unwrap_or(("", Tag::Missing));
            let number = column.take(row, text, tag, &mut self.areas);
            column.distinct.take(number, &mut self.remembered);
            self.hashes.push(number);
        }
        self.pair();
    }

    /// Takes a JSON object.
    pub(super) fn object(&mut self, row: u64, object: &Map<String, Value>) {
        self.hashes.clear();
        for column in &mut self.columns {
            let (text, tag) = match object.get(&column.label) {
                None => (String::new(), Tag::Missing),
                Some(Value::Null) => (String::new(), Tag::Null),
                Some(Value::String(text)) => (text.clone(), Tag::Text),
                Some(Value::Number(number)) => (number.to_string(), Tag::Number),
                Some(Value::Bool(flag)) => (flag.to_string(), Tag::Bool),
                Some(other) => (other.to_string(), Tag::Json),
            };
            let number = column.take(row, &text, tag, &mut self.areas);
            column.distinct.take(number, &mut self.remembered);
            self.hashes.push(number);
        }
        self.pair();
    }

    fn pair(&mut self) {
        for (left, right, distinct) in &mut self.pairs {
            let part = |index: usize| self.hashes.get(index).copied().flatten();
            let number =
                part(*left).zip(part(*right)).map(|(a, b)| a.rotate_left(23) ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            distinct.take(number, &mut self.remembered);
        }
    }
}
