//! Which values a column allows: choices, bounds, lengths, patterns.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::pattern::{self, Inclusion};
use super::table::{Field, get, only, strings};
use super::{Effect::*, Effects, Level, Level::*, Report, Rule};

const BOUNDS: [&str; 4] = ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"];
const LENGTHS: [&str; 2] = ["minLength", "maxLength"];
/// Characters of the longest text that is made up to show what is lost.
const MAX_WITNESS: u64 = 200;
const NARROWER: (Effects, Level) = ([Break, Safe, Break], Major);
const WIDER: (Effects, Level) = ([Safe, Break, Safe], Minor);
const OTHER: (Effects, Level) = ([Break, Break, Break], Major);
const SAME: (Effects, Level) = ([Safe, Safe, Safe], Patch);

/// Compares what the two versions of a column allow. Their types are equal, or integer and number.
pub(super) fn compare(old: &Field<'_>, new: &Field<'_>, report: &mut Report) {
    choices(old, new, report);
    bounds(old, new, report);
    lengths(old, new, report);
    patterns(old, new, report);
    json_schemas(old, new, report);
    if old.kind() == "string" || old.kind() == "geojson" {
        formats(old, new, report);
    }
    if get(old.raw, "itemType") != get(new.raw, "itemType") && old.kind() == "list" {
        let values = (get(old.raw, "itemType"), get(new.raw, "itemType"));
        report.add(Rule::TypeChange, Some(new.name), values, [Break, Break, Break], Major);
    }
}

fn choices(old: &Field<'_>, new: &Field<'_>, report: &mut Report) {
    let shown = |field: &Field<'_>| match field.constraints.get("enum") {
        Some(list) => list.clone(),
        None => get(field.raw, "categories"),
    };
    let (before, after) = (allowed(old), allowed(new));
    let lost = match (&before, &after) {
        (Some(before), Some(after)) => before.difference(after).next().cloned(),
        _ => None,
    };
    let widened = match (&before, &after) {
        (Some(before), Some(after)) => !after.is_subset(before),
        (before, after) => before.is_some() && after.is_none(),
    };
    let narrowed = lost.is_some() || before.is_none() && after.is_some();
    let (rule, (effects, level)) = match (narrowed, widened) {
        (true, true) => (Rule::EnumChange, OTHER),
        (true, false) => (Rule::EnumNarrow, NARROWER),
        (false, true) => (Rule::EnumWiden, WIDER),
        (false, false) if written_alike(old, new) => return,
        (false, false) => (Rule::EnumEqual, SAME),
    };
    report.add(rule, Some(new.name), (shown(old), shown(new)), effects, level);
    report.witness(lost.map(Value::String));
}

fn written_alike(old: &Field<'_>, new: &Field<'_>) -> bool {
    let same = |key: &str| old.raw.get(key) == new.raw.get(key);
    old.constraints.get("enum") == new.constraints.get("enum") && same("categories") && same("categoriesOrdered")
}

/// The choices of a column as logical values; `None` where every value is allowed.
pub(super) fn allowed(field: &Field<'_>) -> Option<BTreeSet<String>> {
    let set = |list: &Vec<Value>| list.iter().map(|value| canonical(field, value)).collect::<BTreeSet<_>>();
    let listed = field.constraints.get("enum").and_then(Value::as_array).map(set);
    let categories = field.raw.get("categories").and_then(Value::as_array).map(|list| {
        let value = |entry: &Value| entry.get("value").unwrap_or(entry).clone();
        set(&list.iter().map(value).collect())
    });
    match (listed, categories) {
        (Some(a), Some(b)) => Some(a.intersection(&b).cloned().collect()),
        (a, b) => a.or(b),
    }
}

