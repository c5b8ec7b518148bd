//! Files and data that must be refused: NEGATIVE.md group D, and what the issue adds to it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use crate::lone::{Answer, CANARY, Case, GOOD, HEADER, PATIENCE, binary, descriptor, shared, shown, simpul, text};

/// Delivers each file, which must be refused with 400 or 422 and leave nothing; gives one line of status and place for each.
async fn all_refused(case: &Case<'_>, media: &str, files: &[(&str, Vec<u8>)]) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    for (what, file) in files {
        let key: String = what.chars().filter(char::is_ascii_alphanumeric).collect();
        let request = case.producer.request(Method::POST, &case.path()).header("content-type", media);
        let answer = Answer::of(request.header("idempotency-key", key).body(file.clone())).await?;
        ensure!([400, 422].contains(&answer.status), "{what}: {} {}", answer.status, answer.body);
        case.refused(&answer).await.with_context(|| (*what).to_owned())?;
        let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        ensure!(!errors.is_empty() || !detail.is_empty(), "{what}: neither place nor reason: {}", shown(&answer));
        lines.push(format!("{what}: {} {} {detail}", answer.status, answer.problem()).trim_end().to_owned());
        lines.extend(errors.iter().take(3).map(|error| format!("    {}", place(error))));
    }
    Ok(lines.join("\n"))
}

/// Where an error is and which, in a line.
fn place(error: &Value) -> String {
    let shown = ["type", "constraint", "detail", "row", "column", "fieldNumber", "field", "byte", "value", "message"];
    let members = shown.iter().filter(|name| !error[**name].is_null()).map(|name| format!("{name}={}", error[*name]));
    members.collect::<Vec<_>>().join(" ")
}

fn rows(lines: &str) -> Vec<u8> {
    format!("{HEADER}{lines}").into_bytes()
}

#[tokio::test]
async fn d02_what_is_not_a_regular_file_in_a_drop_folder_is_put_aside_unopened() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "d02").await?;
    let drop = tempfile::tempdir()?;
    fs::write(drop.path().join("rahasia.txt"), GOOD)?;
    symlink(drop.path().join("rahasia.txt"), drop.path().join("tautan.csv"))?;
    symlink("/dev/zero", drop.path().join("alat.csv"))?;
    let made = Command::new("mkfifo").arg(drop.path().join("pipa.csv")).status()?;
    ensure!(made.success(), "mkfifo");
    connector(&case, "d02", drop.path()).await?;
    let run = run(&case, "d02").await?;
    ensure!(run["outcome"] == "nothing", "{run}");
    for name in ["tautan", "alat", "pipa"] {
        let note = fs::read_to_string(drop.path().join(format!("refused/{name}.csv.laporan.json")))?;
        ensure!(note.contains("not_a_regular_file"), "{name}: {note}");
    }
    case.is_unharmed().await
}

