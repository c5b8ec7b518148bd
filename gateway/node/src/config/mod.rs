//! The configuration of a node: one TOML file, every key checked before any port is bound.
//!
//! The reference (`docs/CONFIG.md`) and the file that `simpul init` writes are both made from the doc comments and defaults
//! below, so they cannot disagree with the code.

pub mod reference;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use simpul_core::id::{AgencyCode, ClientName, DatasetId, Identity, Tier, TrustDomain};

/// Everything that one node needs to know. Paths are relative to the folder of the file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who this node is.
    pub node: Node,
    /// Where it listens.
    #[serde(default)]
    pub listen: Listen,
    /// Its certificate and whom it trusts.
    #[serde(default)]
    pub tls: Tls,
    /// The access tokens it issues.
    #[serde(default)]
    pub token: Token,
    /// What one request, one file and one client may ask of it.
    #[serde(default)]
    pub limits: Limits,
    /// Its parent. Absent at the top of an exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// How it writes its log.
    #[serde(default)]
    pub log: Log,
}

/// Who this node is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The agency that runs the node, such as 64.02.diskominfo.
    #[schemars(with = "String")]
    pub agency: AgencyCode,
    /// The tier: kecamatan, kabupaten (or kota), provinsi.
    #[schemars(with = "String")]
    pub tier: Tier,
    /// The trust domain of the exchange; every identity in it begins with spiffe://<trust_domain>/.
    #[schemars(with = "String")]
    pub trust_domain: TrustDomain,
    /// The client name under which the node itself acts, in its certificate and towards its parent.
    #[serde(default = "Node::default_client")]
    #[schemars(with = "String")]
    pub client: ClientName,
    /// The folder of the store, the lake, the audit log and the staged files. One process at a time.
    #[serde(default = "Node::default_data")]
    pub data: PathBuf,
    /// The first administrators, as agency/client. They are registered with this role at every start; all others are
    /// registered through the console.
    #[serde(default)]
    pub administrators: Vec<String>,
    /// Where the registry and the journal are kept: empty for SQLite in the data folder, or a postgres:// address.
    #[serde(default)]
    pub store: String,
}

impl Node {
    fn default_client() -> ClientName {
        ClientName::new("simpul").expect("`simpul` is a well-formed client name")
    }

    fn default_data() -> PathBuf {
        PathBuf::from("data")
    }
}

/// Where the node listens. Port 0 takes a free port, which `serve` prints.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// The exchange: agency systems and child nodes. TLS 1.3, client certificate required.
    pub exchange: SocketAddr,
    /// The portal: TLS 1.3, client certificate optional. Serves health and the description of the API.
    pub portal: SocketAddr,
    /// The console: administrators. TLS 1.3, client certificate required, role administrator.
    pub console: SocketAddr,
    /// Where Prometheus reads /metrics and a supervisor /health, in clear. Bind it to loopback or a management network.
    pub metrics: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self { exchange: loopback(8443), portal: loopback(8444), console: loopback(8445), metrics: loopback(8446) }
    }
}

/// The node's certificate and whom it trusts. All files are PEM.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The node's certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The node's private key, ECDSA P-256, readable by its owner only.
    pub key: PathBuf,
    /// The root certificates of the exchange.
    pub ca: PathBuf,
    /// The revocation lists: one current list for every CA in use.
    pub crl: Vec<PathBuf>,
    /// Which CA may name which areas: the JSON file that `simpul ca` keeps beside the CA's certificate.
    pub issuers: PathBuf,
    /// Seconds between two looks at these files for changes. A change is taken over without dropping a connection.
    #[schemars(range(min = 1, max = 3600))]
    pub reload_s: u64,
    /// Seconds a handshake may take.
    #[schemars(range(min = 1, max = 120))]
    pub handshake_s: u64,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificate: "pki/node.crt".into(),
            key: "pki/node.key".into(),
            ca: "pki/ca.crt".into(),
            crl: vec!["pki/crl.pem".into()],
            issuers: "pki/issuers.json".into(),
            reload_s: 2,
            handshake_s: 10,
        }
    }
}

