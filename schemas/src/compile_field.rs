//! From a field descriptor to a compiled field.

use hashbrown::HashSet;
use serde_json::{Map, Value};

use crate::descriptor::{DescriptorError, Props};
use crate::field::{Allowed, Constraints, Field, Missing, Rule};
use crate::form::{Form, Logical, PointForm};
use crate::lexical::identity::Identity;
use crate::lexical::number::NumberForm;
use crate::lexical::pattern::Pattern;
use crate::lexical::temporal::{Names, TemporalForm, zone};
use crate::lexical::text::TextFormat;

/// What a field takes from the schema around it.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    /// Data Package version 1: no exclusive bounds, no objects in `missingValues`.
    pub(crate) version1: bool,
    /// `missingValues` of the schema.
    pub(crate) missing: Vec<Box<str>>,
    /// `nullSequence` of the dialect.
    pub(crate) null_sequence: Option<Box<str>>,
}

const CONSTRAINTS: [&str; 11] = [
    "required",
    "unique",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "jsonSchema",
    "pattern",
    "enum",
];

/// Compiles one field; faults go to `errors`.
pub(crate) fn field(value: &Value, path: &str, around: &Around, errors: &mut Vec<DescriptorError>) -> Option<Field> {
    let Value::Object(object) = value else {
        Props::new(&Map::new(), "field-error", path.to_owned(), errors).fault(
            "",
            "kolom harus berupa objek",
            "a field has to be an object",
        );
        return None;
    };
    let mut props = Props::new(object, "field-error", path.to_owned(), errors);
    let name = match props.string("name") {
        Some(name) => name.to_owned(),
        None if props.raw("name").is_none() => {
            props.fault("name", "kolom tanpa «name»", "a field without “name”");
            return None;
        }
        None => return None,
    };
    for constraint in CONSTRAINTS {
        if props.raw(constraint).is_some() {
            props.fault(
                constraint,
                format!("«{constraint}» harus di dalam «constraints»"),
                format!("“{constraint}” belongs in “constraints”"),
            );
        }
    }
    let form = form(&mut props)?;
    let missing = match props.raw("missingValues") {
        Some(_) => missing_values(&mut props, around.version1),
        None => around.missing.clone(),
    };
    let missing = Missing::new(missing.into_iter().chain(around.null_sequence.clone()).collect());
    let (constraints, required, unique) = constraints(&mut props, &form, &missing, around);
    for text in ["description", "rdfType"] {
        props.string(text);
    }
    // A number that points to one person is personal data, whether or not somebody thought of marking it.
    let inherent = matches!(&form, Form::Text(TextFormat::Identity(identity)) if identity.is_personal());
    let personal = inherent || extension(&props, "dataPribadi").is_some_and(is_marked);
    let field = Field {
        name,
        title: props.string("title").map(str::to_owned),
        form,
        missing,
        required,
        unique,
        personal,
        constraints,
        source: value.clone(),
    };
    check_example(&mut props, &field);
    Some(field)
}

fn is_marked(mark: &Value) -> bool {
    !matches!(mark, Value::Null | Value::Bool(false))
        && mark.get("jenis").is_none_or(|kind| !matches!(kind.as_str(), Some("tidak" | "bukan")))
}

/// `missingValues` of a schema or field: all texts, or all objects with a value of their own.
pub(crate) fn missing_values(props: &mut Props<'_, '_>, version1: bool) -> Vec<Box<str>> {
    let Some(items) = props.list("missingValues") else { return vec!["".into()] };
    let mut words: Vec<Box<str>> = Vec::new();
    let objects = items.first().is_some_and(Value::is_object);
    for item in items {
        let word = match item {
            Value::String(word) if !objects => Some(word.as_str()),
            Value::Object(object) if objects && !version1 && has_label(object) => {
                object.get("value").and_then(Value::as_str)
            }
            _ => None,
        };
        match word {
            Some(word) if words.iter().any(|known| **known == *word) => {
                if objects {
                    props.fault("missingValues", "nilai kembar", "a value stands twice");
                }
            }
            Some(word) => words.push(word.into()),
            None => {
                props.fault(
                    "missingValues",
                    "isi «missingValues» harus teks semua, atau objek semua dengan «value» berupa teks (versi 2)",
                    "“missingValues” holds only strings, or only objects with a string “value” (version 2)",
                );
                break;
            }
        }
    }
    words
}

