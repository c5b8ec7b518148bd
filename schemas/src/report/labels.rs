//! The words for a header that does not fit: which label stands for which column, and what to write in its place.

use serde_json::Value;

use super::words::{Words, title};
use super::{Text, near, shown};
use crate::contract::{Contract, FieldsMatch};
use crate::field::{Field, Rule};
use crate::header::{HeaderFault, Mapping};

/// How sure it is that a label means a field: the smaller, the surer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    /// But for case, marks and spaces.
    Same,
    /// But for what stands in parentheses, mostly a unit.
    WithoutUnit,
    /// But for a letter or two.
    Slip,
    /// But for a letter or two and what stands in parentheses.
    SlipWithoutUnit,
}

const NEARNESS: [Nearness; 4] = [Nearness::Same, Nearness::WithoutUnit, Nearness::Slip, Nearness::SlipWithoutUnit];

/// A label that no field has, and the field that it probably means, which no other column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rename {
    column: usize,
    field: usize,
    nearness: Nearness,
}

/// How a header that does not fit is spoken about.
pub(crate) struct Header<'a> {
    contract: &'a Contract,
    mapping: &'a Mapping,
    renames: Vec<Rename>,
    delimiter: Option<Text>,
    lost: bool,
}

impl<'a> Header<'a> {
    pub(crate) fn new(contract: &'a Contract, mapping: &'a Mapping) -> Self {
        let delimiter = delimiter_hint(contract, &mapping.labels);
        let renames = renames(contract, mapping);
        let known = mapping.labels.iter().any(|label| is_known(contract, label));
        let by_name = contract.fields_match != FieldsMatch::Exact && !mapping.faults.is_empty();
        let lost = by_name && !known && renames.is_empty() && delimiter.is_none();
        Self { contract, mapping, renames, delimiter, lost }
    }

    /// No label means anything, and nothing hints at why: it is another table, or another row.
    pub(crate) const fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whether a fault is said together with another one, or with the file as a whole.
    pub(crate) fn is_implied(&self, fault: &HeaderFault) -> bool {
        match fault.rule {
            Rule::MissingLabel => self.lost || self.delimiter.is_some() || self.meant_for(fault.field).is_some(),
            Rule::ExtraLabel | Rule::UnmatchedHeader => self.lost,
            _ => false,
        }
    }

    /// Whether a label only has to be changed.
    pub(crate) fn is_renamed(&self, fault: &HeaderFault) -> bool {
        fault.rule == Rule::ExtraLabel && self.meaning(fault.column).is_some()
    }

    fn meant_for(&self, field: Option<usize>) -> Option<&Rename> {
        self.renames.iter().find(|rename| Some(rename.field) == field)
    }

    fn meaning(&self, column: Option<usize>) -> Option<&Rename> {
        self.renames.iter().find(|rename| Some(rename.column) == column)
    }

    /// The words for one fault.
    pub(crate) fn words(&self, fault: &HeaderFault) -> Words {
        let contract = self.contract;
        let field = fault.field.and_then(|index| contract.fields.get(index));
        let label = fault.label.as_str();
        // A column without a label is one too many by its name and one without a name by its look: a person sees the latter.
        let blank = fault.rule == Rule::ExtraLabel && label.trim().is_empty();
        let rule = if blank { Rule::BlankLabel } else { fault.rule };
        let words = sentence(rule, field, fault.column, self.is_renamed(fault));
        if let Some(hint) = &self.delimiter {
            return words.hint(hint.id.clone(), hint.en.clone());
        }
        match rule {
            Rule::MissingLabel => self.missing(words, fault),
            Rule::IncorrectLabel => match field {
                Some(field) if nearness(field, label).is_some() => words
                    .hint("Ganti judulnya menjadi «{fixed}».", "Change the label to “{fixed}”.")
                    .fix(accepted(field, Some(label))),
                _ => words.hint(
                    "Susun kolom seperti urutan dalam standar data.",
                    "Put the columns in the order of the contract.",
                ),
            },
            Rule::ExtraLabel => self.extra(words, fault),
            Rule::BlankLabel => match field {
                Some(field) => {
                    words.hint("Tulis judul «{fixed}».", "Write the label “{fixed}”.").fix(accepted(field, None))
                }
                None => words.hint(
                    "Hapus kolom tanpa judul, atau beri judul.",
                    "Delete the column without a label, or give it one.",
                ),
            },
            Rule::DuplicateLabel => words.hint("Hapus salah satu kolom itu.", "Delete one of these columns."),
            _ => words.hint(
                "Pastikan baris judul ada dan tertulis seperti dalam standar data.",
                "Make sure that the header is there and reads as in the contract.",
            ),
        }
    }