#[tokio::test]
async fn d03_a_file_that_is_still_being_written_waits_and_is_never_half_taken() -> anyhow::Result<()> {
    let mut case = Case::open(shared()?, "d03").await?;
    let drop = tempfile::tempdir()?;
    connector(&case, "d03", drop.path()).await?;
    let file = drop.path().join("panjang.csv");
    let mut written = HEADER.to_owned();
    for piece in 0..6 {
        written += &format!("C{piece},,1,,,bagian\n");
        fs::write(&file, &written)?;
        let run = run(&case, "d03").await?;
        ensure!(run["outcome"] == "nothing", "taken after piece {piece}: {run}");
        case.is_unharmed().await?;
    }
    let taken = async {
        loop {
            if run(&case, "d03").await?["outcome"] == "delivered" {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, taken).await??;
    case.expect_rows(8);
    case.is_unharmed().await?;
    ensure!(drop.path().join("done/panjang.csv").exists());
    Ok(())
}

async fn connector(case: &Case<'_>, id: &str, folder: &Path) -> anyhow::Result<()> {
    let body = json!({"kind": "files", "dataset": case.dataset, "config": {"folder": folder, "quiet_seconds": 2}});
    case.admin.put(Method::PUT, &format!("/v1/admin/connectors/{id}"), &body).await?;
    Ok(())
}

async fn run(case: &Case<'_>, id: &str) -> anyhow::Result<Value> {
    case.admin.put(Method::POST, &format!("/v1/admin/connectors/{id}/run"), &Value::Null).await
}

#[tokio::test]
async fn d04_csv_that_cannot_be_read_is_refused_with_its_place() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "d04").await?;
    let mut latin = rows("A3,,1,,,caf");
    latin.extend([0xe9, b'\n']);
    let mut utf16: Vec<u8> = vec![0xff, 0xfe];
    utf16.extend(GOOD.encode_utf16().flat_map(u16::to_le_bytes));
    let seen = all_refused(
        &case,
        "text/csv",
        &[
            ("unclosed quote", rows("A3,,1,,,\"tidak ditutup\nA4,,1,,,x\n")),
            ("NUL in a value", rows("A3,,1,,,a\0b\n")),
            ("NUL alone", rows("\0\n")),
            ("latin 1", latin),
            ("half a character", rows("A3,,1,,,\u{20ac}\n")[..HEADER.len() + 10].to_vec()),
            ("UTF 16", utf16),
            ("nothing", Vec::new()),
            ("header only", HEADER.into()),
            ("random bytes", (0..5000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
            ("a cell of 2 MiB", rows(&format!("A3,,1,,,{}\n", "x".repeat(2 << 20)))),
        ],
    )
    .await?;
    insta::assert_snapshot!("D04", seen);
    Ok(())
}

#[tokio::test]
async fn d04_a_byte_order_mark_and_mixed_line_ends_are_no_error() -> anyhow::Result<()> {
    let mut case = Case::open(shared()?, "d04b").await?;
    let body = format!("\u{feff}{}A3,,1,,,x\r\nA4,,1,,,y\nA5,,1,,,z", HEADER.replace('\n', "\r\n"));
    let answer = Answer::of(case.push("bom", body)).await?;
    ensure!(answer.status == 201 && answer.body["rows"]["accepted"] == 3, "{}", answer.body);
    case.expect_rows(5);
    case.is_unharmed().await
}

#[tokio::test]
async fn d05_columns_that_are_not_those_of_the_contract_are_refused_by_name() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "d05").await?;
    let seen = all_refused(
        &case,
        "text/csv",
        &[
            ("fewer columns", b"kode,nik,jumlah\nA3,,1\n".to_vec()),
            ("more columns", b"kode,nik,jumlah,nilai,tanggal,catatan,lebih\nA3,,1,,,x,y\n".to_vec()),
            ("a column twice", b"kode,nik,jumlah,nilai,tanggal,kode\nA3,,1,,,x\n".to_vec()),
            ("another order", b"nik,kode,jumlah,nilai,tanggal,catatan\n,A3,1,,,x\n".to_vec()),
            ("header twice", rows(HEADER)),
            ("no header", b"A3,,1,,,x\n".to_vec()),
            ("a row with fewer cells", rows("A3,,1\n")),
            ("a row with more cells", rows("A3,,1,,,x,y,z\n")),
            ("another delimiter", GOOD.replace(',', ";").into_bytes()),
        ],
    )
    .await?;
    insta::assert_snapshot!("D05", seen);
    Ok(())
}

