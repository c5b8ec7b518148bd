//! The lake as its callers see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use futures::TryStreamExt as _;
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptionsBuilder;
use proptest::prelude::*;
use serde_json::Map;
use simpul_core::agreement::Visibility;
use simpul_core::delivery::Mode;
use tempfile::TempDir;

use super::*;

const ORIGIN_OF_ALL: &str = "64.02.dukcapil/simpeg";

fn dataset() -> DatasetId {
    "penduduk".parse().unwrap()
}

fn columns() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("kode", DataType::Utf8, false), Field::new("jumlah", DataType::Int64, true)]))
}

fn batch(rows: &[(&str, Option<i64>)]) -> RecordBatch {
    let codes = StringArray::from_iter_values(rows.iter().map(|row| row.0));
    let counts = Int64Array::from_iter(rows.iter().map(|row| row.1));
    RecordBatch::try_new(columns(), vec![Arc::new(codes), Arc::new(counts)]).unwrap()
}

fn view(columns: &[(&str, Visibility)], rows: &[&str]) -> View {
    View {
        columns: columns.iter().map(|(name, visibility)| ((*name).to_owned(), *visibility)).collect(),
        rows: rows.iter().map(|text| text.parse().unwrap()).collect(),
    }
}

fn all() -> View {
    view(&[("kode", Visibility::Clear), ("jumlah", Visibility::Clear)], &[])
}

struct Bench {
    folder: TempDir,
    lake: Lake,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path()).unwrap();
        lake.ensure(&dataset(), &columns()).await.unwrap();
        Self { folder, lake }
    }

    /// The same folder after a crash: nothing that was in memory is left.
    fn reopen(self) -> Self {
        let lake = Lake::open(self.folder.path()).unwrap();
        Self { folder: self.folder, lake }
    }

    fn stage(&self, period: Option<&str>, rows: &[(&str, Option<i64>)]) -> Vec<StagedFile> {
        let mut stager = self.lake.stage(&dataset(), "kiriman", ORIGIN_OF_ALL).unwrap();
        stager.write(period, &batch(rows)).unwrap();
        stager.finish().unwrap()
    }

    fn commit(&self, sequence: u64, mode: Mode, files: Vec<StagedFile>) -> Commit {
        let (source, origin) = ("64.02.dukcapil/simpeg".to_owned(), "64.02.dukcapil/simpeg".to_owned());
        Commit { source, sequence, mode, origin, base_version: None, files, info: Map::new() }
    }

    async fn append(&self, sequence: u64, rows: &[(&str, Option<i64>)]) -> Committed {
        let commit = self.commit(sequence, Mode::Append, self.stage(None, rows));
        self.lake.commit(&dataset(), commit).await.unwrap()
    }

    async fn replace(&self, sequence: u64, period: &str, rows: &[(&str, Option<i64>)]) -> Committed {
        let commit = self.commit(sequence, Mode::Replace, self.stage(Some(period), rows));
        self.lake.commit(&dataset(), commit).await.unwrap()
    }

    async fn read(&self, view: &View, scan: Scan) -> Vec<RecordBatch> {
        let mut rows = self.lake.scan(&dataset(), view, scan).await.unwrap();
        let mut batches = Vec::new();
        while let Some(batch) = rows.try_next().await.unwrap() {
            assert_eq!(batch.schema(), rows.schema());
            batches.push(batch);
        }
        batches
    }

    async fn numbers(&self, view: &View, version: Option<u64>) -> Vec<i64> {
        let batches = self.read(view, Scan { version, ..Scan::default() }).await;
        batches
            .iter()
            .flat_map(|b| b.column_by_name("jumlah").unwrap().as_primitive::<Int64Type>().values().to_vec())
            .collect()
    }
}

#[tokio::test]
async fn appended_rows_come_back_in_order() {
    let bench = Bench::new().await;
    assert_eq!(bench.append(1, &[("a", Some(1)), ("b", Some(2))]).await.version, Some(1));
    assert_eq!(bench.append(2, &[("c", Some(3))]).await.version, Some(2));
    assert_eq!(bench.numbers(&all(), None).await, [1, 2, 3]);
    let bench = bench.reopen();
    assert_eq!(bench.numbers(&all(), None).await, [1, 2, 3]);
    assert_eq!(bench.numbers(&all(), Some(1)).await, [1, 2]);
    assert_eq!(bench.lake.row_count(&dataset()).await.unwrap(), Some(3));
    assert_eq!(bench.lake.last_sequence(&dataset(), "64.02.dukcapil/simpeg").await.unwrap(), Some(2));
    assert_eq!(bench.lake.last_sequence(&dataset(), "lain").await.unwrap(), None);
}

