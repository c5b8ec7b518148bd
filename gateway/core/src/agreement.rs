//! Agreements (PKS): who may do what with which dataset, for what purpose, until when.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::filter::Filter;
use crate::id::{AgencyCode, AgreementId, ClientName, DatasetId};
use crate::time::Timestamp;

/// What a client may be allowed to do with a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Deliver rows.
    Deliver,
    /// Deliver rows on behalf of the agencies of its own area: what a child node does.
    Forward,
    /// Read records and extracts.
    Read,
}

impl Operation {
    /// The OAuth 2.0 scope that allows this operation on `dataset`, such as `deliver:penduduk-wilayah`.
    #[must_use]
    pub fn scope(self, dataset: &DatasetId) -> String {
        format!("{}:{dataset}", self.as_str())
    }

    /// The operation as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deliver => "deliver",
            Self::Forward => "forward",
            Self::Read => "read",
        }
    }
}

/// How a reader sees a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// The value itself.
    Clear,
    /// The value with all but its first characters covered.
    Masked,
    /// Not at all; the reader cannot tell that the column exists.
    Hidden,
}

/// How many requests a consumer may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Requests per second, on average.
    pub per_second: u32,
    /// Requests that may come at once.
    pub burst: u32,
}

/// One agreement between the agency that answers for a dataset and the agency that uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Its name at this node.
    pub id: AgreementId,
    /// The agency that gives.
    pub provider: AgencyCode,
    /// The agency that receives.
    pub consumer: AgencyCode,
    /// The one client of the consumer that it holds for; absent: every client of the agency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientName>,
    /// The dataset it is about.
    pub dataset: DatasetId,
    /// What is allowed.
    pub operations: Vec<Operation>,
    /// How columns are seen. A column that is not named is seen as `default_visibility` says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Visibility>,
    /// How the columns are seen that `columns` does not name.
    #[serde(default = "clear")]
    pub default_visibility: Visibility,
    /// The rows that may be read: all conditions hold. Empty: every row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Filter>,
    /// What the data is for, in words.
    pub purpose: String,
    /// The number of the signed document.
    pub document: String,
    /// The first instant it holds.
    pub valid_from: Timestamp,
    /// The first instant it no longer holds.
    pub valid_until: Timestamp,
    /// Its own limit on requests, besides the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

const fn clear() -> Visibility {
    Visibility::Clear
}

impl Agreement {
    /// Whether the agreement is in force at `now`: from its first instant, until before its last.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.valid_from <= now && now < self.valid_until
    }

    /// How a reader under this agreement sees `column`.
    #[must_use]
    pub fn visibility(&self, column: &str) -> Visibility {
        self.columns.get(column).copied().unwrap_or(self.default_visibility)
    }
}
