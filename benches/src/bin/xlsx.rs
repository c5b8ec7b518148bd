//! XLSX → checked rows: the way of a delivery (`simpul worker` decodes in its confinement, the validator checks what comes out),
//! and calamine alone, which reads every cell and drops it, on the same workbook in the same run, in turn.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use calamine::{DataRef, Reader as _, Xlsx};
use clap::Parser;
use rust_xlsxwriter::Workbook;
use simpul_benches::{Figures, Lists, People, Usage, descriptor, use_binary};
use simpul_schemas::{Contract, Foreign, Format, Limits, Validator};

/// Bytes read at once, as the node reads from its worker.
const CHUNK: usize = 64 << 10;
/// Bytes that the worker may be ahead, as the node has it.
const AHEAD: usize = 1 << 20;
/// How often each of the two reads the workbook.
const TURNS: usize = 3;
/// The limits of the worker, those that a node has by default.
const LIMITS: [&str; 8] = ["--memory", "536870912", "--cpu-s", "300", "--unpacked", "8589934592", "--ratio", "200"];

/// Reads a generated workbook of good rows, without a primary key.
#[derive(Parser)]
struct Options {
    /// Rows to generate; a sheet holds 1,048,575 below its header.
    #[arg(long, default_value_t = 200_000)]
    rows: u32,
    /// Keep the generated workbook here.
    #[arg(long)]
    file: Option<PathBuf>,
    /// One line of JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// What one reading cost, in seconds.
struct Cost {
    cpu: f64,
    wall: f64,
}

fn main() -> Result<()> {
    use_binary()?;
    let options = Options::parse();
    let folder = tempfile::tempdir()?;
    let path = options.file.clone().unwrap_or_else(|| folder.path().join("penduduk.xlsx"));
    let lists = Lists::load()?;
    write(&path, &People::new(lists.areas()?), options.rows)?;
    let contract = Contract::compile(&descriptor(false)?, &lists)
        .map_err(|errors| anyhow!("the contract does not compile: {errors:?}"))?;
    let contract = Arc::new(contract);

    let mut figures = Figures::new(format!("XLSX → checked rows, {} rows, 10 columns", options.rows));
    figures.add("XLSX", std::fs::metadata(&path)?.len() as f64 / 1e6, "MB");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let rows = u64::from(options.rows);
        let (accepted, cost) = measured(|| delivered(&path, &contract))?;
        ensure!(accepted == rows, "{accepted} rows instead of {rows}");
        ours.push(cost);
        let (found, cost) = measured(|| cells(&path))?;
        ensure!(found > 9 * rows, "{found} cells in {rows} rows");
        theirs.push(cost);
    }
    let least = |costs: &[Cost], of: fn(&Cost) -> f64| costs.iter().map(of).fold(f64::MAX, f64::min);
    for (name, costs) in [("simpul, all checks", &ours), ("calamine, cells dropped", &theirs)] {
        figures.add(format!("{name}: wall, best of {TURNS}"), least(costs, |cost| cost.wall), "s");
        figures.add(format!("{name}: CPU, best of {TURNS}"), least(costs, |cost| cost.cpu), "s");
    }
    let ratio = |of: fn(&Cost) -> f64| least(&ours, of) / least(&theirs, of);
    figures.add("wall of simpul to that of calamine", ratio(|cost| cost.wall), "");
    figures.add("CPU of simpul to that of calamine", ratio(|cost| cost.cpu), "");
    figures.print(options.json);
    Ok(())
}

/// What `read` costs, the processes that it starts and waits for included.
fn measured(read: impl FnOnce() -> Result<u64>) -> Result<(u64, Cost)> {
    let (before, started) = (Usage::own()?, Instant::now());
    let found = read()?;
    let used = Usage::own()?;
    let cpu = used.cpu_since(&before) + used.children_cpu_s - before.children_cpu_s;
    Ok((found, Cost { cpu, wall: started.elapsed().as_secs_f64() }))
}

/// A workbook in which the last three columns are numbers and the others text, as a clerk's export has them.
fn write(path: &Path, people: &People, rows: u32) -> Result<()> {
    let mut csv = Vec::new();
    people.write(rows.into(), false, &mut csv)?;
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (row, line) in (0..).zip(std::str::from_utf8(&csv)?.lines()) {
        for (column, cell) in (0..).zip(line.split(',')) {
            match cell.parse::<f64>() {
                _ if cell.is_empty() => {}
                Ok(number) if column >= 7 => drop(sheet.write_number(row, column, number)?),
                _ => drop(sheet.write_string(row, column, cell)?),
            }
        }
    }
    Ok(book.save(path)?)
}

/// The way of a delivery; gives the accepted rows.
fn delivered(path: &Path, contract: &Arc<Contract>) -> Result<u64> {
    let binary = std::env::var_os("SIMPUL_BIN").context("SIMPUL_BIN")?;
    let mut worker = Command::new(binary)
        .arg("worker")
        .arg(Foreign::Xlsx.ending())
        .args(LIMITS)
        .env_clear()
        .stdin(File::open(path)?)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut cells = worker.stdout.take().context("the worker has no output")?;
    rustix::pipe::fcntl_setpipe_size(&cells, AHEAD)?;
    let mut validator = Validator::new(Arc::clone(contract), Format::Cells(Foreign::Xlsx), Limits::default());
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = cells.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        validator.push(chunk.get(..read).unwrap_or_default()).map_err(|fatal| anyhow!("{fatal:?}"))?;
        drop(validator.take_batches());
    }
    ensure!(worker.wait()?.success(), "the worker failed");
    validator.finish().map_err(|fatal| anyhow!("{fatal:?}"))?;
    Ok(validator.into_report().rows_accepted)
}

/// Reads every cell by calamine; gives how many have content.
fn cells(path: &Path) -> Result<u64> {
    let mut book = Xlsx::new(BufReader::with_capacity(CHUNK, File::open(path)?))?;
    let name = book.sheet_names().first().cloned().context("a sheet")?;
    let mut reader = book.worksheet_cells_reader(&name)?;
    let mut found = 0;
    while let Some(cell) = reader.next_cell()? {
        found += u64::from(!matches!(std::hint::black_box(cell.get_value()), DataRef::Empty));
    }
    Ok(found)
}
