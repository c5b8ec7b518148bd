//! CSV → Parquet by arrow-csv and parquet alone: ten columns of text, nothing checked. The floor that a reader of the same
//! crates has, for `peers.py`.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use arrow_csv::ReaderBuilder;
use arrow_csv::reader::Format;
use arrow_schema::{DataType, Field, Schema};
use clap::Parser;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use simpul_benches::{Figures, Usage};

/// Rows of a batch, as many as the validator makes.
const BATCH: usize = 8192;

/// Writes a CSV file as Parquet without looking at its values.
#[derive(Parser)]
struct Options {
    /// The CSV file.
    file: PathBuf,
    /// The Parquet file.
    out: PathBuf,
    /// One line of JSON instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let (before, started) = (Usage::own()?, Instant::now());
    let open = || File::open(&options.file).with_context(|| options.file.display().to_string());
    let format = Format::default().with_header(true).with_truncated_rows(true);
    let (found, _) = format.infer_schema(open()?, Some(1))?;
    let text = |field: &Arc<Field>| Field::new(field.name(), DataType::Utf8, true);
    let schema = Arc::new(Schema::new(found.fields().iter().map(text).collect::<Vec<_>>()));
    let reader = ReaderBuilder::new(schema.clone())
        .with_format(format)
        .with_batch_size(BATCH)
        .build(BufReader::with_capacity(1 << 18, open()?))?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
    let mut writer = ArrowWriter::try_new(BufWriter::new(File::create(&options.out)?), schema, Some(properties))?;
    let mut rows = 0;
    for batch in reader {
        let batch = batch?;
        rows += batch.num_rows();
        writer.write(&batch)?;
    }
    let file = writer.into_inner()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.sync_all()?;
    let (wall, used) = (started.elapsed().as_secs_f64(), Usage::own()?);
    let mut figures = Figures::new(format!("CSV → Parquet by arrow-csv, nothing checked, {rows} rows"));
    figures.add("rows accepted", rows as f64, "");
    figures.add("Parquet", file.metadata()?.len() as f64 / 1e6, "MB");
    figures.add("wall", wall, "s");
    figures.add("CPU", used.cpu_since(&before), "s");
    figures.add("peak memory", used.peak_mib, "MiB");
    figures.print(options.json);
    Ok(())
}