#[tokio::test]
async fn d06_numbers_that_are_none_and_a_nik_without_its_zero_are_refused() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "d06").await?;
    let seen = all_refused(
        &case,
        "text/csv",
        &[
            ("thousands in English", rows("A3,,\"1,234\",,,x\n")),
            ("thousands in Indonesian", rows("A3,,1.234,,,x\n")),
            ("both", rows("A3,,1,\"1.234,5\",,x\n")),
            ("1e400", rows("A3,,1,1e400,,x\n")),
            ("an integer as 1e400", rows("A3,,1e400,,,x\n")),
            ("an integer of 40 digits", rows("A3,,1234567890123456789012345678901234567890,,,x\n")),
            ("NaN as an integer", rows("A3,,NaN,,,x\n")),
            ("negative", rows("A3,,-1,,,x\n")),
            ("hexadecimal", rows("A3,,0x10,,,x\n")),
            ("digits of another script", rows("A3,,\u{0661}\u{0662},,,x\n")),
            ("a NIK without its zero", rows("A3,640201010101001,1,,,x\n")),
            ("a NIK as a float", rows("A3,6.40201E+15,1,,,x\n")),
        ],
    )
    .await?;
    insta::assert_snapshot!("D06", seen);
    Ok(())
}

#[tokio::test]
async fn d07_dates_that_are_none_are_refused() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "d07").await?;
    let dates = [
        "31/02/2026",
        "2026-02-31",
        "45000",
        "26-01-02",
        "02/01/26",
        "2026-1-2",
        "2026-13-01",
        "2026-01-02T00:00:00",
        "kemarin",
    ];
    let files: Vec<_> = dates.iter().map(|date| (*date, rows(&format!("A3,,1,,{date},x\n")))).collect();
    let seen = all_refused(&case, "text/csv", &files).await?;
    insta::assert_snapshot!("D07", seen);
    Ok(())
}

#[tokio::test]
async fn d18_json_that_is_deep_double_or_broken_is_refused() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "d18").await?;
    let record = |member: &str| {
        format!("{{\"kode\":\"A3\",\"nik\":null,\"jumlah\":1,\"nilai\":null,\"tanggal\":null,\"catatan\":{member}}}\n")
    };
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let lines = [
        ("deep", record(&deep)),
        ("a name twice", record("\"x\",\"kode\":\"B\"")),
        ("1e400", record("\"x\"").replace("\"nilai\":null", "\"nilai\":1e400")),
        ("lone surrogate", record("\"\\ud800\"")),
        ("cut", record("\"x\"")[..40].to_owned()),
        ("no object", "[1,2]\n".to_owned()),
        ("a number", "17\n".to_owned()),
        ("a value of 2 MiB", record(&format!("\"{}\"", "x".repeat(2 << 20)))),
        ("garbage after", record("\"x\"").replace('\n', " x\n")),
        ("NUL", record("\"x\u{0}\"")),
    ];
    let files: Vec<_> = lines.iter().map(|(what, text)| (*what, text.clone().into_bytes())).collect();
    let ndjson = all_refused(&case, "application/x-ndjson", &files).await?;
    let documents = lines.iter().map(|(what, text)| (format!("document {what}"), format!("[{}]", text.trim_end())));
    let documents: Vec<_> = documents.chain([("document of depth only".to_owned(), deep.clone())]).collect();
    let files: Vec<_> = documents.iter().map(|(what, text)| (what.as_str(), text.clone().into_bytes())).collect();
    let json = all_refused(&case, "application/json", &files).await?;
    insta::assert_snapshot!("D18", format!("{ndjson}\n{json}"));
    Ok(())
}

