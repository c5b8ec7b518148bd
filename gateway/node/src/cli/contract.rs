//! `simpul contract`: the contracts that ship, those of a node, and what can be done with a descriptor without a node.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;
use simpul_lake::SqlRules;
use simpul_schemas::code_list::{self, CodeList};
use simpul_schemas::infer::{Draft, Drafter, Request, Shape, Unreadable};
use simpul_schemas::{
    CellFault, Contract, DescriptorError, Foreign, Lang, Limits, Means, NoReferences, Sheet, compat, io_words,
    validate_package_with,
};

use super::admin::{call, listed, told};
use super::codelist::{self, Unusable};
use super::data::connect_with;
use super::{Client, output};
use crate::client::{ClientError, Profile};
use crate::code_lists::Found;
use crate::config;
use crate::worker::Worker;

/// Exit status: the descriptor cannot be used.
const BAD_DESCRIPTOR: u8 = 2;
/// Exit status: a file cannot be read or written.
const COULD_NOT_RUN: u8 = 3;
/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

#[derive(Subcommand)]
pub enum Command {
    /// List the contracts that ship with this binary
    Standard,
    /// Print a contract that ships with this binary
    Show {
        /// Name
        name: String,
    },
    /// List the registered contracts
    List(Client),
    /// Register a version of a contract: a datapackage.json, or `standard:NAME`
    #[command(
        after_help = "Examples:\n  simpul contract register standard:penduduk-wilayah --profile admin.toml\n  simpul contract register datapackage.json --dry-run --profile admin.toml"
    )]
    Register {
        /// Descriptor file, or standard:NAME
        descriptor: String,
        /// Check without registering
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        client: Client,
    },
    /// Compare two versions of a contract, without a node
    #[command(
        after_help = "Examples:\n  simpul contract check lama.json baru.json\n  simpul contract check standard:sekolah baru.json --mode FULL --json\n  simpul contract check lama.json baru.json --list wilayah-bps/datapackage.json\n  simpul contract check lama.json baru.json --profile admin.toml\n\nExit status: 0 compatible, 1 not, 2 a descriptor cannot be used, 3 could not run."
    )]
    Check(CheckOptions),
    /// Draft a contract from a real file (CSV or NDJSON), every guess marked, and check the file against it
    #[command(
        after_help = "Examples:\n  simpul contract infer penduduk.csv -o datapackage.json\n  simpul contract infer laporan.csv --encoding windows-1252 --english\n  simpul contract infer sekolah.xlsx --sheet Data\n\nThe draft goes to standard output or to the file after -o, what was guessed to standard error.\nExit status: 0 the file is valid under its draft, 1 some rows are not, 3 could not run."
    )]
    Infer(InferOptions),
    /// Write a contract as JSON Schema (2020-12, of one record) or as Open Data Contract Standard (3.1.0, YAML)
    #[command(
        after_help = "Examples:\n  simpul contract export penduduk-wilayah --to jsonschema\n  simpul contract export datapackage.json --to odcs -o kontrak.odcs.yaml\n\nExit status: 0 written, 2 the contract cannot be used, 3 could not run."
    )]
    Export(ExportOptions),
}

#[derive(Args)]
pub struct ExportOptions {
    /// Descriptor file, or the name of a contract that ships with this binary
    contract: String,
    /// Standard to write it in
    #[arg(long, value_enum)]
    to: Target,
    /// A code list that it points to and that does not ship: its descriptor or document (repeatable)
    #[arg(long = "list", value_name = "LIST")]
    lists: Vec<String>,
    /// Where to write it; without it standard output
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Texts in English
    #[arg(long)]
    english: bool,
}

/// A standard that contracts are exported to.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Target {
    /// JSON Schema 2020-12
    Jsonschema,
    /// Open Data Contract Standard 3.1.0
    Odcs,
}

