//! The engine as its callers see it.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::*;

const V2: &str = "https://datapackage.org/profiles/2.0/datapackage.json";

fn package(schema: &Value, satudata: &Value) -> Value {
    json!({
        "$schema": V2, "name": "uji", "version": "1.0.0", "satudata": satudata,
        "resources": [{"name": "data", "path": "data.csv", "schema": schema}],
    })
}

fn contract(schema: &Value) -> Arc<Contract> {
    Arc::new(Contract::compile(&package(schema, &json!({})), &NoReferences).unwrap())
}

fn fields(fields: &Value) -> Arc<Contract> {
    contract(&json!({"fieldsMatch": "superset", "fields": fields}))
}

struct Checked {
    rows: RecordBatch,
    rejected: Vec<(u64, String)>,
    report: Report,
}

fn check_with(contract: &Arc<Contract>, format: Format, limits: Limits, bytes: &[u8], piece: usize) -> Checked {
    let mut validator = Validator::new(Arc::clone(contract), format, limits);
    let mut batches = Vec::new();
    let mut rejected = Vec::new();
    let mut result = Ok(());
    for chunk in bytes.chunks(piece.max(1)) {
        result = validator.push(chunk);
        batches.extend(validator.take_batches());
        rejected.extend(validator.take_rejected());
        if result.is_err() {
            break;
        }
    }
    let end = validator.finish();
    assert!(result.is_ok() || end.is_err(), "a fatal error stays");
    batches.extend(validator.take_batches());
    rejected.extend(validator.take_rejected());
    let rows: Vec<RecordBatch> = batches.into_iter().map(|batch| batch.rows).collect();
    let rows = concat_batches(contract.arrow_schema(), &rows).unwrap();
    let rejected = rejected.into_iter().map(|row| (row.row, row.raw)).collect();
    Checked { rows, rejected, report: validator.into_report() }
}

fn check(contract: &Arc<Contract>, format: Format, text: &str) -> Checked {
    check_with(contract, format, Limits::default(), text.as_bytes(), usize::MAX)
}

fn kinds(report: &Report) -> Vec<(Option<u64>, Option<u64>, String)> {
    report.errors.iter().map(|error| (error.row, error.field_number, error.kind.to_string())).collect()
}

fn column(rows: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let array = rows.column_by_name(name).unwrap();
    (0..rows.num_rows()).map(|row| canonical_text(array, row)).collect()
}

