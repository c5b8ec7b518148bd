//! From faults to a report: counting, choosing what is detailed, putting it in words.

use hashbrown::HashMap;

use crate::cell_words;
use crate::column::{Fault, Place};
use crate::contract::{Contract, Target};
use crate::field::{Field, Rule};
use crate::header::{HeaderFault, Mapping};
use crate::keys::LateFault;
use crate::messages::{self, Words};
use crate::reader::rows::{KeyFault, Rows, Tag};
use crate::reference::ReferenceTable;
use crate::report::{Finding, GROUP_ROWS, Group, Notice, shown};

/// Codes compared, over the whole file, in the search for what a person may have meant.
const NEAR_BUDGET: usize = 2_000_000;
/// The most edits between a code and what was meant.
const NEAR_EDITS: usize = 2;

/// Errors as they are found.
pub(crate) struct Collector {
    limit: usize,
    pub(crate) errors: Vec<Finding>,
    pub(crate) groups: Vec<Group>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) total: u64,
    index: HashMap<(Rule, Place), usize>,
    near_left: usize,
}

/// One batch while its faults are put in words.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) contract: &'a Contract,
    pub(crate) mapping: &'a Mapping,
    pub(crate) rows: &'a Rows,
    pub(crate) first_rows: &'a [(Fault, u64)],
}

impl Batch<'_> {
    fn field(&self, place: Place) -> Option<usize> {
        match place {
            Place::Row => None,
            Place::Field(index) => Some(index as usize),
            Place::Column(column) => self.mapping.field_of(column as usize),
        }
    }

    fn column(&self, place: Place) -> Option<usize> {
        match place {
            Place::Row => None,
            Place::Field(index) => self.mapping.sources.get(index as usize).copied().flatten(),
            Place::Column(column) => Some(column as usize),
        }
    }

    /// The text of the fields that a rule over several is about.
    fn key_text(&self, row: usize, columns: &[usize]) -> String {
        let texts: Vec<&str> = columns
            .iter()
            .filter_map(|index| self.mapping.sources.get(*index).copied().flatten())
            .map(|column| self.rows.get(self.rows.cell(row, column)))
            .collect();
        texts.join(", ")
    }

    fn first_row(&self, fault: &Fault) -> Option<u64> {
        let at = self.first_rows.binary_search_by(|(known, _)| known.cmp(fault)).ok()?;
        self.first_rows.get(at).map(|(_, row)| *row)
    }
}

