//! What is wrong with a file, exactly counted, in words that a clerk understands.
//!
//! Every text is kept in Indonesian and English with the places `{value}` and `{fixed}` open, so
//! that a stored report can be masked: the value stands in one property only.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use simpul_core::delivery::RowCounts;

/// The longest value that a report shows, in characters.
pub const VALUE_CHARS: usize = 64;
/// Rows that a group names.
pub const GROUP_ROWS: usize = 5;
/// What stands for a masked value.
pub const MASK: &str = "•••";

/// The language of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// Indonesian.
    #[default]
    Id,
    /// English.
    En,
}

/// A text in both languages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Indonesian.
    pub id: Cow<'static, str>,
    /// English.
    pub en: Cow<'static, str>,
}

impl Text {
    /// A text whose two forms are known in advance.
    #[must_use]
    pub const fn fixed(id: &'static str, en: &'static str) -> Self {
        Self { id: Cow::Borrowed(id), en: Cow::Borrowed(en) }
    }

    /// A text made at run time.
    #[must_use]
    pub fn new(id: impl Into<String>, en: impl Into<String>) -> Self {
        Self { id: Cow::Owned(id.into()), en: Cow::Owned(en.into()) }
    }

    /// The form in that language.
    #[must_use]
    pub fn get(&self, lang: Lang) -> &str {
        match lang {
            Lang::Id => &self.id,
            Lang::En => &self.en,
        }
    }
}

/// Why the file as a whole cannot be read as the contract says. Nothing after it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}", self.message.en)]
pub struct Fatal {
    /// A stable word: `encoding-error`, `source-error`, `limit-error`, `header-error`, …
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// What exactly: `utf-8`, `nul`, `quote`, `cell`, `row`, `columns`, `keys`, `json`, …
    pub detail: Cow<'static, str>,
    /// The record in the file, the header counted, from 1.
    pub row: Option<u64>,
    /// The column, from 1.
    pub column: Option<u64>,
    /// The byte in the file, from 0.
    pub byte: Option<u64>,
    /// What happened and where.
    pub message: Box<Text>,
    /// What to do.
    pub hint: Option<Box<Text>>,
}

/// One thing wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The record in the file, the header counted, from 1; absent when the file or header is meant.
    pub row: Option<u64>,
    /// The column in the file, from 1; for a missing column its place in the contract.
    #[serde(rename = "fieldNumber")]
    pub field_number: Option<u64>,
    /// The name of the field.
    pub field: Option<String>,
    /// What kind of error, in the words of Table Schema tools: `type-error`, `constraint-error`, …
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// Which constraint.
    pub constraint: Option<Cow<'static, str>>,
    /// The value as the file has it, at most [`VALUE_CHARS`] characters, control characters escaped.
    pub value: Option<String>,
    /// What is wrong; `{value}` is open.
    pub message: Text,
    /// What to do; `{fixed}` and `{value}` are open.
    pub hint: Option<Text>,
    /// The corrected value, where one can be known.
    pub fixed: Option<String>,
    /// The field holds personal data.
    #[serde(default)]
    pub personal: bool,
    /// Its group: the place in [`Report::groups`].
    #[serde(default)]
    pub group: u32,
    /// The value was taken out before storing.
    #[serde(default)]
    pub masked: bool,
}

impl Finding {
    /// What is wrong, with the value in its place.
    #[must_use]
    pub fn message(&self, lang: Lang) -> String {
        self.fill(self.message.get(lang))
    }

    /// What to do.
    #[must_use]
    pub fn hint(&self, lang: Lang) -> Option<String> {
        self.hint.as_ref().map(|hint| self.fill(hint.get(lang)))
    }

