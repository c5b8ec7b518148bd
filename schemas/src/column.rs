//! The inner loop: one column of a batch, from text to a typed array.
//!
//! A column is read from top to bottom before the next one, so that the type is chosen once per
//! batch and not once per cell. A bad cell becomes a null and a fault; the row is filtered later.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, new_null_array};

use crate::field::{Constraints, Field, Rule, breaks, same};
use crate::form::{Form, Logical, boolean, in_zone, number_code, order_numbers, stamp_date, stamp_datetime};
use crate::lexical::identity::Doubt;
use crate::lexical::number::{Decimal, NumberForm, Wide, integer, json_integer, number};
use crate::lexical::temporal::{Stamp, TemporalForm, write_datetime, write_time, year};
use crate::lexical::text::TextFormat;
use crate::reader::rows::{Rows, Span, Tag};

/// Where in a row something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// The row as a whole, or several fields of it.
    Row,
    /// A field of the contract.
    Field(u32),
    /// A column of the file, counted from 0.
    Column(u32),
}

/// One rule broken in one row of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    pub(crate) row: u32,
    pub(crate) place: Place,
    pub(crate) rule: Rule,
}

/// What a column is read under.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) field: &'a Field,
    pub(crate) index: u32,
    pub(crate) rows: &'a Rows,
    /// The values will be stored: one that 64 bits cannot hold is refused.
    pub(crate) storable: bool,
}

/// Faults of one column, and values too wide to be stored.
pub(crate) struct Marks<'a> {
    faults: &'a mut Vec<Fault>,
    doubts: &'a mut Vec<Fault>,
    place: Place,
    row: u32,
    pub(crate) too_wide: u64,
}

impl Marks<'_> {
    #[cold]
    fn fault(&mut self, rule: Rule) {
        self.faults.push(Fault { row: self.row, place: self.place, rule });
    }

    #[cold]
    fn doubt(&mut self, doubt: Doubt) {
        self.doubts.push(Fault { row: self.row, place: self.place, rule: Rule::Doubt(doubt) });
    }
}

/// Reads the column of a field. Says how many values were too wide to be stored.
pub(crate) fn read(
    reading: Reading<'_>,
    source: Option<usize>,
    faults: &mut Vec<Fault>,
    doubts: &mut Vec<Fault>,
) -> (ArrayRef, u64) {
    let place = Place::Field(reading.index);
    let mut marks = Marks { faults, doubts, place, row: 0, too_wide: 0 };
    let Some(source) = source else {
        return (new_null_array(&reading.field.form.data_type(), reading.rows.rows.len()), 0);
    };
    let array: ArrayRef = match &reading.field.form {
        Form::Text(format) => texts(reading, source, &mut marks, *format),
        Form::Integer(form) => integers(reading, source, &mut marks, form),
        Form::Number(form) => numbers(reading, source, &mut marks, form),
        Form::Date(form) => dates(reading, source, &mut marks, form),
        Form::Year => years(reading, source, &mut marks),
        Form::Boolean { yes, no } => booleans(reading, source, &mut marks, yes, no),
        form @ Form::DateTime { .. } if form.is_instant() => instants(reading, source, &mut marks),
        _ => others(reading, source, &mut marks),
    };
    (array, marks.too_wide)
}

/// Visits every cell: `None` is a null that is already accounted for.
#[inline]
fn each<'a>(
    reading: Reading<'a>,
    source: usize,
    marks: &mut Marks<'_>,
    mut take: impl FnMut(Option<(&'a str, Tag)>, &mut Marks<'_>),
) {
    let Reading { field, rows, .. } = reading;
    for (row, (info, span)) in rows.rows.iter().zip(rows.column(source)).enumerate() {
        marks.row = row as u32;
        let tag = span.tag();
        let text = rows.get(span);
        let null = match tag {
            Tag::Text | Tag::Error => field.missing.contains(text),
            Tag::Null | Tag::Missing => true,
            // Nothing where something has to be; elsewhere a formula without its value is no value of any type.
            Tag::NoValue => field.required,
            _ => false,
        };
        if !null && !info.blank {
            take(Some((text, tag)), marks);
            continue;
        }
        if field.required && !info.blank {
            marks.fault(Rule::Required);
        }
        take(None, marks);
    }
}

fn texts(reading: Reading<'_>, source: usize, marks: &mut Marks<'_>, format: TextFormat) -> ArrayRef {
    let constraints = &reading.field.constraints;
    let free = constraints.is_free() && format == TextFormat::Any;
    let rows = reading.rows.rows.len();
    let bytes = reading.rows.column(source).map(Span::len).sum();
    let mut out = StringBuilder::with_capacity(rows, bytes);
    let mut last_good: Option<&str> = None;
    each(reading, source, marks, |cell, marks| match cell {
        None => out.append_null(),
        Some((text, Tag::Text)) => {
            // Neighbouring rows often repeat a code: what was good is good again.
            if !free && !last_good.is_some_and(|good| same(good.as_bytes(), text.as_bytes())) {
                if format != TextFormat::Any && !format.accepts(text) {
                    marks.fault(Rule::Type);
                    return out.append_null();
                }
                let good = check_text(text, constraints, marks);
                if let TextFormat::Identity(identity) = format {
                    identity.doubts(text, |doubt| marks.doubt(doubt));
                } else if good {
                    last_good = Some(text);
                }
            }
            out.append_value(text);
        }
        Some(_) => {
            marks.fault(Rule::Type);
            out.append_null();
        }
    });
    Arc::new(out.finish())
}

