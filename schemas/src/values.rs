//! Typed columns of a batch, seen row by row: as keys, and as text.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, StringArray};
use arrow_schema::{DataType, TimeUnit};

use crate::form::number_code;
use crate::lexical::temporal::{write_date, write_datetime};

/// One column, its type known.
pub(crate) enum Column<'a> {
    Text(&'a StringArray),
    Integer(&'a PrimitiveArray<Int64Type>),
    Number(&'a PrimitiveArray<Float64Type>),
    Year(&'a PrimitiveArray<Int32Type>),
    Date(&'a PrimitiveArray<Date32Type>),
    Instant(&'a PrimitiveArray<TimestampMicrosecondType>),
    Boolean(&'a BooleanArray),
    /// A type that no contract stores: every value counts as null.
    Other,
}

impl<'a> Column<'a> {
    pub(crate) fn new(array: &'a ArrayRef) -> Self {
        match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Int64 => Self::Integer(array.as_primitive()),
            DataType::Float64 => Self::Number(array.as_primitive()),
            DataType::Int32 => Self::Year(array.as_primitive()),
            DataType::Date32 => Self::Date(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Self::Instant(array.as_primitive()),
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            _ => Self::Other,
        }
    }

    #[inline]
    pub(crate) fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Text(array) => array.is_null(row),
            Self::Integer(array) => array.is_null(row),
            Self::Number(array) => array.is_null(row),
            Self::Year(array) => array.is_null(row),
            Self::Date(array) => array.is_null(row),
            Self::Instant(array) => array.is_null(row),
            Self::Boolean(array) => array.is_null(row),
            Self::Other => true,
        }
    }

    /// Writes the value as a part of a key; the caller knows that it is not null.
    #[inline]
    pub(crate) fn write_key(&self, row: usize, single: bool, out: &mut Vec<u8>) {
        match self {
            Self::Text(array) => {
                let text = array.value(row);
                if !single {
                    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                }
                out.extend_from_slice(text.as_bytes());
            }
            Self::Integer(array) => out.extend_from_slice(&array.value(row).to_le_bytes()),
            Self::Number(array) => out.extend_from_slice(&(number_code(array.value(row)) as u64).to_le_bytes()),
            Self::Year(array) => out.extend_from_slice(&array.value(row).to_le_bytes()),
            Self::Date(array) => out.extend_from_slice(&array.value(row).to_le_bytes()),
            Self::Instant(array) => out.extend_from_slice(&array.value(row).to_le_bytes()),
            Self::Boolean(array) => out.push(array.value(row).into()),
            Self::Other => {}
        }
    }

    /// The value as a part of a reference: as [`Column::text`], but a year is the number it is.
    pub(crate) fn reference_text(&self, row: usize) -> Option<Cow<'a, str>> {
        match self {
            Self::Year(array) if !array.is_null(row) => Some(Cow::Owned(array.value(row).to_string())),
            column => column.text(row),
        }
    }

    /// The value as text, the same for equal values; nothing for null.
    pub(crate) fn text(&self, row: usize) -> Option<Cow<'a, str>> {
        if self.is_null(row) {
            return None;
        }
        Some(match self {
            Self::Text(array) => Cow::Borrowed(array.value(row)),
            Self::Integer(array) => Cow::Owned(array.value(row).to_string()),
            Self::Number(array) => Cow::Owned(number_text(array.value(row))),
            Self::Year(array) => Cow::Owned(format!("{:04}", array.value(row))),
            Self::Boolean(array) => Cow::Borrowed(if array.value(row) { "true" } else { "false" }),
            Self::Date(array) => {
                let mut out = String::new();
                write_date(array.value(row).into(), &mut out);
                Cow::Owned(out)
            }
            Self::Instant(array) => {
                let mut out = String::new();
                write_datetime(array.value(row), &mut out);
                out.push('Z');
                Cow::Owned(out)
            }
            Self::Other => return None,
        })
    }
}

/// The shortest text that reads back as the same number, in the words of Table Schema.
pub(crate) fn number_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "INF" } else { "-INF" }.to_owned();
    }
    let value = value + 0.0;
    if value.abs() >= 1e16 || value != 0.0 && value.abs() < 1e-5 { format!("{value:e}") } else { value.to_string() }
}

/// The value of a row as text, the same for equal values: how a period is named.
#[must_use]
pub fn canonical_text(array: &ArrayRef, row: usize) -> Option<String> {
    (row < array.len()).then(|| Column::new(array).text(row).map(Cow::into_owned)).flatten()
}
