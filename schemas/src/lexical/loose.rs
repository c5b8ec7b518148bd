//! The format `any`: dates and times as people write them, without a pattern.
//!
//! Day before month where both are numbers; English and Indonesian names of months and days. What
//! names no year is no date: the year of today is not known here.

use super::temporal::{civil, clock, offset};

/// The longest text that is looked at, in bytes.
const MAX_BYTES: usize = 64;

/// What a text says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loose {
    /// Days since 1970-01-01.
    pub(crate) date: Option<i32>,
    /// Microseconds since midnight.
    pub(crate) clock: Option<i64>,
    /// Microseconds east of Greenwich.
    pub(crate) zone: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Digits(&'a str),
    Word(&'a str),
    Mark(char),
}

const MONTHS: [&[&str]; 12] = [
    &["january", "januari"],
    &["february", "februari", "pebruari"],
    &["march", "maret"],
    &["april"],
    &["may", "mei"],
    &["june", "juni"],
    &["july", "juli"],
    &["august", "agustus", "agt"],
    &["september", "sept"],
    &["october", "oktober"],
    &["november", "nopember"],
    &["december", "desember"],
];
const DAYS: [&str; 14] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "senin",
    "selasa",
    "rabu",
    "kamis",
    "jumat",
    "sabtu",
    "minggu",
];
const FILLERS: [&str; 9] = ["t", "of", "at", "and", "pukul", "jam", "st", "nd", "rd"];

/// Reads the text; nothing when a part of it means nothing.
pub(crate) fn read(text: &str) -> Option<Loose> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let tokens = tokens(text);
    let mut found = Found::default();
    let mut rest = tokens.as_slice();
    while !rest.is_empty() {
        rest = found.take(rest)?;
    }
    found.finish()
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let same = |c: char| {
            if first.is_ascii_digit() { c.is_ascii_digit() } else { first.is_alphabetic() && c.is_alphabetic() }
        };
        let end = rest.find(|c: char| !same(c)).unwrap_or(rest.len()).max(first.len_utf8());
        let (head, tail) = rest.split_at(end);
        rest = tail;
        tokens.push(match first {
            c if c.is_ascii_digit() => Token::Digits(head),
            c if c.is_alphabetic() => Token::Word(head),
            c => Token::Mark(c),
        });
    }
    tokens
}

#[derive(Default)]
struct Found {
    /// Numbers of one or two digits, and how many of them came before the year.
    numbers: Vec<u32>,
    before_year: usize,
    year: Option<i64>,
    month: Option<u32>,
    whole: Option<i32>,
    clock: Option<i64>,
    zone: Option<i64>,
}

fn small(digits: &str) -> Option<u32> {
    (digits.len() <= 2).then(|| digits.parse().ok()).flatten()
}

/// Hours of a twelve-hour clock behind the number, if a word says so.
fn half<'a, 't>(tokens: &'a [Token<'t>]) -> Option<(bool, &'a [Token<'t>])> {
    let tokens = match tokens {
        [Token::Mark(' '), rest @ ..] => rest,
        rest => rest,
    };
    match tokens {
        [Token::Word(word), rest @ ..] if word.eq_ignore_ascii_case("am") => Some((false, rest)),
        [Token::Word(word), rest @ ..] if word.eq_ignore_ascii_case("pm") => Some((true, rest)),
        _ => None,
    }
}

fn hour(value: u32, afternoon: Option<bool>) -> Option<u32> {
    match afternoon {
        None => Some(value),
        Some(afternoon) => (1..=12).contains(&value).then(|| value % 12 + if afternoon { 12 } else { 0 }),
    }
}

