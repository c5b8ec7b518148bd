//! Rules across columns. They are compared by name and as written: whether one expression follows from another cannot be
//! told, so that an error rule that says something else breaks. Warnings refuse nothing and break nothing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::table::{Table, object};
use super::{Effect::*, Level::*, Report, Rule};

/// One rule as far as it decides over rows.
#[derive(PartialEq)]
struct Across<'a> {
    expression: String,
    tolerance: f64,
    refuses: bool,
    raw: &'a Value,
}

/// Compares the rules of `satudata.aturan`.
pub(super) fn compare(old: &Table<'_>, new: &Table<'_>, report: &mut Report) {
    let (before, after) = (rules(old), rules(new));
    for (name, rule) in &after {
        match before.get(name) {
            Some(known) => changed(name, known, rule, report),
            None if rule.refuses => added(name, Value::Null, rule, report),
            None => warned(name, Value::Null, rule.raw.clone(), report),
        }
    }
    for (name, rule) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
        if rule.refuses { removed(name, rule, report) } else { warned(name, rule.raw.clone(), Value::Null, report) }
    }
}

fn changed(name: &str, old: &Across<'_>, new: &Across<'_>, report: &mut Report) {
    let values = || (old.raw.clone(), new.raw.clone());
    match (old.refuses, new.refuses) {
        _ if old == new => {}
        (false, true) => added(name, old.raw.clone(), new, report),
        (true, false) => removed(name, old, report),
        (false, false) => warned(name, old.raw.clone(), new.raw.clone(), report),
        (true, true) if old.expression != new.expression => {
            let values = (json!(old.expression), json!(new.expression));
            report.add(Rule::AcrossChange, Some(name), values, [Break, Break, Break], Major);
        }
        (true, true) if old.tolerance < new.tolerance => {
            report.add(Rule::AcrossLoosen, Some(name), values(), [Safe, Break, Safe], Minor);
        }
        (true, true) if old.tolerance > new.tolerance => {
            report.add(Rule::AcrossChange, Some(name), values(), [Break, Safe, Break], Major);
        }
        (true, true) => warned(name, old.raw.clone(), new.raw.clone(), report),
    }
}

fn added(name: &str, from: Value, rule: &Across<'_>, report: &mut Report) {
    report.add(Rule::AcrossAdd, Some(name), (from, json!(rule.expression)), [Break, Safe, Break], Major);
}

fn removed(name: &str, rule: &Across<'_>, report: &mut Report) {
    report.add(Rule::AcrossRemove, Some(name), (json!(rule.expression), Value::Null), [Safe, Break, Safe], Minor);
}

fn warned(name: &str, from: Value, to: Value, report: &mut Report) {
    report.add(Rule::AcrossWarning, Some(name), (from, to), [Safe, Safe, Safe], Patch);
}

fn rules<'a>(table: &Table<'a>) -> BTreeMap<&'a str, Across<'a>> {
    let list = object(table.schema.get("satudata")).get("aturan").and_then(Value::as_array);
    let read = |rule: &'a Value| {
        let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
        let expression = text("ekspresi").split_whitespace().collect::<Vec<_>>().join(" ");
        let tolerance = rule.get("toleransi").and_then(Value::as_f64).unwrap_or(0.0);
        let refuses = text("tingkat") != "peringatan";
        (
            rule.get("nama").and_then(Value::as_str).unwrap_or_default(),
            Across { expression, tolerance, refuses, raw: rule },
        )
    };
    list.into_iter().flatten().map(read).collect()
}
