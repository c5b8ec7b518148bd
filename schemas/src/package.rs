//! Checking the first table of a package with everything around it: the other tables that it
//! points to, its size and its digest. What `simpul validate` does.

use std::cell::RefCell;
use std::io::Read;
use std::sync::Arc;

use hashbrown::HashMap;
use serde_json::{Value, json};

use crate::across::RuleEngine;
use crate::contract::{Contract, ENCODING_ERROR, REFERENCE_ERROR};
use crate::descriptor::DescriptorError;
use crate::digest::Checksum;
use crate::reference::{ReferenceTable, References, Wanted};
use crate::report::{Finding, Lang, Report, Text, io_words, speech};
use crate::validator::{Format, Limits, RejectedRow, Validator};

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

/// What became of the check.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exit status: 0 valid, 1 invalid, 2 the descriptor cannot be used, 3 could not run.
    pub exit: u8,
    /// Why the descriptor cannot be used.
    pub descriptor_errors: Vec<DescriptorError>,
    /// What was found in the data.
    pub report: Report,
}

impl Outcome {
    /// The JSON of `simpul validate --json`.
    #[must_use]
    pub fn to_json(&self, lang: Lang) -> Value {
        let mut json = self.report.to_json(lang);
        if let (Some(object), false) = (json.as_object_mut(), self.descriptor_errors.is_empty()) {
            let errors: Vec<Value> = self
                .descriptor_errors
                .iter()
                .map(|error| json!({"type": error.kind, "path": error.path, "message": error.message.get(lang)}))
                .collect();
            object.insert("descriptorErrors".to_owned(), Value::Array(errors));
        }
        json
    }

    fn unusable(descriptor_errors: Vec<DescriptorError>) -> Self {
        Self { exit: 2, descriptor_errors, report: Report::default() }
    }

    fn of(report: Report) -> Self {
        Self { exit: u8::from(!report.valid), descriptor_errors: Vec::new(), report }
    }
}

/// Checks `data` as the first resource of the package.
///
/// `data` is the bytes of that resource, or why they could not be opened. `load` gives the bytes of
/// a path that the descriptor names: other tables, schemas and dialects in files of their own.
pub fn validate_package(
    descriptor: &Value,
    data: Result<&mut dyn Read, String>,
    load: &dyn Fn(&str) -> Option<Vec<u8>>,
    limits: Limits,
) -> Outcome {
    validate_package_keeping(descriptor, data, load, limits, &mut |_, _, _| {})
}

/// Takes the bad rows of a file while it is checked: the contract, the head of the file
/// ([`Validator::header_text`]) and the rows found since the last call.
pub type Keep<'k> = dyn FnMut(&Contract, &str, Vec<RejectedRow>) + 'k;

/// [`validate_package`] that hands out the bad rows. After the file its caller is told once more, with no rows, so that it
/// knows the contract and the head of a file without any.
pub fn validate_package_keeping(
    descriptor: &Value,
    data: Result<&mut dyn Read, String>,
    load: &dyn Fn(&str) -> Option<Vec<u8>>,
    limits: Limits,
    keep: &mut Keep<'_>,
) -> Outcome {
    validate_package_with(descriptor, data, load, limits, None, keep)
}

/// [`validate_package_keeping`] with an expression language for the rules across columns. Without one they are not checked,
/// and a notice says so.
pub fn validate_package_with(
    descriptor: &Value,
    data: Result<&mut dyn Read, String>,
    load: &dyn Fn(&str) -> Option<Vec<u8>>,
    limits: Limits,
    engine: Option<&dyn RuleEngine>,
    keep: &mut Keep<'_>,
) -> Outcome {
    let descriptor = inline(descriptor, load);
    let refs = Neighbours { descriptor: &descriptor, load, limits, known: RefCell::default() };
    let compiled = Contract::compile(&descriptor, &refs);
    let compiled = match engine {
        Some(engine) => compiled.and_then(|contract| contract.with_rules(engine)),
        None => compiled,
    };
    let contract = match compiled {
        Ok(contract) => contract,
        Err(errors) => return uncompiled(errors),
    };
    let Some(format) = format_of(&descriptor, 0, &contract) else {
        let mut outcome = Outcome::of(file_error(
            "format-error",
            "Format berkas ini belum didukung.",
            "This file format is not supported.",
        ));
        outcome.exit = 3;
        return outcome;
    };
    let source = match data {
        Ok(source) => source,
        // Why stands in the words of the system; whoever opened the file tells it where they are read.
        Err(_) => {
            let mut report = file_error("scheme-error", "Berkas tidak dapat dibuka.", "The file cannot be opened.");
            for error in &mut report.errors {
                error.hint = Some(Text::fixed(
                    "Periksa nama berkas, foldernya, dan izin membacanya.",
                    "Check the name of the file, its folder, and the permission to read it.",
                ));
            }
            return Outcome::of(report);
        }
    };
    let (contract, keep) = (Arc::new(contract), &mut *keep);
    let mut keep = |validator: &mut Validator| {
        let rows = validator.take_rejected();
        keep(validator.contract(), validator.header_text(), rows);
    };
    match check(contract, format, source, resource(&descriptor, 0), load, limits, &mut keep) {
        Ok(report) => Outcome::of(report),
        Err(why) => {
            let why = io_words(why.kind());
            let (id, en) =
                (format!("Berkas tidak dapat dibaca: {}.", why.id), format!("The file cannot be read: {}.", why.en));
            Outcome { exit: 3, ..Outcome::of(file_error("scheme-error", id, en)) }
        }
    }
}

