//! The commands of clerks, agency systems and statisticians: push, records, extract, datasets.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use futures::TryStreamExt;
use http::Method;
use serde_json::{Value, json};
use simpul_certs::tls::{ClientOptions, OwnCertificate, client_config};
use simpul_certs::trust::{TrustFiles, TrustStore};
use simpul_core::digest::{Digest, Digester};
use simpul_schemas::{Foreign, Lang, TextEncoding, spoken_count};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use super::{Client, output, report};
use crate::client::{ClientError, NodeClient, Profile};
use crate::flows::ingest;

#[derive(Args)]
pub struct PushOptions {
    /// Dataset to deliver to
    dataset: String,
    /// File: .csv, .ndjson, .json, .xlsx, .xls, .ods, .parquet or .arrow, also with .gz or .zst
    file: PathBuf,
    /// Check the file without delivering it
    #[arg(long)]
    dry_run: bool,
    /// Contract version; without it the latest
    #[arg(long)]
    contract_version: Option<String>,
    /// Encoding of a CSV file, such as windows-1252; without it the contract's, or UTF-8
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// Key of this delivery; without it one made from the dataset and the file's content
    #[arg(long)]
    key: Option<String>,
    /// Deliver anew what was delivered or refused before, for example after the contract changed
    #[arg(long, conflicts_with = "key")]
    again: bool,
    /// Where to keep the receipt; without it FILE.receipt.json
    #[arg(long)]
    receipt: Option<PathBuf>,
    #[command(flatten)]
    client: Client,
}

#[derive(Args)]
pub struct RecordsOptions {
    /// Dataset to read
    dataset: String,
    /// Columns, separated by commas
    #[arg(long)]
    select: Option<String>,
    /// Condition such as tahun=eq.2024 (repeatable)
    #[arg(long)]
    filter: Vec<String>,
    /// Records on a page
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// Cursor of the page before
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    client: Client,
}

#[derive(Args)]
pub struct ExtractOptions {
    /// Dataset to fetch
    dataset: String,
    /// File to write; its ending gives the form: .parquet, .arrow or .csv
    #[arg(short, long)]
    output: PathBuf,
    /// Columns, separated by commas
    #[arg(long)]
    select: Option<String>,
    /// Condition such as tahun=eq.2024 (repeatable)
    #[arg(long)]
    filter: Vec<String>,
    /// Version of the table; without it the newest
    #[arg(long)]
    table_version: Option<u64>,
    #[command(flatten)]
    client: Client,
}

/// A client of the node that a profile names; of its console when `console`.
///
/// # Errors
/// When the profile, its certificate or its key cannot be used.
pub fn connect(client: &Client, console: bool) -> anyhow::Result<NodeClient> {
    let profile = Profile::load(&client.profile)?;
    let base = if console {
        profile.console.clone().context("the profile names no console; administration needs one")?
    } else {
        profile.node.clone()
    };
    let node = connect_with(&profile, &base)?;
    Ok(if client.english { node.in_english() } else { node })
}

/// A client of the node at `base`, with the certificate of `profile`.
///
/// # Errors
/// When the certificate or its key cannot be used.
pub fn connect_with(profile: &Profile, base: &str) -> anyhow::Result<NodeClient> {
    let own = OwnCertificate::load(&profile.certificate, &profile.key, output::now())?;
    // A client believes what the exchange's roots vouch for under the name it called; lists and pins are the nodes' matter.
    let files = TrustFiles {
        bundle: profile.ca.clone(),
        crls: Vec::new(),
        issuers: None,
        trust_domain: profile.trust_domain.clone(),
    };
    let trust = TrustStore::load(&files)?;
    let tls = client_config(ClientOptions { trust: trust.into(), own: Some(own), expected: None })?;
    Ok(NodeClient::new(base, (*tls).clone(), Duration::from_secs(600))?)
}