    fn missing(&self, words: Words, fault: &HeaderFault) -> Words {
        let field = fault.field.and_then(|index| self.contract.fields.get(index));
        let meant = self.meant_for(fault.field).and_then(|rename| self.mapping.labels.get(rename.column));
        let name = field.map(|field| shown(accepted(field, meant.map(String::as_str)))).unwrap_or_default();
        match meant.map(|label| shown(label.trim())) {
            // The label is one that is meant for this field, so it is no value of a row.
            Some(label) => words.hint(
                format!("Mungkin kolom «{label}»; ganti judulnya menjadi «{name}»."),
                format!("Perhaps the column “{label}”; change its label to “{name}”."),
            ),
            None => words.hint(
                format!("Tambahkan kolom dengan judul «{name}»."),
                format!("Add a column with the label “{name}”."),
            ),
        }
    }

    fn extra(&self, words: Words, fault: &HeaderFault) -> Words {
        let rename = self.meaning(fault.column);
        let meant = rename.and_then(|rename| Some((rename, self.contract.fields.get(rename.field)?)));
        let Some((rename, field)) = meant else {
            return words.hint("Hapus kolom ini dari berkas.", "Delete this column from the file.");
        };
        let name = title(field);
        let words = words.fix(accepted(field, Some(&fault.label)));
        match rename.nearness {
            Nearness::Same => words.hint("Ganti judulnya menjadi «{fixed}».", "Change the label to “{fixed}”."),
            _ => words.guess(
                format!("Bila ini kolom {name}, ganti judulnya menjadi «{{fixed}}»."),
                format!("If this is the column {name}, change its label to “{{fixed}}”."),
            ),
        }
    }
}

fn sentence(rule: Rule, field: Option<&Field>, column: Option<usize>, renamed: bool) -> Words {
    let label = field.map(|field| shown(&field.name)).unwrap_or_default();
    match rule {
        Rule::BlankLabel => {
            let letters = column.map(|column| letters(column as u64 + 1)).unwrap_or_default();
            let Text { id, en } = blank(&letters, false);
            Words::new(id, en)
        }
        Rule::DuplicateLabel => {
            Words::new("Judul «{value}» lebih dari sekali.", "The label “{value}” stands more than once.")
        }
        Rule::IncorrectLabel => Words::new(
            format!("Judul «{{value}}»; di tempat ini seharusnya «{label}»."),
            format!("The label is “{{value}}”; here it should be “{label}”."),
        ),
        Rule::MissingLabel => {
            let name = field.map(title).unwrap_or_default();
            let known = if name == label { name } else { format!("{name} («{label}»)") };
            let known_en = known.replace('«', "“").replace('»', "”");
            Words::new(format!("Kolom {known} tidak ditemukan."), format!("The column {known_en} was not found."))
        }
        Rule::ExtraLabel if renamed => {
            Words::new("Judul «{value}» tidak dikenal.", "The label “{value}” is not known.")
        }
        Rule::ExtraLabel => {
            Words::new("Kolom «{value}» tidak ada dalam standar data.", "The contract has no column “{value}”.")
        }
        _ => Words::new("Tidak ada kolom yang dikenal dalam berkas ini.", "The file has no known column."),
    }
}

/// The name of the rule for labels that only have to be changed.
pub(crate) const fn renamed_heading() -> Text {
    Text::fixed("Judul kolom perlu diganti", "Label to be changed")
}

