//! One small table, changed in one place at a time, with the verdicts that each change must get.

use serde_json::{Value, json};

use super::*;
use crate::report::Lang;
use crate::standard;

/// A register of boats: a key, a measured number, a choice, a date.
fn boats() -> Value {
    json!({
        "fieldsMatch": "superset",
        "missingValues": [""],
        "primaryKey": ["nomor"],
        "fields": [
            {"name": "nomor", "type": "string", "constraints": {"required": true}},
            {"name": "panjang", "type": "number", "constraints": {"minimum": 1, "maximum": 60},
             "satudata": {"idElemen": "K2", "konsep": "Panjang", "satuan": "meter", "ukuran": "panjang"}},
            {"name": "awak", "type": "integer", "constraints": {"minimum": 1}},
            {"name": "bahan", "type": "string", "constraints": {"enum": ["kayu", "fiber", "baja"]}},
            {"name": "terdaftar", "type": "date"}
        ]
    })
}

/// `boats` with the value at each JSON pointer replaced, added, or (by null) removed.
fn with(edits: &[(&str, Value)]) -> Value {
    let mut schema = boats();
    for (pointer, value) in edits {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match schema.pointer_mut(parent).unwrap() {
            Value::Object(map) if value.is_null() => drop(map.remove(key)),
            Value::Object(map) => drop(map.insert(key.to_owned(), value.clone())),
            Value::Array(list) if value.is_null() => drop(list.remove(key.parse().unwrap())),
            Value::Array(list) if key == "-" => list.push(value.clone()),
            other => panic!("{pointer} leads to {other}"),
        }
    }
    schema
}

fn full(old: &Value, new: &Value) -> Compatibility {
    check_all(&[old], new, Mode::Full, &NoLists).unwrap()
}

/// Verdicts in the order backward, forward, producer: `+` holds, `-` breaks.
fn verdicts(result: &Compatibility) -> String {
    [result.backward, result.forward, result.producer].map(|holds| if holds { '+' } else { '-' }).iter().collect()
}

/// Rule, edits of the old table, edits of the new table, verdicts, level.
type Case = (&'static str, Vec<(&'static str, Value)>, Vec<(&'static str, Value)>, &'static str, Level);

fn run(cases: Vec<Case>) {
    for (rule, old, new, wanted, level) in cases {
        let result = full(&with(&old), &with(&new));
        assert_eq!(verdicts(&result), wanted, "{rule} {new:?}: {:#?}", result.changes);
        assert_eq!(result.level, level, "{rule} {new:?}: {:#?}", result.changes);
        assert!(result.changes.iter().any(|c| c.rule.name() == rule), "{rule} {new:?}: {:#?}", result.changes);
    }
}

#[test]
fn columns_that_come_go_or_change_their_name() {
    let f = "/fields/1/name";
    let alias = "/fields/1/satudata/alias";
    let column = |required: bool| json!({"name": "mesin", "type": "string", "constraints": {"required": required}});
    run(vec![
        ("FIELD_ADD_OPTIONAL", vec![], vec![("/fields/-", column(false))], "+++", Level::Minor),
        ("FIELD_ADD_REQUIRED", vec![], vec![("/fields/-", column(true))], "-+-", Level::Major),
        (
            "FIELD_ADD_OPTIONAL",
            vec![("/fieldsMatch", json!("equal"))],
            vec![("/fieldsMatch", json!("equal")), ("/fields/-", column(false))],
            "++-",
            Level::Major,
        ),
        (
            "FIELD_ADD_REQUIRED",
            vec![],
            vec![("/fields/-", column(false)), ("/uniqueKeys", json!([["mesin"]]))],
            "-+-",
            Level::Major,
        ),
        ("FIELD_REMOVE_OPTIONAL", vec![], vec![("/fields/4", Value::Null)], "++-", Level::Major),
        (
            "FIELD_REMOVE_OPTIONAL",
            vec![("/fieldsMatch", json!("partial"))],
            vec![("/fieldsMatch", json!("partial")), ("/fields/4", Value::Null)],
            "+++",
            Level::Major,
        ),
        ("FIELD_REMOVE_REQUIRED", vec![("/fields/-", column(true))], vec![], "+--", Level::Major),
        ("FIELD_RENAME", vec![], vec![(f, json!("panjang_m"))], "---", Level::Major),
        ("FIELD_RENAME_ALIAS", vec![], vec![(f, json!("panjang_m")), (alias, json!(["panjang"]))], "+-+", Level::Minor),
        ("FORMAT_CHANGE", vec![(alias, json!(["Panjang (m)"]))], vec![], "++-", Level::Major),
        ("TYPE_CHANGE", vec![], vec![("/fields/4/type", json!("string"))], "--+", Level::Major),
        ("TYPE_CHANGE", vec![], vec![("/fields/4/type", json!("datetime"))], "---", Level::Major),
        ("TYPE_WIDEN", vec![], vec![("/fields/2/type", json!("number"))], "+-+", Level::Major),
        ("TYPE_NARROW", vec![], vec![("/fields/1/type", json!("integer"))], "-+-", Level::Major),
    ]);
}