fn has_label(object: &Map<String, Value>) -> bool {
    object.get("label").is_none_or(Value::is_string)
}

fn form(props: &mut Props<'_, '_>) -> Option<Form> {
    let name = match props.raw("type") {
        None if has_text_rules(props) => "string",
        None => "any",
        Some(_) => props.string("type")?,
    };
    let format = props.string("format").unwrap_or("default");
    // Version 0 wrote temporal patterns with this prefix; the standard asks to remove it from any format.
    let format = format.strip_prefix("fmt:").unwrap_or(format);
    Some(match name {
        "string" => text_form(props, format)?,
        "number" => Form::Number(number_form(props, true)),
        "integer" => Form::Integer(number_form(props, false)),
        "boolean" => boolean_form(props),
        "date" => Form::Date(temporal(props, format)?),
        "time" => Form::Time(temporal(props, format)?),
        "datetime" => datetime_form(props, format)?,
        "year" => Form::Year,
        "yearmonth" => Form::YearMonth,
        "duration" => Form::Duration,
        "object" => Form::Object,
        "array" => Form::Array,
        "list" => list_form(props)?,
        "geojson" => match format {
            "default" => Form::GeoJson,
            "topojson" => Form::TopoJson,
            _ => return unknown_format(props, format),
        },
        "geopoint" => match format {
            "default" => Form::GeoPoint(PointForm::Text),
            "array" => Form::GeoPoint(PointForm::Array),
            "object" => Form::GeoPoint(PointForm::Object),
            _ => return unknown_format(props, format),
        },
        "any" => Form::Any,
        other => {
            props.fault("type", format!("tipe «{other}» tidak dikenal"), format!("the type “{other}” is not known"));
            return None;
        }
    })
}

/// A field without a type holds anything; rules that only text can meet say that it holds text.
fn has_text_rules(props: &Props<'_, '_>) -> bool {
    let constraints = props.raw("constraints").and_then(Value::as_object);
    constraints.is_some_and(|rules| ["pattern", "minLength", "maxLength"].iter().any(|name| rules.contains_key(*name)))
}

fn text_form(props: &mut Props<'_, '_>, format: &str) -> Option<Form> {
    let Some(standard) = TextFormat::named(format) else { return unknown_format(props, format) };
    let Some(own) = extension(props, "format") else { return Some(Form::Text(standard)) };
    let identity = own.as_str().and_then(Identity::named);
    if identity.is_none() || standard != TextFormat::Any {
        props.fault(
            "satudata/format",
            "«satudata.format» harus nik, nkk, npwp, npsn atau telepon, tanpa «format» lain",
            "“satudata.format” is nik, nkk, npwp, npsn or telepon, without another “format”",
        );
    }
    identity.map(|identity| Form::Text(TextFormat::Identity(identity)))
}

/// A property of the field's `satudata` object.
fn extension<'a>(props: &Props<'a, '_>, name: &str) -> Option<&'a Value> {
    props.raw("satudata").and_then(|satudata| satudata.get(name))
}

fn unknown_format(props: &mut Props<'_, '_>, format: &str) -> Option<Form> {
    props.fault("format", format!("format «{format}» tidak dikenal"), format!("the format “{format}” is not known"));
    None
}

