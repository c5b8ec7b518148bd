//! Columns: which old one is which new one, and what changed from one to the other.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::table::{Field, Table};
use super::{Effect::*, Level::*, Report, Rule, domain, files};

/// Positions of one column in the old and the new version.
pub(super) type Pair = (usize, usize);

/// Pairs the columns: by element id, then by an alias that keeps the old name, then by name.
pub(super) fn pair(old: &Table<'_>, new: &Table<'_>) -> Vec<Pair> {
    let mut pairs: HashMap<usize, usize> = HashMap::new();
    let mut taken = HashSet::new();
    let element = |field: &Field<'_>| field.satudata.get("idElemen").and_then(Value::as_str).map(str::to_owned);
    let mut by_element = HashMap::new();
    let mut by_name = HashMap::new();
    let mut by_alias = HashMap::new();
    for (at, field) in new.fields.iter().enumerate() {
        by_name.insert(field.name, at);
        if let Some(id) = element(field) {
            by_element.entry(id).or_insert(at);
        }
        for alias in field.aliases() {
            by_alias.entry(alias).or_insert(at);
        }
    }
    let by_element = |field: &Field<'_>| by_element.get(&element(field)?).copied();
    let by_name = |field: &Field<'_>| by_name.get(field.name).copied();
    let by_alias = |field: &Field<'_>| by_alias.get(field.name).copied();
    for way in 0..3 {
        for (at, field) in old.fields.iter().enumerate() {
            let found = match way {
                _ if pairs.contains_key(&at) => None,
                0 => by_element(field),
                1 => by_name(field),
                _ => by_alias(field),
            };
            if let Some(found) = found.filter(|found| taken.insert(*found)) {
                pairs.insert(at, found);
            }
        }
    }
    let mut pairs: Vec<Pair> = pairs.into_iter().collect();
    pairs.sort_unstable();
    pairs
}

/// Compares the columns.
pub(super) fn compare(old: &Table<'_>, new: &Table<'_>, pairs: &[Pair], report: &mut Report) {
    let (kept_old, kept_new): (HashSet<usize>, HashSet<usize>) = pairs.iter().copied().unzip();
    let gone: Vec<&Field<'_>> = others(old, &kept_old);
    let come: Vec<&Field<'_>> = others(new, &kept_new);
    gone.iter().for_each(|field| removed(field, old, new, report));
    come.iter().for_each(|field| added(field, new, report));
    if let ([gone], [come]) = (&gone[..], &come[..])
        && gone.kind() == come.kind()
    {
        let names = (json!(gone.name), json!(come.name));
        report.add(Rule::RenameSuspected, Some(come.name), names, [Warn, Warn, Warn], Patch);
    }
    if pairs.windows(2).any(|pair| pair[0].1 > pair[1].1) {
        let names = |table: &Table<'_>| table.fields.iter().map(|f| json!(f.name)).collect::<Value>();
        let exact = new.fields_match() == "exact";
        let effects = [Safe, Safe, if exact { Break } else { Safe }];
        let level = if exact { Major } else { Patch };
        report.add(Rule::FieldReorder, None, (names(old), names(new)), effects, level);
    }
    for (o, n) in pairs {
        column(old, new, &old.fields[*o], &new.fields[*n], report);
    }
}

fn others<'t, 'a>(table: &'t Table<'a>, kept: &HashSet<usize>) -> Vec<&'t Field<'a>> {
    table.fields.iter().enumerate().filter(|(at, _)| !kept.contains(at)).map(|(_, field)| field).collect()
}

fn added(field: &Field<'_>, new: &Table<'_>, report: &mut Report) {
    let values = (Value::Null, json!(field.kind()));
    if new.is_required(field) || new.in_key(field.name) {
        report.add(Rule::FieldAddRequired, Some(field.name), values, [Break, Safe, Break], Major);
        return;
    }
    // Where a file must have every column, a file without the new one is refused.
    let refused = !matches!(new.fields_match(), "superset" | "partial");
    let (producer, level) = if refused { (Break, Major) } else { (Safe, Minor) };
    report.add(Rule::FieldAddOptional, Some(field.name), values, [Safe, Safe, producer], level);
}

fn removed(field: &Field<'_>, old: &Table<'_>, new: &Table<'_>, report: &mut Report) {
    let values = (json!(field.kind()), Value::Null);
    if old.is_required(field) {
        report.add(Rule::FieldRemoveRequired, Some(field.name), values, [Safe, Break, Break], Major);
        return;
    }
    let tolerated = matches!(new.fields_match(), "subset" | "partial");
    let producer = if tolerated { Safe } else { Break };
    report.add(Rule::FieldRemoveOptional, Some(field.name), values, [Safe, Safe, producer], Major);
}

/// Compares one column with itself.
fn column(old_table: &Table<'_>, new_table: &Table<'_>, old: &Field<'_>, new: &Field<'_>, report: &mut Report) {
    let name = Some(new.name);
    if old.name != new.name {
        let names = (json!(old.name), json!(new.name));
        if new.aliases().contains(&old.name) {
            report.add(Rule::FieldRenameAlias, name, names, [Safe, Break, Safe], Minor);
        } else {
            report.add(Rule::FieldRename, name, names, [Break, Break, Break], Major);
        }
    }
    let values = (json!(old.kind()), json!(new.kind()));
    let comparable = match (old.kind(), new.kind()) {
        (a, b) if a == b => true,
        ("integer", "number") => {
            report.add(Rule::TypeWiden, name, values, [Safe, Break, Safe], Major);
            true
        }
        ("number", "integer") => {
            report.add(Rule::TypeNarrow, name, values, [Break, Safe, Break], Major);
            true
        }
        _ => {
            let producer = if accepts_any_cell(new) { Safe } else { Break };
            report.add(Rule::TypeChange, name, values, [Break, Break, producer], Major);
            false
        }
    };
    if comparable {
        domain::compare(old, new, report);
        files::compare_column(old, new, report);
    }
    required(old_table.is_required(old), new_table.is_required(new), new, report);
}

fn required(old: bool, new: bool, field: &Field<'_>, report: &mut Report) {
    let explicit = field.constraints.get("required") == Some(&Value::Bool(true));
    let values = (json!(old), json!(new));
    match (old, new) {
        // A column that only a key makes required is judged with the key.
        (false, true) if explicit => {
            report.add(Rule::RequiredAdd, Some(field.name), values, [Break, Safe, Break], Major);
            report.witness(Some(json!("")));
        }
        (true, false) => report.add(Rule::RequiredRemove, Some(field.name), values, [Safe, Break, Safe], Major),
        _ => {}
    }
}

/// Whether no cell of a file can be wrong in this column, an empty one aside.
fn accepts_any_cell(field: &Field<'_>) -> bool {
    let free = field.constraints.keys().all(|key| matches!(key.as_str(), "required" | "unique"));
    let plain = field.text("format").unwrap_or("default") == "default";
    let listed = field.raw.contains_key("categories");
    field.kind() == "any" && free || field.kind() == "string" && free && plain && !listed
}
