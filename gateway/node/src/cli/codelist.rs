//! `simpul codelist`: the code lists that contracts point to: check and compare them without a node, register and read them.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};
use simpul_schemas::code_list::{self, CodeList, CodeListError};
use simpul_schemas::{Lang, spoken_count, standard};

use super::admin::{call, listed, told};
use super::report::language;
use super::{Client, output};
use crate::admin::register_code_list::compared;
use crate::code_lists::Found;

/// Exit status: the list cannot be used.
const BAD_LIST: u8 = 2;
/// Exit status: a file cannot be read or written.
const COULD_NOT_RUN: u8 = 3;

#[derive(Subcommand)]
pub enum Command {
    /// Check a code list without a node, and compare it with an earlier edition
    #[command(
        after_help = "Examples:\n  simpul codelist check wilayah-bps/datapackage.json\n  simpul codelist check baru/datapackage.json --previous standard:wilayah --english\n\nThe descriptor is a Data Package whose satudata.kodeReferensi names the columns; its CSV files stand beside it.\nExit status: 0 usable, 2 not, 3 could not run."
    )]
    Check {
        /// Descriptor file, or standard:NAME
        list: String,
        /// Descriptor file of an earlier edition, or standard:NAME
        #[arg(long)]
        previous: Option<String>,
        /// One JSON object on standard output
        #[arg(long)]
        json: bool,
        /// Texts in English
        #[arg(long)]
        english: bool,
    },
    /// Register an edition of a code list: a datapackage.json with its files beside it, or `standard:NAME`
    #[command(
        after_help = "Examples:\n  simpul codelist register wilayah-bps/datapackage.json --dry-run --profile admin.toml\n  simpul codelist register wilayah-bps/datapackage.json --profile admin.toml\n\nAn edition never changes and is never removed: changed content needs a new version."
    )]
    Register {
        /// Descriptor file, or standard:NAME
        list: String,
        /// Check without registering
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        client: Client,
    },
    /// List the editions that a node has
    List(Client),
    /// Show an edition that a node has, or write its document to a file
    #[command(
        after_help = "Examples:\n  simpul codelist show wilayah@2025-1 --profile admin.toml\n  simpul codelist show wilayah@2025-1 -o wilayah.json --profile admin.toml"
    )]
    Show {
        /// Name and version, such as wilayah@2025-1
        list: String,
        /// Write the document to this file, which `check` and `register` take
        #[arg(short, long)]
        output: Option<PathBuf>,
        #[command(flatten)]
        client: Client,
    },
    /// Fetch from the parent node, now, what is new of the lists that are used here
    #[command(after_help = "Example:\n  simpul codelist fetch --profile admin.toml")]
    Fetch(Client),
}

/// Runs the command.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check { list, previous, json, english } => {
            Ok(check(&list, previous.as_deref(), json, if english { Lang::En } else { Lang::Id }))
        }
        Command::Register { list, dry_run, client } => {
            super::block_on(async move { register(&list, dry_run, &client).await })
        }
        Command::List(client) => {
            let columns =
                [("list", "/id"), ("version", "/version"), ("registered", "/registered_at"), ("sha256", "/digest")];
            super::block_on(listed(&client, "/v1/admin/code-lists", "code_lists", &columns))
        }
        Command::Show { list, output, client } => super::block_on(async move { show(&list, output, &client).await }),
        Command::Fetch(client) => super::block_on(async move { fetch(&client).await }),
    }
}

/// Why a list that was named on the command line cannot be had.
pub struct Unusable {
    /// The exit status.
    pub exit: u8,
    /// What is wrong and where.
    pub why: String,
}

impl Unusable {
    /// Says so, and gives the exit status.
    pub fn told(&self) -> ExitCode {
        eprintln!("simpul: {}", self.why);
        ExitCode::from(self.exit)
    }
}

