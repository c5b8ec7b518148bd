//! The words of the report, rule by rule: what is wrong, and what to do about it.
//!
//! A new kind of error needs three things here: its name in [`heading`], its sentence in [`cell`] (a rule about one cell)
//! or [`row`] (a rule about a row), both languages, and a line in the snapshot of `report/tests.rs`, where the words are
//! read as words. A sentence leaves the value open as `{value}` and a correction as `{fixed}`, so that both can be masked;
//! advice that was made from the value in another way is given with `Words::telling`.

use serde_json::Value;

use crate::code_list::CodeList;
use crate::contract::{Contract, Target};
use crate::field::{Field, Rule};
use crate::report::fits::Asked;
use crate::report::near::Code;
pub(crate) use crate::report::words::Words;
use crate::report::words::title;
use crate::report::{Text, codes, corrections, labels, parsers, satudata, shown};

/// The name of a rule.
pub(crate) fn heading(rule: Rule, contract: &Contract, field: Option<&Field>) -> Text {
    let (id, en) = match rule {
        Rule::BlankLabel => ("Judul kolom kosong", "Blank label"),
        Rule::DuplicateLabel => ("Judul kolom kembar", "Duplicate label"),
        Rule::IncorrectLabel => ("Kolom tertukar", "Column in the wrong place"),
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
        Rule::ForeignKey(key) => match contract.foreign_keys.get(usize::from(key)) {
            Some(key) if is_name(&key.target) => ("Nama tidak dikenal", "Unknown name"),
            _ => ("Kode tidak dikenal", "Unknown code"),
        },
        Rule::Across(_) | Rule::AcrossWarning(_) => ("Aturan antarkolom", "A rule across columns"),
        Rule::Doubt(doubt) => return satudata::doubt_heading(doubt),
    };
    Text::fixed(id, en)
}

