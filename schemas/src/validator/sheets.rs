//! Rows of typed cells on their way through the checks: header, comments, data.

use std::sync::Arc;

use super::{Core, HeaderState, join_labels};
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
                core.process(&input.reader.rows, false)?;
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
            core.process(rows, false)?;
            input.reader.recycle();
        }
    }
    if last && !input.reader.ended() {
        core.process(&input.reader.rows, false)?;
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
    core.header_raw.push_str(input.reader.record_text());
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
    let wanted = layout.header_rows.get(input.header.lines.len()).copied().unwrap_or(1);
    if number >= wanted {
        let labels = input.reader.labels();
        input.header.lines.push(labels);
        core.header_raw.push_str(input.reader.record_text());
    }
    input.reader.discard_record();
    if input.header.lines.len() >= layout.header_rows.len().max(1) {
        end_of_header(input, core)?;
    }
    Ok(())
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
