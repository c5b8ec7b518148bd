//! What is wrong with a file, exactly counted, in words that a clerk understands.
//!
//! Every text is kept in Indonesian and English with the places `{value}` and `{fixed}` open, so
//! that a stored report can be masked: the value stands in one property only.

mod choices;
pub(crate) mod codes;
pub(crate) mod corrections;
mod dates;
pub(crate) mod fits;
pub(crate) mod labels;
mod list;
pub(crate) mod near;
mod numbers;
pub(crate) mod page;
pub(crate) mod parsers;
pub(crate) mod rejected;
pub(crate) mod satudata;
pub(crate) mod speech;
pub(crate) mod strays;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use simpul_core::delivery::RowCounts;
use simpul_core::receipt::CodeListEdition;

pub use list::error_columns;
pub use parsers::io as io_words;
pub use speech::count as spoken_count;

/// The longest value that a report shows, in characters.
pub const VALUE_CHARS: usize = 64;
/// Rows that a group names.
pub const GROUP_ROWS: usize = 5;
/// Runs of rows that a group keeps.
pub(crate) const GROUP_RUNS: usize = 32;
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

/// How much an observation weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The row is refused.
    #[default]
    Error,
    /// The row is accepted all the same.
    Warning,
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
    /// The value as the file has it, at most [`VALUE_CHARS`] characters, control characters escaped. Of a rule across
    /// columns the first of them with their values.
    pub value: Option<String>,
    /// What is wrong; `{value}` is open.
    pub message: Text,
    /// What to do; `{fixed}` and `{value}` are open.
    pub hint: Option<Text>,
    /// The corrected value, where one can be known.
    pub fixed: Option<String>,
    /// The corrected value is likely, and a person should say yes to it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub guess: bool,
    /// The hint was made from the value, other than by `{fixed}`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tells: bool,
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

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
const fn is_false(value: &bool) -> bool {
    !*value
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

    /// Takes out what tells about a personal value, for keeping.
    fn mask(&mut self) {
        if self.value.is_some() || self.fixed.is_some() {
            self.masked = true;
        }
        let open =
            |text: &Text| [&text.id, &text.en].iter().any(|text| text.contains("{fixed}") || text.contains("{value}"));
        if self.masked && (self.tells || self.hint.as_ref().is_some_and(open)) {
            self.hint = Some(Text::fixed("Periksa nilainya di berkas Anda.", "Check the value in your file."));
        }
        (self.value, self.fixed, self.guess, self.tells) = (None, None, false, false);
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
    /// The label that the file has for it, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The name of the rule.
    pub heading: Text,
    /// How many, all of them.
    pub count: u64,
    /// The first rows, at most 5.
    pub rows: Vec<u64>,
    /// The first runs of rows, each with its first and last, at most 32.
    #[serde(default)]
    pub ranges: Vec<(u64, u64)>,
    /// There are rows that no run holds.
    #[serde(default)]
    pub more: bool,
    /// How much it weighs.
    #[serde(default)]
    pub severity: Severity,
    /// Other groups already say it: a page for people leaves it out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub implied: bool,
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
    /// Warnings found, whether or not they are detailed.
    #[serde(default)]
    pub warnings: u64,
}

/// The result of checking one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Nothing is wrong.
    pub valid: bool,
    /// The first errors in the order of the file, as many as the limit allows.
    pub errors: Vec<Finding>,
    /// The first warnings: what should be looked at, but refuses no row.
    #[serde(default)]
    pub warnings: Vec<Finding>,
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
    /// The editions of the code lists that the rows were checked against.
    #[serde(rename = "codeLists", default, skip_serializing_if = "Vec::is_empty")]
    pub code_lists: Vec<CodeListEdition>,
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
        stored.errors.iter_mut().chain(&mut stored.warnings).filter(|finding| finding.personal).for_each(Finding::mask);
        stored
    }

    /// The report in one language: the JSON of `simpul validate --json`.
    #[must_use]
    pub fn to_json(&self, lang: Lang) -> Value {
        let findings = |findings: &[Finding]| -> Vec<Value> {
            findings.iter().map(|finding| finding_json(finding, finding.group_in(&self.groups), lang)).collect()
        };
        let mut errors = findings(&self.errors);
        if let Some(fatal) = &self.fatal {
            errors.push(fatal_json(fatal, lang));
        }
        let notices: Vec<Value> = self
            .notices
            .iter()
            .map(|notice| json!({"code": notice.code, "message": notice.message.get(lang)}))
            .collect();
        let mut report = json!({
            "valid": self.valid,
            "errors": errors,
            "warnings": findings(&self.warnings),
            "stats": {"rows": self.stats.rows, "errors": self.stats.errors, "warnings": self.stats.warnings},
            "groups": self.groups.iter().map(|group| group_json(group, lang)).collect::<Vec<_>>(),
            "notices": notices,
            "rowsAccepted": self.rows_accepted,
            "rowsRefused": self.rows_refused,
        });
        if let (Some(object), false) = (report.as_object_mut(), self.code_lists.is_empty()) {
            object.insert("codeLists".to_owned(), json!(self.code_lists));
        }
        report
    }

    /// The report as a page of plain text. See [`crate::page()`] for its lines with their roles.
    #[must_use]
    pub fn to_text(&self, lang: Lang) -> String {
        page::plain(&page::page(&self.to_json(lang), lang))
    }
}

