//! What commands print: tables for people, JSON for programs.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use simpul_core::time::Timestamp;
use simpul_schemas::{Lang, Line, Role, spoken_count};

use crate::door::{Access, Entrance};
use crate::routes::ROUTES;

/// The wall clock.
pub fn now() -> Timestamp {
    Timestamp::from_millis(chrono::Utc::now().timestamp_millis())
}

/// Prints a table without lines, as wide as the terminal.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(head);
    for row in rows {
        table.add_row(row);
    }
    println!("{table}");
}

/// Prints the array `name` of `answer` as a table of these columns, each a JSON pointer within a row.
pub fn list(answer: &Value, name: &str, columns: &[(&str, &str)]) {
    let empty = Vec::new();
    let rows = answer[name].as_array().unwrap_or(&empty);
    let cell = |row: &Value, pointer: &str| match row.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(" "),
        Some(other) => other.to_string(),
    };
    let head: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    table(&head, rows.iter().map(|row| columns.iter().map(|(_, pointer)| cell(row, pointer)).collect()));
}

/// The narrowest that a report is laid out for, in columns.
const NARROWEST: usize = 40;
/// The widest: longer lines are hard to read.
const WIDEST: usize = 110;

/// Prints a report, given as its JSON: on a terminal as wide as that and in colours unless `NO_COLOR` is set, in a pipe plain
/// and a line a sentence.
///
/// # Errors
/// When standard output cannot be written to.
pub fn report(report: &Value, lang: Lang) -> io::Result<()> {
    let stdout = io::stdout();
    let width = stdout.is_terminal().then(|| {
        let size = rustix::termios::tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_col));
        if size == 0 { 80 } else { size.clamp(NARROWEST, WIDEST) }
    });
    // Takes the colours out again where nobody would see them.
    let mut out = anstream::AutoStream::auto(stdout.lock());
    match write_report(&mut out, &simpul_schemas::page(report, lang), width) {
        // Who reads a part only, such as `head`, has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn write_report(out: &mut impl Write, lines: &[Line], width: Option<usize>) -> io::Result<()> {
    for line in lines {
        let style = style(line.role);
        let (first, rest) = line.indent();
        let wrapped = match width {
            None => vec![format!("{first}{}", line.text).into()],
            Some(width) => {
                let options = textwrap::Options::new(width).initial_indent(first).subsequent_indent(rest);
                textwrap::wrap(&line.text, options)
            }
        };
        for text in wrapped {
            writeln!(out, "{style}{text}{style:#}")?;
        }
    }
    out.flush()
}

const fn style(role: Role) -> Style {
    const fn color(color: AnsiColor) -> Style {
        Style::new().fg_color(Some(anstyle::Color::Ansi(color)))
    }
    match role {
        Role::Good => color(AnsiColor::Green).bold(),
        Role::Bad => color(AnsiColor::Red).bold(),
        Role::Error => Style::new().bold(),
        Role::Warning => color(AnsiColor::Yellow).bold(),
        Role::Hint => color(AnsiColor::Cyan),
        Role::Detail | Role::Notice | Role::Blank => Style::new(),
    }
}

/// A progress bar in bytes on a terminal, nothing in a pipe.
pub fn progress(total: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total.unwrap_or(0));
    let style = ProgressStyle::with_template("{bar:20} {bytes} / {total_bytes}  {wide_msg}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A sign of life on standard error where the length of the work is not known; hidden without a terminal.
pub fn spinner() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// How far a check is, in words.
pub fn so_far(rows: u64, bad: u64, lang: Lang) -> String {
    let (rows, bad) = (spoken_count(rows, lang), spoken_count(bad, lang));
    match lang {
        Lang::Id => format!("{rows} baris diperiksa, {bad} salah"),
        Lang::En => format!("{rows} rows checked, {bad} bad"),
    }
}

/// An error that is told before the report.
pub fn first_error(error: &Value, lang: Lang) -> String {
    let message = error["message"].as_str().unwrap_or_default();
    let row = error["row"].as_u64().map(|row| match lang {
        Lang::Id => format!("Baris {row}: "),
        Lang::En => format!("Row {row}: "),
    });
    format!("{}{message}", row.unwrap_or_default())
}

/// A line on standard error, above the bar where there is one.
pub fn above(bar: &ProgressBar, line: &str) {
    if bar.is_hidden() {
        eprintln!("{line}");
    } else {
        bar.println(line);
    }
}

/// Prints the routes of the API.
pub fn routes(as_json: bool) {
    let access = |access| match access {
        Access::Public => "public",
        Access::Certificate => "certificate",
        Access::Token => "token",
        Access::Administrator => "administrator",
    };
    if as_json {
        let rows: Vec<Value> = ROUTES
            .iter()
            .map(|route| {
                let entrances: Vec<&str> = route.entrances.iter().map(|entrance| Entrance::as_str(*entrance)).collect();
                json!({
                    "method": route.method.as_str(),
                    "path": route.path,
                    "access": access(route.access),
                    "entrances": entrances,
                    "action": route.action,
                    "audited": route.audited(),
                })
            })
            .collect();
        println!("{}", json!({"routes": rows}));
        return;
    }
    let rows = ROUTES.iter().map(|route| {
        vec![route.method.to_string(), route.path.to_owned(), access(route.access).to_owned(), route.summary.to_owned()]
    });
    table(&["method", "path", "requires", "what"], rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Vec<Line> {
        let report = json!({
            "valid": false,
            "errors": [{
                "row": 7, "field": "tanggal", "type": "type-error", "group": 0,
                "message": "«31/02/2024» bukan tanggal dd/mm/yyyy.",
                "hint": "Tanggal itu tidak ada: Februari 2024 hanya sampai tanggal 29.",
            }],
            "stats": {"rows": 14, "errors": 1},
            "groups": [{
                "type": "type-error", "field": "tanggal", "title": "Per tanggal", "heading": "Tanggal salah", "count": 1,
                "rows": [7], "ranges": [[7, 7]],
            }],
            "notices": [{"message": "Berkas memakai pemisah «;», yang tidak disebut dalam standar data."}],
            "rowsAccepted": 13, "rowsRefused": 1,
        });
        simpul_schemas::page(&report, Lang::Id)
    }

    fn written(width: Option<usize>) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        write_report(&mut out, &page(), width).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn a_report_fits_a_narrow_terminal_and_is_plain_in_a_pipe() {
        let narrow = written(Some(NARROWEST));
        assert!(narrow.lines().all(|line| textwrap::core::display_width(line) <= NARROWEST), "{narrow}");
        assert!(
            narrow.contains("    → Tanggal itu tidak ada: Februari\n      2024 hanya sampai tanggal 29."),
            "{narrow}"
        );
        let plain = written(None);
        assert!(plain.contains("\n  Baris 7: «31/02/2024» bukan tanggal dd/mm/yyyy.\n    → Tanggal itu"), "{plain}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&narrow), words(&plain));
        let mut coloured = Vec::new();
        write_report(&mut coloured, &page(), None).unwrap();
        assert!(coloured.contains(&0x1b));
        assert!(!plain.contains('\u{1b}'));
    }
}
