//! The node: everything that a request or a background task works with.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use http::header;
use simpul_certs::jws;
use simpul_certs::tls::{OwnCertificate, ServerTls, TlsFiles};
use simpul_certs::token::SigningKey;
use simpul_certs::trust::TrustFiles;
use simpul_core::agreement::Quota;
use simpul_core::audit::Detail;
use simpul_core::id::{AgencyCode, ClientName, ConnectorId, DatasetId, Identity};
use simpul_core::receipt::Receipt;
use simpul_core::time::Timestamp;
use simpul_lake::Lake;
use simpul_schemas::Contract;
use simpul_store::audit_log::{AuditLog, AuditOptions};
use simpul_store::registry::{Agency, Client, Role};
use simpul_store::{FolderLock, Store};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::client::NodeClient;
use crate::config::Config;
use crate::contracts::Contracts;
use crate::door::Entrance;
use crate::flows::decompress::DecodeLimits;
use crate::flows::intake::clear_quarantine;
use crate::flows::{foreign, forward, land};
use crate::limits::Limits;
use crate::refusal::{Kind, Refusal};
use crate::tokens::Tokens;

/// Audit entries that are searched at start for those of interrupted deliveries. An interrupted delivery is among the last
/// that were written about: far fewer entries are made while one is under way.
const LOOK_BACK: usize = 100_000;

/// How long refused rows are kept for their sender to be asked about.
const KEEP_QUARANTINE: Duration = Duration::from_secs(30 * 86_400);

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
    /// Places for open connections, by entrance: strangers at the portal take none from the exchange.
    pub connections: HashMap<Entrance, Arc<Semaphore>>,
    /// Places for deliveries that are being read.
    pub places: Places,
    /// Places for foreign files that are being decoded.
    pub workers: Semaphore,
    /// What the last look at the node's health found.
    pub health: tokio::sync::Mutex<Option<(Instant, Vec<&'static str>)>>,
    /// The deliveries that are being read now.
    pub receiving: Receiving,
    /// Wakes the link when something is owed to the parent.
    pub link_wake: Notify,
    /// Set when the node is asked to stop.
    pub stop: CancellationToken,
    /// Everything that must end before the process does.
    pub tasks: TaskTracker,
    signer: Mutex<Option<(u64, Arc<Signer>)>>,
    /// Audit entries of landings that were interrupted, by (delivery, action).
    interrupted: Mutex<HashMap<(String, String), u64>>,
    datasets: Locks<DatasetId>,
    connectors: Locks<ConnectorId>,
    /// Keeps other processes out of the data folder; a store in the folder does that itself.
    _folder: Option<FolderLock>,
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
        foreign::clear(&data.join("spool"));
        let (location, folder) = match config.node.store.as_str() {
            "" => (data.join("simpul.sqlite").display().to_string(), None),
            url => (url.to_owned(), Some(FolderLock::acquire(data)?)),
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
            connections: connections(config.limits.connections),
            places: Places::new(config.limits.deliveries, config.limits.deliveries_per_source),
            workers: Semaphore::new(config.limits.workers),
            health: tokio::sync::Mutex::default(),
            signer: Mutex::default(),
            receiving: Receiving::default(),
            link_wake: Notify::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            interrupted: Mutex::default(),
            datasets: Locks::default(),
            connectors: Locks::default(),
            _folder: folder,
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
            document_bytes: limits.document_bytes,
            key_bytes: limits.key_bytes,
            ..simpul_schemas::Limits::default()
        }
    }

    /// Where the refused rows of a delivery are kept.
    pub fn quarantine_path(&self, delivery: &str) -> PathBuf {
        self.config.node.data.join("quarantine").join(format!("{delivery}.ndjson"))
    }

    /// A file that exists while a delivery is read, with an ending for what it is.
    pub fn spool_path(&self, delivery: &str, ending: &str) -> PathBuf {
        self.config.node.data.join("spool").join(format!("{delivery}.{ending}"))
    }

    /// The lock under which the deliveries of a dataset land one after the other.
    pub fn dataset_lock(&self, dataset: &DatasetId) -> Arc<tokio::sync::Mutex<()>> {
        self.datasets.of(dataset)
    }

    /// The lock under which a connector runs once at a time.
    pub fn connector_lock(&self, connector: &ConnectorId) -> Arc<tokio::sync::Mutex<()>> {
        self.connectors.of(connector)
    }

    /// What signs receipts, made anew when certificates change.
    ///
    /// # Errors
    /// When certificate and key cannot be used now.
    pub fn signer(&self) -> Result<Arc<Signer>, Refusal> {
        let epoch = self.tls.revocation_epoch();
        let mut held = self.signer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_in, signer)) = held.as_ref()
            && *made_in == epoch
            && self.now() < signer.not_after
        {
            return Ok(signer.clone());
        }
        let signer = Arc::new(Signer::load(&self.config, self.now()).map_err(Refusal::internal)?);
        *held = Some((epoch, signer.clone()));
        Ok(signer)
    }

    /// The contract of `dataset` in `version`, or the latest one, with a table that can take its rows.
    ///
    /// # Errors
    /// When the store or the lake cannot be used.
    pub async fn contract(&self, dataset: &DatasetId, version: Option<&str>) -> Result<Option<Arc<Contract>>, Refusal> {
        let Some((contract, first)) = self.contracts.find(&self.store, dataset, version).await? else {
            return Ok(None);
        };
        if first {
            self.lake.ensure(dataset, contract.arrow_schema()).await?;
        }
        Ok(Some(contract))
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

    /// A client of the parent node, if there is one, with the certificate and trust in force now.
    ///
    /// # Errors
    /// When certificate or address cannot be used.
    pub fn parent_client(&self) -> anyhow::Result<Option<NodeClient>> {
        let Some(link) = &self.config.link else { return Ok(None) };
        let expected = if link.identity.is_empty() { None } else { Some(link.identity.parse()?) };
        let tls = self.tls.client_config(expected)?;
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

    /// Finishes deliveries that a failure left half-way, such as a full disk, until the node stops.
    pub async fn finish_what_is_left(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(30)) => {}
            }
            if let Err(refusal) = land::resume(&self, None).await {
                warn!(internal = refusal.internal, reason = refusal.word(), "a delivery cannot be finished yet");
            }
        }
    }

    /// Merges, checkpoints and vacuums tables until the node stops.
    pub async fn maintain(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(600)) => {}
            }
            let folder = self.config.node.data.join("quarantine");
            clear_quarantine(&folder, KEEP_QUARANTINE, self.config.limits.quarantine_total_bytes);
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