#[derive(Args)]
pub struct InferOptions {
    /// File: .csv, .tsv, .txt, .ndjson, .jsonl, .xlsx, .xls, .ods, .parquet or .arrow
    file: PathBuf,
    /// Where to write the draft; without it standard output
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Encoding of the file, where it is known
    #[arg(long)]
    encoding: Option<String>,
    /// Sheet of a workbook by its name or number; without it the first
    #[arg(long)]
    sheet: Option<String>,
    /// Texts in English, those in the draft too
    #[arg(long)]
    english: bool,
}

#[derive(Args)]
pub struct CheckOptions {
    /// Descriptor of the old version, or standard:NAME
    old: String,
    /// Descriptor of the new version, or standard:NAME
    new: String,
    /// A code list that one of them points to and that does not ship: its descriptor or document (repeatable)
    #[arg(long = "list", value_name = "LIST")]
    lists: Vec<String>,
    /// Profile of an administrator: the node gives the code lists that are registered there
    #[arg(long)]
    profile: Option<PathBuf>,
    /// What is asked: NONE, BACKWARD, FORWARD, FULL, or one of these with _TRANSITIVE; without it what the old version declares
    #[arg(long, value_parser = mode)]
    mode: Option<compat::Mode>,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
    /// Texts in English
    #[arg(long)]
    english: bool,
}

fn mode(text: &str) -> Result<compat::Mode, String> {
    let name = text.to_ascii_uppercase().replace('-', "_");
    compat::Mode::parse(&name).ok_or_else(|| "NONE, BACKWARD, FORWARD or FULL, also with _TRANSITIVE".to_owned())
}

/// Why a command that works on descriptors did not do its work.
struct Stopped {
    exit: u8,
    why: String,
}

impl Stopped {
    fn new(exit: u8, why: impl Into<String>) -> Self {
        Self { exit, why: why.into() }
    }
}

impl From<Unusable> for Stopped {
    fn from(Unusable { exit, why }: Unusable) -> Self {
        Self { exit, why }
    }
}

/// Ends a command with its exit status and, where it stopped, the reason on standard error.
fn ended(outcome: Result<ExitCode, Stopped>) -> ExitCode {
    outcome.unwrap_or_else(|stopped| {
        eprintln!("simpul: {}", stopped.why);
        ExitCode::from(stopped.exit)
    })
}

const fn language(english: bool) -> Lang {
    if english { Lang::En } else { Lang::Id }
}

/// Runs the command.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Standard => {
            let rows = simpul_schemas::standard::contracts().map(|standard| {
                let descriptor: Value = serde_json::from_str(standard.descriptor).unwrap_or_default();
                let text = |key: &str| descriptor[key].as_str().unwrap_or_default().to_owned();
                vec![standard.name.to_owned(), text("version"), text("title")]
            });
            output::table(&["contract", "version", "title"], rows);
            Ok(ExitCode::SUCCESS)
        }
        Command::Show { name } => {
            println!("{}", standard(&name)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::List(client) => {
            let columns = [("contract", "/name"), ("version", "/version"), ("registered", "/registered_at")];
            super::block_on(listed(&client, "/v1/admin/contracts", "contracts", &columns))
        }
        Command::Register { descriptor, dry_run, client } => {
            super::block_on(async move { register(&descriptor, dry_run, &client).await })
        }
        Command::Check(options) => Ok(ended(check(&options))),
        Command::Infer(options) => Ok(ended(infer(&options))),
        Command::Export(options) => Ok(ended(export(&options))),
    }
}

fn standard(name: &str) -> anyhow::Result<&'static str> {
    let found = simpul_schemas::standard::contract(name);
    found
        .map(|standard| standard.descriptor)
        .with_context(|| format!("there is no standard contract {name}; see `simpul contract standard`"))
}

/// The descriptor in a file, or that of `standard:NAME`.
fn read(source: &str) -> Result<Value, Stopped> {
    let text = match source.strip_prefix("standard:") {
        Some(name) => standard(name).map_err(|error| Stopped::new(COULD_NOT_RUN, error.to_string()))?.to_owned(),
        None => std::fs::read_to_string(Path::new(source))
            .map_err(|error| Stopped::new(COULD_NOT_RUN, format!("{source}: {}", io_words(error.kind()).id)))?,
    };
    serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| Stopped::new(BAD_DESCRIPTOR, format!("{source}: {error}")))
}

