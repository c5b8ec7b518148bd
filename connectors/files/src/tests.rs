use super::*;
use conformance::Source;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

/// An hour from now: every file written by a test has been quiet.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

struct Drop {
    dir: TempDir,
    fills: AtomicU32,
}

impl Drop {
    fn new() -> Self {
        Drop { dir: tempfile::tempdir().unwrap(), fills: AtomicU32::new(0) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn files(&self, clock: fn() -> SystemTime) -> Files {
        let config = serde_json::json!({"folder": self.dir.path(), "max_file_bytes": 1000, "max_files_per_run": 50});
        Files::new(parse_config(config).unwrap(), clock).unwrap()
    }

    async fn pull(&self) -> Option<Pull> {
        self.files(later).pull(None, PullLimits::default()).await.unwrap()
    }

    /// The names under a folder, sorted.
    fn list(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(folder)) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

async fn read(pull: Pull) -> Result<(String, Value), ConnectorError> {
    use futures::StreamExt;
    let pieces = pull.body.collect::<Vec<_>>().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok((String::from_utf8(pieces.concat()).unwrap(), pull.ending.checkpoint().await?))
}

const LANDED: Outcome<'static> = Outcome::Landed { report: None };
const REPORT: Report<'static> = Report { text: "Baris 2: kosong\n", json: b"{}" };

impl Source for Drop {
    fn connect(&self) -> Box<dyn Connector> {
        Box::new(self.files(later))
    }
    fn fill(&self) -> BoxFuture<'_, ()> {
        let turn = self.fills.fetch_add(1, Ordering::Relaxed);
        self.put(&format!("data {turn}.csv"), &format!("id,nama\n1,Kutai {turn}\n"));
        self.put(&format!("données {turn}.ndjson"), &format!("{{\"id\":{turn}}}\n"));
        futures::future::ready(()).boxed()
    }
    fn rows_of_a_fill(&self) -> usize {
        2
    }
    fn limits(&self) -> PullLimits {
        PullLimits::default()
    }
    fn broken(&self) -> Vec<(Box<dyn Connector>, &'static str)> {
        self.put("plain", "");
        let at = |name: &str| {
            let config = serde_json::json!({"folder": self.path(name)});
            build(config, Context { source: "x".into(), secrets: Arc::new(ProcessSecrets) }).unwrap()
        };
        vec![(at("missing"), "misconfigured"), (at("plain"), "misconfigured")]
    }
    fn canary(&self) -> Option<&str> {
        None
    }
}

#[tokio::test]
async fn it_passes_the_suite_of_all_connectors() {
    conformance::run(async || Drop::new()).await;
}

#[test]
fn the_example_is_a_configuration() {
    let context = || Context { source: "x".into(), secrets: Arc::new(ProcessSecrets) };
    let example: Value = toml::from_str(KIND.example).unwrap();
    assert_eq!((KIND.build)(example.clone(), context()).unwrap().kind(), "files");
    for (key, wrong) in [("folder", "relative".into()), ("quiet_seconds", 0.into()), ("max_file_bytes", 0.into())] {
        let mut config = example.clone();
        config[key] = wrong;
        let error = build(config, context()).err().unwrap();
        assert!(error.name() == "misconfigured" && error.message().contains(key), "{error}");
    }
}

#[tokio::test]
async fn what_is_not_a_regular_file_is_moved_aside_unopened() {
    let drop = Drop::new();
    let secret = drop.dir.path().parent().unwrap().join(format!("outside-{}", std::process::id()));
    fs::write(&secret, "id\n1\n").unwrap();
    symlink(&secret, drop.path("link.csv")).unwrap();
    symlink("/no/such/file", drop.path("dangling.csv")).unwrap();
    symlink("/dev/zero", drop.path("device.csv")).unwrap();
    mknodat(CWD, drop.path("pipe.csv"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(drop.path("socket.csv")).unwrap();

    let none = drop.pull().await;
    assert!(none.is_none());
    for name in ["link", "dangling", "device", "pipe", "socket"] {
        assert!(!drop.list(".").contains(&format!("{name}.csv")), "{name} is still there");
        assert!(fs::symlink_metadata(drop.path(&format!("refused/{name}.csv"))).is_ok(), "{name} was moved itself");
        let note = drop.read(&format!("refused/{name}.csv.laporan.json"));
        assert!(note.contains("\"rule\":\"not_a_regular_file\""), "{note}");
        assert!(drop.read(&format!("refused/{name}.csv.laporan.txt")).contains("bukan berkas biasa"));
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "id\n1\n", "what the link points to is untouched");
    fs::remove_file(secret).unwrap();
}

#[tokio::test]
async fn a_file_that_just_moved_waits() {
    let drop = Drop::new();
    drop.put("new.csv", "id\n1\n");
    let old = SystemTime::now() - Duration::from_secs(86_400);
    fs::File::options().append(true).open(drop.path("new.csv")).unwrap().set_modified(old).unwrap();
    assert!(drop.files(SystemTime::now).pull(None, PullLimits::default()).await.unwrap().is_none());
    assert_eq!(drop.list("."), ["new.csv"], "and stays where it is");
    assert!(drop.pull().await.is_some());
}

#[tokio::test]
async fn a_file_written_to_while_it_is_read_leaves_no_checkpoint() {
    let drop = Drop::new();
    drop.put("a.csv", "id\n1\n");
    for content in ["id\n1\n2\n", "id\n9\n2\n"] {
        let pull = drop.pull().await.unwrap();
        drop.put("a.csv", content);
        let error = read(pull).await.unwrap_err();
        assert!(error.retryable(), "{error}");
    }
    let (text, _) = read(drop.pull().await.unwrap()).await.unwrap();
    assert_eq!(text, "id\n9\n2\n");
}

#[tokio::test]
async fn hidden_and_unfinished_files_and_folders_are_left_alone() {
    let drop = Drop::new();
    for name in [".hidden.csv", "~$buku.csv", "unggah.csv.part"] {
        drop.put(name, "id\n1\n");
    }
    fs::create_dir(drop.path("arsip.csv")).unwrap();
    assert!(drop.pull().await.is_none());
    assert_eq!(drop.list("."), [".hidden.csv", "arsip.csv", "unggah.csv.part", "~$buku.csv"]);
}

#[tokio::test]
async fn the_oldest_file_comes_first() {
    let drop = Drop::new();
    for (name, age) in [("a.csv", 10), ("b.csv", 30), ("c.csv", 20)] {
        drop.put(name, "id\n1\n");
        let time = SystemTime::now() - Duration::from_secs(age);
        fs::File::options().append(true).open(drop.path(name)).unwrap().set_modified(time).unwrap();
    }
    let files = drop.files(later);
    let mut order = Vec::new();
    while let Some(pull) = files.pull(None, PullLimits::default()).await.unwrap() {
        order.push(pull.name.clone());
        files.settle(pull.ticket, LANDED).await.unwrap();
    }
    assert_eq!(order, ["b.csv", "c.csv", "a.csv"]);
    assert_eq!(drop.list("done"), ["a.csv", "b.csv", "c.csv"]);
}

#[tokio::test]
async fn nothing_in_done_or_refused_is_overwritten() {
    let drop = Drop::new();
    for turn in 1..=3 {
        drop.put("Data Kutai é.csv", &format!("id\n{turn}\n"));
        let pull = drop.pull().await.unwrap();
        drop.files(later).settle(pull.ticket, Outcome::Refused { report: REPORT }).await.unwrap();
    }
    for (name, turn) in [("Data Kutai é.csv", 1), ("Data Kutai é (2).csv", 2), ("Data Kutai é (3).csv", 3)] {
        assert_eq!(drop.read(&format!("refused/{name}")), format!("id\n{turn}\n"));
        assert_eq!(drop.read(&format!("refused/{name}.laporan.txt")), REPORT.text);
        assert_eq!(drop.read(&format!("refused/{name}.laporan.json")), "{}");
    }
    assert_eq!(drop.list("refused").len(), 9);
}

#[tokio::test]
async fn a_report_lies_beside_what_landed_in_part_and_no_file_without_one() {
    let drop = Drop::new();
    drop.put("a.csv", "id\n1\n");
    let pull = drop.pull().await.unwrap();
    drop.files(later).settle(pull.ticket, Outcome::Landed { report: Some(REPORT) }).await.unwrap();
    drop.put("b.csv", "id\n1\n");
    let pull = drop.pull().await.unwrap();
    drop.files(later).settle(pull.ticket, LANDED).await.unwrap();
    assert_eq!(drop.list("done"), ["a.csv", "a.csv.laporan.json", "a.csv.laporan.txt", "b.csv"]);
}

#[tokio::test]
async fn a_file_replaced_before_it_is_settled_is_a_new_file() {
    let drop = Drop::new();
    drop.put("a.csv", "id\n1\n");
    let pull = drop.pull().await.unwrap();
    let key = pull.key.clone();
    drop.put("next", "id\n2\n");
    fs::rename(drop.path("next"), drop.path("a.csv")).unwrap();
    drop.files(later).settle(pull.ticket, LANDED).await.unwrap();
    assert_eq!(drop.read("a.csv"), "id\n2\n", "the new content waits for its own delivery");
    assert_ne!(drop.pull().await.unwrap().key, key);
}

#[tokio::test]
async fn the_key_is_of_the_name_and_the_content() {
    let drop = Drop::new();
    drop.put("a.csv", "id\n1\n");
    let first = drop.pull().await.unwrap();
    drop.files(later).settle(first.ticket, LANDED).await.unwrap();
    drop.put("a.csv", "id\n1\n");
    let same = drop.pull().await.unwrap();
    assert_eq!(first.key, same.key, "the same file put there again is the same payload");
    fs::rename(drop.path("a.csv"), drop.path("b.csv")).unwrap();
    assert_ne!(first.key, drop.pull().await.unwrap().key);
}

#[tokio::test]
async fn what_can_never_be_taken_is_put_aside_with_the_reason() {
    let drop = Drop::new();
    drop.put("besar.csv", &"x".repeat(1001));
    drop.put("buku.docx", "PK");
    drop.put("baik.csv", "id\n1\n");
    fs::write(drop.dir.path().join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"b\xff.csv")), "x")
        .unwrap();
    let look = drop.files(later).test().await.unwrap();
    assert!(look.notes[0].starts_with("3 of them"), "{look:?}");
    let pull = drop.pull().await.unwrap();
    assert_eq!(pull.name, "baik.csv");
    drop.files(later).settle(pull.ticket, LANDED).await.unwrap();
    assert!(drop.pull().await.is_none());
    assert!(drop.read("refused/besar.csv.laporan.txt").contains("batas 1000 bita"));
    assert!(drop.read("refused/buku.docx.laporan.json").contains("unknown_format"));
    assert!(drop.read("refused/b\u{fffd}.csv.laporan.json").contains("name_not_text"));
    assert_eq!(drop.read("refused/besar.csv").len(), 1001);
}

#[tokio::test]
async fn a_run_ends_at_its_number_of_files_and_the_next_one_goes_on() {
    let drop = Drop::new();
    for n in 0..5 {
        drop.put(&format!("{n}.csv"), "id\n1\n");
    }
    let config = serde_json::json!({"folder": drop.dir.path(), "max_files_per_run": 2});
    let files = Files::new(parse_config(config).unwrap(), later).unwrap();
    let mut runs = Vec::new();
    for _ in 0..4 {
        let mut count = 0;
        while let Some(pull) = files.pull(None, PullLimits::default()).await.unwrap() {
            files.settle(pull.ticket, LANDED).await.unwrap();
            count += 1;
        }
        runs.push(count);
    }
    assert_eq!(runs, [2, 2, 1, 0]);
}

#[tokio::test]
async fn a_link_in_the_place_of_done_is_not_followed() {
    let drop = Drop::new();
    let elsewhere = tempfile::tempdir().unwrap();
    drop.put("a.csv", "id\n1\n");
    let pull = drop.pull().await.unwrap();
    symlink(elsewhere.path(), drop.path("done")).unwrap();
    let error = drop.files(later).settle(pull.ticket.clone(), LANDED).await.unwrap_err();
    assert_eq!(error.name(), "misconfigured", "{error}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    assert_eq!(drop.read("a.csv"), "id\n1\n", "the file waits until the folder is in order");
}

#[tokio::test]
async fn a_ticket_cannot_reach_out_of_the_folder() {
    let drop = Drop::new();
    drop.put("a.csv", "id\n1\n");
    let ticket = drop.pull().await.unwrap().ticket.0;
    for name in ["../a.csv", "..", "x/y.csv", "", ".ssh"] {
        let mut forged = ticket.clone();
        forged["name"] = name.into();
        let error = drop.files(later).settle(Ticket(forged), LANDED).await.unwrap_err();
        assert_eq!(error.name(), "misconfigured", "{name}");
    }
}

#[tokio::test]
async fn a_name_with_a_line_end_is_shown_on_one_line_and_settled_as_it_is() {
    let drop = Drop::new();
    drop.put("a\nb.csv", "id\n1\n");
    let pull = drop.pull().await.unwrap();
    assert_eq!(pull.name, "a b.csv");
    assert_eq!(drop.files(later).test().await.unwrap().samples, ["a b.csv"]);
    drop.files(later).settle(pull.ticket, LANDED).await.unwrap();
    assert_eq!(drop.list("done"), ["a\nb.csv"]);
}

#[tokio::test]
async fn a_large_file_comes_in_bounded_pieces() {
    use futures::StreamExt;
    let drop = Drop::new();
    fs::write(drop.path("a.csv"), vec![b'1'; 3_000_000]).unwrap();
    let config = serde_json::json!({"folder": drop.dir.path()});
    let files = Files::new(parse_config(config).unwrap(), later).unwrap();
    let mut pull = files.pull(None, PullLimits::default()).await.unwrap().unwrap();
    let mut total = 0;
    while let Some(piece) = pull.body.next().await {
        let piece = piece.unwrap();
        assert!(piece.len() <= 256 * 1024);
        total += piece.len();
    }
    assert_eq!(total, 3_000_000);
    pull.ending.checkpoint().await.unwrap();
}