impl Finding {
    /// As it stands in the report's JSON, without its group.
    #[must_use]
    pub fn to_json(&self, lang: Lang) -> Value {
        finding_json(self, None, lang)
    }

    /// The same without a personal value.
    pub(crate) fn masked(mut self) -> Self {
        if self.personal {
            self.mask();
        }
        self
    }

    /// Its group, unless it is about the file as a whole.
    fn group_in(&self, groups: &[Group]) -> Option<u32> {
        let group = groups.get(self.group as usize)?;
        (group.kind == self.kind && group.constraint == self.constraint).then_some(self.group)
    }
}

fn group_json(group: &Group, lang: Lang) -> Value {
    let mut object = json!({
        "type": group.kind, "constraint": group.constraint, "field": group.field,
        "title": group.title.as_deref().map(shown), "heading": group.heading.get(lang), "count": group.count,
        "rows": group.rows, "ranges": group.ranges, "more": group.more,
    });
    let Some(members) = object.as_object_mut() else { return object };
    if group.severity == Severity::Warning {
        members.insert("severity".to_owned(), "warning".into());
    }
    if let Some(label) = &group.label {
        members.insert("label".to_owned(), shown(label).into());
    }
    if group.implied {
        members.insert("implied".to_owned(), true.into());
    }
    object
}

fn finding_json(finding: &Finding, group: Option<u32>, lang: Lang) -> Value {
    let mut object = json!({
        "row": finding.row, "fieldNumber": finding.field_number, "field": finding.field, "type": finding.kind,
        "constraint": finding.constraint, "value": finding.value, "message": finding.message(lang),
        "hint": finding.hint(lang),
    });
    let Some(members) = object.as_object_mut() else { return object };
    if let Some(group) = group {
        members.insert("group".to_owned(), group.into());
    }
    if let Some(fixed) = &finding.fixed {
        members.insert("fixed".to_owned(), fixed.as_str().into());
        if finding.guess {
            members.insert("guess".to_owned(), true.into());
        }
    }
    if finding.masked {
        members.insert("masked".to_owned(), true.into());
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
            '\n' | '\r' => out.push('↵'),
            // Spaces of other kinds look like spaces, and the sentence says what they are.
            '\t' | '\u{a0}' | '\u{2007}' | '\u{202f}' => out.push(' '),
            // Controls, marks that turn the direction of writing and what nobody sees could disguise a value.
            c if c.is_control()
                || near::is_invisible(c)
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}') =>
            {
                out.extend(c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    out
}
