//! `simpul audit` and `simpul receipt`: what happened, and proof of it.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;
use simpul_certs::jws;
use simpul_core::audit::{Checkpoint, Comparison, LogKey, Verified, VerifyOptions, compare_exports, verify_export};
use simpul_store::audit_log::verify_ed25519;
use tokio::io::AsyncWriteExt;

use super::data::connect;
use super::{Client, output};

#[derive(Subcommand)]
pub enum Command {
    /// Show entries, newest last
    #[command(after_help = "Example:\n  simpul audit show --action delivery --limit 20 --profile admin.toml")]
    Show {
        /// Only this action or those below it
        #[arg(long)]
        action: Option<String>,
        /// Only by this actor
        #[arg(long)]
        actor: Option<String>,
        /// Only with this outcome: granted, refused, done, failed
        #[arg(long)]
        outcome: Option<String>,
        /// The last so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Only entries before this index
        #[arg(long)]
        before: Option<u64>,
        #[command(flatten)]
        client: Client,
    },
    /// Fetch the whole log, to be verified anywhere
    Export {
        /// File to write
        #[arg(short, long)]
        output: PathBuf,
        #[command(flatten)]
        client: Client,
    },
    /// Print the log's last signed checkpoint: kept elsewhere, it shows later that nothing before it was rewritten
    #[command(after_help = "Example:\n  simpul audit checkpoint --profile admin.toml >2026-11-30.checkpoint")]
    Checkpoint(Client),
    /// Verify an exported log, offline
    #[command(
        after_help = "Examples:\n  simpul audit verify audit.txt\n  simpul audit verify audit.txt --checkpoint 2026-11-30.checkpoint\n  simpul audit verify audit.txt --other audit-of-last-year.txt\n\nExit status 0 only if everything holds; otherwise the first bad entry is named.\nPin the log's key with --key to be sure that it is your node's and not a copy signed by somebody else."
    )]
    Verify(VerifyArgs),
}

