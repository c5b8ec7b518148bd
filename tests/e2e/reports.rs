//! The report of a delivery as its sender gets it: downloads, dry runs that tell while they read, and what is kept of
//! personal data, which is nothing.

use std::path::Path;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use simpul_tests::{Demo, unique};

use crate::lone::{Answer, Case, HEADER, descriptor, shared};
use crate::support::{sample, standard};

/// A value that no file of a node may hold but those of the sender's own rows.
const SECRET: &str = "6402KENARI";

/// Two good rows and three bad ones.
fn mixed() -> String {
    format!(
        "{HEADER}B1,6402010101010001,3,1.5,2026-01-02,baik\nB2,6402,x,1.5,2026-01-02,buruk\nB3,,4,1.5,02/01/2026,\"=2+3, \"\"q\"\"\"\n\n,,-1,,,\nB4,,5,,,\n"
    )
}

async fn delivered(case: &Case<'_>, key: &str, body: String) -> anyhow::Result<(u16, String)> {
    let answer = Answer::of(case.push(key, body)).await?;
    let delivery = answer.body["delivery"].as_str().with_context(|| answer.body.to_string())?;
    Ok((answer.status, delivery.to_owned()))
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.bytes).into_owned()
}

#[tokio::test]
async fn a_report_comes_in_the_form_that_its_sender_asks_for() -> anyhow::Result<()> {
    let case = Case::with_policy(shared()?, "laporan", "karantina").await?;
    let (status, delivery) = delivered(&case, "laporan-1", mixed()).await?;
    ensure!(status == 201);
    let path = format!("/v1/deliveries/{delivery}/report");
    let asked = |accept: &'static str| Answer::of(case.producer.request(Method::GET, &path).header("accept", accept));
    let report = asked("application/json").await?;
    ensure!((report.status, report.header("content-type")) == (200, "application/json"), "{}", report.body);
    ensure!(report.body["rowsRefused"] == 4, "{}", report.body);
    let page = asked("text/plain").await?;
    ensure!(text(&page).contains("Kolom jumlah: Bukan bilangan bulat, 1 sel (baris 3)"), "{}", text(&page));
    let list = asked("text/csv").await?;
    let list_text = text(&list);
    ensure!(list_text.starts_with("\u{feff}baris,kolom,judul_kolom,nilai,aturan,pesan,saran\n"), "{list_text}");
    ensure!(
        list_text.lines().count() as u64 == 1 + report.body["stats"]["errors"].as_u64().unwrap_or(0),
        "{list_text}"
    );
    ensure!(list.header("content-disposition").contains("uji-laporan-kesalahan.csv"), "{:?}", list.headers);
    let english = case.producer.request(Method::GET, &format!("{path}?format=text")).header("accept-language", "en");
    ensure!(text(&Answer::of(english).await?).starts_with("Not valid: "));
    let book = case.producer.get(&format!("{path}?format=xlsx")).await?;
    ensure!(book.status == 200 && book.bytes.starts_with(b"PK\x03\x04"), "{}", book.status);
    ensure!(book.header("content-type").contains("spreadsheetml"));
    let strange = case.producer.get(&format!("{path}?format=pdf")).await?;
    ensure!((strange.status, strange.problem()) == (406, "not_acceptable"), "{}", strange.body);
    let other = case.client("64.02.lain/sistem", &["deliver", "read"], &json!({})).await?;
    for part in ["report", "rejected"] {
        let answer = other.get(&format!("/v1/deliveries/{delivery}/{part}")).await?;
        ensure!((answer.status, answer.problem()) == (404, "not_found"), "{}", answer.body);
        let unknown = case.producer.get(&format!("/v1/deliveries/tidak-ada/{part}")).await?;
        ensure!(unknown.status == 404, "{}", unknown.body);
    }
    Ok(())
}

