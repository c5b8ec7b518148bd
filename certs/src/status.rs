//! How long certificates and lists still hold, for readiness, metrics and warnings.

use simpul_core::time::Timestamp;

use crate::trust::{CaStatus, CrlStatus, TrustStore};

/// Days before the end of a certificate at which a warning is due, the most urgent last.
pub const CERT_WARNINGS: [i64; 3] = [30, 7, 1];
/// Days before the end of a revocation list at which a warning is due, the most urgent last.
pub const CRL_WARNINGS: [i64; 3] = [7, 3, 1];

/// Whole days from `now` to `end`, rounded down; negative when `end` is past.
#[must_use]
pub const fn expires_in_days(end: Timestamp, now: Timestamp) -> i64 {
    end.seconds().saturating_sub(now.seconds()).div_euclid(86_400)
}

/// The most urgent of `thresholds` (days) that has been reached, if any.
#[must_use]
pub fn warning(end: Timestamp, now: Timestamp, thresholds: &[i64]) -> Option<i64> {
    let left = expires_in_days(end, now);
    thresholds.iter().copied().filter(|days| left < *days).min()
}

/// The state of a node's certificates and trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsStatus {
    /// When this was true.
    pub at: Timestamp,
    /// End of the own certificate.
    pub own_not_after: Timestamp,
    /// Every loaded revocation list.
    pub crls: Vec<CrlStatus>,
    /// Every CA of the bundle.
    pub cas: Vec<CaStatus>,
    /// Why the last reload was refused; `None` if it was not.
    pub last_failure: Option<String>,
}

impl TlsStatus {
    pub(crate) fn new(
        at: Timestamp,
        own_not_after: Timestamp,
        trust: &TrustStore,
        last_failure: Option<String>,
    ) -> Self {
        Self { at, own_not_after, crls: trust.crl_status(), cas: trust.ca_status(), last_failure }
    }

    /// Whether something needs a person: the last reload was refused, the own certificate or a list
    /// is past its end, or a CA has no list.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.last_failure.is_some()
            || self.own_not_after < self.at
            || self.crls.iter().any(|crl| crl.next_update <= self.at)
            || self.cas.iter().any(|ca| !ca.has_crl || ca.not_after < self.at)
    }

    /// What to warn about now, in words that name the thing and the days left.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut warn = |what: String, end: Timestamp, thresholds: &[i64], advice: &str| {
            if warning(end, self.at, thresholds).is_some() {
                lines.push(match end <= self.at {
                    true => format!("{what} ended at {end}; {advice}"),
                    false => format!("{what} ends in {} days, at {end}; {advice}", expires_in_days(end, self.at)),
                });
            }
        };
        warn("the own certificate".to_owned(), self.own_not_after, &CERT_WARNINGS, "renew it");
        for crl in &self.crls {
            let what = format!("the revocation list of \"{}\"", crl.issuer);
            warn(what, crl.next_update, &CRL_WARNINGS, "fetch its new crl.pem");
        }
        for ca in &self.cas {
            warn(format!("the CA \"{}\"", ca.name), ca.not_after, &CERT_WARNINGS, "renew it");
        }
        for ca in self.cas.iter().filter(|ca| !ca.has_crl) {
            lines.push(format!("the CA \"{}\" has no revocation list; everyone under it is refused", ca.name));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_urgent_threshold_reached_is_named() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let after = |seconds: i64| warning(now.plus_seconds(seconds), now, &CERT_WARNINGS);
        assert_eq!(after(31 * 86_400), None);
        assert_eq!(after(30 * 86_400 - 1), Some(30));
        assert_eq!(after(6 * 86_400), Some(7));
        assert_eq!(after(3_600), Some(1));
        assert_eq!(after(-3_600), Some(1));
        assert_eq!(expires_in_days(now.plus_seconds(-1), now), -1);
    }
}