/// The access tokens that this node issues (RFC 6749, RFC 8705, RFC 9068).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Token {
    /// Seconds a token lives. A stolen one is worth nothing without its certificate.
    #[schemars(range(min = 10, max = 3600))]
    pub lifetime_s: u32,
}

impl Default for Token {
    fn default() -> Self {
        Self { lifetime_s: 600 }
    }
}

/// What one request, one file and one client may ask of the node. Nothing here can be switched off.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a request body on the wire. A year of a province's rows, compressed, stays well below.
    #[schemars(range(min = 1024))]
    pub body_bytes: u64,
    /// Bytes of a body after its compression is removed.
    #[schemars(range(min = 1024))]
    pub decoded_bytes: u64,
    /// How many times larger than on the wire a body may become, beyond the first megabyte: more is a bomb.
    #[schemars(range(min = 10, max = 100_000))]
    pub decoded_ratio: u64,
    /// Bytes of one row.
    #[schemars(range(min = 1024, max = 67_108_864))]
    pub row_bytes: usize,
    /// Bytes of one cell.
    #[schemars(range(min = 256, max = 8_388_608))]
    pub cell_bytes: usize,
    /// Columns of one file.
    #[schemars(range(min = 1, max = 16_384))]
    pub columns: usize,
    /// Cells that a report lists one by one; all of them are counted.
    #[schemars(range(min = 1, max = 100_000))]
    pub report_errors: usize,
    /// Bytes of refused rows kept in quarantine for one delivery.
    #[schemars(range(min = 1024))]
    pub quarantine_bytes: u64,
    /// Bytes of refused rows kept in quarantine for all deliveries together: beyond that the oldest go, as those older than
    /// 30 days do.
    #[schemars(range(min = 1_048_576))]
    pub quarantine_total_bytes: u64,
    /// Bytes of a delivery in one JSON document, which is read as a whole before its rows are checked. Larger ones come as
    /// NDJSON or CSV.
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub document_bytes: usize,
    /// Bytes of memory for the primary and unique keys of one delivery: about 12 for each row; the keys themselves are on the disk.
    #[schemars(range(min = 1_048_576))]
    pub key_bytes: usize,
    /// Bytes of address space of the process that decodes a foreign file (XLSX, XLS, ODS, Parquet, Arrow). XLSX needs little
    /// of it; XLS and ODS are in memory as a whole, about 60 bytes a cell.
    #[schemars(range(min = 134_217_728))]
    pub worker_memory_bytes: u64,
    /// Seconds of processor time for decoding one foreign file; a small one gets 10 and 5 more for each MiB.
    #[schemars(range(min = 1, max = 86_400))]
    pub worker_cpu_s: u64,
    /// Seconds that decoding a foreign file may go on without a row.
    #[schemars(range(min = 1, max = 3600))]
    pub worker_silence_s: u64,
    /// Foreign files being decoded at the same time; one more waits. Times worker_memory_bytes it has to fit the machine.
    #[schemars(range(min = 1, max = 100))]
    pub workers: usize,
    /// Seconds without a byte after which a body is given up.
    #[schemars(range(min = 1, max = 600))]
    pub body_stall_s: u64,
    /// Bytes a second below which a body is given up, over a minute.
    pub body_min_rate: u64,
    /// Seconds for the headers of a request to arrive.
    #[schemars(range(min = 1, max = 120))]
    pub header_s: u64,
    /// Seconds a connection may be idle.
    #[schemars(range(min = 1))]
    pub idle_s: u64,
    /// Open connections of all listeners together.
    #[schemars(range(min = 8))]
    pub connections: usize,
    /// Deliveries being read at the same time; one more waits in line.
    #[schemars(range(min = 1, max = 400))]
    pub deliveries: usize,
    /// Deliveries of one source being read at the same time; one more is answered 429.
    #[schemars(range(min = 1, max = 400))]
    pub deliveries_per_source: usize,
    /// Requests a second of one client, on average, unless its registration says otherwise.
    #[schemars(range(min = 1, max = 100_000))]
    pub requests_per_second: u32,
    /// Requests of one client that may come at once.
    #[schemars(range(min = 1, max = 100_000))]
    pub requests_burst: u32,
    /// Records on one page of /records.
    #[schemars(range(min = 1, max = 100_000))]
    pub page_records: usize,
    /// Free bytes that must stay on the disk of the data folder; a delivery that would go below is answered 507.
    pub free_bytes: u64,
    /// Seconds that open requests get to finish when the node is asked to stop.
    #[schemars(range(min = 0, max = 600))]
    pub shutdown_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 30,
            decoded_bytes: 8 << 30,
            decoded_ratio: 200,
            row_bytes: 8 << 20,
            cell_bytes: 1 << 20,
            columns: 4096,
            report_errors: 1000,
            quarantine_bytes: 64 << 20,
            quarantine_total_bytes: 1 << 30,
            document_bytes: 64 << 20,
            key_bytes: 1 << 30,
            worker_memory_bytes: 512 << 20,
            worker_cpu_s: 300,
            worker_silence_s: 60,
            workers: 4,
            body_stall_s: 30,
            body_min_rate: 1000,
            header_s: 10,
            idle_s: 300,
            connections: 10_000,
            deliveries: 64,
            deliveries_per_source: 16,
            requests_per_second: 10,
            requests_burst: 40,
            page_records: 1000,
            free_bytes: 64 << 20,
            shutdown_s: 30,
        }
    }
}

