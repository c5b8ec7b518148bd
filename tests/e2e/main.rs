//! End-to-end tests: real nodes, spoken to over TLS.

mod architecture;
mod certificates;
mod coverage;
mod flow;
mod lone;
mod requests;
mod tokens;
