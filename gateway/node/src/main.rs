//! `simpul`: an inter-agency data exchange gateway. One binary at every tier: it serves a node, administers it, and is the
//! client of agency systems, statisticians and clerks.

mod admin;
mod answer;
mod app;
mod auditing;
mod cli;
mod client;
mod code_lists;
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
mod worker;

use std::process::ExitCode;

fn main() -> ExitCode {
    end_quietly_with_the_reader();
    // Every TLS configuration of this process names its provider; this one is for libraries that ask for a default.
    let _ = rustls::crypto::CryptoProvider::install_default((*simpul_certs::tls::provider()).clone());
    cli::run()
}

/// `simpul … | head` ends when `head` does. Rust ignores SIGPIPE and makes the failed print a panic, which is right for a
/// server and wrong for a filter; 141 is what a shell shows for a program that the signal ended.
fn end_quietly_with_the_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if text.starts_with("failed printing to std") && text.contains("Broken pipe") {
            std::process::exit(141);
        }
        usual(panic);
    }));
}
