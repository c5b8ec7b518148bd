//! From faults to a report: counting, choosing what is detailed, putting it in words.

use hashbrown::HashMap;

use crate::across::AcrossRule;
use crate::cell_words;
use crate::column::{Fault, Place};
use crate::contract::{Contract, Target};
use crate::field::{Field, Rule};
use crate::header::{HeaderFault, Mapping};
use crate::keys::LateFault;
use crate::messages::{self, Words};
use crate::reader::rows::{KeyFault, Rows, Tag};
use crate::report::fits::Asked;
use crate::report::labels::{self, Header};
use crate::report::near::{Code, Search};
use crate::report::strays::Stray;
use crate::report::words::title;
use crate::report::{Finding, GROUP_ROWS, GROUP_RUNS, Group, Notice, Severity, satudata, shown, speech};

/// Cells that the message about a rule across columns shows.
const SHOWN_COLUMNS: usize = 8;

/// The place of errors that others already say: they are counted by themselves.
const IMPLIED: Place = Place::Column(u32::MAX);

/// Rows that are named for being no data.
const STRAYS: usize = 10;

/// Errors as they are found.
pub(crate) struct Collector {
    limit: usize,
    pub(crate) errors: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
    pub(crate) groups: Vec<Group>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) total: u64,
    pub(crate) warned: u64,
    index: HashMap<(Rule, Place), usize>,
    near: Search,
    strays: usize,
}

