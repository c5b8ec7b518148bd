//! Rows as bytes for those who stream them: CSV that a spreadsheet opens without harm, and Arrow IPC.

use std::fmt::Write as _;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow::ipc::writer::StreamWriter;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use futures::{Stream, stream};
use tokio::sync::mpsc;

use crate::error::{LakeError, Result};
use crate::scan::Rows;

/// What rows are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 4180 in UTF-8 with a header line; see [`csv_header`] and [`csv_rows`].
    Csv,
    /// The streaming format of Arrow IPC.
    Arrow,
}

/// Pieces that are encoded before the reader asks for them.
const AHEAD: usize = 2;

impl Rows {
    /// The rows from here to the end of the scan, encoded on a blocking thread, about one piece per batch. After an error
    /// the stream ends without the end mark of the encoding.
    pub fn encode(self, encoding: Encoding) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let (sender, receiver) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || {
            let end = match encoding {
                Encoding::Csv => csv(self, &sender),
                Encoding::Arrow => ipc(self, &sender),
            };
            let _ = sender.blocking_send(end.map(|()| None));
        });
        stream::unfold(Some(receiver), |receiver| async {
            let mut receiver = receiver?;
            // An end that is not announced means that the thread died.
            match receiver.recv().await.unwrap_or(Err(LakeError::CutOff)) {
                Ok(piece) => piece.map(|piece| (Ok(piece), Some(receiver))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

type Sender = mpsc::Sender<Result<Option<Bytes>>>;

fn csv(mut rows: Rows, sender: &Sender) -> Result<()> {
    let mut text = String::new();
    csv_header(rows.schema(), &mut text);
    while let Some(batch) = rows.blocking_next()? {
        csv_rows(&batch, &mut text)?;
        if sender.blocking_send(Ok(Some(std::mem::take(&mut text).into()))).is_err() {
            return Ok(());
        }
    }
    if !text.is_empty() {
        let _ = sender.blocking_send(Ok(Some(text.into())));
    }
    Ok(())
}

fn ipc(mut rows: Rows, sender: &Sender) -> Result<()> {
    let mut writer = StreamWriter::try_new(Vec::new(), rows.schema())?;
    while let Some(batch) = rows.blocking_next()? {
        writer.write(&batch)?;
        if sender.blocking_send(Ok(Some(std::mem::take(writer.get_mut()).into()))).is_err() {
            return Ok(());
        }
    }
    writer.finish()?;
    let _ = sender.blocking_send(Ok(Some(std::mem::take(writer.get_mut()).into())));
    Ok(())
}

/// Adds the header line of `schema` to `text`.
pub fn csv_header(schema: &Schema, text: &mut String) {
    for (index, field) in schema.fields().iter().enumerate() {
        separate(index, text);
        push_text(field.name(), text);
    }
    text.push_str("\r\n");
}

/// Adds the rows of `batch` to `text`: null as nothing, empty text as `""`, and a cell of text that a spreadsheet would take
/// for a formula with an apostrophe before it.
///
/// # Errors
/// [`crate::LakeError::Arrow`] if a column has a type without a text form.
pub fn csv_rows(batch: &RecordBatch, text: &mut String) -> Result<()> {
    let options = FormatOptions::default();
    let formatters = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let formatters = formatters.collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        for (index, (column, formatter)) in batch.columns().iter().zip(&formatters).enumerate() {
            separate(index, text);
            match column.data_type() {
                _ if column.is_null(row) => {}
                DataType::Utf8 => push_text(column.as_string::<i32>().value(row), text),
                _ => formatter.value(row).write(text)?,
            }
        }
        text.push_str("\r\n");
    }
    Ok(())
}

fn separate(index: usize, text: &mut String) {
    if index > 0 {
        text.push(',');
    }
}

fn push_text(cell: &str, text: &mut String) {
    let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    let quoted = cell.is_empty() || cell.contains([',', '"', '\r', '\n']) || cell.trim().len() != cell.len();
    if quoted {
        let _ = write!(text, "\"{guard}{}\"", cell.replace('"', "\"\""));
    } else {
        text.extend([guard, cell]);
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
        let mut text = String::new();
        csv_header(batch.schema_ref(), &mut text);
        csv_rows(&batch, &mut text).unwrap();
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
        assert_eq!(text, expected.join("\r\n"));
    }

    #[test]
    fn dates_and_decimals_are_written_as_people_write_them() {
        let decimals = Decimal128Array::from(vec![1250, -5]).with_precision_and_scale(8, 2).unwrap();
        let batch = RecordBatch::try_from_iter([
            ("tanggal", Arc::new(Date32Array::from(vec![0, 20_000])) as _),
            ("nilai", Arc::new(decimals) as _),
        ])
        .unwrap();
        let mut text = String::new();
        csv_rows(&batch, &mut text).unwrap();
        assert_eq!(text, "1970-01-01,12.50\r\n2024-10-04,-0.05\r\n");
    }
}
