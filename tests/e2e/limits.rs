//! Limits: slow, large and greedy senders, bombs, full disks, and configurations that must not start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures::StreamExt;
use reqwest::Method;
use serde_json::json;
use simpul_certs::ca::{Ca, IssueRequest};
use simpul_core::id::Identity;
use tokio::io::AsyncWriteExt;

use crate::lone::{
    Answer, Case, Folder, GOOD, HEADER, Kept, Lone, PATIENCE, Setup, converse, gzip, kept, now, shown, simpul, text,
    zstd,
};

/// A node whose limits are small enough to be met in a test.
pub fn narrow() -> anyhow::Result<&'static Lone> {
    static NODE: Kept = Kept::new();
    kept(&NODE, || {
        Setup::default()
            .with("limits.header_s", 1)
            .with("limits.body_stall_s", 1)
            .with("limits.body_bytes", 256 << 10)
            .with("limits.decoded_bytes", 1 << 20)
    })
}

/// A node with the limits of every node, whose memory is watched: one test at a time.
async fn watched() -> anyhow::Result<(&'static Lone, tokio::sync::MutexGuard<'static, ()>)> {
    static NODE: Kept = Kept::new();
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let turn = TURN.lock().await;
    Ok((kept(&NODE, Setup::default)?, turn))
}

/// The memory that an act may take, in KiB: what NEGATIVE.md allows for a bomb, with room for a build without optimisation.
const ROOM: u64 = 64 << 10;

/// The largest JSON document, in KiB.
const DOCUMENT: u64 = 64 << 10;

/// Does `act` and fails when the node's memory went up by more than [`ROOM`] at any moment.
pub async fn within_memory<T>(node: &Lone, act: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    within(node, ROOM, act).await
}

/// The same for `room` KiB.
async fn within<T>(node: &Lone, room: u64, act: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let (before, _) = node.memory()?;
    node.forget_peak()?;
    let done = act.await?;
    let (after, peak) = node.memory()?;
    println!("memory: {before} KiB before, {peak} KiB at most, {after} KiB after");
    ensure!(peak < before + room, "{before} KiB before, {peak} KiB at most");
    Ok(done)
}

/// `count` pieces of `piece`, after `first`.
fn repeated(first: &[u8], piece: Vec<u8>, count: usize) -> reqwest::Body {
    let piece = Bytes::from(piece);
    let pieces = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone())).take(count);
    reqwest::Body::wrap_stream(futures::stream::iter([Ok(Bytes::copy_from_slice(first))]).chain(pieces))
}

#[tokio::test]
async fn c01_a_header_that_does_not_end_in_its_time_ends_the_connection() -> anyhow::Result<()> {
    let case = Case::open(narrow()?, "c01").await?;
    let started = Instant::now();
    for sent in ["", "GET /v1/datasets HT", "GET /v1/datasets HTTP/1.1\r\nhost: local"] {
        let mut stream = case.node.connect(&case.producer.tls, "http/1.1").await?;
        let (came, closed) = converse(&mut stream, sent.as_bytes()).await?;
        ensure!(closed, "{sent}: still open after {:?}", started.elapsed());
        ensure!(came.is_empty() || came.starts_with("HTTP/1.1 408"), "{came}");
    }
    case.is_unharmed().await
}