#[tokio::test]
async fn a_replacement_takes_the_place_of_its_period_and_origin_only() {
    let bench = Bench::new().await;
    bench.replace(1, "2024", &[("a", Some(1))]).await;
    bench.replace(2, "2025", &[("a", Some(2))]).await;
    let done = bench.replace(3, "2024", &[("a", Some(3)), ("b", Some(4))]).await;
    assert_eq!((done.version, done.removed_rows), (Some(3), 1));
    let origin = "64.03.dukcapil/simpeg";
    let mut stager = bench.lake.stage(&dataset(), "kiriman", origin).unwrap();
    stager.write(Some("2024"), &batch(&[("x", Some(9))])).unwrap();
    let mut other = bench.commit(1, Mode::Replace, stager.finish().unwrap());
    other.source = "child".to_owned();
    assert!(matches!(bench.lake.commit(&dataset(), other.clone()).await, Err(LakeError::Misuse(_))));
    other.origin = origin.to_owned();
    bench.lake.commit(&dataset(), other).await.unwrap();
    assert_eq!(bench.numbers(&all(), None).await, [2, 3, 4, 9]);
    assert_eq!(bench.numbers(&all(), Some(2)).await, [1, 2]);
}

#[tokio::test]
async fn a_replayed_commit_changes_nothing_and_tells_its_version() {
    let bench = Bench::new().await;
    let files = bench.stage(None, &[("a", Some(1))]);
    let first = bench.commit(5, Mode::Append, files.clone());
    let done = bench.lake.commit(&dataset(), first.clone()).await.unwrap();
    bench.append(6, &[("b", Some(2))]).await;
    let bench = bench.reopen();
    for commit in [first.clone(), bench.commit(5, Mode::Append, files)] {
        let again = bench.lake.commit(&dataset(), commit).await.unwrap();
        assert_eq!(again, Committed { version: done.version, replayed: true, removed_rows: 0 });
    }
    let older = bench.commit(4, Mode::Append, first.files);
    let again = bench.lake.commit(&dataset(), older).await.unwrap();
    assert_eq!(again, Committed { version: None, replayed: true, removed_rows: 0 });
    assert_eq!(bench.numbers(&all(), None).await, [1, 2]);
}

#[tokio::test]
async fn a_replacement_based_on_an_older_version_is_a_conflict() {
    let bench = Bench::new().await;
    bench.replace(1, "2024", &[("a", Some(1))]).await;
    bench.replace(2, "2024", &[("a", Some(2))]).await;
    let mut late = bench.commit(3, Mode::Replace, bench.stage(Some("2024"), &[("a", Some(3))]));
    late.base_version = Some(1);
    let refused = bench.lake.commit(&dataset(), late.clone()).await.unwrap_err();
    assert!(matches!(refused, LakeError::Conflict { version: 2, .. }), "{refused}");
    late.base_version = Some(2);
    bench.lake.commit(&dataset(), late).await.unwrap();
    assert_eq!(bench.numbers(&all(), None).await, [3]);
}

#[tokio::test]
async fn filters_apply_also_to_columns_that_are_not_shown() {
    let bench = Bench::new().await;
    bench.append(1, &[("64.01", Some(1)), ("64.02", Some(2)), ("64.02", None), ("65.01", Some(4))]).await;
    let only = |rows: &[&str]| view(&[("jumlah", Visibility::Clear)], rows);
    assert_eq!(bench.numbers(&only(&["kode=eq.64.02", "jumlah=is.notnull"]), None).await, [2]);
    assert_eq!(bench.numbers(&only(&["kode=like.64*", "jumlah=gte.2"]), None).await, [2]);
    assert_eq!(bench.numbers(&only(&["kode=in.(64.01,65.01)"]), None).await, [1, 4]);
    assert_eq!(bench.numbers(&only(&["jumlah=neq.1"]), None).await, [2, 4]);
    assert_eq!(bench.numbers(&only(&["_origin=like.64.02.*"]), None).await.len(), 4);
    assert!(bench.numbers(&only(&["_origin=eq.lain"]), None).await.is_empty());
    let wrong = bench.lake.scan(&dataset(), &only(&["jumlah=eq.x"]), Scan::default()).await.unwrap_err();
    assert!(matches!(wrong, LakeError::FilterValue { column, .. } if column == "jumlah"));
}

#[tokio::test]
async fn a_masked_column_shows_its_beginning_only() {
    let bench = Bench::new().await;
    bench.append(1, &[("6402010101990001", Some(7))]).await;
    let masked = view(&[("jumlah", Visibility::Clear), ("kode", Visibility::Masked), (ORIGIN, Visibility::Clear)], &[]);
    let batches = bench.read(&masked, Scan::default()).await;
    assert_eq!(batches[0].column(1).as_string::<i32>().value(0), "64***");
    assert_eq!(batches[0].column(2).as_string::<i32>().value(0), "64.02.dukcapil/simpeg");
    let hidden = view(&[("kode", Visibility::Hidden)], &[]);
    assert!(bench.lake.scan(&dataset(), &hidden, Scan::default()).await.is_err());
}