/// The link to the parent node.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The parent's exchange address, such as `https://kukar.example:8443`.
    pub upstream: String,
    /// The identity that the parent's certificate must carry, such as spiffe://satudata.test/64.02.diskominfo/simpul. Empty:
    /// any node of the exchange whose certificate names the host of `upstream`.
    #[serde(default)]
    pub identity: String,
    /// The datasets whose landed deliveries go to the parent.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub datasets: Vec<DatasetId>,
    /// Seconds between two looks at the queue when nothing wakes the link.
    #[serde(default = "Link::default_poll")]
    #[schemars(range(min = 1, max = 3600))]
    pub poll_s: u64,
    /// Seconds of the longest pause between two attempts. Pauses double from one second, with jitter.
    #[serde(default = "Link::default_backoff")]
    #[schemars(range(min = 1, max = 86_400))]
    pub backoff_max_s: u64,
    /// Seconds between two looks at the parent's code lists. The node also looks when it starts and when a contract needs one.
    #[serde(default = "Link::default_code_lists")]
    #[schemars(range(min = 60, max = 604_800))]
    pub code_lists_s: u64,
    /// Seconds one attempt may take without progress.
    #[serde(default = "Link::default_timeout")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_s: u64,
}

impl Link {
    const fn default_poll() -> u64 {
        5
    }
    const fn default_backoff() -> u64 {
        300
    }
    const fn default_code_lists() -> u64 {
        3600
    }
    const fn default_timeout() -> u64 {
        120
    }
}

/// How the node writes its log, to standard error.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// What is logged, in the words of tracing's filter, such as info or simpul=debug,info.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { json: false, filter: "info".to_owned() }
    }
}

