//! The code lists of this node: those that were registered here, and those that ship with the binary.
//!
//! An edition never changes, so what is loaded stays good; a bounded number is kept for contracts that are compiled next. A
//! list that ships is registered together with the first contract that needs it: another binary, with another list under the
//! same name, does not change what deliveries are checked against.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};
use simpul_core::digest::Digest;
use simpul_schemas::code_list::{self, CodeDelta, CodeList, parse_urn};
use simpul_schemas::compat::CodeListHistory;
use simpul_schemas::{Lang, ReferenceTable, References, Wanted, standard};
use simpul_store::Store;

use crate::app::App;
use crate::refusal::{Kind, Refusal};

/// The most bytes of one list's document: all villages of Indonesia take about 6 MB.
pub const MAX_DOCUMENT: usize = 32 << 20;
/// Lists that are kept in memory for contracts that are compiled next. What a compiled contract uses stays with it.
const MAX_HELD: usize = 32;

/// The lists that ship with this binary, read once, with their documents.
static SHIPPED: LazyLock<Vec<(Arc<ReferenceTable>, String)>> = LazyLock::new(|| {
    let loaded = standard::code_lists().filter_map(|list| {
        let document = list.document().ok()?;
        let list = CodeList::from_document(&document).ok()?;
        Some((Arc::new(ReferenceTable::of(Arc::new(list))), document))
    });
    loaded.collect()
});

fn shipped(id: &str, version: &str) -> Option<&'static (Arc<ReferenceTable>, String)> {
    SHIPPED.iter().find(|(table, _)| table.code_list().is_some_and(|list| list.id() == id && list.version() == version))
}

/// Lists for one purpose, by URN: what a contract points to, or what two versions of it do.
#[derive(Clone, Default)]
pub struct Found(BTreeMap<String, Arc<ReferenceTable>>);

impl Found {
    /// Those of `wanted` that ship with this binary.
    pub fn shipped(wanted: &BTreeSet<String>) -> Self {
        let find = |urn: &String| {
            let (id, version) = parse_urn(urn)?;
            Some((urn.clone(), shipped(id, version)?.0.clone()))
        };
        Self(wanted.iter().filter_map(find).collect())
    }

    /// Adds a list.
    pub fn add(&mut self, list: CodeList) {
        self.0.insert(list.urn(), Arc::new(ReferenceTable::of(Arc::new(list))));
    }

    /// Adds others.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Those of `wanted` that are not here.
    pub fn missing(&self, wanted: &BTreeSet<String>) -> BTreeSet<String> {
        wanted.iter().filter(|urn| !self.0.contains_key(*urn)).cloned().collect()
    }

    fn list(&self, urn: &str) -> Option<&CodeList> {
        self.0.get(urn)?.code_list().map(AsRef::as_ref)
    }

    /// The editions, for the audit log: `wilayah@2025-1 sha256:…`.
    pub fn named(&self) -> String {
        let lists = self.0.values().filter_map(|table| table.code_list());
        let named = lists.map(|list| format!("{}@{} sha256:{}", list.id(), list.version(), list.digest()));
        named.collect::<Vec<_>>().join(", ")
    }
}

impl References for Found {
    fn table(&self, wanted: &Wanted<'_>) -> Option<Arc<ReferenceTable>> {
        self.0.get(wanted.package?).cloned()
    }
}

impl CodeListHistory for Found {
    fn delta(&self, old: &str, new: &str) -> Option<CodeDelta> {
        Some(self.list(old)?.delta(self.list(new)?))
    }
}

/// The lists that were loaded last, and the digests of all that were ever asked for.
#[derive(Default)]
pub struct Lists(Mutex<Held>);

#[derive(Default)]
struct Held {
    tables: VecDeque<(String, Arc<ReferenceTable>)>,
    digests: HashMap<(String, String), Digest>,
}

impl Lists {
    /// Those of `wanted` that are registered, or else ship with this binary.
    ///
    /// # Errors
    /// When the store cannot be read, or a registered list cannot be used any more.
    pub async fn resolve(&self, store: &Store, wanted: &BTreeSet<String>) -> Result<Found, Refusal> {
        let mut found = Found::default();
        for urn in wanted {
            if let Some(table) = self.find(store, urn).await? {
                found.0.insert(urn.clone(), table);
            }
        }
        Ok(found)
    }