#[tokio::test]
async fn older_rows_have_null_in_a_column_that_came_later() {
    let bench = Bench::new().await;
    bench.append(1, &[("a", Some(1))]).await;
    let fields = [columns().fields().to_vec(), vec![Arc::new(Field::new("baru", DataType::Utf8, true))]].concat();
    bench.lake.ensure(&dataset(), &Arc::new(Schema::new(fields))).await.unwrap();
    bench.append(2, &[("b", Some(2))]).await;
    let bench = bench.reopen();
    assert_eq!(bench.lake.columns(&dataset()).await.unwrap().unwrap().fields().len(), 3);
    let with_new = view(&[("baru", Visibility::Clear), ("jumlah", Visibility::Clear)], &["baru=is.null"]);
    assert_eq!(bench.numbers(&with_new, None).await, [1, 2]);
    let none = view(&[("jumlah", Visibility::Clear)], &["baru=eq.x"]);
    assert!(bench.numbers(&none, None).await.is_empty());
}

#[tokio::test]
async fn pages_put_together_are_the_whole() {
    let bench = Bench::new().await;
    let rows: Vec<(String, Option<i64>)> = (0..20_000).map(|n| (format!("k{}", n % 7), Some(n))).collect();
    let rows: Vec<(&str, Option<i64>)> = rows.iter().map(|(k, n)| (k.as_str(), *n)).collect();
    bench.append(1, &rows[..15_000]).await;
    bench.append(2, &rows[15_000..15_001]).await;
    bench.append(3, &rows[15_001..]).await;
    for filter in [&[][..], &["kode=in.(k3,k5)"][..]] {
        let view = view(&[("jumlah", Visibility::Clear)], filter);
        let whole = bench.numbers(&view, None).await;
        for size in [997_u64, 8192, 15_000] {
            let (mut paged, mut after) = (Vec::new(), None);
            loop {
                let scan = Scan { version: None, after, limit: Some(size) };
                let mut page = bench.lake.scan(&dataset(), &view, scan).await.unwrap();
                while let Some(batch) = page.try_next().await.unwrap() {
                    paged.extend(batch.column(0).as_primitive::<Int64Type>().values().iter().copied());
                }
                after = page.cursor();
                if after.is_none() {
                    break;
                }
                bench.append(paged.len() as u64 + 10, &[("k3", Some(-1))]).await;
            }
            // What is appended between two pages is not part of the version that is paged through.
            assert_eq!(paged, bench.numbers(&view, None).await[..paged.len()]);
            assert!(paged.len() >= whole.len());
        }
    }
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_not_the_end() {
    let bench = Bench::new().await;
    bench.append(1, &[("a", Some(1))]).await;
    let files = bench.stage(None, &[("b", Some(2))]);
    fs::write(bench.folder.path().join("penduduk").join(&files[0].path), vec![0; files[0].bytes as usize]).unwrap();
    bench.lake.commit(&dataset(), bench.commit(2, Mode::Append, files)).await.unwrap();
    let mut rows = bench.lake.scan(&dataset(), &all(), Scan::default()).await.unwrap();
    assert_eq!(rows.try_next().await.unwrap().unwrap().num_rows(), 1);
    assert!(matches!(rows.try_next().await, Err(LakeError::Query(_))));
    assert!(rows.try_next().await.unwrap().is_none());
    assert!(bench.lake.extract_parquet(&dataset(), &all(), None).await.is_err());
    let names = durable::names(&bench.folder.path().join(extract::EXTRACTS)).unwrap();
    assert!(names.is_empty(), "{names:?}");
}

#[tokio::test]
async fn a_foreign_cursor_is_refused() {
    let bench = Bench::new().await;
    bench.append(1, &[("a", Some(1)), ("b", Some(2))]).await;
    let first = |view: View| {
        let lake = bench.lake.clone();
        async move {
            let mut rows = lake.scan(&dataset(), &view, Scan { limit: Some(1), ..Scan::default() }).await.unwrap();
            while rows.try_next().await.unwrap().is_some() {}
            rows.cursor().unwrap()
        }
    };
    let other = first(view(&[("kode", Visibility::Clear)], &[])).await;
    let own = first(all()).await;
    for after in [other, format!("{own}x"), "e30".to_owned(), String::new(), "a".repeat(300)] {
        let scan = Scan { after: Some(after.clone()), ..Scan::default() };
        let refused = bench.lake.scan(&dataset(), &all(), scan).await.unwrap_err();
        assert!(matches!(refused, LakeError::Cursor), "{after}: {refused}");
    }
}

#[tokio::test]
async fn what_is_not_committed_is_not_seen_and_swept_when_nobody_wants_it() {
    let bench = Bench::new().await;
    bench.append(1, &[("a", Some(1))]).await;
    let wanted = bench.stage(None, &[("b", Some(2))]);
    let unwanted = bench.stage(None, &[("c", Some(3))]);
    drop(bench.lake.stage(&dataset(), "x", ORIGIN_OF_ALL).map(|mut stager| stager.write(None, &batch(&[("d", None)]))));
    fs::write(bench.folder.path().join("penduduk/_delta_log/.tmp-left"), "{").unwrap();
    let bench = bench.reopen();
    assert_eq!(bench.numbers(&all(), None).await, [1]);
    let keep = wanted.iter().map(|file| (dataset(), file.clone())).collect();
    assert_eq!(bench.lake.sweep(keep).await.unwrap(), 2);
    let gone = bench.commit(2, Mode::Append, unwanted.clone());
    assert!(matches!(bench.lake.commit(&dataset(), gone).await, Err(LakeError::Io { .. })));
    bench.lake.commit(&dataset(), bench.commit(2, Mode::Append, wanted.clone())).await.unwrap();
    bench.lake.discard(&dataset(), [wanted, unwanted].concat()).await.unwrap();
    assert_eq!(bench.numbers(&all(), None).await, [1, 2]);
}

#[tokio::test]
async fn too_many_periods_are_refused() {
    let bench = Bench::new().await;
    let mut stager = bench.lake.stage(&dataset(), "x", ORIGIN_OF_ALL).unwrap();
    for period in 0..MAX_OPEN_PERIODS {
        stager.write(Some(&period.to_string()), &batch(&[("a", None)])).unwrap();
    }
    stager.write(Some("0"), &batch(&[("b", None)])).unwrap();
    let refused = stager.write(Some("more"), &batch(&[("a", None)])).unwrap_err();
    assert!(matches!(refused, LakeError::TooManyPeriods { .. }));
    drop(stager);
    assert!(place::data_files(&bench.folder.path().join("penduduk")).unwrap().is_empty());
}

#[tokio::test]
async fn statistics_tell_rows_nulls_and_bounds() {
    let bench = Bench::new().await;
    let staged = bench.stage(None, &[("b\"", Some(-3)), ("a", None), ("c", Some(5))]);
    let stats: serde_json::Value = serde_json::from_str(&staged[0].stats).unwrap();
    assert_eq!(
        stats,
        serde_json::json!({
            "numRecords": 3,
            "minValues": {"kode": "a", "jumlah": -3},
            "maxValues": {"kode": "c", "jumlah": 5},
            "nullCount": {"kode": 0, "jumlah": 1},
        })
    );
}

#[tokio::test]
async fn the_checkpoint_alone_tells_everything() {
    let bench = Bench::new().await;
    for sequence in 1..=25 {
        bench
            .replace(sequence, if sequence % 2 == 0 { "genap" } else { "ganjil" }, &[("a", Some(sequence as i64))])
            .await;
    }
    let table = bench.lake.table(&dataset());
    assert!(table.checkpoint(false).unwrap());
    let before = table.with_state(|state| Ok(state.clone())).unwrap();
    let log = bench.folder.path().join("penduduk/_delta_log");
    for name in durable::names(&log).unwrap().iter().filter(|name| name.ends_with(".json")) {
        fs::remove_file(log.join(name)).unwrap();
    }
    let bench = bench.reopen();
    let after = bench.lake.table(&dataset()).with_state(|state| Ok(state.clone())).unwrap();
    assert_eq!((after.version, &after.files, &after.tombstones), (before.version, &before.files, &before.tombstones));
    assert_eq!((&after.schema, &after.metadata), (&before.schema, &before.metadata));
    assert_eq!(bench.numbers(&all(), None).await, [24, 25]);
    assert_eq!(bench.lake.last_sequence(&dataset(), "64.02.dukcapil/simpeg").await.unwrap(), Some(25));
    let replay = bench.replace(25, "genap", &[("a", Some(0))]).await;
    assert_eq!(replay, Committed { version: None, replayed: true, removed_rows: 0 });
    bench.replace(26, "genap", &[("a", Some(26))]).await;
    assert_eq!(bench.numbers(&all(), None).await, [25, 26]);
}

#[tokio::test]
async fn small_files_are_merged_without_changing_rows_or_conflicts() {
    let bench = Bench::new().await;
    for sequence in 1..=12 {
        bench.append(sequence, &[("a", Some(sequence as i64))]).await;
    }
    assert_eq!(bench.lake.compact(&dataset()).await.unwrap(), 12);
    assert_eq!(bench.lake.compact(&dataset()).await.unwrap(), 0);
    assert_eq!(bench.numbers(&all(), None).await, (1..=12).collect::<Vec<_>>());
    let table = bench.lake.table(&dataset());
    let files = table.with_state(|state| Ok(Arc::clone(&state.files))).unwrap();
    assert_eq!((files.len(), files[0].since), (1, 12));
    let bench = bench.reopen();
    assert_eq!(bench.numbers(&all(), None).await.len(), 12);
    assert_eq!(bench.numbers(&all(), Some(5)).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn vacuum_removes_what_nobody_needs() {
    let bench = Bench::new().await;
    for sequence in 1..=30 {
        bench.replace(sequence, "2024", &[("a", Some(sequence as i64))]).await;
        if sequence == 10 || sequence == 25 {
            bench.lake.table(&dataset()).checkpoint(true).unwrap();
        }
    }
    let early = Timestamp::from_millis(now_millis() - 60_000);
    assert_eq!(bench.lake.vacuum(&dataset(), early, Vec::new()).await.unwrap(), 0);
    let late = Timestamp::from_millis(now_millis() + 60_000);
    assert_eq!(bench.lake.vacuum(&dataset(), late, vec![12]).await.unwrap(), 28);
    let bench = bench.reopen();
    assert_eq!(bench.numbers(&all(), None).await, [30]);
    assert_eq!(bench.numbers(&all(), Some(12)).await, [12]);
    for version in [5, 20, 99] {
        let gone = bench.lake.scan(&dataset(), &all(), Scan { version: Some(version), ..Scan::default() }).await;
        assert!(matches!(gone, Err(LakeError::UnknownVersion { version: named }) if named == version));
    }
}

#[tokio::test]
async fn a_version_that_another_process_took_is_read_and_the_commit_comes_after_it() {
    let bench = Bench::new().await;
    bench.append(1, &[("a", Some(1))]).await;
    let other = Lake::open(bench.folder.path()).unwrap();
    assert_eq!(other.version(&dataset()).await.unwrap(), Some(1));
    bench.append(2, &[("b", Some(2))]).await;
    let twice = bench.commit(2, Mode::Append, bench.stage(None, &[("b", Some(2))]));
    assert!(other.commit(&dataset(), twice).await.unwrap().replayed);
    let third = bench.commit(3, Mode::Append, bench.stage(None, &[("c", Some(3))]));
    assert_eq!(other.commit(&dataset(), third).await.unwrap().version, Some(3));
}

#[derive(Clone, Debug)]
enum Step {
    Append(u8),
    Replace(u8, u8),
    Replay,
    Compact,
    Checkpoint,
    Maintain,
    Vacuum,
    Crash,
    Abandon,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..5_u8).prop_map(Step::Append),
        4 => (0..3_u8, 1..5_u8).prop_map(|(period, rows)| Step::Replace(period, rows)),
        2 => Just(Step::Replay),
        1 => Just(Step::Compact),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Maintain),
        1 => Just(Step::Vacuum),
        2 => Just(Step::Crash),
        1 => Just(Step::Abandon),
    ]
}

