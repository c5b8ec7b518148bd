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
use crate::reader::cells::{CellFault, Foreign, Sheet};
use crate::reader::decode::TextEncoding;
use crate::reference::{NoReferences, ReferenceTable, References, Wanted};
use crate::report::{Finding, Lang, Report, Text, io_words, speech};
use crate::unpack::{Unpacked, is_gzip};
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
/// a path that the descriptor names: other tables, schemas and dialects in files of their own. Foreign formats (XLSX, Parquet
/// and the like) are not read here: [`validate_package_with`] takes a decoder for them.
pub fn validate_package(
    descriptor: &Value,
    data: Result<&mut dyn Read, String>,
    load: &dyn Fn(&str) -> Option<Vec<u8>>,
    limits: Limits,
) -> Outcome {
    let none = |_: Foreign, _: &Sheet| Err(std::io::Error::from(std::io::ErrorKind::Unsupported));
    let means = Means { load, cells: &none, rules: None, lists: &NoReferences, encoding: None, watch: None };
    validate_package_with(descriptor, data, &means, limits, &mut |_, _, _| {})
}

/// Takes the bad rows of a file while it is checked: the contract, the head of the file
/// ([`Validator::header_text`]) and the rows found since the last call.
pub type Keep<'k> = dyn FnMut(&Contract, &str, Vec<RejectedRow>) + 'k;

/// Gives the cells of the first resource when it is in a foreign format, as [`crate::CellWriter`] writes them; a reading
/// error of it may hold a [`CellFault`].
pub type Cells<'c> = dyn Fn(Foreign, &Sheet) -> std::io::Result<Box<dyn Read>> + 'c;

/// What the check of a package takes from outside, because this crate opens no file and starts no process.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// The bytes of a path that the descriptor names: other tables, schemas and dialects in files of their own.
    pub load: &'a dyn Fn(&str) -> Option<Vec<u8>>,
    /// The cells of a foreign format.
    pub cells: &'a Cells<'a>,
    /// The expression language of the rules across columns. Without one they are not checked, and a notice says so.
    pub rules: Option<&'a dyn RuleEngine>,
    /// The encoding of a CSV file that a person names, whatever the descriptor says.
    pub encoding: Option<TextEncoding>,
    /// Code lists besides those that ship with the product.
    pub lists: &'a dyn References,
    /// Told after every piece of the file how far the check is.
    pub watch: Option<&'a dyn Fn(&Validator)>,
}

