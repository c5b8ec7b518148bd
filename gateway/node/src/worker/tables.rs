//! Columnar files: Parquet and Arrow IPC, row by row, under the names of their columns.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};

use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow_array::cast::AsArray;
use arrow_array::temporal_conversions as temporal;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema, TimeUnit};
use chrono::{NaiveDateTime, NaiveTime};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use simpul_schemas::{Cell, CellFault, CellWriter, Foreign};

use super::child::{Output, Stop};

/// Rows that are decoded at once.
const BATCH: usize = 1024;

/// Reads a columnar file.
///
/// # Errors
/// Why it cannot be read, or that nobody listens any more.
pub fn read(file: File, format: Foreign, out: &mut Output) -> Result<(), Stop> {
    if format == Foreign::Parquet { parquet(file, out) } else { arrow(file, out) }
}

fn parquet(file: File, out: &mut Output) -> Result<(), Stop> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| parquet_fault(&error))?;
    begin(builder.schema(), out)?;
    let batches = builder.with_batch_size(BATCH).build().map_err(|error| parquet_fault(&error))?;
    send(batches, out)
}

fn arrow(mut file: File, out: &mut Output) -> Result<(), Stop> {
    let mut head = [0; 6];
    let is_file = file.read_exact(&mut head).is_ok() && head == *b"ARROW1";
    file.seek(SeekFrom::Start(0)).map_err(|error| damaged(&error))?;
    let source = BufReader::with_capacity(64 << 10, file);
    if is_file {
        let batches = FileReader::try_new(source, None).map_err(|error| arrow_fault(&error))?;
        begin(&batches.schema(), out)?;
        send(batches, out)
    } else {
        let batches = StreamReader::try_new(source, None).map_err(|error| arrow_fault(&error))?;
        begin(&batches.schema(), out)?;
        send(batches, out)
    }
}

/// Sends the names of the columns, when a field can take what each of them holds.
fn begin(schema: &Schema, out: &mut Output) -> Result<(), Stop> {
    for field in schema.fields() {
        if !is_flat(field.data_type()) {
            return Err(CellFault::Unsupported { what: format!("{}: {}", field.name(), field.data_type()) }.into());
        }
    }
    out.writer.table(schema.fields().iter().map(|field| field.name().as_str()));
    out.flush_full()
}

fn is_flat(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_flat(values),
        kind => {
            kind.is_null()
                || kind.is_numeric()
                || kind.is_string()
                || (kind.is_temporal() && !matches!(kind, DataType::Interval(_) | DataType::Duration(_)))
                || *kind == DataType::Boolean
        }
    }
}

fn send(batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>, out: &mut Output) -> Result<(), Stop> {
    // The names of the columns are row 1.
    let mut number = 1_u32;
    for batch in batches {
        let batch = batch.map_err(|error| arrow_fault(&error))?;
        let columns = batch.columns().iter().map(column).collect::<Option<Vec<_>>>();
        let columns = columns.ok_or_else(|| damaged(&"a column of another type than the schema says"))?;
        for row in 0..batch.num_rows() {
            number = number.checked_add(1).ok_or(CellFault::Time)?;
            out.writer.row(number);
            for cell in &columns {
                cell(row, &mut out.writer);
            }
            out.writer.end_row();
            out.flush_full()?;
        }
    }
    out.end()
}

/// Writes the cell of one row.
type Writer<'a> = Box<dyn Fn(usize, &mut CellWriter) + 'a>;

/// How the cells of a column are written; `None` for a type that has no place in a row.
fn column(array: &ArrayRef) -> Option<Writer<'_>> {
    let array: &dyn Array = array;
    let value = values(array)?;
    let nulls = array.logical_nulls();
    Some(Box::new(move |row, out| match &nulls {
        Some(nulls) if nulls.is_null(row) => out.cell(Cell::Empty),
        _ => value(row, out),
    }))
}

