//! `validate DESCRIPTOR DATA [--json] [--en]`: checks a file against the first table of a package.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use simpul_schemas::{Lang, Limits, validate_package};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let paths: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    let flag = |name: &str| args.iter().any(|arg| arg == name);
    let [descriptor_path, data_path] = paths.as_slice() else {
        eprintln!("usage: validate DESCRIPTOR DATA [--json] [--en]");
        return ExitCode::from(3);
    };
    let lang = if flag("--en") { Lang::En } else { Lang::Id };
    let text = match std::fs::read(descriptor_path) {
        Ok(text) => text,
        Err(why) => {
            eprintln!("{descriptor_path}: {why}");
            return ExitCode::from(3);
        }
    };
    let descriptor = match serde_json::from_slice(&text) {
        Ok(descriptor) => descriptor,
        Err(why) => {
            eprintln!("{descriptor_path}: {why}");
            return ExitCode::from(2);
        }
    };
    let folder = Path::new(descriptor_path.as_str()).parent().unwrap_or(Path::new(".")).to_owned();
    let load = |path: &str| std::fs::read(folder.join(path)).ok();
    let mut file = File::open(data_path.as_str()).map_err(|why| why.to_string());
    let data = file.as_mut().map(|file| file as &mut dyn Read).map_err(|why| why.clone());
    let outcome = validate_package(&descriptor, data, &load, Limits::default());
    let page = if flag("--json") { outcome.to_json(lang).to_string() + "\n" } else { outcome.report.to_text(lang) };
    for error in &outcome.descriptor_errors {
        eprintln!("{}: {}", error.path, error.message.get(lang));
    }
    if std::io::stdout().write_all(page.as_bytes()).is_err() {
        return ExitCode::from(3);
    }
    ExitCode::from(outcome.exit)
}
