//! Small files with the traps of real ones, and what must be guessed from them.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Format, Limits, Report, Sheet, validate_package};

fn request(file: &str) -> Request {
    let shape = if file.ends_with("ndjson") { Shape::Ndjson } else { Shape::Csv };
    Request { file: file.to_owned(), shape, encoding: None, sheet: Sheet::default(), lang: Lang::Id }
}

fn draft_of(file: &str, bytes: &[u8], piece: usize) -> Result<Draft, Unreadable> {
    let mut drafter = Drafter::new(request(file))?;
    for part in bytes.chunks(piece.max(1)) {
        drafter.push(part)?;
    }
    drafter.finish()
}

/// The draft, and what a check of the same file under it says.
fn drafted(file: &str, bytes: &[u8]) -> (Value, Report) {
    let draft = draft_of(file, bytes, 7).unwrap();
    assert_eq!(draft, draft_of(file, bytes, usize::MAX).unwrap(), "the size of the pieces does not matter");
    let mut source = bytes;
    let outcome = validate_package(&draft.descriptor, Ok(&mut source), &|_| None, Limits::default());
    assert!(outcome.descriptor_errors.is_empty(), "{:?}", outcome.descriptor_errors);
    (draft.descriptor, outcome.report)
}

fn field<'a>(draft: &'a Value, name: &str) -> &'a Value {
    let fields = draft["resources"][0]["schema"]["fields"].as_array().unwrap();
    fields.iter().find(|field| field["name"] == name).unwrap_or_else(|| panic!("no {name} in {fields:#?}"))
}

/// Twenty-five boats, as an office would send them: titles, a numbering row, codes, groups, gaps.
fn boats() -> String {
    let mut text = "\u{feff}DAFTAR KAPAL NELAYAN;;;;;;;\r\nKeadaan 2025;;;;;;;\r\n".to_owned();
    text.push_str("No;Kode Wilayah;Nama Pemilik;NIK;Tonase (GT);Nilai;Per Tanggal;Alat Tangkap\r\n(1);(2);(3);(4);(5);(6);(7);(8)\r\n");
    for i in 0..25 {
        let (owner, gear) = (["Budi Santoso", "Siti Aminah", "Nur Hidayah"][i % 3], ["jaring", "pancing"][i % 2]);
        let weight = if i == 4 { "-".to_owned() } else { format!("{},{}", 3 + i, i % 10) };
        text.push_str(&format!(
            "{};64.02.{:02};{owner};640205{:02}0190{:04};{weight};1.{:03}.000;{:02}/03/2025;{gear}\r\n",
            i + 1,
            1 + i % 8,
            1 + i,
            i,
            100 + i,
            1 + i
        ));
    }
    text
}

#[test]
fn an_office_table_is_drafted_with_its_titles_groups_gaps_and_suspicions() {
    let (draft, report) = drafted("kapal nelayan.csv", boats().as_bytes());
    assert!(report.valid, "{}", report.to_text(Lang::Id));
    assert_eq!(report.stats.rows, 25);
    let resource = &draft["resources"][0];
    assert_eq!(draft["name"], "kapal-nelayan");
    assert_eq!(resource["dialect"], json!({"delimiter": ";", "headerRows": [3], "commentRows": [4]}));
    let code = field(&draft, "kode_wilayah");
    assert_eq!((&code["type"], &code["title"]), (&json!("string"), &json!("Kode Wilayah")));
    assert_eq!(code["satudata"]["kodeReferensi"]["sistem"], "kemendagri");
    assert!(code["satudata"]["tebakan"]["kodeReferensi"]["alasan"].as_str().unwrap().contains("dugaan"));
    let weight = field(&draft, "tonase_gt");
    assert_eq!((&weight["type"], &weight["decimalChar"]), (&json!("number"), &json!(",")));
    assert_eq!(weight["missingValues"], json!(["", "-"]));
    assert_eq!(weight["constraints"].get("required"), None);
    let value = field(&draft, "nilai");
    assert_eq!((&value["type"], &value["groupChar"]), (&json!("integer"), &json!(".")));
    assert_eq!(field(&draft, "per_tanggal")["format"], "%d/%m/%Y");
    assert_eq!(field(&draft, "alat_tangkap")["categories"], json!(["jaring", "pancing"]));
}