/// One batch while its faults are put in words.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) contract: &'a Contract,
    pub(crate) mapping: &'a Mapping,
    pub(crate) rows: &'a Rows,
    pub(crate) first_rows: &'a [(Fault, u64)],
    /// The faults of the batch, sorted.
    pub(crate) faults: &'a [Fault],
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

    /// What a row that has errors seems to be, if not data.
    fn stray(&self, row: u32, faults: &[Fault]) -> Option<Stray> {
        let cells: Vec<&str> =
            (0..self.rows.width).map(|column| self.rows.get(self.rows.cell(row as usize, column))).collect();
        let first = cells.iter().position(|cell| !cell.trim().is_empty())?;
        let lacking = faults.iter().any(|fault| {
            matches!(fault.rule, Rule::Required | Rule::PrimaryKeyNull | Rule::MissingCell)
                || self.column(fault.place) == Some(first)
        });
        Stray::of(&cells, &self.mapping.labels, lacking)
    }

    /// Whether a primary key is null because the row is blank or its cells are wrong, which is said of them.
    fn null_is_implied(&self, fault: &Fault) -> bool {
        let has = |column: usize, rule| {
            let wanted = Fault { row: fault.row, place: Place::Field(column as u32), rule };
            self.faults.binary_search(&wanted).is_ok()
        };
        let said = |column: &usize| has(*column, Rule::Type) || has(*column, Rule::Required);
        fault.rule == Rule::PrimaryKeyNull
            && (self.rows.rows.get(fault.row as usize).is_some_and(|info| info.blank)
                || self.contract.primary_key.iter().any(said))
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
            warnings: Vec::new(),
            groups: Vec::new(),
            notices: Vec::new(),
            total: 0,
            warned: 0,
            index: HashMap::new(),
            near: Search::default(),
            strays: 0,
        }
    }

    /// Counts an error about these fields; gives its group if it is to be detailed.
    fn count(
        &mut self,
        (contract, mapping): (&Contract, &Mapping),
        (rule, place): (Rule, Place),
        fields: &[usize],
        row: Option<u64>,
    ) -> Option<u32> {
        let severity = rule.severity();
        let (total, detailed) = match severity {
            Severity::Error => (&mut self.total, self.errors.len()),
            Severity::Warning => (&mut self.warned, self.warnings.len()),
        };
        *total += 1;
        let groups = &mut self.groups;
        let index = *self.index.entry((rule, place)).or_insert_with(|| {
            let (kind, constraint) = rule.words();
            let named: Vec<&Field> = fields.iter().filter_map(|index| contract.fields.get(*index)).collect();
            let only = if let [field] = named.as_slice() { Some(*field) } else { None };
            let titles: Vec<&str> = named.iter().map(|field| field.title.as_deref().unwrap_or(&field.name)).collect();
            groups.push(Group {
                kind: kind.into(),
                constraint: constraint.map(Into::into),
                field: only.map(|field| field.name.clone()),
                title: (!titles.is_empty()).then(|| titles.join(", ")),
                label: mapping.other_label(contract, fields),
                heading: messages::heading(rule, contract, only),
                count: 0,
                rows: Vec::new(),
                ranges: Vec::new(),
                more: false,
                severity,
                implied: place == IMPLIED,
            });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(index) {
            group.count += 1;
            if let Some(row) = row {
                if group.rows.len() < GROUP_ROWS {
                    group.rows.push(row);
                }
                group.more |= !speech::add_row(&mut group.ranges, row, GROUP_RUNS);
            }
        }
        (detailed < self.limit).then(|| u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Names the first rows of a batch that seem to be no data.
    pub(crate) fn strays(&mut self, batch: Batch<'_>) {
        for faults in batch.faults.chunk_by(|one, other| one.row == other.row) {
            if self.strays >= STRAYS {
                return;
            }
            let Some(row) = faults.first().map(|fault| fault.row) else { continue };
            let info = batch.rows.rows.get(row as usize).filter(|info| !info.blank && !info.unreadable);
            if let (Some(info), Some(stray)) = (info, batch.stray(row, faults)) {
                self.strays += 1;
                self.notices.push(Notice { code: "row-is-no-data".into(), message: stray.words(info.number) });
            }
        }
    }

    /// A fault of a batch.
    pub(crate) fn fault(&mut self, batch: Batch<'_>, fault: &Fault) {
        let number = batch.rows.rows.get(fault.row as usize).map(|info| info.number);
        let index = batch.field(fault.place);
        let field = index.and_then(|index| batch.contract.fields.get(index));
        // Cells beyond the header belong to no column that anyone could name.
        let place = match fault.rule {
            Rule::ExtraCell => Place::Row,
            _ if batch.null_is_implied(fault) => IMPLIED,
            _ => fault.place,
        };
        let fields = index.as_ref().map_or_else(|| key_columns(batch.contract, fault.rule), std::slice::from_ref);
        let detailed = self.count((batch.contract, batch.mapping), (fault.rule, place), fields, number);
        self.name_across(batch.contract, fault.rule);
        let Some(group) = detailed else { return };
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
            guess: false,
            tells: false,
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
                let asked = Asked { contract: batch.contract, field };
                let typed = span.filter(|_| batch.rows.typed && rule == Rule::Type);
                typed
                    .and_then(|span| cell_words::cell(field, span.tag(), value))
                    .unwrap_or_else(|| messages::cell(rule, asked, value, batch.first_row(fault)))
            }
            _ => self.row_words(batch, fault, &mut finding),
        };
        self.push(finding, words);
    }

    /// A rule of the contract is known by its own name.
    fn name_across(&mut self, contract: &Contract, rule: Rule) {
        let Some(across) = across_rule(contract, rule) else { return };
        let group = self.index.get(&(rule, Place::Row)).and_then(|index| self.groups.get_mut(*index));
        if let Some(group) = group.filter(|group| group.constraint.is_none()) {
            group.heading = satudata::across_heading(&across.name);
            group.constraint = Some(across.name.clone().into());
        }
    }

    fn push(&mut self, mut finding: Finding, words: Words) {
        finding.message = words.message;
        finding.hint = words.hint;
        finding.fixed = words.fixed;
        finding.guess = words.guess;
        finding.tells = words.tells;
        let warns = self.groups.get(finding.group as usize).is_some_and(|group| group.severity == Severity::Warning);
        if warns { self.warnings.push(finding) } else { self.errors.push(finding) }
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
        let columns = key_columns(contract, fault.rule);
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
                KeyFault::Unknown(name) | KeyFault::Twice(name) => {
                    finding.value = Some(name.clone());
                    finding.personal = may_be_a_value(contract, name);
                    detail.clone_from(name);
                }
                KeyFault::NotAnObject(why) => detail.clone_from(why),
                KeyFault::Absent(_) => {}
            }
        }
        if let Some(across) = across_rule(contract, fault.rule) {
            finding.value = Some(across_cells(batch, row, across.columns()));
            finding.constraint = Some(across.name.clone().into());
            let number = |column: usize| {
                let cell = batch.rows.cell(row, batch.mapping.sources.get(column).copied().flatten()?);
                Some((batch.rows.get(cell), cell.tag()))
            };
            return satudata::across(across, contract, &number);
        }
        let near = match fault.rule {
            Rule::ForeignKey(key) => self.near(contract, key, &detail),
            _ => Vec::new(),
        };
        if batch.null_is_implied(fault) {
            return messages::implied_null();
        }
        let words = messages::row(fault.rule, contract, &detail, batch.first_row(fault), &near);
        match columns {
            [column] if matches!(fault.rule, Rule::ForeignKey(_)) => {
                let field = contract.fields.get(*column);
                let words = field.map_or(words.clone(), |field| Asked { contract, field }.sound(words));
                words.unseen(&detail)
            }
            _ => words,
        }
    }

    /// The codes of the list that are nearest to an unknown one.
    fn near(&mut self, contract: &Contract, number: u16, value: &str) -> Vec<Code> {
        let key = contract.foreign_keys.get(usize::from(number));
        let Some(Target::List { table, fields, .. }) = key.map(|key| &key.target) else { return Vec::new() };
        let [field] = fields.as_slice() else { return Vec::new() };
        let column = key.and_then(|key| key.columns.first()).and_then(|column| contract.fields.get(*column));
        let accepts = |code: &str| column.is_none_or(|field| Asked { contract, field }.accepts(code));
        self.near.codes(number, table, field, value, &accepts)
    }

    /// The faults of a header. Says whether none of its labels means anything.
    pub(crate) fn header(&mut self, contract: &Contract, mapping: &Mapping) -> bool {
        let header = Header::new(contract, mapping);
        for fault in &mapping.faults {
            self.header_fault(contract, mapping, &header, fault);
        }
        header.is_lost()
    }

    fn header_fault(&mut self, contract: &Contract, mapping: &Mapping, header: &Header<'_>, fault: &HeaderFault) {
        let field = fault.field.and_then(|index| contract.fields.get(index));
        let place = fault.column.map_or(Place::Row, |column| Place::Column(column as u32));
        let detailed = self.count((contract, mapping), (fault.rule, place), fault.field.as_slice(), None);
        let group = self.index.get(&(fault.rule, place)).and_then(|index| self.groups.get_mut(*index));
        if let Some(group) = group {
            group.implied |= header.is_implied(fault);
            if header.is_renamed(fault) {
                group.heading = labels::renamed_heading();
            }
        }
        let Some(group) = detailed else { return };
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
            guess: false,
            tells: false,
            personal: fault.rule != Rule::MissingLabel && may_be_a_value(contract, &fault.label),
            masked: false,
            group,
        };
        self.push(finding, header.words(fault));
    }

    /// A reference of the table to itself that nothing answered.
    pub(crate) fn late(&mut self, contract: &Contract, mapping: &Mapping, fault: &LateFault) {
        let rule = Rule::ForeignKey(fault.key as u16);
        let columns = key_columns(contract, rule);
        let detailed = self.count((contract, mapping), (rule, Place::Row), columns, Some(fault.row));
        let Some(group) = detailed else { return };
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
            guess: false,
            tells: false,
            personal: columns.iter().filter_map(|index| contract.fields.get(*index)).any(|field| field.personal),
            masked: false,
            group,
        };
        self.push(finding, messages::row(rule, contract, &fault.value, None, &[]));
        self.errors.sort_by_key(|finding| finding.row);
    }
}

