//! What the audit log costs. Not run by default:
//! `cargo test --release -p simpul-store --test audit_speed -- --ignored --nocapture`, in `SIMPUL_AUDIT_DIR`
//! if that is set (a real disk), with `SIMPUL_AUDIT_ENTRIES` entries to export (1,000,000).

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::io::BufReader;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use simpul_core::audit::{EntryDraft, Outcome, VerifyOptions, verify_export};
use simpul_core::time::Timestamp;
use simpul_store::audit_log::{AuditLog, AuditOptions, verify_ed25519};

const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

fn folder() -> tempfile::TempDir {
    let parent = std::env::var_os("SIMPUL_AUDIT_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(parent).unwrap()
}

fn options(dir: &tempfile::TempDir) -> AuditOptions {
    AuditOptions::new(dir.path().join("log"), "satudata.test/64.02.diskominfo/audit".parse().unwrap())
}

fn draft(nth: u64) -> EntryDraft {
    EntryDraft::new(
        "spiffe://satudata.test/64.02.diskominfo/simpeg",
        "access.grant",
        "penduduk-wilayah",
        Outcome::Granted,
    )
    .because("agreement")
    .with("agreement", "pks-bps-2026")
    .with("row", nth)
}

async fn callers(log: &Arc<AuditLog>, callers: usize, time: Duration) -> Vec<Duration> {
    let end = Instant::now() + time;
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let log = Arc::clone(log);
            tokio::spawn(async move {
                let mut waits = Vec::new();
                while Instant::now() < end {
                    let start = Instant::now();
                    log.append(draft(1), NOW).await.unwrap();
                    waits.push(start.elapsed());
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await.unwrap());
    }
    waits.sort_unstable();
    waits
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn appends_with_1_and_32_and_256_callers() {
    for count in [1, 32, 256] {
        let dir = folder();
        let log = Arc::new(AuditLog::open(options(&dir)).unwrap());
        let time = Duration::from_secs(5);
        let waits = callers(&log, count, time).await;
        let (p50, p99) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
        let rate = waits.len() as f64 / time.as_secs_f64();
        println!("{count} callers: {rate:.0} appends/s, p50 {p50:?}, p99 {p99:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn a_large_log_opens_exports_and_verifies() {
    let entries: u64 = std::env::var("SIMPUL_AUDIT_ENTRIES").map_or(1_000_000, |text| text.parse().unwrap());
    let dir = folder();
    let log = Arc::new(AuditLog::open(options(&dir)).unwrap());
    let tasks: Vec<_> = (0..512)
        .map(|task| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                for nth in (task..entries).step_by(512) {
                    log.append(draft(nth), NOW).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    drop(log);
    let start = Instant::now();
    let log = AuditLog::open(options(&dir)).unwrap();
    println!("opened {entries} entries in {:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(log.check_everything(), Ok(entries));
    println!("checked everything in {:?}", start.elapsed());
    let (start, path) = (Instant::now(), dir.path().join("export"));
    log.export(std::fs::File::create(&path).unwrap(), NOW).unwrap();
    println!("exported {} MB in {:?}", std::fs::metadata(&path).unwrap().len() / 1_000_000, start.elapsed());
    let start = Instant::now();
    let file = BufReader::with_capacity(1 << 17, std::fs::File::open(&path).unwrap());
    let verified = verify_export(file, &VerifyOptions::default(), &verify_ed25519).unwrap();
    println!("verified {} entries in {:?}", verified.entries, start.elapsed());
    println!("proof of entry 5: {} bytes", log.proof(5).unwrap().unwrap().to_text().len());
}