fn number_form(props: &mut Props<'_, '_>, decimals: bool) -> NumberForm {
    let mut form = NumberForm::default();
    if decimals && let Some(mark) = props.string("decimalChar") {
        if mark.is_empty() || mark.bytes().any(|byte| byte.is_ascii_digit()) {
            props.fault("decimalChar", "«decimalChar» harus satu tanda", "“decimalChar” has to be a mark");
        } else {
            form.decimal = mark.to_owned();
        }
    }
    form.group = props.string("groupChar").filter(|mark| !mark.is_empty()).map(str::to_owned);
    form.bare = props.flag("bareNumber").unwrap_or(true);
    if form.group.as_deref() == Some(&form.decimal) {
        // An integer has no decimal mark to clash with.
        if decimals {
            props.fault("groupChar", "«groupChar» sama dengan «decimalChar»", "“groupChar” equals “decimalChar”");
        } else {
            form.decimal = ",".to_owned();
        }
    }
    form
}

fn boolean_form(props: &mut Props<'_, '_>) -> Form {
    let mut words = |name: &str, default: [&str; 4]| -> Vec<Box<str>> {
        let given = props.strings(name);
        given.map_or_else(|| default.map(Into::into).to_vec(), |words| words.into_iter().map(Into::into).collect())
    };
    let yes = words("trueValues", ["true", "True", "TRUE", "1"]);
    let no = words("falseValues", ["false", "False", "FALSE", "0"]);
    Form::Boolean { yes, no }
}

fn temporal(props: &mut Props<'_, '_>, format: &str) -> Option<TemporalForm> {
    let names = match extension(props, "bahasa") {
        None => Names::English,
        Some(language) if language == "en" => Names::English,
        Some(language) if language == "id" => Names::Indonesian,
        Some(_) => {
            props.fault("satudata/bahasa", "«bahasa» harus «id» atau «en»", "“bahasa” is “id” or “en”");
            Names::English
        }
    };
    match TemporalForm::named(format) {
        Ok(TemporalForm::Pattern(pattern)) => Some(TemporalForm::Pattern(pattern.in_language(names))),
        Ok(form) => Some(form),
        Err(directive) => {
            props.fault(
                "format",
                format!("«{directive}» bukan bagian pola strptime"),
                format!("“{directive}” is not part of strptime patterns"),
            );
            None
        }
    }
}

fn datetime_form(props: &mut Props<'_, '_>, format: &str) -> Option<Form> {
    let form = temporal(props, format)?;
    let declared = extension(props, "zonaWaktu");
    let offset = declared.and_then(Value::as_str).and_then(named_zone);
    if declared.is_some() && offset.is_none() {
        props.fault(
            "satudata/zonaWaktu",
            "«zonaWaktu» harus seperti «+08:00», «WIB», «WITA» atau «WIT»",
            "“zonaWaktu” is written “+08:00”, “WIB”, “WITA” or “WIT”",
        );
    }
    Some(Form::DateTime { form, zone: offset })
}

fn named_zone(name: &str) -> Option<i64> {
    match name {
        "WIB" => zone("+07:00"),
        "WITA" => zone("+08:00"),
        "WIT" => zone("+09:00"),
        other => zone(other),
    }
}

fn list_form(props: &mut Props<'_, '_>) -> Option<Form> {
    let delimiter = props.string("delimiter").unwrap_or(",").to_owned();
    if delimiter.is_empty() {
        props.fault("delimiter", "«delimiter» kosong", "“delimiter” is empty");
        return None;
    }
    let item = match props.string("itemType").unwrap_or("string") {
        "string" => Form::Text(TextFormat::Any),
        "integer" => Form::Integer(NumberForm::default()),
        "number" => Form::Number(NumberForm::default()),
        "boolean" => boolean_form(&mut Props::new(&Map::new(), "field-error", String::new(), props.errors)),
        "date" => Form::Date(TemporalForm::Default),
        "datetime" => Form::DateTime { form: TemporalForm::Default, zone: None },
        "time" => Form::Time(TemporalForm::Default),
        other => {
            let (id, en) =
                (format!("«itemType» {other} tidak dikenal"), format!("the item type “{other}” is not known"));
            props.fault("itemType", id, en);
            return None;
        }
    };
    Some(Form::List { delimiter, item: Box::new(item) })
}