impl Collector {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            errors: Vec::new(),
            groups: Vec::new(),
            notices: Vec::new(),
            total: 0,
            index: HashMap::new(),
            near_left: NEAR_BUDGET,
        }
    }

    /// Counts an error; gives its group if it is to be detailed.
    fn count(&mut self, rule: Rule, place: Place, field: Option<&Field>, row: Option<u64>) -> Option<u32> {
        self.total += 1;
        let groups = &mut self.groups;
        let index = *self.index.entry((rule, place)).or_insert_with(|| {
            let (kind, constraint) = rule.words();
            groups.push(Group {
                kind: kind.into(),
                constraint: constraint.map(Into::into),
                field: field.map(|field| field.name.clone()),
                title: field.map(|field| field.title.clone().unwrap_or_else(|| field.name.clone())),
                heading: messages::heading(rule, field),
                count: 0,
                rows: Vec::new(),
            });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(index) {
            group.count += 1;
            if let Some(row) = row
                && group.rows.len() < GROUP_ROWS
            {
                group.rows.push(row);
            }
        }
        let detailed = self.errors.len() < self.limit;
        detailed.then(|| u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// A fault of a batch.
    pub(crate) fn fault(&mut self, batch: Batch<'_>, fault: &Fault) {
        let number = batch.rows.rows.get(fault.row as usize).map(|info| info.number);
        let index = batch.field(fault.place);
        let field = index.and_then(|index| batch.contract.fields.get(index));
        // Cells beyond the header belong to no column that anyone could name.
        let place = if fault.rule == Rule::ExtraCell { Place::Row } else { fault.place };
        let Some(group) = self.count(fault.rule, place, field, number) else { return };
        let (kind, constraint) = fault.rule.words();
        let mut finding = Finding {
            row: number,
            field_number: batch.column(fault.place).map(|column| column as u64 + 1),
            field: field.map(|field| field.name.clone()),
            kind: kind.into(),
            constraint: constraint.map(Into::into),
            value: None,
            message: crate::report::Text::default(),
            hint: None,
            fixed: None,
            personal: field.is_some_and(|field| field.personal),
            masked: false,
            group,
        };
        let words = match (field, fault.rule) {
            (None, Rule::ExtraCell) => self.extra_words(batch, fault, &mut finding),
            (Some(field), rule) if !matches!(fault.place, Place::Row) => {
                let column = batch.column(fault.place);
                let span = column.map(|column| batch.rows.cell(fault.row as usize, column));
                let value = span.map(|span| batch.rows.get(span)).unwrap_or_default();
                finding.value = span.filter(|span| span.tag() != Tag::Missing).map(|_| shown(value));
                let typed = span.filter(|_| batch.rows.typed && rule == Rule::Type);
                typed
                    .and_then(|span| cell_words::cell(field, span.tag(), value))
                    .unwrap_or_else(|| messages::cell(rule, field, value, batch.first_row(fault)))
            }
            _ => self.row_words(batch, fault, &mut finding),
        };
        self.push(finding, words);
    }

    fn push(&mut self, mut finding: Finding, words: Words) {
        finding.message = words.message;
        finding.hint = words.hint;
        finding.fixed = words.fixed;
        self.errors.push(finding);
    }

    fn extra_words(&self, batch: Batch<'_>, fault: &Fault, finding: &mut Finding) -> Words {
        let column = batch.column(fault.place).unwrap_or_default() as u32;
        let extra = batch.rows.extras.iter().find(|(row, place, _)| (*row, *place) == (fault.row, column));
        finding.value = extra.map(|(_, _, span)| shown(batch.rows.get(*span)));
        // What stands in a column without a name may be anything.
        finding.personal = batch.contract.fields.iter().any(|field| field.personal);
        let present = batch.rows.rows.get(fault.row as usize).map_or(0, |info| info.present);
        messages::extra_cell(present, batch.rows.width)
    }

    /// Rules over a row or over several of its fields.
    fn row_words(&mut self, batch: Batch<'_>, fault: &Fault, finding: &mut Finding) -> Words {
        let contract = batch.contract;
        let row = fault.row as usize;
        let columns: &[usize] = match fault.rule {
            Rule::PrimaryKey | Rule::PrimaryKeyNull => &contract.primary_key,
            Rule::UniqueKey(key) => contract.unique_keys.get(usize::from(key)).map_or(&[], Vec::as_slice),
            Rule::ForeignKey(key) => {
                contract.foreign_keys.get(usize::from(key)).map_or(&[], |key| key.columns.as_slice())
            }
            _ => &[],
        };
        let mut detail = String::new();
        if let Some(first) = columns.first() {
            let value = batch.key_text(row, columns);
            finding.value = Some(shown(&value));
            finding.field_number = batch.column(Place::Field(*first as u32)).map(|column| column as u64 + 1);
            finding.field = contract.fields.get(*first).map(|field| field.name.clone());
            finding.personal =
                columns.iter().filter_map(|index| contract.fields.get(*index)).any(|field| field.personal);
            detail = value;
        }
        if let Some(fault) = key_fault(batch.rows, fault) {
            match fault {
                KeyFault::Unknown(name) | KeyFault::Twice(name) => finding.value = Some(name.clone()),
                KeyFault::NotAnObject(why) => detail.clone_from(why),
                KeyFault::Absent(_) => {}
            }
        }
        let near = match fault.rule {
            Rule::ForeignKey(key) => self.near(contract, key, &detail),
            _ => None,
        };
        messages::row(fault.rule, contract, &detail, batch.first_row(fault), near)
    }

    /// The code of the list that is nearest to an unknown one, with its name.
    fn near(&mut self, contract: &Contract, key: u16, value: &str) -> Option<(String, Option<String>)> {
        let key = contract.foreign_keys.get(usize::from(key))?;
        let Target::List { table, fields, .. } = &key.target else { return None };
        let [field] = fields.as_slice() else { return None };
        let codes = table.column(field)?;
        self.near_left = self.near_left.checked_sub(codes.len())?;
        nearest(codes, table, value)
    }

    /// A fault of the header.
    pub(crate) fn header(&mut self, contract: &Contract, fault: &HeaderFault) {
        let field = fault.field.and_then(|index| contract.fields.get(index));
        let place = fault.column.map_or(Place::Row, |column| Place::Column(column as u32));
        let Some(group) = self.count(fault.rule, place, field, None) else { return };
        let (kind, constraint) = fault.rule.words();
        let finding = Finding {
            row: None,
            field_number: fault.column.map(|column| column as u64 + 1),
            field: field.map(|field| field.name.clone()),
            kind: kind.into(),
            constraint: constraint.map(Into::into),
            value: Some(shown(&fault.label)),
            message: crate::report::Text::default(),
            hint: None,
            fixed: None,
            personal: false,
            masked: false,
            group,
        };
        self.push(finding, messages::header(fault.rule, contract, field, &fault.label));
    }

    /// A reference of the table to itself that nothing answered.
    pub(crate) fn late(&mut self, contract: &Contract, mapping: &Mapping, fault: &LateFault) {
        let rule = Rule::ForeignKey(fault.key as u16);
        let Some(group) = self.count(rule, Place::Row, None, Some(fault.row)) else { return };
        let columns = contract.foreign_keys.get(fault.key).map_or(&[][..], |key| key.columns.as_slice());
        let first = columns.first().copied();
        let (kind, constraint) = rule.words();
        let source = first.and_then(|first| mapping.sources.get(first).copied().flatten());
        let finding = Finding {
            row: Some(fault.row),
            field_number: source.map(|column| column as u64 + 1),
            field: first.and_then(|first| contract.fields.get(first)).map(|field| field.name.clone()),
            kind: kind.into(),
            constraint: constraint.map(Into::into),
            value: Some(shown(&fault.value)),
            message: crate::report::Text::default(),
            hint: None,
            fixed: None,
            personal: columns.iter().filter_map(|index| contract.fields.get(*index)).any(|field| field.personal),
            masked: false,
            group,
        };
        self.push(finding, messages::row(rule, contract, &fault.value, None, None));
        self.errors.sort_by_key(|finding| finding.row);
    }
}

fn key_fault<'a>(rows: &'a Rows, fault: &Fault) -> Option<&'a KeyFault> {
    rows.key_faults
        .iter()
        .find(|(row, known)| *row == fault.row && key_rule(known) == fault.rule)
        .map(|(_, known)| known)
}

/// The rule that a fault of an object breaks.
pub(crate) const fn key_rule(fault: &KeyFault) -> Rule {
    match fault {
        KeyFault::Unknown(_) => Rule::UnknownKey,
        KeyFault::Twice(_) => Rule::DuplicateKey,
        KeyFault::Absent(_) => Rule::MissingCell,
        KeyFault::NotAnObject(_) => Rule::BadObject,
    }
}

fn nearest(codes: &[Option<Box<str>>], table: &ReferenceTable, value: &str) -> Option<(String, Option<String>)> {
    let mut best: Option<(usize, usize)> = None;
    for (index, code) in codes.iter().enumerate() {
        let Some(code) = code else { continue };
        let limit = best.map_or(NEAR_EDITS, |(distance, _)| distance.saturating_sub(1));
        if let Some(distance) = messages::distance(value.trim(), code, limit) {
            best = Some((distance, index));
            if distance == 0 {
                break;
            }
        }
    }
    let (_, index) = best?;
    let code = codes.get(index)?.as_deref()?.to_owned();
    let name = table.labels().and_then(|labels| labels.get(index)).and_then(Option::as_deref).map(str::to_owned);
    Some((code, name))
}