/// One text for every way to write the same logical value.
fn canonical(field: &Field<'_>, value: &Value) -> String {
    match field.kind() {
        "integer" | "number" | "year" => match point(field, value) {
            Some(Point::Whole(whole)) => whole.to_string(),
            Some(Point::Real(real)) => real.to_string(),
            None => plain(value),
        },
        "boolean" => {
            let spelled = |key: &str, default: &str| match field.raw.get(key) {
                Some(list) => strings(Some(list)).contains(&plain(value).as_str()),
                None => default.split(' ').any(|word| word == plain(value)),
            };
            let truth = if spelled("trueValues", "true True TRUE 1") { "true" } else { "false" };
            if value.is_boolean() { value.to_string() } else { truth.to_owned() }
        }
        _ => plain(value),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value on a line: exact where it is whole.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Point {
    Whole(i128),
    Real(f64),
}

impl Point {
    fn real(self) -> f64 {
        match self {
            Point::Whole(whole) => whole as f64,
            Point::Real(real) => real,
        }
    }

    fn compare(self, other: Point) -> Ordering {
        match (self, other) {
            (Point::Whole(a), Point::Whole(b)) => a.cmp(&b),
            (a, b) => a.real().total_cmp(&b.real()),
        }
    }
}

/// The place of a bound or choice on the line of its type; `None` where the text is not understood here.
fn point(field: &Field<'_>, value: &Value) -> Option<Point> {
    let text = plain(value);
    match field.kind() {
        "integer" | "number" => {
            let mut text = text;
            if value.is_string() {
                text = text.replace(field.text("groupChar").unwrap_or(""), "");
                text = text.replace(field.text("decimalChar").unwrap_or("."), ".");
            }
            let whole = text.parse().ok().map(Point::Whole);
            whole.or_else(|| {
                let real = text.parse::<f64>().ok().filter(|real| real.is_finite())?;
                // Beyond 2^53 a float no longer says which whole number it is.
                let exact = real.fract() == 0.0 && real.abs() < 9e15;
                Some(if exact { Point::Whole(real as i128) } else { Point::Real(real) })
            })
        }
        "year" => text.parse().ok().map(Point::Whole),
        "yearmonth" => moment(&text, "%Y-%m"),
        "date" => moment(&text, pattern_of(field, "%Y-%m-%d")).or_else(|| moment(&text, "%Y-%m-%d")),
        "time" => moment(&text, pattern_of(field, "%H:%M:%S")).or_else(|| moment(&text, "%H:%M:%S")),
        "datetime" => moment(&text, "%Y-%m-%dT%H:%M:%SZ"),
        _ => None,
    }
}

fn pattern_of<'a>(field: &Field<'a>, default: &'a str) -> &'a str {
    field.text("format").filter(|format| format.contains('%')).unwrap_or(default)
}

/// A number that grows with time, from the digits of `text` where the pattern says what they are. Good for comparing
/// two values, not for arithmetic.
fn moment(text: &str, pattern: &str) -> Option<Point> {
    let mut parts = [0i128; 6];
    let (mut text, mut pattern) = (text, pattern.chars());
    while let Some(c) = pattern.next() {
        if c != '%' {
            text = text.strip_prefix(c)?;
            continue;
        }
        let directive = pattern.next()?;
        let part = "YmdHMS".find(directive)?;
        let width = if directive == 'Y' { 4 } else { 2 };
        let digits = text.get(..width).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        parts[part] = digits.parse().ok()?;
        text = &text[width..];
    }
    text.is_empty().then(|| Point::Whole(parts.iter().fold(0, |sum, part| sum * 100 + part)))
}

/// One end of an interval.
#[derive(Debug, Clone, Copy)]
struct End {
    at: Point,
    open: bool,
}

/// Which end of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Lower,
    Upper,
}

impl End {
    /// `Greater` where this end allows less than the other.
    fn strictness(self, other: End, side: Side) -> Ordering {
        let order = self.at.compare(other.at);
        let order = if side == Side::Upper { order.reverse() } else { order };
        order.then(self.open.cmp(&other.open))
    }

    /// The same end, closed, for a type that knows whole values only.
    fn whole(self, side: Side) -> End {
        let at = match (self.at, side, self.open) {
            (Point::Whole(n), _, false) => n,
            (Point::Whole(n), Side::Lower, true) => n.saturating_add(1),
            (Point::Whole(n), Side::Upper, true) => n.saturating_sub(1),
            (Point::Real(x), Side::Lower, _) => x.ceil() as i128,
            (Point::Real(x), Side::Upper, _) => x.floor() as i128,
        };
        End { at: Point::Whole(at), open: false }
    }
}

/// The end of a column on one side: `Err` where a bound is not understood, `Ok(None)` where there is none.
fn end(field: &Field<'_>, side: Side) -> Result<Option<End>, ()> {
    let keys = if side == Side::Lower { &BOUNDS[..2] } else { &BOUNDS[2..] };
    let mut strictest: Option<End> = None;
    for (key, open) in keys.iter().zip([false, true]) {
        let Some(value) = field.constraints.get(*key) else { continue };
        let mut found = End { at: point(field, value).ok_or(())?, open };
        if matches!(field.kind(), "integer" | "year") {
            found = found.whole(side);
        }
        if strictest.is_none_or(|known| found.strictness(known, side).is_gt()) {
            strictest = Some(found);
        }
    }
    Ok(strictest)
}

fn bounds(old: &Field<'_>, new: &Field<'_>, report: &mut Report) {
    for (side, keys) in [(Side::Lower, &BOUNDS[..2]), (Side::Upper, &BOUNDS[2..])] {
        let values = (only(old.constraints, keys), only(new.constraints, keys));
        if values.0 == values.1 && pattern_of(old, "") == pattern_of(new, "") {
            continue;
        }
        let (rule, (effects, level)) = match (end(old, side), end(new, side)) {
            (Ok(before), Ok(after)) => match stricter(before, after, |a, b| b.strictness(a, side)) {
                Ordering::Greater => (Rule::BoundTighten, NARROWER),
                Ordering::Less => (Rule::BoundLoosen, WIDER),
                Ordering::Equal if values.0 == values.1 => continue,
                Ordering::Equal => (Rule::BoundEqual, SAME),
            },
            _ if values.0 == values.1 => continue,
            _ => (Rule::BoundChange, OTHER),
        };
        report.add(rule, Some(new.name), values, effects, level);
        if rule == Rule::BoundTighten && allowed(old).is_none() {
            report.witness(beyond(old, new, side));
        }
    }
}

/// A value within the old bounds and outside the new bound on this side, where one is easily named.
fn beyond(old: &Field<'_>, new: &Field<'_>, side: Side) -> Option<Value> {
    let (before, after) = (end(old, side).ok()?, end(new, side).ok()??);
    let ordered = matches!(old.kind(), "integer" | "number" | "year");
    let outward = |at: Point| match (at, side) {
        (Point::Whole(n), Side::Lower) => Some(Point::Whole(n.checked_sub(1)?)),
        (Point::Whole(n), Side::Upper) => Some(Point::Whole(n.checked_add(1)?)),
        (Point::Real(x), _) => Some(Point::Real(if side == Side::Lower { x - 1.0 } else { x + 1.0 })),
    };
    let found = match before {
        Some(before) if !before.open => before.at,
        Some(before) if before.at.compare(after.at).is_ne() && after.open => after.at,
        Some(before) => Point::Real(f64::midpoint(before.at.real(), after.at.real())),
        None if after.open => after.at,
        None => outward(after.at)?,
    };
    let other = end(old, if side == Side::Lower { Side::Upper } else { Side::Lower }).ok()?;
    let admitted = other.is_none_or(|other| match (found.compare(other.at), side) {
        (Ordering::Equal, _) => !other.open,
        (order, Side::Lower) => order.is_lt(),
        (order, Side::Upper) => order.is_gt(),
    });
    if !admitted {
        return None;
    }
    if !ordered {
        // Dates and times are points only for comparing: a bound itself is shown, nothing is computed.
        let lower = side == Side::Lower;
        let raw = match before {
            Some(before) if !before.open => old.constraints.get(if lower { "minimum" } else { "maximum" }),
            _ if after.open => new.constraints.get(if lower { "exclusiveMinimum" } else { "exclusiveMaximum" }),
            _ => None,
        };
        return raw.cloned();
    }
    match found {
        Point::Whole(n) => i64::try_from(n).ok().map(|n| json!(n)),
        Point::Real(x) => Some(json!(x)),
    }
}

/// `Greater` where the new limit allows less; no limit allows everything.
fn stricter<T>(old: Option<T>, new: Option<T>, compare: impl Fn(T, T) -> Ordering) -> Ordering {
    match (old, new) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(old), Some(new)) => compare(old, new),
    }
}