/// The fields that a rule over a row is about.
fn key_columns(contract: &Contract, rule: Rule) -> &[usize] {
    match rule {
        Rule::PrimaryKey | Rule::PrimaryKeyNull => &contract.primary_key,
        Rule::Across(rule) | Rule::AcrossWarning(rule) => {
            contract.rules.get(usize::from(rule)).map_or(&[], AcrossRule::columns)
        }
        Rule::UniqueKey(key) => contract.unique_keys.get(usize::from(key)).map_or(&[], Vec::as_slice),
        Rule::ForeignKey(key) => contract.foreign_keys.get(usize::from(key)).map_or(&[], |key| key.columns.as_slice()),
        _ => &[],
    }
}

/// The rule of the contract that a rule across columns is.
fn across_rule(contract: &Contract, rule: Rule) -> Option<&AcrossRule> {
    match rule {
        Rule::Across(number) | Rule::AcrossWarning(number) => contract.rules.get(usize::from(number)),
        _ => None,
    }
}

/// The cells that a rule across columns looked at, by the labels that the file has for them.
fn across_cells(batch: Batch<'_>, row: usize, columns: &[usize]) -> String {
    let cells = columns.iter().take(SHOWN_COLUMNS).filter_map(|index| {
        let value = shown(&batch.key_text(row, &[*index]));
        let field = batch.contract.fields.get(*index)?;
        let name = batch.mapping.label(*index).map_or_else(|| title(field), shown);
        Some(format!("{name} = {}", if value.is_empty() { "∅" } else { &value }))
    });
    let more = if columns.len() > SHOWN_COLUMNS { ", …" } else { "" };
    cells.collect::<Vec<_>>().join(", ") + more
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

/// A file that lacks its header has the first person in the place of the labels, so a label that is near to no field may be
/// anything.
fn may_be_a_value(contract: &Contract, label: &str) -> bool {
    contract.fields.iter().any(|field| field.personal) && !labels::is_known(contract, label)
}
