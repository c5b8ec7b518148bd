//! What an edition says about codes that come and go, and about the document that it is.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{CodeList, CodeListError, Named, Status, document, referenced};
use crate::{Contract, Format, Lang, Limits, ReferenceTable, References, Report, Validator, Wanted, standard};

/// Areas of a small country: `1.03` was split in two, `1.04` came later, `1.02` lost a part to `1.05`.
fn descriptor(system: &str, day: Option<&str>) -> Value {
    let mut part = json!({
        "sumberdaya": "daerah", "kunci": "kode", "nama": "nama", "induk": "induk", "sistem": system,
        "berlakuDari": "dari", "berlakuSampai": "sampai",
        "pengganti": {"sumberdaya": "pengganti", "lama": "lama", "baru": "baru", "sejak": "sejak"},
        "pemekaran": {"sumberdaya": "pemekaran", "kode": "kode", "asal": "asal", "sejak": "sejak"},
    });
    if let Some(day) = day {
        part["tanggal"] = json!(day);
    }
    json!({
        "id": "urn:satudata:ref:daerah@2", "version": "2", "title": "Daerah", "satudata": {"kodeReferensi": part},
        "resources": [
            {"name": "daerah", "format": "csv", "data": "kode,nama,induk,dari,sampai\n1,Negeri,,,\n1.01,Awan,1,,\n1.02,Batu,1,,\n\
                1.03,Cemara,1,,2022-02-13\n1.04,Dahlia,1,2030,\n1.05,Embun,1,2022-02-14,\n1.06,Fajar,1,2022-02-14,\n"},
            {"name": "pengganti", "format": "csv", "data": "lama,baru,sejak\n1.03,1.05,\n1.03,1.06,\n0.9,1.01,2019\n0.8,0.9,\n1.02.7,1.05,2022\n"},
            {"name": "pemekaran", "format": "csv", "data": "kode,asal,sejak\n1.05,1.02,2022-02\n1.04,1.01,2030\n"},
        ],
    })
}

fn list(day: Option<&str>) -> CodeList {
    CodeList::from_document(&descriptor("kemendagri", day).to_string()).unwrap()
}

#[test]
fn an_edition_says_what_was_valid_on_its_day() {
    let list = list(Some("2025-01-01"));
    assert!(["1", "1.01", "1.02", "1.05", "1.06"].iter().all(|code| list.contains(code)));
    assert_eq!((list.len(), list.invalid(), list.rows().count()), (5, 5, 5));
    let Status::Retired(retired) = list.status("1.03") else { panic!("{:?}", list.status("1.03")) };
    let codes: Vec<&str> = retired.successors.iter().map(|named| named.code).collect();
    assert_eq!((codes.as_slice(), retired.until), (["1.05", "1.06"].as_slice(), Some("2022-02-13")));
    assert_eq!(list.status("1.04"), Status::NotYet { from: "2030", whole: Some(Named { code: "1.01", name: "Awan" }) });
    assert_eq!(list.status("7"), Status::Unknown);
    // From code to code, and the split that the successor came from.
    assert_eq!(list.successor("0.8"), Some("1.01"));
    let Status::Retired(moved) = list.status("1.02.7") else { panic!() };
    assert_eq!((moved.splits[0].part.code, moved.splits[0].whole.name), ("1.05", "Batu"));
    // The same list on an earlier day, and without one: what has an end is over.
    let before = self::list(Some("2022-02-13"));
    assert!(before.contains("1.03") && !before.contains("1.05") && !before.contains("1.06"));
    let open = self::list(None);
    assert!(!open.contains("1.03") && open.contains("1.04"));
    assert_eq!(before.delta(&list), super::CodeDelta { added: 2, removed: 1 });
}

#[test]
fn a_circle_of_successors_ends_and_dates_are_dates() {
    let mut package = descriptor("kemendagri", None);
    package["resources"][1]["data"] = json!("lama,baru,sejak\n8,9,\n9,8,\n");
    let list = CodeList::from_document(&package.to_string()).unwrap();
    assert_eq!(list.successor("8"), None);
    for (date, line) in [("2022-13", 2), ("22", 2), ("2022-02-32", 2), ("kemarin", 2)] {
        package["resources"][1]["data"] = json!(format!("lama,baru,sejak\n9,1,{date}\n"));
        let error = CodeList::from_document(&package.to_string()).unwrap_err();
        assert_eq!(error, CodeListError::Date { file: "pengganti".into(), line, date: date.into() });
    }
    package["resources"][0]["data"] = json!("kode,nama,induk,dari,sampai\n1,a,,2023,2022\n");
    let error = CodeList::from_document(&package.to_string()).unwrap_err();
    assert!(error.text().id.contains("baris 2") && error.text().en.contains("line 2"), "{error}");
}

