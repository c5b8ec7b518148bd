//! The standard, point by point, as `simpul validate` reads it: one table of cases a subject.

use std::io::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::*;

const V2: &str = "https://datapackage.org/profiles/2.0/datapackage.json";

/// What the check says: `valid`, the paths of the descriptor's faults, or the errors as
/// `row:column type`, in the order of the report.
fn check(descriptor: &Value, files: &[(&str, &[u8])]) -> String {
    let load = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, bytes)| bytes.to_vec());
    let path = descriptor.pointer("/resources/0/path").map(|path| path.get(0).unwrap_or(path));
    let bytes = path.and_then(Value::as_str).and_then(load).unwrap_or_default();
    let outcome = validate_package(descriptor, Ok(&mut bytes.as_slice()), &load, Limits::default());
    if outcome.exit == 2 {
        let paths: Vec<&str> = outcome.descriptor_errors.iter().map(|error| error.path.as_str()).collect();
        return format!("descriptor {}", paths.join(" "));
    }
    let json = outcome.to_json(Lang::En);
    let errors: Vec<String> = json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            let number = |name: &str| error[name].as_u64().map_or_else(|| "-".to_owned(), |number| number.to_string());
            let rule = error["constraint"].as_str().or(error["type"].as_str()).unwrap_or_default();
            format!("{}:{} {rule}", number("row"), number("fieldNumber"))
        })
        .collect();
    assert_eq!(outcome.exit, u8::from(!errors.is_empty()), "{json}");
    if errors.is_empty() { "valid".to_owned() } else { errors.join(", ") }
}

fn package(resource: Value, version2: bool) -> Value {
    let mut whole = json!({"name": "data", "path": "data.csv"});
    whole.as_object_mut().unwrap().extend(resource.as_object().unwrap().clone());
    let mut package = json!({"name": "uji", "resources": [whole]});
    if version2 {
        package["$schema"] = json!(V2);
    }
    package
}

/// Checks the values of one field, which stand from row 2 on behind a number.
fn field(field: Value, values: &[&str]) -> String {
    let mut whole = json!({"name": "x"});
    whole.as_object_mut().unwrap().extend(field.as_object().unwrap().clone());
    let schema = json!({"fields": [{"name": "id", "type": "integer"}, whole]});
    let mut text = "id,x\n".to_owned();
    for (number, value) in values.iter().enumerate() {
        text.push_str(&format!("{number},\"{}\"\n", value.replace('"', "\"\"")));
    }
    check(&package(json!({"schema": schema}), true), &[("data.csv", text.as_bytes())])
}

/// Checks a table whose fields are an integer and a text.
fn table(resource: Value, text: &str) -> String {
    let mut resource = resource;
    if resource.get("schema").is_none() {
        resource["schema"] = json!({"fields": [{"name": "id", "type": "integer"}, {"name": "nama"}]});
    }
    check(&package(resource, true), &[("data.csv", text.as_bytes())])
}

const FIELD: &str = "descriptor /resources/0/schema/fields/1";

#[test]
fn types_and_formats() {
    for (descriptor, values, expected) in [
        (json!({"type": "string", "format": "fmt:email"}), &["a@b.co", "x"][..], "3:2 type-error"),
        (json!({"type": "date", "format": "%d%m%Y"}), &["512024", "05012024", "3202024"], "4:2 type-error"),
        (json!({"type": "date", "format": "%G-W%V-%u"}), &["2024-W01-1", "2024-W53-1"], "3:2 type-error"),
        (json!({"type": "date", "format": "any"}), &["10th Jan 1969", "5 Mei 2024", "besok"], "4:2 type-error"),
        (json!({"type": "time", "format": "any"}), &["3 pm", "3:00am", "some night"], "4:2 type-error"),
        (json!({"type": "datetime", "format": "any"}), &["10th Jan 1969 9am", "3 pm"], "3:2 type-error"),
        (json!({"type": "time"}), &["15:00:00", "15:00:00Z", "15:00:00.5"], "3:2 type-error, 4:2 type-error"),
        (json!({"type": "geojson"}), &[r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1]]]}"#], "2:2 type-error"),
        (json!({"type": "geojson", "format": "topojson"}), &[r#"{"type":"LineString","arcs":[42]}"#], "valid"),
        (json!({"type": "list", "itemType": "boolean"}), &["true,0", "x"], "3:2 type-error"),
        (json!({"type": "number", "groupChar": " "}), &["1 000", "1000", "10 00"], "4:2 type-error"),
    ] {
        assert_eq!(field(descriptor.clone(), values), expected, "{descriptor}");
    }
}