#[tokio::test]
async fn d19_a_contract_that_drops_a_column_or_narrows_a_type_is_answered_409() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "d19").await?;
    let fields = "/resources/0/schema/fields";
    let register = async |base: Value, change: fn(&mut Vec<Value>)| {
        let mut new = base;
        new["version"] = json!("2.0.0");
        if let Some(fields) = new.pointer_mut(fields).and_then(Value::as_array_mut) {
            change(fields);
        }
        Answer::of(case.admin.request(Method::POST, "/v1/admin/contracts").json(&new)).await
    };
    let plain = descriptor(&case.dataset, "tolak");
    let narrowed = register(plain.clone(), |fields| fields[3]["type"] = json!("integer")).await?;
    ensure!((narrowed.status, narrowed.problem()) == (409, "schema_incompatible"), "{}", narrowed.body);
    let seen = case.refused(&narrowed).await?;
    insta::assert_snapshot!("D19", seen);
    // Whether a column may go is for the declared mode to say: backward alone allows it, full does not.
    let mut full = descriptor("uji-d19-penuh", "tolak");
    full["satudata"]["kompatibilitas"] = json!("FULL_TRANSITIVE");
    case.admin.put(Method::POST, "/v1/admin/contracts", &full).await?;
    let dropped = register(full, |fields| drop(fields.remove(0))).await?;
    ensure!((dropped.status, dropped.problem()) == (409, "schema_incompatible"), "{}", dropped.body);
    let mut same = descriptor(&case.dataset, "tolak");
    same["title"] = json!("lain");
    let answer = Answer::of(case.admin.request(Method::POST, "/v1/admin/contracts").json(&same)).await?;
    ensure!((answer.status, answer.problem()) == (409, "version_conflict"), "{}", answer.body);
    case.is_unharmed().await
}

/// A file whose one bad row stands near its end, past the first batches.
fn one_bad_row() -> String {
    let count = 30_000;
    let line =
        |row: usize| format!("A{row},,{},,,x\n", if row == count - 10 { "-5".to_owned() } else { row.to_string() });
    HEADER.to_owned() + &(0..count).map(line).collect::<String>()
}

#[tokio::test]
async fn d20_one_bad_row_refuses_the_whole_delivery_and_no_row_of_it_shows() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "d20").await?;
    let answer = Answer::of(case.push("d20", one_bad_row())).await?;
    ensure!((answer.status, answer.problem()) == (422, "rows_invalid"), "{}", answer.body);
    let seen = case.refused(&answer).await?;
    insta::assert_snapshot!("D20", seen);
    Ok(())
}

#[tokio::test]
async fn d20_under_a_policy_of_quarantine_the_good_rows_land() -> anyhow::Result<()> {
    let mut case = Case::with_policy(shared()?, "d20b", "karantina").await?;
    let answer = Answer::of(case.push("d20b", one_bad_row())).await?;
    ensure!(answer.status == 201, "{}", answer.body);
    let expected = json!({"total": 30_000, "accepted": 29_999, "refused": 1});
    ensure!(answer.body["rows"] == expected, "{}", answer.body["rows"]);
    case.expect_rows(30_001);
    case.is_unharmed().await
}

#[tokio::test]
async fn d21_no_cell_of_an_extract_in_csv_begins_a_formula() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "d21").await?;
    let cells = ["=1+1", "+62", "-x", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "\u{ff1d}1+1"];
    let body: String = cells.iter().map(|cell| format!("A3,,1,-1.5,,\"{cell}\"\n")).collect();
    let answer = Answer::of(case.push("d21", rows(&body))).await?;
    ensure!(answer.status == 201, "{}", answer.body);
    let extract = case.producer.get(&format!("/v1/datasets/{}/extract?format=csv", case.dataset)).await?;
    let csv = String::from_utf8(extract.bytes)?;
    for cell in &cells[..7] {
        ensure!(csv.contains(&format!("'{cell}")), "{cell:?}: {csv}");
    }
    ensure!(csv.contains(",-1.5,"), "a typed number stays one: {csv}");
    // The records are data and not a spreadsheet: they are as they were delivered.
    let records = case.producer.get(&format!("/v1/datasets/{}/records?catatan=eq.%3D1%2B1", case.dataset)).await?;
    ensure!(records.body["records"][0]["catatan"] == "=1+1", "{}", records.body);
    Ok(())
}