#[test]
fn the_same_list_has_the_same_digest_however_it_was_saved() {
    let unix = r#"{"id":"urn:satudata:ref:buah@1","satudata":{"kodeReferensi":{"sumberdaya":"b","kunci":"k"}},"resources":[{"name":"b","path":"b.csv"}]}"#;
    let other = r#"{"resources": [{"path": "b.csv", "name": "b"}], "satudata": {"kodeReferensi": {"kunci": "k", "sumberdaya": "b"}}, "id": "urn:satudata:ref:buah@1"}"#;
    let load = |text: &str, file: &'static [u8]| CodeList::load(text, |_| Some(file)).unwrap();
    let first = load(unix, b"k\na\n");
    assert_eq!(first.digest(), load(other, b"\xef\xbb\xbfk\r\na\r\n").digest());
    assert_ne!(first.digest(), load(unix, b"k\nb\n").digest());
    let inside = document(unix, |_| Some(b"k\na\n".as_slice())).unwrap();
    assert_eq!(CodeList::from_document(&inside).unwrap().edition(), first.edition());
    assert_eq!(document(&inside, |_| None).unwrap(), inside);
}

#[test]
fn a_name_or_system_that_cannot_be_used_is_refused_with_the_form_it_needs() {
    for (id, version) in [
        ("urn:satudata:ref:Daerah@2", "2"),
        ("urn:satudata:ref:daerah/x@2", "2"),
        ("daerah@2", "2"),
        ("urn:satudata:ref:daerah@2", "3"),
    ] {
        let mut package = descriptor("kemendagri", None);
        (package["id"], package["version"]) = (json!(id), json!(version));
        let error = CodeList::from_document(&package.to_string()).unwrap_err();
        assert!(
            matches!(&error, CodeListError::Identity(_)) && error.text().id.contains("urn:satudata:ref"),
            "{error}"
        );
    }
    let error = CodeList::from_document(&descriptor("Kemendagri!", None).to_string()).unwrap_err();
    assert!(matches!(error, CodeListError::Word { place: "satudata.kodeReferensi.sistem", .. }));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
    assert!(matches!(CodeList::from_document(&deep), Err(CodeListError::Json(_))));
}

struct One(Arc<ReferenceTable>);

impl References for One {
    fn table(&self, _: &Wanted<'_>) -> Option<Arc<ReferenceTable>> {
        Some(self.0.clone())
    }
}

fn contract(list: &CodeList, system: &str) -> Result<Contract, String> {
    let descriptor = json!({"name": "uji", "resources": [{"name": "uji", "path": "uji.csv", "schema": {
        "fields": [{"name": "kode", "type": "string", "satudata": {"kodeReferensi": {"sistem": system}}}],
        "foreignKeys": [{"fields": ["kode"], "reference": {"package": list.urn(), "resource": list.resource(), "fields": [list.key()]}}],
    }}]});
    let one = One(Arc::new(ReferenceTable::from_code_list(list)));
    assert_eq!(referenced(&descriptor).into_iter().collect::<Vec<_>>(), [list.urn()]);
    Contract::compile(&descriptor, &one).map_err(|errors| errors[0].message.id.to_string())
}

fn report(list: &CodeList, system: &str, codes: &[&str]) -> Report {
    let contract = Arc::new(contract(list, system).unwrap());
    let mut validator = Validator::new(contract, Format::Csv, Limits::default());
    validator.push(format!("kode\n{}\n", codes.join("\n")).as_bytes()).unwrap();
    validator.finish().unwrap();
    validator.report()
}

fn said(list: &CodeList, system: &str, code: &str) -> (String, String, Option<String>) {
    let report = report(list, system, &[code]);
    let finding = &report.errors[0];
    let whole = |lang| format!("{} {}", finding.message(lang), finding.hint(lang).unwrap_or_default());
    (whole(Lang::Id), whole(Lang::En), finding.fixed.clone())
}

