//! `simpul report`: the report of a delivery and its downloads.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use http::Method;
use simpul_schemas::Lang;
use tokio::io::AsyncWriteExt;

use super::{Client, data, output};

/// In what form.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A page to read
    Text,
    /// JSON
    Json,
    /// One line for each error, to open in a spreadsheet
    Csv,
    /// A workbook of the bad rows, wrong cells red with notes
    Xlsx,
    /// The bad rows as they were sent, to correct and send again
    Rows,
}

#[derive(Args)]
pub struct Options {
    /// Number of the delivery, as `simpul push` told it
    delivery: String,
    /// Form
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// File to write; without it standard output, which xlsx does not take
    #[arg(short, long)]
    output: Option<PathBuf>,
    #[command(flatten)]
    client: Client,
}

/// Fetches the report.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let node = data::connect(&options.client, false)?;
    let id = &options.delivery;
    let named = id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    anyhow::ensure!(named, "a delivery is named by its number, such as 0199a2b3-…");
    let lang = language(&options.client);
    let json = options.client.json || options.format == Format::Json;
    if options.format == Format::Text && options.output.is_none() || json {
        let report = node.get(&format!("/v1/deliveries/{id}/report?format=json")).await?;
        match (&options.output, json) {
            (Some(path), true) => std::fs::write(path, format!("{report}\n"))?,
            (None, true) => println!("{report}"),
            _ => output::report(&report, lang)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let path = match options.format {
        Format::Rows => format!("/v1/deliveries/{id}/rejected"),
        Format::Csv => format!("/v1/deliveries/{id}/report?format=csv"),
        Format::Xlsx => format!("/v1/deliveries/{id}/report?format=xlsx"),
        _ => format!("/v1/deliveries/{id}/report?format=text"),
    };
    anyhow::ensure!(
        options.format != Format::Xlsx || options.output.is_some(),
        "a workbook needs a file: -o FILE.xlsx"
    );
    let response = node.open(node.request(Method::GET, &path).await?).await?;
    match &options.output {
        Some(path) => save(response, path).await?,
        None => {
            let bytes = response.bytes().await?;
            std::io::Write::write_all(&mut std::io::stdout().lock(), &bytes)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The language that a client command speaks.
pub const fn language(client: &Client) -> Lang {
    if client.english { Lang::En } else { Lang::Id }
}

async fn save(mut response: reqwest::Response, path: &Path) -> anyhow::Result<()> {
    let partial = path.with_extension("part");
    let mut file =
        tokio::fs::File::create(&partial).await.with_context(|| format!("cannot write {}", partial.display()))?;
    while let Some(chunk) = response.chunk().await.context("the download broke off")? {
        file.write_all(&chunk).await?;
    }
    file.sync_all().await?;
    tokio::fs::rename(&partial, path).await?;
    eprintln!("{}", path.display());
    Ok(())
}

/// Where the rest of a report is to be had, for the end of `simpul push`.
pub fn tell_downloads(delivery: &str, profile: &Path, landed: bool, lang: Lang) {
    let profile = profile.display();
    let command = |form: &str| format!("simpul report {delivery} --format {form} --profile {profile}");
    let (csv, rows, xlsx) =
        (command("csv -o kesalahan.csv"), command("rows -o baris-salah.csv"), command("xlsx -o kesalahan.xlsx"));
    let next = match (lang, landed) {
        (Lang::Id, true) => "Baris yang sah sudah diterima. Perbaiki baris yang salah saja, lalu kirim baris itu.",
        (Lang::Id, false) => "Tidak ada yang disimpan. Perbaiki di berkas asal, lalu kirim seluruh berkas lagi.",
        (Lang::En, true) => "The valid rows were accepted. Correct the bad rows only, then send these.",
        (Lang::En, false) => "Nothing was kept. Correct the original file, then send the whole file again.",
    };
    println!("{next}");
    let (all, bad, marked) = match lang {
        Lang::Id => ("semua kesalahan: ", "baris salah:     ", "buku kerja:      "),
        Lang::En => ("all errors:  ", "bad rows:    ", "workbook:    "),
    };
    println!("  {all}{csv}\n  {bad}{rows}\n  {marked}{xlsx}");
}