/// A list or encoding that is not there is a fault of the package's data; all else of its descriptor.
fn uncompiled(errors: Vec<DescriptorError>) -> Outcome {
    if !errors.iter().all(|error| error.kind == REFERENCE_ERROR || error.kind == ENCODING_ERROR) {
        return Outcome::unusable(errors);
    }
    let findings: Vec<Finding> = errors
        .iter()
        .map(|error| {
            let kind = if error.kind == REFERENCE_ERROR { "resource-error" } else { "encoding-error" };
            finding(kind, error.message.clone())
        })
        .collect();
    let mut report = Report::default();
    report.stats.errors = findings.len() as u64;
    report.errors = findings;
    Outcome::of(report)
}

fn finding(kind: &'static str, message: Text) -> Finding {
    Finding {
        row: None,
        field_number: None,
        field: None,
        kind: kind.into(),
        constraint: None,
        value: None,
        message,
        hint: None,
        fixed: None,
        guess: false,
        tells: false,
        personal: false,
        masked: false,
        group: u32::MAX,
    }
}

fn file_error(kind: &'static str, id: impl Into<String>, en: impl Into<String>) -> Report {
    let mut report = Report::default();
    report.stats.errors = 1;
    report.errors.push(finding(kind, Text::new(id, en)));
    report
}

fn resource(descriptor: &Value, index: usize) -> &Value {
    descriptor.get("resources").and_then(|resources| resources.get(index)).unwrap_or(&Value::Null)
}

/// Puts schemas and dialects that stand in files of their own into the descriptor.
fn inline(descriptor: &Value, load: &dyn Fn(&str) -> Option<Vec<u8>>) -> Value {
    let mut descriptor = descriptor.clone();
    let resources = descriptor.get_mut("resources").and_then(Value::as_array_mut);
    for resource in resources.into_iter().flatten() {
        for part in ["schema", "dialect"] {
            let Some(slot) = resource.get_mut(part) else { continue };
            let loaded = slot.as_str().and_then(load).and_then(|bytes| serde_json::from_slice(&bytes).ok());
            if let Some(loaded) = loaded {
                *slot = loaded;
            }
        }
        if let Some(object) = resource.as_object_mut()
            && !object.contains_key("path")
            && let Some(url) = object.get("url").cloned()
        {
            object.insert("path".to_owned(), url);
        }
    }
    descriptor
}

fn paths(resource: &Value) -> Vec<&str> {
    match resource.get("path") {
        Some(Value::String(path)) => vec![path],
        Some(Value::Array(paths)) => paths.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// How a resource is written: as its `format` says, else as its path ends, else CSV.
fn format_of(descriptor: &Value, index: usize, contract: &Contract) -> Option<Format> {
    let resource = resource(descriptor, index);
    if resource.get("data").is_some_and(|data| !data.is_string()) {
        return Some(Format::Json);
    }
    let ending =
        paths(resource).first().and_then(|path| path.rsplit_once('.')).map(|(_, ending)| ending.to_ascii_lowercase());
    match contract.format.as_deref().or(ending.as_deref()) {
        Some("json" | "geojson") => Some(Format::Json),
        Some("ndjson" | "jsonl" | "jsonlines") => Some(Format::Ndjson),
        Some("xlsx" | "xls" | "ods" | "parquet" | "arrow" | "yaml" | "sqlite") => None,
        _ => Some(Format::Csv),
    }
}

fn check(
    contract: Arc<Contract>,
    format: Format,
    source: &mut dyn Read,
    resource: &Value,
    load: &dyn Fn(&str) -> Option<Vec<u8>>,
    limits: Limits,
    keep: &mut dyn FnMut(&mut Validator),
) -> std::io::Result<Report> {
    let expected = resource.get("hash").and_then(Value::as_str);
    let mut checksum = Checksum::new(expected);
    let mut validator = Validator::for_check(contract, format, limits);
    let mut buffer = vec![0_u8; READ_BYTES];
    // After a fatal error the rest is still read, for its size and digest.
    loop {
        let read = source.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        checksum.update(bytes);
        let _ = validator.push(bytes);
        validator.take_batches();
        keep(&mut validator);
    }
    for path in paths(resource).iter().skip(1) {
        let Some(bytes) = load(path) else {
            let message = format!("{path}: not found");
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, message));
        };
        checksum.update(&bytes);
        let _ = validator.push(&bytes);
        validator.take_batches();
        keep(&mut validator);
    }
    let _ = validator.finish();
    keep(&mut validator);
    let mut report = validator.into_report();
    file_checks(&mut report, checksum, resource);
    Ok(report)
}