fn check_text(text: &str, constraints: &Constraints, marks: &mut Marks<'_>) -> bool {
    let mut good = true;
    if !constraints.length_is_good(text.len()) {
        constraints.broken_length(text.chars().count() as u64, &mut |rule| {
            good = false;
            marks.fault(rule);
        });
    }
    if constraints.pattern.as_ref().is_some_and(|pattern| !pattern.accepts(text)) {
        good = false;
        marks.fault(Rule::Pattern);
    }
    if let Some((rule, allowed)) = &constraints.allowed
        && !allowed.has_text(text)
    {
        good = false;
        marks.fault(*rule);
    }
    good
}

/// The bounds of a column in the representation of its loop.
fn bounds<T>(constraints: &Constraints, get: impl Fn(&Logical) -> Option<T>) -> Vec<(Rule, T)> {
    constraints.bounds.iter().filter_map(|(rule, bound)| Some((*rule, get(bound)?))).collect()
}

fn check_code(code: impl FnOnce() -> i128, constraints: &Constraints, marks: &mut Marks<'_>) {
    if let Some((rule, allowed)) = &constraints.allowed
        && !allowed.has_code(code())
    {
        marks.fault(*rule);
    }
}

fn integers(reading: Reading<'_>, source: usize, marks: &mut Marks<'_>, form: &NumberForm) -> ArrayRef {
    let constraints = &reading.field.constraints;
    let bounds = bounds(constraints, |bound| match bound {
        Logical::Integer(Wide(value)) => Some(*value),
        _ => None,
    });
    let mut out = Int64Builder::with_capacity(reading.rows.rows.len());
    each(reading, source, marks, |cell, marks| {
        let Some((text, tag)) = cell else { return out.append_null() };
        let value = match tag {
            Tag::Text => integer(text, form),
            Tag::Number => json_integer(text),
            _ => None,
        };
        let stored = value.and_then(|Wide(value)| i64::try_from(value).ok());
        let Some(Wide(value)) = value.filter(|_| stored.is_some() || !reading.storable) else {
            marks.fault(Rule::Type);
            return out.append_null();
        };
        for (rule, bound) in &bounds {
            if breaks(*rule, Some(value.cmp(bound))) {
                marks.fault(*rule);
            }
        }
        check_code(|| value, constraints, marks);
        marks.too_wide += u64::from(stored.is_none());
        out.append_option(stored);
    });
    Arc::new(out.finish())
}

fn numbers(reading: Reading<'_>, source: usize, marks: &mut Marks<'_>, form: &NumberForm) -> ArrayRef {
    let constraints = &reading.field.constraints;
    let native = NumberForm::default();
    let bounds = bounds(constraints, |bound| match bound {
        Logical::Number(value, exact) => Some((*value, exact.clone())),
        _ => None,
    });
    let mut out = Float64Builder::with_capacity(reading.rows.rows.len());
    each(reading, source, marks, |cell, marks| {
        let Some((text, tag)) = cell else { return out.append_null() };
        let form = if tag == Tag::Number { &native } else { form };
        let value = if matches!(tag, Tag::Text | Tag::Number) { number(text, form) } else { None };
        // Digits that read as infinite are a number too large to be stored.
        let too_wide = value.is_some_and(f64::is_infinite) && text.bytes().any(|byte| byte.is_ascii_digit());
        let Some(value) = value.filter(|_| !too_wide || !reading.storable) else {
            marks.fault(Rule::Type);
            return out.append_null();
        };
        for (rule, (bound, exact_bound)) in &bounds {
            let exact = || Some(Decimal::parse(text, form)?.cmp(exact_bound.as_ref()?));
            if breaks(*rule, order_numbers(value, *bound, exact)) {
                marks.fault(*rule);
            }
        }
        check_code(|| number_code(value), constraints, marks);
        marks.too_wide += u64::from(too_wide);
        out.append_value(value);
    });
    Arc::new(out.finish())
}

fn dates(reading: Reading<'_>, source: usize, marks: &mut Marks<'_>, form: &TemporalForm) -> ArrayRef {
    let constraints = &reading.field.constraints;
    let bounds = bounds(constraints, |bound| match bound {
        Logical::Date(days) => Some(*days),
        _ => None,
    });
    let mut out = Date32Builder::with_capacity(reading.rows.rows.len());
    let mut last: Option<(&str, i32)> = None;
    each(reading, source, marks, |cell, marks| {
        let Some((text, tag)) = cell else { return out.append_null() };
        let days = match last {
            Some((known, days)) if tag == Tag::Text && same(known.as_bytes(), text.as_bytes()) => Some(days),
            _ if tag == Tag::Text => form.date(text),
            _ if tag == Tag::Stamp => stamp_date(text),
            _ => None,
        };
        let Some(days) = days else {
            marks.fault(Rule::Type);
            return out.append_null();
        };
        if tag == Tag::Text {
            last = Some((text, days));
        }
        for (rule, bound) in &bounds {
            if breaks(*rule, Some(days.cmp(bound))) {
                marks.fault(*rule);
            }
        }
        check_code(|| days.into(), constraints, marks);
        out.append_value(days);
    });
    Arc::new(out.finish())
}

