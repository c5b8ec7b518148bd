//! Compatibility between two versions of a contract.
//!
//! Everything is about logical values, with columns matched by their stable element id (`satudata.idElemen`) and
//! otherwise by name. `read(S → D)` holds where every table stored under S can be read under D. Then
//! - BACKWARD is `read(old → new)`: history stays readable under the new version;
//! - FORWARD is `read(new → old)`: readers of the old version survive new data;
//! - FULL is both; a TRANSITIVE mode asks it against every version that was not withdrawn;
//! - PRODUCER says whether every file accepted under the old version is accepted under the new one. It also covers how
//!   values are written (separators, date patterns, labels), which stored data no longer show.
//!
//! The walk: `table` reads the descriptors → `fields` pairs the columns and compares each pair, with `domain` for what
//! values are allowed and `files` for how they are written → `keys` → `meaning` for what only people can judge. Every
//! difference becomes a [`Change`] with its three verdicts; the verdict of the whole is the worst of its changes.
//! What cannot be proven harmless counts as a break.

mod domain;
mod fields;
mod files;
mod keys;
mod meaning;
mod pattern;
mod rows;
mod rule;
mod table;
#[cfg(test)]
mod tests;
mod words;

use serde::Serialize;
use serde_json::{Value, json};

pub use rule::{Message, Rule};
pub use table::NotASchema;
pub use words::Side;

use crate::code_list::{CodeDelta, CodeList, parse_urn};
use crate::contract::{Contract, REFERENCE_ERROR};
use crate::descriptor::DescriptorError;
use crate::reference::NoReferences;

/// What one change does to one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing that anyone has to act on.
    Safe,
    /// Structure cannot tell; a person should look.
    Warn,
    /// Somebody's data or files stop working.
    Break,
}

/// The part of the version number that has to grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// The third number.
    Patch,
    /// The second number.
    Minor,
    /// The first number.
    Major,
}

/// Whose consent a change needs besides the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Approval {
    /// The data custodian.
    Walidata,
    /// The producer of the data.
    Produsen,
    /// The data protection officer.
    Ppdp,
}

/// What a registry asks of a new version. [`Mode::parse`] reads the names that descriptors use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    /// Nothing is asked; the changes are only listed.
    None,
    /// History of the latest version stays readable.
    Backward,
    /// Readers of the latest version survive.
    Forward,
    /// Both.
    Full,
    /// History of every version stays readable.
    #[default]
    BackwardTransitive,
    /// Readers of every version survive.
    ForwardTransitive,
    /// Both, for every version.
    FullTransitive,
}

/// One difference between two versions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The rule that saw it.
    pub rule: Rule,
    /// The column by its new name (by its old one where it went); `null` for the table as a whole.
    pub field: Option<String>,
    /// What the old version says.
    pub from: Value,
    /// What the new version says.
    pub to: Value,
    /// For history; in JSON `true` unless it breaks.
    #[serde(serialize_with = "unbroken")]
    pub backward: Effect,
    /// For readers of the old version; in JSON `true` unless it breaks.
    #[serde(serialize_with = "unbroken")]
    pub forward: Effect,
    /// For the files that agencies send; in JSON `true` unless it breaks.
    #[serde(serialize_with = "unbroken")]
    pub producer: Effect,
    /// Whether a person should look although nothing breaks.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub warning: bool,
    /// The part of the version number that has to grow.
    #[serde(rename = "semver")]
    pub level: Level,
    /// Whose consent is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// The change in words.
    pub message: Message,
    /// A value that was allowed and no longer is, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<Value>,
    /// The older version that this change was found against, where it is not the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
}

/// The answer of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compatibility {
    /// What was asked.
    pub mode: Mode,
    /// Whether the new version does what the mode asks.
    pub compatible: bool,
    /// Whether history stays readable.
    pub backward: bool,
    /// Whether readers of the old version survive.
    pub forward: bool,
    /// Whether every file that was accepted by the latest version still is.
    pub producer: bool,
    /// The part of the version number that has to grow.
    #[serde(rename = "semver")]
    pub level: Level,
    /// The least version number the new version may have. `None` where the old one is not of the form `1.2.3`; a
    /// descriptor without a version counts as `1.0.0`.
    pub suggested_version: Option<String>,
    /// All differences from the latest version, then what breaks against older ones.
    pub changes: Vec<Change>,
}

