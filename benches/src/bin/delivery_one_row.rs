//! Deliveries of one row, each durable before its receipt: a real node over TLS, one producer and eight at once.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use reqwest::Method;
use simpul_benches::{DATASET, Figures, Lists, People, enroll, millis, percentile, use_binary};

/// Measures deliveries of one row.
#[derive(Parser)]
struct Options {
    /// Deliveries, with one producer and with eight.
    #[arg(long, default_value_t = 400)]
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
    let mut file = Vec::new();
    people.write(2 * options.count + 8, false, &mut file)?;
    let text = String::from_utf8(file)?;
    let (header, rows) = text.split_once('\n').context("a header")?;
    let rows: Vec<&str> = rows.lines().collect();

    let bench = enroll(true).await?;
    let mut figures = Figures::new("one row delivered, durable before the receipt");
    for (producers, first) in [(1, 0), (8, options.count)] {
        let clients = bench.connections(producers).await?;
        let each = options.count / producers as u64;
        let measured = bench.measure(
            &clients,
            each,
            async |client, number| {
                let row = usize::try_from(first + number).ok().and_then(|row| rows.get(row)).copied();
                client
                    .request(Method::POST, &format!("/v1/datasets/{DATASET}/deliveries"))
                    .await
                    .header("content-type", "text/csv")
                    .header("idempotency-key", format!("ukur-{}", first + number))
                    .body(format!("{header}\n{}\n", row.unwrap_or_default()))
            },
            |_, answer| {
                ensure!(answer.status == 201, "{}: {}", answer.status, answer.text());
                ensure!(answer.json()["rows"]["accepted"] == 1, "{}", answer.text());
                Ok(())
            },
        );
        measured.await?.add_to(&mut figures, &format!("{producers} producer(s)"));
    }
    figures.add("memory of the node at its peak", bench.usage()?.peak_mib, "MiB");
    let synced = synced_writes(&bench.demo.dir, 200)?;
    figures.add("4 KiB written and synced on the same disk: p50", millis(percentile(&synced, 0.5)), "ms");
    figures.add("4 KiB written and synced on the same disk: p99", millis(percentile(&synced, 0.99)), "ms");
    figures.print(options.json);
    Ok(())
}

/// What the disk takes for the least that durable can mean: one new file with its folder.
fn synced_writes(folder: &Path, count: u32) -> Result<Vec<Duration>> {
    let folder = tempfile::tempdir_in(folder)?;
    let mut taken = Vec::new();
    for number in 0..count {
        let started = Instant::now();
        let mut file = File::create(folder.path().join(number.to_string()))?;
        file.write_all(&[7; 4096])?;
        file.sync_all()?;
        File::open(folder.path())?.sync_all()?;
        taken.push(started.elapsed());
    }
    taken.sort_unstable();
    Ok(taken)
}
