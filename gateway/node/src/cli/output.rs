//! What commands print: tables for people, JSON for programs.

use std::io::IsTerminal;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use simpul_core::time::Timestamp;

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

/// A progress bar in bytes on a terminal, nothing in a pipe.
pub fn progress(total: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total.unwrap_or(0));
    let style = ProgressStyle::with_template("{bar:30} {bytes} / {total_bytes}  {bytes_per_sec}  {eta}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
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
