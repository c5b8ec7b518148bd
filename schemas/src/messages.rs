//! The words of the report: what is wrong, and what to do about it.

use serde_json::Value;

use crate::contract::{Contract, Target};
use crate::field::{Field, Rule};
use crate::form::Form;
use crate::lexical::number::{NumberForm, integer, number};
use crate::lexical::temporal::{DAY_MICROS, TemporalForm, any_date, write_date};
use crate::report::{Text, shown};

/// Values of a list that a sentence names.
const NAMED_VALUES: usize = 8;

/// The name of a rule.
pub(crate) fn heading(rule: Rule, field: Option<&Field>) -> Text {
    let (id, en) = match rule {
        Rule::BlankLabel => ("Judul kolom kosong", "Blank label"),
        Rule::DuplicateLabel => ("Judul kolom kembar", "Duplicate label"),
        Rule::IncorrectLabel => ("Kolom tertukar", "Columns in the wrong place"),
        Rule::MissingLabel => ("Kolom kurang", "Missing column"),
        Rule::ExtraLabel => ("Kolom lebih", "Extra column"),
        Rule::UnmatchedHeader => ("Tidak ada kolom yang dikenal", "No known column"),
        Rule::BlankRow => ("Baris kosong", "Blank row"),
        Rule::ExtraCell | Rule::MissingCell => ("Jumlah sel salah", "Wrong number of cells"),
        Rule::UnknownKey => ("Nama tidak dikenal", "Unknown name"),
        Rule::BadObject => ("Bukan objek JSON", "Not a JSON object"),
        Rule::DuplicateKey => ("Nama kembar dalam satu baris", "A name given twice in one row"),
        Rule::Type => return type_heading(field),
        Rule::Required => ("Wajib diisi", "Required"),
        Rule::MinLength => ("Terlalu pendek", "Too short"),
        Rule::MaxLength => ("Terlalu panjang", "Too long"),
        Rule::Minimum | Rule::Maximum | Rule::ExclusiveMinimum | Rule::ExclusiveMaximum => {
            ("Di luar batas", "Out of bounds")
        }
        Rule::Pattern => ("Bentuk salah", "Wrong form"),
        Rule::Enum | Rule::Categories => ("Pilihan salah", "Not one of the choices"),
        Rule::JsonSchema => ("Susunan JSON salah", "Wrong JSON structure"),
        Rule::Unique | Rule::PrimaryKey | Rule::UniqueKey(_) => ("Nilai kembar", "Repeated value"),
        Rule::PrimaryKeyNull => ("Kunci kosong", "Empty key"),
        Rule::ForeignKey(_) => ("Kode tidak dikenal", "Unknown code"),
    };
    Text::fixed(id, en)
}

fn type_heading(field: Option<&Field>) -> Text {
    let (id, en) = match field.map(|field| field.form.name()) {
        Some("integer") => ("Bukan bilangan bulat", "Not a whole number"),
        Some("number") => ("Bukan angka", "Not a number"),
        Some("date") => ("Tanggal salah", "Not a date"),
        Some("datetime") => ("Waktu salah", "Not a date with time"),
        Some("time") => ("Jam salah", "Not a time"),
        Some("year") => ("Tahun salah", "Not a year"),
        Some("yearmonth") => ("Bulan salah", "Not a month"),
        Some("boolean") => ("Bukan ya/tidak", "Not true or false"),
        Some("duration") => ("Lama waktu salah", "Not a duration"),
        Some("geopoint") => ("Bukan titik koordinat", "Not a geographic point"),
        Some("geojson") => ("Bukan GeoJSON", "Not GeoJSON"),
        Some("object" | "array") => ("Bukan JSON", "Not JSON"),
        Some("list") => ("Daftar salah", "Not a list"),
        _ => ("Isi tidak sesuai", "Wrong content"),
    };
    Text::fixed(id, en)
}