#[tokio::test]
async fn c01_a_header_that_comes_byte_by_byte_ends_the_connection() -> anyhow::Result<()> {
    let case = Case::open(narrow()?, "c01b").await?;
    let mut stream = case.node.connect(&case.producer.tls, "http/1.1").await?;
    let started = Instant::now();
    stream.write_all(b"GET /v1/datasets HTTP/1.1\r\nx: ").await?;
    while stream.write_all(b"a").await.is_ok() && stream.flush().await.is_ok() {
        ensure!(started.elapsed() < PATIENCE, "a slow header keeps its connection");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    case.is_unharmed().await
}

#[tokio::test]
async fn c02_a_body_that_stalls_is_answered_408_and_its_key_is_free_again() -> anyhow::Result<()> {
    let mut case = Case::open(narrow()?, "c02").await?;
    let stalled = futures::stream::iter([Ok::<_, std::io::Error>(HEADER)]).chain(futures::stream::pending());
    let answer = Answer::of(case.push("c02", reqwest::Body::wrap_stream(stalled))).await?;
    let seen = case.refused(&answer).await?;
    insta::assert_snapshot!("C02", seen);
    let again = Answer::of(case.push("c02", GOOD)).await?;
    ensure!(again.status == 201, "{}", again.body);
    case.expect_rows(4);
    case.is_unharmed().await
}

#[tokio::test]
async fn c02_a_body_that_drips_for_a_minute_is_answered_408() -> anyhow::Result<()> {
    let case = Case::open(narrow()?, "c02b").await?;
    let drops = futures::stream::unfold(0_u32, |number| async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        Some((Ok::<_, std::io::Error>(format!("A{number},,1,,,x\n")), number + 1))
    });
    let body = futures::stream::iter([Ok(HEADER.to_owned())]).chain(drops);
    let started = Instant::now();
    let answer = Answer::of(case.push("c02b", reqwest::Body::wrap_stream(body))).await?;
    ensure!((answer.status, answer.problem()) == (408, "timeout"), "{}", answer.body);
    ensure!(started.elapsed() > Duration::from_secs(55), "a slow link gets its minute: {:?}", started.elapsed());
    case.refused(&answer).await?;
    Ok(())
}

#[tokio::test]
async fn c06_a_body_that_announces_more_than_the_limit_is_answered_413_before_it_is_read() -> anyhow::Result<()> {
    let case = Case::open(narrow()?, "c06").await?;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: text/csv\r\n\
         idempotency-key: c06\r\ncontent-length: 1000000000\r\n\r\n",
        case.path(),
        case.producer.token,
    );
    let mut stream = case.node.connect(&case.producer.tls, "http/1.1").await?;
    let (came, closed) = converse(&mut stream, head.as_bytes()).await?;
    ensure!(came.starts_with("HTTP/1.1 413") && came.contains("urn:simpul:problem:too_large"), "{came}");
    ensure!(closed, "the connection waits for a body that is refused");
    let answer = Answer::of(case.push("c06", vec![b'x'; (256 << 10) + 1])).await?;
    let seen = case.refused(&answer).await?;
    insta::assert_snapshot!("C06", seen);
    Ok(())
}

#[tokio::test]
async fn c07_a_body_that_passes_the_limit_without_announcing_it_is_answered_413() -> anyhow::Result<()> {
    let case = Case::open(narrow()?, "c07").await?;
    let rows = format!("A3,,1,,,{}\n", "x".repeat(990)).repeat(16).into_bytes();
    let answer = Answer::of(case.push("c07", repeated(HEADER.as_bytes(), rows, 1000))).await?;
    let seen = case.refused(&answer).await?;
    insta::assert_snapshot!("C07", seen);
    Ok(())
}

#[tokio::test]
async fn c08_a_gigabyte_in_a_megabyte_of_gzip_is_answered_413_with_flat_memory() -> anyhow::Result<()> {
    let (node, _turn) = watched().await?;
    let case = Case::open(node, "c08-gzip").await?;
    let member = gzip("\n".repeat(1 << 20).as_bytes())?;
    ensure!(member.len() < 8 << 10, "{} bytes", member.len());
    let first = gzip(format!("{HEADER}A3,,1,,,x\n").as_bytes())?;
    let body = repeated(&first, member, 1024);
    let answer = within_memory(node, Answer::of(case.push("c08", body).header("content-encoding", "gzip"))).await?;
    let seen = case.refused(&answer).await?;
    insta::assert_snapshot!("C08_gzip", seen);
    Ok(())
}

