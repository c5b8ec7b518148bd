//! The node: everything that a request or a background task works with.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use simpul_certs::jws;
use simpul_certs::tls::{ClientOptions, OwnCertificate, ServerTls, TlsFiles, client_config};
use simpul_certs::token::SigningKey;
use simpul_certs::trust::TrustFiles;
use simpul_core::agreement::Quota;
use simpul_core::audit::Detail;
use simpul_core::id::{AgencyCode, ClientName, ConnectorId, DatasetId, Identity};
use simpul_core::receipt::Receipt;
use simpul_core::time::Timestamp;
use simpul_lake::Lake;
use simpul_store::Store;
use simpul_store::audit_log::{AuditLog, AuditOptions};
use simpul_store::registry::{Agency, Client, Role};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::client::NodeClient;
use crate::config::Config;
use crate::contracts::Contracts;
use crate::flows::decompress::DecodeLimits;
use crate::flows::forward;
use crate::limits::Limits;
use crate::refusal::{Kind, Refusal};
use crate::tokens::Tokens;

/// Audit entries that are searched at start for those of interrupted deliveries. An interrupted delivery is among the last
/// that were written about: far fewer entries are made while one is under way.
const LOOK_BACK: usize = 100_000;

/// A running node.
pub struct App {
    /// Its configuration, with absolute paths.
    pub config: Config,
    /// Who it is, as its certificate says.
    pub identity: Identity,
    /// Certificates, trust and revocation, reloaded while it runs.
    pub tls: ServerTls,
    /// The tokens it issues.
    pub tokens: Tokens,
    /// People and intentions.
    pub store: Store,
    /// Rows.
    pub lake: Lake,
    /// What happened.
    pub audit: AuditLog,
    /// Compiled contracts.
    pub contracts: Contracts,
    /// Quotas.
    pub limits: Limits,
    /// Places for open connections.
    pub connections: Arc<Semaphore>,
    /// Places for deliveries that are being read.
    pub deliveries: Semaphore,
    /// The deliveries that are being read now.
    pub receiving: Receiving,
    /// Wakes the link when something is owed to the parent.
    pub link_wake: Notify,
    /// Set when the node is asked to stop.
    pub stop: CancellationToken,
    /// Everything that must end before the process does.
    pub tasks: TaskTracker,
    /// Audit entries of landings that were interrupted, by (delivery, action).
    interrupted: Mutex<HashMap<(String, String), u64>>,
    datasets: Locks<DatasetId>,
    connectors: Locks<ConnectorId>,
}

impl App {
    /// Opens the node's folder: keys, store, lake and audit log. Binds nothing.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub async fn open(config: Config) -> anyhow::Result<Arc<Self>> {
        let tls = ServerTls::load(tls_files(&config))?;
        let identity = tls.identity();
        let own = (&identity.agency, &identity.client, &identity.trust_domain);
        if own != (&config.node.agency, &config.node.client, &config.node.trust_domain) {
            anyhow::bail!(
                "{} names {identity}, the configuration names {}/{} in {}",
                config.tls.certificate.display(),
                config.node.agency,
                config.node.client,
                config.node.trust_domain,
            );
        }
        let data = &config.node.data;
        for folder in ["", "lake", "audit", "spool", "quarantine"] {
            let folder = data.join(folder);
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let location = match config.node.store.as_str() {
            "" => data.join("simpul.sqlite").display().to_string(),
            url => url.to_owned(),
        };
        let store = Store::connect(&location).await?;
        let lake = Lake::open(data.join("lake"))?;
        let audit = open_audit(data.join("audit"), &identity).await?;
        let tokens = Tokens::open(data, &identity, config.token.lifetime_s)?;
        let quota = Quota { per_second: config.limits.requests_per_second, burst: config.limits.requests_burst };
        let app = Arc::new(Self {
            identity,
            tls,
            tokens,
            store,
            lake,
            audit,
            contracts: Contracts::default(),
            limits: Limits::new(quota),
            connections: Arc::new(Semaphore::new(config.limits.connections)),
            deliveries: Semaphore::new(config.limits.deliveries),
            receiving: Receiving::default(),
            link_wake: Notify::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            interrupted: Mutex::default(),
            datasets: Locks::default(),
            connectors: Locks::default(),
            config,
        });
        app.register_administrators().await?;
        app.find_interrupted().await?;
        Ok(app)
    }

