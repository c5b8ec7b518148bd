//! NDJSON → typed rows: this product with every check of the contract, and arrow-json, which checks nothing but the types, on
//! the same file in the same run, in turn.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow, ensure};
use clap::Parser;
use simpul_benches::{Figures, Lists, People, Usage, descriptor};
use simpul_schemas::{Contract, Format, Limits, Validator};

/// Bytes read at once, about what a request's body comes in.
const CHUNK: usize = 64 << 10;
/// Rows of a batch, as many as the validator makes at most.
const BATCH: usize = 8192;
/// How often each of the two reads the file.
const TURNS: usize = 3;

/// Reads a generated file of good rows, without a primary key.
#[derive(Parser)]
struct Options {
    /// Rows to generate.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Keep the generated file here.
    #[arg(long)]
    file: Option<PathBuf>,
    /// One line of JSON instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let folder = tempfile::tempdir()?;
    let path = options.file.clone().unwrap_or_else(|| folder.path().join("penduduk.ndjson"));
    let lists = Lists::load()?;
    let mut out = BufWriter::new(File::create(&path)?);
    People::new(lists.areas()?).write_ndjson(options.rows, &mut out)?;
    out.flush()?;
    let contract = Contract::compile(&descriptor(false)?, &lists)
        .map_err(|errors| anyhow!("the contract does not compile: {errors:?}"))?;
    let contract = Arc::new(contract);

    let mut figures = Figures::new(format!("NDJSON → typed rows, {} rows, 10 members", options.rows));
    figures.add("NDJSON", std::fs::metadata(&path)?.len() as f64 / 1e6, "MB");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.push(measured(options.rows, || checked(&path, &contract))?);
        theirs.push(measured(options.rows, || unchecked(&path, &contract))?);
    }
    let best = |taken: &[(f64, f64)]| taken.iter().fold((f64::MAX, f64::MAX), |a, b| (a.0.min(b.0), a.1.min(b.1)));
    for (name, (cpu, wall)) in [("simpul, all checks", best(&ours)), ("arrow-json, no checks", best(&theirs))] {
        figures.add(format!("{name}: CPU per million rows, best of {TURNS}"), cpu, "s");
        figures.add(format!("{name}: wall, best of {TURNS}"), wall, "s");
    }
    figures.add("CPU of simpul to that of arrow-json", best(&ours).0 / best(&theirs).0, "");
    figures.print(options.json);
    Ok(())
}

/// CPU seconds for a million rows, and seconds on the clock.
fn measured(rows: u64, read: impl FnOnce() -> Result<u64>) -> Result<(f64, f64)> {
    let (before, started) = (Usage::own()?, Instant::now());
    let found = read()?;
    ensure!(found == rows, "{found} rows instead of {rows}");
    Ok((Usage::own()?.cpu_since(&before) * 1e6 / rows as f64, started.elapsed().as_secs_f64()))
}

fn checked(path: &Path, contract: &Arc<Contract>) -> Result<u64> {
    let mut validator = Validator::new(Arc::clone(contract), Format::Ndjson, Limits::default());
    let (mut input, mut chunk) = (File::open(path)?, vec![0; CHUNK]);
    loop {
        let read = input.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        validator.push(chunk.get(..read).unwrap_or_default()).map_err(|fatal| anyhow!("{fatal:?}"))?;
        drop(validator.take_batches());
    }
    validator.finish().map_err(|fatal| anyhow!("{fatal:?}"))?;
    Ok(validator.into_report().rows_accepted)
}

fn unchecked(path: &Path, contract: &Contract) -> Result<u64> {
    let input = BufReader::with_capacity(CHUNK, File::open(path)?);
    let reader = arrow_json::ReaderBuilder::new(Arc::clone(contract.arrow_schema())).with_batch_size(BATCH);
    let mut rows = 0;
    for batch in reader.build(input)? {
        rows += batch?.num_rows() as u64;
    }
    Ok(rows)
}
