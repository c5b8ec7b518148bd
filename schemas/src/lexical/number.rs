//! Numbers and integers, with decimal and group characters and surrounding text.

use std::borrow::Cow;
use std::cmp::Ordering;

/// How the numbers of a field are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NumberForm {
    /// The decimal mark.
    pub(crate) decimal: String,
    /// Between groups of three digits, if any.
    pub(crate) group: Option<String>,
    /// No other text may surround the number.
    pub(crate) bare: bool,
}

impl Default for NumberForm {
    fn default() -> Self {
        Self { decimal: ".".to_owned(), group: None, bare: true }
    }
}

/// Digits that a 64-bit float keeps apart without exception.
const EXACT_DIGITS: usize = 15;
/// Powers of ten that a 64-bit float holds exactly.
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

impl NumberForm {
    const fn is_plain(&self) -> bool {
        self.group.is_none() && self.bare
    }

    /// Brings the text into the form of the default lexical space, or refuses it.
    fn normalize<'a>(&self, text: &'a str) -> Option<Cow<'a, str>> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        let text = if self.bare { text } else { self.strip(text) };
        let plain_decimal = self.decimal == ".";
        let group = match &self.group {
            None if plain_decimal => return Some(Cow::Borrowed(text)),
            group => group.as_deref(),
        };
        let (whole, rest) = match text.find(self.decimal.as_str()) {
            Some(at) => (text.get(..at)?, Some(text.get(at + self.decimal.len()..)?)),
            None => (text, None),
        };
        // Without a decimal mark the exponent is still part of `whole`; letters end the groups.
        let digits_end = whole.find(['e', 'E']).unwrap_or(whole.len());
        let (whole, exponent) = whole.split_at(digits_end);
        let mut out = String::with_capacity(text.len());
        match group {
            Some(group) => ungroup(whole, group, &mut out)?,
            None if !plain_decimal && whole.contains('.') => return None,
            None => out.push_str(whole),
        }
        out.push_str(exponent);
        if let Some(rest) = rest {
            if rest.contains('.') || !exponent.is_empty() {
                return None;
            }
            out.push('.');
            out.push_str(rest);
        }
        Some(Cow::Owned(out))
    }

    /// Takes away the text before the first and after the last digit, keeping sign and decimal mark.
    fn strip<'a>(&self, text: &'a str) -> &'a str {
        if special(text).is_some() {
            return text;
        }
        let (Some(first), Some(last)) =
            (text.find(|c: char| c.is_ascii_digit()), text.rfind(|c: char| c.is_ascii_digit()))
        else {
            return text;
        };
        let before = text.get(..first).unwrap_or_default();
        let mut start = first;
        // A decimal mark opens the number unless it ends a word: `.5`, but `Rp.500`.
        if let Some(head) = before.strip_suffix(self.decimal.as_str())
            && !head.ends_with(char::is_alphabetic)
        {
            start = head.len();
        }
        let head = text.get(..start).unwrap_or_default();
        if head.ends_with(['-', '+']) {
            start -= 1;
        }
        let mut end = last + 1;
        let tail = text.get(end..).unwrap_or_default();
        if tail == self.decimal {
            end += tail.len();
        }
        text.get(start..end).unwrap_or_default()
    }
}

/// Groups are of three digits, the first of one to three; no group mark at all is fine too.
fn ungroup(whole: &str, group: &str, out: &mut String) -> Option<()> {
    let (sign, digits) = match whole.strip_prefix(['-', '+']) {
        Some(digits) => (whole.get(..1)?, digits),
        None => ("", whole),
    };
    out.push_str(sign);
    let mut parts = digits.split(group);
    let first = parts.next()?;
    let grouped = first.len() < digits.len();
    if grouped && (first.is_empty() || first.len() > 3) || first.contains('.') {
        return None;
    }
    out.push_str(first);
    for part in parts {
        if part.len() != 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        out.push_str(part);
    }
    Some(())
}

