//! Workbooks: the cells of one sheet, row by row.
//!
//! XLSX is read as a stream, so that a cell in the last corner of a sheet costs no more than any other. Its other parts
//! (shared texts, formats) and the other two formats are in memory as a whole, which the limit of the process bounds.

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;

use calamine::{
    CellErrorType, Data, DataRef, Dimensions, Ods, OdsError, Range, Reader, Xls, XlsError, Xlsx, XlsxError,
};
use simpul_schemas::{Cell, CellFault, Foreign, Sheet};

use super::child::{Output, Stop};

/// Merged areas that are filled; a workbook with more is not the table that anyone means.
const MAX_MERGED: usize = 10_000;
/// Names of sheets that a fault lists.
const NAMED_SHEETS: usize = 10;
/// Numbers from here on are shorter with an exponent, and no identifier has as many digits.
const WITH_EXPONENT: f64 = 1e21;

type Source = BufReader<File>;

/// Reads the sheet of a workbook.
///
/// # Errors
/// Why it cannot be read, or that nobody listens any more.
pub fn read(file: File, format: Foreign, sheet: &Sheet, out: &mut Output) -> Result<(), Stop> {
    let source = BufReader::with_capacity(64 << 10, file);
    match format {
        Foreign::Xls => xls(source, sheet, out),
        Foreign::Ods => ods(source, sheet, out),
        _ => xlsx(source, sheet, out),
    }
}

/// Whether a compound file is a workbook behind a password.
pub fn is_encrypted(file: File) -> bool {
    matches!(Xlsx::new(BufReader::new(file)), Err(XlsxError::Password))
}

/// A cell as any of the three formats has it.
#[derive(Clone)]
enum Value<'a> {
    Cell(DataRef<'a>),
    /// A formula without its value.
    NoValue,
}

fn xlsx(source: Source, sheet: &Sheet, out: &mut Output) -> Result<(), Stop> {
    let mut book = Xlsx::new(source).map_err(xlsx_fault)?;
    let name = choose(&book.sheet_names(), sheet)?;
    let merged =
        if sheet.merged_rows > 0 { book.merge_cells_by_sheet_name(&name).map_err(xlsx_fault)? } else { Vec::new() };
    let epoch_1904 = book.has_1904_epoch();
    let mut cells = book.worksheet_cells_reader(&name).map_err(xlsx_fault)?;
    let mut rows = Rows::new(out, epoch_1904, fill_of(merged, sheet)?);
    while let Some(cell) = cells.next_cell_with_formula_metadata().map_err(xlsx_fault)? {
        let value = match cell.value {
            DataRef::Empty if cell.formula.is_some() => Value::NoValue,
            DataRef::Empty => continue,
            value => Value::Cell(value),
        };
        rows.cell(cell.pos, value)?;
    }
    rows.end()
}

fn xls(source: Source, sheet: &Sheet, out: &mut Output) -> Result<(), Stop> {
    let mut book = Xls::new(source).map_err(xls_fault)?;
    let name = choose(&book.sheet_names(), sheet)?;
    let merged =
        if sheet.merged_rows > 0 { book.merge_cells_by_sheet_name(&name).map_err(xls_fault)? } else { Vec::new() };
    let range = book.worksheet_range(&name).map_err(xls_fault)?;
    let rows = Rows::new(out, book.has_1904_epoch(), fill_of(merged, sheet)?);
    dense(&range, &Range::empty(), rows)
}

fn ods(source: Source, sheet: &Sheet, out: &mut Output) -> Result<(), Stop> {
    let mut book = Ods::new(source).map_err(ods_fault)?;
    let name = choose(&book.sheet_names(), sheet)?;
    let range = book.worksheet_range(&name).map_err(ods_fault)?;
    let formulas = book.worksheet_formula(&name).map_err(ods_fault)?;
    dense(&range, &formulas, Rows::new(out, false, Vec::new()))
}

/// The cells of a sheet that is in memory as a whole.
fn dense<'a>(range: &'a Range<Data>, formulas: &Range<String>, mut rows: Rows<'_, 'a>) -> Result<(), Stop> {
    let Some((first_row, first_column)) = range.start() else { return rows.end() };
    for (cells, row) in range.rows().zip(first_row..) {
        for (cell, column) in cells.iter().zip(first_column..) {
            let value = match cell {
                Data::Empty => match formulas.get_value((row, column)) {
                    Some(formula) if !formula.is_empty() => Value::NoValue,
                    _ => continue,
                },
                cell => Value::Cell(borrowed(cell)),
            };
            rows.cell((row, column), value)?;
        }
    }
    rows.end()
}

