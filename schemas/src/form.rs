//! The types of Table Schema: what a cell may hold and which logical value it means.

use std::cmp::Ordering;

use arrow_schema::{DataType, TimeUnit};
use serde_json::Value;

use crate::canonical;
use crate::lexical::duration::{Duration, duration};
use crate::lexical::geo;
use crate::lexical::number::{Decimal, NumberForm, Wide, integer, json_integer, number};
use crate::lexical::temporal::{DAY_MICROS, Stamp, TemporalForm, iso_date, iso_datetime, year, year_month};
use crate::lexical::text::TextFormat;
use crate::reader::rows::Tag;
use crate::values::number_text;

/// How a geographic point is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PointForm {
    Text,
    Array,
    Object,
}

/// A type with its format.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    Text(TextFormat),
    Number(NumberForm),
    Integer(NumberForm),
    Boolean {
        yes: Vec<Box<str>>,
        no: Vec<Box<str>>,
    },
    Date(TemporalForm),
    /// With the zone, in microseconds east of Greenwich, of values that carry none.
    DateTime {
        form: TemporalForm,
        zone: Option<i64>,
    },
    Time(TemporalForm),
    Year,
    YearMonth,
    Duration,
    Object,
    Array,
    GeoJson,
    TopoJson,
    List {
        delimiter: String,
        item: Box<Form>,
    },
    GeoPoint(PointForm),
    Any,
}

/// Kinds of values that can be equal to each other: a reference compares logical values, and the text
/// `1` is not the number 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Boolean,
    Date,
    Instant,
    Time,
    Month,
    Duration,
    Json,
}

/// A value of a type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Logical {
    Text(String),
    Number(f64, Option<Decimal>),
    Integer(Wide),
    Boolean(bool),
    Date(i32),
    Stamp(Stamp),
    Time(i64),
    Year(i32),
    Month(i32),
    Duration(Duration),
    /// Canonical JSON, and how many items it has.
    Json {
        text: String,
        items: usize,
    },
}

