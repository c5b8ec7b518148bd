//! `simpul`: an inter-agency data exchange gateway. One binary at every tier: it serves a node, administers it, and is the
//! client of agency systems, statisticians and clerks.

mod admin;
mod answer;
mod app;
mod auditing;
mod cli;
mod client;
mod config;
mod connectors;
mod console;
mod contracts;
mod door;
mod flows;
mod limits;
mod openapi;
mod query_string;
mod refusal;
mod routes;
mod serve;
mod tokens;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Every TLS configuration of this process names its provider; this one is for libraries that ask for a default.
    let _ = rustls::crypto::CryptoProvider::install_default((*simpul_certs::tls::provider()).clone());
    cli::run()
}