fn values(array: &dyn Array) -> Option<Writer<'_>> {
    Some(match array.data_type() {
        DataType::Null => Box::new(|_, out| out.cell(Cell::Empty)),
        DataType::Boolean => {
            let array = array.as_boolean_opt()?;
            Box::new(move |row, out| out.cell(Cell::Bool(array.value(row))))
        }
        DataType::Utf8 => {
            let array = array.as_string_opt::<i32>()?;
            Box::new(move |row, out| out.cell(Cell::Text(array.value(row))))
        }
        DataType::LargeUtf8 => {
            let array = array.as_string_opt::<i64>()?;
            Box::new(move |row, out| out.cell(Cell::Text(array.value(row))))
        }
        DataType::Utf8View => {
            let array = array.as_string_view_opt()?;
            Box::new(move |row, out| out.cell(Cell::Text(array.value(row))))
        }
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary_opt()?;
            let keys = dictionary.normalized_keys();
            let entries: &dyn Array = dictionary.values();
            if keys.iter().any(|key| *key >= entries.len().max(1)) {
                return None;
            }
            let value = values(entries)?;
            Box::new(move |row, out| match keys.get(row) {
                Some(key) if !entries.is_empty() => value(*key, out),
                _ => out.cell(Cell::Empty),
            })
        }
        DataType::Decimal32(..) => decimals::<Decimal32Type>(array)?,
        DataType::Decimal64(..) => decimals::<Decimal64Type>(array)?,
        DataType::Decimal128(..) => decimals::<Decimal128Type>(array)?,
        DataType::Decimal256(..) => decimals::<Decimal256Type>(array)?,
        DataType::Int8 => numbers::<Int8Type>(array)?,
        DataType::Int16 => numbers::<Int16Type>(array)?,
        DataType::Int32 => numbers::<Int32Type>(array)?,
        DataType::Int64 => numbers::<Int64Type>(array)?,
        DataType::UInt8 => numbers::<UInt8Type>(array)?,
        DataType::UInt16 => numbers::<UInt16Type>(array)?,
        DataType::UInt32 => numbers::<UInt32Type>(array)?,
        DataType::UInt64 => numbers::<UInt64Type>(array)?,
        DataType::Float16 => floats::<Float16Type>(array, |value| value.to_f64())?,
        DataType::Float32 => singles(array)?,
        DataType::Float64 => floats::<Float64Type>(array, |value| value)?,
        _ => return times(array),
    })
}

fn numbers<T: ArrowPrimitiveType<Native: std::fmt::Display>>(array: &dyn Array) -> Option<Writer<'_>> {
    let array = array.as_primitive_opt::<T>()?;
    Some(Box::new(move |row, out| out.cell(Cell::Number(&text(|text| write!(text, "{}", array.value(row)))))))
}

fn decimals<T: DecimalType>(array: &dyn Array) -> Option<Writer<'_>> {
    let array = array.as_primitive_opt::<T>()?;
    Some(Box::new(move |row, out| out.cell(Cell::Number(&array.value_as_string(row)))))
}

fn floats<T: ArrowPrimitiveType>(array: &dyn Array, wide: fn(T::Native) -> f64) -> Option<Writer<'_>> {
    let array = array.as_primitive_opt::<T>()?;
    Some(Box::new(move |row, out| {
        let value = wide(array.value(row));
        match special(value) {
            Some(word) => out.cell(Cell::Text(word)),
            None => out.cell(Cell::Number(&text(|text| write!(text, "{}", value + 0.0)))),
        }
    }))
}

/// Single precision: the digits that give the same single again, not those of the double nearest to it.
fn singles(array: &dyn Array) -> Option<Writer<'_>> {
    let array = array.as_primitive_opt::<Float32Type>()?;
    Some(Box::new(move |row, out| {
        let value = array.value(row);
        match special(value.into()) {
            Some(word) => out.cell(Cell::Text(word)),
            None => out.cell(Cell::Number(&text(|text| write!(text, "{}", value + 0.0)))),
        }
    }))
}

/// What no number cell can say, in the words of Table Schema.
const fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value > 0.0 { "INF" } else { "-INF" })
    } else {
        None
    }
}

