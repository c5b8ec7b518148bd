//! Reads the part of a descriptor that compatibility looks at.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use serde_json::{Map, Value};
use thiserror::Error;

/// Columns a contract may have here; more is not a table that a person wrote.
pub const MAX_FIELDS: usize = 10_000;

static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// Why two versions cannot be compared.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum NotASchema {
    /// Neither a Data Package with a tabular resource, nor a resource, nor a Table Schema.
    #[error("there is no list of fields")]
    NoFields,
    /// The field at this position, from 0, has no name.
    #[error("field {0} has no name")]
    Unnamed(usize),
    /// Two fields have this name.
    #[error("there are two fields {0:?}")]
    Repeated(String),
    /// More than 10,000 fields.
    #[error("there are more than {MAX_FIELDS} fields")]
    TooMany,
}

/// The table of one version.
pub(super) struct Table<'a> {
    pub package: &'a Map<String, Value>,
    pub resource: &'a Map<String, Value>,
    pub schema: &'a Map<String, Value>,
    pub fields: Vec<Field<'a>>,
    pub primary: Vec<&'a str>,
}

/// One column of one version.
pub(super) struct Field<'a> {
    pub name: &'a str,
    pub raw: &'a Map<String, Value>,
    pub constraints: &'a Map<String, Value>,
    pub satudata: &'a Map<String, Value>,
}

impl<'a> Table<'a> {
    /// Finds the table: the first tabular resource of a package, a resource, or a bare schema.
    pub fn read(value: &'a Value) -> Result<Self, NotASchema> {
        let (package, resource, schema) = parts(value).ok_or(NotASchema::NoFields)?;
        let list = schema.get("fields").and_then(Value::as_array).ok_or(NotASchema::NoFields)?;
        if list.len() > MAX_FIELDS {
            return Err(NotASchema::TooMany);
        }
        let fields = list.iter().enumerate().map(|(at, raw)| Field::read(raw).ok_or(NotASchema::Unnamed(at)));
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        let mut seen = HashSet::new();
        if let Some(field) = fields.iter().find(|field| !seen.insert(field.name)) {
            return Err(NotASchema::Repeated(field.name.to_owned()));
        }
        Ok(Table { package, resource, schema, fields, primary: strings(schema.get("primaryKey")) })
    }

    /// Whether no row may leave this column empty.
    pub fn is_required(&self, field: &Field<'_>) -> bool {
        field.constraints.get("required") == Some(&Value::Bool(true)) || self.primary.contains(&field.name)
    }

    /// Whether the column is part of any key.
    pub fn in_key(&self, name: &str) -> bool {
        self.primary.contains(&name) || self.unique_keys().iter().any(|key| key.contains(name))
    }

    /// The unique keys, those of one column included, without the primary key.
    pub fn unique_keys(&self) -> BTreeSet<BTreeSet<&'a str>> {
        let listed = self.schema.get("uniqueKeys").and_then(Value::as_array).into_iter().flatten();
        let listed = listed.map(|key| strings(Some(key)).into_iter().collect::<BTreeSet<_>>());
        let single = self.fields.iter().filter(|f| f.constraints.get("unique") == Some(&Value::Bool(true)));
        listed.chain(single.map(|f| BTreeSet::from([f.name]))).filter(|key| !key.is_empty()).collect()
    }

    /// How the labels of a file are matched with the fields.
    pub fn fields_match(&self) -> &'a str {
        // The official profile asks for a list here where the standard asks for a word; both occur.
        strings(self.schema.get("fieldsMatch")).first().copied().unwrap_or("exact")
    }
}

impl<'a> Field<'a> {
    fn read(raw: &'a Value) -> Option<Self> {
        let raw = raw.as_object()?;
        let name = raw.get("name")?.as_str()?;
        Some(Field { name, raw, constraints: object(raw.get("constraints")), satudata: object(raw.get("satudata")) })
    }

    pub fn kind(&self) -> &'a str {
        self.raw.get("type").and_then(Value::as_str).unwrap_or("any")
    }

    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.raw.get(key).and_then(Value::as_str)
    }

    pub fn aliases(&self) -> Vec<&'a str> {
        strings(self.satudata.get("alias"))
    }
}

type Parts<'a> = (&'a Map<String, Value>, &'a Map<String, Value>, &'a Map<String, Value>);

fn parts(value: &Value) -> Option<Parts<'_>> {
    let root = value.as_object()?;
    if root.contains_key("fields") {
        return Some((&NOTHING, &NOTHING, root));
    }
    if let Some(schema) = root.get("schema").and_then(Value::as_object) {
        return Some((&NOTHING, root, schema));
    }
    let resources = root.get("resources")?.as_array()?.iter().filter_map(Value::as_object);
    let mut tables = resources.filter_map(|r| Some((root, r, r.get("schema")?.as_object()?)));
    tables.find(|(_, _, schema)| schema.contains_key("fields"))
}

pub(super) fn object(value: Option<&Value>) -> &Map<String, Value> {
    value.and_then(Value::as_object).unwrap_or(&NOTHING)
}

/// The texts of a text or of a list of texts.
pub(super) fn strings(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The value at `key`, `null` where there is none.
pub(super) fn get(map: &Map<String, Value>, key: &str) -> Value {
    map.get(key).cloned().unwrap_or(Value::Null)
}

/// The entries of `map` under `keys`, for showing what changed.
pub(super) fn only(map: &Map<String, Value>, keys: &[&str]) -> Value {
    let kept = keys.iter().filter_map(|key| Some(((*key).to_owned(), map.get(*key)?.clone())));
    let kept: Map<String, Value> = kept.collect();
    if kept.is_empty() { Value::Null } else { Value::Object(kept) }
}