fn years(reading: Reading<'_>, source: usize, marks: &mut Marks<'_>) -> ArrayRef {
    let constraints = &reading.field.constraints;
    let bounds = bounds(constraints, |bound| match bound {
        Logical::Year(year) => Some(*year),
        _ => None,
    });
    let mut out = Int32Builder::with_capacity(reading.rows.rows.len());
    each(reading, source, marks, |cell, marks| {
        let Some((text, tag)) = cell else { return out.append_null() };
        let value = match tag {
            Tag::Text => year(text),
            _ => match reading.field.form.read(text, tag) {
                Some(Logical::Year(year)) => Some(year),
                _ => None,
            },
        };
        let Some(value) = value else {
            marks.fault(Rule::Type);
            return out.append_null();
        };
        for (rule, bound) in &bounds {
            if breaks(*rule, Some(value.cmp(bound))) {
                marks.fault(*rule);
            }
        }
        check_code(|| value.into(), constraints, marks);
        out.append_value(value);
    });
    Arc::new(out.finish())
}

fn booleans(reading: Reading<'_>, source: usize, marks: &mut Marks<'_>, yes: &[Box<str>], no: &[Box<str>]) -> ArrayRef {
    let constraints = &reading.field.constraints;
    let mut out = BooleanBuilder::with_capacity(reading.rows.rows.len());
    each(reading, source, marks, |cell, marks| {
        let Some((text, tag)) = cell else { return out.append_null() };
        let value = match tag {
            Tag::Text => boolean(text, yes, no),
            Tag::Bool => Some(text == "true"),
            _ => None,
        };
        match value {
            Some(value) => {
                check_code(|| value.into(), constraints, marks);
                out.append_value(value);
            }
            None => {
                marks.fault(Rule::Type);
                out.append_null();
            }
        }
    });
    Arc::new(out.finish())
}

fn instants(reading: Reading<'_>, source: usize, marks: &mut Marks<'_>) -> ArrayRef {
    let field = reading.field;
    let mut out = TimestampMicrosecondBuilder::with_capacity(reading.rows.rows.len());
    each(reading, source, marks, |cell, marks| {
        let Some((text, tag)) = cell else { return out.append_null() };
        match instant(&field.form, text, tag) {
            Some(stamp) => {
                field.constraints.broken(&Logical::Stamp(stamp), |rule| marks.fault(rule));
                out.append_value(stamp.micros);
            }
            None => {
                marks.fault(Rule::Type);
                out.append_null();
            }
        }
    });
    Arc::new(out.finish().with_timezone("UTC"))
}

fn instant(form: &Form, text: &str, tag: Tag) -> Option<Stamp> {
    match form {
        Form::DateTime { form, zone } if tag == Tag::Text => Some(in_zone(form.datetime(text)?, *zone)),
        // A workbook's time has no zone; without one in the contract nobody knows the instant.
        Form::DateTime { zone, .. } if tag == Tag::Stamp => {
            Some(in_zone(stamp_datetime(text)?, *zone)).filter(|stamp| stamp.zoned)
        }
        _ => None,
    }
}

/// The types that are stored as text.
fn others(reading: Reading<'_>, source: usize, marks: &mut Marks<'_>) -> ArrayRef {
    let field = reading.field;
    let rows = reading.rows.rows.len();
    let mut out = StringBuilder::with_capacity(rows, rows * 16);
    let mut buffer = String::new();
    each(reading, source, marks, |cell, marks| {
        let Some((text, tag)) = cell else { return out.append_null() };
        let Some(value) = field.form.read(text, tag) else {
            marks.fault(Rule::Type);
            return out.append_null();
        };
        field.constraints.broken(&value, |rule| marks.fault(rule));
        buffer.clear();
        out.append_value(stored_text(&field.form, (text, tag), &value, &mut buffer));
    });
    Arc::new(out.finish())
}

/// The form in which a textual type is stored: ISO for times, canonical for JSON, else as written.
fn stored_text<'a>(form: &Form, (text, tag): (&'a str, Tag), value: &'a Logical, buffer: &'a mut String) -> &'a str {
    match value {
        Logical::Json { text, .. } | Logical::Text(text) => text,
        Logical::Time(micros) => {
            write_time(*micros, buffer);
            buffer
        }
        Logical::Stamp(stamp)
            if tag == Tag::Stamp || !matches!(form, Form::DateTime { form: TemporalForm::Default, .. }) =>
        {
            write_datetime(stamp.micros, buffer);
            if stamp.zoned {
                buffer.push('Z');
            }
            buffer
        }
        _ => text,
    }
}
