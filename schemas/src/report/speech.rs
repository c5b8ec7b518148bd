//! Small parts of speech: numbers, plurals and lists of rows as each language writes them.

use std::fmt::Write;

use super::Lang;

/// Runs of rows that a sentence names.
const NAMED_RUNS: usize = 5;

/// A count with its thousands apart: `1.234` in Indonesian, `1,234` in English. Row numbers are not counts: they are
/// written as a spreadsheet shows them.
#[must_use]
pub fn count(number: u64, lang: Lang) -> String {
    grouped(&number.to_string(), lang)
}

/// Digits with their thousands apart.
fn grouped(digits: &str, lang: Lang) -> String {
    let mark = if lang == Lang::Id { '.' } else { ',' };
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(mark);
        }
        out.push(digit);
    }
    out
}

/// A plain decimal number of a contract, such as a bound, in the manner of the language; anything else as it is.
pub(crate) fn decimal(text: &str, lang: Lang) -> String {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(whole, fraction)| (whole, Some(fraction)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || fraction.is_some_and(|fraction| !digits(fraction)) {
        return text.to_owned();
    }
    let mark = if lang == Lang::Id { ',' } else { '.' };
    let mut out = format!("{sign}{}", grouped(whole, lang));
    if let Some(fraction) = fraction {
        out.push(mark);
        out.push_str(fraction);
    }
    out
}

/// A count with its noun. Indonesian has one form.
pub(crate) fn counted(number: u64, lang: Lang, id: &str, one: &str, many: &str) -> String {
    let noun = match lang {
        Lang::Id => id,
        Lang::En if number == 1 => one,
        Lang::En => many,
    };
    format!("{} {noun}", count(number, lang))
}

/// Runs of rows as people write them, `6, 8–12, …`; `more` when there are others that are not in the list.
pub(crate) fn runs(runs: &[(u64, u64)], more: bool) -> String {
    let mut out = String::new();
    for (first, last) in runs.iter().take(NAMED_RUNS) {
        let comma = if out.is_empty() { "" } else { ", " };
        let _ = match last - first {
            0 => write!(out, "{comma}{first}"),
            1 => write!(out, "{comma}{first}, {last}"),
            _ => write!(out, "{comma}{first}–{last}"),
        };
    }
    if more || runs.len() > NAMED_RUNS {
        out.push_str(", …");
    }
    out
}

/// `Baris 6, 8` or `Rows 6, 8`, at the beginning of a sentence.
pub(crate) fn at_rows(rows: &[(u64, u64)], more: bool, lang: Lang) -> String {
    let one = !more && matches!(rows, [(first, last)] if first == last);
    let word = match (lang, one) {
        (Lang::Id, _) => "Baris",
        (Lang::En, true) => "Row",
        (Lang::En, false) => "Rows",
    };
    format!("{word} {}", runs(rows, more))
}

/// Adds a row to runs that are sorted, for as long as there are fewer than `limit`. `false` when it found no place.
pub(crate) fn add_row(runs: &mut Vec<(u64, u64)>, row: u64, limit: usize) -> bool {
    let end = runs.last().map(|(_, last)| *last);
    if end.is_some_and(|end| end + 1 == row)
        && let Some((_, last)) = runs.last_mut()
    {
        *last = row;
        return true;
    }
    // Rows come in order but for what only the end of the file shows.
    let behind = end.is_none_or(|end| end < row);
    if !behind && runs.iter().any(|(first, last)| (*first..=*last).contains(&row)) {
        return true;
    }
    if runs.len() >= limit {
        return false;
    }
    let at = runs.partition_point(|(first, _)| *first < row);
    runs.insert(at, (row, row));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_plurals_are_those_of_the_language() {
        assert_eq!(count(1_234_567, Lang::Id), "1.234.567");
        assert_eq!(count(1_234, Lang::En), "1,234");
        assert_eq!(count(0, Lang::En), "0");
        assert_eq!(decimal("-1234.5", Lang::Id), "-1.234,5");
        assert_eq!(decimal("2024-01-01", Lang::Id), "2024-01-01");
        assert_eq!(counted(1, Lang::En, "galat", "error", "errors"), "1 error");
        assert_eq!(counted(2, Lang::En, "galat", "error", "errors"), "2 errors");
    }

    #[test]
    fn rows_run_together() {
        let mut rows = Vec::new();
        for row in [2, 3, 3, 4, 9, 11, 12, 7] {
            assert!(add_row(&mut rows, row, 10));
        }
        assert_eq!(rows, [(2, 4), (7, 7), (9, 9), (11, 12)]);
        assert_eq!(runs(&rows, false), "2–4, 7, 9, 11, 12");
        assert_eq!(at_rows(&[(5, 5)], false, Lang::En), "Row 5");
        assert_eq!(at_rows(&[(5, 6)], true, Lang::En), "Rows 5, 6, …");
        assert!(!add_row(&mut rows, 40, 4));
    }
}