fn texts(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

#[test]
fn good_rows_come_out_typed_and_bad_ones_as_they_were() {
    let contract = fields(&json!([
        {"name": "kode", "type": "string", "constraints": {"required": true}},
        {"name": "n", "type": "integer", "constraints": {"minimum": 0}},
    ]));
    let checked = check(&contract, Format::Csv, "kode,n\na,1\n\"b\nb\",x\n,3\nd,-4\ne,5\n");
    assert_eq!(column(&checked.rows, "kode"), texts(&["a", "e"]));
    assert_eq!(column(&checked.rows, "n"), texts(&["1", "5"]));
    let rejected: Vec<(u64, &str)> = checked.rejected.iter().map(|(row, raw)| (*row, raw.as_str())).collect();
    assert_eq!(rejected, [(3, "\"b\nb\",x"), (4, ",3"), (5, "d,-4")]);
    assert_eq!((checked.report.rows_accepted, checked.report.rows_refused, checked.report.stats.errors), (2, 3, 3));
    assert_eq!(checked.report.counts().total, 5);
    assert!(!checked.report.valid);
    assert!(checked.report.to_text(Lang::Id).contains("Kolom n: Bukan bilangan bulat, 1 sel (baris 3)"));
}

#[test]
fn counts_are_exact_when_only_a_few_errors_are_detailed() {
    let contract = fields(&json!([{"name": "n", "type": "integer"}]));
    let text = format!("n\n{}", "x\n".repeat(5000));
    let limits = Limits { errors: 10, batch_rows: 7, ..Limits::default() };
    let report = check_with(&contract, Format::Csv, limits, text.as_bytes(), 1000).report;
    assert_eq!((report.errors.len(), report.stats.errors, report.rows_refused), (10, 5000, 5000));
    assert_eq!((report.groups.len(), report.groups[0].count), (1, 5000));
    assert_eq!(report.groups[0].rows, [2, 3, 4, 5, 6]);
}

#[test]
fn what_64_bits_cannot_hold_is_refused_for_landing_and_noticed_in_a_check() {
    let contract = fields(&json!([{"name": "n", "type": "integer"}, {"name": "x", "type": "number"}]));
    let text = "n,x\n9223372036854775808,1\n1,1e400\n-9223372036854775808,INF\n";
    let landed = check(&contract, Format::Csv, text);
    assert_eq!(kinds(&landed.report).len(), 2);
    assert!(landed.report.errors[0].hint(Lang::En).unwrap().contains("Identifiers are text"));
    assert_eq!(column(&landed.rows, "n"), texts(&["-9223372036854775808"]));
    let mut validator = Validator::for_check(contract, Format::Csv, Limits::default());
    validator.push(text.as_bytes()).unwrap();
    validator.finish().unwrap();
    let report = validator.into_report();
    assert!(report.valid);
    assert_eq!(report.notices[0].code, "beyond-64-bit");
}

#[test]
fn a_file_that_cannot_be_read_says_where() {
    let contract = fields(&json!([{"name": "a"}, {"name": "b"}]));
    let limits = Limits { cell_bytes: 100, row_bytes: 150, columns: 5, ..Limits::default() };
    let long = format!("a,b\n1,{}", "x".repeat(101));
    let wide = format!("a,b\n{}\n", ",".repeat(5));
    let row = format!("a,b\n{},{},\n", "x".repeat(90), "y".repeat(90));
    for (bytes, kind, detail, place) in [
        (&b"a,b\n1,2\n3,\"4\n"[..], "source-error", "quote", (Some(3), Some(2), None)),
        (b"a,b\n1,2\n3,4\0\n", "source-error", "nul", (Some(3), None, Some(11))),
        (b"a,b\n\xc3\xa9,Caf\xe9\n", "encoding-error", "encoding", (Some(2), None, Some(10))),
        (b"a,b\n1,Caf\x8f\n", "encoding-error", "encoding", (Some(2), None, Some(9))),
        (b"", "source-error", "empty", (None, None, None)),
        (b"a,c\n1,2\n", "header-error", "header", (None, None, None)),
        (long.as_bytes(), "limit-error", "cell", (Some(2), Some(2), None)),
        (wide.as_bytes(), "limit-error", "columns", (Some(2), None, None)),
        (row.as_bytes(), "limit-error", "row", (Some(2), None, None)),
    ] {
        for piece in [1, 3, usize::MAX] {
            let report = check_with(&contract, Format::Csv, limits, bytes, piece).report;
            let fatal = report.fatal.clone().unwrap_or_else(|| panic!("{detail}: {report:?}"));
            assert_eq!((&*fatal.kind, &*fatal.detail), (kind, detail));
            assert_eq!((fatal.row, fatal.column, fatal.byte), place, "{detail}");
            assert!(!report.valid);
            assert!(report.to_text(Lang::Id).contains(&*fatal.message.id));
        }
    }
}

#[test]
fn a_file_in_windows_1252_or_utf16_is_read_as_such_and_the_report_says_so() {
    let open = fields(&json!([{"name": "a", "type": "integer"}, {"name": "nama désa"}]));
    let utf16: Vec<u8> = "a;nama désa\n1;Peñas\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, name, at) in [
        (&b"a;nama d\xe9sa\n1;Pe\xf1as\n"[..], "windows-1252", "row 1"),
        (&utf16, "UTF-16LE", "as UTF-16LE."),
        (&[&[0xff, 0xfe], utf16.as_slice()].concat(), "UTF-16LE", "as UTF-16LE."),
    ] {
        for piece in [1, 3, usize::MAX] {
            let checked = check_with(&open, Format::Csv, Limits::default(), bytes, piece);
            let report = checked.report;
            assert!(report.valid && report.rows_accepted == 1, "{report:?}");
            let notices: Vec<_> = report.notices.iter().filter(|notice| notice.code == "encoding-detected").collect();
            let [notice] = notices[..] else { panic!("{:?}", report.notices) };
            assert!(notice.message.en.contains(name) && notice.message.en.contains(at), "{notice:?}");
        }
    }
    // Once an encoding is named, by the contract or by the sender, nothing is looked for.
    let mut package = json!({"name": "p", "resources": [{"name": "r", "path": "r.csv", "encoding": "utf-8",
        "schema": {"fields": [{"name": "a"}]}}]});
    for (named, valid) in [("utf-8", false), ("ascii", false), ("windows-1252", true)] {
        package["resources"][0]["encoding"] = json!(named);
        let contract = Arc::new(Contract::compile(&package, &NoReferences).unwrap());
        for (told, valid) in [(None, valid), (Some("windows-1252"), true), (Some("utf-8"), false)] {
            let mut validator = Validator::new(Arc::clone(&contract), Format::Csv, Limits::default());
            if let Some(told) = told {
                validator = validator.in_encoding(TextEncoding::named(told).unwrap());
            }
            let done = validator.push(b"a\nCaf\xe9\n").and_then(|()| validator.finish());
            assert_eq!(done.is_ok(), valid, "{named}, {told:?}");
            if let Err(fatal) = done {
                let hint = fatal.hint.unwrap();
                assert!(hint.en.contains("--encoding windows-1252"), "{hint:?}");
            }
        }
    }
}