/// A sentence, advice, and the corrected value where one can be known.
#[derive(Default)]
pub(crate) struct Words {
    pub(crate) message: Text,
    pub(crate) hint: Option<Text>,
    pub(crate) fixed: Option<String>,
}

impl Words {
    fn new(id: impl Into<String>, en: impl Into<String>) -> Self {
        Self { message: Text::new(id, en), hint: None, fixed: None }
    }

    fn hint(mut self, id: impl Into<String>, en: impl Into<String>) -> Self {
        self.hint = Some(Text::new(id, en));
        self
    }

    fn fix(mut self, fixed: String) -> Self {
        self.fixed = Some(shown(&fixed));
        self
    }
}

/// The words for a cell of a field.
pub(crate) fn cell(rule: Rule, field: &Field, value: &str, first_row: Option<u64>) -> Words {
    match rule {
        Rule::Type => type_words(field, value),
        Rule::Required => {
            let words = Words::new(format!("{} kosong.", title(field)), format!("{} is empty.", title(field)));
            required_hint(field, words)
        }
        Rule::MinLength | Rule::MaxLength => length_words(rule, field, value),
        Rule::Minimum | Rule::Maximum | Rule::ExclusiveMinimum | Rule::ExclusiveMaximum => bound_words(rule, field),
        Rule::Pattern => pattern_words(field),
        Rule::Enum | Rule::Categories => choice_words(field, value),
        Rule::JsonSchema => Words::new(
            "JSON ini tidak memenuhi susunan yang diminta.",
            "This JSON does not have the structure that is asked for.",
        ),
        Rule::Unique => repeated("«{value}»", "“{value}”", first_row),
        Rule::MissingCell => {
            Words::new(format!("Sel {} tidak ada.", title(field)), format!("There is no cell for {}.", title(field)))
                .hint("Periksa tanda pemisah atau kutip di baris ini.", "Check the delimiters and quotes in this row.")
        }
        _ => Words::default(),
    }
}

fn title(field: &Field) -> &str {
    field.title.as_deref().unwrap_or(&field.name)
}

fn required_hint(field: &Field, words: Words) -> Words {
    let label = field.source.get("missingValues").and_then(Value::as_array).and_then(|values| {
        values.iter().find_map(|value| value.get("value").and_then(Value::as_str).filter(|word| !word.is_empty()))
    });
    match label {
        Some(_) if field.required => words.hint("Isi nilainya.", "Fill in the value."),
        Some(label) => words.hint(
            format!("Isi nilainya, atau «{label}» bila memang tidak ada."),
            format!("Fill in the value, or “{label}” if there is none."),
        ),
        None => words.hint("Isi nilainya.", "Fill in the value."),
    }
}

fn repeated(id: &str, en: &str, first_row: Option<u64>) -> Words {
    let words = match first_row {
        Some(first) => {
            Words::new(format!("{id} sama dengan baris {first}."), format!("{en} is the same as in row {first}."))
        }
        None => Words::new(format!("{id} sudah ada."), format!("{en} is there already.")),
    };
    words.hint("Hapus salah satu atau perbaiki kuncinya.", "Delete one of them or correct the key.")
}