/// What is said about columns without a label, `B` or `B–D`.
pub(crate) fn blank(letters: &str, several: bool) -> Text {
    Text::new(
        format!("Judul kolom {letters} kosong."),
        match several {
            true => format!("The labels of columns {letters} are blank."),
            false => format!("The label of column {letters} is blank."),
        },
    )
}

/// The letters under which a spreadsheet shows a column, which is counted from 1.
pub(crate) fn letters(mut column: u64) -> String {
    let mut out = Vec::new();
    while column > 0 {
        let letter = u8::try_from((column - 1) % 26).unwrap_or_default();
        out.push(char::from(b'A' + letter));
        column = (column - 1) / 26;
    }
    out.iter().rev().collect()
}

/// Columns as people write them: `C, E–H`.
pub(crate) fn runs_of_letters(columns: &[u64]) -> String {
    let mut runs = Vec::new();
    for column in columns {
        super::speech::add_row(&mut runs, *column, columns.len());
    }
    let joined = runs.iter().map(|(first, last)| match last - first {
        0 => letters(*first),
        1 => format!("{}, {}", letters(*first), letters(*last)),
        _ => format!("{}–{}", letters(*first), letters(*last)),
    });
    joined.collect::<Vec<_>>().join(", ")
}

/// What is said when no label means anything and the header stands nowhere else.
pub(crate) fn wrong_table(contract: &Contract) -> Text {
    const NAMED: usize = 8;
    let names = contract.fields.iter().take(NAMED).map(|field| shown(accepted(field, None)));
    let mut names = names.collect::<Vec<_>>().join("; ");
    if contract.fields.len() > NAMED {
        names.push_str("; …");
    }
    Text::new(
        format!(
            "Tidak satu pun judul kolom dikenal. Berkas ini tampaknya bukan tabel yang dimaksud, lembar atau berkasnya salah, atau baris judulnya tidak ada. Judul yang diminta: {names}."
        ),
        format!(
            "No label is known. The file seems to be another table, the wrong sheet or the wrong file, or to lack its header. Labels that are asked for: {names}."
        ),
    )
}

/// Which labels that no field has stand for which fields that no column has: the surest first, and only where one field
/// fits.
fn renames(contract: &Contract, mapping: &Mapping) -> Vec<Rename> {
    let extra = mapping.faults.iter().filter(|fault| fault.rule == Rule::ExtraLabel && fault.field.is_none());
    let extra: Vec<(usize, &str)> = extra.filter_map(|fault| Some((fault.column?, fault.label.trim()))).collect();
    let mut found: Vec<Rename> = Vec::new();
    for wanted in NEARNESS {
        for (column, label) in &extra {
            if label.is_empty() || found.iter().any(|rename| rename.column == *column) {
                continue;
            }
            let free = contract.fields.iter().enumerate().filter(|(index, field)| {
                mapping.sources.get(*index) == Some(&None)
                    && !found.iter().any(|rename| rename.field == *index)
                    && nearness(field, label) == Some(wanted)
            });
            let mut free = free.map(|(index, _)| index);
            if let (Some(field), None) = (free.next(), free.next()) {
                found.push(Rename { column: *column, field, nearness: wanted });
            }
        }
    }
    found
}

fn nearness(field: &Field, label: &str) -> Option<Nearness> {
    let without = bare(label);
    NEARNESS.into_iter().find(|wanted| match wanted {
        Nearness::Same => known_as(field).any(|name| same(name, label)),
        Nearness::WithoutUnit => known_as(field).any(|name| same(bare(name), without)),
        Nearness::Slip => known_as(field).any(|name| slip(name, label)),
        Nearness::SlipWithoutUnit => known_as(field).any(|name| slip(bare(name), without)),
    })
}

/// A label without what stands in parentheses at its end.
fn bare(label: &str) -> &str {
    let label = label.trim();
    let ends = label.ends_with([')', ']']);
    label.rfind(['(', '[']).filter(|at| ends && *at > 0).and_then(|at| label.get(..at)).map_or(label, str::trim)
}

fn same(name: &str, label: &str) -> bool {
    let tight = |text: &str| near::folded(text).replace(' ', "");
    let label = tight(label);
    !label.is_empty() && tight(name) == label
}