fn lengths(old: &Field<'_>, new: &Field<'_>, report: &mut Report) {
    for key in LENGTHS {
        let length = |map: &Map<String, Value>| map.get(key).and_then(|v| plain(v).parse::<u64>().ok());
        let (before, after) = (length(old.constraints), length(new.constraints));
        let order = stricter(before, after, |a, b| if key == "minLength" { b.cmp(&a) } else { a.cmp(&b) });
        let (rule, (effects, level)) = match order {
            Ordering::Equal => continue,
            Ordering::Greater => (Rule::LengthTighten, NARROWER),
            Ordering::Less => (Rule::LengthLoosen, WIDER),
        };
        let values = (json!({ key: before }), json!({ key: after }));
        report.add(rule, Some(new.name), values, effects, level);
        if rule == Rule::LengthTighten {
            report.witness(other_length(old, key, before, after));
        }
    }
}

/// A text as long as the old version allows and the new one does not, where nothing else says what texts look like.
fn other_length(old: &Field<'_>, key: &str, before: Option<u64>, after: Option<u64>) -> Option<Value> {
    let after = after?;
    let length = if key == "minLength" { before.unwrap_or(1).max(1) } else { before.unwrap_or(after + 1) };
    let free = old.kind() == "string" && has_free_text(old);
    let opposite = LENGTHS.iter().filter(|other| **other != key).any(|other| old.constraints.contains_key(*other));
    let shorter = key == "maxLength" || length < after;
    (free && !opposite && shorter && length <= MAX_WITNESS).then(|| Value::String("a".repeat(length as usize)))
}