fn type_words(field: &Field, value: &str) -> Words {
    match &field.form {
        Form::Integer(form) => integer_words(form, value),
        Form::Number(form) => number_words(form, value),
        Form::Date(form) => date_words(form, value),
        Form::DateTime { form, .. } => {
            temporal_words(form, "tanggal dengan jam", "a date with a time", "2024-01-26T15:00:00")
        }
        Form::Time(form) => temporal_words(form, "jam", "a time", "15:00:00"),
        Form::Year => Words::new("«{value}» bukan tahun.", "“{value}” is not a year.")
            .hint("Tulis empat angka, misalnya 2024.", "Write four digits, such as 2024."),
        Form::YearMonth => Words::new("«{value}» bukan bulan.", "“{value}” is not a month.")
            .hint("Tulis tahun-bulan, misalnya 2024-01.", "Write year-month, such as 2024-01."),
        Form::Boolean { yes, no } => {
            let words =
                yes.iter().chain(no).take(NAMED_VALUES).map(|word| format!("«{word}»")).collect::<Vec<_>>().join(", ");
            Words::new("«{value}» bukan ya/tidak.", "“{value}” is neither true nor false.")
                .hint(format!("Tulis salah satu dari {words}."), format!("Write one of {words}."))
        }
        Form::Duration => Words::new("«{value}» bukan lama waktu.", "“{value}” is not a duration.")
            .hint("Tulis seperti P1Y2M3DT4H.", "Write it like P1Y2M3DT4H."),
        Form::GeoPoint(_) => Words::new("«{value}» bukan titik koordinat.", "“{value}” is not a geographic point.")
            .hint(
                "Tulis bujur lalu lintang, misalnya 117.15, -0.50.",
                "Write longitude, then latitude, such as 117.15, -0.50.",
            ),
        form => {
            let name = form.name();
            Words::new(
                format!("«{{value}}» bukan isi yang sah untuk tipe {name}."),
                format!("“{{value}}” is not a value of type {name}."),
            )
        }
    }
}

fn integer_words(form: &NumberForm, value: &str) -> Words {
    let words = Words::new("«{value}» bukan bilangan bulat.", "“{value}” is not a whole number.");
    if integer(value, form).is_some() {
        return Words::new("«{value}» terlalu besar untuk disimpan.", "“{value}” is too large to be stored.").hint(
            "Batasnya ±9.223.372.036.854.775.807. Nomor pengenal ditulis sebagai teks, bukan bilangan.",
            "The limit is ±9,223,372,036,854,775,807. Identifiers are text, not numbers.",
        );
    }
    for group in [".", ",", " "] {
        let grouped = NumberForm { decimal: "\u{0}".to_owned(), group: Some(group.to_owned()), bare: true };
        if value.contains(group) && integer(value, &grouped).is_some() {
            return words.hint("Tulis {fixed}.", "Write {fixed}.").fix(value.replace(group, "").trim().to_owned());
        }
    }
    let bare = value.trim_end_matches(|c: char| c.is_alphabetic() || c.is_whitespace());
    if bare.len() < value.len() && integer(bare, form).is_some() {
        return words
            .hint("Tulis {fixed}; satuan tidak ikut ditulis.", "Write {fixed}, without the unit.")
            .fix(bare.to_owned());
    }
    let only_digits = value.chars().all(|c| c.is_ascii_digit() || ",.+- ".contains(c));
    if only_digits && value.contains([',', '.']) {
        return words.hint("Kolom ini tidak menerima pecahan.", "This column takes no fractions.");
    }
    words
}

fn number_words(form: &NumberForm, value: &str) -> Words {
    let words = Words::new("«{value}» bukan angka.", "“{value}” is not a number.");
    if number(value, form).is_some() {
        return Words::new("«{value}» terlalu besar untuk disimpan.", "“{value}” is too large to be stored.");
    }
    let decimal = &form.decimal;
    for (mark, group) in [(".", None), (",", None), (",", Some(".")), (".", Some(","))] {
        let other = NumberForm { decimal: mark.to_owned(), group: group.map(str::to_owned), bare: true };
        if number(value, &other).is_some() {
            let plain = group.map_or_else(|| value.to_owned(), |group| value.replace(group, ""));
            let fixed = plain.replace(mark, "\u{0}").replace('\u{0}', decimal);
            return words
                .hint(
                    format!("Gunakan «{decimal}» sebagai tanda desimal: {{fixed}}"),
                    format!("Use “{decimal}” as the decimal mark: {{fixed}}"),
                )
                .fix(fixed.trim().to_owned());
        }
    }
    words
}