/// Signs receipts with the node's certificate.
pub struct Signer {
    key: SigningKey,
    chain: Vec<Vec<u8>>,
    not_after: Timestamp,
}

impl Signer {
    fn load(config: &Config, now: Timestamp) -> anyhow::Result<Self> {
        let own = OwnCertificate::load(&config.tls.certificate, &config.tls.key, now)?;
        let pem = simpul_certs::files::read_secret(&config.tls.key)?;
        let key = SigningKey::from_pem(std::str::from_utf8(&pem)?)?;
        Ok(Self { key, chain: own.chain_to_root(&config.tls.ca)?, not_after: own.not_after() })
    }

    /// The receipt as a compact JWS.
    ///
    /// # Errors
    /// When the key is not that of the certificate.
    pub fn sign(&self, receipt: &Receipt) -> Result<String, Refusal> {
        jws::sign_receipt(receipt, &self.key, &self.chain).map_err(Refusal::internal)
    }
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

/// Places for connections: as many as the configuration says for agency systems, fewer for the other entrances.
fn connections(exchange: usize) -> HashMap<Entrance, Arc<Semaphore>> {
    let places = [
        (Entrance::Exchange, exchange),
        (Entrance::Console, exchange.min(256)),
        (Entrance::Portal, exchange.min(512)),
        (Entrance::Metrics, exchange.min(64)),
    ];
    places.into_iter().map(|(entrance, count)| (entrance, Arc::new(Semaphore::new(count)))).collect()
}

/// Places for deliveries that are being read: some for all, a few for each source, so that one slow source cannot keep the
/// others out.
pub struct Places {
    all: Arc<Semaphore>,
    each: usize,
    sources: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Places {
    fn new(all: usize, each: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), each, sources: Mutex::default() }
    }

    /// Takes a place for a delivery of `source`; both are given back when the result is dropped.
    ///
    /// # Errors
    /// 429 when the source has as many deliveries under way as one may have; 503 when no place is free within 20 seconds.
    pub async fn take(&self, source: &str) -> Result<[OwnedSemaphorePermit; 2], Refusal> {
        let own = {
            let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
            sources.entry(source.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone()
        };
        let own = own.try_acquire_owned().map_err(|_| {
            Refusal::new(Kind::Quota, format!("at most {} deliveries at the same time", self.each))
                .reason("too_many_deliveries")
                .header(header::RETRY_AFTER, "2")
        })?;
        let wait = tokio::time::timeout(Duration::from_secs(20), self.all.clone().acquire_owned());
        let busy =
            || Refusal::new(Kind::Unavailable, "too many deliveries at the same time").header(header::RETRY_AFTER, "5");
        match wait.await {
            Ok(Ok(all)) => Ok([own, all]),
            _ => Err(busy()),
        }
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
