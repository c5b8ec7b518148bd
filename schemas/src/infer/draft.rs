//! The Data Package that is drafted.

use hashbrown::HashSet;
use serde_json::{Map, Value, json};

use super::decide::{self, Decision, Guess, Habit};
use super::layout::{Evidence, Layout};
use super::meaning::{area_list, slug};
use super::profile::{Column, Profile};
use super::{Request, Shape};
use crate::reader::cells::Sheet;
use crate::report::{Lang, Text};

/// Writes the draft.
pub(super) fn write(request: &Request, layout: &Layout, profile: &Profile, rows: u64) -> Value {
    let habit = Habit::of(profile, layout);
    let mut decisions: Vec<Decision> = profile.columns.iter().map(|column| decide::column(column, &habit)).collect();
    decide::names_of_areas(profile, &mut decisions);
    let names = names(profile);
    let fields: Vec<Value> = profile
        .columns
        .iter()
        .zip(&decisions)
        .zip(&names)
        .map(|((column, decision), name)| field(column, decision, name, request.lang))
        .collect();
    let with_header = request.shape == Shape::Ndjson || layout.has_header();
    let mut schema = json!({
        "$schema": "https://datapackage.org/profiles/2.0/tableschema.json",
        "fieldsMatch": if with_header { "superset" } else { "exact" },
        "missingValues": [""],
        "fields": fields,
    });
    let mut guesses = of_file(request, layout);
    if let Some((columns, why, confidence)) = decide::primary_key(profile, &decisions) {
        let columns: Vec<&str> = columns.iter().filter_map(|index| names.get(*index)).map(String::as_str).collect();
        let shown = columns.join(", ");
        let why = Text::new(format!("{shown}: {}", why.get(Lang::Id)), format!("{shown}: {}", why.get(Lang::En)));
        schema["primaryKey"] = json!(columns);
        guesses.push(Guess { property: "primaryKey", why, confidence, against: 0, examples: Vec::new() });
    }
    let bound: Vec<Value> =
        decisions.iter().zip(&names).filter(|(d, _)| d.areas).filter_map(|(_, name)| to_list(name)).collect();
    if !bound.is_empty() {
        schema["foreignKeys"] = bound.into();
    }
    let stem = request.file.split('.').next().unwrap_or_default();
    let name = match slug(stem).replace('_', "-") {
        name if name.starts_with(|c: char| c.is_ascii_lowercase()) => name,
        name => format!("data-{name}").trim_end_matches('-').to_owned(),
    };
    let personal = decisions.iter().any(|decision| decision.personal.is_some());
    json!({
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": name,
        "title": stem.replace(['_', '-'], " ").trim(),
        "version": "0.1.0",
        "satudata": {
            "sifat": "terbatas",
            "moda": "tambah",
            "kebijakan": "tolak",
            "kompatibilitas": "BACKWARD_TRANSITIVE",
            "dataPribadi": {"ada": personal},
            "tebakan": told_of_package(&guesses, rows, request.lang),
        },
        "resources": [resource(request, layout, &name, schema)],
    })
}

fn told_of_package(guesses: &[Guess], rows: u64, lang: Lang) -> Value {
    let note = Text::fixed(
        "Draf dari isi berkas. Periksa setiap tebakan, isi konsep, definisi, satuan, penanggung jawab, sifat dan moda, lalu hapus «tebakan» sebelum didaftarkan.",
        "A draft from the file's content. Check every guess, fill in concept, definition, unit, who answers, access and mode, then remove “tebakan” before registering.",
    );
    let mut told: Map<String, Value> =
        guesses.iter().map(|guess| (guess.property.to_owned(), decide::told(guess, lang))).collect();
    told.insert("catatan".to_owned(), note.get(lang).into());
    told.insert("barisDilihat".to_owned(), rows.into());
    Value::Object(told)
}

fn resource(request: &Request, layout: &Layout, name: &str, schema: Value) -> Value {
    if request.shape == Shape::Ndjson {
        return json!({"name": name, "type": "table", "path": request.file, "format": "ndjson",
            "mediatype": "application/x-ndjson", "encoding": layout.encoding, "schema": schema});
    }
    let mut dialect = match request.shape {
        Shape::Cells(_) => sheet_of(&request.sheet),
        _ => json!({"delimiter": layout.delimiter}),
    };
    if !layout.has_header() {
        dialect["header"] = false.into();
        if layout.header > 0 {
            dialect["commentRows"] = (1..=layout.header).collect();
        }
    } else if layout.header > 1 {
        dialect["headerRows"] = json!([layout.header]);
    }
    if !layout.numbering.is_empty() {
        dialect["commentRows"] = json!(layout.numbering);
    }
    if let Shape::Cells(format) = request.shape {
        return json!({"name": name, "type": "table", "path": request.file, "format": format.ending(),
            "dialect": dialect, "schema": schema});
    }
    json!({"name": name, "type": "table", "path": request.file, "format": "csv", "mediatype": "text/csv",
        "encoding": layout.encoding, "dialect": dialect, "schema": schema})
}

/// Which sheet the table is on, as the dialect says it.
fn sheet_of(sheet: &Sheet) -> Value {
    match (&sheet.name, sheet.number) {
        (Some(name), _) => json!({"sheetName": name}),
        (None, Some(number)) => json!({"sheetNumber": number}),
        (None, None) => json!({}),
    }
}

fn guess(property: &'static str, confidence: f64, id: String, en: String) -> Guess {
    Guess { property, why: Text::new(id, en), confidence, against: 0, examples: Vec::new() }
}