/// [`validate_package`] with foreign formats, rules across columns and the bad rows handed out. After the file `keep` is
/// called once more, with no rows, so that it knows the contract and the head of a file without any.
pub fn validate_package_with(
    descriptor: &Value,
    data: Result<&mut dyn Read, String>,
    means: &Means<'_>,
    limits: Limits,
    keep: &mut Keep<'_>,
) -> Outcome {
    let mut descriptor = inline(&as_package(descriptor), means.load);
    let mut head = Vec::new();
    let data = data.and_then(|source| {
        let read = (&mut *source).take(crate::bare::HEAD as u64).read_to_end(&mut head);
        read.map(|_| source).map_err(|why| why.to_string())
    });
    name_fields(&mut descriptor, data.is_ok().then_some(head.as_slice()), means.load);
    let refs = Neighbours {
        descriptor: &descriptor,
        load: means.load,
        lists: means.lists,
        limits,
        known: RefCell::default(),
        unreadable: RefCell::default(),
    };
    let mut faults = crate::metadata::faults(&descriptor);
    let compiled = Contract::compile(&descriptor, &refs);
    let compiled = match means.rules {
        Some(engine) => compiled.and_then(|contract| contract.with_rules(engine)),
        None => compiled,
    };
    let contract = match compiled {
        Ok(contract) if faults.is_empty() => contract,
        Ok(_) => return Outcome::unusable(faults),
        Err(errors) => {
            faults.extend(errors);
            return uncompiled(faults, &refs.unreadable.borrow());
        }
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
    let mut source = match data {
        Ok(source) => head.as_slice().chain(source),
        // Why stands in the words of the system; whoever opened the file tells it where they are read.
        Err(_) => return Outcome::of(not_opened()),
    };
    let (contract, keep) = (Arc::new(contract), &mut *keep);
    let mut keep = |validator: &mut Validator| {
        if let Some(watch) = means.watch {
            watch(validator);
        }
        let rows = validator.take_rejected();
        keep(validator.contract(), validator.header_text(), rows);
    };
    let described = resource(&descriptor, 0);
    let checked = match format {
        Format::Cells(foreign) => {
            check_cells(contract, (foreign, means.cells), &mut source, described, limits, &mut keep)
        }
        format => check(contract, format, &mut source, described, means, limits, &mut keep),
    };
    match checked {
        Ok(report) => Outcome::of(report),
        Err(why) => {
            let why = io_words(why.kind());
            let (id, en) =
                (format!("Berkas tidak dapat dibaca: {}.", why.id), format!("The file cannot be read: {}.", why.en));
            Outcome { exit: 3, ..Outcome::of(file_error("scheme-error", id, en)) }
        }
    }
}

/// A resource or a schema that stands alone is a package of one table.
fn as_package(descriptor: &Value) -> Value {
    let Some(object) = descriptor.as_object().filter(|object| !object.contains_key("resources")) else {
        return descriptor.clone();
    };
    let mut resource = if object.contains_key("fields") {
        json!({"name": "data", "path": "data", "schema": descriptor})
    } else if object.contains_key("schema") || object.contains_key("path") || object.contains_key("data") {
        descriptor.clone()
    } else {
        return descriptor.clone();
    };
    let version = resource.as_object_mut().and_then(|resource| resource.remove("$schema"));
    let version = version.or_else(|| object.get("$schema").cloned());
    let mut package = json!({"resources": [resource]});
    if let (Some(package), Some(version)) = (package.as_object_mut(), version) {
        package.insert("$schema".to_owned(), version);
    }
    package
}

/// A list or encoding that is not there is a fault of the package's data; all else of its descriptor.
fn uncompiled(errors: Vec<DescriptorError>, unreadable: &[String]) -> Outcome {
    if !errors.iter().all(|error| error.kind == REFERENCE_ERROR || error.kind == ENCODING_ERROR) {
        return Outcome::unusable(errors);
    }
    let findings: Vec<Finding> = errors
        .iter()
        .map(|error| {
            let missing_file = unreadable.iter().any(|list| error.message.en.contains(&format!("“{list}”")));
            let kind = match error.kind.as_str() {
                REFERENCE_ERROR if missing_file => "scheme-error",
                REFERENCE_ERROR => "resource-error",
                _ => "encoding-error",
            };
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

/// Gives delimited tables without a schema one that is made of their labels.
fn name_fields(descriptor: &mut Value, head: Option<&[u8]>, load: &dyn Fn(&str) -> Option<Vec<u8>>) {
    let resources = descriptor.get_mut("resources").and_then(Value::as_array_mut);
    for (index, resource) in resources.into_iter().flatten().enumerate() {
        if resource.get("schema").is_some() || format_named(resource, None) != Some(Format::Csv) {
            continue;
        }
        let text = resource.get("data").and_then(Value::as_str).map(|text| text.as_bytes().to_vec());
        let bytes = match (text, index, head) {
            (Some(text), _, _) => Some(text),
            (None, 0, head) => head.map(<[u8]>::to_vec),
            _ => paths(resource).first().and_then(|path| load(path)),
        };
        let bytes = bytes.map(|mut bytes| {
            bytes.truncate(crate::bare::HEAD);
            bytes
        });
        let schema = bytes.and_then(|bytes| crate::bare::schema(resource, &bytes));
        if let (Some(object), Some(schema)) = (resource.as_object_mut(), schema) {
            object.insert("schema".to_owned(), schema);
        }
    }
}

fn paths(resource: &Value) -> Vec<&str> {
    match resource.get("path") {
        Some(Value::String(path)) => vec![path],
        Some(Value::Array(paths)) => paths.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// How a resource is written, whatever compressed it: as its `format` says, else as its path ends, else CSV.
fn format_of(descriptor: &Value, index: usize, contract: &Contract) -> Option<Format> {
    format_named(resource(descriptor, index), contract.format.as_deref())
}

fn format_named(resource: &Value, format: Option<&str>) -> Option<Format> {
    let own = resource.get("format").and_then(Value::as_str).map(str::to_ascii_lowercase);
    if resource.get("data").is_some_and(|data| !data.is_string()) {
        return Some(Format::Json);
    }
    let path = paths(resource).first().map(|path| path.to_ascii_lowercase()).unwrap_or_default();
    let path = path.strip_suffix(".gz").unwrap_or(&path);
    let ending = path.rsplit_once('.').map(|(_, ending)| ending);
    match format.or(own.as_deref()).or(ending) {
        Some("json" | "geojson") => Some(Format::Json),
        Some("ndjson" | "jsonl" | "jsonlines") => Some(Format::Ndjson),
        Some("yaml" | "sqlite") => None,
        other => Some(other.and_then(Foreign::of_ending).map_or(Format::Csv, Format::Cells)),
    }
}

fn not_opened() -> Report {
    let mut report = file_error("scheme-error", "Berkas tidak dapat dibuka.", "The file cannot be opened.");
    for error in &mut report.errors {
        error.hint = Some(Text::fixed(
            "Periksa nama berkas, foldernya, dan izin membacanya.",
            "Check the name of the file, its folder, and the permission to read it.",
        ));
    }
    report
}

fn check(
    contract: Arc<Contract>,
    format: Format,
    source: &mut dyn Read,
    resource: &Value,
    means: &Means<'_>,
    limits: Limits,
    keep: &mut dyn FnMut(&mut Validator),
) -> std::io::Result<Report> {
    let expected = resource.get("hash").and_then(Value::as_str);
    let mut checksum = Checksum::new(expected);
    let mut validator = Validator::for_check(contract, format, limits);
    if let Some(encoding) = means.encoding {
        validator = validator.in_encoding(encoding);
    }
    let mut after = |validator: &mut Validator| {
        validator.take_batches();
        keep(validator);
    };
    let mut input = Unpacked::new(is_gzip(resource), format, &mut validator, &mut after);
    let mut buffer = vec![0_u8; READ_BYTES];
    // After a fatal error the rest is still read, for its size and digest.
    loop {
        let read = source.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        checksum.update(bytes);
        input.push(bytes);
    }
    let mut missing = None;
    for path in paths(resource).iter().skip(1) {
        let Some(bytes) = (means.load)(path) else {
            missing = Some((*path).to_owned());
            break;
        };
        checksum.update(&bytes);
        input.next_file();
        input.push(&bytes);
    }
    let damaged = input.finish();
    let _ = validator.finish();
    keep(&mut validator);
    let mut report = validator.into_report();
    if let Some(path) = missing {
        let (id, en) = (format!("Berkas «{path}» tidak ada."), format!("The file “{path}” is not there."));
        add(&mut report, "scheme-error", id, en);
    }
    if damaged {
        add(
            &mut report,
            "compression-error",
            "Berkas gzip rusak atau terpotong.".to_owned(),
            "The gzip file is damaged or cut off.".to_owned(),
        );
    }
    file_checks(&mut report, checksum, resource);
    Ok(report)
}

/// Checks a resource in a foreign format by the cells that were decoded from it.
fn check_cells(
    contract: Arc<Contract>,
    (format, cells): (Foreign, &Cells<'_>),
    source: &mut dyn Read,
    resource: &Value,
    limits: Limits,
    keep: &mut dyn FnMut(&mut Validator),
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
        keep(&mut validator);
    }
    drop(decoded);
    let _ = validator.finish();
    keep(&mut validator);
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
    lists: &'a dyn References,
    limits: Limits,
    known: RefCell<HashMap<usize, Option<Arc<ReferenceTable>>>>,
    /// Names of tables whose files are not there.
    unreadable: RefCell<Vec<String>>,
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
        if let Some(table) = self.lists.table(wanted) {
            return Some(table);
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
        // Its own references and keys are not asked here; two tables may point to each other.
        for keys in ["foreignKeys", "primaryKey", "uniqueKeys"] {
            schema.remove(keys);
        }
        let contract = Contract::compile_resource(&descriptor, index, &crate::reference::NoReferences).ok()?;
        let format = format_of(&descriptor, index, &contract)?;
        let resource = resource(&descriptor, index);
        let names: Vec<String> = contract.fields().iter().map(|field| field.name().to_owned()).collect();
        let kinds = contract.fields.iter().map(|field| field.form.kind()).collect();
        let mut validator = Validator::for_check(Arc::new(contract), format, self.limits);
        validator.keep_bad_rows();
        match resource.get("data") {
            Some(Value::String(text)) => validator.push(text.as_bytes()).ok()?,
            Some(data) => validator.push(data.to_string().as_bytes()).ok()?,
            None => {
                let mut after = |validator: &mut Validator| drop(validator.take_rejected());
                let mut input = Unpacked::new(is_gzip(resource), format, &mut validator, &mut after);
                for (number, path) in paths(resource).into_iter().enumerate() {
                    let Some(bytes) = (self.load)(path) else {
                        let name = resource.get("name").and_then(Value::as_str).unwrap_or_default();
                        self.unreadable.borrow_mut().push(name.to_owned());
                        return None;
                    };
                    if number > 0 {
                        input.next_file();
                    }
                    input.push(&bytes);
                }
                if input.finish() {
                    return None;
                }
            }
        }
        validator.finish().ok()?;
        let batches: Vec<_> = validator.take_batches().into_iter().map(|batch| batch.rows).collect();
        if batches.is_empty() {
            return Some(ReferenceTable::new(&names.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        Some(ReferenceTable::from_batches(&batches).with_kinds(kinds))
    }
}