/// `simpul push`
pub async fn push(options: PushOptions) -> anyhow::Result<ExitCode> {
    let node = connect(&options.client, false)?;
    let (media_type, coding) = form_of(&options.file)?;
    let (digest, length) = digest_of(&options.file).await?;
    let media_type = in_encoding(media_type, options.encoding.as_deref())?;
    // A file that is read in another encoding is another delivery.
    let named = options.encoding.as_ref().map_or(String::new(), |name| format!("\n{}", name.to_ascii_lowercase()));
    let key = options
        .key
        .clone()
        .unwrap_or_else(|| Digest::of(format!("{}\n{digest}{named}", options.dataset).as_bytes()).to_string());
    let lang = report::language(&options.client);
    let bar = output::progress(Some(length));
    let file = tokio::fs::File::open(&options.file).await?;
    let counted = bar.clone();
    let dry = options.dry_run;
    let body = ReaderStream::with_capacity(file, 1 << 16).inspect_ok(move |chunk| {
        counted.inc(chunk.len() as u64);
        if !dry && counted.position() >= length {
            counted.set_message(if lang == Lang::Id { "menunggu jawaban" } else { "waiting for the answer" });
        }
    });
    let query = if options.dry_run { "?dry_run=true" } else { "" };
    let mut request = node
        .post(&format!("/v1/datasets/{}/deliveries{query}", options.dataset))
        .await?
        .header("content-type", media_type)
        .header("content-length", length)
        .header("content-digest", digest.to_digest_field())
        .header("idempotency-key", key)
        .body(reqwest::Body::wrap_stream(body));
    if let Some(coding) = coding {
        request = request.header("content-encoding", coding);
    }
    if let Some(version) = &options.contract_version {
        request = request.header(ingest::CONTRACT_VERSION, version);
    }
    let answer = if options.dry_run {
        followed(&node, request.header("accept", "application/x-ndjson"), &bar, lang).await
    } else {
        node.deliver(request).await
    };
    bar.finish_and_clear();
    match answer {
        Ok((answer, replayed)) => {
            if replayed {
                tell_replayed(&options, &answer);
            }
            told(&options, &answer, true)
        }
        Err(ClientError::Problem { body, .. }) if body.get("report").is_some() => {
            if body.get("replayed").is_some() {
                tell_replayed(&options, &body);
            }
            told(&options, &body, false)
        }
        Err(error) => {
            if let (true, ClientError::Problem { body, .. }) = (options.client.json, &error) {
                println!("{body}");
            }
            Err(error.into())
        }
    }
}

/// The media type with the encoding that a person named.
fn in_encoding(media_type: &str, encoding: Option<&str>) -> anyhow::Result<String> {
    let Some(name) = encoding else { return Ok(media_type.to_owned()) };
    anyhow::ensure!(media_type == "text/csv", "--encoding is for CSV files; the others say their encoding themselves");
    let encoding = TextEncoding::named(name).with_context(|| format!("the encoding {name} is not known"))?;
    Ok(format!("text/csv; charset={}", encoding.name().to_ascii_lowercase()))
}

/// Sends a dry run and shows what it finds while the file is on its way; gives its answer.
async fn followed(
    node: &NodeClient,
    request: reqwest::RequestBuilder,
    bar: &indicatif::ProgressBar,
    lang: Lang,
) -> Result<(Value, bool), ClientError> {
    let mut response = node.open(request).await?;
    let (mut pending, mut last) = (Vec::new(), Value::Null);
    while let Some(chunk) = response.chunk().await.map_err(ClientError::local)? {
        pending.extend_from_slice(&chunk);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            last = serde_json::from_slice(&line).map_err(ClientError::local)?;
            show(&last, bar, lang);
        }
    }
    if !pending.is_empty() {
        last = serde_json::from_slice(&pending).map_err(ClientError::local)?;
    }
    match last["type"].as_str() {
        Some(_) => Err(ClientError::from_problem(last)),
        None if last.get("report").is_some() => Ok((last, false)),
        None => Err(ClientError::Unreachable("the answer broke off".to_owned())),
    }
}

/// One line of a dry run: how far it is, and its first errors.
fn show(line: &Value, bar: &indicatif::ProgressBar, lang: Lang) {
    let (Some(rows), Some(bad)) = (line["rows"].as_u64(), line["bad_rows"].as_u64()) else { return };
    bar.set_message(output::so_far(rows, bad, lang));
    for error in line["errors"].as_array().into_iter().flatten() {
        output::above(bar, &output::first_error(error, lang));
    }
}

