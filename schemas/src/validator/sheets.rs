//! Rows of typed cells on their way through the checks: header, comments, data.

use std::sync::Arc;

use super::{Core, HeaderState, join_labels, refused};
use crate::cell_words;
use crate::contract::Contract;
use crate::header::{self, Mapping};
use crate::reader::cells::{CellFault, CellLimits, CellReader, CellStep, CellStop, Foreign};
use crate::report::Fatal;
use crate::validator::{BATCH_CELLS, Limits};

/// A foreign file being checked.
pub(super) struct CellInput {
    pub(super) reader: CellReader,
    format: Foreign,
    header: HeaderState,
}

impl CellInput {
    pub(super) fn new(contract: &Contract, format: Foreign, limits: &Limits) -> Self {
        let cells = CellLimits { cell: limits.cell_bytes, row: limits.row_bytes, columns: limits.columns };
        Self {
            reader: CellReader::new(cells, contract.fields.len()),
            format,
            header: HeaderState { done: false, lines: Vec::new() },
        }
    }

    /// Why the file cannot be read, in words.
    pub(super) fn words(&self, stop: &CellStop, limits: &Limits) -> Fatal {
        cell_words::fatal(stop, self.format, limits)
    }
}

/// Checks the rows that have arrived.
pub(super) fn drive(input: &mut CellInput, core: &mut Core, last: bool) -> Result<(), Fatal> {
    loop {
        let step = match input.reader.step() {
            Ok(step) => step,
            Err(stop) => {
                core.process(&mut input.reader.rows)?;
                return Err(input.words(&stop, &core.limits));
            }
        };
        match step {
            CellStep::Incomplete => break,
            CellStep::Table => table(input, core)?,
            CellStep::Row => row(input, core)?,
        }
        let rows = &input.reader.rows;
        if rows.rows.len() >= core.limits.batch_rows
            || rows.text.len() >= core.limits.batch_bytes
            || rows.cells.len() >= BATCH_CELLS
        {
            core.process(&mut input.reader.rows)?;
            input.reader.recycle();
        }
    }
    if last && !input.reader.ended() {
        core.process(&mut input.reader.rows)?;
        return Err(input.words(&CellStop::Fault(CellFault::Died), &core.limits));
    }
    if last && !input.header.done {
        end_of_header(input, core)?;
    }
    Ok(())
}

/// The names of a columnar file: they say what is where, in any order.
fn table(input: &mut CellInput, core: &mut Core) -> Result<(), Fatal> {
    let labels = input.reader.labels();
    keep_head(input, core);
    input.reader.discard_record();
    let mapping = header::fit_by_name(&core.contract, &labels);
    fix_header(input, core, mapping)
}

/// A row that may be header, comment or data.
fn row(input: &mut CellInput, core: &mut Core) -> Result<(), Fatal> {
    let number = input.reader.last_row();
    let contract = Arc::clone(&core.contract);
    let layout = &contract.layout;
    let comment = layout.dialect.comment.as_deref().is_some_and(|mark| input.reader.begins_with(mark));
    if comment || layout.comment_rows.binary_search(&number).is_ok() {
        if core.rows == 0 && input.reader.rows.rows.is_empty() {
            keep_head(input, core);
        }
        input.reader.discard_record();
        return Ok(());
    }
    if !input.header.done && !layout.header {
        fix_header(input, core, Mapping::positional(contract.fields.len()))?;
    }
    if input.header.done {
        input.reader.keep_record();
        return Ok(());
    }
    keep_head(input, core);
    let wanted = layout.header_rows.get(input.header.lines.len()).copied().unwrap_or(1);
    if number >= wanted {
        let labels = input.reader.labels();
        input.header.lines.push(labels);
    }
    input.reader.discard_record();
    if input.header.lines.len() >= layout.header_rows.len().max(1) {
        end_of_header(input, core)?;
    }
    Ok(())
}

/// Adds the current row to the head of the file: what a file of bad rows has to begin with.
fn keep_head(input: &CellInput, core: &mut Core) {
    let line = refused::head(&core.contract, &input.reader.labels());
    if core.header_raw.len() + line.len() <= core.limits.row_bytes {
        core.header_raw.push_str(&line);
    }
}

/// The header is complete, or the file is.
fn end_of_header(input: &mut CellInput, core: &mut Core) -> Result<(), Fatal> {
    let layout = &core.contract.layout;
    let mapping = if !layout.header {
        Mapping::positional(core.contract.fields.len())
    } else if input.header.lines.is_empty() {
        return Err(crate::fatal::no_header());
    } else {
        header::fit(&core.contract, &join_labels(&input.header.lines, &layout.header_join))
    };
    fix_header(input, core, mapping)
}

