//! `kill -9`, over and over, at every node and at every moment: nothing that was acknowledged is lost, nothing is doubled.
//!
//! Writers deliver to all three nodes under keys of their own, hang up now and then, and send each delivery again until it is
//! acknowledged. A killer ends a node when it has been up for a random time, or while it is still starting; the demo starts
//! it again. When the kills are done and the links have nothing left to send, what the writers were told is compared with
//! what the nodes hold: rows, receipts, audit logs.
//!
//! The last quarter of the kills hits the lowest node alone: what its deaths leave half-done at its parent must come to an
//! end there without a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use simpul_certs::jws::verify_receipt;
use simpul_core::receipt::Receipt;
use simpul_tests::{Answer, Client, Demo, count, wait_until};

/// The nodes, each the parent of the one before.
const TIERS: [&str; 3] = ["kecamatan", "kabupaten", "provinsi"];
/// From the kill to the first "ready", with another process start in between.
const LONGEST_OUTAGE: Duration = Duration::from_secs(90);
/// A delivery that is not acknowledged for so long is stuck: no node stays away for longer than an outage.
const STUCK: Duration = Duration::from_secs(90);
const EVENTS: &str = "kejadian-112";
const VILLAGES: &str = "konektivitas-desa";
const PEOPLE: &str = "penduduk-wilayah";

/// Tier and dataset of each writer. Writers of one node share its producer, so their numbers and periods interleave.
const WRITERS: [(&str, &str); 8] = [
    ("kecamatan", EVENTS),
    ("kecamatan", EVENTS),
    ("kecamatan", VILLAGES),
    ("kecamatan", PEOPLE),
    ("kabupaten", EVENTS),
    ("kabupaten", VILLAGES),
    ("provinsi", EVENTS),
    ("provinsi", PEOPLE),
];

/// Random numbers that a seed gives again (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    async fn pause(&mut self, below_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.below(below_ms))).await;
    }
}

/// One delivery and what the node said about it.
struct Acknowledged {
    writer: usize,
    /// What its rows carry: the key of an event, or the period and the mark of a replacement.
    rows: Vec<String>,
    /// The period that it replaces; empty for events.
    period: String,
    key: String,
    answer: Value,
    replayed: bool,
}

/// What the writers and the killer share.
struct Run {
    demo: Demo,
    /// For the health of nodes, in clear.
    http: reqwest::Client,
    seed: u64,
    /// Set when the writers shall finish what they are at.
    enough: AtomicBool,
    acknowledged: Mutex<Vec<Acknowledged>>,
    /// Answers that are no acknowledgement, by status and problem.
    others: Mutex<BTreeMap<String, u64>>,
    wrong: Mutex<Vec<String>>,
    attempts: AtomicU64,
    /// How often each node was killed.
    killed: [AtomicU64; 3],
}

impl Run {
    fn complain(&self, what: String) {
        self.wrong.lock().expect("no writer has panicked").push(what);
    }

