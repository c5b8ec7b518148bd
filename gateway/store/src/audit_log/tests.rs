//! The log on a real folder: group commit, crashes, failing disks, and entries that somebody changed.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use simpul_core::audit::{Checkpoint, Entry, EntryDraft, Outcome, VerifyOptions, compare, verify_export};
use simpul_core::time::Timestamp;

use super::writer::Step;
use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

fn options(dir: &Path) -> AuditOptions {
    let mut options = AuditOptions::new(dir, "satudata.test/64.02.diskominfo/audit".parse().unwrap());
    options.per_segment = 512;
    options
}

fn draft(object: impl ToString) -> EntryDraft {
    EntryDraft::new("system", "test.act", object.to_string(), Outcome::Done).with("n", 1_u64)
}

async fn fill(log: &Arc<AuditLog>, count: usize) {
    let tasks: Vec<_> = (0..count)
        .map(|nth| {
            let log = Arc::clone(log);
            tokio::spawn(async move { log.append(draft(nth), NOW).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn filled(dir: &Path, count: usize) -> Arc<AuditLog> {
    let log = Arc::new(AuditLog::open(options(dir)).unwrap());
    fill(&log, count).await;
    log
}

fn contradiction(dir: &Path) -> u64 {
    match AuditLog::open(options(dir)).err() {
        Some(AuditError::Contradiction { index, .. }) => index,
        other => panic!("expected a contradiction, found {other:?}"),
    }
}

/// The bytes of record `index` within its file.
fn record_range(dir: &Path, index: u64) -> (std::path::PathBuf, Range<usize>) {
    let layout = Layout { dir: dir.to_owned(), per_segment: 512 };
    let first = layout.segment_of(index);
    let mut records = files::Records::open(layout.segment(first)).unwrap();
    for _ in first..index {
        assert!(records.skip().unwrap());
    }
    let start = usize::try_from(records.offset).unwrap();
    records.skip().unwrap();
    (layout.segment(first), start..usize::try_from(records.offset).unwrap())
}

/// Changes the entry at `index` as an attacker would who knows the format: the checksum is right.
fn forge(dir: &Path, index: u64) {
    let (path, range) = record_range(dir, index);
    let mut bytes = fs::read(&path).unwrap();
    let entry = bytes[range.start + files::HEADER..range.end].to_vec();
    let forged = String::from_utf8(entry).unwrap().replace("\"n\":1", "\"n\":7");
    let mut record = Vec::new();
    files::push_record(&mut record, forged.as_bytes(), bytes[range.start + 8] == 1);
    assert_eq!(record.len(), range.len());
    bytes[range].copy_from_slice(&record);
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_entries_of_32_tasks_stand_once_each_without_gap() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(AuditLog::open(options(dir.path())).unwrap());
    let tasks: Vec<_> = (0..32)
        .map(|task| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for nth in 0..32 {
                    let object = format!("{task}/{nth}");
                    answers.push((log.append(draft(&object), NOW).await.unwrap(), object));
                }
                answers
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.extend(task.await.unwrap());
    }
    answers.sort_by_key(|(appended, _)| appended.index);
    drop(log);
    let log = AuditLog::open(options(dir.path())).unwrap();
    assert_eq!(log.opened(), Opened { entries: 1024, torn: None, rebuilt: false });
    let entries: Vec<Entry> = log.entries(0..u64::MAX).collect::<Result<_, _>>().unwrap();
    assert_eq!(entries.len(), answers.len());
    for ((entry, (appended, object)), index) in entries.iter().zip(&answers).zip(0_u64..) {
        assert_eq!((entry.seq, appended.index, &entry.object), (index, index, object));
        assert_eq!(appended.leaf_hash, simpul_core::audit::tree::leaf_hash(entry.encode().as_bytes()));
    }
    assert_eq!(log.check_everything(), Ok(1024));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_while_others_write_sees_only_good_entries() {
    let dir = tempfile::tempdir().unwrap();
    let log = Arc::new(AuditLog::open(options(dir.path())).unwrap());
    let reader = {
        let log = Arc::clone(&log);
        std::thread::spawn(move || {
            while log.size() < 1100 {
                let size = log.size();
                assert_eq!(log.entries(size.saturating_sub(5)..u64::MAX).find_map(Result::err), None);
                assert!(log.proof(size / 2).is_ok());
                assert!(log.find_last(3, |_| false).is_ok());
            }
        })
    };
    for _ in 0..55 {
        fill(&log, 20).await;
    }
    reader.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_works_from_both_ends_across_files() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), 1500).await;
    let forwards: Vec<Entry> = log.entries(300..1400).collect::<Result<_, _>>().unwrap();
    assert_eq!(forwards.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (300..1400).collect::<Vec<_>>());
    let backwards: Vec<Entry> = log.newest_first().collect::<Result<_, _>>().unwrap();
    assert_eq!(backwards.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (0..1500).rev().collect::<Vec<_>>());
    assert_eq!(log.find_last(u64::MAX, |entry| entry.seq % 700 == 0).unwrap().map(|entry| entry.seq), Some(1400));
    assert_eq!(log.find_last(50, |entry| entry.seq % 700 == 0), Ok(None));
    assert_eq!(log.entries(5000..6000).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_has_a_proof_and_every_older_log_a_consistency_proof() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), 300).await;
    let old = Checkpoint::open(&log.checkpoint(), log.key(), &verify_ed25519).unwrap();
    fill(&log, 800).await;
    for index in [0, 255, 256, 299, 300, 1023, 1024, 1099] {
        let entry = log.entries(index..index + 1).next().unwrap().unwrap();
        let proof = log.proof(index).unwrap().unwrap();
        assert_eq!(proof.verify(&entry, log.key(), &verify_ed25519), Ok(true), "{index}");
        assert!(proof.to_text().len() <= 1500);
    }
    assert_eq!(log.proof(1100), Ok(None));
    let (proof, note) = log.consistency(old.size).unwrap().unwrap();
    let new = Checkpoint::open(&note, log.key(), &verify_ed25519).unwrap();
    assert_eq!((old.size, new.size), (300, 1100));
    assert_eq!(compare(&old, &new, &proof), Ok(()));
    assert_eq!(log.consistency(1101), Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_verifies_with_the_pinned_key() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), 1300).await;
    let mut file = Vec::new();
    let exported = log.export(&mut file, NOW).unwrap();
    let pinned = VerifyOptions { pinned: Some(log.key().clone()), remembered: None };
    let verified = verify_export(file.as_slice(), &pinned, &verify_ed25519).unwrap();
    assert_eq!((verified.entries, verified.root, verified.pinned), (1300, exported.root, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_entry_is_named_when_the_log_opens() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 700).await);
    forge(dir.path(), 600);
    assert_eq!(contradiction(dir.path()), 600);
    // With the cached hash forged too, the signed root still refuses it.
    let leaves = dir.path().join("leaves");
    fs::remove_file(&leaves).unwrap();
    assert!(contradiction(dir.path()) <= 600, "the first entry behind the last checkpoint that still fits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_entry_in_an_older_file_is_named_when_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 1200).await);
    forge(dir.path(), 100);
    let log = AuditLog::open(options(dir.path())).unwrap();
    let named = Err(AuditError::Contradiction { index: 100, what: "the entry was changed" });
    assert_eq!(log.check_everything(), named);
    assert_eq!(log.export(io::sink(), NOW).map(|exported| exported.entries), named);
    assert_eq!(log.entries(0..1200).filter_map(Result::ok).count(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_entry_or_a_missing_tail_is_refused_and_named() {
    for (index, expected) in [(3_u64, 3_u64), (598, 598), (599, 599)] {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path(), 600).await);
        let (path, range) = record_range(dir.path(), index);
        let mut bytes = fs::read(&path).unwrap();
        bytes[range.start + 20] ^= 4;
        fs::write(&path, &bytes).unwrap();
        let named = |dir: &Path| match AuditLog::open(options(dir)).and_then(|log| log.check_everything()) {
            Err(AuditError::Contradiction { index, .. }) => index,
            other => panic!("expected a contradiction, found {other:?}"),
        };
        assert_eq!(named(dir.path()), expected);
        bytes.truncate(range.start);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(named(dir.path()), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_write_is_cut_and_reported_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 20).await);
    let path = dir.path().join("entries-00000000000000000000.log");
    let whole = fs::read(&path).unwrap();
    let mut record = Vec::new();
    files::push_record(&mut record, &draft("torn").at(20, NOW).encode().into_bytes(), true);
    for torn in [1, 5, 9, 40, record.len() - 1] {
        fs::write(&path, [&whole, &record[..torn]].concat()).unwrap();
        let log = AuditLog::open(options(dir.path())).unwrap();
        let expected = Some(Torn { index: 20, bytes: torn as u64 });
        assert_eq!(log.opened(), Opened { entries: 20, torn: expected, rebuilt: false });
        drop(log);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    let log = AuditLog::open(options(dir.path())).unwrap();
    assert_eq!(log.append(draft("next"), NOW).await.unwrap().index, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_durable_is_never_taken_for_a_torn_write() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(options(dir.path())).unwrap();
    let signed = fs::read(dir.path().join("checkpoints")).unwrap();
    for nth in 0..5 {
        log.append(draft(nth), NOW).await.unwrap();
    }
    drop(log);
    // As if the checkpoint and the hashes of these entries had not reached the disk.
    fs::write(dir.path().join("checkpoints"), signed).unwrap();
    fs::write(dir.path().join("leaves"), b"").unwrap();
    let (path, range) = record_range(dir.path(), 2);
    let mut bytes = fs::read(&path).unwrap();
    bytes[range.start + 15] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(contradiction(dir.path()), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_caches_are_made_anew() {
    for (entries, damage) in [(1300, "remove"), (1300, "zero"), (10, "remove"), (300, "remove")] {
        let dir = tempfile::tempdir().unwrap();
        let before = {
            let log = filled(dir.path(), entries).await;
            log.checkpoint()
        };
        for name in ["leaves", "tiles"] {
            let path = dir.path().join(name);
            match damage {
                "remove" => fs::remove_file(&path).unwrap(),
                _ => fs::write(&path, vec![0; fs::read(&path).unwrap().len()]).unwrap(),
            }
        }
        let log = AuditLog::open(options(dir.path())).unwrap();
        assert!(log.opened().rebuilt);
        assert_eq!((log.checkpoint(), log.check_everything()), (before.clone(), Ok(entries as u64)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_its_checkpoints_or_its_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 10).await);
    let checkpoints = fs::read(dir.path().join("checkpoints")).unwrap();
    fs::write(dir.path().join("checkpoints"), b"").unwrap();
    assert_eq!(contradiction(dir.path()), 0);
    fs::write(dir.path().join("checkpoints"), checkpoints).unwrap();
    let key = dir.path().join("signing.key");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    assert!(matches!(AuditLog::open(options(dir.path())), Err(AuditError::Key { .. })));
    fs::write(&key, kept).unwrap();
    assert!(matches!(AuditLog::open(options(dir.path())), Err(AuditError::Key { .. })), "readable by others");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_torn_by_a_crash_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 10).await);
    let path = dir.path().join("checkpoints");
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 30);
    fs::write(&path, bytes).unwrap();
    let log = Arc::new(AuditLog::open(options(dir.path())).unwrap());
    fill(&log, 5).await;
    drop(log);
    assert_eq!(AuditLog::open(options(dir.path())).unwrap().opened().entries, 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_opens_once_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let log = AuditLog::open(options(dir.path())).unwrap();
    assert_eq!(AuditLog::open(options(dir.path())).err(), Some(AuditError::InUse(dir.path().to_owned())));
    drop(log);
    assert!(AuditLog::open(options(dir.path())).is_ok());
}

/// A disk that fails at the given step from the `after`th time on, until it is told to work again.
fn failing(step: Step, after: usize, kind: io::ErrorKind) -> (Faults, Arc<AtomicUsize>) {
    let left = Arc::new(AtomicUsize::new(after));
    let counter = Arc::clone(&left);
    let faults = move |at: Step| {
        if at != step {
            return Ok(());
        }
        match counter.load(Ordering::SeqCst) {
            0 => Err(io::Error::from(kind)),
            left => {
                counter.store(left - 1, Ordering::SeqCst);
                Ok(())
            }
        }
    };
    (Some(Arc::new(faults)), left)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_or_fsync_refuses_everything_until_the_log_is_reopened() {
    let full = (io::ErrorKind::StorageFull, AuditError::NoSpace);
    for (step, (kind, expected)) in
        [(Step::Write, full.clone()), (Step::Sync, full), (Step::Sync, (io::ErrorKind::Other, AuditError::Closed))]
    {
        let dir = tempfile::tempdir().unwrap();
        let (faults, left) = failing(step, 3, kind);
        let log = AuditLog::open(AuditOptions { faults, ..options(dir.path()) }).unwrap();
        for nth in 0..3 {
            log.append(draft(nth), NOW).await.unwrap();
        }
        let error = log.append(draft("lost"), NOW).await.unwrap_err();
        assert!(
            error == expected || matches!((&error, kind), (AuditError::Io { .. }, io::ErrorKind::Other)),
            "{error:?}"
        );
        left.store(usize::MAX, Ordering::SeqCst);
        let error = log.append(draft("refused"), NOW).await.unwrap_err();
        assert!(matches!(error, AuditError::NoSpace | AuditError::Refusing(_)), "{error:?}");
        assert!(log.failure().is_some());
        assert_eq!(log.reopen().await.unwrap().entries, 3, "what was not synced does not count");
        assert_eq!(log.append(draft("again"), NOW).await.unwrap().index, 3);
        assert_eq!(log.entries(0..9).map(|e| e.unwrap().object).collect::<Vec<_>>(), ["0", "1", "2", "again"]);
        drop(log);
        assert_eq!(AuditLog::open(options(dir.path())).unwrap().check_everything(), Ok(4));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failed_fsync_fails_every_caller_of_its_batch_and_those_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (faults, _) = failing(Step::Sync, 2, io::ErrorKind::Other);
    let log = Arc::new(AuditLog::open(AuditOptions { faults, ..options(dir.path()) }).unwrap());
    let tasks: Vec<_> = (0..2000)
        .map(|nth| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { log.append(draft(nth), NOW).await })
        })
        .collect();
    let mut acknowledged = 0;
    for task in tasks {
        acknowledged += u64::from(task.await.unwrap().is_ok());
    }
    assert!(acknowledged > 0 && acknowledged < 2000);
    assert_eq!(log.size(), acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_cannot_be_written_stops_the_log_too() {
    let dir = tempfile::tempdir().unwrap();
    let (faults, _) = failing(Step::Checkpoint, 0, io::ErrorKind::StorageFull);
    let log = AuditLog::open(AuditOptions { faults, ..options(dir.path()) }).unwrap();
    log.append(draft("first"), NOW).await.unwrap();
    let mut refused = false;
    for _ in 0..1000 {
        refused = log.append(draft("next"), NOW).await == Err(AuditError::NoSpace);
        if refused {
            break;
        }
    }
    assert!(refused);
    let size = log.size();
    drop(log);
    assert_eq!(AuditLog::open(options(dir.path())).unwrap().check_everything(), Ok(size));
}

/// A file system of 1 MiB, which only root may mount.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir.path()).output().unwrap();
        assert!(mounted.status.success(), "{mounted:?}");
        Self(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truly_full_disk_refuses_and_the_log_goes_on_once_there_is_space() {
    let disk = SmallDisk::mount();
    let dir = disk.0.path().join("log");
    let log = AuditLog::open(options(&dir)).unwrap();
    fs::write(disk.0.path().join("ballast"), vec![1; 512 * 1024]).unwrap();
    let mut acknowledged = 0;
    let error = loop {
        match log.append(draft("x".repeat(1000)), NOW).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(acknowledged > 100);
    assert_eq!(error, AuditError::NoSpace);
    assert_eq!(log.append(draft("refused"), NOW).await, Err(AuditError::NoSpace));
    fs::remove_file(disk.0.path().join("ballast")).unwrap();
    assert_eq!(log.reopen().await.unwrap().entries, acknowledged);
    assert_eq!(log.append(draft("again"), NOW).await.unwrap().index, acknowledged);
    drop(log);
    assert_eq!(AuditLog::open(options(&dir)).unwrap().check_everything(), Ok(acknowledged + 1));
}
