//! Row filters as expressions of the query engine, each value read as strictly as the type of its column.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use chrono::{DateTime, NaiveDate};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{binary, col, in_list, is_not_null, is_null, like, lit};
use simpul_core::filter::{Filter, Op};

use crate::error::{LakeError, Result};

type Expr = Arc<dyn PhysicalExpr>;

/// The expression that is true of the rows of `schema` that meet `filter`.
pub(crate) fn expression(filter: &Filter, schema: &Schema) -> Result<Expr> {
    let field = schema.field_with_name(&filter.column).map_err(|_| LakeError::Column(filter.column.clone()))?;
    let column = col(&filter.column, schema)?;
    let kind = field.data_type();
    let one = || filter.values.first().map_or("", String::as_str);
    let compare = |op| Ok(binary(Arc::clone(&column), op, lit(value(filter, one(), kind)?), schema)?);
    match filter.op {
        Op::Is if one() == "null" => Ok(is_null(column)?),
        Op::Is => Ok(is_not_null(column)?),
        Op::Eq => compare(Operator::Eq),
        Op::Neq => compare(Operator::NotEq),
        Op::Lt => compare(Operator::Lt),
        Op::Lte => compare(Operator::LtEq),
        Op::Gt => compare(Operator::Gt),
        Op::Gte => compare(Operator::GtEq),
        Op::In => {
            let values = filter.values.iter().map(|text| Ok(lit(value(filter, text, kind)?)));
            Ok(in_list(column, values.collect::<Result<_>>()?, &false, schema)?)
        }
        Op::Like if *kind == DataType::Utf8 => Ok(like(false, false, column, lit(pattern(one())), schema)?),
        Op::Like => Err(wrong(filter, "a text column, for like")),
    }
}

/// Whether a partition column with the value `found` meets `filter`; values are compared as text.
pub(crate) fn holds(filter: &Filter, found: Option<&str>) -> bool {
    let one = filter.values.first().map_or("", String::as_str);
    let Some(found) = found else { return filter.op == Op::Is && one == "null" };
    match filter.op {
        Op::Is => one == "notnull",
        Op::Eq => found == one,
        Op::Neq => found != one,
        Op::Lt => found < one,
        Op::Lte => found <= one,
        Op::Gt => found > one,
        Op::Gte => found >= one,
        Op::In => filter.values.iter().any(|value| value == found),
        Op::Like => matches(one, found),
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or("");
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(tail)
}

/// The pattern of SQL's LIKE for one in which only `*` is special.
fn pattern(text: &str) -> ScalarValue {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' => pattern.push('%'),
            '%' | '_' | '\\' => pattern.extend(['\\', c]),
            c => pattern.push(c),
        }
    }
    ScalarValue::from(pattern)
}

fn wrong(filter: &Filter, expected: impl Into<String>) -> LakeError {
    LakeError::FilterValue { column: filter.column.clone(), expected: expected.into() }
}

/// `text` as a value of `kind`.
fn value(filter: &Filter, text: &str, kind: &DataType) -> Result<ScalarValue> {
    let number = || wrong(filter, "a whole number within the column's range, such as 12");
    Ok(match kind {
        DataType::Utf8 => ScalarValue::from(text),
        DataType::Boolean => ScalarValue::Boolean(Some(text.parse().map_err(|_| wrong(filter, "true or false"))?)),
        DataType::Int8 => ScalarValue::Int8(Some(text.parse().map_err(|_| number())?)),
        DataType::Int16 => ScalarValue::Int16(Some(text.parse().map_err(|_| number())?)),
        DataType::Int32 => ScalarValue::Int32(Some(text.parse().map_err(|_| number())?)),
        DataType::Int64 => ScalarValue::Int64(Some(text.parse().map_err(|_| number())?)),
        DataType::Float32 => ScalarValue::Float32(Some(float(text).ok_or_else(|| wrong(filter, FLOAT))?)),
        DataType::Float64 => ScalarValue::Float64(Some(float(text).ok_or_else(|| wrong(filter, FLOAT))?)),
        DataType::Decimal128(precision, scale) => {
            let digits = decimal(text, *precision, scale.unsigned_abs());
            let expected = || format!("a number with at most {scale} decimals, such as 12.5");
            ScalarValue::Decimal128(Some(digits.ok_or_else(|| wrong(filter, expected()))?), *precision, *scale)
        }
        DataType::Date32 => {
            let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
            let date = date.ok_or_else(|| wrong(filter, "a date, such as 2026-11-21"))?;
            ScalarValue::Date32(Some(arrow::datatypes::Date32Type::from_naive_date(date)))
        }
        DataType::Timestamp(_, zone) => {
            let at = DateTime::parse_from_rfc3339(text);
            let at = at.map_err(|_| wrong(filter, "an instant, such as 2026-11-21T14:02:11Z"))?;
            ScalarValue::TimestampMicrosecond(Some(at.timestamp_micros()), zone.clone())
        }
        _ => return Err(wrong(filter, "is.null or is.notnull, for a column of this type")),
    })
}

