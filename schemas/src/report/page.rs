//! The report as a page of plain text: lines with their roles, so that a terminal can colour and wrap them.
//!
//! The page is made from the report's JSON, which already holds every sentence in one language: whoever has an answer of a
//! node can lay out the same page.

use serde_json::Value;

use super::{GROUP_ROWS, Lang, labels, speech};

/// What a line of the page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The verdict on a file that is valid.
    Good,
    /// The verdict on a file that is not.
    Bad,
    /// The name of a group of errors.
    Error,
    /// The name of a group of warnings.
    Warning,
    /// What is wrong in a row.
    Detail,
    /// What to do.
    Hint,
    /// Something to know.
    Notice,
    /// Between the parts of the page.
    Blank,
}

/// One line of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub role: Role,
    /// Its text, without control characters, of any length.
    pub text: String,
}

impl Line {
    /// The spaces before the line, and those before what is wrapped from it.
    #[must_use]
    pub const fn indent(&self) -> (&'static str, &'static str) {
        match self.role {
            Role::Detail => ("  ", "    "),
            Role::Hint => ("    → ", "      "),
            Role::Notice => ("", "  "),
            _ => ("", ""),
        }
    }
}

/// Characters of a digest that a person compares.
const DIGEST_CHARS: usize = 12;

/// Members of a header group that are named: there is one for each column.
const HEADER_MEMBERS: usize = 10;

/// Lays out the page of a report that is given as JSON ([`super::Report::to_json`]).
#[must_use]
pub fn page(report: &Value, lang: Lang) -> Vec<Line> {
    let rows = report.get("stats").map_or(0, |stats| number(stats, "rows"));
    let mut page = Page { lines: Vec::new(), lang, rows };
    page.verdict(report);
    let list = |name: &str| report.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let (errors, groups) = (list("errors"), list("groups"));
    // How the file was read explains what was found in it.
    for notice in list("notices") {
        page.blank();
        page.notice(text(notice, "message"));
    }
    // What has no group is about the file as a whole.
    for error in errors.iter().filter(|error| error.get("group").is_none_or(Value::is_null)) {
        page.blank();
        page.add(Role::Error, text(error, "message"));
        page.hint(error);
    }
    let warns = |group: &Value| group.get("severity").and_then(Value::as_str) == Some("warning");
    let said = |group: &Value| !warns(group) && !is_implied(group);
    let said: Vec<(usize, &Value)> = groups.iter().enumerate().filter(|(_, group)| said(group)).collect();
    // Faults of the header come first, those of one kind together.
    let mut header: Vec<Vec<(usize, &Value)>> = Vec::new();
    for (index, group) in said.iter().filter(|(_, group)| is_header(group)) {
        let alike = |first: &Value| ["type", "heading"].iter().all(|name| first.get(name) == group.get(name));
        let known = header.iter_mut().find(|kind| kind.first().is_some_and(|(_, first)| alike(first)));
        match known {
            Some(kind) => kind.push((*index, group)),
            None => header.push(vec![(*index, group)]),
        }
    }
    header.iter().for_each(|kind| page.header_group(kind, errors));
    for (index, group) in said.iter().filter(|(_, group)| !is_header(group)) {
        page.group(*index, group, errors, Role::Error);
    }
    for (index, group) in groups.iter().enumerate().filter(|(_, group)| warns(group)) {
        page.group(index, group, list("warnings"), Role::Warning);
    }
    page.editions(list("codeLists"));
    page.lines
}

