//! The harness of the end-to-end tests: a demo of three real nodes, clients that speak to them over mutual TLS, and what a
//! test needs to look behind the door.
//!
//! A failure of the harness itself is a panic with the reason: there is no test without it. Conditions are waited for
//! ([`wait_until`]), never slept for.

mod client;
mod demo;
mod wire;

use std::future::Future;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use client::{Answer, Client, Http};
pub use demo::{ClientInfo, Demo, NodeInfo, Output, Ready};
pub use simpul_certs::testing::Credential;
use simpul_core::time::Timestamp;
pub use wire::{Wire, alert_of, tls_config};

/// The time that a condition gets unless a test knows better.
pub const SOON: Duration = Duration::from_secs(20);

/// The wall clock.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    Timestamp::from_millis(i64::try_from(since.as_millis()).expect("a clock before the year 292 million"))
}

/// A word that no other call gives, to name keys, clients and connectors with: lower-case letters and digits.
#[must_use]
pub fn unique(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst))
}

/// The number in the environment variable `name`, or `default`: how often a test repeats, how large its data are.
///
/// # Panics
/// When the variable is set and no number.
#[must_use]
pub fn count(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Asks every 50 ms until `condition` gives a value.
///
/// # Panics
/// With `what` when it does not within `deadline`.
pub async fn wait_until<T, F: Future<Output = Option<T>>>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(started.elapsed() < deadline, "not within {deadline:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
