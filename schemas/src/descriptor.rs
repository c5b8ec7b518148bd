//! Reading descriptors: every property with its type, every fault with its place.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::report::Text;

/// Why a descriptor cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{path}: {}", self.message.en)]
pub struct DescriptorError {
    /// Which part is wrong: `package-error`, `resource-error`, `encoding-error`, `dialect-error`,
    /// `schema-error`, `field-error`, or `reference-error` for a list that is not there.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where, as a JSON pointer into the descriptor.
    pub path: String,
    /// What is wrong.
    pub message: Text,
}

/// One object of a descriptor, and where faults go.
pub(crate) struct Props<'a, 'e> {
    object: &'a Map<String, Value>,
    kind: &'static str,
    pub(crate) path: String,
    pub(crate) errors: &'e mut Vec<DescriptorError>,
}

impl<'a, 'e> Props<'a, 'e> {
    pub(crate) const fn new(
        object: &'a Map<String, Value>,
        kind: &'static str,
        path: String,
        errors: &'e mut Vec<DescriptorError>,
    ) -> Self {
        Self { object, kind, path, errors }
    }

    pub(crate) fn raw(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name)
    }

    pub(crate) fn fault(&mut self, name: &str, id: impl Into<String>, en: impl Into<String>) {
        let path = if name.is_empty() { self.path.clone() } else { format!("{}/{name}", self.path) };
        self.errors.push(DescriptorError { kind: self.kind.to_owned(), path, message: Text::new(id, en) });
    }

    fn wrong(&mut self, name: &str, id: &str, en: &str) {
        self.fault(name, format!("«{name}» harus {id}"), format!("“{name}” has to be {en}"));
    }

    pub(crate) fn string(&mut self, name: &str) -> Option<&'a str> {
        match self.raw(name)? {
            Value::String(text) => Some(text),
            _ => {
                self.wrong(name, "teks", "a string");
                None
            }
        }
    }

    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        match self.raw(name)? {
            Value::Bool(flag) => Some(*flag),
            _ => {
                self.wrong(name, "true atau false", "true or false");
                None
            }
        }
    }

    /// A whole number from 0.
    pub(crate) fn count(&mut self, name: &str) -> Option<u64> {
        let value = self.raw(name)?;
        let whole = |number: f64| (number.fract() == 0.0 && (0.0..1e15).contains(&number)).then_some(number as u64);
        let count = value.as_u64().or_else(|| value.as_f64().and_then(whole));
        if count.is_none() {
            self.wrong(name, "bilangan bulat mulai 0", "a whole number from 0");
        }
        count
    }

    pub(crate) fn list(&mut self, name: &str) -> Option<&'a [Value]> {
        match self.raw(name)? {
            Value::Array(items) => Some(items),
            _ => {
                self.wrong(name, "larik", "an array");
                None
            }
        }
    }

    pub(crate) fn object(&mut self, name: &str) -> Option<&'a Map<String, Value>> {
        match self.raw(name)? {
            Value::Object(object) => Some(object),
            _ => {
                self.wrong(name, "objek", "an object");
                None
            }
        }
    }

    pub(crate) fn strings(&mut self, name: &str) -> Option<Vec<&'a str>> {
        let items = self.list(name)?;
        let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
        if texts.is_none() {
            self.wrong(name, "larik teks", "an array of strings");
        }
        texts
    }

    /// An array of strings, or one string as version 1 wrote it.
    pub(crate) fn names(&mut self, name: &str) -> Option<Vec<&'a str>> {
        match self.raw(name)? {
            Value::String(text) => Some(vec![text]),
            _ => self.strings(name),
        }
    }

    /// Record numbers from 1.
    pub(crate) fn rows(&mut self, name: &str) -> Option<Vec<u64>> {
        let items = self.list(name)?;
        let rows: Option<Vec<u64>> = items.iter().map(|item| item.as_u64().filter(|row| *row > 0)).collect();
        if rows.is_none() {
            self.wrong(name, "larik nomor baris mulai 1", "an array of row numbers from 1");
        }
        rows.map(|mut rows| {
            rows.sort_unstable();
            rows.dedup();
            rows
        })
    }

    /// One ASCII character, or nothing for null and the empty string.
    pub(crate) fn byte(&mut self, name: &str) -> Option<Option<u8>> {
        match self.raw(name)? {
            Value::Null => Some(None),
            Value::String(text) => match text.as_bytes() {
                [] => Some(None),
                [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Some(Some(*byte)),
                _ => {
                    self.wrong(name, "satu karakter ASCII", "one ASCII character");
                    None
                }
            },
            _ => {
                self.wrong(name, "satu karakter", "one character");
                None
            }
        }
    }
}