/// The page without colours and without wrapping.
pub(crate) fn plain(lines: &[Line]) -> String {
    let mut out = String::new();
    for line in lines {
        out.push_str(line.indent().0);
        out.push_str(&line.text);
        out.push('\n');
    }
    out
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn is_header(group: &Value) -> bool {
    let rows = group.get("rows").and_then(Value::as_array).is_none_or(Vec::is_empty);
    rows && matches!(
        text(group, "type"),
        "missing-label" | "extra-label" | "incorrect-label" | "blank-label" | "duplicate-label"
    )
}

/// Whether other groups, or the notices, already say it.
fn is_implied(group: &Value) -> bool {
    group.get("implied").and_then(Value::as_bool).unwrap_or_default()
}

fn runs_of(group: &Value) -> Vec<(u64, u64)> {
    let runs = group.get("ranges").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    runs.iter().filter_map(|run| Some((run.get(0)?.as_u64()?, run.get(1)?.as_u64()?))).collect()
}

struct Page {
    lines: Vec<Line>,
    lang: Lang,
    /// Data rows of the file.
    rows: u64,
}

impl Page {
    fn add(&mut self, role: Role, text: &str) {
        self.lines.push(Line { role, text: text.to_owned() });
    }

    fn blank(&mut self) {
        self.add(Role::Blank, "");
    }

    fn notice(&mut self, message: &str) {
        let word = if self.lang == Lang::Id { "Catatan" } else { "Note" };
        // One that asks for attention does so by itself.
        let plain = ["Perhatian:", "Beware:"].iter().all(|word| !message.starts_with(word));
        self.add(Role::Notice, &if plain { format!("{word}: {message}") } else { message.to_owned() });
    }

    fn hint(&mut self, error: &Value) {
        let hint = text(error, "hint");
        if !hint.is_empty() {
            self.add(Role::Hint, hint);
        }
    }

    /// The editions of code lists that the file was checked against, with the beginning of their digests.
    fn editions(&mut self, lists: &[Value]) {
        if lists.is_empty() {
            return;
        }
        let named = lists.iter().map(|list| {
            let digest = text(list, "digest").get(..DIGEST_CHARS).unwrap_or_default();
            format!("{} {} ({digest})", text(list, "id"), text(list, "version"))
        });
        let named = named.collect::<Vec<_>>().join(", ");
        let words =
            if self.lang == Lang::Id { "Diperiksa dengan kode referensi" } else { "Checked against the code lists" };
        self.blank();
        self.add(Role::Notice, &format!("{words}: {named}"));
    }

    fn verdict(&mut self, report: &Value) {
        let lang = self.lang;
        let stats = report.get("stats").unwrap_or(&Value::Null);
        let (rows, errors, warnings) = (number(stats, "rows"), number(stats, "errors"), number(stats, "warnings"));
        let groups = report.get("groups").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let implied = groups.iter().filter(|group| is_implied(group)).map(|group| number(group, "count"));
        let errors = errors.saturating_sub(implied.sum());
        let (accepted, refused) = (number(report, "rowsAccepted"), number(report, "rowsRefused"));
        let all = speech::counted(rows, lang, "baris", "row", "rows");
        let errors = match (errors, lang) {
            // What is wrong is said of the file as a whole.
            (0, Lang::Id) => "judul kolom tidak dikenal".to_owned(),
            (0, Lang::En) => "its labels are not known".to_owned(),
            (errors, lang) => speech::counted(errors, lang, "kesalahan", "error", "errors"),
        };
        let valid = report.get("valid").and_then(Value::as_bool).unwrap_or_default();
        let (good, bad) = (speech::count(accepted, lang), speech::count(refused, lang));
        let mut said = match (valid, lang) {
            (true, Lang::Id) if rows == 0 => "Sah, tetapi berkas tidak memuat satu baris pun.".to_owned(),
            (true, Lang::En) if rows == 0 => "Valid, but the file holds no row.".to_owned(),
            (true, Lang::Id) => format!("Sah: {all} memenuhi standar data."),
            (true, Lang::En) => format!("Valid: {all} {} the contract.", if rows == 1 { "meets" } else { "meet" }),
            (false, Lang::Id) if refused == 0 => format!("Tidak sah: {errors}."),
            (false, Lang::En) if refused == 0 => format!("Not valid: {errors}."),
            (false, Lang::Id) => format!("Tidak sah: {errors}. Dari {all}, {good} sah dan {bad} perlu diperbaiki."),
            (false, Lang::En) => {
                let (are, need) =
                    (if accepted == 1 { "is" } else { "are" }, if refused == 1 { "needs" } else { "need" });
                format!("Not valid: {errors}. Of {all}, {good} {are} valid and {bad} {need} correction.")
            }
        };
        if warnings > 0 {
            said.push_str(&match lang {
                Lang::Id => {
                    format!(" {} (tidak menolak baris).", speech::counted(warnings, lang, "peringatan", "", ""))
                }
                Lang::En => {
                    format!(" {} (which refuse no row).", speech::counted(warnings, lang, "", "warning", "warnings"))
                }
            });
        }
        self.add(if valid { Role::Good } else { Role::Bad }, &said);
    }

    /// One rule in one column: its name, the first cases, what to do.
    fn group(&mut self, index: usize, group: &Value, errors: &[Value], role: Role) {
        self.blank();
        let heading = self.heading(group);
        self.add(role, &heading);
        let members: Vec<&Value> = errors.iter().filter(|error| number_of_group(error) == Some(index as u64)).collect();
        if text(group, "type") == "blank-row" {
            members.first().into_iter().for_each(|first| self.hint(first));
            return;
        }
        let said = together(&members);
        let shown: u64 = said.iter().map(|said| said.times).sum();
        for (index, Said { error, rows, more, .. }) in said.iter().enumerate() {
            let message = text(error, "message");
            let line = if rows.is_empty() {
                message.to_owned()
            } else {
                format!("{}: {message}", speech::at_rows(rows, *more, self.lang))
            };
            self.add(Role::Detail, &line);
            if !same_hint(error, said.get(index + 1).map(|next| next.error)) {
                self.hint(error);
            }
        }
        let count = number(group, "count");
        self.rest(count.saturating_sub(shown), self.counts(group));
        let all = self.rows > GROUP_ROWS as u64 && count >= self.rows;
        if all && said.len() > 1 && one_correction(&members, count) {
            self.add(
                Role::Hint,
                match self.lang {
                    Lang::Id => "Semua baris kolom ini salah: ubah format seluruh kolom sekaligus.",
                    Lang::En => "Every row of this column is wrong: change the format of the whole column at once.",
                },
            );
        }
    }

    /// How much is left out, and where it stands.
    fn rest(&mut self, rest: u64, (id, one, many): (&str, &str, &str)) {
        if rest > 0 {
            let count = speech::count(rest, self.lang);
            let noun = if rest == 1 { one } else { many };
            let rest = match self.lang {
                Lang::Id => format!("… dan {count} {id} lagi; lihat unduhan (--errors-csv)"),
                Lang::En => format!("… and {count} more {noun}; see the download (--errors-csv)"),
            };
            self.add(Role::Detail, &rest);
        }
    }

    /// Faults of the header of one kind, however many columns they are about.
    fn header_group(&mut self, groups: &[(usize, &Value)], errors: &[Value]) {
        let Some((_, first)) = groups.first() else { return };
        self.blank();
        let count: u64 = groups.iter().map(|(_, group)| number(group, "count")).sum();
        let heading =
            format!("{}: {}", text(first, "heading"), speech::counted(count, self.lang, "kolom", "column", "columns"));
        self.add(Role::Error, &heading);
        let wanted: Vec<u64> = groups.iter().map(|(index, _)| *index as u64).collect();
        let members = errors.iter().filter(|error| number_of_group(error).is_some_and(|group| wanted.contains(&group)));
        let (blank, members): (Vec<&Value>, Vec<&Value>) = members.partition(|error| self.is_blank_label(error));
        let shown = members.len().min(HEADER_MEMBERS) + blank.len();
        let members = members.get(..HEADER_MEMBERS).unwrap_or(&members);
        for (index, error) in members.iter().enumerate() {
            self.add(Role::Detail, text(error, "message"));
            if !same_hint(error, members.get(index + 1).copied()) {
                self.hint(error);
            }
        }
        if let Some(first) = blank.first() {
            let columns: Vec<u64> = blank.iter().map(|error| number(error, "fieldNumber")).collect();
            let said = labels::blank(&labels::runs_of_letters(&columns), columns.len() > 1);
            self.add(Role::Detail, said.get(self.lang));
            self.hint(first);
        }
        self.rest(count.saturating_sub(shown as u64), ("kolom", "column", "columns"));
    }

    /// Whether it is about a column without a label, which is named by its letter alone.
    fn is_blank_label(&self, error: &Value) -> bool {
        let letters = labels::letters(number(error, "fieldNumber"));
        let general = error.get("fixed").is_none();
        general && text(error, "message") == labels::blank(&letters, false).get(self.lang)
    }

    /// What a group counts: cells, or rows where several columns are meant.
    fn counts(&self, group: &Value) -> (&'static str, &'static str, &'static str) {
        let field = group.get("field").is_some_and(Value::is_string) && !text(group, "title").is_empty();
        match field || text(group, "type") == "extra-cell" {
            true => ("sel", "cell", "cells"),
            false => ("baris", "row", "rows"),
        }
    }

    fn heading(&self, group: &Value) -> String {
        let lang = self.lang;
        let title = Some(text(group, "title")).filter(|title| !title.is_empty());
        let label = Some(text(group, "label")).filter(|label| !label.is_empty());
        let column = title.map(|title| match (label, lang) {
            (None, Lang::Id) => format!("Kolom {title}: "),
            (None, Lang::En) => format!("Column {title}: "),
            (Some(label), Lang::Id) => format!("Kolom {title} («{label}» di berkas): "),
            (Some(label), Lang::En) => format!("Column {title} (“{label}” in the file): "),
        });
        let (id, one, many) = self.counts(group);
        let counted = speech::counted(number(group, "count"), lang, id, one, many);
        let runs = runs_of(group);
        let more = group.get("more").and_then(Value::as_bool).unwrap_or_default();
        let rows = match runs.as_slice() {
            [] => String::new(),
            [(first, last)] if first == last && !more && lang == Lang::En => format!(" (row {first})"),
            _ if lang == Lang::En => format!(" (rows {})", speech::runs(&runs, more)),
            _ => format!(" (baris {})", speech::runs(&runs, more)),
        };
        format!("{}{}, {counted}{rows}", column.unwrap_or_default(), text(group, "heading"))
    }
}

/// Whether one correction of the whole column is the answer to all that is known of it: every value can be corrected, and
/// in the same way.
fn one_correction(members: &[&Value], count: u64) -> bool {
    let way = |error: &&Value| {
        let fixed = text(error, "fixed");
        (!fixed.is_empty()).then(|| text(error, "hint").replacen(fixed, "", 1))
    };
    let first = members.first().and_then(way);
    let enough = members.len() as u64 >= count.min(GROUP_ROWS as u64);
    enough && first.is_some() && members.iter().all(|error| way(error) == first)
}

/// Whether general advice comes again with the next sentence, so that it is said once, after the last of them.
fn same_hint(error: &Value, next: Option<&Value>) -> bool {
    error.get("fixed").is_none() && next.is_some_and(|next| next.get("hint") == error.get("hint"))
}

/// One sentence and the rows that it is about.
struct Said<'v> {
    error: &'v Value,
    rows: Vec<(u64, u64)>,
    more: bool,
    times: u64,
}

/// The first few different sentences: the same one about many rows is said once.
fn together<'v>(members: &[&'v Value]) -> Vec<Said<'v>> {
    let mut said: Vec<Said<'v>> = Vec::new();
    for error in members {
        let row = error.get("row").and_then(Value::as_u64);
        let same = |known: &&mut Said<'v>| {
            known.error.get("message") == error.get("message") && known.error.get("hint") == error.get("hint")
        };
        if let Some(known) = said.iter_mut().find(same) {
            known.times += 1;
            known.more |= row.is_some_and(|row| !speech::add_row(&mut known.rows, row, GROUP_ROWS + 1));
        } else if said.len() < GROUP_ROWS {
            let rows = row.map(|row| (row, row)).into_iter().collect();
            said.push(Said { error, rows, more: false, times: 1 });
        }
    }
    said
}

fn number_of_group(error: &Value) -> Option<u64> {
    error.get("group").and_then(Value::as_u64)
}