#[test]
fn a_header_below_titles_is_found_and_named() {
    let contract = fields(&json!([{"name": "kode"}, {"name": "nama"}, {"name": "jumlah", "type": "integer"}]));
    for (bytes, row) in [
        (&b"Data penduduk;;\n;;\nkode;nama;jumlah\n01;Loa;1\n"[..], Some(3)),
        (b"Data penduduk\nkode,\"nama\",jumlah\n01,Loa,1\n", Some(2)),
        (b"kode,nama,jml\n01,Loa,1\n02,Tenggarong,2\n", None),
        (b"a,b,c\nkode,x,y\n", None),
    ] {
        for piece in [1, usize::MAX] {
            for land in [true, false] {
                let make = if land { Validator::new } else { Validator::for_check };
                let mut validator = make(Arc::clone(&contract), Format::Csv, Limits::default());
                let pushed = bytes.chunks(piece.min(bytes.len())).try_for_each(|chunk| validator.push(chunk));
                let ended = pushed.and_then(|()| validator.finish());
                assert_eq!(ended.err().map(|fatal| fatal.kind), land.then(|| "header-error".into()));
                let report = validator.into_report();
                let found = report.notices.iter().find(|notice| notice.code == "header-below");
                let words = row.map(|row| format!("row {row}."));
                assert_eq!(found.is_some(), row.is_some(), "{report:?}");
                assert!(found.zip(words).is_none_or(|(notice, words)| notice.message.en.contains(&words)));
            }
        }
    }
}

#[test]
fn a_check_goes_on_where_a_delivery_would_be_refused_and_says_so() {
    let contract = fields(&json!([{"name": "a", "type": "integer"}, {"name": "b"}]));
    for (bytes, code, row, rows, errors) in [
        (&b"a,b\n1,x\0y\n2,z\0\nq,1\n"[..], "nul-character", "row 2", 3, vec![(Some(4), Some(1), "type-error")]),
        (b"a\0,b\n1,2\n", "nul-character", "row 1", 1, vec![(None, Some(1), "extra-label")]),
        (b"a,b\n1,2\n2,\"4\n5,6\n", "quote-never-closed", "row 3, column 2", 2, vec![]),
        (b"b,\"a\nx", "quote-never-closed", "row 1, column 2", 0, vec![(None, Some(2), "extra-label")]),
    ] {
        for piece in [1, 3, usize::MAX] {
            let mut validator = Validator::for_check(Arc::clone(&contract), Format::Csv, Limits::default());
            bytes.chunks(piece.min(bytes.len())).for_each(|chunk| validator.push(chunk).unwrap());
            validator.finish().unwrap();
            let report = validator.into_report();
            let expected: Vec<_> =
                errors.iter().map(|(row, column, kind)| (*row, *column, (*kind).to_owned())).collect();
            assert_eq!(kinds(&report), expected, "{code} {row}");
            assert_eq!((&*report.notices[0].code, report.notices.len(), report.stats.rows), (code, 1, rows));
            assert!(report.notices[0].message.en.contains(row), "{}", report.notices[0].message.en);
            assert_eq!(report.valid, errors.is_empty());
        }
    }
    // The delimiter is still unknown where the NUL stands: under some of them the header goes on.
    for land in [false, true] {
        let make = if land { Validator::new } else { Validator::for_check };
        let place = |piece: usize| {
            let mut validator = make(Arc::clone(&contract), Format::Csv, Limits::default());
            let _ = b"a,\"b\nx\",;\"\n1,2\n3,\0\n4,5\n".chunks(piece).try_for_each(|chunk| validator.push(chunk));
            let _ = validator.finish();
            let report = validator.into_report();
            let notice = report.notices.iter().find(|notice| notice.code == "nul-character");
            notice.map_or_else(
                || report.fatal.clone().unwrap().message.en.to_string(),
                |notice| notice.message.en.to_string(),
            )
        };
        let whole = place(usize::MAX);
        assert!((1..30).all(|piece| place(piece) == whole), "{whole}");
    }
    // Bytes behind a NUL are still checked: no text stays no text.
    let mut validator = Validator::for_check(contract, Format::Csv, Limits::default());
    assert_eq!(validator.push(b"a,b\n1,\0\n2,\x81\n").unwrap_err().kind, "encoding-error");
}