/// A pattern as people write dates: `dd/mm/yyyy`.
fn pattern_for_people(form: &TemporalForm, default: &str) -> String {
    match form {
        TemporalForm::Default => default.to_owned(),
        TemporalForm::Any => String::new(),
        TemporalForm::Pattern(pattern) => [
            ("%d", "dd"),
            ("%m", "mm"),
            ("%Y", "yyyy"),
            ("%y", "yy"),
            ("%H", "hh"),
            ("%M", "mm"),
            ("%S", "ss"),
            ("%B", "month"),
            ("%b", "mon"),
            ("%p", "AM/PM"),
        ]
        .iter()
        .fold(pattern.source().to_owned(), |text, (directive, word)| text.replace(directive, word)),
    }
}

fn date_words(form: &TemporalForm, value: &str) -> Words {
    let shape = pattern_for_people(form, "yyyy-mm-dd");
    let words =
        Words::new(format!("«{{value}}» bukan tanggal {shape}."), format!("“{{value}}” is not a date {shape}."));
    if let Some(days) = any_date(value.trim()) {
        let fixed = match form {
            TemporalForm::Pattern(pattern) => pattern.format(i64::from(days) * DAY_MICROS),
            _ => {
                let mut out = String::new();
                write_date(days.into(), &mut out);
                out
            }
        };
        return words.hint("Maksud Anda {fixed}?", "Did you mean {fixed}?").fix(fixed);
    }
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    if digits >= 6 && value.bytes().all(|byte| byte.is_ascii_digit() || b"-/. ".contains(&byte)) {
        return words.hint(
            "Tanggal itu tidak ada, atau urutannya lain.",
            "There is no such day, or its parts stand in another order.",
        );
    }
    words
}

fn temporal_words(form: &TemporalForm, id: &str, en: &str, example: &str) -> Words {
    let shape = pattern_for_people(form, example);
    Words::new(format!("«{{value}}» bukan {id}."), format!("“{{value}}” is not {en}."))
        .hint(format!("Tulis seperti {shape}."), format!("Write it like {shape}."))
}

fn length_words(rule: Rule, field: &Field, value: &str) -> Words {
    let count = field.form.read(value, crate::reader::rows::Tag::Text).and_then(|value| value.length());
    let count = count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let (bound, id, en) = match rule {
        Rule::MinLength => (field.constraints.min_length, "paling sedikit", "at least"),
        _ => (field.constraints.max_length, "paling banyak", "at most"),
    };
    let bound = bound.unwrap_or_default();
    let (what_id, what_en) =
        if matches!(field.form, Form::Text(_)) { ("karakter", "characters") } else { ("butir", "items") };
    Words::new(
        format!("{count} {what_id}; harus {id} {bound}."),
        format!("{count} {what_en}; it has to be {en} {bound}."),
    )
}

fn bound_words(rule: Rule, field: &Field) -> Words {
    let (name, sign) = match rule {
        Rule::Minimum => ("minimum", "≥"),
        Rule::Maximum => ("maximum", "≤"),
        Rule::ExclusiveMinimum => ("exclusiveMinimum", ">"),
        _ => ("exclusiveMaximum", "<"),
    };
    let bound = field.source.get("constraints").and_then(|constraints| constraints.get(name));
    let bound = bound.map(|bound| bound.as_str().map_or_else(|| bound.to_string(), str::to_owned)).unwrap_or_default();
    let unit = field.satudata("satuan").and_then(Value::as_str).map(|unit| format!(" {unit}")).unwrap_or_default();
    Words::new(
        format!("«{{value}}» harus {sign} {bound}{unit}."),
        format!("“{{value}}” has to be {sign} {bound}{unit}."),
    )
}

