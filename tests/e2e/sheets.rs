//! Workbooks and columnar files: what lands from them, what is refused with row and column, and what only breaks the process
//! that decodes it.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use arrow::array::{ArrayRef, DictionaryArray, Int64Array, ListArray, RecordBatch, StringArray, types::Int32Type};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use reqwest::{Method, RequestBuilder};
use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook};
use serde_json::{Value, json};

use crate::limits::within_memory;
use crate::lone::{Answer, Case, Kept, Lone, Setup, binary, kept};

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const XLS: &str = "application/vnd.ms-excel";
const ODS: &str = "application/vnd.oasis.opendocument.spreadsheet";
const PARQUET: &str = "application/vnd.apache.parquet";
const ARROW: &str = "application/vnd.apache.arrow.stream";
const ARROW_FILE: &str = "application/vnd.apache.arrow.file";

const COLUMNS: [&str; 6] = ["kode", "nik", "jumlah", "nilai", "tanggal", "catatan"];

/// A node whose memory is watched: one test at a time.
async fn node() -> anyhow::Result<(&'static Lone, tokio::sync::MutexGuard<'static, ()>)> {
    static NODE: Kept = Kept::new();
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let turn = TURN.lock().await;
    Ok((kept(&NODE, Setup::default)?, turn))
}

fn push(case: &Case<'_>, key: &str, kind: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    let request = case.producer.request(Method::POST, &case.path());
    request.header("content-type", kind).header("idempotency-key", key).body(body)
}

/// A workbook with a header and what `fill` writes below it.
fn workbook(
    fill: impl FnOnce(&mut rust_xlsxwriter::Worksheet) -> Result<(), rust_xlsxwriter::XlsxError>,
) -> anyhow::Result<Vec<u8>> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (label, column) in COLUMNS.iter().zip(0..) {
        sheet.write(0, column, *label)?;
    }
    fill(sheet)?;
    Ok(book.save_to_buffer()?)
}

fn day() -> Format {
    Format::new().set_num_format("dd/mm/yyyy")
}

/// Three rows: texts, numbers, dates, a formula with its value, an empty cell.
fn clean() -> anyhow::Result<Vec<u8>> {
    workbook(|sheet| {
        for (row, number) in (1..4).zip(1..) {
            sheet.write(row, 0, format!("B{number}"))?;
            sheet.write(row, 1, format!("640201010101000{number}"))?;
            sheet.write_formula(row, 2, Formula::new("=1+1").set_result("2"))?;
            sheet.write(row, 3, 0.125)?;
            sheet.write_with_format(row, 4, ExcelDateTime::from_ymd(2026, 1, number)?, &day())?;
        }
        sheet.write(3, 5, "satu, \"dua\"\ntiga")?;
        Ok(())
    })
}

fn places(answer: &Answer) -> Vec<(u64, String)> {
    let errors = answer.body["report"]["errors"].as_array().cloned().unwrap_or_default();
    errors
        .iter()
        .map(|e| (e["row"].as_u64().unwrap_or_default(), e["field"].as_str().unwrap_or_default().to_owned()))
        .collect()
}

async fn records(case: &Case<'_>) -> anyhow::Result<Vec<Value>> {
    let answer = case.producer.get(&format!("/v1/datasets/{}/records?limit=100", case.dataset)).await?;
    answer.body["records"].as_array().cloned().with_context(|| answer.body.to_string())
}

