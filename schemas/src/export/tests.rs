//! What ships, exported; and records of the samples against the JSON Schema of their contract.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::code_list::parse_urn;
use crate::values::Column;
use crate::{Contract, Format, Limits, ReferenceTable, References, Validator, Wanted, standard};

/// The code lists that ship.
struct Shipped;

impl References for Shipped {
    fn table(&self, wanted: &Wanted<'_>) -> Option<Arc<ReferenceTable>> {
        let (id, version) = parse_urn(wanted.package?)?;
        let mut lists = standard::code_lists().filter_map(|list| list.load().ok());
        let list = lists.find(|list| list.id() == id && list.version() == version)?;
        Some(Arc::new(ReferenceTable::from_code_list(&list)))
    }
}

fn shipped() -> impl Iterator<Item = (standard::Standard, Contract)> {
    standard::contracts().map(|standard| {
        let mut descriptor: Value = serde_json::from_str(standard.descriptor).unwrap();
        // JSON Schema cannot say rules across columns, and there is no engine for them here.
        if let Some(own) = descriptor.pointer_mut("/resources/0/schema/satudata").and_then(Value::as_object_mut) {
            own.remove("aturan");
        }
        (standard, Contract::compile(&descriptor, &Shipped).unwrap())
    })
}

/// The accepted rows of a file as records have them.
fn records(contract: Contract, file: &[u8]) -> Vec<Value> {
    let fields: Vec<(String, String)> =
        contract.fields().iter().map(|field| (field.name().to_owned(), field.type_name().to_owned())).collect();
    let mut validator = Validator::new(Arc::new(contract), Format::Csv, Limits::default());
    validator.push(file).unwrap();
    validator.finish().unwrap();
    let mut records = Vec::new();
    for batch in validator.take_batches() {
        for row in 0..batch.rows.num_rows() {
            let cells = fields.iter().zip(batch.rows.columns()).map(|((name, kind), array)| {
                let text = Column::new(array).text(row);
                let value = text.map_or(Value::Null, |text| match kind.as_str() {
                    "integer" | "year" => json!(text.parse::<i64>().unwrap()),
                    "number" => json!(text.parse::<f64>().unwrap()),
                    "boolean" => json!(text == "true"),
                    _ => json!(text),
                });
                (name.clone(), value)
            });
            records.push(Value::Object(cells.collect()));
        }
    }
    records
}

#[test]
fn accepted_rows_of_every_sample_fit_the_json_schema_of_their_contract() {
    for (standard, contract) in shipped() {
        let schema = json_schema(&contract);
        let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
        let records = records(contract, standard.sample("contoh.csv").unwrap());
        assert!(!records.is_empty(), "{}", standard.name);
        for record in &records {
            let errors: Vec<String> = validator.iter_errors(record).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?} in {record}", standard.name);
        }
        let mut missing = records[0].clone();
        let first = schema["required"][0].as_str().unwrap();
        missing.as_object_mut().unwrap().remove(first);
        assert!(!validator.is_valid(&missing), "{}: {first} may be absent", standard.name);
    }
}

/// One column of each kind.
fn kinds() -> Contract {
    let fields = json!([
        {"name": "kode", "type": "string", "constraints": {"pattern": "[A-Z]{2}", "maxLength": 2}},
        {"name": "jumlah", "type": "integer", "groupChar": ".", "constraints": {"minimum": "1.000", "required": true}},
        {"name": "luas", "type": "number", "decimalChar": ",", "constraints": {"exclusiveMaximum": "2,5"}},
        {"name": "tanggal", "type": "date", "format": "%d/%m/%Y", "constraints": {"minimum": "01/02/2024"}},
        {"name": "waktu", "type": "datetime", "format": "%Y-%m-%d %H:%M", "satudata": {"zonaWaktu": "WITA"}},
        {"name": "aktif", "type": "boolean", "trueValues": ["ya"], "falseValues": ["tidak"]},
        {"name": "jenis", "type": "string", "categories": [{"value": "a", "label": "A"}, {"value": "b"}]},
        {"name": "surel", "type": "string", "format": "email", "satudata": {"dataPribadi": {"jenis": "umum"}, "tebakan": {"type": {}}}},
        {"name": "tahun", "type": "year", "constraints": {"maximum": 2030}},
        {"name": "ciri", "type": "object"},
        {"name": "xsd", "type": "string", "constraints": {"pattern": "\\i\\c*"}}
    ]);
    let package = json!({"$schema": "https://datapackage.org/profiles/2.0/datapackage.json", "name": "ragam", "version": "2.1.0",
        "contributors": [{"title": "Dinas A", "roles": ["produsenData"]}],
        "satudata": {"sifat": "terbuka", "aturan": [{"nama": "r1"}]},
        "resources": [{"name": "ragam", "schema": {"fields": fields, "primaryKey": ["kode", "tahun"], "uniqueKeys": [["jumlah", "jenis"]]}}]});
    Contract::compile(&package, &crate::NoReferences).unwrap()
}