    fn fill(&self, template: &str) -> String {
        let value = if self.masked { MASK } else { self.value.as_deref().unwrap_or_default() };
        let fixed = if self.masked { MASK } else { self.fixed.as_deref().unwrap_or_default() };
        // Only the first place is filled: a value that itself reads `{fixed}` stays as it is.
        let mut out = String::with_capacity(template.len() + value.len());
        let mut rest = template;
        while let Some(at) = rest.find('{') {
            let (head, tail) = rest.split_at(at);
            out.push_str(head);
            rest = if let Some(tail) = tail.strip_prefix("{value}") {
                out.push_str(value);
                tail
            } else if let Some(tail) = tail.strip_prefix("{fixed}") {
                out.push_str(fixed);
                tail
            } else {
                out.push('{');
                tail.get(1..).unwrap_or_default()
            };
        }
        out.push_str(rest);
        out
    }
}

/// All errors of one rule in one column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// As in [`Finding::kind`].
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
    /// As in [`Finding::constraint`].
    pub constraint: Option<Cow<'static, str>>,
    /// The name of the field, if the rule is about one.
    pub field: Option<String>,
    /// What a person calls the column.
    pub title: Option<String>,
    /// The name of the rule.
    pub heading: Text,
    /// How many, all of them.
    pub count: u64,
    /// The first rows, at most 5.
    pub rows: Vec<u64>,
}

/// Something to know that is no error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// A stable word: `delimiter-detected`, `beyond-64-bit`, …
    pub code: Cow<'static, str>,
    /// The sentence.
    pub message: Text,
}

/// Exact counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Data rows read.
    pub rows: u64,
    /// Errors found, whether or not they are detailed.
    pub errors: u64,
}

/// The result of checking one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Nothing is wrong.
    pub valid: bool,
    /// The first errors in the order of the file, as many as the limit allows.
    pub errors: Vec<Finding>,
    /// Exact counts.
    pub stats: Stats,
    /// Exact counts by rule and column, in order of first appearance.
    pub groups: Vec<Group>,
    /// Things to know.
    pub notices: Vec<Notice>,
    /// Rows that meet the contract.
    #[serde(rename = "rowsAccepted")]
    pub rows_accepted: u64,
    /// Rows that do not.
    #[serde(rename = "rowsRefused")]
    pub rows_refused: u64,
    /// Rows found bad only at the end of the file, after they were handed out as accepted:
    /// references of the table to itself. If there are any, nothing of the file may be kept.
    #[serde(rename = "lateErrors")]
    pub late_errors: u64,
    /// Why reading stopped, if it did.
    pub fatal: Option<Fatal>,
}

impl Report {
    /// The rows in the words of the delivery.
    #[must_use]
    pub const fn counts(&self) -> RowCounts {
        RowCounts { total: self.stats.rows, accepted: self.rows_accepted, refused: self.rows_refused }
    }

    /// The same report without the values of personal data, for keeping.
    #[must_use]
    pub fn for_storage(&self) -> Self {
        let mut stored = self.clone();
        for finding in stored.errors.iter_mut().filter(|finding| finding.personal) {
            if finding.value.is_some() || finding.fixed.is_some() {
                finding.masked = true;
            }
            finding.value = None;
            finding.fixed = None;
        }
        stored
    }

    /// The report in one language: the JSON of `simpul validate --json`.
    #[must_use]
    pub fn to_json(&self, lang: Lang) -> Value {
        let mut errors: Vec<Value> = self.errors.iter().map(|finding| finding_json(finding, lang)).collect();
        if let Some(fatal) = &self.fatal {
            errors.push(fatal_json(fatal, lang));
        }
        let groups: Vec<Value> = self
            .groups
            .iter()
            .map(|group| {
                json!({
                    "type": group.kind, "constraint": group.constraint, "field": group.field, "title": group.title,
                    "heading": group.heading.get(lang), "count": group.count, "rows": group.rows,
                })
            })
            .collect();
        let notices: Vec<Value> = self
            .notices
            .iter()
            .map(|notice| json!({"code": notice.code, "message": notice.message.get(lang)}))
            .collect();
        json!({
            "valid": self.valid,
            "errors": errors,
            "stats": {"rows": self.stats.rows, "errors": self.stats.errors},
            "groups": groups,
            "notices": notices,
            "rowsAccepted": self.rows_accepted,
            "rowsRefused": self.rows_refused,
        })
    }