/// The document of a list: a descriptor with its files, a document, or `standard:NAME`; and the list.
///
/// # Errors
/// What is wrong, in which file and line.
pub fn load(source: &str, lang: Lang) -> Result<(String, CodeList), Unusable> {
    let bad = |error: &CodeListError| Unusable { exit: BAD_LIST, why: format!("{source}: {}", error.text().get(lang)) };
    if let Some(name) = source.strip_prefix("standard:") {
        let found = standard::code_lists().find(|list| list.name == name);
        let unknown = || Unusable { exit: COULD_NOT_RUN, why: no_standard(name, lang) };
        let found = found.ok_or_else(unknown)?;
        return found.document().and_then(|text| Ok((text, found.load()?))).map_err(|error| bad(&error));
    }
    let text = std::fs::read_to_string(source)
        .map_err(|error| Unusable { exit: COULD_NOT_RUN, why: format!("{source}: {error}") })?;
    let folder = Path::new(source).parent().unwrap_or(Path::new("."));
    let files = beside(&text, folder);
    let read = |path: &str| files.get(path).map(Vec::as_slice);
    let document = code_list::document(&text, read).map_err(|error| bad(&error))?;
    let list = CodeList::load(&text, read).map_err(|error| bad(&error))?;
    Ok((document, list))
}

fn no_standard(name: &str, lang: Lang) -> String {
    let names = standard::code_lists().map(|list| list.name).collect::<Vec<_>>().join(", ");
    match lang {
        Lang::Id => format!("tidak ada daftar standar «{name}»; yang ada: {names}"),
        Lang::En => format!("there is no standard list “{name}”; there are: {names}"),
    }
}

/// The files that a descriptor names, of those that stand beside it or below.
fn beside(descriptor: &str, folder: &Path) -> HashMap<String, Vec<u8>> {
    let package: Value = serde_json::from_str(descriptor.trim_start_matches('\u{feff}')).unwrap_or_default();
    let paths = package["resources"].as_array().into_iter().flatten().filter_map(|resource| resource["path"].as_str());
    let inside =
        paths.filter(|path| Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_))));
    inside.filter_map(|path| Some((path.to_owned(), std::fs::read(folder.join(path)).ok()?))).collect()
}

/// The lists named on the command line, and those of `wanted` that ship.
///
/// # Errors
/// What is wrong with the first that cannot be used.
pub fn given(sources: &[String], wanted: &BTreeSet<String>, lang: Lang) -> Result<Found, Unusable> {
    let mut found = Found::shipped(wanted);
    for source in sources {
        found.add(load(source, lang)?.1);
    }
    Ok(found)
}

fn check(source: &str, previous: Option<&str>, json: bool, lang: Lang) -> ExitCode {
    let (list, old) = match (load(source, lang), previous.map(|previous| load(previous, lang)).transpose()) {
        (Ok((_, list)), Ok(old)) => (list, old.map(|(_, old)| old)),
        (Err(unusable), _) | (_, Err(unusable)) => return unusable.told(),
    };
    let change = old.map_or(Value::Null, |old| compared(&old, &list));
    let summary = summary(&list, change);
    if json {
        println!("{summary}");
    } else {
        println!("{}", sentence(&summary, lang));
    }
    ExitCode::SUCCESS
}

fn summary(list: &CodeList, previous: Value) -> Value {
    json!({
        "id": list.id(), "version": list.version(), "digest": list.digest(), "title": list.title(),
        "system": list.system(), "codes": list.len(), "invalid": list.invalid(), "previous": previous,
    })
}