/// The descriptor, once it is known to be usable.
fn usable(source: &str, lang: Lang) -> Result<Value, Stopped> {
    let descriptor = read(source)?;
    let faults = compat::faults(&descriptor);
    if faults.is_empty() {
        return Ok(descriptor);
    }
    let lines: Vec<String> =
        faults.iter().map(|fault| format!("{source}: {}: {}", fault.path, fault.message.get(lang))).collect();
    Err(Stopped::new(BAD_DESCRIPTOR, lines.join("\nsimpul: ")))
}

fn check(options: &CheckOptions) -> Result<ExitCode, Stopped> {
    let lang = language(options.english);
    let (old, new) = (usable(&options.old, lang)?, usable(&options.new, lang)?);
    let mode = options.mode.unwrap_or_else(|| compat::Mode::declared(&old));
    let wanted: BTreeSet<String> = [&old, &new].into_iter().flat_map(code_list::referenced).collect();
    let mut lists = codelist::given(&options.lists, &wanted, lang)?;
    if let Some(profile) = &options.profile {
        registered(profile, &wanted, &mut lists)?;
    }
    let verdict = compat::check_all(&[&old], &new, mode, &lists)
        .map_err(|error| Stopped::new(BAD_DESCRIPTOR, error.to_string()))?;
    if options.json {
        println!("{}", verdict.to_json(lang));
    } else {
        print!("{}", verdict.to_text(lang));
    }
    Ok(if verdict.compatible { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Adds the lists that are still missing from the node of a profile. What the node does not have remains unknown.
fn registered(profile: &Path, wanted: &BTreeSet<String>, lists: &mut Found) -> Result<(), Stopped> {
    let missing = lists.missing(wanted);
    let fetch = async {
        let profile = Profile::load(profile)?;
        let console = profile.console.clone().context("the profile names no console; administration needs one")?;
        let node = connect_with(&profile, &console)?;
        for urn in &missing {
            let Some((id, version)) = code_list::parse_urn(urn) else { continue };
            match node.get(&format!("/v1/admin/code-lists/{id}/{version}")).await {
                Ok(document) => lists.add(CodeList::from_document(&document.to_string())?),
                Err(ClientError::Problem { status: 404, .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(ExitCode::SUCCESS)
    };
    super::block_on(fetch).map(|_| ()).map_err(|error| Stopped::new(COULD_NOT_RUN, format!("{error:#}")))
}

fn export(options: &ExportOptions) -> Result<ExitCode, Stopped> {
    let name = &options.contract;
    let shipped = !Path::new(name).exists() && simpul_schemas::standard::contract(name).is_some();
    let descriptor = read(&if shipped { format!("standard:{name}") } else { name.clone() })?;
    let lists = codelist::given(&options.lists, &code_list::referenced(&descriptor), language(options.english))?;
    let contract = Contract::compile(&descriptor, &lists).map_err(|faults| {
        let line = |fault: &DescriptorError| {
            format!("{name}: {}: {}", fault.path, fault.message.get(language(options.english)))
        };
        Stopped::new(BAD_DESCRIPTOR, faults.iter().map(line).collect::<Vec<_>>().join("\nsimpul: "))
    })?;
    let text = match options.to {
        Target::Jsonschema => serde_json::to_string_pretty(&simpul_schemas::export::json_schema(&contract))
            .map_err(|error| Stopped::new(COULD_NOT_RUN, error.to_string())),
        Target::Odcs => serde_saphyr::to_string(&simpul_schemas::export::odcs(&contract))
            .map_err(|error| Stopped::new(COULD_NOT_RUN, error.to_string())),
    }?;
    write(options.output.as_deref(), text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

fn infer(options: &InferOptions) -> Result<ExitCode, Stopped> {
    let lang = language(options.english);
    let draft = drafted(options, lang)?;
    let text =
        serde_json::to_string_pretty(&draft.descriptor).map_err(|e| Stopped::new(COULD_NOT_RUN, e.to_string()))?;
    write(options.output.as_deref(), &text)?;
    eprint!("{}", draft.to_text(lang));
    let mut file = opened(&options.file)?;
    let cells = |format: Foreign, sheet: &Sheet| {
        let file = File::open(&options.file)?;
        Ok(Box::new(Worker::start(file, format, sheet, &config::Limits::default())?) as Box<dyn Read>)
    };
    let means = Means {
        load: &|_| None,
        cells: &cells,
        rules: Some(&SqlRules),
        lists: &NoReferences,
        encoding: None,
        watch: None,
    };
    let outcome = validate_package_with(&draft.descriptor, Ok(&mut file), &means, Limits::default(), &mut |_, _, _| {});
    for fault in &outcome.descriptor_errors {
        eprintln!("{}: {}", fault.path, fault.message.get(lang));
    }
    eprint!("\n{}", outcome.report.to_text(lang));
    Ok(ExitCode::from(outcome.exit))
}

/// The draft; a file whose head is UTF-8 and whose rest is not is read again as what Windows writes.
fn drafted(options: &InferOptions, lang: Lang) -> Result<Draft, Stopped> {
    let name = options.file.file_name().and_then(|name| name.to_str()).unwrap_or("data.csv").to_owned();
    let shape =
        match options.file.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("ndjson" | "jsonl") => Shape::Ndjson,
            Some("csv" | "tsv" | "txt") => Shape::Csv,
            ending => match ending.and_then(Foreign::of_ending) {
                Some(format) => Shape::Cells(format),
                None => {
                    let known = ".csv, .tsv, .txt, .ndjson, .jsonl, .xlsx, .xls, .ods, .parquet, .arrow";
                    let what = match lang {
                        Lang::Id => {
                            format!("{name}: jenis berkas tidak dikenal dari namanya; yang dapat dibaca: {known}")
                        }
                        Lang::En => format!("{name}: its ending is none that can be read: {known}"),
                    };
                    return Err(Stopped::new(COULD_NOT_RUN, what));
                }
            },
        };
    let sheet = match options.sheet.as_deref().map(|sheet| (sheet, sheet.parse())) {
        None => Sheet::default(),
        Some((_, Ok(number))) => Sheet { number: Some(number), ..Sheet::default() },
        Some((name, Err(_))) => Sheet { name: Some(name.to_owned()), ..Sheet::default() },
    };
    let mut request = Request { file: name, shape, encoding: options.encoding.clone(), sheet, lang };
    loop {
        match read_through(&options.file, &request) {
            Err(Failed::Unreadable(Unreadable::NotUtf8(_))) if request.encoding.is_none() => {
                request.encoding = Some("windows-1252".to_owned());
            }
            Err(Failed::Unreadable(why)) => {
                let why = why.words();
                return Err(Stopped::new(COULD_NOT_RUN, format!("{}: {}", options.file.display(), why.get(lang))));
            }
            Err(Failed::Stopped(stopped)) => return Err(stopped),
            Ok(draft) => return Ok(draft),
        }
    }
}

enum Failed {
    Unreadable(Unreadable),
    Stopped(Stopped),
}

fn read_through(path: &Path, request: &Request) -> Result<Draft, Failed> {
    let stopped =
        |error: std::io::Error| Failed::Stopped(Stopped::new(COULD_NOT_RUN, format!("{}: {error}", path.display())));
    let mut file: Box<dyn Read> = match (opened(path).map_err(Failed::Stopped)?, request.shape) {
        (file, Shape::Cells(format)) => {
            Box::new(Worker::start(file, format, &request.sheet, &config::Limits::default()).map_err(stopped)?)
        }
        (file, _) => Box::new(file),
    };
    let mut drafter = Drafter::new(request.clone()).map_err(Failed::Unreadable)?;
    let mut buffer = vec![0_u8; READ_BYTES];
    loop {
        let read = file.read(&mut buffer).map_err(|error| {
            let fault = error.get_ref().and_then(|inner| inner.downcast_ref::<CellFault>());
            match (fault, request.shape) {
                (Some(fault), Shape::Cells(format)) => Failed::Unreadable(Unreadable::Cells(format, fault.clone())),
                _ => stopped(error),
            }
        })?;
        match buffer.get(..read).filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => drafter.push(bytes).map_err(Failed::Unreadable)?,
            None => return drafter.finish().map_err(Failed::Unreadable),
        }
    }
}

fn opened(path: &Path) -> Result<File, Stopped> {
    File::open(path).map_err(|error| Stopped::new(COULD_NOT_RUN, format!("{}: {error}", path.display())))
}

/// Writes a document to a file, or to standard output where none is named.
fn write(path: Option<&Path>, text: &str) -> Result<(), Stopped> {
    match path {
        None => println!("{text}"),
        Some(path) => std::fs::write(path, format!("{text}\n"))
            .map_err(|error| Stopped::new(COULD_NOT_RUN, format!("{}: {error}", path.display())))?,
    }
    Ok(())
}

async fn register(source: &str, dry_run: bool, client: &Client) -> anyhow::Result<ExitCode> {
    let descriptor = match read(source) {
        Ok(descriptor) => descriptor,
        Err(stopped) => return Ok(ended(Err(stopped))),
    };
    let path = if dry_run { "/v1/admin/contracts?dry_run=true" } else { "/v1/admin/contracts" };
    let answer = match call(client, Method::POST, path, Some(descriptor)).await {
        Ok(answer) => answer,
        Err(error) => return refused(client, error),
    };
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    let done = match (dry_run, client.english) {
        (true, false) => "dapat didaftarkan",
        (false, false) => "terdaftar",
        (true, true) => "could be registered",
        (false, true) => "is registered",
    };
    let mut line = format!("{} {} {done}", text("dataset"), text("version"));
    for change in answer.pointer("/compatibility/changes").and_then(Value::as_array).into_iter().flatten() {
        line.push_str(&format!("\n- {}", change["message"].as_str().unwrap_or_default()));
    }
    if answer.pointer("/compatibility/producer") == Some(&Value::Bool(false)) {
        let told = "Berkas yang dahulu diterima perlu diubah; beri tahu produsen data.";
        let told_en = "Files that were accepted have to change; tell the producers.";
        line.push_str(&format!("\n{}", if client.english { told_en } else { told }));
    }
    Ok(told(client, &answer, &line))
}

/// What the node said against a version: every change that breaks something, and whom.
fn refused(client: &Client, error: anyhow::Error) -> anyhow::Result<ExitCode> {
    let Some(ClientError::Problem { kind, title, detail, body, .. }) = error.downcast_ref() else { return Err(error) };
    if kind != "schema_incompatible" {
        return Err(error);
    }
    if client.json {
        println!("{body}");
        return Ok(ExitCode::FAILURE);
    }
    eprintln!("simpul: {title}. {}", detail.as_deref().unwrap_or_default());
    for change in body["errors"].as_array().into_iter().flatten() {
        eprintln!("- {} [{}]", change["message"].as_str().unwrap_or_default(), change["rule"].as_str().unwrap_or("?"));
    }
    let names = |key: &str| -> String {
        let list = body["affected"][key].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    for (key, id, en) in [("readers", "Pembaca", "Readers"), ("producers", "Produsen", "Producers")] {
        let names = names(key);
        if !names.is_empty() {
            eprintln!("{}: {names}", if client.english { en } else { id });
        }
    }
    Ok(ExitCode::FAILURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_read_as_people_write_it() {
        assert_eq!(mode("backward-transitive"), Ok(compat::Mode::BackwardTransitive));
        assert_eq!(mode("FULL"), Ok(compat::Mode::Full));
        assert!(mode("half").is_err());
    }
}