/// Answers how two versions of a code list differ.
pub trait CodeListHistory {
    /// The difference from `old` to `new`, both URNs such as `urn:satudata:ref:wilayah@2025-1`; `None` where one of
    /// them is not known, which then counts as a break.
    fn delta(&self, old: &str, new: &str) -> Option<CodeDelta>;
}

/// Knows no code list.
#[derive(Debug, Clone, Copy)]
pub struct NoLists;

impl CodeListHistory for NoLists {
    fn delta(&self, _old: &str, _new: &str) -> Option<CodeDelta> {
        None
    }
}

impl CodeListHistory for [CodeList] {
    fn delta(&self, old: &str, new: &str) -> Option<CodeDelta> {
        let find = |urn| {
            let (id, version) = parse_urn(urn)?;
            self.iter().find(|list| list.id() == id && list.version() == version)
        };
        Some(find(old)?.delta(find(new)?))
    }
}

impl Mode {
    /// Reads a name such as `BACKWARD_TRANSITIVE`.
    pub fn parse(name: &str) -> Option<Mode> {
        Some(match name {
            "NONE" => Mode::None,
            "BACKWARD" => Mode::Backward,
            "FORWARD" => Mode::Forward,
            "FULL" => Mode::Full,
            "BACKWARD_TRANSITIVE" => Mode::BackwardTransitive,
            "FORWARD_TRANSITIVE" => Mode::ForwardTransitive,
            "FULL_TRANSITIVE" => Mode::FullTransitive,
            _ => return None,
        })
    }

    /// The mode that a Data Package declares in `satudata.kompatibilitas`, else the default.
    pub fn declared(package: &Value) -> Mode {
        package["satudata"]["kompatibilitas"].as_str().and_then(Mode::parse).unwrap_or_default()
    }

    /// Whether versions before the latest count too.
    pub fn is_transitive(self) -> bool {
        matches!(self, Mode::BackwardTransitive | Mode::ForwardTransitive | Mode::FullTransitive)
    }

    fn allows(self, backward: bool, forward: bool) -> bool {
        match self {
            Mode::None => true,
            Mode::Backward | Mode::BackwardTransitive => backward,
            Mode::Forward | Mode::ForwardTransitive => forward,
            Mode::Full | Mode::FullTransitive => backward && forward,
        }
    }
}

/// What is wrong with a descriptor that is to be compared: a Data Package, a resource or a bare Table Schema. Lists that
/// it points to are not asked for; a bare schema is read as version 2 unless it says otherwise.
pub fn faults(descriptor: &Value) -> Vec<DescriptorError> {
    let package = |resource: Value| {
        let profile = "https://datapackage.org/profiles/2.0/datapackage.json";
        json!({"$schema": profile, "name": "banding", "resources": [resource]})
    };
    let mut whole = match descriptor {
        Value::Object(object) if object.contains_key("fields") => package(json!({"name": "tabel", "schema": object})),
        Value::Object(object) if object.contains_key("schema") => package(descriptor.clone()),
        _ => descriptor.clone(),
    };
    // A key without columns is no key: a registry must be able to compare what it once took.
    if let Some(schema) = whole.pointer_mut("/resources/0/schema").and_then(Value::as_object_mut)
        && schema.get("primaryKey").and_then(Value::as_array).is_some_and(Vec::is_empty)
    {
        schema.remove("primaryKey");
    }
    match Contract::compile(&whole, &NoReferences) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().filter(|error| error.kind != REFERENCE_ERROR).collect(),
    }
}

/// Compares two versions under the mode that the old one declares, knowing no code lists. Both are a Data Package, a
/// resource or a bare Table Schema. The mode of the old version counts: a new one cannot excuse itself.
pub fn check(old: &Value, new: &Value) -> Result<Compatibility, NotASchema> {
    check_all(&[old], new, Mode::declared(old), &NoLists)
}