fn pattern_words(field: &Field) -> Words {
    let example = field.source.get("example").and_then(Value::as_str);
    let pattern = field.constraints.pattern.as_ref().map(|pattern| pattern.source()).unwrap_or_default();
    let words = match example {
        Some(example) => Words::new(
            format!("«{{value}}» tidak sesuai bentuk, misalnya {example}."),
            format!("“{{value}}” does not have the form of, for example, {example}."),
        ),
        None => Words::new(
            "«{value}» tidak sesuai bentuk yang diminta.",
            "“{value}” does not have the form that is asked for.",
        ),
    };
    words.hint(format!("Rincian teknis: pola {pattern}"), format!("Technical detail: the pattern {pattern}"))
}

fn choice_words(field: &Field, value: &str) -> Words {
    let listed = |name: &str, parent: &Value| parent.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut choices =
        field.source.get("constraints").map(|constraints| listed("enum", constraints)).unwrap_or_default();
    if choices.is_empty() {
        choices = listed("categories", &field.source);
    }
    let texts: Vec<String> = choices
        .iter()
        .map(|choice| choice.get("value").unwrap_or(choice))
        .map(|choice| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned))
        .collect();
    let mut named = texts.iter().take(NAMED_VALUES).map(|text| shown(text)).collect::<Vec<_>>().join(", ");
    if texts.len() > NAMED_VALUES {
        named.push_str(", …");
    }
    let words =
        Words::new(format!("«{{value}}» bukan salah satu dari {named}."), format!("“{{value}}” is none of {named}."));
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let wanted = plain(value);
    // A label of a category is often written in place of its value.
    let labelled = choices
        .iter()
        .zip(&texts)
        .find(|(choice, _)| choice.get("label").and_then(Value::as_str).is_some_and(|label| plain(label) == wanted));
    match texts.iter().find(|text| plain(text) == wanted).or(labelled.map(|(_, text)| text)) {
        Some(fixed) => words.hint("Tulis {fixed}.", "Write {fixed}.").fix(fixed.clone()),
        None => words,
    }
}

/// The words for a row whose key is wrong. `near` looks for a similar code.
pub(crate) fn row(
    rule: Rule,
    contract: &Contract,
    value: &str,
    first_row: Option<u64>,
    near: Option<(String, Option<String>)>,
) -> Words {
    match rule {
        Rule::BlankRow => {
            Words::new("Baris ini kosong.", "This row is blank.").hint("Hapus baris ini.", "Delete this row.")
        }
        Rule::PrimaryKey | Rule::UniqueKey(_) => repeated("{value}", "{value}", first_row),
        Rule::PrimaryKeyNull => Words::new("Kunci utama kosong.", "The primary key is empty.")
            .hint("Isi semua kolom kunci.", "Fill in all fields of the key."),
        Rule::ForeignKey(number) => {
            let key = contract.foreign_keys.get(usize::from(number));
            let list = key.map(|key| key.list.as_str()).unwrap_or_default();
            let itself = key.is_some_and(|key| matches!(key.target, Target::Itself(_)));
            let words = if itself {
                Words::new("«{value}» tidak ada di tabel ini.", "“{value}” is not in this table.")
            } else {
                Words::new(
                    format!("«{{value}}» tidak ada di daftar {list}."),
                    format!("“{{value}}” is not in the list {list}."),
                )
            };
            match near {
                Some((code, Some(name))) => words
                    .hint(format!("Maksud Anda {{fixed}} – {name}?"), format!("Did you mean {{fixed}} – {name}?"))
                    .fix(code),
                Some((code, None)) => words.hint("Maksud Anda {fixed}?", "Did you mean {fixed}?").fix(code),
                None => words,
            }
        }
        Rule::BadObject => Words::new(
            format!("Baris ini bukan satu objek JSON: {value}."),
            format!("This line is not one JSON object: {value}."),
        ),
        Rule::UnknownKey => {
            Words::new("Nama «{value}» tidak ada dalam standar data.", "The contract has no field “{value}”.")
        }
        Rule::DuplicateKey => {
            Words::new("Nama «{value}» muncul lebih dari sekali.", "The name “{value}” stands more than once.")
        }
        _ => Words::default(),
    }
}