/// What the rows should be: by period, in any order.
type Model = BTreeMap<Option<String>, Vec<i64>>;

async fn follow(steps: Vec<Step>) {
    let mut bench = Bench::new().await;
    let (mut model, mut sequence, mut next) = (Model::new(), 0, 0_i64);
    let mut last: Option<Commit> = None;
    for step in steps {
        match step {
            Step::Append(rows) | Step::Replace(_, rows) => {
                let numbers: Vec<i64> = (next..next + i64::from(rows)).collect();
                next += i64::from(rows);
                sequence += 1;
                let rows: Vec<(&str, Option<i64>)> = numbers.iter().map(|n| ("a", Some(*n))).collect();
                let (mode, period) = match step {
                    Step::Replace(period, _) => (Mode::Replace, Some(period.to_string())),
                    _ => (Mode::Append, None),
                };
                let commit = bench.commit(sequence, mode, bench.stage(period.as_deref(), &rows));
                last = Some(commit.clone());
                assert!(!bench.lake.commit(&dataset(), commit).await.unwrap().replayed);
                let held = model.entry(period).or_default();
                if mode == Mode::Replace {
                    held.clear();
                }
                held.extend(numbers);
            }
            Step::Replay => {
                if let Some(commit) = last.clone() {
                    assert!(bench.lake.commit(&dataset(), commit).await.unwrap().replayed);
                }
            }
            Step::Compact => drop(bench.lake.compact(&dataset()).await.unwrap()),
            Step::Checkpoint => drop(bench.lake.table(&dataset()).checkpoint(true).unwrap()),
            Step::Vacuum => {
                let late = Timestamp::from_millis(now_millis() + 60_000);
                bench.lake.vacuum(&dataset(), late, Vec::new()).await.unwrap();
            }
            Step::Maintain => drop(bench.lake.maintain(Vec::new()).await.unwrap()),
            Step::Crash => {
                bench = bench.reopen();
                bench.lake.sweep(Vec::new()).await.unwrap();
            }
            Step::Abandon => drop(bench.stage(None, &[("abandoned", Some(-1))])),
        }
        let mut found = bench.numbers(&all(), None).await;
        let mut expected: Vec<i64> = model.values().flatten().copied().collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_happens_the_rows_are_those_of_the_committed_deliveries(steps in prop::collection::vec(step(), 1..40)) {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(follow(steps));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extract_is_made_once_and_shows_the_view_only() {
    let bench = Bench::new().await;
    bench.append(1, &[("64.01", Some(1)), ("64.02", Some(2)), ("65.01", Some(3))]).await;
    let view = view(&[("jumlah", Visibility::Clear), ("kode", Visibility::Masked)], &["kode=like.64*"]);
    let (lake, name) = (bench.lake.clone(), dataset());
    let (one, two) =
        tokio::join!(lake.extract_parquet(&name, &view, None), lake.extract_parquet(&name, &view, Some(1)));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!((&one.path, one.rows, one.version), (&two.path, 2, 1));
    let bytes = fs::read(&one.path).unwrap();
    assert_eq!((one.sha256, one.bytes), (simpul_core::digest::Digest::of(&bytes), bytes.len() as u64));
    let read =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&one.path).unwrap());
    let batch = read.unwrap().build().unwrap().next().unwrap().unwrap();
    assert_eq!(batch.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>(), ["jumlah", "kode"]);
    assert_eq!(batch.column(1).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("***"), Some("***")]);
    let made = fs::metadata(&one.path).unwrap().len();
    let bench = bench.reopen();
    assert_eq!(bench.lake.extract_parquet(&name, &view, None).await.unwrap().sha256, one.sha256);
    assert_eq!(made, one.bytes);
    bench.append(2, &[("64.03", Some(4))]).await;
    assert_eq!(bench.lake.extract_parquet(&name, &view, None).await.unwrap().rows, 3);
}

