//! The files of a code list: CSV with commas, UTF-8, no line breaks inside cells.

use std::borrow::Cow;

use super::{CodeListError, MAX_CODES, MAX_COLUMNS, MAX_FILE_BYTES};

/// The cells of one file in one buffer; cell `i` ends at `ends[i]`.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) header: Vec<String>,
    text: String,
    ends: Vec<u32>,
}

impl Table {
    pub(super) fn parse(path: &str, bytes: &[u8]) -> Result<Table, CodeListError> {
        let too_large = || CodeListError::TooLarge(path.to_owned());
        if bytes.len() > MAX_FILE_BYTES {
            return Err(too_large());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| CodeListError::Encoding(path.to_owned()))?;
        let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
        let row_error = |line| CodeListError::Row { file: path.to_owned(), line };
        let header = lines.next().and_then(|(_, line)| split(line)).ok_or_else(|| row_error(1))?;
        let mut table =
            Table { header: header.iter().map(|c| c.to_string()).collect(), text: String::new(), ends: vec![] };
        for (number, line) in lines {
            let cells = split(line).filter(|cells| cells.len() == table.header.len());
            for cell in cells.ok_or_else(|| row_error(number + 1))? {
                table.text.push_str(&cell);
                table.ends.push(u32::try_from(table.text.len()).map_err(|_| too_large())?);
            }
            if table.rows() > MAX_CODES || table.header.len() > MAX_COLUMNS {
                return Err(too_large());
            }
        }
        Ok(table)
    }

    pub(super) fn column(&self, path: &str, name: &str) -> Result<usize, CodeListError> {
        let position = self.header.iter().position(|column| column == name);
        position.ok_or_else(|| CodeListError::Column { file: path.to_owned(), column: name.to_owned() })
    }

    pub(super) fn rows(&self) -> usize {
        self.ends.len() / self.header.len()
    }

    pub(super) fn cell(&self, row: usize, column: usize) -> &str {
        let at = row * self.header.len() + column;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.text[start as usize..self.ends[at] as usize]
    }
}

/// The cells of one line of CSV. `None` where a quote is left open or followed by text: a code list has no line
/// breaks inside its cells.
pub(super) fn split(line: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let (cell, after) = match rest.strip_prefix('"') {
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (Cow::Borrowed(&rest[..end]), &rest[end..])
            }
            Some(quoted) => {
                let bytes = quoted.as_bytes();
                let mut end = 0;
                while bytes.get(end)? != &b'"' || bytes.get(end + 1) == Some(&b'"') {
                    end += if bytes[end] == b'"' { 2 } else { 1 };
                }
                (Cow::Owned(quoted[..end].replace("\"\"", "\"")), &quoted[end + 1..])
            }
        };
        cells.push(cell);
        if after.is_empty() {
            return Some(cells);
        }
        rest = after.strip_prefix(',')?;
    }
}