fn times(array: &dyn Array) -> Option<Writer<'_>> {
    Some(match array.data_type() {
        DataType::Date32 => dates::<Date32Type>(array, temporal::date32_to_datetime)?,
        DataType::Date64 => stamps::<Date64Type>(array, temporal::date64_to_datetime, false)?,
        DataType::Timestamp(unit, zone) => {
            let zoned = zone.is_some();
            match unit {
                TimeUnit::Second => stamps::<TimestampSecondType>(array, temporal::timestamp_s_to_datetime, zoned)?,
                TimeUnit::Millisecond => {
                    stamps::<TimestampMillisecondType>(array, temporal::timestamp_ms_to_datetime, zoned)?
                }
                TimeUnit::Microsecond => {
                    stamps::<TimestampMicrosecondType>(array, temporal::timestamp_us_to_datetime, zoned)?
                }
                TimeUnit::Nanosecond => {
                    stamps::<TimestampNanosecondType>(array, temporal::timestamp_ns_to_datetime, zoned)?
                }
            }
        }
        DataType::Time32(TimeUnit::Second) => clocks::<Time32SecondType>(array, temporal::time32s_to_time)?,
        DataType::Time32(_) => clocks::<Time32MillisecondType>(array, temporal::time32ms_to_time)?,
        DataType::Time64(TimeUnit::Microsecond) => clocks::<Time64MicrosecondType>(array, temporal::time64us_to_time)?,
        DataType::Time64(_) => clocks::<Time64NanosecondType>(array, temporal::time64ns_to_time)?,
        _ => return None,
    })
}

/// A value outside the calendar is no date: it goes as a text that no field takes for one.
const BEYOND: &str = "#NUM!";

fn dates<T: ArrowPrimitiveType>(array: &dyn Array, read: fn(T::Native) -> Option<NaiveDateTime>) -> Option<Writer<'_>> {
    let array = array.as_primitive_opt::<T>()?;
    Some(Box::new(move |row, out| match read(array.value(row)) {
        Some(time) => out.cell(Cell::Stamp(&text(|text| write!(text, "{}", time.date())))),
        None => out.cell(Cell::Error(BEYOND)),
    }))
}

fn stamps<T: ArrowPrimitiveType>(
    array: &dyn Array,
    read: fn(T::Native) -> Option<NaiveDateTime>,
    zoned: bool,
) -> Option<Writer<'_>> {
    let array = array.as_primitive_opt::<T>()?;
    Some(Box::new(move |row, out| match read(array.value(row)) {
        Some(time) => {
            let zone = if zoned { "Z" } else { "" };
            out.cell(Cell::Stamp(&text(|text| write!(text, "{}{zone}", time.format("%Y-%m-%dT%H:%M:%S%.f")))));
        }
        None => out.cell(Cell::Error(BEYOND)),
    }))
}

fn clocks<T: ArrowPrimitiveType>(array: &dyn Array, read: fn(T::Native) -> Option<NaiveTime>) -> Option<Writer<'_>> {
    let array = array.as_primitive_opt::<T>()?;
    Some(Box::new(move |row, out| match read(array.value(row)) {
        Some(time) => out.cell(Cell::Stamp(&text(|text| write!(text, "{}", time.format("%H:%M:%S%.f"))))),
        None => out.cell(Cell::Error(BEYOND)),
    }))
}

/// The text of one cell.
fn text(write: impl FnOnce(&mut String) -> std::fmt::Result) -> String {
    let mut text = String::with_capacity(32);
    let _ = write(&mut text);
    text
}

fn damaged(why: &dyn std::fmt::Display) -> Stop {
    CellFault::Damaged { why: why.to_string() }.into()
}

fn parquet_fault(error: &ParquetError) -> Stop {
    match error {
        ParquetError::NYI(what) => CellFault::Unsupported { what: what.clone() }.into(),
        error if error.to_string().contains("encrypt") => CellFault::Encrypted.into(),
        error => damaged(error),
    }
}

fn arrow_fault(error: &ArrowError) -> Stop {
    match error {
        ArrowError::NotYetImplemented(what) => CellFault::Unsupported { what: what.clone() }.into(),
        error => damaged(error),
    }
}
