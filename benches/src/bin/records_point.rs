//! `/records` for one key: a real node, TLS, a connection that is kept alive, beside DuckDB on the same Parquet files.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use reqwest::Method;
use serde_json::Value;
use simpul_benches::{Bench, DATASET, Figures, Lists, People, duckdb_python, enroll, use_binary};

/// Measures point queries.
#[derive(Parser)]
struct Options {
    /// Rows in the dataset.
    #[arg(long, default_value_t = 200_000)]
    rows: u64,
    /// Deliveries that bring them.
    #[arg(long, default_value_t = 1)]
    deliveries: u64,
    /// Queries over each connection.
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// One line of JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    use_binary()?;
    let people = People::new(Lists::load()?.areas()?);
    let bench = enroll(true).await?;
    fill(&bench, &people, &options).await?;
    let title = format!("one record by its key among {} in {} file(s)", options.rows, options.deliveries);
    let mut figures = Figures::new(title);

    // Spread over the whole table: neighbours in time are not neighbours in the file.
    let key = |number: u64| people.nik(number.wrapping_mul(7919) % options.rows);
    for lanes in [1, 8] {
        let clients = bench.connections(lanes).await?;
        let each = options.count / lanes as u64;
        let measured = bench.measure(
            &clients,
            each,
            async |client, number| {
                let path = format!("/v1/datasets/{DATASET}/records?nik=eq.{}", key(number));
                client.request(Method::GET, &path).await
            },
            |number, answer| {
                ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
                let body: Value = serde_json::from_slice(&answer.body)?;
                let found = body["records"].as_array().context("records")?;
                let right = found.len() == 1 && body["records"][0]["nik"] == key(number);
                ensure!(right, "{} instead of {}", answer.text(), key(number));
                Ok(())
            },
        );
        measured.await?.add_to(&mut figures, &format!("{lanes} connection(s)"));
    }
    figures.add("memory of the node at its peak", bench.usage()?.peak_mib, "MiB");
    duckdb(&bench, &mut figures, &(0..200).map(key).collect::<Vec<_>>())?;
    figures.print(options.json);
    Ok(())
}

async fn fill(bench: &Bench, people: &People, options: &Options) -> Result<()> {
    let mut whole = Vec::new();
    people.write(options.rows, false, &mut whole)?;
    let text = String::from_utf8(whole)?;
    let mut lines = text.lines();
    let header = lines.next().context("a header")?;
    let lines: Vec<&str> = lines.collect();
    for part in lines.chunks(lines.len().div_ceil(usize::try_from(options.deliveries.max(1))?).max(1)) {
        let body = format!("{header}\n{}\n", part.join("\n"));
        let (accepted, refused) = bench.load(body.into_bytes()).await?;
        ensure!(accepted == part.len() as u64 && refused == 0, "{accepted} accepted, {refused} refused");
    }
    Ok(())
}

/// The same question to DuckDB, in process and without anybody to ask for permission.
fn duckdb(bench: &Bench, figures: &mut Figures, keys: &[String]) -> Result<()> {
    let Some(python) = duckdb_python() else {
        eprintln!("no DuckDB: `python3 benches/peers.py setup` installs it");
        return Ok(());
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers.py");
    let output = Command::new(python).arg(script).arg("point").arg(bench.table()).args(keys).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout)?;
    for (name, unit) in [("p50", "ms"), ("p99", "ms"), ("CPU per 1000", "s")] {
        figures.add(format!("DuckDB on the files: {name}"), told[name].as_f64().context("a figure")?, unit);
    }
    Ok(())
}