#[test]
fn constraints() {
    for (descriptor, values, expected) in [
        (json!({"constraints": {"pattern": "a+"}}), &["a", "b"][..], "3:2 pattern"),
        (json!({"constraints": {"minLength": 2}}), &["a", "bb"], "2:2 minLength"),
        (json!({"type": "geopoint", "constraints": {"enum": ["1,2"]}}), &["1.0, 2", "2,1"], "3:2 enum"),
        (json!({"type": "geopoint", "constraints": {"unique": true}}), &["1,2", "1.0, 2.0"], "3:2 unique-error"),
        (json!({"type": "boolean", "constraints": {"unique": true}}), &["true", "1"], "3:2 unique-error"),
        (
            json!({"type": "array", "constraints": {"jsonSchema": {"items": {"type": "integer"}}}}),
            &["[1]", "[\"a\"]"],
            "3:2 jsonSchema",
        ),
        (
            json!({"type": "number", "decimalChar": ",", "constraints": {"minimum": "1,5"}}),
            &["1,4", "1,5"],
            "2:2 minimum",
        ),
        (json!({"type": "string", "constraints": {"minLength": 1.0}}), &["a"], "valid"),
        (json!({"type": "integer", "constraints": {"minimum": 10}, "example": 5}), &["10"], "valid"),
    ] {
        assert_eq!(field(descriptor.clone(), values), expected, "{descriptor}");
    }
    for (descriptor, place) in [
        (json!({"type": "string", "constraints": {"minLength": "2"}}), "/constraints/minLength"),
        (json!({"type": "string", "constraints": {"minlength": 2}}), "/constraints/minlength"),
        (json!({"constraints": {"minimum": 1}}), "/constraints/minimum"),
        (json!({"type": "integer", "constraints": {"minimum": 1.5}}), "/constraints/minimum"),
        (json!({"type": "string", "constraints": {"enum": []}}), "/constraints/enum"),
        (json!({"type": "string", "description": 5}), "/description"),
        (json!({"type": "string", "rdfType": 5}), "/rdfType"),
        (json!({"type": "string", "missingValues": [{"value": "-"}, {"value": "-"}]}), "/missingValues"),
        (json!({"type": "string", "missingValues": ["", {"value": "-"}]}), "/missingValues"),
        (json!({"type": "string", "missingValues": [{"value": "-", "label": 1}]}), "/missingValues"),
        (json!({"type": "string", "categories": []}), "/categories"),
        (json!({"type": "string", "format": "ipv4"}), "/format"),
        (json!({"type": "date", "format": "%Q"}), "/format"),
    ] {
        assert_eq!(field(descriptor.clone(), &["1"]), format!("{FIELD}{place}"), "{descriptor}");
    }
}

#[test]
fn dialects() {
    let good = "id,nama\n1,a\nx,b\n";
    for (dialect, text, expected) in [
        (json!({"headerRows": []}), "1,a\nx,b\n", "2:1 type-error"),
        (
            json!({"headerRows": [1, 2], "headerJoin": "-"}),
            "a\nid,nama\n1,a\n",
            "-:1 incorrect-label, -:2 incorrect-label",
        ),
        (json!({"lineTerminator": ";"}), "id,nama;1,a;x,b", "3:1 type-error"),
        (json!({"escapeChar": "|"}), "id,nama\n1,a|,b\nx,c|,d\n", "3:1 type-error"),
        (json!({"nullSequence": "NA"}), "id,nama\nNA,a\nx,b\n", "3:1 type-error"),
        (json!({"quoteChar": null}), "id,nama\n1,\"a\nx,b\n", "3:1 type-error"),
        (json!({"commentChar": "//"}), "//x\nid,nama\n1,a\n/x,b\n", "4:1 type-error"),
        (json!({"header": false}), "1,a\nx,b\n1\n1,a,b\n", "2:1 type-error, 3:2 missing-cell, 4:3 extra-cell"),
        (json!({"caseSensitiveHeader": false, "csvddfVersion": 1.2}), "ID,nama\n1,a\n", "-:1 incorrect-label"),
        (json!({"property": "x", "sheetName": "y", "table": "z"}), good, "3:1 type-error"),
        (json!({"quoteChar": ""}), good, "descriptor /resources/0/dialect/quoteChar"),
        (json!({"headerRows": [0]}), good, "descriptor /resources/0/dialect/headerRows"),
        (json!({"itemType": "x"}), good, "descriptor /resources/0/dialect/itemType"),
        (json!({"skipInitialSpace": "y"}), good, "descriptor /resources/0/dialect/skipInitialSpace"),
    ] {
        assert_eq!(table(json!({"dialect": dialect}), text), expected, "{dialect} {text:?}");
    }
}

