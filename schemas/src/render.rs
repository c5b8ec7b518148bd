//! Accepted rows back to NDJSON, so that another node reads the same values under the same contract.

use arrow_array::RecordBatch;

use crate::canonical::write_string;
use crate::contract::Contract;
use crate::field::Field;
use crate::form::{Form, PointForm};
use crate::lexical::temporal::{DAY_MICROS, TemporalForm, iso_datetime, iso_time, write_date, write_datetime};
use crate::values::{Column, number_text};

/// Writes the rows of a batch, one JSON object a line, all fields of the batch that the contract
/// knows. Checking the result against the same contract gives the same rows.
pub fn write_ndjson(contract: &Contract, batch: &RecordBatch, out: &mut Vec<u8>) {
    let schema = batch.schema();
    let columns: Vec<(String, &Field, Column<'_>)> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter_map(|(name, array)| {
            let field = contract.fields.iter().find(|field| field.name == *name.name())?;
            let mut key = String::new();
            write_string(&field.name, &mut key);
            key.push(':');
            Some((key, field, Column::new(array)))
        })
        .collect();
    let mut line = String::new();
    for row in 0..batch.num_rows() {
        line.clear();
        line.push('{');
        for (index, (key, field, column)) in columns.iter().enumerate() {
            if index > 0 {
                line.push(',');
            }
            line.push_str(key);
            write_value(field, column, row, &mut line);
        }
        line.push_str("}\n");
        out.extend_from_slice(line.as_bytes());
    }
}

fn write_value(field: &Field, column: &Column<'_>, row: usize, out: &mut String) {
    if column.is_null(row) {
        out.push_str("null");
        return;
    }
    match column {
        Column::Text(array) => write_textual(field, array.value(row), out),
        Column::Integer(array) => out.push_str(&array.value(row).to_string()),
        Column::Year(array) => out.push_str(&array.value(row).to_string()),
        Column::Boolean(array) => out.push_str(if array.value(row) { "true" } else { "false" }),
        Column::Number(array) => write_number(field, array.value(row), out),
        Column::Date(array) => write_string(&date_text(&field.form, array.value(row).into()), out),
        Column::Instant(array) => write_string(&instant_text(&field.form, array.value(row)), out),
        Column::Other => out.push_str("null"),
    }
}

/// JSON has no NaN and no infinity: they travel as the words of Table Schema, in a spelling that
/// the field does not take for a missing value.
fn write_number(field: &Field, value: f64, out: &mut String) {
    if value.is_finite() {
        out.push_str(&number_text(value));
        return;
    }
    let word = number_text(value);
    let spelling = [word.clone(), word.to_lowercase(), word.to_uppercase()];
    let spelling = spelling.iter().find(|word| !field.missing.contains(word)).unwrap_or(&word);
    write_string(spelling, out);
}

fn write_textual(field: &Field, text: &str, out: &mut String) {
    match &field.form {
        Form::Object
        | Form::Array
        | Form::GeoJson
        | Form::TopoJson
        | Form::List { .. }
        | Form::GeoPoint(PointForm::Array | PointForm::Object) => out.push_str(text),
        Form::Time(TemporalForm::Pattern(pattern)) => {
            write_string(&time_micros(text).map_or_else(|| text.to_owned(), |micros| pattern.format(micros)), out);
        }
        Form::DateTime { form: TemporalForm::Pattern(pattern), .. } => {
            let stamp = iso_datetime(text);
            write_string(&stamp.map_or_else(|| text.to_owned(), |stamp| pattern.format(stamp.micros)), out);
        }
        _ => write_string(text, out),
    }
}

/// A stored time, which may have a fraction.
fn time_micros(text: &str) -> Option<i64> {
    let whole = iso_time(text.get(..8)?)?;
    let fraction = text.get(9..).unwrap_or_default();
    let micros =
        fraction.bytes().chain(std::iter::repeat(b'0')).take(6).fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    Some(whole + micros)
}

fn date_text(form: &Form, days: i64) -> String {
    if let Form::Date(TemporalForm::Pattern(pattern)) = form {
        return pattern.format(days * DAY_MICROS);
    }
    let mut out = String::new();
    write_date(days, &mut out);
    out
}

fn instant_text(form: &Form, micros: i64) -> String {
    if let Form::DateTime { form: TemporalForm::Pattern(pattern), zone } = form {
        // A pattern without a zone means the zone that the field declares.
        let local = if pattern.has_zone() { micros } else { micros + zone.unwrap_or(0) };
        return pattern.format(local);
    }
    let mut out = String::new();
    write_datetime(micros, &mut out);
    out.push('Z');
    out
}
