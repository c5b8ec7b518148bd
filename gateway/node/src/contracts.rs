//! Compiled contracts, kept for as long as the node runs: a registered version never changes.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde_json::Value;
use simpul_core::id::DatasetId;
use simpul_lake::SqlRules;
use simpul_schemas::code_list::{CodeDelta, CodeList, parse_urn};
use simpul_schemas::compat::CodeListHistory;
use simpul_schemas::{Contract, ReferenceTable, References, Wanted, standard};
use simpul_store::Store;

use crate::refusal::Refusal;

/// The compiled contracts, by name and version.
#[derive(Default)]
pub struct Contracts(Mutex<HashMap<(DatasetId, String), Arc<Contract>>>);

impl Contracts {
    /// The registered contract of `dataset` in `version`, or the latest one, and whether it was compiled just
    /// now; `None` when there is none.
    ///
    /// # Errors
    /// When the store cannot be read, or a registered contract does not compile any more.
    pub async fn find(
        &self,
        store: &Store,
        dataset: &DatasetId,
        version: Option<&str>,
    ) -> Result<Option<(Arc<Contract>, bool)>, Refusal> {
        if let Some(version) = version
            && let Some(contract) = self.held(dataset, version)
        {
            return Ok(Some((contract, false)));
        }
        let stored = match version {
            Some(version) => store.contract(dataset, version).await?,
            None => store.latest_contract(dataset).await?,
        };
        let Some(stored) = stored else { return Ok(None) };
        if let Some(contract) = self.held(dataset, &stored.version) {
            return Ok(Some((contract, false)));
        }
        let descriptor: Value = serde_json::from_str(&stored.descriptor).map_err(Refusal::internal)?;
        let contract = Arc::new(compile(&descriptor).map_err(Refusal::internal)?);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((dataset.clone(), stored.version), contract.clone());
        Ok(Some((contract, true)))
    }

    fn held(&self, dataset: &DatasetId, version: &str) -> Option<Arc<Contract>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&(dataset.clone(), version.to_owned())).cloned()
    }
}

/// Compiles a descriptor against the code lists that this binary ships.
///
/// # Errors
/// Every error of the descriptor, a line each.
pub fn compile(descriptor: &Value) -> Result<Contract, String> {
    let compiled = Contract::compile(descriptor, &StandardLists);
    compiled.and_then(|contract| contract.with_rules(&SqlRules)).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.join("; ")
    })
}

/// The code lists that ship with this binary, read once.
static LISTS: LazyLock<Vec<(CodeList, Arc<ReferenceTable>)>> = LazyLock::new(|| {
    let loaded = standard::code_lists().filter_map(|list| list.load().ok());
    loaded
        .map(|list| (ReferenceTable::from_code_list(&list), list))
        .map(|(table, list)| (list, Arc::new(table)))
        .collect()
});

/// Finds code lists by URN, such as `urn:satudata:ref:wilayah@2025-1`.
pub struct StandardLists;

impl CodeListHistory for StandardLists {
    fn delta(&self, old: &str, new: &str) -> Option<CodeDelta> {
        let find = |urn| {
            let (id, version) = parse_urn(urn)?;
            LISTS.iter().map(|(list, _)| list).find(|list| list.id() == id && list.version() == version)
        };
        Some(find(old)?.delta(find(new)?))
    }
}

impl References for StandardLists {
    fn table(&self, wanted: &Wanted<'_>) -> Option<Arc<ReferenceTable>> {
        let (id, version) = parse_urn(wanted.package?)?;
        let found = LISTS.iter().find(|(list, _)| list.id() == id && list.version() == version);
        found.map(|(_, table)| table.clone())
    }
}