fn borrowed(cell: &Data) -> DataRef<'_> {
    match cell {
        Data::Int(value) => DataRef::Int(*value),
        Data::Float(value) => DataRef::Float(*value),
        Data::String(text) => DataRef::SharedString(text),
        Data::Bool(value) => DataRef::Bool(*value),
        Data::DateTime(value) => DataRef::DateTime(*value),
        Data::DateTimeIso(text) => DataRef::DateTimeIso(text.clone()),
        Data::DurationIso(text) => DataRef::DurationIso(text.clone()),
        Data::Error(error) => DataRef::Error(error.clone()),
        _ => DataRef::Empty,
    }
}

/// The sheet that the contract means.
fn choose(names: &[String], sheet: &Sheet) -> Result<String, Stop> {
    let found = match (&sheet.name, sheet.number) {
        (Some(name), _) => names.iter().find(|known| *known == name),
        (None, number) => names.get(number.unwrap_or(1).saturating_sub(1) as usize),
    };
    let wanted = || sheet.name.clone().unwrap_or_else(|| sheet.number.unwrap_or(1).to_string());
    let missing =
        || CellFault::NoSheet { wanted: wanted(), sheets: names.iter().take(NAMED_SHEETS).cloned().collect() };
    found.cloned().ok_or_else(|| missing().into())
}

/// The merged areas that are to be filled.
fn fill_of<'a>(merged: Vec<Dimensions>, sheet: &Sheet) -> Result<Vec<Merged<'a>>, Stop> {
    let wanted: Vec<_> = merged
        .into_iter()
        .filter(|area| area.start.0 < sheet.merged_rows && area.start <= area.end && area.start.1 <= area.end.1)
        .map(|area| Merged { area, value: None })
        .collect();
    if wanted.len() > MAX_MERGED {
        return Err(CellFault::Unsupported { what: format!("> {MAX_MERGED} sel gabungan / merged cells") }.into());
    }
    Ok(wanted)
}

struct Merged<'a> {
    area: Dimensions,
    value: Option<Value<'a>>,
}

/// Gathers cells to rows and sends them.
struct Rows<'o, 'a> {
    out: &'o mut Output,
    epoch_1904: bool,
    merged: Vec<Merged<'a>>,
    /// The row being gathered, counted from 0.
    row: u32,
    cells: Vec<(u32, Value<'a>)>,
    text: String,
}

impl<'o, 'a> Rows<'o, 'a> {
    fn new(out: &'o mut Output, epoch_1904: bool, merged: Vec<Merged<'a>>) -> Self {
        out.writer.sheet();
        Self { out, epoch_1904, merged, row: 0, cells: Vec::new(), text: String::new() }
    }

    fn cell(&mut self, (row, column): (u32, u32), value: Value<'a>) -> Result<(), Stop> {
        if row < self.row {
            return Err(CellFault::Damaged { why: format!("row {} after row {}", row + 1, self.row + 1) }.into());
        }
        if row > self.row {
            self.send()?;
            self.fill_until(row)?;
            self.row = row;
        }
        for merged in &mut self.merged {
            if merged.area.start == (row, column) {
                merged.value = Some(value.clone());
            }
        }
        self.cells.push((column, value));
        Ok(())
    }

    /// Sends the rows before `next` that hold nothing but what is merged into them.
    fn fill_until(&mut self, next: u32) -> Result<(), Stop> {
        let last = self.merged.iter().filter(|merged| merged.value.is_some()).map(|merged| merged.area.end.0).max();
        let last = last.map_or(0, |last| last.saturating_add(1));
        while self.row + 1 < next.min(last) {
            self.row += 1;
            self.send()?;
        }
        Ok(())
    }

    fn end(mut self) -> Result<(), Stop> {
        self.send()?;
        self.fill_until(u32::MAX)?;
        self.out.end()
    }

