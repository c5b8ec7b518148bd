//! `simpul serve`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, ConfigError, Log};
use crate::serve;

/// Exit status when the node cannot write its data folder (sysexits.h, EX_CANTCREAT).
const EX_CANTCREAT: u8 = 73;

#[derive(Args)]
pub struct Options {
    /// Configuration file
    #[arg(long, default_value = "simpul.toml")]
    config: PathBuf,
    /// Log one JSON object a line, whatever the configuration says
    #[arg(long)]
    log_json: bool,
}

/// Runs a node until it is asked to stop (SIGINT, SIGTERM).
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut config = Config::load(&options.config)?;
    config.log.json |= options.log_json;
    log_to_stderr(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let running = match serve::start(config).await {
            Ok(running) => running,
            Err(error) => return refuse_to_start(&error),
        };
        let at = running.addresses;
        println!(
            "exchange https://{}\nportal   https://{}\nconsole  https://{}\nmetrics  http://{}/metrics",
            at.exchange, at.portal, at.console, at.metrics
        );
        stop_signal().await?;
        running.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// The exit status tells a supervisor whether another start can help (sysexits.h).
fn refuse_to_start(error: &anyhow::Error) -> anyhow::Result<ExitCode> {
    use simpul_certs::CertError;
    use simpul_store::StoreError;
    match error.downcast_ref::<CertError>() {
        Some(told) => eprintln!("simpul: {told}"),
        None => eprintln!("simpul: {error:#}"),
    }
    let code = if error.is::<ConfigError>() || error.is::<CertError>() {
        super::EX_CONFIG
    } else {
        match error.downcast_ref::<StoreError>() {
            Some(StoreError::Locked { .. }) => 75,
            Some(StoreError::FormatTooNew { .. } | StoreError::InvalidLocation(_)) => super::EX_CONFIG,
            Some(StoreError::ReadOnly | StoreError::NoSpace) => EX_CANTCREAT,
            None if cannot_write(error) => EX_CANTCREAT,
            _ => 1,
        }
    };
    Ok(ExitCode::from(code))
}

/// Whether the data folder lies on a disk that cannot be written or is full.
fn cannot_write(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind.is_some_and(|kind| [ReadOnlyFilesystem, StorageFull, QuotaExceeded].contains(&kind))
}

/// Sends the log to standard error.
pub fn log_to_stderr(log: &Log) {
    let filter = EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = if log.json { builder.json().try_init() } else { builder.try_init() };
}

/// Waits for SIGINT or SIGTERM.
pub async fn stop_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