#[tokio::test]
async fn d24_what_foreigners_send_stays_in_one_escaped_line_of_the_log() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "d24").await?;
    let before = case.node.log()?.len();
    let evil = "x%0d%0a%7B%22level%22:%22ERROR%22%7D%1b[31m%E2%80%AE";
    for path in [
        format!("/v1/datasets/{evil}"),
        format!("/v1/deliveries/{evil}"),
        format!("/v1/{evil}"),
        format!("/v1/datasets/{}/records?{evil}=eq.1", case.dataset),
        format!("/v1/datasets/{}/records?select={evil}&kode=eq.{evil}", case.dataset),
        format!("/v1/datasets/{}/records?cursor={evil}", case.dataset),
    ] {
        ensure!(case.producer.get(&path).await?.status >= 400, "{path}");
    }
    let raw = HeaderValue::from_bytes("x\u{202e}\u{9b}31m\tERROR".as_bytes())?;
    for name in [
        "idempotency-key",
        "user-agent",
        "simpul-origin",
        "content-encoding",
        "simpul-contract-version",
        "content-digest",
    ] {
        let mut request = case.producer.request(Method::POST, &case.path()).header("content-type", "text/csv");
        if name != "idempotency-key" {
            request = request.header("idempotency-key", "d24");
        }
        Answer::of(request.header(name, raw.clone()).body("rusak")).await?;
    }
    let value = "\u{1b}[2J\u{202e}\r{\"level\":\"ERROR\"}";
    Answer::of(case.push("d24-isi", rows(&format!("A3,,{value},,,{value}\n")))).await?;
    Answer::of(case.push("d24-kepala", format!("kode,{value}\n1,2\n"))).await?;
    let drop = tempfile::tempdir()?;
    fs::write(drop.path().join("nama\n{\"level\":\"ERROR\"}\u{1b}[31m\u{202e}.csv"), "rusak\n1\n")?;
    connector(&case, "d24", drop.path()).await?;
    let taken = async {
        while run(&case, "d24").await?["outcome"] == "nothing" {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, taken).await.context("the file is never taken")??;
    let agency = json!({"name": "Dinas\r\n{\"level\":\"ERROR\"}\u{1b}[31m\u{202e}"});
    Answer::of(case.admin.request(Method::PUT, "/v1/admin/agencies/64.02.uji").json(&agency)).await?;

    let log = case.node.log()?;
    let export = case.admin.get("/v1/audit/export").await?;
    let export = String::from_utf8(export.bytes)?;
    for line in log[before..].lines().filter(|line| !line.is_empty()) {
        let entry: Value = serde_json::from_str(line).with_context(|| format!("not one JSON object: {line}"))?;
        ensure!(entry["level"] != "ERROR", "a forged or a real error: {line}");
    }
    for (what, text) in [("log", &log[before..]), ("audit", export.as_str())] {
        let bad = text.chars().find(|c| matches!(c, '\r' | '\u{1b}' | '\u{9b}' | '\u{202e}'));
        let line = bad.and_then(|bad| text.lines().find(|line| line.contains(bad)));
        ensure!(bad.is_none(), "{what}: {bad:?} in {}", line.unwrap_or_default().escape_unicode());
    }
    Ok(())
}