#[derive(Args)]
pub struct VerifyArgs {
    /// Exported log
    file: PathBuf,
    /// The log's key, as its node printed it
    #[arg(long)]
    key: Option<String>,
    /// A checkpoint of this log that was kept (`simpul audit checkpoint`): the log must contain it
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// Another export of this log: one must continue the other, or the entry is named at which they part
    #[arg(long)]
    other: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
pub enum ReceiptCommand {
    /// Verify a receipt, offline
    #[command(after_help = "Exit status 0 only if everything holds. FILE is what `simpul push` kept, or a bare JWS.")]
    Verify {
        /// Receipt
        file: PathBuf,
        /// Root certificates of the exchange (PEM); without them the root in the receipt is used and named
        #[arg(long)]
        ca: Option<PathBuf>,
        /// The delivered file, to compare its digest
        #[arg(long)]
        data: Option<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Runs an audit command.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Show { action, actor, outcome, limit, before, client } => {
            let wanted = [
                ("action", action),
                ("actor", actor),
                ("outcome", outcome),
                ("limit", Some(limit.to_string())),
                ("before", before.map(|index| index.to_string())),
            ];
            let pairs: Vec<_> = wanted.into_iter().filter_map(|(key, value)| value.map(|value| (key, value))).collect();
            let answer = block_on(async {
                let node = connect(&client, true)?;
                Ok(node.send(node.request(Method::GET, "/v1/audit/entries").await?.query(&pairs)).await?)
            })?;
            if client.json {
                println!("{answer}");
            } else {
                let columns = [
                    ("seq", "/seq"),
                    ("time", "/time"),
                    ("actor", "/actor"),
                    ("action", "/action"),
                    ("object", "/object"),
                    ("outcome", "/outcome"),
                    ("reason", "/reason"),
                ];
                output::list(&answer, "entries", &columns);
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Export { output, client } => block_on(export(&output, &client)),
        Command::Checkpoint(client) => {
            let note = block_on(async {
                let node = connect(&client, true)?;
                Ok(node.open(node.request(Method::GET, "/v1/audit/checkpoint").await?).await?.text().await?)
            })?;
            if client.json {
                println!("{}", serde_json::json!({ "checkpoint": note }))
            } else {
                print!("{note}")
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify(args) => verify(&args),
    }
}

async fn export(path: &Path, client: &Client) -> anyhow::Result<ExitCode> {
    let node = connect(client, true)?;
    let mut response = node.open(node.request(Method::GET, "/v1/audit/export").await?).await?;
    let partial = path.with_extension("part");
    let mut file =
        tokio::fs::File::create(&partial).await.with_context(|| format!("cannot write {}", partial.display()))?;
    while let Some(chunk) = response.chunk().await.context("the download broke off")? {
        file.write_all(&chunk).await?;
    }
    file.sync_all().await?;
    tokio::fs::rename(&partial, path).await?;
    verify(&VerifyArgs { file: path.to_owned(), key: None, checkpoint: None, other: None, json: client.json })
}

/// Verifies by itself, then against the checkpoint and the other export, if they are given.
fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let key = args.key.as_ref().map(|text| text.parse::<LogKey>().map_err(|error| anyhow::anyhow!("--key: {error}")));
    let mut options = VerifyOptions { pinned: key.transpose()?, ..VerifyOptions::default() };
    let mut checked = verify_export(open(&args.file)?, &options, &verify_ed25519);
    if let (Ok(verified), Some(path)) = (&checked, &args.checkpoint) {
        let note = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        match Checkpoint::open(&note, &verified.key, &verify_ed25519) {
            Ok(checkpoint) => options.remembered = Some(checkpoint),
            Err(error) => return Ok(not_valid(args.json, None, &format!("{}: {error}", path.display()))),
        }
        checked = verify_export(open(&args.file)?, &options, &verify_ed25519);
    }
    let verified = match checked {
        Ok(verified) => verified,
        Err(bad) => return Ok(not_valid(args.json, Some(bad.index), &bad.to_string())),
    };
    if let Some(other) = &args.other {
        let options = VerifyOptions { remembered: None, ..options };
        match compare_exports(open(&args.file)?, open(other)?, &options, &verify_ed25519) {
            Ok(Comparison::Same | Comparison::Continues { .. }) => {}
            Ok(Comparison::Fork { index }) => {
                let what = "the log told two stories: both files are signed, and from this entry on they differ";
                return Ok(not_valid(args.json, Some(index), &format!("entry {index}: {what}")));
            }
            Ok(Comparison::Unrelated) => return Ok(not_valid(args.json, None, "the two files are of different logs")),
            Err((which, bad)) => {
                let path = [&args.file, other][which];
                return Ok(not_valid(args.json, Some(bad.index), &format!("{}: {bad}", path.display())));
            }
        }
    }
    tell_valid(args.json, &verified);
    Ok(ExitCode::SUCCESS)
}

fn open(path: &Path) -> anyhow::Result<BufReader<File>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(BufReader::with_capacity(1 << 16, file))
}

fn not_valid(json: bool, index: Option<u64>, what: &str) -> ExitCode {
    if json {
        println!("{}", serde_json::json!({"valid": false, "index": index, "what": what}));
    } else {
        println!("NOT VALID: {what}");
    }
    ExitCode::from(1)
}

fn tell_valid(json: bool, verified: &Verified) {
    let Verified { entries, checkpoints, origin, root, key, pinned, .. } = verified;
    if json {
        let told = serde_json::json!({
            "valid": true, "entries": entries, "checkpoints": checkpoints, "origin": origin.as_str(), "root": root,
            "key": key.to_string(), "pinned": pinned,
        });
        return println!("{told}");
    }
    println!("valid: {entries} entries of {}, {checkpoints} checkpoints", origin.as_str());
    let source = if *pinned { "(pinned)" } else { "(from the file: compare it with the node's, or give --key)" };
    println!("root {root}\nkey  {key} {source}");
}

/// Runs a receipt command.
pub fn receipt(command: ReceiptCommand) -> anyhow::Result<ExitCode> {
    let ReceiptCommand::Verify { file, ca, data, json } = command;
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let envelope: Option<Value> = serde_json::from_str(&text).ok();
    let jws_text = envelope.as_ref().and_then(|value| value["receipt"].as_str()).unwrap_or(text.trim());
    let roots = ca.map(|path| simpul_certs::files::read_certificates(&path)).transpose()?;
    let verified = match jws::verify_receipt(jws_text, roots.as_deref()) {
        Ok(verified) => verified,
        Err(error) => {
            if json {
                println!("{}", serde_json::json!({"valid": false, "what": error.to_string()}));
            } else {
                println!("NOT VALID: {error}");
            }
            return Ok(ExitCode::from(1));
        }
    };
    if let Some(data) = data {
        let digest = simpul_core::digest::Digest::of(&std::fs::read(&data)?);
        if verified.receipt.payload_sha256 != Some(digest) {
            println!("NOT VALID: {} is not the file that this receipt is about", data.display());
            return Ok(ExitCode::from(1));
        }
    }
    if json {
        println!(
            "{}",
            serde_json::json!({"valid": true, "receipt": verified.receipt, "root": verified.root_fingerprint, "pinned": verified.pinned})
        );
        return Ok(ExitCode::SUCCESS);
    }
    let receipt = &verified.receipt;
    println!(
        "valid: {} {:?}, {} of {} rows, at {}",
        receipt.dataset, receipt.outcome, receipt.rows.accepted, receipt.rows.total, receipt.time
    );
    println!("signed by {}", verified.node);
    println!(
        "root {}{}",
        verified.root_fingerprint,
        if verified.pinned { " (yours)" } else { " (from the receipt: compare it, or give --ca)" }
    );
    Ok(ExitCode::SUCCESS)
}
