//! The explicit list of connector kinds.

use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;
use simpul_connector_api::{Connector, ConnectorError, Context, Kind, ProcessSecrets};

/// Every kind that this binary knows.
pub const KINDS: &[Kind] = &[simpul_connector_files::KIND, simpul_connector_postgres::KIND];

/// Makes the connector `id` of a kind from its configuration. Reaches nothing and resolves no secret.
///
/// # Errors
/// [`ConnectorError::Misconfigured`] names what is wrong.
pub fn build(kind: &str, config: Value, id: &str) -> Result<Box<dyn Connector>, ConnectorError> {
    let known = KINDS.iter().find(|known| known.kind == kind);
    let known = known.ok_or_else(|| {
        let names: Vec<_> = KINDS.iter().map(|known| known.kind).collect();
        ConnectorError::misconfigured(format!("there is no connector of this kind; there are: {}", names.join(", ")))
    })?;
    (known.build)(config, Context { source: id.to_owned(), secrets: Arc::new(ProcessSecrets) })
}

/// Reads a schedule of five fields (minute, hour, day, month, weekday), or six with seconds before them, in UTC.
///
/// # Errors
/// What is wrong with it.
pub fn parse_schedule(text: &str) -> Result<croner::Cron, String> {
    croner::Cron::from_str(text).map_err(|error| error.to_string())
}
