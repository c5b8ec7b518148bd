//! What structure cannot see: units, concepts, who may read, personal data, and words for people.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::fields::Pair;
use super::table::{Field, Table, get, object, only};
use super::{Effect::*, Level::*, Report, Rule};

const UNIT: [&str; 4] = ["satuan", "ukuran", "satuanUcum", "zonaWaktu"];
const CONCEPT: [&str; 6] = ["konsep", "definisi", "klasifikasi", "peran", "idElemen", "kodeReferensi"];
/// Properties that another rule looks at, or that say nothing about the data.
const FIELD_ELSEWHERE: [&str; 15] = [
    "name",
    "type",
    "format",
    "constraints",
    "satudata",
    "missingValues",
    "decimalChar",
    "groupChar",
    "bareNumber",
    "trueValues",
    "falseValues",
    "delimiter",
    "itemType",
    "categories",
    "categoriesOrdered",
];
const PACKAGE_ELSEWHERE: [&str; 7] = ["$schema", "version", "resources", "satudata", "created", "name", "id"];
const SATUDATA_ELSEWHERE: [&str; 6] = ["sifat", "moda", "periode", "kebijakan", "dataPribadi", "kompatibilitas"];

/// Compares what the versions mean.
pub(super) fn compare(old: &Table<'_>, new: &Table<'_>, pairs: &[Pair], report: &mut Report) {
    let (before, after) = (object(old.package.get("satudata")), object(new.package.get("satudata")));
    let table = access_of(after);
    access(None, table, before, after, report);
    personal(None, before, after, report);
    delivery(before, after, report);
    words(None, old.package, new.package, &PACKAGE_ELSEWHERE, report);
    words(None, before, after, &SATUDATA_ELSEWHERE, report);
    for (o, n) in pairs {
        column(&old.fields[*o], &new.fields[*n], table, report);
    }
}

fn column(old: &Field<'_>, new: &Field<'_>, table: u8, report: &mut Report) {
    let name = Some(new.name);
    let (before, after) = (old.satudata, new.satudata);
    units(name, before, after, report);
    let values = (only(before, &CONCEPT), only(after, &CONCEPT));
    if values.0 != values.1 {
        report.add(Rule::ConceptChange, name, values, [Warn, Warn, Safe], Minor);
    }
    access(name, table, before, after, report);
    personal(name, before, after, report);
    let mut elsewhere = vec!["alias", "sifat", "dataPribadi"];
    elsewhere.extend(UNIT.iter().chain(&CONCEPT));
    words(name, before, after, &elsewhere, report);
    words(name, old.raw, new.raw, &FIELD_ELSEWHERE, report);
}

/// Another unit breaks; a unit that is written down for the first time, or no longer, is only a matter of words.
fn units(name: Option<&str>, old: &Map<String, Value>, new: &Map<String, Value>, report: &mut Report) {
    let both = |key: &&&str| old.contains_key(**key) && new.contains_key(**key);
    let differs = |key: &&&str| old.get(**key) != new.get(**key);
    let (changed, reworded): (Vec<&str>, Vec<&str>) = UNIT.iter().filter(differs).partition(|key| both(key));
    if !changed.is_empty() {
        let values = (only(old, &changed), only(new, &changed));
        report.add(Rule::UnitChange, name, values, [Break, Break, Safe], Major);
    }
    if !reworded.is_empty() {
        let values = (only(old, &reworded), only(new, &reworded));
        report.add(Rule::ConceptChange, name, values, [Warn, Warn, Safe], Minor);
    }
}

/// Who may read the table; without a word about it, only those who were granted it.
fn access_of(satudata: &Map<String, Value>) -> u8 {
    match satudata.get("sifat").and_then(Value::as_str) {
        Some("terbuka") => 0,
        Some("tertutup") => 2,
        _ => 1,
    }
}

/// A column may only be stricter than its table, so its own word counts down to that of the table.
fn access(name: Option<&str>, table: u8, old: &Map<String, Value>, new: &Map<String, Value>, report: &mut Report) {
    let rank = |map: &Map<String, Value>| match (name, map.contains_key("sifat")) {
        (Some(_), false) => table,
        (Some(_), true) => access_of(map).max(table),
        (None, _) => access_of(map),
    };
    let values = (get(old, "sifat"), get(new, "sifat"));
    if rank(new) > rank(old) {
        report.add(Rule::AccessNarrow, name, values, [Safe, Break, Safe], Major);
    } else if rank(new) < rank(old) {
        report.add(Rule::AccessWiden, name, values, [Safe, Safe, Safe], Minor);
    }
}

fn personal(name: Option<&str>, old: &Map<String, Value>, new: &Map<String, Value>, report: &mut Report) {
    let mark = |map: &Map<String, Value>| match map.get("dataPribadi") {
        Some(Value::Object(mark)) if mark.get("ada") != Some(&Value::Bool(false)) => Some(Value::Object(mark.clone())),
        _ => None,
    };
    let rule = match (mark(old), mark(new)) {
        (None, Some(_)) => Rule::PiiMarkAdd,
        (Some(_), None) => Rule::PiiMarkRemove,
        // On the package the mark only names the basis and the time of keeping.
        (Some(before), Some(after)) if before != after && name.is_some() => Rule::PiiMarkChange,
        _ => return,
    };
    report.add(rule, name, (get(old, "dataPribadi"), get(new, "dataPribadi")), [Safe, Break, Safe], Major);
}

/// How deliveries take effect: nothing breaks, and yet nobody should find out by surprise.
fn delivery(old: &Map<String, Value>, new: &Map<String, Value>, report: &mut Report) {
    let mode = (only(old, &["moda", "periode"]), only(new, &["moda", "periode"]));
    if mode.0 != mode.1 {
        report.add(Rule::ModeChange, None, mode, [Safe, Warn, Warn], Major);
    }
    let policy = (get(old, "kebijakan"), get(new, "kebijakan"));
    if policy.0 != policy.1 {
        report.add(Rule::PolicyChange, None, policy, [Safe, Safe, Warn], Minor);
    }
}

/// Everything else: titles, descriptions, examples, contributors, schedules.
fn words(
    name: Option<&str>,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    elsewhere: &[&str],
    report: &mut Report,
) {
    let keys: BTreeSet<&str> = old.keys().chain(new.keys()).map(String::as_str).collect();
    let differs = |key: &&str| !elsewhere.contains(key) && old.get(*key) != new.get(*key);
    let changed: Vec<&str> = keys.into_iter().filter(differs).collect();
    if !changed.is_empty() {
        let values = (json!(only(old, &changed)), json!(only(new, &changed)));
        report.add(Rule::MetaText, name, values, [Safe, Safe, Safe], Patch);
    }
}