/// A list in a few lines: what it is, and what came and went.
fn sentence(summary: &Value, lang: Lang) -> String {
    let text = |key: &str| summary[key].as_str().unwrap_or_default();
    let count = |value: &Value| spoken_count(value.as_u64().unwrap_or_default(), lang);
    let system = match text("system") {
        "" => String::new(),
        system if lang == Lang::Id => format!(", sistem kode {system}"),
        system => format!(", code system {system}"),
    };
    let (codes, invalid) = (count(&summary["codes"]), count(&summary["invalid"]));
    let mut lines = format!("{}@{}  {}\n", text("id"), text("version"), text("title"));
    lines.push_str(&match lang {
        Lang::Id => format!("  {codes} kode berlaku, {invalid} tidak berlaku atau diganti{system}\n"),
        Lang::En => format!("  {codes} codes are valid, {invalid} are not or were replaced{system}\n"),
    });
    lines.push_str(&format!("  sha256 {}", text("digest")));
    let change = &summary["previous"];
    if !change.is_null() {
        let (version, lost) = (change["version"].as_str().unwrap_or_default(), &change["without_successor"]);
        let (added, removed, without) = (count(&change["added"]), count(&change["removed"]), count(lost));
        let names = change["without_successor_codes"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let names = names.collect::<Vec<_>>().join(", ");
        lines.push_str(&match lang {
            Lang::Id => format!(
                "\n  sejak {version}: {added} kode baru, {removed} hilang, di antaranya {without} tanpa pengganti"
            ),
            Lang::En => format!(
                "\n  since {version}: {added} codes are new, {removed} are gone, {without} of them without a successor"
            ),
        });
        if !names.is_empty() {
            lines.push_str(&format!(": {names}"));
        }
    }
    lines
}

async fn register(source: &str, dry_run: bool, client: &Client) -> anyhow::Result<ExitCode> {
    let lang = language(client);
    let (document, _) = match load(source, lang) {
        Ok(loaded) => loaded,
        Err(unusable) => return Ok(unusable.told()),
    };
    let path = if dry_run { "/v1/admin/code-lists?dry_run=true" } else { "/v1/admin/code-lists" };
    let answer = call(client, Method::POST, path, Some(serde_json::from_str(&document)?)).await?;
    let done = match (dry_run, answer["new"] == json!(false), lang) {
        (_, true, Lang::Id) => "Edisi ini sudah terdaftar dengan isi yang sama.",
        (_, true, Lang::En) => "This edition is registered already with the same content.",
        (true, _, Lang::Id) => "Dapat didaftarkan.",
        (true, _, Lang::En) => "It could be registered.",
        (false, _, Lang::Id) => "Terdaftar. Simpul anak akan mengambilnya bila memakainya.",
        (false, _, Lang::En) => "It is registered. Child nodes fetch it if they use it.",
    };
    Ok(told(client, &answer, &format!("{}\n{done}", sentence(&answer, lang))))
}

async fn show(list: &str, to: Option<PathBuf>, client: &Client) -> anyhow::Result<ExitCode> {
    let named = list.strip_prefix("urn:satudata:ref:").unwrap_or(list).split_once('@');
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    let Some((id, version)) = named.filter(|(id, version)| plain(id) && plain(version)) else {
        anyhow::bail!("a list is named like wilayah@2025-1");
    };
    let document = call(client, Method::GET, &format!("/v1/admin/code-lists/{id}/{version}"), None).await?;
    if let Some(path) = to {
        std::fs::write(&path, format!("{document}\n"))?;
        eprintln!("{}", path.display());
        return Ok(ExitCode::SUCCESS);
    }
    let list = CodeList::from_document(&document.to_string())?;
    Ok(told(client, &document, &sentence(&summary(&list, Value::Null), language(client))))
}

async fn fetch(client: &Client) -> anyhow::Result<ExitCode> {
    let answer = call(client, Method::POST, "/v1/admin/code-lists/fetch", None).await?;
    let names = |key: &str| {
        let names = answer[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.map(|name| vec![name.to_owned()]).collect::<Vec<_>>()
    };
    if client.json {
        println!("{answer}");
    } else {
        let (fetched, none) = match language(client) {
            Lang::Id => ("diambil dari induk", "Tidak ada edisi baru."),
            Lang::En => ("fetched from the parent", "There is no new edition."),
        };
        if names("fetched").is_empty() {
            println!("{none}");
        } else {
            output::table(&[fetched], names("fetched"));
        }
    }
    let conflicts = names("conflicts").concat();
    if conflicts.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let told = match language(client) {
        Lang::Id => "induk punya isi lain untuk edisi ini; yang di sini tetap dipakai",
        Lang::En => "the parent has other content for these editions; those here stay in use",
    };
    eprintln!("simpul: {told}: {}", conflicts.join(", "));
    Ok(ExitCode::FAILURE)
}