#[tokio::test]
async fn a_dirty_workbook_is_refused_by_row_and_column_and_lands_when_it_is_corrected() -> anyhow::Result<()> {
    let (node, _turn) = node().await?;
    let mut case = Case::open(node, "xlsx").await?;
    let clean = clean()?;
    let dirty = workbook(|sheet| {
        sheet.write(1, 0, "B1")?;
        sheet.write(1, 1, 6_402_010_101_010_001_i64 as f64)?;
        sheet.write(2, 0, "B2")?;
        sheet.write(2, 2, "dua")?;
        sheet.write(4, 0, "B3")?;
        sheet.write_formula(4, 2, Formula::new("=1/0").set_result("#DIV/0!"))?;
        sheet.write(4, 4, "05/01/2026")?;
        Ok(())
    })?;
    let answer = Answer::of(push(&case, "kotor", XLSX, dirty.clone())).await?;
    ensure!((answer.status, answer.problem()) == (422, "rows_invalid"), "{}", answer.body);
    let expected = [(2, "nik"), (3, "jumlah"), (4, ""), (5, "jumlah"), (5, "tanggal")];
    ensure!(places(&answer) == expected.map(|(row, field)| (row, field.to_owned())), "{:?}", places(&answer));
    let text = answer.body["report_text"].as_str().context("report_text")?;
    ensure!(text.contains("15 angka"), "the rounding is not explained: {text}");
    case.refused(&answer).await?;

    let rehearsed = Answer::of(
        case.producer
            .request(Method::POST, &format!("{}?dry_run=true", case.path()))
            .header("content-type", XLSX)
            .body(clean.clone()),
    )
    .await?;
    ensure!((rehearsed.status, &rehearsed.body["state"]) == (200, &json!("dry_run")), "{}", rehearsed.body);
    case.is_unharmed().await?;

    let answer = Answer::of(push(&case, "bersih", XLSX, clean.clone())).await?;
    ensure!(answer.status == 201, "{}", answer.body);
    ensure!(answer.body["rows"] == json!({"total": 3, "accepted": 3, "refused": 0}), "{}", answer.body["rows"]);
    let digest = simpul_core::digest::Digest::of(&clean);
    ensure!(answer.body["payload_sha256"] == json!(digest), "the digest is that of the file");
    case.expect_rows(5);
    case.is_unharmed().await?;
    let again = Answer::of(push(&case, "bersih", XLSX, clean.clone())).await?;
    ensure!(again.status == 201 && again.header("idempotency-replayed") == "true", "{}", again.body);
    ensure!(again.bytes == answer.bytes, "the same delivery has the same answer");
    let other = Answer::of(push(&case, "bersih", XLSX, dirty)).await?;
    ensure!((other.status, other.problem()) == (422, "idempotency_key_reused"), "{}", other.body);

    let kept: Vec<Value> =
        records(&case).await?.into_iter().filter(|r| r["kode"].as_str().is_some_and(|k| k.starts_with('B'))).collect();
    ensure!(kept.len() == 3, "{kept:?}");
    ensure!(kept[0]["jumlah"] == 2 && kept[0]["nilai"] == 0.125 && kept[0]["tanggal"] == "2026-01-01", "{}", kept[0]);
    ensure!(kept[2]["catatan"] == "satu, \"dua\"\ntiga" && kept[2]["nik"] == "6402010101010003", "{}", kept[2]);
    spool_is_empty(node)
}

/// Nothing of a foreign body stays on the disk.
fn spool_is_empty(node: &Lone) -> anyhow::Result<()> {
    let left: Vec<_> =
        std::fs::read_dir(node.folder().path().join("node/data/spool"))?.flatten().map(|f| f.path()).collect();
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn a_digest_is_checked_before_a_workbook_is_decoded() -> anyhow::Result<()> {
    let (node, _turn) = node().await?;
    let case = Case::open(node, "xlsx-sidik").await?;
    let digest = simpul_core::digest::Digest::of(b"other").to_digest_field();
    let answer = Answer::of(push(&case, "sidik", XLSX, clean()?).header("content-digest", digest)).await?;
    ensure!((answer.status, answer.problem()) == (400, "digest_mismatch"), "{}", answer.body);
    case.refused(&answer).await?;
    spool_is_empty(node)
}

/// Three rows as columns; `jumlah` as `numbers`.
fn batch(numbers: ArrayRef) -> anyhow::Result<RecordBatch> {
    let text = |values: [&str; 3]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let codes: DictionaryArray<Int32Type> = ["C1", "C2", "C1"].into_iter().collect();
    let codes: ArrayRef = Arc::new(codes);
    let dates = arrow::array::Date32Array::from(vec![Some(20454), None, Some(20455)]);
    let amounts = arrow::array::Decimal128Array::from(vec![125, 250, -5]).with_precision_and_scale(9, 3)?;
    Ok(RecordBatch::try_from_iter([
        ("catatan", text(["x", "y", "z"])),
        ("kode", codes),
        ("nik", text(["6402010101010001", "6402010101010002", "6402010101010003"])),
        ("jumlah", numbers),
        ("nilai", Arc::new(amounts) as ArrayRef),
        ("tanggal", Arc::new(dates) as ArrayRef),
    ])?)
}

fn parquet(batch: &RecordBatch) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut out, batch.schema(), None)?;
    writer.write(batch)?;
    writer.close()?;
    Ok(out)
}