#[test]
fn a_lost_name_is_suspected_when_one_column_goes_and_its_like_comes() {
    let result = full(&boats(), &with(&[("/fields/4/name", json!("tanggal_daftar"))]));
    let suspected = result.changes.iter().find(|c| c.rule == Rule::RenameSuspected).unwrap();
    assert!(suspected.warning);
    assert_eq!(suspected.from, "terdaftar");
    assert!(result.backward && result.forward);
}

#[test]
fn another_order_matters_only_where_files_are_matched_exactly() {
    let mut turned = boats();
    turned["fields"].as_array_mut().unwrap().reverse();
    assert_eq!(verdicts(&full(&boats(), &turned)), "+++");
    let exact = |mut schema: Value| {
        schema["fieldsMatch"] = json!("exact");
        schema
    };
    assert_eq!(verdicts(&full(&exact(boats()), &exact(turned))), "++-");
}

#[test]
fn what_a_column_allows() {
    let bound =
        |key: &str, value: Value| (Box::leak(format!("/fields/1/constraints/{key}").into_boxed_str()) as &str, value);
    let crew = "/fields/2/constraints";
    let choice = "/fields/3/constraints/enum";
    let text = "/fields/3/constraints";
    let pattern = "/fields/0/constraints/pattern";
    run(vec![
        ("BOUND_TIGHTEN", vec![], vec![bound("maximum", json!(50))], "-+-", Level::Major),
        ("BOUND_LOOSEN", vec![], vec![bound("minimum", Value::Null)], "+-+", Level::Minor),
        ("BOUND_TIGHTEN", vec![], vec![bound("exclusiveMinimum", json!(1))], "-+-", Level::Major),
        ("BOUND_EQUAL", vec![], vec![bound("maximum", json!("60.0"))], "+++", Level::Patch),
        ("BOUND_EQUAL", vec![], vec![(crew, json!({"exclusiveMinimum": 0}))], "+++", Level::Patch),
        ("BOUND_EQUAL", vec![], vec![(crew, json!({"minimum": 0.5}))], "+++", Level::Patch),
        (
            "BOUND_TIGHTEN",
            vec![],
            vec![("/fields/4/constraints", json!({"minimum": "2000-01-01"}))],
            "-+-",
            Level::Major,
        ),
        (
            "BOUND_LOOSEN",
            vec![("/fields/4/constraints", json!({"minimum": "2000-01-01"}))],
            vec![("/fields/4/constraints", json!({"minimum": "1999-12-31"}))],
            "+-+",
            Level::Minor,
        ),
        (
            "LENGTH_TIGHTEN",
            vec![],
            vec![(text, json!({"enum": ["kayu", "fiber", "baja"], "maxLength": 5}))],
            "-+-",
            Level::Major,
        ),
        ("ENUM_NARROW", vec![], vec![(choice, json!(["kayu", "fiber"]))], "-+-", Level::Major),
        ("ENUM_WIDEN", vec![], vec![(choice, Value::Null)], "+-+", Level::Minor),
        ("ENUM_CHANGE", vec![], vec![(choice, json!(["kayu", "aluminium"]))], "---", Level::Major),
        ("ENUM_EQUAL", vec![], vec![(choice, json!(["baja", "fiber", "kayu"]))], "+++", Level::Patch),
        (
            "ENUM_NARROW",
            vec![(choice, Value::Null)],
            vec![(choice, Value::Null), ("/fields/3/categories", json!(["kayu"]))],
            "-+-",
            Level::Major,
        ),
        ("PATTERN_ADD", vec![], vec![(pattern, json!("[A-Z]+"))], "-+-", Level::Major),
        ("PATTERN_REMOVE", vec![(pattern, json!("[A-Z]+"))], vec![], "+-+", Level::Minor),
        ("PATTERN_CHANGE", vec![(pattern, json!("[A-Z]+"))], vec![(pattern, json!("[A-Z0-9]+"))], "--+", Level::Major),
        ("PATTERN_CHANGE", vec![(pattern, json!("[A-Z0-9]+"))], vec![(pattern, json!("[A-Z]+"))], "---", Level::Major),
        ("STRING_FORMAT", vec![], vec![("/fields/0/format", json!("email"))], "-+-", Level::Major),
        ("STRING_FORMAT", vec![("/fields/0/format", json!("email"))], vec![], "+-+", Level::Minor),
        ("REQUIRED_ADD", vec![], vec![("/fields/4/constraints", json!({"required": true}))], "-+-", Level::Major),
        ("REQUIRED_REMOVE", vec![("/fields/4/constraints", json!({"required": true}))], vec![], "+-+", Level::Major),
        (
            "JSONSCHEMA_ADD",
            vec![],
            vec![("/fields/2/constraints/jsonSchema", json!({"type": "integer"}))],
            "-+-",
            Level::Major,
        ),
    ]);
}

