//! `simpul validate`: a file against a contract, without a node.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use simpul_lake::SqlRules;
use simpul_schemas::{
    Contract, Foreign, Lang, Limits, Means, Outcome, RejectedCsv, RejectedRow, Sheet, TextEncoding, Validator,
    io_words, validate_package_with,
};

use super::{codelist, output};
use crate::config;
use crate::flows::workbook::Workbook;
use crate::worker::Worker;

/// How often the state of the check is looked at.
const EVERY: Duration = Duration::from_millis(200);
/// For how long nothing is said.
const QUIET: Duration = Duration::from_millis(400);
/// Errors that are listed one by one; all are counted.
const MAX_ERRORS: usize = 100_000;

#[derive(Args)]
pub struct Options {
    /// Descriptor (datapackage.json)
    descriptor: PathBuf,
    /// File to check; without it, what the first resource of the descriptor names or holds
    data: Option<PathBuf>,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
    /// Texts in English
    #[arg(long)]
    english: bool,
    /// Encoding of a CSV file, such as windows-1252, whatever the contract says
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// A code list that the contract points to and that does not ship: its descriptor or document (repeatable)
    #[arg(long = "list", value_name = "LIST")]
    lists: Vec<String>,
    /// Write every error as a line of this CSV file
    #[arg(long, value_name = "FILE")]
    errors_csv: Option<PathBuf>,
    /// Write the bad rows as a workbook (.xlsx), wrong cells red with notes
    #[arg(long, value_name = "FILE")]
    annotated: Option<PathBuf>,
    /// Write the bad rows as they are, to correct them by themselves
    #[arg(long, value_name = "FILE")]
    bad_rows: Option<PathBuf>,
}

/// Checks the file. Exit status 0 valid, 1 invalid, 2 the contract cannot be used, 3 could not run.
pub fn run(options: &Options) -> ExitCode {
    let language = if options.english { simpul_schemas::Lang::En } else { simpul_schemas::Lang::Id };
    let text = match std::fs::read_to_string(&options.descriptor) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("simpul: {}: {}", options.descriptor.display(), io_words(error.kind()).get(language));
            return ExitCode::from(3);
        }
    };
    let mut descriptor: Value = match serde_json::from_str(&text) {
        Ok(descriptor) => descriptor,
        Err(error) => {
            let (file, line, column) = (options.descriptor.display(), error.line(), error.column());
            match language {
                Lang::Id => eprintln!("simpul: {file}: bukan JSON yang sah (baris {line}, kolom {column})"),
                Lang::En => eprintln!("simpul: {file}: no valid JSON (line {line}, column {column})"),
            }
            return ExitCode::from(2);
        }
    };
    if let Some(data) = &options.data {
        say_format(&mut descriptor, data);
    }
    let encoding = match options.encoding.as_deref().map(|name| TextEncoding::named(name).ok_or(name)) {
        Some(Err(name)) => {
            match language {
                Lang::Id => {
                    eprintln!("simpul: pengodean «{name}» tidak dikenal; yang lazim: utf-8, utf-16, windows-1252")
                }
                Lang::En => eprintln!("simpul: the encoding “{name}” is not known; usual: utf-8, utf-16, windows-1252"),
            }
            return ExitCode::from(2);
        }
        found => found.and_then(Result::ok),
    };
    let folder = options.descriptor.parent().unwrap_or(Path::new("."));
    let load = |path: &str| inside(folder, path).and_then(|path| std::fs::read(path).ok());
    let mut opened = open(options.data.as_deref(), folder, &descriptor);
    let data = match &mut opened {
        Ok(data) => Ok(data as &mut dyn Read),
        Err(error) => {
            let name = path_of(options.data.as_deref(), folder, &descriptor);
            let name = name.unwrap_or_else(|_| options.descriptor.clone());
            eprintln!("simpul: {}: {}", name.display(), io_words(error.kind()).get(language));
            Err(error.to_string())
        }
    };
    let lists = match codelist::given(&options.lists, &BTreeSet::new(), language) {
        Ok(lists) => lists,
        Err(unusable) => return unusable.told(),
    };
    let mut kept = Kept::new(options, language);
    let limits = Limits { errors: MAX_ERRORS, ..Limits::default() };
    let cells = |format: Foreign, sheet: &Sheet| {
        let file = path_of(options.data.as_deref(), folder, &descriptor)?;
        Ok(Box::new(Worker::start(File::open(file)?, format, sheet, &config::Limits::default())?) as Box<dyn Read>)
    };
    let progress = Progress::new(language);
    let watch = |validator: &Validator| progress.look(validator);
    let watch: Option<&dyn Fn(&Validator)> = if options.json { None } else { Some(&watch) };
    let means = Means { load: &load, cells: &cells, rules: Some(&SqlRules), lists: &lists, encoding, watch };
    let outcome = validate_package_with(&descriptor, data, &means, limits, &mut |contract, head, rows| {
        kept.take(contract, head, &rows)
    });
    progress.end();
    if let Err(error) = tell(options, &outcome, kept, language) {
        eprintln!("simpul: {error:#}");
        return ExitCode::from(3);
    }
    ExitCode::from(outcome.exit)
}

/// What a person sees on standard error while a large file is read: how far the check is, on a terminal, and the first error
/// as soon as there is one.
struct Progress {
    language: Lang,
    bar: indicatif::ProgressBar,
    begun: Instant,
    last: Cell<Instant>,
    first_told: Cell<bool>,
}

impl Progress {
    fn new(language: Lang) -> Self {
        let now = Instant::now();
        let bar = output::spinner();
        Self { language, bar, begun: now, last: Cell::new(now), first_told: Cell::new(false) }
    }

