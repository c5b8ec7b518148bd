//! The access decision: deny by default.
//!
//! What is deliberately absent: roles that imply datasets, wildcards, and any way to combine the
//! columns of one agreement with the rows of another. Each agreement stands for itself, and the
//! one that a request is granted under is named in its audit entry.

use serde::{Deserialize, Serialize};

use crate::agreement::{Agreement, Operation, Visibility};
use crate::filter::Filter;
use crate::id::{DatasetId, Identity};
use crate::time::Timestamp;

/// What a client wants.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Who asks, as its certificate says.
    pub identity: &'a Identity,
    /// What for.
    pub operation: Operation,
    /// On which dataset.
    pub dataset: &'a DatasetId,
}

/// Why a request is not granted. The caller of a refused read is told the same for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Denied {
    /// No agreement names this agency, this client, this dataset and this operation.
    #[error("no agreement allows this")]
    NoAgreement,
    /// There is such an agreement, but its time has not come.
    #[error("the agreement is not in force yet")]
    NotYet,
    /// There was such an agreement, and it has ended.
    #[error("the agreement has ended")]
    Ended,
}

/// The agreement that a request is granted under: the one in force that ends last, so that a renewed agreement takes over
/// from the one it renews.
///
/// # Errors
/// [`Denied`] when none is in force.
pub fn decide<'a>(
    request: &Request<'_>,
    agreements: impl IntoIterator<Item = &'a Agreement>,
    now: Timestamp,
) -> Result<&'a Agreement, Denied> {
    let mut granted: Option<&Agreement> = None;
    let mut denied = Denied::NoAgreement;
    for agreement in agreements.into_iter().filter(|agreement| concerns(agreement, request)) {
        if agreement.in_force(now) {
            if granted.is_none_or(|best| best.valid_until < agreement.valid_until) {
                granted = Some(agreement);
            }
        } else if now < agreement.valid_from {
            denied = Denied::NotYet;
        } else if denied == Denied::NoAgreement {
            denied = Denied::Ended;
        }
    }
    granted.ok_or(denied)
}

fn concerns(agreement: &Agreement, request: &Request<'_>) -> bool {
    agreement.consumer == request.identity.agency
        && agreement.client.as_ref().is_none_or(|client| *client == request.identity.client)
        && agreement.dataset == *request.dataset
        && agreement.operations.contains(&request.operation)
}

/// What a reader sees of a dataset: some columns, some rows. It is part of the name of every extract, so two readers with
/// the same view share one file and two with different views never do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct View {
    /// The visible columns in the order of the contract; none of them is [`Visibility::Hidden`].
    pub columns: Vec<(String, Visibility)>,
    /// The conditions that every visible row meets.
    pub rows: Vec<Filter>,
}

/// Why a reader's own choice of columns and rows is not possible under its agreement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewDenied {
    /// The column is not in the contract or is hidden from this reader, who is not told which.
    #[error("there is no column of this name for you")]
    Column(String),
    /// A masked column cannot be filtered on: that would read its value by trial.
    #[error("a masked column cannot be used in a filter")]
    Masked(String),
    /// The agreement leaves no column to see.
    #[error("the agreement shows no column")]
    Nothing,
}