#[test]
fn keys_know_the_first_row_and_references_to_the_table_itself_wait_for_its_end() {
    let contract = contract(&json!({
        "fields": [{"name": "id", "type": "integer"}, {"name": "induk", "type": "integer"}],
        "primaryKey": ["id"],
        "foreignKeys": [{"fields": ["induk"], "reference": {"fields": ["id"]}}],
    }));
    let limits = Limits { batch_rows: 1, ..Limits::default() };
    let text = "id,induk\n1,3\n2,9\n01,\n3,1\n,1\nx,1\n";
    let checked = check_with(&contract, Format::Csv, limits, text.as_bytes(), 5);
    let report = &checked.report;
    let found: Vec<(u64, &str)> = report.errors.iter().map(|error| (error.row.unwrap(), &*error.kind)).collect();
    let expected = [(3, "foreign-key"), (4, "primary-key"), (6, "primary-key"), (7, "primary-key"), (7, "type-error")];
    assert_eq!(found, expected);
    assert!(report.errors[1].message(Lang::Id).contains("baris 2"));
    assert_eq!((report.late_errors, report.rows_accepted, report.rows_refused), (1, 2, 4));
}

struct Lists;

impl References for Lists {
    fn table(&self, wanted: &Wanted<'_>) -> Option<Arc<ReferenceTable>> {
        let mut table = ReferenceTable::new(&["kode", "nama"]);
        table.push(&[Some("64.02"), Some("Kutai Kartanegara")]);
        table.push(&[Some("64.03"), Some("Berau")]);
        (wanted.package == Some("urn:satudata:ref:wilayah@2025-1")).then(|| Arc::new(table))
    }
}

#[test]
fn an_unknown_code_gets_the_nearest_one_proposed() {
    let schema = json!({
        "fields": [{"name": "kode", "type": "string"}],
        "foreignKeys": [{"fields": ["kode"], "reference": {"package": "urn:satudata:ref:wilayah@2025-1", "resource": "wilayah", "fields": ["kode"]}}],
    });
    let contract = Arc::new(Contract::compile(&package(&schema, &json!({})), &Lists).unwrap());
    let report = check(&contract, Format::Csv, "kode\n64.02\n6402\n99\n\"\"\"\"\n").report;
    assert_eq!(report.errors.len(), 3);
    assert_eq!(report.errors[0].message(Lang::Id), "«6402» tidak ada di daftar wilayah versi 2025-1.");
    assert_eq!(report.errors[0].hint(Lang::Id).unwrap(), "Maksud Anda 64.02 – Kutai Kartanegara?");
    assert_eq!(report.errors[1].hint(Lang::Id).unwrap(), "Cari kode yang benar di daftar wilayah versi 2025-1.");
    let errors = Contract::compile(&package(&schema, &json!({})), &NoReferences).unwrap_err();
    assert_eq!(errors[0].kind, "reference-error");
}

