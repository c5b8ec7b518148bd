//! How the columns of a file fit the fields of the contract.

use crate::contract::{Contract, FieldsMatch, Layout};
use crate::field::{Field, Rule};
use crate::report::near;

/// Something wrong with the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderFault {
    pub(crate) rule: Rule,
    /// The field that is meant, if any.
    pub(crate) field: Option<usize>,
    /// The column in the file counted from 0; for a missing column its place in the contract.
    pub(crate) column: Option<usize>,
    pub(crate) label: String,
}

/// Which column of the file each field is read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) sources: Vec<Option<usize>>,
    /// Columns that every row has to have.
    pub(crate) width: usize,
    pub(crate) faults: Vec<HeaderFault>,
    /// The labels as the file has them; none in a file without a header.
    pub(crate) labels: Vec<String>,
}

impl Mapping {
    /// Fields in order, for files without a header.
    pub(crate) fn positional(fields: usize) -> Self {
        Self { sources: (0..fields).map(Some).collect(), width: fields, faults: Vec::new(), labels: Vec::new() }
    }

    /// The label that the file has for a field.
    pub(crate) fn label(&self, field: usize) -> Option<&str> {
        let column = self.sources.get(field).copied().flatten()?;
        self.labels.get(column).map(|label| label.trim()).filter(|label| !label.is_empty())
    }

    /// The labels that the file has for these fields, where one of them is not what people call its field.
    pub(crate) fn other_label(&self, contract: &Contract, fields: &[usize]) -> Option<String> {
        let same = |title: &str, label: &str| {
            let tight = |text: &str| near::folded(text).replace(' ', "");
            tight(title) == tight(label)
        };
        let titles = fields.iter().filter_map(|index| {
            let field = contract.fields.get(*index)?;
            let title = field.title.as_deref().unwrap_or(&field.name);
            Some((title, self.label(*index).unwrap_or(title)))
        });
        let titles: Vec<(&str, &str)> = titles.collect();
        let other = titles.iter().any(|(title, label)| !same(title, label));
        other.then(|| titles.iter().map(|(_, label)| *label).collect::<Vec<_>>().join(", "))
    }

    /// The field that is read from a column.
    pub(crate) fn field_of(&self, column: usize) -> Option<usize> {
        self.sources.iter().position(|source| *source == Some(column))
    }
}

/// Whether a label names the field, now or in an earlier version.
pub(crate) fn names(field: &Field, label: &str, layout: &Layout) -> bool {
    let aliases = || field.satudata("alias").and_then(serde_json::Value::as_array);
    field.name == label
        || field.name == label.trim()
        || layout.ignore_case && field.name.to_lowercase() == label.trim().to_lowercase()
        || aliases().is_some_and(|aliases| aliases.iter().any(|alias| alias.as_str() == Some(label.trim())))
}

/// How many fields these labels name.
pub(crate) fn named<'a>(contract: &Contract, labels: impl Iterator<Item = &'a str> + Clone) -> usize {
    let named = |field: &&Field| labels.clone().any(|label| names(field, label, &contract.layout));
    contract.fields.iter().filter(named).count()
}

/// Fits the labels of a header to the fields.
pub(crate) fn fit(contract: &Contract, labels: &[String]) -> Mapping {
    match contract.fields_match {
        // An empty line in the place of the header names nothing.
        FieldsMatch::Exact if matches!(labels, [label] if label.trim().is_empty()) => {
            Mapping::positional(contract.fields.len())
        }
        FieldsMatch::Exact => fit_by_order(contract, labels),
        _ => fit_by_name(contract, labels),
    }
}

fn repeats(labels: &[String], column: usize) -> bool {
    let label = labels.get(column).map(|label| label.trim());
    labels.iter().take(column).any(|earlier| Some(earlier.trim()) == label)
}

fn fit_by_order(contract: &Contract, labels: &[String]) -> Mapping {
    let fields = &contract.fields;
    let mut faults = Vec::new();
    for (column, label) in labels.iter().enumerate().skip(fields.len()) {
        faults.push(HeaderFault { rule: Rule::ExtraLabel, field: None, column: Some(column), label: label.clone() });
    }
    for (index, field) in fields.iter().enumerate().skip(labels.len()) {
        faults.push(missing(index, field));
    }
    for (column, (label, field)) in labels.iter().zip(fields).enumerate() {
        let rule = if label.trim().is_empty() {
            Rule::BlankLabel
        } else if repeats(labels, column) {
            Rule::DuplicateLabel
        } else if !names(field, label, &contract.layout) {
            Rule::IncorrectLabel
        } else {
            continue;
        };
        faults.push(HeaderFault { rule, field: Some(column), column: Some(column), label: label.clone() });
    }
    let sources = (0..fields.len()).map(|index| (index < labels.len()).then_some(index)).collect();
    Mapping { sources, width: labels.len(), faults, labels: labels.to_vec() }
}

fn missing(index: usize, field: &Field) -> HeaderFault {
    HeaderFault { rule: Rule::MissingLabel, field: Some(index), column: Some(index), label: field.name.clone() }
}

/// Fits the columns of a file that has names for them and no order that means anything.
pub(crate) fn fit_by_name(contract: &Contract, labels: &[String]) -> Mapping {
    let fields = &contract.fields;
    let mode = contract.fields_match;
    let only_known = matches!(mode, FieldsMatch::Exact | FieldsMatch::Equal | FieldsMatch::Superset);
    let all_needed = matches!(mode, FieldsMatch::Exact | FieldsMatch::Equal | FieldsMatch::Subset);
    let mut mapping = Mapping {
        sources: vec![None; fields.len()],
        width: labels.len(),
        labels: labels.to_vec(),
        ..Mapping::default()
    };
    for (column, label) in labels.iter().enumerate() {
        let known = fields.iter().position(|field| names(field, label, &contract.layout));
        let blank = label.trim().is_empty();
        let rule = if repeats(labels, column) && !blank { Rule::DuplicateLabel } else { Rule::ExtraLabel };
        match known {
            Some(index) if rule == Rule::ExtraLabel && mapping.sources.get(index) == Some(&None) => {
                if let Some(source) = mapping.sources.get_mut(index) {
                    *source = Some(column);
                }
            }
            None if !only_known => {}
            field => mapping.faults.push(HeaderFault { rule, field, column: Some(column), label: label.clone() }),
        }
    }
    if mode == FieldsMatch::Partial && mapping.sources.iter().all(Option::is_none) {
        mapping.faults =
            vec![HeaderFault { rule: Rule::UnmatchedHeader, field: None, column: None, label: labels.join(", ") }];
        return mapping;
    }
    for (index, field) in fields.iter().enumerate() {
        let needed = all_needed || field.required || contract.primary_key.contains(&index);
        if needed && mapping.sources.get(index) == Some(&None) {
            mapping.faults.push(missing(index, field));
        }
    }
    mapping
}