/// Why a configuration is refused, with the place.
#[derive(Debug, thiserror::Error)]
#[error("{path}:{line}:{column}: {message}")]
pub struct ConfigError {
    /// The file.
    pub path: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1.
    pub column: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError`] names the line of an unknown key, a value of the wrong type or out of its range.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            path: shown.clone(),
            line: 1,
            column: 1,
            message: format!("cannot be read: {error}. `simpul init DIR` makes a node's folder with its configuration"),
        })?;
        let base = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, base).map_err(|(offset, message)| {
            let (line, column) = place(&text, offset);
            ConfigError { path: shown, line, column, message }
        })
    }

    /// Reads and checks `text`; relative paths are taken from `base`. An error is a byte offset and a message.
    fn parse(text: &str, base: &Path) -> Result<Self, (usize, String)> {
        let mut config: Self = toml::from_str(text)
            .map_err(|error| (error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
        let value = toml::from_str::<serde_json::Value>(text).unwrap_or_default();
        if let Some((key, message)) = reference::out_of_range(&value).or_else(|| config.inconsistent()) {
            return Err((reference::offset_of(text, &key), message));
        }
        let tls = &mut config.tls;
        let files = [&mut config.node.data, &mut tls.certificate, &mut tls.key, &mut tls.ca, &mut tls.issuers];
        for path in files.into_iter().chain(&mut tls.crl) {
            *path = base.join(&*path);
        }
        Ok(config)
    }

    /// The first administrators; `None` when one of them is not well formed.
    pub fn administrators(&self) -> Option<Vec<(AgencyCode, ClientName)>> {
        let parse = |text: &String| {
            let (agency, client) = text.split_once('/')?;
            Some((agency.parse().ok()?, client.parse().ok()?))
        };
        self.node.administrators.iter().map(parse).collect()
    }

    /// Values that are each allowed and do not fit together: the key and what to do.
    fn inconsistent(&self) -> Option<(Vec<String>, String)> {
        let wrong = |key: [&str; 2], message: &str| Some((key.map(str::to_owned).to_vec(), message.to_owned()));
        if self.limits.cell_bytes > self.limits.row_bytes {
            return wrong(["limits", "cell_bytes"], "a cell cannot be larger than a row (limits.row_bytes)");
        }
        if self.limits.body_bytes > self.limits.decoded_bytes {
            return wrong(["limits", "body_bytes"], "is larger than limits.decoded_bytes");
        }
        if let Some(link) = &self.link
            && !link.upstream.starts_with("https://")
        {
            return wrong(["link", "upstream"], "must begin with https://");
        }
        if let Some(link) = &self.link
            && !link.identity.is_empty()
            && link.identity.parse::<Identity>().is_err()
        {
            return wrong(["link", "identity"], "must be spiffe://<trust-domain>/<agency>/<client>");
        }
        if self.administrators().is_none() {
            return wrong(["node", "administrators"], "each is written agency/client, such as 64.02.diskominfo/admin");
        }
        if !self.node.store.is_empty() && !self.node.store.starts_with("postgres://") {
            return wrong(["node", "store"], "must be empty (SQLite) or begin with postgres://");
        }
        None
    }
}

/// Line and column of a byte offset, both counted from 1.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |tail| tail.chars().count()) + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "[node]\nagency = \"64.02.diskominfo\"\ntier = \"kabupaten\"\ntrust_domain = \"satudata.test\"\n";

    fn error_of(text: &str) -> (usize, String) {
        let (offset, message) = Config::parse(text, Path::new("/x")).unwrap_err();
        (place(text, offset).0, message)
    }

    #[test]
    fn the_smallest_configuration_has_the_documented_defaults_and_absolute_paths() {
        let config = Config::parse(GOOD, Path::new("/etc/simpul")).unwrap();
        assert_eq!(config.listen.exchange.port(), 8443);
        assert_eq!(config.tls.key, Path::new("/etc/simpul/pki/node.key"));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let (line, message) = error_of(&format!("{GOOD}\n[limits]\nbodi_bytes = 5\n"));
        assert_eq!(line, 7);
        assert!(message.contains("bodi_bytes"), "{message}");
    }

    #[test]
    fn a_value_out_of_its_range_is_named_with_its_line() {
        for (key, value) in [("limits.columns", "0"), ("token.lifetime_s", "999999"), ("limits.requests_burst", "0")] {
            let (section, name) = key.split_once('.').unwrap();
            let (line, message) = error_of(&format!("{GOOD}\n[{section}]\n\n{name} = {value}\n"));
            assert_eq!(line, 8, "{key}: {message}");
        }
    }

    #[test]
    fn a_wrong_type_a_bad_name_and_a_negative_number_are_named_with_their_line() {
        assert_eq!(error_of(&format!("{GOOD}[log]\njson = \"yes\"\n")).0, 6);
        assert_eq!(error_of(&GOOD.replace("64.02.diskominfo", "kukar")).0, 2);
        assert_eq!(error_of(&format!("{GOOD}[limits]\nbody_bytes = -1\n")).0, 6);
    }

    #[test]
    fn an_upstream_without_tls_is_refused() {
        let (line, message) = error_of(&format!("{GOOD}[link]\nupstream = \"http://x\"\n"));
        assert_eq!((line, message.contains("https")), (6, true));
    }
}