    /// A page for the terminal.
    #[must_use]
    pub fn to_text(&self, lang: Lang) -> String {
        let mut out = String::new();
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        let id = lang == Lang::Id;
        line(match (self.valid, id) {
            (true, true) => format!("Sah: {} baris memenuhi standar data.", self.stats.rows),
            (true, false) => format!("Valid: {} rows meet the contract.", self.stats.rows),
            (false, true) => format!(
                "Tidak sah: {} kesalahan. Dari {} baris, {} diterima, {} ditolak.",
                self.stats.errors, self.stats.rows, self.rows_accepted, self.rows_refused
            ),
            (false, false) => format!(
                "Not valid: {} errors. Of {} rows, {} are accepted, {} refused.",
                self.stats.errors, self.stats.rows, self.rows_accepted, self.rows_refused
            ),
        });
        if let Some(fatal) = &self.fatal {
            line(format!("\n{}", fatal.message.get(lang)));
            if let Some(hint) = &fatal.hint {
                line(format!("  → {}", hint.get(lang)));
            }
        }
        for (group, index) in self.groups.iter().zip(0_u32..) {
            line(format!("\n{}", group_heading(group, lang)));
            let members = self.errors.iter().filter(|finding| finding.group == index);
            for finding in members.take(GROUP_ROWS) {
                line(format!("  {}", located(finding, lang)));
                if let Some(hint) = finding.hint(lang) {
                    line(format!("    → {hint}"));
                }
            }
        }
        for notice in &self.notices {
            line(format!("\n{}: {}", if id { "Catatan" } else { "Note" }, notice.message.get(lang)));
        }
        out
    }

    /// The detailed errors as CSV, safe to open in a spreadsheet.
    #[must_use]
    pub fn errors_csv(&self, lang: Lang) -> String {
        let mut out = String::from(match lang {
            Lang::Id => "baris,kolom,judul_kolom,nilai,aturan,pesan,saran\n",
            Lang::En => "row,column,column_title,value,rule,message,hint\n",
        });
        for finding in &self.errors {
            let group = self.groups.iter().find(|group| group.field == finding.field && group.title.is_some());
            let rule = finding.constraint.as_deref().unwrap_or(&finding.kind);
            let value = if finding.masked { Some(MASK) } else { finding.value.as_deref() };
            let cells = [
                finding.row.map(|row| row.to_string()).unwrap_or_default(),
                finding.field_number.map(|number| number.to_string()).unwrap_or_default(),
                group.and_then(|group| group.title.clone()).or_else(|| finding.field.clone()).unwrap_or_default(),
                value.unwrap_or_default().to_owned(),
                rule.to_owned(),
                finding.message(lang),
                finding.hint(lang).unwrap_or_default(),
            ];
            let cells: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
            out.push_str(&cells.join(","));
            out.push('\n');
        }
        out
    }
}

fn finding_json(finding: &Finding, lang: Lang) -> Value {
    let mut object = json!({
        "row": finding.row, "fieldNumber": finding.field_number, "field": finding.field, "type": finding.kind,
        "constraint": finding.constraint, "value": finding.value, "message": finding.message(lang),
        "hint": finding.hint(lang),
    });
    if let Some(object) = object.as_object_mut()
        && finding.masked
    {
        object.insert("masked".to_owned(), Value::Bool(true));
    }
    object
}

/// A fault of the file has no row of its own; where it was met stands in `place`.
fn fatal_json(fatal: &Fatal, lang: Lang) -> Value {
    json!({
        "row": null, "fieldNumber": null, "field": null, "type": fatal.kind, "constraint": null, "value": null,
        "message": fatal.message.get(lang), "hint": fatal.hint.as_ref().map(|hint| hint.get(lang)),
        "detail": fatal.detail,
        "place": {"row": fatal.row, "column": fatal.column, "byte": fatal.byte},
    })
}