impl Form {
    /// The name of the type.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Number(_) => "number",
            Self::Integer(_) => "integer",
            Self::Boolean { .. } => "boolean",
            Self::Date(_) => "date",
            Self::DateTime { .. } => "datetime",
            Self::Time(_) => "time",
            Self::Year => "year",
            Self::YearMonth => "yearmonth",
            Self::Duration => "duration",
            Self::Object => "object",
            Self::Array => "array",
            Self::GeoJson | Self::TopoJson => "geojson",
            Self::List { .. } => "list",
            Self::GeoPoint(_) => "geopoint",
            Self::Any => "any",
        }
    }

    /// Which values those of this type can be equal to.
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Text(_) | Self::Any | Self::GeoPoint(PointForm::Text) => Kind::Text,
            Self::Number(_) | Self::Integer(_) | Self::Year => Kind::Number,
            Self::Boolean { .. } => Kind::Boolean,
            Self::Date(_) => Kind::Date,
            Self::DateTime { .. } => Kind::Instant,
            Self::Time(_) => Kind::Time,
            Self::YearMonth => Kind::Month,
            Self::Duration => Kind::Duration,
            _ => Kind::Json,
        }
    }

    /// How accepted values are stored.
    pub(crate) fn data_type(&self) -> DataType {
        match self {
            Self::Number(_) => DataType::Float64,
            Self::Integer(_) => DataType::Int64,
            Self::Boolean { .. } => DataType::Boolean,
            Self::Date(_) => DataType::Date32,
            Self::Year => DataType::Int32,
            form if form.is_instant() => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            _ => DataType::Utf8,
        }
    }

    /// A datetime whose every value has a zone.
    pub(crate) fn is_instant(&self) -> bool {
        match self {
            Self::DateTime { form: TemporalForm::Pattern(pattern), zone } => zone.is_some() || pattern.has_zone(),
            Self::DateTime { zone, .. } => zone.is_some(),
            _ => false,
        }
    }

    /// Reads a cell; `None` is a type error. Columns have faster ways for the common types.
    pub(crate) fn read(&self, text: &str, tag: Tag) -> Option<Logical> {
        match tag {
            Tag::Text => self.read_text(text),
            Tag::Null | Tag::Missing | Tag::Error | Tag::NoValue => None,
            Tag::Stamp => self.read_stamp(text),
            Tag::Number | Tag::Bool | Tag::Json => self.read_native(text, tag),
        }
    }

    fn read_text(&self, text: &str) -> Option<Logical> {
        Some(match self {
            Self::Text(format) => Logical::Text(format.accepts(text).then(|| text.to_owned())?),
            Self::Any => Logical::Text(text.to_owned()),
            Self::Number(form) => Logical::Number(number(text, form)?, Decimal::parse(text, form)),
            Self::Integer(form) => Logical::Integer(integer(text, form)?),
            Self::Boolean { yes, no } => Logical::Boolean(boolean(text, yes, no)?),
            Self::Date(form) => Logical::Date(form.date(text)?),
            Self::DateTime { form, zone } => Logical::Stamp(in_zone(form.datetime(text)?, *zone)),
            Self::Time(form) => Logical::Time(form.time(text)?),
            Self::Year => Logical::Year(year(text)?),
            Self::YearMonth => Logical::Month(year_month(text)?),
            Self::Duration => Logical::Duration(duration(text)?),
            Self::List { delimiter, item } => read_list(text, delimiter, item)?,
            Self::GeoPoint(PointForm::Text) => {
                // The same point has the same text, however it was written.
                let (lon, lat) = geo::point_text(text)?;
                Logical::Text(format!("{}, {}", number_text(lon), number_text(lat)))
            }
            Self::Object | Self::Array | Self::GeoJson | Self::TopoJson | Self::GeoPoint(_) => {
                self.read_json(&canonical::parse(text)?)?
            }
        })
    }

    /// A value that JSON itself types.
    fn read_native(&self, text: &str, tag: Tag) -> Option<Logical> {
        Some(match (self, tag) {
            (Self::Any, _) => Logical::Text(canonical::parse(text).map(|value| canonical::write(&value))?),
            (Self::Number(_), Tag::Number) => {
                let form = NumberForm::default();
                Logical::Number(number(text, &form)?, Decimal::parse(text, &form))
            }
            (Self::Integer(_), Tag::Number) => Logical::Integer(json_integer(text)?),
            (Self::Year, Tag::Number) => {
                let Wide(year) = json_integer(text)?;
                Logical::Year(i32::try_from(year).ok().filter(|year| (0..=9999).contains(year))?)
            }
            (Self::Boolean { .. }, Tag::Bool) => Logical::Boolean(text == "true"),
            (Self::List { item, .. }, Tag::Json) => {
                let value = canonical::parse(text)?;
                let items = value.as_array()?;
                items.iter().all(|value| item.accepts_value(value)).then(|| json_of(&value))?
            }
            (Self::Object | Self::Array | Self::GeoJson | Self::TopoJson | Self::GeoPoint(_), Tag::Json) => {
                self.read_json(&canonical::parse(text)?)?
            }
            _ => return None,
        })
    }

    /// A date, time or duration that the source types as such: it satisfies every format of its type.
    fn read_stamp(&self, text: &str) -> Option<Logical> {
        Some(match self {
            Self::Any => Logical::Text(text.to_owned()),
            Self::Date(_) => Logical::Date(stamp_date(text)?),
            Self::DateTime { zone, .. } => Logical::Stamp(in_zone(stamp_datetime(text)?, *zone)),
            Self::Time(_) => Logical::Time(stamp_time(text)?),
            Self::Duration => Logical::Duration(duration(text)?),
            _ => return None,
        })
    }

    fn read_json(&self, value: &Value) -> Option<Logical> {
        let fits = match self {
            Self::Object => value.is_object(),
            Self::Array => value.is_array(),
            Self::GeoJson => geo::is_geojson(value),
            Self::TopoJson => geo::is_topojson(value),
            Self::GeoPoint(PointForm::Array) => geo::point_array(value).is_some(),
            Self::GeoPoint(PointForm::Object) => geo::point_object(value).is_some(),
            _ => false,
        };
        fits.then(|| json_of(value))
    }

    /// Reads a value that stands in a descriptor, or an item of a JSON list.
    pub(crate) fn read_value(&self, value: &Value) -> Option<Logical> {
        match value {
            Value::Null => None,
            Value::String(text) => self.read(text, Tag::Text),
            Value::Bool(_) => self.read(&value.to_string(), Tag::Bool),
            Value::Number(number) => self.read(&number.to_string(), Tag::Number),
            Value::Array(_) | Value::Object(_) => self.read(&value.to_string(), Tag::Json),
        }
    }

    fn accepts_value(&self, value: &Value) -> bool {
        self.read_value(value).is_some()
    }
}

/// The day of a typed date; of a date with a time only at midnight.
pub(crate) fn stamp_date(text: &str) -> Option<i32> {
    iso_date(text).or_else(|| {
        let stamp = iso_datetime(text).filter(|stamp| !stamp.zoned && stamp.micros % DAY_MICROS == 0)?;
        i32::try_from(stamp.micros / DAY_MICROS).ok()
    })
}