/// The words for a cell that no column has.
pub(crate) fn extra_cell(present: u32, width: usize) -> Words {
    Words::new(
        format!("Baris ini punya {present} sel, judul punya {width}."),
        format!("This row has {present} cells, the header has {width}."),
    )
    .hint("Periksa tanda pemisah atau kutip di baris ini.", "Check the delimiters and quotes in this row.")
}

/// The words for a fault of the header.
pub(crate) fn header(rule: Rule, contract: &Contract, field: Option<&Field>, label: &str) -> Words {
    let name = field.map(title).unwrap_or_default();
    match rule {
        Rule::BlankLabel => Words::new("Judul kolom kosong.", "The label is blank."),
        Rule::DuplicateLabel => {
            Words::new("Judul «{value}» lebih dari sekali.", "The label “{value}” stands more than once.")
        }
        Rule::IncorrectLabel => {
            let words = Words::new(
                format!(
                    "Judul «{{value}}»; di tempat ini seharusnya «{}».",
                    field.map(Field::name).unwrap_or_default()
                ),
                format!(
                    "The label is “{{value}}”; here it should be “{}”.",
                    field.map(Field::name).unwrap_or_default()
                ),
            );
            delimiter_hint(words, contract, label)
        }
        Rule::MissingLabel => {
            Words::new(format!("Kolom {name} tidak ditemukan."), format!("The column {name} was not found."))
        }
        Rule::ExtraLabel => {
            let words =
                Words::new("Kolom «{value}» tidak ada dalam standar data.", "The contract has no column “{value}”.");
            match nearest_label(contract, label) {
                Some(near) => words.hint("Maksud Anda «{fixed}»?", "Did you mean “{fixed}”?").fix(near),
                None => words,
            }
        }
        _ => delimiter_hint(
            Words::new("Tidak ada kolom yang dikenal dalam berkas ini.", "The file has no known column."),
            contract,
            label,
        ),
    }
}

/// One label that holds all names, divided by another delimiter, is the commonest mistake.
fn delimiter_hint(words: Words, contract: &Contract, label: &str) -> Words {
    let declared = &contract.layout.dialect.delimiter;
    let found = [";", ",", "\t", "|"].into_iter().find(|mark| {
        mark != declared
            && label.split(mark).filter(|part| contract.fields.iter().any(|field| field.name == part.trim())).count()
                > 1
    });
    match found {
        Some(mark) => {
            let (mark, declared) = (shown(mark), shown(declared));
            words.hint(
                format!("Berkas memakai pemisah «{mark}», standar data memakai «{declared}»."),
                format!("The file divides by “{mark}”, the contract by “{declared}”."),
            )
        }
        None => words,
    }
}

fn nearest_label(contract: &Contract, label: &str) -> Option<String> {
    let label = label.trim().to_lowercase();
    contract
        .fields
        .iter()
        .map(|field| (distance(&label, &field.name.to_lowercase(), 2), field))
        .filter_map(|(distance, field)| Some((distance?, field)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, field)| field.name.clone())
}

/// The edit distance, if it is at most `limit`. For short texts only.
pub(crate) fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    const LONGEST: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(LONGEST + 1).collect(), b.chars().take(LONGEST + 1).collect());
    if a.len() > LONGEST || b.len() > LONGEST || a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = i;
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        let mut best = i + 1;
        let mut before = i + 1;
        for (right, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let value = (diagonal + usize::from(left != right)).min(*cell + 1).min(before + 1);
            diagonal = *cell;
            *cell = value;
            before = value;
            best = best.min(value);
        }
        if best > limit {
            return None;
        }
    }
    row.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_stops_at_its_limit() {
        assert_eq!(distance("64.01", "64.1", 2), Some(1));
        assert_eq!(distance("64.01", "64.01", 2), Some(0));
        assert_eq!(distance("64.01", "65.12", 2), None);
        assert_eq!(distance("a", "abcd", 2), None);
    }
}
