//! Nobody alters an exported log unseen: random edits, each of which must be found and named, by the
//! verifier of the product and by the independent one in Python.
//!
//! `SIMPUL_AUDIT_EDITS` sets the number of edits (300), `SIMPUL_AUDIT_ENTRIES` the size of the log
//! (800), `SIMPUL_AUDIT_PYTHON` how many edits and clean logs Python checks too (24).

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use simpul_core::audit::{Bad, Comparison, EntryDraft, LogKey, Outcome, VerifyOptions, compare_exports, verify_export};
use simpul_core::time::Timestamp;
use simpul_store::audit_log::{AuditLog, AuditOptions, verify_ed25519};

const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A generator that gives the same edits in every run (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }
}

async fn log(dir: &Path, entries: usize, what: &'static str) -> Arc<AuditLog> {
    let origin = "satudata.test/64.02.diskominfo/audit".parse().unwrap();
    let log = Arc::new(AuditLog::open(AuditOptions::new(dir, origin)).unwrap());
    grow(&log, entries, what).await;
    log
}

async fn grow(log: &Arc<AuditLog>, entries: usize, what: &'static str) {
    let tasks: Vec<_> = (0..entries)
        .map(|nth| {
            let log = Arc::clone(log);
            let draft = EntryDraft::new(
                "spiffe://satudata.test/64.02.diskominfo/simpeg",
                what,
                "kejadian-112",
                Outcome::Granted,
            )
            .because("agreement")
            .with("agreement", "pks-bps-2026")
            .with("row", nth as u64)
            .with("note", "kecamatan \u{202e}Muara Badak\r\n");
            tokio::spawn(async move { log.append(draft, NOW).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn export(log: &AuditLog) -> Vec<u8> {
    let mut file = Vec::new();
    log.export(&mut file, NOW).unwrap();
    file
}

fn verify(file: &[u8], key: &LogKey) -> Result<u64, Bad> {
    let pinned = VerifyOptions { pinned: Some(key.clone()), remembered: None };
    verify_export(file, &pinned, &verify_ed25519).map(|verified| verified.entries)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Header,
    Entry,
    Checkpoint,
    Final,
}

/// A line of a clean export: what it is, how many entries stand above it, and how many of these the last
/// checkpoint above it vouches for.
#[derive(Clone, Debug)]
struct Line {
    kind: Kind,
    above: u64,
    vouched: u64,
    bytes: Vec<u8>,
}

fn lines(file: &[u8]) -> Vec<Line> {
    let (mut above, mut vouched, mut lines) = (0, 0, Vec::new());
    for bytes in file.split_inclusive(|byte| *byte == b'\n') {
        let kind = match bytes {
            _ if lines.is_empty() => Kind::Header,
            _ if bytes.starts_with(b"{\"entry\"") => Kind::Entry,
            _ if String::from_utf8_lossy(bytes).contains("\\nexport ") => Kind::Final,
            _ => Kind::Checkpoint,
        };
        lines.push(Line { kind, above, vouched, bytes: bytes.to_vec() });
        above += u64::from(kind == Kind::Entry);
        vouched = if kind == Kind::Checkpoint { above } else { vouched };
    }
    lines
}

fn concat<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Vec<u8> {
    lines.into_iter().flat_map(|line| line.bytes.iter().copied()).collect()
}

/// An edited file, what was done to it, and the entry that verification must name.
struct Edit {
    what: String,
    file: Vec<u8>,
    expected: u64,
}

const CHECKPOINT_PREFIX: usize = b"{\"checkpoint\":".len();

/// What must be named when the line is damaged at byte `at` of it.
fn damaged(line: &Line, at: usize) -> u64 {
    match line.kind {
        Kind::Header => 0,
        Kind::Entry => line.above,
        // Damage before this place leaves a line of no known kind; a last line without end is a cut.
        Kind::Checkpoint | Kind::Final if at < CHECKPOINT_PREFIX => line.above,
        Kind::Final if at == line.bytes.len() - 1 => line.above,
        Kind::Checkpoint | Kind::Final => line.vouched,
    }
}

/// The number of a line; one time in four of one that is no entry, so that these few are edited too.
fn pick(lines: &[Line], random: &mut Random) -> usize {
    let others: Vec<usize> = (0..lines.len()).filter(|nth| lines[*nth].kind != Kind::Entry).collect();
    if random.below(4) == 0 { others[random.below(others.len())] } else { random.below(lines.len()) }
}

fn flip(lines: &[Line], random: &mut Random) -> Edit {
    let nth = pick(lines, random);
    let (place, bit) = (random.below(lines[nth].bytes.len()), random.below(8));
    let mut edited = lines.to_vec();
    edited[nth].bytes[place] ^= 1 << bit;
    let expected = damaged(&lines[nth], place);
    Edit { what: format!("flip bit {bit} of byte {place} of line {nth}"), file: concat(&edited), expected }
}

fn remove(lines: &[Line], random: &mut Random) -> Edit {
    let nth = pick(lines, random);
    let mut edited = lines.to_vec();
    let removed = edited.remove(nth);
    Edit { what: format!("remove line {nth}"), file: concat(&edited), expected: removed.above }
}

fn swap(lines: &[Line], random: &mut Random) -> Edit {
    let (one, other) = (pick(lines, random), random.below(lines.len() - 1));
    let other = if other < one { other } else { other + 1 };
    let (first, second) = (one.min(other), one.max(other));
    let mut edited = lines.to_vec();
    edited.swap(first, second);
    Edit { what: format!("swap lines {first} and {second}"), file: concat(&edited), expected: lines[first].above }
}

fn cut(lines: &[Line], random: &mut Random) -> Edit {
    let mut file = concat(lines);
    let kept = random.below(file.len());
    file.truncate(kept);
    let (mut start, mut expected) = (0, 0);
    for line in lines {
        start += line.bytes.len();
        if start > kept {
            break;
        }
        expected = line.above + u64::from(line.kind == Kind::Entry);
    }
    Edit { what: format!("cut behind {kept} bytes"), file, expected }
}

fn insert(lines: &[Line], random: &mut Random) -> Edit {
    let (from, to) = (pick(lines, random), 1 + random.below(lines.len()));
    let copy = &lines[from];
    let mut edited = lines.to_vec();
    edited.insert(to, copy.clone());
    // Where the copy stands, `above` entries are above it and `vouched` of them vouched for.
    let (above, vouched) =
        lines.get(to).map_or((lines[to - 1].above, lines[to - 1].above), |line| (line.above, line.vouched));
    let expected = match copy.kind {
        Kind::Header => above,
        // The copy before its original passes for it; the original is then the one too many.
        Kind::Entry if copy.above == above && above - vouched < 256 => above + 1,
        Kind::Entry => above,
        Kind::Checkpoint | Kind::Final if copy.above >= above => above,
        Kind::Checkpoint | Kind::Final => vouched,
    };
    Edit { what: format!("insert a copy of line {from} before line {to}"), file: concat(&edited), expected }
}

/// Takes a line from the honest export of another history of the same log, signed by the same key.
fn forge(lines: &[Line], other: &[Line], random: &mut Random) -> Edit {
    let nth = pick(lines, random).max(1);
    let mut edited = lines.to_vec();
    edited[nth] = other[nth].clone();
    let line = &lines[nth];
    let expected = match line.kind {
        // The first entry of any log is rightly linked to nothing; the second is not linked to a foreign one.
        Kind::Entry if line.above == 0 => 1,
        Kind::Entry => line.above,
        _ => line.vouched,
    };
    Edit { what: format!("line {nth} from a fork"), file: concat(&edited), expected }
}

/// Takes everything but the header from the export of a log that another key signed, or all of it.
fn resign(lines: &[Line], stranger: &[Line], random: &mut Random) -> Edit {
    let keep_header = random.below(2) == 0;
    let mut edited = stranger.to_vec();
    if keep_header {
        edited[0] = lines[0].clone();
    }
    Edit { what: format!("signed by a stranger, header kept: {keep_header}"), file: concat(&edited), expected: 0 }
}

/// Puts the checkpoint of another place in the place of a checkpoint.
fn replace_checkpoint(lines: &[Line], random: &mut Random) -> Edit {
    let places: Vec<usize> = (1..lines.len()).filter(|nth| lines[*nth].kind != Kind::Entry).collect();
    let to = random.below(places.len());
    let from = (to + 1 + random.below(places.len() - 1)) % places.len();
    let (to, from) = (&lines[places[to]], &lines[places[from]]);
    let mut edited = lines.to_vec();
    let place = edited.iter().position(|line| line.bytes == to.bytes).unwrap();
    edited[place].bytes.clone_from(&from.bytes);
    let expected = if from.above > to.above { to.above } else { to.vouched };
    Edit { what: format!("checkpoint {} in place of {}", from.above, to.above), file: concat(&edited), expected }
}

struct Material {
    key: LogKey,
    clean: Vec<Line>,
    fork: Vec<Line>,
    stranger: Vec<Line>,
}

async fn material(entries: usize) -> Material {
    let dir = tempfile::tempdir().unwrap();
    let honest = log(&dir.path().join("a"), entries, "access.grant").await;
    std::fs::create_dir(dir.path().join("b")).unwrap();
    std::fs::copy(dir.path().join("a/signing.key"), dir.path().join("b/signing.key")).unwrap();
    let fork = log(&dir.path().join("b"), entries, "access.other").await;
    let stranger = log(&dir.path().join("c"), entries, "access.grant").await;
    Material {
        key: honest.key().clone(),
        clean: lines(&export(&honest)),
        fork: lines(&export(&fork)),
        stranger: lines(&export(&stranger)),
    }
}

fn edit(material: &Material, nth: usize, random: &mut Random) -> Edit {
    let Material { clean, fork, stranger, .. } = material;
    match nth % 8 {
        0 => flip(clean, random),
        1 => remove(clean, random),
        2 => swap(clean, random),
        3 => cut(clean, random),
        4 => insert(clean, random),
        5 => forge(clean, fork, random),
        6 => replace_checkpoint(clean, random),
        _ => resign(clean, stranger, random),
    }
}

/// The verdicts of the independent verifier: the entry named, or `None` for a file that holds.
fn python(key: &LogKey, files: &[PathBuf]) -> Vec<Option<u64>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/audit_verify.py");
    let output = Command::new("python3").arg(script).args(["--key", &key.to_string()]).args(files).output().unwrap();
    let verdicts = String::from_utf8(output.stdout).unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let verdicts: Vec<serde_json::Value> = verdicts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(output.status.success(), verdicts.iter().all(|verdict| verdict["ok"] == true));
    verdicts.iter().map(|verdict| verdict["index"].as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_edit_is_found_and_its_entry_named_by_both_verifiers() {
    let material = material(setting("SIMPUL_AUDIT_ENTRIES", 800)).await;
    let (edits, with_python) = (setting("SIMPUL_AUDIT_EDITS", 300), setting("SIMPUL_AUDIT_PYTHON", 24));
    let dir = tempfile::tempdir().unwrap();
    let (mut random, mut files, mut named) = (Random(42), Vec::new(), Vec::new());
    for nth in 0..edits {
        let Edit { what, file, expected } = edit(&material, nth, &mut random);
        match verify(&file, &material.key) {
            Err(bad) => assert_eq!(bad.index, expected, "{what}: {bad}"),
            Ok(entries) => panic!("{what}: passes for a log of {entries} entries"),
        }
        if nth < with_python {
            let path = dir.path().join(format!("edit-{nth}"));
            std::fs::File::create(&path).unwrap().write_all(&file).unwrap();
            files.push(path);
            named.push((Some(expected), what));
        }
    }
    for (verdict, (expected, what)) in python(&material.key, &files).into_iter().zip(named) {
        assert_eq!(verdict, expected, "python: {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_logs_raise_no_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&dir.path().join("log"), 0, "access.grant").await;
    let (mut random, mut files, mut size) = (Random(7), Vec::new(), 0);
    let with_python = setting("SIMPUL_AUDIT_PYTHON", 24);
    for nth in 0..100 {
        let file = export(&log);
        assert_eq!(verify(&file, log.key()), Ok(size), "log {nth}");
        if nth < with_python {
            files.push(dir.path().join(format!("clean-{nth}")));
            std::fs::write(&files[nth], file).unwrap();
        }
        let more = 1 + random.below(20);
        grow(&log, more, "access.grant").await;
        size += more as u64;
    }
    assert!(python(log.key(), &files).iter().all(Option::is_none));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_tells_two_stories_is_named_from_two_exports() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(&dir.path().join("log"), 300, "access.grant").await;
    drop(log);
    std::fs::create_dir(dir.path().join("copy")).unwrap();
    for item in std::fs::read_dir(dir.path().join("log")).unwrap() {
        let path = item.unwrap().path();
        std::fs::copy(&path, dir.path().join("copy").join(path.file_name().unwrap())).unwrap();
    }
    let first = self::log(&dir.path().join("log"), 300, "access.grant").await;
    let second = self::log(&dir.path().join("copy"), 200, "access.other").await;
    let compared = compare_exports(
        export(&first).as_slice(),
        export(&second).as_slice(),
        &VerifyOptions::default(),
        &verify_ed25519,
    );
    assert_eq!(compared, Ok(Comparison::Fork { index: 300 }));
}