/// What is guessed about the file as a whole.
fn of_file(request: &Request, layout: &Layout) -> Vec<Guess> {
    let mut guesses = if matches!(request.shape, Shape::Cells(_)) { Vec::new() } else { of_text(request, layout) };
    if request.shape != Shape::Ndjson {
        of_header(layout, &mut guesses);
    }
    guesses
}

fn of_text(request: &Request, layout: &Layout) -> Vec<Guess> {
    let mut guesses = Vec::new();
    let mut add = |property, confidence, id: String, en: String| guesses.push(guess(property, confidence, id, en));
    let encoding = layout.encoding;
    let (confidence, id, en) = match layout.encoding_from {
        Evidence::Told => (1.0, "disebut oleh pemakai", "as was said"),
        Evidence::Mark => (1.0, "tanda urutan byte (BOM) di awal berkas", "the byte order mark"),
        Evidence::Bytes => (0.95, "susunan bytenya", "its bytes"),
        Evidence::NothingElse => (
            0.6,
            "bytenya bukan UTF-8; ini yang paling lazim di Windows",
            "its bytes are not UTF-8; this is the usual one on Windows",
        ),
    };
    add("encoding", confidence, format!("{encoding}: {id}."), format!("{encoding}: {en}."));
    if request.shape == Shape::Ndjson {
        return guesses;
    }
    let share = (layout.regular * 100.0).round();
    let delimiter = if layout.delimiter == "\t" { "tab" } else { layout.delimiter };
    add(
        "dialect.delimiter",
        layout.regular,
        format!("«{delimiter}»: {share} % baris pertama memiliki jumlah sel yang sama."),
        format!("“{delimiter}”: {share} % of the first rows have the same number of cells."),
    );
    guesses
}

fn of_header(layout: &Layout, guesses: &mut Vec<Guess>) {
    let mut add = |property, confidence, id: String, en: String| guesses.push(guess(property, confidence, id, en));
    let header = layout.header;
    if !layout.has_header() {
        add(
            "dialect.header",
            0.6,
            "Baris pertama mirip baris di bawahnya: tidak ada judul kolom.".into(),
            "The first row is like those below it: there are no labels.".into(),
        );
    } else if header > 1 {
        add(
            "dialect.headerRows",
            0.9,
            format!("Judul kolom di baris {header}; baris di atasnya bukan tabel (judul atau kosong)."),
            format!("The labels stand in row {header}; what is above is no table (titles or empty)."),
        );
    }
    if !layout.numbering.is_empty() {
        add(
            "dialect.commentRows",
            0.9,
            "Baris di bawah judul hanya menomori kolom.".into(),
            "The row below the labels only numbers the columns.".into(),
        );
    }
}

fn to_list(name: &str) -> Option<Value> {
    let (urn, resource, key) = area_list()?;
    Some(json!({"fields": [name], "reference": {"package": urn, "resource": resource, "fields": [key]}}))
}

/// A name for every column, each once.
fn names(profile: &Profile) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut names = Vec::with_capacity(profile.columns.len());
    for (index, column) in profile.columns.iter().enumerate() {
        let name = match slug(&column.label) {
            name if name.is_empty() => format!("kolom_{}", index + 1),
            name if name.starts_with(|c: char| c.is_ascii_digit()) => {
                let year = name.len() == 4 && (name.starts_with("19") || name.starts_with("20"));
                format!("{}_{name}", if year { "tahun" } else { "kolom" })
            }
            name => name,
        };
        let mut unique = name.clone();
        let mut number = 1;
        while !taken.insert(unique.clone()) {
            number += 1;
            unique = format!("{name}_{number}");
        }
        names.push(unique);
    }
    names
}

fn field(column: &Column, decision: &Decision, name: &str, lang: Lang) -> Value {
    let mut field = json!({"name": name});
    let label = column.label.trim();
    if !label.is_empty() {
        field["title"] = label.replace('_', " ").into();
    }
    if let Some(object) = field.as_object_mut() {
        object.extend(decision.properties.clone());
    }
    if !decision.missing.is_empty() {
        field["missingValues"] = json!(decision.missing);
    }
    let mut constraints = Map::new();
    if decision.required {
        constraints.insert("required".to_owned(), true.into());
    }
    if decision.unique {
        constraints.insert("unique".to_owned(), true.into());
    }
    if !decision.choices.is_empty() {
        field["categories"] = json!(decision.choices);
        constraints.insert("enum".to_owned(), json!(decision.choices));
    }
    if !constraints.is_empty() {
        field["constraints"] = constraints.into();
    }
    let mut satudata = Map::new();
    if !label.is_empty() && label != name {
        satudata.insert("alias".to_owned(), json!([label]));
    }
    if let Some(kind) = decision.personal {
        satudata.insert("dataPribadi".to_owned(), json!({"jenis": kind, "tindakan": "samarkan"}));
    }
    if let (true, Some((urn, _, _))) = (decision.areas, area_list())
        && let Some((id, version)) = crate::code_list::parse_urn(&urn)
    {
        satudata.insert("kodeReferensi".to_owned(), json!({"id": id, "versi": version, "sistem": "kemendagri"}));
    }
    let guesses: Map<String, Value> =
        decision.guesses.iter().map(|guess| (guess.property.to_owned(), decide::told(guess, lang))).collect();
    satudata.insert("tebakan".to_owned(), guesses.into());
    field["satudata"] = satudata.into();
    field
}
