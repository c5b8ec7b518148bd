//! A contract in the words of other standards: JSON Schema for whoever reads records, the Open Data Contract Standard for
//! catalogues and quality tools. Both are made from the contract, never the reverse, and both are about logical values:
//! records as `/records` serves them, after the cells have been read.

mod json_schema;
mod odcs;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::field::Field;
use crate::form::Logical;
use crate::lexical::number::Wide;
use crate::lexical::temporal::write_date;

pub use json_schema::json_schema;
pub use odcs::{Odcs, odcs};

/// The constraints of a field as its descriptor has them.
fn constraints(field: &Field) -> Option<&Map<String, Value>> {
    field.source.get("constraints")?.as_object()
}

/// A value that stands in the descriptor, as records have it.
fn served(field: &Field, value: &Value) -> Option<Value> {
    Some(match field.form.read_value(value)? {
        Logical::Text(text) => text.into(),
        Logical::Number(number, _) => serde_json::Number::from_f64(number)?.into(),
        Logical::Integer(Wide(number)) => i64::try_from(number).ok()?.into(),
        Logical::Boolean(flag) => flag.into(),
        Logical::Year(year) => year.into(),
        Logical::Date(days) => {
            let mut text = String::new();
            write_date(days.into(), &mut text);
            text.into()
        }
        // Written as they are stored; no keyword of either standard compares them.
        Logical::Stamp(_) | Logical::Time(_) | Logical::Month(_) | Logical::Duration(_) | Logical::Json { .. } => {
            value.as_str()?.into()
        }
    })
}

/// The values that a field may have, where the contract lists them.
fn choices(field: &Field) -> Option<Vec<Value>> {
    let listed = constraints(field).and_then(|constraints| constraints.get("enum")).and_then(Value::as_array);
    let categories = || field.source.get("categories").and_then(Value::as_array);
    let values = listed.or_else(categories)?;
    Some(values.iter().filter_map(|value| served(field, value.get("value").unwrap_or(value))).collect())
}

/// A bound on one side.
fn bound(field: &Field, key: &str) -> Option<Value> {
    served(field, constraints(field)?.get(key)?)
}

/// A text property of the field.
fn text<'a>(field: &'a Field, key: &str) -> Option<&'a str> {
    field.source.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// An XSD pattern as ECMA-262 writes it, on the whole value; `None` for what only XSD knows.
fn ecma(pattern: &str) -> Option<String> {
    let foreign = ["\\i", "\\I", "\\c", "\\C", "-[", "\\p{Is", "\\P{Is", "^", "$"];
    // In XSD these two are plain characters, except that a class may begin with `^`.
    let plain = pattern.replace("[^", "[");
    (!foreign.iter().any(|part| plain.contains(part))).then(|| format!("^(?:{pattern})$"))
}

/// What the `satudata` extension says, without what only concerns drafts.
fn satudata(source: &Value) -> Option<Map<String, Value>> {
    let mut extension = source.get("satudata")?.as_object()?.clone();
    extension.remove("tebakan");
    (!extension.is_empty()).then_some(extension)
}

/// Whether no row may lack the value.
fn is_filled(contract: &crate::Contract, field: &Field) -> bool {
    field.required() || contract.primary_key().contains(&field.name())
}