#[tokio::test]
async fn c08_a_gigabyte_in_33_kb_of_zstd_is_answered_413_with_flat_memory() -> anyhow::Result<()> {
    let (node, _turn) = watched().await?;
    let case = Case::open(node, "c08-zstd").await?;
    let bomb = zstd(23, format!("{HEADER}A3,,1,,,x\n").as_bytes(), b'\n', 8192);
    ensure!(bomb.len() < 34_000, "{} bytes", bomb.len());
    let answer = within_memory(node, Answer::of(case.push("c08", bomb).header("content-encoding", "zstd"))).await?;
    let seen = case.refused(&answer).await?;
    insta::assert_snapshot!("C08_zstd", seen);
    Ok(())
}

#[tokio::test]
async fn c08_many_bombs_at_once_take_what_they_take_one_by_one_and_others_are_served() -> anyhow::Result<()> {
    let (node, _turn) = watched().await?;
    let case = Case::open(node, "c08-banyak").await?;
    let bomb = zstd(23, HEADER.as_bytes(), b'\n', 8192);
    let storm = async {
        let send = |index: usize| {
            let push = case.push(&format!("bom-{index}"), bomb.clone()).header("content-encoding", "zstd");
            async move { anyhow::Ok(Answer::of(push).await?.status) }
        };
        let statuses: Vec<_> = futures::stream::iter(0..simpul_tests::count("SIMPUL_E2E_BOMBS", 6))
            .map(send)
            .buffer_unordered(24)
            .collect()
            .await;
        // More of one sender at a time than its share are told to wait.
        let statuses = statuses.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        let refused = statuses.iter().filter(|status| **status == 413).count();
        ensure!(refused > 0 && statuses.iter().all(|status| [413, 429].contains(status)), "{statuses:?}");
        Ok(())
    };
    // Eight deliveries are read at a time, and each may hold a window of 8 MiB.
    let (before, _) = node.memory()?;
    node.forget_peak()?;
    let over = AtomicBool::new(false);
    let storm = async {
        let done = storm.await;
        over.store(true, Ordering::SeqCst);
        done
    };
    let others = async {
        let mut served = 0;
        while !over.load(Ordering::SeqCst) {
            case.rows().await?;
            served += 1;
        }
        anyhow::Ok(served)
    };
    let (storm, served) = futures::join!(storm, others);
    storm?;
    let (served, (_, peak)) = (served?, node.memory()?);
    println!("memory: {before} KiB before, {peak} KiB at most; {served} other answers meanwhile");
    // 33 kB on the wire may not become 64 MiB of refused rows on the disk either.
    let kept = fs::read_dir(node.folder().path().join("node/data/quarantine"))?.flatten();
    let kept: u64 = kept.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
    ensure!(kept < 1 << 20, "{kept} bytes stay in quarantine");
    ensure!(served > 5, "another client was served {served} times while the bombs were read");
    ensure!(peak < before + ((8 * 8) << 10) + ROOM, "{before} KiB before, {peak} KiB at most");
    case.is_unharmed().await
}

#[tokio::test]
async fn d04_a_cell_of_a_gibibyte_is_refused_with_flat_memory() -> anyhow::Result<()> {
    let (node, _turn) = watched().await?;
    let case = Case::open(node, "d04-gib").await?;
    let first = format!("{HEADER}A3,,1,,,\"");
    let push = case.push("gib", repeated(first.as_bytes(), vec![b'x'; 1 << 20], 1023));
    let answer = within_memory(node, Answer::of(push)).await?;
    ensure!((answer.status, answer.problem()) == (422, "file_invalid"), "{}", answer.body);
    let error = &answer.body["errors"][0];
    ensure!(error["place"]["row"] == 2, "the row is not named: {}", answer.body);
    case.refused(&answer).await?;
    Ok(())
}