fn type_heading(field: Option<&Field>) -> Text {
    if let Some(heading) = field.and_then(satudata::type_heading) {
        return heading;
    }
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

/// The words for a cell of a field.
pub(crate) fn cell(rule: Rule, asked: Asked<'_>, value: &str, first_row: Option<u64>) -> Words {
    let field = asked.field;
    let name = title(field);
    let words = match rule {
        Rule::Type => corrections::type_words(field, value),
        Rule::Required => required_hint(field, Words::new(format!("{name} kosong."), format!("{name} is empty."))),
        Rule::MissingCell => Words::new(format!("Sel {name} tidak ada."), format!("There is no cell for {name}."))
            .hint("Periksa tanda pemisah atau kutip di baris ini.", "Check the delimiters and quotes in this row."),
        Rule::Unique => repeated("«{value}»", "“{value}”", first_row),
        Rule::Doubt(doubt) => satudata::doubt_words(doubt, field, value),
        rule => corrections::constraint_words(rule, asked, value),
    };
    let words = asked.sound(words);
    match rule {
        Rule::Type | Rule::Pattern | Rule::Enum | Rule::Categories | Rule::MinLength | Rule::MaxLength => {
            words.unseen(value)
        }
        _ => words,
    }
}

fn required_hint(field: &Field, words: Words) -> Words {
    let label = field.source.get("missingValues").and_then(Value::as_array).and_then(|values| {
        values.iter().find_map(|value| value.get("value").and_then(Value::as_str).filter(|word| !word.is_empty()))
    });
    match label.map(shown) {
        Some(label) if !field.required => words.hint(
            format!("Isi nilainya, atau «{label}» bila memang tidak ada."),
            format!("Fill in the value, or “{label}” if there is none."),
        ),
        _ => words.hint("Isi nilainya.", "Fill in the value."),
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

/// The words for a row whose key is wrong. `said` is what a parser said, `near` are similar codes.
pub(crate) fn row(rule: Rule, contract: &Contract, said: &str, first_row: Option<u64>, near: &[Code]) -> Words {
    match rule {
        Rule::BlankRow => {
            Words::new("Baris ini kosong.", "This row is blank.").hint("Hapus baris kosong.", "Delete blank rows.")
        }
        Rule::PrimaryKey | Rule::UniqueKey(_) => repeated("«{value}»", "“{value}”", first_row),
        Rule::PrimaryKeyNull => Words::new("Kunci utama kosong.", "The primary key is empty.")
            .hint("Isi semua kolom kunci.", "Fill in all fields of the key."),
        Rule::ForeignKey(number) => foreign_key(contract, number, said, near),
        Rule::BadObject => {
            let why = parsers::json(said);
            Words::new(
                format!("Baris ini bukan satu objek JSON: {}.", why.id),
                format!("This line is not one JSON object: {}.", why.en),
            )
            .hint("Tulis satu objek {…} di satu baris.", "Write one object {…} on one line.")
        }
        Rule::UnknownKey => {
            let words =
                Words::new("Nama «{value}» tidak ada dalam standar data.", "The contract has no field “{value}”.");
            match labels::nearest_field(contract, said) {
                Some(field) => words.guess("Maksud Anda «{fixed}»?", "Did you mean “{fixed}”?").fix(&field.name),
                None => words.hint("Hapus nama itu.", "Delete that name."),
            }
        }
        Rule::DuplicateKey => {
            Words::new("Nama «{value}» muncul lebih dari sekali.", "The name “{value}” stands more than once.")
                .hint("Hapus salah satunya.", "Delete one of them.")
        }
        _ => Words::default(),
    }
}

/// The words for a row without a primary key where another error of the row says why.
pub(crate) fn implied_null() -> Words {
    Words::new(
        "Kunci utama tidak terbaca karena kesalahan lain di baris ini.",
        "The primary key cannot be read because of another error in this row.",
    )
    .hint("Perbaiki kesalahan itu.", "Correct that error.")
}

fn foreign_key(contract: &Contract, number: u16, said: &str, near: &[Code]) -> Words {
    let key = contract.foreign_keys.get(usize::from(number));
    let list = key.map(|key| list_name(&key.list)).unwrap_or_default();
    let itself = key.is_some_and(|key| matches!(key.target, Target::Itself(_)));
    let codes = key.and_then(|key| codes(&key.target));
    let system = system_of(contract, number);
    if let Some(words) = codes.and_then(|codes| codes::code_words(codes, system, &list, said)) {
        return words;
    }
    let Text { id, en } = unlisted(contract, number);
    let words = Words::new(id, en);
    let named = |code: &Code| match &code.name {
        Some(name) => format!("{} – {name}", shown(&code.code)),
        None => shown(&code.code),
    };
    match near {
        [] if itself => words.hint(
            "Tambahkan baris yang dirujuk, atau perbaiki isinya.",
            "Add the row that is meant, or correct the value.",
        ),
        [] => {
            let Text { id, en } = look_up(contract, number);
            words.hint(id, en)
        }
        [Code { code, name: Some(name) }] => words
            .guess(format!("Maksud Anda {{fixed}} – {name}?"), format!("Did you mean {{fixed}} – {name}?"))
            .fix(code),
        [Code { code, name: None }] => words.guess("Maksud Anda {fixed}?", "Did you mean {fixed}?").fix(code),
        several => {
            let several: Vec<String> = several.iter().map(named).collect();
            words.telling(
                format!("Mungkin salah satu dari: {}.", several.join("; ")),
                format!("Perhaps one of: {}.", several.join("; ")),
            )
        }
    }
}

/// What is wrong with a value that the list of a foreign key does not have.
pub(crate) fn unlisted(contract: &Contract, number: u16) -> Text {
    let Some(key) = contract.foreign_keys.get(usize::from(number)) else { return Text::default() };
    if matches!(key.target, Target::Itself(_)) {
        return Text::fixed("«{value}» tidak ada di tabel ini.", "“{value}” is not in this table.");
    }
    let list = list_name(&key.list);
    let (id, en) = system_of(contract, number)
        .map(codes::system_name)
        .map(|system| (format!(" (kode {system})"), format!(" ({system} codes)")))
        .unwrap_or_default();
    Text::new(
        format!("«{{value}}» tidak ada di daftar {}{id}.", list.id),
        format!("“{{value}}” is not in the list {}{en}.", list.en),
    )
}

/// The system of codes that a key holds, as its list or its column declares it.
fn system_of(contract: &Contract, number: u16) -> Option<&str> {
    let key = contract.foreign_keys.get(usize::from(number))?;
    let codes = codes(&key.target)?;
    let declared = || contract.fields.get(*key.columns.first()?)?.satudata("kodeReferensi")?.get("sistem")?.as_str();
    codes.system().or_else(declared)
}

/// Where the right value is found.
fn look_up(contract: &Contract, number: u16) -> Text {
    let Some(key) = contract.foreign_keys.get(usize::from(number)) else { return Text::default() };
    let list = list_name(&key.list);
    let (what, what_en) = if is_name(&key.target) { ("nama", "name") } else { ("kode", "code") };
    let shipped = matches!(&key.target, Target::List { table, .. } if table.code_list().is_some());
    let command = shown(key.list.split(' ').next().unwrap_or_default());
    match shipped {
        true => Text::new(
            format!("Cari {what} yang benar di daftar {}: simpul codelist show {command}", list.id),
            format!("Look the right {what_en} up in the list {}: simpul codelist show {command}", list.en),
        ),
        false => Text::new(
            format!("Cari {what} yang benar di daftar {}.", list.id),
            format!("Look the right {what_en} up in the list {}.", list.en),
        ),
    }
}

/// Whether the list is looked up by its names.
fn is_name(target: &Target) -> bool {
    let Target::List { fields, .. } = target else { return false };
    matches!(fields.as_slice(), [field] if field == "name" || field.starts_with("nama"))
}

/// The code list whose codes a key has to hold.
fn codes(target: &Target) -> Option<&CodeList> {
    match target {
        Target::List { table, fields, .. } => table
            .code_list()
            .map(AsRef::as_ref)
            .filter(|list| matches!(fields.as_slice(), [field] if field == list.key())),
        Target::Itself(_) => None,
    }
}

/// `wilayah 2025-1` as a person says it.
fn list_name(list: &str) -> Text {
    let list = shown(list);
    match list.rsplit_once(' ').filter(|(_, version)| version.starts_with(|c: char| c.is_ascii_digit())) {
        Some((name, version)) => Text::new(format!("{name} versi {version}"), format!("{name}, version {version}")),
        None => Text::new(list.clone(), list),
    }
}

/// The words for a cell that no column has.
pub(crate) fn extra_cell(present: u32, width: usize) -> Words {
    let plural = |number: usize| if number == 1 { "cell" } else { "cells" };
    Words::new(
        format!("Baris ini punya {present} sel, judul punya {width}."),
        format!("This row has {present} {}, the header has {width}.", plural(present as usize)),
    )
    .hint("Periksa tanda pemisah atau kutip di baris ini.", "Check the delimiters and quotes in this row.")
}