#[test]
fn a_choice_that_went_is_the_witness() {
    let result = full(&boats(), &with(&[("/fields/3/constraints/enum", json!(["kayu", "fiber"]))]));
    assert_eq!(result.changes[0].witness, Some(json!("baja")));
}

#[test]
fn how_values_are_written_matters_to_files_only() {
    let date = "/fields/4/format";
    let missing = "/missingValues";
    run(vec![
        ("FORMAT_CHANGE", vec![], vec![(date, json!("%d/%m/%Y"))], "++-", Level::Major),
        ("FORMAT_CHANGE", vec![], vec![("/fields/1/decimalChar", json!(","))], "++-", Level::Major),
        ("FORMAT_CHANGE", vec![], vec![("/fields/2/groupChar", json!("."))], "+++", Level::Patch),
        ("FORMAT_CHANGE", vec![("/fields/2/groupChar", json!("."))], vec![], "++-", Level::Major),
        ("FORMAT_CHANGE", vec![], vec![("/fields/2/bareNumber", json!(false))], "+++", Level::Patch),
        ("FIELDSMATCH_LOOSEN", vec![], vec![("/fieldsMatch", json!("partial"))], "+++", Level::Minor),
        ("FIELDSMATCH_TIGHTEN", vec![], vec![("/fieldsMatch", json!("subset"))], "++-", Level::Major),
        ("FIELDSMATCH_TIGHTEN", vec![], vec![("/fieldsMatch", Value::Null)], "++-", Level::Major),
        ("MISSING_ADD", vec![], vec![(missing, json!(["", "-"]))], "++-", Level::Minor),
        ("MISSING_REMOVE", vec![(missing, json!(["", "-"]))], vec![], "++-", Level::Major),
        (
            "MISSING_ADD",
            vec![],
            vec![("/fields/2/missingValues", json!(["", {"value": "n/a", "label": "tidak ada"}]))],
            "+++",
            Level::Minor,
        ),
        ("MISSING_ADD", vec![], vec![("/fields/2/missingValues", json!(["", "0"]))], "++-", Level::Minor),
    ]);
    assert!(full(&boats(), &with(&[(date, json!("%Y-%m-%d"))])).changes.is_empty());
}

#[test]
fn a_dialect_is_compared_with_its_defaults_filled_in() {
    let resource = |dialect: Value| json!({"dialect": dialect, "schema": boats()});
    let comma = resource(json!({"delimiter": ",", "header": true}));
    assert!(full(&comma, &resource(json!({"delimiter": ","}))).changes.is_empty());
    assert_eq!(verdicts(&full(&comma, &resource(json!({"delimiter": ";"})))), "++-");
    assert_eq!(verdicts(&full(&resource(json!({})), &comma)), "++-");
}

