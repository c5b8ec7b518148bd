//! End-to-end tests: real nodes, spoken to over TLS.

mod architecture;
mod certificates;
mod coverage;
mod flow;
mod kills;
mod lone;
mod postgres;
mod requests;
mod tokens;