#[tokio::test]
async fn bad_rows_are_corrected_and_sent_again() -> anyhow::Result<()> {
    let mut case = Case::with_policy(shared()?, "perbaiki", "karantina").await?;
    let (_, delivery) = delivered(&case, "perbaiki-1", mixed()).await?;
    let rows = case.producer.get(&format!("/v1/deliveries/{delivery}/rejected")).await?;
    ensure!((rows.status, rows.header("content-type")) == (200, "text/csv"), "{:?}", rows.headers);
    ensure!(rows.header("simpul-rows-refused") == "4", "{:?}", rows.headers);
    let file = text(&rows);
    let wanted = format!(
        "\u{feff}{HEADER}B2,6402,x,1.5,2026-01-02,buruk\nB3,,4,1.5,02/01/2026,\"=2+3, \"\"q\"\"\"\n\n,,-1,,,\n"
    );
    ensure!(file == wanted, "{file}");
    let corrected = file.replace("6402,x", ",7").replace("02/01/2026", "2026-01-02").replace("\n\n,,-1,,,", "");
    let (status, _) = delivered(&case, "perbaiki-2", corrected).await?;
    ensure!(status == 201, "{status}");
    case.expect_rows(6);
    case.is_unharmed().await?;
    let lines = "{\"kode\":\"C1\",\"jumlah\":1}\n{\"kode\":\"C2\",\"jumlah\":\"x\"}\n";
    let request = case.producer.request(Method::POST, &case.path()).header("content-type", "application/x-ndjson");
    let answer = Answer::of(request.header("idempotency-key", "perbaiki-3").body(lines)).await?;
    let delivery = answer.body["delivery"].as_str().context("delivery")?;
    let rows = case.producer.get(&format!("/v1/deliveries/{delivery}/rejected")).await?;
    ensure!((rows.status, rows.header("content-type")) == (200, "application/x-ndjson"), "{:?}", rows.headers);
    ensure!(text(&rows) == lines, "both lack members that the contract asks for: {}", text(&rows));
    Ok(())
}

/// Everything below `folder` whose path is not one of the places for rows as they came, with its bytes.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        let name = path.display().to_string();
        if path.is_dir() {
            // Rows: accepted ones in the lake, refused ones in quarantine. Nothing of a report is there.
            if !name.ends_with("/lake") && !name.ends_with("/quarantine") {
                files(&path, found)?;
            }
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((name, bytes));
        }
    }
    Ok(())
}

