//! Open Data Contract Standard 3.1.0.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{bound, choices, constraints, ecma, is_filled, satudata, text};
use crate::contract::Contract;
use crate::field::Field;
use crate::form::Form;

/// A data contract in the order in which people read one. It serialises to JSON or YAML.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Odcs {
    api_version: &'static str,
    kind: &'static str,
    id: String,
    name: String,
    version: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Value>,
    description: Value,
    schema: Vec<Table>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sla_properties: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    custom_properties: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    name: String,
    logical_type: &'static str,
    physical_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    business_name: Option<String>,
    properties: Vec<Property>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quality: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Property {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    business_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    logical_type: &'static str,
    physical_type: String,
    required: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unique: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    primary_key: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_key_position: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    classification: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    logical_type_options: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    examples: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quality: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    custom_properties: Vec<Value>,
}

/// The contract under the Open Data Contract Standard. Columns are those of the stored table; what the standard has no
/// word for stands in `customProperties`.
#[must_use]
pub fn odcs(contract: &Contract) -> Odcs {
    let descriptor = contract.descriptor();
    let said = |key: &str| descriptor[key].as_str().map(str::to_owned);
    let extension = satudata(descriptor).unwrap_or_default();
    let version = Some(contract.version()).filter(|version| !version.is_empty()).unwrap_or("0.0.0");
    let draft = descriptor["satudata"].get("tebakan").is_some();
    let mut description = json!({"purpose": said("description").or_else(|| said("title")).unwrap_or_default()});
    if let Some(basis) = extension.get("dasarSifat").and_then(Value::as_str) {
        description["limitations"] = basis.into();
    }
    let frequency = extension.get("frekuensi").and_then(Value::as_str);
    Odcs {
        api_version: "v3.1.0",
        kind: "DataContract",
        id: said("id").unwrap_or_else(|| format!("urn:satudata:std:{}", contract.name())),
        name: contract.title().unwrap_or_else(|| contract.name()).to_owned(),
        version: version.to_owned(),
        status: if draft { "draft" } else { "active" },
        tags: descriptor["keywords"].as_array().cloned().unwrap_or_default(),
        description,
        schema: vec![table(contract)],
        team: team(descriptor),
        roles: vec![
            json!({"role": "pembaca", "access": "read", "description": "PKS dengan walidata / an agreement with the data custodian"}),
        ],
        sla_properties: frequency.map(|text| json!({"property": "frequency", "value": text})).into_iter().collect(),
        custom_properties: custom(&extension),
    }
}

/// `contributors` with their roles.
fn team(descriptor: &Value) -> Option<Value> {
    let contributors = descriptor["contributors"].as_array()?;
    let members: Vec<Value> = contributors
        .iter()
        .filter_map(|contributor| {
            let title = contributor["title"].as_str()?;
            let email = contributor["email"].as_str().unwrap_or(title);
            let role = contributor["roles"].get(0).or_else(|| contributor.get("role")).and_then(Value::as_str);
            let mut member = json!({"username": email, "name": title});
            if let Some(role) = role {
                member["role"] = role.into();
            }
            Some(member)
        })
        .collect();
    (!members.is_empty()).then(|| json!({"members": members}))
}

fn custom(extension: &Map<String, Value>) -> Vec<Value> {
    let named = extension.iter().filter(|(key, _)| *key != "aturan");
    named.map(|(key, value)| json!({"property": format!("satudata.{key}"), "value": value})).collect()
}

fn table(contract: &Contract) -> Table {
    let resource = &contract.descriptor()["resources"][0];
    let schema = &resource["schema"];
    let mut quality = Vec::new();
    for key in schema["uniqueKeys"].as_array().into_iter().flatten() {
        quality.push(json!({"type": "library", "metric": "duplicateValues", "mustBe": 0, "dimension": "uniqueness",
            "arguments": {"properties": key}}));
    }
    for key in schema["foreignKeys"].as_array().into_iter().flatten() {
        let names = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let reference = &key["reference"];
        let list = reference["package"].as_str().or_else(|| reference["resource"].as_str()).unwrap_or("?");
        quality.push(json!({"type": "text", "dimension": "consistency",
            "description": format!("{} harus ada dalam / must be in {list} {}", names(&key["fields"]), names(&reference["fields"]))}));
    }
    // Rules across columns are expressions that only a validator of these contracts runs.
    let rules =
        [&contract.descriptor()["satudata"]["aturan"], &resource["satudata"]["aturan"], &schema["satudata"]["aturan"]];
    for rule in rules.into_iter().filter_map(Value::as_array).flatten() {
        quality.push(json!({"type": "custom", "engine": "simpul", "implementation": rule.to_string(), "dimension": "consistency"}));
    }
    Table {
        name: Some(contract.resource.clone())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| contract.name().to_owned()),
        logical_type: "object",
        physical_type: "table",
        business_name: contract.title().map(str::to_owned),
        properties: contract.fields().iter().map(|field| property(contract, field)).collect(),
        quality,
    }
}

