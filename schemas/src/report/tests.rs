//! The report as its readers see it.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::{Contract, Format, Limits, Records, ReferenceTable, References, RejectedCsv, Validator, Wanted};

fn finding() -> Finding {
    Finding {
        row: Some(7),
        field_number: Some(2),
        field: Some("nik".to_owned()),
        kind: "constraint-error".into(),
        constraint: Some("pattern".into()),
        value: Some("{fixed}=1".to_owned()),
        message: Text::fixed("«{value}» salah", "“{value}” is wrong"),
        hint: Some(Text::fixed("Tulis {fixed}", "Write {fixed}")),
        fixed: Some("x".to_owned()),
        guess: false,
        tells: false,
        personal: true,
        masked: false,
        group: 0,
    }
}

#[test]
fn a_stored_report_holds_no_personal_value_anywhere() {
    let mut secret = finding();
    secret.value = Some("6403010101010001".to_owned());
    secret.fixed = Some("6403".to_owned());
    let mut telling = secret.clone();
    telling.hint = Some(Text::fixed("Mungkin 6403", "Perhaps 6403"));
    telling.tells = true;
    let report =
        Report { errors: vec![secret.clone(), telling.clone()], warnings: vec![secret, telling], ..Report::default() };
    let stored = report.for_storage();
    for lang in [Lang::Id, Lang::En] {
        let all = format!(
            "{}{}{}{:?}{}",
            stored.to_text(lang),
            stored.errors_csv(lang),
            stored.to_json(lang),
            stored,
            serde_json::to_string(&stored).unwrap()
        );
        assert!(!all.contains("6403"), "{all}");
        assert!(report.errors_csv(lang).contains("6403010101010001"));
    }
    assert_eq!(stored.to_json(Lang::Id)["errors"][0]["masked"], true);
}

#[test]
fn values_are_filled_once_and_formulas_are_defused() {
    assert_eq!(finding().message(Lang::Id), "«{fixed}=1» salah");
    for (value, cell) in [("=cmd|x", "\"'=cmd|x\""), (" +1", "\"' +1\""), ("@a", "\"'@a\""), ("a;b", "\"a;b\"")] {
        let mut formula = finding();
        formula.value = Some(value.to_owned());
        let report = Report { errors: vec![formula], ..Report::default() };
        assert!(report.errors_csv(Lang::Id).contains(cell), "{value}");
    }
    assert_eq!(shown("a\nb\u{202e}\u{200b}\u{a0}\t|"), "a↵b\\u{202e}\\u{200b}  |");
    assert_eq!(shown(&"x".repeat(100)).chars().count(), VALUE_CHARS + 1);
}

#[test]
fn a_report_reads_back_from_json() {
    let report = Report { errors: vec![finding()], ..Report::default() };
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}

/// A contract with these fields and this on top of its schema.
fn contract(fields: Value, more: Value, dialect: Value) -> Arc<Contract> {
    let mut schema = json!({"fields": fields});
    for (name, value) in more.as_object().into_iter().flatten() {
        schema[name] = value.clone();
    }
    let package = json!({
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json", "name": "uji", "version": "1.0.0",
        "resources": [{"name": "data", "path": "data.csv", "dialect": dialect, "schema": schema}],
    });
    Arc::new(Contract::compile(&package, &Lists).expect("a contract"))
}

/// A contract for files with semicolons in that encoding.
fn encoded(fields: Value, encoding: &str) -> Arc<Contract> {
    let package = json!({
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json", "name": "uji", "version": "1.0.0",
        "resources": [{"name": "data", "path": "data.csv", "encoding": encoding, "dialect": {"delimiter": ";"},
            "schema": {"fields": fields, "fieldsMatch": "equal"}}],
    });
    Arc::new(Contract::compile(&package, &Lists).expect("a contract"))
}

struct Lists;

