//! `simpul validate`: a file against a contract, without a node.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;
use simpul_schemas::{Foreign, Limits, Sheet, validate_package_with};

use crate::config;
use crate::worker::Worker;

/// Errors that are listed one by one; all are counted.
const MAX_ERRORS: usize = 100_000;

#[derive(Args)]
pub struct Options {
    /// Descriptor (datapackage.json)
    descriptor: PathBuf,
    /// File to check
    data: PathBuf,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
    /// Texts in English
    #[arg(long)]
    english: bool,
}

/// Checks the file. Exit status 0 valid, 1 invalid, 2 the contract cannot be used, 3 could not run.
pub fn run(options: &Options) -> ExitCode {
    let language = if options.english { simpul_schemas::Lang::En } else { simpul_schemas::Lang::Id };
    let text = match std::fs::read_to_string(&options.descriptor) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("simpul: {}: {error}", options.descriptor.display());
            return ExitCode::from(3);
        }
    };
    let mut descriptor: Value = match serde_json::from_str(&text) {
        Ok(descriptor) => descriptor,
        Err(error) => {
            eprintln!("simpul: {}: {error}", options.descriptor.display());
            return ExitCode::from(2);
        }
    };
    say_format(&mut descriptor, &options.data);
    let folder = options.descriptor.parent().unwrap_or(Path::new("."));
    let load = |path: &str| inside(folder, path).and_then(|path| std::fs::read(path).ok());
    let mut opened = std::fs::File::open(&options.data);
    let data = match &mut opened {
        Ok(file) => Ok(file as &mut dyn Read),
        Err(error) => Err(error.to_string()),
    };
    let cells = |format: Foreign, sheet: &Sheet| {
        let file = std::fs::File::open(&options.data)?;
        Ok(Box::new(Worker::start(file, format, sheet, &config::Limits::default())?) as Box<dyn Read>)
    };
    let limits = Limits { errors: MAX_ERRORS, ..Limits::default() };
    let outcome = validate_package_with(&descriptor, data, &load, &cells, limits);
    if options.json {
        println!("{}", outcome.to_json(language));
    } else {
        for error in &outcome.descriptor_errors {
            println!("{error}");
        }
        print!("{}", outcome.report.to_text(language));
    }
    ExitCode::from(outcome.exit)
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