impl View {
    /// Everything that `agreement` shows of a dataset with these columns, each with whether it holds personal data. A
    /// personal column that the agreement does not name is hidden, whatever it says about the others: a column that a later
    /// version of the contract adds is not shown by accident.
    #[must_use]
    pub fn of<'c>(agreement: &Agreement, columns: impl IntoIterator<Item = (&'c str, bool)>) -> Self {
        let seen = |column: &str, personal: bool| match personal && !agreement.columns.contains_key(column) {
            true => Visibility::Hidden,
            false => agreement.visibility(column),
        };
        let columns = columns
            .into_iter()
            .map(|(column, personal)| (column.to_owned(), seen(column, personal)))
            .filter(|(_, visibility)| *visibility != Visibility::Hidden)
            .collect();
        Self { columns, rows: agreement.rows.clone() }
    }

    /// The part of this view that a reader asks for: `columns` in the reader's order (none: all of
    /// them), and the reader's own conditions besides those of the agreement.
    ///
    /// # Errors
    /// [`ViewDenied`] when the reader names a column that this view does not show in clear.
    pub fn narrow(&self, columns: &[String], filters: &[Filter]) -> Result<Self, ViewDenied> {
        let find = |name: &str| self.columns.iter().find(|(column, _)| column == name);
        let chosen = if columns.is_empty() {
            self.columns.clone()
        } else {
            columns
                .iter()
                .map(|name| find(name).cloned().ok_or_else(|| ViewDenied::Column(name.clone())))
                .collect::<Result<_, _>>()?
        };
        for filter in filters {
            match find(&filter.column) {
                None => return Err(ViewDenied::Column(filter.column.clone())),
                Some((_, Visibility::Clear)) => {}
                Some(_) => return Err(ViewDenied::Masked(filter.column.clone())),
            }
        }
        if chosen.is_empty() {
            return Err(ViewDenied::Nothing);
        }
        Ok(Self { columns: chosen, rows: self.rows.iter().chain(filters).cloned().collect() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn agreement(id: &str, from: i64, until: i64) -> Agreement {
        Agreement {
            id: id.parse().unwrap(),
            provider: "64.02.dukcapil".parse().unwrap(),
            consumer: "64.bps".parse().unwrap(),
            client: None,
            dataset: "penduduk-wilayah".parse().unwrap(),
            operations: vec![Operation::Read],
            columns: BTreeMap::from([
                ("nik".to_owned(), Visibility::Masked),
                ("catatan".to_owned(), Visibility::Hidden),
            ]),
            default_visibility: Visibility::Clear,
            rows: vec!["kode=eq.64.02".parse().unwrap()],
            purpose: "statistik".to_owned(),
            document: "PKS/1/2026".to_owned(),
            valid_from: Timestamp::from_seconds(from),
            valid_until: Timestamp::from_seconds(until),
            quota: None,
        }
    }

    fn ask(identity: &str, operation: Operation, dataset: &str, all: &[Agreement], now: i64) -> Result<String, Denied> {
        let identity = identity.parse().unwrap();
        let dataset = dataset.parse().unwrap();
        let request = Request { identity: &identity, operation, dataset: &dataset };
        decide(&request, all, Timestamp::from_seconds(now)).map(|found| found.id.to_string())
    }

    const BPS: &str = "spiffe://satudata.test/64.bps/statistik";

    #[test]
    fn nothing_is_granted_without_an_agreement_that_names_it() {
        let all = [agreement("pks", 10, 20)];
        assert_eq!(ask(BPS, Operation::Read, "penduduk-wilayah", &all, 15), Ok("pks".to_owned()));
        assert_eq!(ask(BPS, Operation::Deliver, "penduduk-wilayah", &all, 15), Err(Denied::NoAgreement));
        assert_eq!(ask(BPS, Operation::Read, "sekolah", &all, 15), Err(Denied::NoAgreement));
        let other = "spiffe://satudata.test/64.bappeda/statistik";
        assert_eq!(ask(other, Operation::Read, "penduduk-wilayah", &all, 15), Err(Denied::NoAgreement));
    }

    #[test]
    fn an_agreement_holds_from_its_first_instant_until_before_its_last() {
        let all = [agreement("pks", 10, 20)];
        assert_eq!(ask(BPS, Operation::Read, "penduduk-wilayah", &all, 9), Err(Denied::NotYet));
        assert!(ask(BPS, Operation::Read, "penduduk-wilayah", &all, 10).is_ok());
        assert_eq!(ask(BPS, Operation::Read, "penduduk-wilayah", &all, 20), Err(Denied::Ended));
    }

    #[test]
    fn a_renewed_agreement_takes_over() {
        let all = [agreement("lama", 10, 20), agreement("baru", 15, 30)];
        assert_eq!(ask(BPS, Operation::Read, "penduduk-wilayah", &all, 17), Ok("baru".to_owned()));
    }

    #[test]
    fn an_agreement_for_one_client_does_not_serve_another() {
        let mut one = agreement("pks", 10, 20);
        one.client = Some("lain".parse().unwrap());
        assert_eq!(ask(BPS, Operation::Read, "penduduk-wilayah", &[one], 15), Err(Denied::NoAgreement));
    }

    #[test]
    fn a_view_hides_masks_and_keeps_the_agreements_rows() {
        let view =
            View::of(&agreement("pks", 0, 1), [("kode", false), ("nik", true), ("catatan", false), ("telepon", true)]);
        assert_eq!(view.columns.iter().map(|(c, _)| c.as_str()).collect::<Vec<_>>(), ["kode", "nik"]);
        let narrowed = view.narrow(&["kode".to_owned()], &["kode=like.64*".parse().unwrap()]).unwrap();
        assert_eq!(narrowed.rows.len(), 2);
        assert_eq!(view.narrow(&["catatan".to_owned()], &[]), Err(ViewDenied::Column("catatan".to_owned())));
        let by_nik = view.narrow(&[], &["nik=eq.1".parse().unwrap()]);
        assert_eq!(by_nik, Err(ViewDenied::Masked("nik".to_owned())));
    }

    proptest! {
        #[test]
        fn no_choice_of_columns_and_filters_shows_more_than_the_agreement(
            columns in prop::collection::vec("(kode|nik|catatan|lain)", 0..4),
            filtered in prop::collection::vec("(kode|nik|catatan|lain)", 0..3),
        ) {
            let view = View::of(&agreement("pks", 0, 1), [("kode", false), ("nik", true), ("catatan", false)]);
            let filters: Vec<Filter> = filtered.iter().map(|c| Filter::parse(c, "eq.1").unwrap()).collect();
            if let Ok(narrowed) = view.narrow(&columns, &filters) {
                prop_assert!(narrowed.columns.iter().all(|column| view.columns.contains(column)));
                prop_assert!(view.rows.iter().all(|row| narrowed.rows.contains(row)));
                prop_assert!(filters.iter().all(|filter| filter.column == "kode"));
            }
        }
    }
}
