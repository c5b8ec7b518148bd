//! A connector end to end: a real PostgreSQL server, the command line, a node, its table.
//!
//! The server is the one of the Debian package `postgresql`, started in a temporary folder. Its password is known to the
//! node by the name of an environment variable alone.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use simpul_certs::ca::{Ca, IssueRequest};
use simpul_tests::{count, now, unique};
use tempfile::TempDir;

use crate::lone::{self, Case, Lone, PATIENCE, PRODUCER, Setup};

const INSTALL: &str = "these tests need the PostgreSQL server: apt-get install -y --no-install-recommends postgresql";
/// The password of the reading role: it must show nowhere.
const CANARY: &str = "kenari-pg-5d21e7c0a9";
const VARIABLE: &str = "SIMPUL_UJI_PG";

/// A server of one test, gone with it.
struct Server {
    port: u16,
    dir: TempDir,
    bin: PathBuf,
    root: bool,
}

impl Server {
    fn start() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("simpul-pg-").tempdir()?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let root = id(&["-u"])? == 0;
        let server = Self { port, dir, bin: binaries()?, root };
        if root {
            // The server refuses to run as root.
            chown(server.dir.path(), Some(id(&["-u", "postgres"])?), Some(id(&["-g", "postgres"])?))?;
        }
        let data = server.data();
        let auth =
            ["--auth-local=trust", "--auth-host=scram-sha-256", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"];
        server.run("initdb", &[&["-N", "-D", &data], &auth[..]].concat())?;
        let socket = server.dir.path().display();
        let options = format!("-p {port} -k {socket} -c listen_addresses=127.0.0.1 -c fsync=off");
        server.run("pg_ctl", &["start", "-w", "-s", "-D", &data, "-l", &format!("{socket}/log"), "-o", &options])?;
        server.sql(&format!(
            "CREATE ROLE simpul LOGIN PASSWORD '{CANARY}';
             CREATE TABLE penduduk (kode text, nik text, jumlah bigint PRIMARY KEY, nilai numeric, tanggal date, catatan text);
             GRANT SELECT ON penduduk TO simpul"
        ))?;
        Ok(server)
    }

    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }

    /// Statements of the superuser.
    fn sql(&self, sql: &str) -> anyhow::Result<()> {
        let socket = self.dir.path().display().to_string();
        let port = self.port.to_string();
        let args =
            ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", &socket, "-p", &port, "-U", "postgres", "-d", "postgres"];
        let output = Command::new(self.bin.join("psql")).args(args).args(["-c", sql]).output().context(INSTALL)?;
        ensure!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Rows with the numbers `from` to `to`, all of them good.
    fn insert(&self, from: u64, to: u64) -> anyhow::Result<()> {
        self.sql(&format!(
            "INSERT INTO penduduk SELECT 'P' || n, '640201010101' || lpad((n % 10000)::text, 4, '0'), n, n / 4.0,
             date '2026-01-01' + (n % 300)::int, 'baris ' || n FROM generate_series({from}, {to}) n"
        ))
    }

    fn run(&self, program: &str, args: &[&str]) -> anyhow::Result<()> {
        let program = self.bin.join(program);
        let mut command = if self.root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        // To a file: the server inherits it and would keep a pipe open.
        let said = self.dir.path().join("said");
        let out = fs::File::create(&said)?;
        let status =
            command.args(args).current_dir("/").stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).status();
        let status = status.context(INSTALL)?;
        ensure!(status.success(), "{} {args:?}: {}", program.display(), fs::read_to_string(said)?);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if Path::new(&self.data()).join("postmaster.pid").exists() {
            let _ = self.run("pg_ctl", &["stop", "-w", "-s", "-m", "immediate", "-D", &self.data()]);
        }
    }
}

/// A number that `id` tells.
fn id(args: &[&str]) -> anyhow::Result<u32> {
    let output = Command::new("id").args(args).output()?;
    String::from_utf8(output.stdout)?.trim().parse().context(INSTALL)
}

/// Where Debian puts the newest server, or the search path.
fn binaries() -> anyhow::Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions.map(|v| v.path().join("bin")).filter(|bin| bin.join("initdb").exists()).collect();
    found.sort();
    let on_path = || std::env::split_paths(&std::env::var_os("PATH")?).find(|bin| bin.join("initdb").exists());
    found.pop().or_else(on_path).context(INSTALL)
}

