//! Primary keys, unique keys and references. Old names are translated to new ones first, so that a renamed column is
//! the same column here.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::fields::Pair;
use super::table::{Table, object, strings};
use super::{CodeListHistory, Effect, Effect::*, Level::*, Report, Rule};

type Names = BTreeSet<String>;

/// Compares the keys and references.
pub(super) fn compare<L: CodeListHistory + ?Sized>(
    old: &Table<'_>,
    new: &Table<'_>,
    pairs: &[Pair],
    lists: &L,
    report: &mut Report,
) {
    let renamed: HashMap<&str, &str> = pairs.iter().map(|(o, n)| (old.fields[*o].name, new.fields[*n].name)).collect();
    let translate = |name: &str| match renamed.get(name) {
        Some(name) => (*name).to_owned(),
        // A removed column keeps a name that no new column can have by chance.
        None => format!("{name} (dihapus)"),
    };
    let kept: Names = renamed.values().map(|name| (*name).to_owned()).collect();
    let before = Keys::read(old, translate);
    let after = Keys::read(new, str::to_owned);
    primary(&before, &after, report);
    unique(&before, &after, &kept, report);
    references(&references_of(old, translate), &references_of(new, str::to_owned), &kept, lists, report);
}

struct Keys {
    primary: Names,
    unique: BTreeSet<Names>,
    required: Names,
}

impl Keys {
    fn read(table: &Table<'_>, translate: impl Fn(&str) -> String) -> Keys {
        let set = |names: &BTreeSet<&str>| names.iter().map(|name| translate(name)).collect::<Names>();
        let required = table.fields.iter().filter(|field| table.is_required(field));
        Keys {
            primary: table.primary.iter().map(|name| translate(name)).collect(),
            unique: table.unique_keys().iter().map(set).collect(),
            required: required.map(|field| translate(field.name)).collect(),
        }
    }

    /// Whether rows can never repeat in these columns.
    fn distinguishes(&self, columns: &Names) -> bool {
        let keys = self.unique.iter().chain([&self.primary]);
        keys.into_iter().any(|key| !key.is_empty() && key.is_subset(columns))
    }

    /// Whether every table under these keys also satisfies the primary key `wanted`.
    fn satisfies(&self, wanted: &Names) -> bool {
        wanted.is_empty() || wanted.is_subset(&self.required) && self.distinguishes(wanted)
    }
}

fn breaks_unless(holds: bool) -> Effect {
    if holds { Safe } else { Break }
}

fn primary(old: &Keys, new: &Keys, report: &mut Report) {
    let (before, after) = (&old.primary, &new.primary);
    let rule = match (before.is_empty(), after.is_empty()) {
        _ if before == after => return,
        (true, _) => Rule::KeyAdd,
        (_, true) => Rule::KeyRemove,
        _ if before.is_subset(after) => Rule::KeyExtend,
        _ if after.is_subset(before) => Rule::KeyReduce,
        _ => Rule::KeyChange,
    };
    let backward = breaks_unless(old.satisfies(after));
    let forward = breaks_unless(new.satisfies(before));
    report.add(rule, None, (json!(before), json!(after)), [backward, forward, backward], Major);
}

fn unique(old: &Keys, new: &Keys, kept: &Names, report: &mut Report) {
    // A key over columns that came or went is empty on one side, and empty values never repeat; a key that contains the
    // primary key says nothing of its own.
    let counts = |key: &&Names, primary: &Names| key.is_subset(kept) && (primary.is_empty() || !primary.is_subset(key));
    for key in new.unique.difference(&old.unique).filter(|key| counts(key, &new.primary)) {
        let backward = breaks_unless(old.distinguishes(key));
        let level = if backward == Break { Major } else { Patch };
        report.add(Rule::UniqueAdd, None, (Value::Null, json!(key)), [backward, Safe, backward], level);
    }
    for key in old.unique.difference(&new.unique).filter(|key| counts(key, &old.primary)) {
        let forward = breaks_unless(new.distinguishes(key));
        let level = if forward == Break { Minor } else { Patch };
        report.add(Rule::UniqueRemove, None, (json!(key), Value::Null), [Safe, forward, Safe], level);
    }
}

/// What a reference points to, without the version of the list: columns with their targets, list, resource.
type Target = (BTreeSet<(String, String)>, String, String);
/// References with the version of their list (empty where there is none).
type References = BTreeMap<Target, String>;

fn references_of(table: &Table<'_>, translate: impl Fn(&str) -> String) -> References {
    let keys = table.schema.get("foreignKeys").and_then(Value::as_array).into_iter().flatten();
    keys.filter_map(Value::as_object).map(|key| reference_of(key, &translate)).collect()
}

fn reference_of(key: &Map<String, Value>, translate: impl Fn(&str) -> String) -> (Target, String) {
    let reference = object(key.get("reference"));
    let text = |name: &str| reference.get(name).and_then(Value::as_str).unwrap_or("");
    let targets = strings(reference.get("fields"));
    let columns = strings(key.get("fields")).into_iter().zip(targets);
    let columns = columns.map(|(column, target)| (translate(column), target.to_owned())).collect();
    let (list, version) = text("package").split_once('@').unwrap_or((text("package"), ""));
    ((columns, list.to_owned(), text("resource").to_owned()), version.to_owned())
}

fn references<L: CodeListHistory + ?Sized>(
    old: &References,
    new: &References,
    kept: &Names,
    lists: &L,
    report: &mut Report,
) {
    // A reference over columns that came or went: empty values pass every reference.
    let counts = |target: &Target| target.0.iter().all(|(column, _)| kept.contains(column));
    for (target, version) in new.iter().filter(|(target, _)| counts(target)) {
        let urn = |version: &str| json!(urn(target, version));
        match old.get(target) {
            None => report.add(
                Rule::FkAdd,
                Some(&columns(target)),
                (Value::Null, urn(version)),
                [Break, Safe, Break],
                Major,
            ),
            Some(before) if before != version => list_version(target, before, version, lists, report),
            Some(_) => {}
        }
    }
    for (target, version) in old.iter().filter(|(target, _)| counts(target) && !new.contains_key(*target)) {
        let values = (json!(urn(target, version)), Value::Null);
        report.add(Rule::FkRemove, Some(&columns(target)), values, [Safe, Break, Safe], Minor);
    }
}

fn list_version<L: CodeListHistory + ?Sized>(
    target: &Target,
    before: &str,
    after: &str,
    lists: &L,
    report: &mut Report,
) {
    let (old, new) = (urn(target, before), urn(target, after));
    let delta = lists.delta(&old, &new);
    let removed = delta.is_none_or(|delta| delta.removed > 0);
    let added = delta.is_none_or(|delta| delta.added > 0);
    let (backward, forward) = (breaks_unless(!removed), breaks_unless(!added));
    let level = if removed { Major } else { Minor };
    report.add(
        Rule::RefVersion,
        Some(&columns(target)),
        (json!(old), json!(new)),
        [backward, forward, backward],
        level,
    );
}

fn columns(target: &Target) -> String {
    target.0.iter().map(|(column, _)| column.as_str()).collect::<Vec<_>>().join(", ")
}

/// The list as a descriptor writes it: the URN of a package, or the name of a resource beside the table.
fn urn(target: &Target, version: &str) -> String {
    let (_, list, resource) = target;
    match (list.is_empty(), version.is_empty()) {
        (true, _) => resource.clone(),
        (false, true) => list.clone(),
        (false, false) => format!("{list}@{version}"),
    }
}
