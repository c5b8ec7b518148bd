//! Leaving out files whose statistics show that no row can meet the filters, before any of them is opened.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::{DataType, Date32Type, SchemaRef};
use chrono::{DateTime, NaiveDate};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use serde_json::Value;

use crate::error::Result;
use crate::state::DataFile;

/// For each of `files` whether a row in it may meet `condition`.
pub(crate) fn may_match(
    condition: Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
    files: &[&DataFile],
) -> Result<Vec<bool>> {
    let predicate = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).try_build(condition)?;
    if predicate.always_true() {
        return Ok(vec![true; files.len()]);
    }
    let stats = files.iter().map(|file| serde_json::from_str(&file.stats).unwrap_or(Value::Null)).collect();
    Ok(predicate.prune(&FileStatistics { schema: Arc::clone(schema), stats })?)
}

/// The statistics of the log; what is missing in them is null, which rules nothing out.
struct FileStatistics {
    schema: SchemaRef,
    stats: Vec<Value>,
}

impl FileStatistics {
    fn bounds(&self, which: &str, column: &Column) -> Option<ArrayRef> {
        let kind = self.schema.field_with_name(&column.name).ok()?.data_type();
        let none = ScalarValue::try_from(kind).ok()?;
        let bounds =
            self.stats.iter().map(|stats| bound(&stats[which][&column.name], kind).unwrap_or_else(|| none.clone()));
        ScalarValue::iter_to_array(bounds).ok()
    }

    fn counts(&self, count: impl Fn(&Value) -> Option<u64>) -> ArrayRef {
        Arc::new(self.stats.iter().map(count).collect::<UInt64Array>())
    }
}

impl PruningStatistics for FileStatistics {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds("minValues", column)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds("maxValues", column)
    }

    fn num_containers(&self) -> usize {
        self.stats.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        Some(self.counts(|stats| stats["nullCount"][&column.name].as_u64()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(self.counts(|stats| stats["numRecords"].as_u64()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// A bound as the log writes it. Decimals and floats have none here: their JSON form may be rounded when it is read.
fn bound(value: &Value, kind: &DataType) -> Option<ScalarValue> {
    Some(match kind {
        DataType::Utf8 => ScalarValue::from(value.as_str()?),
        DataType::Int8 => ScalarValue::Int8(Some(value.as_i64()?.try_into().ok()?)),
        DataType::Int16 => ScalarValue::Int16(Some(value.as_i64()?.try_into().ok()?)),
        DataType::Int32 => ScalarValue::Int32(Some(value.as_i64()?.try_into().ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(value.as_i64()?)),
        DataType::Date32 => {
            let date = NaiveDate::parse_from_str(value.as_str()?, "%Y-%m-%d").ok()?;
            ScalarValue::Date32(Some(Date32Type::from_naive_date(date)))
        }
        DataType::Timestamp(_, zone) => {
            let at = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
            ScalarValue::TimestampMicrosecond(Some(at.timestamp_micros()), zone.clone())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn file(stats: &str) -> DataFile {
        DataFile {
            path: "data/a.parquet".to_owned(),
            origin: String::new(),
            period: None,
            rows: 1,
            bytes: 1,
            modified: 0,
            stats: stats.to_owned(),
            since: 0,
        }
    }

    #[test]
    fn a_file_is_left_out_only_if_its_statistics_rule_it_out() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            Field::new("kode", DataType::Utf8, true),
            Field::new("tanggal", DataType::Date32, true),
            Field::new("baru", DataType::Int64, true),
        ]));
        let files = [
            file(
                r#"{"numRecords":3,"minValues":{"kode":"64.01","tanggal":"2024-01-01"},"maxValues":{"kode":"64.05","tanggal":"2024-12-31"},"nullCount":{"kode":0,"tanggal":0}}"#,
            ),
            file(
                r#"{"numRecords":3,"minValues":{"kode":"65.01"},"maxValues":{"kode":"65.09"},"nullCount":{"kode":0,"tanggal":3}}"#,
            ),
            file(r#"{"numRecords":3}"#),
            file("broken"),
        ];
        let files: Vec<&DataFile> = files.iter().collect();
        for (text, expected) in [
            ("kode=eq.64.02", [true, false, true, true]),
            ("kode=like.65*", [false, true, true, true]),
            ("kode=in.(64.06,65.02)", [false, true, true, true]),
            ("tanggal=gt.2025-01-01", [false, false, true, true]),
            ("tanggal=is.null", [false, true, true, true]),
            ("baru=is.null", [true, true, true, true]),
            ("baru=eq.1", [true, true, true, true]),
        ] {
            let condition = crate::condition::expression(&text.parse().unwrap(), &schema).unwrap();
            assert_eq!(may_match(condition, &schema, &files).unwrap(), expected, "{text}");
        }
    }
}