/// A server, a node beside it, and a dataset that keeps bad rows apart.
struct Place {
    server: Server,
    node: Lone,
    dataset: String,
    /// Everything that the command line said.
    said: String,
}

impl Place {
    async fn new(id: &str) -> anyhow::Result<Self> {
        let server = Server::start()?;
        let setup = Setup { env: environment(), ..Setup::default() };
        let node = Lone::start(setup)?;
        let dataset = Case::with_policy(&node, id, "karantina").await?.dataset;
        let place = Self { server, node, dataset, said: String::new() };
        place.write_profile()?;
        Ok(place)
    }

    /// The administrator's profile: certificate and addresses of the running node.
    fn write_profile(&self) -> anyhow::Result<()> {
        let ca = Ca::open(&self.node.folder().ca_dir(), now())?;
        let identity = format!("spiffe://{}/64.02.diskominfo/admin", ca.trust_domain()).parse()?;
        let issued = ca.issue(&IssueRequest::client(identity, 1), now())?;
        let (cert, key) = issued.write(self.node.folder().path(), &unique("admin"))?;
        let profile = format!(
            "node = {:?}\nconsole = {:?}\ntrust_domain = {:?}\nca = {:?}\ncertificate = {cert:?}\nkey = {key:?}\n",
            self.node.address("exchange")?,
            self.node.address("console")?,
            ca.trust_domain().as_str(),
            self.node.folder().ca_dir().join("ca.crt"),
        );
        Ok(fs::write(self.file("admin.toml"), profile)?)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.node.folder().path().join(name)
    }

    /// `simpul connector ARGS --json`: exit status and answer.
    fn connector(&mut self, args: &[&str]) -> anyhow::Result<(i32, Value)> {
        let output = Command::new(lone::binary()?)
            .arg("connector")
            .args(args)
            .arg("--json")
            .arg("--profile")
            .arg(self.file("admin.toml"))
            .output()?;
        let (stdout, stderr) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        self.said += &format!("{stdout}\n{stderr}\n");
        let answer = serde_json::from_str(&stdout).unwrap_or_else(|_| json!({"stderr": stderr}));
        Ok((output.status.code().unwrap_or(-1), answer))
    }

    /// Registers the connector `penduduk`; `more` is TOML before the section of its kind.
    fn put(&mut self, page_rows: u32, more: &str) -> anyhow::Result<()> {
        let file = self.file("penduduk.toml");
        let (dataset, port) = (&self.dataset, self.server.port);
        fs::write(
            &file,
            format!(
                r#"kind = "postgres"
dataset = "{dataset}"
{more}
[config]
host = "127.0.0.1"
port = {port}
database = "postgres"
user = "simpul"
password = "env:{VARIABLE}"
sslmode = "disable"
table = "penduduk"
columns = ["kode", "nik", "jumlah", "nilai", "tanggal", "catatan"]
cursor = "jumlah"
page_rows = {page_rows}
"#
            ),
        )?;
        let file = file.display().to_string();
        let (code, answer) = self.connector(&["put", "penduduk", &file])?;
        ensure!(code == 0 && answer["id"] == "penduduk", "put: {code} {answer}");
        Ok(())
    }

    fn run(&mut self) -> anyhow::Result<Value> {
        let (code, answer) = self.connector(&["run", "penduduk"])?;
        ensure!((code == 0) == (answer["outcome"] != "failed"), "run: {code} {answer}");
        Ok(answer)
    }

    /// What `connector list` shows of the connector.
    fn listed(&mut self) -> anyhow::Result<Value> {
        let (code, answer) = self.connector(&["list"])?;
        ensure!(code == 0, "list: {code} {answer}");
        let connectors = answer["connectors"].as_array().context("connectors")?;
        connectors.iter().find(|listed| listed["connector"]["id"] == "penduduk").cloned().context("not listed")
    }

    /// How often each key of the source is in the node's table.
    async fn landed(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let reader = self.node.caller(PRODUCER, "exchange").await?;
        let path = format!("/v1/datasets/{}/extract?format=csv&select=kode", self.dataset);
        let answer = reader.get(&path).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        let text = String::from_utf8(answer.bytes)?;
        let mut landed = BTreeMap::new();
        for key in text.lines().map(|line| line.trim_matches('"')).filter(|key| key.starts_with('P')) {
            *landed.entry(key.to_owned()).or_default() += 1;
        }
        Ok(landed)
    }

