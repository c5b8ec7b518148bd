//! What `init` and `demo` make: a node's folder, and profiles for clients.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use simpul_core::id::{AgencyCode, ClientName, TrustDomain};

use crate::client::Profile;
use crate::config::reference;

/// A node's folder to be made.
pub struct NodeFolder {
    /// The agency that runs it.
    pub agency: AgencyCode,
    /// Its tier, as the configuration writes it.
    pub tier: &'static str,
    /// The exchange.
    pub trust_domain: TrustDomain,
    /// The client name under which it acts.
    pub client: ClientName,
    /// Its parent.
    pub upstream: Option<String>,
    /// Datasets that go to the parent.
    pub forward: Vec<String>,
    /// First administrators, as agency/client.
    pub administrators: Vec<String>,
    /// Ports for exchange, portal, console and metrics; absent: the defaults.
    pub ports: Option<[u16; 4]>,
    /// The folder of a CA on this machine whose files are used in place; absent: `pki/`.
    pub trust: Option<PathBuf>,
    /// Requests a second and at once for every client; absent: the defaults.
    pub burst: Option<(u32, u32)>,
}

impl NodeFolder {
    /// Makes the folder with `simpul.toml` and an empty `pki/`.
    ///
    /// # Errors
    /// When there is a configuration already, or the folder cannot be written.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let config = dir.join("simpul.toml");
        if config.exists() {
            anyhow::bail!("{} exists; remove it or choose another folder", config.display());
        }
        std::fs::create_dir_all(dir.join("pki")).with_context(|| format!("cannot make {}", dir.display()))?;
        std::fs::write(&config, self.config()).with_context(|| format!("cannot write {}", config.display()))
    }

    fn config(&self) -> String {
        let quote = |text: &str| format!("{text:?}");
        let list =
            |items: &[String]| format!("[{}]", items.iter().map(|item| quote(item)).collect::<Vec<_>>().join(", "));
        let mut values = vec![
            ("node.agency", quote(self.agency.as_str())),
            ("node.tier", quote(self.tier)),
            ("node.trust_domain", quote(self.trust_domain.as_str())),
            ("node.client", quote(self.client.as_str())),
            ("node.administrators", list(&self.administrators)),
        ];
        if let Some(ports) = self.ports {
            let keys = ["listen.exchange", "listen.portal", "listen.console", "listen.metrics"];
            values.extend(keys.into_iter().zip(ports).map(|(key, port)| (key, quote(&format!("127.0.0.1:{port}")))));
        }
        if let Some(ca) = &self.trust {
            let path = |name: &str| quote(&ca.join(name).display().to_string());
            values.push(("tls.ca", path("bundle.pem")));
            values.push(("tls.crl", format!("[{}]", path("crl.pem"))));
            values.push(("tls.issuers", path("issuers.json")));
        }
        if let Some((per_second, burst)) = self.burst {
            values.push(("limits.requests_per_second", per_second.to_string()));
            values.push(("limits.requests_burst", burst.to_string()));
        }
        if let Some(upstream) = &self.upstream {
            values.push(("link.upstream", quote(upstream)));
            values.push(("link.datasets", list(&self.forward)));
        }
        reference::commented(&values)
    }
}

/// Writes a client's profile.
///
/// # Errors
/// When the file cannot be written.
pub fn write_profile(path: &Path, profile: &Profile) -> anyhow::Result<()> {
    std::fs::write(path, toml::to_string(profile)?).with_context(|| format!("cannot write {}", path.display()))
}