#[tokio::test]
async fn nothing_personal_is_kept_in_reports_logs_and_audit() -> anyhow::Result<()> {
    let node = shared()?;
    let mut case = Case::with_policy(node, "pribadi", "karantina").await?;
    case.dataset = "uji-pribadi-2".to_owned();
    let mut contract = descriptor(&case.dataset, "karantina");
    let schema = &mut contract["resources"][0]["schema"];
    for (field, more) in [(1, json!({"unique": true, "pattern": "[0-9]{16}"})), (5, json!({"enum": ["ada", "kenari"]}))]
    {
        schema["fields"][field]["constraints"] = more;
        schema["fields"][field]["satudata"] = json!({"dataPribadi": {"jenis": "umum", "tindakan": "samarkan"}});
    }
    schema["fields"][4]["satudata"] = json!({"dataPribadi": {"jenis": "umum"}});
    schema["fieldsMatch"] = json!("equal");
    case.admin.put(Method::POST, "/v1/admin/contracts", &contract).await?;
    case.producer = case.client(crate::lone::PRODUCER, &["deliver", "read"], &json!({})).await?;
    let headless = format!("P9,{SECRET},3,1.5,2026-01-02,ada\n");
    let rows = format!(
        "{HEADER}P1,{SECRET},3,1.5,2026-01-02,ada\nP2,{SECRET},3,1.5,31/12/2026{SECRET},{SECRET}\nP3,\"{SECRET} \",3,1.5,2026-01-02,ada,{SECRET},{SECRET}\n"
    );
    let lines = format!("\"{SECRET}\"\n{{\"{SECRET}\":1}}\n{{\"kode\":\"P4\",\"nik\":{SECRET}}}\n");
    let mut deliveries = Vec::new();
    for (key, body, media) in
        [("p1", rows, "text/csv"), ("p2", headless, "text/csv"), ("p3", lines, "application/x-ndjson")]
    {
        let request = case.producer.request(Method::POST, &case.path());
        let answer =
            Answer::of(request.header("content-type", media).header("idempotency-key", key).body(body)).await?;
        ensure!(!text(&answer).contains(SECRET), "{key}: {}", text(&answer));
        deliveries.push(answer.body["delivery"].as_str().with_context(|| answer.body.to_string())?.to_owned());
        ensure!(answer.body.to_string().contains("•••"), "{key}: something was masked: {}", answer.body);
    }
    for delivery in &deliveries {
        for (form, lang) in [("json", "id"), ("json", "en"), ("text", "id"), ("text", "en"), ("csv", "id")] {
            let path = format!("/v1/deliveries/{delivery}/report?format={form}");
            let shown = Answer::of(case.producer.request(Method::GET, &path).header("accept-language", lang)).await?;
            ensure!(shown.status == 200 && !text(&shown).contains(SECRET), "{form}: {}", text(&shown));
        }
    }
    let own = case.producer.get(&format!("/v1/deliveries/{}/rejected", deliveries[0])).await?;
    ensure!(text(&own).contains(SECRET), "the rows are the sender's own: {}", text(&own));
    let mut kept = Vec::new();
    files(node.folder().path(), &mut kept)?;
    ensure!(kept.iter().any(|(name, _)| name.ends_with("node.log")), "the log is looked at");
    ensure!(kept.iter().any(|(name, _)| name.contains("sqlite")), "the store is looked at");
    for (name, bytes) in &kept {
        let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        ensure!(!found, "{name} holds a personal value");
    }
    Ok(())
}

#[tokio::test]
async fn a_dry_run_tells_its_first_error_while_the_file_is_on_its_way() -> anyhow::Result<()> {
    let case = Case::open(shared()?, "latihan").await?;
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Bytes, std::io::Error>>();
    let mut sender = Some(sender);
    let feed = |sender: &Option<futures::channel::mpsc::UnboundedSender<_>>, text: &str| {
        let sender = sender.as_ref().context("open")?;
        sender.unbounded_send(Ok(Bytes::from(text.to_owned()))).map_err(anyhow::Error::from)
    };
    feed(&sender, &format!("{HEADER}A1,,1,,,\nA2,,salah,,,\n"))?;
    let request = case.producer.request(Method::POST, &format!("{}?dry_run=true", case.path()));
    let request = request.header("content-type", "text/csv").header("accept", "application/x-ndjson");
    let response = request.body(reqwest::Body::wrap_stream(receiver)).send().await?;
    ensure!(response.status() == 200, "{}", response.status());
    ensure!(response.headers()["content-type"] == "application/x-ndjson");
    let request_id = response.headers()["x-request-id"].to_str()?.to_owned();
    let mut lines = Lines { stream: response.bytes_stream().boxed(), pending: Vec::new() };
    // The body is still open: this line cannot come from its end.
    let first = lines.next().await?.context("a first line")?;
    ensure!((&first["rows"], &first["bad_rows"]) == (&json!(2), &json!(1)), "{first}");
    ensure!(
        first["errors"][0]["row"] == 3 && first["errors"][0]["message"] == "«salah» bukan bilangan bulat.",
        "{first}"
    );
    ensure!(case.entries(&request_id).await?.len() == 1, "the entry is written before the answer begins");
    for row in 0..2000 {
        feed(&sender, &format!("B{row},,{row},,,\n"))?;
    }
    feed(&sender, "C1,,lagi,,,\n")?;
    sender.take();
    let mut last = Value::Null;
    while let Some(line) = lines.next().await? {
        last = line;
    }
    ensure!(last["state"] == "dry_run", "{last}");
    ensure!(last["rows"] == json!({"total": 2003, "accepted": 2001, "refused": 2}), "{}", last["rows"]);
    ensure!(last["report"]["stats"]["errors"] == 2, "{last}");
    let shown = case.producer.get(&format!("/v1/deliveries/{}", last["delivery"].as_str().unwrap_or("?"))).await?;
    ensure!(shown.status == 404, "a dry run leaves no delivery: {}", shown.body);
    let broken = case.producer.request(Method::POST, &format!("{}?dry_run=true", case.path()));
    let broken = broken.header("content-type", "text/csv").header("content-encoding", "gzip");
    let broken = Answer::of(broken.header("accept", "application/x-ndjson").body("no gzip")).await?;
    ensure!((broken.status, broken.problem()) == (200, "body_corrupt"), "{}", broken.body);
    case.is_unharmed().await
}