    fn look(&self, validator: &Validator) {
        // A file that is read at once needs no more than its report.
        if self.last.get().elapsed() < EVERY || self.begun.elapsed() < QUIET {
            return;
        }
        self.last.set(Instant::now());
        let news = validator.news(0, 1);
        self.bar.set_message(output::so_far(news.rows, news.bad_rows, self.language));
        if let (false, Some(error)) = (self.first_told.get(), news.errors.first()) {
            self.first_told.set(true);
            output::above(&self.bar, &output::first_error(&error.to_json(self.language), self.language));
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// The data to check: the file that was named, else that of the first resource, else what the resource itself holds.
fn open(data: Option<&Path>, folder: &Path, descriptor: &Value) -> std::io::Result<Box<dyn Read>> {
    let resource = descriptor.pointer("/resources/0").unwrap_or(descriptor);
    if let (None, Some(held)) = (data, resource.get("data")) {
        let bytes = held.as_str().map_or_else(|| held.to_string(), str::to_owned).into_bytes();
        return Ok(Box::new(std::io::Cursor::new(bytes)));
    }
    Ok(Box::new(File::open(path_of(data, folder, descriptor)?)?))
}

/// The file that was named, else that of the first resource.
fn path_of(data: Option<&Path>, folder: &Path, descriptor: &Value) -> std::io::Result<PathBuf> {
    if let Some(data) = data {
        return Ok(data.to_owned());
    }
    let resource = descriptor.pointer("/resources/0").unwrap_or(descriptor);
    let path = resource.get("path").or_else(|| resource.get("url"));
    let path = path.and_then(|path| path.get(0).unwrap_or(path).as_str()).ok_or(std::io::ErrorKind::NotFound)?;
    Ok(inside(folder, path).ok_or(std::io::ErrorKind::PermissionDenied)?)
}

fn tell(options: &Options, outcome: &Outcome, kept: Kept, language: Lang) -> anyhow::Result<()> {
    kept.finish(options, outcome)?;
    if let Some(path) = &options.errors_csv {
        let text = format!("\u{feff}{}", outcome.report.errors_csv(language));
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if options.json {
        println!("{}", outcome.to_json(language));
        return Ok(());
    }
    for error in &outcome.descriptor_errors {
        println!("{}: {}", error.path, error.message.get(language));
    }
    if outcome.descriptor_errors.is_empty() {
        output::report(&outcome.report.to_json(language), language)?;
    }
    Ok(())
}

/// Where the bad rows go while the file is read.
struct Kept {
    workbook: Option<Workbook>,
    path: Option<PathBuf>,
    file: Option<BufWriter<File>>,
    begun: bool,
    failed: Option<std::io::Error>,
}

impl Kept {
    fn new(options: &Options, language: Lang) -> Self {
        let workbook = options.annotated.is_some().then(|| Workbook::new(language));
        Self { workbook, path: options.bad_rows.clone(), file: None, begun: false, failed: None }
    }

    /// Takes bad rows; none at the end of the file, so that a file of bad rows from an earlier check does not stay.
    fn take(&mut self, contract: &Contract, head: &str, rows: &[RejectedRow]) {
        if rows.is_empty() && (self.begun || head.is_empty()) {
            return;
        }
        if let Some(workbook) = &mut self.workbook {
            if !self.begun {
                workbook.begin(contract, head);
            }
            rows.iter().for_each(|row| workbook.row(row.row, &row.raw));
        }
        self.begun = true;
        if let (Some(path), None) = (self.path.clone(), &self.failed) {
            self.failed = self.write(&path, contract, head, rows).err();
        }
    }

    fn write(&mut self, path: &Path, contract: &Contract, head: &str, rows: &[RejectedRow]) -> std::io::Result<()> {
        let json = head.is_empty() && rows.first().is_some_and(|row| row.raw.trim_start().starts_with('{'));
        let csv = RejectedCsv::new(contract);
        if self.file.is_none() {
            let mut file = BufWriter::new(File::create(path)?);
            if !json {
                file.write_all(&csv.head(head))?;
            }
            self.file = Some(file);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        for row in rows {
            if json {
                writeln!(file, "{}", row.raw.replace(['\n', '\r'], " "))?;
            } else {
                file.write_all(&csv.row(&row.raw))?;
            }
        }
        Ok(())
    }

    fn finish(self, options: &Options, outcome: &Outcome) -> anyhow::Result<()> {
        if let (Some(path), Some(error)) = (&self.path, self.failed) {
            return Err(error).with_context(|| format!("cannot write {}", path.display()));
        }
        if let Some(mut file) = self.file {
            file.flush()?;
        }
        if let (Some(workbook), Some(path)) = (self.workbook, &options.annotated) {
            std::fs::write(path, workbook.finish(&outcome.report)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// The file at hand may be a workbook where the contract expects CSV, or the other way round: its name decides, as the media
/// type does for a delivery.
fn say_format(descriptor: &mut Value, data: &Path) {
    let ending = data.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let Some(resource) = descriptor.pointer_mut("/resources/0").and_then(Value::as_object_mut) else { return };
    let foreign = |word: &Value| word.as_str().and_then(Foreign::of_ending).is_some();
    let text = matches!(ending.as_str(), "csv" | "tsv" | "ndjson" | "jsonl" | "json");
    if Foreign::of_ending(&ending).is_some() || text && resource.get("format").is_some_and(foreign) {
        resource.insert("format".to_owned(), ending.into());
    }
}

/// A path that a descriptor names, which must lie beside it or below (Data Package v2: no absolute paths, no parents).
fn inside(folder: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let plain =
        path.components().all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
    plain.then(|| folder.join(path))
}
