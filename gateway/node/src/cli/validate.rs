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
    let descriptor: Value = match serde_json::from_str(&text) {
        Ok(descriptor) => descriptor,
        Err(error) => {
            eprintln!("simpul: {}: {error}", options.descriptor.display());
            return ExitCode::from(2);
        }
    };
    let folder = options.descriptor.parent().unwrap_or(Path::new("."));
    let load = |path: &str| inside(folder, path).and_then(|path| std::fs::read(path).ok());
    let mut opened = std::fs::File::open(&options.data);
    let data = match &mut opened {
        Ok(file) => Ok(file as &mut dyn Read),
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

/// A path that a descriptor names, which must lie beside it or below (Data Package v2: no absolute paths, no parents).
fn inside(folder: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let plain =
        path.components().all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
    plain.then(|| folder.join(path))
}