fn arrow_stream(batch: &RecordBatch) -> anyhow::Result<Vec<u8>> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    Ok(writer.into_inner()?)
}

fn arrow_file(batch: &RecordBatch) -> anyhow::Result<Vec<u8>> {
    let mut writer = FileWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    Ok(writer.into_inner()?)
}

#[tokio::test]
async fn columns_of_parquet_and_arrow_are_found_by_name_and_land_as_their_values() -> anyhow::Result<()> {
    let (node, _turn) = node().await?;
    let mut case = Case::open(node, "kolom").await?;
    let good = batch(Arc::new(Int64Array::from(vec![Some(1), Some(2), None])))?;
    let mut rows = 2;
    for (kind, body) in [(PARQUET, parquet(&good)?), (ARROW, arrow_stream(&good)?), (ARROW_FILE, arrow_file(&good)?)] {
        let answer = Answer::of(push(&case, kind, kind, body)).await?;
        ensure!(answer.status == 201, "{kind}: {}", answer.body);
        rows += 3;
        case.expect_rows(rows);
        case.is_unharmed().await?;
    }
    let records = records(&case).await?;
    let landed: Vec<_> = records.iter().filter(|record| record["catatan"] == "z").collect();
    ensure!(landed.len() == 3, "{records:?}");
    for record in landed {
        ensure!(record["kode"] == "C1" && record["jumlah"].is_null(), "{record}");
        ensure!(record["nilai"] == -0.005 && record["tanggal"] == "2026-01-02", "{record}");
    }
    // A wrong type is an error of each row; a nested one of the file.
    let text = batch(Arc::new(StringArray::from(vec!["1", "dua", "3"])))?;
    let answer = Answer::of(push(&case, "teks", PARQUET, parquet(&text)?)).await?;
    ensure!(answer.status == 422 && places(&answer) == [(3, "jumlah".to_owned())], "{}", answer.body);
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)]), None, None]);
    let nested = batch(Arc::new(list))?;
    for (kind, body) in [(PARQUET, parquet(&nested)?), (ARROW, arrow_stream(&nested)?)] {
        let answer = Answer::of(push(&case, &format!("sarang-{kind}"), kind, body)).await?;
        ensure!((answer.status, answer.problem()) == (422, "file_invalid"), "{}", answer.body);
        ensure!(answer.body.to_string().contains("jumlah"), "the column is not named: {}", answer.body);
    }
    case.is_unharmed().await
}

/// One member of an archive, deflated.
struct Member {
    name: &'static str,
    packed: Vec<u8>,
    size: u32,
    crc: u32,
}

fn member(name: &'static str, content: impl AsRef<[u8]>) -> anyhow::Result<Member> {
    let content = content.as_ref();
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(content)?;
    let mut crc = flate2::Crc::new();
    crc.update(content);
    Ok(Member { name, packed: packer.finish()?, size: u32::try_from(content.len())?, crc: crc.sum() })
}

/// A member of half a gibibyte of spaces that says to have `size` bytes.
fn bomb(name: &'static str, size: u32) -> anyhow::Result<Member> {
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&[b' '; 1 << 20])?;
    // After a flush nothing refers to what came before: the same bytes unfold again.
    packer.flush()?;
    let piece = packer.get_ref().clone();
    let packed = [piece.repeat(512), vec![3, 0]].concat();
    Ok(Member { name, packed, size, crc: 0 })
}