#[test]
fn an_undeclared_delimiter_is_detected_and_said() {
    let contract = fields(&json!([{"name": "id", "type": "integer"}, {"name": "nama"}]));
    for mark in [";", "\t", "|"] {
        for piece in [1, usize::MAX] {
            let text = format!("id{mark}nama\n1{mark}a,b\n");
            let checked = check_with(&contract, Format::Csv, Limits::default(), text.as_bytes(), piece);
            assert!(checked.report.valid, "{mark}");
            assert_eq!(checked.report.notices[0].code, "delimiter-detected");
            assert_eq!(column(&checked.rows, "nama"), texts(&["a,b"]));
        }
    }
}

#[test]
fn objects_are_read_by_name_and_what_is_no_object_is_one_bad_row() {
    let contract = fields(&json!([
        {"name": "id", "type": "integer"},
        {"name": "nama", "type": "string", "satudata": {"alias": ["nama_lama"]}},
        {"name": "d", "type": "object"},
    ]));
    let deep = format!("{{\"id\":1,\"d\":{}1{}}}", "{\"a\":".repeat(65), "}".repeat(65));
    let text = [
        r#"{"nama":"a\n\u00e9","id":1,"d":{"b":1,"a":[2]}}"#,
        "",
        r#"{"id":"2","nama_lama":"b"}"#,
        r#"{"id":2.5}"#,
        r#"{"id":3,"nama":5}"#,
        r#"{"id":3,"id":4}"#,
        r#"{"id":3,"lain":4}"#,
        r#"{"nama":"\ud800"}"#,
        r#"{"nama":"\u0000"}"#,
        "[1]",
        r#"{"id":1} x"#,
        &deep,
        r#"{"id":3e0,"nama":null}"#,
    ]
    .join("\n");
    for piece in [1, 7, usize::MAX] {
        let checked = check_with(&contract, Format::Ndjson, Limits::default(), text.as_bytes(), piece);
        assert_eq!(column(&checked.rows, "id"), texts(&["1", "2", "3"]));
        assert_eq!(column(&checked.rows, "nama"), [Some("a\né".to_owned()), Some("b".to_owned()), None]);
        assert_eq!(column(&checked.rows, "d")[0].as_deref(), Some(r#"{"a":[2],"b":1}"#));
        let found: Vec<(u64, &str)> =
            checked.report.errors.iter().map(|error| (error.row.unwrap(), &*error.kind)).collect();
        let expected = [
            (4, "type-error"),
            (5, "type-error"),
            (6, "duplicate-label"),
            (7, "extra-cell"),
            (8, "source-error"),
            (9, "source-error"),
            (10, "source-error"),
            (11, "source-error"),
            (12, "source-error"),
        ];
        assert_eq!(found, expected);
        assert_eq!(checked.rejected.last(), Some(&(12, deep.clone())));
    }
}

#[test]
fn a_json_document_holds_objects_or_arrays() {
    let contract = fields(&json!([{"name": "id", "type": "integer"}, {"name": "nama"}]));
    for text in [r#"[{"id":1,"nama":"a"},{"nama":"b","id":"2"}]"#, r#"[["nama","id"],["a",1],["b",2]]"#] {
        let checked = check(&contract, Format::Json, text);
        assert!(checked.report.valid, "{:?}", checked.report);
        assert_eq!(column(&checked.rows, "id"), texts(&["1", "2"]));
        assert_eq!(column(&checked.rows, "nama"), texts(&["a", "b"]));
    }
    let report = check(&contract, Format::Json, r#"[["id","nama"],[1],[2,"b","c"],["x","d"]]"#).report;
    let expected =
        [(Some(2), Some(2), "missing-cell"), (Some(3), Some(3), "extra-cell"), (Some(4), Some(1), "type-error")];
    assert_eq!(kinds(&report), expected.map(|(row, column, kind)| (row, column, kind.to_owned())));
    for text in ["", "{", "{}", "[1,", "7"] {
        assert!(check(&contract, Format::Json, text).report.fatal.is_some(), "{text:?}");
    }
}

#[test]
fn the_satudata_properties_decide_what_becomes_of_deliveries() {
    use simpul_core::delivery::Mode;
    let schema = json!({"fields": [{"name": "tahun", "type": "year"}, {"name": "n", "type": "integer"}]});
    let compile = |satudata: Value| Contract::compile(&package(&schema, &satudata), &NoReferences);
    let plain = compile(json!({})).unwrap();
    assert_eq!((plain.mode(), plain.policy(), plain.sifat()), (Mode::Append, Policy::Refuse, Sifat::Restricted));
    let replace =
        compile(json!({"moda": "ganti", "periode": "tahun", "kebijakan": "karantina", "sifat": "terbuka"})).unwrap();
    assert_eq!((replace.mode(), replace.period_field()), (Mode::Replace, Some("tahun")));
    assert_eq!((replace.policy(), replace.sifat()), (Policy::Quarantine, Sifat::Open));
    let checked = check(&Arc::new(replace), Format::Csv, "tahun,n\n,1\n2024,2\n");
    assert_eq!(checked.report.errors[0].constraint.as_deref(), Some("required"));
    for wrong in [
        json!({"moda": "ganti"}),
        json!({"periode": "x"}),
        json!({"moda": "upsert"}),
        json!({"sifat": 1}),
        json!({"kebijakan": "?"}),
    ] {
        assert!(compile(wrong).is_err());
    }
}

#[test]
fn personal_values_are_marked_in_every_kind_of_error() {
    let contract = contract(&json!({
        "fieldsMatch": "superset",
        "fields": [{"name": "nik", "type": "string", "constraints": {"pattern": "[0-9]{16}"}, "satudata": {"dataPribadi": {"jenis": "umum"}}}],
        "primaryKey": ["nik"],
    }));
    let report =
        check(&contract, Format::Csv, "nik\n6403RAHASIA\n6403010101010001\n6403010101010001\n1,6403EXTRA\n").report;
    assert_eq!(report.errors.len(), 4);
    assert!(report.errors.iter().all(|error| error.personal));
    let stored = serde_json::to_string(&report.for_storage()).unwrap();
    assert!(!stored.contains("6403"), "{stored}");
    assert!(report.to_text(Lang::Id).contains("6403RAHASIA"));
}

#[test]
fn times_with_a_zone_are_instants_and_others_stay_wall_clocks() {
    let contract = fields(&json!([
        {"name": "a", "type": "datetime"},
        {"name": "b", "type": "datetime", "format": "%d/%m/%Y %H:%M%z"},
        {"name": "c", "type": "datetime", "satudata": {"zonaWaktu": "WITA"}},
        {"name": "d", "type": "datetime", "format": "%d/%m/%Y %H:%M"},
    ]));
    let checked = check(
        &contract,
        Format::Csv,
        "a,b,c,d\n2024-01-05T09:15:00,05/01/2024 09:15+0800,2024-01-05T09:15:00,05/01/2024 09:15\n",
    );
    assert_eq!(column(&checked.rows, "a"), texts(&["2024-01-05T09:15:00"]));
    assert_eq!(column(&checked.rows, "b"), texts(&["2024-01-05T01:15:00Z"]));
    assert_eq!(column(&checked.rows, "c"), texts(&["2024-01-05T01:15:00Z"]));
    assert_eq!(column(&checked.rows, "d"), texts(&["2024-01-05T09:15:00"]));
}

#[test]
fn the_report_proposes_the_corrected_value() {
    let contract = fields(&json!([
        {"name": "n", "type": "integer"},
        {"name": "x", "type": "number", "decimalChar": ","},
        {"name": "t", "type": "date", "format": "%d/%m/%Y"},
        {"name": "p", "type": "string", "categories": [{"value": "L", "label": "Laki-laki"}, {"value": "P", "label": "Perempuan"}]},
    ]));
    let report = check(&contract, Format::Csv, "n,x,t,p\n1.200,8.45,2024-01-05,laki-laki\n").report;
    let fixed: Vec<&str> = report.errors.iter().filter_map(|error| error.fixed.as_deref()).collect();
    assert_eq!(fixed, ["1200", "8,45", "05/01/2024", "L"]);
}

#[test]
fn version_1_has_no_exclusive_bounds_and_silence_means_version_1() {
    let mut descriptor = package(
        &json!({"fields": [{"name": "n", "type": "integer", "constraints": {"exclusiveMinimum": 0}}]}),
        &json!({}),
    );
    assert!(Contract::compile(&descriptor, &NoReferences).is_ok());
    for (profile, good) in
        [("https://datapackage.org/profiles/1.0/datapackage.json", false), ("https://example.id/profil-2.json", true)]
    {
        descriptor["$schema"] = json!(profile);
        assert_eq!(Contract::compile(&descriptor, &NoReferences).is_ok(), good, "{profile}");
    }
    descriptor.as_object_mut().unwrap().remove("$schema");
    assert_eq!(
        Contract::compile(&descriptor, &NoReferences).unwrap_err()[0].path,
        "/resources/0/schema/fields/0/constraints/exclusiveMinimum"
    );
}

#[test]
fn the_standards_that_ship_compile_and_their_samples_are_what_they_claim() {
    let load = |_: &str| None;
    for standard in standard::contracts() {
        let descriptor: Value = serde_json::from_str(standard.descriptor).unwrap();
        for file in standard.samples {
            let mut bytes = file.bytes;
            let outcome = validate_package(&descriptor, Ok(&mut bytes), &load, Limits::default());
            assert_eq!(outcome.descriptor_errors, [], "{}", standard.name);
            let dirty = file.path.contains("kotor");
            assert_eq!(
                outcome.exit,
                u8::from(dirty),
                "{} {}: {}",
                standard.name,
                file.path,
                outcome.report.to_text(Lang::Id)
            );
        }
    }
}

/// A contract with every type.
fn every_type() -> Arc<Contract> {
    fields(&json!([
        {"name": "s", "type": "string", "missingValues": ["", "-", "NaN"]},
        {"name": "n", "type": "number", "decimalChar": ",", "groupChar": ".", "missingValues": ["", "NaN"]},
        {"name": "i", "type": "integer", "groupChar": "."},
        {"name": "b", "type": "boolean", "trueValues": ["ya"], "falseValues": ["tidak"]},
        {"name": "d", "type": "date", "format": "%d %B %Y"},
        {"name": "d0", "type": "date"},
        {"name": "t", "type": "time", "format": "%H.%M"},
        {"name": "dt", "type": "datetime"},
        {"name": "dz", "type": "datetime", "format": "%d/%m/%Y %H:%M:%S%z"},
        {"name": "dw", "type": "datetime", "format": "%d/%m/%Y %H:%M", "satudata": {"zonaWaktu": "+08:00"}},
        {"name": "dl", "type": "datetime", "format": "%d/%m/%Y %H:%M"},
        {"name": "y", "type": "year"},
        {"name": "ym", "type": "yearmonth"},
        {"name": "du", "type": "duration"},
        {"name": "o", "type": "object"},
        {"name": "a", "type": "array"},
        {"name": "l", "type": "list", "itemType": "integer", "delimiter": ";"},
        {"name": "g", "type": "geopoint"},
        {"name": "ga", "type": "geopoint", "format": "array"},
        {"name": "gj", "type": "geojson"},
        {"name": "any"},
    ]))
}

fn values() -> impl Strategy<Value = Vec<String>> {
    let maybe = |values: Vec<&'static str>| prop_oneof![3 => prop::sample::select(values).prop_map(str::to_owned), 1 => Just(String::new())];
    let columns = vec![
        prop_oneof!["\\PC{0,6}", Just("a\nb\"\t\u{1f469}".to_owned()), Just("-".to_owned())].boxed(),
        prop_oneof![
            any::<i32>().prop_map(|n| format!("{},{:02}", n / 100, n.unsigned_abs() % 100)),
            Just("nan".to_owned()),
            Just("-INF".to_owned()),
            Just("1e-7".to_owned()),
            Just("1e300".to_owned())
        ]
        .boxed(),
        prop_oneof![any::<i64>().prop_map(|n| n.to_string()), Just("1.000".to_owned())].boxed(),
        maybe(vec!["ya", "tidak"]).boxed(),
        maybe(vec!["5 January 2024", "29 February 2024", "01 may 0999"]).boxed(),
        maybe(vec!["2024-01-05", "0001-01-01", "9999-12-31"]).boxed(),
        maybe(vec!["9.5", "23.59", "00.00"]).boxed(),
        maybe(vec!["2024-01-26T15:00:00", "2024-01-26T15:00:00.300-05:00", "2024-01-26T24:00:00Z"]).boxed(),
        maybe(vec!["05/01/2024 09:15:30+0800", "01/01/1900 00:00:00Z"]).boxed(),
        maybe(vec!["05/01/2024 09:15", "01/01/1960 03:00"]).boxed(),
        maybe(vec!["05/01/2024 09:15", "31/12/1999 23:59"]).boxed(),
        maybe(vec!["2024", "0000", "9999"]).boxed(),
        maybe(vec!["2024-01", "0001-12"]).boxed(),
        maybe(vec!["P1Y2M", "-PT1.5S", "P1DT"]).boxed(),
        maybe(vec!["{\"b\":1.0,\"a\":[\"\\u00e9\"]}", "{}"]).boxed(),
        maybe(vec!["[1,{\"x\":null}]", "[]"]).boxed(),
        maybe(vec!["1;2;-3", "7"]).boxed(),
        maybe(vec!["117.15, -0.50", "0,0"]).boxed(),
        maybe(vec!["[117.15, -0.5]"]).boxed(),
        maybe(vec!["{\"type\":\"Point\",\"coordinates\":[117.1,-0.5]}"]).boxed(),
        maybe(vec!["1", "teks", "{\"a\":1}", " "]).boxed(),
    ];
    columns
}

fn csv(rows: &[Vec<String>], contract: &Contract) -> String {
    let quote = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
    let names: Vec<&str> = contract.fields().iter().map(Field::name).collect();
    let mut text = names.join(",") + "\n";
    for row in rows {
        text.push_str(&row.iter().map(quote).collect::<Vec<_>>().join(","));
        text.push('\n');
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rendered_rows_read_back_as_the_same_rows(rows in prop::collection::vec(values(), 0..8)) {
        let contract = every_type();
        let first = check(&contract, Format::Csv, &csv(&rows, &contract));
        let mut out = Vec::new();
        render::write_ndjson(&contract, &first.rows, &mut out);
        let again = check_with(&contract, Format::Ndjson, Limits::default(), &out, usize::MAX);
        if first.rows.num_rows() > 0 {
            prop_assert!(again.report.valid, "{:?}\n{}", again.report.errors, String::from_utf8_lossy(&out));
        }
        prop_assert_eq!(format!("{:?}", first.rows), format!("{:?}", again.rows));
    }

    #[test]
    fn results_do_not_depend_on_pieces_and_batches(
        rows in prop::collection::vec(values(), 0..12),
        cut in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        piece in 1_usize..50,
        batch_rows in 1_usize..5,
    ) {
        let contract = every_type();
        let mut text = csv(&rows, &contract).into_bytes();
        for index in cut {
            if !text.is_empty() {
                text.remove(index.index(text.len()));
            }
        }
        let whole = check_with(&contract, Format::Csv, Limits::default(), &text, usize::MAX);
        let limits = Limits { batch_rows, batch_bytes: 64, ..Limits::default() };
        let parts = check_with(&contract, Format::Csv, limits, &text, piece);
        prop_assert_eq!(whole.report, parts.report);
        prop_assert_eq!(whole.rejected, parts.rejected);
        if parts.rows.num_rows() > 0 || whole.rows.num_rows() > 0 {
            prop_assert_eq!(format!("{:?}", whole.rows), format!("{:?}", parts.rows));
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b",;\"\n\r{}[]:\\u0dtrue1.".to_vec())], 0..200),
        format in prop::sample::select(vec![Format::Csv, Format::Ndjson, Format::Json]),
        piece in 1_usize..20,
        encoding in prop::sample::select(vec!["utf-8", "utf-16", "utf-16be", "windows-1252"]),
    ) {
        let mut descriptor = package(&json!({"fieldsMatch": "partial", "fields": [{"name": "a"}, {"name": "", "type": "number"}]}), &json!({}));
        descriptor["resources"][0]["encoding"] = json!(encoding);
        let contract = Arc::new(Contract::compile(&descriptor, &NoReferences).unwrap());
        let mut with_header = b"a,\n".to_vec();
        with_header.extend_from_slice(&bytes);
        for input in [&bytes, &with_header] {
            let mut validator = Validator::for_check(Arc::clone(&contract), format, Limits::default());
            for chunk in input.chunks(piece) {
                let _ = validator.push(chunk);
            }
            let _ = validator.finish();
            let report = validator.into_report();
            prop_assert_eq!(report.rows_accepted + report.rows_refused, report.stats.rows);
            let _ = (report.to_text(Lang::Id), report.errors_csv(Lang::En), report.to_json(Lang::En));
        }
    }
}