/// The constraints, and whether the field is required and unique.
fn constraints(
    props: &mut Props<'_, '_>,
    form: &Form,
    missing: &Missing,
    around: &Around,
) -> (Constraints, bool, bool) {
    let path = format!("{}/constraints", props.path);
    let empty = Map::new();
    let object = props.object("constraints").unwrap_or(&empty);
    let mut inner = Props::new(object, "field-error", path, props.errors);
    for name in object.keys().filter(|name| !CONSTRAINTS.contains(&name.as_str())) {
        inner.fault(name, format!("aturan «{name}» tidak dikenal"), format!("the constraint “{name}” is not known"));
    }
    refuse_unsupported(&mut inner, form, around.version1);
    let mut made = Constraints {
        min_length: inner.count("minLength"),
        max_length: inner.count("maxLength"),
        bounds: bounds(&mut inner, form),
        pattern: pattern(&mut inner),
        allowed: None,
        json_schema: json_schema(&mut inner),
    };
    let listed = listed(&mut inner, form, missing);
    let (required, unique) = (inner.flag("required").unwrap_or(false), inner.flag("unique").unwrap_or(false));
    let categories = categories(props, form);
    if let (Some(listed), Some(categories)) = (&listed, &categories) {
        let known = Allowed::new(categories);
        if !listed.iter().all(|value| known.has(value)) {
            props.fault(
                "constraints/enum",
                "«enum» memuat nilai di luar «categories»",
                "“enum” holds values that “categories” does not",
            );
        }
    }
    made.allowed = match (listed, categories) {
        (Some(values), _) => Some((Rule::Enum, Allowed::new(&values))),
        (None, Some(values)) => Some((Rule::Categories, Allowed::new(&values))),
        (None, None) => None,
    };
    (made, required, unique)
}

