//! The types that a column could have: each cell is read under all of them until they are ruled out.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::contract::Contract;
use crate::form::Form;
use crate::reference::NoReferences;

/// Which kind of values a candidate stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole numbers.
    Whole,
    /// Numbers with a fraction.
    Decimal,
    /// Dates, times and both.
    Moment,
    /// Yes or no.
    Truth,
}

/// How a candidate writes numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locale {
    /// Digits, at most a decimal point.
    Plain,
    /// `1.234,5`
    Indonesian,
    /// `1,234.5`
    English,
}

/// One type that is tried.
pub(super) struct Candidate {
    /// The properties of a field with this type.
    pub(super) properties: Map<String, Value>,
    pub(super) kind: Kind,
    pub(super) locale: Locale,
    /// Numbers with `Rp` before or `%` behind, and nothing else.
    pub(super) dressed: bool,
    form: Form,
}

/// Every candidate, preferred ones first.
pub(super) static CANDIDATES: LazyLock<Vec<Candidate>> = LazyLock::new(|| {
    let listed = listed();
    let fields: Vec<Value> = listed
        .iter()
        .enumerate()
        .map(|(index, (_, _, properties))| {
            let mut field = properties.clone();
            field["name"] = index.to_string().into();
            field
        })
        .collect();
    let package = json!({"$schema": "https://datapackage.org/profiles/2.0/datapackage.json", "name": "c",
        "resources": [{"name": "c", "schema": {"fields": fields}}]});
    // The list is a constant of this file, and a test compiles it.
    let compiled = Contract::compile(&package, &NoReferences).map(|contract| contract.fields).unwrap_or_default();
    let candidate = |((kind, locale, properties), field): ((Kind, Locale, Value), crate::Field)| Candidate {
        dressed: properties.get("bareNumber").is_some(),
        properties: properties.as_object().cloned().unwrap_or_default(),
        kind,
        locale,
        form: field.form,
    };
    listed.into_iter().zip(compiled).map(candidate).collect()
});

fn listed() -> Vec<(Kind, Locale, Value)> {
    use Kind::{Decimal, Moment, Truth, Whole};
    use Locale::{English, Indonesian, Plain};
    let mut listed = vec![
        (Whole, Plain, json!({"type": "integer"})),
        (Decimal, Plain, json!({"type": "number"})),
        (Whole, Indonesian, json!({"type": "integer", "groupChar": "."})),
        (Decimal, Indonesian, json!({"type": "number", "groupChar": ".", "decimalChar": ","})),
        (Whole, English, json!({"type": "integer", "groupChar": ","})),
        (Decimal, English, json!({"type": "number", "groupChar": ","})),
        (Decimal, Plain, json!({"type": "number", "bareNumber": false})),
        (Decimal, Indonesian, json!({"type": "number", "groupChar": ".", "decimalChar": ",", "bareNumber": false})),
    ];
    let dates = [
        "default", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%y", "%d %B %Y",
        "%d %b %Y", "%d-%b-%Y", "%d-%b-%y",
    ];
    let datetimes = [
        "default",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%d %H:%M:%S.%f",
        "%Y-%m-%dT%H:%M:%S%z",
        "%Y-%m-%d %H:%M:%S%z",
        "%d/%m/%Y %H:%M:%S",
        "%d/%m/%Y %H:%M",
        "%d-%m-%Y %H:%M:%S",
        "%d-%m-%Y %H:%M",
        "%d %B %Y %H:%M",
        "%d %B %Y %H:%M:%S",
    ];
    for (name, patterns) in [("date", &dates[..]), ("datetime", &datetimes), ("time", &["default", "%H:%M"])] {
        for pattern in patterns {
            let mut properties = json!({"type": name});
            if *pattern != "default" {
                properties["format"] = (*pattern).into();
            }
            listed.push((Moment, Plain, properties));
        }
    }
    listed.push((Moment, Plain, json!({"type": "yearmonth"})));
    for (yes, no) in
        [(["true", "True", "TRUE"], ["false", "False", "FALSE"]), (["ya", "Ya", "YA"], ["tidak", "Tidak", "TIDAK"])]
    {
        listed.push((Truth, Plain, json!({"type": "boolean", "trueValues": yes, "falseValues": no})));
    }
    listed.push((Moment, Plain, json!({"type": "duration"})));
    listed
}

impl Candidate {
    /// Whether a cell can be read so.
    pub(super) fn fits(&self, text: &str, tag: crate::reader::rows::Tag) -> bool {
        let dressed = text.starts_with("Rp") || text.ends_with('%');
        self.dressed == dressed && self.form.read(text, tag).is_some()
    }

    /// The type's name.
    pub(super) fn name(&self) -> &str {
        self.properties.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// A property of the type.
    pub(super) fn text(&self, key: &str) -> &str {
        self.properties.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_candidate_compiles_to_the_type_that_it_names() {
        assert_eq!(CANDIDATES.len(), listed().len());
        for candidate in CANDIDATES.iter() {
            assert_eq!(candidate.form.name(), candidate.name());
        }
    }
}