#[tokio::test]
async fn an_extract_of_nothing_has_columns_and_no_rows() {
    let bench = Bench::new().await;
    let extract = bench.lake.extract_parquet(&dataset(), &all(), None).await.unwrap();
    assert_eq!((extract.rows, extract.version), (0, 0));
    let unknown = bench.lake.extract_parquet(&"lain".parse().unwrap(), &all(), None).await;
    assert!(matches!(unknown, Err(LakeError::UnknownDataset(_))));
}

#[tokio::test]
async fn the_oldest_extracts_make_room_unless_somebody_holds_them() {
    let bench = Bench::new().await;
    bench.append(1, &[("a", Some(1))]).await;
    let one = bench.lake.extract_parquet(&dataset(), &all(), None).await.unwrap();
    let limits = Limits { extract_bytes: one.bytes * 2, ..Limits::default() };
    let lake = Lake::open_with(bench.folder.path(), limits).unwrap();
    let held = lake.extract_parquet(&dataset(), &all(), None).await.unwrap();
    let mut paths = Vec::new();
    for sequence in 2..5 {
        let commit = bench.commit(sequence, Mode::Append, bench.stage(None, &[("b", None)]));
        lake.commit(&dataset(), commit).await.unwrap();
        paths.push(lake.extract_parquet(&dataset(), &all(), None).await.unwrap().path);
    }
    assert!(held.path.exists() && paths[2].exists());
    assert!(!paths[0].exists() && !paths[1].exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_streamed_as_csv_and_arrow() {
    let bench = Bench::new().await;
    bench.append(1, &[("=1", Some(1)), ("b", None)]).await;
    let (name, view) = (dataset(), all());
    let rows = || bench.lake.scan(&name, &view, Scan::default());
    let csv: Vec<bytes::Bytes> = rows().await.unwrap().encode(Encoding::Csv).try_collect().await.unwrap();
    assert_eq!(csv.concat(), b"kode,jumlah\r\n'=1,1\r\nb,\r\n");
    let ipc: Vec<bytes::Bytes> = rows().await.unwrap().encode(Encoding::Arrow).try_collect().await.unwrap();
    let reader = arrow::ipc::reader::StreamReader::try_new(std::io::Cursor::new(ipc.concat()), None).unwrap();
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);
}

#[tokio::test]
async fn the_files_of_a_delivery_can_be_read_after_they_left_the_table() {
    let bench = Bench::new().await;
    let files = bench.stage(Some("2024"), &[("a", Some(1)), ("b", None)]);
    bench.lake.commit(&dataset(), bench.commit(1, Mode::Replace, files.clone())).await.unwrap();
    bench.replace(2, "2024", &[("c", Some(3))]).await;
    let read = bench.lake.read_files(&dataset(), files.clone()).await.unwrap();
    let batches: Vec<RecordBatch> = read.try_collect().await.unwrap();
    assert_eq!(batches, [batch(&[("a", Some(1)), ("b", None)])]);
    let late = Timestamp::from_millis(now_millis() + 60_000);
    bench.lake.vacuum(&dataset(), late, Vec::new()).await.unwrap();
    let gone: Result<Vec<RecordBatch>> = bench.lake.read_files(&dataset(), files).await.unwrap().try_collect().await;
    assert!(matches!(gone, Err(LakeError::Io { .. })));
}

/// Rows of every type, with gaps, in files whose bounds differ.
fn typed(range: std::ops::Range<i64>) -> RecordBatch {
    use arrow::array::*;
    let some = |n: &i64| n % 7 != 3;
    let each = || range.clone().map(|n| Some(n).filter(some));
    let decimals =
        Decimal128Array::from_iter(each().map(|n| n.map(|n| i128::from(n) * 5))).with_precision_and_scale(20, 2);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("teks", Arc::new(StringArray::from_iter(each().map(|n| n.map(|n| format!("{}_{}%", n % 5, n)))))),
        ("bulat", Arc::new(Int64Array::from_iter(each()))),
        ("kecil", Arc::new(Int32Array::from_iter(each().map(|n| n.map(|n| (n % 100) as i32))))),
        ("desimal", Arc::new(decimals.unwrap())),
        ("pecahan", Arc::new(Float64Array::from_iter(each().map(|n| n.map(|n| n as f64 / 8.0))))),
        ("tanggal", Arc::new(Date32Array::from_iter(each().map(|n| n.map(|n| n as i32))))),
        (
            "waktu",
            Arc::new(
                TimestampMicrosecondArray::from_iter(each().map(|n| n.map(|n| n * 1_000_000))).with_timezone("UTC"),
            ),
        ),
        ("ya", Arc::new(BooleanArray::from_iter(each().map(|n| n.map(|n| n % 2 == 0))))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[tokio::test]
async fn a_filter_finds_what_it_finds_when_everything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path()).unwrap();
    lake.ensure(&dataset(), &typed(0..1).schema()).await.unwrap();
    let ranges = [0..50, 50..300, 300..301, 1000..9000];
    for (sequence, range) in (1..).zip(ranges.clone()) {
        let mut stager = lake.stage(&dataset(), "x", ORIGIN_OF_ALL).unwrap();
        stager.write(None, &typed(range)).unwrap();
        let (source, origin) = ("s".to_owned(), ORIGIN_OF_ALL.to_owned());
        let files = stager.finish().unwrap();
        let commit =
            Commit { source, sequence, mode: Mode::Append, origin, base_version: None, files, info: Map::new() };
        lake.commit(&dataset(), commit).await.unwrap();
    }
    let whole: Vec<RecordBatch> = ranges.into_iter().map(typed).collect();
    let filters = [
        &["teks=eq.2_57%"][..],
        &["teks=like.2_5*%"],
        &["teks=like.*1%"],
        &["teks=neq.0_0%"],
        &["teks=in.(2_57%,0_1000%,lain)"],
        &["bulat=is.null"],
        &["bulat=gte.49", "bulat=lt.301"],
        &["kecil=eq.0"],
        &["desimal=eq.10.05"],
        &["desimal=gt.449.9"],
        &["pecahan=lte.6.25"],
        &["tanggal=eq.1970-02-20"],
        &["tanggal=gt.1994-08-01"],
        &["waktu=lt.1970-01-01T08:00:50+08:00"],
        &["waktu=gte.1970-01-01T02:29:58.5Z"],
        &["ya=eq.true", "bulat=lte.60"],
        &["ya=is.notnull", "teks=is.notnull", "bulat=eq.300"],
        &["teks=eq.tidak ada"],
    ];
    for texts in filters {
        let parsed: Vec<simpul_core::filter::Filter> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let mut expected = Vec::new();
        for batch in &whole {
            let mut kept = vec![true; batch.num_rows()];
            for filter in &parsed {
                let met = condition::expression(filter, batch.schema_ref()).unwrap().evaluate(batch).unwrap();
                let met = met.into_array(batch.num_rows()).unwrap();
                kept.iter_mut().zip(met.as_boolean()).for_each(|(kept, met)| *kept &= met == Some(true));
            }
            let numbers = batch.column_by_name("bulat").unwrap().as_primitive::<Int64Type>().iter();
            expected.extend(numbers.zip(kept).filter(|(_, kept)| *kept).map(|(number, _)| number));
        }
        let view = view(&[("bulat", Visibility::Clear)], texts);
        let rows = lake.scan(&dataset(), &view, Scan::default()).await.unwrap();
        let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
        let found: Vec<Option<i64>> = batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>())
            .collect();
        assert_eq!(found, expected, "{texts:?}");
        assert!(texts[0].contains("tidak ada") || !expected.is_empty(), "{texts:?} finds nothing");
    }
}

