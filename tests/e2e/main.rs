//! End-to-end tests: real nodes, spoken to over TLS.

mod architecture;
mod certificates;
mod codelists;
mod contracts;
mod coverage;
mod data;
mod flow;
mod kills;
mod limits;
mod lone;
mod postgres;
mod proof;
mod reading;
mod reports;
mod requests;
mod rules;
mod sheets;
mod support;
mod tokens;
