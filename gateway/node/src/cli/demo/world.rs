//! The folders of the demo.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;
use simpul_certs::ca::{Ca, CaOptions, IssueRequest};
use simpul_core::id::{ClientName, Identity, TrustDomain};

use super::super::bootstrap::{NodeFolder, write_profile};
use super::super::output::now;
use crate::client::Profile;

/// The datasets of the demo: all contracts that ship.
pub const DATASETS: [&str; 4] = ["penduduk-wilayah", "konektivitas-desa", "sekolah", "kejadian-112"];
/// The exchange.
const TRUST_DOMAIN: &str = "satudata.test";

/// Everything that the demo makes.
pub struct World {
    /// Its folder.
    pub dir: PathBuf,
    /// The root certificate.
    pub ca: PathBuf,
    /// The nodes, the lowest tier first.
    pub nodes: Vec<Node>,
    /// The clients of all nodes.
    pub clients: Vec<Client>,
}

/// One node of the demo.
pub struct Node {
    /// Its name in texts and in `ready.json`.
    pub name: &'static str,
    /// Its tier.
    pub tier: &'static str,
    /// The agency that runs it.
    pub agency: &'static str,
    /// Its folder.
    pub dir: PathBuf,
    /// Ports for exchange, portal, console and metrics.
    pub ports: [u16; 4],
}

/// One client of a node.
pub struct Client {
    /// Its name in texts and in `ready.json`.
    pub name: String,
    /// Its agency.
    pub agency: &'static str,
    /// Its name in the certificate.
    pub client: &'static str,
    /// Its role in the registry.
    pub role: &'static str,
    /// The node it belongs to.
    pub node: &'static str,
    /// Certificate, key and profile.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
    /// The profile.
    pub profile: PathBuf,
}

/// Name, tier, agency.
const NODES: [(&str, &str, &str); 3] = [
    ("muara-badak", "kecamatan", "64.02.05.kecamatan"),
    ("kutai-kartanegara", "kabupaten", "64.02.diskominfo"),
    ("kalimantan-timur", "provinsi", "64.diskominfo"),
];

/// Node, suffix of the name, agency, client, role.
const CLIENTS: [(&str, &str, &str, &str, &str); 10] = [
    ("muara-badak", "produsen", "64.02.05.pemerintahan", "operator", "producer"),
    ("muara-badak", "konsumen", "64.02.05.puskesmas", "simpus", "consumer"),
    ("muara-badak", "admin", "64.02.05.kecamatan", "admin", "administrator"),
    ("kutai-kartanegara", "produsen", "64.02.dukcapil", "siak", "producer"),
    ("kutai-kartanegara", "konsumen", "64.02.bappeda", "perencanaan", "consumer"),
    ("kutai-kartanegara", "admin", "64.02.diskominfo", "admin", "administrator"),
    ("kalimantan-timur", "produsen", "64.dukcapil", "siak", "producer"),
    ("kalimantan-timur", "konsumen", "64.bappeda", "perencanaan", "consumer"),
    ("kalimantan-timur", "statistik", "64.bps", "statistik", "statistician"),
    ("kalimantan-timur", "admin", "64.diskominfo", "admin", "administrator"),
];

impl Node {
    /// Its exchange address.
    pub fn exchange(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports[0])
    }

    /// Its portal address.
    pub fn portal(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports[1])
    }

    /// Its console address.
    pub fn console(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports[2])
    }

    /// Its address in clear.
    pub fn metrics(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[3])
    }
}

impl World {
    /// Makes the folders.
    ///
    /// # Errors
    /// When the folder holds a demo already, or cannot be written.
    pub fn lay_out(dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let dir = dir.canonicalize()?;
        if dir.join("ca").exists() {
            anyhow::bail!("{} holds a demo already: remove it or choose another --dir", dir.display());
        }
        let trust_domain: TrustDomain = TRUST_DOMAIN.parse()?;
        let ca_dir = dir.join("ca");
        let ca = Ca::init(&ca_dir, &CaOptions::root("Simpul demo root", trust_domain.clone()), now())?;
        let nodes = lay_out_nodes(&dir, &ca, &ca_dir, &trust_domain)?;
        let clients = lay_out_clients(&dir, &ca, &nodes)?;
        let world = Self { ca: ca_dir.join("ca.crt"), dir, nodes, clients };
        world.write_samples()?;
        Ok(world)
    }

    fn write_samples(&self) -> anyhow::Result<()> {
        for standard in simpul_schemas::standard::contracts() {
            let folder = self.dir.join("contoh").join(standard.name);
            std::fs::create_dir_all(&folder)?;
            for sample in standard.samples {
                std::fs::write(folder.join(sample.path), sample.bytes)?;
            }
        }
        std::fs::create_dir_all(self.drop_folder())?;
        Ok(())
    }

