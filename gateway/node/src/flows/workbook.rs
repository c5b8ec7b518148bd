//! The bad rows of a file as a workbook: wrong cells are red and carry a note, a second sheet lists every error.
//!
//! It is a new workbook. What the sender's file had of formats, formulas and other sheets is not in it, and it says so.
//! Every cell is text: nothing in it is taken for a formula or rounded.

use std::collections::HashMap;

use rust_xlsxwriter::{Color, Format, FormatAlign, Note, Worksheet, XlsxError};
use serde_json::Value;
use simpul_schemas::{Contract, Lang, Records, Report, error_columns};

/// The media type.
pub const MEDIA_TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// Rows that a workbook holds; the list of errors goes on.
pub const MAX_ROWS: usize = 10_000;
/// Cells that a workbook holds.
const MAX_CELLS: usize = 500_000;
/// Characters that a cell of a sheet may hold; Excel takes 32,767.
const MAX_TEXT: usize = 32_000;
/// Columns of a sheet.
const MAX_COLUMNS: usize = 16_000;

/// A workbook being filled.
pub struct Workbook {
    lang: Lang,
    labels: Vec<String>,
    records: Option<Records>,
    fields: Vec<String>,
    rows: Vec<(u64, Vec<String>)>,
    cells: usize,
}

impl Workbook {
    /// An empty one.
    pub const fn new(lang: Lang) -> Self {
        Self { lang, labels: Vec::new(), records: None, fields: Vec::new(), rows: Vec::new(), cells: 0 }
    }

    /// Tells the contract and the lines down to the header.
    pub fn begin(&mut self, contract: &Contract, head: &str) {
        let mut records = Records::new(contract, head);
        self.labels = records.cells(head);
        self.fields = contract.fields().iter().map(|field| field.name().to_owned()).collect();
        if self.labels.is_empty() {
            self.labels.clone_from(&self.fields);
        }
        self.records = Some(records);
    }

    /// How many rows it holds.
    pub const fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Adds a bad row, as it came, unless the workbook is full.
    pub fn row(&mut self, number: u64, raw: &str) {
        if self.rows.len() >= MAX_ROWS || self.cells >= MAX_CELLS {
            return;
        }
        let object = raw.trim_start().starts_with('{').then(|| serde_json::from_str::<Value>(raw).ok()).flatten();
        let cells: Vec<String> = match (object, &mut self.records) {
            (Some(object), _) => self.fields.iter().map(|name| text(object.get(name))).collect(),
            (None, Some(records)) => records.cells(raw),
            (None, None) => Vec::new(),
        };
        self.cells += cells.len() + 1;
        self.rows.push((number, cells.into_iter().take(MAX_COLUMNS).collect()));
    }

    /// The finished file.
    ///
    /// # Errors
    /// When it cannot be written, which in memory it can.
    pub fn finish(self, report: &Report) -> Result<Vec<u8>, XlsxError> {
        let mut book = rust_xlsxwriter::Workbook::new();
        let sheet = book.add_worksheet();
        sheet.set_name(self.say("Baris salah", "Bad rows"))?;
        self.fill_rows(sheet, report)?;
        let sheet = book.add_worksheet();
        sheet.set_name(self.say("Kesalahan", "Errors"))?;
        self.fill_errors(sheet, report)?;
        book.save_to_buffer()
    }

    const fn say(&self, id: &'static str, en: &'static str) -> &'static str {
        match self.lang {
            Lang::Id => id,
            Lang::En => en,
        }
    }

    fn fill_rows(&self, sheet: &mut Worksheet, report: &Report) -> Result<(), XlsxError> {
        let plain = Format::new().set_num_format("@");
        let bold = Format::new().set_bold();
        let red = Format::new()
            .set_num_format("@")
            .set_background_color(Color::RGB(0x00FF_C7CE))
            .set_font_color(Color::RGB(0x009C_0006));
        sheet.write_string_with_format(0, 0, self.say("baris", "row"), &bold)?;
        for (column, label) in (1..).zip(&self.labels) {
            sheet.write_string_with_format(0, column, short(label), &bold)?;
        }
        sheet.set_freeze_panes(1, 1)?;
        let notes = self.notes(report);
        for (line, (number, cells)) in (1..).zip(&self.rows) {
            let note = |column: u16| notes.get(&(*number, column));
            let width = (1..).zip(self.labels.iter().take(MAX_COLUMNS)).count().max(cells.len());
            sheet.write_number_with_format(line, 0, *number as f64, if note(0).is_some() { &red } else { &bold })?;
            for column in 0..=u16::try_from(width).unwrap_or(u16::MAX) {
                let cell = usize::from(column).checked_sub(1).and_then(|index| cells.get(index));
                let noted = note(column);
                if column > 0 {
                    let cell = cell.map(|cell| short(cell)).unwrap_or_default();
                    sheet.write_string_with_format(line, column, cell, if noted.is_some() { &red } else { &plain })?;
                }
                if let Some(text) = noted {
                    sheet.insert_note(
                        line,
                        column,
                        &Note::new(short(text)).add_author_prefix(false).set_width(320).set_height(120),
                    )?;
                }
            }
        }
        sheet.autofit();
        Ok(())
    }

    /// What is said about each cell: its row, and its column from 1, or 0 for what is about the row.
    fn notes(&self, report: &Report) -> HashMap<(u64, u16), String> {
        let mut notes: HashMap<(u64, u16), String> = HashMap::new();
        for finding in report.errors.iter().chain(&report.warnings) {
            let Some(row) = finding.row else { continue };
            let column = finding.field_number.and_then(|number| u16::try_from(number).ok()).unwrap_or(0);
            let note = notes.entry((row, column)).or_default();
            if !note.is_empty() {
                note.push('\n');
            }
            note.push_str(&finding.message(self.lang));
            if let Some(hint) = finding.hint(self.lang) {
                note.push_str(" → ");
                note.push_str(&hint);
            }
        }
        notes
    }

    fn fill_errors(&self, sheet: &mut Worksheet, report: &Report) -> Result<(), XlsxError> {
        let bold = Format::new().set_bold();
        let plain = Format::new().set_num_format("@").set_align(FormatAlign::Top);
        let remark = self.say(
            "Buku kerja ini dibuat dari baris yang salah saja. Format, rumus dan lembar lain dari berkas asal tidak ikut: \
             perbaiki di berkas asal.",
            "This workbook holds the bad rows only. Formats, formulas and other sheets of the original are lost: correct \
             the original.",
        );
        sheet.write_string(0, 0, remark)?;
        let left_out = report.rows_refused.saturating_sub(self.rows.len() as u64);
        if left_out > 0 {
            let more = match self.lang {
                Lang::Id => format!("{left_out} baris salah lainnya tidak ada di sini."),
                Lang::En => format!("{left_out} more bad rows are not in here."),
            };
            sheet.write_string(1, 0, more)?;
        }
        for (column, title) in (0..).zip(error_columns(self.lang)) {
            sheet.write_string_with_format(2, column, title, &bold)?;
        }
        for (line, cells) in (3..).zip(report.error_lines(self.lang).take(MAX_ROWS)) {
            for (column, cell) in (0..).zip(&cells) {
                sheet.write_string_with_format(line, column, short(cell), &plain)?;
            }
        }
        for (column, width) in [(2, 24.0), (3, 24.0), (4, 14.0), (5, 60.0), (6, 60.0)] {
            sheet.set_column_width(column, width)?;
        }
        Ok(())
    }
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn short(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}
