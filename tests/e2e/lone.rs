//! One node by itself, with a configuration of its own: what tests of bad input are run against.
//!
//! [`shared`] is a node that the tests of requests and data have in common; each of them takes a dataset of its own
//! ([`Case::open`]), so that what it counts is its own. Tests of limits start a node each ([`Lone::start`]).

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use simpul_certs::ca::{Ca, IssueRequest};
use simpul_certs::testing::Credential;
use simpul_core::id::Identity;
use simpul_core::time::Timestamp;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The trust domain of the tests.
const DOMAIN: &str = "satudata.test";
/// The agency of the node.
const NODE: &str = "64.02.diskominfo";
/// Who delivers, unless a test says otherwise.
pub const PRODUCER: &str = "64.02.dukcapil/siak";
/// Who reads with columns covered, unless a test says otherwise.
pub const READER: &str = "64.02.bappeda/perencanaan";
/// Time for anything that a healthy node does at once, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("SIMPUL_BIN") {
        return Ok(path.into());
    }
    let here = std::env::current_exe()?;
    let target = here.parent().and_then(Path::parent).context("the tests lie in a target folder")?;
    Ok(target.join("simpul"))
}

/// The wall clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// How a node is set up.
#[derive(Default)]
pub struct Setup {
    /// `section.key` to a TOML value.
    pub config: BTreeMap<&'static str, String>,
    /// More environment of the process.
    pub env: Vec<(&'static str, String)>,
}

impl Setup {
    /// Sets `section.key`.
    pub fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.config.insert(key, value.to_string());
        self
    }
}

/// A node's folder, made by `simpul ca init` and `simpul init`, and not running yet.
pub struct Folder {
    dir: TempDir,
}

impl Folder {
    /// Makes it.
    pub fn make(setup: &Setup) -> anyhow::Result<Self> {
        let folder = Self { dir: tempfile::tempdir()? };
        let ca = folder.ca_dir();
        simpul(&["ca", "init", text(&ca)?, "--trust-domain", DOMAIN])?;
        let admin = format!("{NODE}/admin");
        let node = folder.path().join("node");
        let init = ["init", text(&node)?, "--agency", NODE, "--tier", "kabupaten", "--ca", text(&ca)?];
        simpul(&[&init[..], &["--administrator", &admin]].concat())?;
        let mut keys = setup.config.clone();
        for listener in ["listen.exchange", "listen.portal", "listen.console", "listen.metrics"] {
            keys.insert(listener, "\"127.0.0.1:0\"".to_owned());
        }
        for (key, default) in [("limits.requests_per_second", "100000"), ("limits.requests_burst", "100000")] {
            keys.entry(key).or_insert_with(|| default.to_owned());
        }
        folder.set(&keys)?;
        Ok(folder)
    }

    /// The folder that holds everything.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The folder of the CA.
    pub fn ca_dir(&self) -> PathBuf {
        self.path().join("ca")
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path().join("node/simpul.toml")
    }

    fn set(&self, keys: &BTreeMap<&'static str, String>) -> anyhow::Result<()> {
        let mut config = fs::read_to_string(self.config())?;
        for (key, value) in keys {
            let (section, name) = key.split_once('.').context("section.key")?;
            let head = format!("[{section}]\n");
            ensure!(config.contains(&head), "no section {section}");
            config = config.replacen(&head, &format!("{head}{name} = {value}\n"), 1);
        }
        Ok(fs::write(self.config(), config)?)
    }

    /// `simpul serve`, that is expected to end by itself: exit status and what it wrote to standard error.
    pub fn serve_to_its_end(&self) -> anyhow::Result<(i32, String)> {
        let child = Command::new(binary()?)
            .args(["serve", "--config", text(&self.config())?])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut child = Killed(child);
        let stderr = child.0.stderr.take().context("stderr")?;
        let reader = std::thread::spawn(move || std::io::read_to_string(stderr));
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = child.0.try_wait()? {
                let said = reader.join().map_err(|_| anyhow::anyhow!("the reader failed"))??;
                return Ok((status.code().unwrap_or(-1), said));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the node serves although it should refuse to start")
    }
}

/// A process that does not outlive its handle.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command of the binary that must succeed; gives its standard output.
pub fn simpul(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(binary()?).args(arguments).output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A path as text.
pub fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the path is UTF-8")
}

/// A running node.
pub struct Lone {
    folder: Folder,
    child: Killed,
    addresses: BTreeMap<String, String>,
    issuing: Mutex<()>,
}

impl Lone {
    /// Makes a folder and starts a node in it.
    pub fn start(setup: Setup) -> anyhow::Result<Self> {
        let folder = Folder::make(&setup)?;
        Self::start_in(folder, &setup.env)
    }