    /// A sample file of the population dataset.
    pub fn sample_path(&self, name: &str) -> PathBuf {
        self.dir.join("contoh").join("penduduk-wilayah").join(name)
    }

    /// The folder into which a clerk of the kecamatan drops files.
    pub fn drop_folder(&self) -> PathBuf {
        self.dir.join("kotak-kiriman")
    }

    /// The node called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn node(&self, name: &str) -> anyhow::Result<&Node> {
        self.nodes.iter().find(|node| node.name == name).context("no such node")
    }

    /// The client called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn client(&self, name: &str) -> anyhow::Result<&Client> {
        self.clients.iter().find(|client| client.name == name).with_context(|| format!("no client {name}"))
    }

    /// Writes `ready.json`: all nodes answer, and what is in the registry can be used.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn announce(&self) -> anyhow::Result<()> {
        let nodes: Vec<_> = self
            .nodes
            .iter()
            .map(|node| {
                json!({
                    "name": node.name, "tier": node.tier, "agency": node.agency, "exchange": node.exchange(),
                    "portal": node.portal(), "console": node.console(), "metrics": node.metrics(),
                    "config": node.dir.join("simpul.toml"),
                })
            })
            .collect();
        let clients: Vec<_> = self
            .clients
            .iter()
            .map(|client| {
                json!({
                    "name": client.name, "agency": client.agency, "role": client.role, "node": client.node,
                    "cert": client.cert, "key": client.key, "profile": client.profile,
                })
            })
            .collect();
        let ready = json!({"ca": self.ca, "ca_dir": self.dir.join("ca"), "nodes": nodes, "clients": clients});
        let partial = self.dir.join("ready.json.part");
        std::fs::write(&partial, serde_json::to_string_pretty(&ready)?)?;
        std::fs::rename(&partial, self.dir.join("ready.json"))?;
        Ok(())
    }
}

fn lay_out_nodes(dir: &Path, ca: &Ca, ca_dir: &Path, trust_domain: &TrustDomain) -> anyhow::Result<Vec<Node>> {
    let mut nodes: Vec<Node> = Vec::new();
    for (name, tier, agency) in NODES {
        nodes.push(Node { name, tier, agency, dir: dir.join(name), ports: free_ports()? });
    }
    for (index, node) in nodes.iter().enumerate() {
        let parent = nodes.get(index + 1);
        let folder = NodeFolder {
            agency: node.agency.parse()?,
            tier: node.tier,
            trust_domain: trust_domain.clone(),
            client: ClientName::new("simpul")?,
            upstream: parent.map(Node::exchange),
            forward: parent.map(|_| DATASETS.map(str::to_owned).to_vec()).unwrap_or_default(),
            administrators: vec![format!("{}/admin", node.agency)],
            ports: Some(node.ports),
            trust: Some(ca_dir.to_owned()),
            burst: Some((50, 200)),
        };
        folder.write(&node.dir)?;
        let identity = Identity {
            trust_domain: trust_domain.clone(),
            agency: node.agency.parse()?,
            client: ClientName::new("simpul")?,
        };
        let hosts = (vec!["localhost".to_owned()], vec![Ipv4Addr::LOCALHOST.into()]);
        let issued = ca.issue(&IssueRequest::node(identity, hosts.0, hosts.1, 90), now())?;
        issued.write(&node.dir.join("pki"), "node")?;
    }
    Ok(nodes)
}

fn lay_out_clients(dir: &Path, ca: &Ca, nodes: &[Node]) -> anyhow::Result<Vec<Client>> {
    let folder = dir.join("clients");
    std::fs::create_dir_all(&folder)?;
    let mut clients = Vec::new();
    for (node_name, suffix, agency, client, role) in CLIENTS {
        let node = nodes.iter().find(|node| node.name == node_name).context("no such node")?;
        let name = format!("{}-{suffix}", node.tier);
        let identity =
            Identity { trust_domain: ca.trust_domain().clone(), agency: agency.parse()?, client: client.parse()? };
        let (cert, key) = ca.issue(&IssueRequest::client(identity, 90), now())?.write(&folder, &name)?;
        let profile = folder.join(format!("{name}.toml"));
        let content = Profile {
            node: node.exchange(),
            console: Some(node.console()),
            trust_domain: ca.trust_domain().clone(),
            ca: dir.join("ca").join("ca.crt"),
            certificate: cert.clone(),
            key: key.clone(),
        };
        write_profile(&profile, &content)?;
        clients.push(Client { name, agency, client, role, node: node_name, cert, key, profile });
    }
    Ok(clients)
}

/// Four ports that are free now.
fn free_ports() -> anyhow::Result<[u16; 4]> {
    let mut listeners = Vec::new();
    for _ in 0..4 {
        listeners.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?);
    }
    let mut ports = [0; 4];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