    async fn register_administrators(&self) -> anyhow::Result<()> {
        let administrators = self.config.administrators().unwrap_or_default();
        for (agency, client) in administrators {
            self.register(&agency, &client, Role::Administrator).await?;
        }
        Ok(())
    }

    /// Registers a client with a role, keeping what else is known of it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn register(&self, agency: &AgencyCode, name: &ClientName, role: Role) -> anyhow::Result<()> {
        if self.store.agency(agency).await?.is_none() {
            let new = Agency {
                code: agency.clone(),
                name: agency.to_string(),
                kind: "agency".to_owned(),
                enabled: true,
                created_at: self.now(),
            };
            self.store.put_agency(&new).await?;
        }
        let known = self.store.registered_client(agency, name).await?;
        let mut client = known.unwrap_or_else(|| Client {
            agency: agency.clone(),
            client: name.clone(),
            roles: BTreeSet::new(),
            enabled: true,
            quota: None,
            created_at: self.now(),
        });
        if client.roles.insert(role) {
            self.store.put_client(&client).await?;
        }
        Ok(())
    }

    /// The wall clock. Flows take the time from here, the pure crates take it as an argument.
    #[allow(clippy::unused_self)]
    pub fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Refuses when the disk of the data folder is about to be full.
    ///
    /// # Errors
    /// 507.
    pub fn require_space(&self) -> Result<(), Refusal> {
        match self.free_bytes() {
            Some(free) if free < self.config.limits.free_bytes => {
                Err(Refusal::new(Kind::NoSpace, "").because(format!("{free} bytes free")))
            }
            _ => Ok(()),
        }
    }

    /// Free bytes on the disk of the data folder, as far as the system tells.
    pub fn free_bytes(&self) -> Option<u64> {
        let stat = rustix::fs::statvfs(&self.config.node.data).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// What a body may become when its compression is removed.
    pub const fn decode_limits(&self) -> DecodeLimits {
        DecodeLimits {
            decoded_bytes: self.config.limits.decoded_bytes,
            decoded_ratio: self.config.limits.decoded_ratio,
        }
    }

    /// What one file may hold.
    pub fn schema_limits(&self) -> simpul_schemas::Limits {
        let limits = &self.config.limits;
        simpul_schemas::Limits {
            cell_bytes: limits.cell_bytes,
            row_bytes: limits.row_bytes,
            columns: limits.columns,
            errors: limits.report_errors,
            ..simpul_schemas::Limits::default()
        }
    }

    /// Where the refused rows of a delivery are kept.
    pub fn quarantine_path(&self, delivery: &str) -> PathBuf {
        self.config.node.data.join("quarantine").join(format!("{delivery}.ndjson"))
    }

    /// The lock under which the deliveries of a dataset land one after the other.
    pub fn dataset_lock(&self, dataset: &DatasetId) -> Arc<tokio::sync::Mutex<()>> {
        self.datasets.of(dataset)
    }

    /// The lock under which a connector runs once at a time.
    pub fn connector_lock(&self, connector: &ConnectorId) -> Arc<tokio::sync::Mutex<()>> {
        self.connectors.of(connector)
    }

    /// Signs a receipt with the node's own certificate.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn sign_receipt(&self, receipt: &Receipt) -> Result<String, Refusal> {
        let sign = || -> anyhow::Result<String> {
            let pem = simpul_certs::files::read_secret(&self.config.tls.key)?;
            let key = SigningKey::from_pem(std::str::from_utf8(&pem)?)?;
            let own = OwnCertificate::load(&self.config.tls.certificate, &self.config.tls.key, self.now())?;
            let chain = own.chain_to_root(&self.config.tls.ca)?;
            Ok(jws::sign_receipt(receipt, &key, &chain)?)
        };
        sign().map_err(Refusal::internal)
    }

    /// Remembers the audit entries of deliveries that an earlier run left unfinished, so that going on writes no second one.
    async fn find_interrupted(&self) -> anyhow::Result<()> {
        let open: HashSet<String> =
            self.store.unfinished().await?.into_iter().map(|record| record.delivery.id).collect();
        if open.is_empty() {
            return Ok(());
        }
        for entry in self.audit.newest_first().take(LOOK_BACK) {
            let entry = entry?;
            if let Some(Detail::Text(delivery)) = entry.details.get("delivery")
                && open.contains(delivery)
            {
                self.remember_entry(delivery, &entry.action, entry.seq);
            }
        }
        Ok(())
    }

    /// The index of the entry about this step of a delivery, if an interrupted attempt wrote it.
    pub fn interrupted_entry(&self, delivery: &str, action: &str) -> Option<u64> {
        let interrupted = self.interrupted.lock().unwrap_or_else(PoisonError::into_inner);
        interrupted.get(&(delivery.to_owned(), action.to_owned())).copied()
    }

    /// Remembers the entry about a step of a delivery until that is finished.
    pub fn remember_entry(&self, delivery: &str, action: &str, index: u64) {
        let mut interrupted = self.interrupted.lock().unwrap_or_else(PoisonError::into_inner);
        interrupted.insert((delivery.to_owned(), action.to_owned()), index);
    }

    /// Forgets the entries about a delivery that is finished.
    pub fn forget_entries(&self, delivery: &str) {
        let mut interrupted = self.interrupted.lock().unwrap_or_else(PoisonError::into_inner);
        interrupted.retain(|(id, _), _| id != delivery);
    }

    /// A client of the parent node, if there is one.
    ///
    /// # Errors
    /// When certificate or address cannot be used.
    pub fn parent_client(&self) -> anyhow::Result<Option<NodeClient>> {
        let Some(link) = &self.config.link else { return Ok(None) };
        let options = ClientOptions {
            trust: self.tls.trust(),
            own: Some(OwnCertificate::load(&self.config.tls.certificate, &self.config.tls.key, self.now())?),
            expected: if link.identity.is_empty() { None } else { Some(link.identity.parse()?) },
        };
        let tls = client_config(options)?;
        Ok(Some(NodeClient::new(&link.upstream, (*tls).clone(), Duration::from_secs(link.timeout_s))?))
    }

    /// Takes over changed certificates, roots and revocation lists until the node stops.
    pub async fn watch_tls(self: Arc<Self>) {
        let pause = Duration::from_secs(self.config.tls.reload_s);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let app = self.clone();
            match tokio::task::spawn_blocking(move || app.tls.reload_if_changed()).await {
                Ok(Ok(true)) => info!("certificates, roots and revocation lists are reloaded"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => warn!(%error, "what changed on disk is not taken over; the last good state stays"),
                Err(error) => warn!(%error, "the reload failed"),
            }
        }
    }

    /// Merges, checkpoints and vacuums tables until the node stops.
    pub async fn maintain(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(60)) => {}
            }
            let kept = match forward::needed_versions(&self).await {
                Ok(kept) => kept,
                Err(error) => {
                    warn!(%error, "no housekeeping: the outbox cannot be read");
                    continue;
                }
            };
            if let Err(error) = self.lake.maintain(kept).await {
                warn!(%error, "the tables' housekeeping failed");
            }
        }
    }
}