/// Whether neither pattern, choices nor format say what a text looks like.
fn has_free_text(field: &Field<'_>) -> bool {
    let plain = field.text("format").unwrap_or("default") == "default";
    plain && !field.constraints.contains_key("pattern") && allowed(field).is_none()
}

fn patterns(old: &Field<'_>, new: &Field<'_>, report: &mut Report) {
    let values = (get(old.constraints, "pattern"), get(new.constraints, "pattern"));
    let (rule, (effects, level)) = match (values.0.as_str(), values.1.as_str()) {
        (None, Some(_)) => (Rule::PatternAdd, NARROWER),
        (Some(_), None) => (Rule::PatternRemove, WIDER),
        (Some(old), Some(new)) if old != new => {
            // Readers may have built on the old form of the text, so stored data are judged strictly; for files it is
            // enough that the new pattern takes everything that the old one took.
            let producer = if pattern::includes(new, old) { Safe } else { Break };
            (Rule::PatternChange, ([Break, Break, producer], Major))
        }
        _ => return,
    };
    let any = Value::String(".+".to_owned());
    let lost = match (rule, values.0.as_str().or(any.as_str()), values.1.as_str()) {
        (Rule::PatternAdd | Rule::PatternChange, Some(before), Some(after))
            if allowed(old).is_none() && !LENGTHS.iter().any(|key| old.constraints.contains_key(*key)) =>
        {
            pattern::inclusion(after, before)
        }
        _ => Inclusion::Unknown,
    };
    report.add(rule, Some(new.name), values, effects, level);
    if let Inclusion::Refuted(text) = lost {
        // An empty cell is no value.
        report.witness((!text.is_empty()).then_some(Value::String(text)));
    }
}

fn json_schemas(old: &Field<'_>, new: &Field<'_>, report: &mut Report) {
    let values = (get(old.constraints, "jsonSchema"), get(new.constraints, "jsonSchema"));
    let (rule, (effects, level)) = match (values.0.is_null(), values.1.is_null()) {
        (true, false) => (Rule::JsonSchemaAdd, NARROWER),
        (false, true) => (Rule::JsonSchemaRemove, WIDER),
        _ if values.0 != values.1 => (Rule::JsonSchemaChange, OTHER),
        _ => return,
    };
    report.add(rule, Some(new.name), values, effects, level);
}

/// The format of a text or of GeoJSON says which values are allowed, not how they are written.
fn formats(old: &Field<'_>, new: &Field<'_>, report: &mut Report) {
    let (before, after) = (old.text("format").unwrap_or("default"), new.text("format").unwrap_or("default"));
    let (effects, level) = match (before, after) {
        _ if before == after => return,
        ("default", _) if old.kind() == "string" => NARROWER,
        (_, "default") if old.kind() == "string" => WIDER,
        _ => OTHER,
    };
    report.add(Rule::StringFormat, Some(new.name), (json!(before), json!(after)), effects, level);
}