fn zip(members: &[Member]) -> anyhow::Result<Vec<u8>> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for Member { name, packed, size, crc } in members {
        let at = u32::try_from(out.len())?;
        let mut head = vec![20, 0, 0, 0, 8, 0, 0, 0, 0, 0];
        head.extend(crc.to_le_bytes());
        head.extend(u32::try_from(packed.len())?.to_le_bytes());
        head.extend(size.to_le_bytes());
        head.extend(u16::try_from(name.len())?.to_le_bytes());
        head.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&head);
        out.extend(name.as_bytes());
        out.extend(packed);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&head);
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, count) = (u32::try_from(out.len())?, u16::try_from(members.len())?);
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    out.extend(u32::try_from(directory.len())?.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    Ok(out)
}

/// Where a workbook keeps its shared texts.
const SHARED: &str = "xl/sharedStrings.xml";

/// A workbook of the given sheet and shared texts, written by hand.
fn bare(sheet: &str, shared: Member) -> anyhow::Result<Vec<u8>> {
    const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let types = r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>"#;
    let root = format!(
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
    );
    let book = format!(
        r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="{RELATIONS}"><sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>"#
    );
    let links = format!(
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="{RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#
    );
    zip(&[
        member("[Content_Types].xml", types)?,
        member("_rels/.rels", root)?,
        member("xl/workbook.xml", book)?,
        member("xl/_rels/workbook.xml.rels", links)?,
        shared,
        member("xl/worksheets/sheet1.xml", sheet)?,
    ])
}

fn sheet_xml(cells: &str) -> String {
    format!(
        r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{cells}</sheetData></worksheet>"#
    )
}

const NO_TEXTS: &str =
    r#"<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" count="0" uniqueCount="0"></sst>"#;

/// Files that are refused, each under its media type.
fn bad_files() -> anyhow::Result<Vec<(&'static str, &'static str, Vec<u8>)>> {
    let inline = |at: &str, text: &str| format!(r#"<c r="{at}" t="inlineStr"><is><t>{text}</t></is></c>"#);
    let corner = sheet_xml(&format!(
        r#"<row r="1">{}</row><row r="1048576">{}</row>"#,
        inline("A1", "kode"),
        inline("XFD1048576", "x")
    ));
    let greedy = r#"<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" count="4000000000" uniqueCount="4000000000"></sst>"#;
    let shared = |xml: &str| member(SHARED, xml);
    let honest = bare(&sheet_xml(""), bomb(SHARED, 512 << 20)?)?;
    let lying = bare(&sheet_xml(""), bomb(SHARED, 1000)?)?;
    let good = batch(Arc::new(Int64Array::from(vec![1, 2, 3])))?;
    let (parquet, arrow) = (parquet(&good)?, arrow_stream(&good)?);
    let mut wide = parquet.clone();
    let end = wide.len() - 8;
    wide[end..end + 4].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f]);
    let mut greedy_arrow = arrow.clone();
    greedy_arrow[4..8].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f]);
    let noise: Vec<u8> = (0..20_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    Ok(vec![
        ("d09-bomb", XLSX, honest),
        ("d13-lie", XLSX, lying),
        ("d10-corner", XLSX, bare(&corner, shared(NO_TEXTS)?)?),
        ("d11-count", XLSX, bare(&sheet_xml(&inline("A1", "kode")), shared(greedy)?)?),
        ("d13-cut", XLSX, clean()?[..3000].to_vec()),
        ("d14-cut", PARQUET, parquet[..parquet.len() / 2].to_vec()),
        ("d14-footer", PARQUET, wide),
        ("d17-length", ARROW, greedy_arrow),
        ("d17-cut", ARROW, arrow[..arrow.len() / 2].to_vec()),
        ("noise-xlsx", XLSX, noise.clone()),
        ("noise-xls", XLS, noise.clone()),
        ("noise-ods", ODS, noise.clone()),
        ("noise-parquet", PARQUET, noise.clone()),
        ("noise-arrow", ARROW, noise),
        ("html-xls", XLS, b"<html><body><table><tr><td>kode</td></tr></table>".to_vec()),
        ("csv-xlsx", XLSX, b"kode;nama\n1;a\n".to_vec()),
        ("empty-xlsx", XLSX, Vec::new()),
    ])
}