#[test]
fn keys_are_judged_by_what_they_still_distinguish() {
    let key = "/primaryKey";
    let filled = ("/fields/4/constraints", json!({"required": true}));
    let two = json!(["nomor", "terdaftar"]);
    let unique = ("/fields/2/constraints/unique", json!(true));
    run(vec![
        ("KEY_EXTEND", vec![filled.clone()], vec![filled.clone(), (key, two.clone())], "+-+", Level::Major),
        ("KEY_EXTEND", vec![], vec![(key, two.clone())], "---", Level::Major),
        ("KEY_REDUCE", vec![filled.clone(), (key, two.clone())], vec![filled.clone()], "-+-", Level::Major),
        ("KEY_REMOVE", vec![], vec![(key, Value::Null)], "+-+", Level::Major),
        ("KEY_ADD", vec![(key, Value::Null)], vec![], "-+-", Level::Major),
        ("KEY_CHANGE", vec![filled.clone()], vec![filled.clone(), (key, json!(["terdaftar"]))], "---", Level::Major),
        ("UNIQUE_ADD", vec![], vec![unique.clone()], "-+-", Level::Major),
        ("UNIQUE_REMOVE", vec![unique.clone()], vec![], "+-+", Level::Minor),
        (
            "UNIQUE_ADD",
            vec![unique.clone()],
            vec![unique.clone(), ("/uniqueKeys", json!([["awak", "bahan"]]))],
            "+++",
            Level::Patch,
        ),
    ]);
    // A primary key that a unique key already guaranteed adds nothing to old data.
    let guaranteed = [filled.clone(), (key, Value::Null), ("/uniqueKeys", json!([["terdaftar"]]))];
    let named = [filled, (key, json!(["terdaftar"]))];
    assert!(full(&with(&guaranteed), &with(&named)).backward);
}

#[test]
fn a_renamed_column_keeps_its_place_in_keys_and_references() {
    let list = |column: &str| json!([{"fields": [column], "reference": {"resource": "daftar", "fields": ["kode"]}}]);
    let old = with(&[("/fields/0/satudata", json!({"idElemen": "K1"})), ("/foreignKeys", list("nomor"))]);
    let new = with(&[
        ("/fields/0/satudata", json!({"idElemen": "K1", "alias": ["nomor"]})),
        ("/fields/0/name", json!("nomor_kapal")),
        ("/primaryKey", json!(["nomor_kapal"])),
        ("/foreignKeys", list("nomor_kapal")),
    ]);
    let rules: Vec<Rule> = full(&old, &new).changes.iter().map(|change| change.rule).collect();
    assert_eq!(rules, [Rule::FieldRenameAlias]);
}

fn referring(version: &str) -> Value {
    let package = format!("urn:satudata:ref:pelabuhan@{version}");
    with(&[(
        "/foreignKeys",
        json!([{"fields": ["bahan"],
        "reference": {"package": package, "resource": "pelabuhan", "fields": ["kode"]}}]),
    )])
}

struct Known(Option<CodeDelta>);

impl CodeListHistory for Known {
    fn delta(&self, old: &str, new: &str) -> Option<CodeDelta> {
        assert_eq!((old, new), ("urn:satudata:ref:pelabuhan@1", "urn:satudata:ref:pelabuhan@2"));
        self.0
    }
}

#[test]
fn another_edition_of_a_code_list_is_judged_by_its_codes() {
    let cases = [
        (Some(CodeDelta { added: 3, removed: 0 }), "+-+", Level::Minor),
        (Some(CodeDelta { added: 0, removed: 1 }), "-+-", Level::Major),
        (Some(CodeDelta { added: 1, removed: 1 }), "---", Level::Major),
        (None, "---", Level::Major),
    ];
    for (delta, wanted, level) in cases {
        let result = check_all(&[&referring("1")], &referring("2"), Mode::Full, &Known(delta)).unwrap();
        assert_eq!(verdicts(&result), wanted, "{delta:?}");
        assert_eq!(result.level, level, "{delta:?}");
    }
    assert_eq!(verdicts(&full(&boats(), &referring("1"))), "-+-");
    assert_eq!(verdicts(&full(&referring("1"), &boats())), "+-+");
}

#[test]
fn meaning_counts_even_where_structure_is_the_same() {
    let meaning = |key: &str| Box::leak(format!("/fields/1/satudata/{key}").into_boxed_str()) as &str;
    let mark = json!({"jenis": "umum", "tindakan": "samarkan"});
    run(vec![
        ("META_TEXT", vec![], vec![("/fields/1/title", json!("Panjang kapal"))], "+++", Level::Patch),
        ("UNIT_CHANGE", vec![], vec![(meaning("satuan"), json!("kaki"))], "--+", Level::Major),
        ("CONCEPT_CHANGE", vec![], vec![(meaning("konsep"), json!("Panjang total"))], "+++", Level::Minor),
        ("CONCEPT_CHANGE", vec![], vec![(meaning("satuanUcum"), json!("m"))], "+++", Level::Minor),
        ("ACCESS_NARROW", vec![], vec![(meaning("sifat"), json!("tertutup"))], "+-+", Level::Major),
        ("ACCESS_WIDEN", vec![(meaning("sifat"), json!("tertutup"))], vec![], "+++", Level::Minor),
        ("PII_MARK_ADD", vec![], vec![(meaning("dataPribadi"), mark.clone())], "+-+", Level::Major),
        ("PII_MARK_REMOVE", vec![(meaning("dataPribadi"), mark)], vec![], "+-+", Level::Major),
    ]);
}

