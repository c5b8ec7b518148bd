//! JSON Schema (2020-12) of one record.

use arrow_schema::DataType;
use serde_json::{Map, Value, json};

use super::{bound, choices, constraints, ecma, is_filled, satudata, text};
use crate::contract::Contract;
use crate::field::Field;
use crate::form::Form;
use crate::lexical::text::TextFormat;

/// The JSON Schema of one record as `GET /v1/datasets/{id}/records` serves it to a reader who sees every column in clear:
/// every column is there, `null` where it has no value. What an agreement hides or masks is not part of the contract.
#[must_use]
pub fn json_schema(contract: &Contract) -> Value {
    let descriptor = contract.descriptor();
    let fields = contract.fields();
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name().to_owned(), property(contract, field))).collect();
    let names: Vec<&str> = fields.iter().map(Field::name).collect();
    let id = match contract.version() {
        "" => format!("urn:satudata:std:{}", contract.name()),
        version => format!("urn:satudata:std:{}@{version}", contract.name()),
    };
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": id,
        "title": contract.title().unwrap_or_else(|| contract.name()),
        "type": "object",
        "properties": properties,
        "required": names,
    });
    if let Some(description) = descriptor["description"].as_str() {
        schema["description"] = description.into();
    }
    if !contract.primary_key().is_empty() {
        schema["x-primaryKey"] = json!(contract.primary_key());
    }
    schema
}

fn property(contract: &Contract, field: &Field) -> Value {
    let mut property = Map::new();
    let name = match field.data_type() {
        DataType::Float64 => "number",
        DataType::Int64 | DataType::Int32 => "integer",
        DataType::Boolean => "boolean",
        _ => "string",
    };
    let filled = is_filled(contract, field);
    property.insert("type".to_owned(), if filled { json!(name) } else { json!([name, "null"]) });
    for key in ["title", "description"] {
        if let Some(text) = text(field, key) {
            property.insert(key.to_owned(), text.into());
        }
    }
    form(field, &mut property);
    if let Some(mut values) = choices(field) {
        if !filled {
            values.push(Value::Null);
        }
        property.insert("enum".to_owned(), values.into());
    }
    if name != "string" {
        for key in ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"] {
            if let Some(value) = bound(field, key) {
                property.insert(key.to_owned(), value);
            }
        }
    }
    if let Some(extension) = satudata(&field.source) {
        property.insert("x-satudata".to_owned(), extension.into());
    }
    property.into()
}

/// What a text looks like: the forms in which values are stored, and the rules for texts.
fn form(field: &Field, property: &mut Map<String, Value>) {
    let mut add = |key: &str, value: &str| drop(property.insert(key.to_owned(), value.into()));
    match &field.form {
        Form::Text(TextFormat::Email) => add("format", "email"),
        Form::Text(TextFormat::Uri) => add("format", "uri"),
        Form::Text(TextFormat::Uuid) => add("format", "uuid"),
        Form::Text(TextFormat::Binary) => add("contentEncoding", "base64"),
        Form::Date(_) => add("format", "date"),
        Form::Duration => add("format", "duration"),
        Form::DateTime { .. } if field.form.is_instant() => add("format", "date-time"),
        // RFC 3339, which the formats `time` and `date-time` mean, knows no time without zone.
        Form::DateTime { .. } => add("pattern", "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"),
        Form::Time(_) => add("pattern", "^[0-9]{2}:[0-9]{2}:[0-9]{2}"),
        Form::YearMonth => add("pattern", "^[0-9]{4}-[0-9]{2}$"),
        Form::Object | Form::Array | Form::List { .. } | Form::GeoJson | Form::TopoJson => {
            add("contentMediaType", "application/json");
        }
        _ => {}
    }
    if !matches!(field.form, Form::Text(_)) {
        return;
    }
    let Some(constraints) = constraints(field) else { return };
    for key in ["minLength", "maxLength"] {
        let count = constraints.get(key).and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
        if let Some(count) = count {
            property.insert(key.to_owned(), count.into());
        }
    }
    if let Some(source) = constraints.get("pattern").and_then(Value::as_str) {
        match ecma(source) {
            Some(pattern) => property.insert("pattern".to_owned(), pattern.into()),
            None => property.insert("$comment".to_owned(), format!("XSD pattern: {source}").into()),
        };
    }
}