    /// The table has the keys with these numbers, each once, and no other.
    async fn holds(&self, numbers: impl IntoIterator<Item = u64>) -> anyhow::Result<()> {
        let landed = self.landed().await?;
        let wanted: BTreeMap<String, u64> = numbers.into_iter().map(|n| (format!("P{n}"), 1)).collect();
        let lost: Vec<_> = wanted.keys().filter(|key| !landed.contains_key(*key)).take(10).collect();
        let other: Vec<_> = landed.iter().filter(|(key, times)| wanted.get(*key) != Some(*times)).take(10).collect();
        ensure!(lost.is_empty() && other.is_empty(), "lost: {lost:?}; doubled or unknown: {other:?}");
        Ok(())
    }

    /// Ends the node's process without warning and starts another.
    fn kill_and_restart(self) -> anyhow::Result<Self> {
        let Self { server, node, dataset, said } = self;
        let node = Lone::start_in(node.kill(), &environment())?;
        let place = Self { server, node, dataset, said };
        place.write_profile()?;
        Ok(place)
    }
}

fn environment() -> Vec<(&'static str, String)> {
    vec![(VARIABLE, CANARY.to_owned())]
}

#[tokio::test]
async fn a_table_of_a_postgres_server_is_pulled_as_it_grows_and_its_bad_rows_are_reported() -> anyhow::Result<()> {
    let mut place = Place::new("pg-tabel").await?;
    place.server.insert(1, 25)?;
    place.put(10, "")?;
    let (code, tested) = place.connector(&["test", "penduduk"])?;
    ensure!(code == 0 && tested["ok"] == true && tested.to_string().contains("tanggal"), "{code} {tested}");
    ensure!(place.listed()?["checkpoint"].is_null(), "a test moves nothing");

    let run = place.run()?;
    ensure!(run["outcome"] == "delivered" && run["deliveries"].as_array().map(Vec::len) == Some(3), "{run}");
    place.holds(1..=25).await?;
    ensure!(place.listed()?["checkpoint"]["after"] == "25", "{}", place.listed()?);
    ensure!(place.run()?["outcome"] == "nothing", "the same rows are not brought again");

    // New rows alone, of which one breaks the contract: the others land, it is reported, and the position moves on.
    place.server.insert(26, 29)?;
    place.server.sql("INSERT INTO penduduk VALUES ('P30', 'bukan-nik', 30, 1, '2026-02-01', 'salah')")?;
    let run = place.run()?;
    ensure!(run["outcome"] == "delivered", "{run}");
    let delivery = run["deliveries"][0].as_str().context("a delivery")?.to_owned();
    let admin = place.node.admin().await?;
    let journal = admin.get("/v1/admin/deliveries?source=konektor/penduduk&limit=100").await?.body;
    let journalled = journal["deliveries"].as_array().context("deliveries")?;
    let found = journalled.iter().find(|record| record["delivery"] == delivery.as_str()).context("the delivery")?;
    ensure!(found["rows"] == json!({"total": 5, "accepted": 4, "refused": 1}), "{found}");
    place.holds(1..=29).await?;
    ensure!(place.listed()?["checkpoint"]["after"] == "30", "{}", place.listed()?);

    // Nothing of a page that is refused whole lands; corrected at the source, it does.
    place.server.sql("INSERT INTO penduduk VALUES ('P31', 'bukan-nik', 31, 1, '2026-02-01', 'salah')")?;
    let run = place.run()?;
    ensure!(run["outcome"] == "refused", "{run}");
    place.holds(1..=29).await?;
    place.server.sql("UPDATE penduduk SET nik = '6402010101010031' WHERE jumlah = 31")?;
    ensure!(place.run()?["outcome"] == "delivered");
    place.holds((1..=29).chain([31])).await?;

    // A server that refuses the password is told of, and nothing moves.
    place
        .server
        .sql("ALTER ROLE simpul PASSWORD 'lain'; INSERT INTO penduduk VALUES ('P32', NULL, 32, 1, NULL, NULL)")?;
    let run = place.run()?;
    ensure!(run["outcome"] == "failed" && run["message"].as_str().is_some_and(|text| !text.is_empty()), "{run}");
    ensure!(place.connector(&["test", "penduduk"])?.0 == 1, "a test that fails exits 1");
    ensure!(place.listed()?["checkpoint"]["after"] == "31", "{}", place.listed()?);
    place.server.sql(&format!("ALTER ROLE simpul PASSWORD '{CANARY}'"))?;
    ensure!(place.run()?["outcome"] == "delivered");
    place.holds((1..=29).chain([31, 32])).await?;
    the_password_shows_nowhere(&place).await
}

