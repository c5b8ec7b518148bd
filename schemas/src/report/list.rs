//! The detailed errors as CSV, one line each, safe to open in a spreadsheet.

use super::{Finding, Lang, MASK, Report};

/// The columns of the list of errors, in one language.
#[must_use]
pub const fn error_columns(lang: Lang) -> [&'static str; 7] {
    match lang {
        Lang::Id => ["baris", "kolom", "judul_kolom", "nilai", "aturan", "pesan", "saran"],
        Lang::En => ["row", "column", "column_title", "value", "rule", "message", "hint"],
    }
}

impl Report {
    /// The lines of the list of errors: errors first, then warnings, a fault of the file at the end. Cells may hold
    /// formulas: whoever writes them into a spreadsheet writes them as text.
    pub fn error_lines(&self, lang: Lang) -> impl Iterator<Item = [String; 7]> {
        let found = self.errors.iter().chain(&self.warnings).map(move |finding| self.error_line(finding, lang));
        let fatal = self.fatal.iter().map(move |fatal| {
            let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
            let hint = fatal.hint.as_ref().map(|hint| hint.get(lang).to_owned()).unwrap_or_default();
            let message = fatal.message.get(lang).to_owned();
            [
                number(fatal.row),
                number(fatal.column),
                String::new(),
                String::new(),
                fatal.kind.to_string(),
                message,
                hint,
            ]
        });
        found.chain(fatal)
    }

    fn error_line(&self, finding: &Finding, lang: Lang) -> [String; 7] {
        let group = self.groups.get(finding.group as usize);
        let group = group.filter(|group| group.kind == finding.kind && group.constraint == finding.constraint);
        // The clerk looks for the label that the file has.
        let title = group.and_then(|group| group.label.clone().or_else(|| group.title.clone()));
        let title = title.or_else(|| finding.field.clone());
        let value = if finding.masked { Some(MASK) } else { finding.value.as_deref() };
        [
            finding.row.map(|row| row.to_string()).unwrap_or_default(),
            finding.field_number.map(|number| number.to_string()).unwrap_or_default(),
            title.unwrap_or_default(),
            value.unwrap_or_default().to_owned(),
            finding.constraint.as_deref().unwrap_or(&finding.kind).to_owned(),
            finding.message(lang),
            finding.hint(lang).unwrap_or_default(),
        ]
    }

    /// The detailed errors as CSV with commas (RFC 4180), safe to open in a spreadsheet.
    #[must_use]
    pub fn errors_csv(&self, lang: Lang) -> String {
        let mut out = error_columns(lang).join(",");
        out.push('\n');
        for line in self.error_lines(lang) {
            let cells: Vec<String> = line.iter().map(|cell| csv_cell(cell)).collect();
            out.push_str(&cells.join(","));
            out.push('\n');
        }
        out
    }
}

/// Quotes a cell; one that a spreadsheet would take for a formula gets an apostrophe first.
fn csv_cell(text: &str) -> String {
    let begins = text.trim_start_matches([' ', '"', '\'', '\u{a0}', '\u{feff}']);
    let formula = begins.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|', '%', '＝', '＋', '－', '＠']);
    let guard = if formula { "'" } else { "" };
    if guard.is_empty() && !text.contains(['"', ',', ';', '\n', '\r']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}