#[tokio::test]
async fn a_view_may_show_partition_columns_alone() {
    let bench = Bench::new().await;
    bench.replace(1, "2024", &[("a", Some(1)), ("b", Some(2))]).await;
    let batches =
        bench.read(&view(&[(PERIOD, Visibility::Clear)], &["_period=gte.2024", "jumlah=eq.2"]), Scan::default()).await;
    assert_eq!(batches[0].column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("2024")]);
}

#[tokio::test]
async fn a_column_of_identifiers_has_a_filter_that_keeps_readers_out_of_row_groups_without_them() {
    let bench = Bench::new().await;
    let codes: Vec<String> = (0..5000).map(|number| format!("{:016}", number * 7919 % 100_003)).collect();
    let rows: Vec<(&str, Option<i64>)> = codes.iter().map(|code| (code.as_str(), Some(7))).collect();
    bench.append(1, &rows).await;
    let (few, many) = (bench.stage(None, &rows[..10]), bench.stage(None, &rows));

    let filters = |files: &[StagedFile]| {
        let path = bench.folder.path().join(dataset().as_str()).join(&files[0].path);
        let options = ReaderProperties::builder().set_read_bloom_filter(true).build();
        let options = ReadOptionsBuilder::new().with_reader_properties(options).build();
        let reader = SerializedFileReader::new_with_options(std::fs::File::open(path).unwrap(), options).unwrap();
        let group = reader.get_row_group(0).unwrap();
        [0, 1].map(|column| group.get_column_bloom_filter(column).cloned())
    };
    let [of_codes, of_counts] = filters(&many);
    let of_codes = of_codes.expect("a filter");
    assert!(codes.iter().all(|code| of_codes.check(&code.as_str())));
    let absent = (0..1000).filter(|number| of_codes.check(&format!("{number:015}x").as_str())).count();
    assert!(absent < 150, "{absent} of 1000 absent codes pass");
    assert!(of_counts.is_none() && filters(&few).iter().all(Option::is_none));

    let one = |code: &str| view(&[("jumlah", Visibility::Clear)], &[&format!("kode=eq.{code}")]);
    assert_eq!(bench.numbers(&one(&codes[4711]), None).await, [7]);
    assert!(bench.numbers(&one("000000000000000x"), None).await.is_empty());
}