const FLOAT: &str = "a number, such as 12.5";

fn float<T: std::str::FromStr + Into<f64> + Copy>(text: &str) -> Option<T> {
    text.parse::<T>().ok().filter(|number| (*number).into().is_finite())
}

/// The digits of a decimal number without its point; none if it does not fit exactly.
fn decimal(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) || fraction.len() > usize::from(scale) {
        return None;
    }
    let number: i128 = format!("{whole}{fraction:0<width$}", width = usize::from(scale)).parse().ok()?;
    let limit = 10_i128.checked_pow(u32::from(precision))?;
    (number < limit).then_some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, TimeUnit};
    use proptest::prelude::*;

    use super::*;

    fn schema() -> Schema {
        Schema::new(vec![
            Field::new("teks", DataType::Utf8, true),
            Field::new("bulat", DataType::Int32, true),
            Field::new("desimal", DataType::Decimal128(5, 2), true),
            Field::new("tanggal", DataType::Date32, true),
            Field::new("waktu", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
            Field::new("ya", DataType::Boolean, true),
            Field::new("pecahan", DataType::Float64, true),
        ])
    }

    #[test]
    fn a_value_that_does_not_fit_its_column_names_the_column() {
        for text in [
            "bulat=eq.1.5",
            "bulat=in.(1,x)",
            "bulat=gt.3000000000",
            "desimal=lt.1.255",
            "desimal=lt.1000",
            "desimal=eq.",
            "tanggal=eq.21-11-2026",
            "tanggal=eq.2026-1-2",
            "tanggal=eq.2026-02-30",
            "waktu=gt.2026-11-21",
            "ya=eq.1",
            "pecahan=eq.NaN",
            "pecahan=eq.inf",
            "bulat=like.1*",
        ] {
            let filter: Filter = text.parse().unwrap();
            let error = expression(&filter, &schema()).unwrap_err();
            assert!(
                matches!(&error, LakeError::FilterValue { column, .. } if *column == filter.column),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_value_that_fits_is_taken() {
        for text in [
            "teks=like.64*",
            "teks=in.(a,b)",
            "bulat=neq.-5",
            "desimal=gte.-999.990",
            "tanggal=lt.2026-11-21",
            "waktu=gte.2026-11-21T08:00:00+08:00",
            "ya=eq.true",
            "pecahan=lte.1e3",
            "bulat=is.null",
        ] {
            expression(&text.parse().unwrap(), &schema()).unwrap();
        }
    }

    #[test]
    fn a_column_that_is_not_there_is_refused() {
        let error = expression(&"lain=eq.1".parse().unwrap(), &schema()).unwrap_err();
        assert!(matches!(error, LakeError::Column(column) if column == "lain"));
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal("12.5", 5, 2), Some(1250));
        assert_eq!(decimal("-0.01", 5, 2), Some(-1));
        assert_eq!(decimal("7", 5, 2), Some(700));
        assert_eq!(decimal("1.", 5, 2), Some(100));
        assert_eq!(decimal(".5", 5, 2), None);
        assert_eq!(decimal("1e3", 5, 2), None);
        assert_eq!(decimal(&"9".repeat(60), 38, 0), None);
    }

    proptest! {
        #[test]
        fn a_pattern_means_the_same_for_partitions_and_for_columns(pattern_text in "[ab*%_]{0,6}", text in "[ab%_]{0,6}") {
            use arrow::array::{AsArray, RecordBatch, StringArray};
            let batch = RecordBatch::try_from_iter([("teks", Arc::new(StringArray::from(vec![text.as_str()])) as _)]).unwrap();
            let filter = Filter { column: "teks".to_owned(), op: Op::Like, values: vec![pattern_text] };
            let found = expression(&filter, batch.schema_ref()).unwrap().evaluate(&batch).unwrap().into_array(1).unwrap();
            prop_assert_eq!(found.as_boolean().value(0), holds(&filter, Some(&text)));
        }
    }
}