fn fix_header(input: &mut CellInput, core: &mut Core, mapping: Mapping) -> Result<(), Fatal> {
    input.header.done = true;
    input.reader.rows.width = mapping.width;
    core.set_mapping(mapping)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::reader::cells::{Cell, CellWriter};
    use crate::{Format, Lang, NoReferences, Report, Validator};

    fn contract(fields: &Value, dialect: &Value, missing: &Value) -> Arc<Contract> {
        let descriptor = json!({
            "$schema": "https://datapackage.org/profiles/2.0/datapackage.json", "name": "uji",
            "resources": [{"name": "data", "path": "data.xlsx", "dialect": dialect,
                "schema": {"fields": fields, "missingValues": missing}}],
        });
        Arc::new(Contract::compile(&descriptor, &NoReferences).unwrap())
    }

    fn stream(rows: &[(u32, &[Cell<'_>])]) -> CellWriter {
        let mut writer = CellWriter::default();
        writer.sheet();
        for (number, cells) in rows {
            writer.row(*number);
            cells.iter().for_each(|cell| writer.cell(*cell));
            writer.end_row();
        }
        writer.end();
        writer
    }

    fn check(contract: &Arc<Contract>, bytes: &[u8]) -> (Report, Vec<arrow_array::RecordBatch>) {
        let mut validator = Validator::for_check(Arc::clone(contract), Format::Cells(Foreign::Xlsx), Limits::default());
        let _ = validator.push(bytes).and_then(|()| validator.finish());
        let batches = validator.take_batches().into_iter().map(|batch| batch.rows).collect();
        (validator.into_report(), batches)
    }

    /// (row, column, kind) of every error.
    fn found(report: &Report) -> Vec<(Option<u64>, Option<u64>, &str)> {
        report.errors.iter().map(|error| (error.row, error.field_number, error.kind.as_ref())).collect()
    }

    const fn day(days: f64) -> Cell<'static> {
        Cell::Serial { days, epoch_1904: false, elapsed: false }
    }

    #[test]
    fn typed_cells_satisfy_the_formats_of_their_type_and_no_other() {
        let fields = json!([
            {"name": "s", "type": "string"}, {"name": "d", "type": "date", "format": "%d/%m/%Y"},
            {"name": "w", "type": "datetime"}, {"name": "t", "type": "time"}, {"name": "u", "type": "duration"},
        ]);
        let contract = contract(&fields, &json!({}), &json!([""]));
        let header = ["s", "d", "w", "t", "u"].map(Cell::Text);
        let half = Cell::Serial { days: 1.5, epoch_1904: false, elapsed: true };
        let good = [Cell::Text("a"), day(45296.0), day(45296.4375), day(0.4375), half];
        let bad = [Cell::Number("1"), day(45296.5), Cell::Number("45296"), day(45296.0), day(45296.0)];
        // The same day as text does not have the format of the field, however often it was read from a typed cell.
        let text = [Cell::Empty, Cell::Text("2024-01-05"), day(45296.0), Cell::Empty, Cell::Empty];
        let (report, batches) = check(&contract, stream(&[(1, &header), (2, &good), (3, &bad), (4, &text)]).bytes());
        let expected = [(3, 1), (3, 2), (3, 3), (3, 4), (3, 5), (4, 2)].map(|(r, c)| (Some(r), Some(c), "type-error"));
        assert_eq!(found(&report), expected);
        let row = |column| crate::canonical_text(batches[0].column(column), 0).unwrap();
        assert_eq!((row(1).as_str(), row(2).as_str()), ("2024-01-05", "2024-01-05T10:30:00"));
        assert_eq!((row(3).as_str(), row(4).as_str()), ("10:30:00", "PT36H0M0S"));
    }

    #[test]
    fn a_long_number_in_a_column_of_texts_is_probably_rounded() {
        let contract = contract(&json!([{"name": "nik", "type": "string"}]), &json!({}), &json!([""]));
        let rows =
            stream(&[(1, &[Cell::Text("nik")]), (2, &[Cell::Number("6402010101010000")]), (3, &[Cell::Number("12")])]);
        let (report, _) = check(&contract, rows.bytes());
        let hint = |index: usize, lang| report.errors[index].hint.as_ref().unwrap().get(lang).to_owned();
        assert!(hint(0, Lang::Id).contains("membulatkan") && hint(0, Lang::En).contains("rounds"));
        assert!(!hint(1, Lang::Id).contains("membulatkan"));
    }

    #[test]
    fn errors_and_formulas_without_their_value_are_no_values() {
        let fields =
            json!([{"name": "a", "type": "integer", "constraints": {"required": true}}, {"name": "b", "type": "any"}]);
        let header = [Cell::Text("a"), Cell::Text("b")];
        let rows = stream(&[
            (1, &header),
            (2, &[Cell::NoValue, Cell::NoValue]),
            (3, &[Cell::Error("#REF!"), Cell::Error("#N/A")]),
        ]);
        let (report, _) = check(&contract(&fields, &json!({}), &json!(["", "#N/A"])), rows.bytes());
        let expected = [(2, 1, "constraint-error"), (2, 2, "type-error"), (3, 1, "type-error")];
        assert_eq!(found(&report), expected.map(|(row, column, kind)| (Some(row), Some(column), kind)));
        assert!(report.to_text(Lang::Id).contains("#REF!"));
    }

    #[test]
    fn blank_rows_between_rows_are_faults_and_titles_comments_and_bare_columns_are_not() {
        let fields = json!([{"name": "id", "type": "integer"}, {"name": "n", "type": "string"}]);
        let dialect = json!({"headerRows": [3], "commentRows": [5], "commentChar": "#"});
        let rows = stream(&[
            (1, &[Cell::Text("Laporan")]),
            (3, &[Cell::Text("id"), Cell::Text("n"), Cell::Empty, Cell::Empty]),
            (4, &[Cell::Number("1"), Cell::Text("a"), Cell::Empty]),
            (5, &[Cell::Text("catatan")]),
            (6, &[Cell::Text("# catatan")]),
            (8, &[Cell::Number("2")]),
            (9, &[Cell::Number("3"), Cell::Empty, Cell::Text("lebih")]),
        ]);
        let (report, _) = check(&contract(&fields, &dialect, &json!([""])), rows.bytes());
        assert_eq!(found(&report), [(Some(7), None, "blank-row"), (Some(9), Some(3), "extra-cell")]);
        assert_eq!(report.stats.rows, 4);
    }

    #[test]
    fn a_table_is_read_by_its_names() {
        let fields = json!([{"name": "id", "type": "integer"}, {"name": "n", "type": "string"}]);
        let contract = contract(&fields, &json!({"headerRows": [3]}), &json!([""]));
        let table = |names: [&'static str; 2]| {
            let mut writer = CellWriter::default();
            writer.table(names.into_iter());
            writer.row(2);
            writer.cell(Cell::Text("a"));
            writer.cell(Cell::Number("1"));
            writer.end_row();
            writer.end();
            writer
        };
        let (report, batches) = check(&contract, table(["n", "id"]).bytes());
        assert_eq!((found(&report), batches[0].num_rows()), (vec![], 1));
        let (report, _) = check(&contract, table(["n", "x"]).bytes());
        assert_eq!(report.errors[0].kind, "extra-label");
    }

    #[test]
    fn a_stream_that_ends_early_is_a_file_that_cannot_be_read() {
        let contract = contract(&json!([{"name": "id", "type": "integer"}]), &json!({}), &json!([""]));
        let whole = stream(&[(1, &[Cell::Text("id")]), (2, &[Cell::Number("1")])]);
        for cut in 0..whole.bytes().len() - 1 {
            let (report, _) = check(&contract, &whole.bytes()[..cut]);
            assert!(!report.valid && report.fatal.is_some(), "{cut}");
        }
        let mut validator = Validator::new(contract, Format::Cells(Foreign::Xlsx), Limits::default());
        validator.push(&whole.bytes()[..30]).unwrap();
        validator.fail(&CellFault::Memory);
        assert_eq!(validator.finish().unwrap_err().detail, "memory");
    }

    #[test]
    fn bad_rows_come_out_as_lines_that_mean_the_same_under_the_contract() {
        let descriptor = json!({
            "$schema": "https://datapackage.org/profiles/2.0/datapackage.json", "name": "uji",
            "resources": [{"name": "data", "path": "data.csv", "dialect": {"delimiter": ";", "headerRows": [2]},
                "schema": {"fieldsMatch": "partial", "fields": [
                    {"name": "nilai", "type": "number", "decimalChar": ","},
                    {"name": "hari", "type": "date", "format": "%d/%m/%Y"},
                    {"name": "jumlah", "type": "integer"},
                    {"name": "nama"}]}}],
        });
        let contract = Arc::new(Contract::compile(&descriptor, &NoReferences).unwrap());
        let mut writer = CellWriter::default();
        writer.sheet();
        for (number, cells) in (1..).zip([
            vec![Cell::Text("Laporan")],
            vec![Cell::Text("nilai"), Cell::Text("hari"), Cell::Text("jumlah"), Cell::Text("nama")],
            vec![Cell::Number("87.5"), Cell::Stamp("2024-12-31"), Cell::Text("dua"), Cell::Text("a;\"b\"")],
        ]) {
            writer.row(number);
            cells.into_iter().for_each(|cell| writer.cell(cell));
            writer.end_row();
        }
        writer.end();
        let mut validator = Validator::new(Arc::clone(&contract), Format::Cells(Foreign::Xlsx), Limits::default());
        validator.push(writer.bytes()).unwrap();
        validator.finish().unwrap();
        let bad = validator.take_rejected();
        let file = format!("{}{}\n", validator.header_text(), bad[0].raw);
        assert_eq!(file, "Laporan\nnilai;hari;jumlah;nama\n87,5;31/12/2024;dua;\"a;\"\"b\"\"\"\n");
        let report = |file: &str| {
            let mut again = Validator::new(Arc::clone(&contract), Format::Csv, Limits::default());
            again.push(file.as_bytes()).unwrap();
            again.finish().unwrap();
            again.into_report()
        };
        assert_eq!(report(&file).stats.errors, 1);
        assert!(report(&file.replace("dua", "2")).valid);
    }
}