    /// Starts a node in a folder. The process ends with the thread that calls this.
    pub fn start_in(folder: Folder, env: &[(&'static str, String)]) -> anyhow::Result<Self> {
        let log = fs::File::create(folder.path().join("node.log"))?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(binary()?)
            .args(["serve", "--log-json", "--config", text(&folder.config())?])
            .envs(env.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("setpriv of util-linux starts the node")?;
        let mut child = Killed(child);
        let mut lines = BufReader::new(child.0.stdout.take().context("stdout")?).lines();
        let mut addresses = BTreeMap::new();
        for _ in 0..4 {
            let line = lines.next().with_context(|| folder.log_tail())??;
            let (name, address) = line.split_once(char::is_whitespace).context("name and address")?;
            addresses.insert(name.to_owned(), address.trim().to_owned());
        }
        Ok(Self { folder, child, addresses, issuing: Mutex::default() })
    }

    /// The node's folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Stops the node without warning and gives its folder.
    pub fn kill(self) -> Folder {
        drop(self.child);
        self.folder
    }

    /// The process number.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Everything that the node logged so far.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.folder.path().join("node.log"))?).into_owned())
    }

    /// The address `exchange`, `portal`, `console` or `metrics`.
    pub fn address(&self, name: &str) -> anyhow::Result<&str> {
        Ok(self.addresses.get(name).with_context(|| format!("no address {name}"))?)
    }

    /// A certificate for `agency/client`.
    pub fn credential(&self, who: &str) -> anyhow::Result<(Credential, Ca)> {
        let _one = self.issuing.lock().unwrap_or_else(PoisonError::into_inner);
        let ca = Ca::open(&self.folder.ca_dir(), now())?;
        let identity: Identity = format!("spiffe://{DOMAIN}/{who}").parse()?;
        let issued = ca.issue(&IssueRequest::client(identity, 1), now())?;
        Ok((Credential::from_pem(&issued.certificate.chain_pem, &issued.key_pem)?, ca))
    }

    /// A client `agency/client` at the address `entrance`, with a token.
    pub async fn caller(&self, who: &str, entrance: &str) -> anyhow::Result<Caller> {
        let (credential, ca) = self.credential(who)?;
        let tls = credential.client_config(&ca)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .no_proxy()
            .timeout(Duration::from_secs(600))
            .build()?;
        let mut caller = Caller {
            http,
            base: self.address(entrance)?.trim_end_matches("/metrics").to_owned(),
            token: String::new(),
            tls: Arc::new(tls),
        };
        caller.renew().await?;
        Ok(caller)
    }

    /// The administrator at the console.
    pub async fn admin(&self) -> anyhow::Result<Caller> {
        self.caller(&format!("{NODE}/admin"), "console").await
    }

    /// Resident memory now and at its peak since [`Lone::forget_peak`], in KiB.
    pub fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let figure = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_ascii_whitespace().next()?.parse().ok()
        };
        Ok((figure("VmRSS:").context("VmRSS")?, figure("VmHWM:").context("VmHWM")?))
    }