#[test]
fn a_column_is_never_more_open_than_its_table() {
    let package = |access: &str, column: Value| {
        let schema = with(&[("/fields/1/satudata/sifat", column)]);
        json!({"satudata": {"sifat": access}, "resources": [{"schema": schema}]})
    };
    let rules = |old: Value, new: Value| full(&old, &new).changes.iter().map(|c| c.rule).collect::<Vec<_>>();
    let (open, limited) = (package("terbuka", Value::Null), package("terbatas", Value::Null));
    assert_eq!(rules(open.clone(), limited.clone()), [Rule::AccessNarrow]);
    assert_eq!(rules(limited.clone(), open.clone()), [Rule::AccessWiden]);
    assert_eq!(rules(open, package("terbuka", json!("terbatas"))), [Rule::AccessNarrow]);
    assert!(rules(limited, package("terbatas", json!("terbuka"))).is_empty());
}

#[test]
fn what_people_must_approve_says_who() {
    let result = full(&boats(), &with(&[("/fields/1/satudata/definisi", json!("Dari haluan ke buritan"))]));
    assert_eq!(result.changes[0].approval, Some(Approval::Walidata));
    assert!(result.changes[0].warning);
}

#[test]
fn nothing_changed_means_no_changes() {
    for standard in standard::contracts() {
        let package: Value = serde_json::from_str(standard.descriptor).unwrap();
        let result = check(&package, &package).unwrap();
        assert!(result.changes.is_empty() && result.compatible && result.producer);
        assert_eq!(result.mode, Mode::BackwardTransitive);
        let patched = package["version"].as_str().unwrap().replace(".0.0", ".0.1");
        assert_eq!(result.suggested_version, Some(patched));
    }
}

#[test]
fn the_suggested_version_follows_the_largest_change() {
    let package = |version: &str, schema: Value| json!({"version": version, "resources": [{"schema": schema}]});
    let next = |version: &str, edits: &[(&str, Value)]| {
        full(&package(version, boats()), &package("9.9.9", with(edits))).suggested_version
    };
    assert_eq!(next("1.4.2", &[("/fields/1/title", json!("P"))]).as_deref(), Some("1.4.3"));
    assert_eq!(next("1.4.2", &[("/fieldsMatch", json!("partial"))]).as_deref(), Some("1.5.0"));
    assert_eq!(next("1.4.2", &[("/fields/4", Value::Null)]).as_deref(), Some("2.0.0"));
    assert_eq!(next("2025-1", &[]), None);
    assert_eq!(next("1.2.3.4", &[]), None);
    assert_eq!(next(&format!("{}.0.0", u64::MAX), &[("/fields/4", Value::Null)]), None);
}

#[test]
fn a_transitive_mode_asks_every_version_and_names_the_one_that_breaks() {
    let version =
        |number: &str, edits: &[(&str, Value)]| json!({"version": number, "resources": [{"schema": with(edits)}]});
    let wide = version("1.0.0", &[("/fields/1/constraints/maximum", Value::Null)]);
    let narrow = version("2.0.0", &[("/fields/1/constraints/maximum", json!(30))]);
    let middle = version("2.1.0", &[]);
    let ask = |mode| check_all(&[&wide, &narrow], &middle, mode, &NoLists).unwrap();
    assert!(ask(Mode::Backward).compatible);
    let result = ask(Mode::BackwardTransitive);
    assert!(!result.compatible);
    let culprit = result.changes.iter().find(|change| change.against.is_some()).unwrap();
    assert_eq!((culprit.against.as_deref(), culprit.rule), (Some("1.0.0"), Rule::BoundTighten));
    assert!(result.producer, "files follow the latest version only");
    assert_eq!(result.suggested_version.as_deref(), Some("2.1.0"));
}

/// A list that only grew since its second edition, after losing a code to the first.
struct Grew;

impl CodeListHistory for Grew {
    fn delta(&self, old: &str, _new: &str) -> Option<CodeDelta> {
        Some(CodeDelta { added: 1, removed: usize::from(old.ends_with("@1")) })
    }
}