    fn other(&self, what: String) {
        *self.others.lock().expect("no writer has panicked").entry(what).or_default() += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_moment_a_node_is_killed_at_nothing_acknowledged_is_lost_or_doubled() {
    let kills = count("SIMPUL_KILLS", 200);
    let seed = count("SIMPUL_KILLS_SEED", usize::try_from(simpul_tests::now().millis()).unwrap()) as u64;
    println!("SIMPUL_KILLS={kills} SIMPUL_KILLS_SEED={seed}");
    let demo = Demo::own();
    let run = Arc::new(Run {
        http: demo.client("provinsi-admin").http,
        demo,
        seed,
        enough: AtomicBool::new(false),
        acknowledged: Mutex::default(),
        others: Mutex::default(),
        wrong: Mutex::default(),
        attempts: AtomicU64::new(0),
        killed: Default::default(),
    });
    let started = Instant::now();
    let writers: Vec<_> = (0..WRITERS.len()).map(|number| tokio::spawn(write(run.clone(), number))).collect();
    let outages = kill(&run, kills).await;
    let killing = started.elapsed();
    run.enough.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    settled(&run).await;
    let settling = started.elapsed() - killing;

    let receipts = receipts(&run);
    let mut audits = HashMap::new();
    for tier in TIERS {
        rows_are_exact(&run, tier).await;
        nothing_is_open(&run, tier).await;
        audits.insert(tier, audit_log(&run, tier).await);
    }
    receipts_are_unique_and_audited(&run, &receipts, &audits);
    figures(&run, &outages, killing, settling);
    let wrong = run.wrong.lock().expect("no writer has panicked");
    assert!(wrong.is_empty(), "seed {seed}: {} violations\n{}", wrong.len(), wrong[..wrong.len().min(30)].join("\n"));
}

/// Delivers one thing after the other until there is enough.
async fn write(run: Arc<Run>, number: usize) {
    let (tier, _) = WRITERS[number];
    let mut random = Random(run.seed ^ (number as u64 + 1).wrapping_mul(0x1000_0001));
    let client = run.demo.client(&format!("{tier}-produsen"));
    let mut token = None;
    let mut nth = 0;
    while !run.enough.load(Ordering::SeqCst) {
        nth += 1;
        let delivery = Delivery::new(run.seed, number, nth, &mut random);
        match deliver(&run, &client, &mut token, &delivery, &mut random).await {
            Some((answer, replayed)) => run.acknowledged.lock().expect("no writer has panicked").push(Acknowledged {
                writer: number,
                rows: delivery.rows,
                period: delivery.period,
                key: delivery.key,
                answer,
                replayed,
            }),
            None => return,
        }
        random.pause(300).await;
    }
}

/// What a writer sends.
struct Delivery {
    dataset: &'static str,
    key: String,
    period: String,
    rows: Vec<String>,
    body: String,
}

impl Delivery {
    fn new(seed: u64, writer: usize, nth: u64, random: &mut Random) -> Self {
        let dataset = WRITERS[writer].1;
        let key = format!("kill-{seed}-{writer}-{nth}");
        // Writers of different nodes replace the same periods, each the rows of its own origin.
        let slot = random.below(3);
        match dataset {
            EVENTS => {
                let size = if random.below(12) == 0 { 600 } else { 1 + random.below(12) };
                let rows: Vec<_> =
                    (0..size).map(|row| format!("K{}-{writer}-{nth}-{row}", seed % 1_000_000_000)).collect();
                let head = "id_kejadian,jenis_kejadian,opd_tujuan,kode_kecamatan,waktu_terima,status\n";
                let line = |id: &String| format!("{id},banjir,BPBD,64.02.05,2026-01-20T07:25:00+08:00,selesai\n");
                let body = head.to_owned() + &rows.iter().map(line).collect::<String>();
                Self { dataset, key, period: String::new(), rows, body }
            }
            VILLAGES => {
                let period = format!("{}", 2090 + slot);
                let mark = format!("T{writer}-{nth}");
                let head = "kode_desa,nama_desa,tahun,sinyal,jenis_akses,kantor_desa_terhubung\n";
                let line = |village: &str| format!("{village},{mark},{period},kuat,radio,ya\n");
                let body = head.to_owned() + &line("64.02.05.2001") + &line("64.02.05.2002");
                let rows = vec![format!("{period} 64.02.05.2001 {mark}"), format!("{period} 64.02.05.2002 {mark}")];
                Self { dataset, key, period, rows, body }
            }
            _ => {
                let (day, period) = (format!("0{}/03/2031", slot + 1), format!("2031-03-0{}", slot + 1));
                let mark = format!("T{writer}-{nth}");
                let head = "Uji\nUji\nkode_wilayah;nama_wilayah;jumlah;per_tanggal\n";
                let body = format!("{head}64.02.05.2001;{mark};1.000;{day}\n64.02.05.2002;{mark};20;{day}\n");
                let rows = vec![format!("{period} 64.02.05.2001 {mark}"), format!("{period} 64.02.05.2002 {mark}")];
                Self { dataset, key, period, rows, body }
            }
        }
    }
}

/// Sends a delivery until it is acknowledged; `None` when it never is, or is refused.
async fn deliver(
    run: &Run,
    client: &Client,
    token: &mut Option<String>,
    delivery: &Delivery,
    random: &mut Random,
) -> Option<(Value, bool)> {
    let started = Instant::now();
    let mut last = String::new();
    while started.elapsed() < STUCK {
        run.attempts.fetch_add(1, Ordering::Relaxed);
        // Some lose patience at a moment at which the node is still at it.
        let patience = if random.below(10) == 0 { 1 + random.below(80) } else { 30_000 };
        let pause = match attempt(client, token, delivery, Duration::from_millis(patience)).await {
            Ok(answer) if answer.status == 201 => {
                let replayed = answer.header("idempotency-replayed") == "true";
                return Some((answer.json(), replayed));
            }
            Ok(answer) => {
                last = format!("{} {}", answer.status, answer.problem());
                run.other(last.clone());
                match answer.status {
                    401 => *token = None,
                    // Being read, or the node cannot now: both end by themselves.
                    409 if answer.problem() == "in_progress" => {}
                    429 | 503 => {}
                    _ => {
                        run.complain(format!("{} was answered {}", delivery.key, answer.text()));
                        return None;
                    }
                }
                answer.header("retry-after").parse().map_or(100, |seconds: u64| seconds * 500)
            }
            Err(error) => {
                run.other(if error.is_timeout() { "hung up" } else { "connection lost" }.to_owned());
                50
            }
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    run.complain(format!("{} is stuck; the last answer was {last}", delivery.key));
    None
}

/// One request, with a token of an earlier one if there is one.
async fn attempt(
    client: &Client,
    token: &mut Option<String>,
    delivery: &Delivery,
    patience: Duration,
) -> Result<Answer, reqwest::Error> {
    let bearer = match token {
        Some(token) => token.clone(),
        None => {
            let form = [("grant_type", "client_credentials")];
            let answer = Answer::read(client.bare(Method::POST, "/v1/token").form(&form).send().await?).await?;
            if answer.status != 200 {
                return Ok(answer);
            }
            token.insert(answer.json()["access_token"].as_str().expect("an access token").to_owned()).clone()
        }
    };
    let request = client
        .bare(Method::POST, &format!("/v1/datasets/{}/deliveries", delivery.dataset))
        .bearer_auth(bearer)
        .header("content-type", "text/csv")
        .header("idempotency-key", &delivery.key)
        .body(delivery.body.clone())
        .timeout(patience);
    Answer::read(request.send().await?).await
}

/// Kills nodes and gives the outages, each from the kill to the first "ready", of those that were not killed again before.
async fn kill(run: &Arc<Run>, kills: usize) -> Vec<Duration> {
    let mut random = Random(run.seed);
    let mut last: [u32; 3] = [0; 3];
    let mut outages = Vec::new();
    for kill in 0..kills {
        let lowest = kill >= kills * 3 / 4;
        let index = if lowest { 0 } else { random.below(3) as usize };
        let tier = TIERS[index];
        // The file names the process that was killed last until the next one is started.
        let pid = wait_until("a killed node is started again", LONGEST_OUTAGE, async || {
            let file = run.demo.dir.join(format!("{}.pid", run.demo.node(tier).name));
            let pid = std::fs::read_to_string(file).ok()?.trim().parse::<u32>().ok()?;
            (pid != last[index]).then_some(pid)
        });
        last[index] = pid.await;
        // Some die while they start and recover, the others at any moment of their work.
        if random.below(5) == 0 {
            random.pause(250).await;
        } else {
            let what = format!("{tier} is ready again");
            wait_until(&what, LONGEST_OUTAGE, async || is_ready(run, tier).await.then_some(())).await;
            random.pause(700).await;
        }
        let nth = run.killed[index].fetch_add(1, Ordering::SeqCst) + 1;
        run.demo.signal(tier, "KILL");
        let (run, killed) = (run.clone(), Instant::now());
        outages.push(tokio::spawn(async move { outage(&run, index, nth, killed).await }));
    }
    let mut measured = Vec::new();
    for outage in outages {
        measured.extend(outage.await.expect("an outage is measured"));
    }
    measured.sort_unstable();
    measured
}

async fn is_ready(run: &Run, tier: &str) -> bool {
    let address = format!("{}/health/ready", run.demo.node(tier).metrics);
    let answer = run.http.get(address).timeout(Duration::from_secs(2)).send().await;
    answer.is_ok_and(|answer| answer.status() == 200)
}

/// The time until the node answers "ready"; `None` when it is killed again before it does.
async fn outage(run: &Run, index: usize, nth: u64, killed: Instant) -> Option<Duration> {
    while run.killed[index].load(Ordering::SeqCst) == nth {
        if is_ready(run, TIERS[index]).await {
            return (run.killed[index].load(Ordering::SeqCst) == nth).then(|| killed.elapsed());
        }
        if killed.elapsed() > LONGEST_OUTAGE {
            run.complain(format!("{} was not ready {LONGEST_OUTAGE:?} after a kill", TIERS[index]));
            return None;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

/// Waits until no link has anything left to send; a link that sends nothing for a minute and a half is stuck.
async fn settled(run: &Run) {
    for tier in &TIERS[..2] {
        let admin = run.demo.admin(tier);
        let (mut fewest, mut since) = (u64::MAX, Instant::now());
        loop {
            let link = admin.patient_get("/v1/admin/link").await.wants(200).json()["link"].take();
            if link["refused"] != 0 {
                run.complain(format!("{tier}: the parent refused what was forwarded: {}", link["refused_entries"]));
                break;
            }
            let queued = link["queued"].as_u64().expect("a number");
            if queued == 0 {
                break;
            }
            if queued < fewest {
                (fewest, since) = (queued, Instant::now());
            }
            if since.elapsed() > STUCK {
                run.complain(format!("{tier}: the link is stuck: {link}"));
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Every receipt says what was delivered, and its signature holds.
fn receipts(run: &Run) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for delivery in run.acknowledged.lock().expect("no writer has panicked").iter() {
        let (answer, key) = (&delivery.answer, &delivery.key);
        match verify_receipt(answer["receipt"].as_str().unwrap_or_default(), None) {
            Ok(verified) => {
                let receipt = verified.receipt;
                let agency = &run.demo.node(WRITERS[delivery.writer].0).agency;
                let rows = (receipt.rows.accepted, receipt.rows.refused) == (delivery.rows.len() as u64, 0);
                let same = answer["delivery"] == receipt.delivery.as_str() && receipt.node.agency.as_str() == agency;
                if !rows || !same {
                    run.complain(format!("{key}: the receipt is about something else: {receipt:?}"));
                }
                receipts.push(receipt);
            }
            Err(error) => run.complain(format!("{key}: the receipt does not hold: {error}")),
        }
    }
    receipts
}

/// What a node must hold: each row of its own writers and of those below it, once.
async fn rows_are_exact(run: &Run, tier: &str) {
    let height = TIERS.iter().position(|name| *name == tier).expect("a tier");
    let below = |writer: usize| TIERS[..=height].contains(&WRITERS[writer].0);
    let mut wanted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut latest: BTreeMap<(&str, &str, String), Vec<String>> = BTreeMap::new();
    for delivery in
        run.acknowledged.lock().expect("no writer has panicked").iter().filter(|delivery| below(delivery.writer))
    {
        let (from, dataset) = WRITERS[delivery.writer];
        if delivery.period.is_empty() {
            wanted.entry(dataset).or_default().extend(delivery.rows.iter().cloned());
        } else {
            // Each node has one writer of such a dataset, which delivers one thing after the other: the last one stays.
            latest.insert((from, dataset, delivery.period.clone()), delivery.rows.clone());
        }
    }
    for ((_, dataset, _), rows) in latest {
        wanted.entry(dataset).or_default().extend(rows);
    }
    let marks = [
        (EVENTS, "select=id_kejadian", format!("K{}-", run.seed % 1_000_000_000)),
        (VILLAGES, "select=tahun,kode_desa,nama_desa", " T".to_owned()),
        (PEOPLE, "select=per_tanggal,kode_wilayah,nama_wilayah", " T".to_owned()),
    ];
    for (dataset, select, mark) in marks {
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        for row in rows(run, tier, dataset, select).await.into_iter().filter(|row| is_ours(row, &mark)) {
            *found.entry(row).or_default() += 1;
        }
        let wanted = wanted.remove(dataset).unwrap_or_default();
        if wanted.is_empty() {
            run.complain(format!("{tier}: nothing of {dataset} was acknowledged: nothing is compared"));
        }
        for row in wanted.iter().filter(|row| !found.contains_key(*row)) {
            run.complain(format!("{tier}: {dataset}: lost: {row}"));
        }
        for (row, times) in &found {
            if *times > 1 {
                run.complain(format!("{tier}: {dataset}: {times} times: {row}"));
            }
            if !wanted.contains(row) {
                run.complain(format!("{tier}: {dataset}: nobody was told of, or it was replaced: {row}"));
            }
        }
        println!("{tier}: {dataset}: {} rows, each once", found.len());
    }
}

/// Whether a row is of the writers, and not of the demo.
fn is_ours(row: &str, mark: &str) -> bool {
    row.rsplit_once(mark).is_some_and(|(before, after)| {
        (before.is_empty() || mark.starts_with(' ')) && after.bytes().all(|b| b.is_ascii_digit() || b == b'-')
    })
}

/// The rows of a dataset at a node, the columns of each with a space between.
async fn rows(run: &Run, tier: &str, dataset: &str, select: &str) -> Vec<String> {
    let client = run.demo.client(&format!("{tier}-produsen"));
    let text =
        client.patient_get(&format!("/v1/datasets/{dataset}/extract?format=csv&{select}")).await.wants(200).text();
    let columns: Vec<&str> = select.trim_start_matches("select=").split(',').collect();
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let places: Vec<usize> = columns
        .iter()
        .map(|column| head.iter().position(|name| name == column).unwrap_or_else(|| panic!("{column} in {head:?}")))
        .collect();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').map(|cell| cell.trim_matches('"')).collect();
        places.iter().map(|place| cells[*place]).collect::<Vec<_>>().join(" ")
    };
    lines.map(row).collect()
}

/// Nothing is left between its arrival and its end.
async fn nothing_is_open(run: &Run, tier: &str) {
    let admin = run.demo.admin(tier);
    for state in ["receiving", "staged", "landing"] {
        let answer = admin.patient_get(&format!("/v1/admin/deliveries?state={state}&limit=10")).await.wants(200).json();
        let left = answer["deliveries"].as_array().expect("a list");
        if !left.is_empty() {
            run.complain(format!("{tier}: {} deliveries are still {state}, such as {}", left.len(), left[0]));
        }
    }
}

/// The audit log of a node, verified by two programs: the entries about landings, by delivery.
async fn audit_log(run: &Run, tier: &str) -> HashMap<String, Vec<u64>> {
    let file = run.demo.dir.join(format!("{tier}-after-kills.txt")).display().to_string();
    let profile = run.demo.client_info(&format!("{tier}-admin")).profile.display().to_string();
    for args in [vec!["audit", "export", "-o", &file, "--profile", &profile], vec!["audit", "verify", &file]] {
        let output = run.demo.simpul(&args).await;
        if output.code != 0 {
            run.complain(format!("{tier}: simpul {args:?}: {output:?}"));
        }
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/audit_verify.py");
    let output = std::process::Command::new("python3").args([script, &file]).output().expect("python3");
    if !output.status.success() {
        run.complain(format!("{tier}: audit_verify.py: {}", String::from_utf8_lossy(&output.stdout)));
    }
    let mut landings: HashMap<String, Vec<u64>> = HashMap::new();
    for line in std::fs::read_to_string(&file).expect("the export").lines() {
        let entry = serde_json::from_str::<Value>(line).map_or(Value::Null, |mut line| line["entry"].take());
        if entry["action"] == "delivery.land" {
            let delivery = entry["details"]["delivery"].as_str().unwrap_or_default().to_owned();
            landings.entry(delivery).or_default().push(entry["seq"].as_u64().expect("a number"));
        }
    }
    landings
}

/// No two receipts share a delivery, a number or a version of a table, and each names the one entry about it.
fn receipts_are_unique_and_audited(
    run: &Run,
    receipts: &[Receipt],
    audits: &HashMap<&'static str, HashMap<String, Vec<u64>>>,
) {
    let mut seen = BTreeSet::new();
    for receipt in receipts {
        let place = format!("{} {}", receipt.node, receipt.dataset);
        let ids = [
            format!("delivery {}", receipt.delivery),
            format!("number {:?} of {} in {place}", receipt.sequence, receipt.source),
            format!("version {:?} of {place}", receipt.table_version),
        ];
        for id in ids {
            if !seen.insert(id.clone()) {
                run.complain(format!("two receipts name the {id}"));
            }
        }
        let tier = TIERS
            .into_iter()
            .find(|tier| run.demo.node(tier).agency == receipt.node.agency.as_str())
            .expect("a node of the demo");
        let entries = audits[tier].get(&receipt.delivery).cloned().unwrap_or_default();
        if entries != [receipt.audit_index] {
            run.complain(format!(
                "{tier}: {} is entry {}, the log has {entries:?}",
                receipt.delivery, receipt.audit_index
            ));
        }
    }
}

/// What happened, for whoever reads the output of the test; and that the kills hit something.
fn figures(run: &Run, outages: &[Duration], killing: Duration, settling: Duration) {
    let acknowledged = run.acknowledged.lock().expect("no writer has panicked");
    let rows: usize = acknowledged.iter().map(|delivery| delivery.rows.len()).sum();
    let replayed = acknowledged.iter().filter(|delivery| delivery.replayed).count();
    let kills = TIERS.iter().zip(&run.killed).map(|(tier, killed)| format!("{tier} {}", killed.load(Ordering::SeqCst)));
    println!(
        "kills: {} in {killing:.1?}, then {settling:.1?} until all was forwarded",
        kills.collect::<Vec<_>>().join(", ")
    );
    println!(
        "{} deliveries with {rows} rows acknowledged in {} attempts; {replayed} acknowledged by an answer that was stored",
        acknowledged.len(),
        run.attempts.load(Ordering::SeqCst),
    );
    println!("other answers: {:?}", run.others.lock().expect("no writer has panicked"));
    let at = |part: usize| outages[(outages.len() - 1) * part / 100];
    if !outages.is_empty() {
        println!(
            "kill to ready, of {} restarts: p50 {:.2?}, p95 {:.2?}, longest {:.2?}",
            outages.len(),
            at(50),
            at(95),
            at(100)
        );
    }
    let mut hits = 0;
    for tier in TIERS {
        let log = run.demo.log(tier);
        let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
        let (abandoned, resumed) = (lines("abandoned: "), lines("resumed"));
        hits += abandoned + resumed;
        println!(
            "{tier}: {abandoned} abandoned while read, {resumed} resumed after they were staged, {} forwards postponed, {} panics",
            lines("forward postponed"),
            lines("panicked"),
        );
        if lines("panicked") + lines("cannot be finished yet") > 0 {
            run.complain(format!("{tier}: see its log for panics and for what cannot be finished"));
        }
    }
    let kills: u64 = run.killed.iter().map(|killed| killed.load(Ordering::SeqCst)).sum();
    if kills >= 50 && (hits == 0 || acknowledged.len() < 100) {
        run.complain("the kills hit nothing: this run shows nothing".to_owned());
    }
}
