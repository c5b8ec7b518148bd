//! XML Schema durations and their partial order.

use std::cmp::Ordering;

/// A duration: months and microseconds apart, since a month has no fixed length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duration {
    months: i64,
    micros: i64,
}

const DAY: i64 = 86_400_000_000;

/// Reads `-P1Y2M3DT4H5M6.7S`. Digits beyond the microsecond are cut.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let rest = rest.strip_prefix('P')?;
    let (date, time) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (rest, ""),
    };
    let mut months = 0_i64;
    let mut micros = 0_i64;
    let date = part(date, 'Y', 12, &mut months)?;
    let date = part(date, 'M', 1, &mut months)?;
    let date = part(date, 'D', DAY, &mut micros)?;
    let clock = part(time, 'H', 3_600_000_000, &mut micros)?;
    let clock = part(clock, 'M', 60_000_000, &mut micros)?;
    let clock = seconds(clock, &mut micros)?;
    if !date.is_empty() || !clock.is_empty() || rest.is_empty() {
        return None;
    }
    let sign = if negative { -1 } else { 1 };
    Some(Duration { months: months * sign, micros: micros * sign })
}

/// Takes `digits designator` off the front if it is there.
fn part<'a>(text: &'a str, designator: char, unit: i64, sum: &mut i64) -> Option<&'a str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    let Some(rest) = rest.strip_prefix(designator) else { return Some(text) };
    *sum = sum.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
    Some(rest)
}

fn seconds<'a>(text: &'a str, sum: &mut i64) -> Option<&'a str> {
    if text.is_empty() {
        return Some(text);
    }
    let body = text.strip_suffix('S')?;
    let (whole, fraction) = match body.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (body, "0"),
    };
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let micros =
        fraction.bytes().chain(std::iter::repeat(b'0')).take(6).fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    *sum = sum.checked_add(whole.parse::<i64>().ok()?.checked_mul(1_000_000)?)?.checked_add(micros)?;
    Some("")
}

/// Days in the months that follow the four instants by which XML Schema compares durations.
const REFERENCES: [(i64, i64); 4] = [(1696, 9), (1697, 2), (1903, 3), (1903, 7)];

impl PartialOrd for Duration {
    /// Compares as XML Schema does: only when all four reference instants agree.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let mut seen = None;
        for (year, month) in REFERENCES {
            let order = self.after(year, month).cmp(&other.after(year, month));
            if seen.is_some_and(|before| before != order) {
                return None;
            }
            seen = Some(order);
        }
        seen
    }
}

impl Duration {
    /// Equal parts have equal codes.
    pub(crate) const fn code(self) -> i128 {
        ((self.months as i128) << 64) | (self.micros as u64 as i128)
    }

    fn after(self, year: i64, month: i64) -> i128 {
        let months = i128::from(year) * 12 + i128::from(month) - 1 + i128::from(self.months);
        let year = months.div_euclid(12).clamp(-200_000_000, 200_000_000) as i64;
        let month = months.rem_euclid(12) as u32 + 1;
        i128::from(super::temporal::days_from_civil(year, month, 1)) * i128::from(DAY) + i128::from(self.micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lexical_form_is_that_of_xml_schema() {
        for text in ["P1Y", "P1Y2M3DT4H5M6S", "PT1.5S", "-P1D", "P0D", "PT0S"] {
            assert!(duration(text).is_some(), "{text}");
        }
        for text in [
            "P",
            "1 day",
            "PT5",
            "P1W",
            "P1.5Y",
            "PT",
            "P1D2Y",
            "P-1D",
            "+P1D",
            "PT1.S",
            "PT.5S",
            "P1YT",
            "P١D",
            "P99999999999999999999Y",
        ] {
            assert!(duration(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_month_is_not_comparable_with_thirty_days() {
        let order = |a: &str, b: &str| duration(a).unwrap().partial_cmp(&duration(b).unwrap());
        assert_eq!(order("P1M", "P30D"), None);
        assert_eq!(order("P1M", "P27D"), Some(Ordering::Greater));
        assert_eq!(order("P1M", "P32D"), Some(Ordering::Less));
        assert_eq!(order("PT24H", "P1D"), Some(Ordering::Equal));
        assert_eq!(order("-P1D", "PT1H"), Some(Ordering::Less));
    }
}