#[test]
fn a_rule_that_is_harmless_against_the_latest_may_still_break_an_older_version() {
    let history = [&referring("1"), &referring("2")];
    let ask = |mode| check_all(&history, &referring("3"), mode, &Grew).unwrap().compatible;
    assert!(ask(Mode::Backward));
    assert!(!ask(Mode::BackwardTransitive));
}

#[test]
fn the_first_version_is_compatible_with_nothing_at_all() {
    let result = check_all(&[], &boats(), Mode::FullTransitive, &NoLists).unwrap();
    assert!(result.compatible);
    assert_eq!(result.suggested_version.as_deref(), Some("1.0.0"));
}

#[test]
fn what_is_not_a_schema_is_an_error() {
    let error = |value: Value| check(&boats(), &value).unwrap_err();
    assert_eq!(error(json!(null)), NotASchema::NoFields);
    assert_eq!(error(json!({"resources": [{"path": "x.csv"}]})), NotASchema::NoFields);
    assert_eq!(error(json!({"fields": "semua"})), NotASchema::NoFields);
    assert_eq!(error(json!({"fields": [{"type": "string"}]})), NotASchema::Unnamed(0));
    assert_eq!(error(json!({"fields": [{"name": "a"}, {"name": "a"}]})), NotASchema::Repeated("a".into()));
}

#[test]
fn the_json_has_the_agreed_shape() {
    let result = full(&boats(), &with(&[("/fields/3/constraints/enum", json!(["kayu", "fiber"]))]));
    let json = serde_json::to_value(&result).unwrap();
    assert_eq!(json["mode"], "FULL");
    assert_eq!(json["compatible"], false);
    assert_eq!(json["semver"], "MAJOR");
    assert_eq!(json["suggestedVersion"], "2.0.0");
    let change = &json["changes"][0];
    let got = json!([change["rule"], change["field"], change["backward"], change["forward"], change["producer"]]);
    assert_eq!(got, json!(["ENUM_NARROW", "bahan", false, true, false]));
    assert_eq!(change["from"], json!(["kayu", "fiber", "baja"]));
    assert_eq!(
        change["message"]["id"],
        "Pilihan kolom bahan berkurang: [\"kayu\",\"fiber\",\"baja\"] menjadi [\"kayu\",\"fiber\"]."
    );
    assert_eq!(
        change["message"]["en"],
        "Column bahan has fewer choices: [\"kayu\",\"fiber\",\"baja\"] became [\"kayu\",\"fiber\"]."
    );
}

proptest::proptest! {
    /// What is read forward in one direction is read backward in the other.
    #[test]
    fn backward_one_way_is_forward_the_other(a in schema(), b in schema()) {
        let (there, back) = (full(&a, &b), full(&b, &a));
        proptest::prop_assert_eq!(there.backward, back.forward, "{} {}", a, b);
        proptest::prop_assert_eq!(there.forward, back.backward, "{} {}", a, b);
    }

    /// No JSON at all makes the check panic.
    #[test]
    fn any_property_may_hold_any_json(at in 0usize..POINTERS.len(), what in 0usize..8) {
        let junk = [json!(null), json!(1.5), json!("x"), json!([]), json!({}), json!([1, null]), json!({"a": 1}), json!(-1)];
        let mut new = boats();
        new.as_object_mut().unwrap().insert("foreignKeys".into(), json!([{"fields": "bahan", "reference": {}}]));
        *new.pointer_mut(POINTERS[at]).unwrap() = junk[what].clone();
        let _ = check(&boats(), &new);
        let _ = check(&new, &boats());
    }
}

const POINTERS: [&str; 14] = [
    "",
    "/fields",
    "/fields/1",
    "/fields/1/name",
    "/fields/1/type",
    "/fields/1/constraints",
    "/fields/1/satudata",
    "/fields/1/constraints/minimum",
    "/fields/3/constraints/enum",
    "/primaryKey",
    "/missingValues",
    "/fieldsMatch",
    "/foreignKeys/0/reference",
    "/foreignKeys/0/fields",
];