    /// Begins a new peak.
    pub fn forget_peak(&self) -> anyhow::Result<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.pid()), "5")?)
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        // The address is in clear, and reqwest asks for a provider all the same.
        let _ = rustls::crypto::CryptoProvider::install_default((*simpul_certs::tls::provider()).clone());
        Ok(reqwest::Client::builder().no_proxy().build()?.get(self.address("metrics")?).send().await?.text().await?)
    }

    /// A bare TLS connection to the exchange.
    pub async fn connect(
        &self,
        tls: &Arc<rustls::ClientConfig>,
        protocol: &str,
    ) -> anyhow::Result<TlsStream<TcpStream>> {
        let mut tls = (**tls).clone();
        tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let address: SocketAddr = self.address("exchange")?.trim_start_matches("https://").parse()?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = rustls::pki_types::ServerName::from(address.ip());
        Ok(tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, stream).await?)
    }
}

impl Folder {
    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.path().join("node.log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(10).collect();
        format!("the node did not start: {}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }
}

/// One client of a node.
#[derive(Clone)]
pub struct Caller {
    http: reqwest::Client,
    base: String,
    /// The access token.
    pub token: String,
    /// The TLS configuration with the client's certificate.
    pub tls: Arc<rustls::ClientConfig>,
}

impl Caller {
    /// Takes a new token, for agreements that were made since. A client that is not registered gets none.
    pub async fn renew(&mut self) -> anyhow::Result<()> {
        let request = self.http.post(format!("{}/v1/token", self.base)).form(&[("grant_type", "client_credentials")]);
        let answer = Answer::of(request).await?;
        answer.body["access_token"].as_str().unwrap_or_default().clone_into(&mut self.token);
        Ok(())
    }

    /// A request with the token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// GET `path`.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// Sends JSON, which must succeed.
    pub async fn put(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = Answer::of(self.request(method, path).json(body)).await?;
        ensure!(answer.status < 300, "{path}: {} {}", answer.status, answer.body);
        Ok(answer.body)
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as JSON, or null.
    pub body: Value,
    /// The body as it is.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// Sends the request and reads the whole answer.
    pub async fn of(request: RequestBuilder) -> anyhow::Result<Self> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await?.to_vec();
        Ok(Self { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default(), bytes })
    }

    /// The last word of the problem type.
    pub fn problem(&self) -> &str {
        self.body["type"].as_str().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default()
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// One dataset of one test at a node.
pub struct Case<'n> {
    /// The node.
    pub node: &'n Lone,
    /// The dataset.
    pub dataset: String,
    /// May deliver and read.
    pub producer: Caller,
    /// At the console.
    pub admin: Caller,
    rows: u64,
}

/// The descriptor of the tests' dataset; `policy` is `tolak` or `karantina`.
pub fn descriptor(dataset: &str, policy: &str) -> Value {
    let field =
        |name: &str, kind: &str, constraints: Value| json!({"name": name, "type": kind, "constraints": constraints});
    json!({
        "name": dataset,
        "version": "1.0.0",
        "satudata": {"sifat": "terbatas", "moda": "tambah", "kebijakan": policy},
        "resources": [{"name": "uji", "path": "uji.csv", "format": "csv", "encoding": "utf-8", "dialect": {"delimiter": ","},
            "schema": {"fields": [
                field("kode", "string", json!({"required": true, "maxLength": 40})),
                field("nik", "string", json!({"pattern": "[0-9]{16}"})),
                field("jumlah", "integer", json!({"minimum": 0})),
                field("nilai", "number", json!({})),
                field("tanggal", "date", json!({})),
                field("catatan", "string", json!({})),
            ]}}],
    })
}

/// A small delivery without a fault.
pub const GOOD: &str = "kode,nik,jumlah,nilai,tanggal,catatan\nA1,6402010101010001,3,1.5,2026-01-02,baik\nA2,6402010101010002,4,2.5,2026-01-03,juga\n";
/// Its header.
pub const HEADER: &str = "kode,nik,jumlah,nilai,tanggal,catatan\n";

impl<'n> Case<'n> {
    /// Registers a dataset for the case `id`, with an agreement for the producer, and lands two rows.
    pub async fn open(node: &'n Lone, id: &str) -> anyhow::Result<Self> {
        Self::with_policy(node, id, "tolak").await
    }

    /// The same, with a policy for bad rows.
    pub async fn with_policy(node: &'n Lone, id: &str, policy: &str) -> anyhow::Result<Self> {
        let admin = node.admin().await?;
        let dataset = format!("uji-{id}");
        admin.put(Method::POST, "/v1/admin/contracts", &descriptor(&dataset, policy)).await?;
        let mut case = Self { node, dataset, producer: admin.clone(), admin, rows: 0 };
        case.producer = case.client(PRODUCER, &["deliver", "read"], &json!({})).await?;
        let answer = Answer::of(case.push("dasar", GOOD)).await?;
        ensure!(answer.status == 201, "{}", answer.body);
        case.rows = 2;
        Ok(case)
    }

    /// Registers `who` and an agreement about the dataset; `more` is laid over the agreement.
    pub async fn client(&self, who: &str, operations: &[&str], more: &Value) -> anyhow::Result<Caller> {
        let (agency, client) = who.split_once('/').context("agency/client")?;
        self.admin.put(Method::PUT, &format!("/v1/admin/agencies/{agency}"), &json!({"name": agency})).await?;
        let role = if operations.contains(&"deliver") { "producer" } else { "consumer" };
        self.admin.put(Method::PUT, &format!("/v1/admin/clients/{who}"), &json!({"roles": [role]})).await?;
        let mut agreement = json!({
            "provider": NODE, "consumer": agency, "client": client, "dataset": self.dataset, "operations": operations,
            "purpose": "uji", "document": "PKS/uji", "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2099-01-01T00:00:00Z",
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            agreement[key] = value.clone();
        }
        let id = format!("{}-{client}", self.dataset);
        self.admin.put(Method::PUT, &format!("/v1/admin/agreements/{id}"), &agreement).await?;
        self.node.caller(who, "exchange").await
    }

    /// The path of the dataset's deliveries.
    pub fn path(&self) -> String {
        format!("/v1/datasets/{}/deliveries", self.dataset)
    }

    /// A delivery of CSV by the producer under an idempotency key.
    pub fn push(&self, key: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = self.producer.request(Method::POST, &self.path());
        request.header("content-type", "text/csv").header("idempotency-key", key).body(body)
    }

    /// The rows that the dataset holds.
    pub async fn rows(&self) -> anyhow::Result<u64> {
        let answer = self.producer.get(&format!("/v1/datasets/{}", self.dataset)).await?;
        answer.body["rows"].as_u64().with_context(|| format!("{} {}", answer.status, answer.body))
    }

    /// From now on the dataset holds `rows` rows.
    pub fn expect_rows(&mut self, rows: u64) {
        self.rows = rows;
    }

    /// The audit entries about one request or one delivery.
    pub async fn entries(&self, id: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.admin.get("/v1/audit/entries?limit=1000").await?;
        let entries = answer.body["entries"].as_array().cloned().context("entries")?;
        let about =
            |entry: &Value| entry["details"].as_object().is_some_and(|d| d.values().any(|v| v.as_str() == Some(id)));
        Ok(entries.into_iter().filter(about).collect())
    }

    /// Nothing landed and the node serves everybody.
    pub async fn is_unharmed(&self) -> anyhow::Result<()> {
        ensure!(self.rows().await? == self.rows, "rows: {} instead of {}", self.rows().await?, self.rows);
        let ready = self.admin.get("/health/ready").await?;
        ensure!(ready.status == 200, "{}", ready.body);
        Ok(())
    }

    /// The whole of a refusal: a problem, one audit entry about it, nothing landed, others are served. Gives what a
    /// snapshot keeps.
    pub async fn refused(&self, answer: &Answer) -> anyhow::Result<String> {
        ensure!(answer.status >= 400, "accepted: {} {}", answer.status, answer.body);
        ensure!(answer.header("content-type") == "application/problem+json", "{:?}", answer.headers);
        let text = String::from_utf8_lossy(&answer.bytes);
        ensure!(
            !text.contains("/tmp/") && !text.contains("src/") && !text.contains("SELECT"),
            "an inside shows: {text}"
        );
        let id = answer.body["delivery"].as_str().or(answer.body["request"].as_str()).context("request")?;
        let entries = self.entries(id).await?;
        ensure!(entries.len() == 1, "{} audit entries about {id}: {entries:#?}", entries.len());
        ensure!(entries[0]["outcome"] == "refused", "{}", entries[0]);
        self.is_unharmed().await?;
        Ok(shown(answer))
    }
}

const HEADERS: [&str; 12] = [
    "accept-encoding",
    "accept-post",
    "allow",
    "connection",
    "content-type",
    "idempotency-replayed",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "want-repr-digest",
    "www-authenticate",
];

/// Status, headers of interest and body side by side, without what differs from run to run.
pub fn shown(answer: &Answer) -> String {
    let mut lines = vec![format!("status: {}", answer.status)];
    for name in HEADERS {
        if answer.headers.contains_key(name) {
            let value =
                if ["retry-after", "ratelimit", "location"].contains(&name) { "[…]" } else { answer.header(name) };
            lines.push(format!("{name}: {value}"));
        }
    }
    let mut body = answer.body.clone();
    redact(&mut body);
    lines.push(serde_json::to_string_pretty(&body).unwrap_or_default());
    lines.join("\n")
}

fn redact(value: &mut Value) {
    const RANDOM: [&str; 6] = ["request", "delivery", "receipt", "received_at", "payload_sha256", "report_text"];
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if RANDOM.contains(&name.as_str()) && member.is_string() {
                    *member = json!(format!("[{name}]"));
                } else {
                    redact(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

/// A node that several tests share.
pub type Kept = std::sync::OnceLock<Result<Lone, String>>;

/// The node of `cell`, started by the first test that asks. It is kept by a thread that never ends, because a process
/// started with a parent-death signal ends with the thread that started it.
pub fn kept(cell: &'static Kept, setup: fn() -> Setup) -> anyhow::Result<&'static Lone> {
    let node = cell.get_or_init(|| {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = sender.send(Lone::start(setup()).map_err(|error| format!("{error:#}")));
            loop {
                std::thread::park();
            }
        });
        receiver.recv().unwrap_or_else(|error| Err(error.to_string()))
    });
    node.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// The node that the tests of requests and data share.
pub fn shared() -> anyhow::Result<&'static Lone> {
    static NODE: Kept = Kept::new();
    kept(&NODE, || Setup { env: vec![("SIMPUL_UJI_RAHASIA", CANARY.to_owned())], ..Setup::default() })
}

/// The secret in the environment of the shared node: it must show nowhere.
pub const CANARY: &str = "kenari-7f3a91c2d4";

/// `text` as one gzip member.
pub fn gzip(text: &[u8]) -> anyhow::Result<Vec<u8>> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text)?;
    Ok(encoder.finish()?)
}

/// A zstd frame of raw and repeated blocks: `text` as it is, then `times` blocks of 128 KiB of `byte`. `window` is the
/// logarithm of the window that the frame asks for.
pub fn zstd(window: u8, text: &[u8], byte: u8, times: usize) -> Vec<u8> {
    const BLOCK: u32 = 128 << 10;
    let header = |kind: u32, size: u32, last: bool| {
        let word = size << 3 | kind << 1 | u32::from(last);
        word.to_le_bytes()[..3].to_vec()
    };
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (window - 10) << 3];
    frame.extend(header(0, u32::try_from(text.len()).unwrap_or(0), times == 0));
    frame.extend(text);
    for index in 0..times {
        frame.extend(header(1, BLOCK, index + 1 == times));
        frame.push(byte);
    }
    frame
}

/// Writes `sent` to a bare connection and reads until it is closed by the node, for at most [`PATIENCE`]. Gives what came
/// and whether the node closed.
pub async fn converse<S>(stream: &mut S, sent: &[u8]) -> anyhow::Result<(String, bool)>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    // A node that has answered may close before it has taken everything.
    let _ = stream.write_all(sent).await;
    let _ = stream.flush().await;
    let mut came = Vec::new();
    let mut piece = [0_u8; 4096];
    let read = async {
        loop {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(count) => came.extend_from_slice(&piece[..count]),
            }
        }
    };
    let closed = tokio::time::timeout(PATIENCE, read).await.is_ok();
    Ok((String::from_utf8_lossy(&came).into_owned(), closed))
}