impl References for Lists {
    fn table(&self, _: &Wanted<'_>) -> Option<Arc<ReferenceTable>> {
        let mut table = ReferenceTable::new(&["kode", "nama"]);
        let rows = [
            ("64.02.05", "Muara Badak"),
            ("64.02.05.2001", "Saliki"),
            ("64.02.05.2002", "Salo Palai"),
            ("64.02.05.2011", "Batu-Batu"),
            ("64.02.06.2091", "Teratak"),
        ];
        for (code, name) in rows {
            table.push(&[Some(code), Some(name)]);
        }
        Some(Arc::new(table))
    }
}

fn report(contract: &Arc<Contract>, format: Format, text: &[u8], landing: bool) -> Report {
    let limits = Limits { cell_bytes: 400, row_bytes: 1000, columns: 30, ..Limits::default() };
    let mut validator = match landing {
        true => Validator::new(contract.clone(), format, limits),
        false => Validator::for_check(contract.clone(), format, limits),
    };
    let _ = validator.push(text);
    let _ = validator.finish();
    validator.into_report()
}

fn csv(contract: &Arc<Contract>, text: &str) -> Report {
    report(contract, Format::Csv, text.as_bytes(), false)
}

/// Cells of one field each, all of them wrong.
fn cells(field: Value, values: &[&str]) -> Report {
    let contract = contract(json!([field]), json!({}), json!({"delimiter": "\t", "quoteChar": "\u{1}"}));
    let name = contract.fields()[0].name().to_owned();
    csv(&contract, &format!("{name}\n{}\n", values.join("\n")))
}

fn both(name: &str, reports: &[(&str, Report)]) {
    let mut page = String::new();
    for (what, report) in reports {
        page.push_str(&format!("==== {what}\n{}----\n{}\n", report.to_text(Lang::Id), report.to_text(Lang::En)));
    }
    assert!(!page.chars().any(|c| c.is_control() && c != '\n'));
    insta::assert_snapshot!(name, page);
}

#[test]
fn words_about_numbers() {
    let whole =
        ["1.204 jiwa", "1,204", "Rp 1.500.000,00", "5l8", "12,5", "-", "#N/A", "3,2E+15", "banyak", "32.0", " "];
    let number = ["24.65", "1.234", "12 km²", "1.234.567,8", "nihil", "1O,5", "", "luas"];
    both(
        "numbers",
        &[
            ("integer", cells(json!({"name": "n", "title": "Jumlah", "type": "integer"}), &whole)),
            (
                "integer, groups",
                cells(json!({"name": "n", "type": "integer", "groupChar": "."}), &["1,204", "1.204 jiwa", "x"]),
            ),
            (
                "number",
                cells(json!({"name": "n", "type": "number", "decimalChar": ",", "missingValues": ["-"]}), &number),
            ),
            ("number, plain", cells(json!({"name": "n", "type": "number"}), &["806,964", "12,5", "1.234,5"])),
            (
                "bounds",
                cells(
                    json!({"name": "n", "type": "integer", "constraints": {"minimum": 0, "maximum": 1_000_000}, "satudata": {"satuan": "jiwa"}}),
                    &["-861", "-1", "2000000"],
                ),
            ),
            ("year", cells(json!({"name": "t", "type": "year"}), &["2024.0", "24", "tahun 2023"])),
        ],
    );
}

#[test]
fn words_about_dates() {
    let dates = ["31/02/2024", "2024-12-31", "5 Januari 2024", "45292", "kemarin", "31/12/24"];
    both(
        "dates",
        &[
            ("dd/mm/yyyy", cells(json!({"name": "d", "type": "date", "format": "%d/%m/%Y"}), &dates)),
            ("iso", cells(json!({"name": "d", "type": "date"}), &["31/12/2024", "03/04/2024", "2023-02-29", "lusa"])),
            (
                "datetime",
                cells(
                    json!({"name": "d", "type": "datetime", "format": "%d/%m/%Y %H:%M"}),
                    &["20 Agustus 2021 07:15", "2021-08-20", "x"],
                ),
            ),
            ("time", cells(json!({"name": "d", "type": "time"}), &["07.15", "7 pagi", "14:05 WITA"])),
            ("yearmonth", cells(json!({"name": "d", "type": "yearmonth"}), &["01/2024", "Januari 2024", "x"])),
            ("duration", cells(json!({"name": "d", "type": "duration"}), &["2 jam"])),
        ],
    );
}