/// Batches of 1000 rows, `count` of them, numbered through.
fn numbered(count: i64) -> Vec<RecordBatch> {
    let rows = |batch: i64| (batch * 1000..(batch + 1) * 1000).map(|row| ("kode", Some(row))).collect::<Vec<_>>();
    (0..count).map(|number| batch(&rows(number))).collect()
}

#[tokio::test]
async fn a_large_delivery_is_encoded_apart_and_its_rows_keep_their_order() {
    let bench = Bench::new().await;
    let mut stager = bench.lake.stage(&dataset(), "kiriman", ORIGIN_OF_ALL).unwrap();
    for batch in numbered(200) {
        stager.write(None, &batch).unwrap();
    }
    let files = stager.finish().unwrap();
    assert_eq!((files.len(), files[0].rows), (1, 200_000));
    bench.lake.commit(&dataset(), bench.commit(1, Mode::Append, files)).await.unwrap();
    assert!(bench.numbers(&all(), None).await.into_iter().eq(0..200_000));
}

#[tokio::test]
async fn what_the_disk_refuses_a_thread_is_told_and_nothing_stays() {
    let bench = Bench::new().await;
    let table = bench.folder.path().join("penduduk");
    for finishes in [false, true] {
        let mut stager = bench.lake.stage(&dataset(), "kiriman", ORIGIN_OF_ALL).unwrap();
        for batch in numbered(10) {
            stager.write(Some("2024"), &batch).unwrap();
        }
        // A file lies where the folder of the next period would be.
        let taken = table.join(place::folder(ORIGIN_OF_ALL, Some("2025")).unwrap());
        std::fs::write(&taken, b"").unwrap();
        let first = stager.write(Some("2025"), &numbered(1)[0]);
        let error = if finishes {
            stager.finish().unwrap_err()
        } else {
            let refused = std::iter::repeat_with(|| stager.write(Some("2024"), &numbered(1)[0])).take(100);
            let error = refused.chain([first]).find_map(Result::err).unwrap();
            assert!(matches!(stager.write(Some("2024"), &numbered(1)[0]), Err(LakeError::CutOff)));
            error
        };
        assert!(matches!(error, LakeError::Io { .. }), "{error:?}");
        std::fs::remove_file(&taken).unwrap();
        assert!(place::data_files(&table).unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_large_delivery_that_is_given_up_leaves_no_file() {
    let bench = Bench::new().await;
    let mut stager = bench.lake.stage(&dataset(), "kiriman", ORIGIN_OF_ALL).unwrap();
    for batch in numbered(20) {
        stager.write(None, &batch).unwrap();
    }
    drop(stager);
    assert!(place::data_files(&bench.folder.path().join("penduduk")).unwrap().is_empty());
}