fn refuse_unsupported(props: &mut Props<'_, '_>, form: &Form, version1: bool) {
    let ordered = matches!(
        form,
        Form::Integer(_)
            | Form::Number(_)
            | Form::Date(_)
            | Form::Time(_)
            | Form::DateTime { .. }
            | Form::Duration
            | Form::Year
            | Form::YearMonth
    );
    let collection = matches!(form, Form::Text(_) | Form::Array | Form::Object | Form::List { .. });
    for (names, supported) in [
        (&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"][..], ordered),
        (&["minLength", "maxLength"], collection),
        (&["pattern"], matches!(form, Form::Text(_))),
        (&["jsonSchema"], matches!(form, Form::Object | Form::Array)),
    ] {
        for name in names {
            if props.raw(name).is_some() && !supported {
                let kind = form.name();
                props.fault(
                    name,
                    format!("«{name}» tidak berlaku untuk tipe {kind}"),
                    format!("“{name}” does not apply to the type {kind}"),
                );
            }
        }
    }
    for name in ["exclusiveMinimum", "exclusiveMaximum"] {
        if version1 && props.raw(name).is_some() {
            props.fault(
                name,
                format!("«{name}» memerlukan Data Package versi 2: isi «$schema»"),
                format!("“{name}” needs Data Package version 2: set “$schema”"),
            );
        }
    }
}

fn bounds(props: &mut Props<'_, '_>, form: &Form) -> Vec<(Rule, Logical)> {
    let mut bounds = Vec::new();
    for (name, rule) in [
        ("minimum", Rule::Minimum),
        ("maximum", Rule::Maximum),
        ("exclusiveMinimum", Rule::ExclusiveMinimum),
        ("exclusiveMaximum", Rule::ExclusiveMaximum),
    ] {
        let Some(value) = props.raw(name) else { continue };
        match form.read_value(value) {
            Some(bound) => bounds.push((rule, bound)),
            None => not_of_type(props, name, value, form),
        }
    }
    bounds
}

fn not_of_type(props: &mut Props<'_, '_>, name: &str, value: &Value, form: &Form) {
    let (kind, value) = (form.name(), crate::report::shown(&value.to_string()));
    props.fault(name, format!("{value} bukan nilai bertipe {kind}"), format!("{value} is not a value of type {kind}"));
}

fn pattern(props: &mut Props<'_, '_>) -> Option<Pattern> {
    let source = props.string("pattern")?;
    match Pattern::compile(source) {
        Ok(pattern) => Some(pattern),
        Err(why) => {
            props.fault(
                "pattern",
                format!("pola «{source}» tidak dapat dipakai: {why}"),
                format!("the pattern “{source}” cannot be used: {why}"),
            );
            None
        }
    }
}

fn json_schema(props: &mut Props<'_, '_>) -> Option<std::sync::Arc<jsonschema::Validator>> {
    let schema = props.raw("jsonSchema")?;
    match jsonschema::validator_for(schema) {
        Ok(validator) => Some(std::sync::Arc::new(validator)),
        Err(why) => {
            let why = crate::report::shown(&why.to_string());
            props.fault("jsonSchema", format!("bukan JSON Schema: {why}"), format!("not a JSON Schema: {why}"));
            None
        }
    }
}

fn listed(props: &mut Props<'_, '_>, form: &Form, missing: &Missing) -> Option<Vec<Logical>> {
    let items = props.list("enum")?;
    if items.is_empty() {
        props.fault("enum", "«enum» kosong", "“enum” is empty");
    }
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        match form.read_value(item) {
            // A missing value is never compared with the list.
            _ if item.is_null() || item.as_str().is_some_and(|text| missing.contains(text)) => {}
            Some(value) => values.push(value),
            None => not_of_type(props, "enum", item, form),
        }
    }
    Some(values)
}

fn categories(props: &mut Props<'_, '_>, form: &Form) -> Option<Vec<Logical>> {
    let items = props.list("categories")?;
    if !matches!(form, Form::Text(_) | Form::Integer(_)) {
        let kind = form.name();
        props.fault(
            "categories",
            format!("«categories» tidak berlaku untuk tipe {kind}"),
            format!("“categories” does not apply to the type {kind}"),
        );
        return None;
    }
    props.flag("categoriesOrdered");
    if items.is_empty() {
        props.fault("categories", "«categories» kosong", "“categories” is empty");
    }
    let mut values = Vec::with_capacity(items.len());
    let (mut seen, mut labels) = (HashSet::new(), HashSet::new());
    for item in items {
        let (value, label) = match item {
            Value::Object(object) => (object.get("value"), object.get("label")),
            value => (Some(value), None),
        };
        let fresh = value.is_some_and(|value| seen.insert(value.to_string()))
            && label.is_none_or(|label| label.is_string() && labels.insert(label.to_string()));
        match value.and_then(|value| form.read_value(value)) {
            Some(value) if fresh => values.push(value),
            Some(_) => props.fault("categories", "nilai atau label kembar", "a value or label stands twice"),
            None => not_of_type(props, "categories", item, form),
        }
    }
    Some(values)
}

/// An example that is no value of the field's type misleads whoever follows it.
fn check_example(props: &mut Props<'_, '_>, field: &Field) {
    let Some(example) = props.raw("example") else { return };
    if example.as_str().is_some_and(|text| field.missing.contains(text)) || example.is_null() {
        return;
    }
    if field.form.read_value(example).is_none() {
        let shown = crate::report::shown(&example.to_string());
        props.fault(
            "example",
            format!("contoh {shown} bukan nilai bertipe {}", field.form.name()),
            format!("the example {shown} is not a value of type {}", field.form.name()),
        );
    }
}