impl Found {
    /// Takes what the next tokens mean; gives what is left.
    fn take<'a, 't>(&mut self, tokens: &'a [Token<'t>]) -> Option<&'a [Token<'t>]> {
        match tokens {
            [Token::Digits(h), Token::Mark(':'), Token::Digits(m), rest @ ..] => self.clock(h, m, rest),
            [Token::Mark(sign @ ('+' | '-')), Token::Digits(digits), rest @ ..] if self.clock.is_some() => {
                self.offset(*sign, digits, rest)
            }
            [Token::Digits(digits), rest @ ..] => match half(rest) {
                Some((afternoon, rest)) => {
                    self.set_clock(clock(hour(small(digits)?, Some(afternoon))?, 0, 0)?)?;
                    Some(rest)
                }
                None => self.number(digits).map(|()| rest),
            },
            [Token::Word(word), rest @ ..] => self.word(word).map(|()| rest),
            [Token::Mark(' ' | ',' | '.' | '/' | '-' | '\''), rest @ ..] => Some(rest),
            _ => None,
        }
    }

    fn set_clock(&mut self, micros: i64) -> Option<()> {
        self.clock.replace(micros).is_none().then_some(())
    }

    fn clock<'a, 't>(&mut self, h: &str, m: &str, rest: &'a [Token<'t>]) -> Option<&'a [Token<'t>]> {
        let (seconds, rest) = match rest {
            [Token::Mark(':'), Token::Digits(s), rest @ ..] => (small(s)?, rest),
            rest => (0, rest),
        };
        let (micros, rest) = match rest {
            [Token::Mark('.'), Token::Digits(fraction), rest @ ..] => {
                (super::temporal::fraction_micros(fraction), rest)
            }
            rest => (0, rest),
        };
        let (afternoon, rest) = half(rest).map_or((None, rest), |(afternoon, rest)| (Some(afternoon), rest));
        self.set_clock(clock(hour(small(h)?, afternoon)?, small(m)?, seconds)? + micros)?;
        Some(rest)
    }

    fn offset<'a, 't>(&mut self, sign: char, digits: &str, rest: &'a [Token<'t>]) -> Option<&'a [Token<'t>]> {
        let (hours, minutes, rest) = match (digits.len(), rest) {
            (4, rest) => (digits.get(..2)?.parse().ok()?, digits.get(2..)?.parse().ok()?, rest),
            (1 | 2, [Token::Mark(':'), Token::Digits(minutes), rest @ ..]) => (small(digits)?, small(minutes)?, rest),
            (1 | 2, rest) => (small(digits)?, 0, rest),
            _ => return None,
        };
        let zone = offset(if sign == '-' { b'-' } else { b'+' }, hours, minutes)?;
        self.zone.replace(zone).is_none().then_some(rest)
    }

    fn number(&mut self, digits: &str) -> Option<()> {
        match digits.len() {
            1 | 2 => self.numbers.push(small(digits)?),
            4 if self.year.is_none() => {
                self.year = digits.parse().ok();
                self.before_year = self.numbers.len();
            }
            8 if self.whole.is_none() => {
                let part = |range: std::ops::Range<usize>| digits.get(range)?.parse().ok();
                self.whole = Some(civil(digits.get(..4)?.parse().ok()?, part(4..6)?, part(6..8)?)?);
            }
            _ => return None,
        }
        Some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let word = word.to_lowercase();
        let begins = |name: &str| word.len() >= 3 && name.starts_with(&word);
        if let Some(month) = MONTHS.iter().position(|names| names.iter().any(|name| begins(name))) {
            return self.month.replace(month as u32 + 1).is_none().then_some(());
        }
        if matches!(word.as_str(), "z" | "utc" | "gmt") && self.clock.is_some() {
            return self.zone.replace(0).is_none().then_some(());
        }
        let means_nothing = DAYS.iter().any(|day| begins(day)) || FILLERS.contains(&word.as_str()) || word == "th";
        means_nothing.then_some(())
    }

    fn finish(self) -> Option<Loose> {
        let none = self.numbers.is_empty() && self.month.is_none() && self.year.is_none();
        let date = match self.whole {
            Some(days) => none.then_some(Some(days))?,
            None if none => None,
            None => Some(self.date()?),
        };
        let found = Loose { date, clock: self.clock, zone: self.zone };
        (date.is_some() || found.clock.is_some()).then_some(found)
    }

    fn date(&self) -> Option<i32> {
        let short = |year: u32| i64::from(year) + if year < 69 { 2000 } else { 1900 };
        match (self.month, self.year, self.numbers.as_slice()) {
            (Some(month), Some(year), []) => civil(year, month, 1),
            (Some(month), Some(year), [day]) => civil(year, month, *day),
            (Some(month), None, [day, year]) => civil(short(*year), month, *day),
            (None, Some(year), []) => civil(year, 1, 1),
            (None, Some(year), [month]) => civil(year, *month, 1),
            (None, Some(year), [first, second]) if self.before_year == 0 => {
                civil(year, *first, *second).or_else(|| civil(year, *second, *first))
            }
            (None, Some(year), [first, second]) => {
                civil(year, *second, *first).or_else(|| civil(year, *first, *second))
            }
            (None, None, [first, second, year]) => {
                let year = short(*year);
                civil(year, *second, *first).or_else(|| civil(year, *first, *second))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::temporal::{iso_date, iso_time};
    use super::*;

    #[test]
    fn what_people_write_is_read_and_what_names_no_date_or_time_is_not() {
        for (text, date, time) in [
            ("10th Jan 1969", "1969-01-10", ""),
            ("10th Jan 1969 9am", "1969-01-10", "09:00:00"),
            ("Fri, 5 Jan 2024", "2024-01-05", ""),
            ("Jumat, 5 Januari 2024 pukul 14:30", "2024-01-05", "14:30:00"),
            ("January 5, 2024", "2024-01-05", ""),
            ("Jan 5 2024 3:04:05 PM", "2024-01-05", "15:04:05"),
            ("2024/1/5", "2024-01-05", ""),
            ("13/1/2024", "2024-01-13", ""),
            ("1/13/2024", "2024-01-13", ""),
            ("5-1-24", "2024-01-05", ""),
            ("20240105", "2024-01-05", ""),
            ("2024", "2024-01-01", ""),
            ("Jan 2024", "2024-01-01", ""),
            ("3:00am", "", "03:00:00"),
            ("3 pm", "", "15:00:00"),
            ("12 am", "", "00:00:00"),
            ("2014-01-01T06:00Z", "2014-01-01", "06:00:00"),
        ] {
            let found = read(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((found.date, found.clock), (iso_date(date), iso_time(time)), "{text}");
        }
        for text in [
            "",
            "invalid",
            "some night",
            "10th Jan nineteen sixty nine",
            "13/13/2024",
            "2023-02-29",
            "25:00",
            "13 pm",
            "January 5",
            "10",
            "1 2 3 4",
            "2024 2025",
            "3:00 4:00",
            "2024-01-05x",
            "Jan Feb 2024",
            "5 Jan 2024 +25:00",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("5 Jan 2024 10:00 +08:00").and_then(|found| found.zone), Some(8 * 3_600_000_000));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-zA-Z:+./ é-]{0,30}") {
            let _ = read(&text);
        }
    }
}