#[test]
fn persons_are_masked_on_suspicion_and_never_repeated_in_the_draft() {
    let mut text = boats();
    text.push_str("26;64.02.01;Dewi Lestari;bukan-nik;1,0;1.200.000;01/03/2025;jaring\r\n");
    let (draft, _) = drafted("kapal.csv", text.as_bytes());
    for name in ["nik", "nama_pemilik"] {
        let marked = field(&draft, name);
        assert_eq!(marked["type"], "string");
        assert_eq!(marked["satudata"]["dataPribadi"], json!({"jenis": "umum", "tindakan": "samarkan"}));
        assert!(marked["satudata"]["tebakan"]["dataPribadi"]["keyakinan"].as_f64().unwrap() > 0.5);
    }
    let written = draft.to_string();
    for secret in ["Budi", "Siti", "Nur Hidayah", "Dewi", "6402050", "bukan-nik"] {
        assert!(!written.contains(secret), "{secret} stands in the draft");
    }
}

#[test]
fn codes_stay_text_and_a_name_of_an_area_is_no_person() {
    let mut text = "id,kode_bps,nama,kode_desa,urutan\n".to_owned();
    for (i, name) in ["Tenggarong", "Muara Badak", "Anggana", "Loa Kulu", "Kota Bangun", "Sebulu"].iter().enumerate() {
        text.push_str(&format!("{},64030{i}0.0,{name},00{i},{i}\n", i + 1));
    }
    let (draft, report) = drafted("daerah.csv", text.as_bytes());
    assert!(report.valid, "{}", report.to_text(Lang::Id));
    assert_eq!(field(&draft, "kode_desa")["type"], "string");
    assert_eq!(field(&draft, "urutan")["type"], "integer");
    let code = field(&draft, "kode_bps");
    assert_eq!(code["type"], "string");
    assert!(code["satudata"].get("kodeReferensi").is_none(), "a system is not inferred from digits");
    assert!(code["satudata"]["tebakan"]["kodeReferensi"]["alasan"].as_str().unwrap().contains("Tanyakan"));
    assert!(field(&draft, "nama")["satudata"].get("dataPribadi").is_none());
}

#[test]
fn what_both_writings_allow_is_a_guess_that_says_so() {
    let rows: String = (0..30).map(|i| format!("k{i};1.{:03}\n", 100 + i)).collect();
    let (draft, _) = drafted("a.csv", format!("kunci;jumlah\n{rows}").as_bytes());
    let guess = &field(&draft, "jumlah")["satudata"]["tebakan"]["type"];
    assert_eq!(field(&draft, "jumlah")["groupChar"], ".");
    assert!(guess["keyakinan"].as_f64().unwrap() <= 0.5, "{guess}");
    // Another column that leaves no doubt decides.
    let rows: String = (0..30).map(|i| format!("1.{:03},12.{i}5\n", 100 + i)).collect();
    let (draft, _) = drafted("a.csv", format!("jumlah,luas\n{rows}").as_bytes());
    assert_eq!(field(&draft, "jumlah"), field(&draft, "jumlah"));
    assert_eq!(field(&draft, "jumlah")["type"], "number");
    assert_eq!(field(&draft, "jumlah").get("groupChar"), None);
    let days: String = (1..13).map(|i| format!("{i:02}/03/2025\n")).collect();
    let (draft, _) = drafted("a.csv", format!("tanggal\n{days}").as_bytes());
    let guess = &field(&draft, "tanggal")["satudata"]["tebakan"]["type"];
    assert!(guess["alasan"].as_str().unwrap().contains("%m/%d/%Y"), "{guess}");
}

#[test]
fn cells_against_a_guess_are_counted_named_and_refused_by_the_check() {
    let mut rows: String = (0..100).map(|i| format!("a{i},{i}\n")).collect();
    rows.push_str("b,sekitar 40\n");
    let (draft, report) = drafted("a.csv", format!("kunci,jumlah\n{rows}").as_bytes());
    let guess = &field(&draft, "jumlah")["satudata"]["tebakan"]["type"];
    assert_eq!(field(&draft, "jumlah")["type"], "integer");
    assert_eq!(guess["menyimpang"], 1);
    assert_eq!(guess["contohMenyimpang"], json!([{"baris": 102, "nilai": "sekitar 40"}]));
    assert_eq!(report.errors.iter().map(|error| error.row).collect::<Vec<_>>(), [Some(102)]);
}

#[test]
fn a_key_of_two_columns_is_found_where_neither_is_one() {
    let rows: String = (0..40).map(|i| format!("{},kec{},desa{}\n", i + 1, i / 8, i % 8)).collect();
    let (draft, report) = drafted("a.csv", format!("No,Kecamatan,Desa\n{rows}").as_bytes());
    assert!(report.valid);
    assert_eq!(draft["resources"][0]["schema"]["primaryKey"], json!(["kecamatan", "desa"]));
}

