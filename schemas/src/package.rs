//! Checking the first table of a package with everything around it: the other tables that it
//! points to, its size and its digest. What `simpul validate` does.

use std::cell::RefCell;
use std::io::Read;
use std::sync::Arc;

use hashbrown::HashMap;
use serde_json::{Value, json};

use crate::contract::{Contract, ENCODING_ERROR, REFERENCE_ERROR};
use crate::descriptor::DescriptorError;
use crate::digest::Checksum;
use crate::reader::cells::{CellFault, Foreign, Sheet};
use crate::reference::{ReferenceTable, References, Wanted};
use crate::report::{Finding, Lang, Report, Text};
use crate::validator::{Format, Limits, Validator};

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
/// a path that the descriptor names: other tables, schemas and dialects in files of their own. Foreign formats (XLSX, Parquet
/// and the like) are not read here: [`validate_package_with`] takes a decoder for them.
pub fn validate_package(
    descriptor: &Value,
    data: Result<&mut dyn Read, String>,
    load: &dyn Fn(&str) -> Option<Vec<u8>>,
    limits: Limits,
) -> Outcome {
    let none = |_: Foreign, _: &Sheet| Err(std::io::Error::from(std::io::ErrorKind::Unsupported));
    validate_package_with(descriptor, data, load, &none, limits)
}

/// As [`validate_package`]. `cells` gives the cells of the first resource when it is in a foreign format, as
/// [`crate::CellWriter`] writes them; a reading error of it may hold a [`CellFault`].
pub fn validate_package_with(
    descriptor: &Value,
    data: Result<&mut dyn Read, String>,
    load: &dyn Fn(&str) -> Option<Vec<u8>>,
    cells: &dyn Fn(Foreign, &Sheet) -> std::io::Result<Box<dyn Read>>,
    limits: Limits,
) -> Outcome {
    let descriptor = inline(descriptor, load);
    let refs = Neighbours { descriptor: &descriptor, load, limits, known: RefCell::default() };
    let contract = match Contract::compile(&descriptor, &refs) {
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
        Err(why) => {
            let (id, en) = (format!("Berkas tidak dapat dibuka: {why}"), format!("The file cannot be opened: {why}"));
            return Outcome::of(file_error("scheme-error", id, en));
        }
    };
    let described = resource(&descriptor, 0);
    let checked = match format {
        Format::Cells(foreign) => check_cells(Arc::new(contract), foreign, source, described, cells, limits),
        format => check(Arc::new(contract), format, source, described, load, limits),
    };
    match checked {
        Ok(report) => Outcome::of(report),
        Err(why) => {
            let (id, en) = (format!("Berkas tidak dapat dibaca: {why}"), format!("The file cannot be read: {why}"));
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
        personal: false,
        masked: false,
        group: 0,
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
        Some("yaml" | "sqlite") => None,
        other => Some(other.and_then(Foreign::of_ending).map_or(Format::Csv, Format::Cells)),
    }
}

fn check(
    contract: Arc<Contract>,
    format: Format,
    source: &mut dyn Read,
    resource: &Value,
    load: &dyn Fn(&str) -> Option<Vec<u8>>,
    limits: Limits,
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
        validator.take_rejected();
    }
    for path in paths(resource).iter().skip(1) {
        let Some(bytes) = load(path) else {
            let message = format!("{path}: not found");
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, message));
        };
        checksum.update(&bytes);
        let _ = validator.push(&bytes);
        validator.take_batches();
        validator.take_rejected();
    }
    let _ = validator.finish();
    let mut report = validator.into_report();
    file_checks(&mut report, checksum, resource);
    Ok(report)
}

/// Checks a resource in a foreign format by the cells that were decoded from it.
fn check_cells(
    contract: Arc<Contract>,
    format: Foreign,
    source: &mut dyn Read,
    resource: &Value,
    cells: &dyn Fn(Foreign, &Sheet) -> std::io::Result<Box<dyn Read>>,
    limits: Limits,
) -> std::io::Result<Report> {
    let mut decoded = cells(format, contract.sheet())?;
    let mut validator = Validator::for_check(contract, Format::Cells(format), limits);
    let mut buffer = vec![0_u8; READ_BYTES];
    loop {
        let read = match decoded.read(&mut buffer) {
            Ok(read) => read,
            Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<CellFault>()) {
                Some(fault) => {
                    validator.fail(fault);
                    break;
                }
                None => return Err(error),
            },
        };
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        if validator.push(bytes).is_err() {
            break;
        }
        validator.take_batches();
        validator.take_rejected();
    }
    drop(decoded);
    let _ = validator.finish();
    let mut report = validator.into_report();
    let mut checksum = Checksum::new(resource.get("hash").and_then(Value::as_str));
    if resource.get("hash").is_some() || resource.get("bytes").is_some() {
        loop {
            let read = source.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            checksum.update(bytes);
        }
    }
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
            format!("Berkas berukuran {read} byte, seharusnya {bytes}."),
            format!("The file has {read} bytes, not {bytes}."),
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