#[test]
fn headers_and_blank_rows() {
    let schema = |more: Value| {
        let mut schema = json!({"fields": [{"name": "id", "type": "integer"}, {"name": "nama"}]});
        schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"schema": schema})
    };
    for (more, text, expected) in [
        (json!({}), ",\n1,a\n", "-:1 blank-label, -:2 blank-label"),
        (json!({}), "\nid,nama\n", "2:1 type-error"),
        (json!({}), "\n", "-:- source-error"),
        (json!({"fieldsMatch": "equal"}), "nama,id,\na,1,\n", "-:3 extra-label"),
        (json!({"fieldsMatch": "superset"}), "id,\n1,\n", "-:2 extra-label"),
        (json!({"missingValues": ["-"]}), "id,nama\n-,-\n\n-,a\n", "2:- blank-row, 3:- blank-row"),
        (json!({"missingValues": ["-"]}), "id,nama\n,\n", "2:1 type-error"),
        (json!({"fieldsMatch": "subset"}), "z,id,nama\n1,,\n,,\n", "3:- blank-row"),
        (json!({}), "id,nama\n,,x\n,,\n", "2:3 extra-cell, 3:- blank-row"),
        (json!({"primaryKey": []}), "id,nama\n1,a\n1,a\n", "valid"),
        (
            json!({"primaryKey": "id"}),
            "id,nama\nx,a\n\n1,b\n",
            "2:1 primary-key, 2:1 type-error, 3:- blank-row, 3:1 primary-key",
        ),
        (json!({"uniqueKeys": []}), "id,nama\n", "descriptor /resources/0/schema/uniqueKeys"),
        (json!({"uniqueKeys": [["id", "nama"]]}), "id,nama\n,a\n,a\n1,a\n1,a\n", "5:1 unique-key"),
    ] {
        let mut found: Vec<String> = table(schema(more.clone()), text).split(", ").map(str::to_owned).collect();
        found.sort();
        assert_eq!(found.join(", "), expected, "{more} {text:?}");
    }
}