/// Variants of the table that differ in what both directions can be asked about.
fn schema() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let bounds = (proptest::option::of(-3i64..3), proptest::option::of(-3i64..3), any::<bool>());
    let choices = proptest::option::of(proptest::sample::subsequence(vec!["kayu", "fiber", "baja"], 1..=3));
    let keys = proptest::sample::subsequence(vec!["nomor", "awak", "terdaftar"], 0..=3);
    (bounds, choices, keys, any::<[bool; 3]>()).prop_map(
        |((min, max, open), choices, keys, [filled, unique, whole])| {
            let lower = if open { "exclusiveMinimum" } else { "minimum" };
            let mut schema = with(&[
                ("/fields/1/constraints", json!({})),
                ("/fields/3/constraints", json!({})),
                ("/fields/4/constraints", json!({"required": filled, "unique": unique})),
                ("/fields/1/type", json!(if whole { "integer" } else { "number" })),
                ("/primaryKey", json!(keys)),
            ]);
            let constraints = &mut schema["fields"][1]["constraints"];
            if let Some(n) = min {
                constraints[lower] = json!(n);
            }
            if let Some(n) = max {
                constraints["maximum"] = json!(n);
            }
            if let Some(list) = choices {
                schema["fields"][3]["constraints"]["enum"] = json!(list);
            }
            schema
        },
    )
}