fn located(finding: &Finding, lang: Lang) -> String {
    let message = finding.message(lang);
    match (finding.row, lang) {
        (Some(row), Lang::Id) => format!("Baris {row}: {message}"),
        (Some(row), Lang::En) => format!("Row {row}: {message}"),
        (None, _) => message,
    }
}

fn group_heading(group: &Group, lang: Lang) -> String {
    let rows: Vec<String> = group.rows.iter().map(u64::to_string).collect();
    let more = if group.count > group.rows.len() as u64 { " …" } else { "" };
    let title = group.title.as_deref().or(group.field.as_deref());
    let heading = group.heading.get(lang);
    let column = match (title, lang) {
        (Some(title), Lang::Id) => format!("Kolom {title}: "),
        (Some(title), Lang::En) => format!("Column {title}: "),
        (None, _) => String::new(),
    };
    let place = match (rows.is_empty(), lang) {
        (true, _) => String::new(),
        (false, Lang::Id) => format!(" (baris {}{more})", rows.join(", ")),
        (false, Lang::En) => format!(" (rows {}{more})", rows.join(", ")),
    };
    format!("{column}{heading}: {}{place}", group.count)
}

/// Quotes a cell; one that a spreadsheet would take for a formula gets an apostrophe first.
fn csv_cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if guard.is_empty() && !text.contains(['"', ',', '\n', '\r']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

/// Shortens a value and escapes its control characters, so that it fits a line of a report.
#[must_use]
pub fn shown(value: &str) -> String {
    let mut out = String::new();
    for (index, c) in value.chars().enumerate() {
        if index == VALUE_CHARS {
            out.push('…');
            break;
        }
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Controls and the marks that turn the direction of writing could disguise a value.
            c if c.is_control()
                || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                out.extend(c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Finding {
        Finding {
            row: Some(7),
            field_number: Some(2),
            field: Some("nik".to_owned()),
            kind: "constraint-error".into(),
            constraint: Some("pattern".into()),
            value: Some("{fixed}=1".to_owned()),
            message: Text::fixed("«{value}» salah", "“{value}” is wrong"),
            hint: Some(Text::fixed("Tulis {fixed}", "Write {fixed}")),
            fixed: Some("x".to_owned()),
            personal: true,
            masked: false,
            group: 0,
        }
    }

    #[test]
    fn a_stored_report_holds_no_personal_value_anywhere() {
        let mut secret = finding();
        secret.value = Some("6403010101010001".to_owned());
        secret.fixed = Some("6403".to_owned());
        let report = Report { errors: vec![secret], ..Report::default() };
        let stored = report.for_storage();
        for lang in [Lang::Id, Lang::En] {
            let all =
                format!("{}{}{}{:?}", stored.to_text(lang), stored.errors_csv(lang), stored.to_json(lang), stored);
            assert!(!all.contains("6403"), "{all}");
            assert!(report.errors_csv(lang).contains("6403010101010001"));
        }
        assert_eq!(stored.to_json(Lang::Id)["errors"][0]["masked"], true);
    }

    #[test]
    fn values_are_filled_once_and_formulas_are_defused() {
        assert_eq!(finding().message(Lang::Id), "«{fixed}=1» salah");
        let mut formula = finding();
        formula.value = Some("=cmd|x".to_owned());
        let report = Report { errors: vec![formula], ..Report::default() };
        assert!(report.errors_csv(Lang::Id).contains("\"'=cmd|x\""));
        assert_eq!(shown("a\nb\u{202e}"), "a\\nb\\u{202e}");
        assert_eq!(shown(&"x".repeat(100)).chars().count(), VALUE_CHARS + 1);
    }

    #[test]
    fn a_report_reads_back_from_json() {
        let report = Report { errors: vec![finding()], ..Report::default() };
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
