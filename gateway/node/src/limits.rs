//! Quotas: how many requests a client, and an agreement, may make (governor's GCRA on a monotonic clock).
//!
//! Keys are registered clients and agreements only, so their number is bounded by the registry; strangers share one bucket.
//! The answers carry `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers).

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota as Rate, RateLimiter};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use simpul_core::agreement::Quota;
use simpul_core::id::{AgreementId, Identity};

use crate::refusal::{Kind, Refusal};

type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// The buckets of the node.
pub struct Limits {
    default: Quota,
    clients: Buckets<Identity>,
    agreements: Buckets<AgreementId>,
    strangers: Limiter,
}

/// What is left of a client's quota after a request.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    quota: Quota,
    remaining: u32,
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit");

impl Allowance {
    /// Adds the RateLimit headers to an answer.
    pub fn tell(self, headers: &mut HeaderMap) {
        for (name, value) in self.fields(0) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }

    fn fields(self, reset: u64) -> [(HeaderName, String); 2] {
        let window = self.quota.burst.div_ceil(self.quota.per_second.max(1)).max(1);
        [
            (POLICY, format!("\"client\";q={};w={window}", self.quota.burst)),
            (REMAINING, format!("\"client\";r={};t={reset}", self.remaining)),
        ]
    }
}

impl Limits {
    /// Buckets that give `default` to every client whose registration says nothing else.
    pub fn new(default: Quota) -> Self {
        Self {
            default,
            clients: Buckets::default(),
            agreements: Buckets::default(),
            strangers: limiter(Quota { per_second: 5, burst: 100 }),
        }
    }

    /// Takes one request of `client`.
    ///
    /// # Errors
    /// 429 with `Retry-After`, not earlier than the bucket has room again.
    pub fn client(&self, client: &Identity, own: Option<Quota>) -> Result<Allowance, Refusal> {
        self.clients.take(client, own.unwrap_or(self.default))
    }

    /// Takes one request under `agreement`.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub fn agreement(&self, agreement: &AgreementId, quota: Quota) -> Result<Allowance, Refusal> {
        self.agreements.take(agreement, quota)
    }

    /// Whether a stranger's act may still be recorded one by one.
    pub fn stranger(&self) -> bool {
        self.strangers.check().is_ok()
    }
}

struct Buckets<K>(Mutex<HashMap<K, (Quota, Arc<Limiter>)>>);

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    fn take(&self, key: &K, quota: Quota) -> Result<Allowance, Refusal> {
        let bucket = {
            let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match buckets.get(key) {
                Some((seen, bucket)) if *seen == quota => bucket.clone(),
                _ => {
                    let bucket = Arc::new(limiter(quota));
                    buckets.insert(key.clone(), (quota, bucket.clone()));
                    bucket
                }
            }
        };
        match bucket.check() {
            Ok(state) => Ok(Allowance { quota, remaining: state.remaining_burst_capacity() }),
            Err(until) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                let mut refusal = Refusal::new(Kind::Quota, format!("{} requests a second", quota.per_second))
                    .header(header::RETRY_AFTER, &seconds.max(1).to_string());
                for (name, value) in (Allowance { quota, remaining: 0 }).fields(seconds.max(1)) {
                    refusal = refusal.header(name, &value);
                }
                Err(refusal)
            }
        }
    }
}

fn limiter(quota: Quota) -> Limiter {
    let one = NonZeroU32::MIN;
    let burst = NonZeroU32::new(quota.burst).unwrap_or(one);
    let rate = Rate::per_second(NonZeroU32::new(quota.per_second).unwrap_or(one)).allow_burst(burst);
    RateLimiter::direct(rate).with_middleware()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str) -> Identity {
        format!("spiffe://satudata.test/64.02.diskominfo/{name}").parse().unwrap()
    }

    #[test]
    fn a_burst_is_served_then_refused_with_a_time_and_others_are_not_touched() {
        let limits = Limits::new(Quota { per_second: 1, burst: 5 });
        for left in (0..5).rev() {
            assert_eq!(limits.client(&client("a"), None).unwrap().remaining, left);
        }
        let refusal = limits.client(&client("a"), None).unwrap_err();
        assert_eq!(refusal.kind, Kind::Quota);
        assert_eq!(refusal.headers[header::RETRY_AFTER], "1");
        assert!(refusal.headers.contains_key(REMAINING));
        assert!(limits.client(&client("b"), None).is_ok());
    }

    #[test]
    fn a_client_with_its_own_quota_gets_that() {
        let limits = Limits::new(Quota { per_second: 1, burst: 1 });
        let own = Some(Quota { per_second: 50, burst: 200 });
        assert!((0..200).all(|_| limits.client(&client("a"), own).is_ok()));
        assert!(limits.client(&client("a"), own).is_err());
    }
}
