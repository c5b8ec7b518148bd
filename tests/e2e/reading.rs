//! Reading: pages, extracts, and what an agreement hides, whatever the form of the answer.

use std::collections::BTreeSet;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::ipc::reader::StreamReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use simpul_tests::{Answer, Client, Demo};

use crate::support::{csv, dataset, producer, reader, records, rows};

const CSV: &str = "text/csv";
/// Values that no reader of the agreement in [`narrow`] may find anywhere in an answer.
const SECRETS: [&str; 2] = ["Rahasia", "98765"];

fn parquet(bytes: &[u8]) -> Vec<RecordBatch> {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::copy_from_slice(bytes)).expect("a Parquet file");
    reader.build().expect("a reader").collect::<Result<_, _>>().expect("rows")
}

fn arrow_stream(bytes: &[u8]) -> Vec<RecordBatch> {
    let reader = StreamReader::try_new(bytes, None).expect("an Arrow stream");
    reader.collect::<Result<_, _>>().expect("rows to the end mark")
}

/// The rows as `column=value` texts, for columns of text only.
fn cells(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let columns = batch.schema();
            let cells = columns.fields().iter().zip(batch.columns()).map(|(field, column)| {
                let column = column.as_string_opt::<i32>().unwrap_or_else(|| panic!("{} is no text", field.name()));
                format!("{}={}", field.name(), if column.is_null(row) { "" } else { column.value(row) })
            });
            rows.push(cells.collect());
        }
    }
    rows.sort();
    rows
}

fn csv_cells(text: &str) -> Vec<Vec<String>> {
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    let mut rows: Vec<Vec<String>> =
        lines.map(|line| header.iter().zip(line).map(|(name, cell)| format!("{name}={cell}")).collect()).collect();
    rows.sort();
    rows
}

fn json_cells(records: &[Value]) -> Vec<Vec<String>> {
    let cells = |record: &Value| {
        let members = record.as_object().expect("an object").iter();
        members.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect::<Vec<_>>()
    };
    let mut rows: Vec<Vec<String>> = records.iter().map(cells).collect();
    rows.sort();
    rows
}

async fn extract(client: &Client, dataset: &str, format: &str) -> Answer {
    client.get(&format!("/v1/datasets/{dataset}/extract?format={format}")).await.wants(200)
}

/// Five rows, and a reader who sees two of them: `kode` in clear, `nama` masked, `nilai` and `tahun` hidden.
async fn narrow(demo: &Demo) -> (String, Client) {
    let dataset = dataset(demo, "provinsi", "tambah", "tolak").await;
    let producer = producer(demo, "provinsi", &dataset).await;
    let row = |code: &str, name: &str| (code.to_owned(), name.to_owned(), 98_765, 2025);
    let file = csv([
        row("A1", "Alpha Rahasia"),
        row("A2", "Beta Rahasia"),
        row("B1", "Gamma Rahasia"),
        row("B2", "Delta Rahasia"),
        row("C1", "Epsilon Rahasia"),
    ]);
    let _ = producer.deliver(&dataset, file, CSV, &[]).await.wants(201);
    let more = json!({
        "columns": {"kode": "clear", "nama": "masked"}, "default_visibility": "hidden", "rows": ["kode=like.A*"],
    });
    let (reader, _) = reader(demo, "provinsi", &dataset, more).await;
    (dataset, reader)
}

#[tokio::test]
async fn masked_and_hidden_columns_and_row_filters_hold_in_every_form() {
    let demo = Demo::shared();
    let (dataset, reader) = narrow(demo).await;
    let row = |code: &str, name: &str| vec![format!("kode={code}"), format!("nama={name}")];
    let wanted = vec![row("A1", "Al***"), row("A2", "Be***")];

    let page = reader.get(&format!("/v1/datasets/{dataset}/records")).await.wants(200);
    assert_eq!(json_cells(page.json()["records"].as_array().expect("records")), wanted);
    let lines = reader.request(reqwest::Method::GET, &format!("/v1/datasets/{dataset}/records")).await;
    let lines = reader.send(lines.header("accept", "application/x-ndjson")).await.wants(200);
    let read: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(json_cells(&read), wanted);
    let as_parquet = extract(&reader, &dataset, "parquet").await;
    assert_eq!(cells(&parquet(&as_parquet.body)), wanted);
    let as_arrow = extract(&reader, &dataset, "arrow").await;
    assert_eq!(cells(&arrow_stream(&as_arrow.body)), wanted);
    let as_csv = extract(&reader, &dataset, "csv").await;
    assert_eq!(csv_cells(&as_csv.text()), wanted);
    for answer in [page, lines, as_parquet, as_arrow, as_csv] {
        for secret in SECRETS {
            assert!(!answer.text().contains(secret), "{secret} is in {:?}", answer.headers);
        }
        assert!(!answer.text().contains("nilai"), "a hidden column is named in {:?}", answer.headers);
    }
}