/// Prints the report as a clerk reads it and keeps the receipt.
fn told(options: &PushOptions, answer: &Value, landed: bool) -> anyhow::Result<ExitCode> {
    if let Some(receipt) = answer["receipt"].as_str() {
        let path = options.receipt.clone().unwrap_or_else(|| {
            let mut name = options.file.clone().into_os_string();
            name.push(".receipt.json");
            PathBuf::from(name)
        });
        std::fs::write(&path, format!("{}\n", json!({"delivery": answer["delivery"], "receipt": receipt})))?;
        eprintln!("{}: {}", if options.client.english { "receipt" } else { "tanda terima" }, path.display());
    }
    let lang = report::language(&options.client);
    if options.client.json {
        println!("{answer}");
    } else {
        if let Some(title) = answer["title"].as_str() {
            println!("{title}");
        }
        if answer["report"].is_object() {
            output::report(&answer["report"], lang)?;
        }
        println!("\n{}", summary(answer, lang));
        let refused = answer.pointer("/rows/refused").and_then(Value::as_u64).unwrap_or(0);
        if let (Some(delivery), true, false) = (answer["delivery"].as_str(), refused > 0, options.dry_run) {
            report::tell_downloads(delivery, &options.client.profile, landed, lang);
        }
    }
    let valid = answer.pointer("/report/valid").and_then(Value::as_bool).unwrap_or(landed);
    Ok(if landed && valid { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The node had this file before: nothing changed now.
fn tell_replayed(options: &PushOptions, answer: &Value) {
    let at = answer["received_at"].as_str().unwrap_or_default();
    if options.client.english {
        eprintln!(
            "This file was delivered before {at}; this is the answer of that time and nothing changed. --again delivers it anew."
        );
    } else {
        eprintln!(
            "Berkas ini sudah pernah dikirim {at}; ini jawaban waktu itu dan tidak ada yang berubah. --again mengirimnya sebagai kiriman baru."
        );
    }
}

/// What became of the file, in one line.
fn summary(answer: &Value, lang: Lang) -> String {
    let rows = |name: &str| answer.pointer(&format!("/rows/{name}")).and_then(Value::as_u64).unwrap_or(0);
    let said = |name| spoken_count(rows(name), lang);
    let (total, accepted, refused) = (said("total"), said("accepted"), said("refused"));
    let state = answer["state"].as_str().unwrap_or("refused");
    match (state, lang) {
        ("dry_run", Lang::Id) => "Hanya diperiksa; tidak ada yang dikirim.".to_owned(),
        ("dry_run", Lang::En) => "Checked only; nothing was delivered.".to_owned(),
        ("landed", Lang::Id) => format!("Diterima: {accepted} dari {total} baris, {refused} ditolak."),
        ("landed", Lang::En) => format!("Accepted: {accepted} of {total} rows, {refused} refused."),
        ("refused", Lang::Id) => format!("Kiriman ditolak: tidak satu pun dari {total} baris disimpan."),
        ("refused", Lang::En) => format!("The delivery was refused: none of {total} rows was kept."),
        (state, Lang::Id) => format!("Keadaan: {state}. {total} baris."),
        (state, Lang::En) => format!("State: {state}. {total} rows."),
    }
}

/// Media type and compression by the ending of the name.
fn form_of(path: &Path) -> anyhow::Result<(&'static str, Option<&'static str>)> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
    let (name, coding) = match () {
        () if name.ends_with(".gz") => (name[..name.len() - 3].to_owned(), Some("gzip")),
        () if name.ends_with(".zst") => (name[..name.len() - 4].to_owned(), Some("zstd")),
        () => (name, None),
    };
    let media_type = match name.rsplit('.').next() {
        Some("csv" | "txt" | "tsv") => "text/csv",
        Some("ndjson" | "jsonl") => "application/x-ndjson",
        Some("json") => "application/json",
        Some(ending) if let Some(format) = Foreign::of_ending(ending) => ingest::media_type_of(format),
        _ => anyhow::bail!(
            "the form of {} is not known: use .csv, .ndjson, .json, .xlsx, .xls, .ods, .parquet or .arrow (also with .gz or .zst)",
            path.display()
        ),
    };
    Ok((media_type, coding))
}

async fn digest_of(path: &Path) -> anyhow::Result<(Digest, u64)> {
    let file = tokio::fs::File::open(path).await.with_context(|| format!("cannot read {}", path.display()))?;
    let mut chunks = ReaderStream::with_capacity(file, 1 << 18);
    let (mut digester, mut length) = (Digester::default(), 0);
    while let Some(chunk) = chunks.try_next().await? {
        digester.update(&chunk);
        length += chunk.len() as u64;
    }
    Ok((digester.finish(), length))
}

/// Query parameters for columns and conditions.
fn parameters(select: Option<&str>, filters: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let mut pairs: Vec<(String, String)> =
        select.map(|text| ("select".to_owned(), text.to_owned())).into_iter().collect();
    for filter in filters {
        let (column, condition) =
            filter.split_once('=').context("a filter is written column=op.value, such as tahun=eq.2024")?;
        pairs.push((column.to_owned(), condition.to_owned()));
    }
    Ok(pairs)
}

/// `simpul records`
pub async fn records(options: RecordsOptions) -> anyhow::Result<ExitCode> {
    let node = connect(&options.client, false)?;
    let mut pairs = parameters(options.select.as_deref(), &options.filter)?;
    pairs.push(("limit".to_owned(), options.limit.to_string()));
    pairs.extend(options.cursor.iter().map(|cursor| ("cursor".to_owned(), cursor.clone())));
    let request = node.request(Method::GET, &format!("/v1/datasets/{}/records", options.dataset)).await?.query(&pairs);
    let answer = node.send(request).await?;
    if options.client.json {
        println!("{answer}");
        return Ok(ExitCode::SUCCESS);
    }
    for record in answer["records"].as_array().into_iter().flatten() {
        println!("{record}");
    }
    if let Some(next) = answer["next"].as_str() {
        eprintln!("--cursor {next}");
    }
    Ok(ExitCode::SUCCESS)
}

/// `simpul extract`
pub async fn extract(options: ExtractOptions) -> anyhow::Result<ExitCode> {
    let node = connect(&options.client, false)?;
    let form = match options.output.extension().and_then(|ending| ending.to_str()) {
        Some("parquet") => "parquet",
        Some("arrow" | "arrows") => "arrow",
        Some("csv") => "csv",
        _ => anyhow::bail!("name the file .parquet, .arrow or .csv"),
    };
    let mut pairs = parameters(options.select.as_deref(), &options.filter)?;
    pairs.push(("format".to_owned(), form.to_owned()));
    pairs.extend(options.table_version.map(|version| ("version".to_owned(), version.to_string())));
    let request = node.request(Method::GET, &format!("/v1/datasets/{}/extract", options.dataset)).await?.query(&pairs);
    let mut response = node.open(request).await?;
    let announced = response.headers().get("repr-digest").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let version =
        response.headers().get("simpul-table-version").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let bar = output::progress(response.content_length());
    let partial = options.output.with_extension("part");
    let mut file =
        tokio::fs::File::create(&partial).await.with_context(|| format!("cannot write {}", partial.display()))?;
    let (mut digester, mut length) = (Digester::default(), 0_u64);
    while let Some(chunk) = response.chunk().await.context("the download broke off")? {
        file.write_all(&chunk).await?;
        digester.update(&chunk);
        length += chunk.len() as u64;
        bar.set_position(length);
    }
    file.sync_all().await?;
    bar.finish_and_clear();
    let digest = digester.finish();
    if announced.is_some_and(|announced| announced != digest.to_digest_field()) {
        anyhow::bail!("what arrived is not what the node sent; try again");
    }
    tokio::fs::rename(&partial, &options.output).await?;
    let told = json!({"file": options.output, "bytes": length, "sha256": digest, "table_version": version});
    if options.client.json {
        println!("{told}");
    } else {
        writeln!(std::io::stderr(), "{}: {length} bytes, sha256 {digest}", options.output.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `simpul datasets`
pub async fn datasets(client: Client) -> anyhow::Result<ExitCode> {
    let answer = connect(&client, false)?.get("/v1/datasets").await?;
    if client.json {
        println!("{answer}");
    } else {
        let columns =
            [("dataset", "/id"), ("title", "/title"), ("contract", "/contract_version"), ("version", "/table_version")];
        output::list(&answer, "datasets", &columns);
    }
    Ok(ExitCode::SUCCESS)
}