#[tokio::test]
async fn files_that_break_their_decoder_are_refused_with_flat_memory_and_others_are_served() -> anyhow::Result<()> {
    let (node, _turn) = node().await?;
    let case = Case::open(node, "rusak").await?;
    for (name, kind, body) in bad_files()? {
        let started = Instant::now();
        let answer = within_memory(node, Answer::of(push(&case, name, kind, body))).await.context(name)?;
        ensure!(
            (answer.status, answer.problem()) == (422, "file_invalid"),
            "{name}: {} {}",
            answer.status,
            answer.body
        );
        ensure!(started.elapsed() < Duration::from_secs(20), "{name} took {:?}", started.elapsed());
        let said = answer.body["report"]["fatal"]["message"].as_str().or(answer.body["errors"][0]["message"].as_str());
        println!("{name}: {}", said.unwrap_or_default());
        case.refused(&answer).await.context(name)?;
    }
    spool_is_empty(node)
}

#[tokio::test]
async fn a_page_under_the_name_of_a_workbook_is_called_what_it_is() -> anyhow::Result<()> {
    let (node, _turn) = node().await?;
    let case = Case::open(node, "html").await?;
    let page = "<html><body><table><tr><td>kode</td></tr></table></body></html>";
    let answer = Answer::of(push(&case, "html", XLS, page)).await?;
    let seen = case.refused(&answer).await?;
    insta::assert_snapshot!("html_named_xls", seen);
    Ok(())
}

/// One file through `simpul worker` as the node starts it: whether it ended within its time, and its last record.
fn decode(format: &str, bytes: &[u8]) -> anyhow::Result<Option<u8>> {
    let mut spool = tempfile::tempfile()?;
    spool.write_all(bytes)?;
    std::io::Seek::rewind(&mut spool)?;
    let limits = ["--memory", "536870912", "--cpu-s", "15", "--unpacked", "8589934592", "--ratio", "200"];
    let mut child = Command::new(binary()?)
        .arg("worker")
        .arg(format)
        .args(limits)
        .env_clear()
        .stdin(spool)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut out = Vec::new();
    child.stdout.take().context("stdout")?.read_to_end(&mut out)?;
    let status = child.wait()?;
    Ok(status.success().then(|| last_record(&out)).flatten())
}

/// The kind of the stream's last record; nothing when it does not end with a whole one.
fn last_record(mut stream: &[u8]) -> Option<u8> {
    let mut last = None;
    while let [kind, a, b, c, d, rest @ ..] = stream {
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        stream = rest.get(length..)?;
        last = Some(*kind);
    }
    last.filter(|_| stream.is_empty())
}

#[test]
fn mutants_of_every_format_end_in_time_with_rows_or_a_reason() -> anyhow::Result<()> {
    let good = batch(Arc::new(Int64Array::from(vec![1, 2, 3])))?;
    let formats = [
        ("xlsx", clean()?),
        ("ods", ods()?),
        ("xls", xls()),
        ("parquet", parquet(&good)?),
        ("arrow", arrow_stream(&good)?),
    ];
    let count = simpul_tests::count("SIMPUL_E2E_MUTANTS", 200);
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below.max(1) as u64).unwrap_or_default()
    };
    for (format, original) in formats {
        ensure!(decode(format, &original)? == Some(b'E'), "{format}: the original is not read");
        let (mut read, mut refused, mut died, mut slowest) = (0, 0, 0, Duration::ZERO);
        for _ in 0..count {
            let mut mutant = original.clone();
            for _ in 0..=next(4) {
                let at = next(mutant.len());
                match next(4) {
                    0 => mutant[at] = next(256) as u8,
                    1 => mutant[at] ^= 1 << next(8),
                    2 => mutant.truncate(at.max(1)),
                    _ => {
                        let value = [0, 0x7f, 0x80, 0xff][next(4)];
                        mutant.iter_mut().skip(at).take(4).for_each(|byte| *byte = value);
                    }
                }
            }
            let started = Instant::now();
            match decode(format, &mutant)? {
                Some(b'E') => read += 1,
                Some(b'F') => refused += 1,
                Some(other) => anyhow::bail!("{format}: a stream that ends with {other}"),
                None => died += 1,
            }
            slowest = slowest.max(started.elapsed());
        }
        println!(
            "{format}: {count} mutants, {read} read, {refused} refused, {died} processes broken, slowest {slowest:?}"
        );
        ensure!(slowest < Duration::from_secs(20), "{format}: {slowest:?}");
    }
    Ok(())
}