fn special(text: &str) -> Option<f64> {
    match text.as_bytes() {
        [b'n' | b'N', b'a' | b'A', b'n' | b'N'] => Some(f64::NAN),
        [b'i' | b'I', b'n' | b'N', b'f' | b'F'] => Some(f64::INFINITY),
        [b'-', b'i' | b'I', b'n' | b'N', b'f' | b'F'] => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Reads a number as the field writes it.
#[inline]
pub(crate) fn number(text: &str, form: &NumberForm) -> Option<f64> {
    if form.is_plain()
        && let [mark] = form.decimal.as_bytes()
        && let Some(value) = short_number(text.as_bytes(), *mark)
    {
        return Some(value);
    }
    any_number(&form.normalize(text)?)
}

/// Up to fifteen digits and a decimal mark: exact, since the digits and the power of ten are.
#[inline]
fn short_number(bytes: &[u8], mark: u8) -> Option<f64> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || digits.len() > EXACT_DIGITS {
        return None;
    }
    let mut value = 0_u64;
    let mut fraction: Option<usize> = None;
    for (index, byte) in digits.iter().enumerate() {
        if byte.is_ascii_digit() {
            value = value * 10 + u64::from(byte - b'0');
        } else if *byte == mark && fraction.is_none() && index > 0 && index + 1 < digits.len() {
            fraction = Some(digits.len() - index - 1);
        } else {
            return None;
        }
    }
    let magnitude = value as f64 / POWERS.get(fraction.unwrap_or(0)).copied()?;
    Some(if negative { -magnitude } else { magnitude })
}

/// The default lexical space: sign, digits with one period, exponent, or NaN, INF, -INF.
fn any_number(text: &str) -> Option<f64> {
    if let Some(value) = special(text) {
        return Some(value);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (unsigned.get(..at)?, Some(unsigned.get(at + 1..)?)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
        return None;
    }
    if let Some(exponent) = exponent {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if exponent.is_empty() || !digits(exponent) {
            return None;
        }
    }
    text.parse().ok()
}

/// An integer that may be wider than the 64 bits in which it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wide(pub(crate) i128);

/// Reads an integer as the field writes it. Beyond 128 bits it saturates: it only takes part in
/// comparisons with bounds.
#[inline]
pub(crate) fn integer(text: &str, form: &NumberForm) -> Option<Wide> {
    if let Some(value) = short_integer(text.as_bytes()) {
        return Some(Wide(value.into()));
    }
    let normal;
    let digits = if form.is_plain() {
        text.trim_matches(|c: char| c.is_ascii_whitespace())
    } else {
        normal = form.normalize(text)?;
        &normal
    };
    long_integer(digits)
}

#[inline]
fn short_integer(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0_i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

fn long_integer(text: &str) -> Option<Wide> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value =
        digits.iter().fold(0_i128, |value, byte| value.saturating_mul(10).saturating_sub(i128::from(byte - b'0')));
    Some(Wide(if negative { value } else { value.checked_neg().unwrap_or(i128::MAX) }))
}

/// A JSON number that is a whole number: `3`, `3.0`, `3e2`.
pub(crate) fn json_integer(text: &str) -> Option<Wide> {
    if let Some(wide) = long_integer(text) {
        return Some(wide);
    }
    let value: f64 = text.parse().ok()?;
    (value.fract() == 0.0 && value.abs() < 9.007_199_254_740_992e15).then_some(Wide(value as i128))
}

/// The exact value of a number, for the rare comparison that a 64-bit float cannot decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    /// Significant digits without zeros at either end; empty for zero.
    digits: Vec<u8>,
    /// The value is `0.digits × 10^scale`.
    scale: i64,
}

impl Decimal {
    /// Reads what [`number`] reads, except NaN and the infinities.
    pub(crate) fn parse(text: &str, form: &NumberForm) -> Option<Self> {
        let text = form.normalize(text)?;
        any_number(&text).filter(|value| value.is_finite())?;
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(&text)),
        };
        let at = text.find(['e', 'E']).unwrap_or(text.len());
        let (mantissa, exponent) = text.split_at(at);
        let exponent: i64 = exponent.get(1..).map_or(Some(0), |digits| digits.parse().ok())?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let zeros = all.iter().take_while(|byte| **byte == b'0').count();
        let mut digits = all.get(zeros..).unwrap_or_default().to_vec();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            return Some(Self { negative: false, digits, scale: 0 });
        }
        Some(Self { negative, digits, scale: whole.len() as i64 - zeros as i64 + exponent })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |value: &Self| if value.digits.is_empty() { 0 } else { 1 - 2 * i8::from(value.negative) };
        sign(self).cmp(&sign(other)).then_with(|| {
            let magnitude = self.scale.cmp(&other.scale).then_with(|| self.digits.cmp(&other.digits));
            if self.negative { magnitude.reverse() } else { magnitude }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> NumberForm {
        NumberForm { decimal: ",".to_owned(), group: Some(".".to_owned()), bare: true }
    }

    #[test]
    fn indonesian_numbers_need_groups_of_three() {
        let form = id();
        for (text, value) in [("1,5", 1.5), ("1.000,5", 1000.5), ("1.000.000,25", 1_000_000.25), ("1000,5", 1000.5)] {
            assert_eq!(number(text, &form), Some(value), "{text}");
        }
        for text in ["Rp 1", "1,5,5", "1000.5", "1.5", "12.34.567,8", ".500", "1.000.", "1,000.5"] {
            assert_eq!(number(text, &form), None, "{text}");
        }
    }

    #[test]
    fn surrounding_text_is_stripped_only_when_the_field_says_so() {
        let form = NumberForm { bare: false, ..id() };
        for (text, value) in [
            ("Rp 1.500,50", 1500.5),
            ("95%", 95.0),
            ("-3,5 %", -3.5),
            ("€-3", -3.0),
            ("12 ha", 12.0),
            ("Rp.500", 500.0),
        ] {
            assert_eq!(number(text, &form), Some(value), "{text}");
        }
        assert_eq!(number("abc", &form), None);
        let integers = NumberForm { bare: false, ..NumberForm::default() };
        assert_eq!(integer("Rp95,-", &integers), Some(Wide(95)));
        assert_eq!(integer("-5 kg", &integers), Some(Wide(-5)));
        assert_eq!(integer("5 kg 6", &integers), None);
    }

    #[test]
    fn the_default_forms_are_ascii_and_finite_words_are_three() {
        let form = NumberForm::default();
        for text in ["1", "-1.5", "+.5", "5.", "1e3", "1E-2", "nan", "INF", "-inf", " 1 "] {
            assert!(number(text, &form).is_some(), "{text}");
        }
        for text in [
            "1,5", "1.2.3", "abc", "1 000", "Infinity", "sNaN", "1_000.5", "٣.٥", "", ".", "e5", "1e", "+INF", "--1",
            "0x10",
        ] {
            assert!(number(text, &form).is_none(), "{text}");
        }
        assert_eq!(integer(" 12 ", &form), Some(Wide(12)));
        assert_eq!(integer("9223372036854775808", &form), Some(Wide(9_223_372_036_854_775_808)));
        assert!(["1.0", "1e3", "1,000", "1_000", "１２", ""].iter().all(|text| integer(text, &form).is_none()));
    }

    proptest::proptest! {
        #[test]
        fn the_short_way_reads_the_same_number(value in -999_999_999_i64..999_999_999, places in 0_usize..7) {
            let text = format!("{:.*}", places, value as f64 / 1e3);
            proptest::prop_assert_eq!(number(&text, &NumberForm::default()), text.parse::<f64>().ok());
        }

        #[test]
        fn decimals_order_like_integers(a in -9_999_999_i64..9_999_999, b in -9_999_999_i64..9_999_999) {
            let form = NumberForm::default();
            let (x, y) = (Decimal::parse(&format!("{a}e-3"), &form).unwrap(), Decimal::parse(&format!("{b}e-3"), &form).unwrap());
            proptest::prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }
    }
}