    async fn find(&self, store: &Store, urn: &str) -> Result<Option<Arc<ReferenceTable>>, Refusal> {
        let Some((id, version)) = parse_urn(urn) else { return Ok(None) };
        if let Some((_, table)) = self.held().tables.iter().find(|(known, _)| known == urn) {
            return Ok(Some(table.clone()));
        }
        let Some(stored) = store.code_list(id, version).await? else {
            return Ok(shipped(id, version).map(|(table, _)| table.clone()));
        };
        let load = move || {
            let text = String::from_utf8(stored.content).map_err(Refusal::internal)?;
            let list = CodeList::from_document(&text).map_err(Refusal::internal)?;
            Ok::<_, Refusal>(Arc::new(ReferenceTable::of(Arc::new(list))))
        };
        let table = tokio::task::spawn_blocking(load).await.map_err(Refusal::internal)??;
        let mut held = self.held();
        if held.tables.len() >= MAX_HELD {
            held.tables.pop_front();
        }
        held.tables.push_back((urn.to_owned(), table.clone()));
        Ok(Some(table))
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest of a registered list.
    async fn digest(&self, store: &Store, id: &str, version: &str) -> Result<Option<Digest>, Refusal> {
        let key = (id.to_owned(), version.to_owned());
        if let Some(known) = self.held().digests.get(&key).copied() {
            return Ok(Some(known));
        }
        let Some(stored) = store.code_list(id, version).await? else { return Ok(None) };
        let digest = Digest::of(&stored.content);
        self.held().digests.insert(key, digest);
        Ok(Some(digest))
    }
}

/// A refusal that names what is missing and how it comes here.
pub fn not_here(missing: &BTreeSet<String>, parent: &str, lang: Lang) -> Refusal {
    let names: Vec<&str> = missing.iter().map(|urn| urn.rsplit(':').next().unwrap_or(urn)).collect();
    let names = names.join(", ");
    let detail = match lang {
        Lang::Id => format!("{names}.{parent} Daftarkan dengan: simpul codelist register datapackage.json"),
        Lang::En => format!("{names}.{parent} Register it with: simpul codelist register datapackage.json"),
    };
    Refusal::new(Kind::NoCodeList, detail).member("codeLists", json!(missing))
}

/// Whether the list may be registered: its version is new, or says the same.
///
/// # Errors
/// 409 when this version is registered with other content, or ships with other content.
pub async fn is_new(app: &App, list: &CodeList) -> Result<bool, Refusal> {
    let known = app.contracts.lists.digest(&app.store, list.id(), list.version()).await?;
    let conflict = || {
        Refusal::new(Kind::VersionConflict, format!("{}@{}", list.id(), list.version()))
            .reason("code_list_conflict")
            .member("digest", json!(known))
    };
    match known {
        Some(known) if known == list.digest() => Ok(false),
        Some(_) => Err(conflict()),
        None => {
            let own = shipped(list.id(), list.version()).and_then(|(table, _)| table.code_list());
            if own.is_some_and(|own| own.digest() != list.digest()) { Err(conflict()) } else { Ok(true) }
        }
    }
}

/// Registers a list under its own name. The entry in the audit log comes first, from the caller.
///
/// # Errors
/// 409 when this version was registered with other content in the meantime.
pub async fn register(app: &App, list: &CodeList, document: &str, by: &str) -> Result<(), Refusal> {
    app.store.register_code_list(list.id(), list.version(), document.as_bytes(), app.now(), by).await?;
    Ok(())
}

/// Registers those of `found` that ship and are not registered yet.
///
/// # Errors
/// When the store cannot be written.
pub async fn keep_shipped(app: &App, found: &Found, by: &str) -> Result<(), Refusal> {
    for list in found.0.values().filter_map(|table| table.code_list()) {
        if let Some((_, document)) = shipped(list.id(), list.version())
            && app.contracts.lists.digest(&app.store, list.id(), list.version()).await?.is_none()
        {
            register(app, list, document, by).await?;
        }
    }
    Ok(())
}

/// The document of an edition, registered or shipped.
///
/// # Errors
/// When the store cannot be read.
pub async fn document(store: &Store, id: &str, version: &str) -> Result<Option<Vec<u8>>, Refusal> {
    if let Some(stored) = store.code_list(id, version).await? {
        return Ok(Some(stored.content));
    }
    Ok(shipped(id, version).map(|(_, document)| document.as_bytes().to_vec()))
}

/// One edition that this node has.
pub struct Edition {
    /// The list.
    pub id: String,
    /// The version.
    pub version: String,
    /// SHA-256 of its document.
    pub digest: Digest,
    /// When and by whom it was registered; nothing for one that only ships.
    pub registered: Option<(simpul_core::time::Timestamp, String)>,
}

/// Every edition that this node has, by name, in the order of their registration.
///
/// # Errors
/// When the store cannot be read.
pub async fn all(app: &App) -> Result<Vec<Edition>, Refusal> {
    let mut all = Vec::new();
    for latest in app.store.code_lists().await? {
        for known in app.store.code_list_versions(&latest.name).await? {
            let digest = app.contracts.lists.digest(&app.store, &known.name, &known.version).await?;
            let Some(digest) = digest else { continue };
            let registered = Some((known.registered_at, known.registered_by));
            all.push(Edition { id: known.name, version: known.version, digest, registered });
        }
    }
    for list in SHIPPED.iter().filter_map(|(table, _)| table.code_list()) {
        if !all.iter().any(|known| known.id == list.id() && known.version == list.version()) {
            let (id, version) = (list.id().to_owned(), list.version().to_owned());
            all.push(Edition { id, version, digest: list.digest(), registered: None });
        }
    }
    all.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(all)
}

/// The code lists that the contracts of this node point to, in every version that is registered.
///
/// # Errors
/// When the store cannot be read.
pub async fn used(store: &Store) -> Result<BTreeSet<String>, Refusal> {
    let mut used = BTreeSet::new();
    for contract in store.contracts().await? {
        let Ok(dataset) = contract.name.parse() else { continue };
        for version in store.contract_versions(&dataset).await? {
            let Some(stored) = store.contract(&dataset, &version.version).await? else { continue };
            let descriptor: Value = serde_json::from_str(&stored.descriptor).unwrap_or_default();
            used.extend(code_list::referenced(&descriptor));
        }
    }
    Ok(used)
}
