//! Rules across the columns of a row: `satudata.aturan` of the schema.
//!
//! A rule is a name, a boolean expression over the columns such as `jumlah = laki_laki + perempuan`, what to say when it
//! does not hold, and whether that refuses the row. The expression language is the engine's ([`RuleEngine`]), which is
//! passed in: this crate has none. A rule sees only rows whose cells are all right. Where it comes to null, because a
//! cell that it needs is empty, it says nothing about the row; where it cannot be computed, as in a division by zero,
//! it does not hold.

use std::fmt;
use std::ops::Range;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use hashbrown::HashSet;
use serde_json::{Map, Value};

use crate::column::{Fault, Place};
use crate::descriptor::{DescriptorError, Props};
use crate::field::Rule;
use crate::report::Text;

/// The most rules of one contract.
pub const MAX_RULES: usize = 64;
/// The longest expression, in bytes.
pub const MAX_EXPRESSION: usize = 2000;
/// The longest name of a rule, in characters.
const MAX_NAME: usize = 64;
/// The longest message, in characters.
const MAX_MESSAGE: usize = 500;

/// What an engine is asked to compile.
#[derive(Clone, Copy, Debug)]
pub struct RuleSource<'a> {
    /// The expression, at most [`MAX_EXPRESSION`] bytes.
    pub expression: &'a str,
    /// How far the two sides of the comparison that the expression is may be apart; at least 0.
    pub tolerance: Option<f64>,
}

/// An expression language.
pub trait RuleEngine {
    /// Compiles an expression over the columns of `schema`.
    ///
    /// # Errors
    /// Why the expression cannot be used, in words for the author of the contract: it cannot be read, names what is not
    /// there, is not boolean, looks at more than one row, or asks for time, chance or files.
    fn compile(&self, source: RuleSource<'_>, schema: &SchemaRef) -> Result<Box<dyn CompiledRule>, Text>;
}

/// A compiled expression.
pub trait CompiledRule: fmt::Debug + Send + Sync {
    /// The columns that it reads, by their place in the schema, in the order in which they are named.
    fn columns(&self) -> &[usize];

