//! A real node under measure: the kecamatan of a demo, with a dataset and a client of its own.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use reqwest::RequestBuilder;
use serde_json::json;
use simpul_tests::{Answer, Client, Demo, Http};

use crate::figures::{Figures, millis, percentile};
use crate::people::{DATASET, descriptor};
use crate::usage::Usage;

/// The node that is measured.
const NODE: &str = "kecamatan";
/// The client that asks.
const NAME: &str = "ukur";

/// Sees to it that the harness finds the node's binary: `SIMPUL_BIN`, or `simpul` beside this program. It starts this program
/// again with the variable set, because a running one cannot change its own environment safely.
///
/// # Errors
/// When there is no such binary.
pub fn use_binary() -> Result<()> {
    if std::env::var_os("SIMPUL_BIN").is_some() {
        return Ok(());
    }
    let own = std::env::current_exe()?;
    let binary = own.with_file_name("simpul");
    ensure!(binary.exists(), "{} is not there; build it with `cargo build --release`", binary.display());
    Err(Command::new(own).args(std::env::args_os().skip(1)).env("SIMPUL_BIN", binary).exec().into())
}

/// The Python with DuckDB that `benches/peers.py setup` makes, if it did.
#[must_use]
pub fn duckdb_python() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from)?;
    Some(home.join(".cache/simpul/venv-benches/bin/python")).filter(|python| python.exists())
}

/// A demo of which one node is measured.
pub struct Bench {
    /// The demo; it ends when this is dropped.
    pub demo: Demo,
    client: Client,
}

/// A demo with the dataset [`DATASET`] at its lowest node, and a client that may deliver and read it as often as it likes.
///
/// # Errors
/// When a step is refused.
pub async fn enroll(keys: bool) -> Result<Bench> {
    let demo = Demo::own();
    let agency = demo.node(NODE).agency.clone();
    let admin = demo.admin(NODE);
    admin.post("/v1/admin/contracts", &descriptor(keys)?).await.expect(201);
    let client = demo.enroll(NODE, &agency, NAME, "producer").await;
    let quota = json!({"roles": ["producer", "consumer"], "quota": {"per_second": 1_000_000, "burst": 1_000_000}});
    admin.put(&format!("/v1/admin/clients/{agency}/{NAME}"), &quota).await.expect(200);
    demo.agree(&client, DATASET, &["deliver", "read"], json!({})).await;
    Ok(Bench { demo, client })
}

impl Bench {
    /// `count` clients with a connection each, over HTTP/1.1 and kept alive. The handshake and the token lie behind them.
    ///
    /// # Errors
    /// When the certificate cannot be read again.
    pub async fn connections(&self, count: usize) -> Result<Vec<Client>> {
        let mut clients = Vec::with_capacity(count);
        for _ in 0..count {
            let credential = self.client.credential.clone();
            let ca = &self.demo.ready.ca;
            let (node, agency, profile) = (&self.client.node, &self.client.agency, &self.client.profile);
            let client = Client::new(node, agency, NAME, profile, credential, ca, Http::One);
            client.get(&format!("/v1/datasets/{DATASET}")).await.expect(200);
            clients.push(client);
        }
        Ok(clients)
    }

    /// What the measured node has cost so far.
    ///
    /// # Errors
    /// When it is not running.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.demo.pid(NODE))
    }

    /// The folder of the dataset's files in the lake of the measured node.
    #[must_use]
    pub fn table(&self) -> PathBuf {
        self.demo.node(NODE).data().join("lake").join(DATASET)
    }

    /// Sends `each` requests over each of `clients`, all connections at once, one request at a time on each. `make` gets the
    /// client and the number of the request, `check` the answer.
    ///
    /// # Errors
    /// When a connection breaks or `check` does not like an answer.
    pub async fn measure<M, C>(&self, clients: &[Client], each: u64, make: M, check: C) -> Result<Latencies>
    where
        M: AsyncFn(&Client, u64) -> RequestBuilder,
        C: Fn(u64, &Answer) -> Result<()>,
    {
        let (node, own, started) = (self.usage()?, Usage::own()?, Instant::now());
        let work = clients.iter().zip(0_u64..).map(|(client, lane)| {
            let (make, check) = (&make, &check);
            async move {
                let mut taken = Vec::new();
                for number in lane * each..(lane + 1) * each {
                    let request = make(client, number).await;
                    let started = Instant::now();
                    let answer = client.send(request).await;
                    taken.push(started.elapsed());
                    check(number, &answer)?;
                }
                Ok::<_, anyhow::Error>(taken)
            }
        });
        let mut sorted: Vec<Duration> = try_join_all(work).await?.concat();
        let wall = started.elapsed();
        sorted.sort_unstable();
        let (node, own) = (self.usage()?.cpu_since(&node), Usage::own()?.cpu_since(&own));
        Ok(Latencies { sorted, wall, node_cpu_s: node, own_cpu_s: own })
    }

    /// Delivers `body` as CSV and gives the counts of rows in the answer: accepted and refused.
    ///
    /// # Errors
    /// When the answer is not 201.
    pub async fn load(&self, body: Vec<u8>) -> Result<(u64, u64)> {
        let answer = self.client.deliver(DATASET, body, "text/csv", &[]).await;
        ensure!(answer.status == 201, "{}: {}", answer.status, answer.text());
        let rows = &answer.json()["rows"];
        let count = |name: &str| rows[name].as_u64().context("counts in the answer");
        Ok((count("accepted")?, count("refused")?))
    }
}

/// How long requests took.
pub struct Latencies {
    sorted: Vec<Duration>,
    wall: Duration,
    node_cpu_s: f64,
    own_cpu_s: f64,
}

impl Latencies {
    /// Adds them to a table, each name with `what` before it.
    pub fn add_to(&self, figures: &mut Figures, what: &str) {
        let count = self.sorted.len() as f64;
        figures.add(format!("{what}: requests"), count, "");
        figures.add(format!("{what}: p50"), millis(percentile(&self.sorted, 0.5)), "ms");
        figures.add(format!("{what}: p99"), millis(percentile(&self.sorted, 0.99)), "ms");
        figures.add(format!("{what}: rate"), count / self.wall.as_secs_f64(), "requests/s");
        figures.add(format!("{what}: CPU of the node per 1000"), self.node_cpu_s * 1000.0 / count, "s");
        figures.add(format!("{what}: CPU of the client per 1000"), self.own_cpu_s * 1000.0 / count, "s");
    }
}
