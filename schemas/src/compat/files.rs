//! How values are written in files: only producers feel these changes.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::fields::Pair;
use super::table::{Field, Table, get, object, only, strings};
use super::{Effect::*, Level::*, Report, Rule, domain};

/// What each dialect property is when it is not declared. A delimiter that is not declared is detected, which is not
/// the same as a comma.
const DIALECT: [(&str, &str); 14] = [
    ("delimiter", "null"),
    ("quoteChar", "\"\\\"\""),
    ("doubleQuote", "true"),
    ("escapeChar", "null"),
    ("nullSequence", "null"),
    ("skipInitialSpace", "false"),
    ("header", "true"),
    ("headerRows", "[1]"),
    ("headerJoin", "\" \""),
    ("commentRows", "null"),
    ("commentChar", "null"),
    ("sheetNumber", "null"),
    ("sheetName", "null"),
    ("property", "null"),
];

/// Compares what belongs to the whole file.
pub(super) fn compare(old: &Table<'_>, new: &Table<'_>, pairs: &[Pair], report: &mut Report) {
    dialect(old, new, report);
    matching(old, new, report);
    missing(old, new, pairs, report);
}

fn dialect(old: &Table<'_>, new: &Table<'_>, report: &mut Report) {
    let (before, after) = (old.resource.get("dialect"), new.resource.get("dialect"));
    let changed = DIALECT.iter().any(|(key, default)| {
        let value = |dialect| object(dialect).get(*key).map_or_else(|| (*default).to_owned(), Value::to_string);
        value(before) != value(after)
    });
    // A dialect may also be the address of one, which is compared as it stands.
    let address = |dialect: Option<&Value>| dialect.and_then(Value::as_str).map(str::to_owned);
    if changed || address(before) != address(after) {
        let values = (get(old.resource, "dialect"), get(new.resource, "dialect"));
        report.add(Rule::FormatChange, None, values, [Safe, Safe, Break], Major);
    }
    let encoding = |table: &Table<'_>| {
        let name = table.resource.get("encoding").and_then(Value::as_str).unwrap_or("utf-8");
        name.to_ascii_lowercase().replace("utf8", "utf-8")
    };
    if encoding(old) != encoding(new) {
        let values = (json!(encoding(old)), json!(encoding(new)));
        report.add(Rule::FormatChange, None, values, [Safe, Safe, Break], Major);
    }
}

fn matching(old: &Table<'_>, new: &Table<'_>, report: &mut Report) {
    let (before, after) = (old.fields_match(), new.fields_match());
    let rank = |word| match word {
        "exact" => 0,
        "equal" => 1,
        "subset" | "superset" => 2,
        _ => 3,
    };
    let values = (json!(before), json!(after));
    if rank(after) > rank(before) {
        report.add(Rule::FieldsMatchLoosen, None, values, [Safe, Safe, Safe], Minor);
    } else if before != after {
        report.add(Rule::FieldsMatchTighten, None, values, [Safe, Safe, Break], Major);
    }
}

/// Compares the texts that mean "no value", once for the table and once for each column that has its own.
fn missing(old: &Table<'_>, new: &Table<'_>, pairs: &[Pair], report: &mut Report) {
    let own = |field: &Field<'_>| field.raw.contains_key("missingValues");
    let columns = pairs.iter().map(|(o, n)| (&old.fields[*o], &new.fields[*n]));
    let (special, common): (Vec<_>, Vec<_>) = columns.partition(|(o, n)| own(o) || own(n));
    if !common.is_empty() {
        missing_in(tokens(old.schema), tokens(new.schema), &common, None, report);
    }
    for pair in special {
        let of = |field: &Field<'_>, table: &Table<'_>| tokens(if own(field) { field.raw } else { table.schema });
        missing_in(of(pair.0, old), of(pair.1, new), &[pair], Some(pair.1.name), report);
    }
}

fn tokens(holder: &Map<String, Value>) -> BTreeSet<String> {
    match holder.get("missingValues").and_then(Value::as_array) {
        None => BTreeSet::from([String::new()]),
        Some(list) => {
            let text = |value: &Value| value.get("value").unwrap_or(value).as_str().map(str::to_owned);
            list.iter().filter_map(text).collect()
        }
    }
}

fn missing_in(
    old: BTreeSet<String>,
    new: BTreeSet<String>,
    columns: &[(&Field<'_>, &Field<'_>)],
    name: Option<&str>,
    report: &mut Report,
) {
    let values = || (json!(old), json!(new));
    let added: Vec<&String> = new.difference(&old).collect();
    if !added.is_empty() {
        // A text that was a value becomes "no value": the file loses data, or is refused where a value is required.
        let was_value = added.iter().any(|token| columns.iter().any(|(field, _)| could_be_value(field, token)));
        let producer = if was_value { Break } else { Safe };
        report.add(Rule::MissingAdd, name, values(), [Safe, Safe, producer], Minor);
    }
    if old.difference(&new).next().is_some() {
        report.add(Rule::MissingRemove, name, values(), [Safe, Safe, Break], Major);
    }
}