    /// Its value in each row: true, false, or null.
    ///
    /// # Errors
    /// When it cannot be computed in one of the rows.
    fn evaluate(&self, rows: &RecordBatch) -> Result<BooleanArray, String>;
}

/// One rule of a contract.
#[derive(Debug)]
pub(crate) struct AcrossRule {
    pub(crate) name: String,
    pub(crate) message: Text,
    /// Only to be looked at: the row is not refused.
    pub(crate) warning: bool,
    expression: String,
    tolerance: Option<f64>,
    /// Where it stands in the descriptor.
    path: String,
    pub(crate) compiled: Option<Box<dyn CompiledRule>>,
}

impl AcrossRule {
    /// The columns that the rule is about.
    pub(crate) fn columns(&self) -> &[usize] {
        self.compiled.as_ref().map_or(&[], |compiled| compiled.columns())
    }
}

impl AcrossRule {
    /// The names of a total and of its parts, where the rule says that the one is the sum of the others.
    pub(crate) fn sum(&self) -> Option<(&str, Vec<&str>)> {
        let (left, right) = self.expression.split_once('=')?;
        let right = right.trim_start_matches('=');
        let name = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_') && !text.is_empty();
        let (left, right) = (names(left), names(right));
        let all = left.iter().chain(&right).all(|text| name(text));
        match (left.as_slice(), right.as_slice()) {
            _ if !all => None,
            ([total], [_, _, ..]) => Some((total, right)),
            ([_, _, ..], [total]) => Some((total, left)),
            _ => None,
        }
    }
}

/// The terms of a sum.
fn names(side: &str) -> Vec<&str> {
    side.split('+').map(str::trim).collect()
}

/// Reads `satudata.aturan` of a schema.
pub(crate) fn rules(schema: &mut Props<'_, '_>) -> Vec<AcrossRule> {
    let Some(list) = schema.raw("satudata").and_then(|satudata| satudata.get("aturan")) else { return Vec::new() };
    let path = format!("{}/satudata/aturan", schema.path);
    let Some(list) = list.as_array().filter(|list| list.len() <= MAX_RULES) else {
        schema.fault(
            "satudata/aturan",
            format!("«aturan» harus larik paling banyak {MAX_RULES} aturan"),
            format!("“aturan” is an array of at most {MAX_RULES} rules"),
        );
        return Vec::new();
    };
    let (empty, mut names) = (Map::new(), HashSet::new());
    let mut rules = Vec::with_capacity(list.len());
    for (index, item) in list.iter().enumerate() {
        let object = item.as_object().unwrap_or(&empty);
        let mut props = Props::new(object, "schema-error", format!("{path}/{index}"), schema.errors);
        let Some(rule) = rule(&mut props) else { continue };
        if !names.insert(rule.name.clone()) {
            props.fault("nama", "dua aturan bernama sama", "two rules have the same name");
        }
        rules.push(rule);
    }
    rules
}

fn rule(props: &mut Props<'_, '_>) -> Option<AcrossRule> {
    let name = text(props, "nama", MAX_NAME)?;
    let expression = text(props, "ekspresi", MAX_EXPRESSION)?;
    let warning = match props.string("tingkat") {
        None | Some("kesalahan") => false,
        Some("peringatan") => true,
        Some(_) => {
            props.fault("tingkat", "«tingkat» harus kesalahan atau peringatan", "“tingkat” is kesalahan or peringatan");
            false
        }
    };
    let tolerance = props.raw("toleransi").map(|value| value.as_f64().filter(|value| *value >= 0.0));
    if tolerance == Some(None) {
        props.fault("toleransi", "«toleransi» harus bilangan ≥ 0", "“toleransi” is a number ≥ 0");
    }
    let message = message(props).unwrap_or_else(|| {
        Text::new(format!("Aturan «{name}» tidak terpenuhi"), format!("The rule “{name}” is broken"))
    });
    let path = props.path.clone();
    Some(AcrossRule { name, message, warning, expression, tolerance: tolerance.flatten(), path, compiled: None })
}

fn text(props: &mut Props<'_, '_>, name: &str, limit: usize) -> Option<String> {
    match props.string(name).filter(|text| !text.trim().is_empty() && text.len() <= limit) {
        Some(text) => Some(text.to_owned()),
        None => {
            props.fault(
                name,
                format!("«{name}» harus teks, paling banyak {limit} karakter"),
                format!("“{name}” is a text of at most {limit} characters"),
            );
            None
        }
    }
}

/// `pesan`: a text, or one for each language; the Indonesian one stands in for the other.
fn message(props: &mut Props<'_, '_>) -> Option<Text> {
    let value = props.raw("pesan")?;
    let own = |key| value.get(key).and_then(Value::as_str);
    let (id, en) = (value.as_str().or(own("id")), value.as_str().or(own("en")).or(own("id")));
    let fits = |text: &&str| !text.trim().is_empty() && text.chars().count() <= MAX_MESSAGE;
    match (id.filter(fits), en.filter(fits)) {
        (Some(id), Some(en)) => Some(Text::new(id, en)),
        _ => {
            props.fault(
                "pesan",
                format!("«pesan» harus teks, atau objek dengan «id» dan «en», paling banyak {MAX_MESSAGE} karakter"),
                format!("“pesan” is a text, or an object with “id” and “en”, of at most {MAX_MESSAGE} characters"),
            );
            None
        }
    }
}

/// Compiles the rules; faults are added to `errors` with their place in the descriptor.
pub(crate) fn compile(
    rules: &mut [AcrossRule],
    engine: &dyn RuleEngine,
    schema: &SchemaRef,
    errors: &mut Vec<DescriptorError>,
) {
    for rule in rules {
        let source = RuleSource { expression: &rule.expression, tolerance: rule.tolerance };
        match engine.compile(source, schema) {
            Ok(compiled) => rule.compiled = Some(compiled),
            Err(why) => {
                let path = format!("{}/ekspresi", rule.path);
                let message = Text::new(
                    format!("aturan «{}»: {}", rule.name, why.id),
                    format!("the rule “{}”: {}", rule.name, why.en),
                );
                errors.push(DescriptorError { kind: "schema-error".to_owned(), path, message });
            }
        }
    }
}

/// Evaluates the rules over the rows of a batch that have no fault yet. `faults` are sorted; what breaks a rule goes to
/// `broken`, or to `doubts` where the rule only warns.
pub(crate) fn check(
    rules: &[AcrossRule],
    schema: &SchemaRef,
    arrays: &[ArrayRef],
    faults: &[Fault],
    broken: &mut Vec<Fault>,
    doubts: &mut Vec<Fault>,
) -> Result<(), String> {
    let Some(rows) = arrays.first().map(|array| array.len()).filter(|rows| *rows > 0 && !rules.is_empty()) else {
        return Ok(());
    };
    let mut good = vec![true; rows];
    for fault in faults {
        if let Some(good) = good.get_mut(fault.row as usize) {
            *good = false;
        }
    }
    let numbers: Vec<u32> = (0..).zip(&good).filter(|(_, good)| **good).map(|(row, _)| row).collect();
    let batch = RecordBatch::try_new(SchemaRef::clone(schema), arrays.to_vec()).map_err(|why| why.to_string())?;
    let batch = match numbers.len() {
        0 => return Ok(()),
        kept if kept == rows => batch,
        _ => arrow_select::filter::filter_record_batch(&batch, &BooleanArray::from(good))
            .map_err(|why| why.to_string())?,
    };
    for (rule, number) in rules.iter().zip(0_u16..) {
        let Some(compiled) = &rule.compiled else { continue };
        let (sink, kind) = match rule.warning {
            true => (&mut *doubts, Rule::AcrossWarning(number)),
            false => (&mut *broken, Rule::Across(number)),
        };
        each_broken(compiled.as_ref(), &batch, |at| {
            if let Some(row) = numbers.get(at) {
                sink.push(Fault { row: *row, place: Place::Row, rule: kind });
            }
        });
    }
    Ok(())
}

/// Calls `broken` with the rows in which the rule is false or cannot be computed. A batch that fails as a whole is
/// halved until the rows that fail are alone.
fn each_broken(rule: &dyn CompiledRule, batch: &RecordBatch, mut broken: impl FnMut(usize)) {
    let mut parts: Vec<Range<usize>> = Vec::new();
    parts.push(0..batch.num_rows());
    while let Some(part) = parts.pop() {
        match rule.evaluate(&batch.slice(part.start, part.len())) {
            Ok(values) => {
                for (at, row) in part.enumerate() {
                    if at < values.len() && values.is_valid(at) && !values.value(at) {
                        broken(row);
                    }
                }
            }
            Err(_) if part.len() > 1 => {
                let middle = part.start + part.len() / 2;
                parts.extend([part.start..middle, middle..part.end]);
            }
            Err(_) => broken(part.start),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use serde_json::json;

    use super::*;
    use crate::{Contract, Format, Lang, Limits, NoReferences, Report, Validator};

    /// A toy: `a = b + …`, and rows with a = 13 cannot be computed.
    struct Equality;

    #[derive(Debug)]
    struct Equal(Vec<usize>);

    impl RuleEngine for Equality {
        fn compile(&self, source: RuleSource<'_>, schema: &SchemaRef) -> Result<Box<dyn CompiledRule>, Text> {
            let sides = source.expression.split(" = ").flat_map(|side| side.split(" + "));
            let names = sides.map(|name| schema.index_of(name));
            let columns: Result<Vec<_>, _> = names.collect();
            columns.map(|columns| Box::new(Equal(columns)) as _).map_err(|_| Text::fixed("salah", "wrong"))
        }
    }

    impl CompiledRule for Equal {
        fn columns(&self) -> &[usize] {
            &self.0
        }

        fn evaluate(&self, rows: &RecordBatch) -> Result<BooleanArray, String> {
            let column = |at: usize| rows.column(self.0[at]).as_primitive::<Int64Type>();
            let a: &Int64Array = column(0);
            if a.iter().flatten().any(|value| value == 13) {
                return Err("thirteen".to_owned());
            }
            let part = |row: usize, at: usize| column(at).is_valid(row).then(|| column(at).value(row));
            let sum = |row: usize| (1..self.0.len()).map(|at| part(row, at)).sum::<Option<i64>>();
            Ok(a.iter().enumerate().map(|(row, a)| Some(a? == sum(row)?)).collect())
        }
    }

    fn descriptor(rules: Value) -> Value {
        let fields = json!([
            {"name": "a", "type": "integer"}, {"name": "b", "type": "integer"},
            {"name": "c", "type": "string", "satudata": {"dataPribadi": {"jenis": "umum"}}},
        ]);
        json!({
            "$schema": "https://datapackage.org/profiles/2.0/datapackage.json", "name": "t",
            "resources": [{"name": "t", "path": "t.csv", "schema": {"fields": fields, "satudata": {"aturan": rules}}}],
        })
    }

    fn run(rules: Value, csv: &str) -> (Report, usize) {
        let contract = Contract::compile(&descriptor(rules), &NoReferences).unwrap().with_rules(&Equality).unwrap();
        let mut validator = Validator::new(Arc::new(contract), Format::Csv, Limits::default());
        validator.push(csv.as_bytes()).unwrap();
        validator.finish().unwrap();
        let kept = validator.take_batches().iter().map(|batch| batch.rows.num_rows()).sum();
        (validator.into_report(), kept)
    }

    #[test]
    fn a_broken_rule_names_its_columns_and_refuses_the_row_unless_it_warns() {
        let csv = "a,b,c\n1,1,x\n1,2,x\n,2,x\nx,2,x\n13,13,x\n3,3,x\n";
        let rule = json!({"nama": "sama", "ekspresi": "a = b", "pesan": {"id": "Harus sama.", "en": "Must be equal."}});
        let (report, kept) = run(json!([rule]), csv);
        assert_eq!(kept, 3, "equal, empty, equal: {report:?}");
        let broken: Vec<_> = report.errors.iter().filter(|e| e.kind == "row-constraint").collect();
        assert_eq!(broken.iter().map(|e| e.row).collect::<Vec<_>>(), [Some(3), Some(6)]);
        assert_eq!(broken[0].message(Lang::Id), "Harus sama (a = 1, b = 2).");
        assert_eq!(broken[0].message(Lang::En), "Must be equal (a = 1, b = 2).");
        assert_eq!(broken[0].constraint.as_deref(), Some("sama"));
        assert_eq!(report.groups.iter().filter(|g| g.constraint.as_deref() == Some("sama")).count(), 1);

        let mut warning = rule;
        warning["tingkat"] = json!("peringatan");
        let (report, kept) = run(json!([warning]), csv);
        assert_eq!((kept, report.stats.errors, report.stats.warnings), (5, 1, 2));
        assert_eq!(report.warnings[0].row, Some(3));
        assert!(report.to_text(Lang::Id).contains("2 peringatan"), "{}", report.to_text(Lang::Id));
    }

    #[test]
    fn values_of_personal_columns_leave_the_stored_report() {
        let (report, _) = run(json!([{"nama": "sama", "ekspresi": "a = b"}]), "a,b,c\n1,2,x\n");
        assert!(!report.errors[0].personal);
        let rule = json!([{"nama": "n", "ekspresi": "a = c"}]);
        let contract = Contract::compile(&descriptor(rule), &NoReferences).unwrap().with_rules(&Equality).unwrap();
        assert!(contract.rules[0].columns().iter().any(|column| contract.fields[*column].personal));
    }

    #[test]
    fn rules_that_nothing_can_evaluate_let_no_row_land() {
        let contract = Contract::compile(&descriptor(json!([{"nama": "n", "ekspresi": "a = b"}])), &NoReferences);
        let contract = Arc::new(contract.unwrap());
        let mut landing = Validator::new(Arc::clone(&contract), Format::Csv, Limits::default());
        assert!(landing.push(b"a,b,c\n1,1,x\n").is_err());
        let mut check = Validator::for_check(contract, Format::Csv, Limits::default());
        check.push(b"a,b,c\n1,1,x\n").unwrap();
        check.finish().unwrap();
        assert_eq!(check.into_report().notices[0].code, "rules-unchecked");
    }

    #[test]
    fn a_broken_sum_shows_what_its_parts_come_to() {
        let (report, _) = run(json!([{"nama": "dua", "ekspresi": "a = b + b"}]), "a,b,c\n4,2,x\n5,2,x\n");
        let hint = |lang| report.errors[0].hint(lang).unwrap();
        assert_eq!(hint(Lang::Id), "Jumlah bagian-bagiannya 4, tertulis 5. Periksa angka-angka ini pada sumbernya.");
        assert_eq!(hint(Lang::En), "Its parts add up to 4, where 5 is written. Check these numbers at their source.");
        let (report, _) = run(json!([{"nama": "sama", "ekspresi": "a = b"}]), "a,b,c\n1,2,x\n");
        assert_eq!(report.errors[0].hint(Lang::En).unwrap(), "Check these columns at their source.");
        let parts = |expression: &str| {
            let rule = AcrossRule {
                name: String::new(),
                message: Text::default(),
                warning: false,
                expression: expression.to_owned(),
                tolerance: None,
                path: String::new(),
                compiled: None,
            };
            rule.sum().map(|(total, parts)| format!("{total}: {}", parts.join(" ")))
        };
        assert_eq!(parts("l + p == jumlah").as_deref(), Some("jumlah: l p"));
        for other in ["a <= b + c", "a = b - c", "a = 2 * b + c", "a = b", "a + b", "f(a) = b + c", "a = b + c = d"] {
            assert_eq!(parts(other), None, "{other}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_used_is_refused_with_its_place() {
        let broken = |rules: Value| {
            let compiled = Contract::compile(&descriptor(rules), &NoReferences);
            let errors = compiled.and_then(|contract| contract.with_rules(&Equality)).unwrap_err();
            errors.into_iter().map(|error| error.path).collect::<Vec<_>>()
        };
        let at = |rest: &str| [format!("/resources/0/schema/satudata/aturan{rest}")];
        assert_eq!(broken(json!({})), at(""));
        assert_eq!(broken(json!([{"nama": "n", "ekspresi": "a = z"}])), at("/0/ekspresi"));
        assert_eq!(broken(json!([{"nama": "n"}])), at("/0/ekspresi"));
        assert_eq!(broken(json!([{"ekspresi": "a = b"}])), at("/0/nama"));
        assert_eq!(broken(json!([{"nama": "n", "ekspresi": "a = b", "tingkat": "fatal"}])), at("/0/tingkat"));
        assert_eq!(broken(json!([{"nama": "n", "ekspresi": "a = b", "toleransi": -1}])), at("/0/toleransi"));
        assert_eq!(broken(json!([{"nama": "n", "ekspresi": "a = b", "pesan": {"en": "x"}}])), at("/0/pesan"));
        let twice = json!([{"nama": "n", "ekspresi": "a = b"}, {"nama": "n", "ekspresi": "b = a"}]);
        assert_eq!(broken(twice), at("/1/nama"));
        let many: Vec<Value> = (0..=MAX_RULES).map(|n| json!({"nama": n.to_string(), "ekspresi": "a = b"})).collect();
        assert_eq!(broken(json!(many)), at(""));
    }
}
