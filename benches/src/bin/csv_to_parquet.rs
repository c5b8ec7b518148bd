//! CSV → validated Parquet: a file of persons through contract, validator and stager, as `gateway/node/src/flows/intake.rs`
//! does it, with the digest of the payload, the keys in a file and the fsync.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use clap::Parser;
use simpul_benches::{DATASET, Expected, Figures, KeyFile, Lists, People, Usage, descriptor};
use simpul_core::digest::Digester;
use simpul_lake::{Lake, Stager};
use simpul_schemas::{Contract, Format, Limits, Report, Validator};

/// Bytes read at once, about what a request's body comes in.
const CHUNK: usize = 64 << 10;

/// Checks a generated file against its contract and writes the good rows as Parquet.
#[derive(Parser)]
struct Options {
    /// Rows to generate.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Check everything but the primary key.
    #[arg(long)]
    no_primary_key: bool,
    /// Keep the generated file here.
    #[arg(long)]
    file: Option<PathBuf>,
    /// One line of JSON instead of a table.
    #[arg(long)]
    json: bool,
}

struct Run {
    report: Report,
    parquet_bytes: u64,
    wall: Duration,
    cpu_s: f64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let folder = tempfile::tempdir()?;
    let file = options.file.clone().unwrap_or_else(|| folder.path().join("penduduk.csv"));
    let lists = Lists::load()?;
    let mut out = BufWriter::new(File::create(&file)?);
    let expected = People::new(lists.areas()?).write(options.rows, true, &mut out)?;
    out.flush()?;
    drop(out);

    let contract = Contract::compile(&descriptor(!options.no_primary_key)?, &lists)
        .map_err(|errors| anyhow!("the contract does not compile: {errors:?}"))?;
    let run = take(&file, &Arc::new(contract), &folder.path().join("lake"))?;
    let Expected { bad, bad_without_key } = expected;
    let wanted = if options.no_primary_key { bad_without_key } else { bad };
    ensure!(run.report.rows_refused == wanted, "{} rows refused instead of {wanted}", run.report.rows_refused);
    tell(&options, &run, std::fs::metadata(&file)?.len())
}

fn take(file: &Path, contract: &Arc<Contract>, lake: &Path) -> Result<Run> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let dataset = DATASET.parse()?;
    let lake = Lake::open(lake)?;
    runtime.block_on(lake.ensure(&dataset, contract.arrow_schema()))?;

    let (before, started) = (Usage::own()?, Instant::now());
    let mut stager = lake.stage(&dataset, "ukur", "64.02.05.uji/ukur")?;
    let mut validator = Validator::new(Arc::clone(contract), Format::Csv, Limits::default());
    validator.spill_keys(Box::<KeyFile>::default());
    let (mut input, mut chunk, mut digest) = (File::open(file)?, vec![0; CHUNK], Digester::default());
    loop {
        let read = input.read(&mut chunk)?;
        let bytes = chunk.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        digest.update(bytes);
        validator.push(bytes).map_err(|fatal| anyhow!("{fatal:?}"))?;
        stage(&mut validator, &mut stager)?;
    }
    validator.finish().map_err(|fatal| anyhow!("{fatal:?}"))?;
    stage(&mut validator, &mut stager)?;
    let files = stager.finish()?;
    std::hint::black_box(digest.finish());
    let (wall, cpu_s) = (started.elapsed(), Usage::own()?.cpu_since(&before));
    let parquet_bytes = files.iter().map(|file| file.bytes).sum();
    Ok(Run { report: validator.into_report(), parquet_bytes, wall, cpu_s })
}

fn stage(validator: &mut Validator, stager: &mut Stager) -> Result<()> {
    for batch in validator.take_batches() {
        stager.write(None, &batch.rows)?;
    }
    drop(validator.take_rejected());
    Ok(())
}

fn tell(options: &Options, run: &Run, csv_bytes: u64) -> Result<()> {
    let keys = if options.no_primary_key { "without primary key" } else { "with primary key" };
    let mut figures = Figures::new(format!("CSV → validated Parquet, {} rows, 10 columns, {keys}", options.rows));
    let (rows, mb, seconds) = (options.rows as f64, csv_bytes as f64 / 1e6, run.wall.as_secs_f64());
    figures.add("CSV", mb, "MB");
    figures.add("Parquet", run.parquet_bytes as f64 / 1e6, "MB");
    figures.add("rows accepted", run.report.rows_accepted as f64, "");
    figures.add("bad rows found", run.report.rows_refused as f64, "");
    figures.add("rules broken", run.report.groups.len() as f64, "");
    figures.add("wall", seconds, "s");
    figures.add("rate", rows / seconds, "rows/s");
    figures.add("throughput", mb / seconds, "MB/s");
    figures.add("CPU", run.cpu_s, "s");
    figures.add("CPU per million rows", run.cpu_s * 1e6 / rows, "s");
    figures.add("peak memory", Usage::own()?.peak_mib, "MiB");
    figures.print(options.json);
    Ok(())
}