#[tokio::test]
async fn d04_a_row_of_100_mb_is_refused_at_its_limit_with_flat_memory() -> anyhow::Result<()> {
    let (node, _turn) = watched().await?;
    let case = Case::open(node, "d04-baris").await?;
    let quoted = format!("{HEADER}A3,,1,,,\"").into_bytes();
    let cells = "x,".repeat(32 << 10).into_bytes();
    let mut lines = Vec::new();
    for (what, first, piece) in [
        ("one-cell", HEADER.into(), vec![b'x'; 64 << 10]),
        ("one-quoted-cell", quoted, vec![b'\n'; 64 << 10]),
        ("a-row-of-cells", HEADER.into(), cells.clone()),
        ("a-header-of-cells", Vec::new(), cells),
        ("a-header-of-one-name", Vec::new(), vec![b'x'; 64 << 10]),
    ] {
        let push = case.push(what, repeated(&first, piece, 1600));
        let answer = within_memory(node, Answer::of(push)).await.context(what)?;
        ensure!([413, 422].contains(&answer.status), "{what}: {}", answer.body);
        case.refused(&answer).await.context(what)?;
        let errors = answer.body["errors"].as_array().and_then(|errors| errors.last()).cloned().unwrap_or_default();
        ensure!(errors["message"].is_string(), "{what}: {}", answer.body);
        lines.push(format!("{what}: {} {} {}", answer.status, answer.problem(), errors["message"]));
    }
    insta::assert_snapshot!("D04_100_MB", lines.join("\n"));
    Ok(())
}

#[tokio::test]
async fn d04_a_million_columns_are_refused_with_flat_memory() -> anyhow::Result<()> {
    let (node, _turn) = watched().await?;
    let case = Case::open(node, "d04-kolom").await?;
    let names: String = (0..1_000_000).map(|column| format!("k{column},")).collect();
    let body = format!("{names}akhir\n{}\n", ",".repeat(1_000_000));
    let answer = within_memory(node, Answer::of(case.push("kolom", body))).await?;
    let seen = case.refused(&answer).await?;
    insta::assert_snapshot!("D04_columns", seen);
    Ok(())
}

#[tokio::test]
async fn d18_100_mb_of_json_in_one_line_are_refused_with_flat_memory() -> anyhow::Result<()> {
    let (node, _turn) = watched().await?;
    let case = Case::open(node, "d18-baris").await?;
    for (media, what, first, piece) in [
        ("application/x-ndjson", "value", &b"{\"kode\":\""[..], vec![b'x'; 64 << 10]),
        ("application/x-ndjson", "depth", b"{\"kode\":", vec![b'['; 64 << 10]),
        ("application/x-ndjson", "names", b"{", "\"a\":1,".repeat(10_000).into_bytes()),
        ("application/json", "value-in-document", b"[{\"kode\":\"", vec![b'x'; 64 << 10]),
        ("application/json", "depth-of-document", b"[", vec![b'['; 64 << 10]),
    ] {
        let request = case.producer.request(Method::POST, &case.path()).header("content-type", media);
        let push = request.header("idempotency-key", what).body(repeated(first, piece, 1600));
        // A document is read as a whole, up to 64 MiB.
        let room = if media == "application/json" { ROOM + DOCUMENT } else { ROOM };
        let answer = within(node, room, Answer::of(push)).await.context(what)?;
        ensure!([413, 422].contains(&answer.status), "{what}: {} {}", answer.status, answer.body);
        case.refused(&answer).await.context(what)?;
    }
    Ok(())
}

