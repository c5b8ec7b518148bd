//! `simpul validate`: a file against a contract, without a node.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;
use simpul_schemas::{Limits, validate_package};

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
    let descriptor: Value = match serde_json::from_str(&text) {
        Ok(descriptor) => descriptor,
        Err(error) => {
            eprintln!("simpul: {}: {error}", options.descriptor.display());
            return ExitCode::from(2);
        }
    };
    let folder = options.descriptor.parent().unwrap_or(Path::new("."));
    let load = |path: &str| inside(folder, path).and_then(|path| std::fs::read(path).ok());
    let mut opened = open(options.data.as_deref(), folder, &descriptor);
    let data = match &mut opened {
        Ok(data) => Ok(data as &mut dyn Read),
        Err(error) => Err(error.to_string()),
    };
    let outcome = validate_package(&descriptor, data, &load, Limits { errors: MAX_ERRORS, ..Limits::default() });
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

/// The data to check: the file that was named, else that of the first resource, else what the resource itself holds.
fn open(data: Option<&Path>, folder: &Path, descriptor: &Value) -> std::io::Result<Box<dyn Read>> {
    let resource = descriptor.pointer("/resources/0").unwrap_or(descriptor);
    let path = resource.get("path").or_else(|| resource.get("url"));
    let path = path.and_then(|path| path.get(0).unwrap_or(path).as_str());
    let file = match (data, path) {
        (Some(data), _) => data.to_owned(),
        (None, Some(path)) => inside(folder, path).ok_or(std::io::ErrorKind::PermissionDenied)?,
        (None, None) => {
            let held = resource.get("data").ok_or(std::io::ErrorKind::NotFound)?;
            let bytes = held.as_str().map_or_else(|| held.to_string(), str::to_owned).into_bytes();
            return Ok(Box::new(std::io::Cursor::new(bytes)));
        }
    };
    Ok(Box::new(std::fs::File::open(file)?))
}

/// A path that a descriptor names, which must lie beside it or below (Data Package v2: no absolute paths, no parents).
fn inside(folder: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let plain =
        path.components().all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
    plain.then(|| folder.join(path))
}