/// The lines of an answer as they come.
struct Lines {
    stream: futures::stream::BoxStream<'static, reqwest::Result<Bytes>>,
    pending: Vec<u8>,
}

impl Lines {
    async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            let Some(piece) = tokio::time::timeout(crate::lone::PATIENCE, self.stream.next()).await? else {
                return Ok(None);
            };
            self.pending.extend_from_slice(&piece?);
        }
    }
}

#[tokio::test]
async fn a_clerk_finds_the_way_from_the_refusal_to_the_corrected_file() {
    let demo = Demo::shared();
    let name = unique("luas");
    crate::support::register(demo, "kecamatan", &standard("penduduk-wilayah", &name)).await.expect(201);
    let clerk = crate::support::producer(demo, "kecamatan", &name).await;
    let dirty = demo.dir.join(unique("kotor")).with_extension("csv");
    std::fs::write(&dirty, sample("penduduk-wilayah", "contoh-kotor.csv")).expect("a file");
    let profile = clerk.profile.display().to_string();
    let (dirty, name) = (dirty.display().to_string(), name.as_str());
    let tried = demo.simpul(["push", name, &dirty, "--profile", &profile, "--dry-run"]).await;
    assert_eq!(tried.code, 1, "{} {}", tried.stdout, tried.stderr);
    assert!(tried.stdout.contains("Hanya diperiksa; tidak ada yang dikirim."), "{}", tried.stdout);
    let refused = demo.simpul(["push", name, &dirty, "--profile", &profile]).await;
    assert_eq!(refused.code, 1, "{} {}", refused.stdout, refused.stderr);
    assert!(!refused.stdout.contains('\u{1b}'), "plain in a pipe");
    assert!(refused.stdout.contains("→ Maksud Anda 64.02.05.2005 – Tanjung Limau?"), "{}", refused.stdout);
    assert!(refused.stdout.contains("Perbaiki di berkas asal, lalu kirim seluruh berkas lagi."), "{}", refused.stdout);
    let told =
        refused.stdout.lines().find_map(|line| line.trim().strip_prefix("baris salah:")).expect("what to do next");
    let arguments: Vec<&str> = told.split_whitespace().skip(1).collect();
    let fetched = demo.simpul(arguments).await;
    assert_eq!(fetched.code, 0, "{}", fetched.stderr);
    let rows = std::fs::read_to_string(demo.dir.join("baris-salah.csv")).expect("the bad rows");
    assert!(rows.lines().nth(2).is_some_and(|header| header.starts_with("kode_wilayah;")), "{rows}");
    assert_eq!(rows.lines().count(), 3 + 11, "{rows}");
    let page = demo.simpul(["report", arguments_delivery(&refused.stdout), "--profile", &profile, "--english"]).await;
    assert!(page.stdout.starts_with("Not valid: 12 errors."), "{} {}", page.stdout, page.stderr);
}

fn arguments_delivery(told: &str) -> &str {
    told.lines().find_map(|line| line.split("simpul report ").nth(1)?.split(' ').next()).expect("a delivery")
}