#[test]
fn a_file_without_labels_is_read_by_position() {
    let rows: String = (0..30).map(|i| format!("{i},{}\n", i * 7)).collect();
    let (draft, report) = drafted("a.csv", rows.as_bytes());
    assert_eq!(draft["resources"][0]["dialect"]["header"], false);
    assert_eq!(report.stats.rows, 30);
    assert!(report.valid, "{}", report.to_text(Lang::En));
    // Years over larger numbers are labels.
    let (draft, _) = drafted("a.csv", b";2020;2019\nJAWA BARAT;410988;386198\n");
    assert_eq!(field(&draft, "tahun_2020")["type"], "integer");
}

#[test]
fn other_encodings_are_told_and_a_late_byte_asks_for_another_try() {
    let (draft, report) = drafted("a.csv", b"nama,luas (km\xb2)\na,1\nb,2\n");
    assert_eq!(draft["resources"][0]["encoding"], "windows-1252");
    assert!(report.valid && draft["satudata"]["tebakan"]["encoding"]["keyakinan"].as_f64().unwrap() < 0.7);
    let utf16: Vec<u8> = "kode,n\nA,1\nB,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (draft, report) = drafted("a.csv", &utf16);
    assert_eq!((&draft["resources"][0]["encoding"], report.valid), (&json!("utf-16le"), true));
    let mut late = "kode,n\n".to_owned() + &"A,1\n".repeat(80_000);
    late.push_str("caf");
    let mut bytes = late.into_bytes();
    bytes.push(0xe9);
    assert!(matches!(draft_of("a.csv", &bytes, 4096), Err(Unreadable::NotUtf8(_))));
    let mut drafter = Drafter::new(Request { encoding: Some("windows-1252".to_owned()), ..request("a.csv") }).unwrap();
    drafter.push(&bytes).unwrap();
    assert_eq!(drafter.finish().unwrap().rows, 80_001);
}

#[test]
fn ndjson_gives_native_types_and_keys_that_come_late() {
    let mut text: String =
        (0..30).map(|i| format!("{{\"kode\": \"{i:03}\", \"nilai\": {i}.5, \"aktif\": {}}}\n", i % 2 == 0)).collect();
    text.push_str("{\"kode\": \"x\", \"nilai\": null, \"catatan\": \"ada\"}\n");
    let (draft, report) = drafted("a.ndjson", text.as_bytes());
    assert!(report.valid, "{}", report.to_text(Lang::En));
    let types: Vec<&Value> =
        ["kode", "nilai", "aktif", "catatan"].iter().map(|name| &field(&draft, name)["type"]).collect();
    assert_eq!(types, ["string", "number", "boolean", "string"]);
    assert_eq!(draft["resources"][0]["format"], "ndjson");
    assert!(matches!(draft_of("a.ndjson", b"[1]\n", 9), Err(Unreadable::Record { row: 1, .. })));
}

#[test]
fn what_cannot_be_read_is_an_error() {
    assert_eq!(draft_of("a.csv", b"", 1), Err(Unreadable::Empty));
    assert_eq!(draft_of("a.csv", b"a,b\n", 1), Err(Unreadable::Empty));
    assert!(matches!(draft_of("a.csv", b"a,b\n1,\"x\n2,3\n", 3), Err(Unreadable::Record { .. })));
    assert!(Drafter::new(Request { encoding: Some("klingon".to_owned()), ..request("a.csv") }).is_err());
}

proptest! {
    #[test]
    fn any_bytes_give_a_draft_that_compiles_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..600), json: bool) {
        let file = if json { "a.ndjson" } else { "a.csv" };
        if let Ok(draft) = draft_of(file, &bytes, 13) {
            prop_assert!(compiles(&draft.descriptor).is_ok());
        }
    }

    #[test]
    fn any_table_gives_a_draft_that_compiles(cells in proptest::collection::vec("[ -~]{0,9}|[0-9.,/-]{1,9}|[Rp0-9%. ]{1,6}", 2..80), width in 1_usize..6) {
        let rows: Vec<String> = cells.chunks(width).map(|row| row.join(";")).collect();
        if let Ok(draft) = draft_of("a.csv", rows.join("\n").as_bytes(), 64) {
            let contract = compiles(&draft.descriptor);
            prop_assert!(contract.is_ok(), "{:?}", contract.err());
        }
    }
}

fn compiles(descriptor: &Value) -> Result<(), Vec<crate::DescriptorError>> {
    let contract = crate::Contract::compile(descriptor, &crate::NoReferences);
    match contract {
        Ok(contract) => {
            let mut validator = crate::Validator::new(Arc::new(contract), Format::Csv, Limits::default());
            let _ = validator.push(b"a;b\n1;2\n");
            Ok(())
        }
        Err(errors) if errors.iter().all(|error| error.kind == "reference-error") => Ok(()),
        Err(errors) => Err(errors),
    }
}