fn slip(name: &str, label: &str) -> bool {
    let label = near::folded(label);
    let limit = near::EDITS.min(label.chars().count() / 3);
    near::distance(&label, &near::folded(name), limit).is_some()
}

fn aliases(field: &Field) -> impl Iterator<Item = &str> {
    field.satudata("alias").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn known_as(field: &Field) -> impl Iterator<Item = &str> {
    std::iter::once(field.name.as_str()).chain(field.title.as_deref()).chain(aliases(field))
}

/// The label that a column of the field may have and that its clerk most likely knows: the one nearest to what the file
/// has, else the title where it is accepted, else the first of the other names.
fn accepted<'f>(field: &'f Field, label: Option<&str>) -> &'f str {
    let names = || aliases(field).chain([field.name.as_str()]);
    let near = |label: &str| {
        let same_or = |test: &dyn Fn(&str) -> bool| names().find(|name| test(name));
        same_or(&|name| same(name, label))
            .or_else(|| same_or(&|name| same(bare(name), bare(label))))
            .or_else(|| same_or(&|name| slip(name, label) || slip(bare(name), bare(label))))
    };
    let titled = || names().find(|name| Some(*name) == field.title.as_deref());
    label.and_then(near).or_else(titled).or_else(|| names().next()).unwrap_or_default()
}

/// Whether a label names a field or is near to one.
pub(crate) fn is_known(contract: &Contract, label: &str) -> bool {
    let named = |field: &Field| crate::header::names(field, label, &contract.layout);
    contract.fields.iter().any(|field| named(field) || nearness(field, label).is_some())
}

/// The field whose name is near to that one.
pub(crate) fn nearest_field<'c>(contract: &'c Contract, label: &str) -> Option<&'c Field> {
    let near =
        |wanted: fn(Nearness) -> bool| contract.fields.iter().find(|field| nearness(field, label).is_some_and(wanted));
    near(|nearness| nearness == Nearness::Same).or_else(|| near(|_| true))
}

/// One label that holds all names, divided by another delimiter, is the commonest mistake.
fn delimiter_hint(contract: &Contract, labels: &[String]) -> Option<Text> {
    let [label] = labels else { return None };
    let declared = &contract.layout.dialect.delimiter;
    let known = |part: &str| {
        contract.fields.iter().any(|field| crate::header::names(field, part.trim().trim_matches('"'), &contract.layout))
    };
    let divided = |mark: &str| {
        let parts = label.split(mark);
        parts.clone().filter(|part| known(part)).count() > 1 || contract.fields.len() > 2 && parts.count() > 2
    };
    let found = [";", "\t", "|", ","].into_iter().find(|mark| mark != declared && divided(mark))?;
    let name = |mark: &str, tab: &str| if mark == "\t" { tab.to_owned() } else { shown(mark) };
    Some(Text::new(
        format!(
            "Berkas memakai pemisah «{}», standar data memakai «{}». Simpan ulang dengan pemisah yang kedua.",
            name(found, "tabulator"),
            name(declared, "tabulator")
        ),
        format!(
            "The file uses “{}” as its delimiter, the contract “{}”. Save it again with the latter.",
            name(found, "tab"),
            name(declared, "tab")
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_the_letters_of_a_spreadsheet() {
        let named = [1, 3, 26, 27, 52, 702, 703].map(letters);
        assert_eq!(named, ["A", "C", "Z", "AA", "AZ", "ZZ", "AAA"]);
        assert_eq!(runs_of_letters(&[3]), "C");
        assert_eq!(runs_of_letters(&[2, 3, 4, 5, 8]), "B–E, H");
        assert_eq!(runs_of_letters(&[1, 3, 5, 6]), "A, C, E, F");
    }

    #[test]
    fn a_label_loses_its_unit_only_at_its_end() {
        assert_eq!(bare("Perempuan (jiwa)"), "Perempuan");
        assert_eq!(bare("Luas [km²] "), "Luas");
        assert_eq!(bare("(1)"), "(1)");
        assert_eq!(bare("PDRB (ADHK) 2010"), "PDRB (ADHK) 2010");
    }
}