async fn open_audit(dir: PathBuf, identity: &Identity) -> anyhow::Result<AuditLog> {
    let origin = identity.to_string().replace("spiffe://", "").parse()?;
    let audit = tokio::task::spawn_blocking(move || AuditLog::open(AuditOptions::new(dir, origin))).await??;
    let opened = audit.opened();
    if let Some(torn) = &opened.torn {
        warn!(
            index = torn.index,
            bytes = torn.bytes,
            "a torn write at the end of the audit log was cut; nobody was told of it"
        );
    }
    info!(entries = opened.entries, key = %audit.key(), "audit log");
    Ok(audit)
}

/// The files that the TLS configuration is made from.
pub fn tls_files(config: &Config) -> TlsFiles {
    TlsFiles {
        cert: config.tls.certificate.clone(),
        key: config.tls.key.clone(),
        trust: TrustFiles {
            bundle: config.tls.ca.clone(),
            crls: config.tls.crl.clone(),
            issuers: Some(config.tls.issuers.clone()),
            trust_domain: config.node.trust_domain.clone(),
        },
    }
}

/// One lock for each key that was ever asked for; keys are registered names, so their number is bounded.
struct Locks<K>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>);

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: std::hash::Hash + Eq + Clone> Locks<K> {
    fn of(&self, key: &K) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.entry(key.clone()).or_default().clone()
    }
}

/// The deliveries that are being read by this process.
#[derive(Default, Clone)]
pub struct Receiving(Arc<Mutex<HashSet<String>>>);

/// Holds a delivery's place among those being read.
pub struct Busy(Receiving, String);

impl Receiving {
    /// Takes note that `delivery` is being read until the guard is dropped.
    pub fn enter(&self, delivery: &str) -> Busy {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(delivery.to_owned());
        Busy(self.clone(), delivery.to_owned())
    }

    /// Whether `delivery` is being read.
    pub fn holds(&self, delivery: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(delivery)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}
