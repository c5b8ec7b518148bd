//! Administration: one operation, one file. Each takes its request apart, checks it, writes its audit entry and then acts.
//!
//! What is deliberately absent: an operation that acts before its entry is durable, and an answer that repeats a secret.

pub mod delete_connector;
pub mod end_agreement;
pub mod export_audit;
pub mod fetch_code_lists;
pub mod list_agencies;
pub mod list_agreements;
pub mod list_clients;
pub mod list_code_lists;
pub mod list_connectors;
pub mod list_contracts;
pub mod list_deliveries;
pub mod put_agency;
pub mod put_agreement;
pub mod put_client;
pub mod put_connector;
pub mod register_code_list;
pub mod register_contract;
pub mod run_connector;
pub mod show_audit;
pub mod show_checkpoint;
pub mod show_contract;
pub mod show_link;
pub mod test_connector;

/// The most bytes of an administrator's JSON body.
const MAX_BODY: usize = 4 << 20;
