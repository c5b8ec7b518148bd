//! Statistics of a data file in the form of the Delta log, taken from the Parquet footer.

use std::collections::HashSet;
use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{SortOptions, sort_to_indices, sum};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::ParquetMetaData;

/// Columns with bounds in the log: the first ones, as other writers have it, so that a wide table does not fill its log.
const COLUMNS: usize = 32;

/// The statistics of a file with `metadata` and the columns `schema`: rows, and for the first columns the number of nulls
/// and, for types that have an order in the log, the bounds. A bound that is not certain is left out; columns in
/// `not_numbers` have none, because readers disagree where NaN belongs.
pub(crate) fn of(metadata: &ParquetMetaData, schema: Option<&Schema>, not_numbers: &HashSet<usize>) -> String {
    let (mut least, mut most, mut nulls) = (String::new(), String::new(), String::new());
    let fields = schema.map(|schema| schema.fields().iter().enumerate().take(COLUMNS)).into_iter().flatten();
    for (index, field) in fields {
        let parquet = metadata.file_metadata().schema_descr();
        let Some(converter) =
            schema.and_then(|schema| StatisticsConverter::try_new(field.name(), schema, parquet).ok())
        else {
            continue;
        };
        let groups = metadata.row_groups();
        let Ok(null_counts) = converter.row_group_null_counts(groups) else { continue };
        if null_counts.null_count() > 0 {
            continue;
        }
        let null_count = sum(&null_counts).unwrap_or(0);
        push(&mut nulls, field.name(), &null_count.to_string());
        let all_null =
            |group: usize| i64::try_from(null_counts.value(group)).is_ok_and(|n| n == groups[group].num_rows());
        if not_numbers.contains(&index) {
            continue;
        }
        let known = |bounds: &ArrayRef| (0..groups.len()).all(|g| bounds.is_valid(g) || all_null(g));
        if let (Ok(mins), Ok(maxes)) = (converter.row_group_mins(groups), converter.row_group_maxes(groups))
            && known(&mins)
            && known(&maxes)
            && let (Some(min), Some(max)) = (extreme(&mins, false), extreme(&maxes, true))
        {
            push(&mut least, field.name(), &min);
            push(&mut most, field.name(), &max);
        }
    }
    let rows = metadata.file_metadata().num_rows();
    format!(r#"{{"numRecords":{rows},"minValues":{{{least}}},"maxValues":{{{most}}},"nullCount":{{{nulls}}}}}"#)
}

fn push(object: &mut String, name: &str, value: &str) {
    let comma = if object.is_empty() { "" } else { "," };
    let _ = write!(object, "{comma}{}:{value}", serde_json::Value::from(name));
}

/// The least or greatest of `values` as JSON; nothing if there is none or the type has no bounds in the log.
fn extreme(values: &ArrayRef, greatest: bool) -> Option<String> {
    let options = SortOptions { descending: greatest, nulls_first: false };
    let first = sort_to_indices(values, Some(options), Some(1)).ok()?;
    let at = usize::try_from(*first.values().first()?).ok()?;
    if values.is_null(at) {
        return None;
    }
    let finite = match values.data_type() {
        DataType::Float32 => values.as_primitive::<Float32Type>().value(at).is_finite(),
        DataType::Float64 => values.as_primitive::<Float64Type>().value(at).is_finite(),
        DataType::Boolean | DataType::Binary => false,
        _ => true,
    };
    let text = finite.then(|| ArrayFormatter::try_new(values, &FormatOptions::default()).ok())??.value(at).to_string();
    match values.data_type() {
        DataType::Utf8 | DataType::Date32 | DataType::Timestamp(..) => Some(serde_json::Value::from(text).to_string()),
        _ => Some(text),
    }
}