#[test]
fn references_compare_logical_values() {
    let list = b"kode,n,hari\n64,1,2024-01-01\n65,2,2024-01-02\n";
    for (own, target, cells, expected) in [
        (json!({"type": "integer"}), "n", "01\n3\n", "3:1 foreign-key"),
        (json!({"type": "number"}), "n", "1.0\n2.5\n", "3:1 foreign-key"),
        (json!({"type": "year"}), "n", "0001\n", "valid"),
        (json!({"type": "date", "format": "%d/%m/%Y"}), "hari", "01/01/2024\n03/01/2024\n", "3:1 foreign-key"),
        (json!({"type": "string"}), "n", "1\n", "2:1 foreign-key"),
        (json!({"type": "integer"}), "kode", "64\n", "2:1 foreign-key"),
        (json!({}), "kode", "64\n", "valid"),
        (json!({}), "lain", "64\n", "descriptor /resources/0/schema/foreignKeys/0/reference/fields"),
    ] {
        let mut field = json!({"name": "x"});
        field.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        let schema = json!({"fields": [field], "foreignKeys": [{"fields": "x", "reference": {"resource": "w", "fields": target}}]});
        let mut package = package(json!({"schema": schema}), true);
        let fields = json!([{"name": "kode", "type": "string"}, {"name": "n", "type": "integer"}, {"name": "hari", "type": "date"}]);
        let other = json!({"name": "w", "path": "w.csv", "schema": {"fields": fields}});
        package["resources"].as_array_mut().unwrap().push(other);
        let data = format!("x\n{cells}");
        assert_eq!(check(&package, &[("data.csv", data.as_bytes()), ("w.csv", list)]), expected, "{own} {target}");
        if expected == "valid" {
            assert_eq!(check(&package, &[("data.csv", data.as_bytes())]), "-:- scheme-error");
        }
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_table_without_a_schema_is_checked_for_its_shape() {
    for (dialect, text, expected) in [
        (json!({}), "id,nama\n1,a\n2\n\n3,b,c\n", "3:2 missing-cell, 4:- blank-row, 5:3 extra-cell"),
        (json!({"delimiter": ";"}), "id;nama\n1;a\n", "valid"),
        (json!({}), "id;nama\n1;a\n", "valid"),
        (json!({}), "id,,id\n1,2,3\n", "-:2 blank-label, -:3 duplicate-label"),
        (json!({"header": false}), "1,a\n2\n", "2:2 missing-cell"),
        (json!({"headerRows": [2, 3], "commentRows": [1]}), "x\na,a\nb,c\n1\n", "4:2 missing-cell"),
    ] {
        let resource = json!({"dialect": dialect});
        assert_eq!(check(&package(resource, true), &[("data.csv", text.as_bytes())]), expected, "{dialect} {text:?}");
    }
    let gz = gzip("id,nama\n1,a\n2\n");
    assert_eq!(check(&package(json!({"path": "d.csv.gz"}), true), &[("d.csv.gz", &gz)]), "3:2 missing-cell");
    // A list without a schema: its codes are texts.
    let schema = json!({"fields": [{"name": "x", "type": "string"}], "foreignKeys": [{"fields": "x", "reference": {"resource": "w", "fields": "kode"}}]});
    let mut package = package(json!({"schema": schema}), true);
    package["resources"].as_array_mut().unwrap().push(json!({"name": "w", "path": "w.csv"}));
    assert_eq!(check(&package, &[("data.csv", b"x\n64\n9\n"), ("w.csv", b"kode\n64\n")]), "3:1 foreign-key");
}

#[test]
fn files_may_be_gzipped_and_several() {
    let fields = json!({"fields": [{"name": "id", "type": "integer"}, {"name": "nama"}]});
    let run = |path: Value, more: Value, files: &[(&str, &[u8])]| {
        let mut resource = json!({"path": path, "schema": fields});
        resource.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        check(&package(resource, true), files)
    };
    let good = gzip("id,nama\n1,a\nx,b\n");
    assert_eq!(run(json!("d.csv.gz"), json!({}), &[("d.csv.gz", &good)]), "3:1 type-error");
    assert_eq!(run(json!("d.csv"), json!({"compression": "gz"}), &[("d.csv", &good)]), "3:1 type-error");
    let cut = run(json!("d.csv.gz"), json!({}), &[("d.csv.gz", &good[..good.len() - 9])]);
    assert!(cut.contains("compression-error"), "{cut}");
    let twice = [good.as_slice(), &gzip("y,c\n")].concat();
    assert_eq!(run(json!("d.csv.gz"), json!({}), &[("d.csv.gz", &twice)]), "3:1 type-error, 4:1 type-error");
    let parts = json!(["a.csv", "b.csv"]);
    for (first, second, expected) in [
        ("id,nama\n1,a\n", "2,b\nx,c\n", "4:1 type-error"),
        ("id,nama\n1,a", "2,b\nx,c\n", "4:1 type-error"),
        ("id,nama\r\n1,a\r\n", "id,nama\r\nx,c\r\n", "3:1 type-error"),
        ("id,nama\n1,a\n", "\u{feff}id,nama\nx,c", "3:1 type-error"),
        ("id,nama\n1,a\n", "id,nama", "valid"),
    ] {
        let files: [(&str, &[u8]); 2] = [("a.csv", first.as_bytes()), ("b.csv", second.as_bytes())];
        assert_eq!(run(parts.clone(), json!({}), &files), expected, "{first:?} {second:?}");
    }
    assert_eq!(run(parts, json!({}), &[("a.csv", b"id,nama\n1,a\n")]), "-:- scheme-error");
}

#[test]
fn json_tables() {
    let run = |path: &str, dialect: Value, text: &str| {
        let schema = json!({"fields": [{"name": "id", "type": "integer"}, {"name": "nama"}]});
        let resource = json!({"path": path, "dialect": dialect, "schema": schema});
        check(&package(resource, true), &[(path, text.as_bytes())])
    };
    for (path, dialect, text, expected) in [
        ("d.json", json!({}), r#"[{"id":1,"nama":"a"},{"id":"x","nama":"b"}]"#, "3:1 type-error"),
        ("d.json", json!({"property": "r"}), r#"{"r":[["id","nama"],["x","b"]]}"#, "2:1 type-error"),
        ("d.json", json!({"property": "a.r"}), r#"{"a":{"r":[["id","nama"],["x","b"]]}}"#, "2:1 type-error"),
        ("d.json", json!({"property": "r"}), r#"{"a":[]}"#, "-:- source-error"),
        ("d.json", json!({"header": false}), r#"[[1,"a"],["x","b"]]"#, "2:1 type-error"),
        ("d.json", json!({"itemKeys": ["id", "nama"]}), r#"[{"z":1,"nama":"a","id":"x"}]"#, "2:1 type-error"),
        ("d.json", json!({}), r#"[["id","nama"],[null,null],{"id":1},[1,"a"]]"#, "2:- blank-row, 3:- json"),
        ("d.json", json!({}), r#"[{"id":1,"nama":"a"},[1,"a"],{"id":null,"nama":null}]"#, "3:- json, 4:- blank-row"),
        ("d.ndjson", json!({}), "{\"id\":1,\"nama\":\"a\"}\n\n{\"id\":\"x\",\"nama\":\"b\"}", "3:1 type-error"),
        ("d.jsonl", json!({}), "[\"nama\",\"id\"]\n", "-:1 incorrect-label, -:2 incorrect-label"),
        ("d.jsonl", json!({}), "[\"id\",\"nama\"]\n[1,\"a\"]\n[\"x\",2]\n{\"id\":1}", "3:1 type-error, 4:- json"),
        ("d.jsonl", json!({"header": false}), "[1,\"a\"]\n[\"x\",\"b\"]\n", "2:1 type-error"),
    ] {
        assert_eq!(run(path, dialect.clone(), text), expected, "{path} {dialect} {text}");
    }
}

#[test]
fn packages_and_resources() {
    let text: (&str, &[u8]) = ("data.csv", b"id,nama\n1,a\n");
    let schema = json!({"fields": [{"name": "id", "type": "integer"}, {"name": "nama"}]});
    let base = package(json!({"schema": schema}), true);
    assert_eq!(check(&base, &[text]), "valid");
    for (pointer, name, value, place) in [
        ("", "licenses", json!("CC"), "/licenses"),
        ("", "licenses", json!([{"title": "x"}]), "/licenses"),
        ("", "sources", json!(["x"]), "/sources"),
        ("", "contributors", json!(["x"]), "/contributors"),
        ("", "created", json!("2024-01-05"), "/created"),
        ("", "homepage", json!(5), "/homepage"),
        ("", "keywords", json!("a"), "/keywords"),
        ("", "$schema", json!(5), "/$schema"),
        ("/resources/0", "name", json!(5), "/resources/0/name"),
        ("/resources/0", "bytes", json!("12"), "/resources/0/bytes"),
        ("/resources/0", "mediatype", json!(5), "/resources/0/mediatype"),
        ("/resources/0", "path", json!([]), "/resources/0/path"),
        ("/resources/0", "path", json!("../data.csv"), "/resources/0/path"),
        ("/resources/0", "path", json!("/etc/passwd"), "/resources/0/path"),
        ("/resources/0", "data", json!([]), "/resources/0"),
    ] {
        let mut descriptor = base.clone();
        descriptor.pointer_mut(pointer).unwrap()[name] = value.clone();
        let found = check(&descriptor, &[text]);
        let first = found.split(' ').take(2).collect::<Vec<_>>().join(" ");
        assert_eq!(first, format!("descriptor {place}"), "{name} {value}");
    }
    let mut two = base.clone();
    let mut add = |resource: Value, place: &str| {
        two["resources"].as_array_mut().unwrap().truncate(1);
        two["resources"].as_array_mut().unwrap().push(resource);
        assert_eq!(check(&two, &[text]), format!("descriptor {place}"));
    };
    add(json!({"name": "data", "path": "b.csv"}), "/resources/1/name");
    add(json!({"name": "b"}), "/resources/1");
    add(
        json!({"name": "b", "path": "b.csv", "schema": {"fields": [{"name": "n", "type": "bad"}]}}),
        "/resources/1/schema/fields/0/type",
    );
    let mut good = base.clone();
    good["created"] = json!("1985-04-12T23:20:50.52Z");
    good["licenses"] = json!([{"name": "CC-BY-4.0"}]);
    good["contributors"] = json!([{"title": "A", "role": "author"}]);
    assert_eq!(check(&good, &[text]), "valid");
}

#[test]
fn versions_and_descriptors_that_stand_alone() {
    let text: (&str, &[u8]) = ("data.csv", b"id,nama\n1,a\nx,bb\n");
    let version1 = json!({
        "name": "uji", "profile": "tabular-data-package",
        "resources": [{
            "name": "data", "profile": "tabular-data-resource", "path": "data.csv",
            "schema": {"fields": [{"name": "id", "type": "integer"}, {"name": "nama", "constraints": {"maxLength": 1}}], "primaryKey": "id"},
        }],
    });
    assert_eq!(check(&version1, &[text]), "3:1 primary-key, 3:1 type-error, 3:2 maxLength");
    let mut other = version1.clone();
    other["resources"][0].as_object_mut().unwrap().remove("profile");
    assert_eq!(check(&other, &[text]), "descriptor /resources/0/profile");
    let run = |descriptor: &Value| {
        let mut bytes = text.1;
        validate_package(descriptor, Ok(&mut bytes), &|_| None, Limits::default()).report.stats.errors
    };
    assert_eq!(run(&version1["resources"][0]), 3);
    assert_eq!(run(&json!({"fields": [{"name": "id", "type": "integer"}, {"name": "nama"}]})), 1);
    let mut letters = version1.clone();
    letters["resources"][0]["dialect"] = json!({"caseSensitiveHeader": false, "csvddfVersion": 1.2});
    assert_eq!(check(&letters, &[("data.csv", b"ID,Nama\n1,a\n")]), "valid");
    letters["resources"][0]["dialect"] = json!({"csvddfVersion": 1.2});
    assert!(check(&letters, &[("data.csv", b"ID,Nama\n1,a\n")]).contains("incorrect-label"));
    let url = json!({"resources": [{"name": "data", "url": "data.csv", "schema": {"fields": [{"name": "id"}, {"name": "nama"}]}}]});
    assert_eq!(run(&url), 0);
}

fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "", "string", "integer", "list", "date", "any", "default", "%Y", "%d%", "exact", "a", "1", "[", "(?", "\\p{",
        "utf-16", "data",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "name",
        "type",
        "value",
        "label",
        "fields",
        "resource",
        "reference",
        "minimum",
        "enum",
        "pattern",
        "x",
    ]);
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..4)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// A descriptor with about every property, for changing one of them.
fn rich() -> Value {
    json!({
        "$schema": V2, "name": "uji", "created": "1985-04-12T23:20:50Z", "licenses": [{"name": "x"}], "satudata": {"moda": "tambah", "sifat": "terbuka"},
        "resources": [
            {
                "name": "data", "path": ["data.csv"], "bytes": 1, "hash": "md5:00", "encoding": "utf-8", "format": "csv", "compression": "no",
                "dialect": {
                    "delimiter": ",", "lineTerminator": "\n", "quoteChar": "\"", "doubleQuote": true, "escapeChar": "\\",
                    "nullSequence": "-", "skipInitialSpace": false, "header": true, "headerRows": [1], "headerJoin": " ",
                    "commentRows": [9], "commentChar": "#", "property": "a", "itemType": "array", "itemKeys": ["id"],
                },
                "schema": {
                    "fieldsMatch": "partial", "missingValues": ["", "-"], "primaryKey": ["id"], "uniqueKeys": [["nama"]],
                    "foreignKeys": [{"fields": ["id"], "reference": {"resource": "w", "fields": ["n"]}}],
                    "fields": [
                        {"name": "id", "type": "integer", "groupChar": ".", "bareNumber": false, "constraints": {"minimum": 1, "enum": [1, 2]}},
                        {"name": "nama", "type": "string", "format": "email", "categories": [{"value": "a", "label": "A"}], "constraints": {"pattern": "a", "maxLength": 3}},
                        {"name": "t", "type": "datetime", "format": "%Y", "constraints": {"maximum": "2024"}, "satudata": {"zonaWaktu": "WIB", "alias": ["u"], "dataPribadi": {"jenis": "umum"}}},
                        {"name": "l", "type": "list", "delimiter": ";", "itemType": "date", "missingValues": [{"value": "x"}]},
                        {"name": "b", "type": "boolean", "trueValues": ["y"], "falseValues": ["n"], "example": "y"},
                        {"name": "o", "type": "object", "constraints": {"jsonSchema": {"type": "object"}}},
                    ],
                },
            },
            {"name": "w", "data": [["n"], [1]], "schema": {"fields": [{"name": "n", "type": "integer"}]}},
        ],
    })
}

fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, item)| pointers(item, &format!("{at}/{name}"), found))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| pointers(item, &format!("{at}/{index}"), found))
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn no_json_makes_a_descriptor_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_json()), 0..3),
        whole in prop::option::weighted(0.1, any_json()),
    ) {
        let mut descriptor = whole.unwrap_or_else(rich);
        let mut places = Vec::new();
        pointers(&descriptor, "", &mut places);
        for (place, value) in changes {
            if let Some(slot) = descriptor.pointer_mut(&places[place.index(places.len())]) {
                *slot = value;
            }
        }
        let text = b"id,nama,t,l,b,o\n1,a@b.co,2024,2024-01-01,y,{}\n-,,x,,,\n1.000,\"\n";
        let mut bytes = text.as_slice();
        let outcome = validate_package(&descriptor, Ok(&mut bytes), &|_| Some(text.to_vec()), Limits::default());
        prop_assert_eq!(outcome.exit == 2, !outcome.descriptor_errors.is_empty());
        let _ = outcome.to_json(Lang::Id);
    }

    #[test]
    fn a_file_cut_at_any_byte_gives_the_same_report(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "id", "nama", ",", ",", ";", "\"", "\"\"", "\n", "\r\n", "\r", "1", "x", "\u{e9}", "\u{1f469}", "\0", "{\"id\":1}", "[", "]", "{\"nama\":\"a\"", "}", " ", "\u{feff}", "#",
            ]),
            0..25,
        ),
        header in any::<bool>(),
        damage in prop::option::of(any::<u8>()),
        format in prop::sample::select(vec![Format::Csv, Format::Ndjson, Format::Json]),
        land in any::<bool>(),
        commented in any::<bool>(),
    ) {
        let mut resource = json!({"schema": {"fields": [{"name": "id", "type": "integer"}, {"name": "nama"}], "fieldsMatch": "partial"}});
        if commented {
            resource["dialect"] = json!({"delimiter": ",", "commentChar": "#", "skipInitialSpace": true});
        }
        let contract = std::sync::Arc::new(Contract::compile(&package(resource, true), &NoReferences).unwrap());
        let mut bytes = if header { b"id,nama\n".to_vec() } else { Vec::new() };
        bytes.extend_from_slice(parts.concat().as_bytes());
        bytes.extend(damage);
        let run = |pieces: &[&[u8]]| {
            let make = if land { Validator::new } else { Validator::for_check };
            let mut validator = make(std::sync::Arc::clone(&contract), format, Limits::default());
            let _ = pieces.iter().try_for_each(|piece| validator.push(piece));
            let _ = validator.finish();
            validator.into_report()
        };
        let whole = run(&[&bytes]);
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            prop_assert_eq!(&run(&[head, tail]), &whole, "cut at {}", at);
        }
    }
}