#[tokio::test]
async fn d28_the_secret_of_a_connector_shows_nowhere() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "d28").await?;
    let secret_file = case.node.folder().path().join("node/rahasia-url");
    fs::write(&secret_file, format!("postgres://simpul:{CANARY}@127.0.0.1:1/x y z?sslmode={CANARY}\n"))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&secret_file, mode)?;
    let parts = json!({"host": "127.0.0.1", "port": 1, "database": "x", "user": "simpul", "password": "env:SIMPUL_UJI_RAHASIA",
        "sslmode": "disable", "table": "t", "cursor": "c", "connect_timeout_seconds": 1});
    let url = json!({"url": format!("file:{}", secret_file.display()), "table": "t", "cursor": "c", "connect_timeout_seconds": 1});
    let mut answers = Vec::new();
    for (id, config) in [("d28-bagian", &parts), ("d28-url", &url)] {
        let body = json!({"kind": "postgres", "dataset": case.dataset, "config": config});
        let path = format!("/v1/admin/connectors/{id}");
        answers.push(Answer::of(case.admin.request(Method::PUT, &path).json(&body)).await?);
        for act in ["test", "run"] {
            answers.push(Answer::of(case.admin.request(Method::POST, &format!("{path}/{act}"))).await?);
        }
    }
    ensure!(
        answers[1].body["ok"] == false && answers[2].body["outcome"] == "failed",
        "{} {}",
        answers[1].body,
        answers[2].body
    );
    // A secret in clear is refused and not repeated.
    let mut clear = parts.clone();
    clear["password"] = json!(CANARY);
    let body = json!({"kind": "postgres", "dataset": case.dataset, "config": clear});
    let refused = Answer::of(case.admin.request(Method::PUT, "/v1/admin/connectors/d28-terang").json(&body)).await?;
    ensure!(refused.status == 422, "{} {}", refused.status, refused.body);
    insta::assert_snapshot!("D28", shown(&refused));
    answers.push(refused);
    for path in [
        "/v1/admin/connectors",
        "/v1/audit/entries?limit=1000",
        "/v1/audit/export",
        "/v1/admin/deliveries",
        "/health/ready",
    ] {
        answers.push(case.admin.get(path).await?);
    }
    for answer in &answers {
        ensure!(!String::from_utf8_lossy(&answer.bytes).contains(CANARY), "an answer: {}", answer.body);
    }
    ensure!(!case.node.log()?.contains(CANARY), "the log");
    ensure!(!case.node.metrics().await?.contains(CANARY), "the metrics");
    for path in files_below(&case.node.folder().path().join("node/data"))? {
        // A file may be gone by the time it is read.
        let bytes = fs::read(&path).unwrap_or_default();
        ensure!(!bytes.windows(CANARY.len()).any(|w| w == CANARY.as_bytes()), "{}", path.display());
    }
    Ok(())
}

fn files_below(folder: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)?.flatten() {
            let kind = entry.file_type()?;
            if kind.is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    ensure!(!files.is_empty(), "no file");
    Ok(files)
}

#[tokio::test]
async fn d32_an_exported_audit_log_that_was_changed_is_found_and_the_entry_named() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "d32").await?;
    let export = String::from_utf8(case.admin.get("/v1/audit/export").await?.bytes)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("audit.txt");
    let verify = |content: &str| -> anyhow::Result<(bool, String)> {
        fs::write(&file, content)?;
        let output = Command::new(binary()?).args(["audit", "verify", text(&file)?]).output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    };
    let (whole, said) = verify(&export)?;
    ensure!(whole, "the log as it is: {said}");
    let lines: Vec<&str> = export.lines().collect();
    let entries: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].contains("\"action\"")).collect();
    ensure!(entries.len() > 8, "{export}");
    let (third, fourth) = (entries[3], entries[4]);
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let changed = lines[third].replacen("\"outcome\":\"granted\"", "\"outcome\":\"refused\"", 1);
    ensure!(changed != lines[third], "{}", lines[third]);
    let mut one = lines.clone();
    one[third] = &changed;
    let mut removed = lines.clone();
    removed.remove(third);
    let mut swapped = lines.clone();
    swapped.swap(third, fourth);
    for (what, content, named) in [
        ("changed", joined(&one), true),
        ("removed", joined(&removed), true),
        ("swapped", joined(&swapped), true),
        ("tail cut", joined(&lines[..entries[entries.len() - 3]]), false),
        ("empty", String::new(), false),
    ] {
        let (good, said) = verify(&content)?;
        ensure!(!good, "{what} is not found: {said}");
        ensure!(!named || said.contains('3'), "{what}: entry 3 is not named: {said}");
    }
    // The binary tells the same to programs.
    fs::write(&file, &export)?;
    ensure!(simpul(&["audit", "verify", text(&file)?, "--json"])?.contains('{'));
    Ok(())
}
