//! `simpul demo` as a process of its own, shared by the tests of a binary or owned by one.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use simpul_certs::ca::{Ca, IssueRequest};
use simpul_core::id::Identity;

use crate::client::{Client, Http};
use crate::{Credential, now, wire};

/// The exchange of the demo.
pub const TRUST_DOMAIN: &str = "satudata.test";
/// The time that a demo gets to run its own flow.
const START: Duration = Duration::from_secs(120);

/// A node of the demo, as `ready.json` tells.
#[derive(Clone, Debug, Deserialize)]
pub struct NodeInfo {
    /// Its name, such as muara-badak.
    pub name: String,
    /// Its tier: kecamatan, kabupaten or provinsi.
    pub tier: String,
    /// The agency that runs it.
    pub agency: String,
    /// Its exchange address (https).
    pub exchange: String,
    /// Its portal address (https).
    pub portal: String,
    /// Its console address (https).
    pub console: String,
    /// Its address in clear (http).
    pub metrics: String,
    /// Its configuration file; its data folder is `data` beside it.
    pub config: PathBuf,
}

/// A client of the demo, as `ready.json` tells.
#[derive(Clone, Debug, Deserialize)]
pub struct ClientInfo {
    /// Its name, such as kecamatan-produsen.
    pub name: String,
    /// Its agency.
    pub agency: String,
    /// Its role.
    pub role: String,
    /// The node it belongs to.
    pub node: String,
    /// Its certificate chain (PEM).
    pub cert: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
    /// Its profile for the command line.
    pub profile: PathBuf,
}

/// `ready.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Ready {
    /// The root certificate (PEM).
    pub ca: PathBuf,
    /// The folder of the CA.
    pub ca_dir: PathBuf,
    /// The nodes, the lowest tier first.
    pub nodes: Vec<NodeInfo>,
    /// The clients.
    pub clients: Vec<ClientInfo>,
}

/// A running demo. Dropping it, or the end of the test process in whatever way, ends its processes and removes its folder.
pub struct Demo {
    /// The folder of the demo.
    pub dir: PathBuf,
    /// What runs in it.
    pub ready: Ready,
    guardian: Mutex<Child>,
    ca: Mutex<()>,
}

/// What a run of the command line gave.
#[derive(Debug)]
pub struct Output {
    /// The exit status; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl NodeInfo {
    /// The node's data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.config.with_file_name("data")
    }

    /// The socket address of one of its URLs.
    ///
    /// # Panics
    /// When `url` names no address and port.
    #[must_use]
    pub fn address(url: &str) -> SocketAddr {
        let host = url.split("//").nth(1).unwrap_or(url);
        host.parse().unwrap_or_else(|_| panic!("{url} names no address"))
    }
}