/// An OpenDocument spreadsheet of two rows, written by hand. Its media type is the first member and not compressed.
fn ods() -> anyhow::Result<Vec<u8>> {
    const MEDIA_TYPE: &[u8] = ODS.as_bytes();
    let content = r#"<?xml version="1.0"?><office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet><table:table table:name="S"><table:table-row><table:table-cell office:value-type="string"><text:p>kode</text:p></table:table-cell><table:table-cell office:value-type="string"><text:p>jumlah</text:p></table:table-cell><table:table-cell office:value-type="string"><text:p>tanggal</text:p></table:table-cell></table:table-row><table:table-row><table:table-cell office:value-type="string"><text:p>D1</text:p></table:table-cell><table:table-cell office:value-type="float" office:value="7"><text:p>7</text:p></table:table-cell><table:table-cell office:value-type="date" office:date-value="2026-01-05"><text:p>05/01/26</text:p></table:table-cell></table:table-row><table:table-row table:number-rows-repeated="1048574"><table:table-cell table:number-columns-repeated="16384"/></table:table-row></table:table></office:spreadsheet></office:body></office:document-content>"#;
    let manifest = r#"<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><manifest:file-entry manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.spreadsheet"/></manifest:manifest>"#;
    let mut archive = zip(&[
        member("mimetype", MEDIA_TYPE)?,
        member("content.xml", content)?,
        member("META-INF/manifest.xml", manifest)?,
    ])?;
    stored_first(&mut archive, MEDIA_TYPE)?;
    Ok(archive)
}

/// Makes the first member of an archive one that is not compressed.
fn stored_first(archive: &mut Vec<u8>, content: &[u8]) -> anyhow::Result<()> {
    let number = |bytes: &[u8], at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (name, packed) = (usize::from(archive[26]), number(archive, 18) as usize);
    let size = u32::try_from(content.len())?.to_le_bytes();
    let grown = u32::try_from(content.len() - packed.min(content.len()))?;
    ensure!(packed <= content.len(), "the content is packed to less");
    archive[8] = 0;
    archive[18..22].copy_from_slice(&size);
    archive.splice(30 + name..30 + name + packed, content.iter().copied());
    let end = archive.len() - 22;
    let start = number(archive, end + 16) + grown;
    archive[end + 16..end + 20].copy_from_slice(&start.to_le_bytes());
    let mut at = start as usize;
    for index in 0..archive[end + 10] {
        if index == 0 {
            archive[at + 10] = 0;
            archive[at + 20..at + 24].copy_from_slice(&size);
        } else {
            let place = number(archive, at + 42) + grown;
            archive[at + 42..at + 46].copy_from_slice(&place.to_le_bytes());
        }
        at += 46 + usize::from(archive[at + 28]);
    }
    Ok(())
}

