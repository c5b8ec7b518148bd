//! What was acknowledged is in the log after `kill -9`. `SIMPUL_AUDIT_KILLS` sets the number of kills (15).

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use simpul_core::audit::{EntryDraft, Outcome};
use simpul_core::time::Timestamp;
use simpul_store::audit_log::{AuditLog, AuditOptions};

const CHILD: &str = "SIMPUL_AUDIT_KILL_CHILD";

fn open(dir: &Path) -> AuditLog {
    AuditLog::open(AuditOptions::new(dir, "satudata.test/64.02.diskominfo/audit".parse().unwrap())).unwrap()
}

/// In the child: 8 tasks append for ever and tell each acknowledgement on standard output.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let log = Arc::new(open(Path::new(&dir)));
    let run = log.size();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                for nth in 0_u64.. {
                    let object = format!("{run}/{task}/{nth}");
                    let draft = EntryDraft::new("system", "test.kill", &object, Outcome::Done);
                    let appended = log.append(draft, Timestamp::from_seconds(1)).await.unwrap();
                    let line = format!("\nack {} {object}\n", appended.index);
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Starts the child, kills it after it acknowledged `after` entries, answers all it acknowledged.
fn killed_run(dir: &Path, after: usize) -> Vec<(u64, String)> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--nocapture"]).env(CHILD, dir).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut acknowledged = Vec::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        // The kill may tear the last line; only a whole one was an acknowledgement.
        if let Some(rest) = line.strip_prefix("ack ").and_then(|rest| rest.strip_suffix('\n')) {
            let (index, object) = rest.split_once(' ').unwrap();
            acknowledged.push((index.parse().unwrap(), object.to_owned()));
        }
        if acknowledged.len() == after {
            std::thread::sleep(Duration::from_micros(after as u64 * 37 % 5000));
            child.kill().unwrap();
        }
        line.clear();
    }
    assert!(!child.wait().unwrap().success());
    acknowledged
}

#[test]
fn acknowledged_entries_survive_kills() {
    let dir = tempfile::tempdir().unwrap();
    let kills = std::env::var("SIMPUL_AUDIT_KILLS").map_or(15, |text| text.parse().unwrap());
    let mut expected = HashMap::new();
    for nth in 0..kills {
        let acknowledged = killed_run(dir.path(), 1 + nth * 61 % 400);
        assert!(!acknowledged.is_empty());
        expected.extend(acknowledged);
        let log = open(dir.path());
        let size = log.check_everything().unwrap();
        assert!(size >= expected.len() as u64);
        for (entry, index) in log.entries(0..size).zip(0..) {
            let entry = entry.unwrap();
            assert_eq!(entry.seq, index);
            if let Some(object) = expected.get(&index) {
                assert_eq!(&entry.object, object, "kill {nth}");
            }
        }
        assert!(expected.keys().all(|index| *index < size), "kill {nth}");
    }
}