/// A typed date with a time; a typed date is its midnight.
pub(crate) fn stamp_datetime(text: &str) -> Option<Stamp> {
    iso_datetime(text).or_else(|| Some(Stamp { micros: i64::from(iso_date(text)?) * DAY_MICROS, zoned: false }))
}

/// A typed time of day, with a fraction of the second or not.
pub(crate) fn stamp_time(text: &str) -> Option<i64> {
    let stamp = iso_datetime(&format!("1970-01-01T{text}"))?;
    (!stamp.zoned && stamp.micros < DAY_MICROS).then_some(stamp.micros)
}

/// A value without a zone takes the one that the field declares.
pub(crate) fn in_zone(stamp: Stamp, zone: Option<i64>) -> Stamp {
    match zone {
        Some(zone) if !stamp.zoned => Stamp { micros: stamp.micros - zone, zoned: true },
        _ => stamp,
    }
}

/// Reads a boolean by the words of the field.
#[inline]
pub(crate) fn boolean(text: &str, yes: &[Box<str>], no: &[Box<str>]) -> Option<bool> {
    if yes.iter().any(|word| **word == *text) {
        return Some(true);
    }
    no.iter().any(|word| **word == *text).then_some(false)
}

fn read_list(text: &str, delimiter: &str, item: &Form) -> Option<Logical> {
    let items: Option<Vec<Value>> = text.split(delimiter).map(|part| list_item(part, item)).collect();
    Some(json_of(&Value::Array(items?)))
}

fn list_item(text: &str, item: &Form) -> Option<Value> {
    Some(match item.read(text, Tag::Text)? {
        Logical::Integer(Wide(value)) => match i64::try_from(value) {
            Ok(value) => value.into(),
            Err(_) => Value::String(text.to_owned()),
        },
        Logical::Number(value, _) => serde_json::Number::from_f64(value).map_or_else(|| text.into(), Value::Number),
        Logical::Boolean(value) => value.into(),
        _ => text.into(),
    })
}

fn json_of(value: &Value) -> Logical {
    let items = match value {
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    };
    Logical::Json { text: canonical::write(value), items }
}

impl Logical {
    /// The length that `minLength` and `maxLength` mean.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Text(text) => Some(text.chars().count() as u64),
            Self::Json { items, .. } => Some(*items as u64),
            _ => None,
        }
    }

    /// A number that is the same for equal values of a type, unless the type is textual.
    pub(crate) fn code(&self) -> Option<i128> {
        Some(match self {
            Self::Text(_) | Self::Json { .. } => return None,
            Self::Number(value, _) => number_code(*value),
            Self::Integer(Wide(value)) => *value,
            Self::Boolean(value) => i128::from(*value),
            Self::Date(value) | Self::Year(value) | Self::Month(value) => i128::from(*value),
            Self::Stamp(stamp) => stamp_code(*stamp),
            Self::Time(value) => i128::from(*value),
            Self::Duration(value) => value.code(),
        })
    }

    /// The text of a textual value.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Json { text, .. } => Some(text),
            _ => None,
        }
    }

    /// How this value stands to a bound of the same type; `None` when they cannot be compared.
    pub(crate) fn order(&self, bound: &Self) -> Option<Ordering> {
        match (self, bound) {
            (Self::Number(a, exact_a), Self::Number(b, exact_b)) => {
                order_numbers(*a, *b, || exact_a.as_ref().zip(exact_b.as_ref()).map(|(a, b)| a.cmp(b)))
            }
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(b)),
            (Self::Date(a), Self::Date(b)) | (Self::Year(a), Self::Year(b)) | (Self::Month(a), Self::Month(b)) => {
                Some(a.cmp(b))
            }
            (Self::Stamp(a), Self::Stamp(b)) => (a.zoned == b.zoned).then(|| a.micros.cmp(&b.micros)),
            (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => a.partial_cmp(b),
            _ => None,
        }
    }
}

/// Equal floats may stand for different numbers: then the digits decide.
pub(crate) fn order_numbers(a: f64, b: f64, exact: impl FnOnce() -> Option<Ordering>) -> Option<Ordering> {
    let order = a.partial_cmp(&b)?;
    if order == Ordering::Equal { Some(exact().unwrap_or(order)) } else { Some(order) }
}

/// Equal numbers have equal codes: -0 is 0 and there is one NaN.
pub(crate) fn number_code(value: f64) -> i128 {
    let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
    i128::from(value.to_bits())
}

/// An instant and a wall-clock time are never equal.
pub(crate) fn stamp_code(stamp: Stamp) -> i128 {
    i128::from(stamp.micros) * 2 + i128::from(stamp.zoned)
}