/// A compound file with one stream `Workbook` of BIFF 8: three labels, a text, a number and a date.
fn xls() -> Vec<u8> {
    let record = |kind: u16, data: &[u8]| {
        [&kind.to_le_bytes()[..], &u16::try_from(data.len()).unwrap_or(0).to_le_bytes(), data].concat()
    };
    let label = |row: u16, column: u16, text: &str| {
        let mut data = [row.to_le_bytes(), column.to_le_bytes(), [0, 0]].concat();
        data.extend(u16::try_from(text.len()).unwrap_or(0).to_le_bytes());
        data.push(0);
        data.extend(text.as_bytes());
        record(0x0204, &data)
    };
    let number = |row: u16, column: u16, format: u16, value: f64| {
        let mut data = [row.to_le_bytes(), column.to_le_bytes(), format.to_le_bytes()].concat();
        data.extend(value.to_le_bytes());
        record(0x0203, &data)
    };
    let begin = |kind: u8| record(0x0809, &[0, 6, kind, 0, 0, 0, 0xcc, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
    let format = |number: u8| record(0x00e0, &[&[0, 0, number, 0][..], &[0; 16]].concat());
    let globals = |sheet_at: u32| {
        let mut sheet = sheet_at.to_le_bytes().to_vec();
        sheet.extend([0, 0, 1, 0, b'S']);
        [begin(5), format(0), format(14), record(0x0085, &sheet), record(0x000a, &[])].concat()
    };
    let start = u32::try_from(globals(0).len()).unwrap_or(0);
    let mut stream = globals(start);
    stream.extend(begin(0x10));
    for (text, column) in ["kode", "jumlah", "tanggal"].iter().zip(0..) {
        stream.extend(label(0, column, text));
    }
    stream.extend([label(1, 0, "E1"), number(1, 1, 0, 7.0), number(1, 2, 1, 46027.0)].concat());
    stream.extend(record(0x000a, &[]));
    compound(stream)
}

/// A compound file (MS-CFB, version 3) that holds `stream` as `Workbook` in sectors of 512 bytes.
fn compound(mut stream: Vec<u8>) -> Vec<u8> {
    const SECTOR: usize = 512;
    // A stream below 4096 bytes would have to lie among the small ones.
    stream.resize(stream.len().max(4096).next_multiple_of(SECTOR), 0);
    let sectors = u32::try_from(stream.len() / SECTOR).unwrap_or(0);
    let mut head = vec![0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
    head.extend([0; 16]);
    head.extend([0x3e, 0, 3, 0, 0xfe, 0xff, 9, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for word in [1, 1, 0, 4096, 0xffff_fffe, 0, 0xffff_fffe, 0, 0] {
        head.extend(u32::to_le_bytes(word));
    }
    head.resize(SECTOR, 0xff);
    // Sector 0 is the table of sectors, 1 the directory, the stream follows.
    let mut table: Vec<u8> = [0xffff_fffd_u32, 0xffff_fffe].iter().flat_map(|word| word.to_le_bytes()).collect();
    for sector in 0..sectors {
        let next = if sector + 1 == sectors { 0xffff_fffe } else { sector + 3 };
        table.extend(next.to_le_bytes());
    }
    table.resize(SECTOR, 0xff);
    let entry = |name: &str, kind: u8, child: u32, start: u32, size: u32| {
        let mut entry: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = u16::try_from(entry.len() + 2).unwrap_or(0);
        entry.resize(64, 0);
        entry.extend(length.to_le_bytes());
        entry.extend([kind, 1]);
        for word in [0xffff_ffff, 0xffff_ffff, child] {
            entry.extend(u32::to_le_bytes(word));
        }
        entry.resize(116, 0);
        entry.extend(start.to_le_bytes());
        entry.extend(size.to_le_bytes());
        entry.resize(128, 0);
        entry
    };
    let size = u32::try_from(stream.len()).unwrap_or(0);
    let mut directory = entry("Root Entry", 5, 1, 0xffff_fffe, 0);
    directory.extend(entry("Workbook", 2, 0xffff_ffff, 2, size));
    directory.resize(SECTOR, 0);
    [head, table, directory, stream].concat()
}

#[tokio::test]
async fn old_workbooks_and_opendocument_land_as_xlsx_does() -> anyhow::Result<()> {
    let (node, _turn) = node().await?;
    let mut case = Case::open(node, "lama").await?;
    let mut contract = crate::lone::descriptor("uji-lama-2", "tolak");
    contract["resources"][0]["schema"]["fieldsMatch"] = json!("partial");
    case.admin.put(Method::POST, "/v1/admin/contracts", &contract).await?;
    case.dataset = "uji-lama-2".to_owned();
    case.producer = case.client(crate::lone::PRODUCER, &["deliver", "read"], &json!({})).await?;
    for (rows, (kind, body)) in (1..).zip([(XLS, xls()), (ODS, ods()?)]) {
        let answer = Answer::of(push(&case, kind, kind, body)).await?;
        ensure!(answer.status == 201, "{kind}: {}", answer.body);
        case.expect_rows(rows);
    }
    case.is_unharmed().await?;
    for (record, (code, date)) in records(&case).await?.iter().zip([("E1", "2026-01-05"), ("D1", "2026-01-05")]) {
        ensure!(record["kode"] == code && record["jumlah"] == 7 && record["tanggal"] == date, "{record}");
    }
    Ok(())
}