#[tokio::test]
async fn a_hidden_column_cannot_be_asked_for_and_a_masked_one_not_filtered_on() {
    let demo = Demo::shared();
    let (dataset, reader) = narrow(demo).await;
    for path in ["records", "extract"] {
        for query in ["select=nilai", "nilai=eq.98765", "nama=like.A*", "select=kode&tahun=eq.2025"] {
            let answer = reader.get(&format!("/v1/datasets/{dataset}/{path}?{query}")).await;
            assert_eq!((answer.status, answer.problem().as_str()), (403, "column_denied"), "{path}?{query}");
            assert!(!answer.text().contains("98765"), "{}", answer.text());
        }
        // A hidden column and one that does not exist are told in the same words.
        let absent = reader.get(&format!("/v1/datasets/{dataset}/{path}?select=tidak_ada")).await.json();
        let hidden = reader.get(&format!("/v1/datasets/{dataset}/{path}?select=nilai")).await.json();
        assert_eq!((&absent["title"], &absent["detail"]), (&hidden["title"], &hidden["detail"]));
    }
    // The reader's own condition narrows the agreement's, and never widens it.
    assert_eq!(records(&reader, &dataset, "kode=like.B*").await, Vec::<Value>::new());
    assert_eq!(records(&reader, &dataset, "kode=eq.A2").await.len(), 1);
    let shown = reader.get(&format!("/v1/datasets/{dataset}")).await.wants(200);
    assert_eq!(shown.json()["columns"], json!(["kode", "nama"]));
    assert_eq!(shown.json()["rows"], Value::Null, "the number of all rows is told to one who may not read them all");
    assert!(!shown.text().contains("nilai"), "{}", shown.text());
}

#[tokio::test]
async fn readers_with_and_without_the_whole_view_do_not_share_a_file() {
    let demo = Demo::shared();
    let (dataset, narrow) = narrow(demo).await;
    let (whole, _) = reader(demo, "provinsi", &dataset, json!({})).await;
    let everything = extract(&whole, &dataset, "parquet").await;
    let part = extract(&narrow, &dataset, "parquet").await;
    assert_ne!(everything.header("etag"), part.header("etag"));
    assert_eq!(parquet(&everything.body).iter().map(RecordBatch::num_rows).sum::<usize>(), 5);
    // The other's tag does not bring the other's file.
    let request = narrow.request(reqwest::Method::GET, &format!("/v1/datasets/{dataset}/extract")).await;
    let answer = narrow.send(request.header("if-none-match", everything.header("etag"))).await.wants(200);
    assert_eq!(answer.header("etag"), part.header("etag"));
}