fn property(contract: &Contract, field: &Field) -> Property {
    let key = contract.primary_key();
    let position = key.iter().position(|name| *name == field.name());
    let mut extension = satudata(&field.source).unwrap_or_default();
    let sensitivity = extension.get("sifat").and_then(Value::as_str).map(str::to_owned);
    for name in ["trueValues", "falseValues", "groupChar", "decimalChar", "missingValues", "format"] {
        if let Some(value) = field.source.get(name) {
            extension.insert(format!("berkas.{name}"), value.clone());
        }
    }
    Property {
        name: field.name().to_owned(),
        business_name: field.title().map(str::to_owned),
        description: text(field, "description").map(str::to_owned),
        logical_type: logical_type(field),
        physical_type: physical_type(field),
        required: is_filled(contract, field),
        unique: field.unique || key == [field.name()],
        primary_key: position.is_some(),
        primary_key_position: position.map(|at| at + 1),
        classification: if field.personal() { Some("personal".to_owned()) } else { sensitivity },
        logical_type_options: options(field),
        examples: field.source.get("example").filter(|_| !field.personal()).cloned().into_iter().collect(),
        quality: quality(field),
        custom_properties: custom(&extension),
    }
}

/// The standard's own types; what is stored as JSON text is a string to whoever reads the table.
fn logical_type(field: &Field) -> &'static str {
    match &field.form {
        Form::Number(_) => "number",
        Form::Integer(_) | Form::Year => "integer",
        Form::Boolean { .. } => "boolean",
        Form::Date(_) => "date",
        Form::DateTime { .. } => "timestamp",
        Form::Time(_) => "time",
        _ => "string",
    }
}

/// The name of the Parquet type.
fn physical_type(field: &Field) -> String {
    use arrow_schema::DataType;
    match field.data_type() {
        DataType::Float64 => "DOUBLE",
        DataType::Int64 => "INT64",
        DataType::Int32 => "INT32",
        DataType::Boolean => "BOOLEAN",
        DataType::Date32 => "DATE",
        DataType::Timestamp(..) => "TIMESTAMP",
        _ => "STRING",
    }
    .to_owned()
}

fn options(field: &Field) -> Map<String, Value> {
    let mut options = Map::new();
    let kind = logical_type(field);
    if matches!(field.form, Form::Text(_)) {
        for key in ["minLength", "maxLength"] {
            let count = constraints(field).and_then(|all| all.get(key)).and_then(Value::as_u64);
            options.extend(count.map(|count| (key.to_owned(), count.into())));
        }
        let pattern = constraints(field).and_then(|all| all.get("pattern")).and_then(Value::as_str).and_then(ecma);
        options.extend(pattern.map(|pattern| ("pattern".to_owned(), pattern.into())));
        let format = text(field, "format").filter(|format| *format != "default");
        options.extend(format.map(|format| ("format".to_owned(), format.into())));
    }
    if matches!(kind, "number" | "integer" | "date" | "timestamp" | "time") {
        for key in ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"] {
            options.extend(bound(field, key).map(|value| (key.to_owned(), value)));
        }
    }
    match kind {
        "integer" => drop(
            options.insert("format".to_owned(), if matches!(field.form, Form::Year) { "i32" } else { "i64" }.into()),
        ),
        "number" => drop(options.insert("format".to_owned(), "f64".into())),
        "date" => drop(options.insert("format".to_owned(), "yyyy-MM-dd".into())),
        "timestamp" => drop(options.insert("timezone".to_owned(), field.form.is_instant().into())),
        _ => {}
    }
    options
}

/// Rules that are neither keywords of a type nor keys.
fn quality(field: &Field) -> Vec<Value> {
    let listed = choices(field).map(|values| {
        json!({"type": "library", "metric": "invalidValues", "mustBe": 0, "dimension": "conformity",
            "arguments": {"validValues": values}})
    });
    listed.into_iter().collect()
}