#[test]
fn words_about_choices_and_forms() {
    let sex = json!({"name": "jk", "title": "Jenis kelamin", "type": "string", "constraints": {"enum": ["Laki-laki", "Perempuan"]}});
    let category = json!({"name": "k", "type": "string", "categories": [{"value": "1", "label": "Ada"}, {"value": "2", "label": "Tidak ada"}]});
    let nik = json!({"name": "nik", "type": "string", "constraints": {"pattern": "[0-9]{16}"}});
    let npsn = json!({"name": "npsn", "type": "string", "example": "30401234", "constraints": {"pattern": "[0-9]{8}"}});
    let length = json!({"name": "s", "type": "string", "constraints": {"minLength": 2, "maxLength": 5}});
    let schema = json!({"name": "o", "type": "object", "constraints": {"jsonSchema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}});
    both(
        "choices",
        &[
            ("enum", cells(sex, &["LAKI LAKI", "Perempuam", "P", "Wanita", " Perempuan"])),
            ("categories", cells(category, &["Tidak Ada", "3", "1.0"])),
            ("pattern", cells(nik, &["6403 0101 0101 0001", "6,40301E+15", "640301"])),
            ("pattern with an example", cells(npsn, &["0401234", "abc"])),
            ("length", cells(length, &["a", "abcdef", "abcde  "])),
            ("boolean", cells(json!({"name": "b", "type": "boolean"}), &["ya", "Tidak", "mungkin"])),
            ("email", cells(json!({"name": "e", "type": "string", "format": "email"}), &["a@b.id ", "a"])),
            ("uri", cells(json!({"name": "e", "type": "string", "format": "uri"}), &["dinas.go.id"])),
            ("geopoint", cells(json!({"name": "g", "type": "geopoint"}), &["-0.5, 117.2", "di sini"])),
            ("object", cells(schema, &["{\"a\": \"x\"}", "{}", "x"])),
            ("array", cells(json!({"name": "l", "type": "array"}), &["1;2"])),
            ("geojson", cells(json!({"name": "l", "type": "geojson"}), &["{}"])),
            ("list", cells(json!({"name": "l", "type": "list", "delimiter": ";", "itemType": "integer"}), &["1;dua"])),
        ],
    );
}

#[test]
fn no_suggestion_changes_a_number_or_is_refused_itself() {
    let grouped = |more: Value| {
        let mut field = json!({"name": "n", "type": "integer", "groupChar": "."});
        more.as_object().into_iter().flatten().for_each(|(name, value)| field[name] = value.clone());
        field
    };
    let counts = [
        "16 ribu",
        "3,5 juta",
        "3.500 juta",
        "16k jiwa",
        "25.0000",
        "19.5",
        "9.0",
        "0.0",
        "3.500.00",
        "10,000",
        "16 unit",
    ];
    let choice = json!({"name": "s", "type": "integer", "categories": [{"value": 1, "label": "Kuat"}, {"value": 2, "label": "Lemah"}],
        "constraints": {"enum": [1, 2]}});
    let sex = json!({"name": "jk", "type": "string", "constraints": {"enum": ["L", "P"]},
        "categories": [{"value": "L", "label": "Laki-laki"}, {"value": "P", "label": "Perempuan"}]});
    let bare_sex = json!({"name": "jk", "type": "string", "constraints": {"enum": ["L", "P"]}});
    let nik = json!({"name": "nik", "type": "string", "constraints": {"pattern": "[0-9]{16}"}});
    let zone = json!({"name": "w", "type": "datetime", "format": "%d %B %Y %H:%M%z", "satudata": {"bahasa": "id"}});
    let area = json!([{"name": "kode", "type": "string", "example": "64.02.05",
        "constraints": {"pattern": "[0-9]{2}(\\.[0-9]{2}){0,2}"}}]);
    let keys = json!({"foreignKeys": [{"fields": ["kode"], "reference":
        {"package": "urn:satudata:ref:wilayah@2025-1", "resource": "wilayah", "fields": ["kode"]}}]});
    let listed = contract(area, keys, json!({"delimiter": "\t", "quoteChar": "\u{1}"}));
    both(
        "suggestions",
        &[
            ("counts", cells(grouped(json!({})), &counts)),
            ("counts up to 50", cells(grouped(json!({"constraints": {"maximum": 50}})), &["9.0", "19.5", "51,0"])),
            ("a column in millions", cells(grouped(json!({"satudata": {"satuan": "juta rupiah"}})), &["16 juta"])),
            (
                "numbers",
                cells(
                    json!({"name": "n", "type": "number", "decimalChar": ","}),
                    &["3,5 juta", "0,25 ribu", "2,125 rb"],
                ),
            ),
            ("a choice", cells(choice, &["0.0", "1.0", "Lemah"])),
            ("labels", cells(sex, &["Perempuan", "laki-laki", "Wanita", "p", "X"])),
            ("no labels", cells(bare_sex, &["Perempuan", "Pria", "Putri"])),
            ("identity", cells(nik, &["640205410780001", "64020541078000", "64020541078000011"])),
            (
                "identity by format",
                cells(json!({"name": "n", "type": "string", "satudata": {"format": "nik"}}), &["640205410780001"]),
            ),
            ("leading zeros of a list", csv(&listed, "kode\n0\n4\n64.02.05 \n64.02.77 \n6402052001\n")),
            ("zone", cells(zone, &["20 Januari 2025 07:25", "20 Januari 2025 07:25 WITA", "20/01/2025 07:25"])),
        ],
    );
}

#[test]
fn the_label_of_the_file_is_named_where_it_is_not_the_title() {
    let fields = json!([
        {"name": "menara", "title": "Jumlah menara", "type": "integer", "satudata": {"alias": ["R705A"]}},
        {"name": "kode_desa", "title": "Kode desa", "type": "string", "constraints": {"required": true}},
    ]);
    let more = json!({"primaryKey": ["menara", "kode_desa"]});
    let report = csv(&contract(fields, more, json!({"delimiter": ","})), "R705A,kode_desa\nx,\n1,a\n1,a\n");
    let page = report.to_text(Lang::Id);
    assert!(page.contains("Kolom Jumlah menara («R705A» di berkas): Bukan bilangan bulat"), "{page}");
    assert!(page.contains("\nKolom Kode desa: Wajib diisi"), "{page}");
    assert!(page.contains("Kolom Jumlah menara, Kode desa («R705A, kode_desa» di berkas): Nilai kembar"), "{page}");
    assert!(report.to_text(Lang::En).contains("Column Jumlah menara (“R705A” in the file): Not a whole number"));
    let list = report.errors_csv(Lang::Id);
    assert!(list.contains("\n2,1,R705A,x,type-error,"), "{list}");
}

#[test]
fn a_null_key_is_counted_and_left_to_what_explains_it() {
    let fields = json!([{"name": "id", "type": "integer"}, {"name": "n", "type": "string"}]);
    let contract = contract(fields, json!({"primaryKey": ["id"]}), json!({"delimiter": ","}));
    let report = csv(&contract, "id,n\nx,a\n,\n");
    assert_eq!(report.stats.errors, 4);
    assert!(report.groups.iter().all(|group| group.implied == (group.kind == "primary-key")));
    let page = report.to_text(Lang::Id);
    assert!(page.starts_with("Tidak sah: 2 kesalahan.") && !page.contains("Kunci"), "{page}");
    let stored: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(stored, report);
    let page = csv(&contract, "id,n\n,a\n").to_text(Lang::Id);
    assert!(page.contains("Kunci utama kosong"), "{page}");
}

#[test]
fn a_header_is_spoken_of_once() {
    let fields = json!([
        {"name": "kode", "type": "string", "constraints": {"required": true}},
        {"name": "penduduk_p", "title": "Penduduk perempuan", "type": "integer", "satudata": {"alias": ["Perempuan"]}},
        {"name": "luas", "title": "Luas", "type": "number"},
    ]);
    let contract = contract(fields, json!({"fieldsMatch": "equal"}), json!({"delimiter": ","}));
    both(
        "renamed",
        &[
            ("a unit, other letters, a slip", csv(&contract, "KODE,Perempuan (jiwa),laus\na,1,2\n")),
            ("columns without labels", csv(&contract, "kode,,,,luas,penduduk_p,\na,,,,1,2,\n")),
            ("nothing known", csv(&contract, "1,2,3,4\n5,6,7,8\n")),
            ("below a title", csv(&contract, "Laporan,,\nkode,Perempuan,luas\na,1,2\n")),
            ("nothing known, landing", report(&contract, Format::Csv, b"1,2\n5,6\n", true)),
        ],
    );
}

#[test]
fn what_nobody_sees_is_named() {
    let code = json!({"name": "kode", "type": "string", "constraints": {"pattern": "[0-9]{2}"}});
    let report = csv(
        &contract(json!([code]), json!({}), json!({"delimiter": ";"})),
        "kode\n64 \n 64\n\u{a0}6\u{a0}4\n6\t4\n64\u{200b}\n\"6\n4\"\n6 4\n",
    );
    let said = |lang| report.errors.iter().map(|error| error.message(lang)).collect::<Vec<_>>();
    let id = [
        "«64 » tidak sesuai bentuk yang diminta (ada spasi di belakang).",
        "« 64» tidak sesuai bentuk yang diminta (ada spasi di depan).",
        "« 6 4» tidak sesuai bentuk yang diminta (ada spasi di depan, spasi tak terputus).",
        "«6 4» tidak sesuai bentuk yang diminta (ada tab).",
        "«64\\u{200b}» tidak sesuai bentuk yang diminta (ada karakter tak terlihat).",
        "«6↵4» tidak sesuai bentuk yang diminta (ada ganti baris).",
        "«6 4» tidak sesuai bentuk yang diminta.",
    ];
    assert_eq!(said(Lang::Id), id);
    let en = "“ 6 4” does not have the form that is asked for (it has a space in front, a no-break space).";
    assert_eq!(said(Lang::En)[2], en);
}

#[test]
fn rows_that_are_no_data_are_named_first() {
    let fields = json!([
        {"name": "no", "type": "integer"}, {"name": "kode", "type": "string", "constraints": {"required": true}},
        {"name": "nama", "type": "string"}, {"name": "n", "type": "integer", "constraints": {"required": true}},
    ]);
    let contract = contract(fields, json!({"primaryKey": ["kode"]}), json!({"delimiter": ";"}));
    let notes = "Catatan: angka sementara;;;\n".repeat(12);
    let text =
        format!("no;kode;nama;n\n(1);(2);(3);(4)\n1;64;Jumlah;5\n2;65;Total;x\n;;Jumlah;9\nno;kode;nama;n\n{notes}");
    let report = csv(&contract, &text);
    let said: Vec<&str> = report.notices.iter().map(|notice| notice.message.get(Lang::Id)).collect();
    assert_eq!(said.len(), 10);
    assert_eq!(said[0], "Baris 2 tampaknya penomoran kolom, bukan data: hapus baris itu.");
    assert_eq!(said[1], "Baris 5 tampaknya baris jumlah, bukan data: hapus baris itu.");
    assert_eq!(said[2], "Baris 6 tampaknya judul kolom yang terulang, bukan data: hapus baris itu.");
    assert_eq!(said[3], "Baris 7 tampaknya catatan atau tanda tangan, bukan data: hapus baris itu.");
    assert!(report.notices.iter().all(|notice| notice.code == "row-is-no-data"));
    assert_eq!(report.notices[1].message.get(Lang::En), "Row 5 seems to be a row of totals, not data: delete it.");
}

#[test]
fn words_about_rows_and_keys() {
    let fields = json!([
        {"name": "kode", "title": "Kode wilayah", "type": "string", "constraints": {"required": true}},
        {"name": "tahun", "type": "integer", "constraints": {"unique": true}},
        {"name": "induk", "type": "string"},
    ]);
    let more = json!({
        "primaryKey": ["kode"], "uniqueKeys": [["tahun", "induk"]],
        "foreignKeys": [
            {"fields": ["kode"], "reference": {"package": "urn:satudata:ref:wilayah@2025-1", "resource": "wilayah", "fields": ["kode"]}},
            {"fields": ["induk"], "reference": {"resource": "", "fields": ["kode"]}},
        ],
    });
    let contract = contract(fields, more, json!({"delimiter": ","}));
    let rows = "kode,tahun,induk\n64.02.05,1,\n64.02.05,1,\n,2,\n6402052001,3,\n64.02.05.2091,4,\nSalo Palai,5,\n99,6,64.02.05.2001\n64.02.05.2001,7,x,y,z\n\n\n64.02.05.2002,8\n\n";
    let lines = b"{\"kode\":\"64.02.05\",\"tahun\":1,\"induk\":null}\n{\"kode\":\"64.02.05.2001\",\"tahun\":2,\"induk\":null,\"thaun\":3}\n{\"kode\" 1}\n{\"kode\":\"64.02.05.2002\",\"kode\":\"x\",\"tahun\":9,\"induk\":null}\n[1]\n";
    both("rows", &[("rows", csv(&contract, rows)), ("ndjson", report(&contract, Format::Ndjson, lines, false))]);
}

#[test]
fn words_about_headers() {
    let fields = json!([
        {"name": "kode", "type": "string", "constraints": {"required": true}},
        {"name": "jumlah_penduduk", "title": "Jumlah penduduk", "type": "integer"},
        {"name": "tahun", "type": "integer"},
    ]);
    let with = |mode: &str| contract(fields.clone(), json!({"fieldsMatch": mode}), json!({"delimiter": ","}));
    let equal = with("equal");
    both(
        "headers",
        &[
            ("other delimiter", csv(&equal, "kode;jumlah_penduduk;tahun\n1;2;3\n")),
            ("near labels", csv(&equal, "KODE,Jumlah Penduduk,thn,tahunn\n1,2,3,4\n")),
            ("twice and blank", csv(&equal, "kode,kode,,jumlah_penduduk,tahun\n1,2,3,4,5\n")),
            ("order", csv(&with("exact"), "kode,tahun,jumlah_penduduk,lebih\n1,2,3,4\n")),
            ("too few", csv(&with("exact"), "kode\n1\n")),
            ("none known", csv(&with("partial"), "a,b\n1,2\n")),
            ("landing", report(&equal, Format::Csv, b"kode,tahun\n1,2\n", true)),
        ],
    );
}

#[test]
fn words_about_whole_files() {
    let contract = contract(json!([{"name": "n", "type": "integer"}]), json!({}), json!({"delimiter": ","}));
    let of = |format, bytes: &[u8]| report(&contract, format, bytes, true);
    let wide = format!("n{}\n", ",x".repeat(40));
    let fields = json!([{"name": "n", "type": "integer"}, {"name": "Luas (km\u{b2})", "type": "integer"}]);
    let one_byte = encoded(fields, "windows-1252");
    both(
        "files",
        &[
            ("encoding", of(Format::Csv, b"n\n1\n\xc3\xb1 Caf\xe9\n")),
            ("encoding detected", of(Format::Csv, b"n\n1\nCaf\xe9\n")),
            ("workbook", of(Format::Csv, b"PK\x03\x04\x14\0\x06\0\x08\0[Content_Types].xml \xe9\0")),
            ("old workbook", of(Format::Json, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0")),
            ("web page", of(Format::Csv, b"<html><body><table>\n<tr><td>n\n")),
            ("pdf", report(&contract, Format::Csv, b"%PDF-1.7\n\xe2\xe3", false)),
            ("archive", of(Format::Ndjson, b"PK\x03\x04\x14\0data.csv")),
            ("utf-8 after all", csv(&one_byte, "n;Luas (km\u{b2})\n1;2\n")),
            ("nul", of(Format::Csv, b"n\n1\n\0\n")),
            ("empty", of(Format::Csv, b"")),
            ("quote", of(Format::Csv, b"n\n1\n\"2\n3\n")),
            ("cell", of(Format::Csv, format!("n\n{}\n", "1".repeat(500)).as_bytes())),
            ("columns", of(Format::Csv, wide.as_bytes())),
            ("json", of(Format::Json, b"{\"a\": [1,\n 2")),
            ("json, no array", of(Format::Json, b"{\"a\": 1}")),
            ("valid", of(Format::Csv, b"n\n1\n")),
            ("no row", of(Format::Csv, b"n\n")),
            ("too wide", report(&contract, Format::Csv, b"n\n9223372036854775808\n", false)),
            ("many", of(Format::Csv, format!("n\n{}", "x\n1\n".repeat(1500)).as_bytes())),
        ],
    );
}

#[test]
fn a_label_that_may_be_a_person_is_not_kept() {
    let fields = json!([
        {"name": "nama", "type": "string", "satudata": {"dataPribadi": {"jenis": "umum"}}},
        {"name": "tahun", "type": "integer"},
    ]);
    let contract = contract(fields, json!({"fieldsMatch": "equal"}), json!({"delimiter": ","}));
    let stored = csv(&contract, "KENARI RAHASIA,Thaun\nA,1\n").for_storage();
    let text = serde_json::to_string(&stored).unwrap();
    assert!(!text.contains("KENARI"), "{text}");
    assert!(text.contains("Thaun"), "a label that is near to a field is told");
}

#[test]
fn no_word_of_a_parser_is_in_indonesian_text() {
    let contract = contract(json!([{"name": "n", "type": "integer"}]), json!({}), json!({"delimiter": ","}));
    for (format, bytes) in
        [(Format::Json, &b"{\"n\": tru"[..]), (Format::Ndjson, b"{\"n\": 1\n\"6403\"\n{\"n\":\"\\ud800\"}\n")]
    {
        let text = report(&contract, format, bytes, true).to_text(Lang::Id);
        for word in ["expected", "EOF", " at line", "column", "invalid", "6403", "string"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
}

#[test]
fn bad_rows_make_a_file_that_is_read_like_the_first() {
    let fields = json!([{"name": "kode", "type": "string"}, {"name": "n", "type": "integer"}]);
    let dialect = json!({"delimiter": ";", "headerRows": [3], "commentChar": "#"});
    let contract = contract(fields, json!({}), dialect);
    let text = "JUDUL;\n# catatan\nkode;n\na;1\n\"b;\nb\";x\nc;y\nd;4\n";
    let mut validator = Validator::new(contract.clone(), Format::Csv, Limits::default());
    validator.push(text.as_bytes()).unwrap();
    validator.settle().unwrap();
    let news = validator.news(0, 10);
    assert_eq!((news.rows, news.bad_rows, news.errors.len()), (4, 2, 2));
    assert_eq!(validator.news(1, 10).errors[0].row, Some(6));
    validator.finish().unwrap();
    let head = validator.header_text().to_owned();
    assert_eq!(head, "JUDUL;\n#\nkode;n\n");
    let rows = validator.take_rejected();
    let file = RejectedCsv::new(&contract);
    let mut bytes = file.head(&head);
    rows.iter().for_each(|row| bytes.extend(file.row(&row.raw)));
    let again = report(&contract, Format::Csv, &bytes, true);
    assert_eq!((again.stats.rows, again.rows_refused, again.stats.errors), (2, 2, 2));
    assert_eq!(again.errors[0].row, Some(4));
    let mut records = Records::new(&contract, &head);
    assert_eq!(records.cells(&head), ["kode", "n"]);
    assert_eq!(records.cells(&rows[0].raw), ["b;\nb", "x"]);
    assert_eq!(records.cells(&rows[1].raw), ["c", "y"]);
    assert!(records.cells("\"").is_empty());
}
