//! A node from its configuration to its last answer.
//!
//! 1. [`start`] opens the folder, finishes what an interruption left, and only then binds its addresses.
//! 2. Background tasks: the link to the parent, the connectors' schedule, certificates, the tables' housekeeping.
//! 3. [`Running::stop`] accepts nothing new, lets open requests end within their time, and closes the store.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::app::App;
use crate::config::Config;
use crate::console::health;
use crate::door::{self, Entrance};
use crate::flows::{forward, land, lists, pull};
use crate::routes;

/// A node that serves.
pub struct Running {
    /// The node.
    pub app: Arc<App>,
    /// The addresses it is bound to.
    pub addresses: Addresses,
}

/// Where a node listens, with the ports that it got.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Agency systems and child nodes.
    pub exchange: SocketAddr,
    /// Health and description without a client certificate.
    pub portal: SocketAddr,
    /// Administrators.
    pub console: SocketAddr,
    /// Prometheus.
    pub metrics: SocketAddr,
}

/// Opens the node and begins to serve.
///
/// # Errors
/// What is wrong with the configuration, the folder or the addresses; nothing is bound then.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    health::collect_figures();
    let app = App::open(config).await?;
    land::recover(&app).await.map_err(|refusal| {
        anyhow::anyhow!("cannot finish what was interrupted: {}", refusal.internal.unwrap_or_default())
    })?;
    let listen = &app.config.listen;
    let (exchange, exchange_at) = bind(listen.exchange, "listen.exchange").await?;
    let (portal, portal_at) = bind(listen.portal, "listen.portal").await?;
    let (console, console_at) = bind(listen.console, "listen.console").await?;
    let (metrics, metrics_at) = bind(listen.metrics, "listen.metrics").await?;
    let router = routes::router(&app);
    for (listener, entrance) in [
        (exchange, Entrance::Exchange),
        (portal, Entrance::Portal),
        (console, Entrance::Console),
        (metrics, Entrance::Metrics),
    ] {
        app.tasks.spawn(door::listen(app.clone(), listener, entrance, router.clone()));
    }
    app.parent_client()?;
    app.tasks.spawn(forward::run(app.clone()));
    app.tasks.spawn(lists::run(app.clone()));
    app.tasks.spawn(pull::schedule(app.clone()));
    app.tasks.spawn(app.clone().watch_tls());
    app.tasks.spawn(app.clone().maintain());
    app.tasks.spawn(app.clone().finish_what_is_left());
    let addresses = Addresses { exchange: exchange_at, portal: portal_at, console: console_at, metrics: metrics_at };
    info!(agency = %app.identity.agency, ?addresses, "serving");
    Ok(Running { app, addresses })
}

async fn bind(address: SocketAddr, key: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} ({key})"))?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

impl Running {
    /// Stops: what was accepted is finished, within `limits.shutdown_s`.
    pub async fn stop(self) {
        info!("stopping: no new requests, open ones get their answer");
        self.app.stop.cancel();
        self.app.tasks.close();
        let grace = Duration::from_secs(self.app.config.limits.shutdown_s);
        if tokio::time::timeout(grace, self.app.tasks.wait()).await.is_err() {
            warn!("some requests did not end in time; what they delivered can be sent again");
        }
        self.app.store.close().await;
    }
}