/// Compares `new` with the versions before it, oldest first and without the withdrawn ones. A transitive mode asks
/// every one of them; `producer`, `level` and the suggested version always follow the latest. Without history
/// everything is compatible.
pub fn check_all<L: CodeListHistory + ?Sized>(
    history: &[&Value],
    new: &Value,
    mode: Mode,
    lists: &L,
) -> Result<Compatibility, NotASchema> {
    let Some((latest, older)) = history.split_last() else {
        table::Table::read(new)?;
        return Ok(answer(mode, None, Vec::new()));
    };
    let mut changes = compare(latest, new, lists)?;
    let mut result = answer(mode, Some(latest), changes.clone());
    if !mode.is_transitive() {
        return Ok(result);
    }
    for version in older.iter().rev() {
        for mut change in compare(version, new, lists)? {
            let worse = |c: &Change| c.backward >= change.backward && c.forward >= change.forward;
            let repeated = |c: &Change| c.rule == change.rule && c.field == change.field && worse(c);
            if mode.allows(change.backward < Effect::Break, change.forward < Effect::Break)
                || changes.iter().any(repeated)
            {
                continue;
            }
            change.against = Some(version["version"].as_str().unwrap_or("?").to_owned());
            result.backward &= change.backward < Effect::Break;
            result.forward &= change.forward < Effect::Break;
            changes.push(change);
        }
    }
    result.compatible = mode.allows(result.backward, result.forward);
    result.changes = changes;
    Ok(result)
}

/// All differences between two versions.
fn compare<L: CodeListHistory + ?Sized>(old: &Value, new: &Value, lists: &L) -> Result<Vec<Change>, NotASchema> {
    let (old, new) = (table::Table::read(old)?, table::Table::read(new)?);
    let mut report = Report::default();
    let pairs = fields::pair(&old, &new);
    fields::compare(&old, &new, &pairs, &mut report);
    files::compare(&old, &new, &pairs, &mut report);
    keys::compare(&old, &new, &pairs, lists, &mut report);
    rows::compare(&old, &new, &mut report);
    meaning::compare(&old, &new, &pairs, &mut report);
    Ok(report.changes)
}

fn answer(mode: Mode, latest: Option<&Value>, changes: Vec<Change>) -> Compatibility {
    let unbroken = |side: fn(&Change) -> Effect| changes.iter().all(|change| side(change) < Effect::Break);
    let (backward, forward) = (unbroken(|c| c.backward), unbroken(|c| c.forward));
    let producer = unbroken(|c| c.producer);
    let level = changes.iter().map(|change| change.level).max().unwrap_or(Level::Patch);
    let suggested_version = match latest {
        None => Some("1.0.0".to_owned()),
        Some(latest) => raise(latest["version"].as_str().unwrap_or("1.0.0"), level),
    };
    let compatible = mode.allows(backward, forward);
    Compatibility { mode, compatible, backward, forward, producer, level, suggested_version, changes }
}

impl Compatibility {
    /// Whether the new version may have that number: the suggested one or a higher. True where either is not of the form
    /// `1.2.3`, because then there is no order.
    #[must_use]
    pub fn allows_number(&self, version: &str) -> bool {
        let least = self.suggested_version.as_deref().and_then(numbers);
        least.zip(numbers(version)).is_none_or(|(least, given)| given >= least)
    }
}

/// The three numbers of a version such as `1.2.3`.
fn numbers(version: &str) -> Option<(u64, u64, u64)> {
    let mut parts = version.split('.').map(|part| part.parse::<u64>().ok());
    let three = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(three)
}

/// The next version number after `version` at `level`.
fn raise(version: &str, level: Level) -> Option<String> {
    let (major, minor, patch) = numbers(version)?;
    Some(match level {
        Level::Major => format!("{}.0.0", major.checked_add(1)?),
        Level::Minor => format!("{major}.{}.0", minor.checked_add(1)?),
        Level::Patch => format!("{major}.{minor}.{}", patch.checked_add(1)?),
    })
}

fn unbroken<S: serde::Serializer>(effect: &Effect, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(*effect < Effect::Break)
}

/// Collects the changes of one comparison.
#[derive(Default)]
struct Report {
    changes: Vec<Change>,
}

/// The verdicts of one change in the order backward, forward, producer.
type Effects = [Effect; 3];

impl Report {
    fn add(&mut self, rule: Rule, field: Option<&str>, values: (Value, Value), effects: Effects, level: Level) {
        let [backward, forward, producer] = effects;
        let (from, to) = values;
        self.changes.push(Change {
            rule,
            message: rule.message(field, &from, &to),
            field: field.map(str::to_owned),
            from,
            to,
            backward,
            forward,
            producer,
            warning: effects.contains(&Effect::Warn),
            level,
            approval: rule.approval(),
            witness: None,
            against: None,
        });
    }

    fn witness(&mut self, value: Option<Value>) {
        if let Some(change) = self.changes.last_mut() {
            change.witness = value;
        }
    }
}