#[tokio::test]
async fn a_parquet_extract_is_fetched_in_parts_that_make_up_the_whole_and_not_again_when_it_is_held() {
    let demo = Demo::shared();
    let dataset = dataset(demo, "provinsi", "tambah", "tolak").await;
    let producer = producer(demo, "provinsi", &dataset).await;
    let _ = producer.deliver(&dataset, rows("a", 500), CSV, &[]).await.wants(201);
    let path = format!("/v1/datasets/{dataset}/extract");
    let whole = producer.get(&path).await.wants(200);
    let etag = whole.header("etag").to_owned();
    assert!(etag.len() > 10 && whole.header("accept-ranges") == "bytes", "{:?}", whole.headers);
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    assert_eq!(
        whole.header("repr-digest"),
        simpul_core::digest::Digest::of(&whole.body).to_digest_field(),
        "the digest is that of the file"
    );
    assert_eq!(parquet(&whole.body).iter().map(RecordBatch::num_rows).sum::<usize>(), 500);
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = producer.request(reqwest::Method::GET, &path).await;
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        producer.send(request).await
    };
    let half = whole.body.len() / 2;
    let first = ask(&[("range", &format!("bytes=0-{}", half - 1)), ("if-range", &etag)]).await.wants(206);
    let second = ask(&[("range", &format!("bytes={half}-")), ("if-range", &etag)]).await.wants(206);
    assert_eq!(first.header("content-range"), format!("bytes 0-{}/{}", half - 1, whole.body.len()));
    assert_eq!([first.body, second.body].concat(), whole.body);
    let tail = ask(&[("range", "bytes=-8")]).await.wants(206);
    assert_eq!(tail.body, whole.body[whole.body.len() - 8..]);
    let held = ask(&[("if-none-match", &etag)]).await.wants(304);
    assert_eq!((held.body.len(), held.header("etag")), (0, etag.as_str()));
    let beyond = ask(&[("range", "bytes=99999999-")]).await.wants(416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{}", whole.body.len()));

    let _ = producer.deliver(&dataset, rows("b", 1), CSV, &[]).await.wants(201);
    let newer = ask(&[("range", "bytes=0-9"), ("if-range", &etag)]).await.wants(200);
    assert_ne!(newer.header("etag"), etag, "a part of a newer file was given for an older one");
    assert_eq!(ask(&[("if-none-match", &etag)]).await.status, 200);
    let older = producer.get(&format!("{path}?version={}", whole.header("simpul-table-version"))).await.wants(200);
    assert_eq!(older.body, whole.body);
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_rows_while_another_delivery_lands() {
    let demo = Demo::shared();
    let dataset = dataset(demo, "provinsi", "tambah", "tolak").await;
    let producer = producer(demo, "provinsi", &dataset).await;
    let _ = producer.deliver(&dataset, rows("a", 25), CSV, &[]).await.wants(201);
    let path = format!("/v1/datasets/{dataset}/records?limit=10&select=kode");
    let mut seen = Vec::new();
    let mut next = path.clone();
    let mut pages = 0;
    loop {
        let page = producer.get(&next).await.wants(200).json();
        pages += 1;
        let records = page["records"].as_array().expect("records");
        seen.extend(records.iter().map(|record| record["kode"].as_str().expect("a key").to_owned()));
        let _ = producer.deliver(&dataset, rows(&format!("b{pages}"), 3), CSV, &[]).await.wants(201);
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("{path}&cursor={cursor}");
    }
    let unique: BTreeSet<&String> = seen.iter().collect();
    assert_eq!((seen.len(), unique.len(), pages), (25, 25, 3));
    assert!(seen.iter().all(|code| code.starts_with('a')), "a page shows rows of a later version: {seen:?}");
    assert_eq!(records(&producer, &dataset, "").await.len(), 25 + 3 * pages);
}

#[tokio::test]
async fn a_cursor_of_another_dataset_or_a_made_up_one_is_refused() {
    let demo = Demo::shared();
    let (one, other) =
        (dataset(demo, "provinsi", "tambah", "tolak").await, dataset(demo, "provinsi", "tambah", "tolak").await);
    let writer = producer(demo, "provinsi", &one).await;
    demo.agree(&writer, &other, &["deliver", "read"], json!({})).await;
    writer.renew().await;
    for dataset in [&one, &other] {
        let _ = writer.deliver(dataset, rows("a", 5), CSV, &[]).await.wants(201);
    }
    let page = writer.get(&format!("/v1/datasets/{one}/records?limit=2")).await.wants(200).json();
    let cursor = page["next"].as_str().expect("a cursor");
    for cursor in [cursor, "x", "eyJ2IjoxfQ", "%00", &"a".repeat(3000)] {
        let answer = writer.get(&format!("/v1/datasets/{other}/records?limit=2&cursor={cursor}")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed"), "{cursor}");
    }
}

#[tokio::test]
async fn no_cell_of_a_csv_extract_is_taken_for_a_formula() {
    let demo = Demo::shared();
    let dataset = dataset(demo, "provinsi", "tambah", "tolak").await;
    let producer = producer(demo, "provinsi", &dataset).await;
    let dangerous = ["=1+1", "+62 811", "-5", "@SUM(A1)", "\tx", "=HYPERLINK(\"http://x\",\"y\")"];
    let lines: Vec<Value> = dangerous
        .iter()
        .enumerate()
        .map(|(row, cell)| json!({"kode": format!("k{row}"), "nama": cell, "nilai": -7, "tahun": "2025"}))
        .collect();
    let body = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let _ = producer.deliver(&dataset, body, "application/x-ndjson", &[]).await.wants(201);
    let text = extract(&producer, &dataset, "csv").await.text();
    assert_eq!(text.lines().count(), dangerous.len() + 1, "{text}");
    for cell in &dangerous[..5] {
        assert!(text.contains(&format!("'{cell}")), "{cell:?} is not defused: {text}");
    }
    assert!(text.contains("\"'=HYPERLINK(\"\"http"), "{text}");
    // A negative number is a number, and stays one.
    assert_eq!(text.matches(",-7,").count(), dangerous.len(), "{text}");
    // The other forms and the API give what was delivered.
    let names: Vec<String> = records(&producer, &dataset, "")
        .await
        .iter()
        .filter_map(|row| row["nama"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(names, dangerous);
}
