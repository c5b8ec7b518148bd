//! `simpul doctor`: what is wrong with a node, and what to do.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use simpul_certs::tls::{ClientOptions, OwnCertificate, ServerTls, client_config};
use simpul_core::time::Timestamp;

use super::{EX_CONFIG, output};
use crate::app::tls_files;
use crate::client::NodeClient;
use crate::config::Config;

#[derive(Args)]
pub struct Options {
    /// Configuration file
    #[arg(long, default_value = "simpul.toml")]
    config: PathBuf,
}

/// One finding.
struct Finding {
    what: &'static str,
    good: bool,
    text: String,
}

fn good(what: &'static str, text: impl Into<String>) -> Finding {
    Finding { what, good: true, text: text.into() }
}

fn bad(what: &'static str, text: impl Into<String>) -> Finding {
    Finding { what, good: false, text: text.into() }
}

/// Checks everything and prints a line for each finding. Exit status 0 when all is well.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let config = match Config::load(&options.config) {
        Ok(config) => config,
        Err(error) => {
            print(&bad("config", error.to_string()));
            return Ok(ExitCode::from(EX_CONFIG));
        }
    };
    let mut findings = vec![good("config", options.config.display().to_string())];
    findings.extend(certificates(&config));
    findings.push(clock());
    findings.extend(disk(&config));
    findings.extend(ports(&config));
    findings.push(parent(&config).await);
    findings.iter().for_each(print);
    let all = findings.iter().all(|finding| finding.good);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(finding: &Finding) {
    println!("{} {:<12} {}", if finding.good { "ok " } else { "BAD" }, finding.what, finding.text);
}

fn certificates(config: &Config) -> Vec<Finding> {
    let tls = match ServerTls::load(tls_files(config)) {
        Ok(tls) => tls,
        Err(error) => return vec![bad("certificates", error.to_string())],
    };
    let mut findings = vec![good("identity", tls.identity().to_string())];
    let Ok(status) = tls.status() else { return vec![bad("clock", "the clock cannot be read")] };
    let left = |end: Timestamp| (end.seconds() - output::now().seconds()) / 86_400;
    let mut until = |what: &'static str, name: String, end: Timestamp, warn_at: i64, remedy: &str| {
        let days = left(end);
        let text = format!("{name} holds for {days} days, until {end}");
        findings.push(if days >= warn_at { good(what, text) } else { bad(what, format!("{text}: {remedy}")) });
    };
    until("certificate", "the node's certificate".to_owned(), status.own_not_after, 30, "ask the CA for a new one");
    for crl in &status.crls {
        until("revocation", crl.issuer.clone(), crl.next_update, 7, "fetch the CA's new list (simpul ca refresh)");
    }
    findings
}

/// Whether the clock can be right: not before this binary was thought of, and not absurdly late.
fn clock() -> Finding {
    let now = output::now();
    let sane = Timestamp::parse("2026-01-01T00:00:00Z").is_some_and(|from| now > from)
        && Timestamp::parse("2060-01-01T00:00:00Z").is_some_and(|to| now < to);
    if sane {
        good("clock", now.to_string())
    } else {
        bad("clock", format!("{now} cannot be right: set the clock, or replace the battery"))
    }
}

fn disk(config: &Config) -> Vec<Finding> {
    let data = &config.node.data;
    if let Err(error) = std::fs::create_dir_all(data) {
        return vec![bad("data", format!("{}: {error}", data.display()))];
    }
    let probe = data.join(".doctor");
    let written = std::fs::write(&probe, b"ok").and_then(|()| std::fs::remove_file(&probe));
    let mut findings = vec![match written {
        Ok(()) => good("data", data.display().to_string()),
        Err(error) => bad("data", format!("{} cannot be written: {error}", data.display())),
    }];
    if let Ok(stat) = rustix::fs::statvfs(data) {
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let text = format!("{} MiB free", free >> 20);
        let enough = free > config.limits.free_bytes.saturating_mul(2);
        findings.push(if enough {
            good("disk", text)
        } else {
            bad("disk", format!("{text}: make room before deliveries are refused"))
        });
    }
    findings
}

fn ports(config: &Config) -> Vec<Finding> {
    let listen = &config.listen;
    let all = [listen.exchange, listen.portal, listen.console, listen.metrics];
    let busy = all.into_iter().filter(|address| TcpListener::bind(address).is_err());
    busy.map(|address| good("port", format!("{address} is in use: by this node if it runs, else change [listen]")))
        .collect()
}

async fn parent(config: &Config) -> Finding {
    let Some(link) = &config.link else { return good("parent", "none: this is the top of the exchange") };
    let reach = async {
        let own = OwnCertificate::load(&config.tls.certificate, &config.tls.key, output::now())?;
        let trust = ServerTls::load(tls_files(config))?.trust();
        let expected = if link.identity.is_empty() { None } else { Some(link.identity.parse()?) };
        let tls = client_config(ClientOptions { trust, own: Some(own), expected })?;
        let client = NodeClient::new(&link.upstream, (*tls).clone(), Duration::from_secs(20))?;
        Ok::<_, anyhow::Error>(client.get("/v1/datasets").await?)
    };
    match reach.await {
        Ok(answer) => {
            let count = answer["datasets"].as_array().map_or(0, Vec::len);
            good("parent", format!("{} answers; agreements for {count} datasets", link.upstream))
        }
        Err(error) => {
            bad("parent", format!("{}: {error:#}. Deliveries wait in the queue until it answers", link.upstream))
        }
    }
}