#[test]
fn rules_are_about_values_after_reading_not_about_how_a_file_writes_them() {
    let schema = json_schema(&kinds());
    let property = |name: &str| &schema["properties"][name];
    assert_eq!(property("kode")["pattern"], "^(?:[A-Z]{2})$");
    assert_eq!(property("kode")["type"], "string", "a part of the key is never null");
    assert_eq!((&property("jumlah")["minimum"], &property("jumlah")["type"]), (&json!(1000), &json!("integer")));
    assert_eq!(property("luas")["exclusiveMaximum"], json!(2.5));
    assert_eq!(property("tanggal")["format"], "date");
    assert_eq!(property("tanggal").get("minimum"), None, "JSON Schema does not compare dates");
    assert_eq!(property("waktu")["format"], "date-time");
    assert_eq!(property("aktif")["type"], json!(["boolean", "null"]));
    assert_eq!(property("jenis")["enum"], json!(["a", "b", null]));
    assert_eq!(property("surel")["format"], "email");
    assert_eq!(property("surel")["x-satudata"], json!({"dataPribadi": {"jenis": "umum"}}), "guesses stay in the draft");
    assert_eq!(property("tahun"), &json!({"type": "integer", "maximum": 2030}));
    assert_eq!(property("ciri")["contentMediaType"], "application/json");
    assert!(property("xsd").get("pattern").is_none() && property("xsd")["$comment"].as_str().unwrap().contains("\\i"));
    assert_eq!(schema["required"].as_array().unwrap().len(), 11);
}

#[test]
fn the_open_data_contract_names_keys_types_quality_team_and_the_rest() {
    let told = json!(odcs(&kinds()));
    assert_eq!(
        (&told["apiVersion"], &told["kind"], &told["version"]),
        (&json!("v3.1.0"), &json!("DataContract"), &json!("2.1.0"))
    );
    let table = &told["schema"][0];
    let property = |name: &str| table["properties"].as_array().unwrap().iter().find(|p| p["name"] == name).unwrap();
    assert_eq!((&property("tahun")["primaryKey"], &property("tahun")["primaryKeyPosition"]), (&json!(true), &json!(2)));
    assert_eq!(property("tahun")["required"], true);
    assert_eq!(property("tanggal")["logicalTypeOptions"], json!({"format": "yyyy-MM-dd", "minimum": "2024-02-01"}));
    assert_eq!(
        (&property("jumlah")["logicalType"], &property("jumlah")["physicalType"]),
        (&json!("integer"), &json!("INT64"))
    );
    assert_eq!(property("surel")["classification"], "personal");
    assert_eq!(property("jenis")["quality"][0]["arguments"]["validValues"], json!(["a", "b"]));
    assert_eq!(table["quality"][0]["arguments"]["properties"], json!(["jumlah", "jenis"]));
    assert_eq!(table["quality"][1]["engine"], "simpul");
    assert_eq!(told["team"]["members"][0]["role"], "produsenData");
    assert_eq!(told["customProperties"], json!([{"property": "satudata.sifat", "value": "terbuka"}]));
}
