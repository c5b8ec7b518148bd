//! Writes a lake for other software to read, or measures small commits.
//!
//! `lake_sample table FOLDER` makes a table with every kind of commit and prints what a reader must find, as JSON.
//! `lake_sample commits FOLDER N` appends one row N times and prints the times in milliseconds.
//! `lake_sample scan FOLDER N` writes N rows, reads them in several ways and prints the times in milliseconds.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch};
use arrow::array::{StringArray, TimestampMicrosecondArray};
use futures::TryStreamExt as _;
use serde_json::{Map, json};
use simpul_core::access::View;
use simpul_core::agreement::Visibility;
use simpul_core::delivery::Mode;
use simpul_core::id::DatasetId;
use simpul_lake::{Commit, Lake, Scan};

const SOURCE: &str = "64.02.dukcapil/simpeg";

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["table", folder] => runtime.block_on(table(folder)),
        ["commits", folder, count] => runtime.block_on(commits(folder, count.parse()?)),
        ["scan", folder, count] => runtime.block_on(scan(folder, count.parse()?)),
        _ => Err("usage: lake_sample table FOLDER | commits FOLDER N | scan FOLDER N".into()),
    }
}

fn batch(range: std::ops::Range<i64>) -> Result<RecordBatch, Failure> {
    let each = || range.clone();
    let decimals =
        Decimal128Array::from_iter_values(each().map(|n| i128::from(n) * 25)).with_precision_and_scale(18, 2)?;
    let days = each().map(|n| i32::try_from(n % 20_000)).collect::<Result<Vec<_>, _>>()?;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("nik", Arc::new(StringArray::from_iter_values(each().map(|n| format!("64020101{n:08}"))))),
        ("kode", Arc::new(StringArray::from_iter_values(each().map(|n| format!("64.{:02}", n % 10))))),
        ("jumlah", Arc::new(Int64Array::from_iter(each().map(|n| (n % 11 != 0).then_some(n))))),
        ("nilai", Arc::new(decimals)),
        (
            "pecahan",
            Arc::new(Float64Array::from_iter_values(each().map(|n| f64::from(u32::try_from(n).unwrap_or(0)) / 4.0))),
        ),
        ("tanggal", Arc::new(Date32Array::from(days))),
        (
            "waktu",
            Arc::new(TimestampMicrosecondArray::from_iter_values(each().map(|n| n * 1_000_001)).with_timezone("UTC")),
        ),
        ("aktif", Arc::new(BooleanArray::from_iter(each().map(|n| Some(n % 2 == 0))))),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// Stages and commits `rows`. Answers the milliseconds of the commit alone.
async fn land(
    lake: &Lake,
    dataset: &DatasetId,
    sequence: u64,
    period: Option<&str>,
    rows: std::ops::Range<i64>,
) -> Result<f64, Failure> {
    let mut stager = lake.stage(dataset, "contoh", SOURCE)?;
    let (start, end) = (rows.start, rows.end);
    let mut at = start;
    while at < end {
        let next = (at + 8192).min(end);
        stager.write(period, &batch(at..next)?)?;
        at = next;
    }
    let files = stager.finish()?;
    let mode = if period.is_some() { Mode::Replace } else { Mode::Append };
    let source = SOURCE.to_owned();
    let origin = source.clone();
    let started = Instant::now();
    lake.commit(dataset, Commit { source, sequence, mode, origin, base_version: None, files, info: Map::new() })
        .await?;
    Ok(started.elapsed().as_secs_f64() * 1000.0)
}

/// Creation, appends, replacements, a merge, an added column and, for the second table, a checkpoint without the log.
async fn table(folder: &str) -> Result<(), Failure> {
    let lake = Lake::open(folder)?;
    let mut expected = Map::new();
    for (name, commits) in [("catatan", 12_u64), ("ringkasan", 24)] {
        let dataset: DatasetId = name.parse()?;
        let schema = batch(0..1)?.schema();
        let first = Arc::new(schema.project(&[0, 1, 2, 3, 4, 5, 6])?);
        lake.ensure(&dataset, &first).await?;
        lake.ensure(&dataset, &schema).await?;
        for sequence in 1..=commits {
            let start = i64::try_from(sequence)? * 1000;
            land(&lake, &dataset, sequence, None, start..start + 100).await?;
        }
        land(&lake, &dataset, commits + 1, Some("2024"), 0..500).await?;
        land(&lake, &dataset, commits + 2, Some("2025"), 0..700).await?;
        land(&lake, &dataset, commits + 3, Some("2024"), 0..300).await?;
        if name == "catatan" {
            lake.compact(&dataset).await?;
        } else {
            lake.maintain(Vec::new()).await?;
            let log = std::path::Path::new(folder).join(name).join("_delta_log");
            for entry in std::fs::read_dir(&log)? {
                let path = entry?.path();
                if path.extension().is_some_and(|kind| kind == "json") {
                    std::fs::remove_file(path)?;
                }
            }
        }
        let rows = lake.row_count(&dataset).await?;
        let numbers = (1..=commits).flat_map(|s| (s * 1000)..(s * 1000 + 100)).chain(0..300).chain(0..700);
        let sum: u64 = numbers.filter(|n| n % 11 != 0).sum();
        expected
            .insert(name.to_owned(), json!({"rows": rows, "jumlah": sum, "version": lake.version(&dataset).await?}));
    }
    println!("{}", serde_json::Value::Object(expected));
    Ok(())
}

async fn commits(folder: &str, count: u64) -> Result<(), Failure> {
    let lake = Lake::open(folder)?;
    let dataset: DatasetId = "kecil".parse()?;
    lake.ensure(&dataset, &batch(0..1)?.schema()).await?;
    let begin = lake.last_sequence(&dataset, SOURCE).await?.unwrap_or(0);
    let (mut times, mut commits) = (Vec::new(), Vec::new());
    for sequence in begin + 1..=begin + count {
        let started = Instant::now();
        commits.push(land(&lake, &dataset, sequence, None, 0..1).await?);
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    let at = |times: &mut Vec<f64>, share: usize| {
        times.sort_by(f64::total_cmp);
        times[(times.len() - 1) * share / 100]
    };
    let (both, alone) = ([50, 95].map(|share| at(&mut times, share)), [50, 95].map(|share| at(&mut commits, share)));
    println!("{}", json!({"stage and commit, p50 and p95": both, "commit alone": alone, "from version": begin}));
    Ok(())
}

async fn scan(folder: &str, count: i64) -> Result<(), Failure> {
    let lake = Lake::open(folder)?;
    let dataset: DatasetId = "besar".parse()?;
    lake.ensure(&dataset, &batch(0..1)?.schema()).await?;
    let started = Instant::now();
    land(&lake, &dataset, 1, None, 0..count).await?;
    let mut times = Map::from_iter([("write".to_owned(), json!(started.elapsed().as_millis()))]);
    let columns: Vec<_> = ["nik", "jumlah", "nilai"].map(|name| (name.to_owned(), Visibility::Clear)).to_vec();
    let one_key = format!("nik=eq.64020101{:08}", count / 2);
    for (name, filters, limit) in
        [("all", vec![], None), ("one key", vec![one_key.parse()?], None), ("first 100", vec![], Some(100))]
    {
        let view = View { columns: columns.clone(), rows: filters };
        let started = Instant::now();
        let mut rows = lake.scan(&dataset, &view, Scan { limit, ..Scan::default() }).await?;
        let mut found = 0;
        while let Some(batch) = rows.try_next().await? {
            found += batch.num_rows();
        }
        times.insert(name.to_owned(), json!({"ms": started.elapsed().as_secs_f64() * 1000.0, "rows": found}));
    }
    let view = View { columns, rows: Vec::new() };
    let started = Instant::now();
    let extract = lake.extract_parquet(&dataset, &view, None).await?;
    times.insert("extract".to_owned(), json!({"ms": started.elapsed().as_millis(), "bytes": extract.bytes}));
    println!("{}", serde_json::Value::Object(times));
    Ok(())
}