type Edits = Vec<(&'static str, Value)>;

/// What a file with this one cell in this column is under the schema: valid or not.
fn accepts(schema: &Value, column: &str, cell: &str) -> bool {
    let package = json!({"$schema": "https://datapackage.org/profiles/2.0/datapackage.json", "name": "saksi",
        "resources": [{"name": "saksi", "schema": schema}]});
    let contract = crate::Contract::compile(&package, &crate::NoReferences).unwrap();
    let names = schema["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap());
    let row: Vec<String> = names
        .clone()
        .map(|name| match name {
            _ if name == column => format!("\"{cell}\""),
            "nomor" => "x".to_owned(),
            _ => String::new(),
        })
        .collect();
    let file = format!("{}\n{}\n", names.collect::<Vec<_>>().join(","), row.join(","));
    let mut validator =
        crate::Validator::new(std::sync::Arc::new(contract), crate::Format::Csv, crate::Limits::default());
    validator.push(file.as_bytes()).unwrap();
    validator.finish().unwrap();
    validator.into_report().valid
}

#[test]
fn a_witness_is_valid_before_and_not_after() {
    let pattern = "/fields/0/constraints/pattern";
    let cases: Vec<(&str, Edits, Edits)> = vec![
        ("panjang", vec![], vec![("/fields/1/constraints/maximum", json!(50))]),
        ("panjang", vec![], vec![("/fields/1/constraints/minimum", json!(1.5))]),
        (
            "panjang",
            vec![("/fields/1/constraints", json!({"exclusiveMinimum": 1}))],
            vec![("/fields/1/constraints", json!({"exclusiveMinimum": 2}))],
        ),
        (
            "panjang",
            vec![("/fields/1/constraints", json!({"exclusiveMinimum": 1}))],
            vec![("/fields/1/constraints", json!({"minimum": 2}))],
        ),
        ("awak", vec![], vec![("/fields/2/constraints/maximum", json!(12))]),
        ("awak", vec![], vec![("/fields/2/constraints/exclusiveMinimum", json!(3))]),
        ("bahan", vec![], vec![("/fields/3/constraints/enum", json!(["kayu", "baja"]))]),
        (
            "terdaftar",
            vec![("/fields/4/constraints", json!({"maximum": "2026-12-31"}))],
            vec![("/fields/4/constraints", json!({"maximum": "2025-12-31"}))],
        ),
        ("terdaftar", vec![], vec![("/fields/4/constraints", json!({"exclusiveMinimum": "2000-01-01"}))]),
        ("terdaftar", vec![], vec![("/fields/4/constraints", json!({"required": true}))]),
        ("nomor", vec![], vec![("/fields/0/constraints/maxLength", json!(8))]),
        ("nomor", vec![], vec![("/fields/0/constraints/minLength", json!(3))]),
        ("nomor", vec![], vec![(pattern, json!("[A-Z]{2}[0-9]+"))]),
        ("nomor", vec![(pattern, json!("[0-9]{4,6}"))], vec![(pattern, json!("[0-9]{4}"))]),
    ];
    for (column, old, new) in cases {
        let (old, new) = (with(&old), with(&new));
        let result = full(&old, &new);
        let witness = result.changes.iter().find_map(|change| change.witness.clone());
        let cell = match witness.unwrap_or_else(|| panic!("no witness: {:#?}", result.changes)) {
            Value::String(text) => text,
            other => other.to_string(),
        };
        assert!(accepts(&old, column, &cell), "{cell} was not valid in {column}");
        assert!(!accepts(&new, column, &cell), "{cell} is still valid in {column}: {:#?}", result.changes);
    }
}

#[test]
fn the_words_name_rule_victim_and_version_in_both_languages() {
    let old = json!({"version": "1.4.0", "resources": [{"name": "kapal", "schema": boats()}]});
    let new = with(&[("/fields/2/constraints/required", json!(true))]);
    let result = check(&old, &new).unwrap();
    let indonesian = result.to_text(Lang::Id);
    for part in ["TIDAK KOMPATIBEL (BACKWARD_TRANSITIVE)", "Kolom awak kini wajib diisi. [REQUIRED_ADD]", "data lama"] {
        assert!(indonesian.contains(part), "{indonesian}");
    }
    assert!(indonesian.contains("Berkas Anda perlu diubah: ya\nNomor versi yang diperlukan: 2.0.0 (MAJOR)."));
    let english = result.to_text(Lang::En);
    assert!(
        english.contains("NOT COMPATIBLE") && english.contains("breaks: older data, producers' files"),
        "{english}"
    );
    assert!(english.contains("was valid, no longer is: (empty)"), "{english}");
    let reason = result.reason(Lang::Id);
    assert!(reason.contains("REQUIRED_ADD") && reason.contains("data lama") && reason.contains("2.0.0"), "{reason}");
    let json = result.to_json(Lang::En);
    assert_eq!(json["changes"][0]["message"], "Column awak is now required.");
    assert_eq!(json["changes"][0]["breaks"], json!(["history", "producers"]));
    assert_eq!(json["suggestedVersion"], "2.0.0");
    assert_eq!(check(&old, &old).unwrap().reason(Lang::Id), "");
}

#[test]
fn a_descriptor_that_cannot_be_used_is_told_from_one_whose_lists_are_elsewhere() {
    assert!(faults(&boats()).is_empty());
    assert!(!faults(&with(&[("/fields/1/type", json!("angka"))])).is_empty());
    assert!(!faults(&json!([])).is_empty());
    assert!(faults(&with(&[("/primaryKey", json!([]))])).is_empty());
    let listed = json!([{"fields": ["bahan"], "reference":
        {"package": "urn:satudata:ref:bahan@2026-1", "resource": "bahan", "fields": ["kode"]}}]);
    assert!(faults(&with(&[("/foreignKeys", listed)])).is_empty());
}

#[test]
fn rules_across_columns_break_when_they_refuse_more_and_warnings_never_do() {
    let rule = |expression: &str, level: &str, tolerance: f64| json!({"aturan": [{"nama": "r", "ekspresi": expression, "tingkat": level, "toleransi": tolerance}]});
    let at = |value: Value| vec![("/satudata", value)];
    let (error, warning) = ("kesalahan", "peringatan");
    run(vec![
        ("ROW_RULE_ADD", vec![], at(rule("awak > 1", error, 0.0)), "-+-", Level::Major),
        ("ROW_RULE_ADD", at(rule("awak > 1", warning, 0.0)), at(rule("awak > 1", error, 0.0)), "-+-", Level::Major),
        ("ROW_RULE_REMOVE", at(rule("awak > 1", error, 0.0)), vec![], "+-+", Level::Minor),
        ("ROW_RULE_REMOVE", at(rule("awak > 1", error, 0.0)), at(rule("awak > 1", warning, 0.0)), "+-+", Level::Minor),
        ("ROW_RULE_CHANGE", at(rule("awak > 1", error, 0.0)), at(rule("awak > 2", error, 0.0)), "---", Level::Major),
        ("ROW_RULE_CHANGE", at(rule("awak > 1", error, 2.0)), at(rule("awak > 1", error, 1.0)), "-+-", Level::Major),
        ("ROW_RULE_LOOSEN", at(rule("awak > 1", error, 1.0)), at(rule("awak > 1", error, 2.0)), "+-+", Level::Minor),
        ("ROW_RULE_WARNING", vec![], at(rule("awak > 1", warning, 0.0)), "+++", Level::Patch),
        (
            "ROW_RULE_WARNING",
            at(rule("awak > 1", warning, 0.0)),
            at(rule("awak > 2", warning, 0.0)),
            "+++",
            Level::Patch,
        ),
        ("ROW_RULE_WARNING", at(rule("awak > 1", warning, 0.0)), vec![], "+++", Level::Patch),
    ]);
    let same = with(&at(rule("awak > 1", error, 0.0)));
    let spaced = with(&at(rule("awak  >  1", error, 0.0)));
    assert_eq!(verdicts(&full(&same, &spaced)), "+++");
}
