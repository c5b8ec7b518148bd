//! Rows as bytes for those who stream them: CSV that a spreadsheet opens without harm, and Arrow IPC.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow::ipc::writer::StreamWriter;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::error::Result;
use crate::scan::Rows;
use crate::work::{Send, blocking_stream};

/// What rows are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 4180 in UTF-8 with a header line; see [`CsvSafe`].
    Csv,
    /// The streaming format of Arrow IPC.
    Arrow,
}

impl Rows {
    /// The rows from here to the end of the scan, encoded on a blocking thread, about one piece per batch. After an error
    /// the stream ends without the end mark of the encoding.
    pub fn encode(self, encoding: Encoding) -> BoxStream<'static, Result<Bytes>> {
        blocking_stream(move |send| match encoding {
            Encoding::Csv => csv(self, send),
            Encoding::Arrow => ipc(self, send),
        })
    }
}

fn csv(mut rows: Rows, send: Send<'_, Bytes>) -> Result<()> {
    let mut writer = CsvSafe::new(&rows.schema());
    while let Some(batch) = rows.blocking_next()? {
        let mut text = Vec::new();
        writer.write(&batch, &mut text)?;
        if !send(text.into()) {
            return Ok(());
        }
    }
    let mut text = Vec::new();
    writer.finish(&mut text);
    send(text.into());
    Ok(())
}

fn ipc(mut rows: Rows, send: Send<'_, Bytes>) -> Result<()> {
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema())?;
    while let Some(batch) = rows.blocking_next()? {
        writer.write(&batch)?;
        if !send(std::mem::take(writer.get_mut()).into()) {
            return Ok(());
        }
    }
    writer.finish()?;
    send(std::mem::take(writer.get_mut()).into());
    Ok(())
}

/// Writes CSV: a header line, null as nothing, empty text as `""`, and a cell of text that a spreadsheet would take for a
/// formula with an apostrophe before it.
#[derive(Debug)]
pub struct CsvSafe {
    /// The header line until it is written.
    header: Option<Vec<u8>>,
}

impl CsvSafe {
    /// A writer of rows with the columns of `schema`.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        let mut header = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            separate(index, &mut header);
            push_text(field.name(), &mut header);
        }
        header.extend(b"\r\n");
        Self { header: Some(header) }
    }

    /// Adds the rows of `batch` to `out`, before the first of them the header.
    ///
    /// # Errors
    /// [`crate::LakeError::Arrow`] if a column has a type without a text form.
    pub fn write(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        self.finish(out);
        let options = FormatOptions::default();
        let formatters = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
        let formatters = formatters.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            for (index, (column, formatter)) in batch.columns().iter().zip(&formatters).enumerate() {
                separate(index, out);
                match column.data_type() {
                    _ if column.is_null(row) => {}
                    DataType::Utf8 => push_text(column.as_string::<i32>().value(row), out),
                    _ => out.extend(formatter.value(row).try_to_string()?.as_bytes()),
                }
            }
            out.extend(b"\r\n");
        }
        Ok(())
    }

    /// Adds the header if no row did.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.extend(self.header.take().unwrap_or_default());
    }
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

fn push_text(cell: &str, out: &mut Vec<u8>) {
    let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if cell.is_empty() || cell.contains([',', '"', '\r', '\n']) || cell.trim().len() != cell.len() {
        out.extend([b"\"", guard.as_bytes(), cell.replace('"', "\"\"").as_bytes(), b"\""].concat());
    } else {
        out.extend([guard, cell].concat().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Decimal128Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_are_defused() {
        let cells =
            [Some("=1+1"), Some("a,b"), Some("say \"hi\""), Some(""), None, Some("\tx"), Some("-5"), Some("biasa")];
        let numbers = Int64Array::from(vec![-1; 8]);
        let batch = RecordBatch::try_from_iter([
            ("=kolom", Arc::new(StringArray::from(cells.to_vec())) as _),
            ("angka", Arc::new(numbers) as _),
        ])
        .unwrap();
        let mut text = Vec::new();
        CsvSafe::new(batch.schema_ref()).write(&batch, &mut text).unwrap();
        let expected = [
            "'=kolom,angka",
            "'=1+1,-1",
            "\"a,b\",-1",
            "\"say \"\"hi\"\"\",-1",
            "\"\",-1",
            ",-1",
            "\"'\tx\",-1",
            "'-5,-1",
            "biasa,-1",
            "",
        ];
        assert_eq!(String::from_utf8(text).unwrap(), expected.join("\r\n"));
    }

    #[test]
    fn dates_and_decimals_are_written_as_people_write_them() {
        let decimals = Decimal128Array::from(vec![1250, -5]).with_precision_and_scale(8, 2).unwrap();
        let batch = RecordBatch::try_from_iter([
            ("tanggal", Arc::new(Date32Array::from(vec![0, 20_000])) as _),
            ("nilai", Arc::new(decimals) as _),
        ])
        .unwrap();
        let mut text = Vec::new();
        CsvSafe::new(batch.schema_ref()).write(&batch, &mut text).unwrap();
        assert_eq!(text, b"tanggal,nilai\r\n1970-01-01,12.50\r\n2024-10-04,-0.05\r\n");
    }
}
