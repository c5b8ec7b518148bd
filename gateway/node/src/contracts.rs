//! Compiled contracts, kept for as long as the node runs: a registered version never changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use simpul_core::id::DatasetId;
use simpul_lake::SqlRules;
use simpul_schemas::code_list::referenced;
use simpul_schemas::{Contract, Lang, References};
use simpul_store::Store;

use crate::code_lists::{self, Lists};
use crate::refusal::Refusal;

/// The compiled contracts, by name and version, and the code lists they are compiled with.
#[derive(Default)]
pub struct Contracts {
    compiled: Mutex<HashMap<(DatasetId, String), Arc<Contract>>>,
    /// The code lists.
    pub lists: Lists,
}

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
        let wanted = referenced(&descriptor);
        let lists = self.lists.resolve(store, &wanted).await?;
        let missing = lists.missing(&wanted);
        if !missing.is_empty() {
            return Err(code_lists::not_here(&missing, "", Lang::default()));
        }
        let contract = Arc::new(compile(&descriptor, &lists).map_err(Refusal::internal)?);
        let mut all = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((dataset.clone(), stored.version), contract.clone());
        Ok(Some((contract, true)))
    }

    fn held(&self, dataset: &DatasetId, version: &str) -> Option<Arc<Contract>> {
        let all = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&(dataset.clone(), version.to_owned())).cloned()
    }
}

/// Compiles a descriptor against code lists.
///
/// # Errors
/// Every error of the descriptor, a line each.
pub fn compile(descriptor: &Value, lists: &dyn References) -> Result<Contract, String> {
    let compiled = Contract::compile(descriptor, lists);
    compiled.and_then(|contract| contract.with_rules(&SqlRules)).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.join("; ")
    })
}