#[tokio::test]
async fn c26_over_quota_is_answered_429_with_a_time_while_another_client_goes_on() -> anyhow::Result<()> {
    let case = Case::open(narrow()?, "c26").await?;
    let who = "64.02.dinsos/rakus";
    let greedy = case.client(who, &["deliver", "read"], &json!({})).await?;
    let quota = json!({"roles": ["producer"], "quota": {"per_second": 2, "burst": 5}});
    case.admin.put(Method::PUT, &format!("/v1/admin/clients/{who}"), &quota).await?;
    let path = format!("/v1/datasets/{}", case.dataset);
    let mut refused = None;
    for _ in 0..20 {
        let answer = greedy.get(&path).await?;
        ensure!([200, 429].contains(&answer.status), "{}", answer.body);
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        ensure!(answer.header("ratelimit").starts_with("\"client\";r="), "{:?}", answer.headers);
    }
    let answer = refused.context("twenty requests in a row and a burst of five")?;
    let wait: u64 = answer.header("retry-after").parse()?;
    let reset: u64 = answer.header("ratelimit").rsplit_once("t=").context("t")?.1.parse()?;
    ensure!(wait >= reset && wait >= 1, "{:?}", answer.headers);
    let seen = case.refused(&answer).await?;
    insta::assert_snapshot!("C26", seen);
    // Whoever waits as told is served.
    tokio::time::sleep(Duration::from_secs(wait)).await;
    ensure!(greedy.get(&path).await?.status == 200);

    let flood = async {
        let send = |_| async { greedy.get(&path).await.map(|answer| answer.status) };
        futures::stream::iter(0..300).map(send).buffer_unordered(20).collect::<Vec<_>>().await
    };
    let others = async {
        for _ in 0..30 {
            ensure!(case.producer.get(&path).await?.status == 200);
        }
        Ok(())
    };
    let (statuses, others) = futures::join!(flood, others);
    others?;
    let served = statuses.iter().filter(|status| matches!(status, Ok(200))).count();
    ensure!(served < 60, "{served} of 300 served at 2 a second");
    Ok(())
}

#[tokio::test]
async fn c26_the_quota_of_an_agreement_holds_besides_the_clients() -> anyhow::Result<()> {
    let case = Case::open(narrow()?, "c26b").await?;
    let quota = json!({"quota": {"per_second": 1, "burst": 2}});
    let reader = case.client("64.02.dinsos/hemat", &["read"], &quota).await?;
    let path = format!("/v1/datasets/{}/records", case.dataset);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(reader.get(&path).await?.status);
    }
    ensure!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    case.is_unharmed().await
}

#[tokio::test]
async fn c27_a_client_with_a_burst_of_one_is_refused_once_and_then_served() -> anyhow::Result<()> {
    let mut case = Case::open(narrow()?, "c27").await?;
    let who = "64.02.dinsos/satu";
    let slow = case.client(who, &["deliver", "read"], &json!({})).await?;
    let quota = json!({"roles": ["producer"], "quota": {"per_second": 1, "burst": 1}});
    case.admin.put(Method::PUT, &format!("/v1/admin/clients/{who}"), &quota).await?;
    let rows = format!("{HEADER}{}", "A3,,1,,,x\n".repeat(20_000));
    let push = || {
        let request = slow.request(Method::POST, &case.path()).header("content-type", "text/csv");
        request.header("idempotency-key", "c27").body(rows.clone())
    };
    // A body counts as one request, however large it is.
    let first = Answer::of(push()).await?;
    ensure!(first.status == 201, "{}", first.body);
    let (second, third) = futures::join!(Answer::of(push()), Answer::of(push()));
    let (second, third) = (second?, third?);
    let refused = if second.status == 429 { second } else { third };
    ensure!(refused.status == 429, "two of three at once were served: {}", shown(&refused));
    tokio::time::sleep(Duration::from_secs(refused.header("retry-after").parse()?)).await;
    ensure!(Answer::of(push()).await?.status == 201);
    case.expect_rows(20_002);
    case.is_unharmed().await
}