async fn the_password_shows_nowhere(place: &Place) -> anyhow::Result<()> {
    ensure!(place.said.contains("penduduk"), "the command line said nothing");
    ensure!(!place.said.contains(CANARY), "the command line");
    ensure!(place.node.log()?.contains("pulled"), "the log says nothing");
    ensure!(!place.node.log()?.contains(CANARY), "the log");
    let admin = place.node.admin().await?;
    for path in ["/v1/admin/connectors", "/v1/audit/entries?limit=1000", "/v1/audit/export", "/v1/admin/deliveries"] {
        let text = String::from_utf8(admin.get(path).await?.bytes)?;
        ensure!(text.contains("penduduk"), "{path} says nothing of the connector");
        ensure!(!text.contains(CANARY), "{path}");
    }
    // Every file that the node keeps.
    let found = Command::new("grep").args(["-rlsF", CANARY]).arg(place.file("node")).output()?;
    ensure!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    Ok(())
}

#[tokio::test]
async fn a_node_that_is_killed_in_the_middle_of_a_pull_loses_and_doubles_no_row() -> anyhow::Result<()> {
    const ROWS: u64 = 4_000;
    let kills = count("SIMPUL_PULL_KILLS", 6);
    let mut place = Place::new("pg-mati").await?;
    place.server.insert(1, ROWS)?;
    place.put(50, "")?;
    let mut partial = Vec::new();
    for kill in 0..kills {
        let before = landings(&place.node)?;
        let mut running = Command::new(lone::binary()?)
            .args(["connector", "run", "penduduk", "--profile"])
            .arg(place.file("admin.toml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // After some pages of this run, at another moment of a page each time.
        let wanted = before + 1 + kill % 3;
        let until = Instant::now() + PATIENCE;
        while landings(&place.node)? < wanted {
            ensure!(Instant::now() < until, "no page landed: {}", place.node.log()?);
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(u64::try_from(kill)? * 7 % 40));
        place = place.kill_and_restart()?;
        running.wait()?;
        let landed = place.landed().await?;
        ensure!(landed.values().all(|times| *times == 1), "kill {kill}: a row is there twice");
        partial.push(landed.len() as u64);
    }
    println!("rows after each kill: {partial:?}");
    ensure!(partial.first().is_some_and(|rows| (1..ROWS).contains(rows)), "the first kill hit no pull in progress");
    loop {
        let run = place.run()?;
        if run["outcome"] == "nothing" {
            break;
        }
        ensure!(run["outcome"] == "delivered", "{run}");
    }
    place.holds(1..=ROWS).await?;
    ensure!(place.listed()?["checkpoint"]["after"] == json!(ROWS.to_string()), "{}", place.listed()?);
    Ok(())
}

/// How many deliveries have landed since the node was started.
fn landings(node: &Lone) -> anyhow::Result<usize> {
    Ok(node.log()?.matches("\"landed\"").count())
}

#[tokio::test]
async fn a_schedule_pulls_what_is_new_without_being_asked() -> anyhow::Result<()> {
    let mut place = Place::new("pg-jadwal").await?;
    place.server.insert(1, 5)?;
    // Six fields: the first one is seconds.
    place.put(100, "schedule = \"* * * * * *\"")?;
    for last in [5, 9] {
        let until = Instant::now() + PATIENCE;
        while place.landed().await?.len() < last {
            ensure!(Instant::now() < until, "nothing came: {}", place.listed()?);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if last == 5 {
            place.server.insert(6, 9)?;
        }
    }
    place.holds(1..=9).await?;
    let (code, answer) = place.connector(&["delete", "penduduk"])?;
    ensure!(code == 0, "{answer}");
    place.holds(1..=9).await
}
