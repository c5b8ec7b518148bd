//! Bad rows of typed files (workbooks, columnar files) as lines of CSV, written so that they mean the same under the
//! contract's dialect and formats: a date cell as the contract wants dates, a number with its decimal mark.

use std::borrow::Cow;

use crate::contract::Contract;
use crate::form::{Form, stamp_date, stamp_datetime, stamp_time};
use crate::header::Mapping;
use crate::lexical::temporal::{DAY_MICROS, TemporalForm, write_date};
use crate::reader::csv::Dialect;
use crate::reader::rows::{Rows, Tag};

/// A row as a line without its end.
pub(super) fn line(contract: &Contract, mapping: &Mapping, rows: &Rows, row: usize) -> String {
    let mut cells: Vec<Cow<'_, str>> = (0..rows.width)
        .map(|column| {
            let span = rows.cell(row, column);
            let field = mapping.field_of(column).and_then(|index| contract.fields.get(index));
            field.map_or(Cow::Borrowed(rows.get(span)), |field| written(&field.form, span.tag(), rows.get(span)))
        })
        .collect();
    for (_, column, span) in rows.extras.iter().filter(|(at, _, _)| *at as usize == row) {
        let column = *column as usize;
        cells.resize(cells.len().max(column), Cow::Borrowed(""));
        cells.insert(column, Cow::Borrowed(rows.get(*span)));
    }
    joined(&contract.layout.dialect, cells.iter().map(Cow::as_ref))
}

/// Labels and what stands above them, as a line with its end.
pub(super) fn head(contract: &Contract, labels: &[String]) -> String {
    let dialect = &contract.layout.dialect;
    // A line end inside a label would move the rows below it.
    let labels: Vec<String> = labels.iter().map(|label| label.replace(['\r', '\n'], " ")).collect();
    joined(dialect, labels.iter().map(String::as_str)) + dialect.terminator.as_deref().unwrap_or("\n")
}

fn joined<'a>(dialect: &Dialect, cells: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push_str(&dialect.delimiter);
        }
        match dialect.quote.map(char::from) {
            Some(quote) if cell.contains(&dialect.delimiter) || cell.contains([quote, '\r', '\n']) => {
                out.push(quote);
                out.push_str(&cell.replace(quote, &format!("{quote}{quote}")));
                out.push(quote);
            }
            _ => out.push_str(cell),
        }
    }
    out
}

/// A typed cell as text of the field's form; one that the form cannot write stays as it is.
fn written<'a>(form: &Form, tag: Tag, text: &'a str) -> Cow<'a, str> {
    let other = match (form, tag) {
        (Form::Number(form), Tag::Number) if form.decimal != "." => Some(text.replace('.', &form.decimal)),
        (Form::Date(TemporalForm::Pattern(pattern)), Tag::Stamp) => {
            stamp_date(text).map(|days| pattern.format(i64::from(days) * DAY_MICROS))
        }
        (Form::Date(_), Tag::Stamp) => stamp_date(text).map(|days| {
            let mut out = String::new();
            write_date(i64::from(days), &mut out);
            out
        }),
        (Form::DateTime { form: TemporalForm::Pattern(pattern), .. }, Tag::Stamp) if !pattern.has_zone() => {
            stamp_datetime(text).map(|stamp| pattern.format(stamp.micros))
        }
        (Form::Time(TemporalForm::Pattern(pattern)), Tag::Stamp) => stamp_time(text).map(|time| pattern.format(time)),
        _ => None,
    };
    other.map_or(Cow::Borrowed(text), Cow::Owned)
}
