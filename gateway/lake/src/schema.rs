//! The columns of a table, as Arrow names their types and as the Delta log does.
//!
//! Every column is nullable in the table: what is required is the contract's business, and a column that becomes required
//! in a later version of the contract still has gaps in the rows of the earlier one.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde_json::{Value, json};

use crate::error::{LakeError, Result};

/// The partition column that names who delivered a row first.
pub const ORIGIN: &str = "_origin";
/// The partition column that names the period a row belongs to; null in a dataset of events.
pub const PERIOD: &str = "_period";
/// The name that a row's number within its file has while it is read.
pub(crate) const ROW_NUMBER: &str = "_row";
/// The most columns that a table may have: a contract with more is no table but a pivot.
pub const MAX_COLUMNS: usize = 2000;

const RESERVED: [&str; 3] = [ORIGIN, PERIOD, ROW_NUMBER];
const UTC: &str = "UTC";

/// The columns of a table after `added` is delivered to one with `existing` columns: new columns come last.
pub(crate) fn merge(existing: Option<&Schema>, added: &Schema) -> Result<SchemaRef> {
    let mut fields: Vec<Arc<Field>> = existing.map(|schema| schema.fields().to_vec()).unwrap_or_default();
    for field in added.fields() {
        delta_type(field)?;
        match fields.iter().find(|known| known.name() == field.name()) {
            Some(known) if known.data_type() == field.data_type() => {}
            Some(known) => {
                let (name, old, new) = (field.name(), known.data_type(), field.data_type());
                return Err(LakeError::Schema(format!(
                    "column {name} is {old} in the table and {new} in the contract"
                )));
            }
            None => fields.push(Arc::new(Field::new(field.name(), field.data_type().clone(), true))),
        }
    }
    if fields.is_empty() || fields.len() > MAX_COLUMNS {
        return Err(LakeError::Schema(format!("a table has 1 to {MAX_COLUMNS} columns")));
    }
    // Readers of Delta tables compare names without regard to case.
    let mut names = HashSet::new();
    for field in &fields {
        let name = field.name();
        if !names.insert(name.to_lowercase()) || RESERVED.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            return Err(LakeError::Schema(format!("the name {name} is reserved, or two columns share it")));
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The columns and the two partition columns.
pub(crate) fn with_partition_columns(columns: &Schema) -> SchemaRef {
    Arc::new(Schema::new(columns.fields().iter().cloned().chain(partition_fields()).collect::<Vec<_>>()))
}

/// The two partition columns.
pub(crate) fn partition_fields() -> [Arc<Field>; 2] {
    [ORIGIN, PERIOD].map(|name| Arc::new(Field::new(name, DataType::Utf8, true)))
}

/// The schema string of the log, with the partition columns.
pub(crate) fn to_log(columns: &Schema) -> Result<String> {
    let fields = with_partition_columns(columns)
        .fields()
        .iter()
        .map(|field| Ok(json!({"name": field.name(), "type": delta_type(field)?, "nullable": true, "metadata": {}})))
        .collect::<Result<Vec<Value>>>()?;
    Ok(json!({"type": "struct", "fields": fields}).to_string())
}

/// The columns that a schema string of the log describes, without the partition columns.
pub(crate) fn from_log(text: &str) -> Result<SchemaRef, String> {
    let value: Value = serde_json::from_str(text).map_err(|e| format!("schema: {e}"))?;
    let fields = value["fields"].as_array().ok_or("schema without fields")?;
    let fields = fields
        .iter()
        .filter(|field| !matches!(field["name"].as_str(), Some(ORIGIN | PERIOD)))
        .map(|field| {
            let name = field["name"].as_str().ok_or("column without name")?;
            let kind = field["type"].as_str().and_then(arrow_type).ok_or_else(|| format!("type of {name}"))?;
            Ok(Field::new(name, kind, true))
        })
        .collect::<Result<Vec<_>, String>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

fn delta_type(field: &Field) -> Result<String> {
    Ok(match field.data_type() {
        DataType::Utf8 => "string".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 => "byte".to_owned(),
        DataType::Int16 => "short".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "long".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == UTC => "timestamp".to_owned(),
        DataType::Decimal128(precision, scale) if *scale >= 0 => format!("decimal({precision},{scale})"),
        other => return Err(LakeError::Schema(format!("column {}: a table cannot hold {other}", field.name()))),
    })
}

fn arrow_type(delta: &str) -> Option<DataType> {
    Some(match delta {
        "string" => DataType::Utf8,
        "boolean" => DataType::Boolean,
        "byte" => DataType::Int8,
        "short" => DataType::Int16,
        "integer" => DataType::Int32,
        "long" => DataType::Int64,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "date" => DataType::Date32,
        "binary" => DataType::Binary,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        decimal => {
            let (precision, scale) = decimal.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
            let (precision, scale): (u8, i8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
            if !(1..=38).contains(&precision) || scale < 0 || scale.unsigned_abs() > precision {
                return None;
            }
            DataType::Decimal128(precision, scale)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(fields: &[(&str, DataType)]) -> Schema {
        Schema::new(fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), false)).collect::<Vec<_>>())
    }

    #[test]
    fn every_type_of_a_table_reads_back_from_the_log() {
        let all = columns(&[
            ("a", DataType::Utf8),
            ("b", DataType::Boolean),
            ("c", DataType::Int64),
            ("d", DataType::Float64),
            ("e", DataType::Decimal128(18, 4)),
            ("f", DataType::Date32),
            ("g", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            ("h", DataType::Int32),
            ("i", DataType::Binary),
        ]);
        let merged = merge(None, &all).unwrap();
        assert_eq!(from_log(&to_log(&merged).unwrap()).unwrap(), merged);
    }

    #[test]
    fn a_column_may_be_added_and_nothing_else_may_change() {
        let old = merge(None, &columns(&[("a", DataType::Utf8)])).unwrap();
        let new = merge(Some(&old), &columns(&[("b", DataType::Int64)])).unwrap();
        assert_eq!(new.fields().len(), 2);
        assert!(new.field(1).is_nullable());
        assert!(merge(Some(&old), &columns(&[("a", DataType::Int64)])).is_err());
        assert!(merge(Some(&old), &columns(&[("A", DataType::Utf8)])).is_err());
        assert!(merge(None, &columns(&[("_Period", DataType::Utf8)])).is_err());
    }

    #[test]
    fn what_old_readers_cannot_open_is_refused() {
        for kind in [
            DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            DataType::Time64(TimeUnit::Microsecond),
            DataType::Utf8View,
            DataType::UInt64,
        ] {
            assert!(merge(None, &columns(&[("a", kind.clone())])).is_err(), "{kind}");
        }
    }
}