/// Size and digest, as the resource declares them.
fn file_checks(report: &mut Report, checksum: Checksum, resource: &Value) {
    let read = checksum.bytes();
    if let Some(bytes) = resource.get("bytes").and_then(Value::as_u64)
        && bytes != read
    {
        add(
            report,
            "byte-count",
            format!(
                "Berkas berukuran {} byte, seharusnya {}.",
                speech::count(read, Lang::Id),
                speech::count(bytes, Lang::Id)
            ),
            format!("The file has {} bytes, not {}.", speech::count(read, Lang::En), speech::count(bytes, Lang::En)),
        );
    }
    if let Some(expected) = resource.get("hash").and_then(Value::as_str) {
        match checksum.finish() {
            Some(actual) if actual.eq_ignore_ascii_case(expected.rsplit(':').next().unwrap_or_default()) => {}
            Some(actual) => {
                add(
                    report,
                    "hash-count",
                    format!("Sidik berkas {actual}, seharusnya {expected}."),
                    format!("The file's digest is {actual}, not {expected}."),
                );
            }
            None => report.notices.push(crate::report::Notice {
                code: "hash-unchecked".into(),
                message: Text::new(
                    format!("Sidik «{expected}» tidak dapat diperiksa."),
                    format!("The digest “{expected}” cannot be checked."),
                ),
            }),
        }
    }
}

fn add(report: &mut Report, kind: &'static str, id: String, en: String) {
    report.valid = false;
    report.stats.errors += 1;
    report.errors.push(finding(kind, Text::new(id, en)));
}

/// The other tables of the package, and the code lists that ship with the product.
struct Neighbours<'a> {
    descriptor: &'a Value,
    load: &'a dyn Fn(&str) -> Option<Vec<u8>>,
    limits: Limits,
    known: RefCell<HashMap<usize, Option<Arc<ReferenceTable>>>>,
}

impl References for Neighbours<'_> {
    fn table(&self, wanted: &Wanted<'_>) -> Option<Arc<ReferenceTable>> {
        let resources = self.descriptor.get("resources").and_then(Value::as_array)?;
        let named = |resource: &Value| resource.get("name").and_then(Value::as_str) == Some(wanted.resource);
        if let Some(index) = resources.iter().position(named) {
            if let Some(known) = self.known.borrow().get(&index) {
                return known.clone();
            }
            let table = self.read(index).map(Arc::new);
            self.known.borrow_mut().insert(index, table.clone());
            return table;
        }
        let urn = wanted.package?;
        crate::standard::code_lists()
            .filter_map(|list| list.load().ok())
            .find(|list| list.urn() == urn)
            .map(|list| Arc::new(ReferenceTable::from_code_list(&list)))
    }
}

impl Neighbours<'_> {
    fn read(&self, index: usize) -> Option<ReferenceTable> {
        let mut descriptor = self.descriptor.clone();
        let schema = descriptor.get_mut("resources")?.get_mut(index)?.get_mut("schema")?.as_object_mut()?;
        // Its own references are not asked here; two tables may point to each other.
        schema.remove("foreignKeys");
        let contract = Contract::compile_resource(&descriptor, index, &crate::reference::NoReferences).ok()?;
        let format = format_of(&descriptor, index, &contract)?;
        let resource = resource(&descriptor, index);
        let names: Vec<String> = contract.fields().iter().map(|field| field.name().to_owned()).collect();
        let mut validator = Validator::for_check(Arc::new(contract), format, self.limits);
        validator.keep_bad_rows();
        match resource.get("data") {
            Some(Value::String(text)) => validator.push(text.as_bytes()).ok()?,
            Some(data) => validator.push(data.to_string().as_bytes()).ok()?,
            None => {
                for path in paths(resource) {
                    validator.push(&(self.load)(path)?).ok()?;
                }
            }
        }
        validator.finish().ok()?;
        let batches: Vec<_> = validator.take_batches().into_iter().map(|batch| batch.rows).collect();
        if batches.is_empty() {
            return Some(ReferenceTable::new(&names.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        Some(ReferenceTable::from_batches(&batches))
    }
}
