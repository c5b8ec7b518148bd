//! A table of figures, for people or as JSON.

use std::time::Duration;

use serde_json::{Map, Value, json};

/// The figures of one run, in the order in which they were added.
pub struct Figures {
    title: String,
    rows: Vec<(String, f64, &'static str)>,
}

impl Figures {
    /// An empty table.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new() }
    }

    /// Adds a figure with its unit.
    pub fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.rows.push((name.into(), value, unit));
    }

    /// Prints the table, or one line of JSON: `{"title": …, "figures": {NAME: {"value": …, "unit": …}}}`.
    pub fn print(&self, as_json: bool) {
        if as_json {
            let figure =
                |(name, value, unit): &(String, f64, &str)| (name.clone(), json!({"value": value, "unit": unit}));
            let figures: Map<String, Value> = self.rows.iter().map(figure).collect();
            println!("{}", json!({"title": self.title, "figures": figures}));
            return;
        }
        println!("{}", self.title);
        let width = self.rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
        for (name, value, unit) in &self.rows {
            println!("  {name:width$}  {:>14} {unit}", shown(*value));
        }
    }
}

/// Three significant digits after the point for small figures, none for large ones.
fn shown(value: f64) -> String {
    match value.abs() {
        whole if whole >= 1000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// The value below which the share `part` (0 to 1) of `sorted` lies: the nearest rank. 0 when there is none.
#[must_use]
pub fn percentile(sorted: &[Duration], part: f64) -> Duration {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is between 0 and the length")]
    let rank = (part.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Milliseconds with their fraction.
#[must_use]
pub const fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 0.5), Duration::from_millis(100));
        assert_eq!(percentile(&sorted, 0.99), Duration::from_millis(198));
        assert_eq!(percentile(&sorted, 1.0), Duration::from_millis(200));
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }
}