    /// Sends the gathered row, unless it holds nothing.
    fn send(&mut self) -> Result<(), Stop> {
        for merged in self.merged.iter().filter(|merged| (merged.area.start.0..=merged.area.end.0).contains(&self.row))
        {
            let Some(value) = &merged.value else { continue };
            for column in merged.area.start.1..=merged.area.end.1 {
                if !self.cells.iter().any(|(known, _)| *known == column) {
                    self.cells.push((column, value.clone()));
                }
            }
        }
        if self.cells.is_empty() {
            return Ok(());
        }
        if !self.cells.is_sorted_by(|a, b| a.0 < b.0) {
            self.cells.sort_by_key(|(column, _)| *column);
            self.cells.dedup_by_key(|(column, _)| *column);
        }
        self.out.writer.row(self.row + 1);
        let mut next = 0;
        for (column, value) in self.cells.drain(..) {
            (next..column).for_each(|_| self.out.writer.cell(Cell::Empty));
            next = column + 1;
            self.out.writer.cell(view(&value, self.epoch_1904, &mut self.text));
        }
        self.out.writer.end_row();
        self.out.flush_full()
    }
}

fn view<'v>(value: &'v Value<'_>, epoch_1904: bool, text: &'v mut String) -> Cell<'v> {
    let Value::Cell(cell) = value else { return Cell::NoValue };
    text.clear();
    match cell {
        DataRef::Int(value) => {
            let _ = write!(text, "{value}");
            Cell::Number(text)
        }
        DataRef::Float(value) => {
            write_float(*value, text);
            Cell::Number(text)
        }
        DataRef::String(value) => Cell::Text(value),
        DataRef::SharedString(value) => Cell::Text(value),
        DataRef::Bool(value) => Cell::Bool(*value),
        DataRef::DateTime(value) => Cell::Serial { days: value.as_f64(), epoch_1904, elapsed: value.is_duration() },
        DataRef::DateTimeIso(value) => Cell::Stamp(value),
        DataRef::DurationIso(value) => {
            if clock(value, text).is_some() {
                Cell::Stamp(text)
            } else {
                Cell::Stamp(value)
            }
        }
        DataRef::Error(error) => Cell::Error(error_text(error)),
        DataRef::Empty => Cell::Empty,
    }
}

/// The shortest digits that give the same number again.
fn write_float(value: f64, out: &mut String) {
    // Zero has no sign to a person.
    let value = value + 0.0;
    let _ = if value.abs() < WITH_EXPONENT { write!(out, "{value}") } else { write!(out, "{value:e}") };
}

const fn error_text(error: &CellErrorType) -> &'static str {
    match error {
        CellErrorType::Div0 => "#DIV/0!",
        CellErrorType::NA => "#N/A",
        CellErrorType::Name => "#NAME?",
        CellErrorType::Null => "#NULL!",
        CellErrorType::Num => "#NUM!",
        CellErrorType::Ref => "#REF!",
        CellErrorType::Value => "#VALUE!",
        CellErrorType::GettingData => "#DATA!",
    }
}

/// Writes a time of day that OpenDocument keeps as the duration since midnight: `PT10H30M00S`.
fn clock(duration: &str, out: &mut String) -> Option<()> {
    let (hours, rest) = duration.strip_prefix("PT")?.split_once('H')?;
    let (minutes, rest) = rest.split_once('M')?;
    let seconds = rest.strip_suffix('S')?;
    let whole: u32 = seconds.split(['.', ',']).next()?.parse().ok()?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 23 || minutes > 59 || whole > 59 {
        return None;
    }
    write!(out, "{hours:02}:{minutes:02}:{whole:02}").ok()?;
    let fraction = seconds.split(['.', ',']).nth(1).unwrap_or_default().trim_end_matches('0');
    if !fraction.is_empty() { write!(out, ".{fraction}").ok() } else { Some(()) }
}

fn damaged(why: &dyn std::fmt::Display) -> Stop {
    CellFault::Damaged { why: why.to_string() }.into()
}

fn xlsx_fault(error: XlsxError) -> Stop {
    match error {
        XlsxError::Password => CellFault::Encrypted.into(),
        XlsxError::NotAWorksheet(kind) => CellFault::Unsupported { what: kind }.into(),
        error => damaged(&error),
    }
}

fn xls_fault(error: XlsError) -> Stop {
    match error {
        XlsError::Password => CellFault::Encrypted.into(),
        error => damaged(&error),
    }
}

fn ods_fault(error: OdsError) -> Stop {
    match error {
        OdsError::Password => CellFault::Encrypted.into(),
        OdsError::CellLimitExceeded { .. } => CellFault::Memory.into(),
        error => damaged(&error),
    }
}