#[test]
fn a_retired_code_is_told_with_its_successors_and_what_was_split() {
    let wilayah = standard::code_lists().find(|list| list.name == "wilayah").unwrap().load().unwrap();
    let (id, en, fixed) = said(&wilayah, "kemendagri", "64.02.08.2001");
    assert_eq!(fixed.as_deref(), Some("64.02.19.2001"));
    assert_eq!(
        id,
        "«64.02.08.2001» tidak berlaku lagi sejak 2022 menurut daftar wilayah versi 2025-1. Penggantinya 64.02.19.2001 – Kedang Ipil. \
         Kota Bangun Darat (64.02.19) dimekarkan dari Kota Bangun (64.02.08) sejak 2022; 64.02.08 masih berlaku."
    );
    assert_eq!(
        en,
        "“64.02.08.2001” has not been valid since 2022 in the list wilayah, version 2025-1. It was replaced by 64.02.19.2001 – Kedang \
         Ipil. Kota Bangun Darat (64.02.19) was split off from Kota Bangun (64.02.08) in 2022; 64.02.08 is still valid."
    );
    let (id, _, fixed) = said(&wilayah, "kemendagri", "91.01.05");
    assert!(
        fixed.as_deref() == Some("93.01.05") && id.contains("Papua Selatan (93) dimekarkan dari Papua (91)"),
        "{id}"
    );

    let list = list(Some("2025"));
    let (id, en, fixed) = said(&list, "kemendagri", "1.03");
    assert_eq!(fixed, None);
    assert!(id.contains("terakhir berlaku 13/02/2022") && id.contains("1.05 – Embun atau 1.06 – Fajar"), "{id}");
    assert!(en.contains("until 2022-02-13") && en.contains("1.05 – Embun or 1.06 – Fajar"), "{en}");
    let (id, en, _) = said(&list, "kemendagri", "1.04");
    assert!(id.contains("baru berlaku mulai 2030") && en.contains("split off from: 1.01 – Awan"), "{id} {en}");
}

#[test]
fn a_code_of_another_system_is_never_translated() {
    let wilayah = standard::code_lists().find(|list| list.name == "wilayah").unwrap().load().unwrap();
    for code in ["6402", "640205", "6403010", "6402052001"] {
        let (id, en, fixed) = said(&wilayah, "kemendagri", code);
        assert!(fixed.is_none() && id.contains("kode Kemendagri") && id.contains("mungkin ini kode BPS"), "{id}");
        assert!(en.contains("Kemendagri codes") && en.contains("BPS"), "{en}");
    }
    let bps = json!({
        "id": "urn:satudata:ref:daerah-bps@1", "satudata": {"kodeReferensi": {"sumberdaya": "d", "kunci": "k", "nama": "n", "sistem": "bps"}},
        "resources": [{"name": "d", "format": "csv", "data": "k,n\n9901,Awan\n9902,Batu\n990101,Cemara\n"}],
    });
    let bps = CodeList::from_document(&bps.to_string()).unwrap();
    assert!(report(&bps, "bps", &["9901", "990101"]).valid);
    let (id, en, fixed) = said(&bps, "bps", "99.01");
    assert!(fixed.is_none() && id.contains("kode BPS") && id.contains("mungkin ini kode Kemendagri"), "{id}");
    assert!(en.contains("Nothing") || en.contains("do not drop the dots"), "{en}");
    let (id, _, fixed) = said(&bps, "bps", "990103");
    assert!(fixed.as_deref() == Some("990101") && id.contains("(kode BPS)"), "{id}");
    // A list that says nothing of its system leaves it to the column.
    let silent = json!({
        "id": "urn:satudata:ref:daerah-lama@1", "satudata": {"kodeReferensi": {"sumberdaya": "d", "kunci": "k"}},
        "resources": [{"name": "d", "format": "csv", "data": "k\n9901\n"}],
    });
    let silent = CodeList::from_document(&silent.to_string()).unwrap();
    assert!(said(&silent, "bps", "99.02").0.contains("mungkin ini kode Kemendagri"));
    assert!(!said(&silent, "lain", "99.02").0.contains("Kemendagri"));
    // A column of one system cannot point to a list of another.
    let refused = contract(&bps, "kemendagri").unwrap_err();
    assert!(refused.contains("«kemendagri»") && refused.contains("«bps»"), "{refused}");
}

#[test]
fn a_report_names_the_edition_that_it_was_made_with() {
    let list = list(Some("2025"));
    let report = report(&list, "kemendagri", &["1.01"]);
    assert_eq!(report.code_lists, [list.edition()]);
    let told = report.to_json(Lang::Id);
    assert_eq!(told["codeLists"], json!([{"id": "daerah", "version": "2", "digest": list.digest()}]));
    let page = report.to_text(Lang::Id);
    assert!(page.contains(&format!("kode referensi: daerah 2 ({})", &list.digest().to_string()[..12])), "{page}");
    let stored: Report = serde_json::from_str(&serde_json::to_string(&report.for_storage()).unwrap()).unwrap();
    assert_eq!(stored, report.for_storage());
}