/// A small disk of its own, unmounted at the end.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: &Path, options: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(path)?;
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs", text(path)?]).status()?;
        ensure!(status.success(), "mounting needs root");
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn e09_a_full_disk_is_answered_507_and_nothing_is_half_there_until_space_is_free_again() -> anyhow::Result<()> {
    let setup = Setup::default().with("limits.free_bytes", 0).with("node.data", "\"disk/data\"");
    let folder = Folder::make(&setup)?;
    let disk = Disk::mount(&folder.path().join("node/disk"), "size=48m")?;
    let node = Lone::start_in(folder, &[])?;
    let mut case = Case::open(&node, "e09").await?;
    let landed = Answer::of(case.push("sebelum", GOOD)).await?;
    ensure!(landed.status == 201, "{}", landed.body);
    case.expect_rows(4);

    let filler = disk.0.join("filler");
    let free = statvfs(&disk.0)?;
    // Room for the journal and the audit log and not for the rows.
    fs::write(&filler, vec![1_u8; usize::try_from(free.saturating_sub(3 << 20))?])?;
    let value = |row: usize| format!("{:016x}", (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let rows: String =
        (0..300_000).map(|row| format!("{},,{row},,,{}{}\n", value(row), value(row + 7), value(row * 3))).collect();
    let large = format!("{HEADER}{rows}");
    let refused = Answer::of(case.push("besar", large.clone())).await?;
    ensure!((refused.status, refused.problem()) == (507, "no_space"), "{} {}", refused.status, refused.body);
    insta::assert_snapshot!("E09", shown(&refused));
    ensure!(case.rows().await? == 4);

    // To the last byte: whatever is answered, nothing is acknowledged that is not there.
    let rest = usize::try_from(statvfs(&disk.0)?)?;
    fs::write(disk.0.join("filler2"), vec![1_u8; rest])?;
    let mut statuses = Vec::new();
    for index in 0..5 {
        let answer = Answer::of(case.push(&format!("penuh-{index}"), GOOD)).await?;
        statuses.push(answer.status);
        ensure!([503, 507].contains(&answer.status), "{} {}", answer.status, answer.body);
    }
    fs::remove_file(disk.0.join("filler2"))?;
    fs::remove_file(&filler)?;
    let recovered = async {
        loop {
            let answer = Answer::of(case.push("besar", large.clone())).await?;
            if answer.status == 201 {
                return anyhow::Ok(answer);
            }
            println!("not yet: {} {}", answer.status, answer.problem());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let held = || files(&disk.0).unwrap_or_default();
    let recovered = tokio::time::timeout(PATIENCE, recovered).await;
    let answer = recovered.with_context(|| format!("no recovery without a restart: {}", held()))??;
    ensure!(answer.body["rows"]["accepted"] == 300_000, "{}", answer.body["rows"]);
    case.expect_rows(300_004);
    for index in 0..5 {
        let answer = Answer::of(case.push(&format!("penuh-{index}"), GOOD)).await?;
        ensure!(answer.status == 201, "{statuses:?}: {}", answer.body);
    }
    case.expect_rows(300_014);
    case.is_unharmed().await?;
    let export = node.folder().path().join("audit.txt");
    fs::write(&export, case.admin.get("/v1/audit/export").await?.bytes)?;
    simpul(&["audit", "verify", text(&export)?])?;
    drop(case);
    drop(node);
    drop(disk);
    Ok(())
}

/// What lies on a disk, for the message of a failure.
fn files(path: &Path) -> anyhow::Result<String> {
    let output = Command::new("find").args([text(path)?, "-type", "f", "-printf", "%s %P\n"]).output()?;
    Ok(format!("{} bytes free\n{}", statvfs(path)?, String::from_utf8_lossy(&output.stdout)))
}

/// Free bytes, as `df` tells.
fn statvfs(path: &Path) -> anyhow::Result<u64> {
    let output = Command::new("df").args(["--output=avail", "-B1", text(path)?]).output()?;
    let figure = String::from_utf8(output.stdout)?;
    Ok(figure.lines().nth(1).context("df")?.trim().parse()?)
}

#[tokio::test]
async fn e09_below_the_configured_free_space_deliveries_are_answered_507_and_reading_goes_on() -> anyhow::Result<()> {
    let node = Lone::start(Setup::default().with("limits.free_bytes", 64 << 20).with("node.data", "\"data\""))?;
    drop(Case::open(&node, "e09b").await?);
    let folder = node.kill();
    let config = fs::read_to_string(folder.config())?
        .replace("free_bytes = 67108864\n", &format!("free_bytes = {}\n", i64::MAX));
    fs::write(folder.config(), config)?;
    let node = Lone::start_in(folder, &[])?;
    let producer = node.caller(crate::lone::PRODUCER, "exchange").await?;
    let path = "/v1/datasets/uji-e09b";
    let request = producer.request(Method::POST, &format!("{path}/deliveries")).header("content-type", "text/csv");
    let answer = Answer::of(request.header("idempotency-key", "x").body(GOOD)).await?;
    ensure!((answer.status, answer.problem()) == (507, "no_space"), "{}", answer.body);
    let records = producer.get(&format!("{path}/records")).await?;
    ensure!(records.body["records"].as_array().is_some_and(|records| records.len() == 2), "{}", records.body);
    Ok(())
}

#[test]
fn e11_a_data_folder_that_cannot_be_written_ends_the_start_with_73() -> anyhow::Result<()> {
    let folder = Folder::make(&Setup::default().with("node.data", "\"disk/data\""))?;
    let disk = Disk::mount(&folder.path().join("node/disk"), "size=1m,ro")?;
    let (status, said) = folder.serve_to_its_end()?;
    ensure!(status == 73, "{status}: {said}");
    ensure!(said.contains("disk/data"), "the folder is not named: {said}");
    drop(disk);
    Ok(())
}

#[tokio::test]
async fn e11_a_data_folder_that_becomes_read_only_ends_the_next_start_with_73() -> anyhow::Result<()> {
    let folder = Folder::make(&Setup::default().with("node.data", "\"disk/data\""))?;
    let disk = Disk::mount(&folder.path().join("node/disk"), "size=32m")?;
    let node = Lone::start_in(folder, &[])?;
    let folder = node.kill();
    let remounted = Command::new("mount").args(["-o", "remount,ro", text(&disk.0)?]).status()?;
    ensure!(remounted.success());
    let (status, said) = folder.serve_to_its_end()?;
    ensure!(status == 73, "{status}: {said}");
    drop(disk);
    Ok(())
}

#[tokio::test]
async fn e12_a_second_process_on_the_same_data_folder_ends_with_75_and_the_first_goes_on() -> anyhow::Result<()> {
    let node = Lone::start(Setup::default())?;
    let (status, said) = node.folder().serve_to_its_end()?;
    ensure!(status == 75, "{status}: {said}");
    ensure!(!said.contains("panicked"), "{said}");
    ensure!(node.admin().await?.get("/health/ready").await?.status == 200);
    Ok(())
}

/// Changes the folder of a node, and expects that it refuses to start with 78 and says each of `words`.
fn refused(change: impl FnOnce(&Folder) -> anyhow::Result<()>, words: &[&str]) -> anyhow::Result<()> {
    let folder = Folder::make(&Setup::default())?;
    change(&folder)?;
    let (status, said) = folder.serve_to_its_end()?;
    ensure!(status == 78, "{status}: {said}");
    for word in words {
        ensure!(said.contains(word), "«{word}» is missing: {said}");
    }
    ensure!(!said.contains("panicked") && !said.contains("PRIVATE KEY"), "{said}");
    ensure!(
        !folder.path().join("node/data/simpul.sqlite").exists() || words.is_empty(),
        "the node opened its store: {said}"
    );
    Ok(())
}

/// Adds a line to a section and gives the number of that line.
fn add(folder: &Folder, section: &str, line: &str) -> anyhow::Result<usize> {
    let config = fs::read_to_string(folder.config())?;
    let head = format!("[{section}]\n");
    let config = config.replacen(&head, &format!("{head}{line}\n"), 1);
    fs::write(folder.config(), &config)?;
    let number = config.lines().position(|found| found == line).context("the line")?;
    Ok(number + 1)
}

#[test]
fn e01_an_unknown_key_in_the_configuration_is_refused_with_its_line() -> anyhow::Result<()> {
    let folder = Folder::make(&Setup::default())?;
    let line = add(&folder, "limits", "bodi_bytes = 5")?;
    let (status, said) = folder.serve_to_its_end()?;
    ensure!(status == 78, "{status}: {said}");
    ensure!(said.contains(&format!("simpul.toml:{line}:")) && said.contains("bodi_bytes"), "line {line}: {said}");
    Ok(())
}

#[test]
fn e08_a_value_that_makes_no_sense_is_refused_with_its_line() -> anyhow::Result<()> {
    for (section, wrong) in [
        ("limits", "columns = 0"),
        ("limits", "body_bytes = -1"),
        ("limits", "header_s = \"ten\""),
        ("limits", "cell_bytes = 8388608"),
        ("token", "lifetime_s = 999999"),
        ("node", "store = \"mysql://x\""),
        ("log", "json = \"yes\""),
    ] {
        let folder = Folder::make(&Setup::default())?;
        // A small row makes the large cell senseless.
        if wrong.starts_with("cell") {
            add(&folder, "limits", "row_bytes = 1048576")?;
        }
        let line = add(&folder, section, wrong)?;
        let (status, said) = folder.serve_to_its_end()?;
        ensure!(status == 78, "{wrong}: {status}: {said}");
        ensure!(said.contains(&format!("simpul.toml:{line}:")), "{wrong}, line {line}: {said}");
    }
    Ok(())
}

#[test]
fn e02_a_key_that_others_may_read_is_refused() -> anyhow::Result<()> {
    refused(
        |folder| {
            let key = folder.path().join("node/pki/node.key");
            Ok(fs::set_permissions(key, fs::Permissions::from_mode(0o644))?)
        },
        &["node.key"],
    )
}

/// Issues a certificate of the node for `days` from `at` and puts its files where `names` say.
fn reissue(folder: &Folder, at: i64, days: u32, certificate: bool, key: bool) -> anyhow::Result<()> {
    let when = now().plus_seconds(at);
    let ca = Ca::open(&folder.ca_dir(), when)?;
    let identity: Identity = "spiffe://satudata.test/64.02.diskominfo/simpul".parse()?;
    let issued = ca.issue(&IssueRequest::node(identity, vec!["localhost".to_owned()], Vec::new(), days), when)?;
    let pki = folder.path().join("node/pki");
    if certificate {
        fs::write(pki.join("node.crt"), &issued.certificate.chain_pem)?;
    }
    if key {
        fs::write(pki.join("node.key"), issued.key_pem.as_bytes())?;
    }
    Ok(())
}

#[test]
fn e03_a_certificate_of_another_key_is_refused() -> anyhow::Result<()> {
    refused(|folder| reissue(folder, 0, 10, true, false), &["node.key"])
}

#[test]
fn e04_an_expired_certificate_is_refused() -> anyhow::Result<()> {
    refused(|folder| reissue(folder, -10 * 86_400, 1, true, true), &["renew"])
}

#[test]
fn e05_an_empty_bundle_or_none_is_refused() -> anyhow::Result<()> {
    refused(|folder| Ok(fs::write(bundle(folder)?, "")?), &["bundle"])?;
    refused(|folder| Ok(fs::remove_file(bundle(folder)?)?), &["bundle"])
}

/// The bundle that the node's configuration names.
fn bundle(folder: &Folder) -> anyhow::Result<PathBuf> {
    let config = fs::read_to_string(folder.config())?;
    let named = config.lines().find_map(|line| line.strip_prefix("ca = ")).context("tls.ca")?;
    let path = folder.path().join("node").join(named.trim_matches('"'));
    ensure!(path.exists(), "{}", path.display());
    Ok(path)
}

#[test]
fn e01_a_configuration_that_is_missing_or_no_toml_is_refused() -> anyhow::Result<()> {
    refused(|folder| Ok(fs::remove_file(folder.config())?), &["simpul init"])?;
    refused(|folder| Ok(fs::write(folder.config(), "[node\nagency = \u{0}")?), &["simpul.toml:1:"])
}