/// Whether a cell with this text could be a value of the column. Errs towards yes.
fn could_be_value(field: &Field<'_>, text: &str) -> bool {
    let digit = text.bytes().any(|b| b.is_ascii_digit());
    match field.kind() {
        "integer" | "number" if field.raw.get("bareNumber") == Some(&Value::Bool(false)) => digit,
        "number" => digit || matches!(text, "NaN" | "INF" | "-INF"),
        "integer" | "year" | "yearmonth" | "date" | "time" | "datetime" | "duration" => digit,
        "boolean" => truths(field).contains(text),
        "object" | "geojson" => text.starts_with('{'),
        "array" => text.starts_with('['),
        "geopoint" => digit,
        "string" => domain::allowed(field).is_none_or(|choices| choices.contains(text)),
        _ => true,
    }
}

fn truths<'a>(field: &Field<'a>) -> BTreeSet<&'a str> {
    spelled(field.raw, "trueValues").union(&spelled(field.raw, "falseValues")).copied().collect()
}

fn spelled<'a>(field: &'a Map<String, Value>, key: &str) -> BTreeSet<&'a str> {
    match field.get(key) {
        Some(list) => strings(Some(list)).into_iter().collect(),
        None if key == "trueValues" => BTreeSet::from(["true", "True", "TRUE", "1"]),
        None => BTreeSet::from(["false", "False", "FALSE", "0"]),
    }
}

/// Compares how one column is written. The types are equal, or integer and number.
pub(super) fn compare_column(old: &Field<'_>, new: &Field<'_>, report: &mut Report) {
    let keys: &[&str] = match new.kind() {
        "integer" | "number" => &["decimalChar", "groupChar", "bareNumber"],
        "boolean" => &["trueValues", "falseValues"],
        "date" | "time" | "datetime" | "geopoint" => &["format"],
        "list" => &["delimiter"],
        _ => &[],
    };
    let changed: Vec<&str> = keys.iter().copied().filter(|key| written(old, key) != written(new, key)).collect();
    if !changed.is_empty() {
        let producer = if changed.iter().all(|key| takes_more(old, new, key)) { Safe } else { Break };
        let level = if producer == Break { Major } else { Patch };
        let values = (only(old.raw, &changed), only(new.raw, &changed));
        report.add(Rule::FormatChange, Some(new.name), values, [Safe, Safe, producer], level);
    }
    labels(old, new, report);
}

/// The labels that a file may write over the column.
fn labels(old: &Field<'_>, new: &Field<'_>, report: &mut Report) {
    let (before, after) = (old.aliases(), new.aliases());
    if before.iter().all(|alias| after.contains(alias) || *alias == new.name) {
        return;
    }
    report.add(Rule::FormatChange, Some(new.name), (json!(before), json!(after)), [Safe, Safe, Break], Major);
}

/// A property of writing with its default filled in.
fn written(field: &Field<'_>, key: &str) -> Value {
    let value = get(field.raw, key);
    match (key, field.kind(), value.as_str()) {
        ("decimalChar", "integer", _) => json!("."),
        ("decimalChar", _, None) => json!("."),
        ("bareNumber", ..) if value.is_null() => json!(true),
        ("trueValues" | "falseValues", ..) => json!(spelled(field.raw, key)),
        ("format", _, None | Some("default")) | ("format", "date", Some("%Y-%m-%d")) => json!("default"),
        ("format", "time", Some("%H:%M:%S")) => json!("default"),
        ("delimiter", _, None) => json!(","),
        _ => value,
    }
}

/// Whether every cell that the old property accepts is accepted, with the same value, under the new one.
fn takes_more(old: &Field<'_>, new: &Field<'_>, key: &str) -> bool {
    match key {
        "trueValues" | "falseValues" => {
            spelled(new.raw, key).is_superset(&spelled(old.raw, key))
                && spelled(new.raw, "trueValues").is_disjoint(&spelled(new.raw, "falseValues"))
        }
        "groupChar" => {
            let clashes = new.kind() == "number" && written(new, key) == written(new, "decimalChar");
            written(old, key).is_null() && !clashes
        }
        "bareNumber" => written(new, key) == json!(false),
        // Whole numbers have no decimal sign to begin with.
        "decimalChar" => old.kind() == "integer",
        _ => false,
    }
}