/// The guardian waits for the end of its standard input, which the test process holds open and never writes to: so it
/// notices every way in which that process can end. `$1` is the binary, `$2` the folder, `$3` the folder to remove.
const GUARDIAN: &str = r#"
"$1" demo --dir "$2" >"$2/demo.out" 2>"$2/demo.err" </dev/null &
demo=$!
read -r _
kill -TERM $demo 2>/dev/null
(sleep 10; kill -KILL $demo) 2>/dev/null &
killer=$!
wait $demo
kill $killer 2>/dev/null
for pid in $(cat "$2"/*.pid 2>/dev/null); do
    case "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)" in *"$2"*) kill -KILL "$pid" ;; esac
done
[ -z "$3" ] || rm -rf "$3"
"#;

impl Demo {
    /// The demo of this test binary, started at the first call. Tests that stop nodes, fill disks or revoke what others use
    /// take their [`Demo::own`].
    ///
    /// # Panics
    /// When the demo does not come up; with what it wrote.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<Demo, String>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref().unwrap_or_else(|error| panic!("{error}"))
    }

    /// A demo of its own in a new folder.
    ///
    /// # Panics
    /// When the demo does not come up; with what it wrote.
    #[must_use]
    pub fn own() -> Self {
        Self::start().unwrap_or_else(|error| panic!("{error}"))
    }

    fn start() -> Result<Self, String> {
        let keep = std::env::var_os("SIMPUL_TEST_KEEP").is_some();
        let folder =
            tempfile::Builder::new().prefix("simpul-e2e-").tempdir().map_err(|error| error.to_string())?.keep();
        let dir = folder.join("demo");
        std::fs::create_dir(&dir).map_err(|error| error.to_string())?;
        let mut guardian = Command::new("/bin/sh")
            .args(["-c", GUARDIAN, "guardian"])
            .arg(binary())
            .arg(&dir)
            .arg(if keep { Path::new("") } else { &folder })
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| error.to_string())?;
        match await_ready(&dir, &mut guardian) {
            Ok(ready) => Ok(Self { dir, ready, guardian: Mutex::new(guardian), ca: Mutex::new(()) }),
            Err(error) => {
                drop(guardian.stdin.take());
                Err(error)
            }
        }
    }

    /// The node called `name`, or of the tier `name`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn node(&self, name: &str) -> &NodeInfo {
        let found = self.ready.nodes.iter().find(|node| node.name == name || node.tier == name);
        found.unwrap_or_else(|| panic!("the demo has no node {name}"))
    }

    /// What `ready.json` says about the client `name`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn client_info(&self, name: &str) -> &ClientInfo {
        let found = self.ready.clients.iter().find(|client| client.name == name);
        found.unwrap_or_else(|| panic!("the demo has no client {name}"))
    }

    /// A client of the demo, over HTTP/2. It may make 50 requests a second with a burst of 200, together with every other
    /// test that uses it: [`Demo::enroll`] makes one for a test alone.
    #[must_use]
    pub fn client(&self, name: &str) -> Client {
        self.client_over(name, Http::Two)
    }

    /// A client of the demo over the wanted version of HTTP.
    #[must_use]
    pub fn client_over(&self, name: &str, http: Http) -> Client {
        let info = self.client_info(name);
        Client::new(
            self.node(&info.node),
            &info.agency,
            &info.name,
            &info.profile,
            self.credential(name),
            &self.ready.ca,
            http,
        )
    }

    /// The administrator of a node, named like in [`Demo::node`].
    #[must_use]
    pub fn admin(&self, node: &str) -> Client {
        self.client(&format!("{}-admin", self.node(node).tier))
    }

    /// Chain and key of a client of the demo.
    ///
    /// # Panics
    /// When they cannot be read.
    #[must_use]
    pub fn credential(&self, name: &str) -> Credential {
        let info = self.client_info(name);
        let (chain, key) = (std::fs::read_to_string(&info.cert), std::fs::read_to_string(&info.key));
        Credential::from_pem(&chain.expect("the certificate"), &key.expect("the key")).expect("a chain in PEM")
    }

    /// Runs `work` with the CA of the demo, one at a time.
    ///
    /// # Panics
    /// When the CA cannot be opened.
    pub fn with_ca<T>(&self, work: impl FnOnce(&Ca) -> T) -> T {
        let _one = self.ca.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        work(&Ca::open(&self.ready.ca_dir, now()).expect("the CA of the demo"))
    }

    /// The identity `agency/client` in the demo's exchange.
    ///
    /// # Panics
    /// When the names are not well formed.
    #[must_use]
    pub fn identity(agency: &str, client: &str) -> Identity {
        format!("spiffe://{TRUST_DOMAIN}/{agency}/{client}").parse().expect("a well-formed identity")
    }

    /// A new client with a certificate of the demo's CA, registered at `node` with `role`, and with a profile. It has no
    /// agreement yet: [`Demo::agree`].
    ///
    /// # Panics
    /// When a step is refused.
    pub async fn enroll(&self, node: &str, agency: &str, client: &str, role: &str) -> Client {
        let node = self.node(node);
        let admin = self.admin(&node.name);
        admin.put(&format!("/v1/admin/agencies/{agency}"), &json!({"name": agency})).await.expect(200);
        admin.put(&format!("/v1/admin/clients/{agency}/{client}"), &json!({"roles": [role]})).await.expect(200);
        self.stranger(&node.name, agency, client)
    }

    /// A client with a certificate of the demo's CA that no node has in its registry.
    ///
    /// # Panics
    /// When no certificate can be issued.
    #[must_use]
    pub fn stranger(&self, node: &str, agency: &str, client: &str) -> Client {
        let node = self.node(node);
        let request = IssueRequest::client(Self::identity(agency, client), 30);
        let issued = self.with_ca(|ca| ca.issue(&request, now())).expect("a certificate");
        let folder = self.dir.join("clients");
        let name = crate::unique(client);
        let (cert, key) = issued.write(&folder, &name).expect("a place for the certificate");
        let profile = folder.join(format!("{name}.toml"));
        let content = format!(
            "node = {:?}\nconsole = {:?}\ntrust_domain = {TRUST_DOMAIN:?}\nca = {:?}\ncertificate = {cert:?}\nkey = {key:?}\n",
            node.exchange, node.console, self.ready.ca
        );
        std::fs::write(&profile, content).expect("a place for the profile");
        let credential = Credential::from_pem(&issued.certificate.chain_pem, &issued.key_pem).expect("a chain in PEM");
        Client::new(node, agency, client, &profile, credential, &self.ready.ca, Http::Two)
    }

    /// Registers an agreement for `client` at its node: `more` adds or replaces members such as `columns` or `rows`. Gives
    /// its identifier.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn agree(&self, client: &Client, dataset: &str, operations: &[&str], more: Value) -> String {
        let mut agreement = json!({
            "provider": client.node.agency, "consumer": client.agency, "client": client.name, "dataset": dataset,
            "operations": operations, "purpose": "uji", "document": "UJI/1",
            "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2099-01-01T00:00:00Z",
        });
        if let (Some(members), Value::Object(more)) = (agreement.as_object_mut(), more) {
            members.extend(more);
        }
        let id = crate::unique("uji");
        let admin = self.admin(&client.node.name);
        admin.put(&format!("/v1/admin/agreements/{id}"), &agreement).await.expect(200);
        id
    }

    /// The newest audit entries of `node` (at most 1000, newest last) that `filter`, a query string such as
    /// `action=tls.refuse&outcome=refused`, lets through.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn audit_entries(&self, node: &str, filter: &str) -> Vec<Value> {
        let answer = self.admin(node).patient_get(&format!("/v1/audit/entries?limit=1000&{filter}")).await;
        answer.expect(200).json()["entries"].as_array().cloned().unwrap_or_default()
    }

    /// The figures of `node` in the text format of Prometheus.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn metrics_text(&self, node: &str) -> String {
        let address = NodeInfo::address(&self.node(node).metrics);
        let answer = wire::plain(address, b"GET /metrics HTTP/1.1\r\nhost: simpul\r\nconnection: close\r\n\r\n").await;
        answer.expect("the figures of a node")
    }

    /// The sum of the series `name` of `node` that carry all `labels`; 0 when there is none.
    ///
    /// # Panics
    /// When the node does not answer.
    pub async fn metric(&self, node: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
        let text = self.metrics_text(node).await;
        let wanted: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        let series = text.lines().filter(|line| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            (rest.starts_with('{') || rest.starts_with(' ')) && wanted.iter().all(|label| rest.contains(label))
        });
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Runs `simpul` with these arguments in the folder of the demo.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn simpul<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        let mut command = tokio::process::Command::new(binary());
        let output =
            command.args(args).current_dir(&self.dir).stdin(Stdio::null()).output().await.expect("simpul starts");
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The process number of `node` now.
    ///
    /// # Panics
    /// When its file cannot be read.
    #[must_use]
    pub fn pid(&self, node: &str) -> u32 {
        let path = self.dir.join(format!("{}.pid", self.node(node).name));
        let text = std::fs::read_to_string(&path).expect("the number of a node's process");
        text.trim().parse().expect("a number")
    }

    /// Sends a signal such as `KILL`, `STOP` or `CONT` to the process of `node`.
    ///
    /// # Panics
    /// When there is no such process.
    pub fn signal(&self, node: &str, signal: &str) {
        let status = Command::new("kill").arg(format!("-{signal}")).arg(self.pid(node).to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "{node} took no {signal}");
    }

    /// What `node` has logged so far.
    #[must_use]
    pub fn log(&self, node: &str) -> String {
        let path = self.dir.join(format!("{}.log", self.node(node).name));
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let mut guardian = self.guardian.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        drop(guardian.stdin.take());
        let _ = guardian.wait();
    }
}

fn await_ready(dir: &Path, guardian: &mut Child) -> Result<Ready, String> {
    let started = Instant::now();
    loop {
        if let Ok(text) = std::fs::read_to_string(dir.join("ready.json")) {
            return serde_json::from_str(&text).map_err(|error| format!("ready.json: {error}"));
        }
        let errors = std::fs::read_to_string(dir.join("demo.err")).unwrap_or_default();
        let failed = errors.contains("simpul: ") || guardian.try_wait().ok().flatten().is_some();
        if failed || started.elapsed() > START {
            let told = std::fs::read_to_string(dir.join("demo.out")).unwrap_or_default();
            return Err(format!("the demo did not come up within {:?}\n{told}\n{errors}", started.elapsed()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The binary under test: `SIMPUL_BIN`, or `simpul` in the target folder of the tests. It is copied once, so that a build
/// that replaces it does not pull it away under running nodes.
fn binary() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let beside = || std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.parent()?.join("simpul")));
        let original = std::env::var_os("SIMPUL_BIN").map(PathBuf::from).or_else(beside).expect("a path of this test");
        let mut bytes = Vec::new();
        let mut file = std::fs::File::open(&original)
            .unwrap_or_else(|error| panic!("{}: {error}; build it with `cargo build -p simpul`", original.display()));
        file.read_to_end(&mut bytes).expect("the binary can be read");
        let digest = simpul_core::digest::Digest::of(&bytes).to_string();
        let name: String = digest.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
        let folder = std::env::temp_dir().join(format!("simpul-e2e-bin-{name}"));
        let copy = folder.join("simpul");
        if !copy.exists() {
            std::fs::create_dir_all(&folder).expect("a folder among the temporary files");
            let mut partial = tempfile::NamedTempFile::new_in(&folder).expect("a temporary file");
            partial.write_all(&bytes).expect("space for a copy of the binary");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            partial.as_file().set_permissions(mode).expect("the copy can be made executable");
            partial.into_temp_path().persist(&copy).expect("the copy takes its name");
        }
        copy
    })
}
